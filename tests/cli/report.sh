#!/bin/bash
# report: the page of any run folder, told by what its files hold; a page of one's own; bad inputs.
. tests/lib.bash
report() { "$bin/report" "$@"; }
holds() { # FILE TEXT...
    local text
    for text in "${@:2}"; do
        grep -qF -e "$text" "$1" || fail "'$1' has no '$text'"
    done
}
lacks() { ! grep -qF -e "$2" "$1" || fail "'$1' has '$2'"; }
# whole, of this one file, for a telephone, light and dark
stands_alone() {
    tail -c 20 "$1" | grep -q '</html>' || fail "'$1' is not whole"
    grep -oE '(src|href)="[^#"]*"|url\([^)]*\)|@import|<script' "$1" && fail "'$1' loads something"
    holds "$1" '<meta name="viewport" content="width=device-width' 'prefers-color-scheme:dark' '<meta charset="utf-8">'
    lacks "$1" gnuplot
    grep -oE '"[^"]*\b(nan|inf)\b[^"]*"' "$1" && fail "'$1' draws what is no number"
}

# ---- a run that was made here: two epochs with held-out data, teachers, a student, responses

world 40
mkdir run
options="-q --unit-tokens 256 --batch-size 16 --lr 3e-3"
quiet "$bin/sft" --model base.h5 --data sft-data.h5 -o run/sft.h5 $options --epochs 2 --log run/sft.csv \
    --valid sft-data.h5 --valid-every 2
for way in dpo reverse; do
    quiet "$bin/dpo-train" --model run/sft.h5 --data pairs.h5 -o run/$way.h5 $options --steps 1 \
        --log run/$way.log.jsonl $([ $way = dpo ] || echo --reverse) --seed 5
done
quiet "$bin/teacher-dump" -q --dpo run/dpo.h5 --reverse run/reverse.h5 --ref run/sft.h5 --data pairs.h5 \
    -o run/teacher.h5 --alpha damped:2 --rows-per-shard 20
quiet "$bin/distill" --model run/sft.h5 --teacher run/teacher-0000?-of-00002.h5 -o run/aligned.h5 $options --epochs 1 \
    --log run/aligned.csv --snapshot-every 2
cp pairs.h5 prompts.h5 run
mkdir run/test
for model in sft aligned; do
    quiet "$bin/generate" -q --model run/$model.h5 --data prompts.h5 -o run/test/$model.h5 --text run/test/$model.jsonl \
        --max-new 8 --seed 1
done
printf 'model,gold,gold_error,kl\nsft,1.234567,0.0456,\n"a,<b>",-12.5,0.1,30\n' >run/table.csv
for name in one two; do printf 'input,mean\n/a/long/path/of-%s.jsonl,2.5\n' $name >run/test/$name-gold.csv; done
printf 'step,gold,gold_error\n0,0.5,0.1\n2,0.75,0.1\n4,1.5,0.1\n' >run/test/curve.csv
printf 'x' >run/sft.h5.tmp-host-1-a.h5
echo '{"a": 1}' >run/notes.json

quiet report run
[ "$(cat out)" = run/report.html ] || fail "the path is not printed: $(cat out)"
page=run/report.html
stands_alone $page
# where it comes from
holds $page '<h1>Run run</h1>' '<dd>aligndistil 0.' '<dt>seed</dt><dd>0, 5</dd>' '<dd>40 in prompts</dd>' '<dd>40 in pairs</dd>' \
    "<dd>$(date -u -r run/test/curve.csv +%Y-%m-%d)" 'alpha damped:2' 'epochs 2'
lacks $page '>run/'
holds $page '<th scope="row">aligned.h5</th><td class="word">distill</td><td class="wrap">sft, teacher-00000-of-00002' \
    'snapshots are not listed'
lacks $page 'sft.h5.tmp-host'
[ "$(grep -c '<th scope="row">teacher-' $page)" = 1 ] || fail 'a shard that is not the first is a row of its own'
SOURCE_DATE_EPOCH=86400 report run -o dated.html >out
holds dated.html '<dt>date</dt><dd>1970-01-02 00:00 UTC</dd>'
# curves: told by what they log; held-out loss is said to be; epochs; one step is a point
holds $page '>Fine-tuning</h2>' '>Preference training</h2>' '>Distillation</h2>' '>Measured on the way: test</h2>' \
    '>sft, validation</text>' '>epoch 2</text>' '<title>dpo: step 1, ' '<title>curve: step 2, gold 0.75 ± 0.10</title>'
grep -o '<div id="preference-loss">.*' $page >/dev/null || fail 'no plot of the preference loss'
awk '/<div id="preference-loss">/ { on = 1 } on && /class="ring"/ { n++ } /<\/div>/ { on = 0 } END { exit n != 4 }' $page ||
    fail 'a training of one step is not a point with a key, for both of them'
