# What shell tests share; source it from the repository's root. It leaves $bin, an absolute path of
# the stages, $root, and moves to $TMP. A test ends with `finish`.
. tests/report.bash
root=$PWD
bin=$(cd "$BIN" && pwd)
cd "${TMP:?}" || exit 1
unset OMP_NUM_THREADS

same() { # FILE FILE WORDS: the same bytes
    cmp -s "$1" "$2" || fail "$3: '$1' and '$2' differ"
}

# expect CODE PATTERN command...: the exit code, and that stderr is one line which matches (exit 0:
# stderr may hold anything). stdout goes to the file out, stderr to err.
expect() {
    local want=$1 pattern=$2 code
    shift 2
    "$@" >out 2>err </dev/null
    code=$?
    [ $code = "$want" ] || fail "exit $code, not $want: $*: $(head -n 5 err)"
    [ -z "$pattern" ] || grep -q -e "$pattern" err || fail "no '$pattern' from $*: $(head -n 5 err)"
    [ "$want" = 0 ] || [ "$(wc -l <err)" = 1 ] || fail "not one line from $*: $(head -n 5 err)"
}
# quiet command...: exit 0 without a word on stderr
quiet() {
    "$@" >out 2>err </dev/null || fatal "exit $? of $*: $(head -n 5 err)"
    [ ! -s err ] || fail "$* says: $(head -n 5 err)"
}

# data ROWS: corpus.txt sft.csv pairs.csv prompts.csv, whose rows have some 10 to 60 tokens
data() {
    awk -v n="$1" '
        function draw(k) { x = (x * 16807) % 2147483647; return x % k }
        function words(k,  s) { s = w[1 + draw(12)]; while (--k > 0) s = s " " w[1 + draw(12)]; return s }
        BEGIN {
            x = 7
            split("the cat sat on a mat dog ran to red hill home", w, " ")
            print "prompt,response" > "sft.csv"
            print "prompt,chosen,rejected" > "pairs.csv"
            print "prompt" > "prompts.csv"
            for (i = 1; i <= n; i++) {
                ask = words(2 + draw(4)); good = words(2 + draw(12)); bad = words(1 + draw(9))
                print ask "," good > "sft.csv"
                print ask ",\"" good ", yes\"," bad > "pairs.csv"
                print ask > "prompts.csv"
                print ask ": " good > "corpus.txt"
            }
        }'
}

config() { # POSITIONS: config.json
    cat >config.json <<J
{"model_type": "llama", "hidden_size": 32, "intermediate_size": 80, "num_hidden_layers": 2,
 "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": $1,
 "tie_word_embeddings": false}
J
}

# world ROWS: data, and from it tok.json, base.h5, sft-data.h5, pairs.h5, prompts.h5
world() {
    data "$1"
    config 128
    quiet "$bin/import" -q --train-tokenizer corpus.txt --vocab 300 -o tok.json
    quiet "$bin/import" -q --init config.json --tokenizer tok.json --seed 1 -o base.h5
    quiet "$bin/tokenize" -q --model base.h5 --kind sft --input sft.csv -o sft-data.h5
    quiet "$bin/tokenize" -q --model base.h5 --kind pref --input pairs.csv -o pairs.h5
    quiet "$bin/tokenize" -q --model base.h5 --kind prompt --input prompts.csv -o prompts.h5
}

# teachers: sft.h5 dpo.h5 reverse.h5 and reference.h5, after `world`
teachers() {
    local options="--unit-tokens 256 --batch-size 16 --steps 6 --lr 3e-3"
    quiet "$bin/sft" -q --model base.h5 --data sft-data.h5 -o sft.h5 $options
    quiet "$bin/dpo-train" -q --model sft.h5 --data pairs.h5 -o dpo.h5 $options \
        --reference reference.h5
    quiet "$bin/dpo-train" -q --model sft.h5 --data pairs.h5 -o reverse.h5 $options --reverse \
        --reference reference.h5
}

# ---- stopping and killing

seed=${DISTURB_SEED:-$(date +%N | sed 's/^0*//')}
seed=${seed:-1}
pick() { # LOW HIGH: a random number of seconds between, evenly by its logarithm, into $picked
    seed=$(((seed * 1103515245 + 12345) % 2147483648))
    picked=$(awk -v u="$((seed / 8))" -v a="$1" -v b="$2" \
        'BEGIN { printf "%.3f", a * exp(log(b / a) * u / 268435456) }')
}
# Times for --stop-after, ever longer: one of them falls within a run, whatever the machine's speed.
afters() { awk 'BEGIN { for (t = 0.01; t < 4; t *= 1.15) printf "%.4f\n", t }'; }
seconds() { # command...: how long it takes, into $took
    local start=$EPOCHREALTIME
    "$@"
    took=$(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.3f", b - a }')
}

# disturb HOW MOST LEFT command...: runs it until it is done, each time disturbed within MOST
# seconds: TERM, KILL or after (--stop-after). After a stop one of the files LEFT must be there.
# `stops` counts the runs that were cut off. A file `feed` is the command's stdin.
disturb() {
    local how=$1 most=$2 left=$3 code=1 runs=0 least
    shift 3
    stops=0
    [ -e feed ] || : >feed
    while [ $code != 0 ]; do
        runs=$((runs + 1))
        [ $runs -lt 60 ] || { fail "$how: no end after $runs runs: $*"; return; }
        # ever longer, the shortest too, so that there is an end on a machine that is slow just now
        # (--stop-after counts from inside the program, so it may be short from the first)
        least=$(awk -v r=$runs -v l="$([ "$how" = after ] && echo 0.001 || echo "${shortest:-0.03}")" 'BEGIN { print l + (r / 30) ^ 3 }')
        pick "$least" "$(awk -v m="$most" -v l="$least" -v r=$runs \
            'BEGIN { m = m * (1 + r * r / 60) + (m > 0.03 ? 0.04 : 0); print (m > l ? m : l) }')"
        if [ "$how" = after ]; then
            "$@" --stop-after "$picked" >out 2>err <feed
        else
            timeout --foreground --preserve-status -s "$how" "$picked" "$@" >out 2>err <feed
        fi
        code=$?
        case $how-$code in
        *-0) ;;
        TERM-75 | after-75)
            stops=$((stops + 1))
            [ -n "$(ls $left 2>/dev/null)" ] || grep -q 'while it waited for' err || fail "$how: nothing is saved after exit 75: $*"
            [ "$(grep -c 'stopping at the last step boundary' err)" = 1 ] ||
                fail "$how: no word of the stop: $(cat err)"
            ;;
        KILL-137) stops=$((stops + 1)) ;;
        TERM-143) [ ! -s err ] || fail "TERM: exit 143, not 75: $*: $(cat err)" ;; # no handler yet
        *) fail "$how: exit $code (seed $seed): $*: $(head -n 5 err)" && return ;;
        esac
    done
    ls -A | grep -e '\.ckpt$' -e '^\.' -e '\.spool$' -e '\.tmp-' && fail "$how: left behind by $*"
}

