# Rows of the seeds (seed.mk's rows.csv) as one row per model: n seeds, means, and X_error, the standard
# deviation over the seeds (nothing with one seed). -v choices=FOLDER: the chosen trial's name.
BEGIN { FS = OFS = "," }
FNR == 1 { for (i = 1; i <= NF; i++) column[$i] = i; next }
{
    if (!($1 in n)) order[++models] = $1
    n[$1]++
    for (what in column) {
        value = $(column[what])
        if (value == "") continue
        count[$1, what]++
        sum[$1, what] += value
        squares[$1, what] += value * value
    }
}
function mean(m, what) { # steps to DPO: only where every seed gets there
    if (what ~ /_to_dpo$/ && count[m, what] < n[m]) return ""
    return count[m, what] ? sum[m, what] / count[m, what] : ""
}
function deviation(m, what,    k, v) {
    k = count[m, what]
    if (k < 2) return ""
    v = (squares[m, what] - sum[m, what] ^ 2 / k) / (k - 1)
    return v > 0 ? sqrt(v) : 0
}
END {
    k = split("gold win_ref lc_ref win_dpo lc_dpo kl tokens ended distinct_2 steps_to_dpo " \
        "steps seconds_to_dpo seconds cache_seconds teacher_seconds all_seconds", name, " ")
    line = "model,setting,seeds"
    for (i = 1; i <= k; i++) line = line OFS name[i] (i < 10 ? OFS name[i] "_error" : "")
    print line
    for (j = 1; j <= models; j++) {
        m = order[j]
        setting = ""
        if ((getline setting < (choices "/" m)) > 0) sub(/.*\./, "", setting)
        line = m OFS setting OFS n[m]
        for (i = 1; i <= k; i++)
            line = line OFS mean(m, name[i]) (i < 10 ? OFS deviation(m, name[i]) : "")
        print line
    }
}
