#include "common/base/parallel.h"
#include "formats/models/hf_export.h"
#include "formats/models/huggingface.h"
#include "formats/bytes/slurp.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "tests/unit/scratch.h"

static int make_folder(void **state) {
    parallel_init(2);
    return scratch_open(state);
}

static const char tokenizer[] =
    "{\"version\":\"1.0\",\"added_tokens\":[{\"id\":3,\"content\":\"</s>\",\"special\":true,"
    "\"single_word\":false,\"lstrip\":false,\"rstrip\":false,\"normalized\":false}],"
    "\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,"
    "\"trim_offsets\":true,\"use_regex\":true},\"post_processor\":null,"
    "\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,"
    "\"ab\":2,\"</s>\":3},\"merges\":[\"a b\"]}}";

static char *write_text(const char *where, const char *name, const char *text) {
    char *path = xasprintf("%s/%s", where, name);
    FILE *file = fopen(path, "w");
    fputs(text, file);
    fclose(file);
    return path;
}

static void check(const struct fail *f) {
    if (f->code) print_message("%s\n", f->text);
    assert_int_equal(f->code, 0);
}

// A random model of each family, out and in again: the same numbers, in one file and in several.
static void round_trip(const char *family, const char *more, size_t shard_bytes) {
    char *text = xasprintf("{\"model_type\":\"%s\",\"hidden_size\":16,\"intermediate_size\":24,"
                           "\"num_hidden_layers\":2,\"num_attention_heads\":4,\"head_dim\":8,"
                           "\"num_key_value_heads\":2,\"max_position_embeddings\":32%s}",
                           family, more);
    char *config = write_text(scratch, "c.json", text),
         *tok = write_text(scratch, "t.json", tokenizer);
    char *to = xasprintf("%s/out", scratch);
    struct fail f = {0};
    struct model_file m, back;
    huggingface_init(config, tok, &m, &f);
    huggingface_special(&m, NULL, NULL, &f);
    check(&f);
    assert_int_equal(m.eos, 3);
    model_alloc(&m.model);
    model_randomise(&m.model, 5);
    struct lineage l = {.options = text};
    struct artefact from = {.stage = "import", .created_by = "test"};
    struct hf_export x = {to, SAFE_F32, shard_bytes, &l};
    assert_false(hf_export_current(&x, false, &f));
    assert_true(hf_export_write(&x, &m, &from, &f));
    assert_true(hf_export_current(&x, false, &f));
    huggingface_load(to, NULL, &back, &f);
    huggingface_weights(to, &back.model, &f);
    check(&f);
    assert_int_equal(back.model.n_params, m.model.n_params);
    assert_memory_equal(back.model.params, m.model.params, m.model.n_params * sizeof(float));
    assert_int_equal(back.eos, 3);
    assert_string_equal(back.tokenizer_json, m.tokenizer_json);
    model_file_release(&m);
    model_file_release(&back);
    free(text);
    free(config);
    free(tok);
    free(to);
}

static void families(void **state) {
    (void)state;
    round_trip("llama", ",\"tie_word_embeddings\":true", 1 << 30);
    round_trip("llama", "", 4000);
    round_trip("mistral", ",\"sliding_window\":null", 1 << 30);
    round_trip("qwen2", ",\"tie_word_embeddings\":true", 1);
    round_trip("qwen3", "", 1 << 30);
}

static void refuses_foreign_folders(void **state) {
    (void)state;
    struct fail f = {0};
    struct lineage l = {.options = "{}"};
    struct artefact from = {0};
    struct model_file m = {0};
    char *to = xasprintf("%s/mine", scratch);
    mkdir(to, 0777);
    free(write_text(to, "diary.txt", "dear"));
    struct hf_export x = {to, SAFE_F32, 1 << 30, &l};
    assert_false(hf_export_write(&x, &m, &from, &f));
    assert_non_null(strstr(f.text, "no export of ours"));
    size_t n;
    struct fail g = {0};
    char *path = xasprintf("%s/diary.txt", to), *text = slurp(path, 100, &n, &g);
    assert_string_equal(text, "dear");
    free(text);
    free(path);
    free(to);
}

