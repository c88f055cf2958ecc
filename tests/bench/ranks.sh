#!/bin/bash
# Two ranks against one: the speed of sft with two ranks of one thread beside one rank of two, and the most
# memory of a rank with and without --shard-optimizer beside the plan. Rows of make bench's table. It needs a
# build with MPI (build/release-mpi, made here); SHAPE=15M or 110M, 15M with QUICK=1; STEPS, ROUNDS. The CPU time
# of all threads and ranks is compared too, which others on the machine disturb less.
. "$(dirname "$0")/ranks.bash"
steps=${STEPS:-5}

run() { # NAME RANKS THREADS OPTIONS...: the log NAME.csv, CPU seconds per token in NAME.cpu
    local name=$1 n=$2 threads=$3
    shift 3
    TIMEFORMAT='%U %S'
    { time mpirun -q --oversubscribe --bind-to none -n "$n" "$@" "$bin/sft" -q --model base.h5 --data data.h5 \
        --steps $steps --batch-size 4 --unit-tokens 512 --micro-tokens 512 --lanes 2 --threads "$threads" \
        $extra -o "$name.h5" --force --log "$name.csv" >out 2>err; } 2>"$name.cpu" || { cat err >&2; exit 1; }
}
line() { printf '| %-42s | %-18s | %5s | %-46s | %-6s |\n' "$1" "$2" "$3" "$4" ''; }

for round in $(seq "${ROUNDS:-3}"); do # in turns; the best of each counts
    run one 1 2
    run two 2 1
    echo "$(column one.csv tokens_per_second) $(column two.csv tokens_per_second) $(column two.csv bytes_sent) $(column two.csv seconds_waited) $(cat one.cpu) $(cat two.cpu)" >>rounds
done
cmp -s one.h5 two.h5 || { echo 'ranks: other bytes than one rank' >&2; exit 1; }
sort -g rounds | tail -n 1 | {
    read -r one two sent waited _
    best=$(awk '{ if ($2 > m) m = $2 } END { print m }' rounds)
    line "$shape: sft, 2 ranks of 1 thread" "$(printf '%.4g tokens/s' "$best")" \
        "$(awk -v a="$best" -v b="$one" 'BEGIN { printf "%.3f", a / b }')" "1 rank of 2 threads (aim 0.95)"
    n=$("$bin/sft" --model base.h5 --data data.h5 -q -o x.h5 --dry-run --ranks 2 | awk '$1 == "sent_bytes_per_step" { print $2 }')
    line "$shape: sent by a rank, per step" "$(printf '%.4g MB' "$(awk -v s="$sent" 'BEGIN { print s / 1e6 }')")" \
        "$(awk -v a="$sent" -v b="$n" 'BEGIN { printf "%.3f", a / b }')" '2 (R - 1) / R of the gradients'
}
awk '{ one = $5 + $6; two = $7 + $8; r = two / one; if (!m || r < m) m = r } END { printf "%.3f\n", m }' rounds >cpu
line "$shape: CPU time of 2 ranks" '' "$(cat cpu)" '1 rank of 2 threads, start of the programs in'
for sharded in '' --shard-optimizer; do
    plan=$("$bin/sft" --model base.h5 --data data.h5 --batch-size 4 --unit-tokens 512 --micro-tokens 512 --lanes 2 $sharded \
        -q -o x.h5 --dry-run --ranks 2 | awk '$1 == "rank" && $2 == 1 { print $NF }')
    cat >measured.sh <<W
#!/bin/bash
exec "$peak" "peak.\${OMPI_COMM_WORLD_RANK:-\$PMI_RANK}" "\$@"
W
    chmod +x measured.sh
    steps=2 extra=$sharded run memory 2 1 ./measured.sh
    line "$shape: peak memory of rank 1${sharded:+, sharded}" "$(awk '{ printf "%.4g MiB", $1 / 2^20 }' peak.1)" \
        "$(awk -v p="$plan" '{ printf "%.3f", $1 / p }' peak.1)" "the plan, $(awk -v p="$plan" 'BEGIN { printf "%.0f", p / 2^20 }') MiB (aim 0.9 - 1.1)"
done
