// A small model, rows and a loss for tests of the whole network: test_net.c, test_adapter.c.
// Include after cmocka.h.
#pragma once
#include "common/base/rng.h"
#include "common/engine/kernels.h"
#include "common/engine/net.h"
#include "tests/unit/reference_model.h"

static inline struct model_config net_case_config(bool tied, bool extras) {
    return (struct model_config){.layers = 2,
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
}

static inline struct model net_case_model(struct model_config c) {
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

static inline struct model make_model(bool tied, bool extras) {
    return net_case_model(net_case_config(tied, extras));
}

// q, k, v one tensor, gate, up too.
static inline struct model make_fused(void) {
    struct model_config c = net_case_config(false, false);
    c.fused = true;
    return net_case_model(c);
}

static inline int32_t token(size_t row, size_t i) {
    return (int32_t)(rng_bits(9, RNG_TEST, 1000 + row, i) % 33);
}

enum { ROWS = 5 };
static const size_t lengths[ROWS] = {7, 150, 3, 12, 20};

static inline void add_row(struct batch *b, size_t row) {
    int32_t ids[256];
    uint8_t mask[256];
    for (size_t i = 0; i < lengths[row]; i++) {
        ids[i] = token(row, i);
        mask[i] = i >= 2;
    }
    batch_sequence(b, ids, mask, lengths[row], row, RESPONSE_ONLY);
}

static inline double weight_of(const struct batch *b, size_t p) { // a loss weight of each position
    return 0.5 + 0.1 * (double)(b->target[p] % 7);
}

// The loss sum_p w_p nll_p and its gradient through the net; chunks as the loop makes them.
static inline double net_loss(struct net *net, const struct model *m, const struct batch *b,
                              float *grads) {
    size_t V = m->config.vocab_used;
    double loss = 0;
    net_forward(net, b);
    for (size_t i = 0; i < batch_chunks(b); i++) {
        struct chunk c = batch_chunk(b, i);
        float *z = net_logits_buffer(net);
        net_logits(net, c, z);
        for (size_t r = 0; r < c.count; r++) {
            float *row = z + r * V, w = (float)weight_of(b, c.first + r);
            float max = kernels()->max(row, V), sum = kernels()->sum_exp(row, V, max);
            int32_t target = b->target[c.first + r];
            loss += w * (max + log(sum) - row[target]);
            kernels()->exp_scale(row, row, V, max, w / sum);
            row[target] -= w;
        }
        if (grads) net_head_backward(net, c, z, grads);
    }
    if (grads) net_backward(net, b, grads);
    return loss;
}

static inline struct net_limits limits(void) {
    return (struct net_limits){
        .rows = 256, .positions = 256, .trees_tokens = 200, .backward = true};
}

static inline double reference_loss(const struct model *m, const double *P) {
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

static inline float *gradient_in(struct model *m, struct net_limits l, size_t rows_per_unit,
                                 size_t units_per_batch, double *loss) {
    struct net *net = net_new(m, &l);
    net_begin_step(net, 3, 5);
    float *grads = calloc(model_trained(m).n, sizeof *grads);
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
