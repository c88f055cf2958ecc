# aligndistil: `make`, `make test`, `make demo`; `make help` lists the rest.
MAKEFLAGS += --no-builtin-rules
Q := $(if $(V),,@)
MODE ?= release
BUILD ?= build/$(MODE)$(if $(filter-out 0,$(MPI)),-mpi)
PREFIX ?= /usr/local
CC ?= cc
PKG_CONFIG ?= pkg-config
PACKAGES := hdf5 libzstd jansson libpcre2-8 libutf8proc libxxhash zlib

# A cluster without pkg-config files sets DEPS_CFLAGS and DEPS_LIBS itself.
DEPS_CFLAGS ?= $(shell $(PKG_CONFIG) --cflags $(PACKAGES) 2>/dev/null)
DEPS_LIBS ?= $(shell $(PKG_CONFIG) --libs $(PACKAGES) 2>/dev/null) -lcsv
# Any CBLAS (OpenBLAS of any flavour, BLIS, MKL, ...): BLAS_LIBS="-lblis"; BLAS_LIBS= builds without.
BLAS_LIBS ?= $(shell $(PKG_CONFIG) --libs openblas 2>/dev/null)
# MPI=1: training on several ranks, under mpirun or srun. Any MPI of standard 3 (Open MPI, MPICH, ...),
# by its pkg-config module, or what MPICC says, which counts where it is given; or MPI_CFLAGS and
# MPI_LIBS as they are given.
ifneq ($(filter-out 0,$(MPI)),)
MPI_MODULE ?= $(if $(MPICC),,$(firstword $(foreach m,ompi-c mpich mpi,$(shell $(PKG_CONFIG) --exists $(m) 2>/dev/null && echo $(m)))))
MPICC ?= mpicc
mpi_from_mpicc = $(shell { $(MPICC) --showme:$(1) || $(MPICC) -show | tr ' ' '\n' | grep -E '$(2)'; } 2>/dev/null)
MPI_CFLAGS ?= $(if $(MPI_MODULE),$(shell $(PKG_CONFIG) --cflags $(MPI_MODULE)),$(call mpi_from_mpicc,compile,^-[ID]))
MPI_LIBS ?= $(if $(MPI_MODULE),$(shell $(PKG_CONFIG) --libs $(MPI_MODULE)),$(call mpi_from_mpicc,link,^-[Ll]|^-Wl))
WITH_MPI := -DWITH_MPI $(MPI_CFLAGS)
endif
CMOCKA_LIBS ?= $(shell $(PKG_CONFIG) --libs cmocka 2>/dev/null)

MODE_release := -O3
MODE_asan := -O1 -g -fsanitize=address -fno-omit-frame-pointer
MODE_ubsan := -O1 -g -fsanitize=undefined -fno-sanitize-recover=all
MODE_fuzz := -O1 -g -fsanitize=fuzzer-no-link,address -DSTREAM_BUFFER=4096
MODE_tsan := -O1 -g -fsanitize=thread
WARN := -Wall -Wextra -Wshadow
# a * b + c is one operation with one rounding wherever it is written so: what gcc calls fast and clang
# on (its fast also joins what was written apart, differently from place to place).
CONTRACT := $(if $(findstring clang,$(shell $(CC) --version 2>/dev/null)),on,fast)
CFLAGS_ALL := -std=c11 -D_GNU_SOURCE -ffp-contract=$(CONTRACT) -fno-math-errno -fno-trapping-math \
    $(WARN) $(MODE_$(MODE)) -I. $(DEPS_CFLAGS) $(if $(strip $(BLAS_LIBS)),,-DNO_BLAS) $(WITH_MPI) $(CFLAGS)
LDFLAGS_ALL := $(MODE_$(MODE)) $(LDFLAGS)
LIBS := $(DEPS_LIBS) $(BLAS_LIBS) $(MPI_LIBS) -lm -lpthread

