// What the backward needs of the layers, kept in bf16 where the model's products are in bf16: the
// layers then share one float32 state, which a layer's numbers are copied from and back to.
#include "common/engine/kernels.h"
#include "common/engine/net_state.h"
#include "common/base/parallel.h"

enum { GRAIN = 16, PARTS = 8 };

struct part { // of a layer's state
    float *values;
    size_t width; // 0: the model has none
};

static void parts_of(const struct model_config *c, const struct layer_state *s,
                     struct part part[PARTS]) {
    size_t D = c->head_dim, raw = c->qk_norm ? (c->heads + c->kv_heads) * D : 0;
    size_t added = c->norms == NORMS_BEFORE ? 0 : c->width;
    const struct part all[PARTS] = {
        {s->in, c->width},           {s->qkv, model_qkv_width(c)}, {s->raw, raw},
        {s->att, c->heads * D},      {s->att_out, added},          {s->mid, c->width},
        {s->gate_up, 2 * c->hidden}, {s->mlp_out, added}};
    for (size_t p = 0; p < PARTS; p++) part[p] = all[p];
}

size_t net_kept_width(const struct model_config *c) {
    struct part part[PARTS];
    size_t width = 0;
    parts_of(c, &(struct layer_state){0}, part);
    for (size_t p = 0; p < PARTS; p++) width += part[p].width;
    return width;
}

struct kept_job {
    struct part part[PARTS];
    uint16_t *kept; // (rows,width) of the layer
    size_t width;
};

static struct kept_job job(const struct net *net, size_t l) {
    struct kept_job j = {.width = net_kept_width(&net->model->config)};
    if (net->kept) j.kept = net->kept + l * net->limits.rows * j.width;
    parts_of(&net->model->config, &net->layer[l], j.part);
    return j;
}

static void keep_rows(void *self, size_t first, size_t last) {
    const struct kept_job *j = self;
    for (size_t i = first; i < last; i++) {
        uint16_t *to = j->kept + i * j->width;
        for (const struct part *p = j->part; p < j->part + PARTS; to += p++->width)
            kernels()->narrow(to, p->values + i * p->width, p->width);
    }
}

static void recall_rows(void *self, size_t first, size_t last) {
    const struct kept_job *j = self;
    for (size_t i = first; i < last; i++) {
        const uint16_t *from = j->kept + i * j->width;
        for (const struct part *p = j->part; p < j->part + PARTS; from += p++->width)
            kernels()->widen(p->values + i * p->width, from, p->width);
    }
}

static void round_rows(void *self, size_t first, size_t last) {
    const struct kept_job *j = self;
    for (const struct part *p = j->part; p < j->part + PARTS; p++)
        kernels()->round(p->values + first * p->width, p->values + first * p->width,
                         (last - first) * p->width);
}

void net_keep(const struct net *net, size_t l, size_t rows) {
    struct kept_job j = job(net, l);
    if (net->kept) parallel_range(rows, GRAIN, keep_rows, &j);
}

void net_recall(const struct net *net, size_t l, size_t rows) {
    struct kept_job j = job(net, l);
    if (net->model->rounded) parallel_range(rows, GRAIN, net->kept ? recall_rows : round_rows, &j);
}
