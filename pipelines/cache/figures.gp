# Bytes a position against what is missing of the gradient's cosine, a figure for each teacher. Set
# before: out, teachers.
set encoding utf8
set border 3 lc rgb "#888888"
set tics nomirror textcolor rgb "#333333"
set grid lc rgb "#e6e6e6" lt 1
set logscale xy
set key below noenhanced samplen 1.5
set xlabel "bytes a position"
set ylabel "1 - cosine of the gradient"
set format y "10^{%L}"
set yrange [1e-6:0.3]
set xrange [4:1000]
which(d) = d eq "fkl" ? 11 : 13
rows(t, coding, s, d) = sprintf("< awk -F, '$1 == \"%s\" && $10 == %d && 1 - $%d > 0 { print $8, 1 - $%d }' %s/%s.csv", coding, s, which(d), which(d), out, t)
do for [t in teachers] {
    set terminal svg size 1000,520 font 'sans-serif,13' background '#ffffff' name t
    set output out."/figures/".t.".svg"
    set multiplot layout 1,2 title t
    do for [d in "fkl rkl"] {
        set title d.", student in mid-training"
        plot rows(t, "cache", 2, d) using 1:2 with points pt 7 ps 0.35 lc rgb "#1f77b4" title "this cache", \
             rows(t, "fixed", 2, d) using 1:2 with linespoints pt 5 ps 0.5 lc rgb "#d95f02" title "fixed k", \
             rows(t, "fit", 2, d) using 1:2 with linespoints pt 9 ps 0.5 lc rgb "#2ca02c" title "curve, 1 exact", \
             rows(t, "fit16", 2, d) using 1:2 with linespoints pt 13 ps 0.5 lc rgb "#7b4fa3" title "curve, 16 exact"
    }
    unset multiplot
}
set output
