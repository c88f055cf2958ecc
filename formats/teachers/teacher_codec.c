#include "formats/teachers/teacher_codec.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Levels x of -log p: x0 = 0, and each next one min(first exp(power x), max(most, x / part))
// further, past e^-2000: steps that grow as p shrinks, since an error of log p changes the gradient
// by p times as much. That far down, because the realised token and the student's own tokens are
// kept however small their p* is, and the reverse KL weighs them by the student's p. FORMATS.md
// says what came of it, pipelines/cache how they were chosen.
static const struct table {
    int bits;
    double first, power, most, part;
} tables[] = {{16, 1. / 2000, 0.65, 0.5, 1000},
              {12, 1. / 500, 0.75, 1, 100},
              {8, 1. / 96, 0.5, 1, 11},
              {6, 1. / 14, 0.5, 2, 5}};
static const double deepest = 2000;

static const struct table *table_of(int64_t bits) {
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (tables[i].bits == bits) return &tables[i];
    return NULL;
}

bool teacher_codec_bits(int64_t bits) {
    return bits == 32 || table_of(bits);
}

void teacher_codec_version(struct teacher_codec *c, int version, bool composed, int32_t eos) {
    c->brief = version > 2 && c->bits <= 12 && composed;
    c->apart = version > 3 && composed && c->bits != 32;
    c->most = version > 4 && c->apart;
    c->end = c->apart ? eos : -1;
}

static double step_at(const struct table *t, double x) {
    return fmin(t->first * exp(t->power * x), fmax(t->most, x / t->part));
}

static void make_levels(struct teacher_codec *c, const struct table *t) {
    c->level = xmalloc(((size_t)1 << t->bits) * sizeof *c->level);
    double x = 0;
    for (;;) {
        c->level[c->levels++] = (float)-x;
        if (x >= deepest || c->levels >> t->bits) break;
        x += step_at(t, x);
    }
}

static bool take_levels(struct teacher_codec *c, size_t n, const float *level) {
    if (n < 2 || n > (size_t)1 << (c->bits <= 8 ? 8 : 16)) return false;
    c->level = xmalloc(n * sizeof *c->level);
    c->levels = n;
    for (size_t i = 0; i < n; i++) {
        c->level[i] = level[i];
        if (!(level[i] <= 0 && level[i] >= -1e4f) || (i && !(level[i] < level[i - 1])))
            return false;
    }
    return true;
}

static bool number_tokens(struct teacher_codec *c, size_t n, const int32_t *common) {
    c->token = xmalloc(c->vocab * sizeof *c->token);
    c->number = xmalloc(c->vocab * sizeof *c->number);
    for (size_t v = 0; v < c->vocab; v++) c->number[v] = -1;
    for (size_t i = 0; i < n; i++) {
        if (common[i] < 0 || (size_t)common[i] >= c->vocab || c->number[common[i]] >= 0)
            return false;
        c->token[i] = common[i];
        c->number[common[i]] = (int32_t)i;
    }
    for (size_t v = 0; v < c->vocab; v++) {
        if (c->number[v] >= 0) continue;
        c->token[n] = (int32_t)v;
        c->number[v] = (int32_t)n++;
    }
    return true;
}

bool teacher_codec_init(struct teacher_codec *c, int bits, size_t vocab, size_t n,
                        const int32_t *common, size_t levels, const float *level) {
    *c = (struct teacher_codec){.bits = bits, .vocab = vocab, .end = -1};
    if (bits == 32) return true;
    const struct table *t = table_of(bits);
    if (!t) return false;
    if (level && !take_levels(c, levels, level)) return false;
    if (!level) make_levels(c, t);
    c->mass = xmalloc(c->levels * sizeof *c->mass);
    for (size_t i = 0; i < c->levels; i++) c->mass[i] = expf(c->level[i]);
    return number_tokens(c, n, common);
}

