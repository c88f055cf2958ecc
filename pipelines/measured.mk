# What every experiment with a gold reward measures, whichever models it trains: preference pairs of a
# reference model, responses to the test prompts and what they are worth, snapshots on validation
# prompts, the rewards' accuracy. Before it is included are set
#   REF       name of the reference model
#   WORLD     which gold reward (gold --world)
#   MODELS    what is tested, the reference and dpo among them
#   ALIGNED   whose snapshots are measured
#   TEACHERS  --dpo FILE --reverse FILE --ref FILE, whose rewards are looked at
#   REWARD_MODEL  --reward-model FILE beside them, if there is one
#   beside_MODEL  names in $(OUT)/seconds of what had to be made for it besides; nothing: itself alone
#   UNTRAINED the MODELS that have no log here; base if not set
#   {SAMPLE,LABEL,PAIRS,GENERATE,VALID}_OPTS
# and there are rules for $(OUT)/MODEL.h5 (with its log $(OUT)/MODEL.csv and $(OUT)/seconds/MODEL) and
# for $(OUT)/{train,valid,test}-prompts.h5.
#
# Made here: $(OUT)/{train,valid}-pairs.h5; $(OUT)/test/MODEL.* and $(OUT)/test/MODEL-row.csv, all of it
# in a line; $(OUT)/valid/MODEL.csv gold and KL of its snapshots; $(OUT)/valid/pairs.csv, and -rows.csv.
REPORT := $(ROOT)/pipelines/report
SCORER := '$(BIN)/gold score --world $(WORLD)'
JUDGE := '$(BIN)/gold judge --world $(WORLD)'
UNTRAINED ?= base
export BIN

$(foreach s,SAMPLE LABEL PAIRS GENERATE VALID,$(eval $(call setting,$(s),$($(s)_OPTS))))

# ---- preference pairs: two samples of the reference a prompt, labelled by the gold reward ----------

$(OUT)/%-samples.jsonl: $(OUT)/$(REF).h5 $(OUT)/%-prompts.h5 $(OUT)/settings/SAMPLE
	$(STAGE)generate --model $< --data $(OUT)/$*-prompts.h5 -o $(OUT)/$*-samples.h5 --text $@ \
	    --samples 2 $(SAMPLE_OPTS) $(QUIET)
$(OUT)/train-pairs.csv: $(OUT)/train-samples.jsonl $(OUT)/settings/LABEL
	$(BIN)/gold label --world $(WORLD) $(LABEL_OPTS) $< -o $@
$(OUT)/valid-pairs.csv: $(OUT)/valid-samples.jsonl
	$(BIN)/gold label --world $(WORLD) --noise none $< -o $@
$(OUT)/%-pairs.h5: $(OUT)/%-pairs.csv $(OUT)/settings/PAIRS
	$(STAGE)tokenize --model $(OUT)/$(REF).h5 --kind pref --on-bad skip --input $< -o $@ $(PAIRS_OPTS) $(QUIET)

# ---- what they say to the test prompts, and what that is worth --------------------------------------

define tested
$(OUT)/test/$(1).jsonl $(OUT)/test/$(1).h5 &: $(OUT)/$(1).h5 $(OUT)/test-prompts.h5 $(OUT)/settings/GENERATE
	@mkdir -p $(OUT)/test
	$(STAGE)generate --model $$< --data $(OUT)/test-prompts.h5 -o $(OUT)/test/$(1).h5 \
	    --text $(OUT)/test/$(1).jsonl $(GENERATE_OPTS) $(QUIET)
$(OUT)/test/$(1)-gold.csv: $(OUT)/test/$(1).jsonl
	$(STAGE)eval score --scorer $(SCORER) --input $$< --summary $$@ $(QUIET) > /dev/null
$(OUT)/test/$(1)-text.csv: $(OUT)/test/$(1).jsonl
	$(BIN)/textstat $$< > $$@
$(OUT)/test/$(1)-kl.csv: $(OUT)/test/$(1).h5 $(OUT)/$(1).h5 $(OUT)/$(REF).h5
	$(STAGE)eval kl --model $(OUT)/$(1).h5 --base $(OUT)/$(REF).h5 --data $$< --summary $$@ $(QUIET) > /dev/null
$(OUT)/test/$(1)-against-ref.csv: $(OUT)/test/$(1).jsonl $(OUT)/test/$(REF).jsonl
	$(STAGE)eval judge --judge $(JUDGE) --a $$< --b $(OUT)/test/$(REF).jsonl --summary $$@ $(QUIET) > /dev/null
$(OUT)/test/$(1)-against-dpo.csv: $(OUT)/test/$(1).jsonl $(OUT)/test/dpo.jsonl
	$(STAGE)eval judge --judge $(JUDGE) --a $$< --b $(OUT)/test/dpo.jsonl --summary $$@ $(QUIET) > /dev/null
$(OUT)/test/$(1)-row.csv: $(OUT)/test/$(1)-gold.csv $(OUT)/test/$(1)-text.csv $(OUT)/test/$(1)-kl.csv \
    $(OUT)/test/$(1)-against-ref.csv $(OUT)/test/$(1)-against-dpo.csv
	@awk -v model=$(1) -f $(REPORT)/row.awk $$^ $(if $(filter-out $(UNTRAINED),$(1)),part=log $(OUT)/$(1).csv \
	    part=seconds $(OUT)/seconds/$(1) $(if $(beside_$(1)),part=beside $(beside_$(1):%=$(OUT)/seconds/%))) > $$@
endef
$(foreach m,$(MODELS),$(eval $(call tested,$(m))))

# ---- on validation prompts: snapshots, and the rewards against the true order ------------------------

$(ALIGNED:%=$(OUT)/valid/%.csv): $(OUT)/valid/%.csv: $(OUT)/%.h5 $(OUT)/valid-prompts.h5 $(OUT)/settings/VALID
	@mkdir -p $(OUT)/valid
	$(REPORT)/curve.sh $< $(OUT)/$(REF).h5 $(OUT)/valid-prompts.h5 $(WORLD) '$(VALID_OPTS)' '$(RUN)' > $@
$(OUT)/valid/pairs.csv: $(OUT)/valid-pairs.h5 $(filter %.h5,$(TEACHERS) $(REWARD_MODEL))
	@mkdir -p $(OUT)/valid
	$(STAGE)eval pairs $(TEACHERS) $(REWARD_MODEL) --data $< -o $(@:.csv=-rows.csv) --summary $@ $(QUIET) > /dev/null
