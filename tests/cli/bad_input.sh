#!/bin/bash
# What is wrong with the files of every stage: one line that says so, the exit code, nothing under
# the final name, and what was there before is as it was. (Text that is wrong: tokenize.sh.)
. tests/lib.bash
tools=$root/$BUILD/tests/cli
world 40
teachers
quiet "$bin/teacher-dump" -q --dpo dpo.h5 --reverse reverse.h5 --ref sft.h5 --data pairs.h5 \
    --rows-per-shard 10 -o t.h5
parts=$(cat out)
sft="$bin/sft -q --data sft-data.h5 --model"
dpo="$bin/dpo-train -q --model sft.h5 --data pairs.h5"
dump="$bin/teacher-dump -q --reverse reverse.h5 --ref sft.h5 --data pairs.h5 --dpo"
distill="$bin/distill -q --model sft.h5 --teacher"
generate="$bin/generate -q --data prompts.h5 --model"
echo 'precious' >x.h5

# bad CODE PATTERN command...: -o x.h5 is appended; x.h5 stays what it is, and beside it is nothing
bad() {
    expect "$@" -o x.h5
    cmp -s x.h5 - <<<precious || { fail "the former file is lost: ${*:3}"; echo precious >x.h5; }
    [ ! -s out ] || fail "stdout of ${*:3}: $(cat out)"
    local left
    left=$(ls -A | grep -e '^x\.h5.' -e '\.spool$' -e '\.tmp-' -e '^x-')
    [ -z "$left" ] || { fail "left behind by ${*:3}: $left"; rm -f $left; }
}

# missing, a folder, not HDF5, cut short, one bit flipped, of another kind, of a newer version
mkdir folder
echo 'not HDF5' >text.h5
: >empty.h5
flip() { # OFFSET BITS: turns them in flip.h5
    local byte
    byte=$(od -An -tu1 -j "$1" -N 1 flip.h5 | tr -d ' ')
    printf "\\$(printf %03o $((byte ^ $2)))" | dd of=flip.h5 bs=1 seek="$1" conv=notrunc 2>/dev/null
}
hurt() { # FILE: cut.h5 and flip.h5
    head -c $(($(stat -c %s "$1") - 200)) "$1" >cut.h5
    cp "$1" flip.h5
    flip $(($(stat -c %s "$1") / 2)) 4
}
newer() { # FILE: newer.h5
    cp "$1" newer.h5
    "$tools/poison" attribute newer.h5 version 99 || fail "poison $1"
}
newer base.h5
wrong() { # KIND OF FILE TO HURT, ONE OF ANOTHER KIND, command...: the file's name is appended
    local good=$1 other=$2
    shift 2
    hurt "$good"
    bad 3 "'none.h5'" "$@" none.h5
    bad 3 "'folder'" "$@" folder
    bad 3 "'text.h5'.*not an HDF5 file" "$@" text.h5
    bad 3 "'empty.h5'" "$@" empty.h5
    bad 3 "'cut.h5'" "$@" cut.h5
    bad 3 "'flip.h5'.*damaged" "$@" flip.h5
    bad 3 "'$other' is a file of kind '[a-z]*', not '[a-z]*'" "$@" "$other"
    bad 3 "'newer.h5' has version 99 of kind 'model', this release reads up to 2" "$@" newer.h5
}
wrong base.h5 sft-data.h5 $sft
wrong base.h5 sft-data.h5 $dpo --ref
wrong base.h5 sft-data.h5 $dump
wrong base.h5 sft-data.h5 $generate
wrong base.h5 sft-data.h5 "$bin/distill" -q --teacher $parts --model
hurt sft-data.h5
for file in sft-data pairs reference t-00002-of-00004; do
    newer $file.h5
    case $file in
    sft-data) set -- tokens "1" "$bin/sft" -q --model base.h5 --data newer.h5 ;;
    pairs) set -- pairs "1" "$bin/dpo-train" -q --model sft.h5 --data newer.h5 ;;
    reference) set -- reference 1 "$bin/shard" merge newer.h5 ;;
    *) set -- teacher 5 $distill $(sed s/$file/newer/ <<<$parts) ;;
    esac
    bad 3 "'newer.h5' has version 99 of kind '$1', this release reads up to $2; use a newer release" "${@:3}"
