#!/bin/bash
# limit: 2700
# The build with MPI is free of warnings and, with one rank, what the build without is: it passes all tests.
command -v mpirun >/dev/null || { echo 'SKIP: no mpirun; apt-get install libopenmpi-dev openmpi-bin'; exit 77; }
. tests/lib.bash
unset MAKEFLAGS MFLAGS MAKELEVEL BLESS BUILDS ONLY
build=build/${MODE:-release}-mpi
flock "$root/Makefile" make --no-print-directory -C "$root" -j"$(nproc)" MPI=1 BUILD="$build" \
    all unit tools >log 2>&1 ||
    fatal "the build: $(grep -v '^  [A-Z]' log | head -n 20)"
grep -A4 'warning:' log && fail 'warnings'
"$root/$build/bin/sft" --version | grep -q 'without MPI' && fail 'a build without MPI'
(cd "$root" && BUILD="$build" TMPDIR="$TMP" tests/run.sh) >tests.log 2>&1 || fail "$(grep -A20 '^FAIL' tests.log | head -n 60)"
tail -n 1 tests.log
finish
