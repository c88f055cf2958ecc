#!/bin/bash
# limit: 2400
# The whole of it built by a cross gcc for aarch64 without a warning, then the unit tests and the
# smoke pipeline run there by qemu. Needs the libraries of that machine: .ci/arm64.sh.
arm64=${ARM64:-$PWD/build/arm64}
cc=${AARCH64_CC:-aarch64-linux-gnu-gcc}
command -v "$cc" >/dev/null || { echo "SKIP: no '$cc'; apt-get install gcc-aarch64-linux-gnu"; exit 77; }
command -v qemu-aarch64 >/dev/null || { echo 'SKIP: no qemu-aarch64; apt-get install qemu-user'; exit 77; }
[ -e "$arm64/whole" ] || { echo "SKIP: no libraries for aarch64 in '$arm64'; .ci/arm64.sh makes them"; exit 77; }
. tests/lib.bash
unset MAKEFLAGS MFLAGS MAKELEVEL
sysroot=$arm64/root
jobs=$(nproc)
libs='-lhdf5 -lzstd -ljansson -lpcre2-8 -lutf8proc -lxxhash -lz -lcsv'
make --no-print-directory -C "$root" -j"$jobs" MODE=release BUILD="$PWD/build" CC="$cc --sysroot=$sysroot" \
    AR="${cc%gcc}ar" DEPS_CFLAGS="-I$sysroot/usr/include/hdf5/serial" \
    DEPS_LIBS="-L$sysroot/usr/lib/aarch64-linux-gnu/hdf5/serial $libs" BLAS_LIBS= BLAS_CFLAGS= \
    CMOCKA_LIBS=-lcmocka all unit >log 2>&1 ||
    fatal "the build: $(grep -v '^  [A-Z]' log | head -n 20)"
grep -A4 'warning:' log && fail 'warnings'

export RUN="qemu-aarch64 -L $sysroot" UNITS=$PWD/build/unit OUTPUT=$PWD
cd "$root" && find "$UNITS" -type f -printf '%f\n' | sort |
    xargs -P "$jobs" -I{} sh -c '$RUN "$UNITS/{}" >"$OUTPUT/{}.txt" 2>&1 || touch "$OUTPUT/{}.bad"'
cd "$OUTPUT"
for bad in *.bad; do
    [ ! -e "$bad" ] || fail "${bad%.bad}: $(grep -E 'ERROR|LINE|FAILED|is not' "${bad%.bad}.txt" | head)"
done
echo "$(ls test_*.txt | wc -l) unit programs"
make --no-print-directory -C "$root/pipelines/smoke" OUT="$PWD/out" BIN="$PWD/build/bin" RUN="$RUN" >log 2>&1 ||
    fatal "the smoke pipeline: $(tail -n 20 log)"
awk '/^forward/ { n++; if ($3 < 0.9) exit 1 } END { if (!n) exit 1 }' out/eval.txt ||
    fail "nothing was learnt: $(cat out/eval.txt)"
finish
