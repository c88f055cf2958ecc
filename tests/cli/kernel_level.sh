#!/bin/bash
# A run at the portable level, end to end: the numbers of the best level up to rounding; and a run that
# continues at another level than it began says so.
. tests/lib.bash
world 60
[ -x "$bin/distill" ] || skip 'distill is not built'
teachers
losses() { # LEVEL: of a short chain at it, a line each
    export ALIGNDISTIL_KERNELS=$1
    local options="-q --unit-tokens 256 --batch-size 16 --steps 4 --lr 3e-3"
    quiet "$bin/sft" $options --model base.h5 --data sft-data.h5 -o sft-$1.h5 --log sft-$1.csv
    quiet "$bin/dpo-train" $options --model sft.h5 --data pairs.h5 -o dpo-$1.h5 --log dpo-$1.csv
    quiet "$bin/teacher-dump" -q --dpo dpo.h5 --reverse reverse.h5 --data pairs.h5 --bits 32 -o t-$1.h5
    quiet "$bin/distill" $options --model sft.h5 --teacher t-$1.h5 -o out-$1.h5 --log out-$1.csv
    for log in sft dpo out; do
        awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "loss") c = i; next } { print $c }' $log-$1.csv
    done
    unset ALIGNDISTIL_KERNELS
}
losses portable >portable
losses "" >best
[ "$(wc -l <best)" = 12 ] || fail "not 12 losses: $(cat best)"
paste portable best | awk '{ d = $1 - $2; if (d < 0) d = -d; if (!(d <= 2e-5 * $2)) bad = 1 } END { exit bad }' ||
    fail "other losses at the portable level: $(paste portable best)"

train="$bin/sft -q --model base.h5 --data sft-data.h5 --batch-size 16 --epochs 4000 -o x.h5"
ALIGNDISTIL_KERNELS=portable $train --stop-after 0.3 >out 2>err
[ $? = 75 ] || fail "not stopped: $(cat err)"
$train --stop-after 0.3 >out 2>err
if grep -q '^flags.* avx2' /proc/cpuinfo; then
    grep -q "made with the kernel level 'portable', this run has '.*': the last bits may differ" err ||
        fail "no word of another level: $(cat err)"
    rm -f x.h5*
    ALIGNDISTIL_KERNELS=avx2 $train --stop-after 0.3 >out 2>err
    $train --stop-after 0.3 >out 2>err
    ! grep -q 'kernel level' err || fail "a word of another level that has the same bits: $(cat err)"
fi

# --kernels is the same, goes before the environment, and is in no file; the library's level is near.
sft="$bin/sft -q --model base.h5 --data sft-data.h5 --unit-tokens 256 --batch-size 16 --steps 4 --lr 3e-3"
ALIGNDISTIL_KERNELS=avx9 quiet $sft --kernels portable -o given.h5
cmp -s given.h5 sft-portable.h5 || fail "--kernels portable is not the portable level"
expect 2 "--kernels 'avx9' is not a level this CPU has" $sft --kernels avx9 -o no.h5
# A CPU that OpenBLAS does not know has a warning of its own.
grep -q avx2 /proc/cpuinfo && export OPENBLAS_CORETYPE=${OPENBLAS_CORETYPE:-Haswell}
quiet $sft --kernels blas --threads 1 -o blas-1.h5 --log blas.csv
quiet $sft --kernels blas --threads 3 --micro-tokens 1 -o blas-3.h5
cmp -s blas-1.h5 blas-3.h5 || fail "level blas depends on threads or micro-tokens"
awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "loss") c = i; next } { print $c }' blas.csv | paste - best |
    awk 'NF == 2 && NR <= 4 { d = $1 - $2; if (d < 0) d = -d; if (!(d <= 2e-5 * $2)) bad = 1; n++ } END { exit bad || n != 4 }' ||
    fail "other losses at level blas"
finish
