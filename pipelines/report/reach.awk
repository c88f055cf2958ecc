# When models reach what a preference training ends with, and what they are worth at its KL, from
# curves on validation prompts (see curve.sh), the reference at step 0: -v target=CURVE of dpo,
# -v seed=N; other files: curves, MODEL.csv each. Rows: seed, target, its steps, gold and KL; model, its
# steps, the first measured step with that gold (empty: none), gold at that KL on the line between two
# measured points (empty: the curve has no such KL).
BEGIN {
    FS = OFS = ","
    while ((getline line < target) > 0) {
        split(line, field, ",")
        steps = field[1]; gold = field[2]; kl = field[4]
    }
    base = target
    sub(/.*\//, "", base)
    sub(/\.csv$/, "", base)
}
function flush() {
    if (model != "") print seed, base, steps, gold, kl, model, last, reached, at_kl
    model = FILENAME
    sub(/.*\//, "", model)
    sub(/\.csv$/, "", model)
    last = reached = at_kl = before = ""
}
FNR == 1 { flush(); next }
{
    if (reached == "" && $1 > 0 && $2 >= gold) reached = $1
    if (at_kl == "" && before != "" && before <= kl && $4 >= kl)
        at_kl = $4 > before ? gold_before + ($2 - gold_before) * (kl - before) / ($4 - before) : $2
    before = $4; gold_before = $2; last = $1
}
END { flush() }
