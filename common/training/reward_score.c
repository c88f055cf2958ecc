#include "common/training/reward_score.h"
#include "common/engine/net.h"
#include <assert.h>

static size_t length_of(const struct reward_text *t) {
    return t->prompt_tokens + t->response_tokens;
}

static struct net_limits limits_of(size_t longest, size_t tokens) {
    size_t rows = longest > tokens ? longest : tokens;
    return (struct net_limits){.rows = rows, .positions = rows, .trees_tokens = longest};
}

size_t reward_score_plan(const struct model *m, size_t longest, size_t tokens) {
    struct net_limits l = limits_of(longest, tokens);
    return net_plan(m, &l);
}

// An empty response is scored at the prompt's last token.
static void add_text(struct batch *b, const struct reward_text *t, size_t row) {
    size_t np = t->prompt_tokens, n = t->response_tokens;
    const int32_t *response = t->response;
    if (!n) {
        np--;
        n = 1;
        response = t->prompt + np;
    }
    batch_begin_unit(b);
    batch_scored(b, t->prompt, np, 1, &response, &n, (enum response_role[]){RESPONSE_ONLY}, row);
}

static void score_batch(struct net *net, struct batch *b, double *score) {
    float *z = net_logits_buffer(net);
    batch_end(b);
    net_forward(net, b);
    for (size_t i = 0; i < batch_chunks(b); i++) {
        struct chunk c = batch_chunk(b, i);
        net_logits(net, c, z);
        for (size_t k = 0; k < c.count; k++)
            score[b->response[b->owner[c.first + k]].row] = (double)z[k];
    }
    batch_clear(b);
}

void reward_score(const struct model *m, const struct reward_text *text, size_t n, size_t tokens,
                  double *score) {
    size_t longest = 2, used = 0;
    assert(m->config.reward_head);
    for (size_t i = 0; i < n; i++)
        if (length_of(&text[i]) > longest) longest = length_of(&text[i]);
    struct net_limits limits = limits_of(longest, tokens);
    struct net *net = net_new(m, &limits);
    struct batch b = {0};
    batch_clear(&b);
    for (size_t i = 0; i < n; i++) {
        if (used && used + length_of(&text[i]) > tokens) {
            score_batch(net, &b, score);
            used = 0;
        }
        add_text(&b, &text[i], i);
        used += length_of(&text[i]);
    }
    if (used) score_batch(net, &b, score);
    batch_release(&b);
    net_free(net);
}
