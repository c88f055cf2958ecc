# What the benchmarks share: answers to the questions by the model under test, a judge's verdicts on
# them. A benchmark's Makefile sets TEMPERATURES, TURNS, MAX_NEW and what its judge needs.
#
#   MODEL      the model under test (.h5); NAME is what its files call it
#   QUESTIONS  the benchmark's questions
#   PROMPTS    the benchmark's prompts of a judge
#   JUDGE      the judge, a command (judges/ has some); replies are kept in verdicts.jsonl
#   TOKENIZE_OPTS, GENERATE_OPTS, JUDGE_OPTS   more options of the stages, as --template
OUT ?= $(abspath ../../../build)/benchmarks/$(notdir $(CURDIR))/$(NAME)
NAME ?= $(basename $(notdir $(MODEL)))
include ../../stage.mk
TOKENIZE_OPTS ?=
GENERATE_OPTS ?=
JUDGE_OPTS ?=
TEMPERATURES ?= 0
TURNS ?= 1
need = $(foreach v,$(1),$(if $($(v)),,$(error give $(v)=...; see pipelines/benchmarks/README.md)))
$(call need,MODEL QUESTIONS PROMPTS)
# make runs here; relative names are below this Makefile's folder
MODEL := $(abspath $(MODEL))
QUESTIONS := $(abspath $(QUESTIONS))
PROMPTS := $(abspath $(PROMPTS))

$(eval $(call setting,GENERATE,$(TOKENIZE_OPTS) $(GENERATE_OPTS) $(MAX_NEW) $(SEED) $(TEMPERATURES) $(NAME)))
$(eval $(call setting,JUDGE,$(JUDGE) $(JUDGE_OPTS)))

define turn # NUMBER TEMPERATURE BEFORE: the prompts' further options and prerequisites
$(OUT)/prompts-$(1)-$(2).jsonl: $(QUESTIONS) $(OUT)/settings/GENERATE $(3)
	$(STAGE)benchmark prompts --questions $(QUESTIONS) --temperature $(2) $(if $(3),--first $(3)) -o $$@ > /dev/null
$(OUT)/prompts-$(1)-$(2).h5: $(OUT)/prompts-$(1)-$(2).jsonl $(MODEL)
	$(STAGE)tokenize --model $(MODEL) --kind prompt --input $$< -o $$@ $(TOKENIZE_OPTS) $(QUIET) > /dev/null
$(OUT)/responses-$(1)-$(2).jsonl: $(OUT)/prompts-$(1)-$(2).h5 $(MODEL)
	$(STAGE)generate --model $(MODEL) --data $$< -o $$(@:.jsonl=.h5) --text $$@ --temperature $(2) \
	    --max-new $(MAX_NEW) --seed $(SEED) $(GENERATE_OPTS) $(QUIET) > /dev/null
endef
$(foreach t,$(TEMPERATURES),$(eval $(call turn,1,$(t),)))
$(if $(filter 2,$(TURNS)),$(foreach t,$(TEMPERATURES),$(eval $(call turn,2,$(t),$(OUT)/responses-1-$(t).jsonl))))

FIRST := $(TEMPERATURES:%=$(OUT)/responses-1-%.jsonl)
SECOND := $(if $(filter 2,$(TURNS)),$(TEMPERATURES:%=$(OUT)/responses-2-%.jsonl))
$(ANSWERS): $(FIRST) $(SECOND)
	$(STAGE)benchmark answers --questions $(QUESTIONS) --model '$(NAME)' --temperatures $(TEMPERATURES) \
	    --first $(FIRST) $(if $(SECOND),--second $(SECOND)) -o $@ > /dev/null

# $(call judged,PROTOCOL,FILE,OPTIONS,PREREQUISITES)
define judged
$(2): $(ANSWERS) $(PROMPTS) $(4) $(OUT)/settings/JUDGE
	$$(call need,JUDGE)
	$(STAGE)eval judge --protocol $(1) --questions $(QUESTIONS) --answers $(ANSWERS) --prompts $(PROMPTS) \
	    $(3) --judge '$$(JUDGE)' --verdicts $(OUT)/verdicts.jsonl $(JUDGE_OPTS) -o $$@ $(QUIET) > /dev/null
endef

all: $(OUT)/table.csv
answers: $(ANSWERS)
clean:
	rm -rf $(OUT)
.PHONY: all answers clean
