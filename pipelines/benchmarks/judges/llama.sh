#!/bin/bash
# A judge in a local GGUF file: starts llama.cpp's server on it, asks through chat.sh, ends it.
#   llama.sh judge.gguf [options of llama-server]
# LLAMA_SERVER names the program (llama-server); JUDGE_PORT the port (8089).
set -u
here=$(dirname "$0") port=${JUDGE_PORT:-8089}
[ $# -ge 1 ] || { echo "llama.sh: give the judge's GGUF file" >&2; exit 2; }
[ -r "$1" ] || { echo "llama.sh: cannot read '$1'" >&2; exit 1; }
model=$1
shift
"${LLAMA_SERVER:-llama-server}" -m "$model" --host 127.0.0.1 --port "$port" "$@" >&2 </dev/null &
server=$!
trap 'kill $server 2>/dev/null; wait $server 2>/dev/null' EXIT
for _ in $(seq 600); do
    kill -0 $server 2>/dev/null || { echo "llama.sh: the server ended" >&2; exit 1; }
    curl -sf "http://127.0.0.1:$port/health" >/dev/null && break
    sleep 0.5
done
export JUDGE_URL="http://127.0.0.1:$port/v1" JUDGE_MODEL=${JUDGE_MODEL:-local}
"$here/chat.sh"
