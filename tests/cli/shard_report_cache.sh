#!/bin/bash
# shard report --cache: files that are there against their teachers in float32, whatever the precision
# that they were dumped by, and the same numbers as a comparison in double with code of its own
# (dense_teacher.c).
. tests/lib.bash
compare=$root/$BUILD/tests/cli/dense_teacher
world 60
teachers
models="--dpo dpo.h5 --reverse reverse.h5"
report() { quiet "$bin/shard" report -q $models --rows 1000 "$@" --force; }
dump() { # NAME OPTIONS...
    quiet "$bin/teacher-dump" -q $models --ref sft.h5 --data pairs.h5 -o "$@"
}
value() { # FILE STUDENT COLUMN: of table.csv
    awk -F, -v file="$1" -v student="$2" -v name="$3" 'NR == 1 { for (i = 1; i <= NF; i++) c[$i] = i; next }
        $c["file"] == file && $c["student"] == student { print $c[name] }' table.csv
}

full='--top-k 300 --least 0 --bits 32'
dump f32.h5 $full
dump bf16.h5 $full --precision bf16
dump usual.h5 --precision bf16
dump published.h5 --recipe published --alpha tvd:20
dump parts.h5 --precision bf16 --layout components
report --cache f32.h5 bf16.h5 usual.h5 published.h5 --student sft.h5 base.h5 -o table.csv
[ "$(wc -l <table.csv)" = 9 ] || fail "not two lines a file: $(cat table.csv)"
for file in f32 bf16 usual published; do
    precision=f32 recipe=adaptive
    [ $file = published ] && recipe=published
    [ $file = f32 ] || [ $file = published ] || precision=bf16
    [ "$(value $file.h5 1 precision)" = $precision ] || fail "$file.h5 is said to be dumped in another precision"
    # base.h5 is another matter: of a model that knows nothing the cache was not asked
    for student in sft base; do
        n=1
        [ $student = sft ] || n=2
        "$compare" $file.h5 $student.h5 dpo.h5 reverse.h5 sft.h5 >dense || fatal "dense_teacher"
        for kind in fkl rkl; do
            echo "$(awk -v kind=$kind -v recipe=$recipe '$1 == kind && $2 == recipe { print $3, $4 }' dense)" \
                "$(value $file.h5 $n ${kind}_cosine) $(value $file.h5 $n ${kind}_error)" |
                awk '{ c = $1 - $3; e = $2 - $4; exit !(NF == 4 && c * c < 1e-12 && e * e < 1e-4 * $2 * $2 + 1e-10) }' ||
                fail "$file.h5 for $student.h5, $kind: $(cat dense) and $(cat table.csv)"
        done
    done
done
for kind in fkl rkl; do
    awk -v f32="$(value f32.h5 1 ${kind}_error)" -v bf16="$(value bf16.h5 1 ${kind}_error)" \
        'BEGIN { exit !(f32 < 1e-4 && bf16 > 1e-3 && bf16 > 10 * f32) }' ||
        fail "bf16 makes no error in $kind, or float32 does: $(cat table.csv)"
done
# with the teachers in bf16 again nothing is off
report --cache bf16.h5 f32.h5 --student sft.h5 --precision bf16 -o table.csv
awk -v bf16="$(value bf16.h5 1 rkl_error)" -v f32="$(value f32.h5 1 rkl_error)" \
    'BEGIN { exit !(bf16 < 1e-4 && f32 > 1e-3) }' || fail "--precision bf16: $(cat table.csv)"

# bytes and entries as `shard stat` has them; any number of threads, rows and micro-batches
report --cache usual.h5 --student sft.h5 -o table.csv
stored=$("$bin/shard" stat usual.h5 | awk -F'\t' '/^column/ { c = 1; next } /^number/ { c = 0 }
    c && $1 !~ /^(ids|mask|length|prompt_length)$/ { sum += $4 }
    c && $1 == "entries_low" { n = $2 } END { printf "%.3f", sum / n }')
[ "$(value usual.h5 1 bytes)" = "$stored" ] || fail "$(value usual.h5 1 bytes) bytes, $stored are stored"
cp table.csv one.csv
report --cache usual.h5 --student sft.h5 --dry-run -o plan.csv
[ ! -e plan.csv ] || fail 'a dry run wrote'
grep -q '^caches	1$' out && grep -q '^rows	[1-9]' out || fail "another plan: $(cat out)"
report --cache usual.h5 --student sft.h5 --threads 3 --micro-tokens 1 -o table.csv
cmp table.csv one.csv || fail 'threads or --micro-tokens change the table'
report --cache usual.h5 --student sft.h5 --rows 5 --seed 3 -o table.csv
[ "$(value usual.h5 1 rows)" = 5 ] || fail "not five rows: $(cat table.csv)"
report --cache parts.h5 --student sft.h5 -o table.csv
awk -v x="$(value parts.h5 1 rkl_cosine)" 'BEGIN { exit !(x > 0.98 && x < 1) }' || fail "components: $(cat table.csv)"

expect 2 'give --data, or --cache' "$bin/shard" report $models --student sft.h5
expect 2 'give --data, or --cache' "$bin/shard" report $models --student sft.h5 --data pairs.h5 --cache f32.h5
expect 2 'bits is for caches that are made' "$bin/shard" report $models --student sft.h5 --cache f32.h5 --bits 8
expect 2 'give --reverse' "$bin/shard" report --dpo dpo.h5 --student sft.h5 --cache f32.h5
expect 3 'No such file' "$bin/shard" report $models --student sft.h5 --cache none.h5
finish
