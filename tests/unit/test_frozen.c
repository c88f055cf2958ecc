// Models held in bf16: every logit has the bits that a float32 model of the rounded weights gives,
// in a pass over sequences and in decoding; a file is read to the same bf16 model.
#include "common/engine/decoder.h"
#include "common/engine/linear.h"
#include "common/engine/net.h"
#include "common/base/parallel.h"
#include "common/base/rng.h"
#include "formats/models/model_file.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "tests/unit/scratch.h"

enum { V = 77, ROWS = 90 };

static struct model random_model(bool odd) {
    struct model_config c = {.layers = 2,
                             .width = 40,
                             .heads = 4,
                             .kv_heads = 2,
                             .head_dim = 10,
                             .hidden = 51,
                             .vocab = V,
                             .max_positions = 128,
                             .norm_eps = 1e-5,
                             .rope_theta = 10000,
                             .qkv_bias = odd,
                             .qk_norm = odd,
                             .tied = !odd};
    struct model m;
    char why[200];
    assert_true(model_init(&m, &c, why, sizeof why));
    model_alloc(&m);
    for (size_t i = 0; i < m.n_tensors; i++)
        for (size_t j = 0; j < m.tensors[i].rows * m.tensors[i].cols; j++)
            m.params[m.tensors[i].offset + j] =
                (float)(0.3 * rng_normal(1, RNG_TEST, i, j) + m.tensors[i].vector);
    return m;
}

// To the nearest number with 8 bits of mantissa, by arithmetic, not by bits: ties to even.
static float rounded(float x) {
    int e;
    double m = frexp((double)x, &e);
    return (float)ldexp(nearbyint(ldexp(m, 8)), e - 8);
}

static void round_matrices(struct model *m) {
    for (size_t i = 0; i < m->n_tensors; i++) {
        const struct tensor *t = &m->tensors[i];
        for (size_t j = 0; !t->vector && j < t->rows * t->cols; j++)
            m->params[t->offset + j] = rounded(m->params[t->offset + j]);
    }
}

static void logits_of(const struct model *m, float *logits) { // (ROWS - 1, V)
    struct net_limits limits = {.rows = ROWS, .positions = ROWS, .trees_tokens = ROWS};
    struct net *net = net_new(m, &limits);
    struct batch b = {0};
    int32_t ids[ROWS];
    uint8_t mask[ROWS];
    for (size_t i = 0; i < ROWS; i++) ids[i] = (int32_t)(rng_bits(2, RNG_TEST, 0, i) % V);
    memset(mask, 1, sizeof mask);
    batch_clear(&b);
    batch_begin_unit(&b);
    batch_sequence(&b, ids, mask, ROWS, 0, RESPONSE_ONLY);
    batch_end(&b);
    net_forward(net, &b);
    assert_int_equal(batch_chunks(&b), 1);
    net_logits(net, batch_chunk(&b, 0), logits);
    batch_release(&b);
    net_free(net);
}

static void decode(const struct model *m, float *logits) { // (8, V)
    struct decoder *d = decoder_new(m, 3, 64);
    int32_t ids[40];
    size_t slot[3] = {2, 0, 1};
    for (size_t i = 0; i < 40; i++) ids[i] = (int32_t)(rng_bits(3, RNG_TEST, 0, i) % V);
    for (size_t s = 0; s < 3; s++) decoder_start(d, s, ids + s, s * 16 + 1, logits + s * V);
    decoder_step(d, 3, slot, ids + 10, logits + 3 * V);
    decoder_step(d, 1, slot, ids + 20, logits + 6 * V);
    decoder_step(d, 1, slot + 1, ids + 30, logits + 7 * V);
    decoder_free(d);
}

