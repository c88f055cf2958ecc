#!/bin/bash
# Caches as teacher-dump and shard recode make them, of every coding and layout, read by the reader
# of h5py.sh: numbers as `shard head --json` has them, and the content hash.
. tests/lib.bash
python=${PYTHON:-/usr/bin/python3}
$python -c 'import h5py, numpy' 2>/dev/null || skip 'python3-h5py is not installed'
export HDF5_PLUGIN_PATH=$root/$BUILD/plugin
world 60
teachers
dump="$bin/teacher-dump -q --dpo dpo.h5 --reverse reverse.h5 --ref sft.h5 --data pairs.h5 --top-k 20"
for layout in composed components; do
    for bits in 32 16 12 8 6; do quiet $dump --layout $layout --bits $bits -o $layout-$bits.h5; done
    quiet "$bin/shard" recode --bits 8 --top-k 9 -o $layout-recoded.h5 $layout-32.h5
done
quiet $dump --alpha tvd:2 --rows-per-shard 25 -o part.h5
for file in composed-*.h5 components-*.h5 part-*.h5; do
    "$bin/shard" head --json --rows 30 $file >$file.json || fail "shard head $file"
    $python "$root/tests/oracle/read_file.py" check $file || fail "h5py reads something else of $file"
done

# the comparison can fail
sed -i 's/"log_tails": \[-/"log_tails": [-1/' components-32.h5.json
$python "$root/tests/oracle/read_file.py" check components-32.h5 >out 2>&1 && fail 'a changed number goes unseen'
grep -q 'a row differs' out || fail "$(head -c 300 out)"
finish
