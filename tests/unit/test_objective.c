// Cross-entropy and the preference losses against double-precision references written here from
// METHOD.md: values, gradients by central differences, bits under other cuts of the work.
#include "common/method/objective.h"
#include "common/base/parallel.h"
#include "common/base/rng.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
// after cmocka
#include "tests/unit/fake_metrics.h"

enum { V = 37, PAIRS = 3, MOST = 64 }; // V: no multiple of a vector

static double lse(const double *z, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += exp(z[i]);
    return log(sum);
}

static void fill(double *x, size_t n, uint64_t salt, double scale) { // exact as floats
    for (size_t i = 0; i < n; i++) x[i] = (double)(float)(scale * rng_normal(5, RNG_TEST, salt, i));
}

// Three pairs of responses with unequal lengths behind shared prompts of two tokens; the units
// `from` .. `to` - 1, one pair each.
static void make_pairs(struct batch *b, size_t from, size_t to) {
    static const size_t lengths[PAIRS][2] = {{3, 5}, {1, 2}, {6, 4}};
    batch_clear(b);
    for (size_t i = from; i < to; i++) {
        int32_t prompt[2] = {1, 2}, text[2][8];
        for (size_t k = 0; k < 2; k++)
            for (size_t t = 0; t < lengths[i][k]; t++)
                text[k][t] = (int32_t)(rng_bits(9, RNG_TEST, i * 2 + k, t) % V);
        const int32_t *const response[2] = {text[0], text[1]};
        enum response_role roles[2] = {RESPONSE_CHOSEN, RESPONSE_REJECTED};
        batch_begin_unit(b);
        batch_shared(b, prompt, 2, 2, response, lengths[i], roles, 100 + i);
    }
    batch_end(b);
    for (size_t r = 0; r < b->responses; r++)
        b->response[r].ref_logp =
            -3.7 * (double)b->response[r].count + 0.9 * (double)((2 * from + r) % 3);
}

static double ref_logits[MOST * V]; // of all positions of the three pairs

static double ref_logp(size_t at, size_t v) {
    return ref_logits[at * V + v] - lse(ref_logits + at * V, V);
}

static void give_reference(void *ctx, const struct batch *b, size_t first, size_t count,
                           float *out) {
    size_t offset = *(size_t *)ctx;
    (void)b;
    for (size_t i = 0; i < count; i++)
        for (size_t v = 0; v < V; v++) out[i * V + v] = (float)ref_logp(offset + first + i, v);
}

struct sums {
    double logp, kl;
};

static struct sums response_sums(const struct batch *b, const struct response *r, const double *z) {
    struct sums s = {0};
    for (size_t at = r->first; at < r->first + r->count; at++) {
        double l = lse(z + at * V, V);
        s.logp += z[at * V + (size_t)b->target[at]] - l;
        for (size_t v = 0; v < V; v++)
            s.kl += exp(ref_logp(at, v)) * (ref_logp(at, v) - z[at * V + v] + l);
    }
    return s;
}

static double softplus(double x) {
    return log(1 + exp(x));
}

// The mean loss in double; `stopped` replaces tdpo2's D_w, whose gradient is stopped, if not NULL.
static double reference_loss(const struct preference_options *o, const struct batch *b,
                             const double *z, const double *stopped) {
    double total = 0, B = o->beta, e = o->smoothing;
    for (size_t i = 0; i < b->responses; i += 2) {
        const struct response *w = &b->response[i + o->reverse], *l = &b->response[i + !o->reverse];
        struct sums sw = response_sums(b, w, z), sl = response_sums(b, l, z);
        double rw = sw.logp - w->ref_logp, rl = sl.logp - l->ref_logp, h = rw - rl;
        double nw = (double)w->count, nl = (double)l->count;
        double kw = stopped ? stopped[i / 2] : sw.kl;
        switch (o->loss) {
        case PREFERENCE_REWARD: // has logits of its own kind, see test_reward_model.c
            break;
        case PREFERENCE_DPO:
            total += softplus(-B * h);
            break;
        case PREFERENCE_CDPO:
            total += (1 - e) * softplus(-B * h) + e * softplus(B * h);
            break;
        case PREFERENCE_ROBUST:
            total += ((1 - e) * softplus(-B * h) - e * softplus(B * h)) / (1 - 2 * e);
            break;
        case PREFERENCE_IPO:
            total += pow((o->ipo_sum ? h : rw / nw - rl / nl) - 1 / (2 * B), 2);
            break;
        case PREFERENCE_HINGE:
            total += fmax(0, 1 - B * h);
            break;
        case PREFERENCE_SIMPO:
            total += softplus(o->simpo_gamma - B * (sw.logp / nw - sl.logp / nl));
            break;
        case PREFERENCE_TDPO1:
            total += softplus(-B * (h - (sl.kl - sw.kl)));
            break;
        case PREFERENCE_TDPO2:
            total += softplus(-B * (h - o->tdpo_alpha * (sl.kl - kw)));
            break;
        }
    }
    return total / PAIRS;
}

