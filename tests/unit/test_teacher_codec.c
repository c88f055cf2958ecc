#include "formats/teachers/teacher_set.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "common/base/rng.h"
#include <math.h>
#include "tests/unit/scratch.h"

enum { VOCAB = 300, ROWS = 7, TOKENS = 12, MOST = 40, END = 11 };
static const int all_bits[] = {32, 16, 12, 8, 6};

static bool near(double a, double b, double tolerance) {
    return fabs(a - b) <= tolerance;
}

static void test_levels(void **state) { // the stated worst case, over the whole range
    (void)state;
    for (int b = 1; b < 5; b++) {
        struct teacher_codec c;
        assert_true(teacher_codec_init(&c, all_bits[b], VOCAB, 0, NULL, 0, NULL));
        assert_true(c.levels <= (size_t)1 << c.bits && c.level[0] == 0);
        double worst = 0;
        for (double x = 0; x < 2000; x += x < 70 ? 0.0007 : 0.07) {
            uint32_t k = teacher_codec_level(&c, (float)-x);
            assert_true(k < c.levels);
            double off = fabs((double)c.level[k] + x), limit = teacher_codec_error(&c, (float)-x);
            assert_true(off <= limit + 1e-5 + 1e-7 * x);
            worst = fmax(worst, off / limit);
        }
        assert_true(worst > 0.9); // the statement is not idle
        double last = -(double)c.level[c.levels - 1];
        assert_true(last >= 2000 && teacher_codec_level(&c, -3000) == c.levels - 1);
        assert_true(near(teacher_codec_error(&c, -3000), 3000 - last, 1e-3)); // no level is nearer
        assert_int_equal(teacher_codec_level(&c, -INFINITY), c.levels - 1);
        assert_int_equal(teacher_codec_level(&c, 0), 0);
        teacher_codec_release(&c);
    }
    assert_false(teacher_codec_bits(7));
}

static void test_numbers(void **state) {
    (void)state;
    struct teacher_codec c;
    const int32_t common[] = {7, 2}, twice[] = {3, 3}, outside[] = {VOCAB};
    assert_true(teacher_codec_init(&c, 8, VOCAB, 2, common, 0, NULL));
    assert_int_equal(c.token[0], 7);
    assert_int_equal(c.token[1], 2);
    assert_int_equal(c.token[2], 0);
    assert_int_equal(c.token[4], 3);
    for (int32_t v = 0; v < VOCAB; v++) assert_int_equal(c.token[c.number[v]], v);
    assert_true(teacher_codec_number(&c, CODE_TAIL, -1e-9) == 1); // Q stays below 1
    teacher_codec_release(&c);
    assert_false(teacher_codec_init(&c, 8, VOCAB, 2, twice, 0, NULL));
    teacher_codec_release(&c);
    assert_false(teacher_codec_init(&c, 8, VOCAB, 1, outside, 0, NULL));
    teacher_codec_release(&c);
    const float rising[] = {0, -1, -0.5f};
    assert_false(teacher_codec_init(&c, 8, VOCAB, 0, NULL, 3, rising));
    teacher_codec_release(&c);
    const int32_t ids[] = {5, 9, 9, 1, 5, 9, 0};
    size_t n;
    int32_t *got = teacher_codec_common(ids, 7, 12, -1, &n);
    assert_int_equal(n, 4);
    assert_memory_equal(got, ((int32_t[]){9, 5, 0, 1}), 4 * sizeof *got);
    free(got);
    got = teacher_codec_common(ids, 7, 12, 1, &n); // the token of all supports first, seen or not
    assert_memory_equal(got, ((int32_t[]){1, 9, 5, 0}), 4 * sizeof *got);
    free(got);
    got = teacher_codec_common(ids, 7, 12, 11, &n);
    assert_true(n == 5 && got[0] == 11);
    free(got);
}

