#include "stages/shared/cache_training.h"
#include "common/base/value.h"
#include "formats/teachers/teacher_shift.h"
#include "stages/shared/data_check.h"
#include <stdio.h>
#include <string.h>

void cache_training_rows(struct options *o, struct cache_training *c) {
    const struct opt_row rows[] = {
        {"rows", OPT_TEXT, OPT_RESULT, &c->rows, .metavar = "A:B|N",
         .help = "off-policy: rows A to B-1 of the caches one after the other, or the first N"},
        {"max-positions", OPT_INT, OPT_RESULT, &c->max_positions, .value = "0", .low = 0,
         .high = 1e15, .metavar = "N",
         .help = "of these, the first rows with at most N response positions in all, 0 = all"},
        {"on-bad", OPT_CHOICE, OPT_RESULT, &c->on_bad, .value = "error",
         .choices = "error|skip-chunk",
         .help = "a chunk of a cache that cannot be read: stop, or continue without its rows"},
    };
    options_add(o, rows, sizeof rows / sizeof *rows);
}

void cache_training_refuse(const struct options *o) {
    options_refuse(o, "rows|max-positions|on-bad|watch-every",
                   "is of a run from a cache; it needs --teacher");
}

// Where several caches disagree in what the student's half takes from them.
static void check_caches(struct cache_training *c, const struct options *o,
                         const struct distill_options *student, struct training *t) {
    struct teacher_set *s = c->source.set;
    size_t others = 0, n = teacher_set_caches(s);
    for (size_t k = 0; k < n; k++) {
        const struct teacher_info *i = teacher_set_cache(s, k);
        struct teacher_rule rule = {0};
        bool weighted = k && student->weight == DISTILL_INVERSE_ALPHA;
        if (weighted && !options_given(o, "reward-beta") && i->reward_beta != student->reward_beta)
            die(EXIT_USAGE,
                "the caches' models have rewards of different beta; give --reward-beta");
        if (weighted && teacher_rule_alpha(i->rule, &rule) && !(rule.strength > 0))
            die(EXIT_USAGE, "--token-weight inverse-alpha divides by alpha, and a teacher's is %g",
                rule.strength);
        others += !hash_is_zero(i->reference) && !hash_equal(i->reference, c->student->content);
    }
    if (others && n == 1)
        log_note(t->log,
                 "the student is not the model that the cache was made for (its reference)");
    else if (others)
        log_note(t->log,
                 "the student is not the model that %zu of the %zu caches were made for "
                 "(their reference)",
                 others, n);
}

// The rows up to the one with which there are more than --max-positions.
static void count_positions(struct cache_training *c) {
    size_t end = c->source.first + c->source.rows, row = c->source.first, positions = 0;
    struct teacher_row r = {0};
    while (row < end && teacher_set_row(c->source.set, row, &r) &&
           (positions += r.positions) <= (size_t)c->max_positions)
        row++;
    die_if(&c->fail);
    if (row == c->source.first)
        die(EXIT_USAGE, "--max-positions %lld is less than the first row has, %zu",
            (long long)c->max_positions, r.positions);
    c->source.rows = row - c->source.first;
}

static void choose_rows(struct cache_training *c) {
    size_t all = teacher_set_rows(c->source.set);
    size_t a = 0, b = all;
    bool below = c->rows && *c->rows == '-'; // 0
    if (c->rows && !below && !value_range(c->rows, all, &a, &b))
        die(EXIT_USAGE, "--rows '%s' is neither A:B nor N", c->rows);
    if (below || a >= b || b > all)
        die(EXIT_USAGE, "--rows %s is not a range within the %zu rows of the cache", c->rows, all);
    c->source.first = a;
    c->source.rows = b - a;
    if (c->max_positions) count_positions(c);
}

