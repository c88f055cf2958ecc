#!/bin/sh
# Unpacks Debian's arm64 packages of the libraries we link, with what those need, into a folder of
# their own: for a cross compiler (--sysroot) and qemu-aarch64 (-L). Nothing is installed.
#   .ci/arm64.sh [FOLDER]         build/arm64 by default; what is whole already is left as it is
set -e
to=${1:-$(dirname "$0")/../build/arm64}
[ ! -e "$to/whole" ] || exit 0
mkdir -p "$to/state/lists/partial" "$to/cache/archives/partial" "$to/root"
to=$(cd "$to" && pwd)
cat >"$to/apt.conf" <<LIST
APT::Architecture "arm64";
APT::Architectures { "arm64"; };
APT::Install-Recommends "false";
Dir::State "$to/state";
Dir::State::status "/dev/null";
Dir::Cache "$to/cache";
Debug::NoLocking "true";
LIST
export APT_CONFIG="$to/apt.conf"
apt-get update -q
apt-get install -q -y --download-only libc6-dev libhdf5-dev libzstd-dev libjansson-dev libpcre2-dev \
    libutf8proc-dev libxxhash-dev zlib1g-dev libcsv-dev libcmocka-dev
for package in "$to"/cache/archives/*.deb; do dpkg -x "$package" "$to/root"; done
rm -rf "$to/cache" "$to/state"
touch "$to/whole"
