#!/bin/bash
# limit: 14400
# Every stage with its n-th open, read, write, fsync, rename, allocation or thread failing, or killed
# there (inject/inject.c); stages.bash says what must hold. FAULTS=all tries every n, else FAULTS of each
# kind (3), spread over the calls from a random one on. KINDS="read write" picks.
inject=$PWD/$BUILD/tests/fault/inject.so
. tests/lib.bash
[ -e "$inject" ] || skip 'no injection library is built'
case $MODE in release) ;; *) skip 'a sanitizer has its own malloc' ;; esac
. "$root/tests/fault/stages.bash"
budget=${FAULTS:-3}
offset=$seed
echo "DISTURB_SEED=$seed"

with() { # INJECT NAME: the stage with that fault
    # shellcheck disable=SC2086
    (INJECT=$1 LD_PRELOAD=$inject exec "$bin"/${stages[$2]}) >out 2>err </dev/null
}
each() { # NAME KIND CALLS WHAT...: that kind of call, every n or a sample
    local name=$1 kind=$2 calls=$3 step=1 n what
    shift 3
    [[ " ${KINDS:-$kinds} " == *" $kind "* ]] || return
    [ "$budget" = all ] || step=$(((calls + budget - 1) / budget))
    for what in "$@"; do
        offset=$((offset + 7))
        for ((n = 1 + offset % (step > 0 ? step : 1); n <= calls; n += step)); do
            rm -rf o
            mkdir o
            with "$kind:$n:$what" "$name" 2>/dev/null
            code=$?
            tried=$((tried + 1))
            judge "$name" $code "$kind $n of $calls, $what" "$kind"
        done
    done
}
kinds='open read write fsync rename unlink malloc inside thread'
# shellcheck disable=SC2086
printf "%-18s$(printf ' %%7s%.0s' $kinds)\n" stage $kinds
for name in $STAGES; do
    prepare "$name" || continue
    rm -rf o && mkdir o
    INJECT_COUNT=$PWD/count LD_PRELOAD=$inject run_stage "$name"
    declare -A calls=()
    while read -r kind n; do calls[$kind]=$n; done <count
    printf '%-18s' "$name"
    for kind in $kinds; do printf ' %7d' "${calls[$kind]}"; done
    echo
    each "$name" open "${calls[open]}" 24            # EMFILE
    each "$name" read "${calls[read]}" 5 116         # EIO, ESTALE
    each "$name" write "${calls[write]}" 5 28+ kill  # EIO, ENOSPC from there on
    each "$name" fsync "${calls[fsync]}" 5 kill
    each "$name" rename "${calls[rename]}" 5 kill
    each "$name" unlink "${calls[unlink]}" kill
    each "$name" malloc "${calls[malloc]}" 12 12+    # ENOMEM
    each "$name" inside "${calls[inside]}" 12
    each "$name" thread "${calls[thread]}" 11        # EAGAIN
done
echo "$(wc -w <<<"$STAGES") stages, $tried faults: ${outcomes[done]:-0} done all the same," \
    "${outcomes[failed]:-0} failed in one line, ${outcomes[killed]:-0} killed," \
    "${outcomes[hdf5]:-0} lost inside libhdf5; $problems wrong"
finish
