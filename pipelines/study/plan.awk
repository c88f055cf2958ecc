# A methods file (methods.txt tells what it looks like) as code for make:
#   NAMES, stage_NAME, candidates_NAME (NAME.1 NAME.2 ...), spec_NAME.I: stage and options
function complain(what) {
    printf "$(error '%s' line %d: %s)\n", FILENAME, FNR, what
    exit
}
/^[ \t]*(#|$)/ { next }
{
    n = split($0, half, /[ \t]+:[ \t]+/)
    if (n > 2) complain("more than one ' : '")
    split(half[1], word, " ")
    name = word[1]
    stage = word[2]
    if (name !~ /^[a-z][a-z0-9-]*$/) complain("'" name "' is no name; take a-z, 0-9 and -")
    if (name in seen || name ~ /^(base|sft|teacher|reverse)$/) complain("the name '" name "' is taken")
    if (stage !~ /^(sft|dpo-train|distill|on-policy|group-reward|group-dpo|group-gold|rounds|teacher)$/) complain("no stage '" stage "'")
    seen[name] = 1
    options = half[1]
    sub(/^[ \t]*[^ \t]+[ \t]+/, "", options)
    if (half[2] ~ /^[A-Z]+$/ && !(half[2] in ENVIRON)) complain("no candidates '" half[2] "' are set")
    if (half[2] ~ /^[A-Z]+$/) half[2] = ENVIRON[half[2]]
    k = split(n == 2 ? half[2] : "", candidate, /[ \t]*\|[ \t]*/)
    if (!k) candidate[k = 1] = ""
    print "NAMES += " name "\nstage_" name " := " stage
    for (i = 1; i <= k; i++) {
        text = options " " candidate[i]
        gsub(/[ \t]+/, " ", text)
        sub(/ $/, "", text)
        print "candidates_" name " += " name "." i "\nspec_" name "." i " := " text
    }
}