# undisturbed, then by each way: DISTURB OUT LEFT command..., where OUT is compared with want/OUT.
# -o OUT is appended. Fails unless each way cut off a run at least once.
disturb_all() { # OUT LEFT command...
    local out=$1 left=$2 how shortest # of a disturbed run: some of what an undisturbed one takes
    shift 2
    mkdir -p want
    [ -e feed ] || : >feed
    seconds "$@" -o "want/$out" >want/list 2>err <feed || fatal "exit $?: $*: $(cat err)"
    [ ! -s err ] || fail "$* says: $(cat err)"
    shortest=$(awk -v t="$took" 'BEGIN { print t < 0.12 ? t / 4 : 0.03 }')
    for how in TERM KILL after; do
        for most in "$took" 0.5 0.2 0.1 0.05 0.03 0.01 0.003; do # until one is cut off
            rm -f ${out%.h5}.* ${out%.h5}-*-of-*.h5
            disturb $how "$most" "$left" "$@" -o "$out"
            [ $stops = 0 ] || break
        done
        [ $stops != 0 ] || fail "$how: never cut off (of $took s): $*"
        echo "$how: cut off $stops times in runs of $took s: $(basename "$1") $out"
        sed 's,want/,,' want/list | cmp -s - out || fail "$how: other paths: $(cat out)"
        for file in $(cat out); do same "$file" "want/$file" "$how of $(basename "$1")"; done
    done
}

# ---- several ranks

# needs_mpi: $mpi, a folder of the training stages built with MPI; skips where there is no MPI. Where $bin
# is built without, they are built beside it (build/MODE-mpi), by one test at a time. MPIRUN: the launcher of
# the build's MPI, into $mpirun with the options that all tests need.
needs_mpi() {
    mpirun="${MPIRUN:-mpirun} -bind-to none"
    command -v ${mpirun%% *} >/dev/null || skip 'no mpirun; apt-get install libopenmpi-dev openmpi-bin'
    ! ${mpirun%% *} --version 2>/dev/null | grep -q 'Open MPI' || mpirun="${mpirun%% *} -q --oversubscribe --bind-to none"
    mpi=$bin
    ! "$bin/sft" --version | grep -q 'without MPI' || build_mpi
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_mpi_yield_when_idle=1
}
build_mpi() {
    local stage
    pkg-config --exists ompi-c || pkg-config --exists mpich || command -v mpicc >/dev/null ||
        skip 'no MPI to build with; apt-get install libopenmpi-dev openmpi-bin'
    mpi=$root/build/${MODE:-release}-mpi/bin
    for stage in aligndistil sft dpo-train distill; do echo "$mpi/$stage"; done |
        sed "s,^$root/,," | (unset MAKEFLAGS MFLAGS MAKELEVEL BUILD
            xargs flock "$root/Makefile" make --no-print-directory -C "$root" -j"$(nproc)" MPI=1 \
                MODE="${MODE:-release}") >mpi.log 2>&1 ||
        fatal "the build with MPI: $(grep -v '^  [A-Z]' mpi.log | head -n 20)"
}
# ranks N command...: under mpirun, which speaks for itself on stderr too
ranks() {
    local n=$1
    shift
    timeout -k 5 200 $mpirun -n "$n" "$@"
}
# rank_pids LAUNCHER PROGRAM: the processes of the ranks, in their order
rank_pids() {
    ps -e -o pid=,ppid=,comm= | awk -v top="$1" -v name="$2" '{ parent[$1] = $2; if ($3 == name) is[$1] = 1 }
        END { for (p in is) { q = p; while (q > 1 && q != top) q = parent[q]; if (q == top) print p } }' |
        while read -r pid; do
            echo "$(tr '\0' '\n' <"/proc/$pid/environ" | sed -n 's/^\(OMPI_COMM_WORLD_RANK\|PMI_RANK\)=//p' | head -n 1) $pid"
        done | sort -n | cut -d' ' -f2
}
# said PROGRAM FILE: the lines that the program, and not mpirun, has written
said() { grep -a "^$1: " "$2"; }
