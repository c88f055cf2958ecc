// Models side by side: every target once, in order, with the numbers of the row alone and of the
// naive model in double; KL and the ratio against sums by hand.
#include "tests/unit/reference_model.h"
#include "common/training/measure.h"
#include "common/base/parallel.h"
#include "common/base/rng.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "tests/unit/small_model.h"

enum { ROWS = 7, LONGEST = 30, V = 37, USED = 33 };

static struct model make_model(uint64_t seed) {
    struct model_config c = small_config(V, USED, 64);
    c.layers = 2;
    c.width = 24;
    c.heads = 4;
    c.kv_heads = 2;
    c.hidden = 40;
    return small_model(c, seed, 0.3);
}

static size_t row_length(size_t row) {
    return 2 + row * 11 % (LONGEST - 1);
}

static int32_t token(size_t row, size_t i) {
    return (int32_t)(rng_bits(4, RNG_TEST, row, i) % USED);
}

static size_t row_measure(void *self, size_t row, struct step_totals *totals) {
    (void)self;
    totals->responses++;
    return row_length(row);
}

static bool row_add(void *self, struct batch *b, size_t row, struct fail *f) {
    const size_t *broken = self;
    int32_t ids[LONGEST + 1];
    uint8_t mask[LONGEST + 1];
    if (*broken == row) return fail_set(f, EXIT_BADDATA, "row %zu is broken", row);
    for (size_t i = 0; i < row_length(row); i++) {
        ids[i] = token(row, i);
        mask[i] = i % 3 != 0;
    }
    batch_sequence(b, ids, mask, row_length(row), row, RESPONSE_ONLY);
    return true;
}

struct seen {
    size_t batches, targets;
    double logp[ROWS][LONGEST + 1], kl[ROWS][LONGEST + 1];
};

static void see_chunk(void *self, const struct batch *b, struct chunk c, float *const *logits) {
    struct seen *s = self;
    double logp[256];
    score_chunk(b, c, logits[0], USED, logp);
    for (size_t p = c.first; p < c.first + c.count; p++) {
        size_t row = b->response[b->owner[p]].row, i = measure_index(b, p);
        assert_int_equal(b->target[p], token(row, i));
        assert_true(s->logp[row][i] == 0); // once only
        s->logp[row][i] = logp[p];
        s->kl[row][i] =
            measure_kl(logits[0] + (p - c.first) * USED, logits[1] + (p - c.first) * USED, USED);
        s->targets++;
    }
}

static bool see_batch(void *self, const struct batch *b, struct fail *f) {
    (void)b;
    (void)f;
    ((struct seen *)self)->batches++;
    return true;
}

static bool measure(const struct model *a, const struct model *b, size_t tokens, size_t broken,
                    struct seen *s, struct fail *f) {
    struct source source = {.self = &broken,
                            .rows = ROWS,
                            .parts = 1,
                            .longest = LONGEST + 1,
                            .span = LONGEST + 1,
                            .measure = row_measure,
                            .add = row_add};
    struct measure m = {.models = 2,
                        .model = {a, b},
                        .source = &source,
                        .tokens = tokens,
                        .self = s,
                        .chunk = see_chunk,
                        .batch = see_batch};
    return measure_run(&m, f);
}

// However large the micro-batch may be, no more memory is taken than all rows need.
static void limits_end_with_the_rows(void **state) {
    (void)state;
    struct source s = {.rows = ROWS, .longest = LONGEST, .span = LONGEST};
    assert_int_equal(score_limits(&s, 50).rows, 50);
    assert_int_equal(score_limits(&s, 1).rows, LONGEST);
    assert_int_equal(score_limits(&s, 100000000).rows, ROWS * LONGEST);
    assert_int_equal(score_limits(&s, 100000000).positions, 2 * ROWS * LONGEST + 2);
    s.rows = 0; // how many there are is not known
    assert_int_equal(score_limits(&s, 1000).rows, 1000);
}

