// Adapters: gradients of A and B against central finite differences through the whole model in
// double, an untrained one changes nothing, merged equals unmerged, the same bits for any threads
// and micro-batches, a base in bf16, weights that several models share.
#include "common/base/parallel.h"
#include "common/engine/adapter.h"
#include "common/engine/decoder.h"
#include "common/engine/kernels.h"
#include "common/engine/linear.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "tests/unit/differences.h"
#include "tests/unit/net_case.h"

static void fill(struct model *m) { // as if trained
    struct parameters p = model_trained(m);
    for (size_t i = 0; i < p.n_tensors; i++)
        for (size_t j = 0; j < p.tensors[i].rows * p.tensors[i].cols; j++)
            p.values[p.tensors[i].offset + j] = (float)(0.2 * rng_normal(6, RNG_TEST, i, j));
}

static void attach(struct model *m, const char *targets, size_t rank, double dropout) {
    struct adapter_config c = {.rank = rank, .alpha = 6, .dropout = dropout};
    char why[200];
    assert_true(adapter_targets_parse(targets, c.target));
    assert_true(adapter_attach(m, &c, why, sizeof why));
}

// `fused`: of a model that has q, k, v as one projection, gate, up too.
static struct model adapted_of(bool fused, const char *targets, size_t rank, double dropout) {
    struct model m = fused ? make_fused() : make_model(true, true);
    attach(&m, targets, rank, dropout);
    fill(&m);
    return m;
}

static struct model adapted(const char *targets, size_t rank, double dropout) {
    return adapted_of(false, targets, rank, dropout);
}

static size_t weight_at(const struct model *m, size_t l, enum adapter_target t) {
    const struct layer_offsets *o = &m->layer[l];
    const size_t at[] = {o->q, o->k, o->v, o->q, o->o, o->gate, o->up, o->gate, o->down};
    return at[t];
}

// The loss of the model whose weights are W + s B A, all in double.
static double merged_loss(const struct model *m, const double *A) {
    double *P = malloc(m->n_params * sizeof *P), s = (double)m->adapter->scale;
    size_t R = m->adapter->config.rank;
    for (size_t i = 0; i < m->n_params; i++) P[i] = m->params[i];
    for (size_t l = 0; l < m->config.layers; l++)
        for (enum adapter_target t = 0; t < ADAPTER_TARGETS; t++) {
            struct adapter_pair pair = m->adapter->layer[l][t];
            size_t out, in;
            adapter_shape(&m->config, t, &out, &in);
            if (!m->adapter->config.target[t]) continue;
            for (size_t i = 0; i < out; i++)
                for (size_t j = 0; j < in; j++)
                    for (size_t k = 0; k < R; k++)
                        P[weight_at(m, l, t) + i * in + j] +=
                            s * A[pair.b + i * R + k] * A[pair.a + k * in + j];
        }
    double loss = reference_loss(m, P);
    free(P);
    return loss;
}

static double merged(const void *m, const double *A) {
    return merged_loss(m, A);
}

static void check_gradient(bool fused, const char *targets, size_t rank) {
    struct model m = adapted_of(fused, targets, rank, 0);
    struct parameters p = model_trained(&m);
    double *A = malloc(p.n * sizeof *A), loss;
    for (size_t i = 0; i < p.n; i++) A[i] = p.values[i];
    float *grads = gradient_in(&m, limits(), 2, 1, &loss);
    double expect = merged_loss(&m, A);
    assert_true(fabs(loss - expect) <= 1e-5 * fabs(expect));
    differences_check(&(struct differences){.name = targets,
                                            .tensors = p.tensors,
                                            .n_tensors = p.n_tensors,
                                            .probes = 3,
                                            .grads = grads,
                                            .P = A,
                                            .loss = merged,
                                            .self = &m,
                                            .h = 1e-4,
                                            .relative = 2e-5,
                                            .scale = differences_scale(grads, p.n, p.n),
                                            .absolute = 1e-5});
    free(A);
    free(grads);
    model_release(&m);
}

static void gradients_of_all(void **state) {
    (void)state;
    check_gradient(false, "q,k,v,o,gate,up,down", 3);
}

static void gradients_of_some(void **state) {
    (void)state;
    check_gradient(false, "q,v,up", 5);
}

static void gradients_of_fused(void **state) {
    (void)state;
    check_gradient(true, "q,k,v,o,gate,up,down", 3); // the three are one, and the two
    check_gradient(true, "qkv,down", 4);
}

// Every target is a tensor of the model with its shape, or is none.
static void check_shapes(const struct model *m) {
    for (enum adapter_target t = 0; t < ADAPTER_TARGETS; t++) {
        char name[96];
        size_t out, in;
        snprintf(name, sizeof name, "model.layers.1.%s.weight", adapter_module_name(t));
        adapter_shape(&m->config, t, &out, &in);
        const struct tensor *s = model_tensor(m, name);
        assert_int_equal(out, s ? s->rows : 0);
        assert_true(!s || in == s->cols);
    }
}

