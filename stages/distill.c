// distill: token-level distillation of a student, from a cache of teacher distributions or, on its
// own samples, from live teachers.
#include "stages/shared/policy_training.h"
#include "formats/teachers/recompose.h"
#include "formats/teachers/sources.h"
#include "formats/teachers/teacher_shift.h"
#include "stages/shared/monitor.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct distill {
    const char *model, *output, *recipe, *rows, *on_bad;
    char *alpha; // the teacher's, off-policy
    struct opt_list teacher;
    bool on_policy;
    struct student_options student;
    double reward_beta;
    int64_t max_positions;
    struct common_options common;
    struct train_options train;
    struct model_file start;
    struct teacher_source source; // off-policy
    struct fail cache_fail;       // of its set
    struct teacher_set_numbers told;
    struct log *log;
    struct policy_training policy; // on-policy; its teachers are watching's else
    struct monitor watching;
    struct distill_options options;
};

static void declare(struct options *o, struct distill *d) {
    const struct opt_row rows[] = {
        {"model", OPT_TEXT, OPT_INPUT, &d->model, .metavar = "FILE",
         .help = "student's start: the reference (sft) model", .required = true},
        {"teacher", OPT_LIST, OPT_INPUT, &d->teacher, .metavar = "SHARD...",
         .help =
             "off-policy: teacher shards, of one or several caches, or - for the paths of one on "
             "stdin as teacher-dump finishes them"},
        {"output", OPT_TEXT, OPT_OUTPUT, &d->output, .letter = 'o', .metavar = "FILE",
         .help = "the distilled model", .required = true},
        {"on-policy", OPT_FLAG, OPT_RESULT, &d->on_policy,
         .help = "sample from the student at each step and run the teachers on the samples"},
    };
    const struct opt_row cache[] = {
        {"rows", OPT_TEXT, OPT_RESULT, &d->rows, .metavar = "A:B|N",
         .help = "off-policy: rows A to B-1 of the caches one after the other, or the first N"},
        {"max-positions", OPT_INT, OPT_RESULT, &d->max_positions, .value = "0", .low = 0,
         .high = 1e15, .metavar = "N",
         .help =
             "of these, the first rows that have at most N response positions together, 0 = all"},
        {"on-bad", OPT_CHOICE, OPT_RESULT, &d->on_bad, .value = "error",
         .choices = "error|skip-chunk",
         .help = "a chunk of a cache that cannot be read: stop, or go on without its rows"},
    };
    options_add(o, rows, sizeof rows / sizeof *rows);
    options_add(o, cache, sizeof cache / sizeof *cache);
    policy_training_inputs(o, &d->policy);
    recipe_row(o, &d->recipe);
    policy_training_rows(o, &d->policy);
    student_options_rows(o, &d->student);
    monitor_rows(o, &d->watching);
    const struct opt_row beta[] = {
        {"reward-beta", OPT_REAL, OPT_RESULT, &d->reward_beta, .value = "0", .low = 0, .high = 1e6,
         .metavar = "X", .help = "b0 of --token-weight; 0 = the DPO model's beta"},
    };
    options_add(o, beta, 1);
    train_options_rows(o, &d->train, "1e-3", "32");
    common_log_row(o, &d->common);
    common_options_rows(o, &d->common);
}

static void check_options(struct distill *d, const struct options *o) {
    static const char *const cached[] = {"rows", "max-positions", "on-bad", "watch-every"};
    if (d->on_policy && d->teacher.n)
        die(EXIT_USAGE, "--teacher and --on-policy exclude each other; give one of them");
    for (size_t i = 0; d->on_policy && i < sizeof cached / sizeof *cached; i++)
        options_refuse(o, cached[i], "is of a run from a cache; it needs --teacher");
    if (d->on_policy && !choice_is(d->policy.options.level, "distribution"))
        options_refuse(o, "divergence", "is for --reward-level distribution alone");
    if (d->on_policy) return;
    if (!d->teacher.n) die(EXIT_USAGE, "give --teacher SHARDS, or --on-policy and its models");
    policy_training_refuse(&d->policy, o);
    static const char *const watchers[] = {"reverse", "ref", "watch-every"};
    for (size_t i = 0; !d->policy.teachers.dpo && i < sizeof watchers / sizeof *watchers; i++)
        options_refuse(o, watchers[i],
                       "watches a run from a cache together with --dpo; give that too");
}