// Runs a whole step over units cut at `cut` (0: one micro-batch), in chunks of `chunk` positions.
static double run_step(const struct preference_options *options, const double *z, float *grad,
                       size_t cut, size_t chunk, struct metrics *m) {
    size_t offset = 0, edges[3] = {0, cut, PAIRS};
    struct preference_options o = *options;
    o.reference = give_reference;
    o.reference_ctx = &offset;
    struct objective j = objective_preference_new(&o, V);
    struct step_totals totals = {.rows = PAIRS};
    struct batch b = {0};
    j.begin_step(j.self, &totals);
    for (int part = cut ? 0 : 1; part < 2; part++) {
        make_pairs(&b, cut ? edges[part] : 0, edges[part + 1]);
        float *x = grad + offset * V;
        for (size_t i = 0; i < b.positions * V; i++) x[i] = (float)z[offset * V + i];
        j.begin(j.self, &b);
        for (size_t at = 0; at < b.positions; at += chunk)
            j.first_pass(j.self, &b, at, b.positions - at < chunk ? b.positions - at : chunk,
                         x + at * V);
        j.between_passes(j.self, &b);
        for (size_t at = 0; at < b.positions; at += chunk)
            j.backward(j.self, &b, at, b.positions - at < chunk ? b.positions - at : chunk,
                       x + at * V);
        offset += b.positions;
    }
    double loss = j.end_step(j.self, m);
    batch_release(&b);
    objective_free(&j);
    return loss;
}

static const struct preference_options all_losses[] = {
    {.loss = PREFERENCE_DPO, .beta = 0.1},
    {.loss = PREFERENCE_DPO, .beta = 0.3, .reverse = true},
    {.loss = PREFERENCE_CDPO, .beta = 0.2, .smoothing = 0.15},
    {.loss = PREFERENCE_ROBUST, .beta = 0.2, .smoothing = 0.3, .reverse = true},
    {.loss = PREFERENCE_IPO, .beta = 0.1},
    {.loss = PREFERENCE_IPO, .beta = 0.7, .ipo_sum = true, .reverse = true},
    {.loss = PREFERENCE_HINGE, .beta = 0.05},
    {.loss = PREFERENCE_HINGE, .beta = 2, .reverse = true},
    {.loss = PREFERENCE_SIMPO, .beta = 2, .simpo_gamma = 0.5},
    {.loss = PREFERENCE_SIMPO, .beta = 2.5, .simpo_gamma = 1, .reverse = true},
    {.loss = PREFERENCE_TDPO1, .beta = 0.1},
    {.loss = PREFERENCE_TDPO1, .beta = 0.1, .reverse = true},
    {.loss = PREFERENCE_TDPO2, .beta = 0.1, .tdpo_alpha = 0.5},
    {.loss = PREFERENCE_TDPO2, .beta = 0.1, .tdpo_alpha = 0.8, .reverse = true},
};
enum { LOSSES = sizeof all_losses / sizeof *all_losses };

static void preference_gradients(void **state) {
    (void)state;
    static double z[MOST * V];
    static float grad[MOST * V];
    fill(z, MOST * V, 1, 1.5);
    fill(ref_logits, MOST * V, 2, 1.2);
    struct batch b = {0};
    make_pairs(&b, 0, PAIRS);
    for (size_t k = 0; k < LOSSES; k++) {
        const struct preference_options *o = &all_losses[k];
        struct metrics m = {0};
        double stopped[PAIRS], expect = reference_loss(o, &b, z, NULL), worst = 0;
        double loss = run_step(o, z, grad, 0, 5, &m);
        assert_true(near(loss, expect, 2e-6 * (1 + fabs(expect))));
        for (size_t i = 0; i < PAIRS; i++)
            stopped[i] = response_sums(&b, &b.response[2 * i + o->reverse], z).kl;
        for (size_t i = 0; i < b.positions * V; i += 3) {
            double keep = z[i], h = 1e-5;
            z[i] = keep + h;
            double up = reference_loss(o, &b, z, stopped);
            z[i] = keep - h;
            double down = reference_loss(o, &b, z, stopped);
            z[i] = keep;
            worst = fmax(worst, fabs((up - down) / (2 * h) - (double)grad[i]));
        }
        if (!(worst < 1e-6)) print_message("loss %zu: gradient off by %g\n", k, worst);
        assert_true(worst < 1e-6);
    }
    batch_release(&b);
}

