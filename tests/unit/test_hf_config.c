#include "formats/models/huggingface.h"
#include "formats/bytes/slurp.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define TWELVE(x) x "," x "," x "," x "," x "," x "," x "," x "," x "," x "," x "," x
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

#define PHI3                                                                                       \
    "\"model_type\":\"phi3\",\"hidden_size\":64,\"intermediate_size\":96,"                         \
    "\"num_hidden_layers\":2,\"num_attention_heads\":4"

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
    refuse("{" LLAMA ",\"rope_scaling\":{\"type\":\"dynamic\",\"factor\":2}}", "'dynamic'");
    refuse("{" LLAMA ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":2,\"mscale\":1}}",
           "'mscale'");
    refuse("{" LLAMA ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":0.5}}", "below 1");
    refuse("{" LLAMA ",\"rope_scaling\":{\"type\":\"linear\"}}", "'factor'");
    refuse("{" LLAMA ",\"partial_rotary_factor\":0.5}", "partial_rotary_factor");
    refuse("{" PHI3 ",\"lm_head_bias\":true}", "lm_head_bias");
    refuse("{" PHI3 ",\"partial_rotary_factor\":0.1}", "partial_rotary_factor");
    refuse("{" PHI3 ",\"partial_rotary_factor\":1.5}", "partial_rotary_factor");
    refuse("{" PHI3 ",\"partial_rotary_factor\":1e30}", "partial_rotary_factor");
    refuse("{" PHI3 ",\"partial_rotary_factor\":-0.5}", "partial_rotary_factor");
    refuse("{" PHI3 ",\"partial_rotary_factor\":0.45}", "partial_rotary_factor");
    assert_int_equal(accept("{" PHI3 ",\"partial_rotary_factor\":0.75}").model.rope_dim, 12);
    assert_int_equal(accept("{" PHI3 ",\"partial_rotary_factor\":1.0}").model.rope_dim, 0);
    c = accept("{" PHI3 ",\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":5e3,"
               "\"partial_rotary_factor\":0.5}}");
    assert_true(c.model.rope_dim == 8 && c.model.rope_theta == 5000);
    c = accept("{" PHI3 ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":2,"
               "\"partial_rotary_factor\":0.5}}");
    assert_int_equal(c.model.rope_dim, 8);
    refuse("{" LLAMA ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":2,"
           "\"partial_rotary_factor\":0.5}}",
           "partial_rotary_factor");
}

#define YARN(more)                                                                                 \
    "{\"model_type\":\"qwen2\",\"hidden_size\":64,\"intermediate_size\":96,"                       \
    "\"num_hidden_layers\":2,\"num_attention_heads\":4,\"num_key_value_heads\":2,"                 \
    "\"head_dim\":" HEAD ",\"max_position_embeddings\":131072,\"rope_theta\":1000000.0,"           \
    "\"rope_scaling\":{\"factor\":4.0,\"type\":\"yarn\"" more "}}"
#define HEAD "64"
#define OLD ",\"original_max_position_embeddings\":32768"

// Divisors as transformers' formula gives them, worked out apart: of 32 frequencies the first 12
// are kept, those from the 20th on divided by the factor.
static void yarn(void **state) {
    (void)state;
    static const double ramp[] = {12. / 11, 1.2, 4. / 3, 1.5, 12. / 7, 2, 2.4, 3};
    struct hf_config c = accept(YARN(OLD));
    for (size_t i = 0; i < MODEL_FREQUENCIES; i++) {
        double want = i < 12 ? 1 : i < 20 ? ramp[i - 12] : i < 32 ? 4 : 0;
        assert_true(fabs(c.model.rope_divisor[i] - want) < 1e-12);
    }
    assert_true(fabs(c.model.rope_gain - 1.138629436111989) < 1e-12);
    assert_int_equal(c.model.max_positions, 131072);
    assert_true(c.model.rope_factor == 1 && !c.rope.gain_given);
    c = accept(YARN(OLD ",\"attention_factor\":1.5,\"beta_fast\":16,\"beta_slow\":2"));
    assert_true(c.model.rope_gain == 1.5 && c.rope.gain_given && c.rope.fast == 16);
    assert_true(c.model.rope_divisor[11] == 1 && c.model.rope_divisor[19] == 4);
    refuse(YARN(""), "'original_max_position_embeddings'");
    refuse(YARN(OLD ",\"mscale\":1.0"), "'mscale'");
    refuse(YARN(OLD ",\"truncate\":false"), "'truncate'");
    refuse(YARN(OLD ",\"attention_factor\":-1"), "'attention_factor'");
#undef HEAD
#define HEAD "1048576" // no model takes such heads: there is no room for their divisors
    struct hf_config wide = accept(YARN(OLD));
    for (size_t i = 0; i < MODEL_FREQUENCIES; i++) assert_true(wide.model.rope_divisor[i] == 0);
}

