# The figures of an experiment's page as SVG. Set before: out (its folder), ref (the reference's
# name), aligned and distilled (names, blanks between).
set datafile separator ","
set datafile missing ""
set encoding utf8
set border 3 lc rgb "#888888"
set tics nomirror textcolor rgb "#333333"
set grid ytics lc rgb "#e6e6e6" lt 1
set key noenhanced samplen 1.5
set pointintervalbox 0
set style line 1 lc rgb "#1f77b4" lw 2 pt 7 ps 0.6
set style line 2 lc rgb "#d95f02" lw 2 pt 5 ps 0.6
set style line 3 lc rgb "#2ca02c" lw 2 pt 9 ps 0.8
set style line 4 lc rgb "#7b4fa3" lw 2 pt 13 ps 0.8
svg(name, w, h) = sprintf("set terminal svg size %d,%d font 'sans-serif,13' background '#ffffff' name '%s'; set output '%s/figures/%s.svg'", w, h, name, out, name)

# loss
eval svg("loss", 1050, 330)
trained = (system("test -e ".out."/".ref.".csv && echo yes") eq "yes")
set multiplot layout 1,(trained ? 3 : 2)
set xlabel "step"
set format y "%g"
if (trained) {
    set title ref.": nats a token"
    set key off
    plot out."/".ref.".csv" using "step":"loss" with lines ls 1
}
set key bottom left
set title "preference loss"
plot out."/dpo.csv" using "step":"loss" with lines ls 1 title "dpo", \
     out."/reverse.csv" using "step":"loss" with lines ls 2 title "reverse"
set title "distillation: loss over that of the first step"
set key top left
set logscale y
first(m) = real(system("awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == \"loss\") c = i } NR == 2 { print $c }' ".out."/".m.".csv"))
plot for [i=1:words(distilled)] out."/".word(distilled, i).".csv" \
     using "step":(column("loss") / first(word(distilled, i))) with lines ls (i + 1) title word(distilled, i)
unset multiplot
unset logscale y
unset title

# gold reward against steps, and against KL, on validation prompts
eval svg("steps", 900, 400)
set key outside right center
set xlabel "step"
set ylabel "gold reward"
set xrange [0:*]
plot for [i=1:words(aligned)] out."/valid/".word(aligned, i).".csv" \
     using "step":"gold":"gold_error" with yerrorlines ls i title word(aligned, i)

eval svg("frontier", 900, 400)
set xlabel "KL to ".ref.", nats a response"
plot for [i=1:words(aligned)] out."/valid/".word(aligned, i).".csv" \
     using "kl":"gold":"kl_error":"gold_error" with xyerrorlines ls i title word(aligned, i)
set xrange [*:*]

# reward accuracy
eval svg("accuracy", 560, 300)
set key off
unset xlabel
set ylabel "pairs in the true order, %"
set yrange [50:100]
set style fill solid 0.85 noborder
set boxwidth 0.5
set xtics noenhanced
plot "< grep -E '^(forward|reverse|contrastive),' ".out."/valid/pairs.csv" \
     using 0:($3 * 100):xtic(1) with boxes ls 1, \
     "< grep -E '^(forward|reverse|contrastive),' ".out."/valid/pairs.csv" \
     using 0:($3 * 100):($4 * 100) with yerrorbars lc rgb "#333333" lw 1.5 pt 0 ps 0.1

# the cache
eval svg("cache", 800, 330)
set yrange [0:*]
set xtics rotate by -25
set ylabel "bytes a position"
plot out."/cache.csv" using 0:"bytes_per_position":xtic(1) with boxes ls 1, \
     out."/cache.csv" using 0:"bytes_per_position":(sprintf("%.2f", column("bytes_per_position"))) \
     with labels offset 0,0.7
set output