static void preference_bits(void **state) {
    (void)state;
    static double z[MOST * V];
    static float one[MOST * V], other[MOST * V];
    fill(z, MOST * V, 1, 1.5);
    fill(ref_logits, MOST * V, 2, 1.2);
    for (size_t k = 0; k < LOSSES; k++) {
        memset(one, 0, sizeof one);
        memset(other, 0, sizeof other);
        struct metrics m = {0}, n = {0};
        parallel_init(1);
        double a = run_step(&all_losses[k], z, one, 0, MOST, &m);
        parallel_init(3);
        double c = run_step(&all_losses[k], z, other, 1 + k % 2, 2, &n);
        assert_true(a == c);
        assert_memory_equal(one, other, sizeof one);
        assert_memory_equal(m.value, n.value, sizeof m.value);
    }
}

static void preference_metrics(void **state) {
    (void)state;
    static double z[MOST * V];
    static float grad[MOST * V];
    fill(z, MOST * V, 1, 1.5);
    fill(ref_logits, MOST * V, 2, 1.2);
    struct batch b = {0};
    make_pairs(&b, 0, PAIRS);
    for (size_t k = 0; k < LOSSES; k++) {
        const struct preference_options *o = &all_losses[k];
        double reward[2] = {0}, logp[2] = {0}, above = 0;
        for (size_t i = 0; i < PAIRS; i++) {
            double r[2];
            for (size_t c = 0; c < 2; c++) {
                const struct response *y = &b.response[2 * i + (c ^ o->reverse)];
                struct sums s = response_sums(&b, y, z);
                r[c] = o->beta * (s.logp - y->ref_logp);
                if (o->loss == PREFERENCE_SIMPO) r[c] = o->beta * s.logp / (double)y->count;
                if (o->loss >= PREFERENCE_TDPO1) r[c] += o->beta * s.kl;
                reward[c] += r[c] / PAIRS;
                logp[c] += s.logp / PAIRS;
            }
            above += (r[0] > r[1]) / (double)PAIRS;
        }
        struct metrics m = {0};
        run_step(o, z, grad, 0, 7, &m);
        assert_true(near(metric(&m, "reward_chosen"), reward[0], 2e-5));
        assert_true(near(metric(&m, "reward_rejected"), reward[1], 2e-5));
        assert_true(near(metric(&m, "reward_margin"), reward[0] - reward[1], 2e-5));
        assert_true(near(metric(&m, "reward_accuracy"), above, 1e-12));
        assert_true(near(metric(&m, "logp_chosen"), logp[0], 2e-5));
        assert_true(near(metric(&m, "logp_rejected"), logp[1], 2e-5));
    }
    batch_release(&b);
}

static void pair_by_hand(void **state) {
    (void)state;
    // r = (-10 + 12, -9 + 8) = (2, -1), h = 3; log(1 + e^-0.3) = 0.5543552444685272
    struct preference_terms t = {{-10, -9}, {-12, -8}, {0.5, 1.5}, {4, 2}};
    struct preference_options o = {.loss = PREFERENCE_DPO, .beta = 0.1};
    struct preference_result r = preference_pair(&o, &t);
    assert_true(near(r.loss, 0.5543552444685272, 1e-15));
    assert_true(near(r.reward[0], 0.2, 1e-15) && near(r.reward[1], -0.1, 1e-15));
    assert_true(near(r.d_logp[0], -0.1 * 0.425557483188341, 1e-15)); // -beta sigmoid(-0.3)
    o.smoothing = 0.2; // of 0.5543552444685272 and log(1 + e^0.3) = 0.8543552444685272
    o.loss = PREFERENCE_CDPO;
    r = preference_pair(&o, &t); // 0.8 a + 0.2 b; slope of h: 0.2 - sigmoid(-0.3)
    assert_true(near(r.loss, 0.6143552444685272, 1e-15));
    assert_true(near(r.d_logp[0], -0.1 * 0.225557483188341, 1e-15));
    o.loss = PREFERENCE_ROBUST;
    r = preference_pair(&o, &t); // (0.8 a - 0.2 b) / 0.6; slope: -(0.8 s(-0.3) + 0.2 s(0.3)) / 0.6
    assert_true(near(r.loss, 0.4543552444685272, 1e-15));
    assert_true(near(r.d_logp[0], -0.1 * 0.7588908165216743, 1e-15));
    o.smoothing = 0;
    o.loss = PREFERENCE_IPO; // h' = 2/4 + 1/2 = 1, target 5
    assert_true(near(preference_pair(&o, &t).loss, 16, 1e-12));
    o.ipo_sum = true; // 3 - 5
    assert_true(near(preference_pair(&o, &t).loss, 4, 1e-12));
    o.loss = PREFERENCE_HINGE;
    assert_true(near(preference_pair(&o, &t).loss, 0.7, 1e-15));
    o = (struct preference_options){.loss = PREFERENCE_SIMPO, .beta = 2, .simpo_gamma = 0.5};
    // 2 (-2.5 + 4.5) - 0.5 = 3.5
    assert_true(near(preference_pair(&o, &t).loss, 0.029750418272620576, 1e-15));
    o = (struct preference_options){.loss = PREFERENCE_TDPO1, .beta = 0.1}; // 0.1 (3 - 1)
    assert_true(near(preference_pair(&o, &t).loss, 0.5981388693815918, 1e-15));
    o = (struct preference_options){.loss = PREFERENCE_TDPO2, .beta = 0.1, .tdpo_alpha = 0.5};
    assert_true(near(preference_pair(&o, &t).loss, 0.5759394198788437, 1e-14)); // 0.1 (3 - 0.5)
    assert_true(preference_pair(&o, &t).d_kl[0] == 0);
    o = (struct preference_options){.loss = PREFERENCE_DPO, .beta = 1};
    t.logp[0] = -4000; // far out: no overflow, slope 1
    r = preference_pair(&o, &t);
    assert_true(near(r.loss, 3987, 1e-9) && near(r.d_logp[0], -1, 1e-12));
}

