#!/bin/bash
# What every stage does with --config, --dry-run, --no-clobber, --force, and when its output is there.
. tests/lib.bash
world 60
teachers
quiet "$bin/teacher-dump" -q --dpo dpo.h5 --reverse reverse.h5 --ref sft.h5 --data pairs.h5 -o t.h5
cp sft.csv more.csv
train="--batch-size 16 --unit-tokens 256 --seed 3"
declare -A stages=(
    [import]="--init config.json --tokenizer tok.json --seed 3"
    [tokenize]="--model base.h5 --kind sft --input sft.csv more.csv --on-bad skip --seed 3"
    [sft]="--model base.h5 --data sft-data.h5 $train"
    [dpo-train]="--model sft.h5 --data pairs.h5 --reverse $train"
    [teacher-dump]="--dpo dpo.h5 --reverse reverse.h5 --ref sft.h5 --data pairs.h5 --seed 3"
    [distill]="--model sft.h5 --teacher t.h5 $train"
    [generate]="--model sft.h5 --data prompts.h5 --max-new 8 --seed 3"
)
config_of() { # OPTION...: as lines name = value
    local word line=
    for word in "$@" --; do
        case $word in
        --*)
            [ -z "$line" ] || echo "$line"
            line="${word#--} ="
            ;;
        *) line+=" $word" ;;
        esac
    done | sed 's/=$/= true/'
}
listing() { find . -type f ! -name out ! -name err ! -name before ! -name after -printf '%p %i %s %T@\n' | sort; }

for name in "${!stages[@]}"; do
    command="$bin/$name -q ${stages[$name]}"
    config_of ${stages[$name]} >run.conf

    # a dry run looks at every input and writes nothing
    listing >before
    expect 0 '' $command -o a.h5 --dry-run
    listing | cmp -s before - || fail "$name --dry-run wrote: $(listing | diff before -)"
    case $name in
    import | tokenize) ;; # a summary for people
    *)
        for number in memory disk; do
            grep -q "^$number\(_bytes\|\)	[1-9]\|^model_bytes	[1-9]" out || fail "$name --dry-run: no $number: $(cat out)"
        done
        grep -q '^estimated_seconds	[0-9]' out || fail "$name --dry-run: no time: $(cat out)"
        ;;
    esac
    expect 3 "none.h5\|none.csv" $(sed 's/[a-z-]*\.h5/none.h5/; s/config.json/none.h5/' <<<"$command") -o a.h5 --dry-run

    # a log that cannot be kept is said before anything is read
    case $name in
    import | tokenize | teacher-dump | generate) expect 2 "unknown option '--log'" $command -o a.h5 --log x.csv ;;
    *) expect 2 "'x.txt' ends in neither" $(sed 's/--model [a-z]*/--model none/' <<<"$command") -o a.h5 --log x.txt ;;
    esac

    # the same from a file, over which the command line wins
    quiet $command -o a.h5
    quiet "$bin/$name" -q --config run.conf -o b.h5
    same a.h5 b.h5 "$name --config"
    quiet "$bin/$name" -q --config run.conf --seed 4 -o b.h5
    cmp -s a.h5 b.h5 && fail "$name: --seed 4 of the command line did not count"
    quiet $command --seed 4 -o c.h5
    same b.h5 c.h5 "$name --seed 4"

    # up to date: touched, not made again, whatever --no-clobber says
    for more in '' --no-clobber "--threads 3 --no-clobber"; do
        inode=$(stat -c %i a.h5)
        touch -d 2001-01-01 a.h5
        expect 0 'up to date' $(sed 's/ -q / /' <<<"$command") -o a.h5 $more
        [ "$(cat out)" = a.h5 ] || fail "$name, up to date: $(cat out)"
        [ "$(stat -c %i a.h5)" = "$inode" ] || fail "$name: made again $more"
        [ -n "$(find a.h5 -newermt 2002-01-01)" ] || fail "$name: not touched $more"
    done
    # of other options: refused by --no-clobber, made again without it; by --force in any case
    cp a.h5 kept.h5
    expect 1 "'a.h5' exists" $command --seed 4 --no-clobber -o a.h5
    same a.h5 kept.h5 "$name --no-clobber"
    quiet $command --force -o a.h5
    [ "$(stat -c %i a.h5)" != "$inode" ] || fail "$name --force: not made again"
    same a.h5 kept.h5 "$name --force"
    quiet $command --seed 4 -o a.h5
    same a.h5 b.h5 "$name with other options"
    rm -f a.h5 b.h5 c.h5
done
finish