static void test_brief(void **state) { // TVD by its logarithm, to 0; version 2 has it as it is
    (void)state;
    struct teacher_codec c;
    assert_true(teacher_codec_init(&c, 8, VOCAB, 0, NULL, 0, NULL));
    for (int brief = 0; brief < 2; brief++) {
        teacher_codec_version(&c, 2 + brief, true, 5);
        assert_true(c.brief == brief && !c.apart && c.end < 0);
        assert_int_equal(teacher_codec_planes(&c, CODE_REALISED), 0);
        assert_int_equal(teacher_codec_planes(&c, CODE_TVD), brief ? 1 : 2);
        assert_true(teacher_codec_value(&c, CODE_TVD, teacher_codec_number(&c, CODE_TVD, 0)) == 0);
        assert_true(teacher_codec_value(&c, CODE_TVD, teacher_codec_number(&c, CODE_TVD, 1)) == 1);
        for (double x = 1e-6; x < 1; x *= 1.013) {
            double y = teacher_codec_value(&c, CODE_TVD, teacher_codec_number(&c, CODE_TVD, x));
            assert_true(fabs(y - x) <= (brief ? 0.032 * x : 1. / 131070 + 1e-9));
        }
        for (double x = 0; x < 15.9; x += 0.01) {
            double y =
                teacher_codec_value(&c, CODE_ENTROPY, teacher_codec_number(&c, CODE_ENTROPY, x));
            assert_true(fabs(y - x) <= (brief ? 1. / 32 : 1. / 512) + 1e-9);
        }
    }
    teacher_codec_version(&c, 3, false, 5);
    assert_false(c.brief || c.apart);
    c.bits = 16;
    teacher_codec_version(&c, 3, true, 5);
    assert_false(c.brief);
    teacher_codec_release(&c);
}

// What is apart: the tail is the middle of two levels, never 1; entropy may be less than nothing.
static void test_apart(void **state) {
    (void)state;
    for (int b = 1; b < 5; b++) {
        struct teacher_codec c;
        assert_true(teacher_codec_init(&c, all_bits[b], VOCAB, 0, NULL, 0, NULL));
        teacher_codec_version(&c, 4, true, 5);
        assert_true(c.apart && c.end == 5);
        assert_int_equal(teacher_codec_planes(&c, CODE_END), teacher_codec_planes(&c, CODE_LEVEL));
        for (double x = 1e-7; x < 69.07; x *= 1.001) {
            uint32_t k = teacher_codec_number(&c, CODE_TAIL, -x);
            double y = teacher_codec_value(&c, CODE_TAIL, k);
            assert_true(k < c.levels && y < 0);
            assert_true(fabs(y + x) <= teacher_codec_error(&c, (float)-x) + 1e-5);
        }
        assert_true(isnan(teacher_codec_value(&c, CODE_TAIL, (uint32_t)c.levels)));
        for (double x = -1; x < 14.9; x += 0.01) {
            uint32_t k = teacher_codec_number(&c, CODE_ENTROPY, x);
            assert_true(fabs(teacher_codec_value(&c, CODE_ENTROPY, k) - x) <= 1. / 32 + 1e-9);
        }
        const uint32_t level[] = {teacher_codec_level(&c, -1), teacher_codec_level(&c, -2),
                                  teacher_codec_level(&c, -4.5f)};
        float decoded[3];
        double tail = teacher_codec_value(&c, CODE_TAIL, teacher_codec_number(&c, CODE_TAIL, -0.7));
        teacher_codec_decode(&c, level, 3, tail, decoded);
        assert_true(fabs(teacher_codec_entropy(&c, level, 3, -0.7) -
                         teacher_entropy_kept(decoded, 3, tail)) < 1e-6);
        teacher_codec_version(&c, 4, true, -1);
        assert_int_equal(teacher_codec_planes(&c, CODE_END), 0);
        teacher_codec_release(&c);
    }
}

struct made {
    int32_t ids[TOKENS], support[TOKENS][MOST];
    uint8_t mask[TOKENS];
    float logp[TOKENS][MOST], entropy[TOKENS];
    struct teacher_position position[TOKENS];
};

