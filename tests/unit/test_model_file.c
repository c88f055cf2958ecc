#include "formats/models/model_file.h"
#include "formats/models/checkpoint.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include "tests/unit/scratch.h"

static const struct lineage origin = {
    .kind = "model", .stage = "import", .options = "{\"seed\":1}"};

static struct model_file small_model(void) {
    struct model_config c = {.layers = 1,
                             .width = 4,
                             .heads = 2,
                             .kv_heads = 1,
                             .head_dim = 2,
                             .hidden = 3,
                             .vocab = 5,
                             .max_positions = 8,
                             .norm_eps = 1e-6,
                             .rope_theta = 10000,
                             .tied = true,
                             .qkv_bias = true};
    struct model_file m = {.bos = 1, .eos = -1, .reward_beta = 0.1, .reversed = true};
    char why[100];
    assert_true(model_init(&m.model, &c, why, sizeof why));
    model_alloc(&m.model);
    model_randomise(&m.model, 7);
    m.config_json = xstrdup("{\"model_type\":\"llama\"}");
    m.tokenizer_json = xstrdup("{}");
    return m;
}

static bool same_model(const struct model_file *a, const struct model_file *b) {
    return memcmp(&a->model.config, &b->model.config, sizeof a->model.config) == 0 &&
           a->bos == b->bos && a->eos == b->eos && a->reward_beta == b->reward_beta &&
           a->reversed == b->reversed && strcmp(a->config_json, b->config_json) == 0 &&
           strcmp(a->tokenizer_json, b->tokenizer_json) == 0 && !b->chat_template &&
           memcmp(a->model.params, b->model.params, a->model.n_params * sizeof(float)) == 0;
}

static void test_round_trip(void **state) {
    (void)state;
    char *path = scratch_path("m.h5"), *again = scratch_path("n.h5");
    struct fail f = {0};
    struct model_file m = small_model(), back;
    assert_true(model_file_save(path, &m, &origin, &f));
    assert_true(model_file_load(path, &back, &f));
    assert_true(same_model(&m, &back));
    assert_string_equal(back.stage, "import");
    assert_string_equal(back.options, origin.options);
    assert_true(hash_equal(back.tokenizer, hash_bytes("{}", 2)));
    assert_true(model_file_save(again, &back, &origin, &f));
    assert_true(files_equal(path, again));
    model_file_release(&m);
    model_file_release(&back);
    free(path);
    free(again);
}

// A file whose matrices are bf16 is half as large, and is in every use the model of the rounded
// numbers: their content hash, their float32 weights, the same bits when it is run in bf16.
static void test_bf16(void **state) {
    (void)state;
    char *path = scratch_path("half.h5"), *plain = scratch_path("plain.h5");
    struct fail f = {0};
    struct model_file m = small_model(), back, same, frozen;
    struct tensor_source source = tensor_source_flat(m.model.params);
    struct lineage l = origin;
    source.bf16 = true;
    l.version = MODEL_FILE_BF16;
    assert_true(model_file_write(path, &m, &source, &l, &f));
    assert_true(model_file_load(path, &back, &f));
    for (size_t i = 0; i < m.model.n_tensors; i++) {
        const struct tensor *t = &m.model.tensors[i];
        for (size_t k = 0; k < t->rows * t->cols; k++) {
            uint32_t bits = (uint32_t)model_bf16(m.model.params[t->offset + k]) << 16;
            float want, got = back.model.params[t->offset + k];
            memcpy(&want, &bits, sizeof want);
            assert_true(got == (t->vector ? m.model.params[t->offset + k] : want));
        }
    }
    assert_true(model_file_save(plain, &back, &origin, &f));
    assert_true(model_file_load(plain, &same, &f));
    assert_true(hash_equal(same.content, back.content));
    assert_true(model_file_load_frozen(path, true, &frozen, &f));
    assert_int_equal(frozen.model.half[frozen.model.embed],
                     model_bf16(m.model.params[m.model.embed]));
    model_file_release(&m);
    model_file_release(&back);
    model_file_release(&same);
    model_file_release(&frozen);
    free(path);
    free(plain);
}

