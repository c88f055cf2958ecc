# Rules that every experiment shares. An experiment's Makefile sets what it wants (OUT, options as
# *_OPTS) and includes this file; then it names file targets. A target is made by one stage, so that
# make knows what a changed setting makes old: the settings of a stage are in a file that changes
# only when they do ($(OUT)/settings/NAME), and the stage's target depends on it.
#
# RUN is the launcher in front of every stage: RUN="srun -c8" moves an experiment to a cluster.
# TRAIN_RUN is that of the trainings, where they have several ranks (a build with MPI=1).
# A stage that was stopped (exit 75) leaves its checkpoint; `make` again continues.
SHELL := /bin/bash
.SHELLFLAGS := -e -o pipefail -c
.DELETE_ON_ERROR:
.SECONDARY:
MAKEFLAGS += --no-builtin-rules

TOP := $(patsubst %/,%,$(dir $(abspath $(lastword $(MAKEFILE_LIST)))))
ROOT := $(patsubst %/pipelines,%,$(TOP))
MODE ?= release
BIN ?= $(ROOT)/build/$(MODE)/bin
OUT ?= $(ROOT)/build/$(notdir $(CURDIR))
RUN ?=
SEED ?= 1
TRAIN_RUN ?= $(RUN)
STAGE = $(RUN) $(BIN)/
TRAIN_STAGE = $(TRAIN_RUN) $(BIN)/
QUIET ?= -q

# $(call setting,NAME,TEXT): a file that is touched only when TEXT differs from what it holds.
define setting
$(OUT)/settings/$(1): FORCE
	@mkdir -p $$(@D)
	@printf '%s\n' '$(2)' | cmp -s - $$@ || printf '%s\n' '$(2)' > $$@
endef
FORCE:
.PHONY: FORCE

ifeq ($(wildcard $(BIN)/sft),)
$(error no stages in '$(BIN)'; run make in the repository first, or set BIN)
endif
.DEFAULT_GOAL := all
