#!/bin/bash
# limit: 900
# pipelines/slurm/ranks.sbatch on a real Slurm: a training of two ranks that srun starts is told that its time is
# up, is queued again and ends in the bytes of one rank; scancel ends both ranks and leaves a checkpoint to go on
# from; a build or an --mpi that does not fit is refused.
. tests/lib.bash
needs_mpi
. "$root/tests/slurm.bash"
srun --mpi=list 2>&1 | grep -q pmix || skip 'this Slurm has no pmix; apt-get install slurm-wlm-basic-plugins'
world 160
export PATH=$mpi:$PATH
train="--model $PWD/base.h5 --data $PWD/sft-data.h5 --batch-size 16 --unit-tokens 128 --lanes 2"
seconds "$mpi/sft" -q $train --steps 1200 -o short.h5 >out 2>err
[ -e short.h5 ] || fail "one rank: $(cat err)"
long="$train --steps $(awk -v t="$took" 'BEGIN { print 1200 * int(1 + 8 / t) }')" # still at work when it is told to stop
"$mpi/sft" -q $long -o want.h5 >out 2>err || fail "one rank: $(cat err)"

rm -f log.csv
job=$(NODES=1 RANKS=2 CPUS=1 MEM=1 submit bash "$root/pipelines/slurm/ranks.sbatch" sft -q $long -o "$PWD/got.h5" --log "$PWD/log.csv")
begun ranks-*.log
scancel --signal=USR1 "$job"
over "$job"
same want.h5 got.h5 'two ranks under srun'
[ "$(scontrol show job "$job" | grep -o 'Restarts=[0-9]*')" != Restarts=0 ] || fail "never queued again: $(cat ranks-*.log)"
grep -i warning ranks-*.log && fail 'a warning'

rm -f log.csv
job=$(NODES=1 RANKS=2 CPUS=1 MEM=1 submit bash "$root/pipelines/slurm/ranks.sbatch" sft -q $long -o "$PWD/got2.h5" --log "$PWD/log.csv" \
    --checkpoint-every 5)
begun ranks-*.log
scancel "$job"
over "$job"
for try in $(seq 100); do pgrep -f "$PWD/got2.h5" >/dev/null || break; sleep 0.1; done
pgrep -f "$PWD/got2.h5" >/dev/null && fail "scancel leaves $(pgrep -af "$PWD/got2.h5")"
[ -e got2.h5.ckpt ] && [ ! -e got2.h5 ] || fail "after scancel: $(ls got2*)"
"$mpi/sft" -q $long -o got2.h5 >out 2>err || fail "$(cat err)"
same want.h5 got2.h5 'cancelled, finished on one rank'

# a whole pipeline, every stage of which srun starts, the trainings on two ranks
mkdir stages
ln -s "$bin"/* stages
ln -sf "$mpi"/* stages
pipeline() { # OUT ARGUMENTS...
    (unset MAKEFLAGS MFLAGS MAKELEVEL
        make --no-print-directory -C "$root/pipelines/smoke" BIN="$PWD/stages" OUT="$PWD/$1" SFT_OPTS='--steps 6 --batch-size 8 --lanes 2' \
            DPO_OPTS='--steps 4 --batch-size 8 --lanes 2' DISTILL_OPTS='--steps 4 --batch-size 8 --lanes 2' "${@:2}") >log 2>&1 ||
        fail "$1: $(tail log)"
}
pipeline alone
pipeline slurm RUN='srun -c2' TRAIN_RUN='srun --mpi=pmix --ntasks=2 --cpus-per-task=1'
for name in sft dpo reverse aligned; do same alone/$name.h5 slurm/$name.h5 'a pipeline by srun'; done
grep -i 'warning' log && fail 'a warning of a pipeline by srun'

# tasks that do not see each other are not several runs over one file
# (Open MPI says so itself)
srun -n 2 --mpi=none "$mpi/sft" -q $train --steps 1 -o x.h5 >out 2>err && fail 'two ranks that are none'
if "$bin/sft" --version | grep -q 'without MPI'; then
    srun -n 2 --mpi=pmix "$bin/sft" -q $train --steps 1 -o x.h5 >out 2>err && fail 'a build without MPI'
    grep -q 'make MPI=1' err || fail "$(cat err)"
fi
[ ! -e x.h5 ] || fail 'something was written'
finish