static struct teacher_row make_row(size_t row, struct made *m) {
    struct teacher_row r = {.n = TOKENS,
                            .prompt_length = 1,
                            .ids = m->ids,
                            .mask = m->mask,
                            .position = m->position,
                            .entropy = m->entropy};
    for (size_t i = 0; i < TOKENS; i++) {
        m->ids[i] = (int32_t)(rng_bits(1, RNG_TEST, row, i) % VOCAB);
        m->mask[i] = 1; // the first one does not count
        if (!i) continue;
        size_t p = r.positions++, n = 1 + rng_bits(2, RNG_TEST, row, i) % (MOST - 1);
        bool ends = false;
        double mass[MOST], sum = 0, tail = 0.4 * rng_uniform(3, RNG_TEST, row, i);
        for (size_t k = 0; k < n; k++) {
            m->support[p][k] = (int32_t)(((size_t)m->ids[i] + 7 * k) % VOCAB);
            ends = ends || m->support[p][k] == END;
            mass[k] = exp(-20 * rng_uniform(4, RNG_TEST, row, i * MOST + k));
            sum += mass[k];
        }
        if (!ends) {
            m->support[p][n] = END;
            sum += mass[n++] = 1e-6;
        }
        for (size_t k = 0; k < n; k++) m->logp[p][k] = (float)log(mass[k] * (1 - tail) / sum);
        double tvd = rng_uniform(5, RNG_TEST, row, i);
        m->position[p] =
            (struct teacher_position){(uint32_t)n,
                                      m->support[p],
                                      m->logp[p],
                                      (float)log(tail > 1e-30 ? tail : 1e-30),
                                      p ? (float)log(tail > 1e-30 ? tail / 2 : 1e-30) : 0,
                                      (float)(2 * (1 - tvd) + 1e-3),
                                      (float)tvd,
                                      m->logp[p][0]};
        double kept = teacher_entropy_kept(m->logp[p], n, (double)m->position[p].log_tail);
        m->entropy[p] = (float)(kept + 9 * tvd); // of p*, never less
    }
    return r;
}

static void check_position(const struct teacher_position *a, const struct teacher_position *b,
                           const struct teacher_codec *c) {
    double sum = 0, limit = 1e-5;
    assert_int_equal(a->n, b->n);
    for (uint32_t k = 0; k < b->n; k++)
        limit =
            fmax(limit, 2 * teacher_codec_error(c, b->logp[k])); // twice: the scale is off as well
    for (uint32_t i = 0; i < a->n; i++) {
        uint32_t k = 0;
        while (k < b->n && b->ids[k] != a->ids[i]) k++;
        assert_true(k < b->n);
        assert_true(fabs((double)(a->logp[i] - b->logp[k])) <=
                    limit + teacher_codec_error(c, 0)); // and 1 - Q
        sum += exp((double)a->logp[i]);
    }
    assert_true(fabs(sum + exp((double)a->log_tail) - 1) < 1e-5); // renormalised to 1 - Q
    double step = teacher_codec_error(c, b->log_tail);
    assert_true(fabs((double)(a->log_tail - b->log_tail)) <= step + 1e-5);
    assert_true(b->log_most < 0 ? fabs((double)(a->log_most - b->log_most)) <=
                                      teacher_codec_error(c, b->log_most) + 1e-5
                                : !a->log_most); // not known
    double tvd = c->bits > 12 ? 1e-5 : 0.032 * (double)b->tvd + 1e-6;
    assert_true(fabs((double)(a->tvd - b->tvd)) <= tvd &&
                fabs((double)(a->alpha - b->alpha)) <= 2 * tvd);
}

