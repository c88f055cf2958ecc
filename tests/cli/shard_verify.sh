#!/bin/bash
# shard verify: what was dumped fits its teachers, whatever was made of it since; other teachers do not.
. tests/lib.bash
tools=$root/$BUILD/tests/cli
world 60
teachers
dump="$bin/teacher-dump -q --dpo dpo.h5 --reverse reverse.h5 --ref sft.h5 --data pairs.h5 --top-k 20"
verify="$bin/shard verify --dpo dpo.h5 --reverse reverse.h5 --ref sft.h5 --rows 20"
for layout in composed components; do
    for bits in 32 16 12 8 6; do
        quiet $dump --layout $layout --bits $bits -o $layout-$bits.h5
        quiet $verify $layout-$bits.h5
        awk -F'\t' 'NR == 1 && ($3 != 20 || $7 < 4000) { bad = 1 } /^log|^largest|^TVD|^alpha|^entropy/ && !($2 + 0 >= 0 && $3 + 0 <= 100) { bad = 1 }
            /^KL/ && !($3 > 0 && $3 < 0.2) { bad = 1 } END { exit bad || NR != 9 }' out || fail "$layout $bits: $(cat out)"
        awk -F'\t' -v least=$((bits < 32 ? 20 : 0)) '/^log p/ && $3 + 0 < least { exit 1 }' out ||
            fail "$layout $bits: the statement of the error is idle: $(cat out)"
    done
done
quiet $verify --tolerance 0.0002 composed-32.h5
quiet $verify --tolerance 0.0002 components-32.h5
# every column of 32 bits is compared; what sums to 1 is refused where it is further off
for change in 'logp 3' 'log_tail 0' 'log_most 0' 'alpha 1' 'tvd 2' 'realised 0' 'entropy 4'; do
    for layout in composed components; do
        [[ $layout-$change != components-[ar]* && $layout-$change != components-log_m* ]] || continue # it has none of these
        cp $layout-32.h5 odd.h5
        case $change in
        [ae]*) "$tools/poison" element odd.h5 $change 7 ;;
        log_most*) "$tools/poison" element odd.h5 $change -9 ;;
        tvd*) "$tools/poison" element odd.h5 $change 0.9 ;;
        *) "$tools/poison" add odd.h5 $change 0.0008 ;;
        esac || fail "poison $change"
        expect 3 "'odd.h5' row 0, position [0-9]*: .* the teachers say" "$bin/shard" verify --dpo dpo.h5 \
            --reverse reverse.h5 --ref sft.h5 --rows 60 --tolerance 0.0002 odd.h5
    done
done
for rule in '--base ref --alpha tvd:3' '--negative ref --alpha fixed:0.7' '--plausible 0 --alpha damped:9'; do
    for layout in composed components; do
        quiet $dump $rule --layout $layout -o rule.h5 --force
        quiet $verify rule.h5
    done
done
quiet "$bin/shard" recode --bits 6 --top-k 5 -o recoded.h5 components-12.h5
for bits in 8 6; do # from the default of 12, and cut
    for cut in '' '--top-k 5'; do
        rm -f again.h5
        quiet "$bin/shard" recode --bits $bits $cut -o again.h5 composed-12.h5
        quiet $verify --rows 60 again.h5
    done
done
rm again.h5
quiet "$bin/shard" recode --top-k 5 -o again.h5 composed-12.h5
quiet $verify --rows 60 again.h5
quiet "$bin/shard" filter --rows 11: -o filtered.h5 composed-8.h5
quiet "$bin/shard" split --parts 3 -o split.h5 composed-8.h5
cp out parts
quiet $verify recoded.h5 filtered.h5 $(cat parts)
[ "$(grep -c 'KL error' out)" = 5 ] || fail "not 5 reports: $(cat out)"
quiet $verify composed-8.h5
cp out one
quiet $verify --threads 1 --micro-tokens 100 composed-8.h5
same one out 'threads and micro-batches'
quiet $verify --seed 3 composed-8.h5
cmp -s one out && fail 'the same rows whatever the seed'

# in the precision of the dump, also of what was made of it
quiet $dump --precision bf16 --frozen-dtype bf16 --bits 32 -o half.h5
quiet "$bin/shard" filter --rows 11: -o some.h5 half.h5
quiet "$bin/shard" recode --top-k 5 -o fewer.h5 some.h5
quiet $verify --tolerance 0.0002 half.h5 some.h5 fewer.h5
expect 3 'the teachers say' $verify --tolerance 0.0002 --precision f32 fewer.h5
expect 2 'filtered.h5.* was dumped with --precision f32, unlike the files before it' $verify half.h5 filtered.h5
expect 2 'some.h5.* was dumped with --precision bf16, unlike the files before it' $verify filtered.h5 some.h5

# a budget's cache loses only what it is cut by: its --least added tokens, it left none out
quiet "$bin/teacher-dump" -q --dpo dpo.h5 --reverse reverse.h5 --ref sft.h5 --data pairs.h5 -o budget.h5
entries() { "$bin/shard" stat "$1" | awk '$1 == "support_low" { print $2 }'; }
all=$(entries budget.h5)
quiet "$bin/shard" recode --top-k 1024 -o kept.h5 budget.h5
[ "$(entries kept.h5)" = "$all" ] || fail "of $all entries $(entries kept.h5) are kept"
quiet "$bin/shard" recode --least 0.0022 -o cut.h5 budget.h5
[ "$(entries cut.h5)" -lt "$all" ] || fail "$(entries cut.h5) entries after --least"
quiet $verify kept.h5 cut.h5
expect 2 'below the 0.0022' "$bin/shard" recode --least 0.001 -o x.h5 cut.h5

"$bin/dpo-train" -q --model sft.h5 --data pairs.h5 -o other.h5 --unit-tokens 256 --batch-size 16 --steps 6 \
    --lr 2e-3 --reference reference.h5 >out || fail 'other model'
for file in composed-8.h5 components-8.h5 composed-32.h5 recoded.h5; do
    "$bin/shard" verify --dpo other.h5 --reverse reverse.h5 --rows 20 $file >out 2>err
    [ $? = 3 ] && grep -q "'$file' row [0-9]*, position [0-9]*: .* the teachers say .* or is damaged" err ||
        fail "$file of another model: $(cat err)"
done
"$bin/shard" verify --dpo other.h5 --reverse reverse.h5 composed-8.h5 >out 2>err
grep -q "does not name 'other.h5' among" err || fail "no warning: $(cat err)"
expect 2 'give --reverse MODEL' "$bin/shard" verify --dpo dpo.h5 composed-8.h5
expect 2 'no --dpo MODEL' "$bin/shard" verify --reverse reverse.h5 composed-8.h5
expect 3 "not 'teacher'" $verify pairs.h5
"$bin/import" -q --init config.json --tokenizer tok.json --seed 4 -o third.h5 >out
sed -i 's/"hidden_size": 32/"hidden_size": 64/' config.json
"$bin/import" -q --train-tokenizer corpus.txt --vocab 280 -o small.json >out
"$bin/import" -q --init config.json --tokenizer small.json --seed 4 -o small.h5 >out
expect 3 'another vocabulary or tokenizer' "$bin/shard" verify --dpo small.h5 --reverse small.h5 composed-8.h5
finish