awk '/<div id="fine-tuning-loss">/ { on = 1 } on { print } /<\/svg>.*<\/div>/ { on = 0 }' $page >plot
# tables: what was measured
holds $page '<td>1.23&nbsp;±&nbsp;0.05</td><td>–</td>' '<th scope="row">a,&lt;b&gt;</th><td>-12.50&nbsp;±&nbsp;0.10</td><td>30</td>'
holds $page '<th scope="row">one-gold</th><td class="word"><span title="/a/long/path/of-one.jsonl">of-one.jsonl</span></td><td>2.50' \
    '<th scope="row">two-gold</th>'
[ "$(grep -c '<th scope="col">mean</th>' $page)" = 1 ] || fail 'tables of the same columns are not one'
# responses of all models to the same prompts
[ "$(grep -c '<h3 class="ask">' $page)" = 8 ] || fail "not eight prompts: $(grep -c '<h3 class="ask">' $page)"
[ "$(grep -c '<div class="answer c[0-9]"><b>' $page)" = 16 ] || fail 'not two responses each'
# the same bytes again, and for any order of work
cp $page before.html
quiet report run
same before.html $page 'a second page'

# what a student costs: with the trainings of its teachers, without that of the model that it started with
cp -r run cost
for log in dpo.log.jsonl:100 reverse.log.jsonl:200; do
    echo "{\"step\": 1, \"loss\": 1, \"reward_accuracy\": 0, \"seconds\": ${log#*:}}" >"cost/${log%:*}"
done
printf 'step,loss,alpha,seconds\n1,1,1,20\n2,1,1,50\n' >cost/aligned.csv
printf 'step,loss,seconds\n1,1,7000\n' >cost/sft.csv
quiet report cost
grep -q '>aligned.h5</th>.*<td>50.0</td><td>350 + dump</td>' cost/report.html || fail "$(grep '>aligned.h5</th>' cost/report.html)"
grep -q '>dpo.h5</th>.*<td>100</td><td>100</td>' cost/report.html || fail "$(grep '>dpo.h5</th>' cost/report.html)"
# what something is made from stands above it
grep -o '<th scope="row">[a-z]*[0-9a-z-]*.h5' cost/report.html | sed 's/.*>//; s/.h5//' | paste -sd' ' >order
for pair in 'sft dpo' 'dpo teacher-00000-of-00002' 'pairs dpo' 'teacher-00000-of-00002 aligned'; do
    grep -q "\(^\| \)${pair% *} .*${pair#* }\( \|$\)" order || fail "not '$pair' in this order: $(cat order)"
done

# ---- --compare: names, files; joined by prompts, not by rows

tac run/test/aligned.jsonl >turned.jsonl
quiet report run -o c.html --compare sft again=turned.jsonl aligned --prompts 3
[ "$(grep -c '<h3 class="ask">' c.html)" = 3 ] || fail 'not three prompts'
awk -F'<p>|</p>' '/class="answer/ { name = $1; sub(/.*<b>/, "", name); sub(/<.*/, "", name); text[name, ++n[name]] = $2 }
    END { for (i = 1; i <= 3; i++) if (text["again", i] != text["aligned", i] || text["aligned", i] == "") exit 1 }' c.html ||
    fail 'responses in another order are joined wrongly'
printf '{"prompt": "nobody asked", "response": "x"}\n' >other.jsonl
expect 3 "share no prompt; give responses to the same ones" report run -o x.html --compare sft other.jsonl
expect 3 "no responses 'nobody' in 'run', and no such file" report run -o x.html --compare sft nobody
cp run/test/sft.jsonl run/sft.jsonl
expect 3 "'sft' may be 'test/sft.jsonl' or another of 'run'; name the file" report run -o x.html --compare sft
quiet report run -o c.html --compare test/sft.jsonl aligned
rm run/sft.jsonl
expect 3 "table.csv' has no prompt; give what" report run -o x.html --compare run/table.csv

# ---- a page of one's own, begun with the automatic one

quiet report run --print-page
cp out run.page
holds run.page 'title Run run' 'panel lines fine-tuning-loss Loss' 'series "sft" "sft.csv"'
quiet report run --page run.page -o own.html
same before.html own.html 'a page that was printed'