static void round_trip(int bits, const char *rule) {
    char *path = scratch_path("t.h5");
    struct fail f = {0};
    struct lineage l = {.kind = "teacher", .stage = "teacher-dump", .options = "{}"};
    struct teacher_info info = {.vocab = VOCAB,
                                .max_length = TOKENS,
                                .recipe = "",
                                .rule = rule,
                                .bits = bits,
                                .eos = bits == 6 ? -1 : END,
                                .n_common = 2,
                                .common = (int32_t[]){9, 4}};
    struct columns_plan plan = {.rows_total = ROWS};
    struct teacher_writer *w = teacher_writer_open(path, &l, &info, &plan, &f);
    struct made m;
    for (size_t i = 0; i < ROWS; i++) {
        struct teacher_row r = make_row(i, &m);
        assert_true(teacher_write(w, &r));
    }
    if (!teacher_writer_commit(w, NULL)) fail_msg("%s", f.text);
    struct teacher_set *s = teacher_set_open(1, (const char *[]){path}, &f);
    if (!s) fail_msg("%s", f.text);
    assert_int_equal(teacher_set_info(s)->bits, bits);
    struct teacher_codec c;
    assert_true(teacher_codec_init(&c, bits, VOCAB, 0, NULL, 0, NULL));
    for (size_t i = 0; i < ROWS; i++) {
        struct teacher_row want = make_row(i, &m), got;
        if (!teacher_set_row(s, i, &got)) fail_msg("%s", f.text);
        assert_int_equal(got.positions, want.positions);
        for (size_t p = 0; p < want.positions; p++) {
            check_position(&got.position[p], &want.position[p], &c);
            uint32_t k = 0;
            while (got.position[p].ids[k] != got.ids[p + 1]) k++;
            assert_true(got.position[p].realised == got.position[p].logp[k]);
            assert_true(fabs((double)(got.entropy[p] - want.entropy[p])) <=
                        (bits == 32 ? 0 : 1. / 32) + 1e-6);
        }
    }
    teacher_codec_release(&c);
    teacher_set_close(s);
    free(path);
}

static void test_round_trips(void **state) {
    (void)state;
    for (int b = 0; b < 5; b++) {
        round_trip(all_bits[b], "{\"alpha\": \"damped:2\"}"); // alpha from tvd
        round_trip(all_bits[b], "{}");                        // alpha stored
        round_trip(all_bits[b], "{\"alpha\": \"kl:2\"}");     // as it is of this rule
    }
}

// A support that lacks what every one holds is no teacher's.
static void test_lacking(void **state) {
    (void)state;
    char *path = scratch_path("lacking.h5");
    for (int what = 0; what < 3; what++) {
        struct fail f = {0};
        struct lineage l = {.kind = "teacher", .stage = "teacher-dump", .options = "{}"};
        struct teacher_info info = {.vocab = VOCAB,
                                    .max_length = TOKENS,
                                    .recipe = "",
                                    .rule = "{}",
                                    .bits = 8,
                                    .eos = what ? END : -1};
        struct columns_plan plan = {.rows_total = 1};
        struct teacher_writer *w = teacher_writer_open(path, &l, &info, &plan, &f);
        struct made m;
        struct teacher_row r = make_row(0, &m);
        for (uint32_t k = 0; what && k < m.position[3].n; k++)
            if (m.support[3][k] == (what == 1 ? END : m.ids[4]))
                m.support[3][k] = (END + 150) % VOCAB;
        assert_true(teacher_write(w, &r) == !what);
        if (what) assert_non_null(strstr(f.text, what == 1 ? "end of sequence" : "stands there"));
        teacher_writer_abandon(w, false);
    }
    free(path);
}

