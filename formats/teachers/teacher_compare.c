#include "formats/teachers/teacher_compare.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TABLES = 4 };

struct teacher_compare {
    struct teacher_rule rule;
    struct teacher_grid grid;
    struct teacher_codec code; // its steps
    int bits;
    size_t V, levels;
    float *level; // (levels) as stored; NULL: nothing is coded
    double tolerance;
    int times;                           // coded: 2 where it may have been recoded
    size_t tables;                       // then: codings that it may have had before,
    struct teacher_codec before[TABLES]; // of no fewer bits
    struct teacher_gather *gather;       // components
};

const char *compared_name(enum compared_number number) {
    static const char *const names[] = {"log p*", "log Q", "largest log p* outside",
                                        "TVD",    "alpha", "entropy"};
    return names[number];
}

// Our tables of as many bits as the file has and more, of which a recoded one had one.
static bool earlier_tables(struct teacher_compare *c) {
    static const int bits[TABLES] = {6, 8, 12, 16};
    for (size_t i = 0; i < TABLES && c->times > 1; i++)
        if (bits[i] >= c->bits &&
            !teacher_codec_init(&c->before[c->tables++], bits[i], c->V, 0, NULL, 0, NULL))
            return false;
    return true;
}

struct teacher_compare *teacher_compare_new(struct columns_reader *r, const struct teacher_info *i,
                                            double tolerance, int threads, struct fail *f) {
    struct teacher_compare *c = xcalloc(1, sizeof *c);
    size_t n;
    *c = (struct teacher_compare){
        .bits = i->bits, .V = i->vocab, .grid = i->grid, .tolerance = tolerance};
    c->times = strcmp(columns_artefact(r)->stage, "teacher-dump") ? 2 : 1;
    if (i->bits != 32) c->level = (float *)(void *)columns_blob(r, "levels", &n);
    c->levels = c->level ? n / sizeof *c->level : 0;
    bool ok = teacher_rule_alpha(i->rule, &c->rule) && (i->bits == 32 || c->levels > 1) &&
              earlier_tables(c) &&
              teacher_codec_init(&c->code, i->bits, i->vocab, 0, NULL, 0, NULL);
    teacher_codec_version(&c->code, columns_artefact(r)->version, !i->grid.n, i->eos);
    if (ok && i->grid.n) c->gather = teacher_gather_new(&c->rule, &i->grid, i->vocab, threads);
    if (ok) return c;
    fail_set(f, EXIT_BADDATA, "'%s' does not say by which rule it was made", columns_path(r));
    teacher_compare_free(c);
    return NULL;
}

void teacher_compare_free(struct teacher_compare *c) {
    if (!c) return;
    teacher_gather_free(c->gather);
    teacher_codec_release(&c->code);
    for (size_t i = 0; i < c->tables; i++) teacher_codec_release(&c->before[i]);
    free(c->level);
    free(c);
}

const struct teacher_rule *teacher_compare_rule(const struct teacher_compare *c) {
    return &c->rule;
}

// ---- what may be off

// Half the step of the file's own table around log p; below the last level the distance from it
// too.
static double half_step(const struct teacher_compare *c, double logp) {
    size_t low = 0, high = c->levels - 1; // level[low] >= logp > level[high]
    double beyond = (double)c->level[high] - logp;
    if (beyond >= 0) low = high - 1;
    while (high - low > 1) {
        size_t at = low + (high - low) / 2;
        *((double)c->level[at] >= logp ? &low : &high) = at;
    }
    return fmax(beyond, 0) + (double)(c->level[low] - c->level[high]) / 2;
}

// By its own table, and by the one that a recoded file had before.
static double level_error(const struct teacher_compare *c, double logp) {
    if (!c->level) return 0;
    double own = half_step(c, logp), before = c->times > 1 ? own : 0;
    for (size_t i = 0; i < c->tables; i++) {
        const struct teacher_codec *t = &c->before[i];
        before = fmax(before, c->grid.n ? teacher_components_error(t->bits, logp)
                                        : teacher_codec_error(t, (float)logp));
    }
    return own + before;
}

static double field_error(const struct teacher_compare *c, enum teacher_field field) {
    if (c->bits == 32) return 0;
    double step =
        fabs(teacher_codec_value(&c->code, field, 1) - teacher_codec_value(&c->code, field, 0));
    return field == CODE_TAIL ? step : step / 2; // the first step of log Q stands for all below
}

