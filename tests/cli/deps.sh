#!/bin/bash
# `make deps` on machines that are played: what is missing is installed and said so, or the command
# is named. The folder `play` is all that deps.sh finds there.
. tests/lib.bash
mkdir play
for tool in sh tr sed grep cat env; do ln -s "$(command -v $tool)" play/$tool; done
script() { # NAME: from stdin
    { echo "#!$(command -v sh)"; cat; } >play/$1
    chmod +x play/$1
}
printf '%s\n' hdf5 libzstd jansson libpcre2-8 libutf8proc libxxhash zlib cmocka openblas >all
echo 'exit 0' | script cc # finds every header
echo 'echo 0' | script id # root
echo '[ "$1" = --exists ] && grep -qx -e "$2" present' | script pkg-config
deps() { env -i PATH="$PWD/play" sh "$root/.ci/deps.sh" "$@"; }
apt() { # BODY: a Debian whose apt-get does it
    script apt-get <<<"echo \"apt-get \$*\" >>ran; $1"
    : >ran
}

cp all present
apt 'exit 1'
quiet deps
[ ! -s ran ] || fail "apt-get without need: $(cat ran)"

grep -v jansson all >present
apt '[ "$1" = update ] || cat all >present'
expect 0 'deps: installing libjansson-dev$' deps
[ "$(cat ran)" = 'apt-get update -q
apt-get install -y --no-install-recommends libjansson-dev' ] || fail "ran: $(cat ran)"
quiet deps
grep -v openblas all >present
expect 0 'deps: installing libopenblas-openmp-dev$' deps

# what cannot be installed is named, with the command
grep -v 'jansson\|zlib' all >present
command='run as root: apt-get update && apt-get install -y --no-install-recommends libjansson-dev zlib1g-dev'
apt 'exit 100'
deps >out 2>err
[ $? = 1 ] && grep -q "installing failed; $command" err || fail "a failing apt-get: $(cat err)"
apt 'exit 0'
deps >out 2>err
[ $? = 1 ] && grep -q 'still missing: libjansson-dev zlib1g-dev' err || fail "nothing came: $(cat err)"
echo 'echo 1000' | script id
expect 1 "missing: libjansson-dev zlib1g-dev; $command" deps
echo 'echo "sudo $*" >>ran; [ "$1" != -n ] && "$@"' | script sudo # wants a password
: >ran
expect 1 "$command" deps </dev/null
grep -q 'sudo apt-get' ran && fail "asked for a password: $(cat ran)"
rm play/apt-get
deps >out 2>err
[ $? = 1 ] && grep -q 'no apt-get here.*DEPS_CFLAGS and DEPS_LIBS' err || fail "no apt-get: $(cat err)"
finish
