#include "common/engine/adapter.h"
#include "common/base/arena.h"
#include "common/base/mem.h"
#include "common/base/rng.h"
#include "common/engine/gemm.h"
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *module;
} targets[ADAPTER_TARGETS] = {
    [ADAPT_Q] = {"q", "self_attn.q_proj"},    [ADAPT_K] = {"k", "self_attn.k_proj"},
    [ADAPT_V] = {"v", "self_attn.v_proj"},    [ADAPT_QKV] = {"qkv", "self_attn.qkv_proj"},
    [ADAPT_O] = {"o", "self_attn.o_proj"},    [ADAPT_GATE] = {"gate", "mlp.gate_proj"},
    [ADAPT_UP] = {"up", "mlp.up_proj"},       [ADAPT_GATE_UP] = {"gate_up", "mlp.gate_up_proj"},
    [ADAPT_DOWN] = {"down", "mlp.down_proj"},
};

const char *adapter_target_name(enum adapter_target t) {
    return targets[t].name;
}

const char *adapter_module_name(enum adapter_target t) {
    return targets[t].module;
}

static bool set_target(const char *name, size_t n, bool target[ADAPTER_TARGETS]) {
    for (size_t t = 0; t < ADAPTER_TARGETS; t++)
        if (strlen(targets[t].name) == n && !strncmp(targets[t].name, name, n))
            return target[t] = true;
    return false;
}

bool adapter_targets_parse(const char *text, bool target[ADAPTER_TARGETS]) {
    memset(target, 0, ADAPTER_TARGETS * sizeof *target);
    for (;; text++) {
        size_t n = strcspn(text, ",");
        if (!set_target(text, n, target)) return false;
        text += n;
        if (!*text) return true;
    }
}

void adapter_targets_text(const bool target[ADAPTER_TARGETS], char *text, size_t size) {
    size_t n = 0;
    *text = 0;
    for (size_t t = 0; t < ADAPTER_TARGETS; t++)
        if (target[t] && n < size)
            n += (size_t)snprintf(text + n, size - n, "%s%s", n ? "," : "", targets[t].name);
}

void adapter_shape(const struct model_config *c, enum adapter_target t, size_t *out, size_t *in) {
    size_t C = c->width, F = c->hidden, HD = c->heads * c->head_dim, GD = c->kv_heads * c->head_dim;
    size_t apart = !c->fused, fused = c->fused;
    const size_t shape[ADAPTER_TARGETS][2] = {
        [ADAPT_Q] = {apart * HD, C}, [ADAPT_K] = {apart * GD, C},
        [ADAPT_V] = {apart * GD, C}, [ADAPT_QKV] = {fused * (HD + 2 * GD), C},
        [ADAPT_O] = {C, HD},         [ADAPT_GATE] = {apart * F, C},
        [ADAPT_UP] = {apart * F, C}, [ADAPT_GATE_UP] = {fused * 2 * F, C},
        [ADAPT_DOWN] = {C, F},
    };
    *out = shape[t][0];
    *in = shape[t][1];
}

void adapter_targets_all(const struct model_config *c, bool target[ADAPTER_TARGETS]) {
    for (enum adapter_target t = 0; t < ADAPTER_TARGETS; t++) {
        size_t out, in;
        adapter_shape(c, t, &out, &in);
        target[t] = out > 0;
    }
}

// ---- layout: each projection's A's side by side, so that one product serves them

static size_t add_tensor(struct parameters *p, size_t rows, size_t cols, size_t layer,
                         enum adapter_target t, const char *half) {
    p->tensors = xrealloc(p->tensors, (p->n_tensors + 1) * sizeof *p->tensors);
    struct tensor *to = &p->tensors[p->n_tensors++];
    *to = (struct tensor){
        .rows = rows, .cols = cols, .offset = p->n, .decay = true, .trainable = true};
    snprintf(to->name, sizeof to->name, "base_model.model.model.layers.%zu.%s.lora_%s.weight",
             layer, targets[t].module, half);
    p->n += rows * cols;
    return to->offset;
}

static void align(struct parameters *p) {
    p->n = (p->n + 15) & ~(size_t)15;
}

static void lay_out_group(struct adapter *a, const struct model_config *c, size_t l,
                          enum adapter_target first, enum adapter_target last) {
    size_t out, in;
    for (enum adapter_target t = first; t <= last; t++) {
        a->layer[l][t] = (struct adapter_pair){SIZE_MAX, SIZE_MAX};
        adapter_shape(c, t, &out, &in);
        if (a->config.target[t])
            a->layer[l][t].a = add_tensor(&a->trained, a->config.rank, in, l, t, "A");
    }
    align(&a->trained);
    for (enum adapter_target t = first; t <= last; t++) {
        adapter_shape(c, t, &out, &in);
        if (a->config.target[t])
            a->layer[l][t].b = add_tensor(&a->trained, out, a->config.rank, l, t, "B");
        align(&a->trained);
    }
}

