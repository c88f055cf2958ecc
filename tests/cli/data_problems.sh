#!/bin/bash
# What is wrong with a data set: all of it is found in one pass, counted with examples, and refused
# or left out as asked; texts that are not what they look like are refused.
set -u
. tests/report.bash
cd "$TMP" || exit 1
case $BIN in /*) ;; *) BIN=$OLDPWD/$BIN ;; esac

printf 'the cat sat on the mat\nthe dog sat on the log\na "quoted" word, and more\n' >corpus.txt
"$BIN/import" -q --train-tokenizer corpus.txt --vocab 300 -o tok.json >/dev/null || fail 'no tokenizer'
tokenize="$BIN/tokenize --tokenizer tok.json"

# run CODE command...: what it says goes to err
run() {
    local want=$1 code
    shift
    "$@" >out 2>err
    code=$?
    [ $code = "$want" ] || fail "exit $code instead of $want: $*: $(cat err)"
}
says() { grep -qF -- "$1" err || fail "no '$1' in: $(cat err)"; }
silent() { ! grep -qF -- "$1" err || fail "'$1' in: $(cat err)"; }
# refused KIND REASON ROW [options]: the row by itself, among a good one
refused() {
    local kind=$1 reason=$2 row=$3
    shift 3
    printf '%s\n%s\n' "$row" "$good" >one.jsonl
    run 3 $tokenize --kind "$kind" --input one.jsonl -o x.h5 "$@"
    says "$reason"
    [ -e x.h5 ] && fail "an output: $row"
    run 0 $tokenize --kind "$kind" --input one.jsonl -o x.h5 --on-bad skip "$@"
    says '1 skipped: '
    rm -f x.h5
}

# ---- one pass, all problems ---------------------------------------------------------------------
cat >many.jsonl <<'EOF'
{"prompt":"q1","chosen":"a","rejected":null}
{"prompt":"q2","chosen":"a","rejected":"b","note":"n"}
{"prompt":"q3","chosen":"a"}
{"prompt":"","chosen":"a","rejected":"b"}
{"prompt":"q5","chosen":"the cat the cat the cat the cat the cat","rejected":"b"}
{"prompt":"q6","chosen":"","rejected":"b"}
{"prompt":"q7"
{"prompt":"","chosen":"a","rejected":"c"}
{"prompt":"","chosen":"a","rejected":"d"}
{"prompt":"","chosen":"a","rejected":"e"}
{"prompt":"q2","chosen":"b","rejected":"a"}
{"prompt":"q2","chosen":"a","rejected":"b"}
{"prompt":"q8","chosen":"same","rejected":"same"}
{"prompt":"q9","chosen":" ","rejected":"b"}
EOF
run 3 $tokenize --kind pref --input many.jsonl --max-length 12 -o x.h5
says "8 of 14 rows cannot be used, first 'many.jsonl' line 1: 'rejected' is null; 1 are too long, first 'many.jsonl' line 5:"
says 'pass --on-bad skip and --on-long drop or truncate'
for line in "1 bad: 'rejected' is null" "1 bad: no 'rejected'" '4 bad: empty prompt' '1 bad: empty chosen response' \
    '1 bad: invalid JSON' '1 too long: longer than 12 tokens' "'many.jsonl' line 4" "'many.jsonl' line 8" \
    "'many.jsonl' line 9" "'many.jsonl' line 1" '1 kept: an earlier row prefers the other response' \
    '1 kept: an earlier row is the same pair' '1 dropped: chosen and rejected are the same' \
    'columns not used: note' '4 rows out'; do
    says "$line"
done
silent "'many.jsonl' line 10" # three examples of each
[ -e x.h5 ] && fail 'an output'
run 0 $tokenize --kind pref --input many.jsonl --max-length 12 --on-bad skip --on-long drop -o x.h5
says 'warning: 10 of 14 rows are lost (71.4 %)'
says '4 skipped: empty prompt'
longest=$(sed -n 's/.*longest \([0-9]*\) tokens/\1/p' err)
[ "$longest" -le 12 ] || fail "longest is of a row that was dropped: $longest"
run 0 $tokenize --kind pref --input many.jsonl --on-bad skip --on-equal keep -o y.h5
says '1 kept: chosen and rejected are the same'
says '6 rows out'

# a tenth is not more than a tenth
for i in 1 2 3 4 5 6 7 8 9; do echo "{\"prompt\":\"q\",\"response\":\"a$i\"}"; done >tenth.jsonl
echo '{"prompt":"","response":"a"}' >>tenth.jsonl
run 0 $tokenize --kind sft --input tenth.jsonl --on-bad skip -o t.h5
silent 'warning'

# a null in row 1 does not hide what the other rows are; no row at all does
printf '{"text":null}\n{"text":"the cat"}\n{"text":" "}\n' >null.jsonl
run 3 $tokenize --kind text --input null.jsonl -o x.h5 --force
says "first 'null.jsonl' line 1: 'text' is null"
run 0 $tokenize --kind text --input null.jsonl --on-bad skip -o n.h5
says '2 rows out'
printf '{"a":1}\n{"b":2}\n' >none.jsonl
run 3 $tokenize --kind text --input none.jsonl --on-bad skip -o x.h5 --force
says "no usable rows in 'none.jsonl' (2 read, first 'none.jsonl' line 1: missing column"

# scores
cat >scores.jsonl <<'EOF'
{"prompt":"q1","chosen":"a","rejected":"b","score_chosen":9,"score_rejected":2}
{"prompt":"q2","chosen":"a","rejected":"b","score_chosen":3,"score_rejected":3}
{"prompt":"q3","chosen":"a","rejected":"b","score_chosen":2,"score_rejected":5}
{"prompt":"q4","chosen":"a","rejected":"b","score_chosen":4,"score_rejected":3.5}
EOF
run 0 $tokenize --kind pref --input scores.jsonl -o s.h5
says '2 kept: rejected is scored as high as chosen, or higher'
says '4 rows out'
silent 'columns not used'
run 0 $tokenize --kind pref --input scores.jsonl --min-margin 1 -o s1.h5
says '3 dropped: scores closer than --min-margin'
says '1 rows out'
printf 'prompt,chosen,rejected\nq,a,b\n' >plain.csv
run 3 $tokenize --kind pref --input plain.csv --min-margin 1 -o x.h5
says 'no score_chosen and score_rejected for --min-margin'

# ---- texts that are not what they look like ------------------------------------------------------
rm -f x.h5
good='{"prompt":"q","response":"a","chosen":"a","rejected":"b"}'
for list in '[{\"role\": \"user\", \"content\": \"x\"}]' "[{'role': 'user', 'content': 'x'}]" \
    " [ {'content': 'x', 'role': 'user'}]" "{'role': 'assistant', 'content': 'x'}"; do
    refused pref 'the chosen response is a list of messages written as text' "{\"prompt\":\"q\",\"chosen\":\"$list\",\"rejected\":\"b\"}"
    refused sft 'the prompt is a list of messages written as text' "{\"prompt\":\"$list\",\"response\":\"b\"}"
done
printf 'messages\n"[{""role"": ""user"", ""content"": ""x""}]"\n' >cell.csv
run 3 $tokenize --kind sft --input cell.csv -o x.h5
says "'messages' is a list of messages written as text; write JSONL"

for turn in 'eins\n\nHuman: two\n\nAssistant: zwei' 'eins\n\nHuman: two' 'User: two\nAssistant: zwei' \
    'eins\nUSER: two\nASSISTANT: zwei' 'eins\n### Instruction:\ntwo' 'eins [INST] two [/INST] zwei' \
    'eins<|im_start|>user\ntwo'; do
    refused sft "the response holds another speaker's turn" "{\"prompt\":\"one\",\"response\":\"$turn\"}"
    refused pref "the rejected response holds another speaker's turn" "{\"prompt\":\"one\",\"chosen\":\"a\",\"rejected\":\"$turn\"}"
done
printf '{"prompt":"one","response":"%s"}\n' 'A play.\nHuman: who are you?' 'The user: nobody.' \
    'Users: many' 'Human rights' >plays.jsonl
run 0 $tokenize --kind sft --input plays.jsonl -o plays.h5
good='{"chosen":"\n\nHuman: one\n\nAssistant: eins","rejected":"\n\nHuman: one\n\nAssistant: uno"}'
refused pref "the chosen response holds another speaker's turn" \
    '{"chosen":"\n\nHuman: one\n\nAssistant: eins\n\nHuman: two\n\nAssistant: zwei","rejected":"\n\nHuman: one\n\nAssistant: uno\n\nHuman: two\n\nAssistant: dos"}'
good='{"prompt":"q","response":"a","chosen":"a","rejected":"b"}'

user='{"role":"user","content":"one"}' answer='{"role":"assistant","content":"eins"}' other='{"role":"assistant","content":"uno"}'
refused pref 'its prompt and its messages differ' "{\"prompt\":\"two\",\"chosen\":[$user,$answer],\"rejected\":[$user,$other]}"
refused pref 'its prompt and its messages differ' "{\"prompt\":[$user,$answer,$user],\"chosen\":[$user,$answer],\"rejected\":[$user,$other]}"
printf '{"prompt":" one\\n","chosen":[%s,%s],"rejected":[%s,%s]}\n' "$user" "$answer" "$user" "$other" >agree.jsonl
run 0 $tokenize --kind pref --input agree.jsonl -o agree.h5
good="{\"prompt\":\"one\",\"messages\":[$user,$answer]}"
refused sft 'its prompt and its messages differ' "{\"prompt\":\"two\",\"messages\":[$user,$answer]}"
refused sft "empty assistant's message" "{\"messages\":[$user,{\"role\":\"assistant\",\"content\":\"\"},$user,$answer]}"

good='{"prompt":"q","response":"a","text":"t"}'
refused sft "the prompt is rendered already (it begins with '<|im_start|>'); pass --template none --parse-special" \
    '{"prompt":"<|im_start|>user\none<|im_end|>\n<|im_start|>assistant\n","response":"a"}'
refused text 'the text is rendered already' '{"text":"<|im_start|>user\none<|im_end|>\n"}'
printf '{"text":"[INST] one [/INST] eins"}\n' >rendered.jsonl
run 0 $tokenize --kind text --input rendered.jsonl --parse-special -o r.h5

# what is put around a text must not be in it
refused sft "the response ends with '<|eos|>', as if a turn ended twice" '{"prompt":"q","response":"a<|eos|>"}'
refused text "the text begins with '<|bos|>', which is added anyway" '{"text":"<|bos|>the cat"}'
printf '{"prompt":"q","response":"a<|eos|>"}\n' >eos.jsonl
run 0 $tokenize --kind sft --input eos.jsonl --parse-special --show 1
[ "$(grep -o '<|eos|>' out | wc -l)" = 1 ] || fail "EOS is there twice: $(cat out)"
printf '{"ids":[1,2,3],"prompt_length":1}\n' >ids.jsonl
bos=$(sed -n 's/.*"id": *\([0-9]*\).*<|bos|>.*/\1/p' tok.json | head -1)
[ -z "$bos" ] || printf '{"ids":[%s,%s,3],"prompt_length":1}\n' "$bos" "$bos" >>ids.jsonl
[ -z "$bos" ] || { run 3 $tokenize --kind sft --input ids.jsonl -o x.h5; says 'it begins with BOS twice'; }

