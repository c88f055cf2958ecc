# What the experiments with a gold reward share, from a reference model to the table and the page.
# An experiment's Makefile includes stage.mk, sets
#   REF       name of the reference model: sft, or base where there is no fine-tuning
#   WORLD     which gold reward (gold --world)
#   MODELS    rows of the table, the reference among them
#   PAGE      what stands on the page (see report/page.c)
#   *_OPTS    settings of the stages
# has rules for $(OUT)/$(REF).h5 and $(OUT)/{train,valid,test}-prompts.h5, and includes this file.
#
# Made here: $(OUT)/MODEL.h5; $(OUT)/test/MODEL.* its responses to the test prompts and what was
# measured on them; $(OUT)/valid/MODEL.csv gold and KL of its snapshots on validation prompts;
# $(OUT)/table.csv, table.txt, figures/*.svg (where gnuplot is) and report.html.
DISTILLED := $(filter adaptive published tuned,$(MODELS))
ALIGNED := dpo $(DISTILLED)
# tuned: the published recipe with a strength of our own
recipe = $(if $(filter adaptive,$(1)),adaptive,published)
upper_adaptive := ADAPTIVE
upper_published := PUBLISHED
upper_tuned := TUNED
TEACHERS := --dpo $(OUT)/dpo.h5 --reverse $(OUT)/reverse.h5 --ref $(OUT)/$(REF).h5
TIMED = $(REPORT)/timed.sh $(OUT)/seconds
SNAPSHOTS ?= 0
include $(TOP)/measured.mk

all: $(OUT)/table.txt $(OUT)/report.html
	@cat $<
	@echo 'page: $(OUT)/report.html'

$(foreach s,DPO DUMP ADAPTIVE PUBLISHED TUNED DISTILL SNAPSHOTS, \
    $(eval $(call setting,$(s),$($(s)_OPTS)$(if $(filter SNAPSHOTS,$(s)),$(SNAPSHOTS)))))

# ---- the teachers, their cache, the students --------------------------------------------------------

$(OUT)/dpo.h5: $(OUT)/$(REF).h5 $(OUT)/train-pairs.h5 $(OUT)/settings/DPO $(OUT)/settings/SNAPSHOTS
	$(TIMED)/dpo $@ $(STAGE)dpo-train --model $< --data $(OUT)/train-pairs.h5 -o $@ \
	    --reference $(OUT)/reference.h5 --log $(OUT)/dpo.csv --snapshot-every $(SNAPSHOTS) $(DPO_OPTS) $(QUIET)
# after dpo.h5, whose run leaves the reference's log-probabilities
$(OUT)/reverse.h5: $(OUT)/$(REF).h5 $(OUT)/train-pairs.h5 $(OUT)/settings/DPO $(OUT)/dpo.h5
	$(TIMED)/reverse $@ $(STAGE)dpo-train --model $< --data $(OUT)/train-pairs.h5 -o $@ --reverse \
	    --reference $(OUT)/reference.h5 --log $(OUT)/reverse.csv $(DPO_OPTS) $(QUIET)

define distilled
$(OUT)/$(1)-teacher.list: $(OUT)/dpo.h5 $(OUT)/reverse.h5 $(OUT)/train-pairs.h5 $(OUT)/settings/DUMP \
    $(OUT)/settings/$(upper_$(1))
	$$(TIMED)/$(1)-dump $(OUT)/$(1)-teacher.h5 $(STAGE)teacher-dump $(TEACHERS) --data $(OUT)/train-pairs.h5 \
	    -o $(OUT)/$(1)-teacher.h5 --recipe $(call recipe,$(1)) $(DUMP_OPTS) $($(upper_$(1))_OPTS) \
	    $(QUIET) > $$@
$(OUT)/$(1).h5: $(OUT)/$(REF).h5 $(OUT)/$(1)-teacher.list $(OUT)/settings/DISTILL $(OUT)/settings/SNAPSHOTS
	$$(TIMED)/$(1) $$@ $(STAGE)distill --model $$< --teacher - -o $$@ --recipe $(call recipe,$(1)) \
	    --log $(OUT)/$(1).csv --snapshot-every $(SNAPSHOTS) $(DISTILL_OPTS) $(QUIET) < $(OUT)/$(1)-teacher.list
endef
$(foreach m,$(DISTILLED),$(eval $(call distilled,$(m))))

# ---- the table ---------------------------------------------------------------------------------------

$(OUT)/table.csv: $(MODELS:%=$(OUT)/test/%-row.csv)
	@awk 'NR == 1 || FNR > 1' $^ > $@
$(OUT)/table.txt: $(OUT)/table.csv
	@{ awk -v ref=$(REF) -f $(REPORT)/table.awk $<; printf 'beside: reverse %s s; a teacher cache %s s\n' \
	    "$$(cat $(OUT)/seconds/reverse)" "$$(cat $(OUT)/seconds/adaptive-dump)"; } > $@

# ---- on the way: the strength at each token, the cache ------------------------------------------------

$(OUT)/valid/tokens.csv: $(OUT)/test/adaptive.h5 $(OUT)/reverse.h5 $(OUT)/dpo.h5 $(OUT)/settings/ADAPTIVE
	@mkdir -p $(OUT)/valid
	$(STAGE)eval tokens $(TEACHERS) --data $< --recipe adaptive $(ADAPTIVE_OPTS) --text -o $@ $(QUIET) > /dev/null
$(OUT)/cache.csv: $(OUT)/adaptive-teacher.list
	@$(BIN)/shard stat $$(cat $<) | awk -f $(REPORT)/cache.awk > $@

# ---- the page -----------------------------------------------------------------------------------------

FIGURES := loss steps frontier accuracy cache
$(OUT)/figures/done: $(REPORT)/figures.gp $(ALIGNED:%=$(OUT)/valid/%.csv) $(OUT)/valid/pairs.csv $(OUT)/cache.csv
	@mkdir -p $(@D); rm -f $(@D)/*.svg
	@if command -v gnuplot > /dev/null; then \
	    gnuplot -e "out='$(OUT)'; ref='$(REF)'; aligned='$(ALIGNED)'; distilled='$(DISTILLED)'" $<; \
	else echo 'gnuplot is missing: the page comes without figures (apt-get install gnuplot-nox)' >&2; fi
	@touch $@
$(OUT)/report.html: $(PAGE) $(OUT)/figures/done $(OUT)/table.txt $(OUT)/valid/tokens.csv
	cd $(OUT) && $(BIN)/page -o $@ $(abspath $(PAGE))

# ---- on request -----------------------------------------------------------------------------------------

trials: $(OUT)/train-pairs.h5 $(OUT)/valid-prompts.h5 trials.txt
	$(REPORT)/trials.sh $(OUT) $(REF) $(WORLD) trials.txt '$(TRAIN)' '$(VALID_OPTS)' > $(OUT)/trials.md
	cat $(wildcard trials-before.md) /dev/null >> $(OUT)/trials.md
	cp $(OUT)/trials.md TRIALS.md
results: $(OUT)/table.txt
	$(REPORT)/results.sh $(OUT) '$(NAME)' > $(OUT)/results.md
	cp $(OUT)/results.md RESULTS.md
	! [ -e $(OUT)/figures/steps.svg ] || cp $(OUT)/figures/steps.svg .
.PHONY: all trials results
