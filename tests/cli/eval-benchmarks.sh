#!/bin/bash
# The numbers of MT-Bench and Arena-Hard on made-up verdicts against a second implementation in
# numpy, to 1e-9: by turn and category; both versions, every kind of style control, the bootstrap.
set -u
python=${PYTHON:-/usr/bin/python3}
$python -c 'import numpy' 2>/dev/null || { echo 'SKIP: python3-numpy is not installed'; exit 77; }
oracle="$python $PWD/tests/oracle/benchmarks.py"
. tests/lib.bash
$oracle make . || fatal 'no made-up files'

quiet "$bin/eval" mtbench --judgments ratings.jsonl --questions questions.jsonl -o mtbench.csv
$oracle mtbench mtbench.csv questions.jsonl ratings.jsonl || fail 'mtbench: another number'

compare() { # VERSION FILE STYLE ROUNDS
    local answers='answers-one.jsonl answers-two.jsonl'
    quiet "$bin/eval" arenahard --judgments "$2" --answers $answers --baseline answers-baseline.jsonl \
        --style "$3" --rounds "$4" --seed 7 -o arena.csv
    $oracle arenahard arena.csv "$1" "$3" "$4" 7 "$2" $answers answers-baseline.jsonl ||
        fail "arenahard $1, style $3: another number"
}
compare v0.1 games-v01.jsonl none 20
compare v2 games-v2.jsonl none 20
for style in length markdown both; do
    compare v0.1 games-v01.jsonl $style 4
    compare v2 games-v2.jsonl $style 4
done
# The comparison can fail.
sed -i '2s/,[0-9]/,9/' arena.csv
$oracle arenahard arena.csv v2 both 4 7 games-v2.jsonl answers-one.jsonl answers-two.jsonl \
    answers-baseline.jsonl 2>/dev/null && fail 'a changed number goes unseen'

# a model that wins everything, and one that has no verdict
cat >all.jsonl <<'J'
{"question_id": "1", "model": "best", "games": [{"score": "B>>A"}, {"score": "A>B"}]}
{"question_id": "1", "model": "none", "games": [{"score": null}, {"score": "no label"}]}
J
quiet "$bin/eval" arenahard --judgments all.jsonl -o all.csv
grep -q '^best,all,100,100,100,' all.csv || fail "a model that wins all: $(cat all.csv)"
grep -q '^none,all,,,,' all.csv || fail "a model without verdicts: $(cat all.csv)"

# two judges, and what is refused
sed 's/"score": [0-9.]*/"score": 5.0/' ratings.jsonl >flat.jsonl
quiet "$bin/eval" agreement --a ratings.jsonl --b ratings.jsonl
[ "$(awk 'NR == 2 { print $2, $3 }' out)" = '100.0 1.0000' ] || fail "a judge against itself: $(cat out)"
quiet "$bin/eval" agreement --a games-v01.jsonl --b games-v01.jsonl
[ "$(awk 'NR == 2 { print $2, $3 }' out)" = '100.0 100.0' ] || fail "games: $(cat out)"
expect 3 'different benchmarks' "$bin/eval" agreement --a ratings.jsonl --b games-v01.jsonl
expect 3 'see eval arenahard' "$bin/eval" mtbench --judgments games-v01.jsonl
expect 3 'see eval mtbench' "$bin/eval" arenahard --judgments ratings.jsonl
expect 2 'needs --answers' "$bin/eval" arenahard --judgments games-v01.jsonl --style both
expect 3 'no question' "$bin/eval" mtbench --judgments ratings.jsonl --questions <(head -n 3 questions.jsonl)

# a line among the published ones
printf 'model,score,rating\nbest,82.5,1\nmiddle,50,1\nlast,3.1,1\n' >board.csv
printf 'model,category,score\nours,all,60\nours,math,99\n' >ours.csv
quiet "$bin/eval" leaderboard --row ours.csv --with board.csv --by score --around 1
[ "$(awk 'NR > 1 { printf "%s:%s ", $1, $2 }' out)" = '1:best 2:ours 3:middle ' ] ||
    fail "leaderboard: $(cat out)"
expect 3 "no column 'win_rate'" "$bin/eval" leaderboard --row ours.csv --with board.csv --by win_rate
finish
