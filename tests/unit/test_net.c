// The whole model's gradient against central finite differences in double, packed against single,
// shared prompts against separate ones, and the same bits for any threads and micro-batches.
#include "common/base/parallel.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "tests/unit/differences.h"
#include "tests/unit/net_case.h"

static float *gradient(struct model *m, size_t rows_per_unit, size_t units_per_batch,
                       double *loss) {
    return gradient_in(m, limits(), rows_per_unit, units_per_batch, loss);
}

static double loss_in_double(const void *m, const double *P) {
    return reference_loss(m, P);
}

static void check_gradient(bool tied, bool extras) {
    struct model m = make_model(tied, extras);
    double *P = malloc(m.n_params * sizeof *P), loss;
    for (size_t i = 0; i < m.n_params; i++) P[i] = m.params[i];
    float *grads = gradient(&m, 2, 1, &loss);
    double expect = reference_loss(&m, P);
    assert_true(fabs(loss - expect) <= 1e-5 * fabs(expect));
    differences_check(
        &(struct differences){.name = tied ? "tied" : "untied",
                              .tensors = m.tensors,
                              .n_tensors = m.n_tensors,
                              .probes = 6,
                              .grads = grads,
                              .P = P,
                              .loss = loss_in_double,
                              .self = &m,
                              .h = 1e-4,
                              .relative = 2e-5,
                              .scale = differences_scale(grads, m.n_params, model_count(&m)),
                              .absolute = 1e-5});
    free(P);
    free(grads);
    model_release(&m);
}

static void gradients_tied(void **state) {
    (void)state;
    check_gradient(true, false);
}

static void gradients_untied_bias_norm(void **state) {
    (void)state;
    check_gradient(false, true);
}

static void same_bits(void **state) {
    (void)state;
    struct model m = make_model(true, true);
    double loss, first_loss;
    parallel_init(1);
    float *first = gradient(&m, 2, 1, &first_loss);
    for (int threads = 1; threads <= 4; threads++)
        for (size_t units = 1; units <= 3; units++) {
            parallel_init(threads);
            float *again = gradient(&m, 2, units, &loss);
            assert_memory_equal(first, again, m.n_params * sizeof *first);
            assert_true(loss == first_loss || fabs(loss - first_loss) < 1e-12 * first_loss);
            free(again);
        }
    parallel_init(2);
    free(first);
    model_release(&m);
}

static void recompute_same_bits(void **state) {
    (void)state;
    struct model m = make_model(false, true);
    struct net_limits lean = limits();
    double loss, again;
    lean.recompute = true;
    float *kept = gradient(&m, 2, 2, &loss), *made = gradient_in(&m, lean, 2, 2, &again);
    assert_memory_equal(kept, made, m.n_params * sizeof *kept);
    assert_true(loss == again);
    free(kept);
    free(made);
    model_release(&m);
}

// Chosen and rejected continue one prompt: the same loss and gradient as two whole sequences.
static void shared_prompt(void **state) {
    (void)state;
    struct model m = make_model(false, true);
    struct net_limits l = limits();
    struct net *net = net_new(&m, &l);
    int32_t x[100], y[2][80];
    size_t n[2] = {70, 5}, np = 90;
    for (size_t i = 0; i < np; i++) x[i] = token(40, i);
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; i < n[k]; i++) y[k][i] = token(41 + k, i);
    float *shared = calloc(m.n_params, sizeof *shared), *apart = calloc(m.n_params, sizeof *apart);
    struct batch b = {0};
    batch_begin_unit(&b);
    batch_shared(&b, x, np, 2, (const int32_t *const[]){y[0], y[1]}, n,
                 (enum response_role[]){RESPONSE_CHOSEN, RESPONSE_REJECTED}, 0);
    batch_end(&b);
    assert_int_equal(b.positions, n[0] + n[1]);
    double one = net_loss(net, &m, &b, shared), two = 0;
    for (size_t k = 0; k < 2; k++) {
        int32_t ids[200];
        uint8_t mask[200] = {0};
        memcpy(ids, x, np * sizeof *x);
        memcpy(ids + np, y[k], n[k] * sizeof *x);
        memset(mask + np, 1, n[k]);
        batch_clear(&b);
        batch_begin_unit(&b);
        batch_sequence(&b, ids, mask, np + n[k], 0, RESPONSE_ONLY);
        batch_end(&b);
        two += net_loss(net, &m, &b, apart);
    }
    assert_true(fabs(one - two) <= 1e-6 * two);
    double difference = 0, norm = 0;
    for (size_t i = 0; i < m.n_params; i++) {
        difference += pow(shared[i] - apart[i], 2);
        norm += pow(apart[i], 2);
    }
    assert_true(sqrt(difference) <= 2e-6 * sqrt(norm));
    batch_release(&b);
    free(shared);
    free(apart);
    net_free(net);
    model_release(&m);
}

static void plan_is_what_is_used(void **state) {
    (void)state;
    struct model m = make_model(true, false);
    struct net_limits l = limits();
    assert_true(net_plan(&m, &l) > 0);
    l.backward = false;
    size_t inference = net_plan(&m, &l);
    l.backward = true;
    assert_true(inference < net_plan(&m, &l));
    size_t whole = net_plan(&m, &l);
    l.recompute = true;
    assert_true(net_plan(&m, &l) < whole);
    model_release(&m);
}

int main(void) {
    parallel_init(2);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_tied),
        cmocka_unit_test(gradients_untied_bias_norm),
        cmocka_unit_test(same_bits),
        cmocka_unit_test(shared_prompt),
        cmocka_unit_test(plan_is_what_is_used),
        cmocka_unit_test(recompute_same_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
