# Gold reward at equal KL, seed by seed: methods that were trained at two strengths, NAME-weak and
# NAME-strong, read off the line between the two in log KL, at the least and the greatest KL that all have
# on every seed, or, where these are near each other or there is none, half-way between the two. Files: a
# seed's rows.csv each.
BEGIN { FS = "," }
FNR == 1 {
    seeds++
    for (i = 1; i <= NF; i++) column[$i] = i
    next
}
$1 ~ /-(weak|strong)$/ {
    method = $1
    sub(/-[a-z]*$/, "", method)
    if (!(method in seen)) { seen[method] = 1; order[++methods] = method }
    side = $1 ~ /weak$/ ? "weak" : "strong"
    gold[method, side, seeds] = $(column["gold"])
    l = log_kl[method, side, seeds] = log($(column["kl"]))
    if (side == "weak" && (low == "" || l > low)) low = l
    if (side == "strong" && (high == "" || l < high)) high = l
}
function value(m, k, s,    a, b) {
    a = log_kl[m, "weak", s]
    b = log_kl[m, "strong", s]
    if ((m, "weak", s) in gold && (m, "strong", s) in gold && a < b)
        return gold[m, "weak", s] + (gold[m, "strong", s] - gold[m, "weak", s]) * (log(k) - a) / (b - a)
}
function span(m,    s, n, from, to) {
    for (s = 1; s <= seeds; s++) {
        if (!((m, "weak", s) in gold)) continue
        n++
        from += exp(log_kl[m, "weak", s])
        to += exp(log_kl[m, "strong", s])
    }
    return sprintf("%.1f to %.1f", from / n, to / n)
}
END {
    if (!methods) exit
    points = low + 0.2 < high ? 2 : 1
    kl[1] = sprintf("%.1f", exp(points == 2 ? low : (low + high) / 2))
    kl[2] = sprintf("%.1f", exp(high))
    line = "| method | its KL |"
    rule = "|---|---|"
    for (p = 1; p <= points; p++) { line = line " gold at KL " kl[p] " |"; rule = rule "---|" }
    print line "\n" rule
    for (i = 1; i <= methods; i++) {
        line = "| " order[i] " | " span(order[i]) " |"
        for (p = 1; p <= points; p++) {
            sum = n = 0; each = ""
            for (s = 1; s <= seeds; s++) { # a seed may lack the method
                v = value(order[i], kl[p], s)
                if (v == "") continue
                sum += v
                each = each (n++ ? ", " : "") sprintf("%.2f", v)
            }
            line = line " " sprintf("%.2f", sum / n) (n > 1 ? " (" each ")" : "") " |"
        }
        print line
    }
}
