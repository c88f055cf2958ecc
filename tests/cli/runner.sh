#!/bin/bash
# The test runner itself, on tests that are made up: what it counts, and when it fails.
. tests/lib.bash
mkdir -p tree/tests/{cli,unit,fuzz} tree/build/unit
cp "$root/tests/run.sh" tree/tests
echo 'exit 0' >tree/tests/check-layers.sh
chmod +x tree/tests/check-layers.sh
script() { echo "$2" >tree/tests/cli/$1.sh; }
script good 'exit 0'
script alone 'echo "SKIP: no ../shared"; exit 77'
script other 'echo "SKIP: no compiler"; exit 77'
: >tree/tests/unit/test_some.c
printf '#!/bin/sh\n%s\n' 'printf "1..3\nok 1 - a\nSKIP: no ../shared\nnot ok 2 # SKIP b\nok 3 # SKIP c\n"' >tree/build/unit/test_some
chmod +x tree/build/unit/test_some

run() { # CODE COUNTS VARIABLE=VALUE...
    local code=$1 counts=$2
    shift 2
    env -u ONLY -u BLESS -u REQUIRE_SHARED MODE=release BUILD=build TMPDIR=$PWD "$@" bash tree/tests/run.sh >out 2>err
    [ $? = "$code" ] && [ "$(tail -n 1 out)" = "$counts" ] || fail "not exit $code with '$counts': $* $(cat out err)"
}
script bad 'echo why; exit 4'
run 1 '3 passed, 1 failed, 4 skipped'
grep -q '^FAIL .*cli/bad .*exit 4' out && grep -q '| why' out || fail "no word of the failure: $(cat out)"
rm tree/tests/cli/bad.sh
run 0 '3 passed, 0 failed, 4 skipped'
run 0 '3 passed, 0 failed, 4 skipped' REQUIRE_SHARED=1 # ../shared is not there
mkdir shared
run 1 '3 passed, 2 failed, 2 skipped' REQUIRE_SHARED=1
grep -q 'skipped although ../shared is there' out || fail "no reason: $(cat out)"
run 0 '1 passed, 0 failed, 0 skipped' ONLY=cli/good
run 1 '0 passed, 1 failed, 0 skipped' ONLY=cli/none
printf '#!/bin/sh\necho 1..3; echo ok 1 - a\n' >tree/build/unit/test_some # ends in the middle
run 1 '1 passed, 1 failed, 0 skipped' ONLY=unit/some
script slow 'sleep 30'
run 1 '0 passed, 1 failed, 0 skipped' ONLY=cli/slow TEST_TIMEOUT=1
grep -q 'killed after 1 seconds' out || fail "no word of the time: $(cat out)"
finish
