#!/bin/bash
# shard: lists, checks, prints, compares and merges files of all kinds.
set -u
. tests/report.bash
make_files=$BUILD/tests/cli/make_files

# run CODE PATTERN command...: the exit code, and a line on stderr that matches (empty: no line)
run() {
    local want=$1 pattern=$2 code
    shift 2
    "$@" >"$TMP/out" 2>"$TMP/err"
    code=$?
    [ $code = "$want" ] || fail "exit $code instead of $want: $*: $(cat "$TMP/err")"
    if [ -n "$pattern" ]; then
        grep -q -- "$pattern" "$TMP/err" || fail "no '$pattern' from $*: $(cat "$TMP/err")"
    else
        [ ! -s "$TMP/err" ] || fail "$* says: $(cat "$TMP/err")"
    fi
}
says() { grep -q -- "$1" "$TMP/out" || fail "no '$1' on stdout: $(cat "$TMP/out")"; }

for kind in tokens pairs reference teacher coded components; do
    $make_files $kind "$TMP/$kind.h5" 400 >"$TMP/paths" || fail "make_files $kind"
    run 0 '' $BIN/shard check "$TMP/$kind.h5"
    says "$kind.h5.ok"
    run 0 '' $BIN/shard ls "$TMP/$kind.h5"
    says "$kind.h5	$(sed 's/coded\|components/teacher/' <<<$kind)	[12345]	0/1	400"
    run 0 '' $BIN/shard stat "$TMP/$kind.h5"
    run 0 '' $BIN/shard head --rows 3 "$TMP/$kind.h5"
    says '^row 2'
    run 0 '' $BIN/shard head --rows 3 --json "$TMP/$kind.h5"
    [ "$(wc -l <"$TMP/out")" = 3 ] || fail "not 3 rows: $(cat "$TMP/out")"
    # shards, by one run and by three, merge to the same bytes
    $make_files $kind "$TMP/s-$kind.h5" 400 90 >"$TMP/parts"
    [ "$(wc -l <"$TMP/parts")" = 5 ] || fail "not 5 parts: $(cat "$TMP/parts")"
    for i in 0 1 2; do $make_files $kind "$TMP/t-$kind.h5" 400 90 $i 3; done >"$TMP/shares"
    for part in 0 1 2 3 4; do
        cmp "$TMP/s-$kind-0000$part-of-00005.h5" "$TMP/t-$kind-0000$part-of-00005.h5" ||
            fail "--shard gives another part $part"
    done
    run 0 '' $BIN/shard check - <"$TMP/parts"
    run 0 '' $BIN/shard merge -o "$TMP/m-$kind.h5" $(tac "$TMP/parts")
    says "m-$kind.h5"
    cmp "$TMP/m-$kind.h5" "$TMP/$kind.h5" || fail "merged $kind differs from the single file"
    run 3 'of which 4 were given' $BIN/shard merge -o "$TMP/x.h5" $(head -n 4 "$TMP/parts")
    [ ! -e "$TMP/x.h5" ] || fail "an output of an incomplete set"
    run 3 'missing or damaged, the first part 4' $BIN/shard check $(head -n 4 "$TMP/parts")
    run 0 '' $BIN/shard diff "$TMP/m-$kind.h5" "$TMP/$kind.h5"
    [ ! -s "$TMP/out" ] || fail "diff of equal files prints: $(cat "$TMP/out")"
done

# What was written as version 2 (TVD and entropy of coded shards in two bytes), 3 (the realised token
# and the end of sequence among the others) and 4 (without the largest p* outside) is read as it was then.
for version in 2 3 4; do
    old=tests/golden/teacher-version-$version
    run 0 '' $BIN/shard check $old.h5
    run 0 '' $BIN/shard head --json --rows 5 $old.h5
    cmp "$TMP/out" $old.json || fail "other numbers of version $version"
