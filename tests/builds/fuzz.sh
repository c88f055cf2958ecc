#!/bin/bash
# limit: 1200
# make fuzz: every target builds with clang and runs for SECONDS each (3) without a find.
command -v clang >/dev/null || { echo 'SKIP: no clang; apt-get install clang libclang-rt-14-dev'; exit 77; }
. tests/lib.bash
unset MAKEFLAGS MFLAGS MAKELEVEL
echo 'int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return (int)n * 0 * !d; }' >empty.c
clang -fsanitize=fuzzer,address empty.c -o empty 2>/dev/null || skip 'no libFuzzer; apt-get install libclang-rt-14-dev'
make --no-print-directory -C "$root" SECONDS="${SECONDS_EACH:-3}" FUZZ="$PWD/fuzz" fuzz >log 2>&1 || fail "make fuzz: $(tail -n 30 log)"
grep -E '^==|executed' log
[ "$(grep -c executed log)" = "$(ls "$root"/tests/fuzz/fuzz_*.c | wc -l)" ] || fail 'not every target ran'
finish
