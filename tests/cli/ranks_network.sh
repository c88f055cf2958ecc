#!/bin/bash
# limit: 600
# Two hosts, a network namespace each, and a link of 200 Mbit/s between them: ranks over TCP make the bytes of one
# rank, send what the log says and little more, and end within 30 s, with a line, when the link is cut.
. tests/lib.bash
needs_mpi
. "$root/tests/network.bash"
world 160
train="--unit-tokens 200 --batch-size 32 --lr 3e-3 --threads 1 --lanes 2 --model base.h5 --data sft-data.h5"
"$mpi/sft" -q $train --steps 40 -o want.h5 >out 2>err || fail "one rank: $(cat err)"
for sharded in '' --shard-optimizer; do
    before=$(($(sent $host_a va) + $(sent $host_b vb)))
    timeout 200 $on_two_hosts "$mpi/sft" -q $train --steps 40 $sharded -o got.h5 --log log.csv >out 2>err || fail "two hosts: $(cat err)"
    same want.h5 got.h5 "two hosts $sharded"
    wire=$(($(sent $host_a va) + $(sent $host_b vb) - before))
    logged=$(awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "bytes_sent") c = i; next } { s += 2 * $c } END { print s }' log.csv)
    echo "on the wire $wire bytes, sent by two ranks as rank 0 counts $logged"
    # headers, small agreements and the start of the ranks come on top
    [ "$wire" -gt "$logged" ] && [ "$wire" -lt $((logged + logged / 5)) ] || fail "$wire bytes on the wire, $logged in the log"
    planned=$("$bin/sft" $train --steps 40 -o x.h5 --dry-run --ranks 2 | awk '$1 == "sent_bytes_per_step" { print 2 * 40 * $2 }')
    awk -v a="$logged" -v b="$planned" 'BEGIN { exit !(a > 0.8 * b && a < 1.2 * b) }' || fail "$logged bytes in the log, $planned planned"
    rm got.h5
done

rm -f log.csv
$on_two_hosts "$mpi/sft" -q $train --steps 1000000 -o got.h5 --log log.csv --checkpoint-every 10 >out 2>err &
launcher=$!
for try in $(seq 300); do [ "$(cat log.csv 2>/dev/null | wc -l)" -gt 20 ] && break; sleep 0.1; done
ip -n $host_b link set vb down
start=$SECONDS
for try in $(seq 450); do kill -0 $launcher 2>/dev/null || break; sleep 0.1; done
kill -0 $launcher 2>/dev/null && { fail 'still there 45 s after the link was cut'; kill $launcher; }
wait $launcher
code=$?
echo "ended $((SECONDS - start)) s after the link was cut, exit $code"
[ $code != 0 ] && [ $code != 75 ] || fail "exit $code"
[ $((SECONDS - start)) -lt 30 ] || fail "took $((SECONDS - start)) s"
grep -q -i 'lost communication' err || fail "no line: $(cat err)"
for try in $(seq 300); do pgrep -f -- "-o got.h5 --log log.csv --checkpoint-every 10" >/dev/null || break; sleep 0.1; done
pgrep -f -- "-o got.h5 --log log.csv --checkpoint-every 10" >/dev/null && fail 'a rank is left'
[ -e got.h5.ckpt ] || fail 'no checkpoint'
finish