done
bad 3 "'pairs.h5' is a file of kind 'pairs', not 'tokens'" "$bin/sft" -q --model base.h5 --data pairs.h5
bad 3 "'cut.h5'" "$bin/sft" -q --model base.h5 --data cut.h5
bad 3 "'sft-data.h5' is a file of kind 'tokens', not 'pairs'" "$bin/dpo-train" -q --model sft.h5 --data sft-data.h5
bad 3 "'pairs.h5' is a file of kind 'pairs', not 'teacher'" $distill pairs.h5
bad 3 "'base.h5' is a file of kind 'model'" "$bin/teacher-dump" -q --dpo dpo.h5 --reverse reverse.h5 --data base.h5
bad 3 "'prompts.h5' has no tokens of responses" "$bin/teacher-dump" -q --dpo dpo.h5 --reverse reverse.h5 --data prompts.h5
bad 3 "prompts.h5' has no loss tokens" "$bin/sft" -q --model base.h5 --data prompts.h5
head -n 2 sft.csv >one.csv
quiet "$bin/tokenize" -q --model base.h5 --kind sft --input one.csv -o one.h5
last=$("$bin/shard" head --json one.h5 | sed 's/.*"length": \([0-9]*\).*/\1/')
for i in $(seq 0 $((last - 1))); do "$tools/poison" element one.h5 mask $i $((i == 0)); done # nothing comes before it
quiet "$bin/shard" check one.h5
bad 3 "one.h5' has no loss tokens" "$bin/sft" -q --model base.h5 --data one.h5
quiet "$bin/tokenize" -q --model base.h5 --kind text --input corpus.txt -o texts.h5
bad 3 "'texts.h5' has no prompts; tokenize with --kind prompt" "$bin/generate" -q --model base.h5 --data texts.h5
bad 3 "'texts.h5' has no prompts; tokenize with --kind prompt" "$bin/distill" -q --model sft.h5 --on-policy \
    --dpo dpo.h5 --reverse reverse.h5 --data texts.h5

# One bit flipped anywhere in the data: it is refused, or it is where nothing is read and the result
# is the same.
flips() { # FILE command...: the damaged file's name is appended
    local file=$1 size i at refused=0
    shift
    size=$(stat -c %s "$file")
    quiet "$@" "$file" -o y.h5
    for i in $(seq 1 14); do
        at=$((size * i / 15 + i)) # spread over the file
        cp "$file" flip.h5
        flip $at $((1 << i % 8))
        "$@" flip.h5 -o z.h5 >out 2>err
        case $? in
        0) same y.h5 z.h5 "byte $at of $file flipped: ${*:1:1}" ;;
        3) refused=$((refused + 1)); [ "$(wc -l <err)" = 1 ] && [ ! -e z.h5 ] || fail "flipped: $(cat err)" ;;
        *) fail "byte $at of $file flipped: $(head -n 5 err)" ;;
        esac
        rm -f z.h5*
    done
    [ $refused -gt 0 ] || fail "no flip in $file was refused"
    rm -f y.h5*
}
flips sft-data.h5 "$bin/sft" -q --model base.h5 --steps 1 --data
flips pairs.h5 "$bin/teacher-dump" -q --dpo dpo.h5 --reverse reverse.h5 --data
quiet $dump dpo.h5 -o whole.h5
flips whole.h5 $distill

