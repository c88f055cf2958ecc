# Completion of `aligndistil ...` in bash: stages, commands, options and choices, asked of the
# programs' own option tables (--describe words). Installed where bash-completion looks.
_aligndistil() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local command=("${COMP_WORDS[0]}") table word kind choices i
    table=$("${command[@]}" --describe words 2>/dev/null)
    for ((i = 1; i < COMP_CWORD; i++)); do # the names of a stage and a command
        word=${COMP_WORDS[i]}
        [ "$word" != help ] || continue
        grep -qxF -e "$word" <<<"$table" || break
        command+=("$word")
        table=$("${command[@]}" --describe words 2>/dev/null)
    done
    COMPREPLY=()
    if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(sed -n 's/^\(--[^ ]*\).*/\1/p' <<<"$table")" -- "$current")
        return
    fi
    read -r word kind choices < <(grep -e "^$previous " <<<"$table")
    if [ -n "$choices" ]; then
        mapfile -t COMPREPLY < <(compgen -W "${choices//|/ }" -- "$current")
    elif [ "$kind" != value ] && [ "$kind" != list ]; then
        mapfile -t COMPREPLY < <(compgen -W "$(grep -v '^-' <<<"$table")" -- "$current")
    fi # none: files, by -o default
}
complete -o default -F _aligndistil aligndistil
