# Rows of reach.awk over several seeds as a table in Markdown: for each preference training and each model
# the step at which it has that training's final gold reward, its gold reward at that KL, by seed.
BEGIN { FS = "," }
FNR == 1 { next }
{
    if (!($1 in seen)) { seen[$1] = 1; seed[++seeds] = $1 }
    if (!($2 in target)) { target[$2] = 1; targets[++n_targets] = $2 }
    if (!($6 in model)) { model[$6] = 1; models[++n] = $6 }
    end[$2, $1] = sprintf("%.2f at KL %.1f", $4, $5)
    last[$2] = $3
    steps[$6] = $7
    reached[$2, $6, $1] = $8 == "" ? "–" : $8
    gold[$2, $6, $1] = $9 == "" ? "–" : sprintf("%.2f", $9)
}
function row(of, a, b,    i, line) {
    for (i = 1; i <= seeds; i++) line = line (i > 1 ? ", " : "") of[a, b, seed[i]]
    return line
}
END {
    for (t = 1; t <= n_targets; t++) {
        a = targets[t]
        line = ""
        for (i = 1; i <= seeds; i++) line = line (i > 1 ? "; " : "") end[a, seed[i]]
        printf "\nThe final gold reward of %s, after %d steps (seeds %s): %s.\n\n", a, last[a], list(), line
        print "| model | steps in all | has it at step | gold at that KL |"
        print "|---|---|---|---|"
        for (m = 1; m <= n; m++)
            printf "| %s | %s | %s | %s |\n", models[m], steps[models[m]], row(reached, a, models[m]), row(gold, a, models[m])
    }
}
function list(    i, line) {
    for (i = 1; i <= seeds; i++) line = line (i > 1 ? ", " : "") seed[i]
    return line
}
