#include "common/engine/model.h"
#include "common/engine/gemm.h"
#include "common/engine/adapter.h"
#include "common/engine/kernels.h"
#include "common/base/arena.h"
#include "common/base/mem.h"
#include "common/base/parallel.h"
#include "common/base/rng.h"
#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t model_qkv_width(const struct model_config *c) {
    return (c->heads + 2 * c->kv_heads) * c->head_dim;
}

size_t model_window(const struct model_config *c, size_t layer) {
    bool all = layer < c->window_first || (c->window_period && (layer + 1) % c->window_period == 0);
    return all ? 0 : c->window;
}

float model_score_scale(const struct model_config *c) {
    return 1 / sqrtf((float)(c->score_size > 0 ? c->score_size : (double)c->head_dim));
}

size_t model_rope_width(const struct model_config *c) {
    return c->rope_dim ? c->rope_dim : c->head_dim;
}

size_t model_outputs(const struct model_config *c) {
    return c->reward_head ? 1 : c->vocab_used;
}

// Adds a tensor at the end of the layout; returns its offset.
static size_t add(struct model *m, size_t rows, size_t cols, bool vector, const char *format, ...) {
    m->tensors = xrealloc(m->tensors, (m->n_tensors + 1) * sizeof *m->tensors);
    struct tensor *t = &m->tensors[m->n_tensors++];
    *t = (struct tensor){.rows = rows,
                         .cols = cols,
                         .offset = m->n_params,
                         .vector = vector,
                         .decay = !vector,
                         .trainable = true};
    va_list args;
    va_start(args, format);
    vsnprintf(t->name, sizeof t->name, format, args);
    va_end(args);
    m->n_params += rows * cols * (m->bf16 && vector ? 2 : 1);
    return t->offset;
}

// Groups (q k v, gate up, the biases) are contiguous, so that one product serves them; a new group
// starts at a cache line.
static void align(struct model *m) {
    const size_t line = 64 / (m->bf16 ? sizeof *m->half : sizeof *m->params);
    m->n_params = (m->n_params + line - 1) / line * line;
}

#define NAME "model.layers.%zu."
static void lay_out_attention(struct model *m, size_t l) {
    const struct model_config *c = &m->config;
    struct layer_offsets *o = &m->layer[l];
    size_t C = c->width, D = c->head_dim, HD = c->heads * D, GD = c->kv_heads * D;
    if (c->fused) {
        o->q = add(m, HD + 2 * GD, C, false, NAME "self_attn.qkv_proj.weight", l);
        o->k = o->q + HD * C;
        o->v = o->k + GD * C;
    } else {
        o->q = add(m, HD, C, false, NAME "self_attn.q_proj.weight", l);
        o->k = add(m, GD, C, false, NAME "self_attn.k_proj.weight", l);
        o->v = add(m, GD, C, false, NAME "self_attn.v_proj.weight", l);
    }
    align(m);
    if (c->qkv_bias) {
        o->q_bias = add(m, 1, HD, true, NAME "self_attn.q_proj.bias", l);
        o->k_bias = add(m, 1, GD, true, NAME "self_attn.k_proj.bias", l);
        o->v_bias = add(m, 1, GD, true, NAME "self_attn.v_proj.bias", l);
        align(m);
    }
    if (c->qk_norm) {
        bool whole = c->qk_norm_whole;
        o->q_norm = add(m, 1, whole ? HD : D, true, NAME "self_attn.q_norm.weight", l);
        align(m);
        o->k_norm = add(m, 1, whole ? GD : D, true, NAME "self_attn.k_norm.weight", l);
        align(m);
    }
    o->o = add(m, C, HD, false, NAME "self_attn.o_proj.weight", l);
    align(m);
}

static void lay_out_feed_forward(struct model *m, size_t l) {
    size_t C = m->config.width, F = m->config.hidden;
    struct layer_offsets *o = &m->layer[l];
    if (m->config.fused) {
        o->gate = add(m, 2 * F, C, false, NAME "mlp.gate_up_proj.weight", l);
        o->up = o->gate + F * C;
    } else {
        o->gate = add(m, F, C, false, NAME "mlp.gate_proj.weight", l);
        o->up = add(m, F, C, false, NAME "mlp.up_proj.weight", l);
    }
    align(m);
    o->down = add(m, C, F, false, NAME "mlp.down_proj.weight", l);
    align(m);
}

