#!/bin/bash
# Our own sources compile for aarch64: only the portable kernels, no intrinsics. Nothing is linked; of
# formats and stages only the syntax is looked at, which is where a type or an intrinsic would fail.
cc=${AARCH64_CC:-aarch64-linux-gnu-gcc}
command -v "$cc" >/dev/null || { echo "SKIP: no '$cc'; apt-get install gcc-aarch64-linux-gnu"; exit 77; }
# Headers of the libraries come from this machine's: they say the same on both.
includes=
for package in $(sed -n 's/^PACKAGES := //p' Makefile); do
    includes+=" $(pkg-config --cflags "$package" 2>/dev/null)"
done
flags="-std=c11 -D_GNU_SOURCE -O3 -ffp-contract=fast -fno-math-errno -fno-trapping-math -Wall -Wextra
    -Wshadow -Werror -Wno-psabi -I. $includes"
bad=0
checked=0
for source in common/*/*.c formats/*/*.c stages/*.c stages/*/*.c; do
    case $source in common/*) how= ;; *) how=-fsyntax-only ;; esac
    # a header that only this machine's compiler finds is no fault of ours
    missing=$("$cc" $flags $how -DKERNELS=kernels_portable -DKERNELS_NAME='"portable"' -c -o "$TMP/o.o" \
        "$source" 2>&1) && checked=$((checked + 1)) && continue
    case $missing in
    *'fatal error: '*'No such file'*) echo "not checked, a library's header is missing: $source" ;;
    *) printf '%s\n%s\n' "$source" "$missing" | head -n 20; bad=1 ;;
    esac
done
echo "$checked sources compile"
[ $checked != 0 ] || bad=1
exit $bad
