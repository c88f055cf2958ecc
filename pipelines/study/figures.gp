# The figures of a study's page as SVG. Set before: out (its folder), seed (the first seed's), ref.
set datafile separator ","
set datafile missing ""
set encoding utf8
set border 3 lc rgb "#888888"
set tics nomirror textcolor rgb "#333333"
set grid ytics lc rgb "#e6e6e6" lt 1
set key noenhanced samplen 1.5
array colour[8] = ["#1f77b4", "#d95f02", "#2ca02c", "#7b4fa3", "#c0392b", "#8c6d31", "#17a2b8", "#555555"]
svg(name, w, h) = sprintf("set terminal svg size %d,%d font 'sans-serif,13' background '#ffffff' name '%s'; set output '%s/figures/%s.svg'", w, h, name, out, name)
trials = out."/trials.csv"
# trials whose settings, or whose name, begin so
of_stage(stage) = "< awk -F, 'NR > 1 && index($2, \"".stage." \") == 1' ".trials
of_name(name) = "< awk -F, 'NR > 1 && index($1, \"".name.".\") == 1' ".trials

# every trial: gold against KL
kinds = "dpo-train distill on-policy rounds"
titles = "'preference losses' 'distilled' 'on-policy' 'in rounds'"
eval svg("frontier", 900, 500)
set key outside right top
set xlabel "KL to ".ref.", nats a response"
set ylabel "gold reward"
set logscale x
set xrange [*:*]
plot for [i=1:4] of_stage(word(kinds, i)) using 5:3 with points pt 6 ps 0.9 lw 1.5 lc rgb colour[i] title word(titles, i), \
     for [i=1:4] of_name(word("p-damped p-fixed p-tvd p-no-contrast", i)) using 5:3 with linespoints \
         pt 7 ps 0.4 lw 1.2 dt 2 lc rgb colour[4 + i] title word("'p*, damped' 'p*, fixed' 'p*, tvd' 'p*, no contrast'", i)
unset logscale x

# gold on the way
eval svg("steps", 900, 450)
set xrange [0:*]
set xlabel "step"
names = "dpo simpo tdpo2 adaptive-tuned published-tuned adaptive-on-policy response-level no-contrast"
names = system("for m in ".names."; do [ ! -e ".seed."/valid/$m.csv ] || echo $m; done")
plot for [i=1:words(names)] seed."/valid/".word(names, i).".csv" using 1:2 with linespoints pt 7 ps 0.5 lw 1.8 \
     lc rgb colour[i] title word(names, i)

# the methods tested, in a column
eval svg("methods", 900, 560)
set xrange [*:*]
set xlabel "gold reward on test prompts"
unset ylabel
unset key
unset grid
set grid xtics ytics lc rgb "#e6e6e6" lt 1
set ytics noenhanced
set yrange [-0.7:*] reverse
rows = "< awk -F, 'NR > 1 && ($1 != \"base\" || \"".ref."\" == \"base\")' ".out."/summary.csv"
plot rows using 4:0:ytic(1) with points pt 7 ps 1.1 lc rgb colour[1], \
     rows using 4:0:5 with xerrorbars lc rgb colour[1] lw 1.5 ps 0
unset grid
set grid ytics lc rgb "#e6e6e6" lt 1
set yrange [50:100] noreverse
set ytics autofreq

# reward accuracy
set style fill solid 0.85 noborder
eval svg("accuracy", 560, 300)
unset xlabel
set ylabel "pairs in the true order, %"
set xtics noenhanced
set boxwidth 0.5
pairs = "< grep -E '^(forward|reverse|contrastive),' ".seed."/valid/pairs.csv"
plot pairs using 0:($3 * 100):xtic(1) with boxes lc rgb colour[1], \
     pairs using 0:($3 * 100):($4 * 100) with yerrorbars lc rgb "#333333" lw 1.5 ps 0
set output
