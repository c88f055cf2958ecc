#!/bin/bash
# Runs the tests, one line each, and ends with "N passed, N failed, N skipped". `make test` calls it.
# From the environment: MODE, BUILD, ONLY (patterns; unit/options, cli/*, ...), AT_ONCE (tests that run at
# once, 2; most keep one CPU busy), BLESS, TEST_TIMEOUT, and REQUIRE_SHARED=1, which makes a skip for want of
# ../shared a failure where ../shared is there.
#
# unit/   cmocka programs; every one of their tests counts
# cli/ fault/ golden/ builds/   shell scripts: exit 0 passed, 77 skipped, all else failed. They run in the
#         repository's root with BIN, BUILD, MODE and TMP, an empty folder of their own. A line
#         "# limit: SECONDS" in one gives it more time than the rest
# builds/ the same by other compilers, machines and sanitizers: minutes each, so only with BUILDS=1 (the
#         continuous integration) or where ONLY names them
# fuzz/   a fuzz target fed with its stored inputs, tests/fuzz/NAME/*
cd "$(dirname "$0")/.." || exit 1
export MODE=${MODE:-release}
export BUILD=${BUILD:-build/$MODE}
export BIN=$BUILD/bin LC_ALL=C.UTF-8
case $MODE in release) limit=${TEST_TIMEOUT:-300} ;; *) limit=${TEST_TIMEOUT:-1200} ;; esac
passed=0 failed=0 skipped=0 # of one test
all_passed=0 all_failed=0 all_skipped=0 begun=0 ended=0
scratch=$(mktemp -d "${TMPDIR:-/tmp}/aligndistil-test.XXXXXX") || exit 1
# The scratch folder may hold folders that a test made read-only.
trap 'chmod -R u+rwx "$scratch"; rm -rf "$scratch"' EXIT
trap 'stop 130' INT
trap 'stop 143' TERM
stop() { # EXIT_CODE
    kill $(cat "$scratch"/*/pid) 2>/dev/null
    wait
    exit "$1"
}

report() { # WORD NAME [TEXT]
    printf '%-5s %-40s %6ss%s\n' "$1" "$2" "$seconds" "${3:+  $3}"
}

skip() { # NAME REASON
    if [ "${REQUIRE_SHARED:-0}" = 1 ] && [ -d ../shared ] && [[ $2 == *../shared* ]]; then
        failed=$((failed + 1))
        report FAIL "$1" "skipped although ../shared is there: $2"
    else
        skipped=$((skipped + 1))
        report skip "$1" "$2"
    fi
}

show() { # CODE: what a failed test printed
    tail -n 60 "$own/output" | sed 's/^/      | /'
    [ "$1" != 124 ] && [ "$1" != 137 ] || echo "      | killed after $limit seconds"
}

run() { # COMMAND...: sets code and seconds. Shells ignore SIGINT for what runs beside them; a test must not
    local start=$EPOCHREALTIME
    mkdir "$own/tmp"
    TMP=$own/tmp env --default-signal=INT,QUIT timeout -k 10 "$limit" "$@" >"$own/output" 2>&1 </dev/null &
    echo $! >"$own/pid"
    wait $!
    code=$?
    rm "$own/pid"
    seconds=$(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }')
    chmod -R u+rwx "$own/tmp"
    rm -rf "$own/tmp"
}

run_script() { # NAME COMMAND...
    local name=$1 reason
    shift
    reason=$(grep -a -m 1 -o '^# limit: [0-9]*' "${@: -1}") && limit=${reason#\# limit: }
    run "$@"
    case $code in
    0) passed=$((passed + 1)) && report ok "$name" ;;
    77)
        reason=$(grep -o 'SKIP: .*' "$own/output" | tail -n 1)
        skip "$name" "${reason:-$(tail -n 1 "$own/output")}"
        ;;
    *) failed=$((failed + 1)) && report FAIL "$name" "exit $code" && show $code ;;
    esac
}

# cmocka's own summary would look like ours, so it speaks TAP here. "not ok N # SKIP name" is a skip
# (its later versions say "ok").
run_unit() { # NAME PROGRAM
    local good bad plan line reason=
    run env CMOCKA_MESSAGE_OUTPUT=TAP "$2"
    good=$(grep '^ok ' "$own/output" | grep -vc '# SKIP')
    bad=$(grep '^not ok ' "$own/output" | grep -vc '# SKIP')
    plan=$(sed -n 's/^1\.\.//p' "$own/output" | awk '{ n += $1 } END { print n + 0 }')
    if [ $code != 0 ] || [ "$bad" != 0 ] || [ "$plan" = 0 ] ||
        [ "$(grep -cE '^(not )?ok ' "$own/output")" != "$plan" ]; then
        [ "$bad" != 0 ] || bad=1
        failed=$((failed + bad))
        report FAIL "$1" "$bad of $((good + bad)), exit $code"
        show $code
    elif [ "$good" != 0 ]; then
        report ok "$1" "$good tests"
    fi
    passed=$((passed + good))
    while read -r line; do
        case $line in
        *'SKIP: '*) reason="SKIP: ${line#*SKIP: }" ;;
        *) skip "$1" "${reason:-SKIP: no reason given} (${line##* })" && reason= ;;
        esac
    done < <(grep -E 'SKIP: |^(not )?ok .*# SKIP' "$own/output")
}

# begin run_script|run_unit NAME COMMAND...: beside the others, in a shell of its own and a folder $own of its
# own, where it leaves its report and its counts.
begin() {
    while [ "$(jobs -rp | wc -l)" -ge "${AT_ONCE:-2}" ]; do wait -n; done
    collect
    own=$scratch/$((++begun))
    mkdir "$own"
    {
        "$@" >"$own/report"
        echo "$passed $failed $skipped" >"$own/whole" && mv "$own/whole" "$own/counts"
    } &
}

collect() { # from those that have ended: shows their reports, adds their counts
    local counts p f s
    for counts in "$scratch"/*/counts; do
        [ -e "$counts" ] || return
        read -r p f s <"$counts"
        all_passed=$((all_passed + p)) all_failed=$((all_failed + f)) all_skipped=$((all_skipped + s))
        cat "${counts%counts}report"
        rm -r "${counts%/counts}"
        ended=$((ended + 1))
    done
}

wanted() { # NAME
    local only
    [ -n "$ONLY" ] || return 0
    set -f
    for only in $ONLY; do
        # shellcheck disable=SC2053
        [[ $1 == *$only* || $1 == $only ]] && break
        only=
    done
    set +f
    [ -n "$only" ]
}

wanted layers && begin run_script layers tests/check-layers.sh
for file in tests/unit/test_*.c; do
    base=$(basename "$file" .c)
    wanted "unit/${base#test_}" && begin run_unit "unit/${base#test_}" "$BUILD/unit/$base"
done
for file in tests/fuzz/*.c; do
    base=$(basename "$file" .c)
    [ -e "$file" ] && wanted "fuzz/$base" || continue
    inputs=("tests/fuzz/$base"/*)
    [ -e "${inputs[0]}" ] && begin run_script "fuzz/$base" "$BUILD/tests/fuzz/$base" "${inputs[@]}"
done
for file in tests/cli/*.sh tests/fault/*.sh tests/golden/*.sh tests/builds/*.sh; do
    name=${file#tests/}
    case $name in builds/*) [ "${BUILDS:-0}" = 1 ] || [[ $ONLY == builds* ]] || continue ;; esac
    [ -e "$file" ] && wanted "${name%.sh}" || continue
    if [ -x "$file" ]; then begin run_script "${name%.sh}" "$file"; else
        begin run_script "${name%.sh}" bash "$file"
    fi
done
wait
collect
[ $ended = $begun ] || { echo "$((begun - ended)) tests left no counts" && all_failed=$((all_failed + begun - ended)); }
[ $begun != 0 ] || { echo "no test matches '$ONLY'" && all_failed=1; }
echo "$all_passed passed, $all_failed failed, $all_skipped skipped"
[ $all_failed = 0 ]
