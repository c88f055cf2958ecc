// Every supported architecture, from a shrunk config.json with the published keys and random
// weights: log-probabilities of training's and of decoding's forward pass against the naive model
// in double, and the gradient against central differences of it.
#include "tests/unit/reference_model.h"
#include "common/engine/decoder.h"
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

#define GEMMA                                                                                      \
    "\"hidden_size\": 24, \"intermediate_size\": 40, \"num_hidden_layers\": 2, "                   \
    "\"num_attention_heads\": 4, \"num_key_value_heads\": 2, \"head_dim\": 8, "                    \
    "\"hidden_activation\": \"gelu_pytorch_tanh\", \"vocab_size\": 37, "                           \
    "\"max_position_embeddings\": 64, \"attention_bias\": false, \"attention_dropout\": 0.0, "     \
    "\"attn_logit_softcapping\": null, \"final_logit_softcapping\": null, "                        \
    "\"cache_implementation\": \"hybrid\", \"rms_norm_eps\": 1e-06, "

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
    {"mistral with a window",
     "{\"model_type\": \"mistral\", " SIZES "\"num_key_value_heads\": 2, \"rms_norm_eps\": 1e-05, "
     "\"rope_theta\": 10000.0, \"sliding_window\": 6, "
     "\"tie_word_embeddings\": false}"},
    {"qwen 2 with a window", "{\"model_type\": \"qwen2\", " SIZES "\"num_key_value_heads\": 2, "
                             "\"rms_norm_eps\": 1e-06, \"rope_theta\": 1000000.0, "
                             "\"sliding_window\": 5, \"use_sliding_window\": true, "
                             "\"max_window_layers\": 1, \"tie_word_embeddings\": true}"},
    {"qwen 3 with a window",
     "{\"model_type\": \"qwen3\", " SIZES "\"num_key_value_heads\": 2, \"head_dim\": 8, "
     "\"rms_norm_eps\": 1e-06, \"rope_theta\": 1000000, \"sliding_window\": 7, "
     "\"use_sliding_window\": true, \"layer_types\": [\"sliding_attention\", \"full_attention\"], "
     "\"tie_word_embeddings\": false}"},
    {"olmo 2", "{\"model_type\": \"olmo2\", " SIZES "\"num_key_value_heads\": 2, "
               "\"attention_bias\": false, \"attention_dropout\": 0.0, \"rms_norm_eps\": 1e-06, "
               "\"rope_scaling\": null, \"rope_theta\": 500000, \"pad_token_id\": 3, "
               "\"tie_word_embeddings\": false}"},
    {"phi 3", "{\"model_type\": \"phi3\", " SIZES "\"num_key_value_heads\": 2, "
              "\"auto_map\": {\"AutoConfig\": \"configuration_phi3.Phi3Config\"}, "
              "\"attention_bias\": false, \"embd_pdrop\": 0.0, \"resid_pdrop\": 0.0, "
              "\"original_max_position_embeddings\": 64, \"rms_norm_eps\": 1e-05, "
              "\"rope_scaling\": null, \"rope_theta\": 10000.0, \"sliding_window\": 11, "
              "\"tie_word_embeddings\": false}"},
    {"phi 4 mini: longrope, a part of each head",
     "{\"model_type\": \"phi3\", " SIZES "\"num_key_value_heads\": 2, "
     "\"original_max_position_embeddings\": 32, \"partial_rotary_factor\": 0.75, "
     "\"rms_norm_eps\": 1e-05, \"rope_theta\": 20.0, \"sliding_window\": 262144, "
     "\"rope_scaling\": {\"type\": \"longrope\", \"short_factor\": [1.1, 1.7], "
     "\"long_factor\": [2, 9]}, \"tie_word_embeddings\": true}"},
    {"qwen 2.5 with yarn",
     "{\"model_type\": \"qwen2\", " SIZES "\"num_key_value_heads\": 2, \"rms_norm_eps\": 1e-06, "
     "\"rope_theta\": 50.0, \"rope_scaling\": {\"type\": \"yarn\", \"factor\": 4.0, "
     "\"beta_fast\": 2, \"original_max_position_embeddings\": 16}, "
     "\"tie_word_embeddings\": true}"},
    {"qwen 3 with yarn, normed q and k",
     "{\"model_type\": \"qwen3\", " SIZES "\"num_key_value_heads\": 2, \"head_dim\": 8, "
     "\"rms_norm_eps\": 1e-06, \"rope_theta\": 50, \"rope_scaling\": {\"rope_type\": \"yarn\", "
     "\"factor\": 2.0, \"beta_fast\": 4, \"original_max_position_embeddings\": 32}, "
     "\"tie_word_embeddings\": false}"},
    {"gemma 3", "{\"model_type\": \"gemma3_text\", " GEMMA
                "\"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": 8.0}, "
                "\"query_pre_attn_scalar\": 10, \"sliding_window\": 6, "
                "\"sliding_window_pattern\": 2, \"rope_local_base_freq\": 100.0}"},
    {"gemma 3, layers named, untied",
     "{\"model_type\": \"gemma3_text\", " GEMMA "\"query_pre_attn_scalar\": 8, "
     "\"_sliding_window_pattern\": 6, \"use_bidirectional_attention\": false, "
     "\"layer_types\": [\"full_attention\", \"sliding_attention\"], \"sliding_window\": 80, "
     "\"rope_parameters\": {\"full_attention\": {\"rope_type\": \"default\", \"rope_theta\": 1e6}, "
     "\"sliding_attention\": {\"rope_type\": \"default\", \"rope_theta\": 50.0}}, "
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

static struct net *make_net(const struct model *m, bool recompute) {
    struct net_limits l = {
        .rows = 32, .positions = 32, .trees_tokens = 32, .backward = true, .recompute = recompute};
    return net_new(m, &l);
}

// What net_watch says is done: from `from` on, and it stays so.
struct done {
    const float *grads;
    float *copy;
    size_t from;
};

static void is_done(void *self, size_t from) {
    struct done *d = self;
    assert_true(from < d->from);
    memcpy(d->copy + from, d->grads + from, (d->from - from) * sizeof *d->copy);
    d->from = from;
}

static void check_watch(struct net *net, const struct model *m, const struct batch *b) {
    struct objective o = objective_sft_new(37);
    struct step_totals totals = {.rows = 1, .tokens = b->positions, .responses = 1};
    float *grads = calloc(m->n_params, sizeof *grads);
    struct done d = {grads, calloc(m->n_params, sizeof *d.copy), m->n_params};
    o.begin_step(o.self, &totals);
    net_watch(net, is_done, &d);
    assert_true(passes_run(&o, net, b, grads));
    net_watch(net, NULL, NULL);
    net_end_step(net, grads);
    assert_true(d.from <= m->layer[0].q); // all layers
    assert_memory_equal(d.copy + d.from, grads + d.from, (m->n_params - d.from) * sizeof *grads);
    objective_free(&o);
    free(d.copy);
    free(grads);
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
        struct net *net = make_net(&m, false), *lean = make_net(&m, true);
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
        float *again = gradient(lean, &m, &b); // from the layers' inputs alone: the same bits
        assert_memory_equal(grads, again, m.n_params * sizeof *grads);
        free(again);
        net_free(lean);
        check_watch(net, &m, &b);
        free(grads);
        free(lp);
        free(P);
        batch_release(&b);
        net_free(net);
        model_release(&m);
    }
}

