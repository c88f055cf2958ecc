# RESULTS.md again from FINDINGS.md, the sections that studies have made here (results.md files) and, of studies
# that are not here, the sections that RESULTS.md has already. A section begins with "## TITLE", an empty line and
# "Made by"; they follow in the order of their titles. Files: FINDINGS.md, RESULTS.md, results.md...
FNR == 1 { file++; title = ""; held = "" }
file == 1 { print; next }
/^## / { held = $0 "\n"; title = ""; next } # the findings have headings of their own
held != "" && /^$/ { held = held "\n"; next }
held != "" && /^Made by / { title = substr(held, 4, index(held, "\n") - 4); section[title] = held }
{ held = "" }
title != "" { section[title] = section[title] $0 "\n" }
END {
    for (t in section) name[++n] = t
    for (i = 2; i <= n; i++)
        for (j = i; j > 1 && name[j] < name[j - 1]; j--) { t = name[j]; name[j] = name[j - 1]; name[j - 1] = t }
    for (i = 1; i <= n; i++) printf "%s", section[name[i]]
}
