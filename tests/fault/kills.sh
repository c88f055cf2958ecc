#!/bin/bash
# limit: 14400
# Every stage killed (SIGKILL) at a random moment, KILLS times over all (40); stages.bash says what must
# hold.
. tests/lib.bash
. "$root/tests/fault/stages.bash"
kills=${KILLS:-40}
total=$(wc -w <<<"$COMMANDS")
echo "DISTURB_SEED=$seed"
tried=0 at=0
for name in $COMMANDS; do
    prepare "$name" || continue
    rm -rf o && mkdir o
    seconds run_stage "$name"
    at=$((at + 1))
    for ((; tried < kills * at / total; tried++)); do
        rm -rf o
        mkdir o
        pick "$(awk -v t="$took" 'BEGIN { print t / 12 }')" "$(awk -v t="$took" 'BEGIN { print t * 1.2 }')"
        # shellcheck disable=SC2086
        "$bin"/${stages[$name]} >out 2>err </dev/null &
        pid=$!
        sleep "$picked"
        kill -KILL $pid 2>/dev/null
        wait $pid 2>/dev/null
        judge "$name" $? "killed after $picked s" kill
    done
done 2>/dev/null
echo "$total stages, $tried kills: ${outcomes[killed]:-0} killed, ${outcomes[done]:-0} done before;" \
    "$problems wrong"
finish