#define LONG(type, factors)                                                                        \
    "{" PHI3 ",\"max_position_embeddings\":131072," factors                                        \
    "\"partial_rotary_factor\":0.25,\"rope_scaling\":{\"type\":\"" type "\","                      \
    "\"short_factor\":[1.0,1.25],\"long_factor\":[2,30]"

static void longrope(void **state) {
    (void)state;
    struct hf_config c =
        accept(LONG("longrope", "\"original_max_position_embeddings\":4096,") "}}");
    assert_true(c.model.rope_divisor[0] == 1 && c.model.rope_divisor[1] == 1.25);
    assert_true(c.model.rope_divisor[2] == 0 && c.rope.longer[1] == 30 && c.rope.factor == 32);
    assert_int_equal(c.model.rope_dim, 4);
    assert_int_equal(c.model.max_positions, 4096); // a longer text turns otherwise from the start
    assert_true(fabs(c.model.rope_gain - 1.1902380714238083) < 1e-12);
    c = accept(LONG("su", "\"original_max_position_embeddings\":4096,") "}}"); // its old name
    assert_int_equal(c.rope.kind, SCALING_LONGROPE);
    c = accept(LONG("longrope", "") ",\"original_max_position_embeddings\":8192,"
                                    "\"attention_factor\":1.1}}");
    assert_true(c.model.rope_gain == 1.1 && c.model.max_positions == 8192);
    refuse(LONG("longrope", "") "}}", "'original_max_position_embeddings'");
    refuse("{" PHI3 ",\"original_max_position_embeddings\":64,\"partial_rotary_factor\":0.25,"
           "\"rope_scaling\":{\"type\":\"longrope\",\"short_factor\":[1,1],\"long_factor\":[2,2]}}",
           "'max_position_embeddings' is missing");
    refuse("{" PHI3 ",\"max_position_embeddings\":128,\"original_max_position_embeddings\":64,"
           "\"rope_scaling\":{\"type\":\"longrope\",\"short_factor\":[1],\"long_factor\":[2]}}",
           "'short_factor' in 'config.json' is not a list of 8 numbers");
    refuse("{" PHI3 ",\"max_position_embeddings\":128,\"original_max_position_embeddings\":64,"
           "\"partial_rotary_factor\":0.25,"
           "\"rope_scaling\":{\"type\":\"longrope\",\"short_factor\":[1,0],\"long_factor\":[2,2]}}",
           "not positive");
}

#define QWEN_WINDOW(n, first)                                                                      \
    "{" QWEN(n) ",\"use_sliding_window\":true,\"sliding_window\":64,\"max_window_layers\":" first  \
                "}"
#define MISTRAL_TYPES(types)                                                                       \
    "{" MISTRAL ",\"max_position_embeddings\":128,\"sliding_window\":64,\"layer_types\":[" types   \
    "]}"

static void window_of(const char *text, size_t window, size_t first, size_t period) {
    struct hf_config c = accept(text);
    assert_int_equal(c.model.window, window);
    assert_int_equal(c.model.window_first, first);
    assert_int_equal(c.model.window_period, period);
}