// What it lacks of the support's own is rounded again by every recoding: three of them at most.
static double entropy_error(const struct teacher_compare *c) {
    return (c->times > 1 ? 4 : 1) * field_error(c, CODE_ENTROPY);
}

// Brief codes hold the logarithm of TVD, down to exp(-254 / 16).
static double tvd_error(const struct teacher_compare *c, double tvd) {
    return c->code.brief ? tvd * expm1(1. / 32) + 1.3e-7 : field_error(c, CODE_TVD);
}

// What a recoding cut off went to the tail as it had been rounded.
static double tail_error(const struct teacher_compare *c, double tail) {
    double rounding = c->tolerance * (tail < -10 ? 100 : 1);
    double own = c->code.apart ? level_error(c, tail) : field_error(c, CODE_TAIL);
    return rounding + own + (c->times > 1 ? level_error(c, -7) : 0);
}

// By how much the common scale to 1 - Q may move log p*: by the levels' errors and Q's.
static double scale_error(const struct teacher_compare *c, const struct teacher_position *p,
                          const float *live, double tail) {
    double sum = 0, more = 0, less = 0, q = exp((double)p->log_tail);
    if (c->bits == 32) return 0;
    for (uint32_t k = 0; k < p->n; k++) {
        double x = (double)live[p->ids[k]], e = fmin(level_error(c, x), 10), mass = exp(x);
        sum += mass;
        more += mass * exp(e);
        less += mass * exp(-e);
    }
    double tails = fabs(log1p(-fmin(q, 1 - 1e-9)) - log1p(-fmin(exp(tail), 1 - 1e-9)));
    return fmax(log(more / sum), log(sum / less)) + tails;
}

static void compare(struct compared *to, enum compared_number what, int32_t token, double stored,
                    double live, double allowed) {
    double off = fabs(stored - live), share = off <= allowed ? off / allowed : 1 + off / allowed;
    if (!(off < INFINITY)) share = INFINITY;
    to->numbers++;
    if (!(off <= to->off[what])) to->off[what] = off;
    bool worst = true;
    for (int k = 0; k < COMPARED_NUMBERS; k++) worst = worst && share > to->share[k];
    if (share > to->share[what]) to->share[what] = share;
    if (!worst) return;
    to->what = what;
    to->token = token;
    to->stored = stored;
    to->live = live;
    to->allowed = allowed;
}

bool compared_fits(const struct compared *c) {
    for (int k = 0; k < COMPARED_NUMBERS; k++)
        if (!(c->share[k] <= 1)) return false;
    return true;
}

// ---- positions

