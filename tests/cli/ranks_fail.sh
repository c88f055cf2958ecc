#!/bin/bash
# limit: 900
# Several ranks are one program to the outside: one line and the design's exit code whoever fails, one
# checkpoint where any is told to stop, and no hang where one is killed.
. tests/lib.bash
needs_mpi
world 160
quiet "$bin/sft" -q --model base.h5 --data sft-data.h5 --steps 2 -o other.h5
run="-q --unit-tokens 200 --batch-size 32 --steps 1200 --lr 3e-3 --threads 1 --lanes 4 --model base.h5 --data sft-data.h5"

# rank COUNT CODE PATTERN command...: one line of the program that matches
refused() {
    local n=$1 want=$2 pattern=$3 code start=$SECONDS
    shift 3
    ranks "$n" "$@" >out 2>err
    code=$?
    [ $code = "$want" ] || fail "exit $code, not $want: $*: $(cat err)"
    [ "$(said '[a-z-]*' err | wc -l)" = 1 ] || fail "not one line: $*: $(cat err)"
    grep -q -e "$pattern" err || fail "no '$pattern': $*: $(cat err)"
    [ $((SECONDS - start)) -lt 30 ] || fail "took $((SECONDS - start)) s: $*"
    [ ! -s out ] || fail "stdout: $(cat out)"
}
# The first rank takes A, the others B.
cat >either.sh <<'W'
#!/bin/bash
a=$1 b=$2
shift 2
case ${OMPI_COMM_WORLD_RANK:-$PMI_RANK} in 0) exec "$@" $a ;; *) exec "$@" $b ;; esac
W
chmod +x either.sh
refused 4 3 "cannot open 'nix.h5'" "$mpi/sft" -q --model base.h5 --data nix.h5 -o x.h5
refused 4 2 "unknown option '--dat'" "$mpi/sft" -q --model base.h5 --dat nix.h5 -o x.h5
refused 3 2 'to 1, 2 or 4 ranks, not to 3' "$mpi/sft" $run -o x.h5
refused 2 2 '--ranks is for --dry-run' "$mpi/sft" $run -o x.h5 --ranks 2
refused 2 3 'rank 1 on .*: .*pairs.h5' ./either.sh '--data sft-data.h5' '--data pairs.h5' \
    "$mpi/sft" -q --model base.h5 -o x.h5
refused 2 3 'rank 1 on .* another file as input 1, of kind model, than rank 0' \
    ./either.sh '--model base.h5' '--model other.h5' "$mpi/sft" -q --data sft-data.h5 -o x.h5
refused 2 2 'rank 1 on .* other options than rank 0' ./either.sh '--lr 1e-3' '--lr 2e-3' \
    "$mpi/sft" -q --model base.h5 --data sft-data.h5 -o x.h5
if "$bin/sft" --version | grep -q 'without MPI'; then
    ranks 2 "$bin/sft" $run -o x.h5 >out 2>err
    [ $? = 2 ] && grep -q 'make MPI=1' err || fail "a build without MPI: $(cat err)"
fi
[ ! -e x.h5 ] && [ ! -e x.h5.ckpt ] || fail 'something was written'
ranks 2 "$mpi/sft" --help >out 2>err || fail "help: $(cat err)"
[ "$(grep -c '^usage' out)" = 1 ] || fail 'not one help'
tr -s ' \n' ' ' <out | grep -q 'mpirun --map-by numa .*srun --ntasks-per-node' || fail 'the help does not say how to start ranks'

"$mpi/sft" $run -o want.h5 >out 2>err || fail "$(cat err)"
start() { # N OPTIONS...: a run in the background that has made some steps; $launcher, $pids by rank
    rm -f log.csv
    $mpirun -n "$@" --log log.csv >out 2>err &
    launcher=$!
    local try
    for try in $(seq 300); do [ "$(cat log.csv 2>/dev/null | wc -l)" -gt 10 ] && break; sleep 0.1; done
    pids=($(rank_pids $launcher "$(basename "$2")"))
}
ended() { # within 30 s; sets code
    local try
    for try in $(seq 300); do kill -0 $launcher 2>/dev/null || break; sleep 0.1; done
    kill -0 $launcher 2>/dev/null && { fail "$1: still there after 30 s"; kill -9 $launcher "${pids[@]}"; }
    wait $launcher
    code=$?
}
# a signal on any one rank stops all at one step
for rank in 0 1; do
    start 2 "$mpi/sft" $run -o got.h5
    kill -USR1 "${pids[$rank]}"
    ended "USR1 of rank $rank"
    [ $code = 75 ] || fail "USR1 of rank $rank: exit $code: $(cat err)"
    [ -e got.h5.ckpt ] && [ ! -e got.h5 ] || fail "USR1 of rank $rank: $(ls got*)"
    rows=$(tail -n 1 log.csv | cut -d, -f1)
    echo "USR1 of rank $rank: stopped at step $rows"