// The student's options by recipe; beta: the DPO model's; alpha: the teacher's.
static void settle_student(struct distill *d, const struct options *o, double beta,
                           const char *alpha) {
    bool exact = d->policy.options.exact; // of the objective whose divergence is rkl, the default
    if (exact && options_given(o, "divergence") && !choice_is(d->student.divergence, "rkl"))
        die(EXIT_USAGE, "--exact corrects the gradient of rkl; leave out --divergence %s",
            d->student.divergence);
    recipe_student(d->recipe, o, &d->student, &d->options);
    if (!options_given(o, "reward-beta")) d->reward_beta = beta;
    d->options.reward_beta = d->reward_beta;
    if (d->options.weight == DISTILL_INVERSE_ALPHA && !(d->reward_beta > 0))
        die(EXIT_USAGE,
            "--token-weight inverse-alpha needs the reward's beta, which the teacher does "
            "not state; give --reward-beta");
    if (d->options.weight == DISTILL_INVERSE_ALPHA && choice_is(alpha, "fixed") &&
        !(choice_number(alpha) > 0))
        die(EXIT_USAGE, "--token-weight inverse-alpha divides by alpha, and the teacher's is %s",
            alpha);
}

// The cache says by which recipe it was made; the student's half follows unless told otherwise.
static void agree_on_recipe(struct distill *d, const struct options *o,
                            const struct teacher_info *i) {
    if (!options_given(o, "recipe"))
        d->recipe = i->recipe;
    else if (!i->grid.n && strcmp(d->recipe, i->recipe))
        die(EXIT_USAGE,
            "--recipe %s disagrees with the cache, which was made by '%s'; leave it out "
            "or dump again",
            d->recipe, i->recipe);
}