const struct teacher_info *cache_training_open(struct cache_training *c,
                                               const struct model_file *student) {
    mem_give_back(); // the columns of shards
    c->source.set = teacher_set_open(c->teacher.n, c->teacher.items, &c->fail);
    die_if(&c->fail);
    struct teacher_set *s = c->source.set;
    if (!choice_is(c->on_bad, "error")) teacher_set_skip_bad(s);
    const struct teacher_info *i = teacher_set_info(s);
    c->student = student;
    size_t vocab = student->model.config.vocab_used;
    bool known = !hash_is_zero(i->tokenizer) && !hash_is_zero(student->tokenizer);
    data_check(student, i->tokenizer, 0, i->max_length, teacher_set_rows(s), c->teacher.items[0]);
    if (i->vocab > vocab && known) c->source.vocab = vocab; // padding of the cache's models
    if (i->vocab != vocab && !known)
        die(EXIT_BADDATA,
            "the cache is of a vocabulary of %zu, the model's has %zu; dump it from "
            "teachers of this model",
            i->vocab, vocab);
    return i;
}

void cache_training_choose(struct cache_training *c, const struct options *o, const char *alpha,
                           const struct distill_options *student, struct teachers *watched,
                           struct training *t) {
    struct teacher_set *s = c->source.set;
    check_caches(c, o, student, t);
    choose_rows(c);
    parents_add(&t->lineage.parents, "teacher", teacher_set_content(s, 0));
    die_if(&c->fail);
    c->source.divided = student->weight == DISTILL_INVERSE_ALPHA;
    source_teacher(&t->source, &c->source);
    t->read_fail = &c->fail;
    t->more_bytes = teacher_set_bytes(s, 2 * (size_t)t->train->window); // two windows
    if (!watched->dpo) return;
    monitor_load(&c->monitor, watched, s, c->teacher.items[0], alpha);
    t->more_bytes += monitor_plan(&c->monitor, &c->student->model, t);
}

static bool add_shards(void *self, struct parents *rest, struct fail *f) {
    struct cache_training *c = self;
    source_teacher_stop(&c->source);
    const struct parents *all = teacher_set_parents(c->source.set);
    if (!all) return fail_pass(f, &c->fail);
    for (size_t i = 1; i < all->n; i++) parents_add(rest, all->items[i].kind, all->items[i].hash);
    return true;
}

// The shards of a stream that have come, which are all that a training has seen and maybe more.
static void keep_shards(void *self, struct str *extra) {
    struct teacher_set *s = ((struct cache_training *)self)->source.set;
    char hash[33];
    teacher_set_quiet(s, true); // the thread that reads ahead may be taking one
    for (size_t i = 0; teacher_set_there(s, i); i++) {
        hash_text(teacher_set_content(s, i), hash);
        str_printf(extra, "%s\n", hash);
    }
    teacher_set_quiet(s, false);
}

// Waits for as many, which must be the same ones.
static bool check_shards(void *self, const struct str *extra) {
    struct cache_training *c = self;
    struct hash128 kept;
    for (size_t i = 0; 33 * i < extra->length; i++) {
        if (!hash_parse(extra->text + 33 * i, &kept)) return false;
        struct hash128 come = teacher_set_content(c->source.set, i);
        die_if(&c->fail);
        if (!hash_equal(come, kept))
            die(EXIT_FAILED,
                "'%s.ckpt' belongs to another run: shard %zu of the stream is another file; remove "
                "it, or give the same command",
                c->output, i + 1);
    }
    return true;
}

// A stream's other shards are known at its end only, which is waited for where the output may turn
// out to be the one of this command; checkpoints then name the shards that came, in the stage's own
// state.
bool cache_training_parents(struct cache_training *c, struct training *t) {
    bool stream = teacher_set_streams(c->source.set);
    bool late = stream && !training_may_be_current(t);
    c->output = t->output;
    c->log = t->log;
    if (stream)
        training_add_hook(t, (struct training_hook){.self = c,
                                                    .keep = keep_shards,
                                                    .restore = check_shards,
                                                    .finish = late ? add_shards : NULL});
    if (!late) add_shards(c, stream ? &t->rest : &t->lineage.parents, &c->fail);
    die_if(&c->fail);
    return !late;
}

// ---- the run ----

static void warn_lost(const char *where) {
    warn("%s cannot be read; these rows are left out", where);
}

// What the cache turned out to have, as soon as it is known.
static void warn_of_rows(struct cache_training *c, struct teacher_set_numbers n) {
    struct teacher_set_numbers *warned = &c->warned;
    bool repeated = n.repeated && !warned->repeated, lost = n.lost && !warned->lost;
    if (repeated || lost) log_clear(c->log);
    if (repeated)
        warn("%s has the tokens of a row before it: rows that occur twice count twice",
             n.first_repeated);
    if (lost) warn_lost(n.first_lost);
    *warned = n;
}

