#!/bin/bash
# What a stopped run left is another run's: with other result options or inputs it is refused, naming
# them, and stays for its own command, which ends in the bytes of an undisturbed run. Damaged, it is
# refused too (a checkpoint) or what is whole of it used (a spool); --force starts again.
. tests/lib.bash
world 120
teachers
quiet "$bin/teacher-dump" -q --dpo dpo.h5 --reverse reverse.h5 --ref sft.h5 --data pairs.h5 -o t.h5
cp sft.csv more.csv
train="--unit-tokens 256 --batch-size 16 --epochs 8"
declare -A stages=(
    [sft]="--model base.h5 --data sft-data.h5 $train"
    [dpo-train]="--model sft.h5 --data pairs.h5 --reference reference.h5 $train"
    [distill]="--model sft.h5 --teacher t.h5 $train"
    [teacher-dump]="--dpo dpo.h5 --reverse reverse.h5 --ref sft.h5 --data pairs.h5 --micro-tokens 200"
    [generate]="--model sft.h5 --data prompts.h5 --samples 4 --max-new 40 --slots 8"
    [tokenize]="--tokenizer tok.json --kind sft --rows-per-shard 100000 --input more.csv"
)
declare -A other=(
    [sft]="--lr 0.5" [dpo-train]="--beta 0.2" [distill]="--divergence fkl"
    [teacher-dump]="--top-k 7" [generate]="--temperature 0.5" [tokenize]="--max-length 99"
)
for i in $(seq 150); do tail -n +2 sft.csv; done >>more.csv

damage() { # FILE: a byte in its middle
    printf '\x5a\xa5' | dd of="$1" bs=1 seek=$(($(stat -c %s "$1") / 2)) conv=notrunc 2>/dev/null
}
stop() { # LEFT command...: begins x.h5 until it is stopped on its way; stdin: the file `feed`
    local left=$1 after code
    shift
    for after in $(afters); do
        rm -f x*.h5
        "$@" -o x.h5 --stop-after $after >out 2>err <feed
        code=$?
        [ $code != 75 ] || [ ! -e $left ] || [ $(stat -c %s $left) -lt 600 ] || ! $far || return 0
    done
    fail "never stopped on its way: exit $code: $*: $(cat err)"
    return 1
}
: >feed
far=true # a command: whether it came far enough
for name in "${!stages[@]}"; do
    command="$bin/$name -q ${stages[$name]}"
    left=x.h5.ckpt
    case $name in teacher-dump | generate | tokenize) left=x.h5.spool ;; esac
    quiet $command -o want.h5
    list=$(sed 's/want/x/' out)
    stop $left $command || continue
    cp $left kept

    option=${other[$name]%% *}
    expect 1 "'$left' belongs to another run: option '${option#--}' was .* and is \"\?${other[$name]##* }\"\?; " \
        $command ${other[$name]} -o x.h5
    cmp -s $left kept || fail "$name: another option changed $left"
    case $name in
    tokenize) cp sft.csv other.csv && input=$(sed 's/more.csv/other.csv/' <<<"$command") ;;
    generate | sft) input=$(sed 's/--model [a-z]*.h5/--model dpo.h5/' <<<"$command") ;;
    teacher-dump) input=$(sed 's/--ref sft.h5/--ref base.h5/' <<<"$command") ;;
    *) input=$(sed 's/--model sft.h5/--model base.h5/; s/--reference reference.h5//' <<<"$command") ;;
    esac
    expect 1 "'$left' belongs to another run: input [0-9] is another file" $input -o x.h5
    cmp -s $left kept || fail "$name: another input changed $left"
    ls x.h5 x-* 2>/dev/null && fail "$name: an output of another run"

    quiet $command -o x.h5
    for file in $list; do same $file ${file/x/want} "$name, after it was asked for otherwise"; done
    rm -f x*.h5

    cp kept $left
    damage $left
    if [ $left = x.h5.ckpt ]; then
        expect 3 "'$left' is damaged; remove it to start again" $command -o x.h5
        [ -e $left ] && [ ! -e x.h5 ] || fail "$name: a damaged checkpoint is gone"
        quiet $command --force -o x.h5
    else
        quiet $command -o x.h5
    fi
    for file in $list; do same $file ${file/x/want} "$name, of a damaged $left"; done

    if [ $name = tokenize ]; then # what it counted, without an end of its texts
        rm -f x*.h5
        cp kept $left
        "$root/$BUILD/tests/cli/poison" spool $left 15000 || fail 'poison spool'
        expect 1 'what the stopped run has left is damaged; give --force' $command -o x.h5
        ls x.h5 x-* 2>/dev/null && fail "$name: an output of a damaged state"
        quiet $command --force -o x.h5
    fi

    # killed behind the output's rename: the next run is free
    cp kept $left
    quiet $command ${other[$name]} -o x.h5
    for file in $list; do cmp -s $file ${file/x/want} && fail "$name: another run gave the same"; done
    [ ! -e $left ] || fail "$name: $left is there after another run"
    cp kept $left # of a run that has made no such output
    expect 1 "'$left' belongs to another run: option" $command ${other[$name]} --seed 5 -o x.h5
    cmp -s $left kept || fail "$name: swept beside the output of another run"
    rm $left
    rm -f x*.h5 want*.h5
    ls -A | grep 'x\.h5' && fail "$name: left behind"
