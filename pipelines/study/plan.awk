# A methods file (methods.txt tells what it looks like) as code for make:
#   NAMES, stage_NAME, candidates_NAME (NAME.1 NAME.2 ...), spec_NAME.I: stage and options;
#   from_NAME, teachers_NAME: the methods that its --from and --teachers name
function complain(what) {
    printf "$(error '%s' line %d: %s)\n", FILENAME, FNR, what
    exit
}
function named(option,    i) { # what an option of this line says, a method of a line above
    for (i = 3; i < words; i++)
        if (word[i] == option) {
            if (!(word[i + 1] in seen)) complain("no method '" word[i + 1] "' stands above")
            if (option == "--teachers" && seen[word[i + 1]] != "dpo-train")
                complain("'" word[i + 1] "' is no dpo-train, which has a reverse")
            return word[i + 1]
        }
    return ""
}
function variable(text,    part, i, n, list) { # a word in capitals, perhaps times a factor
    split(text, part, /[ \t]*\*[ \t]*/)
    if (!(part[1] in ENVIRON)) complain("no candidates '" part[1] "' are set")
    n = split(ENVIRON[part[1]], list, /[ \t]+/)
    text = ""
    for (i = 1; i <= n; i++) {
        if (part[2] && list[i - 1] == "--lr") list[i] = sprintf("%g", list[i] * part[2])
        text = text " " list[i]
    }
    return substr(text, 2)
}
/^[ \t]*(#|$)/ { next }
{
    n = split($0, half, /[ \t]+:[ \t]+/)
    if (n > 2) complain("more than one ' : '")
    words = split(half[1], word, " ")
    name = word[1]
    stage = word[2]
    if (name !~ /^[a-z][a-z0-9-]*$/) complain("'" name "' is no name; take a-z, 0-9 and -")
    if (name in seen || name ~ /^(base|sft|teacher|reverse|reference)$/) complain("the name '" name "' is taken")
    if (stage !~ /^(sft|sft-corpus|dpo-train|distill|on-policy|group-reward|group-dpo|group-gold|rounds|teacher)$/) complain("no stage '" stage "'")
    from = named("--from")
    teachers = named("--teachers")
    if (teachers && begun[teachers] != from) complain("'" teachers "' is not trained from what '" name "' is")
    seen[name] = stage
    begun[name] = from
    options = half[1]
    sub(/^[ \t]*[^ \t]+[ \t]+/, "", options)
    if (half[2] ~ /^[A-Z]+([ \t]*\*[ \t]*[0-9.]+)?$/) half[2] = variable(half[2])
    k = split(n == 2 ? half[2] : "", candidate, /[ \t]*\|[ \t]*/)
    if (!k) candidate[k = 1] = ""
    print "NAMES += " name "\nstage_" name " := " stage "\nfrom_" name " := " from "\nteachers_" name " := " teachers
    for (i = 1; i <= k; i++) {
        text = options " " candidate[i]
        gsub(/[ \t]+/, " ", text)
        sub(/ $/, "", text)
        print "candidates_" name " += " name "." i "\nspec_" name "." i " := " text
    }
}