# common/engine/kernels*.c are compiled once for each vector level and picked at run time.
MACHINE := $(shell $(CC) -dumpmachine)
ifneq ($(filter x86_64%,$(MACHINE)),)
LEVELS := portable avx2 avx512 avx512bf16 $(shell $(CC) -mamx-bf16 -E -x c /dev/null >/dev/null 2>&1 && echo amx)
endif
LEVELS ?= portable
LEVEL_portable :=
LEVEL_avx2 := -mavx2 -mfma
LEVEL_avx512 := -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mprefer-vector-width=512
LEVEL_avx512bf16 := $(LEVEL_avx512) -mavx512bf16
LEVEL_amx := $(LEVEL_avx512bf16) -mamx-tile -mamx-bf16
# AMX with its instructions worked out in C: for test_tiles alone.
LEVEL_emulated := $(LEVEL_avx512bf16) -DTILES_EMULATED

KERNELS := $(wildcard common/engine/kernels*.c)
COMMON := $(filter-out $(KERNELS),$(wildcard common/*/*.c))
FORMATS := $(filter-out formats/store/zplugin.c,$(wildcard formats/*/*.c))
# stages/shared is what several stages do together; each other folder is a stage.
JOINT := $(wildcard stages/shared/*.c)
STAGES := $(patsubst stages/%.c,%,$(wildcard stages/*.c))
FOLDERS := $(filter-out shared,$(patsubst stages/%/,%,$(filter %/,$(wildcard stages/*/))))
# What the dispatcher runs.
INSTALLED := $(strip $(filter-out aligndistil,$(STAGES)) $(FOLDERS))
# pipelines/lib is shared by the programs of the experiments; each other file is a program.
SHARED := $(wildcard pipelines/lib/*.c)
PROGRAMS := $(filter-out $(SHARED),$(wildcard pipelines/*/*.c))
UNITS := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_*.c))
TOOLS := $(patsubst tests/%.c,%,$(wildcard tests/cli/*.c tests/fault/*.c tests/bench/*.c tests/fuzz/*.c))
BENCH_FOLDERS := $(patsubst tests/%/,%,$(filter %/,$(wildcard tests/bench/*/)))

obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
BIN := $(BUILD)/bin
LIBRARY := $(BUILD)/libaligndistil.a
LIBOBJ := $(call obj,$(COMMON) $(FORMATS) $(JOINT)) $(foreach l,$(LEVELS),$(KERNELS:%.c=$(BUILD)/obj/%_$(l).o))

all: $(STAGES:%=$(BIN)/%) $(FOLDERS:%=$(BIN)/%) $(foreach p,$(PROGRAMS),$(BIN)/$(basename $(notdir $p))) \
    $(if $(wildcard formats/store/zplugin.c),$(BUILD)/plugin/libh5zstd.so)
	@:

$(BUILD)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo "  CC    $@"
	$(Q)$(CC) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

define kernels_rule
$(KERNELS:%.c=$(BUILD)/obj/%_$(1).o): $(BUILD)/obj/%_$(1).o: %.c Makefile
	@mkdir -p $$(@D)
	@echo "  CC    $$@"
	$(Q)$(CC) $(CFLAGS_ALL) -Wno-psabi $(LEVEL_$(1)) -DKERNELS=kernels_$(1) -DKERNELS_NAME='"$(1)"' -MMD -MP -c -o $$@ $$<
endef
$(foreach l,$(LEVELS) $(if $(filter amx,$(LEVELS)),emulated),$(eval $(call kernels_rule,$(l))))
$(BUILD)/obj/common/engine/cpu.o $(BUILD)/obj/tests/unit/test_tiles.o $(BUILD)/obj/tests/bench/engine/peak.o: CFLAGS_ALL += $(LEVELS:%=-DLEVEL_%)

$(LIBRARY): $(LIBOBJ)
	@rm -f $@
	@echo "  AR    $@"
	$(Q)$(AR) rcs $@ $^

$(STAGES:%=$(BIN)/%): $(BIN)/%: $(BUILD)/obj/stages/%.o $(LIBRARY)
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