# characters that the vocabulary lacks
special='"single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true'
cat >small.json <<EOF
{"version": "1.0", "added_tokens": [{"id": 0, "content": "<unk>", $special}, {"id": 1, "content": "</s>", $special}],
 "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": null, "model": {"type": "BPE",
 "unk_token": "<unk>", "fuse_unk": false, "byte_fallback": false, "vocab": {"<unk>": 0, "</s>": 1, "a": 2, "b": 3}, "merges": []}}
EOF
printf '{"prompt":"abba","response":"ab"}\n{"prompt":"axb","response":"yz"}\n' >letters.jsonl
run 0 "$BIN/tokenize" --tokenizer small.json --kind sft --input letters.jsonl -o letters.h5
says '3 tokens are the unknown token'
printf '{"prompt":"a","response":"b</s>"}\n' >ended.jsonl
run 3 "$BIN/tokenize" --tokenizer small.json --kind sft --input ended.jsonl -o x.h5
says "the response ends with '</s>'"

# ---- generate reads its prompts with the same care -----------------------------------------------
cat >config.json <<'EOF'
{"model_type": "llama", "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
 "num_key_value_heads": 1, "max_position_embeddings": 24, "tie_word_embeddings": true}
EOF
run 0 "$BIN/import" -q --init config.json --tokenizer tok.json --seed 1 -o m.h5
long='the cat the cat the cat the cat the cat the cat the cat the cat'
printf '{"prompt":"the cat","topic":"t"}\n{"prompt":""}\n{"prompt":"%s"}\n{"prompt":null}\n' "$long" >prompts.jsonl
generate="$BIN/generate --model m.h5 --max-new 2 -o g.h5 --force"
run 3 $generate --input prompts.jsonl
says "2 of 4 rows cannot be used, first 'prompts.jsonl' line 2: empty prompt; 1 are too long, first 'prompts.jsonl' line 3:"
says 'more than the 23 that leave room for a response'
says '--on-bad skip and --on-long drop or truncate'
run 0 $generate --input prompts.jsonl --on-bad skip --on-long truncate --text g.jsonl
says "1 skipped: 'prompt' is null"
says 'columns not used: topic'
[ "$(wc -l <g.jsonl)" = 2 ] || fail "not two responses: $(cat g.jsonl)"
run 0 $generate --input prompts.jsonl --on-bad skip --on-long drop --text g.jsonl
says '1 dropped: longer than 23 tokens'
[ "$(wc -l <g.jsonl)" = 1 ] || fail "not one response: $(cat g.jsonl)"
printf '{"prompt":"%s"}\n' "$long" >long.jsonl
run 0 $tokenize --kind prompt --input long.jsonl -o long.h5
run 3 $generate --data long.h5
says 'tokenize with --max-length 2'
says '--on-long truncate (or drop)'
run 2 $generate --data long.h5 --on-long drop
finish
