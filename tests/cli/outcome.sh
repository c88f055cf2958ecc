#!/bin/bash
# What a training says and records at its end: against its log, and against eval; the same however it ran.
. tests/lib.bash
world 24
few="--batch-size 8 --unit-tokens 256"

record() { "$bin/shard" stat "$1" | sed -n 's/^record\t//p'; }        # FILE
number() { record "$1" | jq "$2"; }                                    # FILE PATH
near() { awk -v a="$1" -v b="$2" 'BEGIN { d = a - b; if (d < 0) d = -d; exit !(d <= 2e-3 * (b < 0 ? -b : b) + 1e-7) }'; }
means() { # FILE COLUMN K: of the first and the last K rows
    awk -F, -v name="$2" -v k="$3" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) c = i; next }
        { x[NR - 1] = $c } END { n = NR - 1; for (i = 1; i <= k; i++) { a += x[i]; b += x[n + 1 - i] } print a / k, b / k }' "$1"
}
agree() { # FILE METRIC LOG K
    read -r from to < <(means "$3" "$2" "$4")
    near "$(number "$1" ".$2[0]")" "$from" && near "$(number "$1" ".$2[1]")" "$to" ||
        fail "$1: $2 is $(number "$1" ".$2"), its log has $from and $to"
}
line() { # PATTERN: exactly one closing line, and it matches
    [ "$(grep -c 'steps in' err)" = 1 ] || fail "not one closing line: $(cat err)"
    tail -n 1 err | grep -Eq "$1" || fail "no '$1' in: $(tail -n 1 err)"
}
kl='KL to the start [0-9.e-]+ nats per token'
n='[0-9.e-]+'

expect 0 '' "$bin/sft" --model base.h5 --data sft-data.h5 $few --epochs 10 --log s.csv -o sft.h5
line "^sft: 30 steps in [0-9]+s: loss $n to $n, $kl\$"
agree sft.h5 loss s.csv 10
number sft.h5 '[.stage, .rows, .steps, .lr] == ["sft", 24, 30, 0.001]' | grep -q true || fail "record: $(record sft.h5)"
"$bin/eval" kl --model sft.h5 --base base.h5 --data sft-data.h5 --summary kl.csv >out
near "$(number sft.h5 .kl_start)" "$(awk -F, 'NR == 2 { print $3 }' kl.csv)" || fail "kl_start $(number sft.h5 .kl_start), eval kl: $(cat kl.csv)"

expect 0 '' "$bin/dpo-train" --model sft.h5 --data pairs.h5 --valid pairs.h5 --valid-every 3 $few --epochs 10 --lr 1e-3 --log dpo.csv -o dpo.h5
line "^dpo-train: 30 steps in [0-9]+s: loss $n to $n, margin $n to $n, accuracy [0-9]+% to [0-9]+%, validation loss $n to $n, validation accuracy [0-9]+% to [0-9]+%, $kl\$"
for metric in loss reward_margin reward_accuracy; do agree dpo.h5 $metric dpo.csv 10; done
near "$(number dpo.h5 '.valid_loss[1]')" "$(awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "valid_loss") c = i } END { print $c }' dpo.csv)" || fail 'valid_loss'
quiet "$bin/dpo-train" -q --model sft.h5 --data pairs.h5 --reverse $few --epochs 10 --lr 1e-3 -o reverse.h5
number reverse.h5 .reverse | grep -q swapped || fail "record: $(record reverse.h5)"
[ "$(number dpo.h5 .reverse)" = null ] || fail "record: $(record dpo.h5)"

quiet "$bin/teacher-dump" -q --dpo dpo.h5 --reverse reverse.h5 --ref sft.h5 --data pairs.h5 --alpha damped:0.5 -o t.h5
expect 0 '' "$bin/distill" --model sft.h5 --teacher t.h5 $few --steps 7 --log a.csv -o a.h5
line "^distill: 7 steps in [0-9]+s: loss $n to $n, KL to p\* $n to $n, $kl\$"
agree a.h5 kl a.csv 3
[ "$(record a.h5 | jq -r '[.recipe, .strength, .divergence] | join(" ")')" = 'adaptive damped:0.5 rkl' ] || fail "record: $(record a.h5)"
live="$bin/distill --model sft.h5 --on-policy --dpo dpo.h5 --reverse reverse.h5 --data prompts.h5 --max-new 12 $few --steps 4"
expect 0 '' $live --ref sft.h5 --log o.csv -o o.h5
line "KL to p\* $n to $n, $kl"
read -r ref length < <(awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i } END { print $at["kl_ref"], $at["response_length"] }' o.csv)
near "$(number o.h5 .kl_start)" "$(awk -v a="$ref" -v b="$length" 'BEGIN { print a / b }')" || fail "own samples: $(record o.h5), the log has $ref for $length tokens"
expect 0 '' $live -o o2.h5
grep -q 'KL to the start' err && fail "a distance to a start that did not run: $(cat err)"

# nothing moved, and that is said; a word of it neither for real runs nor with -q
idle='next to nothing moved; give more --epochs or a higher --lr'
expect 0 "$idle" "$bin/dpo-train" --model sft.h5 --data pairs.h5 $few --steps 3 --lr 1e-8 -o x.h5
expect 0 "$idle" "$bin/sft" --model sft.h5 --data sft-data.h5 $few --steps 3 --lr 1e-8 -o x.h5
expect 0 "$idle" "$bin/distill" --model sft.h5 --teacher t.h5 $few --steps 3 --lr 1e-8 -o x.h5
quiet "$bin/sft" -q --model sft.h5 --data sft-data.h5 $few --steps 4 --lr 1e-8 -o x.h5
for m in sft dpo a; do [ "$(number $m.h5 '.kl_start > 0.001')" = true ] || fail "$m.h5: $(record $m.h5)"; done

# a reward model has no distribution; an adapter's start is its base
quiet "$bin/dpo-train" -q --model sft.h5 --data pairs.h5 --loss reward $few --steps 4 -o rm.h5
[ "$(number rm.h5 .kl_start)" = null ] || fail "a KL of reward models: $(record rm.h5)"
quiet "$bin/sft" -q --model base.h5 --data sft-data.h5 $few --steps 9 --lora-rank 4 -o lora.h5
"$bin/eval" kl --model lora.h5 --base base.h5 --data sft-data.h5 --summary kl.csv >out
near "$(number lora.h5 .kl_start)" "$(awk -F, 'NR == 2 { print $3 }' kl.csv)" || fail "adapter: $(record lora.h5), eval kl: $(cat kl.csv)"
quiet "$bin/aligndistil" merge -q --model base.h5 --adapter lora.h5 -o merged.h5
[ "$(record merged.h5)" = "$(record lora.h5)" ] || fail "merge lost the record: $(record merged.h5)"

# the record is part of the bytes, which do not depend on how it ran
again="$bin/dpo-train -q --model sft.h5 --data pairs.h5 --valid pairs.h5 --valid-every 3 $few --epochs 10 --lr 1e-3 -o b.h5"
for how in '--threads 1' '--threads 3 --micro-tokens 1'; do
    quiet $again $how --force
    same dpo.h5 b.h5 "$how"
done
rm b.h5
disturb after 0.03 'b.h5.ckpt' $again --checkpoint-every 1
[ $stops != 0 ] || fail 'never stopped: nothing was tested'
same dpo.h5 b.h5 'stopped and resumed'
finish
