#!/bin/bash
# The numerical unit tests at every vector level that this CPU has; a level it has not is refused.
set -u
bad=0
[ -x "$BUILD/unit/test_kernels" ] || { echo "SKIP: no unit test is built"; exit 77; }
for level in portable avx2 avx512 avx512bf16 amx blas; do
    # what dispatch refuses is no level of this CPU
    if ! ALIGNDISTIL_KERNELS=$level "$BUILD/unit/test_kernels" >"$TMP/out" 2>&1; then
        grep -q "ALIGNDISTIL_KERNELS '$level' is not a level" "$TMP/out" && continue
        echo "test_kernels at level $level:"
        tail -n 20 "$TMP/out"
        bad=1
    fi
    for test in kernels_search gemm attention frozen net sample objective divergence teacher support train architectures; do
        [ -x "$BUILD/unit/test_$test" ] || continue
        ALIGNDISTIL_KERNELS=$level "$BUILD/unit/test_$test" >"$TMP/out" 2>&1 && continue
        echo "test_$test at level $level:"
        tail -n 20 "$TMP/out"
        bad=1
    done
done
ALIGNDISTIL_KERNELS=avx9 "$BUILD/unit/test_kernels" >"$TMP/out" 2>&1
[ $? = 2 ] && grep -q "ALIGNDISTIL_KERNELS 'avx9' is not a level this CPU has" "$TMP/out" ||
    { echo "level avx9: $(tail -n 3 "$TMP/out")"; bad=1; }
exit $bad
