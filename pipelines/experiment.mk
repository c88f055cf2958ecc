# What the experiments with a gold reward share, from a reference model to the table and the page.
# An experiment's Makefile includes stage.mk, sets
#   REF       name of the reference model: sft, or base where there is no fine-tuning
#   WORLD     which gold reward (gold --world)
#   MODELS    rows of the table, the reference and dpo among them. A name that ends in -1 is the model
#             of one epoch with its own *_1_OPTS: dpo-1, and students of dpo-1 and reverse-1
#   PAGE      what stands on the page (see stages/README.md, 'A page of your own')
#   *_OPTS    settings of the stages
# has rules for $(OUT)/$(REF).h5 and $(OUT)/{train,valid,test}-prompts.h5, and includes this file.
#
# Made here: $(OUT)/MODEL.h5; $(OUT)/test/MODEL.* its responses to the test prompts and what was
# measured on them; $(OUT)/valid/MODEL.csv gold and KL of its snapshots on validation prompts;
# $(OUT)/table.csv, table.txt, report.html, and its figures as files: figures/*.svg.
DISTILLED := $(foreach m,$(MODELS),$(if $(filter adaptive published tuned,$(m:%-1=%)),$(m)))
PREFERRED := $(filter dpo dpo-1,$(MODELS))
ALIGNED := $(PREFERRED) $(DISTILLED)
epochs = $(if $(filter %-1,$(1)),-1)
# what a student needs besides its own training, of which $(OUT)/seconds tells the time
$(foreach m,$(DISTILLED),$(eval beside_$(m) := dpo$(call epochs,$(m)) reverse$(call epochs,$(m)) $(m)-dump))
# tuned: the published recipe with a strength of our own
recipe = $(if $(filter adaptive%,$(1)),adaptive,published)
upper_dpo := DPO
upper_dpo-1 := DPO_1
upper_adaptive := ADAPTIVE
upper_adaptive-1 := ADAPTIVE_1
upper_published := PUBLISHED
upper_published-1 := PUBLISHED_1
upper_tuned := TUNED
upper_tuned-1 := TUNED_1
TEACHERS := --dpo $(OUT)/dpo.h5 --reverse $(OUT)/reverse.h5 --ref $(OUT)/$(REF).h5
TIMED = $(REPORT)/timed.sh $(OUT)/seconds
SNAPSHOTS ?= 0
SNAPSHOTS_1 ?= $(SNAPSHOTS)
include $(TOP)/measured.mk

all: $(OUT)/table.txt $(OUT)/report.html
	@cat $<
	@echo 'page: $(OUT)/report.html'

$(foreach s,$(sort DUMP DISTILL $(if $(filter %-1,$(MODELS)),DISTILL_1) $(foreach m,$(ALIGNED),$(upper_$(m)))), \
    $(eval $(call setting,$(s),$($(s)_OPTS))))
$(foreach s,SNAPSHOTS SNAPSHOTS_1,$(eval $(call setting,$(s),$($(s)))))

# ---- the teachers, their caches, the students --------------------------------------------------------

define preferred # dpo or dpo-1, and its reverse: after it, since its run leaves the reference's log-probabilities
$(OUT)/$(1).h5: $(OUT)/$(REF).h5 $(OUT)/train-pairs.h5 $(OUT)/settings/$(upper_$(1)) \
    $(OUT)/settings/SNAPSHOTS$(2:-%=_%)
	$$(TIMED)/$(1) $$@ $(TRAIN_STAGE)dpo-train --model $$< --data $(OUT)/train-pairs.h5 -o $$@ \
	    --reference $(OUT)/reference$(2).h5 --log $(OUT)/$(1).csv --snapshot-every $(SNAPSHOTS$(2:-%=_%)) \
	    $($(upper_$(1))_OPTS) $(QUIET)
$(OUT)/reverse$(2).h5: $(OUT)/$(REF).h5 $(OUT)/train-pairs.h5 $(OUT)/settings/$(upper_$(1)) $(OUT)/$(1).h5
	$$(TIMED)/reverse$(2) $$@ $(TRAIN_STAGE)dpo-train --model $$< --data $(OUT)/train-pairs.h5 -o $$@ --reverse \
	    --reference $(OUT)/reference$(2).h5 --log $(OUT)/reverse$(2).csv $($(upper_$(1))_OPTS) $(QUIET)
