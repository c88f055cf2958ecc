#!/bin/bash
# The smoke pipeline's numbers: the loss of every step, what the evaluations say, and the cache's
# statistics, against smoke.txt to 1e-4 of their size. BLESS=1 writes them again.
golden=$PWD/tests/golden/smoke.txt
. tests/lib.bash
unset MAKEFLAGS MFLAGS MAKELEVEL
make --no-print-directory -C "$root/pipelines/smoke" OUT="$PWD/o" BIN="$bin" >log 2>&1 || fatal "$(tail log)"
means() { # NAME FILE.csv: the mean of every column behind the first
    awk -F, -v name="$1" 'NR == 1 { for (i = 2; i <= NF; i++) key[i] = $i; n = NF; next }
        { for (i = 2; i <= n; i++) sum[i] += $i }
        END { for (i = 2; i <= n; i++) printf "%s.%s %.8g\n", name, key[i], sum[i] / (NR - 1) }' "$2"
}
{
    for stage in sft dpo reverse aligned; do
        awk -F, -v name=$stage 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
            { printf "%s.loss.%d %.8g\n%s.norm.%d %.8g\n", name, $1, $at["loss"], name, $1,
                  $at["grad_norm"] }' o/$stage.log.csv
    done
    "$bin/eval" nll --model o/aligned.h5 --data o/sft-data.h5 -o nll.csv >out && means nll nll.csv
    "$bin/eval" pairs --dpo o/dpo.h5 --reverse o/reverse.h5 --ref o/sft.h5 --data o/pairs.h5 \
        -o pairs.csv >out && means pairs pairs.csv
    "$bin/eval" kl --model o/aligned.h5 --base o/sft.h5 --data o/sft-data.h5 -o kl.csv >out &&
        means kl kl.csv
    "$bin/shard" stat o/teacher-00000-of-00003.h5 |
        awk '$1 ~ /^(tail|alpha|tvd|realised|entropy)$/ && NF == 8 { print "cache." $1, $3 }'
} >now.txt 2>err
[ ! -s err ] || fail "$(cat err)"
if [ "${BLESS:-0}" = 1 ]; then
    cp now.txt "$golden"
    echo "wrote $(wc -l <now.txt) numbers"
    finish
fi
[ "$(cut -d' ' -f1 now.txt)" = "$(cut -d' ' -f1 "$golden")" ] || fail 'other numbers than those stored'
paste -d' ' "$golden" now.txt | awk '{
        d = $2 - $4; if (d < 0) d = -d
        size = $2 < 0 ? -$2 : $2
        if (!(d <= 1e-4 * size + 1e-6)) { print $1 " was " $2 " and is " $4; bad = 1 }
    } END { exit bad || NR < 80 }' >worse || fail "$(head -n 20 worse)"
finish
