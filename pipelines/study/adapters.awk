# What rank costs, in Markdown: every trained method whose rank counts, beside the full training above it of the same
# stage (of sft-corpus: the reference, -v ref=NAME). Files: plan.mk; NAME.parameters (all, of the adapter);
# choices/NAME; summary.csv; the seeds' rows.csv. Nothing is printed where no method has a rank.
function base_name(path) { sub(/.*\//, "", path); return path }
FILENAME ~ /plan\.mk$/ {
    if ($1 == "NAMES") {
        name[++methods] = $3
        rank[$3] = 0
    } else if (sub(/^stage_/, "", $1)) {
        stage[$1] = $3
    } else if (sub(/^spec_/, "", $1)) {
        spec[$1] = $0
        trial = $1
        sub(/\.[0-9]*$/, "", trial)
        for (i = 3; i < NF; i++) if ($i == "--lora-rank") { rank[trial] = $(i + 1); ranks++ }
    }
    next
}
FILENAME ~ /\.parameters$/ {
    whole = $1
    n = base_name(FILENAME)
    sub(/\.parameters$/, "", n)
    parameters[n] = $2
    next
}
FILENAME ~ /choices\/[^\/]*$/ {
    n = split(spec[$1], word, " ")
    for (i = 1; i < n; i++) if (word[i] == "--lr") rate[base_name(FILENAME)] = word[i + 1]
    next
}
FNR == 1 {
    split("", c)
    n = split($0, head, ",")
    for (i = 1; i <= n; i++) c[head[i]] = i
    next
}
{ split($0, v, ",") }
FILENAME ~ /summary\.csv$/ {
    for (what in c) mean[v[1], what] = v[c[what]]
    next
}
{
    seed = v[c["seed"]]
    seeds[seed] = 1
    kl_error[v[1]] = v[c["kl_error"]]
    win_error[v[1]] = v[c["win_dpo_error"]]
    gold[v[1], seed] = v[c["gold"]]
    error[v[1], seed] = v[c["gold_error"]]
}
# The deviation over the seeds, or the standard error from the prompts of the only one.
function pm(m, what, digits,    e, s) {
    if (mean[m, what] == "") return "–"
    e = mean[m, what "_error"]
    for (s in seeds)
        if (mean[m, "seeds"] == 1 && (m, s) in gold)
            e = what == "gold" ? error[m, s] : what == "kl" ? kl_error[m] : win_error[m]
    return sprintf("%." digits "f", mean[m, what]) (e == "" ? "" : sprintf(" ± %." digits "f", e))
}
function cost(m, full,    s, k, sum, square) { # over the seeds that both have
    for (s in seeds)
        if ((m, s) in gold && (full, s) in gold) {
            k++
            sum += gold[m, s] - gold[full, s]
            square += error[m, s] ^ 2 + error[full, s] ^ 2
        }
    return k ? sprintf("%+.2f ± %.2f", sum / k, sqrt(square) / k) : "–"
}
END {
    if (!ranks) exit
    print "| method | rank | rate | trained parameters | seeds | gold | against full | KL | win against dpo, % | CPU s |"
    print "|---|---|---|---|---|---|---|---|---|---|"
    full["sft-corpus"] = ref
    print "| " ref " | – | – | – | " mean[ref, "seeds"] " | " pm(ref, "gold", 2) " | – | – | " pm(ref, "win_dpo", 1) " | – |"
    for (j = 1; j <= methods; j++) {
        m = name[j]
        if (mean[m, "gold"] == "") continue
        if (!rank[m]) full[stage[m]] = m
        print "| " m " | " (rank[m] ? rank[m] : "full") " | " rate[m] " | " (rank[m] ? parameters[m] : whole) " | " \
            mean[m, "seeds"] " | " pm(m, "gold", 2) " | " (rank[m] ? cost(m, full[stage[m]]) : "–") " | " pm(m, "kl", 1) \
            " | " (m == "dpo" ? "–" : pm(m, "win_dpo", 1)) " | " sprintf("%.0f", mean[m, "seconds"]) " |"
    }
}
