# The sweep's table.csv for people: gold reward against KL, the reference first.
BEGIN { FS = "," }
FNR == 1 {
    printf "%-12s %8s %7s %8s %7s %8s %7s %9s\n", "model", "gold", "+-", "KL", "+-", "tokens", "ended", "seconds"
    next
}
{
    kl = $12 == "" ? 0 : $12
    printf "%-12s %8.2f %7.2f %8.1f %7.1f %8.1f %6.0f%% %9s\n", $1, $2, $3, kl, $13, $14, $15,
        $18 == "" ? "-" : $18
}
