# What the benchmarks of several ranks share; source it. A build with MPI (build/release-mpi, made here) in $bin
# and $peak, a new folder with base.h5 (SHAPE=15M or 110M; 15M with QUICK=1) and data.h5, and column().
name=$(basename "$0" .sh)
cd "$(dirname "$0")/../.." || exit 1
root=$PWD
command -v mpirun >/dev/null || { echo "$name: no mpirun; apt-get install libopenmpi-dev openmpi-bin"; exit 0; }
make -s -j"$(nproc)" MPI=1 BUILD=build/release-mpi all build/release-mpi/tests/cli/peak | grep -v '^  ' >&2
bin=$root/build/release-mpi/bin
peak=$root/build/release-mpi/tests/cli/peak
[ -x "$bin/sft" ] && [ -x "$peak" ] || { echo "$name: the build with MPI failed" >&2; exit 1; }
folder=$(mktemp -d) && cd "$folder" || exit 1
trap 'rm -rf "$folder"' EXIT
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMP_NUM_THREADS=

shape=${SHAPE:-$([ "${QUICK:-0}" = 1 ] && echo 15M || echo 110M)}
case $shape in
15M) width=288 hidden=768 layers=6 heads=6 ;;
110M) width=768 hidden=2048 layers=12 heads=12 ;;
*) echo "$name: no shape '$shape'" >&2; exit 2 ;;
esac
cat >config.json <<J
{"model_type": "llama", "hidden_size": $width, "intermediate_size": $hidden, "num_hidden_layers": $layers,
 "num_attention_heads": $heads, "num_key_value_heads": $heads, "max_position_embeddings": 512,
 "tie_word_embeddings": true}
J
awk 'BEGIN { x = 7
    for (row = 0; row < 64; row++) {
        s = ""
        for (i = 0; i < 240; i++) { x = (x * 16807) % 2147483647; s = s " " substr("catdogmathillredrunsaton", 1 + x % 20, 3) }
        print s
    } }' >corpus.txt
"$bin/import" -q --train-tokenizer corpus.txt --vocab 300 -o small.json >out || exit 1
# tokens that no text has: the vocabulary of 32000 that the shape has
known=$(grep -o '{"id": *[0-9]*' small.json | tr -dc '0-9\n' | sort -n | tail -n 1)
awk -v n="$known" '{ print }
    /"vocab": *{/ && !done++ { for (i = n + 1; i < 32000; i++) printf "\"unused%d\": %d,\n", i, i }' small.json >tok.json
"$bin/import" -q --init config.json --tokenizer tok.json -o base.h5 >out || exit 1
"$bin/tokenize" -q --model base.h5 --kind text --input corpus.txt -o data.h5 --on-long truncate >out || exit 1

column() { # FILE NAME: its median without the first step
    awk -F, -v name="$2" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) c = i; next } NR > 2 { print $c }' "$1" |
        sort -g | awk '{ x[NR] = $1 } END { print x[int((NR + 1) / 2)] }'
}