static void windows(void **state) {
    (void)state;
    window_of("{" MISTRAL ",\"max_position_embeddings\":32768,\"sliding_window\":1024}", 1024, 0,
              0);
    window_of("{" MISTRAL ",\"max_position_embeddings\":32768}", 4096, 0, 0);
    window_of("{" MISTRAL ",\"max_position_embeddings\":32768,\"sliding_window\":null}", 0, 0, 0);
    window_of("{" MISTRAL ",\"max_position_embeddings\":4096,\"sliding_window\":4096}", 0, 0, 0);
    window_of(QWEN_WINDOW("2", "1"), 64, 1, 0);
    window_of(QWEN_WINDOW("2", "0"), 64, 0, 0);
    window_of(QWEN_WINDOW("3", "2"), 0, 0, 0);
    window_of("{" QWEN("2") ",\"use_sliding_window\":true,\"sliding_window\":64}", 0, 0, 0);
    window_of("{" QWEN("3") ",\"use_sliding_window\":false,\"sliding_window\":64}", 0, 0, 0);
    window_of(MISTRAL_TYPES("\"sliding_attention\",\"full_attention\""), 64, 0, 2);
    window_of(MISTRAL_TYPES("\"full_attention\",\"sliding_attention\""), 64, 1, 0);
    window_of(MISTRAL_TYPES("\"full_attention\",\"full_attention\""), 0, 0, 0);
    refuse(MISTRAL_TYPES("\"full_attention\""), "one type for each layer");
    refuse(MISTRAL_TYPES("\"full_attention\",\"chunked_attention\""), "'chunked_attention'");
    refuse("{" MISTRAL ",\"max_position_embeddings\":128,\"sliding_window\":-1}", "sliding_window");
    refuse("{" QWEN("3") ",\"layer_types\":[\"full_attention\",\"sliding_attention\"],"
                         "\"sliding_window\":64}",
           "use_sliding_window is not true");
    refuse("{\"model_type\":\"mistral\",\"hidden_size\":64,\"intermediate_size\":96,"
           "\"num_hidden_layers\":5,\"num_attention_heads\":4,\"num_key_value_heads\":2,"
           "\"max_position_embeddings\":128,\"sliding_window\":64,\"layer_types\":["
           "\"sliding_attention\",\"full_attention\",\"full_attention\",\"sliding_attention\","
           "\"full_attention\"]}",
           "in an order not supported");
}

#define GEMMA                                                                                      \
    "\"model_type\":\"gemma3_text\",\"hidden_size\":64,\"intermediate_size\":96,"                  \
    "\"num_hidden_layers\":13,\"num_attention_heads\":4,\"num_key_value_heads\":1"

#define SLIDING "\"sliding_attention\""
#define FULL "\"full_attention\""
#define FIVE SLIDING "," SLIDING "," SLIDING "," SLIDING "," SLIDING

