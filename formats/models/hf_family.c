#include "formats/models/hf_family.h"
#include <string.h>

static const struct hf_family families[] = {
    {.name = "llama", .class_name = "Llama", .positions = 2048, .all_heads = true},
    {.name = "mistral", .class_name = "Mistral", .windows = true, .window = 4096},
    {.name = "qwen2", .class_name = "Qwen2", .config = {.qkv_bias = true}, .windows = true},
    {.name = "qwen3",
     .class_name = "Qwen3",
     .config = {.qk_norm = true},
     .head_dim = 128,
     .windows = true},
    {.name = "olmo2",
     .class_name = "Olmo2",
     .config = {.qk_norm = true, .qk_norm_whole = true, .norms = NORMS_AFTER},
     .positions = 2048,
     .all_heads = true,
     .norm_eps = 1e-5},
    {.name = "phi3",
     .class_name = "Phi3",
     .config = {.fused = true},
     .positions = 4096,
     .all_heads = true,
     .windows = true,
     .norm_eps = 1e-5,
     .partial = true,
     .keys = {"auto_map", "embd_pdrop", "full_attn_mod", "interpolate_factor", "lm_head_bias",
              "original_max_position_embeddings"}},
    {.name = "gemma3_text",
     .class_name = "Gemma3",
     .config = {.qk_norm = true, .norms = NORMS_AROUND, .norm_plus_one = true, .gelu = true},
     .positions = 131072,
     .head_dim = 256,
     .windows = true,
     .window = 4096,
     .rope_theta = 1e6,
     .tied = true,
     .gemma = true,
     .keys = {"_sliding_window_pattern", "cache_implementation", "hidden_activation",
              "query_pre_attn_scalar", "rope_local_base_freq", "sliding_window_pattern",
              "use_bidirectional_attention"}},
};

const struct hf_family *hf_family_find(const char *model_type) {
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (!strcmp(model_type, families[i].name)) return &families[i];
    return NULL;
}

const char *hf_family_names(void) {
    return "llama, mistral, qwen2, qwen3, olmo2, phi3 and gemma3_text";
}