# shards: one is missing, given twice, damaged, or of another set
bad 3 'of a set of 4 parts, of which 3 ' $distill $(echo $parts | cut -d' ' -f1-3)
cp t-00001-of-00004.h5 copy.h5
bad 3 'of a set of 4 parts, of which 2 ' $distill $(echo $parts | cut -d' ' -f1,2) copy.h5
quiet $dump dpo.h5 --rows-per-shard 10 --top-k 5 -o u.h5
bad 3 "'u-00003-of-00004.h5'" $distill $(echo $parts | cut -d' ' -f1-3) u-00003-of-00004.h5
hurt t-00002-of-00004.h5
bad 3 "'flip.h5'.*damaged" $distill $(echo $parts | sed 's/t-00002-of-00004.h5/flip.h5/')
quiet "$bin/tokenize" -q --model base.h5 --kind sft --input sft.csv --rows-per-shard 10 -o d.h5
bad 3 'parts' "$bin/sft" -q --model base.h5 --data d-00000-of-00004.h5 d-00002-of-00004.h5

# rows that are not there: a set's parts follow each other and end at rows_total
odd() { # FILE NAME NUMBER: odd.h5, with another attribute
    cp "$1" odd.h5
    "$tools/poison" attribute odd.h5 "$2" "$3" || fail "poison $*"
}
odd whole.h5 rows_total 100
for command in "$distill" "$bin/shard split --parts 2" "$bin/shard recode --bits 6" "$bin/shard filter --rows 1:" "$bin/shard merge"; do
    bad 3 "'odd.h5': attribute 'rows_total' is missing or not as it should be" $command odd.h5
done
expect 3 "attribute 'rows_total'" "$bin/shard" check odd.h5
odd sft-data.h5 rows_total 100
bad 3 "'odd.h5': attribute 'rows_total'" $sft base.h5 --data odd.h5
list=$(sed 's/t-00001-of-00004.h5/odd.h5/' <<<$parts)
for change in 'first_row 11 begins at row 11, the part before it ends at 10' 'rows 9 begins at row 20, the part before it ends at 19\|columns do not fit' \
    'rows 0 attribute .rows. is missing'; do
    odd t-00001-of-00004.h5 ${change%% *} $(cut -d' ' -f2 <<<"$change")
    pattern=$(cut -d' ' -f3- <<<"$change")
    for command in "$distill" "$bin/shard split --parts 2" "$bin/shard merge"; do bad 3 "$pattern" $command $list; done
    "$bin/shard" check $list >out 2>err && fail "check: $(cat out)"
    tr ' ' '\n' <<<$list >feed
    timeout 60 $distill - -o y.h5 <feed >out 2>err
    [ $? = 3 ] && grep -q "$pattern" err && [ "$(wc -l <err)" = 1 ] || fail "a stream, $change: $(cat err)"
    rm -f y.h5*
done
odd t-00001-of-00004.h5 max_length 90
list=$(sed 's/t-00001-of-00004.h5/odd.h5/' <<<$parts)
bad 3 "are not of one set: was 'max_length: [0-9]*' and is 'max_length: [0-9]*'" "$bin/shard" merge $list
bad 3 "'odd.h5' are not of one set: was 'max_length: [0-9]*'" $distill $list

# numbers that no teacher wrote: file and row
quiet $dump dpo.h5 --bits 32 --top-k 20 -o plain.h5
quiet $dump dpo.h5 --bits 32 --top-k 20 --layout components -o parts.h5
refused() { # PATTERN: of odd.h5, by all that read it
    for command in "$distill" "$bin/shard recode --bits 6"; do bad 3 "'odd.h5' is damaged: $1" $command odd.h5; done
    expect 3 "'odd.h5' is damaged: $1" "$bin/shard" verify --dpo dpo.h5 --reverse reverse.h5 odd.h5
    expect 3 "'odd.h5' is damaged" "$bin/shard" check odd.h5
}
for file in whole plain parts; do
    for length in 3 20; do
        odd $file.h5 max_length $length
        refused "row [0-9]* has [0-9]* tokens, its longest is said to have $length"
    done