// Of targets first .. whole-1 and `whole`, which stands for all of them, those that the model has.
static bool fit_group(const struct model_config *m, enum adapter_target first,
                      enum adapter_target whole, struct adapter_config *c, char *why, size_t size) {
    size_t n = 0, all = whole - first;
    for (enum adapter_target t = first; t < whole; t++) n += c->target[t];
    if (!m->fused && c->target[whole])
        snprintf(why, size, "the model has no projection '%s'; name its parts",
                 adapter_target_name(whole));
    else if (m->fused && n && n < all && !c->target[whole])
        snprintf(why, size, "the model has one projection '%s'; name that, not parts of it",
                 adapter_target_name(whole));
    else if (m->fused && n) {
        for (enum adapter_target t = first; t < whole; t++) c->target[t] = false;
        c->target[whole] = true;
        return true;
    } else
        return true;
    return false;
}

static bool fit_targets(const struct model_config *m, struct adapter_config *c, char *why,
                        size_t size) {
    return fit_group(m, ADAPT_Q, ADAPT_QKV, c, why, size) &&
           fit_group(m, ADAPT_GATE, ADAPT_GATE_UP, c, why, size);
}

static bool sane(const struct adapter_config *c, char *why, size_t size) {
    bool any = false;
    for (size_t t = 0; t < ADAPTER_TARGETS; t++) any = any || c->target[t];
    if (c->rank < 1 || c->rank > 4096 || !any)
        snprintf(why, size, "an adapter needs a rank from 1 to 4096 and a target");
    else if (!(c->alpha > 0) || !(c->dropout >= 0 && c->dropout < 1))
        snprintf(why, size, "an adapter needs alpha > 0 and a dropout of 0 or more, below 1");
    else
        return true;
    return false;
}

bool adapter_attach(struct model *m, const struct adapter_config *c, char *why, size_t size) {
    struct adapter_config config = *c;
    if (!sane(c, why, size) || !fit_targets(&m->config, &config, why, size)) return false;
    assert(!m->adapter);
    struct adapter *a = xcalloc(1, sizeof *a);
    a->config = config;
    a->scale = (float)(c->alpha / (c->rank_stabilised ? sqrt((double)c->rank) : (double)c->rank));
    a->layer = xcalloc(m->config.layers, sizeof *a->layer);
    for (size_t l = 0; l < m->config.layers; l++) {
        lay_out_group(a, &m->config, l, ADAPT_Q, ADAPT_QKV);
        lay_out_group(a, &m->config, l, ADAPT_O, ADAPT_O);
        lay_out_group(a, &m->config, l, ADAPT_GATE, ADAPT_GATE_UP);
        lay_out_group(a, &m->config, l, ADAPT_DOWN, ADAPT_DOWN);
    }
    a->trained.values = big_alloc(a->trained.n * sizeof(float));
    for (size_t i = 0; i < m->n_tensors; i++) m->tensors[i].trainable = false;
    m->adapter = a;
    return true;
}

void adapter_randomise(struct model *m, uint64_t seed, bool gaussian) {
    struct adapter *a = m->adapter;
    for (size_t i = 0; i < a->trained.n_tensors; i++) {
        const struct tensor *t = &a->trained.tensors[i];
        float *p = a->trained.values + t->offset;
        bool is_b = strstr(t->name, "lora_B") != NULL;
        double bound = 1 / sqrt((double)t->cols), deviation = 1 / (double)a->config.rank;
        for (size_t j = 0; j < t->rows * t->cols; j++)
            p[j] = is_b       ? 0
                   : gaussian ? (float)(deviation * rng_normal(seed, RNG_ADAPTER, i, j))
                              : (float)(bound * (2 * rng_uniform(seed, RNG_ADAPTER, i, j) - 1));
    }
}

static size_t weight_offset(const struct layer_offsets *o, enum adapter_target t) {
    const size_t at[ADAPTER_TARGETS] = {
        [ADAPT_Q] = o->q,   [ADAPT_K] = o->k,          [ADAPT_V] = o->v,
        [ADAPT_QKV] = o->q, [ADAPT_O] = o->o,          [ADAPT_GATE] = o->gate,
        [ADAPT_UP] = o->up, [ADAPT_GATE_UP] = o->gate, [ADAPT_DOWN] = o->down};
    return at[t];
}

void adapter_merge(struct model *m) {
    struct adapter *a = m->adapter;
    size_t R = a->config.rank;
    assert(m->params && (!m->sharing || m->sharing->models == 1));
    for (size_t l = 0; l < m->config.layers; l++)
        for (enum adapter_target t = 0; t < ADAPTER_TARGETS; t++) {
            size_t out, in;
            adapter_shape(&m->config, t, &out, &in);
            if (!a->config.target[t]) continue;
            float *b = xmalloc(out * R * sizeof *b);
            const float *from = a->trained.values + a->layer[l][t].b;
            for (size_t i = 0; i < out * R; i++) b[i] = a->scale * from[i];
            size_t rows[2] = {0, out};
            struct rowplan plan = {.units = 1, .first = rows};
            struct weights A = {.f32 = a->trained.values + a->layer[l][t].a};
            gemm_dx(&plan, m->params + weight_offset(&m->layer[l], t), in, b, R, A, R, in, true);
            free(b);
        }
    adapter_free(a);
    m->adapter = NULL;
    for (size_t i = 0; i < m->n_tensors; i++) m->tensors[i].trainable = true;
}

void adapter_free(struct adapter *a) {
    if (!a) return;
    if (a->trained.values) big_free(a->trained.values, a->trained.n * sizeof(float));
    free(a->trained.tensors);
    free(a->layer);
    free(a);
}
