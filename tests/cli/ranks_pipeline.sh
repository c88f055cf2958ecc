#!/bin/bash
# A whole pipeline whose trainings have two ranks (TRAIN_RUN of pipelines/stage.mk): the models of one rank.
. tests/lib.bash
needs_mpi
mkdir stages
ln -s "$bin"/* stages
ln -sf "$mpi"/* stages
unset MAKEFLAGS MFLAGS MAKELEVEL
pipeline() { # OUT ARGUMENTS...
    make --no-print-directory -C "$root/pipelines/smoke" BIN="$PWD/stages" OUT="$PWD/$1" SFT_OPTS='--steps 6 --batch-size 8 --lanes 2' \
        DPO_OPTS='--steps 4 --batch-size 8 --lanes 2' DISTILL_OPTS='--steps 4 --batch-size 8 --lanes 2' "${@:2}" >log 2>&1 ||
        fatal "$1: $(tail log)"
}
pipeline one
pipeline two TRAIN_RUN="$mpirun -n 2"
for name in sft dpo reverse aligned; do same one/$name.h5 two/$name.h5; done
finish