static void targets_of_the_model(void **state) {
    (void)state;
    static const struct {
        bool fused;
        const char *targets, *message, *text;
    } cases[] = {{true, "q,v,down", "one projection 'qkv'", NULL},
                 {true, "gate,o", "one projection 'gate_up'", NULL},
                 {false, "qkv,o", "no projection 'qkv'", NULL},
                 {false, "o,gate_up", "no projection 'gate_up'", NULL},
                 {true, "q,k,v,up,gate", NULL, "qkv,gate_up"},
                 {true, "down,qkv,q", NULL, "qkv,down"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct model m = cases[i].fused ? make_fused() : make_model(true, false);
        struct adapter_config c = {.rank = 2, .alpha = 2};
        char why[200], text[64];
        assert_true(adapter_targets_parse(cases[i].targets, c.target));
        check_shapes(&m);
        if (cases[i].message) {
            assert_false(adapter_attach(&m, &c, why, sizeof why));
            assert_non_null(strstr(why, cases[i].message));
        } else {
            assert_true(adapter_attach(&m, &c, why, sizeof why));
            adapter_targets_text(m.adapter->config.target, text, sizeof text);
            assert_string_equal(text, cases[i].text);
        }
        model_release(&m);
    }
}

// With dropout the mask is a function of step, row and column, so differences of the network's own
// loss see the same mask; in float32, hence the wide steps.
static void gradients_with_dropout(void **state) {
    (void)state;
    struct model m = adapted("q,k,v,o,gate,up,down", 3, 0.3);
    struct parameters p = model_trained(&m);
    double loss, without, norm = 0;
    float *grads = gradient_in(&m, limits(), 2, 1, &loss);
    for (size_t i = 0; i < p.n; i++) norm += (double)grads[i] * grads[i];
    norm = sqrt(norm / (double)p.n);
    for (size_t t = 0; t < p.n_tensors; t++) {
        const struct tensor *s = &p.tensors[t];
        size_t at = s->offset + rng_bits(3, RNG_TEST, t, 0) % (s->rows * s->cols);
        double up, down;
        float h = 2e-3f, keep = p.values[at];
        p.values[at] = keep + h;
        free(gradient_in(&m, limits(), 2, 1, &up));
        p.values[at] = keep - h;
        free(gradient_in(&m, limits(), 2, 1, &down));
        p.values[at] = keep;
        double slope = (up - down) / (2 * (double)h);
        if (!(fabs((double)grads[at] - slope) <= 0.02 * (norm + fabs(slope))))
            fail_msg("%s: %.9g, by differences %.9g", s->name, (double)grads[at], slope);
    }
    m.adapter->config.dropout = 0;
    free(gradient_in(&m, limits(), 2, 1, &without));
    assert_true(fabs(without - loss) > 1e-4 * loss);
    free(grads);
    model_release(&m);
}

static void same_bits(void **state) {
    (void)state;
    struct model m = adapted("q,k,o,up,down", 4, 0.1);
    size_t bytes = model_trained(&m).n * sizeof(float);
    double loss, first_loss;
    parallel_init(1);
    float *first = gradient_in(&m, limits(), 2, 1, &first_loss);
    for (int threads = 1; threads <= 3; threads++)
        for (size_t units = 1; units <= 3; units++) {
            struct net_limits l = limits();
            l.recompute = units == 2;
            parallel_init(threads);
            float *again = gradient_in(&m, l, 2, units, &loss);
            assert_memory_equal(first, again, bytes);
            free(again);
        }
    parallel_init(2);
    free(first);
    model_release(&m);
}

static void untrained_is_the_base(void **state) {
    (void)state;
    struct model m = make_model(false, true);
    double base, loss;
    free(gradient_in(&m, limits(), 2, 1, &base));
    attach(&m, "q,k,v,o,gate,up,down", 8, 0);
    adapter_randomise(&m, 1, false);
    float *grads = gradient_in(&m, limits(), 2, 1, &loss);
    assert_true(loss == base);
    for (size_t i = 0; i < m.adapter->trained.n_tensors; i++) { // B is 0, so A has no gradient yet
        const struct tensor *t = &m.adapter->trained.tensors[i];
        bool is_b = strstr(t->name, "lora_B"), any = false;
        for (size_t j = 0; j < t->rows * t->cols; j++) any = any || grads[t->offset + j] != 0;
        assert_int_equal(any, is_b);
    }
    free(grads);
    model_release(&m);
}

static void decode(const struct model *m, float *logits) { // (12,V): a prompt of 6, 6 steps
    struct decoder *d = decoder_new(m, 1, 40);
    int32_t ids[40];
    size_t slot = 0, V = m->config.vocab;
    for (size_t i = 0; i < 26; i++) ids[i] = token(50, i);
    decoder_start(d, 0, ids, 20, logits);
    for (size_t i = 20; i < 26; i++) decoder_step(d, 1, &slot, &ids[i], logits + (i - 19) * V);
    decoder_free(d);
}

static void merged_equals_unmerged(void **state) {
    (void)state;
    struct model m = adapted("q,k,v,o,gate,up,down", 4, 0.2);
    enum { N = 7 };
    float *apart = calloc(N * m.config.vocab, sizeof *apart);
    float *merged = calloc(N * m.config.vocab, sizeof *merged);
    double loss, after;
    m.adapter->config.dropout = 0;
    free(gradient_in(&m, limits(), 2, 1, &loss));
    decode(&m, apart);
    adapter_merge(&m);
    assert_true(!m.adapter && m.tensors[0].trainable);
    free(gradient_in(&m, limits(), 2, 1, &after));
    decode(&m, merged);
    assert_true(fabs(after - loss) <= 2e-6 * loss);
    for (size_t i = 0; i < N * m.config.vocab; i++) {
        if (i % m.config.vocab >= m.config.vocab_used) continue;
        assert_true(fabsf(apart[i] - merged[i]) <= 2e-4f);
    }
    free(apart);
    free(merged);
    model_release(&m);
}

// The base rounded to bf16 in memory gives the bits of the rounded numbers in float32.
static void base_in_bf16(void **state) {
    (void)state;
    struct model m = make_model(true, true), half;
    double loss, again;
    for (size_t i = 0; i < m.n_params; i++) { // to numbers that bf16 holds
        uint32_t bits;
        memcpy(&bits, &m.params[i], sizeof bits);
        bits &= 0xffff0000u;
        memcpy(&m.params[i], &bits, sizeof bits);
    }
    model_copy_bf16(&half, &m);
    attach(&m, "q,k,v,o,gate,up,down", 3, 0);
    attach(&half, "q,k,v,o,gate,up,down", 3, 0);
    fill(&m);
    fill(&half);
    float *a = gradient_in(&m, limits(), 2, 1, &loss);
    float *b = gradient_in(&half, limits(), 2, 1, &again);
    assert_true(loss == again);
    assert_memory_equal(a, b, model_trained(&m).n * sizeof *a);
    free(a);
    free(b);
    model_release(&m);
    model_release(&half);
}

static void shared_weights(void **state) {
    (void)state;
    struct model base = make_model(true, false), one, two;
    model_share(&one, &base);
    model_share(&two, &base);
    attach(&one, "q", 2, 0);
    attach(&two, "down", 3, 0);
    assert_true(one.params == base.params && two.params == base.params);
    const struct model *all[] = {&one, NULL, &base, &two};
    size_t own = (one.adapter->trained.n + two.adapter->trained.n) * sizeof(float);
    assert_int_equal(models_bytes(4, all), model_bytes(&base) + own);
    model_release(&base);
    fill(&one);
    model_release(&two);
    double loss;
    free(gradient_in(&one, limits(), 2, 1, &loss));
    assert_true(loss > 0);
    model_release(&one);
}

static void names_and_limits(void **state) {
    (void)state;
    bool target[ADAPTER_TARGETS];
    char text[64], why[200];
    assert_true(adapter_targets_parse("down,q", target));
    adapter_targets_text(target, text, sizeof text);
    assert_string_equal(text, "q,down");
    assert_false(adapter_targets_parse("q,,v", target));
    assert_false(adapter_targets_parse("q_proj", target));
    assert_false(adapter_targets_parse("", target));
    struct model m = make_model(true, false);
    struct adapter_config c = {.rank = 4, .alpha = 0, .target = {true}};
    assert_false(adapter_attach(&m, &c, why, sizeof why));
    c = (struct adapter_config){.rank = 4, .alpha = 8, .rank_stabilised = true, .target = {true}};
    assert_true(adapter_attach(&m, &c, why, sizeof why));
    assert_true(m.adapter->scale == 4 && m.adapter->trained.n_tensors == 2 * m.config.layers);
    model_release(&m);
}

int main(void) {
    parallel_init(2);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_of_all),       cmocka_unit_test(gradients_of_some),
        cmocka_unit_test(gradients_with_dropout), cmocka_unit_test(same_bits),
        cmocka_unit_test(untrained_is_the_base),  cmocka_unit_test(merged_equals_unmerged),
        cmocka_unit_test(base_in_bf16),           cmocka_unit_test(shared_weights),
        cmocka_unit_test(names_and_limits),       cmocka_unit_test(gradients_of_fused),
        cmocka_unit_test(targets_of_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
