#!/bin/bash
# What every program's command line has in common, whatever stages are built.
set -u
problems=0
expect() { # CODE TEXT COMMAND...: exit code, one line on stderr that holds TEXT, empty stdout
    local code=$1 text=$2 got
    shift 2
    "$@" >"$TMP/out" 2>"$TMP/err" </dev/null
    got=$?
    if [ $got != "$code" ] || [ "$(wc -l <"$TMP/err")" != 1 ] || [ -s "$TMP/out" ] ||
        ! grep -qF -- "$text" "$TMP/err"; then
        echo "'$*': exit $got, not $code with '$text':"
        head -n 5 "$TMP/out" "$TMP/err"
        problems=1
    fi
}

programs=()
for name in import tokenize sft dpo-train teacher-dump distill generate export; do
    [ ! -x "$BIN/$name" ] || programs+=("$name")
done
[ ${#programs[@]} != 0 ] || { echo "SKIP: no stage is built"; exit 77; }

for name in "${programs[@]}"; do
    program=$BIN/$name
    "$program" --help >"$TMP/out" 2>"$TMP/err" || { echo "$name --help failed"; problems=1; }
    [ ! -s "$TMP/err" ] || { echo "$name --help prints on stderr"; problems=1; }
    for option in config help version seed threads progress dry-run force no-clobber quiet verbose; do
        grep -q -- "--$option\b" "$TMP/out" || { echo "$name --help lacks --$option"; problems=1; }
    done
    case $name in sft | dpo-train | distill) want=1 ;; *) want=0 ;; esac # steps to log
    [ "$(grep -c -- '^  --log FILE' "$TMP/out")" = $want ] || { echo "$name --help: --log"; problems=1; }
    [ "$(sed -n '/^In every stage:/,$p' "$TMP/out" | grep -c '^  -')" = 11 ] ||
        { echo "$name --help does not end in the shared options"; problems=1; }
    "$program" --version | grep -q "^$name (aligndistil) [0-9]" || { echo "$name --version"; problems=1; }
    expect 2 "$name: unknown option '--thread'; did you mean '--threads'?" "$program" --thread 3
    expect 2 "unknown option '--qqqqqqqq'; see --help" "$program" --qqqqqqqq
    expect 2 "'--threads 2x' is not a whole number; give one from 0 to 4096" "$program" --threads 2x
    expect 2 "'--seed -1' is out of range" "$program" --seed -1
    expect 2 "'--progress never mind'" "$program" --progress 'never mind'
    expect 2 "option '--seed' needs a value" "$program" --seed
    printf '# the run\nseed = 1\nsead = 2\n' >"$TMP/run.conf"
    expect 2 "'$TMP/run.conf' line 3: unknown option 'sead'; did you mean 'seed'?" \
        "$program" --config "$TMP/run.conf"
    expect 2 "cannot open '$TMP/none.conf': No such file" "$program" --config "$TMP/none.conf"
    expect 2 "missing" "$program"
    expect 1 "cannot write to 'stdout': No space left" bash -c '"$0" --help >/dev/full' "$program"
    { "$program" --help 2>"$TMP/err"; echo $? >"$TMP/code"; } | true # its reader is gone
    case $(cat "$TMP/code") in 0 | 141) ;; *) echo "$name, a closed pipe: exit $(cat "$TMP/code")"; problems=1 ;; esac
    [ ! -s "$TMP/err" ] || { echo "$name, a closed pipe: $(cat "$TMP/err")"; problems=1; }
    expect 1 "cannot write to 'stdout': Bad file descriptor" bash -c '"$0" --help >&-' "$program"
done
exit $problems
