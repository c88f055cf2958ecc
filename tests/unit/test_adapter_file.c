// The kind adapter: a round trip, every damage refused, its own base alone, weights in memory once.
#include "formats/models/adapter_file.h"
#include "common/base/rng.h"
#include "common/engine/adapter.h"
#include "formats/models/model_shelf.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "tests/unit/scratch.h"

static const struct lineage origin = {.kind = "adapter", .stage = "sft", .options = "{\"seed\":1}"};

static struct model_file base_model(uint64_t seed) {
    struct model_config c = {.layers = 2,
                             .width = 8,
                             .heads = 2,
                             .kv_heads = 1,
                             .head_dim = 4,
                             .hidden = 6,
                             .vocab = 5,
                             .max_positions = 8,
                             .norm_eps = 1e-6,
                             .rope_theta = 10000,
                             .tied = true};
    struct model_file m = {.bos = 1, .eos = -1};
    char why[100];
    assert_true(model_init(&m.model, &c, why, sizeof why));
    model_alloc(&m.model);
    model_randomise(&m.model, seed);
    m.config_json = xstrdup("{\"torch_dtype\":\"bfloat16\"}");
    m.tokenizer_json = xstrdup("{}");
    return m;
}

static void put_adapter(struct model_file *m, uint64_t seed) {
    struct adapter_config c = {.rank = 3, .alpha = 7.5, .dropout = 0.1, .rank_stabilised = true};
    char why[100];
    assert_true(adapter_targets_parse("q,o,down", c.target));
    assert_true(adapter_attach(&m->model, &c, why, sizeof why));
    struct parameters p = model_trained(&m->model);
    for (size_t i = 0; i < p.n_tensors; i++)
        for (size_t j = 0; j < p.tensors[i].rows * p.tensors[i].cols; j++)
            p.values[p.tensors[i].offset + j] = (float)rng_normal(seed, RNG_TEST, i, j);
    m->reward_beta = 0.25;
    m->reversed = true;
}

struct files {
    char *base, *other, *adapter;
    struct model_file made; // the base with its adapter
};

static struct files make_files(void) {
    struct files s = {.base = scratch_path("base.h5"),
                      .other = scratch_path("other.h5"),
                      .adapter = scratch_path("a.h5")};
    struct fail f = {0};
    const struct lineage l = {.kind = "model", .stage = "import", .options = "{}"};
    struct model_file other = base_model(8), base = base_model(7);
    assert_true(model_file_save(s.base, &base, &l, &f));
    assert_true(model_file_save(s.other, &other, &l, &f));
    model_file_release(&base);
    model_file_release(&other);
    assert_true(model_file_load(s.base, &s.made, &f));
    put_adapter(&s.made, 1);
    assert_true(adapter_file_save(s.adapter, &s.made, s.made.content, &origin, &f));
    return s;
}

static void free_files(struct files *s) {
    model_file_release(&s->made);
    free(s->base);
    free(s->other);
    free(s->adapter);
}

static bool same_adapter(const struct adapter *a, const struct adapter *b) {
    return !memcmp(&a->config, &b->config, sizeof a->config) && a->scale == b->scale &&
           a->trained.n == b->trained.n &&
           !memcmp(a->trained.values, b->trained.values, a->trained.n * sizeof(float));
}

static void test_round_trip(void **state) {
    (void)state;
    struct files s = make_files();
    struct fail f = {0};
    struct model_file back;
    assert_true(model_file_load(s.base, &back, &f));
    assert_true(adapter_file_load(s.adapter, &back, &f));
    assert_true(same_adapter(s.made.model.adapter, back.model.adapter));
    assert_true(back.reward_beta == 0.25 && back.reversed);
    assert_string_equal(back.stage, "sft");
    assert_string_equal(back.options, origin.options);
    assert_string_equal(model_file_kind(&back), "adapter");
    assert_false(hash_equal(back.content, s.made.content));
    assert_string_equal(model_file_came_in(s.base), "bf16");
    assert_string_equal(model_file_came_in(s.adapter), "f32");
    char *again = scratch_path("again.h5");
    assert_true(adapter_file_save(again, &back, s.made.content, &origin, &f));
    assert_true(files_equal(s.adapter, again));
    free(again);
    model_file_release(&back);
    free_files(&s);
}

static void test_other_base(void **state) {
    (void)state;
    struct files s = make_files();
    struct fail f = {0};
    struct model_file back;
    char own[33], given[33];
    assert_true(model_file_load(s.other, &back, &f));
    hash_text(s.made.content, own);
    hash_text(back.content, given);
    assert_false(adapter_file_load(s.adapter, &back, &f));
    assert_int_equal(f.code, EXIT_BADDATA);
    assert_true(strstr(f.text, own) && strstr(f.text, given));
    model_file_release(&back);
    free_files(&s);
}

static void test_shelf(void **state) {
    (void)state;
    struct files s = make_files();
    struct fail f = {0};
    struct model_shelf shelf = {.base = s.other};
    struct model_file one, two, base;
    assert_false(model_shelf_load(&shelf, s.adapter, false, &one, &f));
    assert_non_null(strstr(f.text, "give its own base"));
    f = (struct fail){0};
    model_shelf_offer(&shelf, s.base);
    assert_true(model_shelf_load(&shelf, s.adapter, false, &one, &f));
    assert_true(model_shelf_load(&shelf, s.base, false, &base, &f));
    assert_true(one.model.params == base.model.params && one.model.adapter && !base.model.adapter);
    assert_true(model_shelf_load(&shelf, s.adapter, true, &two, &f)); // in bf16: weights of its own
    assert_true(two.model.half && !two.model.params);
    model_file_release(&base);
    model_shelf_trim(&shelf);
    model_shelf_release(&shelf);
    assert_true(same_adapter(one.model.adapter, two.model.adapter));
    assert_string_equal(one.tokenizer_json, "{}");
    model_file_release(&two);
    model_file_release(&one);
    free_files(&s);
}

// Every flip of a byte and every cut is refused, or changes nothing.
static void test_damage(void **state) {
    (void)state;
    struct files s = make_files();
    char *hurt = scratch_path("hurt.h5");
    struct fail f = {0};
    size_t n, found = 0;
    unsigned char *bytes = file_bytes(s.adapter, &n);
    for (size_t i = 0; i < 2 * n; i += 11) {
        struct model_file back;
        bool cut = i >= n;
        unsigned char was = bytes[i % n];
        bytes[i % n] ^= (unsigned char)(1u << i % 8);
        file_write(hurt, bytes, cut ? i - n : n);
        bytes[i % n] = was;
        f = (struct fail){0};
        assert_true(model_file_load(s.base, &back, &f));
        struct fail g = {0};
        bool fine = adapter_file_verify(hurt, &g);
        if (!adapter_file_load(hurt, &back, &f)) {
            assert_int_equal(f.code, EXIT_BADDATA);
            found++;
        } else {
            assert_false(cut);
            assert_true(fine);
            if (!same_adapter(s.made.model.adapter, back.model.adapter) || back.reward_beta != 0.25)
                fail_msg("a flip at byte %zu of %zu goes unseen", i, n);
        }
        model_file_release(&back);
    }
    assert_true(found > n / 33);
    free(bytes);
    free(hurt);
    free_files(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_other_base),
        cmocka_unit_test(test_shelf),
        cmocka_unit_test(test_damage),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