// Some row can be read, of those that are asked for; else nothing would be learnt.
static void find_row(struct cache_training *c) {
    struct teacher_source *s = &c->source;
    size_t i = 0;
    while (i < s->rows && !c->fail.code && !teacher_set_length(s->set, s->first + i)) i++;
    die_if(&c->fail);
    if (i == s->rows)
        die(EXIT_BADDATA,
            "none of the %zu rows can be read: '%s' or another shard is damaged; dump "
            "it again",
            s->rows, c->teacher.items[0]);
}

// A warning where the cache is of other positions than it says, by its first rows.
static void look_for_shift(struct cache_training *c, struct training *t) {
    enum { LOOK = 1024 }; // tokens
    struct teacher_shift x;
    struct fail f = {0};
    teacher_set_keep(c->source.set, LOOK); // all these rows at once, were each a shard of its own
    teacher_shift_look(&t->source, &c->student->model, LOOK, &x, &f);
    die_if(&f);
    int by = teacher_shift_found(&x);
    if (by)
        warn(
            "the cache seems to be shifted by one: over %zu positions its log p* of the token that "
            "stands there correlate with the student's by %.2f, those of the token %s it by %.2f",
            x.positions, x.correlation[1], by > 0 ? "after" : "before", x.correlation[1 + by]);
    if (x.strangers)
        warn("at %zu of %zu positions the cache does not hold the token that stands there, as it "
             "should; is it shifted, or of other rows?",
             x.strangers, x.positions);
}

static bool after_step(void *self, uint64_t step, bool *end, struct fail *f) {
    struct cache_training *c = self;
    (void)end;
    (void)f;
    monitor_step(&c->monitor, step);
    if (c->source.prefetch) warn_of_rows(c, cache_prefetch_numbers(c->source.prefetch));
    return true;
}

// Rows are read one by one from here on.
static bool stop_reading(void *self, struct parents *rest, struct fail *f) {
    struct cache_training *c = self;
    (void)rest, (void)f;
    warn_of_rows(c, source_teacher_stop(&c->source));
    return true;
}

static void keep_warnings(void *self, struct str *extra) {
    monitor_keep(&((struct cache_training *)self)->monitor, extra);
}

static bool restore_warnings(void *self, const struct str *extra) {
    return monitor_restore(&((struct cache_training *)self)->monitor, extra->text);
}

static void read_ahead(void *self) {
    struct cache_training *c = self;
    source_teacher_start(&c->source, c->train);
}

void cache_training_start(struct cache_training *c, struct distill_options *d, struct training *t) {
    monitor_tail(&c->monitor, teacher_set_info(c->source.set)->error_budget, d);
    if (c->monitor.teachers) monitor_start(&c->monitor, t, d);
    c->train = t->train;
    training_add_hook(t, (struct training_hook){.self = c,
                                                .begin = read_ahead,
                                                .after_step = after_step,
                                                .finish = stop_reading,
                                                .keep = keep_warnings,
                                                .restore = restore_warnings});
    find_row(c);
    look_for_shift(c, t);
}

void cache_training_sum_up(struct cache_training *c, struct training *t) {
    if (c->source.prefetch)
        log_detail(t->log, "waited %.2f s for the cache",
                   cache_prefetch_waited(c->source.prefetch));
    warn_of_rows(c, source_teacher_stop(&c->source));
    const struct teacher_set_numbers *n = &c->warned;
    for (size_t part = 0; n->lost && part < teacher_set_parts(c->source.set); part++) {
        const char *damage = teacher_set_damage(c->source.set, part);
        if (damage && strncmp(damage, n->first_lost, sizeof n->first_lost - 1)) warn_lost(damage);
    }
    if (n->repeated)
        log_note(t->log, "%zu of %zu rows have the tokens of another", n->repeated, n->rows);
    if (n->lost)
        log_note(t->log, "%zu of %zu rows were left out: their chunks cannot be read", n->lost,
                 n->rows);
}

void cache_training_close(struct cache_training *c) {
    monitor_close(&c->monitor);
    if (c->source.set) teacher_set_close(c->source.set);
}
