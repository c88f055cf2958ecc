#include "formats/models/huggingface.h"
#include "formats/bytes/slurp.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define LLAMA                                                                                      \
    "\"model_type\":\"llama\",\"hidden_size\":64,\"intermediate_size\":96,"                        \
    "\"num_hidden_layers\":2,\"num_attention_heads\":4"
#define MISTRAL                                                                                    \
    "\"model_type\":\"mistral\",\"hidden_size\":64,\"intermediate_size\":96,"                      \
    "\"num_hidden_layers\":2,\"num_attention_heads\":4,\"num_key_value_heads\":2"
#define QWEN(n)                                                                                    \
    "\"model_type\":\"qwen" n "\",\"hidden_size\":64,\"intermediate_size\":96,"                    \
    "\"num_hidden_layers\":2,\"num_attention_heads\":4,\"num_key_value_heads\":2,"                 \
    "\"max_position_embeddings\":128"

static struct hf_config accept(const char *text) {
    struct hf_config c;
    struct fail f = {0};
    if (!huggingface_config(text, strlen(text), "config.json", &c, &f))
        print_message("%s\n", f.text);
    assert_int_equal(f.code, 0);
    return c;
}

static void refuse(const char *text, const char *message) {
    struct hf_config c;
    struct fail f = {0};
    bool ok = huggingface_config(text, strlen(text), "config.json", &c, &f);
    if (ok || !strstr(f.text, message)) print_message("%s: %s\n", text, f.text);
    assert_false(ok);
    assert_int_equal(f.code, EXIT_BADDATA);
    assert_non_null(strstr(f.text, message));
}

static void families(void **state) {
    (void)state;
    struct hf_config c = accept("{" LLAMA ",\"eos_token_id\":[7,8],\"torch_dtype\":\"float32\"}");
    assert_int_equal(c.model.kv_heads, 4);
    assert_int_equal(c.model.head_dim, 16);
    assert_int_equal(c.model.vocab, 0);
    assert_int_equal(c.n_eos, 2);
    assert_int_equal(c.eos[1], 8);
    assert_int_equal(c.bos, -1);
    assert_true(c.model.rope_theta == 10000 && c.model.norm_eps == 1e-6 && !c.model.tied);
    c = accept("{" QWEN("2") ",\"tie_word_embeddings\":true,\"sliding_window\":64,"
                             "\"use_sliding_window\":false,\"max_window_layers\":2}");
    assert_true(c.model.qkv_bias && c.model.tied && !c.model.qk_norm);
    c = accept("{" QWEN("3") ",\"layer_types\":[\"full_attention\",\"full_attention\"],"
                             "\"rope_parameters\":{\"rope_theta\":1e6,\"rope_type\":\"default\"}}");
    assert_true(c.model.qk_norm && c.model.head_dim == 128 && c.model.rope_theta == 1e6);
    c = accept("{" MISTRAL ",\"max_position_embeddings\":128,\"sliding_window\":null}");
    assert_int_equal(c.model.kv_heads, 2);
}

static void rope(void **state) {
    (void)state;
    struct hf_config c =
        accept("{" LLAMA ",\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":32.0,"
               "\"high_freq_factor\":4.0,\"low_freq_factor\":1.0,"
               "\"original_max_position_embeddings\":8192}}");
    assert_true(c.model.rope_factor == 32 && c.model.rope_high == 4 && c.model.rope_low == 1);
    assert_true(c.model.rope_original == 8192);
    c = accept("{" LLAMA ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":2}}");
    assert_true(c.model.rope_factor == 2 && c.model.rope_original == 0);
    refuse("{" LLAMA ",\"rope_scaling\":{\"type\":\"yarn\",\"factor\":2}}", "'yarn'");
    refuse("{" LLAMA ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":2,\"mscale\":1}}",
           "'mscale'");
    refuse("{" LLAMA ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":0.5}}", "below 1");
    refuse("{" LLAMA ",\"rope_scaling\":{\"type\":\"linear\"}}", "'factor'");
    refuse("{" LLAMA ",\"partial_rotary_factor\":0.5}", "partial_rotary_factor");
}

static void windows(void **state) {
    (void)state;
    refuse("{" MISTRAL ",\"max_position_embeddings\":32768,\"sliding_window\":4096}",
           "sliding_window 4096");
    refuse("{" MISTRAL ",\"max_position_embeddings\":32768}", "sliding_window 4096");
    accept("{" MISTRAL ",\"max_position_embeddings\":4096,\"sliding_window\":4096}");
    refuse(
        "{" QWEN("2") ",\"use_sliding_window\":true,\"sliding_window\":64,\"max_window_layers\":1}",
        "sliding_window 64");
    accept("{" QWEN(
        "2") ",\"use_sliding_window\":true,\"sliding_window\":64,\"max_window_layers\":2}");
    refuse("{" QWEN("3") ",\"layer_types\":[\"full_attention\",\"sliding_attention\"],"
                         "\"sliding_window\":64}",
           "sliding_window 64");
}

static void refusals(void **state) {
    (void)state;
    refuse("[]", "not an object");
    refuse("{\"model_type\":\"gemma2\"}", "'gemma2'");
    refuse("{}", "(missing)");
    refuse("{" LLAMA ",\"embedding_multiplier\":12.0}", "'embedding_multiplier'");
    accept("{" LLAMA ",\"quantization_config\":null}");
    refuse("{" LLAMA ",\"quantization_config\":{\"bits\":4}}", "'quantization_config'");
    refuse("{" LLAMA ",\"attention_bias\":true}", "'attention_bias'");
    refuse("{" LLAMA ",\"mlp_bias\":true}", "'mlp_bias'");
    refuse("{" LLAMA ",\"hidden_act\":\"gelu\"}", "'gelu'");
    refuse("{" LLAMA ",\"vocab_size\":-3}", "'vocab_size'");
    refuse("{" LLAMA ",\"num_key_value_heads\":\"2\"}", "'num_key_value_heads'");
    refuse("{" LLAMA ",\"tie_word_embeddings\":1}", "not true or false");
    refuse("{" LLAMA ",\"rms_norm_eps\":-1}", "'rms_norm_eps'");
    refuse("{" LLAMA ",\"eos_token_id\":[\"x\"]}", "eos_token_id");
    refuse("{" LLAMA ",\"architectures\":[\"LlamaForSequenceClassification\"]}", "architecture");
    refuse("{\"model_type\":\"llama\",\"hidden_size\":64}", "missing");
}

static void published(void **state) {
    (void)state;
    static const struct {
        const char *name;
        size_t count;
    } known[] = {{"Llama-2-7b-shape", 6738415616},
                 {"Llama-3.2-1B-derived", 1235814400},
                 {"Qwen2.5-0.5B-Instruct", 494032768},
                 {"Qwen2.5-7B-Instruct", 7615616512},
                 {"SmolLM2-135M", 134515008}};
    if (access("../shared/data/configs", F_OK)) {
        print_message("SKIP: no ../shared\n");
        skip();
    }
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        char *path = xasprintf("../shared/data/configs/%s.config.json", known[i].name), why[200];
        size_t n;
        struct fail f = {0};
        char *text = slurp(path, 1 << 20, &n, &f);
        struct hf_config c = accept(text);
        struct model m;
        assert_true(model_init(&m, &c.model, why, sizeof why));
        assert_int_equal(model_count(&m), known[i].count);
        model_release(&m);
        free(text);
        free(path);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(families), cmocka_unit_test(rope),      cmocka_unit_test(windows),
        cmocka_unit_test(refusals), cmocka_unit_test(published),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
