#!/bin/bash
# shard stat of teacher caches: parts that add up to the file's columns, quantiles, histograms that
# count every position.
make_files=$PWD/$BUILD/tests/cli/make_files
. tests/lib.bash
for kind in teacher coded components; do
    $make_files $kind $kind.h5 300 >list || fatal "$kind"
    quiet "$bin/shard" stat $kind.h5
    awk -F'\t' '
        $1 == "column" { columns = 1; next }
        $1 == "number" { columns = 0 }
        columns { stored += $4; if ($1 ~ /^entries(_low)?$/) positions = $2 }
        $1 == "part" { parts = 1; next }
        $1 == "bytes per position" { parts = 0; mean = $2 }
        parts { bytes += $2; share += $4; n++ }
        $1 == "entropy" && !bins && !parts && !columns { seen++; if ($2 != positions || !($4 <= $5 && $5 <= $6 && $6 <= $7 && $7 <= $8)) bad = 1 }
        $1 == "histogram" { finish(); bins++; total = 0; marks = 0; next }
        bins { total += $3; percent += $4; if (length($5) == 40) marks++; if ($3 > 0 && $5 == "") bad = 2 }
        function finish() { if (bins && (total != positions || marks < 1)) bad = 3 }
        END {
            finish()
            if (bytes != stored || n < 6 || !(share > 99 && share < 101)) bad = 4
            d = mean - stored / positions
            if (!(d < 0.01 && d > -0.01)) bad = 5
            if (seen != 1 || bins != 5 || positions < 1000) bad = 6
            if (bad) print "check " bad
            exit bad
        }' out >why || fail "$kind: $(cat why out)"
done
[ "$(grep -c '^tail at alpha' out)" = 4 ] || fail "no tails of the grid: $(cat out)"
"$bin/shard" head --rows 300 --json coded.h5 | grep -o '"entries": [0-9]*' | sort | uniq -c | awk '{ print $3, $1 }' |
    sort -n >want
quiet "$bin/shard" stat coded.h5
awk -F'\t' '$1 == "histogram" { on = $2 == "entries per position"; next } on && $1 == $2 && $3 { print $1, $3 }' out |
    sort -n | cmp -s - want || fail "other sizes of supports: $(cat want out)"
quiet "$bin/shard" recode --top-k 1 -o one.h5 coded.h5 # all positions alike: one bin
quiet "$bin/shard" stat one.h5
finish