static void add_norm(struct model *m, size_t l, size_t *offset, const char *name) {
    *offset = add(m, 1, m->config.width, true, NAME "%s.weight", l, name);
    align(m);
}

static void lay_out_layer(struct model *m, size_t l) {
    const struct model_config *c = &m->config;
    struct layer_offsets *o = &m->layer[l];
    bool before = c->norms != NORMS_AFTER, after = c->norms != NORMS_BEFORE;
    memset(o, 0xff, sizeof *o);
    if (before) add_norm(m, l, &o->norm1, "input_layernorm");
    lay_out_attention(m, l);
    if (after) add_norm(m, l, &o->post1, "post_attention_layernorm");
    if (before)
        add_norm(m, l, &o->norm2, after ? "pre_feedforward_layernorm" : "post_attention_layernorm");
    lay_out_feed_forward(m, l);
    if (after) add_norm(m, l, &o->post2, "post_feedforward_layernorm");
}
#undef NAME

static bool refuse(char *why, size_t size, const char *what) {
    snprintf(why, size, "%s", what);
    return false;
}

static bool within(double x, double least, double most) {
    return x >= least && x <= most; // not so for a NaN
}

// Divisors for all frequencies, or for none.
static bool rotation_sane(const struct model_config *c) {
    size_t n = model_rope_width(c) / 2, known = 0;
    for (size_t i = 0; i < n; i++) known += within(c->rope_divisor[i], 1e-9, 1e9);
    bool none = true;
    for (size_t i = 0; i < MODEL_FREQUENCIES; i++) none = none && c->rope_divisor[i] == 0;
    return within(c->rope_gain, 0, 1e3) && (none || known == n);
}

static bool constants_sane(const struct model_config *c) {
    bool scaled = c->rope_original > 0; // as llama3
    return within(c->norm_eps, 0, 1) && within(c->rope_theta, 1, 1e15) &&
           within(c->rope_factor, 0, 1e6) && within(c->rope_low, 0, 1e6) &&
           within(c->rope_high, 0, 1e6) && within(c->rope_original, 0, 1e9) &&
           within(c->embed_scale, 0, 1e6) && within(c->score_size, 0, 1e9) &&
           (c->rope_local == 0 || within(c->rope_local, 1, 1e15)) &&
           (!scaled || (c->rope_low > 0 && c->rope_high > c->rope_low)) && rotation_sane(c);
}

static bool config_sane(const struct model_config *c, char *why, size_t size) {
    if (!c->layers || !c->width || !c->heads || !c->kv_heads || !c->head_dim || !c->hidden ||
        !c->vocab)
        return refuse(why, size, "a size of the model is zero");
    if (c->layers > MODEL_LAYERS || c->width > 1 << 17 || c->hidden > 1 << 20 ||
        c->vocab > MODEL_VOCAB || c->heads > 4096 || c->head_dim > MODEL_HEAD)
        return refuse(why, size, "a size of the model is out of range");
    if (c->vocab_used > c->vocab)
        return refuse(why, size, "its tokens are more than its vocabulary's rows");
    if (c->heads % c->kv_heads)
        return refuse(why, size, "the number of heads is not a multiple of the key-value heads");
    if (c->reward_head && c->tied) return refuse(why, size, "the head of a reward model is tied");
    if (c->head_dim % 2) return refuse(why, size, "the head dimension is odd");
    if (c->rope_dim > c->head_dim || c->rope_dim % 2)
        return refuse(why, size, "the part of a head that turns is odd or larger than the head");
    if (c->window_first > c->layers || c->window_period > c->layers ||
        (!c->window && (c->window_first || c->window_period)))
        return refuse(why, size, "its sliding window's layers are out of range");
    if (c->norms >= NORMS_KINDS) return refuse(why, size, "the place of its norms is not known");
    if (c->qk_norm_whole && !c->qk_norm)
        return refuse(why, size, "its q/k norm is over all heads, and there is none");
    if (!(c->norm_eps > 0) || !(c->rope_theta > 0))
        return refuse(why, size, "rms_norm_eps and rope_theta must be positive");
    return constants_sane(c) ||
           refuse(why, size, "a constant of its norms or rotations is out of range");
}

