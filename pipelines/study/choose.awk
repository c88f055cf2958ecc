# The choice among a method's candidates: of those whose gold reward on validation prompts is within
# one standard error (the best one's) of the best, the one with the least KL to the reference. Input:
# trials as CSV (see seed.mk); output: the chosen one's name.
BEGIN { FS = "," }
FNR > 1 && $3 != "" {
    n++
    name[n] = $1
    gold[n] = $3
    kl[n] = $5
    if (!best || gold[n] > gold[best]) { best = n; error = $4 }
}
END {
    for (i = 1; i <= n; i++)
        if (gold[i] >= gold[best] - error && (!chosen || kl[i] < kl[chosen])) chosen = i
    if (!chosen) exit 1
    print name[chosen]
}
