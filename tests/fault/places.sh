#!/bin/bash
# Places that take no more: full disks, folders that are not there, a closed or full stdout. One
# line, exit 1, nothing under the final name, what was there stays, and with room again it continues.
# And two signals, of which the second ends a program at once.
. tests/lib.bash
world 200
teachers
quiet "$bin/teacher-dump" -q --dpo dpo.h5 --reverse reverse.h5 --ref sft.h5 --data pairs.h5 -o t.h5
declare -A stages=(
    [import]="import -q --init config.json --tokenizer tok.json --seed 2"
    [tokenize]="tokenize -q --model base.h5 --kind sft --input sft.csv"
    [sft]="sft -q --model base.h5 --data sft-data.h5 --batch-size 32 --unit-tokens 256 --checkpoint-every 2"
    [dpo-train]="dpo-train -q --model sft.h5 --data pairs.h5 --batch-size 32 --unit-tokens 256"
    [teacher-dump]="teacher-dump -q --dpo dpo.h5 --reverse reverse.h5 --ref sft.h5 --data pairs.h5"
    [distill]="distill -q --model sft.h5 --teacher t.h5 --batch-size 32 --unit-tokens 256"
    [generate]="generate -q --model sft.h5 --data prompts.h5 --max-new 8"
    [merge]="shard merge t.h5"
)
mkdir disk
full() { # HOW command...: a full disk at disk/; precious stays, nothing else with a final name
    local how=$1
    shift
    [ "$(wc -l <err)" = 1 ] || fail "$how: not one line from $*: $(head -n 5 err)"
    grep -qi 'no space left\|file too large' err || fail "$how: $* says $(cat err)"
    cmp -s disk/x.h5 - <<<precious || fail "$how: the former file of $* is lost"
    ls -A disk | grep -v -x -e x.h5 -e 'x\.h5\.\(ckpt\|spool\|reference\.h5\|reference\.h5\.spool\)' &&
        fail "$how: left behind by $*"
}
mounted=
mkdir small && mount -t tmpfs -o size=64k none small 2>/dev/null && mounted=1
[ -z "$mounted" ] || trap 'umount small' EXIT
for name in "${!stages[@]}"; do
    command="$bin/${stages[$name]}"
    quiet $command -o want.h5
    for blocks in 1 12; do # of 1024 bytes
        rm -f disk/*
        echo precious >disk/x.h5
        (ulimit -f $blocks; exec $command -o disk/x.h5) >out 2>err </dev/null
        code=$?
        [ $code = 1 ] && full "a limit of $blocks KiB" $command || {
            [ $code = 1 ] || cmp -s disk/x.h5 want.h5 || fail "exit $code with $blocks KiB: $command: $(cat err)"
        }
    done
    $command -o disk/x.h5 >out 2>err </dev/null || fail "with room again: exit $?: $command: $(cat err)"
    same disk/x.h5 want.h5 "$name with room again"
    if [ -n "$mounted" ]; then
        rm -rf small/*
        echo precious >small/x.h5
        head -c 52000 /dev/zero >small/ballast
        $command -o small/x.h5 >out 2>err </dev/null
        [ $? = 1 ] || fail "a full disk: exit $?, not 1: $command"
        [ "$(wc -l <err)" = 1 ] && grep -q 'No space left' err || fail "a full disk: $command: $(cat err)"
        cmp -s small/x.h5 - <<<precious || fail "a full disk: the former file of $command is lost"
        ls -A small | grep -e '^\.' -e tmp- && fail "a full disk: left behind by $command"
    fi
    expect 1 "cannot write 'none/x.h5.*': No such file or directory" $command -o none/x.h5
    expect 1 "cannot write 'tok.json/x.h5.*': Not a directory" $command -o tok.json/x.h5
    expect 1 "cannot write 'disk': it is a folder" $command -o disk
    ls -A | grep '^disk\.' && fail "work before the output was looked at: $command"
    # stdout: what is whole stays in its file, and is found there by the next run
    for where in '>&-' '>/dev/full'; do
        rm -f y.h5*
        eval "$command -o y.h5 $where 2>err </dev/null"
        [ $? = 1 ] || fail "stdout $where: not exit 1: $command"
        [ "$(wc -l <err)" = 1 ] && grep -q "cannot write to 'stdout'" err || fail "$where: $command: $(cat err)"
        same y.h5 want.h5 "stdout $where of $name"
        eval "$command -o y.h5 $where 2>err </dev/null"
        [ $? = 1 ] || fail "stdout $where, up to date: not exit 1: $command"
        [ "$(wc -l <err)" = 1 ] || fail "$where, up to date: $command: $(cat err)"
    done
done
# folders and files that may not be written or read; root may all, unless it gives that up
humble=
[ "$(id -u)" != 0 ] || humble="setpriv --bounding-set -dac_override,-dac_read_search"
mkdir -m 555 closed
cp base.h5 secret.h5
chmod 000 secret.h5
if $humble test ! -w closed 2>/dev/null && $humble test ! -r secret.h5; then
    expect 1 "cannot write 'closed/x.h5': Permission denied" $humble $bin/${stages[sft]} -o closed/x.h5
    expect 1 "cannot write 'closed/x.h5" $humble $bin/${stages[dpo-train]} -o closed/x.h5
    expect 3 "cannot open 'secret.h5': Permission denied" $humble "$bin/sft" -q --model secret.h5 \
        --data sft-data.h5 -o z.h5
else
    echo 'note: no folder is closed to this user'
fi

# the log of a run
expect 1 "'none/log.csv'" $bin/${stages[sft]} -o z.h5 --log none/log.csv
rm -f z.h5*
ln -s /dev/full full.csv
expect 1 "cannot write 'full.csv': No space left" $bin/${stages[sft]} -o z.h5 --log full.csv

# two signals
for try in 1 2 3 4 5 6 7 8; do
    rm -f z.h5*
    $bin/${stages[sft]} --epochs 400 -o z.h5 --log log.csv >out 2>err </dev/null &
    pid=$!
    for wait in $(seq 100); do [ -s log.csv ] && break || sleep 0.05; done
    kill -INT $pid
    kill -TERM $pid
    wait $pid 2>wait
    code=$?
    [ $code = 75 ] || break # too slow with the second one
done
[ $code = 130 ] || [ $code = 143 ] || fail "two signals: exit $code: $(cat err)"
[ ! -e z.h5 ] || fail 'an output after two signals'
finish