// The file, but for one byte of a column of bytes.
static void with_byte(const char *from, const char *to, const char *column, size_t at, uint8_t x) {
    struct fail f = {0};
    struct columns_reader *r = columns_open(from, "teacher", &f);
    struct columns_extras e;
    struct lineage l = {.kind = "teacher", .stage = "test", .options = "{}"};
    struct columns_plan plan = {.rows_total = columns_part(r).rows};
    size_t n, count;
    const struct column *columns = columns_list(r, &n);
    assert_true(columns_extras(r, &e));
    struct columns_writer *w =
        columns_create(to, &l, n, columns, e.n_attrs, e.attrs, e.n_blobs, e.blobs, &plan, &f);
    for (size_t c = 0; c < n; c++) {
        uint8_t *bytes = columns_read_all(r, columns[c].name, &count);
        if (!strcmp(columns[c].name, column)) bytes[at] = x;
        columns_append(w, c, bytes, count);
        free(bytes);
    }
    for (size_t row = 0; row < plan.rows_total; row++) columns_end_row(w);
    if (!columns_commit(w, NULL)) fail_msg("%s", f.text);
    columns_free_extras(&e);
    columns_close(r);
}

// Whether the file is refused; what is not refused has each token once.
static bool refused(const char *path) {
    struct fail f = {0};
    struct teacher_shard t;
    struct columns_reader *r = columns_open(path, "teacher", &f);
    bool ok = teacher_shard_load(&t, r, &f);
    if (!ok) assert_int_equal(f.code, EXIT_BADDATA);
    for (size_t i = 0; ok && i < t.position_first[t.rows]; i++)
        for (uint32_t k = 0; k < t.position[i].n; k++)
            for (uint32_t j = 0; j < k; j++)
                assert_int_not_equal(t.position[i].ids[j], t.position[i].ids[k]);
    if (ok) teacher_shard_release(&t);
    columns_close(r);
    return !ok;
}

// Wrong numbers under right checksums: levels that are none, a token that is apart among the
// others.
static void test_foreign(void **state) {
    (void)state;
    char *path = scratch_path("t.h5"), *other = scratch_path("other.h5");
    round_trip(8, "{}"); // leaves t.h5
    static const char *const levels[] = {"level_low", "realised_low", "end_low", "tail_low"};
    struct teacher_codec c;
    assert_true(teacher_codec_init(&c, 8, VOCAB, 0, NULL, 0, NULL));
    assert_true(c.levels < 256);
    for (size_t i = 0; i < 4; i++) {
        with_byte(path, other, levels[i], 5, (uint8_t)(c.levels - 1));
        assert_false(refused(other));
        with_byte(path, other, levels[i], 5, (uint8_t)c.levels);
        assert_true(refused(other));
    }
    teacher_codec_release(&c);
    size_t bad = 0;
    for (int x = 0; x < 64; x++) {
        with_byte(path, other, "support_low", 0, (uint8_t)x);
        bad += refused(other);
    }
    assert_true(bad > 0 && bad < 64);
    free(path);
    free(other);
}

static void test_rules(void **state) {
    (void)state;
    struct teacher_rule r;
    assert_true(teacher_rule_alpha("{\"alpha\": \"tvd:20\"}", &r));
    assert_true(r.alpha == ALPHA_TVD && r.strength == 20);
    assert_true(teacher_rule_alpha("{\"alpha\": \"fixed:1.5\"}", &r));
    assert_true(r.alpha == ALPHA_FIXED && r.strength == 1.5);
    assert_true(teacher_rule_from_tvd("{\"alpha\": \"fixed:1.5\"}", &r));
    assert_true(teacher_rule_alpha("{\"alpha\": \"kl:0.5\"}", &r));
    assert_true(r.alpha == ALPHA_KL && r.strength == 0.5);
    assert_false(teacher_rule_from_tvd("{\"alpha\": \"kl:0.5\"}", &r));
    static const char *const none[] = {
        "{}",      "", "{\"alpha\": 1}", "{\"alpha\": \"fixed:\"}", "{\"alpha\": \"other:1\"}",
        "nonsense"};
    for (size_t i = 0; i < 6; i++) assert_false(teacher_rule_alpha(none[i], &r));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels),  cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_brief),   cmocka_unit_test(test_apart),
        cmocka_unit_test(test_lacking), cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_foreign), cmocka_unit_test(test_rules),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