static void check_decoder(size_t a, const struct model *m, const double *lp, const int32_t *ids,
                          size_t prompt) {
    struct decoder *d = decoder_new(m, 2, LENGTH);
    float z[37];
    size_t slot = 1;
    decoder_start(d, slot, ids, prompt, z);
    for (size_t t = prompt; t < LENGTH; t++) {
        double sum = 0, want = lp[(t - 1) * 37 + (size_t)ids[t]];
        for (size_t v = 0; v < 37; v++) sum += exp((double)z[v]);
        double got = (double)z[ids[t]] - log(sum);
        if (!(fabs(got - want) < 2e-5))
            fail_msg("%s, decoded position %zu of %zu: %.9g, in double %.9g", architectures[a].name,
                     t, prompt, got, want);
        decoder_step(d, 1, &slot, &ids[t], z);
    }
    decoder_free(d);
}

// Through the cache of keys and values, a prompt row by row or as one product.
static void decoding(void **state) {
    (void)state;
    for (size_t a = 0; a < ARCHITECTURES; a++) {
        struct model m = make_model(a);
        struct batch b = {0};
        int32_t ids[LENGTH];
        double *P = malloc(m.n_params * sizeof *P);
        make_batch(&b, ids);
        for (size_t i = 0; i < m.n_params; i++) P[i] = m.params[i];
        double *lp = ref_logprobs(&m, P, ids, LENGTH);
        check_decoder(a, &m, lp, ids, 3);
        check_decoder(a, &m, lp, ids, LENGTH - 2);
        free(lp);
        free(P);
        batch_release(&b);
        model_release(&m);
    }
}

int main(void) {
    parallel_init(2);
    const struct CMUnitTest tests[] = {cmocka_unit_test(forward_and_gradient),
                                       cmocka_unit_test(decoding)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