// Every flip of a byte and every cut is refused, or (in bytes that mean nothing) changes nothing.
static void test_damage(void **state) {
    (void)state;
    char *path = scratch_path("d.h5"), *hurt = scratch_path("hurt.h5");
    struct fail f = {0};
    struct model_file m = small_model();
    assert_true(model_file_save(path, &m, &origin, &f));
    size_t n, found = 0;
    unsigned char *bytes = file_bytes(path, &n);
    for (size_t i = 0; i < 2 * n; i += 13) {
        struct model_file back;
        bool cut = i >= n;
        unsigned char was = bytes[i % n];
        bytes[i % n] ^= (unsigned char)(1u << i % 8);
        file_write(hurt, bytes, cut ? i - n : n);
        bytes[i % n] = was;
        f = (struct fail){0};
        if (!model_file_load(hurt, &back, &f)) {
            assert_int_equal(f.code, EXIT_BADDATA);
            found++;
            continue;
        }
        assert_false(cut);
        if (!same_model(&m, &back)) fail_msg("a flip at byte %zu of %zu goes unseen", i, n);
        model_file_release(&back);
    }
    assert_true(found > n / 39);
    model_file_release(&m);
    free(bytes);
    free(path);
    free(hurt);
}

// A child process writes under a file-size limit: code 1, one line, the former file as it was.
static void test_no_space(void **state) {
    (void)state;
    char *path = scratch_path("full.h5"), *copy = scratch_path("copy.h5");
    struct fail f = {0};
    struct model_file m = small_model();
    assert_true(model_file_save(path, &m, &origin, &f));
    assert_true(model_file_save(copy, &m, &origin, &f));
    size_t entries = scratch_count();
    for (rlim_t limit = 100; limit < 6000; limit += 900) {
        pid_t child = fork();
        if (child == 0) {
            struct fail g = {0};
            setrlimit(RLIMIT_FSIZE, &(struct rlimit){limit, limit});
            m.model.params[0] = 99;
            _exit(model_file_save(path, &m, &origin, &g) ? 0 : g.code == EXIT_FAILED ? 1 : 9);
        }
        int status;
        waitpid(child, &status, 0);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 1);
        assert_true(files_equal(path, copy));
        assert_int_equal(scratch_count(), entries);
    }
    model_file_release(&m);
    free(path);
    free(copy);
}

static void test_wrong_weights(void **state) {
    (void)state;
    char *path = scratch_path("w.h5");
    struct fail f = {0};
    struct model_file m = small_model(), back;
    struct tensor *t = &m.model.tensors[1];
    strcpy(t->name, "model.layers.0.extra.weight");
    assert_true(model_file_save(path, &m, &origin, &f));
    assert_false(model_file_load(path, &back, &f));
    assert_non_null(strstr(f.text, "'model.layers.0.extra.weight'"));
    model_file_release(&m);
    free(path);
}

// What families beyond Llama's have comes back, and is part of the hash; what makes no sense is
// refused, and an absent attribute is its default.
static void test_later_fields(void **state) {
    (void)state;
    char *path = scratch_path("later.h5");
    struct fail f = {0};
    struct model_file m = small_model(), back;
    assert_true(model_file_save(path, &m, &origin, &f));
    assert_true(model_file_load(path, &back, &f));
    struct hash128 plain = back.content;
    model_file_release(&back);
    m.model.config.window = 5;
    m.model.config.window_first = m.model.config.window_period = 1;
    m.model.config.gelu = m.model.config.norm_plus_one = true;
    m.model.config.embed_scale = 2.5;
    m.model.config.score_size = 3;
    m.model.config.rope_local = 100;
    m.model.config.rope_dim = 2;
    m.model.config.rope_gain = 1.5;
    m.model.config.rope_divisor[0] = 3;
    assert_true(model_file_save(path, &m, &origin, &f));
    assert_true(model_file_load(path, &back, &f));
    assert_true(same_model(&m, &back));
    assert_false(hash_equal(back.content, plain));
    model_file_release(&back);
    m.model.config.rope_local = 101;
    struct hash128 other = back.content;
    assert_true(model_file_save(path, &m, &origin, &f));
    assert_true(model_file_load(path, &back, &f));
    assert_false(hash_equal(back.content, other));
    model_file_release(&back);
    m.model.config.rope_local = 100;
    m.model.config.rope_divisor[0] = 3.5;
    assert_true(model_file_save(path, &m, &origin, &f));
    assert_true(model_file_load(path, &back, &f));
    assert_false(hash_equal(back.content, other));
    model_file_release(&back);
    model_file_release(&m);
    free(path);
}

static void refuse_config(const struct model_config *c, const char *message) {
    char *path = scratch_path("bad.h5");
    struct fail f = {0};
    struct model_file m = small_model(), back;
    m.model.config = *c;
    assert_true(model_file_save(path, &m, &origin, &f));
    assert_false(model_file_load(path, &back, &f));
    assert_int_equal(f.code, EXIT_BADDATA);
    if (!strstr(f.text, message)) fail_msg("no '%s' in: %s", message, f.text);
    model_file_release(&m);
    free(path);
}