static void gemma(void **state) {
    (void)state;
    struct hf_config c = accept("{" GEMMA ",\"sliding_window\":512}");
    assert_true(c.model.window == 512 && c.model.window_first == 0 && c.model.window_period == 6);
    assert_true(c.model.norms == NORMS_AROUND && c.model.norm_plus_one && c.model.gelu);
    assert_true(c.model.embed_scale == 8 && c.model.score_size == 256 && c.model.head_dim == 256);
    assert_true(c.model.rope_theta == 1e6 && c.model.rope_local == 1e4 && c.model.tied);
    assert_true(model_window(&c.model, 5) == 0 && model_window(&c.model, 11) == 0 &&
                model_window(&c.model, 12) == 512 && c.model.max_positions == 131072);
    c = accept("{" GEMMA ",\"max_position_embeddings\":256,\"sliding_window\":512}");
    assert_true(c.model.window == 512); // its layers turn otherwise
    refuse("{" GEMMA ",\"final_logit_softcapping\":30.0}", "'final_logit_softcapping'");
    refuse("{" GEMMA ",\"attn_logit_softcapping\":50.0}", "'attn_logit_softcapping'");
    refuse("{" GEMMA ",\"hidden_activation\":\"gelu\"}", "'gelu'");
    refuse("{" GEMMA ",\"use_bidirectional_attention\":true}", "'use_bidirectional_attention'");
    refuse("{" LLAMA ",\"query_pre_attn_scalar\":256}", "'query_pre_attn_scalar'");
    refuse("{\"model_type\":\"gemma3\"}", "gemma3_text are");
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
    refuse("{" LLAMA ",\"auto_map\":{\"AutoConfig\":\"mine.Config\"}}", "'auto_map'");
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

// Keys and values as published, with the published numbers of parameters.
static const struct {
    const char *name, *text;
    size_t count, window, sliding; // sliding: layers that have a window
} models[] = {
    {"Mistral-7B-v0.1",
     "{\"architectures\":[\"MistralForCausalLM\"],\"bos_token_id\":1,\"eos_token_id\":2,"
     "\"hidden_act\":\"silu\",\"hidden_size\":4096,\"initializer_range\":0.02,"
     "\"intermediate_size\":14336,\"max_position_embeddings\":32768,\"model_type\":\"mistral\","
     "\"num_attention_heads\":32,\"num_hidden_layers\":32,\"num_key_value_heads\":8,"
     "\"rms_norm_eps\":1e-05,\"rope_theta\":10000.0,\"sliding_window\":4096,"
     "\"tie_word_embeddings\":false,\"torch_dtype\":\"bfloat16\",\"use_cache\":true,"
     "\"vocab_size\":32000}",
     7241732096, 4096, 32},
    {"OLMo-2-0425-1B",
     "{\"architectures\":[\"Olmo2ForCausalLM\"],\"attention_bias\":false,"
     "\"attention_dropout\":0.0,\"eos_token_id\":100257,\"hidden_act\":\"silu\","
     "\"hidden_size\":2048,\"initializer_range\":0.02,\"intermediate_size\":8192,"
     "\"max_position_embeddings\":4096,\"model_type\":\"olmo2\",\"num_attention_heads\":16,"
     "\"num_hidden_layers\":16,\"num_key_value_heads\":16,\"pad_token_id\":100277,"
     "\"rms_norm_eps\":1e-06,\"rope_scaling\":null,\"rope_theta\":500000,"
     "\"tie_word_embeddings\":false,\"torch_dtype\":\"bfloat16\",\"use_cache\":false,"
     "\"vocab_size\":100352}",
     1484916736, 0, 0},
    {"Phi-3-mini-4k-instruct",
     "{\"architectures\":[\"Phi3ForCausalLM\"],\"attention_bias\":false,"
     "\"attention_dropout\":0.0,\"auto_map\":{\"AutoConfig\":\"configuration_phi3.Phi3Config\"},"
     "\"bos_token_id\":1,\"embd_pdrop\":0.0,\"eos_token_id\":32000,\"hidden_act\":\"silu\","
     "\"hidden_size\":3072,\"initializer_range\":0.02,\"intermediate_size\":8192,"
     "\"max_position_embeddings\":4096,\"model_type\":\"phi3\",\"num_attention_heads\":32,"
     "\"num_hidden_layers\":32,\"num_key_value_heads\":32,"
     "\"original_max_position_embeddings\":4096,\"pad_token_id\":32000,\"resid_pdrop\":0.0,"
     "\"rms_norm_eps\":1e-05,\"rope_scaling\":null,\"rope_theta\":10000.0,"
     "\"sliding_window\":2047,\"tie_word_embeddings\":false,\"torch_dtype\":\"bfloat16\","
     "\"use_cache\":true,\"vocab_size\":32064}",
     3821079552, 2047, 32},
    {"phi-4",
     "{\"architectures\":[\"Phi3ForCausalLM\"],\"attention_bias\":false,"
     "\"attention_dropout\":0.0,\"bos_token_id\":100257,\"embd_pdrop\":0.0,"
     "\"eos_token_id\":100265,\"hidden_act\":\"silu\",\"hidden_size\":5120,"
     "\"intermediate_size\":17920,\"max_position_embeddings\":16384,\"model_type\":\"phi3\","
     "\"num_attention_heads\":40,\"num_hidden_layers\":40,\"num_key_value_heads\":10,"
     "\"original_max_position_embeddings\":16384,\"pad_token_id\":100349,\"resid_pdrop\":0.0,"
     "\"rms_norm_eps\":1e-05,\"rope_scaling\":null,\"rope_theta\":250000,"
     "\"sliding_window\":null,\"tie_word_embeddings\":false,\"vocab_size\":100352}",
     14659507200, 0, 0},
    {"Phi-4-mini-instruct, its factors made simple",
     "{\"architectures\":[\"Phi3ForCausalLM\"],\"attention_bias\":false,"
     "\"attention_dropout\":0.0,\"auto_map\":{\"AutoConfig\":\"configuration_phi3.Phi3Config\"},"
     "\"bos_token_id\":199999,\"embd_pdrop\":0.0,\"eos_token_id\":199999,"
     "\"full_attn_mod\":1,\"hidden_act\":\"silu\",\"hidden_size\":3072,"
     "\"initializer_range\":0.02,\"intermediate_size\":8192,\"interpolate_factor\":1,"
     "\"lm_head_bias\":false,\"max_position_embeddings\":131072,\"mlp_bias\":false,"
     "\"model_type\":\"phi3\",\"num_attention_heads\":24,\"num_hidden_layers\":32,"
     "\"num_key_value_heads\":8,\"original_max_position_embeddings\":4096,"
     "\"pad_token_id\":199999,\"partial_rotary_factor\":0.75,\"resid_pdrop\":0.0,"
     "\"rms_norm_eps\":1e-05,\"rope_scaling\":{\"long_factor\":[" TWELVE("1") "," TWELVE("2") "," TWELVE("9.5") "," TWELVE("32") "],\"short_factor\":[" TWELVE(
         "1.0") "," TWELVE("1.0") "," TWELVE("1.0") "," TWELVE("1.0") "],\"type\":\"longrope\"},"
                                                                      "\"rope_theta\":10000.0,"
                                                                      "\"sliding_window\":262144,"
                                                                      "\"tie_word_embeddings\":"
                                                                      "true,\"torch_dtype\":"
                                                                      "\"bfloat16\",\"use_cache\":"
                                                                      "true,"
                                                                      "\"vocab_size\":200064}",
     3836021760, 0, 0},
    {"gemma-3-1b-it",
     "{\"architectures\":[\"Gemma3ForCausalLM\"],\"attention_bias\":false,"
     "\"attention_dropout\":0.0,\"attn_logit_softcapping\":null,\"bos_token_id\":2,"
     "\"cache_implementation\":\"hybrid\",\"eos_token_id\":[1,106],"
     "\"final_logit_softcapping\":null,\"head_dim\":256,"
     "\"hidden_activation\":\"gelu_pytorch_tanh\",\"hidden_size\":1152,"
     "\"initializer_range\":0.02,\"intermediate_size\":6912,\"max_position_embeddings\":32768,"
     "\"model_type\":\"gemma3_text\",\"num_attention_heads\":4,\"num_hidden_layers\":26,"
     "\"num_key_value_heads\":1,\"pad_token_id\":0,\"query_pre_attn_scalar\":256,"
     "\"rms_norm_eps\":1e-06,\"rope_local_base_freq\":10000,\"rope_scaling\":null,"
     "\"rope_theta\":1000000,\"sliding_window\":512,\"sliding_window_pattern\":6,"
     "\"torch_dtype\":\"bfloat16\",\"use_cache\":true,\"vocab_size\":262144}",
     999885952, 512, 22},
    {"gemma-3-270m",
     "{\"_sliding_window_pattern\":6,\"architectures\":[\"Gemma3ForCausalLM\"],"
     "\"attention_bias\":false,\"attention_dropout\":0.0,\"attn_logit_softcapping\":null,"
     "\"bos_token_id\":2,\"eos_token_id\":1,\"final_logit_softcapping\":null,\"head_dim\":256,"
     "\"hidden_activation\":\"gelu_pytorch_tanh\",\"hidden_size\":640,"
     "\"intermediate_size\":2048,\"layer_types\":[" FIVE "," FULL "," FIVE "," FULL "," FIVE
     "," FULL "],\"max_position_embeddings\":32768,\"model_type\":\"gemma3_text\","
     "\"num_attention_heads\":4,\"num_hidden_layers\":18,\"num_key_value_heads\":1,"
     "\"pad_token_id\":0,\"query_pre_attn_scalar\":256,\"rms_norm_eps\":1e-06,"
     "\"rope_local_base_freq\":10000.0,\"rope_scaling\":null,\"rope_theta\":1000000.0,"
     "\"sliding_window\":512,\"use_bidirectional_attention\":false,\"use_cache\":true,"
     "\"vocab_size\":262144}",
     268098176, 512, 15},
};

static void published_texts(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        struct hf_config c = accept(models[i].text);
        struct model m;
        char why[200];
        size_t sliding = 0;
        assert_true(model_init(&m, &c.model, why, sizeof why));
        for (size_t l = 0; l < c.model.layers; l++) sliding += model_window(&c.model, l) != 0;
        assert_int_equal(model_count(&m), models[i].count);
        assert_int_equal(c.model.window, models[i].window);
        assert_int_equal(sliding, models[i].sliding);
        model_release(&m);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(families), cmocka_unit_test(rope),      cmocka_unit_test(windows),
        cmocka_unit_test(yarn),     cmocka_unit_test(longrope),  cmocka_unit_test(refusals),
        cmocka_unit_test(gemma),    cmocka_unit_test(published), cmocka_unit_test(published_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
