#!/bin/bash
# A judge behind any server that speaks the usual chat protocol: requests come in as lines of JSON,
# the server's responses go out, one per line, in order. JUDGE_URL (up to /v1), JUDGE_MODEL; a key in
# JUDGE_KEY is given to curl through a file descriptor, so that it is in no list of processes and no
# log. JUDGE_PARALLEL requests at once (8), each tried JUDGE_TRIES times (5). Needs curl and jq.
set -u
: "${JUDGE_URL:?the address of the server, as http://localhost:8080/v1}" "${JUDGE_MODEL:?the name of the model}"
tries=${JUDGE_TRIES:-5} parallel=${JUDGE_PARALLEL:-8}
for tool in curl jq; do
    command -v $tool >/dev/null || { echo "chat.sh: needs $tool" >&2; exit 1; }
done
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT

ask() { # FILE: the request's own fields -> FILE.reply
    local attempt
    for attempt in $(seq "$tries"); do
        jq -c '{model: env.JUDGE_MODEL} + del(.about)' "$1" |
            curl -sS --fail-with-body --max-time "${JUDGE_SECONDS:-300}" \
                "$JUDGE_URL/chat/completions" -H 'Content-Type: application/json' \
                -H @<(printf 'Authorization: Bearer %s\n' "${JUDGE_KEY:-none}") -d @- \
                >"$1.answer" 2>"$1.error" &&
            jq -ce 'select(.choices[0].message)' "$1.answer" >"$1.reply" && return
        [ "$attempt" = "$tries" ] || sleep $((attempt * attempt))
    done
    echo "chat.sh: no reply after $tries tries: $(head -c 300 "$1.error" "$1.answer" | tr '\n' ' ')" >&2
    return 1
}

asked=0 printed=0
print_next() { # waits for the oldest request
    wait "${pid[printed]}" || exit 1
    cat "$folder/$printed.reply"
    rm -f "$folder/$printed".* "$folder/$printed"
    printed=$((printed + 1))
}
while IFS= read -r line; do
    printf '%s\n' "$line" >"$folder/$asked"
    ask "$folder/$asked" &
    pid[asked]=$!
    asked=$((asked + 1))
    [ $((asked - printed)) -lt "$parallel" ] || print_next
done
while [ $printed -lt $asked ]; do print_next; done
