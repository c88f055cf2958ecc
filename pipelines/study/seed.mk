# One seed of the study: its own pairs (samples and noise of the labels), teachers, trainings and
# responses, from the reference and the prompts that all seeds share. The Makefile calls it with
#   OUT (build/study/MODEL/seed-N), SEED, STUDY (build/study/MODEL), PLAN (plan.awk's output), REF,
#   WORLD, TRAINED (methods to test, dpo among them; nothing: all), TUNE (1: this seed's trials make the
#   choices), CURVES (methods whose snapshots are measured; nothing: all), ...
# Targets: tuned (trials, choices), tested ($(OUT)/rows.csv).
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
LABEL_OPTS := --seed $(SEED)
PAIRS_OPTS := $(TOKENIZE)
TRAIN := $(TRAIN_OPTS) --seed $(SEED)
REWARD_MODEL := --reward-model $(OUT)/reward-model.h5
include ../measured.mk

export SEED_OUT := $(OUT)
export POINTS := $(OUT)/points
export REF TRAIN SNAPSHOTS MAX_NEW TOKENIZE BIN RUN
TRAINER := SEED=$(SEED) ./train.sh
POINT = $(REPORT)/point.sh $(OUT)/$(REF).h5 $(OUT)/valid-prompts.h5 $(WORLD) '$(VALID_OPTS)' '$(RUN)'
NEEDS := $(OUT)/$(REF).h5 $(OUT)/train-pairs.h5 $(OUT)/chosen.h5 $(OUT)/train-prompts.h5 \
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
$(OUT)/reverse.h5: $(OUT)/teacher.h5 # which leaves the reference's log-probabilities
	$(TRAINER) $@ dpo-train $(TEACHER_OPTS) --reverse
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
$(OUT)/tune/$(1).h5: $(OUT)/settings/$(1) $(NEEDS)
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
.PHONY: tuned tested

# ---- the chosen ones ---------------------------------------------------------------------------------------

define method # METHOD
$(OUT)/$(1).h5: $(CHOICES)/$(1) $(if $(filter 1,$(TUNE)),,$(NEEDS))
	$(if $(filter 1,$(TUNE)),./adopt.sh $(OUT) $$$$(cat $$<) $(1), \
	    $$(TRAINER) $$@ $$(spec_$$(shell cat $(CHOICES)/$(1))))
endef
$(foreach m,$(CHOSEN),$(eval $(call method,$(m))))

$(OUT)/rows.csv: $(MODELS:%=$(OUT)/test/%-row.csv) $(ALIGNED:%=$(OUT)/valid/%.csv) reach.awk
	@for m in $(MODELS); do curve=$(OUT)/valid/$$m.csv; [ -e $$curve ] || curve=; \
	    awk -v seed=$(SEED) -v cache="$$(cat $(OUT)/seconds/$$m.cache 2>/dev/null)" -f reach.awk \
	    $(OUT)/valid/dpo.csv $$curve $(OUT)/test/$$m-row.csv; done | awk 'NR == 1 || !/^model/' > $@
tested: $(OUT)/rows.csv $(if $(filter 1,$(TUNE)),$(OUT)/valid/pairs.csv)
