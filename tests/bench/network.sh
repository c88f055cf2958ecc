#!/bin/bash
# Steps of ranks on two hosts (network namespaces) over a link of limited speed, beside what the model of
# pipelines/slurm/expect.sh says: the computing of one rank shared out, then the link alone. Few tokens a step, so
# that the link is what counts. Rows of make bench's table. RATES: of the link, in Mbit/s; SHAPE, STEPS as ranks.sh.
[ "$(id -u)" = 0 ] || { echo 'network: needs root for network namespaces'; exit 0; }
SHAPE=${SHAPE:-15M}
. "$(dirname "$0")/ranks.bash"
skip() { echo "network: $*"; exit 0; }
mpirun=mpirun
rates=${RATES:-200 1000}
. "$root/tests/network.bash"
trap 'drop_hosts; rm -rf "$folder"' EXIT

rate() { # MBIT: of the link from here on, each way; bursts of 4 ms, that the queue itself does not limit it
    for at in "$host_a va" "$host_b vb"; do
        ip netns exec ${at% *} tc qdisc replace dev ${at#* } root tbf rate "$1mbit" burst $(($1 < 128 ? 64 : $1 / 2))kb latency 50ms ||
            exit 1
    done
}
run() { # NAME RANKS: the log NAME.csv
    local where=
    [ "$2" = 1 ] || where="${on_two_hosts% -n 2} -n $2"
    timeout 600 ${where//:1/:$(($2 / 2))} "$bin/sft" -q --model base.h5 --data data.h5 --steps "${STEPS:-5}" --batch-size 4 \
        --unit-tokens 240 --lanes 4 --threads 1 -o "$1.h5" --force --log "$1.csv" >out 2>err || { cat err >&2; exit 1; }
}
seconds() { # NAME: of a step
    awk -v t="$(column "$1.csv" tokens)" -v r="$(column "$1.csv" tokens_per_second)" 'BEGIN { printf "%.3f", t / r }'
}
line() { printf '| %-42s | %-18s | %5s | %-46s | %-6s |\n' "$1" "$2" "$3" "$4" ''; }
parameters=$("$bin/sft" --model base.h5 --data data.h5 -q -o x.h5 --dry-run | awk '$1 == "parameters" { print $2 }')

run one 1
line "$shape: 1 rank of 1 thread" "$(seconds one) s a step" '' ''
for mbit in $rates; do
    rate $mbit
    for ranks in 2 4; do
        run few $ranks
        cmp -s one.h5 few.h5 || { echo 'network: other bytes than one rank' >&2; exit 1; }
        model=$(awk -v one="$(seconds one)" -v ranks=$ranks -v cpus="$(nproc)" -v P="$parameters" -v mbit=$mbit 'BEGIN {
            compute = one / (ranks < cpus ? ranks : cpus)
            printf "%.3f", compute + ranks / 2 * 8 * P / 2 / (0.95 * mbit * 1e6 / 8) }')
        line "$shape: $ranks ranks on 2 hosts, $mbit Mbit/s" "$(seconds few) s a step" \
            "$(awk -v a="$(seconds few)" -v b=$model 'BEGIN { printf "%.3f", a / b }')" "the model, $model s"
        line "$shape: the same, waited for others" "$(printf '%.3g s a step' "$(column few.csv seconds_waited)")" '' ''
    done
done
