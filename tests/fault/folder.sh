#!/bin/bash
# export puts a folder in its place in one step; where the file system has no such step it takes
# two, and a run that is killed between them is repaired by the next. A library put before the
# system's makes renameat2 refuse, and kills at the n-th rename.
. tests/lib.bash
command -v "${CC:-cc}" >/dev/null || skip "needs a C compiler"
cat >calls.c <<'C'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
int renameat2(int a, const char *from, int b, const char *to, unsigned flags) {
    (void)a; (void)from; (void)b; (void)to; (void)flags;
    errno = EINVAL;
    return -1;
}
int rename(const char *from, const char *to) {
    static int n;
    int (*real)(const char *, const char *) = (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");
    const char *at = getenv("KILL_AT_RENAME"), *fails = getenv("FAIL_AT_RENAME");
    n++;
    if (at && n == atoi(at)) _exit(137);
    if (fails && n == atoi(fails)) { errno = EIO; return -1; }
    return real(from, to);
}
C
${CC:-cc} -shared -fPIC -o calls.so calls.c -ldl || fatal "no library"
case $MODE in asan | ubsan | tsan) skip "sanitizers and LD_PRELOAD do not go together" ;; esac
world 6
quiet "$bin/export" -q --model base.h5 -o want.f32
quiet "$bin/export" -q --model base.h5 --type bf16 -o want.bf16
litter() { # after what is whole, nothing else is left
    [ -z "$(ls -d hf.* 2>/dev/null)" ] || fail "$1: left behind: $(ls -d hf.*)"
    diff -r hf "want.$2" >/dev/null || fail "$1: hf is not the export as $2"
}

# in one step: at no moment is there no folder
quiet "$bin/export" -q --model base.h5 -o hf
(
    while [ ! -e stop ]; do [ -e hf/config.json ] || echo gone >>gone; done
) &
watcher=$!
for i in 1 2 3 4 5 6; do
    quiet "$bin/export" -q --model base.h5 --type bf16 -o hf
    quiet "$bin/export" -q --model base.h5 --type f32 -o hf
done
touch stop
wait $watcher
[ ! -e gone ] || fail "for $(wc -l <gone) moments there was no folder"
litter 'in one step' f32

# in two steps
quiet env LD_PRELOAD=$PWD/calls.so "$bin/export" -q --model base.h5 --type bf16 -o hf
litter 'in two steps' bf16
expect 1 'Input/output error' env LD_PRELOAD=$PWD/calls.so FAIL_AT_RENAME=2 "$bin/export" -q --model base.h5 -o hf
litter 'the second rename fails' bf16
for n in 1 2; do
    env LD_PRELOAD=$PWD/calls.so KILL_AT_RENAME=$n "$bin/export" -q --model base.h5 -o hf 2>/dev/null
    [ $? = 137 ] || fail "not killed at rename $n"
    quiet "$bin/export" -q --model base.h5 --type bf16 -o hf # up to date, once it is repaired
    litter "killed at rename $n, repaired" bf16
    env LD_PRELOAD=$PWD/calls.so KILL_AT_RENAME=$n "$bin/export" -q --model base.h5 -o hf 2>/dev/null
    quiet "$bin/export" -q --model base.h5 -o hf
    litter "killed at rename $n, then the same again" f32
    quiet "$bin/export" -q --model base.h5 --type bf16 -o hf
done

# an adapter's folder for PEFT likewise
for rank in 2 3; do quiet "$bin/sft" -q --model base.h5 --data sft-data.h5 --steps 1 --lora-rank $rank -o a$rank.h5; done
adapter() { # RANK FOLDER, with the library's variables in front
    env "${@:3}" "$bin/export" -q --model a$1.h5 --base-model base.h5 --format peft -o $2
}
quiet adapter 2 want.a2
quiet adapter 3 want.a3

litter() { # nothing but what is whole
    [ -z "$(ls -d peft.* 2>/dev/null)" ] || fail "peft, $1: left behind: $(ls -d peft.*)"
    diff -r peft "want.$2" >/dev/null || fail "peft, $1: it is not the export of $2"
}
quiet adapter 2 peft
quiet adapter 3 peft
litter 'in one step' a3
adapter 2 peft LD_PRELOAD=$PWD/calls.so FAIL_AT_RENAME=1 >out 2>err && fail 'peft: a rename that fails'
litter 'a rename fails' a3
for n in 1 2; do
    adapter 2 peft LD_PRELOAD=$PWD/calls.so KILL_AT_RENAME=$n 2>/dev/null
    [ $? = 137 ] || fail "peft: not killed at rename $n"
    quiet adapter 3 peft
    litter "killed at rename $n" a3
done

# files of the user's own stay
echo dear >hf/diary
"$bin/export" -q --model base.h5 -o hf >out 2>err || fail "exit $?: $(cat err)"
[ -e hf.former/diary ] || fail "a file of the user is gone"
expect 1 'in the way' "$bin/export" -q --model base.h5 --type bf16 -o hf
finish
