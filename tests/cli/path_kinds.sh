#!/bin/bash
# What kind of thing a path is: outputs are files or nothing at all yet; inputs that are pipes are
# read where a stream makes sense and refused by name where not; no open or read is deaf to SIGTERM.
. tests/lib.bash
world 12
mkfifo fifo fifo.csv fifo.jsonl
mkdir folder
ln -s fifo link.h5
made=yes
[ "$(id -u)" = 0 ] && mknod null.dev c 1 3 2>/dev/null && : >null.dev 2>/dev/null || made=

# ends command...: it waits, and SIGTERM ends it within seconds: by exit 75 and one more line, or,
# where nothing is to be saved, by the signal
ends() {
    "$@" >out 2>err <&0 &
    local pid=$! waited=0 code
    sleep 0.6
    kill -0 $pid 2>/dev/null || fail "does not wait: $*: $(cat err)"
    kill -TERM $pid 2>/dev/null
    while kill -0 $pid 2>/dev/null && [ $waited -lt 50 ]; do
        sleep 0.1
        waited=$((waited + 1))
    done
    [ $waited -lt 50 ] || { kill -KILL $pid && fail "deaf to SIGTERM: $*"; }
    wait $pid
    code=$?
    [ $code = 75 ] || [ $code = 143 ] || fail "exit $code after SIGTERM: $*: $(cat err)"
}

train="$bin/sft -q --model base.h5 --data sft-data.h5 --steps 1 --batch-size 4 --unit-tokens 256"
for output in fifo link.h5 folder ${made:+null.dev}; do
    kind='it is a'
    expect 1 "$kind" timeout 20 $train -o $output
    expect 1 "$kind" timeout 20 "$bin/tokenize" -q --model base.h5 --kind sft --input sft.csv -o $output
    expect 1 "$kind" timeout 20 "$bin/shard" merge -o $output sft-data.h5
    expect 1 "$kind" timeout 20 "$bin/generate" -q --model base.h5 --data prompts.h5 --max-new 2 -o $output
done
expect 1 'is a FIFO or pipe' timeout 20 "$bin/export" -q --model base.h5 -o fifo
[ -z "$made" ] || expect 1 'is a device' timeout 20 "$bin/export" -q --model base.h5 -o null.dev
expect 1 'is a FIFO or pipe' timeout 20 "$bin/aligndistil" eval nll --model base.h5 --data sft-data.h5 -o fifo.csv
expect 1 'is a FIFO or pipe' timeout 20 $train --log fifo.csv -o x.h5
expect 1 'is a FIFO or pipe' timeout 20 "$bin/generate" -q --model base.h5 --data prompts.h5 --max-new 2 \
    -o x.h5 --text fifo.jsonl
quiet "$bin/sft" -q --model base.h5 --data sft-data.h5 --steps 1 --lora-rank 2 -o lora.h5
for output in fifo ${made:+null.dev}; do
    expect 1 "$kind" timeout 20 "$bin/export" -q --model base.h5 --format gguf -o $output
    for format in gguf-lora peft; do
        expect 1 "$kind" timeout 20 "$bin/export" -q --model lora.h5 --base-model base.h5 --format $format -o $output
    done
    expect 1 "$kind" timeout 20 "$bin/merge" -q --model base.h5 --adapter lora.h5 -o $output
    expect 1 "$kind" timeout 20 "$bin/aligndistil" eval score --scorer cat --input sft.csv --verdicts $output
done
[ -p fifo ] && [ -p fifo.csv ] && [ -p fifo.jsonl ] && [ -d folder ] || fail "something took their place"
[ -z "$made" ] || [ -c null.dev ] || fail "a file took the device's place"

# inputs: a container is read from disk, text from anywhere
expect 3 'FIFO or pipe' timeout 20 "$bin/sft" -q --model fifo --data sft-data.h5 -o x.h5
expect 3 'FIFO or pipe' timeout 20 "$bin/sft" -q --model base.h5 --data fifo -o x.h5
expect 3 'FIFO or pipe' timeout 20 "$bin/shard" check fifo
expect 3 'a folder' timeout 20 "$bin/shard" check folder
expect 3 'a directory' timeout 20 "$bin/tokenize" -q --model base.h5 --kind sft --input folder -o x.h5
if command -v python3 >/dev/null; then
    python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("socket")'
    expect 3 'a socket' timeout 20 "$bin/shard" check socket
    expect 3 'a socket' timeout 20 "$bin/tokenize" -q --model base.h5 --kind sft --input socket -o x.h5
    expect 1 'a socket' timeout 20 $train -o socket
fi
mkdir hf
cp config.json hf
mkfifo hf/model.safetensors
expect 3 'FIFO or pipe' timeout 20 "$bin/import" -q --hf hf --tokenizer tok.json -o x.h5
(cat sft.csv >fifo) &
quiet "$bin/tokenize" -q --model base.h5 --kind sft --input fifo -o streamed.h5
wait $!
same streamed.h5 sft-data.h5 'a FIFO as input'
quiet "$bin/import" -q --init <(cat config.json) --tokenizer <(cat tok.json) --seed 1 -o piped.h5
same piped.h5 base.h5 'pipes as configuration'

# every wait ends
ends "$bin/tokenize" -q --model base.h5 --kind sft --input fifo -o x.h5
ends "$bin/import" -q --init fifo --tokenizer tok.json -o x.h5
ends "$bin/shard" check - < <(sleep 20)
ends "$bin/sft" -q --model base.h5 --data - --steps 1 -o x.h5 < <(sleep 20)
ends "$bin/dpo-train" -q --model base.h5 --data - --steps 1 -o x.h5 < <(sleep 20)
ends "$bin/generate" -q --model base.h5 --data - -o x.h5 < <(sleep 20)
ends "$bin/distill" -q --model base.h5 --teacher - --steps 1 -o x.h5 < <(sleep 20)
ends "$bin/generate" -q --model base.h5 --input fifo -o x.h5
ends "$bin/aligndistil" eval score --scorer 'cat' --input fifo
[ ! -e x.h5 ] || fail "x.h5 was made"
finish
