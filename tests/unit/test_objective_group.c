// The group-relative objective: values by hand, its gradient against central differences in double,
// and the advantages of a group.
#include "common/base/parallel.h"
#include "common/base/rng.h"
#include "common/method/objective_group.h"
#include "common/engine/batch.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "tests/unit/fake_metrics.h"

enum { V = 11, RESPONSES = 4, MOST = 32 };

static const size_t lengths[RESPONSES] = {3, 1, 5, 2};
static const double C = 0.2, KL = 0.3;

static void make_batch(struct batch *b) {
    static int32_t prompt[2] = {1, 2}, ids[RESPONSES][8];
    const int32_t *response[RESPONSES];
    enum response_role role[RESPONSES] = {0};
    for (size_t r = 0; r < RESPONSES; r++) {
        response[r] = ids[r];
        for (size_t t = 0; t < 8; t++) ids[r][t] = (int32_t)(rng_bits(2, RNG_TEST, r, t) % V);
    }
    *b = (struct batch){0};
    batch_clear(b);
    batch_begin_unit(b);
    batch_shared(b, prompt, 2, RESPONSES, response, lengths, role, 0);
    batch_end(b);
}

// What the samples carry: behaviour so that ratios lie on all sides of the bounds.
static void fill(struct batch *b, const float *z) {
    for (size_t i = 0; i < b->positions; i++) {
        double sum = 0;
        for (size_t v = 0; v < V; v++) sum += exp((double)z[i * V + v]);
        double logp = (double)z[i * V + (size_t)b->target[i]] - log(sum);
        b->weight[i] = (float)(i % 2 ? 1.3 : -0.7);
        b->behaviour[i] = i % 5 == 4 ? NAN : (float)(logp + 0.15 * ((double)(i % 7) - 3.1));
        b->reference[i] = (float)(logp + 0.4 * rng_normal(5, RNG_TEST, 0, i));
    }
}

static double share(const struct batch *b, size_t at, enum distill_normalise n) {
    if (n == DISTILL_TOKEN) return 1 / (double)b->positions;
    double length = (double)b->response[b->owner[at]].count;
    return n == DISTILL_SUM ? 1.0 / RESPONSES : 1 / length / RESPONSES;
}

// The loss in double from the definition; z (positions,V); start: log p where rho is 1.
static double reference_loss(const struct batch *b, const double *z, const double *start,
                             enum distill_normalise n) {
    double loss = 0;
    for (size_t i = 0; i < b->positions; i++) {
        double sum = 0, A = (double)b->weight[i];
        for (size_t v = 0; v < V; v++) sum += exp(z[i * V + v]);
        double logp = z[i * V + (size_t)b->target[i]] - log(sum);
        double old = isnan(b->behaviour[i]) ? start[i] : (double)b->behaviour[i];
        double rho = exp(logp - old), d = (double)b->reference[i] - logp;
        double clipped = fmin(fmax(rho, 1 - C), 1 + C);
        loss += share(b, i, n) * (-fmin(rho * A, clipped * A) + KL * (exp(d) - d - 1));
    }
    return loss;
}

static void gradient(void **state) {
    (void)state;
    struct batch b;
    make_batch(&b);
    size_t n = b.positions;
    float z[MOST * V], kept[MOST * V];
    double P[MOST * V], start[MOST];
    for (size_t i = 0; i < n * V; i++) kept[i] = (float)rng_normal(3, RNG_TEST, 0, i);
    fill(&b, kept);
    for (int k = 0; k < 3; k++) {
        struct group_numbers numbers = {.length = 2};
        struct group_options o = {C, KL, (enum distill_normalise)k, &numbers, NULL, NULL};
        struct objective g = objective_group_new(&o, V);
        struct metrics m = {0};
        memcpy(z, kept, sizeof z);
        g.begin_step(g.self, &(struct step_totals){.rows = 1, .tokens = n, .responses = RESPONSES});
        g.begin(g.self, &b);
        g.backward(g.self, &b, 0, n, z);
        for (size_t i = 0; i < n * V; i++) P[i] = (double)kept[i];
        for (size_t i = 0; i < n; i++) {
            double sum = 0;
            for (size_t v = 0; v < V; v++) sum += exp(P[i * V + v]);
            start[i] = P[i * V + (size_t)b.target[i]] - log(sum);
        }
        double loss = g.end_step(g.self, &m), expect = reference_loss(&b, P, start, o.normalise);
        assert_true(near(loss, expect, 1e-6 * (1 + fabs(expect))));
        assert_true(metric(&m, "kl_ref") > 0 && metric(&m, "clipped") > 0);
        for (size_t i = 0; i < n * V; i++) {
            double h = 1e-6, keep = P[i];
            P[i] = keep + h;
            double up = reference_loss(&b, P, start, o.normalise);
            P[i] = keep - h;
            double slope = (up - reference_loss(&b, P, start, o.normalise)) / (2 * h);
            P[i] = keep;
            if (!(fabs((double)z[i] - slope) <= 1e-5 * (1 + fabs(slope))))
                fail_msg("%zu: %g, by differences %g", i, (double)z[i], slope);
        }
        objective_free(&g);
    }
    batch_release(&b);
}

static void advantages(void **state) {
    (void)state;
    double a[4];
    group_advantages((const double[]){1, 2, 3, 6}, 4, a); // mean 3, deviation sqrt(14 / 3)
    double deviation = sqrt(14.0 / 3) + 1e-4;
    assert_true(fabs(a[0] + 2 / deviation) < 1e-12 && fabs(a[3] - 3 / deviation) < 1e-12);
    group_advantages((const double[]){5, 5, 5}, 3, a);
    for (int i = 0; i < 3; i++) assert_true(a[i] == 0);
}

int main(void) {
    parallel_init(2);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradient),
        cmocka_unit_test(advantages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