static void names_and_start(void **state) {
    (void)state;
    enum preference_loss loss;
    assert_true(preference_parse("robust", &loss) && loss == PREFERENCE_ROBUST);
    assert_true(preference_parse("tdpo2", &loss) && loss == PREFERENCE_TDPO2);
    assert_false(preference_parse("kto", &loss));
    char whose[64];
    assert_true(preference_idle(PREFERENCE_DPO, "label-smoothing", whose, sizeof whose));
    assert_string_equal(whose, "cdpo and robust");
    assert_false(preference_idle(PREFERENCE_ROBUST, "label-smoothing", whose, sizeof whose));
    assert_false(preference_idle(PREFERENCE_DPO, "beta", whose, sizeof whose));
    struct fail f = {0};
    struct preference_options o = {.loss = PREFERENCE_ROBUST, .beta = 0.1, .smoothing = 0.2};
    assert_true(preference_check_start(&o, log(2) + 9e-6, &f));
    assert_false(preference_check_start(&o, log(2) + 2e-5, &f));
    assert_int_equal(f.code, EXIT_FAILED);
    struct fail g = {0};
    assert_false(preference_check_start(&o, NAN, &g));
    o.loss = PREFERENCE_SIMPO;
    assert_true(preference_check_start(&o, 3, &g));
}

static void sft_step(void **state) {
    (void)state;
    enum { N = 9 };
    const int32_t ids[N] = {4, 7, 0, 36, 5, 5, 12, 30, 2};
    const uint8_t mask[N] = {0, 0, 1, 1, 0, 1, 1, 1, 1};
    struct batch b = {0};
    batch_clear(&b);
    batch_begin_unit(&b);
    batch_sequence(&b, ids, mask, N, 0, RESPONSE_ONLY);
    batch_end(&b);
    size_t n = b.positions;
    assert_int_equal(n, 6);
    double z[6 * V], expect = 0;
    float x[6 * V];
    fill(z, n * V, 3, 2);
    for (size_t i = 0; i < n; i++) z[i * V + 20] = -INFINITY; // a padding column
    for (size_t i = 0; i < n * V; i++) x[i] = (float)z[i];
    struct objective j = objective_sft_new(V);
    struct step_totals totals = {.tokens = 11}; // five more in another micro-batch
    struct metrics m = {0};
    j.begin_step(j.self, &totals);
    j.begin(j.self, &b);
    j.backward(j.self, &b, 4, 2, x + 4 * V);
    j.backward(j.self, &b, 0, 4, x);
    for (size_t i = 0; i < n; i++) {
        double l = lse(z + i * V, V), y = l - z[i * V + (size_t)b.target[i]];
        expect += y / 11;
        for (size_t v = 0; v < V; v++) {
            double g = (exp(z[i * V + v] - l) - (v == (size_t)b.target[i])) / 11;
            assert_true(near((double)x[i * V + v], g, 1e-7));
        }
        assert_true(x[i * V + 20] == 0);
    }
    assert_true(near(j.end_step(j.self, &m), expect, 1e-6));
    objective_free(&j);
    batch_release(&b);
}

int main(void) {
    parallel_init(2);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sft_step),           cmocka_unit_test(pair_by_hand),
        cmocka_unit_test(names_and_start),    cmocka_unit_test(preference_gradients),
        cmocka_unit_test(preference_metrics), cmocka_unit_test(preference_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
