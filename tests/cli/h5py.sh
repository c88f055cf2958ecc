#!/bin/bash
# Files of all kinds read by h5py with our plugin, by a reader written from FORMATS.md alone, agree
# with `shard head --json` and have the content hashes that they state.
set -u
. tests/report.bash
python=${PYTHON:-/usr/bin/python3}
$python -c 'import h5py, numpy' 2>/dev/null || { echo 'SKIP: python3-h5py is not installed'; exit 77; }
export HDF5_PLUGIN_PATH=$BUILD/plugin
reader="$python tests/oracle/read_file.py"

for kind in tokens pairs reference components coded teacher; do
    # several chunks, and a shard whose first row is not 0
    rows='4000 2500'
    [ $kind != components ] || rows='800 500' # it is composed by a slow second implementation
    $BUILD/tests/cli/make_files $kind "$TMP/$kind.h5" $rows || fail "make_files $kind"
done >"$TMP/paths"
while read -r path; do
    $BIN/shard head --json --rows 30 "$path" >"$path.json" || fail "shard head $path"
done <"$TMP/paths"
$BUILD/tests/cli/make_files model "$TMP/m.h5" 3 || fail 'make_files model'
$reader check $(cat "$TMP/paths") "$TMP/m.h5" || fail 'h5py reads something else'

# The comparison can fail.
last=$(tail -n 1 "$TMP/paths")
sed -i 's/"logp": \[-/"logp": [-1/' "$last.json"
$reader check "$last" >"$TMP/out" 2>&1 && fail 'a changed number goes unseen'
grep -q 'a row differs' "$TMP/out" || fail "$(cat "$TMP/out")"
finish
