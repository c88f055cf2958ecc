# One row of an experiment's table as CSV from the summaries of one model (-v model=NAME): files
# MODEL-WHAT.csv of a header and a line of numbers; then, if it was trained, part=log and its training
# log, whose steps are counted, part=seconds and a file of them, part=beside and files of the seconds
# of what had to be made for it besides.
BEGIN { FS = "," }
part == "log" { steps = FNR - 1; next }
part == "seconds" { seconds = all = $1; next }
part == "beside" { all += $1; next }
FNR == 1 {
    what = FILENAME
    sub(/.*\//, "", what)
    sub(/\.csv$/, "", what)
    what = substr(what, length(model) + 2)
    n = split($0, name, ",")
}
# from the right: a file's name in the first column may hold commas
FNR == 2 { for (i = 0; i < n; i++) v[what, name[n - i]] = $(NF - i) }
END {
    OFS = ","
    print "model,gold,gold_error,win_ref,win_ref_error,lc_ref,lc_ref_error,win_dpo,win_dpo_error," \
        "lc_dpo,lc_dpo_error,kl,kl_error,tokens,ended,distinct_2,steps,seconds,all_seconds"
    r = "against-ref"
    d = "against-dpo"
    print model, v["gold", "mean"], v["gold", "standard_error"], v[r, "win_rate"],
        v[r, "standard_error"], v[r, "length_controlled_winrate"], v[r, "lc_fit_error"],
        v[d, "win_rate"], v[d, "standard_error"], v[d, "length_controlled_winrate"],
        v[d, "lc_fit_error"], v["kl", "kl_per_response"], v["kl", "response_error"],
        v["text", "tokens"], v["text", "ended"], v["text", "distinct_2"], steps, seconds, all
}