done
run 0 '' $BIN/shard recode --bits 6 -o "$TMP/recoded.h5" $old.h5
run 0 '' $BIN/shard check "$TMP/recoded.h5"
run 3 'a support lacks the end of sequence' $BIN/shard recode --bits 6 -o "$TMP/x.h5" tests/golden/teacher-version-2.h5

$make_files model "$TMP/m1.h5" 1
$make_files model "$TMP/m2.h5" 2
run 0 '' $BIN/shard check "$TMP/m1.h5"
run 0 '' $BIN/shard stat "$TMP/m1.h5"
says 'parameters'
run 1 '' $BIN/shard diff "$TMP/m1.h5" "$TMP/m2.h5"
says "dataset 'weights/model.embed_tokens.weight': 480 of 480 elements differ, the first at 0"
run 1 '' $BIN/shard diff "$TMP/m1.h5" "$TMP/tokens.h5"
says "attribute 'kind': model | tokens"
run 3 'has no rows' $BIN/shard head "$TMP/m1.h5"
run 2 'unknown command' $BIN/shard look "$TMP/m1.h5"
run 2 'needed' $BIN/shard check

# One bit flipped in the middle of each file: named, exit 3. The middle of a teacher shard is a chunk.
flip() { # FILE OFFSET
    local byte
    byte=$(od -An -tu1 -j "$2" -N 1 "$1" | tr -d ' ')
    printf "$(printf '\\%03o' $((byte ^ 16)))" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}
for kind in tokens pairs reference teacher coded components m1; do
    cp "$TMP/$kind.h5" "$TMP/hurt.h5"
    flip "$TMP/hurt.h5" $(($(stat -c %s "$TMP/hurt.h5") / 2))
    run 3 "hurt.h5' is damaged" $BIN/shard check "$TMP/hurt.h5"
    head -c $(($(stat -c %s "$TMP/$kind.h5") - 100)) "$TMP/$kind.h5" >"$TMP/hurt.h5"
    run 3 'cut short' $BIN/shard check "$TMP/hurt.h5"
done
cp "$TMP/teacher.h5" "$TMP/hurt.h5"
flip "$TMP/hurt.h5" $(($(stat -c %s "$TMP/hurt.h5") / 2))
run 3 "dataset '[a-z_]*', elements [0-9]* to [0-9]*: wrong checksum" $BIN/shard check "$TMP/hurt.h5"
run 3 'not an HDF5 file' $BIN/shard check "$0"
run 3 'No such file' $BIN/shard check "$TMP/none.h5"
: >"$TMP/empty.h5"
run 3 'not an HDF5 file' $BIN/shard check "$TMP/empty.h5"

# Full disks: one line, exit 1, nothing under the final name, what was there stays.
cp "$TMP/tokens.h5" "$TMP/kept.h5"
for blocks in 1 4 12; do
    (ulimit -f $blocks; $BIN/shard merge -o "$TMP/kept.h5" $(cat "$TMP/parts")) >"$TMP/out" 2>"$TMP/err"
    code=$?
    [ $code = 1 ] || fail "exit $code with a limit of $blocks blocks"
    [ "$(wc -l <"$TMP/err")" = 1 ] || fail "not one line: $(cat "$TMP/err")"
    cmp "$TMP/kept.h5" "$TMP/tokens.h5" || fail "the former file was touched"
done
if mkdir "$TMP/small" && mount -t tmpfs -o size=96k none "$TMP/small" 2>/dev/null; then
    cp "$TMP/reference.h5" "$TMP/small/kept.h5" || fail "the small disk is too small"
    run 1 'No space left' $BIN/shard merge -o "$TMP/small/kept.h5" $(cat "$TMP/parts")
    cmp "$TMP/small/kept.h5" "$TMP/reference.h5" || fail "the former file was touched"
    [ "$(ls -A "$TMP/small")" = kept.h5 ] || fail "left behind: $(ls -A "$TMP/small")"
    umount "$TMP/small"
fi
$BIN/shard ls "$TMP/tokens.h5" >/dev/full 2>"$TMP/err"
[ $? = 1 ] || fail "a full stdout is not an error"
finish
