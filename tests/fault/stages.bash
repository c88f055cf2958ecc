# What the fault campaigns share; source it after tests/lib.bash. Every stage as a command on small
# files, what it gives undisturbed, and what must hold after a run that was disturbed:
#   killed, or exit 0 and the right bytes, or exit 1 and one line; under a final name nothing but what
#   is right; run again undisturbed: exit 0, the right bytes, and nothing beside them.
# COMMANDS="sft generate" picks; ROWS (30) is how many rows their files have.
rows=${ROWS:-30}
third=$(((rows + 2) / 3))
world "$rows"
teachers
small="--batch-size $third --unit-tokens 256 --micro-tokens 512 --checkpoint-every 1 --threads 2"
cpu="--threads 2"
quiet "$bin/teacher-dump" -q --dpo dpo.h5 --reverse reverse.h5 --ref sft.h5 --data pairs.h5 -o t.h5
quiet "$bin/teacher-dump" -q --dpo dpo.h5 --reverse reverse.h5 --ref sft.h5 --data pairs.h5 -o p.h5 --rows-per-shard $third
quiet "$bin/generate" -q --model sft.h5 --data prompts.h5 --max-new 6 -o r.h5
quiet "$bin/export" --model base.h5 --format hf -o hf -q
quiet "$bin/sft" -q --model base.h5 --data sft-data.h5 --lora-rank 2 --steps 1 $small --log run.csv -o lora.h5
quiet "$bin/export" -q --model lora.h5 --base-model base.h5 --format peft -o peft
mkdir run
mv run.csv run
cp lora.h5 run
export SOURCE_DATE_EPOCH=0
printf '#!/bin/sh\nwhile read -r line; do echo 1; done\n' >scorer
chmod +x scorer
declare -A stages=(
    [import]="import -q --hf hf -o o/x.h5"
    [import-init]="import -q --init config.json --tokenizer tok.json --seed 2 -o o/x.h5"
    [import-tokenizer]="import -q --train-tokenizer corpus.txt --vocab 280 -o o/x.json"
    [tokenize]="tokenize -q --model base.h5 --kind sft --input sft.csv $cpu -o o/x.h5"
    [tokenize-pref]="tokenize -q --model base.h5 --kind pref --input pairs.csv $cpu -o o/x.h5"
    [sft]="sft -q --model base.h5 --data sft-data.h5 --steps 2 $small -o o/x.h5"
    [dpo-train]="dpo-train -q --model sft.h5 --data pairs.h5 --steps 2 $small -o o/x.h5"
    [teacher-dump]="teacher-dump -q --dpo dpo.h5 --reverse reverse.h5 --ref sft.h5 --data pairs.h5 $cpu --checkpoint-every $third -o o/x.h5"
    [teacher-shards]="teacher-dump -q --dpo dpo.h5 --reverse reverse.h5 --ref sft.h5 --data pairs.h5 $cpu --rows-per-shard $third -o o/x.h5"
    [distill]="distill -q --model sft.h5 --teacher t.h5 --steps 2 $small -o o/x.h5"
    [on-policy]="distill -q --on-policy --model sft.h5 --dpo dpo.h5 --reverse reverse.h5 --ref sft.h5 --data prompts.h5 --max-new 4 --steps 1 $small -o o/x.h5"
    [generate]="generate -q --model sft.h5 --data prompts.h5 --max-new 6 $cpu -o o/x.h5 --text o/x.jsonl"
    [eval-nll]="eval nll -q --model sft.h5 --data sft-data.h5 -o o/x.csv"
    [eval-pairs]="eval pairs -q --dpo dpo.h5 --reverse reverse.h5 --ref sft.h5 --data pairs.h5 -o o/x.csv"
    [eval-kl]="eval kl -q --model dpo.h5 --base sft.h5 --data r.h5 -o o/x.csv"
    [eval-score]="eval score -q --scorer ./scorer --input sft.csv -o o/x.csv"
    [export]="export -q --model sft.h5 --format hf -o o/x"
    [export-gguf]="export -q --model sft.h5 --format gguf -o o/x.gguf"
    [export-peft]="export -q --model lora.h5 --base-model base.h5 --format peft -o o/x"
    [import-adapter]="import -q --adapter peft --base-model base.h5 -o o/x.h5"
    [merge]="merge -q --model base.h5 --adapter lora.h5 -o o/x.h5"
    [report]="report run -o o/x.html"
    [shard-merge]="shard merge p-00000-of-00003.h5 p-00001-of-00003.h5 p-00002-of-00003.h5 -o o/x.h5"
    [shard-split]="shard split --parts 2 t.h5 -o o/x.h5"
    [shard-filter]="shard filter --max-positions 100 t.h5 -o o/x.h5"
    [shard-recode]="shard recode --bits 8 --top-k 8 t.h5 -o o/x.h5"
    [shard-check]="shard check t.h5"
)
names=$(printf '%s\n' "${!stages[@]}" | sort)
COMMANDS=${COMMANDS:-$names}

listing() { # FOLDER: its files, with the sum of each
    (cd "$1" && find . -type f -exec md5sum {} + | sort -k2)
}
run_stage() { # NAME: the stage alone
    # shellcheck disable=SC2086
    "$bin"/${stages[$1]} >out 2>err </dev/null
}
prepare() { # NAME: what it gives undisturbed, its files' sums into the file sums; false if it fails
    rm -rf o
    mkdir o
    run_stage "$1" || { fail "$1: exit $? undisturbed: $(cat err)"; return 1; }
    listing o >sums
}
declare -A outcomes=()
# judge NAME CODE HOW KIND: what a disturbed run left in o and err; then the stage again. What it said stays
# in the file said.
judge() {
    local name=$1 code=$2 how="$1, $3"
    cp err said
    case $code in
    0)
        outcomes[done]=$((outcomes[done] + 1))
        listing o | cmp -s - sums || fail "$how: exit 0 and other files: $(listing o | diff sums - | head -n 4)"
        ;;
    1)
        outcomes[failed]=$((outcomes[failed] + 1))
        [ "$4" = inside ] || [ "$(wc -l <err)" = 1 ] || fail "$how: not one line: $(head -n 5 err)"
        ;;
    75) outcomes[stopped]=$((outcomes[stopped] + 1)) ;;
    137) outcomes[killed]=$((outcomes[killed] + 1)) ;;
    # libhdf5 1.10.8 looks at few of its allocations: what it does without is its own, what it leaves is ours
    134 | 139 | 3 | 255) [ "$4" = inside ] && outcomes[hdf5]=$((outcomes[hdf5] + 1)) ||
        fail "$how: exit $code: $(head -n 5 err)" ;;
    *) fail "$how: exit $code: $(head -n 5 err)" ;;
    esac
    [ "$code" = 0 ] || { # under a final name only what is right (the text of generate is a second output)
        (cd o && find . -type f) | grep -vE '\.(ckpt|spool)$|/\.|tmp-|\.reference\.h5|\.partial' | while read -r file; do
            grep -qF "$(cd o && md5sum "$file")" sums || echo "$file"
        done >partial
        [ ! -s partial ] || fail "$how: under a final name and not what it should be: $(tr '\n' ' ' <partial)"
        run_stage "$name" || fail "$how: exit $? when run again: $(cat err)"
        listing o | cmp -s - sums || fail "$how: other files after running again: $(listing o | diff sums - | head -n 4)"
    }
}
