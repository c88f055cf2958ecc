#!/bin/bash
# The dispatcher, in the build tree and installed below a DESTDIR.
set -u
. tests/report.bash
expect() { # CODE TEXT COMMAND...: exit code, and a text that stdout or stderr holds
    local code=$1 text=$2 out
    shift 2
    out=$("$@" 2>&1)
    local got=$?
    [ $got = "$code" ] || fatal "'$*' exited $got, not $code: $out"
    [[ $out == *"$text"* ]] || fatal "'$*' does not say '$text': $out"
}

expect 0 'usage: aligndistil STAGE' "$BIN/aligndistil" --help
expect 0 'aligndistil 0.' "$BIN/aligndistil" --version
expect 2 'no stage given; see --help' "$BIN/aligndistil"
expect 2 "unknown stage 'tokenise'; did you mean 'tokenize'?" "$BIN/aligndistil" tokenise
expect 2 "unknown stage '../sft'; " "$BIN/aligndistil" ../sft
expect 2 "unknown stage 'zzzzzzzz'; see --help" "$BIN/aligndistil" zzzzzzzz
expect 1 "cannot write to 'stdout'" bash -c "$BIN/aligndistil --help >/dev/full"

DESTDIR=$TMP/root
make --no-print-directory -s install MODE="$MODE" BUILD="$BUILD" DESTDIR="$DESTDIR" PREFIX=/opt/ad ||
    fatal 'make install failed'
bin=$DESTDIR/opt/ad/bin/aligndistil
stages=$DESTDIR/opt/ad/libexec/aligndistil
[ -x "$bin" ] || fatal "'$bin' is not there"
[ "$(ls "$DESTDIR/opt/ad/bin")" = aligndistil ] || fatal 'bin holds more than the dispatcher'
printf '#!/bin/sh\necho "stage got $# words: $*"\nexit 3\n' >"$stages/sft"
chmod +x "$stages/sft"
expect 3 'stage got 2 words: --model a b' "$bin" sft --model 'a b'
expect 0 '  sft ' "$bin" --help
expect 3 'stage got 1 words: --help' "$bin" help sft
expect 0 'usage: eval nll ' "$bin" help eval nll
expect 0 'usage: aligndistil STAGE' "$bin" help
expect 2 "unknown stage 'sfx'; did you mean 'sft'?" "$bin" help sfx
ln -s "$bin" "$TMP/link"
expect 3 'stage got 0 words' "$TMP/link" sft # through a symbolic link too
rm "$stages/sft"
expect 1 'cannot run' "$bin" sft
for stage in "$stages"/*; do
    [ ! -e "$stage" ] || expect 0 'usage: ' "$bin" "$(basename "$stage")" --help
done

# The manual: a page for everything with a table of options, whole and well-formed.
man=$DESTDIR/opt/ad/share/man/man1
for page in aligndistil aligndistil-{import,tokenize,sft,dpo-train,teacher-dump,distill,generate,export} \
    aligndistil-eval{,-nll,-alpaca} aligndistil-shard{,-ls,-report} aligndistil-report; do
    for section in NAME SYNOPSIS DESCRIPTION 'EXIT STATUS' 'SEE ALSO'; do
        grep -qx ".SH \"$section\"" "$man/$page.1" || fatal "$page.1 has no $section"
    done
done
grep -q '^\.B "\\-\\-batch\\-size N"$' "$man/aligndistil-sft.1" || fatal 'sft.1 lacks --batch-size'
grep -q '^\.BR aligndistil\\-shard\\-diff (1)$' "$man/aligndistil-shard.1" || fatal 'shard.1 names no page of shard diff'
! grep -q 'describe' "$man"/*.1 || fatal 'a hidden option is in the manual'
if command -v groff >/dev/null; then
    for page in "$man"/*.1; do
        out=$(groff -man -Tascii -P-cbou -ww "$page" 2>&1 >"$TMP/page") && [ -z "$out" ] || fatal "groff of $page: $out"
        grep -q 'EXIT STATUS' "$TMP/page" || fatal "groff prints no page of $page"
    done
fi

# Completion, in a shell that has read it.
complete_words() { # WORD...: what follows the last one
    PATH=${bin%/*}:$PATH bash -c '. "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        _aligndistil; echo "${COMPREPLY[*]}"' "$DESTDIR/opt/ad/share/bash-completion/completions/aligndistil" "$@"
}
completes() { # WANTED WORD...
    local want=$1
    shift
    [ "$(complete_words "$@")" = "$want" ] || fatal "completion of '$*': $(complete_words "$@")"
}
completes 'teacher-dump' aligndistil te
completes 'dpo-train distill' aligndistil d
completes 'check' aligndistil shard ch
completes 'report' aligndistil re
completes '--compare' aligndistil report --comp
completes '--min-lr --micro-tokens' aligndistil distill --mi
completes '--model --micro-tokens' aligndistil eval nll --m
completes 'cosine constant' aligndistil distill --schedule co
completes 'import' aligndistil help im
completes '' aligndistil distill --model x # a file's name
completes '' aligndistil shard ls a.h5 x

make --no-print-directory -s uninstall MODE="$MODE" BUILD="$BUILD" DESTDIR="$DESTDIR" PREFIX=/opt/ad
left=$(find "$DESTDIR" ! -type d)
[ -z "$left" ] || fatal "uninstall left $left"