static void test_bad_fields(void **state) {
    (void)state;
    struct model_file m = small_model();
    struct model_config plain = m.model.config, c = plain;
    c.norms = NORMS_KINDS;
    refuse_config(&c, "place of its norms");
    c = plain;
    c.window_first = 1;
    refuse_config(&c, "sliding window's layers");
    c.window = 4;
    c.window_period = 2;
    refuse_config(&c, "sliding window's layers");
    c = plain;
    c.qk_norm_whole = true;
    refuse_config(&c, "over all heads");
    c = plain;
    c.rope_local = 0.5;
    refuse_config(&c, "out of range");
    c = plain;
    c.rope_dim = 1;
    refuse_config(&c, "part of a head that turns");
    c.rope_dim = 4;
    refuse_config(&c, "part of a head that turns");
    c = plain;
    c.rope_gain = NAN;
    refuse_config(&c, "out of range");
    c = plain;
    c.rope_divisor[0] = 1e12;
    refuse_config(&c, "out of range");
    c = plain;
    c.embed_scale = NAN;
    refuse_config(&c, "out of range");
    c = plain;
    c.score_size = -1;
    refuse_config(&c, "out of range");
    c = plain;
    c.fused = true; // the tensors are those of a model that is not
    refuse_config(&c, "the model does not use");
    model_file_release(&m);
}

// A file of the first version stays readable and keeps its hash, whatever fields have come since.
static void test_old_file(void **state) {
    (void)state;
    struct fail f = {0};
    struct model_file m = small_model(), old, back;
    char *path = scratch_path("old.h5");
    assert_true(model_file_load("tests/golden/model-version-1.h5", &old, &f));
    assert_true(same_model(&m, &old));
    assert_true(model_file_save(path, &old, &origin, &f));
    assert_true(model_file_load(path, &back, &f));
    assert_true(hash_equal(old.content, back.content));
    model_file_release(&m);
    model_file_release(&old);
    model_file_release(&back);
    free(path);
}

static void test_checkpoint(void **state) {
    (void)state;
    char *path = scratch_path("out.ckpt");
    struct fail f = {0};
    float p[3] = {1, 2, 3}, m[3] = {4, 5, 6}, v[3] = {7, 8, 9}, p2[3], m2[3], v2[3];
    struct checkpoint c = {
        .step = 12, .n_params = 3, .params = p, .m = m, .v = v, .kernels = "avx2"};
    struct checkpoint back = {.n_params = 3, .params = p2, .m = m2, .v = v2};
    bool found = true;
    assert_true(checkpoint_load(path, &origin, &back, &found, &f));
    assert_false(found);
    str_puts(&c.extra, "{\"best\":1}");
    assert_true(checkpoint_save(path, &origin, &c, &f));
    assert_true(checkpoint_load(path, &origin, &back, &found, &f) && found);
    assert_int_equal(back.step, 12);
    assert_memory_equal(v2, v, sizeof v);
    assert_string_equal(back.extra.text, "{\"best\":1}");
    assert_string_equal(back.kernels, "avx2");
    struct lineage other = origin;
    other.options = "{\"seed\":2}";
    assert_false(checkpoint_load(path, &other, &back, &found, &f));
    assert_int_equal(f.code, EXIT_FAILED);
    assert_non_null(strstr(f.text, "option 'seed' was 1 and is 2"));
    size_t n;
    unsigned char *bytes = file_bytes(path, &n);
    for (size_t i = 0; i < n; i += 5) {
        bytes[i] ^= 4;
        file_write(path, bytes, n);
        bytes[i] ^= 4;
        f = (struct fail){0};
        if (!checkpoint_load(path, &origin, &back, &found, &f)) continue;
        assert_memory_equal(p2, p, sizeof p);
        assert_int_equal(back.step, 12);
    }
    free(bytes);
    str_release(&c.extra);
    str_release(&back.extra);
    free(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),    cmocka_unit_test(test_bf16),
        cmocka_unit_test(test_damage),        cmocka_unit_test(test_no_space),
        cmocka_unit_test(test_wrong_weights), cmocka_unit_test(test_checkpoint),
        cmocka_unit_test(test_old_file),      cmocka_unit_test(test_later_fields),
        cmocka_unit_test(test_bad_fields),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
