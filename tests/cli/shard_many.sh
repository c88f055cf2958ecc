#!/bin/bash
# A set of more shards than files that may be open: no command of shard keeps them open.
. tests/lib.bash
make=$root/$BUILD/tests/cli/make_files
for kind in tokens coded; do
    "$make" $kind $kind.h5 100 1 >/dev/null
    "$make" $kind whole-$kind.h5 100 >/dev/null
    [ "$(ls $kind-*.h5 | wc -l)" = 100 ] || fatal "not 100 shards of $kind"
done
few() {
    (ulimit -n 64 && "$@" >out 2>err </dev/null) || fail "exit $? with 64 files: $*: $(head -n 3 err)"
}
few "$bin/shard" merge -o merged.h5 tokens-*.h5
same merged.h5 whole-tokens.h5 merge
few "$bin/shard" merge -o merged-coded.h5 coded-*.h5
same merged-coded.h5 whole-coded.h5 merge
few "$bin/shard" split --parts 3 -o split.h5 tokens-*.h5
few "$bin/shard" merge -o again.h5 split-*.h5
same again.h5 whole-tokens.h5 'split and merge'
few "$bin/shard" filter --rows 10:90 -o some.h5 tokens-*.h5
few "$bin/shard" filter --max-entropy 5 -o some-coded.h5 coded-*.h5
few "$bin/shard" recode --top-k 3 -o recoded.h5 coded-*.h5
few "$bin/shard" recode --zstd-level 9 -o packed.h5 coded-*.h5
few "$bin/shard" check tokens-*.h5 coded-*.h5
few "$bin/shard" ls coded-*.h5
few "$bin/shard" head --rows 100 coded-*.h5
few "$bin/shard" stat coded-*.h5
finish