done
# and so does --stop-after of one rank
for rank in 0 1; do
    stop=('' '')
    stop[$rank]='--stop-after 0.3'
    ranks 2 ./either.sh "${stop[@]}" "$mpi/sft" $run -o got.h5 >out 2>err
    code=$?
    [ $code = 75 ] && [ -e got.h5.ckpt ] && [ ! -e got.h5 ] || fail "--stop-after of rank $rank: exit $code: $(cat err)"
done
# killed: it ends, and goes on from its last checkpoint
for rank in 0 1; do
    start 2 "$mpi/sft" $run -o got.h5 --checkpoint-every 5
    kill -KILL "${pids[$rank]}"
    begun=$SECONDS
    ended "KILL of rank $rank"
    [ $code != 0 ] && [ $code != 75 ] || fail "KILL of rank $rank: exit $code"
    [ -e got.h5.ckpt ] || fail "KILL of rank $rank: no checkpoint"
    echo "KILL of rank $rank: ended after $((SECONDS - begun)) s"
done
ranks 4 "$mpi/sft" $run -o got.h5 >out 2>err || fail "after it: $(cat err)"
same want.h5 got.h5 'stopped and killed'
# up to date, for any number of ranks
ranks 2 "$mpi/sft" ${run#-q} -o got.h5 >out 2>err && grep -q 'is up to date' err && [ "$(cat out)" = got.h5 ] ||
    fail "not up to date: $(cat err)"

# a stop while rank 0 waits for paths on stdin, whoever is told: one line, exit 75
mkfifo idle
for rank in 0 1; do
    sleep 100 >idle &
    writer=$!
    $mpirun -n 2 "$mpi/distill" -q --model base.h5 --teacher - -o idle.h5 <idle >out 2>err &
    launcher=$!
    for try in $(seq 100); do
        pids=($(rank_pids $launcher distill))
        [ ${#pids[@]} = 2 ] && break
        sleep 0.1
    done
    sleep 1.5
    kill -USR1 "${pids[$rank]}"
    ended "USR1 of rank $rank at an idle stdin"
    [ $code = 75 ] || fail "USR1 of rank $rank at an idle stdin: exit $code: $(cat err)"
    [ "$(said distill err | wc -l)" = 1 ] && grep -q "while it waited for 'stdin'" err || fail "rank $rank at an idle stdin: $(cat err)"
    kill $writer
done

# the plan, without MPI
plan() { "$bin/sft" ${run/--lanes 4/} -o x.h5 --dry-run "$@" | tee plan | awk '/^rank\t/ { print $NF }'; }
plain=($(plan --ranks 4))
sharded=($(plan --ranks 4 --shard-optimizer))
[ ${#plain[@]} = 4 ] && [ ${#sharded[@]} = 4 ] || fail "not four ranks: $(cat plan)"
moments=$("$bin/sft" ${run/--lanes 4/} -o x.h5 --dry-run | awk '$1 == "disk_bytes" { print $2 * 2 / 7 }')
# rank 0 has the start model beside its gradients in the end, which for so small a model is more than the training takes
awk -v a="${plain[0]}" -v b="${sharded[0]}" -v other="${sharded[1]}" 'BEGIN { exit !(b <= a && b > other) }' ||
    fail "rank 0: ${plain[0]} and sharded ${sharded[0]} bytes, rank 1 ${sharded[1]}"
for r in 1 2 3; do # moments are two of the seven times their size that the disk must have; about a quarter of them is left
    awk -v a="${plain[$r]}" -v b="${sharded[$r]}" -v m="$moments" 'BEGIN { d = (a - b) / m; exit !(d > 0.5 && d < 0.95) }' ||
        fail "rank $r: ${plain[$r]} and sharded ${sharded[$r]} bytes, moments $moments"
done
expect 2 'to 1, 2 or 4 ranks, not to 3' "$bin/sft" $run -o x.h5 --dry-run --ranks 3
finish
