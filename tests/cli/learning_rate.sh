#!/bin/bash
# --lr where it is not given: the number of the table, said, recorded, and the one METHOD.md has.
. tests/lib.bash
world 40
method=$root/common/method/METHOD.md
few="--batch-size 8 --steps 2 --unit-tokens 256"

recorded() { "$bin/shard" stat "$1" | sed -n 's/^options.*"lr":\([^,]*\),.*/\1/p'; } # FILE
check() { # RATE WORDS command...: says and records this; the same bytes as by hand
    local rate=$1 words=$2
    shift 2
    expect 0 "lr $rate, the default for $words" "$@" -o a.h5
    [ "$(recorded a.h5)" = "$rate" ] || fail "recorded '$(recorded a.h5)', not $rate: $*"
    expect 0 '' "$@" --lr "$rate" -o b.h5
    grep -q 'the default for' err && fail "speaks of a default though --lr was given: $(cat err)"
    same a.h5 b.h5 "$rate by hand"
}
count='[0-9.]*k parameters'
check 0.001 "$count" "$bin/sft" --model base.h5 --data sft-data.h5 $few
check 0.001 "an adapter on $count" "$bin/sft" --model base.h5 --data sft-data.h5 $few --lora-rank 2
quiet "$bin/sft" -q --model base.h5 --data sft-data.h5 $few -o sft.h5
check 0.0001 "$count" "$bin/dpo-train" --model sft.h5 --data pairs.h5 $few
mv b.h5 dpo.h5
check 0.0001 "$count" "$bin/dpo-train" --model sft.h5 --data pairs.h5 $few --reverse
mv b.h5 reverse.h5
quiet "$bin/teacher-dump" -q --dpo dpo.h5 --reverse reverse.h5 --ref sft.h5 --data pairs.h5 -o t.h5
check 0.001 "$count" "$bin/distill" --model sft.h5 --teacher t.h5 $few
expect 0 '' "$bin/sft" -q --model base.h5 --data sft-data.h5 $few -o a.h5
[ ! -s err ] || fail "-q says: $(cat err)"
# up to date: nothing is chosen
expect 0 'up to date' "$bin/sft" --model base.h5 --data sft-data.h5 $few -o a.h5
grep -q 'the default for' err && fail "a rate for a run that there is not: $(cat err)"
# 0 is a rate like any other
quiet "$bin/sft" -q --model base.h5 --data sft-data.h5 $few --lr 0 -o zero.h5
[ "$(recorded zero.h5)" = 0 ] || fail "--lr 0 is recorded as $(recorded zero.h5)"

# a model of the next class, whose vocabulary is most of it
sed 's/"hidden_size": 32/"hidden_size": 256, "vocab_size": 200000/' config.json >large.json
quiet "$bin/import" -q --init large.json --tokenizer tok.json --seed 1 -o large.h5
quiet "$bin/tokenize" -q --model large.h5 --kind pref --input pairs.csv -o large-pairs.h5
expect 0 'lr 5e-06, the default for 103M parameters' "$bin/dpo-train" --model large.h5 --data large-pairs.h5 --dry-run -o x.h5
expect 0 'lr 5e-05, the default for an adapter on 103M parameters' "$bin/dpo-train" --model large.h5 --data large-pairs.h5 --lora-rank 2 --dry-run -o x.h5
rm -f large.h5

# the table of METHOD.md is the one of --help
row() { grep "^| \`$1\` |" "$method" | awk -F' *[|] *' '{ print $3 " below 100M, " $4 " below 1B, " $5 " below 4B, " $6 " from there" }'; }
help() { "$bin/$1" --help | sed -n '/^  --lr X/,/^  --schedule/p' | tr -s ' \n' ' '; }
for name in sft dpo-train distill 'dpo-train --loss reward'; do
    [ -n "$(row "$name")" ] || fail "METHOD.md has no row of '$name'"
    help ${name%% *} | grep -qF "$(row "$name")" || fail "$name: METHOD.md has $(row "$name"), --help $(help ${name%% *})"
done
finish