static double naive_kl(const double *p, const double *q) {
    double sum = 0;
    for (size_t v = 0; v < USED; v++) sum += exp(p[v]) * (p[v] - q[v]);
    return sum;
}

static double *in_double(const struct model *m) {
    double *P = malloc(m->n_params * sizeof *P);
    for (size_t i = 0; i < m->n_params; i++) P[i] = m->params[i];
    return P;
}

static void agrees_with_the_reference(void **state) {
    (void)state;
    struct model a = make_model(5), b = make_model(6);
    struct seen one = {0}, many = {0};
    struct fail f = {0};
    assert_true(measure(&a, &b, 1, ROWS, &one, &f));
    assert_true(measure(&a, &b, 50, ROWS, &many, &f));
    assert_int_equal(one.batches, ROWS);
    assert_true(many.batches < ROWS && many.batches > 1);
    assert_memory_equal(one.logp, many.logp, sizeof one.logp); // to the bit
    assert_memory_equal(one.kl, many.kl, sizeof one.kl);
    double *P = in_double(&a), *Q = in_double(&b);
    size_t targets = 0;
    for (size_t row = 0; row < ROWS; row++) {
        int32_t ids[LONGEST + 1];
        size_t n = row_length(row);
        for (size_t i = 0; i < n; i++) ids[i] = token(row, i);
        double *p = ref_logprobs(&a, P, ids, n), *q = ref_logprobs(&b, Q, ids, n);
        for (size_t i = 1; i < n; i++) {
            if (i % 3 == 0) continue;
            targets++;
            assert_true(fabs(one.logp[row][i] - p[(i - 1) * USED + (size_t)ids[i]]) < 2e-5);
            assert_true(fabs(one.kl[row][i] - naive_kl(p + (i - 1) * USED, q + (i - 1) * USED)) <
                        2e-5);
        }
        free(p);
        free(q);
    }
    assert_int_equal(one.targets, targets);
    free(P);
    free(Q);
    model_release(&a);
    model_release(&b);
}

static void passes_failures_on(void **state) {
    (void)state;
    struct model a = make_model(5);
    struct seen s = {0};
    struct fail f = {0};
    assert_false(measure(&a, &a, 1, 3, &s, &f));
    assert_int_equal(f.code, EXIT_BADDATA);
    assert_int_equal(s.batches, 3);
    model_release(&a);
}

static void kl_of_known_rows(void **state) {
    (void)state;
    const float a[] = {logf(0.5f), logf(0.25f), logf(0.25f), -INFINITY};
    const float b[] = {logf(0.25f) + 3, logf(0.25f) + 3, logf(0.5f) + 3, -INFINITY};
    assert_true(fabs(measure_kl(a, b, 4) - 0.25 * log(2)) < 1e-6); // 0.5 log 2 + 0 - 0.25 log 2
    assert_true(measure_kl(a, a, 4) == 0);
    const float nan[] = {NAN, 0, 0, 0};
    assert_true(isnan(measure_kl(nan, b, 4)) && isnan(measure_kl(a, nan, 4)));
}

static void ratio_by_hand(void **state) {
    (void)state;
    const double sum[] = {2, 9, 1}, count[] = {1, 3, 2}; // 12 / 6; deviations 0, 3, -3
    double error;
    assert_true(measure_ratio(sum, count, 3, &error) == 2);
    assert_true(fabs(error - sqrt(18.0 / 2 * 3) / 6) < 1e-15);
    assert_true(measure_ratio(sum, count, 1, &error) == 2 && isnan(error));
    // equal counts: the ordinary standard error of the rows' means
    const double same[] = {2, 2, 2};
    measure_ratio(sum, same, 3, &error);
    assert_true(fabs(error - sqrt((4 + 25 + 9) / 2.0 / 3) / 2) < 1e-15);
}

int main(void) {
    parallel_init(3);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_end_with_the_rows),
        cmocka_unit_test(agrees_with_the_reference),
        cmocka_unit_test(passes_failures_on),
        cmocka_unit_test(kl_of_known_rows),
        cmocka_unit_test(ratio_by_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
