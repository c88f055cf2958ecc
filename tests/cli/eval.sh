#!/bin/bash
# eval: small random models and made-up text; every number against another way to get it.
set -u
. tests/report.bash
root=$PWD
cd "$TMP" || exit 1
case $BIN in /*) ;; *) BIN=$root/$BIN ;; esac
eval=$BIN/eval

# run CODE PATTERN command...: the exit code; with a code other than 0 one line, and nothing on stdout
run() {
    local want=$1 pattern=$2 code
    shift 2
    "$@" >out 2>err </dev/null
    code=$?
    [ $code = "$want" ] || fail "exit $code instead of $want: $*: $(cat err)"
    [ -z "$pattern" ] || grep -q -- "$pattern" err || fail "no '$pattern' from $*: $(cat err)"
    [ "$want" = 0 ] || { [ "$(wc -l <err)" = 1 ] && [ ! -s out ]; } || fail "not one line: $*: $(cat err out)"
}
same() { cmp "$1" "$2" || fail "$1 and $2 differ"; }
# check EXPRESSION-OF-AWK what FILE...: over CSV, `ok` must hold at the end
check() {
    local program=$1 what=$2
    shift 2
    awk -F, "function near(x, y) { return (x - y) ^ 2 <= (1e-9 + 1e-6 * (x < 0 ? -x : x)) ^ 2 } $program END { exit !ok }" "$@" ||
        fail "$what: $(head -n 3 "$@")"
}

printf 'the cat sat on the mat\nthe dog sat on the log\nthe bird sang\n' >corpus.txt
$BIN/import -q --train-tokenizer corpus.txt --vocab 280 -o tok.json >out || fail "no tokenizer"
echo '{"model_type": "llama", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
 "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64,
 "tie_word_embeddings": true}' >config.json
for seed in 1 2 3; do
    $BIN/import -q --init config.json --tokenizer tok.json --seed $seed -o m$seed.h5 >out || fail "no model"
done
printf 'prompt,chosen,rejected\nthe cat,sat on the mat,sang\nthe dog,sat,sat on the bird and sang\nthe,bird,log\n' >pairs.csv
sed 's/^prompt,chosen,rejected/prompt,response,rest/' pairs.csv >sft.csv
$BIN/tokenize -q --model m1.h5 --kind pref --input pairs.csv -o pairs.h5 >out || fail "no pairs"
$BIN/tokenize -q --model m1.h5 --kind sft --input sft.csv -o sft.h5 >out || fail "no tokens"
$BIN/tokenize -q --model m1.h5 --kind prompt --input sft.csv -o prompts.h5 >out || fail "no prompts"

# nll: the table is the mean of the rows; the same bytes however it is cut and computed
for k in 1 2 3; do run 0 '' $eval nll --model m$k.h5 --data sft.h5 --per-token -o nll$k.csv --summary nll$k.json; done
[ "$(head -n 1 nll1.csv)" = row,position,token,nll ] || fail "columns: $(head -n 1 nll1.csv)"
run 0 '' $eval nll --model m1.h5 --data sft.h5 --per-token
same out nll1.csv
run 0 '' $eval nll --model m1.h5 --data sft.h5 --per-token --threads 3 --micro-tokens 1
same out nll1.csv
run 0 '' $eval nll --model m1.h5 --data sft.h5 -o table.csv
grep -q '^rows  *tokens  *nll  *standard_error  *perplexity$' out || fail "table: $(cat out)"
check 'NR == FNR && FNR > 1 { n++; s += $4; rows[$1] } NR != FNR && FNR == 2 {
    ok = $1 == length(rows) && $2 == n && near($3, s / n) && near($5, exp(s / n)) }' "nll's table" nll1.csv table.csv
check 'FNR > 1 { ok = FNR == 2 || ok; if (!($2 > 0 && $4 > 3 && $4 < 9)) bad = 1 } { ok = ok && !bad }' "nll of random weights" nll1.csv

# pairs: chosen responses are the sft data's; margins and accuracies from the rows
run 0 '' $eval pairs --data pairs.h5 --dpo m1.h5 --ref m2.h5 --reverse m3.h5 -o pairs.out.csv --summary sum.csv
check 'FNR == 1 && NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i }
    NR == FNR && FNR > 1 { chosen[$1] = $at["dpo_logp_chosen"]; n++
        for (i in at) v[i] = $at[i]
        good += near(v["forward_chosen"], v["dpo_logp_chosen"] - v["ref_logp_chosen"]) &&
            near(v["reverse_rejected"], v["ref_logp_rejected"] - v["reverse_logp_rejected"]) &&
            near(v["contrastive_margin"], v["forward_margin"] + v["reverse_margin"]) &&
            near(v["forward_margin"], v["forward_chosen"] - v["forward_rejected"]) }
    NR != FNR && FNR > 1 { nll[$1] += $4 }
    END { ok = good == 3 && n == 3; for (r in chosen) ok = ok && near(-nll[r], chosen[r]) }' "pairs" pairs.out.csv nll1.csv
check 'FNR == 1 && NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i }
    NR == FNR && FNR > 1 { n++; for (i in at) if (i ~ /_margin$/) { sum[i] += $at[i]; right[i] += $at[i] > 0 } }
    NR != FNR && FNR > 1 { rows++; good += near($5, sum[$1 "_margin"] / n) && near($3, right[$1 "_margin"] / n) }
    END { ok = rows == 6 && good == 6 }' "pairs' table" pairs.out.csv sum.csv
run 0 '' $eval pairs --data pairs.h5 --dpo m1.h5
[ "$(wc -l <out)" = 2 ] || fail "rewards without their models: $(cat out)"

# kl: nothing from itself; rows are sums of tokens; means of rows in the table
run 0 '' $eval kl --model m1.h5 --base m1.h5 --data sft.h5 --per-token
check 'FNR > 1 { ok = 1; if ($4 != 0) bad = 1 } { ok = ok && !bad }' "kl from itself" out
run 0 '' $eval kl --model m1.h5 --base m2.h5 --data sft.h5 --per-token -o klt.csv
run 0 '' $eval kl --model m1.h5 --base m2.h5 --data sft.h5 -o kl.csv --summary sum.csv
check 'NR == FNR && FNR > 1 { s[$1] += $4; n[$1]++; if (!($4 > 0)) bad = 1 }
    NR != FNR && FNR > 1 { rows++; good += near(s[$1], $3) && n[$1] == $2 }
    END { ok = rows == 3 && good == 3 && !bad }' "kl of rows" klt.csv kl.csv
check 'NR == FNR && FNR > 1 { s += $3; q += $3 * $3; n++; t += $2 }
    NR != FNR && FNR == 2 { ok = $1 == n && $2 == t && near($3, s / t) && near($5, s / n) &&
        near($6, sqrt((q - s * s / n) / (n - 1) / n)) }' "kl's table" kl.csv sum.csv

# tokens: the reward from two nll files
run 0 '' $eval tokens --dpo m1.h5 --reverse m3.h5 --data sft.h5 --reward-beta 0.5 --alpha tvd:2
cp out contrast.csv
run 0 '' $eval tokens --dpo m1.h5 --ref m2.h5 --data sft.h5 --text
cp out forward.csv
[ "$(head -n 1 contrast.csv)" = row,position,token,reward,alpha,tvd,entropy ] || fail "columns"
check 'FILENAME == "nll1.csv" { a[FNR] = $4 } FILENAME == "nll3.csv" { b[FNR] = $4 }
    FILENAME == "contrast.csv" && FNR > 1 { n++; good += near($4, 0.5 * (b[FNR] - a[FNR])) &&
        near($5, 2 * $6 + 0.001) && $6 > 0 && $6 < 1 && $7 > 0 && $7 < 6 }
    END { ok = n > 9 && good == n }' "tokens with contrast" nll1.csv nll3.csv contrast.csv
check 'FILENAME == "nll1.csv" { a[FNR] = $4 } FILENAME == "nll2.csv" { b[FNR] = $4 }
    FILENAME == "forward.csv" && FNR > 1 { n++; good += near($4, b[FNR] - a[FNR]) }
    END { ok = n > 9 && good == n }' "tokens without" nll1.csv nll2.csv forward.csv

# KL(p* || ref): a model's own where p* is that model
run 0 '' $eval tokens --dpo m1.h5 --ref m2.h5 --base ref --alpha fixed:1 --plausible 0 --data sft.h5 \
    --summary star.csv -o x.csv --force
run 0 '' $eval kl --model m1.h5 --base m2.h5 --data sft.h5 --summary model.csv -o y.csv
[ "$(head -n 1 x.csv)" = row,position,token,reward,alpha,tvd,entropy,kl ] || fail "columns with --ref"
check 'NR == FNR && FNR == 2 { a = $9; e = $10 } NR != FNR && FNR == 2 { ok = (a - $5) ^ 2 < 1e-10 && (e - $6) ^ 2 < 1e-10 && a > 0.01 }' \
    "kl of a teacher" star.csv model.csv
cut -d, -f8 forward.csv | tr -d '\n' | grep -q 'sat on the mat' || fail "no text: $(cat forward.csv)"

# what is refused
run 2 "unknown command 'nil'; did you mean 'nll'" $eval nil
run 2 "needs --reverse MODEL" $eval tokens --dpo m1.h5 --ref m2.h5 --negative reverse --data sft.h5
run 2 "give --reverse MODEL, or --ref" $eval tokens --dpo m1.h5 --data sft.h5
run 2 "takes stdout" $eval nll --model m1.h5 --data sft.h5 --per-token --summary s.csv
run 2 "unknown option .--log" $eval nll --model m1.h5 --data sft.h5 --log x.csv
run 2 "neither in .csv" $eval kl --model m1.h5 --base m2.h5 --data sft.h5 -o kl.txt
run 1 "'kl.csv' exists" $eval kl --model m1.h5 --base m2.h5 --data sft.h5 -o kl.csv --no-clobber
run 1 "cannot write" $eval nll --model m1.h5 --data sft.h5 -o none/x.csv
run 3 "cannot open 'none.h5'" $eval nll --model none.h5 --data sft.h5
run 3 "pairs" $eval nll --model m1.h5 --data pairs.h5
run 3 "no tokens to predict" $eval nll --model m1.h5 --data prompts.h5
$BIN/import -q --train-tokenizer pairs.csv --vocab 270 -o tok2.json >out
$BIN/import -q --init config.json --tokenizer tok2.json -o other.h5 >out
run 3 "another vocabulary or tokenizer" $eval kl --model m1.h5 --base other.h5 --data sft.h5
run 3 "another tokenizer" $eval nll --model other.h5 --data sft.h5
run 0 '' $eval kl --model m1.h5 --base m2.h5 --data sft.h5 --dry-run -o new.csv
grep -q '^memory_bytes	[1-9]' out || fail "no plan: $(cat out)"
[ ! -e new.csv ] || fail "--dry-run wrote"
run 1 "cannot write to 'stdout'" sh -c "exec '$eval' nll --model m1.h5 --data sft.h5 >/dev/full"

$eval --help >help
for command in nll pairs kl tokens score judge alpaca; do
    grep -q "^  $command " help || fail "$command is not in --help"
    $eval $command --help >out || fail "$command --help"
    grep -q "^usage: eval $command" out || fail "$command --help: $(head -n 1 out)"
done
finish
