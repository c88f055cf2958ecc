#!/bin/bash
# Choosing the strength before training: teacher-dump --target-kl finds it and records it; generate
# samples p* itself, which is one of the models where the options make it so.
set -u
. tests/report.bash
for p in import tokenize sft dpo-train teacher-dump generate; do
    [ -x "$BIN/$p" ] || skip "$p is not built"
done
D=$TMP/smoke
make -s -C pipelines/smoke BIN="$(realpath "$BIN")" OUT="$D" "$D/reverse.h5" "$D/prompts.h5" \
    >"$TMP/make.log" 2>&1 || { cat "$TMP/make.log"; exit 1; }
teachers=(--dpo "$D/dpo.h5" --reverse "$D/reverse.h5" --ref "$D/sft.h5")
dump() { # OUT ARGUMENTS...
    local out=$1
    shift
    "$BIN/teacher-dump" "${teachers[@]}" --data "$D/pairs.h5" -o "$out" "$@" >"$TMP/out" 2>"$TMP/err"
}

dump "$TMP/a.h5" --target-kl 8 --target-rows 40 --max-new 16 || fail "$(cat "$TMP/err")"
line=$(grep 'strength .*: p\*' "$TMP/err")
S=$(sed 's/.*strength \([^:]*\):.*/\1/' <<<"$line")
K=$(sed 's/.* is \([^ ]*\) +- [0-9.]* nats.*/\1/' <<<"$line")
E=$(sed 's/.* +- \([0-9.]*\) nats.*/\1/' <<<"$line")
awk -v e="$E" 'BEGIN { exit !(e > 0.05 && e < 4) }' || fail "a standard error of $E over 40 responses"
strings -n 8 "$TMP/a.h5" | grep -q "\"kl\": ${K:0:4}.*\"kl_error\": ${E:0:4}" || fail "KL $K +- $E is not recorded"
awk -v k="$K" 'BEGIN { exit !(k > 7.9 && k < 8.1) }' || fail "KL $K, not 8: $(cat "$TMP/err")"
[ "$(grep -c 'nats per response  mean alpha' "$TMP/err")" -gt 2 ] || fail "no curve: $(cat "$TMP/err")"
strings -n 8 "$TMP/a.h5" | grep -q "\"alpha\":\"damped:$S\"" || fail "damped:$S is not recorded"
dump "$TMP/a.h5" --target-kl 8 --target-rows 40 --max-new 16 || fail "again: $(cat "$TMP/err")"
grep -q 'up to date' "$TMP/err" && ! grep -q 'mean alpha' "$TMP/err" ||
    fail "searched again: $(cat "$TMP/err")"
for threads in 1 3; do
    dump "$TMP/b.h5" --target-kl 8 --target-rows 40 --max-new 16 --threads $threads --force -q ||
        fail "$(cat "$TMP/err")"
    cmp -s "$TMP/a.h5" "$TMP/b.h5" || fail "other bytes on $threads threads"
done
dump "$TMP/c.h5" --target-kl 8 --target-rows 40 --max-new 16 --alpha fixed:1 || fail "$(cat "$TMP/err")"
strings -n 8 "$TMP/c.h5" | grep -q '"alpha":"fixed:' || fail "the kind of alpha was lost"
dump "$TMP/d.h5" --target-kl 0.001 --target-rows 20 --max-new 16
[ $? = 1 ] && grep -q 'the base, the DPO model, is [0-9.]* +- [0-9.]* nats .*or --base ref' "$TMP/err" || fail "a KL below the base's own: $(cat "$TMP/err")"
"$BIN/teacher-dump" --dpo "$D/dpo.h5" --reverse "$D/reverse.h5" --data "$D/pairs.h5" -o "$TMP/e.h5" \
    --target-kl 8 >"$TMP/out" 2>"$TMP/err"
