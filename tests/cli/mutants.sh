#!/bin/bash
# limit: 900
# Files that say what no writer of ours would, with a content_hash that is right: every mutant of
# every kind in the readers, and a sample of them (MUTANTS=N of each kind) in the programs, which end
# by exit 0, 1, 2 or 3, in one line, never by a signal, and without an output where they refuse.
. tests/lib.bash
mutants=$root/$BUILD/tests/fuzz/mutants
make=$root/$BUILD/tests/cli/make_files
world 6
teachers
"$bin/teacher-dump" -q --dpo dpo.h5 --reverse reverse.h5 --data pairs.h5 -o coded.h5 >out || fatal 'no cache'
"$bin/teacher-dump" -q --dpo dpo.h5 --reverse reverse.h5 --data pairs.h5 --layout components -o parts.h5 >out || fatal 'no cache'
"$bin/shard" recode --top-k 5 -o cut.h5 coded.h5 >out || fatal 'no cache'
"$make" teacher plain.h5 4 >out
"$make" model small.h5 1 >out
timeout -s KILL 60 "$bin/sft" -q --model base.h5 --data sft-data.h5 --steps 4 --batch-size 4 --unit-tokens 256 \
    --stop-after 0.001 -o stopped.h5 >out 2>err
"$bin/sft" -q --model base.h5 --data sft-data.h5 --lora-rank 2 --lora-targets q,down --steps 2 \
    --batch-size 4 --unit-tokens 256 -o lora.h5 >out || fatal 'no adapter'
export BASE=base.h5
for file in lora.h5 sft-data.h5 pairs.h5 prompts.h5 reference.h5 coded.h5 parts.h5 plain.h5 small.h5 $(ls stopped.h5.ckpt 2>/dev/null); do
    "$mutants" $file >found 2>err || fail "$file: exit $?: $(head -n 5 found err)"
    tail -n 1 found
done

ends() { # K command...
    local k=$1 code
    shift
    timeout -k 5 60 "$@" >out 2>err </dev/null
    code=$?
    case $code in
    0) ;;
    1 | 2 | 3) [ "$(wc -l <err)" = 1 ] || fail "$file, mutant $k ($what): not one line: $*: $(head -n 3 err)" ;;
    *) fail "$file, mutant $k ($what): exit $code: $*: $(head -n 3 err)" ;;
    esac
    [ $code = 0 ] || [ ! -e made.h5 ] || fail "$file, mutant $k ($what): an output of $*"
    [ $code = 0 ] || [ ! -e made ] || fail "$file, mutant $k ($what): an output of $*"
    rm -rf made.h5* made
    last=$code
}
train='--steps 1 --batch-size 4 --unit-tokens 256 -o made.h5'
seed=${MUTANTS_SEED:-5}
for file in sft-data.h5 pairs.h5 prompts.h5 coded.h5 parts.h5 plain.h5 base.h5 lora.h5; do
    n=$("$mutants" --count $file)
    for ((i = 0; i < ${MUTANTS:-4}; i++)); do
        seed=$(((seed * 1103515245 + 12345) % 2147483648))
        k=$((seed / 8 % n))
        what=$("$mutants" $file $k m.h5) || continue
        ends $k "$bin/shard" check m.h5
        checked=$last
        case $file in
        sft-data.h5) ends $k "$bin/sft" -q --model base.h5 --data m.h5 $train ;;
        pairs.h5) ends $k "$bin/dpo-train" -q --model base.h5 --data m.h5 $train ;;
        prompts.h5) ends $k "$bin/generate" -q --model base.h5 --data m.h5 --max-new 2 -o made.h5 ;;
        base.h5) ends $k "$bin/export" -q --model m.h5 -o made ;;
        lora.h5) ends $k "$bin/merge" -q --model base.h5 --adapter m.h5 -o made.h5 ;;
        *) ends $k "$bin/distill" -q --model sft.h5 --teacher m.h5 $train ;;
        esac
        [ $checked != 0 ] || [ $last != 3 ] || grep -q 'model\|no rows\|no tokens\|is of a set\|tokenizer\|not for training' err ||
            fail "$file, mutant $k ($what): shard check took what a reader refuses: $(cat err)"
        case $file in
        coded.h5 | parts.h5 | plain.h5)
            ends $k "$bin/shard" recode --top-k 3 -o made.h5 m.h5
            ends $k "$bin/shard" stat m.h5
            ends $k "$bin/shard" filter --max-entropy 3 -o made.h5 m.h5
            ;;
        base.h5) ends $k "$bin/eval" nll --model m.h5 --data sft-data.h5 ;;
        lora.h5) ends $k "$bin/eval" nll --model m.h5 --base-model base.h5 --data sft-data.h5 ;;
        *) ends $k "$bin/shard" split --parts 2 -o made.h5 m.h5 && rm -f made-*.h5 ;;
        esac
        ends $k "$bin/shard" head --json m.h5
    done
done
finish
