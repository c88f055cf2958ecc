#!/bin/sh
# adopt.sh SEED_FOLDER TRIAL METHOD: a chosen trial's model, log, snapshots and seconds under the
# method's name.
set -e
cd "$1"
rm -f "$3".step-*.h5 "$3.h5" "$3.adapter.h5" "$3.parameters" "seconds/$3.cache"
for file in tune/"$2".step-*.h5; do
    [ -e "$file" ] && ln -f "$file" "$3.step-${file##*.step-}"
done
mkdir -p seconds
ln -f "tune/$2.csv" "$3.csv"
ln -f "tune/seconds/$2" "seconds/$3"
[ ! -e "tune/seconds/$2.cache" ] || ln -f "tune/seconds/$2.cache" "seconds/$3.cache"
for file in adapter.h5 parameters; do
    [ ! -e "tune/$2.$file" ] || ln -f "tune/$2.$file" "$3.$file"
done
cp "tune/$2.h5" "$3.h5" # a copy: newer than the choice