static int by_id(const void *a, const void *b) {
    const struct teacher_entry *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

// Places in the support, ascending by id.
static void sorted_places(const struct teacher_position *p, int32_t *ids, uint32_t *place) {
    struct teacher_entry *e = xmalloc(p->n * sizeof *e);
    for (uint32_t k = 0; k < p->n; k++) {
        e[k].id = p->ids[k];
        memcpy(&e[k].logp, &k, sizeof k);
    }
    qsort(e, p->n, sizeof *e, by_id);
    for (uint32_t k = 0; k < p->n; k++) {
        ids[k] = e[k].id;
        memcpy(&place[k], &e[k].logp, sizeof k);
    }
    free(e);
}

// The token that stands at position i of the row.
static int32_t realised_at(const struct teacher_row *row, size_t i) {
    size_t at = 0;
    for (size_t seen = 0; seen <= i;) seen += row->mask[++at];
    return row->ids[at];
}

// Of models run again, which grows with the strength.
static double rounding(const struct teacher_compare *c, double x) {
    return c->tolerance * (1 + 1e-2 * fabs(x));
}

// The largest p* outside the support; 0 in the file: it was not known.
static void compare_most(const struct teacher_compare *c, const struct teacher_position *p,
                         const float *live, struct compared *to) {
    if (!(p->log_most < 0)) return;
    struct teacher_entry *e = xmalloc(p->n * sizeof *e);
    for (uint32_t k = 0; k < p->n; k++) e[k] = (struct teacher_entry){p->ids[k], live[p->ids[k]]};
    double most = (double)teacher_most(live, c->V, e, p->n);
    compare(to, COMPARED_MOST, -1, (double)p->log_most, most, tail_error(c, most));
    free(e);
}

// realised: the token whose log p* is stored once more (bits 32), else -1.
static void compare_composed(const struct teacher_compare *c, const struct teacher_position *p,
                             int32_t realised, const float *live, double tail,
                             struct compared *to) {
    double scale = scale_error(c, p, live, tail);
    if (realised >= 0)
        compare(to, COMPARED_LOGP, realised, (double)p->realised, (double)live[realised],
                rounding(c, (double)live[realised]));
    for (uint32_t k = 0; k < p->n; k++) {
        double x = (double)live[p->ids[k]];
        compare(to, COMPARED_LOGP, p->ids[k], (double)p->logp[k], x,
                rounding(c, x) + scale + level_error(c, x));
    }
    compare(to, COMPARED_TAIL, -1, (double)p->log_tail, tail, tail_error(c, tail));
    compare_most(c, p, live, to);
}

static void compare_components(struct teacher_compare *c, int self,
                               const struct teacher_position *p,
                               const struct teacher_components *components,
                               const struct teacher_logits *z, int32_t *ids, const uint32_t *place,
                               struct compared *to) {
    float *ends = xmalloc(2 * p->n * sizeof *ends), tail[GRID_MOST];
    struct teacher_gathered live = {
        .n = p->n, .ids = ids, .low = ends, .high = ends + p->n, .tail = tail};
    teacher_gather_given(c->gather, self, z, &live);
    for (uint32_t k = 0; k < p->n; k++)
        for (int e = 0; e < 2; e++) {
            double x = (double)(e ? live.high : live.low)[k];
            double stored = (double)(e ? components->high : components->low)[place[k]];
            compare(to, COMPARED_LOGP, ids[k], stored, x, rounding(c, x) + level_error(c, x));
        }
    for (size_t g = 0; g < c->grid.n; g++)
        compare(to, COMPARED_TAIL, -1, (double)components->tail[g], (double)tail[g],
                tail_error(c, (double)tail[g]));
    free(ends);
}

static double stored_kl(const struct teacher_compare *c, const struct teacher_position *p,
                        const float *live, double tail, double entropy) {
    double sum = -entropy, others = (double)(c->V - p->n);
    for (uint32_t k = 0; k < p->n; k++) {
        double x = (double)live[p->ids[k]];
        sum -= exp(x) * (double)p->logp[k];
    }
    if (others > 0) sum -= exp(tail) * ((double)p->log_tail - log(others));
    return sum;
}

// Logits that are off by x move alpha of kl:K by x / sd(d), and K is near (alpha sd(d))^2 / 2.
static double alpha_error(const struct teacher_compare *c, double alpha, double apart) {
    double K = c->rule.strength;
    if (c->rule.alpha == ALPHA_KL) return c->tolerance * alpha * (1 + 1 / sqrt(2 * K));
    return apart * fmax(K, 1);
}

void teacher_compare(struct teacher_compare *c, int self, const struct teacher_row *row, size_t i,
                     const struct teacher_logits *z, float *scratch, struct compared *to) {
    const struct teacher_position *p = &row->position[i];
    int32_t *ids = xmalloc(p->n * sizeof *ids);
    uint32_t *place = xmalloc(p->n * sizeof *place);
    *to = (struct compared){.what = COMPARED_LOGP, .token = -1};
    sorted_places(p, ids, place);
    double tvd, alpha = teacher_star(&c->rule, z->base, z->dpo, z->negative, c->V, scratch, &tvd);
    double entropy = teacher_entropy(scratch, c->V), tail = teacher_tail(scratch, c->V, ids, p->n);
    if (c->gather)
        compare_components(c, self, p, &row->components[i], z, ids, place, to);
    else
        compare_composed(c, p, c->bits == 32 ? realised_at(row, i) : -1, scratch, tail, to);
    double apart = tvd_error(c, tvd) + c->tolerance;
    compare(to, COMPARED_TVD, -1, (double)p->tvd, tvd, apart);
    compare(to, COMPARED_ALPHA, -1, (double)p->alpha, alpha, 1e-6 + alpha_error(c, alpha, apart));
    compare(to, COMPARED_ENTROPY, -1, (double)row->entropy[i], entropy,
            entropy_error(c) + 3 * c->tolerance);
    to->kl = stored_kl(c, p, scratch, tail, entropy);
    free(ids);
    free(place);
}