// Where several caches disagree in what the student's half takes from them.
static void check_caches(struct distill *d, const struct options *o, struct training *t) {
    struct teacher_set *s = d->source.set;
    size_t others = 0, n = teacher_set_caches(s);
    for (size_t k = 0; k < n; k++) {
        const struct teacher_info *i = teacher_set_cache(s, k);
        struct teacher_rule rule = {0};
        bool weighted = k && d->options.weight == DISTILL_INVERSE_ALPHA;
        if (weighted && !options_given(o, "reward-beta") && i->reward_beta != d->reward_beta)
            die(EXIT_USAGE,
                "the caches' models have rewards of different beta; give --reward-beta");
        if (weighted && teacher_rule_alpha(i->rule, &rule) && !(rule.strength > 0))
            die(EXIT_USAGE, "--token-weight inverse-alpha divides by alpha, and a teacher's is %g",
                rule.strength);
        others += !hash_is_zero(i->reference) && !hash_equal(i->reference, d->start.content);
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
static void count_positions(struct distill *d) {
    size_t end = d->source.first + d->source.rows, row = d->source.first, positions = 0;
    struct teacher_row r = {0};
    while (row < end && teacher_set_row(d->source.set, row, &r) &&
           (positions += r.positions) <= (size_t)d->max_positions)
        row++;
    die_if(&d->cache_fail);
    if (row == d->source.first)
        die(EXIT_USAGE, "--max-positions %lld is less than the first row has, %zu",
            (long long)d->max_positions, r.positions);
    d->source.rows = row - d->source.first;
}

static void choose_rows(struct distill *d) {
    size_t all = teacher_set_rows(d->source.set);
    unsigned long long a = 0, b = all;
    char junk;
    if (d->rows && sscanf(d->rows, "%llu:%llu%c", &a, &b, &junk) != 2 &&
        (a = 0, sscanf(d->rows, "%llu%c", &b, &junk) != 1))
        die(EXIT_USAGE, "--rows '%s' is neither A:B nor N", d->rows);
    if (a >= b || b > all || (d->rows && strchr(d->rows, '-')))
        die(EXIT_USAGE, "--rows %s is not a range within the %zu rows of the cache", d->rows, all);
    d->source.first = (size_t)a;
    d->source.rows = (size_t)(b - a);
    if (d->max_positions) count_positions(d);
}

static void open_cache(struct distill *d, const struct options *o, struct training *t) {
    struct fail *f = &d->cache_fail;
    mem_give_back(); // the columns of shards
    d->source.set = teacher_set_open(d->teacher.n, d->teacher.items, f);
    die_if(f);
    struct teacher_set *s = d->source.set;
    if (!choice_is(d->on_bad, "error")) teacher_set_skip_bad(s);
    const struct teacher_info *i = teacher_set_info(s);
    size_t vocab = d->start.model.config.vocab_used;
    bool known = !hash_is_zero(i->tokenizer) && !hash_is_zero(d->start.tokenizer);
    training_check(&d->start, i->tokenizer, 0, i->max_length, teacher_set_rows(s),
                   d->teacher.items[0]);
    if (i->vocab > vocab && known) d->source.vocab = vocab; // padding of the cache's models
    if (i->vocab != vocab && !known)
        die(EXIT_BADDATA,
            "the cache is of a vocabulary of %zu, the model's has %zu; dump it from "
            "teachers of this model",
            i->vocab, vocab);
    agree_on_recipe(d, o, i);
    d->alpha = recompose(s, o, d->recipe, &d->policy.rule, t->log);
    settle_student(d, o, i->reward_beta, d->alpha);
    check_caches(d, o, t);
    choose_rows(d);
    parents_add(&t->lineage.parents, "teacher", teacher_set_content(s, 0));
    die_if(f);
    source_teacher(&t->source, &d->source);
    t->read_fail = f;
    t->more_bytes = teacher_set_bytes(s, 2 * (size_t)d->train.window); // two windows
    if (!d->policy.teachers.dpo) return;
    monitor_load(&d->watching, &d->policy.teachers, s, d->teacher.items[0], d->alpha);
    t->more_bytes += monitor_plan(&d->watching, t);
}

static bool add_shards(void *self, struct parents *rest, struct fail *f) {
    struct distill *d = self;
    source_teacher_stop(&d->source);
    const struct parents *all = teacher_set_parents(d->source.set);
    if (!all) return fail_pass(f, &d->cache_fail);
    for (size_t i = 1; i < all->n; i++) parents_add(rest, all->items[i].kind, all->items[i].hash);
    return true;
}

// The shards of a stream that have come, which are all that a training has seen and maybe more.
static void keep_shards(void *self, struct str *extra) {
    struct teacher_set *s = ((struct distill *)self)->source.set;
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
    struct distill *d = self;
    struct hash128 kept;
    for (size_t i = 0; 33 * i < extra->length; i++) {
        if (!hash_parse(extra->text + 33 * i, &kept)) return false;
        struct hash128 come = teacher_set_content(d->source.set, i);
        die_if(&d->cache_fail);
        if (!hash_equal(come, kept))
            die(EXIT_FAILED,
                "'%s.ckpt' belongs to another run: shard %zu of the stream is another file; remove "
                "it, or give the same command",
                d->output, i + 1);
    }
    return true;
}

// A stream's other shards are known at its end only, which is waited for where the output may turn
// out to be the one of this command; checkpoints then name those that came in their own way.
static void name_shards(struct distill *d, struct training *t) {
    bool stream = teacher_set_streams(d->source.set);
    if (stream) {
        t->keep = keep_shards;
        t->restore = check_shards;
    }
    if (stream && !training_may_be_current(t))
        t->finish = add_shards;
    else
        add_shards(d, stream ? &t->rest : &t->lineage.parents, &d->cache_fail);
    die_if(&d->cache_fail);
}

static void open_inputs(struct distill *d, const struct options *o, struct training *t) {
    struct fail f = {0};
    model_file_load(d->model, &d->start, &f);
    d->start.model.rounded = precision_is_bf16(d->policy.teachers.precision);
    die_if(&f);
    parents_add(&t->lineage.parents, "model", d->start.content);
    if (d->on_policy) {
        policy_training_load(&d->policy, d->recipe, o, t);
        settle_student(d, o, d->policy.teachers.dpo_model.reward_beta, d->policy.rule.alpha);
    } else {
        open_cache(d, o, t);
    }
    training_options(t);
    if (!d->on_policy) name_shards(d, t);
}

// ---- the run

static void tell_lost(const char *where) {
    warn("%s cannot be read; these rows are left out", where);
}

// What the cache turned out to have, as soon as it is known.
static void tell(struct distill *d, struct teacher_set_numbers n) {
    struct teacher_set_numbers *told = &d->told;
    bool repeated = n.repeated && !told->repeated, lost = n.lost && !told->lost;
    if (repeated || lost) log_end_progress(d->log);
    if (repeated)
        warn("%s has the tokens of a row before it: rows that are there twice count twice",
             n.first_repeated);
    if (lost) tell_lost(n.first_lost);
    *told = n;
}

// Some row can be read, of those that are asked for; else nothing would be learnt.
static void find_row(struct distill *d) {
    struct teacher_source *s = &d->source;
    size_t i = 0;
    while (i < s->rows && !d->cache_fail.code && !teacher_set_length(s->set, s->first + i)) i++;
    die_if(&d->cache_fail);
    if (i == s->rows)
        die(EXIT_BADDATA,
            "none of the %zu rows can be read: '%s' or another shard is damaged; dump "
            "it again",
            s->rows, d->teacher.items[0]);
}

// A warning where the cache is of other positions than it says, by its first rows.
static void look_for_shift(struct distill *d, struct training *t) {
    enum { LOOK = 1024 }; // tokens
    struct teacher_shift x;
    struct fail f = {0};
    teacher_set_keep(d->source.set, LOOK); // all these rows at once, were each a shard of its own
    teacher_shift_look(&t->source, &d->start.model, LOOK, &x, &f);
    die_if(&f);
    int by = teacher_shift_found(&x);
    if (by)
        warn(
            "the cache seems to be shifted by one: over %zu positions its log p* of the token that "
            "stands there correlate with the student's by %.2f, those of the token %s it by %.2f",
            x.positions, x.correlation[1], by > 0 ? "behind" : "before", x.correlation[1 + by]);
    if (x.strangers)
        warn("at %zu of %zu positions the cache does not hold the token that stands there, as it "
             "should; is it shifted, or of other rows?",
             x.strangers, x.positions);
}

static bool after_step(void *self, uint64_t step, bool *end, struct fail *f) {
    struct distill *d = self;
    (void)end;
    (void)f;
    monitor_step(&d->watching, step);
    if (d->source.replay) tell(d, cache_prefetch_numbers(d->source.replay));
    return true;
}

static void sum_up(struct distill *d, struct training *t) {
    if (d->source.replay)
        log_detail(t->log, "waited %.2f s for the cache", cache_prefetch_waited(d->source.replay));
    tell(d, source_teacher_stop(&d->source));
    const struct teacher_set_numbers *n = &d->told;
    for (size_t part = 0; n->lost && part < teacher_set_parts(d->source.set); part++) {
        const char *damage = teacher_set_damage(d->source.set, part);
        if (damage && strncmp(damage, n->first_lost, sizeof n->first_lost - 1)) tell_lost(damage);
    }
    if (n->repeated)
        log_note(t->log, "%zu of %zu rows have the tokens of another", n->repeated, n->rows);
    if (n->lost)
        log_note(t->log, "%zu of %zu rows were left out: their chunks cannot be read", n->lost,
                 n->rows);
}

static void read_ahead(void *self) {
    struct distill *d = self;
    source_teacher_start(&d->source, &d->train);
}

static int train(struct distill *d, struct training *t) {
    if (d->on_policy)
        policy_training_start(&d->policy, &d->start, &d->options, t);
    else if (d->policy.teachers.dpo && !d->common.dry_run)
        monitor_start(&d->watching, t, &d->options);
    struct objective objective =
        objective_distill_new(&d->options, d->start.model.config.vocab_used);
    t->model = &d->start;
    t->objective = &objective;
    if (!d->on_policy && !d->common.dry_run) {
        t->after_step = after_step;
        t->begin = read_ahead;
        find_row(d);
        look_for_shift(d, t);
    }
    int code = training_run(t);
    if (!d->on_policy) sum_up(d, t);
    objective_free(&objective);
    return code;
}

int main(int argc, char **argv) {
    struct distill d = {0};
    struct options o = {.program = "distill",
                        .usage =
                            "--model FILE --teacher SHARD...|- -o FILE [options]\n"
                            "       distill --model FILE --on-policy --dpo FILE --reverse FILE "
                            "--data PROMPTS... -o FILE [options]",
                        .summary = "Distil a model from cached teacher distributions, or from live "
                                   "teachers on its own samples."};
    declare(&o, &d);
    options_parse(&o, argc, argv, NULL);
    check_options(&d, &o);
    struct training t = {.stage = "distill",
                         .output = d.output,
                         .options = &o,
                         .common = &d.common,
                         .train = &d.train,
                         .self = &d};
    training_begin(&t);
    d.log = t.log;
    open_inputs(&d, &o, &t);
    bool there = !t.finish && training_current(&t);
    int code = there ? EXIT_DONE : train(&d, &t);
    monitor_close(&d.watching);
    if (!d.on_policy) teacher_set_close(d.source.set);
    policy_training_close(&d.policy);
    model_file_release(&d.start);
    training_end(&t);
    options_release(&o);
    free(d.alpha);
    return code;
}
