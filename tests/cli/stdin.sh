#!/bin/bash
# "-": the paths of a data option, or the prompts themselves, from stdin, with the same bytes as by name.
. tests/lib.bash
world 24
teachers
piped() { # INPUT OUT COMMAND...: with INPUT on stdin the same as OUT
    local input=$1 out=$2
    shift 2
    printf %s "$input" | "$@" -q -o piped.h5 >list 2>err || fail "exit $? of $*: $(cat err)"
    same piped.h5 "$out" "$* from stdin"
    rm -f piped.h5
}
quick="--unit-tokens 256 --batch-size 16 --steps 2"
dump="--dpo dpo.h5 --reverse reverse.h5 --ref sft.h5"

quiet "$bin/teacher-dump" -q $dump --data pairs.h5 -o want.h5
piped pairs.h5 want.h5 "$bin/teacher-dump" $dump --data -
quiet "$bin/teacher-dump" -q $dump --data sft-data.h5 -o want.h5
piped $'\nsft-data.h5\n' want.h5 "$bin/teacher-dump" $dump --data -
quiet "$bin/sft" -q --model base.h5 --data sft-data.h5 -o want.h5 $quick
piped $'sft-data.h5\r\n' want.h5 "$bin/sft" --model base.h5 --data - $quick
quiet "$bin/dpo-train" -q --model sft.h5 --data pairs.h5 -o want.h5 $quick
piped pairs.h5 want.h5 "$bin/dpo-train" --model sft.h5 --data - $quick
quiet "$bin/generate" -q --model sft.h5 --data prompts.h5 --max-new 4 -o want.h5
piped prompts.h5 want.h5 "$bin/generate" --model sft.h5 --data - --max-new 4
quiet "$bin/generate" -q --model sft.h5 --input prompts.csv --max-new 4 -o want.h5
piped "$(cat prompts.csv)" want.h5 "$bin/generate" --model sft.h5 --input - --max-new 4
"$bin/eval" nll --model sft.h5 --data sft-data.h5 >want
echo sft-data.h5 | "$bin/eval" nll --model sft.h5 --data - | cmp -s - want || fail 'eval nll --data -'
"$bin/eval" pairs --dpo dpo.h5 --ref sft.h5 --data pairs.h5 >want
echo pairs.h5 | "$bin/eval" pairs --dpo dpo.h5 --ref sft.h5 --data - | cmp -s - want || fail 'eval pairs --data -'

expect 3 "'--data -' got no paths on stdin" "$bin/teacher-dump" $dump --data - -o x.h5
printf 'dpo.h5\n' | "$bin/sft" --model base.h5 --data - -o dpo.h5 2>err
[ $? = 2 ] && grep -q "'dpo.h5' is to be written" err || fail "an input of stdin overwritten: $(cat err)"
finish