cat >a.jsonl <<'E2'
{"prompt": "Is 1 < 2 & \"so\"?", "response": "Yes <b>it</b> is.", "tokens": 4}
{"prompt": "Next", "response": "yes\nit is", "tokens": 2}
E2
printf 'row,position,token,alpha,text\n0,3,9,0.5, <s>\n0,4,9,-1,b\n1,3,9,0.25,c\n2,3,9,9,never\n' >tokens.csv
printf 'reward,accuracy,accuracy_error\nforward,0.41,0.02\nreverse,0.38,0.02\nother,0.9,0.1\n' >rewards.csv
printf 'what,kl,gold\nx one,1,2\nx two,2,3\nx three,3,4\nx far,300,-9\ny one,1.5,2.5\n' >trials.csv
awk 'BEGIN { print "step,loss"; for (i = 1; i <= 400; i++) print i "," 5 + (i % 2) }' >long.csv
cat >spec <<'E2'
title T & T
# nothing
heading H
text a < b
table rewards.csv reward accuracy
figure caption here
panel bars rewards Accuracy
base 50
only forward reverse
x reward reward
y accuracy*100 % of pairs
series r rewards.csv
panel points frontier What it costs
zoom
x kl KL, nats
y gold gold reward
series xs trials.csv what "x "
series ys trials.csv what "y "
panel lines long Loss
x step step
y loss/first share of the first
series long long.csv
optional
series gone nowhere.csv
responses 1 one=a.jsonl "two=a.jsonl"
heat 2 alpha tokens.csv
lineage
E2
quiet report . --page spec -o p.html --figures drawn
stands_alone p.html
holds p.html '<title>T &amp; T</title>' '<p>a &lt; b</p>' '<td>0.410&nbsp;±&nbsp;0.020</td>' 'Is 1 &lt; 2 &amp; &quot;so&quot;?' \
    'title="-1.000">b</span></div>' ' &lt;s&gt;</span>' 'means of up to 5' '<title>forward: 41.0 ± 2.0</title>' 'class="note">300</text>'
lacks p.html '<h3 class="ask">Next'
lacks p.html 'never</span>'
lacks p.html 'other: 90'
[ "$(grep -c 'Yes &lt;b&gt;it&lt;/b&gt; is.' p.html)" = 2 ] || fail 'a response is missing'
[ "$(grep -c 'class="outside"' p.html)" = 1 ] || fail 'the outlier is not marked at the edge'
for name in rewards frontier long; do
    holds drawn/$name.svg 'xmlns="http://www.w3.org/2000/svg"' 'prefers-color-scheme:dark'
    ! command -v python3 >/dev/null || python3 -c 'import sys, xml.dom.minidom as m; m.parse(sys.argv[1])' drawn/$name.svg ||
        fail "'$name.svg' is no XML"
done

# more names than colours: those of one plot differ all the same
{
    printf 'title T\nfigure f\npanel lines many Many\nx step\ny loss\n'
    for i in 1 2 3 4 5 6 7 8; do echo "series s$i long.csv"; done
    printf 'panel lines few Few\nx step\ny loss\nseries s9 long.csv\nseries s1 long.csv\n'
} >colours
quiet report . --page colours -o colours.html
[ "$(sed -n '/<div id="few">/,$p' colours.html | grep -o '^<g class="c[0-9]"><path stroke' | sort -u | wc -l)" = 2 ] ||
    fail 'two lines of one colour'

# ---- what is refused, each in one line, and leaves the page that was there

cp p.html before.html
while IFS='|' read -r pattern bad; do
    printf '%b\n' "$bad" >bad
    expect 3 "$pattern" report . --page bad -o p.html
    same before.html p.html "a refused page: $bad"
done <<'E2'
'bad' line 1: the title must come first; see stages/README.md|text first
line 2: unknown word|title T\nnonsense
line 2: a file is missing|title T\ntable
line 2: a number is missing|title T\nheat x alpha tokens.csv
nowhere.csv|title T\ntable nowhere.csv
other columns than the files before|title T\nstack rewards.csv trials.csv
no column 'loss' in|title T\ntable rewards.csv loss
NAME=FILE|title T\nresponses 1 a.jsonl
the title is missing|
a panel without a figure|title T\npanel lines a b
'lines', 'points' or 'bars'|title T\nfigure f\npanel pie a b
other characters|title T\nfigure f\npanel lines ../a b
belongs into a panel|title T\nfigure f\nx step
x and y must come before|title T\nfigure f\npanel lines a b\nseries a long.csv
line 6: no column 'gone' in|title T\nfigure f\npanel lines a b\nx step\ny gone\nseries a long.csv\nlog y
E2
expect 2 '0 folders given; give the one of a run' report
expect 2 '2 folders given' report run run
expect 2 "does not end in .html" report run -o page.txt
expect 2 'does nothing with --page' report run --page spec --compare a
expect 2 "SOURCE_DATE_EPOCH is 'x'" env SOURCE_DATE_EPOCH=x "$bin/report" run -o x.html
expect 3 "cannot open the folder 'nowhere'.*give the folder of a run" report nowhere -o x.html
expect 3 "cannot open the folder 'spec'" report spec -o x.html
mkdir empty
expect 3 "'empty' holds no log, table, responses or file of ours" report empty
[ -z "$(ls empty)" ] || fail 'a refused run has a page'
expect 1 'leave --no-clobber out' report run --no-clobber
expect 1 '' report run -o nowhere/x.html
expect 1 "'spec' is no folder" report run -o x.html --figures spec
[ ! -e x.html ] || fail 'a refused page is there'

# a damaged file is warned of, and the page goes without it; so does one that a training writes to
head -c 3000 run/dpo.h5 >run/broken.h5
printf '7,0.1' >>run/sft.csv
report run -o p.html >out 2>err || fail "exit $? with a damaged file: $(cat err)"
grep -q "warning: .*broken.h5.*; the page goes without it" err || fail "no warning: $(cat err)"
stands_alone p.html
finish
