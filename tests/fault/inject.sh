#!/bin/bash
# limit: 14400
# Every command with its n-th open, read, write, fsync, rename, allocation or thread failing, or killed
# there; stages.bash says what must hold, campaign.c how it is done. FAULTS=sites tries every call that
# touches files and every call site that allocates, FAULTS=all every call, else FAULTS of each kind
# (3), spread over the calls from a random one on. KINDS="read write" picks. AT_ONCE commands at a time (1).
INJECT_LIBRARY=$(realpath "$BUILD")/tests/fault/inject.so
campaign=$(realpath "$BUILD")/tests/fault/campaign
. tests/lib.bash
[ -e "$INJECT_LIBRARY" ] || skip 'no injection library is built'
case $MODE in release) ;; *) skip 'a sanitizer has its own malloc' ;; esac
export INJECT_LIBRARY
ROWS=${ROWS:-6}
mkdir world
cd world || exit 1
. "$root/tests/fault/stages.bash"
export DISTURB_SEED=$seed
echo "DISTURB_SEED=$seed"

one() { # NAME: its campaign, in a folder of its own
    cp -r world "$1"
    cd "$1" || return
    # shellcheck disable=SC2086
    "$campaign" "$1" "${FAULTS:-3}" ../seen "$bin"/${stages[$1]} >../"$1.report" 2>&1 ||
        echo "$1: exit $?" >>../"$1.report"
    cd .. && rm -rf "$1"
}
cd .. || exit 1
printf "%-18s$(printf ' %%7s%.0s' {1..15})\n" command open read write fsync rename unlink malloc inside thread \
    faults done failed killed lost wrong
running=0
for name in $COMMANDS; do
    one "$name" &
    running=$((running + 1))
    [ $running -lt "${AT_ONCE:-1}" ] || { wait -n; running=$((running - 1)); }
done
wait
for name in $COMMANDS; do
    [ -s "$name.report" ] || echo "$name: no report" >"$name.report"
    grep -E "^$name( +[0-9]+){15}$" "$name.report" || echo "$name" >>unfinished
    grep -vE "^$name( +[0-9]+){15}$" "$name.report" >>wrong
done
[ ! -s wrong ] || fail "$(head -n 40 wrong)"
[ ! -s unfinished ] || fail "no end of: $(cat unfinished)"
grep -hE '^[a-z-]+( +[0-9]+){15}$' ./*.report | awk '{ n++; for (i = 2; i <= 16; i++) s[i] += $i }
    END { printf "%-18s", "all"; for (i = 2; i <= 16; i++) printf " %7d", s[i]
          printf "\n%d commands, %d faults: %d done all the same, %d failed in one line, %d killed, %d lost inside libhdf5; %d wrong\n",
              n, s[11], s[12], s[13], s[14], s[15], s[16] }'
finish