static bool init(struct model *m, const struct model_config *c, bool bf16, char *why, size_t size) {
    *m = (struct model){.config = *c, .bf16 = bf16};
    if (!config_sane(c, why, size)) return false;
    if (!m->config.vocab_used) m->config.vocab_used = c->vocab;
    if (!(m->config.rope_factor > 0)) m->config.rope_factor = 1;
    m->layer = xcalloc(c->layers, sizeof *m->layer);
    m->embed = add(m, c->vocab, c->width, false, "model.embed_tokens.weight");
    align(m);
    for (size_t l = 0; l < c->layers; l++) lay_out_layer(m, l);
    m->norm = add(m, 1, c->width, true, "model.norm.weight");
    align(m);
    m->head = c->tied ? m->embed
                      : add(m, c->reward_head ? 1 : c->vocab, c->width, false,
                            c->reward_head ? "score.weight" : "lm_head.weight");
    align(m);
    return true;
}

bool model_init(struct model *m, const struct model_config *c, char *why, size_t size) {
    return init(m, c, false, why, size);
}

bool model_init_bf16(struct model *m, const struct model_config *c, char *why, size_t size) {
    return init(m, c, true, why, size);
}

size_t model_bytes(const struct model *m) {
    return m->n_params * (m->bf16 ? sizeof *m->half : sizeof *m->params);
}

size_t models_bytes(size_t n, const struct model *const *m) {
    size_t bytes = 0;
    bool rounded = false;
    for (size_t i = 0; i < n; i++) {
        if (!m[i] || !m[i]->n_params) continue;
        bool seen = false;
        rounded = rounded || m[i]->rounded;
        for (size_t k = 0; k < i && m[i]->sharing; k++)
            seen = seen || (m[k] && m[k]->sharing == m[i]->sharing);
        if (!seen) bytes += model_bytes(m[i]);
        if (m[i]->adapter) bytes += m[i]->adapter->trained.n * sizeof(float);
    }
    return bytes + (rounded ? gemm_bf16_bytes() : 0);
}

void model_alloc(struct model *m) {
    void *p = big_alloc(model_bytes(m));
    if (m->bf16)
        m->half = p;
    else
        m->params = p;
}

static void copy_tables(struct model *to, const struct model *from) {
    *to = *from;
    to->adapter = NULL;
    to->tensors = xmalloc(from->n_tensors * sizeof *to->tensors);
    memcpy(to->tensors, from->tensors, from->n_tensors * sizeof *to->tensors);
    to->layer = xmalloc(from->config.layers * sizeof *to->layer);
    memcpy(to->layer, from->layer, from->config.layers * sizeof *to->layer);
}

void model_share(struct model *to, struct model *from) {
    if (!from->sharing) {
        from->sharing = xmalloc(sizeof *from->sharing);
        *from->sharing = (struct sharing){1, from->packed};
    }
    from->sharing->models++;
    copy_tables(to, from);
    for (size_t i = 0; i < to->n_tensors; i++) to->tensors[i].trainable = true;
}

struct parameters model_trained(const struct model *m) {
    if (m->adapter) return m->adapter->trained;
    return (struct parameters){m->tensors, m->n_tensors, m->n_params, m->params};
}

void model_copy(struct model *to, const struct model *from) {
    assert(!from->adapter && !model_packed(from).layers);
    copy_tables(to, from);
    to->params = NULL;
    to->half = NULL;
    to->sharing = NULL;
    if (!from->params && !from->half) return;
    model_alloc(to);
    memcpy(from->bf16 ? (void *)to->half : (void *)to->params,
           from->bf16 ? (const void *)from->half : (const void *)from->params, model_bytes(from));
}

void model_copy_bf16(struct model *to, const struct model *from) {
    char why[200];
    bool fine = model_init_bf16(to, &from->config, why, sizeof why);
    assert(fine && from->params);
    to->rounded = from->rounded;
    model_alloc(to);
    for (size_t i = 0; i < to->n_tensors; i++) {
        const struct tensor *t = &to->tensors[i];
        model_store(to, t, 0, t->rows * t->cols, from->params + from->tensors[i].offset);
    }
}

bool model_reward_from(struct model *to, const struct model *from, char *why, size_t size) {
    struct model_config c = from->config;
    c.reward_head = true;
    c.tied = false;
    if (!model_init(to, &c, why, size)) return false;
    model_alloc(to);
    for (size_t i = 0; i < to->n_tensors; i++) {
        const struct tensor *t = &to->tensors[i], *s = model_tensor(from, t->name);
        if (s) model_store(to, t, 0, t->rows * t->cols, from->params + s->offset);
    }
    return true;
}