// Where the real checkpoint is: every tensor comes back byte for byte in its own type.
static void compare_real(const char *from, const char *tok, enum safe_type type) {
    char *to = xasprintf("%s/real", scratch);
    struct fail f = {0};
    struct model_file m;
    struct lineage l = {.options = "{}"};
    struct artefact a = {0};
    struct hf_export x = {to, type, 1 << 30, &l};
    struct safetensors s, t;
    huggingface_load(from, tok, &m, &f);
    huggingface_weights(from, &m.model, &f);
    hf_export_write(&x, &m, &a, &f);
    safetensors_open(&s, from, &f);
    safetensors_open(&t, to, &f);
    check(&f);
    assert_int_equal(s.n, t.n);
    for (size_t i = 0; i < s.n; i++) {
        const char *name = s.tensors[i].name;
        const struct safe_tensor *other = safetensors_find(
            &t, strcmp(name, "lm_head.weight") ? name : "model.embed_tokens.weight");
        assert_non_null(other);
        assert_int_equal(other->bytes, s.tensors[i].bytes);
        assert_int_equal(other->type, s.tensors[i].type);
        assert_true(safetensors_same(other, &s.tensors[i], &f));
    }
    safetensors_close(&s);
    safetensors_close(&t);
    model_file_release(&m);
    free(to);
}

static void real_checkpoint(void **state) {
    (void)state;
#define MODELS "../shared/data/models/"
    if (access(MODELS, F_OK)) {
        print_message("SKIP: no ../shared\n");
        skip();
    }
    compare_real(MODELS "TinyStories-656K", NULL, SAFE_F32);
    compare_real(MODELS "TinyStories-656K-bf16",
                 MODELS "TinyStories-656K-bf16/author_tokenizer.json", SAFE_BF16);
}

static void ties(void **state) {
    (void)state;
    char *config = write_text(scratch, "config.json",
                              "{\"model_type\":\"llama\",\"hidden_size\":4,\"intermediate_size\":4,"
                              "\"num_hidden_layers\":1,\"num_attention_heads\":2,"
                              "\"tie_word_embeddings\":true}");
    char *tok = write_text(scratch, "tokenizer.json", tokenizer);
    char *path = xasprintf("%s/model.safetensors", scratch);
    struct fail f = {0};
    struct model_file m;
    huggingface_load(scratch, NULL, &m, &f);
    check(&f);
    float numbers[64] = {0}, other[64] = {1};
    struct safe_source s[16] = {{"lm_head.weight", 2, {4, 4}, numbers}};
    size_t n = 1;
    for (size_t i = 1; i < m.model.n_tensors; i++) {
        const struct tensor *t = &m.model.tensors[i];
        s[n++] = (struct safe_source){
            t->name, t->vector ? 1 : 2, {t->vector ? t->cols : t->rows, t->cols}, numbers};
    }
    assert_true(safetensors_write(path, SAFE_F32, n, s, &f));
    assert_true(huggingface_weights(scratch, &m.model, &f));
    s[n++] = (struct safe_source){"model.embed_tokens.weight", 2, {4, 4}, other};
    assert_true(safetensors_write(path, SAFE_F32, n, s, &f));
    struct parents p = {0};
    assert_false(huggingface_check(scratch, &m.model, &p, &f));
    assert_non_null(strstr(f.text, "differ"));
    f = (struct fail){0};
    s[n - 1].data = numbers;
    s[0].name = "model.surplus.weight";
    s[1].shape[0] = 5;
    assert_true(safetensors_write(path, SAFE_F32, n, s, &f));
    assert_false(huggingface_check(scratch, &m.model, &p, &f));
    assert_non_null(strstr(f.text, "surplus 'model.surplus.weight' (4, 4)"));
    assert_non_null(strstr(f.text, "misshapen '"));
    numbers[3] = 0.0f / 0.0f;
    s[0].name = "lm_head.weight";
    s[1].shape[0] = 4;
    f = (struct fail){0};
    assert_true(safetensors_write(path, SAFE_F32, n - 1, s, &f));
    assert_false(huggingface_weights(scratch, &m.model, &f));
    assert_non_null(strstr(f.text, "NaN"));
    model_file_release(&m);
    parents_release(&p);
    free(config);
    free(tok);
    free(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(families),
        cmocka_unit_test(refuses_foreign_folders),
        cmocka_unit_test(real_checkpoint),
        cmocka_unit_test(ties),
    };
    return cmocka_run_group_tests(tests, make_folder, scratch_close);
}