done

# Caches that begin with the same shard: all others count too.
dump="$bin/teacher-dump -q --dpo dpo.h5 --reverse reverse.h5 --ref sft.h5"
quiet $dump --data pairs.h5 --top-k 7 -o u.h5
quiet $dump --data pairs.h5 --top-k 5 -o v.h5
awk '{ row[NR] = $0 } END { t = row[NR]; row[NR] = row[NR - 1]; row[NR - 1] = t
    for (i = 1; i <= NR; i++) print row[i] }' pairs.csv >swapped.csv
quiet "$bin/tokenize" -q --model base.h5 --kind pref --input swapped.csv -o swapped.h5
for data in pairs swapped; do
    quiet $dump --data $data.h5 --rows-per-shard 40 -o c-$data.h5
    cp out list-$data
done
distill="$bin/distill -q --model sft.h5 $train"
quiet $distill --teacher t.h5 u.h5 -o want.h5
if stop x.h5.ckpt $distill --teacher t.h5 u.h5; then
    cp x.h5.ckpt kept
    for other in t.h5 't.h5 v.h5' 't.h5 u.h5 v.h5' 'u.h5 t.h5'; do
        case $other in
        t.h5) says='input 3 is not given this time (a stream' ;;
        't.h5 u.h5 v.h5') says='input 4 was not given then (a stream' ;;
        *) says='input [23] is another file' ;;
        esac
        expect 1 "'x.h5.ckpt' belongs to another run: $says" $distill --teacher $other -o x.h5
        cmp -s x.h5.ckpt kept && [ ! -e x.h5 ] || fail "caches $other: not left alone"
    done
    quiet $distill --teacher t.h5 u.h5 -o x.h5
    same x.h5 want.h5 'two caches'
fi
cp list-pairs feed
$distill --teacher - -o want.h5 <feed >out 2>err || fail "a stream: $(cat err)"
saw_all() { # three shards: a line for each hash
    [ "$(LC_ALL=C grep -ac '^[0-9a-f]\{32\}$' x.h5.ckpt)" -ge 3 ]
}
far=saw_all
if stop x.h5.ckpt $distill --teacher -; then
    cp x.h5.ckpt kept
    $distill --teacher - -o x.h5 <list-swapped >out 2>err
    [ $? = 1 ] && grep -q "'x.h5.ckpt' belongs to another run: shard 3 of the stream is another" err ||
        fail "another stream of the same first shard: $(cat err)"
    expect 1 "another run: input 3 was not given then (a stream of shards does not go on as a list" \
        $distill --teacher $(cat list-pairs) -o x.h5
    cmp -s x.h5.ckpt kept && [ ! -e x.h5 ] || fail "another stream: not left alone"
    $distill --teacher - -o x.h5 <feed >out 2>err || fail "continuing with a stream: $(cat err)"
    same x.h5 want.h5 'a stream'
fi
finish