void teacher_codec_release(struct teacher_codec *c) {
    free(c->level);
    free(c->mass);
    free(c->token);
    free(c->number);
    *c = (struct teacher_codec){0};
}

// The last level that is not below log p; the last but one at most. Without branches, which would
// be guessed wrongly half of the time.
static size_t level_above(const struct teacher_codec *c, float logp) {
    const float *low = c->level; // *low >= logp, or it is the first
    for (size_t n = c->levels - 1; n > 1; n -= n / 2)
        low += low[n / 2] >= logp ? n / 2 : 0; // one of the n from it on
    return (size_t)(low - c->level);
}

uint32_t teacher_codec_level(const struct teacher_codec *c, float logp) {
    size_t low = level_above(c, logp), high = c->levels - 1 > low ? low + 1 : low;
    if (!(logp > c->level[high])) return (uint32_t)high;
    return (uint32_t)(c->level[low] - logp <= logp - c->level[high] ? low : high);
}

double teacher_codec_error(const struct teacher_codec *c, float logp) {
    const struct table *t = table_of(c->bits);
    if (!t) return 0;
    double x =
        logp < 0 ? -(double)logp : 0; // the step that ends after x is longer than the one at x
    double last = (double)c->level[c->levels - 1];
    return fmax(step_at(t, x) / 2, x + last);
}

static double step_of(const struct teacher_codec *c, enum teacher_field field) {
    if (field == CODE_TVD) return c->brief ? 1. / 16 : 1. / 65535;
    if (field == CODE_ENTROPY) return c->brief || c->apart ? 1. / 16 : 1. / 256;
    return c->bits == 16 ? 1. / 512 : 1. / 64;
}

// Coded as levels, and decoded to the middles between them.
static bool is_middle(const struct teacher_codec *c, enum teacher_field field) {
    return (field == CODE_TAIL && c->apart) || field == CODE_MOST;
}

// Logarithms count downwards from 0.
static bool is_log(const struct teacher_codec *c, enum teacher_field field) {
    return field == CODE_TAIL || (field == CODE_TVD && c->brief);
}

// What entropy is counted from: the support's own may come out higher, as it is rounded.
static double least_of(const struct teacher_codec *c, enum teacher_field field) {
    return field == CODE_ENTROPY && c->apart ? -1 : 0;
}

uint32_t teacher_codec_number(const struct teacher_codec *c, enum teacher_field field, double x) {
    if (is_middle(c, field)) {
        bool below = x <= (double)c->level[c->levels - 1];
        return (uint32_t)(below ? c->levels - 1 : level_above(c, (float)x));
    }
    if (field == CODE_TVD && is_log(c, field)) x = log(x); // of 0: the last code
    double k = nearbyint(((is_log(c, field) ? -x : x) - least_of(c, field)) / step_of(c, field));
    if (field == CODE_TAIL && k < 1) k = 1; // Q < 1 remains so
    return (uint32_t)fmin(fmax(k, 0), teacher_codec_planes(c, field) > 1 ? 65535 : 255);
}

double teacher_codec_value(const struct teacher_codec *c, enum teacher_field field, uint32_t code) {
    if (field == CODE_MOST && !code) return 0;
    if (is_middle(c, field)) {
        if (code >= c->levels) return NAN;
        size_t next = code + 1 < c->levels ? code + 1 : code;
        return ((double)c->level[code] + (double)c->level[next]) / 2;
    }
    double x = least_of(c, field) + code * step_of(c, field);
    if (field != CODE_TVD || !is_log(c, field)) return is_log(c, field) ? -x : x;
    return code < 255 ? exp(-x) : 0;
}

