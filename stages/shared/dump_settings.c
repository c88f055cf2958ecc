// What the options come to once the inputs are known; see dump_job.h.
#include "stages/shared/dump_job.h"
#include "common/base/value.h"
#include "stages/shared/cache_rule.h"
#include "common/method/support.h"
#include "formats/teachers/teacher_gather.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void finished(void *self, const char *path) {
    struct dump_job *d = self;
    log_clear(d->log); // the line of progress
    print_result("%s", path);
}

void dump_plan_shards(struct dump_job *d) {
    size_t i = 0, n = 1;
    if (d->shard && !value_share(d->shard, &i, &n))
        die(EXIT_USAGE, "--shard '%s' is not I/N with 0 <= I < N", d->shard);
    if (d->shard && !d->rows_per_shard)
        die(EXIT_USAGE, "--shard needs --rows-per-shard, which cuts the set into shards");
    d->plan = (struct columns_plan){.rows_per_shard = (size_t)d->rows_per_shard,
                                    .rows_total = d->tokens.rows,
                                    .shard = i,
                                    .shards = n,
                                    .zstd_level = (int)d->zstd_level,
                                    .resume = !d->common.force,
                                    .finished = finished,
                                    .self = d};
    d->run.count = d->tokens.rows;
    if (d->rows_per_shard)
        columns_share(d->tokens.rows, (size_t)d->rows_per_shard, i, n, &d->run.first,
                      &d->run.count);
}

// All shards of this run's share are up to date: print them.
bool dump_current(struct dump_job *d) {
    struct fail f = {0};
    if (!columns_is_current(d->output, &d->lineage, &d->plan, d->common.no_clobber, &f)) {
        die_if(&f);
        return false;
    }
    log_note(d->log, "'%s' is up to date: made with the same options and inputs", d->output);
    return true;
}

// The layout's options; --target-kl may still change the strength.
void dump_settle_layout(struct dump_job *d) {
    bool components = choice_is(d->layout, "components");
    struct teacher_rule *rule = &d->run.rule;
    struct teacher_grid *g = &d->run.grid;
    if (!components) options_refuse(d->options, "alpha-grid", "goes with --layout components");
    if (!components) return;
    cache_rule_components(rule);
    if (!strcmp(d->grid, "auto"))
        *g = teacher_grid_around(rule->strength);
    else if (!teacher_grid_parse(d->grid, g))
        die(EXIT_USAGE,
            "--alpha-grid '%s' is not 3 to %d ascending numbers from 0, as in 0,0.5,1,2", d->grid,
            GRID_MOST);
    double low, high;
    bool searched = d->target.kl > 0 && !d->alpha; // its strength is not known yet
    if (!searched && !teacher_grid_covers(g, rule, &low, &high))
        die(EXIT_USAGE, "--alpha %s has alphas from %g to %g, outside --alpha-grid %s",
            d->teacher.alpha, low, high, d->grid);
}

// A position's support is the union over the grid, and its size is stored in two bytes.
void dump_check_room(const struct dump_job *d) {
    struct teacher_cut most = d->run.cut;
    most.n_must = d->error_budget > 0 ? 0 : d->run.student_k;
    bool bound = !(d->error_budget > 0); // else --least adds tokens and leaves none out
    if (bound && most.least > 0 && 1 / most.least < (double)most.top_k)
        most.top_k = (size_t)(1 / most.least) + 1; // so many can be as likely
    const struct teacher_grid *g = &d->run.grid;
    size_t room = teacher_gather_room(g, &most, d->teachers.dpo_model.model.config.vocab_used);
    if (g->n && room > UINT16_MAX)
        die(EXIT_USAGE,
            "--top-k %zu at %zu alphas of --alpha-grid may keep %zu tokens per position, and a "
            "file "
            "holds %d; give a smaller --top-k or a larger --least",
            d->run.cut.top_k, g->n, room, UINT16_MAX);
}

char *dump_options(const struct dump_job *d) {
    char *json = options_json(d->options);
    if (!(d->error_budget > 0)) return json;
    char *whole = xasprintf("%.*s,\"support-rule\":%d}", (int)strlen(json) - 1, json, SUPPORT_RULE);
    free(json);
    return whole;
}

static void set_strength(struct dump_job *d, double strength) {
    char *text = recipe_strength(d->teacher.alpha, strength);
    free(d->alpha);
    d->teacher.alpha = d->alpha = text;
    d->run.rule.strength = strength;
    free(d->json);
    d->lineage.options = d->json = dump_options(d);
}

struct target_kl dump_search(struct dump_job *d) {
    return (struct target_kl){.models = d->teachers.models,
                              .rule = d->run.rule,
                              .prompts = &d->tokens,
                              .options = &d->target,
                              .micro_tokens = (size_t)d->micro_tokens,
                              .eos = d->teachers.dpo_model.eos,
                              .seed = (uint64_t)d->common.seed,
                              .log = d->log};
}

// The strength that --target-kl asks for: what a finished output of this very command states, or a
// search. True: there is such an output.
bool dump_settle_strength(struct dump_job *d) {
    struct fail f = {0};
    size_t per = d->rows_per_shard ? (size_t)d->rows_per_shard : d->tokens.rows;
    char *path = part_path(d->output, d->run.first / per, (d->tokens.rows + per - 1) / per);
    double given = d->run.rule.strength,
           recorded = d->common.force ? 0 : target_kl_recorded(path, &f);
    free(path);
    die_if(&f);
    if (recorded > 0) {
        set_strength(d, recorded);
        if (dump_current(d)) return true;
    }
    struct target_kl t = dump_search(d);
    struct target_kl_trial best;
    t.rule.strength = given;
    target_kl_search(&t, &best, &f);
    die_if(&f);
    log_note(d->log, "strength %g: p* is %.4f +- %.4f nats per response from the reference",
             best.strength, best.kl, best.error);
    d->found = best;
    set_strength(d, best.strength);
    dump_settle_layout(d);
    return false;
}
