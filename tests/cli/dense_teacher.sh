#!/bin/bash
# Training from a cache against the dense teacher (dense_teacher.c, in double): a cache of everything is
# the teacher, and the default cache has its gradient within the budget, at the start and in
# mid-training, for both recipes and beyond the authors' strength. On a small world and, where it is
# there, on a real model.
. tests/lib.bash
compare=$root/$BUILD/tests/cli/dense_teacher
shared=$root/../shared/data

# within CACHE STUDENT RECIPE COSINE ERROR LOSS: of both divergences, by the weights of the recipe
within() {
    "$compare" $1 $2 dpo.h5 reverse.h5 sft.h5 >table || fatal "dense_teacher $1 $2"
    awk -v recipe=$3 -v cosine=$4 -v error=$5 -v loss=$6 '
        $2 == recipe && ++n && !($3 >= cosine && $4 <= error && $5 >= 1 - loss && $5 <= 1 + loss) { bad = 1 }
        END { exit bad || n != 2 }' table || fail "$1 for $2: $3 not within $4 $5 $6: $(cat table)"
}

# caches VOCABULARY BITS MIDDLE: by both recipes from dpo.h5, reverse.h5 and sft.h5 for pairs.h5. Beyond the
# authors' strength the start alone is promised.
caches() {
    local dump="$bin/teacher-dump -q --force --dpo dpo.h5 --reverse reverse.h5 --ref sft.h5 --data pairs.h5"
    local everything="--top-k $1 --least 0 --bits 32" bits=$2 middle=$3 step
    for strength in 'adaptive damped:1' 'published tvd:20' 'published tvd:80'; do
        set -- $strength
        $dump --recipe $1 --alpha $2 $everything -o full.h5 >out 2>err || fatal "full cache: $(cat err)"
        within full.h5 sft.h5 $1 0.99999999 1e-4 1e-5 # fkl in float has p - p* where they hardly differ
        awk '/^rkl/ && $4 > 1e-5 { exit 1 }' table || fail "$*: $(cat table)"
        $dump --recipe $1 --alpha $2 --bits $bits -o cache.h5 >out 2>err || fatal "cache: $(cat err)"
        within cache.h5 sft.h5 $1 0.999 0.045 0.1
        [ $2 != tvd:80 ] || continue
        quiet "$bin/distill" -q --model sft.h5 --teacher full.h5 -o student.h5 --unit-tokens 256 --batch-size 16 \
            --epochs 8 --steps 24 --lr 1e-3 --snapshot-every 8 --force
        for step in 8 16; do within cache.h5 student.step-$step.h5 $1 $middle 0.2 0.2; done
    done
}

world 60
teachers
caches 300 32 0.985 # a model that knows next to nothing: its gradients are below the steps of a code
# the reference is the student; a model given by --student is; the cut of its own has no budget
dump="$bin/teacher-dump -q --dpo dpo.h5 --reverse reverse.h5 --data pairs.h5 --alpha tvd:20 --recipe published --bits 16"
quiet $dump --ref sft.h5 -o ref.h5
quiet $dump --ref sft.h5 --student sft.h5 -o same.h5
same ref.h5 same.h5 'the student by name'
quiet $dump --ref sft.h5 --student base.h5 -o base-cache.h5
cmp -s ref.h5 base-cache.h5 && fail '--student base.h5 keeps what sft.h5 wants'
quiet $dump --ref sft.h5 --least 0.003 -o cut.h5
"$compare" cut.h5 sft.h5 dpo.h5 reverse.h5 - | awk '/^rkl/ && $3 < 0.99 { n++ } END { exit n != 2 }' ||
    fail 'without a budget nothing is lost: this test shows nothing'
# distill warns of what the cut cache leaves out, once, and not of the tail that a budget leaves by design
train="--progress never --model sft.h5 --unit-tokens 256 --batch-size 16 --epochs 12 --lr 1e-4"
expect 0 'leaves out [0-9.]* % of the student.s probability (mean of 20 steps, more than 2.0 %).*--student' "$bin/distill" \
    $train --teacher cut.h5 --steps 24 -o cut-student.h5
[ "$(grep -c 'leaves out' err)" = 1 ] || fail "not one warning: $(cat err)"
# stopped on its way it warns once too
: >all
for after in $(afters); do
    "$bin/distill" $train --teacher cut.h5 --steps 24 -o parts.h5 --checkpoint-every 0 --stop-after $after >out 2>err
    code=$?
    cat err >>all
    [ $code = 75 ] || break
done
[ $code = 0 ] && grep -q 'at step [1-9]' all || fail "exit $code, never stopped: $(cat err)"
[ "$(grep -c 'leaves out' all)" = 1 ] || fail "not one warning: $(cat all)"
same cut-student.h5 parts.h5 'in parts'
expect 0 '' "$bin/distill" $train --teacher cut.h5 --steps 19 -o short.h5
grep 'leaves out' err && fail 'a warning before 20 steps'
quiet $dump --ref sft.h5 --error-budget 0.03 --least 0 -o budget.h5
expect 0 '' "$bin/distill" $train --teacher budget.h5 --steps 24 -o ref-student.h5 --log ref.csv
grep 'leaves out' err && fail 'a warning of a cache within its budget'
awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "student_tail") c = i } NR > 1 { sum += $c } END { exit !(sum / 24 > 0.03) }' ref.csv ||
    fail 'the budget leaves no tail: this test shows nothing'
quiet $dump --ref sft.h5 --error-budget 0.01 -o close.h5
within close.h5 sft.h5 published 0.9998 0.02 0.05
expect 0 'of [0-9]* positions have --top-k 3 tokens and would want more' ${dump/-q/--progress never} --ref sft.h5 \
    --error-budget 0.01 --top-k 3 -o few.h5
expect 0 'serves the forward KL alone' "$bin/teacher-dump" --progress never --dpo dpo.h5 --reverse reverse.h5 --data pairs.h5 -o alone.h5
expect 2 "error-budget is for the gradient of a model" $dump --error-budget 0.1 -o x.h5
expect 2 "student-k.*without --error-budget" $dump --ref sft.h5 --error-budget 0.1 --student-k 4 -o x.h5

[ -r "$shared/models/TinyStories-656K/config.json" ] || { echo 'no TinyStories-656K: the real model is left out'; finish; }
rm -f -- *.h5
quiet "$bin/import" -q --hf "$shared/models/TinyStories-656K" -o sft.h5
awk 'BEGIN { RS = "[.!?]+[ \n]+"; x = 7; print "prompt,chosen,rejected" }
    { gsub(/[",\n]|[^ -~]/, " "); gsub(/  +/, " "); if (length($0) > 20) s[n++] = $0 }
    END { for (i = 0; i + 2 < n && i < 180; i += 3) {
        x = (x * 16807) % 2147483647
        print "\"" s[i] ".\",\"" s[i + 1] ".\",\"" s[x % n] ".\"" } }' "$shared/preference/tinystories_sample.txt" >pairs.csv
quiet "$bin/tokenize" -q --model sft.h5 --kind pref --input pairs.csv -o pairs.h5
train="--batch-size 16 --epochs 6 --steps 15 --lr 5e-4 --beta 0.1 --reference reference.h5"
quiet "$bin/dpo-train" -q --model sft.h5 --data pairs.h5 -o dpo.h5 $train
quiet "$bin/dpo-train" -q --model sft.h5 --data pairs.h5 -o reverse.h5 --reverse $train
caches 2048 12 0.99
finish
