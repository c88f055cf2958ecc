// Every supported architecture, from a shrunk config.json with the published keys and random
// weights: log-probabilities against the naive model in double, and the gradient against central
// differences of it.
#include "tests/unit/reference_model.h"
#include "common/engine/net.h"
#include "common/method/objective.h"
#include "common/training/passes.h"
#include "common/base/parallel.h"
#include "common/base/rng.h"
#include "common/training/score.h"
#include "formats/models/huggingface.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "tests/unit/differences.h"

enum { LENGTH = 21 };

#define SIZES                                                                                      \
    "\"hidden_size\": 24, \"intermediate_size\": 40, \"num_hidden_layers\": 2, "                   \
    "\"num_attention_heads\": 4, \"hidden_act\": \"silu\", \"vocab_size\": 37, "                   \
    "\"max_position_embeddings\": 64, \"bos_token_id\": 1, \"eos_token_id\": 2, "

static const struct {
    const char *name, *json;
} architectures[] = {
    {"llama 2", "{\"model_type\": \"llama\", " SIZES "\"num_key_value_heads\": 4, "
                "\"pretraining_tp\": 1, \"rms_norm_eps\": 1e-05, \"rope_scaling\": null, "
                "\"tie_word_embeddings\": false}"},
    {"llama 3.2", "{\"model_type\": \"llama\", " SIZES "\"num_key_value_heads\": 2, "
                  "\"head_dim\": 8, \"attention_bias\": false, \"mlp_bias\": false, "
                  "\"rms_norm_eps\": 1e-05, \"rope_theta\": 50.0, \"rope_scaling\": {\"factor\": "
                  "32.0, \"high_freq_factor\": 4.0, \"low_freq_factor\": 1.0, "
                  "\"original_max_position_embeddings\": 40, \"rope_type\": \"llama3\"}, "
                  "\"tie_word_embeddings\": true}"},
    {"linear scaling", "{\"model_type\": \"llama\", " SIZES "\"num_key_value_heads\": 1, "
                       "\"rms_norm_eps\": 1e-05, \"rope_theta\": 10000.0, \"rope_scaling\": "
                       "{\"type\": \"linear\", \"factor\": 4.0}, \"tie_word_embeddings\": false}"},
    {"mistral", "{\"model_type\": \"mistral\", " SIZES "\"num_key_value_heads\": 2, "
                "\"rms_norm_eps\": 1e-05, \"rope_theta\": 1000000.0, \"sliding_window\": null, "
                "\"tie_word_embeddings\": false}"},
    {"qwen 2.5", "{\"model_type\": \"qwen2\", " SIZES "\"num_key_value_heads\": 2, "
                 "\"attention_dropout\": 0.0, \"rms_norm_eps\": 1e-06, \"rope_theta\": 1000000.0, "
                 "\"sliding_window\": 64, \"use_sliding_window\": false, "
                 "\"max_window_layers\": 2, \"tie_word_embeddings\": true}"},
    {"qwen 3", "{\"model_type\": \"qwen3\", " SIZES "\"num_key_value_heads\": 2, "
               "\"head_dim\": 10, \"attention_bias\": false, \"rms_norm_eps\": 1e-06, "
               "\"rope_theta\": 1000000, \"sliding_window\": null, \"use_sliding_window\": false, "
               "\"tie_word_embeddings\": false}"},
};
enum { ARCHITECTURES = sizeof architectures / sizeof *architectures };

static struct model make_model(size_t a) {
    struct fail f = {0};
    struct hf_config c;
    struct model m;
    char why[200];
    if (!huggingface_config(architectures[a].json, strlen(architectures[a].json), "config.json", &c,
                            &f))
        fail_msg("%s: %s", architectures[a].name, f.text);
    assert_true(model_init(&m, &c.model, why, sizeof why));
    model_alloc(&m);
    for (size_t i = 0; i < m.n_tensors; i++)
        for (size_t j = 0; j < m.tensors[i].rows * m.tensors[i].cols; j++)
            m.params[m.tensors[i].offset + j] =
                (float)(0.25 * rng_normal(a, RNG_TEST, i, j) + (m.tensors[i].vector ? 0.7 : 0));
    return m;
}

static void make_batch(struct batch *b, int32_t *ids) {
    uint8_t mask[LENGTH];
    for (size_t i = 0; i < LENGTH; i++) {
        ids[i] = (int32_t)(rng_bits(7, RNG_TEST, 0, i) % 37);
        mask[i] = 1;
    }
    batch_begin_unit(b);
    batch_sequence(b, ids, mask, LENGTH, 0, RESPONSE_ONLY);
    batch_end(b);
}

static double reference_loss(const struct model *m, const double *P, const int32_t *ids) {
    double *lp = ref_logprobs(m, P, ids, LENGTH), loss = 0;
    for (size_t i = 1; i < LENGTH; i++) loss -= lp[(i - 1) * 37 + (size_t)ids[i]];
    free(lp);
    return loss / (LENGTH - 1);
}

static float *gradient(struct net *net, const struct model *m, const struct batch *b) {
    struct objective o = objective_sft_new(37);
    struct step_totals totals = {.rows = 1, .tokens = b->positions, .responses = 1};
    float *grads = calloc(m->n_params, sizeof *grads);
    o.begin_step(o.self, &totals);
    assert_true(passes_run(&o, net, b, grads));
    net_end_step(net, grads);
    objective_free(&o);
    return grads;
}

struct text_loss {
    const struct model *m;
    const int32_t *ids;
};

static double loss_of_text(const void *self, const double *P) {
    const struct text_loss *x = self;
    return reference_loss(x->m, P, x->ids);
}

static void check_slopes(size_t a, struct model *m, double *P, const int32_t *ids,
                         const float *grads) {
    struct text_loss x = {m, ids};
    differences_check(&(struct differences){.name = architectures[a].name,
                                            .tensors = m->tensors,
                                            .n_tensors = m->n_tensors,
                                            .probes = 3,
                                            .grads = grads,
                                            .P = P,
                                            .loss = loss_of_text,
                                            .self = &x,
                                            .h = 1e-4,
                                            .relative = 1e-4,
                                            .absolute = 2e-6});
}

static void forward_and_gradient(void **state) {
    (void)state;
    for (size_t a = 0; a < ARCHITECTURES; a++) {
        struct model m = make_model(a);
        struct net_limits l = {.rows = 32, .positions = 32, .trees_tokens = 32, .backward = true};
        struct net *net = net_new(&m, &l);
        struct batch b = {0};
        int32_t ids[LENGTH];
        double logp[LENGTH], *P = malloc(m.n_params * sizeof *P);
        make_batch(&b, ids);
        for (size_t i = 0; i < m.n_params; i++) P[i] = m.params[i];
        score_positions(net, &b, logp);
        double *lp = ref_logprobs(&m, P, ids, LENGTH);
        for (size_t i = 1; i < LENGTH; i++)
            if (!(fabs(logp[i - 1] - lp[(i - 1) * 37 + (size_t)ids[i]]) < 2e-5))
                fail_msg("%s, position %zu: %.9g, in double %.9g", architectures[a].name, i,
                         logp[i - 1], lp[(i - 1) * 37 + (size_t)ids[i]]);
        float *grads = gradient(net, &m, &b);
        check_slopes(a, &m, P, ids, grads);
        free(grads);
        free(lp);
        free(P);
        batch_release(&b);
        net_free(net);
        model_release(&m);
    }
}

int main(void) {
    parallel_init(2);
    const struct CMUnitTest tests[] = {cmocka_unit_test(forward_and_gradient)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
