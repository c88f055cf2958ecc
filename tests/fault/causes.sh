#!/bin/bash
# A read that the machine fails is no damaged file: exit 1 with the system's words and the path, and
# nothing is made again or gone around. A library before the system's fails the n-th read of the
# file FAIL_FILE with the error FAIL_ERROR, and does not see the file UNSEEN.
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
int access(const char *path, int mode) {
    int (*real)(const char *, int) = (int (*)(const char *, int))dlsym(RTLD_NEXT, "access");
    const char *file = getenv("UNSEEN");
    size_t n1 = strlen(path), n2 = file ? strlen(file) : 0;
    if (!n2 || n1 < n2 || strcmp(path + n1 - n2, file)) return real(path, mode);
    errno = EIO;
    return -1;
}
FILE *fopen(const char *path, const char *mode) { // to read
    FILE *(*real)(const char *, const char *) = (FILE *(*)(const char *, const char *))dlsym(RTLD_NEXT, "fopen");
    const char *file = getenv("UNSEEN");
    size_t n1 = strlen(path), n2 = file ? strlen(file) : 0;
    if (*mode != 'r' || !n2 || n1 < n2 || strcmp(path + n1 - n2, file)) return real(path, mode);
    errno = EIO;
    return NULL;
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
broken model.safetensors "$bin/import" -q --hf hf -o made.h5
"$bin/sft" -q --model base.h5 --data sft-data.h5 --steps 1 --lora-rank 2 -o lora.h5 >out || fatal 'no adapter'
"$bin/export" -q --model lora.h5 --base-model base.h5 --format peft -o peft >out || fatal 'no PEFT folder'
broken adapter_model.safetensors "$bin/import" -q --adapter peft --base-model base.h5 -o made.h5
broken base.h5 "$bin/merge" -q --model base.h5 --adapter lora.h5 -o made.h5
broken lora.h5 "$bin/merge" -q --model base.h5 --adapter lora.h5 -o made.h5
scorer='while read -r line; do echo 1; done'
"$bin/eval" score --scorer "$scorer" --input sft.csv --verdicts verdicts.jsonl >out || fatal 'no verdicts'
broken verdicts.jsonl "$bin/eval" score --scorer "$scorer" --input sft.csv --verdicts verdicts.jsonl
broken sft.csv "$bin/eval" score --scorer "$scorer" --input sft.csv
broken aligndistil.json "$bin/export" -q --model lora.h5 --base-model base.h5 --format peft -o peft
# an output that cannot be read for now is not made again
cp sft.h5 before.h5
again="$bin/sft -q --model base.h5 --data sft-data.h5 --unit-tokens 256 --batch-size 16 --steps 6 --lr 3e-3 -o sft.h5"
expect 1 "sft.h5.*Input/output" env LD_PRELOAD=$PWD/reads.so FAIL_FILE=/sft.h5 FAIL_AT=1 FAIL_ERROR=5 $again
same sft.h5 before.h5 'a good output after a hiccup'
quiet $again
dump="$bin/teacher-dump -q --dpo dpo.h5 --reverse reverse.h5 --ref sft.h5 --base ref --data pairs.h5 --target-kl 0.05 --max-new 4"
quiet $dump -o kl.h5
cp kl.h5 before.kl
expect 1 "kl.h5.*Input/output" env LD_PRELOAD=$PWD/reads.so FAIL_FILE=/kl.h5 FAIL_AT=1 FAIL_ERROR=5 $dump -o kl.h5
same kl.h5 before.kl 'a cache that was not read'
"$bin/export" -q --model base.h5 --format gguf -o model.gguf >out || fatal 'no GGUF'
expect 1 "model.gguf.*Input/output" env LD_PRELOAD=$PWD/reads.so FAIL_FILE=/model.gguf FAIL_AT=1 FAIL_ERROR=5 \
    "$bin/export" -q --model base.h5 --format gguf -o model.gguf
# what is not seen for now is not what is not there
long="$bin/sft -q --model base.h5 --data sft-data.h5 --batch-size 4 --unit-tokens 256 --epochs 1000 -o long.h5"
$long --log $PWD/log.csv >out 2>err </dev/null & # stopped when some of its steps are done
while [ "$(cat log.csv 2>/dev/null | wc -l)" -le 3 ] && kill -0 $!; do sleep 0.01; done 2>/dev/null
kill -TERM $!
wait $!
cp log.csv before.csv
cp long.h5.ckpt before.ckpt || fail 'no checkpoint'
unseen() { # FILE command...
    local file=$1
    shift
    expect 1 "cannot open '[^']*$file': Input/output" env LD_PRELOAD=$PWD/reads.so UNSEEN=/$file "$@"
}
unseen long.h5.ckpt $long -o $PWD/long.h5
same long.h5.ckpt before.ckpt 'a checkpoint that was not seen'
broken long.h5.ckpt $long # whose last run finds it whole, and goes on
grep -q 'long.h5' out && [ ! -e long.h5.ckpt ] || fail 'the checkpoint was not gone on from'
cp before.ckpt long.h5.ckpt
rm long.h5
cp before.csv log.csv
unseen log.csv $long -o $PWD/long.h5 --log $PWD/log.csv
same log.csv before.csv 'a log that was not seen'
# nor is what cannot be read the end of a file: a spool stays as it is, stdin has more paths
for i in $(seq 3000); do tail -n +2 sft.csv; done >rows
cp sft.csv many.csv
tokens="$bin/tokenize -q --model base.h5 --kind sft --input many.csv -o many.h5"
for try in 1 2 3 4 5 6; do # more rows, until it is not done before it is stopped
    cat rows >>many.csv
    cat rows rows >rows2 && mv rows2 rows
    rm -f many.h5*
    $tokens --checkpoint-every 0.05 >out 2>err </dev/null &
    while [ "$(stat -c %s many.h5.spool 2>/dev/null || echo 0)" -lt 100000 ] && kill -0 $!; do sleep 0.01; done 2>/dev/null
    kill -TERM $! 2>/dev/null
    wait $! 2>/dev/null
    [ -e many.h5.spool ] && break
done
cp many.h5.spool before.spool || fail 'no spool'
for n in 1 2 3 4 5; do
    expect 1 "cannot read 'many.h5.spool': Input/output" env LD_PRELOAD=$PWD/reads.so FAIL_FILE=/many.h5.spool FAIL_AT=$n FAIL_ERROR=5 $tokens
    cmp -s -n "$(stat -c %s before.spool)" many.h5.spool before.spool || fail "a spool whose read $n failed is another"
done
quiet $tokens
"$bin/sft" -q --model base.h5 --data - -o made.h5 <. >out 2>err && fail 'paths from a folder'
grep -q "cannot read the paths of '--data -': Is a directory" err || fail "paths from a folder: $(cat err)"
unseen sft.h5 $again -o $PWD/sft.h5
same sft.h5 before.h5 'an output that was not seen'
unseen model.safetensors "$bin/import" -q --hf hf -o made.h5
unseen tokenizer.json "$bin/import" -q --hf hf -o made.h5
unseen sft.h5 $again --no-clobber -o $PWD/sft.h5
# no file more may be opened
for n in 4 5; do
    (ulimit -n $n && exec "$bin/shard" check sft-data.h5) >out 2>err </dev/null
    code=$?
    [ $code = 0 ] || { [ $code = 1 ] && grep -q 'Too many open files' err; } || fail "with $n files: exit $code: $(cat err)"
done
diff -r hf kept >/dev/null || fail "the export changed"
echo "$failed reads failed"
finish