// ---- numbers of either kind ----

uint16_t model_bf16(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (x != x) return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

void model_store(struct model *m, const struct tensor *t, size_t first, size_t n, const float *x) {
    assert(first + n <= t->rows * t->cols);
    if (!m->bf16) {
        memcpy(m->params + t->offset + first, x, n * sizeof *x);
    } else if (t->vector) {
        memcpy(m->half + t->offset + 2 * first, x, n * sizeof *x);
    } else {
        uint16_t *to = m->half + t->offset + first;
        for (size_t i = 0; i < n; i++) to[i] = model_bf16(x[i]);
    }
}

const float *model_vector(const struct model *m, size_t offset) {
    return m->bf16 ? (const float *)(const void *)(m->half + offset) : m->params + offset;
}

struct packed model_packed(const struct model *m) {
    return m->sharing ? m->sharing->packed : m->packed;
}

void model_set_packed(struct model *m, struct packed p) {
    m->packed = p;
    if (m->sharing) m->sharing->packed = p;
}

struct weights model_matrix(const struct model *m, size_t offset) {
    struct packed p = model_packed(m);
    bool packed = offset == m->head ? p.head : p.layers;
    if (m->bf16)
        return (struct weights){.bf16 = m->half + offset, .rounded = m->rounded, .packed = packed};
    return (struct weights){.f32 = m->params + offset, .rounded = m->rounded, .packed = packed};
}

void model_embedding(const struct model *m, int32_t id, float *to) {
    size_t C = m->config.width, at = m->embed + (size_t)id * C;
    struct weights head = model_matrix(m, m->head);
    if (head.packed && m->config.tied &&
        (size_t)id < gemm_packed(head, model_outputs(&m->config), C))
        gemm_packed_row(head, C, (size_t)id, to);
    else if (m->bf16)
        kernels()->widen(to, m->half + at, C);
    else
        memcpy(to, m->params + at, C * sizeof *to);
}

struct draw { // random numbers of a tensor
    uint64_t seed, tensor;
    double scale;
    size_t first;
    float *to;
};

static void draw_normals(void *self, size_t first, size_t last) {
    const struct draw *d = self;
    for (size_t i = first; i < last; i++)
        d->to[i] = (float)(d->scale * rng_normal(d->seed, RNG_INIT, d->tensor, d->first + i));
}

void model_random(const struct model *m, const struct tensor *t, uint64_t seed, size_t first,
                  size_t n, float *to) {
    bool residual = text_ends(t->name, "o_proj.weight") || text_ends(t->name, "down_proj.weight");
    bool zero = text_ends(t->name, ".bias") || m->config.norm_plus_one;
    struct draw d = {seed, (uint64_t)(t - m->tensors), 0.02, first, to};
    if (residual) d.scale /= sqrt(2 * (double)m->config.layers);
    if (!t->vector)
        parallel_range(n, 1 << 12, draw_normals, &d);
    else
        for (size_t i = 0; i < n; i++) to[i] = zero ? 0 : 1;
}

void model_randomise(struct model *m, uint64_t seed) {
    for (size_t i = 0; i < m->n_tensors; i++) {
        const struct tensor *t = &m->tensors[i];
        model_random(m, t, seed, 0, t->rows * t->cols, m->params + t->offset);
    }
}

size_t parameters_count(const struct parameters *p) {
    size_t n = 0;
    for (size_t i = 0; i < p->n_tensors; i++) n += p->tensors[i].rows * p->tensors[i].cols;
    return n;
}

size_t model_count(const struct model *m) {
    return parameters_count(&(struct parameters){.tensors = m->tensors, .n_tensors = m->n_tensors});
}

const struct tensor *model_tensor(const struct model *m, const char *name) {
    for (size_t i = 0; i < m->n_tensors; i++)
        if (!strcmp(m->tensors[i].name, name)) return &m->tensors[i];
    return NULL;
}

void model_release(struct model *m) {
    bool held = m->sharing && --m->sharing->models;
    if (m->params && !held) big_free(m->params, model_bytes(m));
    if (m->half && !held) big_free(m->half, model_bytes(m));
    if (!held) free(m->sharing);
    adapter_free(m->adapter);
    free(m->tensors);
    free(m->layer);
    *m = (struct model){0};
}