[ $? = 2 ] && grep -q 'give --ref' "$TMP/err" || fail "no reference: $(cat "$TMP/err")"
# rows without prompts are refused, by the plan too
printf 'one two\n' >"$TMP/text.txt"
"$BIN/tokenize" -q --model "$D/sft.h5" --kind text --input "$TMP/text.txt" -o "$TMP/text.h5" >/dev/null || fail "no texts"
for more in '' --dry-run; do
    "$BIN/teacher-dump" "${teachers[@]}" --data "$TMP/text.h5" -o "$TMP/e.h5" --target-kl 8 $more >"$TMP/out" 2>"$TMP/err"
    [ $? = 3 ] && grep -q 'needs prompts' "$TMP/err" || fail "texts $more: $(cat "$TMP/err")"
done

# a grid must have room for the strength that is found, not for the one that the search begins with
dump "$TMP/grid.h5" --layout components --alpha-grid 0,0.3,0.6 --target-kl 0.35 --target-rows 20 --max-new 16 ||
    fail "the grid and the first strength: $(cat "$TMP/err")"
dump "$TMP/grid.h5" --layout components --alpha-grid 0,0.3,0.6 --target-kl 8 --target-rows 20 --max-new 16 --force
[ $? = 2 ] && grep -q 'outside --alpha-grid 0,0.3,0.6' "$TMP/err" || fail "a grid too small: $(cat "$TMP/err")"

# the search's memory is in the plan: with small batches it is more than the dump's
memory() { "$BIN/teacher-dump" "${teachers[@]}" --data "$D/pairs.h5" -o "$TMP/no.h5" --micro-tokens 1 --error-budget 0 --dry-run -q "$@" | awk '$1 == "memory_bytes" { print $2 }'; }
[ "$(memory --target-kl 8)" -gt $(($(memory) + 1000000)) ] || fail "the plan does not know of the search: $(memory --target-kl 8)"

# a p* outside its base's most likely tokens is reported, with its number: here it is the untrained base model
dump "$TMP/f.h5" --alpha damped:1 || fail "$(cat "$TMP/err")"
grep -q 'leaves its base' "$TMP/err" && fail "a warning of a gentle p*: $(cat "$TMP/err")"
for layout in composed components; do
    "$BIN/teacher-dump" --dpo "$D/base.h5" --ref "$D/sft.h5" --base ref --negative ref --alpha fixed:1 --plausible 0 \
        --layout $layout --data "$D/pairs.h5" -o "$TMP/g-$layout.h5" >"$TMP/out" 2>"$TMP/err" || fail "$(cat "$TMP/err")"
    grep -oE 'leaves its base.* 0\.[1-9][0-9]* on average, more than 0\.1' "$TMP/err" >"$TMP/far-$layout"
    [ "$(wc -l <"$TMP/far-$layout")" = 1 ] || fail "$layout: no warning of a p* far away: $(cat "$TMP/err")"
done
cmp "$TMP/far-composed" "$TMP/far-components" || fail "the layouts warn of other numbers"

# p* that is a model: the same responses
sample() { # NAME ARGUMENTS...
    local name=$1
    shift
    "$BIN/generate" --data "$D/prompts.h5" --samples 2 --max-new 16 --seed 5 -o "$TMP/$name.h5" \
        --text "$TMP/$name.jsonl" -q "$@" >"$TMP/out" 2>"$TMP/err" || fail "$name: $(cat "$TMP/err")"
}
sample dpo --model "$D/dpo.h5"
sample ref --model "$D/sft.h5"
sample star "${teachers[@]}"
sample zero "${teachers[@]}" --alpha fixed:0
sample base "${teachers[@]}" --alpha fixed:0 --base ref
sample one --dpo "$D/dpo.h5" --ref "$D/sft.h5" --alpha fixed:1 --base ref --negative ref --plausible 0
cmp -s "$TMP/dpo.jsonl" "$TMP/zero.jsonl" || fail "alpha 0 is not the base dpo"
cmp -s "$TMP/ref.jsonl" "$TMP/base.jsonl" || fail "alpha 0 is not the base ref"
cmp -s "$TMP/dpo.jsonl" "$TMP/one.jsonl" || fail "alpha 1, forward only from ref is not dpo"
cmp -s "$TMP/dpo.jsonl" "$TMP/star.jsonl" && fail "p* is the DPO model"
cmp -s "$TMP/dpo.jsonl" "$TMP/ref.jsonl" && fail "dpo is ref: nothing is tested"
finish
