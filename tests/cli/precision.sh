#!/bin/bash
# --precision bf16 through every stage that computes: recorded in what is made, the same bytes on any
# threads, for any micro-batch and at every kernel level with fused multiply-adds (but AMX, whose sums are
# a kind of their own), and close to float32.
. tests/lib.bash
world 60
[ -x "$bin/distill" ] && [ -x "$bin/generate" ] || skip 'distill or generate is not built'
teachers

train="-q --precision bf16 --unit-tokens 256 --batch-size 16 --steps 4 --lr 3e-3"
chain() { # NAME EXECUTION-OPTIONS
    quiet "$bin/sft" $train $2 --model base.h5 --data sft-data.h5 -o sft-$1.h5 --log sft-$1.csv
    quiet "$bin/dpo-train" $train $2 --model sft.h5 --data pairs.h5 -o dpo-$1.h5 --log dpo-$1.csv --reference ref-$1.h5
    quiet "$bin/teacher-dump" -q --precision bf16 --dpo dpo.h5 --reverse reverse.h5 --data pairs.h5 -o t-$1.h5
    quiet "$bin/distill" $train $2 --model sft.h5 --teacher t-$1.h5 -o out-$1.h5 --log out-$1.csv
    quiet "$bin/generate" -q --precision bf16 --model dpo.h5 --data prompts.h5 --max-new 12 -o gen-$1.h5
}
same_files() { # NAME NAME
    for file in sft dpo ref t out gen; do
        cmp -s $file-$1.h5 $file-$2.h5 || fail "$file-$2.h5 is not $file-$1.h5"
    done
}
chain one "--threads 1 --micro-tokens 100000"
chain two "--threads 2 --micro-tokens 1 --recompute"
same_files one two
# More threads than there are CPUs, in both precisions: the same bytes.
for precision in bf16 f32; do
    for threads in 1 16; do
        quiet "$bin/sft" -q --precision $precision --unit-tokens 256 --batch-size 16 --steps 4 --lr 3e-3 \
            --threads $threads --model base.h5 --data sft-data.h5 -o many-$precision-$threads.h5
    done
    cmp -s many-$precision-1.h5 many-$precision-16.h5 || fail "16 threads make other bytes in $precision"
done
first=one
grep -q '^flags.* amx_bf16' /proc/cpuinfo && first=avx2
for pair in avx2:avx2 avx512:avx512dq avx512bf16:avx512_bf16; do
    level=${pair%:*}
    grep -q "^flags.* ${pair#*:}" /proc/cpuinfo || continue
    ALIGNDISTIL_KERNELS=$level chain $level "--threads 2"
    same_files $first $level
done

for file in sft dpo t out gen; do
    grep -aq '"precision":"bf16"' $file-one.h5 ||
        fail "$file-one.h5 does not say in which precision it was made"
done

# dpo's first loss is ln 2: policy and reference run in one precision, also where a reference of the
# other one lies there.
quiet "$bin/dpo-train" -q --unit-tokens 256 --batch-size 16 --steps 4 --lr 3e-3 --model sft.h5 \
    --data pairs.h5 -o dpo-f32.h5 --reference ref-one.h5 --log dpo-f32.csv
loss() { # FILE ROW
    awk -F, -v row="$2" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "loss") c = i } NR == row + 1 { print $c }' "$1"
}
for kind in one f32; do
    loss dpo-$kind.csv 1 | awk '{ d = $1 - log(2); exit !(d < 1e-5 && d > -1e-5) }' ||
        fail "dpo's first loss in $kind is $(loss dpo-$kind.csv 1)"
done
cmp -s dpo-f32.h5 dpo-one.h5 && fail "bf16 made no difference"
quiet "$bin/sft" -q --unit-tokens 256 --batch-size 16 --steps 4 --lr 3e-3 --model base.h5 --data sft-data.h5 \
    -o sft-f32.h5 --log sft-f32.csv
for step in 1 2 3 4; do
    echo "$(loss sft-one.csv $step) $(loss sft-f32.csv $step)"
done | awk '{ d = $1 - $2; if (d < 0) d = -d; if (!(d <= 5e-3 * $2)) bad = 1 } END { exit bad || NR != 4 }' ||
    fail "sft's losses are not near those in float32: $(paste sft-one.csv sft-f32.csv)"
finish
