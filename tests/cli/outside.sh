#!/bin/bash
# Only bytes that are in the file are read: datasets that are links, mappings or storage elsewhere
# are refused by every reader, and nothing of what they name comes out.
. tests/lib.bash
outside=$root/$BUILD/tests/cli/outside
make=$root/$BUILD/tests/cli/make_files
$make tokens tokens.h5 40 >/dev/null && $make pairs pairs.h5 40 >/dev/null
$make coded coded.h5 20 >/dev/null && $make model model.h5 1 >/dev/null
head -c 2000000 /dev/zero | tr '\0' '\1' >secret
readable() { # what every reader of the file says: exit 3, one line
    expect 3 "$1" "$bin/shard" check "$2"
    expect 3 "$1" "$bin/shard" head --json "$2"
    [ ! -s out ] || fail "shard head printed of '$2': $(head -c 80 out)"
    expect 3 "$1" "$bin/shard" filter -o filtered.h5 "$2"
    expect 3 "$1" "$bin/shard" merge -o merged.h5 "$2"
    expect 3 "$1" "$bin/shard" diff "$2" tokens.h5
}
for how in external link soft virtual gzip; do
    case $how in
    link | virtual) target=$PWD/whole.h5 ;;
    soft) target=/prompt_length ;;
    *) target=$PWD/secret ;;
    esac
    case $how in link | soft) says='is a link to another place' ;; *) says=. ;; esac
    cp tokens.h5 whole.h5
    cp tokens.h5 bad.h5
    "$outside" $how bad.h5 length "$target" || fatal "outside $how"
    readable "$says" bad.h5
    cp coded.h5 whole.h5
    cp coded.h5 bad.h5
    "$outside" $how bad.h5 tvd_low "$target" || fatal "outside $how"
    expect 3 "$says" "$bin/shard" check bad.h5
    expect 3 "$says" "$bin/shard" recode --bits 6 -o recoded.h5 bad.h5
    expect 3 "$says" "$bin/distill" -q --model model.h5 --teacher bad.h5 --steps 1 -o student.h5
    cp model.h5 whole.h5
    cp model.h5 bad.h5
    "$outside" $how bad.h5 weights/model.norm.weight "$target" || fatal "outside $how"
    expect 3 "$says" "$bin/shard" check bad.h5
    expect 3 "$says" "$bin/export" -q --model bad.h5 -o exported
    cp model.h5 bad.h5
    "$outside" $how bad.h5 tokenizer.json "$target" 2>/dev/null && # where it has one
        expect 3 "$says" "$bin/export" -q --model bad.h5 -o exported
done
[ ! -e filtered.h5 ] && [ ! -e merged.h5 ] && [ ! -e recoded.h5 ] && [ ! -e student.h5 ] &&
    [ ! -e exported ] || fail "a refused file was copied: $(ls)"
finish
