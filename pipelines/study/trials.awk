# trials.csv as a table in Markdown; the chosen ones in bold.
BEGIN { FS = ","; print "| trial | settings | gold | KL | tokens | ended, % | distinct-2 |\n|---|---|---|---|---|---|---|" }
FNR > 1 {
    printf "| %s | %s | %.2f ± %.2f | %.1f ± %.1f | %.0f | %.0f | %.3f |\n", ($10 ? "**" $1 "**" : $1), $2, $3, $4,
        $5, $6, $7, $8, $9
}
