# Rows of `eval pairs` (chosen is the better by the gold reward), of a seed each, as a table in Markdown:
# how often a reward puts a pair into the true order, over all seeds, and by how much more often than the
# forward one does, pair by pair; ± standard errors.
BEGIN { FS = "," }
FNR == 1 {
    for (i = 1; i <= NF; i++) column[$i] = i
    next
}
{
    pairs++
    forward = right($(column["forward_margin"]))
    for (m in column) {
        if (m !~ /^(forward|reverse|contrastive|reward_model)_margin$/) continue
        r = right($(column[m]))
        sum[m] += r
        squares[m] += r * r
        more[m] += r - forward
        more_squares[m] += (r - forward) ^ 2
    }
}
function right(margin) { return margin > 0 }
function pm(s, q,    mean, v) {
    mean = s / pairs
    v = q / pairs - mean * mean
    return sprintf("%.1f ± %.1f", 100 * mean, 100 * sqrt((v > 0 ? v : 0) / pairs))
}
END {
    print "| reward | pairs | accuracy, % | more than forward, % |\n|---|---|---|---|"
    n = split("forward reverse contrastive reward_model", name, " ")
    for (i = 1; i <= n; i++) {
        m = name[i] "_margin"
        if (m in sum) printf "| %s | %d | %s | %s |\n", name[i], pairs, pm(sum[m], squares[m]), \
            i == 1 ? "–" : pm(more[m], more_squares[m])
    }
}
