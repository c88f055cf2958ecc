#!/bin/bash
# limit: 1200
# clang, where it is installed, builds everything without a warning, and passes the unit tests.
command -v clang >/dev/null || { echo 'SKIP: no clang; apt-get install clang'; exit 77; }
. tests/lib.bash
unset MAKEFLAGS MFLAGS MAKELEVEL
jobs=$(nproc)
make --no-print-directory -C "$root" -j"$jobs" MODE=release BUILD="$PWD/build" CC=clang all unit tools >log 2>&1 ||
    fatal "the build: $(grep -v '^  [A-Z]' log | head -n 20)"
grep -A4 'warning:' log && fail 'warnings'
for unit in build/unit/test_*; do
    (cd "$root" && "$TMP/$unit") >unit.txt 2>&1 ||
        fail "$(basename "$unit"): $(grep -E 'ERROR|LINE|FAILED|is not' unit.txt | head)"
done
finish
