# summary.csv as a table in Markdown: mean ± standard deviation over the seeds where there are several.
# -v ref=NAME: the reference.
BEGIN { FS = "," }
FNR == 1 {
    for (i = 1; i <= NF; i++) c[$i] = i
    print "| method | seeds | gold | win / LC against " ref ", % | win / LC against dpo, % | KL | tokens | ended, % | " \
        "distinct-2 | steps to DPO | CPU s to DPO | CPU s | in all |"
    print "|---|---|---|---|---|---|---|---|---|---|---|---|---|"
    next
}
function pm(what, digits,    error) {
    if ($(c[what]) == "") return "–"
    error = $(c[what "_error"])
    return sprintf("%." digits "f", $(c[what])) (error == "" ? "" : sprintf(" ± %." digits "f", error))
}
function number(what, digits) { return $(c[what]) == "" ? "–" : sprintf("%." digits "f", $(c[what])) }
{
    of_steps = $(c["steps"]) == "" || $(c["steps_to_dpo"]) == "" ? "–" : \
        number("steps_to_dpo", 0) " of " number("steps", 0)
    print "| " $1 ($(c["setting"]) == "" ? "" : " (" $(c["setting"]) ")") " | " $(c["seeds"]) " | " pm("gold", 2) " | " \
        ($1 == ref ? "–" : number("win_ref", 1) " / " number("lc_ref", 1)) " | " \
        ($1 == "dpo" ? "–" : pm("win_dpo", 1) " / " number("lc_dpo", 1)) " | " pm("kl", 1) " | " number("tokens", 0) " | " \
        number("ended", 0) " | " number("distinct_2", 3) " | " of_steps " | " number("seconds_to_dpo", 0) " | " \
        number("seconds", 0) ($(c["cache_seconds"]) == "" ? "" : " + " number("cache_seconds", 0)) " | " number("all_seconds", 0) " |"
}
