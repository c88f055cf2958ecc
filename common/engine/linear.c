#include "common/engine/linear.h"

struct linear linear_of(const struct model *m, size_t layer, enum projection which) {
    const struct model_config *c = &m->config;
    const struct layer_offsets *o = &m->layer[which == PROJECT_HEAD ? 0 : layer];
    size_t C = c->width, F = c->hidden;
    switch (which) {
    case PROJECT_QKV:
        return (struct linear){o->q, model_qkv_width(c), C};
    case PROJECT_OUT:
        return (struct linear){o->o, C, c->heads * c->head_dim};
    case PROJECT_GATE_UP:
        return (struct linear){o->gate, 2 * F, C};
    case PROJECT_DOWN:
        return (struct linear){o->down, C, F};
    default:
        return (struct linear){m->head, model_outputs(c), C};
    }
}

void linear_forward(const struct model *m, const struct linear_rows *r, size_t layer,
                    enum projection which, float *y, const float *x, bool add) {
    struct linear l = linear_of(m, layer, which);
    struct weights w = model_matrix(m, l.weight);
    size_t first = r->plan.first[0], n = r->plan.first[r->plan.units] - first;
    if (r->few)
        gemm_rows(y, l.out, x, l.in, n, w, l.out, l.in, add);
    else
        gemm_forward(&r->plan, y, l.out, x, l.in, w, l.out, l.in, add);
}

void linear_backward(const struct model *m, const struct linear_rows *r, size_t layer,
                     enum projection which, float *dx, const float *dy, const float *x,
                     float *grads) {
    struct linear l = linear_of(m, layer, which);
    if (grads) gemm_dw(&r->plan, grads + l.weight, dy, l.out, x, l.in, l.out, l.in, m->rounded);
    gemm_dx(&r->plan, dx, l.in, dy, l.out, model_matrix(m, l.weight), l.out, l.in, false);
}