done
element() { # FILE [COLUMN INDEX NUMBER]...: odd.h5, with other elements
    cp $1.h5 odd.h5
    while [ $# -gt 1 ]; do
        "$tools/poison" element odd.h5 $2 $3 $4 || fail "poison $*"
        set -- "$1" "${@:5}"
    done
}
entries=$("$bin/shard" head --json --rows 1 plain.h5 | grep -o '"entries": [0-9]*' | head -n 2 | awk '{ s += $2 } END { print s }')
while read -r file changes; do
    element $file ${changes%%:*}
    refused "row 0, position 0: ${changes#*: }"
done <<CHANGES
plain logp 3 nan: a log p. is none
plain logp 0 50: a log p. is none
plain log_tail 0 nan: its log Q is none
plain log_tail 0 50: its log Q is none
plain log_tail 0 -0.5: its p\* and Q do not sum to 1
plain logp 0 0.0005: its p\* and Q do not sum to 1
plain logp 0 -30: its p\* and Q do not sum to 1
parts log_tail 0 -0.5: its p\* and Q do not sum to 1
parts logp 0 -1000: its p\* and Q do not sum to 1
plain alpha 0 nan: its alpha is not finite
plain tvd 0 7: its TVD is none
plain realised 0 inf: the log p\* of its token is none
plain entropy 0 nan: its entropy is not finite
plain entries 0 0 entries 1 $entries: it has no entries
plain support 0 5 support 1 5: a token is twice in its support
plain support 1 1000000: an id leaves the vocabulary
plain support 1 -1: an id leaves the vocabulary
parts support 0 5 support 1 5: a token is twice in its support
parts support 1 1000000: an id leaves the vocabulary
parts tvd 0 nan: its TVD is none
CHANGES
for column in log_tail entropy ids mask; do # a chunk that is sound, but of fewer elements
    cp plain.h5 odd.h5
    "$tools/poison" cut odd.h5 $column || fail "poison cut $column"
    for command in "$distill" "$bin/shard split --parts 2" "$bin/shard recode --bits 6" "$bin/shard merge" "$bin/shard filter --rows 1:" "$bin/shard filter --min-entropy 0.1"; do
        bad 3 "'odd.h5' is damaged: \(dataset\|column\) '$column', elements 0 to [0-9]*" $command odd.h5
    done
    expect 3 "'odd.h5' is damaged: dataset '$column', elements 0 to [0-9]*" "$bin/shard" check odd.h5
done
while read -r file column; do # a column of another type
    cp $file.h5 odd.h5
    "$tools/poison" retype odd.h5 $column || fail "poison retype $column"
    for command in "$bin/shard split --parts 2" "$bin/shard filter --rows 1:" "$bin/shard recode --bits 6" "$distill" "$bin/shard merge"; do
        [ $file = plain ] || [ $file = whole ] || [[ $command = *' '@(split|filter|merge)* ]] || continue
        bad 3 "'odd.h5': column '$column' is missing or not as it should be" $command odd.h5
    done
    for command in check stat head; do expect 3 "'odd.h5': column '$column' is" "$bin/shard" $command odd.h5; done
done <<COLUMNS
plain entries
plain length
plain mask
whole length
whole mask
whole entries_low
whole ids
pairs chosen
sft-data ids
sft-data prompt_length
COLUMNS

# another tokenizer, another shape
head -20 corpus.txt >other.txt
quiet "$bin/import" -q --train-tokenizer other.txt --vocab 290 -o other.json
quiet "$bin/import" -q --init config.json --tokenizer other.json --seed 1 -o other.h5
quiet "$bin/tokenize" -q --tokenizer other.json --kind sft --input sft.csv -o other-data.h5
bad 3 "'sft-data.h5' was tokenised by another tokenizer" $sft other.h5
bad 3 'tokenizer' "$bin/sft" -q --model base.h5 --data sft-data.h5 other-data.h5
bad 3 "'pairs.h5' was tokenised by another tokenizer" "$bin/dpo-train" -q --model other.h5 --data pairs.h5
bad 3 "'other.h5' has another vocabulary or tokenizer" "$bin/teacher-dump" -q --dpo dpo.h5 --reverse other.h5 --data pairs.h5
bad 3 'tokenised by another tokenizer' "$bin/distill" -q --model other.h5 --teacher $parts
bad 3 'tokenised by another tokenizer' $generate other.h5
sed 's/"max_position_embeddings": 128/"max_position_embeddings": 12/' config.json >short.json
quiet "$bin/import" -q --init short.json --tokenizer tok.json --seed 1 -o short.h5
bad 3 "a row of [0-9]* tokens, the model takes 12; tokenize with --max-length 12" $sft short.h5

# an output that is an input, under any name
keep() { # FILE PATTERN command...: refused, and FILE is as it was
    cp "$1" kept.h5
    expect 2 "${@:2}"
    same "$1" kept.h5 "${*:3}"
}
keep base.h5 "'./base.h5' is to be written as --output, but it is also --model" $sft base.h5 -o ./base.h5
keep sft-data.h5 'as --output, but it is also --data' $sft base.h5 -o "$PWD/sft-data.h5"
keep pairs.h5 'as --reference, but it is also --data' $dpo --reference pairs.h5 -o y.h5
keep pairs.csv 'as --output, but it is also --input' "$bin/tokenize" -q --model base.h5 --kind pref --input pairs.csv -o pairs.csv
keep t-00001-of-00004.h5 'as --output, but it is also --teacher' $distill $parts -o t-00001-of-00004.h5
keep t-00001-of-00004.h5 'but it is also an input' "$bin/shard" merge $parts -o t-00001-of-00004.h5
cp sft.csv log.csv
expect 1 "'log.csv' exists and is no log of a run; name another file for --log" $sft base.h5 --log log.csv -o y.h5
same sft.csv log.csv 'a log'

# options out of range, or that do not go together
bad 2 "'--lr 1e30' is out of range" $sft base.h5 --lr 1e30
bad 2 "'--lr nan'" $sft base.h5 --lr nan
bad 2 "'--batch-size 0' is out of range" $sft base.h5 --batch-size 0
bad 2 "'--beta -1' is out of range" $dpo --beta -1
bad 2 "'--mass 1.5' is out of range" $dump dpo.h5 --mass 1.5
bad 2 "'--divergence'\|--divergence" $distill $parts --divergence hellinger
sed 's/{/{"vocab_size": 70000,/' config.json >wide.json
token='{"id": 69999, "content": "<|last|>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}'
sed "s/\"added_tokens\": *\[/&$token,/" tok.json >wide-tok.json # rows of padding would be no tokens
quiet "$bin/import" -q --init wide.json --tokenizer wide-tok.json --seed 1 -o wide.h5
quiet "$bin/tokenize" -q --model wide.h5 --kind pref --input pairs.csv -o wide-pairs.h5
bad 2 '--top-k 30000 at 3 alphas of --alpha-grid may keep 70000 tokens per position, and a file holds 65535' "$bin/teacher-dump" \
    -q --dpo wide.h5 --reverse wide.h5 --data wide-pairs.h5 --layout components --top-k 30000 --least 0 --alpha-grid 0,1,2 --alpha fixed:1
bad 2 "'--top-p 2' is out of range" $generate base.h5 --top-p 2
bad 2 '--alpha is of the teachers; give --dpo in place of --model' $generate base.h5 --alpha fixed:1
bad 2 '--reverse is of the teachers' $generate base.h5 --reverse reverse.h5
bad 2 '--label-smoothing is for --loss cdpo and robust' $dpo --label-smoothing 0.1
bad 2 '--tdpo-alpha is for --loss tdpo2' $dpo --loss tdpo1 --tdpo-alpha 1
bad 2 '--simpo-gamma is for --loss simpo' $dpo --simpo-gamma 1
bad 2 '--ref is not for --loss simpo' $dpo --loss simpo --ref sft.h5
bad 2 '--divergence is for --reward-level distribution alone' "$bin/distill" --model sft.h5 --on-policy --dpo dpo.h5 \
    --reverse reverse.h5 --data prompts.h5 --reward-level token --divergence fkl

# numbers that are not finite: the step and the rows, and the last checkpoint stays
printf '%s\n' 'the cat,sat Q on' >>sft.csv
printf '%s\n' 'the cat Q sat,on the mat,no' >>pairs.csv
quiet "$bin/tokenize" -q --model base.h5 --kind sft --input sft.csv -o q.h5
quiet "$bin/tokenize" -q --model base.h5 --kind pref --input pairs.csv -o qp.h5
"$tools/poison" nan base.h5 q.h5 nan.h5 >row || fail 'poison nan'
[ "$(cat row)" = 40 ] || fail "the odd token is in row $(cat row), not 40"
train="--batch-size 4 --unit-tokens 64 --checkpoint-every 1"
for try in 1 2 3 4 5; do # the seed decides in which step the row comes
    rm -f x.h5.ckpt
    expect 1 'nan at step [0-9]* (4 rows between [0-9]* and 40 of the data); the last checkpoint is kept' \
        "$bin/sft" -q --model nan.h5 --data q.h5 $train --seed $try -o x.h5
    step=$(sed -n 's/.*at step \([0-9]*\).*/\1/p' err)
    [ "${step:-1}" = 1 ] || break
done
[ "$step" -gt 1 ] && expect 0 '' "$bin/shard" check x.h5.ckpt
[ "$(cat x.h5)" = precious ] || fail 'a model of NaN'
expect 1 "nan at step $step" "$bin/sft" -q --model nan.h5 --data q.h5 $train --seed $try -o x.h5
rm -f x.h5.ckpt
"$bin/teacher-dump" -q --dpo dpo.h5 --reverse reverse.h5 --data qp.h5 -o qt.h5 >out || fail 'no cache of odd rows'
for command in "dpo-train --ref base.h5 --data qp.h5" "distill --teacher qt.h5"; do
    expect 1 'the loss is nan at step [0-9]* (4 rows between [0-9]* and 40 of the data); the last checkpoint is kept' \
        "$bin/"${command} -q --model nan.h5 $train -o x.h5
    rm -f x.h5.*
done
[ "$(cat x.h5)" = precious ] || fail 'a model of NaN'
broken() { # like bad 1; the spool of the rows before stays, as after a full disk
    expect 1 "$@" -o x.h5
    [ "$(cat x.h5)" = precious ] && [ ! -s out ] || fail "an output of ${*:2}"
    [ -e x.h5.spool ] || [ -e x.h5.reference.h5.spool ] || fail "no spool: ${*:2}"
    rm -f x.h5.*
}
broken 'row 40 a log-probability that is not finite' "$bin/dpo-train" -q --model nan.h5 --data qp.h5
broken "row 40: the teachers' logits are not finite" "$bin/teacher-dump" -q --dpo nan.h5 --reverse reverse.h5 --data qp.h5
printf 'prompt\nthe cat\nthe Q cat\n' >q.csv
for temperature in 0 1; do
    broken 'prompt 1: the logits of token 0 of its response are not finite' "$bin/generate" -q \
        --model nan.h5 --input q.csv --max-new 4 --temperature $temperature
done
bad 3 "missing column: --kind prompt needs.*there are: topic" "$bin/generate" -q --model base.h5 --input <(printf 'topic\na\n')

# eval: the same words, nothing on stdout
newer base.h5
for command in 'nll --data sft-data.h5 --model' 'kl --data sft-data.h5 --base base.h5 --model' \
    'pairs --data pairs.h5 --reverse reverse.h5 --ref sft.h5 --dpo'; do
    hurt base.h5
    for file in none.h5 text.h5 flip.h5 newer.h5 other.h5; do
        expect 3 "$file\|tokenizer" "$bin/eval" $command $file
        [ ! -s out ] || fail "a table for $file: $(cat out)"
    done
done
finish