endef
$(foreach m,$(PREFERRED),$(eval $(call preferred,$(m),$(call epochs,$(m)))))

define distilled # a student, -1 or nothing
$(OUT)/$(1)-teacher.list: $(OUT)/dpo$(2).h5 $(OUT)/reverse$(2).h5 $(OUT)/train-pairs.h5 $(OUT)/settings/DUMP \
    $(OUT)/settings/$(upper_$(1))
	$$(TIMED)/$(1)-dump $(OUT)/$(1)-teacher.h5 $(STAGE)teacher-dump --dpo $(OUT)/dpo$(2).h5 \
	    --reverse $(OUT)/reverse$(2).h5 --ref $(OUT)/$(REF).h5 --data $(OUT)/train-pairs.h5 \
	    -o $(OUT)/$(1)-teacher.h5 --recipe $(call recipe,$(1)) $(DUMP_OPTS) $($(upper_$(1))_OPTS) \
	    $(QUIET) > $$@
$(OUT)/$(1).h5: $(OUT)/$(REF).h5 $(OUT)/$(1)-teacher.list $(OUT)/settings/DISTILL$(2:-%=_%) \
    $(OUT)/settings/SNAPSHOTS$(2:-%=_%)
	$$(TIMED)/$(1) $$@ $(TRAIN_STAGE)distill --model $$< --teacher - -o $$@ --recipe $(call recipe,$(1)) \
	    --log $(OUT)/$(1).csv --snapshot-every $(SNAPSHOTS$(2:-%=_%)) $(DISTILL$(2:-%=_%)_OPTS) $(QUIET) \
	    < $(OUT)/$(1)-teacher.list
endef
$(foreach m,$(DISTILLED),$(eval $(call distilled,$(m),$(call epochs,$(m)))))

# ---- the table ---------------------------------------------------------------------------------------

$(OUT)/table.csv: $(MODELS:%=$(OUT)/test/%-row.csv)
	@awk 'NR == 1 || FNR > 1' $^ > $@
$(OUT)/table.txt: $(OUT)/table.csv
	@awk -v ref=$(REF) -f $(REPORT)/table.awk $< > $@

# ---- on the way: the strength at each token, the cache ------------------------------------------------

$(OUT)/valid/tokens.csv: $(OUT)/test/adaptive.h5 $(OUT)/reverse.h5 $(OUT)/dpo.h5 $(OUT)/settings/ADAPTIVE
	@mkdir -p $(OUT)/valid
	$(STAGE)eval tokens $(TEACHERS) --data $< --recipe adaptive $(ADAPTIVE_OPTS) --text -o $@ $(QUIET) > /dev/null
$(OUT)/cache.csv: $(OUT)/adaptive-teacher.list
	@$(BIN)/shard stat $$(cat $<) | awk -f $(REPORT)/cache.awk > $@

# ---- the page -----------------------------------------------------------------------------------------

$(OUT)/report.html: $(PAGE) $(ALIGNED:%=$(OUT)/valid/%.csv) $(OUT)/valid/pairs.csv $(OUT)/cache.csv $(OUT)/table.txt \
    $(OUT)/valid/tokens.csv
	@$(BIN)/report $(OUT) --page $(PAGE) -o $@ --figures $(OUT)/figures > /dev/null

# ---- on request -----------------------------------------------------------------------------------------

trials: $(OUT)/train-pairs.h5 $(OUT)/valid-prompts.h5 trials.txt
	$(REPORT)/trials.sh $(OUT) $(REF) $(WORLD) trials.txt '$(TRAIN)' '$(VALID_OPTS)' > $(OUT)/trials.md
	cat $(wildcard trials-before.md) /dev/null >> $(OUT)/trials.md
	cp $(OUT)/trials.md TRIALS.md
results: $(OUT)/table.txt $(OUT)/report.html
	$(REPORT)/results.sh $(OUT) '$(NAME)' > $(OUT)/results.md
	cp $(OUT)/results.md RESULTS.md
	cp $(OUT)/figures/steps.svg .
.PHONY: all trials results
