#!/bin/sh
# Installs what the build, the tests and the figures need on Debian 12, or names the command.
# Silent where nothing is missing. `make deps`, `make test` and `make demo` run it.
cc=${CC:-cc}
pkg_config=${PKG_CONFIG:-pkg-config}

missing() { # the Debian packages that are not here
    command -v "${cc%% *}" >/dev/null || echo gcc libc6-dev
    if command -v "$pkg_config" >/dev/null; then
        while read -r module package; do
            "$pkg_config" --exists "$module" || echo "$package"
        done <<'LIST'
hdf5 libhdf5-dev
libzstd libzstd-dev
jansson libjansson-dev
libpcre2-8 libpcre2-dev
libutf8proc libutf8proc-dev
libxxhash libxxhash-dev
zlib zlib1g-dev
openblas libopenblas-openmp-dev
cmocka libcmocka-dev
LIST
    else
        echo pkg-config libhdf5-dev libzstd-dev libjansson-dev \
            libpcre2-dev libutf8proc-dev libxxhash-dev zlib1g-dev libopenblas-openmp-dev libcmocka-dev
    fi
    { [ -e /usr/include/csv.h ] || echo '#include <csv.h>' | $cc -E - >/dev/null 2>&1; } ||
        echo libcsv-dev
}

list=$(missing | tr '\n' ' ' | sed 's/ *$//')
[ -n "$list" ] || exit 0
command="apt-get install -y --no-install-recommends $list"

if ! command -v apt-get >/dev/null; then
    echo "deps: missing (by their Debian names): $list" >&2
    echo "deps: no apt-get here; install them another way, then set DEPS_CFLAGS and DEPS_LIBS" >&2
    exit 1
fi
if [ "$(id -u)" = 0 ]; then
    as_root=
elif command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
    as_root=sudo
else
    echo "deps: missing: $list; run as root: apt-get update && $command" >&2
    exit 1
fi
echo "deps: installing $list" >&2
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086
if ! { $as_root apt-get update -q && $as_root $command; } >&2; then
    echo "deps: installing failed; run as root: apt-get update && $command" >&2
    exit 1
fi
list=$(missing | tr '\n' ' ')
[ -z "$list" ] || { echo "deps: still missing: $list" >&2; exit 1; }
