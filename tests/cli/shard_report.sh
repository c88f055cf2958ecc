#!/bin/bash
# shard report: the table is whole and right where the truth is known, and a recommended setting costs
# what a dump with it costs.
. tests/lib.bash
world 60
teachers
models="--dpo dpo.h5 --reverse reverse.h5 --data pairs.h5"
report() { quiet "$bin/shard" report -q $models --rows 30 "$@"; }
column() { # NAME [PATTERN]: a column of the rows of table.csv that hold the pattern
    awk -F, -v name="$1" -v rows="${2-}" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) c = i
        next } $0 ~ rows { print $c }' table.csv
}

report --student sft.h5 base.h5 --top-k 16 300 --least 0 0.01 --bits 8 32 --student-k 0 4 \
    --peer-k 5 300 -o table.csv --figure table.svg
[ "$(tr '\n' ' ' <out)" = 'table.csv table.svg ' ] || fail "not the paths on stdout: $(cat out)"
# the drawing has a mark for each row of the last student and each divergence that misses something
python3 - table.svg <<'P' || fail 'the figure is no XML'
import sys, xml.dom.minidom
xml.dom.minidom.parse(sys.argv[1])
P
marks=$(grep -c 'class="ring".*<title>.*: bytes per position ' table.svg)
rows=$(awk -F, '$10 == 2 { n += ($11 < 1) + ($13 < 1) } END { print n }' table.csv)
[ "$marks" -ge "$rows" ] && [ "$marks" -le 48 ] || fail "$marks marks for $rows points"
grep -q 'nan\|inf' table.svg && fail 'a mark that is nowhere'
[ "$(wc -l <table.csv)" = $((1 + 2 * (18 + 3 * 2))) ] || fail "other rows: $(cat table.csv)"
awk -F, 'NR > 1 { for (i = 2; i <= NF; i++) if ($i !~ /^-?[0-9.]+(e-?[0-9]+)?$/) exit 1
    if ($11 > 1 || $13 > 1 || $8 <= 0) exit 1 }' table.csv || fail "odd numbers: $(cat table.csv)"
# everything is kept, as float32: the full teacher
for name in fkl_cosine rkl_cosine; do
    [ "$(column $name '^cache,300,1,0,32,0,' | sort -u)" = 1.000000 ] || fail "a full cache has another $name"
    [ "$(column $name '^fixed,300,' | awk '$1 < 0.99999')" = '' ] || fail "300 float16 have another $name"
    sort -u <(column $name '^cache,16,') | awk '$1 >= 1 { exit 1 }' || fail "16 entries are said to be all"
done
awk -F, '$1 == "cache" && $2 == 300 && $4 == 0 && $5 == 32 && $9 > 1e-6 { exit 1 }' table.csv ||
    fail 'a full cache has a KL'
# more entries or more bits: more bytes, less error
awk -F, '$1 == "cache" && $10 == 1 { bytes[$2, $4, $5, $6] = $8; cosine[$2, $4, $5, $6] = $11; n[$2, $4, $5, $6] = $7 }
    END { if (bytes[300, 0.01, 8, 0] >= bytes[300, 0, 8, 0] || bytes[300, 0, 8, 0] >= bytes[300, 0, 32, 0]) exit 1
          if (cosine[300, 0.01, 8, 0] >= cosine[300, 0, 32, 0] || n[300, 0.01, 8, 0] > n[300, 0.01, 8, 4]) exit 1 }' \
    table.csv || fail "more costs less: $(cat table.csv)"

# the same rows in a dump: the same columns, byte for byte
report --student sft.h5 --rows 1000 --top-k 16 --least 0.01 --bits 8 --student-k 4 --peer-k 5 -o table.csv
quiet "$bin/teacher-dump" -q $models --student sft.h5 --student-k 4 --top-k 16 --mass 1 --least 0.01 \
    --bits 8 -o cache.h5
stored=$("$bin/shard" stat cache.h5 | awk -F'\t' '/^column/ { c = 1; next } /^number/ { c = 0 }
    c && $1 !~ /^(ids|mask|length|prompt_length)$/ { sum += $4 }
    c && $1 == "entries_low" { n = $2 } END { printf "%.3f", sum / n }')
[ "$(column bytes '^cache,16,')" = "$stored" ] || fail "a dump takes $stored bytes, not $(column bytes '^cache,16,')"
# and within an error budget, where the rows are all there are
report --student sft.h5 --recipe published --alpha tvd:20 --rows 1000 --bits 8 --error-budget 0.1 --peer-k 5 -o table.csv --force
quiet "$bin/teacher-dump" -q $models --student sft.h5 --recipe published --alpha tvd:20 --error-budget 0.1 --bits 8 -o within.h5
"$bin/shard" stat within.h5 | awk -F'\t' '/^number/ { c = 1 } c && $1 == "entries" { print $3 }' >mean
awk -v is="$(column entries ',0.1$')" '{ exit !(is / $1 > 0.97 && is / $1 < 1.03) }' mean ||
    fail "a dump within 0.1 keeps $(cat mean) tokens, not $(column entries ',0.1$')"

# the same table for any number of threads, and on stdout
report --student sft.h5 --threads 1 --bits 8 -o one.csv
report --student sft.h5 --threads 3 --bits 8 --force && cmp out one.csv || fail 'threads change the table'
report --student sft.h5 --seed 2 --bits 8 && cmp -s out one.csv && fail '--seed picks the same rows'

one="--bits 8 --student-k 0 --peer-k 4"
expect 0 'recommended for a cosine of 0.9, .*--top-k 256 --mass 1 --least 0.[0-9]* --bits 8, no' "$bin/shard" report $models --student sft.h5 \
    $one --cosine 0.9 --divergence fkl -o table.csv
expect 0 'no setting reaches' "$bin/shard" report $models --student sft.h5 $one --cosine 1
expect 2 "--bits 7 is none" "$bin/shard" report $models --student sft.h5 --bits 7
expect 2 "not a number from 0 to 1" "$bin/shard" report $models --student sft.h5 --least 2
expect 3 'No such file' "$bin/shard" report $models --student none.h5
expect 2 'needs --reverse' "$bin/shard" report --dpo dpo.h5 --data pairs.h5 --student sft.h5
expect 1 'none' "$bin/shard" report $models --student sft.h5 -o none/table.csv
echo precious >table.csv
echo precious >table.svg
expect 0 '' "$bin/shard" report -q $models --student sft.h5 --rows 30 $one --dry-run -o table.csv --figure table.svg
printf 'rows\t30\nstudents\t1\nsettings\t10\n' | cmp -s - out || fail "another plan: $(cat out)"
expect 3 'No such file' "$bin/shard" report $models --student none.h5 --dry-run
for file in table.csv table.svg; do
    option=-o
    [ $file = table.csv ] || option=--figure
    expect 1 "'$file' exists" "$bin/shard" report $models --student sft.h5 $one --no-clobber $option $file
    [ "$(cat $file)" = precious ] || fail "$file was replaced"
done
quiet "$bin/shard" report -q $models --student sft.h5 --rows 30 $one --no-clobber -o other.csv
# thousands of settings, which take many times as long
timeout -s INT 0.3 "$bin/shard" report $models --student sft.h5 base.h5 --rows 1000 --top-k $(seq 20 8 260) -o table.csv >out 2>err
[ "$(cat table.csv)" = precious ] || fail 'a table that is not whole took the place of another'
[ -z "$(ls -d "${TMPDIR:-/tmp}"/aligndistil-report-* 2>/dev/null)" ] || echo 'another run is in progress'
finish
