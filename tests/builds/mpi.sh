#!/bin/bash
# limit: 2700
# The build with MPI is free of warnings and, with one rank, what the build without is: it passes all tests. They
# run as two streams at once, each one test after the other, as most of a test's commands keep one CPU busy.
command -v mpirun >/dev/null || { echo 'SKIP: no mpirun; apt-get install libopenmpi-dev openmpi-bin'; exit 77; }
. tests/lib.bash
unset MAKEFLAGS MFLAGS MAKELEVEL BLESS BUILDS
build=build/${MODE:-release}-mpi
make --no-print-directory -C "$root" -j"$(nproc)" MPI=1 BUILD="$build" all unit tools >log 2>&1 ||
    fatal "the build: $(grep -v '^  [A-Z]' log | head -n 20)"
grep -A4 'warning:' log && fail 'warnings'
"$root/$build/bin/sft" --version | grep -q 'without MPI' && fail 'a build without MPI'
stream() { # NAME PATTERN...: into NAME.log and NAME.seconds; every pattern's tests pass
    local name=$1 only start=$SECONDS
    shift
    mkdir "$name"
    for only; do
        (cd "$root" && BUILD="$build" ONLY="$only" TMPDIR="$TMP/$name" bash tests/run.sh) >"$name.last" 2>&1 ||
            echo "$only: $(grep -A20 '^FAIL' "$name.last" | head -n 60)" >>"$name.bad"
        echo "$only: $(tail -n 1 "$name.last")" >>"$name.log"
    done
    echo $((SECONDS - start)) >"$name.seconds"
}
stream one 'unit/*' 'golden/*' 'fuzz/*' 'fault/*' 'cli/[!m-z]*' &
stream two 'cli/[m-z]*'
wait
for name in one two; do
    cat "$name.log"
    echo "stream $name: $(cat "$name.seconds") s"
    [ ! -e "$name.bad" ] || fail "$(cat "$name.bad")"
    [ -e "$name.seconds" ] || fail "stream $name did not end"
done
finish
