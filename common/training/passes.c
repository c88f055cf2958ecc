#include "common/training/passes.h"
#include "common/base/stop.h"

bool passes_run(struct objective *o, struct net *net, const struct batch *b, float *grads) {
    float *logits = net_logits_buffer(net);
    size_t chunks = batch_chunks(b);
    net_forward(net, b);
    if (o->begin) o->begin(o->self, b);
    for (size_t i = 0; o->first_pass && i < chunks; i++) {
        struct chunk c = batch_chunk(b, i);
        net_logits(net, c, logits);
        o->first_pass(o->self, b, c.first, c.count, logits);
        if (grads && stop_requested()) return false;
    }
    if (o->between_passes) o->between_passes(o->self, b);
    for (size_t i = 0; i < chunks; i++) {
        struct chunk c = batch_chunk(b, i);
        if (!o->first_pass || chunks > 1) net_logits(net, c, logits); // else they are still there
        o->backward(o->self, b, c.first, c.count, logits);
        if (!grads) continue;
        net_head_backward(net, c, logits, grads);
        if (stop_requested()) return false;
    }
    if (!grads) return true;
    net_backward(net, b, grads);
    return !stop_requested();
}
