#!/bin/bash
# limit: 2400
# The smoke pipeline built with gcc's sanitizers: addresses and leaks, undefined behaviour, and races of
# threads. One report fails it. MODES="asan tsan" picks; each is a build of its own.
. tests/lib.bash
unset MAKEFLAGS MFLAGS MAKELEVEL
echo 'int main(void) { return 0; }' >empty.c
cc=${CC:-cc}
modes=
for mode in ${MODES:-asan ubsan tsan}; do
    case $mode in asan) flag=address ;; ubsan) flag=undefined ;; *) flag=thread ;; esac
    $cc -fsanitize=$flag empty.c -o empty 2>/dev/null && ./empty && modes+=" $mode" || echo "no $mode here"
done
[ -n "$modes" ] || skip "'$cc' has no sanitizers; apt-get install libasan8 libubsan1 libtsan2"
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:exitcode=99 TSAN_OPTIONS=exitcode=99:halt_on_error=0 \
    UBSAN_OPTIONS=print_stacktrace=1:exitcode=99
for mode in $modes; do
    make --no-print-directory -C "$root" -j"$(nproc)" MODE="$mode" BUILD="$PWD/$mode" all >log 2>&1 ||
        fatal "$mode, the build: $(grep -v '^  [A-Z]' log | head -n 20)"
    export OMP_NUM_THREADS=3 # more than one whatever the machine has
    make --no-print-directory -C "$root/pipelines/smoke" OUT="$PWD/out-$mode" BIN="$PWD/$mode/bin" >log 2>&1 ||
        fail "$mode: $(grep -E -A12 'ERROR|WARNING|runtime error' log | head -n 40; tail -n 3 log)"
    grep -E -A12 'ERROR: |WARNING: |runtime error' log && fail "$mode: the above"
    echo "$mode: the smoke pipeline without a report"
done
finish