static void same_bits_as_rounded(void **state) {
    (void)state;
    static float a[ROWS * V], b[ROWS * V];
    for (int odd = 0; odd < 2; odd++) {
        struct model whole = random_model(odd), half, copy;
        model_copy_bf16(&half, &whole);
        model_copy(&copy, &half);
        logits_of(&whole, a);
        logits_of(&half, b);
        assert_memory_not_equal(a, b, (ROWS - 1) * V * sizeof *a);
        round_matrices(&whole);
        for (int threads = 1; threads <= 3; threads++) {
            parallel_init(threads);
            logits_of(&whole, a);
            logits_of(&half, b);
            assert_memory_equal(a, b, (ROWS - 1) * V * sizeof *a);
            decode(&whole, a);
            decode(&copy, b);
            assert_memory_equal(a, b, 8 * V * sizeof *a);
        }
        assert_true(model_bytes(&half) * 2 < model_bytes(&whole) + 8 * 1024);
        model_release(&whole);
        model_release(&half);
        model_release(&copy);
    }
}

// A model whose weights are packed gives the bits that it gave before, and so do all that share
// them: embeddings too, of numbers that products in bf16 take for 0.
static void same_bits_packed(void **state) {
    (void)state;
    static float a[ROWS * V], b[ROWS * V], x[2][40];
    for (int how = 0; how < 16; how++) {
        bool odd = how & 1, small = how >= 8;
        struct model whole = random_model(odd), m, sharing;
        if (small) whole.params[whole.embed + 3] = 1e-20f;
        if (how & 2)
            model_copy_bf16(&m, &whole);
        else
            model_copy(&m, &whole);
        m.rounded = how & 4;
        logits_of(&m, a);
        decode(&m, b);
        model_embedding(&m, 0, x[0]);
        model_share(&sharing, &m);
        linear_pack(&m);
        linear_pack(&sharing); // nothing is left to do
        static float again[ROWS * V];
        for (int threads = 1; threads <= 3; threads++) {
            parallel_init(threads);
            logits_of(threads == 2 ? &sharing : &m, again);
            assert_memory_equal(a, again, (ROWS - 1) * V * sizeof *a);
            decode(threads == 2 ? &sharing : &m, again);
            assert_memory_equal(b, again, 8 * V * sizeof *a);
        }
        model_embedding(&m, 0, x[1]);
        assert_memory_equal(x[0], x[1], sizeof x[0]);
        assert_true(!small || x[1][3] != 0);
        model_release(&whole);
        model_release(&m);
        model_release(&sharing);
    }
}

static void rounds_to_nearest(void **state) {
    (void)state;
    struct model m, half;
    m = random_model(false);
    static const float hard[] = {1.00390625f, 1.01171875f, -1.00390625f, 1.0039064f, 0, -0.0f,
                                 3.3e38f,     1e-39f,      NAN,          INFINITY,   1, 257};
    size_t n = sizeof hard / sizeof *hard;
    memcpy(m.params + m.embed, hard, sizeof hard);
    model_copy_bf16(&half, &m);
    float row[40];
    model_embedding(&half, 0, row);
    for (size_t i = 0; i < n; i++) {
        if (i == 7) // subnormal: 8 bits are not there to keep
            assert_true(fabsf(row[i] - hard[i]) < 1e-40f);
        else if (isnan(hard[i]))
            assert_true(isnan(row[i]));
        else
            assert_true(row[i] == rounded(hard[i]) && signbit(row[i]) == signbit(hard[i]));
    }
    model_release(&m);
    model_release(&half);
}

static void reads_files(void **state) {
    (void)state;
    static const struct lineage origin = {.kind = "model", .stage = "import", .options = "{}"};
    char *path = scratch_path("m.h5");
    struct fail f = {0};
    struct model_file m = {.model = random_model(true), .bos = -1, .eos = -1}, back;
    struct model half;
    m.tokenizer_json = xstrdup("{}");
    assert_true(model_file_save(path, &m, &origin, &f));
    model_copy_bf16(&half, &m.model);
    assert_true(model_file_load_frozen(path, true, &back, &f));
    assert_true(!back.model.params && back.model.n_params == half.n_params);
    assert_memory_equal(back.model.half, half.half, model_bytes(&half));
    model_release(&half);
    model_file_release(&m);
    model_file_release(&back);
    free(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bits_as_rounded), cmocka_unit_test(same_bits_packed),
        cmocka_unit_test(rounds_to_nearest), cmocka_unit_test(reads_files)};
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
