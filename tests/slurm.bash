# A Slurm of this machine alone, for tests: a slurmctld and a slurmd on ports of their own, without
# authentication, in the current folder. Source it after lib.bash; it skips the test where there is none.
for program in slurmctld slurmd srun sbatch scontrol; do
    command -v $program >/dev/null || skip "no $program; apt-get install slurmctld slurmd slurm-client"
done
[ "$(id -u)" = 0 ] || skip 'slurmd wants to be root'
[ "$(nproc)" -ge 2 ] || skip 'needs two CPUs'
export SLURM_CONF=$PWD/slurm.conf
slurm() { # PORT: starts it there and at the next one; 0 where its node is idle within half a minute
    rm -rf state spool ctld.* d.*
    mkdir state spool
    configure "$1" >slurm.conf
    slurmctld -D >ctld.out 2>&1 &
    daemons=$!
    slurmd -D -N n1 >d.out 2>&1 &
    daemons+=" $!"
    for wait in $(seq 60); do
        timeout 5 sinfo -h -o %t 2>/dev/null | grep -q idle && return
        grep -q 'fatal' ctld.log d.log 2>/dev/null && break # the port is another's
        sleep 0.5
    done
    kill $daemons 2>/dev/null
    wait $daemons
    return 1
}
configure() { # PORT
    cat <<C
ClusterName=test
SlurmctldHost=localhost
AuthType=auth/none
CredType=cred/none
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$PWD/state
SlurmdSpoolDir=$PWD/spool
SlurmctldPidFile=$PWD/ctld.pid
SlurmdPidFile=$PWD/d.pid
SlurmctldLogFile=$PWD/ctld.log
SlurmdLogFile=$PWD/d.log
ProctrackType=proctrack/pgid
TaskPlugin=task/affinity
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SlurmctldPort=$1
NodeName=n1 NodeHostName=localhost NodeAddr=127.0.0.1 Port=$(($1 + 1)) CPUs=2 State=UNKNOWN
PartitionName=all Nodes=n1 Default=YES MaxTime=INFINITE State=UP
C
}
trap 'scancel -u root 2>/dev/null; sleep 1; kill $daemons 2>/dev/null; wait' EXIT
for try in 1 2 3 4 none; do # below the ports that a system gives to whoever asks for any
    [ $try != none ] || skip "no node is idle: $(tail -n 1 ctld.log d.log 2>/dev/null | tr '\n' ' ')"
    slurm $((10000 + RANDOM % 20000)) && break
done

over() { # JOB: waits until it and its tasks are gone; what waits to be queued again starts at once
    for try in $(seq 240); do
        if squeue -h -j "$1" -o %T >queue 2>&1; then
            [ -s queue ] || return 0
        elif grep -q 'Invalid job id' queue; then # else it was too busy to answer
            return 0
        fi
        squeue -h -j "$1" -o '%i %r' | awk '/BeginTime/ { print $1 }' | while read -r id; do
            scontrol update jobid="$id" StartTime=now 2>/dev/null
        done
        sleep 0.5
    done
    fail "job $1 does not end: $(squeue -h -j "$1")"
}
steps() { tail -n 1 log.csv 2>/dev/null | cut -d, -f1 | grep -E '^[0-9]+$' || echo 0; }
begun() { # LOG...: waits until a training job with --log log.csv has made some steps
    for try in $(seq 300); do [ "$(steps)" -gt 10 ] && return; sleep 0.1; done
    fail "no steps: $(cat "$@")"
}
submit() { # COMMAND...: its job number
    "$@" >said 2>&1 || fail "$*: $(cat said)"
    awk '/Submitted/ { print $4 }' said
}
