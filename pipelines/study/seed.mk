# One seed of the study: its own pairs (samples and noise of the labels), teachers, trainings and
# responses, from the reference and the prompts that all seeds share. The Makefile calls it with
#   OUT (build/study/MODEL/seed-N), SEED, STUDY (build/study/MODEL), PLAN (plan.awk's output), REF,
#   WORLD, NOISE, REVERSE_*, TRAINED (methods to test, dpo among them; nothing: all), TUNE (1: this seed's trials make the
#   choices), CURVES (methods whose snapshots are measured; nothing: all), ...
# Targets: tuned (trials, choices), tested ($(OUT)/rows.csv), accuracy (of the rewards).
include ../stage.mk
include $(PLAN)

ALL_TRAINED := $(foreach m,$(NAMES),$(if $(filter-out teacher,$(stage_$(m))),$(m)))
SAMPLED := $(filter-out $(ALL_TRAINED),$(NAMES))
CHOSEN := $(if $(TRAINED),$(filter dpo $(TRAINED),$(ALL_TRAINED)),$(ALL_TRAINED))
BASES := $(if $(filter sft,$(REF)),base sft,base)
CHOICES := $(STUDY)/choices

MODELS := $(BASES) $(CHOSEN)
UNTRAINED := $(BASES)
ALIGNED := $(if $(CURVES),$(filter dpo $(CURVES),$(CHOSEN)),$(CHOSEN))
TEACHERS := --dpo $(OUT)/teacher.h5 --reverse $(OUT)/reverse.h5 --ref $(OUT)/$(REF).h5
SAMPLE_OPTS := --max-new $(MAX_NEW) --seed $(SEED)
GENERATE_OPTS := --samples $(TEST_SAMPLES) --max-new $(MAX_NEW) --seed $(SEED)
VALID_OPTS := --max-new $(MAX_NEW) --seed 7$(SEED)
LABEL_OPTS := --seed $(SEED) $(NOISE)
PAIRS_OPTS := $(TOKENIZE)
TRAIN := $(TRAIN_OPTS) --seed $(SEED)
REWARD_MODEL := --reward-model $(OUT)/reward-model.h5
include ../measured.mk

export SEED_OUT := $(OUT)
export POINTS := $(OUT)/points
export REF TRAIN SNAPSHOTS MAX_NEW TOKENIZE BIN RUN
TRAINER := SEED=$(SEED) ./train.sh
POINT = $(REPORT)/point.sh $(OUT)/$(REF).h5 $(OUT)/valid-prompts.h5 $(WORLD) '$(VALID_OPTS)' '$(RUN)'
NEEDS := $(BASES:%=$(OUT)/%.h5) $(OUT)/train-pairs.h5 $(OUT)/chosen.h5 $(OUT)/train-prompts.h5 \
    $(OUT)/train-prompts.csv $(OUT)/reverse.h5 $(OUT)/reward-model.h5 $(OUT)/settings/TRAIN

# ---- what all seeds share, the teachers ----------------------------------------------------------------

SHARED := $(BASES:%=%.h5) $(foreach s,train valid test,$(s)-prompts.h5) train-prompts.csv
$(SHARED:%=$(OUT)/%): $(OUT)/%: $(STUDY)/start/%
	@mkdir -p $(@D); ln -f $< $@
$(foreach s,TRAIN,$(eval $(call setting,$(s),$(TRAIN) $(SNAPSHOTS))))
$(eval $(call setting,TEACHER,$(TEACHER_OPTS)))

$(OUT)/chosen.h5: $(OUT)/train-pairs.csv $(OUT)/$(REF).h5
	$(STAGE)tokenize --model $(OUT)/$(REF).h5 --kind sft --map response=chosen \
	    --on-bad skip --input $< -o $@ $(TOKENIZE) $(QUIET) > /dev/null
$(OUT)/teacher.h5: $(OUT)/$(REF).h5 $(OUT)/train-pairs.h5 $(OUT)/settings/TRAIN $(OUT)/settings/TEACHER
	$(TRAINER) $@ dpo-train $(TEACHER_OPTS)
ifeq ($(REVERSE_ROWS),)
$(OUT)/reverse.h5: $(OUT)/teacher.h5 # which leaves the reference's log-probabilities
	$(TRAINER) $@ dpo-train $(TEACHER_OPTS) --reverse
else # pairs of its own, more or with other labels: the world's first prompts, DPO's among them
$(eval $(call setting,REVERSE,$(REVERSE_ROWS) $(REVERSE_LABELS) $(REVERSE_OPTS)))
$(OUT)/reverse-prompts.csv: $(OUT)/settings/REVERSE
	$(BIN)/world prompts --split train --rows $(REVERSE_ROWS) --seed 1 -o $@
$(OUT)/reverse-prompts.h5: $(OUT)/reverse-prompts.csv $(OUT)/base.h5
	$(STAGE)tokenize --model $(OUT)/base.h5 --kind prompt --input $< -o $@ $(QUIET)
$(OUT)/reverse-pairs.csv: $(OUT)/reverse-samples.jsonl $(OUT)/settings/REVERSE
	$(BIN)/gold label --world $(WORLD) --seed $(SEED) $(REVERSE_LABELS) $< -o $@
$(OUT)/reverse.h5: $(OUT)/$(REF).h5 $(OUT)/reverse-pairs.h5 $(OUT)/settings/TRAIN $(OUT)/settings/REVERSE
	PAIRS=reverse $(TRAINER) $@ dpo-train $(TEACHER_OPTS) $(REVERSE_OPTS) --reverse
