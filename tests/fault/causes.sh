#!/bin/bash
# A read that the machine fails is no damaged file: exit 1 with the system's words and the path, and
# nothing is made again or gone around. A library before the system's fails the n-th read of the
# file FAIL_FILE with the error FAIL_ERROR.
. tests/lib.bash
command -v "${CC:-cc}" >/dev/null || skip "needs a C compiler"
case $MODE in asan | ubsan | tsan) skip "sanitizers and LD_PRELOAD do not go together" ;; esac
cat >reads.c <<'C'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static int fails(int fd) {
    static int n;
    char link[64], path[4096] = "";
    const char *file = getenv("FAIL_FILE"), *at = getenv("FAIL_AT"), *error = getenv("FAIL_ERROR");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (!file || readlink(link, path, sizeof path - 1) < 0) return 0;
    size_t n1 = strlen(path), n2 = strlen(file);
    if (n1 < n2 || strcmp(path + n1 - n2, file) || ++n < atoi(at)) return 0;
    errno = atoi(error);
    return 1;
}
ssize_t read(int fd, void *to, size_t n) {
    ssize_t (*real)(int, void *, size_t) = (ssize_t (*)(int, void *, size_t))dlsym(RTLD_NEXT, "read");
    return fails(fd) ? -1 : real(fd, to, n);
}
ssize_t pread(int fd, void *to, size_t n, off_t at) {
    ssize_t (*real)(int, void *, size_t, off_t) = (ssize_t (*)(int, void *, size_t, off_t))dlsym(RTLD_NEXT, "pread");
    return fails(fd) ? -1 : real(fd, to, n, at);
}
ssize_t pread64(int fd, void *to, size_t n, off_t at) { return pread(fd, to, n, at); }
C
${CC:-cc} -shared -fPIC -o reads.so reads.c -ldl || fatal "no library"
world 12
teachers
"$bin/teacher-dump" -q --dpo dpo.h5 --reverse reverse.h5 --data pairs.h5 -o cache.h5 >out || fatal 'no cache'
quiet "$bin/export" -q --model base.h5 -o hf
cp -r hf kept
train='--steps 1 --batch-size 4 --unit-tokens 256 -o made.h5'
failed=0
broken() { # FILE command...: every read of the file fails in turn, until none is left to fail
    local file=$1 n words=(Input/output 'Stale file' 'No space') errors=(5 116 28) code
    shift
    for ((n = 1; n < 400; n += 1 + n / 12)); do
        LD_PRELOAD=$PWD/reads.so FAIL_FILE=$file FAIL_AT=$n FAIL_ERROR=${errors[n % 3]} "$@" >out 2>err </dev/null
        code=$?
        [ $code != 0 ] || break
        failed=$((failed + 1))
        [ $code = 1 ] || fail "read $n of $file: exit $code: $*: $(cat err)"
        grep -q "${words[n % 3]}" err || fail "read $n of $file: no '${words[n % 3]}': $*: $(cat err)"
        grep -q "$file" err || fail "read $n of $file: it is not named: $*: $(cat err)"
        [ "$(wc -l <err)" = 1 ] || fail "read $n of $file: not one line: $*: $(cat err)"
        [ -z "$(ls -d made made.h5 2>/dev/null)" ] || fail "read $n of $file: an output of $*"
    done
    [ $n -gt 1 ] || fail "no read of $file failed: $*"
    rm -rf made*
}
broken sft-data.h5 "$bin/shard" check sft-data.h5
broken cache.h5 "$bin/shard" check cache.h5
broken base.h5 "$bin/sft" -q --model base.h5 --data sft-data.h5 $train
broken sft-data.h5 "$bin/sft" -q --model base.h5 --data sft-data.h5 $train
broken pairs.h5 "$bin/dpo-train" -q --model base.h5 --ref base.h5 --data pairs.h5 $train
broken cache.h5 "$bin/distill" -q --model sft.h5 --teacher cache.h5 --on-bad skip-chunk $train
broken cache.h5 "$bin/shard" recode --top-k 3 -o made.h5 cache.h5
broken base.h5 "$bin/export" -q --model base.h5 -o made
broken sft.csv "$bin/tokenize" -q --model base.h5 --kind sft --input sft.csv -o made.h5
broken tok.json "$bin/import" -q --init config.json --tokenizer tok.json --seed 1 -o made.h5
broken config.json "$bin/import" -q --hf hf -o made.h5
# an output that cannot be read for now is not made again
cp sft.h5 before.h5
again="$bin/sft -q --model base.h5 --data sft-data.h5 --unit-tokens 256 --batch-size 16 --steps 6 --lr 3e-3 -o sft.h5"
expect 1 "sft.h5.*Input/output" env LD_PRELOAD=$PWD/reads.so FAIL_FILE=/sft.h5 FAIL_AT=1 FAIL_ERROR=5 $again
same sft.h5 before.h5 'a good output after a hiccup'
quiet $again
# no file more may be opened
for n in 4 5; do
    (ulimit -n $n && exec "$bin/shard" check sft-data.h5) >out 2>err </dev/null
    code=$?
    [ $code = 0 ] || { [ $code = 1 ] && grep -q 'Too many open files' err; } || fail "with $n files: exit $code: $(cat err)"
done
diff -r hf kept >/dev/null || fail "the export changed"
echo "$failed reads failed"
finish
