#!/bin/bash
# limit: 14400
# Every stage on a file system of SIZES sizes (3; all: every page) from one page to what it needs;
# stages.bash says what must hold. Needs the right to mount.
. tests/lib.bash
mkdir o
mount -t tmpfs -o size=4k none o 2>/dev/null || skip 'no right to mount a file system'
umount o
. "$root/tests/fault/stages.bash"
trap 'umount o 2>/dev/null' EXIT
sizes=${SIZES:-3}
tried=0
for name in $COMMANDS; do
    prepare "$name" || continue
    [ -s sums ] || continue
    rm -rf o
    mkdir o
    mount -t tmpfs -o size=64m none o
    run_stage "$name"
    pages=$(du -sk o | awk '{ print int($1 / 4) + 1 }')
    step=1
    [ "$sizes" = all ] || step=$((pages / sizes + 1))
    for ((at = 1 + seed % step; ; at += step)); do
        rm -rf o/* o/.[!.]*
        mount -o remount,size=$((4 * at))k o
        run_stage "$name"
        code=$?
        mount -o remount,size=64m o
        tried=$((tried + 1))
        judge "$name" $code "a disk of $((4 * at)) KiB" full
        [ $code = 1 ] || break
        grep -qi 'no space left' said || fail "$name, a disk of $((4 * at)) KiB: $(cat said)"
    done
    umount o
done
echo "$(wc -w <<<"$COMMANDS") stages, $tried disks: ${outcomes[failed]:-0} too small, ${outcomes[done]:-0} large enough; $problems wrong"
finish
