#!/bin/bash
# eval alpaca: small files worked out by hand, then AlpacaEval's own against its leaderboard.
set -u
. tests/report.bash
eval=$BIN/eval

# preferences 0.9, 0.5, 0.5, 0.2 of 1 (the draw as 1.5 and as 0), one without; lengths 1 2 3 é=1
cat >"$TMP/a.json" <<'EOF'
[{"output_1": "bb", "output_2": "a", "generator_2": "m", "preference": 1.9},
 {"output_1": "b", "output_2": "aa", "generator_2": "m", "preference": 1.5},
 {"output_1": "b", "output_2": "aaa", "generator_2": "m", "preference": 0},
 {"output_1": "b", "output_2": "é", "generator_2": "m", "preference": null},
 {"output_1": "bbb", "output_2": "aaa", "generator_2": "m", "preference": 1.2}]
EOF
"$eval" alpaca --annotations "$TMP/a.json" -o "$TMP/a.csv" >"$TMP/out" 2>"$TMP/err" ||
    fail "exit $? of the small file: $(cat "$TMP/err")"
grep -q "1 annotations without a preference" "$TMP/err" || fail "no word of the row left out"
# mean 0.525; deviations 0.375 -0.025 -0.025 -0.325: sum of squares 0.2475, / 3 / 4 -> 0.143614
awk -F, 'NR == 2 && ($3 - 52.5)^2 < 1e-12 && ($4 - 14.361406616345072)^2 < 1e-12 && $5 == 1 &&
    $6 == 1 && $7 == 2 && $8 == 4 && $9 == 50 && $10 == 2 { ok = 1 } END { exit !ok }' \
    "$TMP/a.csv" || fail "wrong numbers: $(cat "$TMP/a.csv")"
gzip -c "$TMP/a.json" >"$TMP/b.gz"
"$eval" alpaca --annotations "$TMP/b.gz" 2>/dev/null | cmp -s - "$TMP/out" || fail "gzip differs"
"$eval" alpaca --annotations "$TMP/a.json" -o "$TMP/a.json.json" >/dev/null 2>&1
grep -q '"n_wins_base": 1,' "$TMP/a.json.json" || fail "no JSON table"

refuse() { # code, words of the message, arguments
    local code=$1 words=$2
    shift 2
    "$eval" "$@" >/dev/null 2>"$TMP/err"
    local got=$?
    [ $got = "$code" ] || fail "exit $got instead of $code: $*"
    grep -q -- "$words" "$TMP/err" || fail "'$words' is not in: $(cat "$TMP/err")"
}
refuse 2 "unknown command ''" ""
refuse 2 "unknown command 'x'" x
refuse 2 "gamed needs --difficulty" alpaca --annotations "$TMP/a.json" --gamed "$TMP/a.json"
refuse 2 "neither in .csv" alpaca --annotations "$TMP/a.json" -o "$TMP/table"
printf '[{"prompt": "x"}]' >"$TMP/c.json"
refuse 3 "no text 'output_2'" alpaca --annotations "$TMP/c.json"
refuse 3 "cannot open" alpaca --annotations "$TMP/a.json" --leaderboard "$TMP/none.csv"
printf 'name,win_rate\nother,3\n' >"$TMP/board.csv"
"$eval" alpaca --annotations "$TMP/a.json" "$TMP/a.json" --leaderboard "$TMP/board.csv" -o "$TMP/both.csv" >/dev/null 2>"$TMP/err" ||
    fail "a row that the leaderboard lacks ends all: $(cat "$TMP/err")"
[ "$(grep -c "has no row 'm'" "$TMP/err")" = 2 ] && [ "$(grep -c computed "$TMP/both.csv")" = 2 ] || fail "no word of the row: $(cat "$TMP/err")"
printf 'index,d\n0,1\n1,x\n' >"$TMP/d.csv"
refuse 3 "line 3" alpaca --annotations "$TMP/a.json" --difficulty "$TMP/d.csv"

data=../shared/data/bench/alpaca_eval
[ -d $data ] || { [ $problems = 0 ] || finish; skip "$data is not there"; }
"$eval" alpaca --annotations $data/annotations_*.json.gz --leaderboard $data/leaderboard.csv \
    --difficulty $data/instruction_difficulty_reconstructed.csv --gamed $data/gamed_moments.json \
    -o "$TMP/board-out.csv" >/dev/null || fail "exit $? on AlpacaEval's files"
awk -F, '$2 == "difference" {
        models++
        for (i = 3; i <= 9; i++) if ($i == "" || $i^2 > 1e-12) bad = 1
        if ($10 != 0 || $11 == "" || $11^2 > 0.25 || $13 != "") bad = 1
    } END { exit bad || models != 3 }' "$TMP/board-out.csv" ||
    fail "not the leaderboard: $(grep difference "$TMP/board-out.csv")"
# AlpacaEval's lc_standard_error, of a model whose row has one: its preferences with texts of the same lengths
zcat $data/prefs_compact.csv.gz | awk -F, -v model=vicuna-13b-v1.5-togetherai '
    function text(n,  s) { s = sprintf("%*s", n, ""); gsub(/ /, "x", s); return s }
    $1 == model { printf "%s{\"generator_2\": \"%s\", \"output_1\": \"%s\", \"output_2\": \"%s\", \"preference\": %s}",
        n++ ? "," : "[", model, text($4), text($5), $6 } END { print "]" }' >"$TMP/made.json"
"$eval" alpaca --annotations "$TMP/made.json" --leaderboard $data/leaderboard.csv --gamed $data/gamed_moments.json \
    --difficulty $data/instruction_difficulty_reconstructed.csv -o "$TMP/made.csv" >/dev/null || fail "exit $? on made annotations"
awk -F, '$2 == "computed" { mine = $12; fit = $13 } $2 == "published" { theirs = $12 }
    END { exit !(theirs > 0.5 && mine / theirs > 0.9 && mine / theirs < 1.1) }' "$TMP/made.csv" ||
    fail "not AlpacaEval's standard error: $(cat "$TMP/made.csv")"
finish
