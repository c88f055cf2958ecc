# table.csv for people: -v ref=NAME of the reference; errors are standard errors.
function pm(value, error, digits) {
    if (value == "") return "-"
    return sprintf("%." digits "f±%." digits "f", value, error)
}
function cell(text, width,    s) { # ± is one column wide, whatever awk thinks of bytes
    s = text
    gsub(/±/, "+", s)
    return sprintf("%" (width - length(s)) "s%s", "", text)
}
BEGIN { FS = ","; widths = "11 11 11 11 11 11 12 8 7 12 7 9 8" }
FNR == 1 {
    split("gold|win " ref "|LC " ref "|win dpo|LC dpo|KL to " ref "|tokens|ended|distinct-2|steps|seconds|in all",
        head, "|")
    split(widths, w, " ")
    line = sprintf("%-11s", "model")
    for (i = 1; i <= 12; i++) line = line cell(head[i], w[i + 1])
    print line
    next
}
{
    self_ref = $1 == ref
    self_dpo = $1 == "dpo"
    line = sprintf("%-11s", $1) cell(pm($2, $3, 2), w[2])
    line = line cell(self_ref ? "-" : pm($4, $5, 1), w[3]) cell(self_ref ? "-" : pm($6, $7, 1), w[4])
    line = line cell(self_dpo ? "-" : pm($8, $9, 1), w[5]) cell(self_dpo ? "-" : pm($10, $11, 1), w[6])
    line = line cell(self_ref ? "0" : pm($12, $13, 1), w[7]) cell(sprintf("%.1f", $14), w[8])
    line = line cell(sprintf("%.0f%%", $15), w[9]) cell(sprintf("%.3f", $16), w[10])
    print line cell($17 == "" ? "-" : $17, w[11]) cell($18 == "" ? "-" : $18, w[12]) cell($19 == "" ? "-" : sprintf("%.1f", $19), w[13])
}
