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

// In bf16: the same bits for any threads, micro-batches and with recompute, and a gradient near
// that in float32, at the level of bf16's rounding (2^-9 relative, a few times over).
static void check_bf16(struct model_config c) {
    struct model m = net_case_model(c);
    struct net_limits lean = limits();
    lean.recompute = true;
    double loss, exact_loss, difference = 0, norm = 0;
    float *exact = gradient(&m, 2, 1, &exact_loss);
    m.rounded = true;
    parallel_init(1);
    float *first = gradient(&m, 2, 1, &loss);
    for (int threads = 1; threads <= 3; threads++)
        for (size_t units = 1; units <= 3; units++) {
            double again;
            parallel_init(threads);
            float *kept = gradient(&m, 2, units, &again);
            float *made = gradient_in(&m, lean, 2, units, &again);
            assert_memory_equal(first, kept, m.n_params * sizeof *first);
            assert_memory_equal(first, made, m.n_params * sizeof *first);
            free(kept);
            free(made);
        }
    for (size_t i = 0; i < m.n_params; i++) {
        difference += pow(first[i] - exact[i], 2);
        norm += pow(exact[i], 2);
    }
    print_message("gradient in bf16: %.4f of its size off\n", sqrt(difference / norm));
    assert_true(difference > 0 && sqrt(difference) <= 0.02 * sqrt(norm));
    assert_true(fabs(loss - exact_loss) <= 2e-3 * exact_loss);
    parallel_init(2);
    free(first);
    free(exact);
    model_release(&m);
}

static void in_bf16(void **state) {
    (void)state;
    struct model_config c = net_case_config(false, true);
    check_bf16(c);
    c.norms = NORMS_AFTER;
    c.qk_norm_whole = true;
    check_bf16(c);
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

// What a layer more takes is a little above half in bf16 (the sums of attention stay float32).
static void plan_in_bf16(void **state) {
    (void)state;
    struct net_limits l = limits();
    size_t plan[2][2];
    for (int layers = 0; layers < 2; layers++)
        for (int bf16 = 0; bf16 < 2; bf16++) {
            struct model_config c = net_case_config(true, false);
            struct model m;
            char why[200];
            c.layers = 10 + (size_t)layers;
            assert_true(model_init(&m, &c, why, sizeof why));
            m.rounded = bf16;
            plan[layers][bf16] = net_plan(&m, &l);
            model_release(&m);
        }
    double share = (double)(plan[1][1] - plan[0][1]) / (double)(plan[1][0] - plan[0][0]);
    assert_true(share > 0.5 && share < 0.52);
}

struct watcher {
    size_t n, calls, last;
    const float *grads;
    float *seen; // (n) what a gradient was when it was said to be final
};

static void look(void *self, size_t from) {
    struct watcher *w = self;
    assert_true(from < w->last);
    memcpy(w->seen + from, w->grads + from, (w->last - from) * sizeof *w->seen);
    w->last = from;
    w->calls++;
}

// What net_watch calls final stays as it is until the end of the step.
static void final_is_final(void **state) {
    (void)state;
    for (int tied = 0; tied < 2; tied++) {
        struct model m = make_model(tied, true);
        struct net_limits l = limits();
        struct net *net = net_new(&m, &l);
        struct batch b = {0};
        float *grads = calloc(m.n_params, sizeof *grads);
        struct watcher w = {m.n_params, 0, m.n_params, grads, calloc(m.n_params, sizeof *grads)};
        batch_clear(&b);
        batch_begin_unit(&b);
        for (size_t row = 0; row < ROWS; row++) add_row(&b, row);
        batch_end(&b);
        net_watch(net, look, &w);
        net_loss(net, &m, &b, grads);
        net_end_step(net, grads);
        assert_int_equal(w.calls, m.config.layers);
        assert_true(w.last < m.n_params / 2);
        assert_memory_equal(w.seen + w.last, grads + w.last, (w.n - w.last) * sizeof *grads);
        free(grads);
        free(w.seen);
        batch_release(&b);
        net_free(net);
        model_release(&m);
    }
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
        cmocka_unit_test(in_bf16),
        cmocka_unit_test(plan_in_bf16),
        cmocka_unit_test(final_is_final),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
