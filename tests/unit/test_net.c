// The whole model's gradient against central finite differences in double, packed against single,
// shared prompts against separate ones, and the same bits for any threads and micro-batches.
#include "tests/unit/reference_model.h"
#include "common/engine/kernels.h"
#include "common/engine/net.h"
#include "common/base/parallel.h"
#include "common/base/rng.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static struct model make_model(bool tied, bool extras) {
    struct model_config c = {.layers = 2,
                             .width = 24,
                             .heads = 4,
                             .kv_heads = 2,
                             .head_dim = 8,
                             .hidden = 40,
                             .vocab = 37,
                             .vocab_used = extras ? 33 : 37,
                             .max_positions = 512,
                             .norm_eps = 1e-5,
                             .rope_theta = 10000,
                             .tied = tied,
                             .qkv_bias = extras,
                             .qk_norm = extras};
    struct model m;
    char why[200];
    assert_true(model_init(&m, &c, why, sizeof why));
    model_alloc(&m);
    for (size_t i = 0; i < m.n_tensors; i++) { // larger than usual, so that every part matters
        const struct tensor *t = &m.tensors[i];
        for (size_t j = 0; j < t->rows * t->cols; j++)
            m.params[t->offset + j] =
                (float)(0.25 * rng_normal(5, RNG_TEST, i, j) + (t->vector ? 0.8 : 0));
    }
    return m;
}

static int32_t token(size_t row, size_t i) {
    return (int32_t)(rng_bits(9, RNG_TEST, 1000 + row, i) % 33);
}

enum { ROWS = 5 };
static const size_t lengths[ROWS] = {7, 150, 3, 12, 20};

static void add_row(struct batch *b, size_t row) {
    int32_t ids[256];
    uint8_t mask[256];
    for (size_t i = 0; i < lengths[row]; i++) {
        ids[i] = token(row, i);
        mask[i] = i >= 2;
    }
    batch_sequence(b, ids, mask, lengths[row], row, RESPONSE_ONLY);
}

static double weight_of(const struct batch *b, size_t p) { // a loss weight of each position
    return 0.5 + 0.1 * (double)(b->target[p] % 7);
}

// The loss sum_p w_p nll_p and its gradient through the net; chunks as the loop makes them.
static double net_loss(struct net *net, const struct model *m, const struct batch *b,
                       float *grads) {
    size_t V = m->config.vocab_used;
    double loss = 0;
    net_forward(net, b);
    for (size_t i = 0; i < net_chunks(net, b); i++) {
        struct chunk c = net_chunk(net, b, i);
        float *z = net_logits_buffer(net);
        net_logits(net, b, c, z);
        for (size_t r = 0; r < c.count; r++) {
            float *row = z + r * V, w = (float)weight_of(b, c.first + r);
            float max = kernels()->max(row, V), sum = kernels()->sum_exp(row, V, max);
            int32_t target = b->target[c.first + r];
            loss += w * (max + log(sum) - row[target]);
            kernels()->exp_scale(row, row, V, max, w / sum);
            row[target] -= w;
        }
        if (grads) net_head_backward(net, b, c, z, grads);
    }
    if (grads) net_backward(net, b, grads);
    return loss;
}

static struct net_limits limits(void) {
    return (struct net_limits){
        .rows = 256, .positions = 256, .trees_tokens = 200, .backward = true};
}

static double reference_loss(const struct model *m, const double *P) {
    double loss = 0;
    struct batch b = {0};
    for (size_t row = 0; row < ROWS; row++) {
        int32_t ids[256];
        for (size_t i = 0; i < lengths[row]; i++) ids[i] = token(row, i);
        double *lp = ref_logprobs(m, P, ids, lengths[row]);
        batch_clear(&b);
        batch_begin_unit(&b);
        add_row(&b, row);
        batch_end(&b);
        for (size_t p = 0; p < b.positions; p++)
            loss -= weight_of(&b, p) * lp[b.row[p] * m->config.vocab_used + (size_t)b.target[p]];
        free(lp);
    }
    batch_release(&b);
    return loss;
}

static float *gradient_in(struct model *m, struct net_limits l, size_t rows_per_unit,
                          size_t units_per_batch, double *loss) {
    struct net *net = net_new(m, &l);
    float *grads = calloc(m->n_params, sizeof *grads);
    struct batch b = {0};
    *loss = 0;
    for (size_t row = 0; row < ROWS;) {
        batch_clear(&b);
        for (size_t u = 0; u < units_per_batch && row < ROWS; u++) {
            batch_begin_unit(&b);
            for (size_t i = 0; i < rows_per_unit && row < ROWS; i++) add_row(&b, row++);
        }
        batch_end(&b);
        *loss += net_loss(net, m, &b, grads);
    }
    net_end_step(net, grads);
    batch_release(&b);
    net_free(net);
    return grads;
}

static float *gradient(struct model *m, size_t rows_per_unit, size_t units_per_batch,
                       double *loss) {
    return gradient_in(m, limits(), rows_per_unit, units_per_batch, loss);
}

static void check_gradient(bool tied, bool extras) {
    struct model m = make_model(tied, extras);
    double *P = malloc(m.n_params * sizeof *P), loss;
    for (size_t i = 0; i < m.n_params; i++) P[i] = m.params[i];
    float *grads = gradient(&m, 2, 1, &loss);
    double expect = reference_loss(&m, P), norm = 0;
    assert_true(fabs(loss - expect) <= 1e-5 * fabs(expect));
    for (size_t i = 0; i < m.n_params; i++) norm += (double)grads[i] * grads[i];
    norm = sqrt(norm / (double)model_count(&m));
    for (size_t t = 0; t < m.n_tensors; t++)
        for (size_t k = 0; k < 6; k++) {
            const struct tensor *s = &m.tensors[t];
            size_t at = s->offset + rng_bits(3, RNG_TEST, t, k) % (s->rows * s->cols);
            double h = 1e-4, keep = P[at];
            P[at] = keep + h;
            double up = reference_loss(&m, P);
            P[at] = keep - h;
            double down = reference_loss(&m, P), slope = (up - down) / (2 * h);
            P[at] = keep;
            if (!(fabs(grads[at] - slope) <= 2e-5 * (norm + fabs(slope)) + 1e-5))
                fail_msg("%s [%zu]: %.9g, by differences %.9g", s->name, at - s->offset,
                         (double)grads[at], slope);
        }
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