size_t teacher_codec_planes(const struct teacher_codec *c, enum teacher_field field) {
    size_t level = c->bits <= 8 ? 1 : 2;
    switch (field) {
    case CODE_SUPPORT:
        return c->vocab <= 1 << 8 ? 1 : c->vocab <= 1 << 16 ? 2 : 3;
    case CODE_LEVEL:
        return level;
    case CODE_REALISED:
        return c->apart ? level : 0;
    case CODE_END:
        return c->end >= 0 ? level : 0;
    case CODE_TAIL:
        return c->apart ? level : 2;
    case CODE_MOST:
        return c->most ? level : 0;
    case CODE_TVD:
        return c->brief ? 1 : 2;
    case CODE_ENTROPY:
        return c->brief || c->apart ? 1 : 2;
    default:
        return 2;
    }
}

void teacher_codec_name(const struct teacher_codec *c, enum teacher_field field, size_t plane,
                        char name[CODE_NAME]) {
    static const char *const names[] = {"entries", "support", "level", "realised", "end",
                                        "tail",    "most",    "tvd",   "entropy"};
    static const char *const planes[] = {"low", "high", "top"};
    (void)c;
    snprintf(name, CODE_NAME, "%s_%s", names[field], planes[plane]);
}

void teacher_codec_decode(const struct teacher_codec *c, const uint32_t *level, size_t n,
                          double log_tail, float *logp) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)c->mass[level[i]];
    float shift = (float)(log1p(-exp(log_tail)) - log(sum));
    for (size_t i = 0; i < n; i++) logp[i] = c->level[level[i]] + shift;
}

static int by_before(const void *a, const void *b) {
    const struct teacher_stored *x = a, *y = b;
    if (x->before != y->before) return x->before < y->before ? -1 : 1;
    return (x->position > y->position) - (x->position < y->position);
}

size_t teacher_codec_order(const struct teacher_codec *c, size_t n, const int32_t *ids,
                           const uint8_t *mask, struct teacher_stored *order) {
    uint32_t positions = 0;
    for (size_t i = 1; i < n; i++) {
        if (!mask[i]) continue;
        order[positions] = (struct teacher_stored){ids[i - 1], positions, (uint32_t)i};
        positions++;
    }
    if (c->apart) qsort(order, positions, sizeof *order, by_before);
    return positions;
}

double teacher_entropy_kept(const float *logp, size_t n, double log_tail) {
    double sum = -exp(log_tail) * log_tail;
    for (size_t k = 0; k < n; k++) sum -= exp((double)logp[k]) * (double)logp[k];
    return sum;
}

double teacher_codec_entropy(const struct teacher_codec *c, const uint32_t *level, size_t n,
                             double log_tail) {
    double tail = teacher_codec_value(c, CODE_TAIL, teacher_codec_number(c, CODE_TAIL, log_tail));
    double mass = 0, sum = 0; // of levels x: sums of exp x and x exp x
    for (size_t k = 0; k < n; k++) {
        mass += (double)c->mass[level[k]];
        sum += (double)c->mass[level[k]] * (double)c->level[level[k]];
    }
    double rest = -expm1(tail); // 1 - Q
    return -exp(tail) * tail - rest * (sum / mass + log(rest / mass));
}

struct count {
    int32_t id;
    size_t n;
};

static int by_count(const void *a, const void *b) {
    const struct count *x = a, *y = b;
    if (x->n != y->n) return x->n > y->n ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

int32_t *teacher_codec_common(const int32_t *ids, size_t n, size_t vocab, int32_t first,
                              size_t *count) {
    struct count *c = xcalloc(vocab, sizeof *c);
    size_t kinds = 0;
    for (size_t v = 0; v < vocab; v++) c[v].id = (int32_t)v;
    for (size_t i = 0; i < n; i++) c[ids[i]].n++;
    if (first >= 0) c[first].n = SIZE_MAX;
    qsort(c, vocab, sizeof *c, by_count);
    while (kinds < vocab && c[kinds].n) kinds++;
    int32_t *common = xmalloc((kinds + 1) * sizeof *common);
    for (size_t i = 0; i < kinds; i++) common[i] = c[i].id;
    free(c);
    *count = kinds;
    return common;
}