define folder_rule
$(BIN)/$(1): $(call obj,$(wildcard stages/$(1)/*.c)) $(LIBRARY)
	@mkdir -p $$(@D)
	@echo "  LINK  $$@"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $$@ $$^ $(LIBS)
endef
$(foreach f,$(FOLDERS),$(eval $(call folder_rule,$(f))))

$(BUILD)/libpipelines.a: $(call obj,$(SHARED))
	@rm -f $@
	@echo "  AR    $@"
	$(Q)$(AR) rcs $@ $^

define program_rule
$(BIN)/$(basename $(notdir $(1))): $(call obj,$(1)) $(if $(SHARED),$(BUILD)/libpipelines.a) $(LIBRARY)
	@mkdir -p $$(@D)
	@echo "  LINK  $$@"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $$@ $$^ $(LIBS)
endef
$(foreach p,$(PROGRAMS),$(eval $(call program_rule,$(p))))

$(BUILD)/plugin/libh5zstd.so: formats/store/zplugin.c formats/store/zfilter.c Makefile
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	$(Q)$(CC) $(filter-out -fsanitize=%,$(CFLAGS_ALL)) -fPIC -shared -o $@ $(filter %.c,$^) $(DEPS_LIBS)

$(UNITS:%=$(BUILD)/unit/%): $(BUILD)/unit/%: $(BUILD)/obj/tests/unit/%.o $(if $(SHARED),$(BUILD)/libpipelines.a) $(LIBRARY)
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(CMOCKA_LIBS) $(LIBS)

$(if $(filter amx,$(LEVELS)),$(BUILD)/unit/test_tiles: $(KERNELS:%.c=$(BUILD)/obj/%_emulated.o))
# fuzz_reply has what the stage eval reads.
$(BUILD)/tests/fuzz/fuzz_reply $(BUILD)/fuzzers/fuzz_reply: \
    $(call obj,$(filter-out %/main.c,$(wildcard stages/eval/*.c)))

$(TOOLS:%=$(BUILD)/tests/%): $(BUILD)/tests/%: $(BUILD)/obj/tests/%.o $(LIBRARY)
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $(filter %.o,$^) $(LIBRARY) $(LIBS)

define bench_rule
$(BUILD)/tests/$(1): $(call obj,$(wildcard tests/$(1)/*.c)) $(LIBRARY)
	@mkdir -p $$(@D)
	@echo "  LINK  $$@"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $$@ $$^ $(LIBS)
endef
$(foreach b,$(BENCH_FOLDERS),$(eval $(call bench_rule,$(b))))

unit: $(UNITS:%=$(BUILD)/unit/%)
	@:
# What fails or kills a program at its n-th call of the system, by LD_PRELOAD.
$(BUILD)/tests/fault/inject.so: $(wildcard tests/fault/inject/*.c) tests/fault/inject/inject.h Makefile
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	$(Q)$(CC) -std=c11 -D_GNU_SOURCE -O1 -g $(WARN) -fPIC -shared -fno-builtin -o $@ $(filter %.c,$^) -ldl

tools: $(TOOLS:%=$(BUILD)/tests/%) $(BUILD)/tests/fault/inject.so $(BENCH_FOLDERS:%=$(BUILD)/tests/%)
	@:

# What follows the installation of a library must look for it again: these calls of make do.
JOBS = $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc 2>/dev/null || echo 2))
AGAIN = $(MAKE) --no-print-directory $(JOBS)
export MODE BUILD CC MPI

deps:
ifeq ($(filter command environment,$(firstword $(origin DEPS_LIBS))),)
	@CC='$(CC)' PKG_CONFIG='$(PKG_CONFIG)' .ci/deps.sh $(WANT)
endif

test: deps
	+@$(AGAIN) all unit tools
	@CFLAGS_ALL='$(CFLAGS_ALL)' ONLY='$(ONLY)' tests/run.sh

bless: deps
	+@$(AGAIN) all tools
	@BLESS=1 ONLY='golden/*' tests/run.sh

demo: deps
	+@$(AGAIN) all
	@$(MAKE) --no-print-directory -s -C pipelines/demo

# Coverage-guided fuzzing of every reader of foreign bytes (clang's libFuzzer), SECONDS each; a find
# stays in build/fuzz and belongs into tests/fuzz/corpus once it is fixed.
SECONDS ?= 60
FUZZ ?= build/fuzz
FUZZERS := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
$(FUZZERS:%=$(BUILD)/fuzzers/%): $(BUILD)/fuzzers/%: tests/fuzz/%.c $(LIBRARY)
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	$(Q)$(CC) $(CFLAGS_ALL) -DFUZZER -fsanitize=fuzzer,address -o $@ $(filter-out $(LIBRARY),$^) $(LIBRARY) $(LIBS)
fuzzers: $(FUZZERS:%=$(BUILD)/fuzzers/%)
fuzz: deps
	@command -v clang >/dev/null || { echo "fuzz: needs clang and libclang-rt-14-dev: apt-get install clang libclang-rt-14-dev"; exit 1; }
	@$(MAKE) --no-print-directory $(JOBS) MODE=fuzz BUILD=$(FUZZ) CC=clang fuzzers
	@for f in $(FUZZERS); do c=$(FUZZ)/corpus/$$f; mkdir -p $$c; echo "== $$f"; \
	    $(FUZZ)/fuzzers/$$f -max_total_time=$(SECONDS) -rss_limit_mb=2048 -artifact_prefix=$(FUZZ)/$$f- \
	        -print_final_stats=1 -close_fd_mask=1 $$c \
	        $$(ls -d tests/fuzz/corpus/$${f#fuzz_} tests/fuzz/$$f 2>/dev/null) 2>&1 | \
	        grep -E 'ERROR|SUMMARY|Test unit written|number_of_executed_units' ; \
	    ! ls $(FUZZ)/$$f-* >/dev/null 2>&1 || { echo "fuzz: finds in $(FUZZ)/$$f-*"; exit 1; }; done

# Every command of tests/fault/stages.bash with faults at every call that touches files and at every
# call site that allocates (FAULTS=all: at every call), KILLS random kills, and disks of SIZES sizes.
KILLS ?= 100
SIZES ?= all
FAULT_TESTS ?= inject kills full
fault: deps
	+@$(AGAIN) all tools
	@export BIN='$(BIN)' KILLS='$(KILLS)' SIZES='$(SIZES)' FAULTS='$(or $(FAULTS),sites)' \
	    AT_ONCE='$(or $(AT_ONCE),$(shell nproc))' LC_ALL=C.UTF-8; \
	code=0; for name in $(FAULT_TESTS); do echo "== $$name"; \
	    TMP=$$(mktemp -d) && export TMP && bash tests/fault/$$name.sh || [ $$? = 77 ] || code=1; \
	    rm -rf "$$TMP"; done; exit $$code

# The manual pages, from the programs' own option tables; a page for each stage and subcommand.
MAN := $(BUILD)/man
man: all
	@rm -rf $(MAN) && mkdir -p $(MAN)
	@page() { "$(BIN)/$$1" $$2 --describe man > "$(MAN)/$$3.1" || exit 1; }; \
	page aligndistil '' aligndistil; \
	for stage in $(INSTALLED); do page $$stage '' aligndistil-$$stage; done; \
	for stage in $(FOLDERS); do for name in $$($(BIN)/$$stage --describe words | sed '/^-/d'); do \
	    page $$stage $$name aligndistil-$$stage-$$name; done; done
	@echo "  MAN   $(MAN)"

bench: deps
	+@$(AGAIN) all tools
	@for program in $(patsubst %,$(BUILD)/tests/%,$(filter bench/%,$(TOOLS)) $(BENCH_FOLDERS)); do \
	    echo "== $$program"; $$program || exit 1; done
	@for script in $(wildcard tests/bench/*.sh); do echo "== $$script"; bash $$script || exit 1; done

# The benchmark's table into its page.
bench-results: deps
	+@$(AGAIN) all tools
	$(BUILD)/tests/bench/engine > build/bench.md
	awk '/^<!-- end -->/ { skip = 0 } !skip { print } /^<!-- table/ { skip = 1; while ((getline line < "build/bench.md") > 0) print line }' \
	    tests/bench/RESULTS.md > build/RESULTS.md && cp build/RESULTS.md tests/bench/RESULTS.md

BINDIR = $(DESTDIR)$(PREFIX)/bin
STAGEDIR = $(DESTDIR)$(PREFIX)/libexec/aligndistil
PLUGINDIR = $(DESTDIR)$(PREFIX)/lib/aligndistil
MANDIR = $(DESTDIR)$(PREFIX)/share/man/man1
COMPLETIONDIR = $(DESTDIR)$(PREFIX)/share/bash-completion/completions

install: all man
	install -d '$(BINDIR)' '$(STAGEDIR)' '$(PLUGINDIR)' '$(MANDIR)' '$(COMPLETIONDIR)'
	install $(BIN)/aligndistil '$(BINDIR)'
	$(if $(INSTALLED),install $(INSTALLED:%=$(BIN)/%) '$(STAGEDIR)')
	$(if $(wildcard formats/store/zplugin.c),install -m 644 $(BUILD)/plugin/libh5zstd.so '$(PLUGINDIR)')
	install -m 644 $(MAN)/*.1 '$(MANDIR)'
	install -m 644 stages/completion.bash '$(COMPLETIONDIR)/aligndistil'

uninstall:
	rm -f '$(BINDIR)/aligndistil' $(INSTALLED:%='$(STAGEDIR)/%') '$(PLUGINDIR)/libh5zstd.so' \
	    '$(MANDIR)'/aligndistil.1 '$(MANDIR)'/aligndistil-*.1 '$(COMPLETIONDIR)/aligndistil'
	-rmdir '$(STAGEDIR)' '$(PLUGINDIR)'

format:
	clang-format -i $$(find common formats stages tests pipelines -name '*.[ch]' 2>/dev/null)

help:
	@echo 'make            build everything into build/MODE/bin'
	@echo 'make deps       install missing Debian packages, or name the command'
	@echo 'make test       deps, build, run the tests; ONLY=PATTERN picks, as ONLY=unit/options;'
	@echo '                BUILDS=1: other builds too; AT_ONCE=N tests at once'
	@echo 'make demo       deps, build, run the whole method on an embedded world'
	@echo 'make fuzz       fuzz every reader of foreign bytes, SECONDS=60 each (clang)'
	@echo 'make fault      faults at every call site, KILLS=100 random kills, disks of every size;'
	@echo '                FAULTS=all: at every call'
	@echo 'make bench      deps, build and run the benchmarks; QUICK=1 in a minute'
	@echo 'make bench-results   the same, into the table of tests/bench/RESULTS.md'
	@echo 'make bless      write the golden files again; then read the diff'
	@echo 'make man        the manual pages, into build/MODE/man'
	@echo 'make install    into PREFIX (/usr/local), below DESTDIR; make uninstall takes it back'
	@echo 'make format     clang-format all sources'
	@echo 'make clean      remove build/'
	@echo 'Variables: MODE=release|asan|ubsan|tsan, BUILD, CC, CFLAGS, LDFLAGS, PREFIX, DESTDIR, V=1, and'
	@echo '           MPI=1 (training on several ranks, into build/MODE-mpi), MPICC, MPI_CFLAGS, MPI_LIBS'
	@echo '           DEPS_CFLAGS, DEPS_LIBS where libraries are not found by pkg-config; BLAS_LIBS'

clean:
	rm -rf build

.PHONY: all man unit tools fault fuzz fuzzers deps test bless demo bench bench-results install uninstall format help clean
.SECONDARY:
-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
