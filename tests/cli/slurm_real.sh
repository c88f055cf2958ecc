#!/bin/bash
# The jobs of pipelines/slurm on a real Slurm: a slurmctld and a slurmd of this machine alone, on ports of
# their own. An array dump gives the shards of one run; a training job, told that its time is up, requeues
# itself and ends in the same bytes; a step without CPUs of its own warns.
. tests/lib.bash
. "$root/tests/slurm.bash"

world 120
teachers
export PATH=$bin:$PATH CPUS=2 MEM=1
mkdir work
cp dpo.h5 reverse.h5 sft.h5 pairs.h5 work
quiet "$bin/teacher-dump" -q --dpo dpo.h5 --reverse reverse.h5 --ref sft.h5 --data pairs.h5 \
    --rows-per-shard 30 -o teacher.h5
mv out list
job=$(WORK=$PWD/work ROWS_PER_SHARD=30 ARRAY=0-1 submit bash "$root/pipelines/slurm/dump.sbatch" -q)
over "$job"
for file in $(cat list); do same "$file" "work/$file" 'shards of an array job'; done
quiet "$bin/shard" merge $(cat list) -o merged.h5
(cd work && quiet "$bin/shard" merge $(cat ../list) -o merged.h5)
same merged.h5 work/merged.h5 'merged shards of an array job'
cat dump-*.log >said 2>&1
grep -i 'warning' said && fail 'a warning in an array job'

train="--model $PWD/sft.h5 --data $PWD/sft-data.h5 --batch-size 4 --unit-tokens 256"
seconds "$bin/sft" -q $train --steps 300 -o short.h5 >out 2>err
[ -e short.h5 ] || fail "$(cat err)"
long="$train --steps $(awk -v t="$took" 'BEGIN { print 300 * int(1 + 8 / t) }')" # still at work when it is told to stop
quiet "$bin/sft" -q $long -o want.h5
job=$(submit bash "$root/pipelines/slurm/train.sbatch" sft -q $long -o "$PWD/got.h5" --log "$PWD/log.csv")
begun train-*.log
scancel --signal=USR1 "$job" # to its step, as --signal does when the time is nearly up
over "$job"
same want.h5 got.h5 'a training job'
[ "$(scontrol show job "$job" | grep -o 'Restarts=[0-9]*')" != Restarts=0 ] || fail "never queued again: $(cat train-*.log)"

# sbatch has two CPUs, srun is not told: one is left to the stage, which says so
printf '#!/bin/bash\nsrun --cpu-bind=cores sft -q %s --steps 1 -o %s/warned.h5\n' "$train" "$PWD" >bare.sh
job=$(submit sbatch --cpus-per-task=2 --mem=1 --output="$PWD/bare.log" bare.sh)
over "$job"
grep -q 'SLURM_CPUS_PER_TASK is 2, but this process may use 1' bare.log || fail "no warning: $(cat bare.log)"
finish