endif
# what a method is trained from or by, where that is another method's
of_others = $(if $(from_$(1)),$(OUT)/$(from_$(1)).h5) $(if $(teachers_$(1)),$(OUT)/$(teachers_$(1))-reverse.h5)
define reverse_of # METHOD
$(OUT)/$(1)-reverse.h5: $(OUT)/$(1).h5
	$$(TRAINER) $$@ $$(spec_$$(shell cat $(CHOICES)/$(1))) --reverse
endef
$(foreach m,$(sort $(foreach n,$(NAMES),$(teachers_$(n)))),$(eval $(call reverse_of,$(m))))
$(OUT)/reward-model.h5: $(OUT)/$(REF).h5 $(OUT)/train-pairs.h5 $(OUT)/settings/TRAIN $(OUT)/settings/TEACHER
	$(TRAINER) $@ reward $(REWARD_OPTS)

# ---- trials on validation prompts, choices ---------------------------------------------------------------

TRIAL_HEAD := trial,what,gold,gold_error,kl,kl_error,tokens,ended,distinct_2
define trial # NAME COMMAND OF A POINT
$(OUT)/tune/$(1)-point.csv: $(OUT)/valid-prompts.h5 $(OUT)/settings/VALID
	@point=$$$$($(2)); printf '%s\n' '$(TRIAL_HEAD)' "$(1),$(spec_$(1)),$$$$point" > $$@
endef
define trained_trial # NAME
$(eval $(call setting,$(1),$(spec_$(1))))
$(OUT)/tune/$(1).h5: $(OUT)/settings/$(1) $(NEEDS) $(call of_others,$(basename $(1)))
	$(TRAINER) $$@ $(spec_$(1))
$(call trial,$(1),$(POINT) --model $(OUT)/tune/$(1).h5)
$(OUT)/tune/$(1)-point.csv: $(OUT)/tune/$(1).h5
endef
define sampled_trial # NAME
$(eval $(call setting,$(1),$(spec_$(1))))
$(call trial,$(1),$(POINT) $(TEACHERS) $(wordlist 2,99,$(spec_$(1))))
$(OUT)/tune/$(1)-point.csv: $(OUT)/settings/$(1) $(OUT)/reverse.h5
endef
define choice # METHOD
$(CHOICES)/$(1): $(candidates_$(1):%=$(OUT)/tune/%-point.csv) choose.awk
	@mkdir -p $$(@D)
	@awk -f choose.awk $(candidates_$(1):%=$(OUT)/tune/%-point.csv) > $$@
endef
points = $(foreach m,$(1),$(candidates_$(m):%=$(OUT)/tune/%-point.csv))
ifeq ($(TUNE),1)
$(foreach m,$(ALL_TRAINED),$(foreach c,$(candidates_$(m)),$(eval $(call trained_trial,$(c)))))
$(foreach m,$(SAMPLED),$(foreach c,$(candidates_$(m)),$(eval $(call sampled_trial,$(c)))))
$(foreach m,$(ALL_TRAINED),$(eval $(call choice,$(m))))
$(OUT)/ref-point.csv: $(OUT)/$(REF).h5 $(OUT)/valid-prompts.h5 $(OUT)/settings/VALID
	@point=$$($(POINT) --model $<); printf '%s\n' '$(TRIAL_HEAD)' "$(REF),the reference,$$point" > $@
$(STUDY)/trials.csv: $(OUT)/ref-point.csv $(call points,$(NAMES)) $(ALL_TRAINED:%=$(CHOICES)/%)
	@awk -F, 'FNR == 1 && FILENAME ~ /choices\/[^\/]*$$/ { chosen[$$1] = 1; next } FNR > 1 || NR == 1 { \
	    line[++n] = $$0; name[n] = $$1 } END { for (i = 1; i <= n; i++) \
	    print line[i] "," (i == 1 ? "chosen" : name[i] in chosen) }' $^ > $@
tuned: $(STUDY)/trials.csv
endif
.PHONY: tuned tested accuracy

# ---- the chosen ones ---------------------------------------------------------------------------------------

define method # METHOD
$(OUT)/$(1).h5: $(CHOICES)/$(1) $(if $(filter 1,$(TUNE)),,$(NEEDS) $(call of_others,$(1)))
	$(if $(filter 1,$(TUNE)),./adopt.sh $(OUT) $$$$(cat $$<) $(1), \
	    $$(TRAINER) $$@ $$(spec_$$(shell cat $(CHOICES)/$(1))))
endef
$(foreach m,$(CHOSEN),$(eval $(call method,$(m))))

# whose trainings a method needs besides its own
teachers_of = $(or $(if $(teachers_$(1)),$(teachers_$(1)) $(teachers_$(1))-reverse), \
    $(if $(filter distill on-policy rounds,$(stage_$(1))),teacher reverse), \
    $(if $(filter group-dpo,$(stage_$(1))),teacher), $(if $(filter group-reward,$(stage_$(1))),reward-model))
row = curve=$(OUT)/valid/$(1).csv; [ -e $$curve ] || curve=; awk -v seed=$(SEED) \
    -v cache="$$(cat $(OUT)/seconds/$(1).cache 2>/dev/null)" -v teachers="$$(awk '{ s += $$1 } END { if (NR) print s }' \
    /dev/null $(patsubst %,$(OUT)/seconds/%,$(call teachers_of,$(1))))" -f reach.awk $(OUT)/valid/dpo.csv $$curve \
    $(OUT)/test/$(1)-row.csv;
$(OUT)/rows.csv: $(MODELS:%=$(OUT)/test/%-row.csv) $(ALIGNED:%=$(OUT)/valid/%.csv) reach.awk
	@{ $(foreach m,$(MODELS),$(call row,$(m))) } | awk 'NR == 1 || !/^model/' > $@
tested: $(OUT)/rows.csv $(OUT)/valid/pairs.csv
accuracy: $(OUT)/valid/pairs.csv
