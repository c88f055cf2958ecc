#!/bin/bash
# The jobs of pipelines/slurm with srun and scontrol played by scripts: the time of a job is up after
# a moment (USR1), it asks to be queued again until it is done, and the shards of all tasks are those
# of one run.
. tests/lib.bash
world 200
teachers
mkdir play work
cat >play/srun <<'S'
#!/bin/bash
while [[ $1 == --* ]]; do shift; done
echo run >>runs
exec timeout --foreground --preserve-status -s USR1 "$SLICE" "$@"
S
printf '#!/bin/bash\necho "$*" >>queued\n' >play/scontrol
chmod +x play/*
ln -s "$bin/aligndistil" play/aligndistil
export PATH=$PWD/play:$PATH

job() { # SCRIPT ARGUMENT...: as often as it asks for it
    for try in $(seq 60); do
        rm -f queued
        SLICE=$(awk -v t=$try 'BEGIN { print 0.08 * (1 + t * t / 20) }') bash "$root/pipelines/slurm/$1" \
            "${@:2}" >>out 2>err
        code=$?
        [ $code = 0 ] || { [ $code = 138 ] && [ ! -s err ] && continue; } || # no handler yet
            { fail "$1: exit $code: $(cat err)"; return; }
        [ -e queued ] || { [ $code = 0 ] && return; }
    done
    fail "$1: no end"
}

cp dpo.h5 reverse.h5 sft.h5 pairs.h5 work
dump="-q --micro-tokens 200 --checkpoint-every 10"
quiet "$bin/teacher-dump" -q --dpo dpo.h5 --reverse reverse.h5 --ref sft.h5 --data pairs.h5 \
    --rows-per-shard 40 -o teacher.h5
mv out list
export WORK=work ROWS_PER_SHARD=40 SLURM_ARRAY_JOB_ID=7 SLURM_ARRAY_TASK_COUNT=3
for task in 0 1 2; do
    SLURM_ARRAY_TASK_ID=$task job dump.sbatch $dump
    [ ! -e queued ] || grep -qx "requeue 7_$task" queued || fail "asked for: $(cat queued)"
done
for file in $(cat list); do same $file work/$file 'shards of an array job'; done
echo "$(wc -l <runs) runs of three tasks"

train="-q --model sft.h5 --data sft-data.h5 --batch-size 16 --unit-tokens 256 --epochs 4"
quiet "$bin/sft" $train -o want.h5
SLURM_JOB_ID=8 job train.sbatch sft $train -o got.h5
same want.h5 got.h5 'a training job'
[ "$(SLURM_JOB_ID=8 SLICE=9 bash "$root/pipelines/slurm/train.sbatch" sft --nonsense 2>/dev/null; echo $?)" = 2 ] ||
    fail 'another exit code is lost'
# the page's table is what its program prints
sed -n '/^<!-- table: bash expect.sh/,/^<!-- end/p' "$root/pipelines/slurm/README.md" | grep -v '^<!--' >page
bash "$root/pipelines/slurm/expect.sh" >table
cmp -s page table || fail "the table of pipelines/slurm/README.md: $(diff page table | head -n 4)"
finish
