// p* from the components layout against p* composed from the full vocabulary.
#include "formats/teachers/teacher_set.h"
#include "formats/teachers/teacher_compare.h"
#include "formats/teachers/teacher_gather.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "common/base/rng.h"
#include <math.h>
#include "tests/unit/scratch.h"

enum { V = 1300, ROWS = 12, TOKENS = 9 };

// Logits of one position: about as peaked as those of a language model, the DPO models not far
// apart.
struct position {
    float base[V], dpo[V], negative[V];
};

static void make(struct position *p, uint64_t salt) {
    for (size_t v = 0; v < V; v++) {
        double z = 2.2 * rng_normal(5, RNG_TEST, salt, v), d = rng_normal(6, RNG_TEST, salt, v);
        p->dpo[v] = (float)(z + 0.7 * d);
        p->negative[v] = (float)(z - 0.7 * d + 0.1);
        p->base[v] = p->dpo[v];
    }
}

static struct teacher_logits logits(const struct position *p) {
    return (struct teacher_logits){p->base, p->dpo, p->negative};
}

struct room {
    int32_t ids[V];
    float low[V], high[V], tail[GRID_MOST];
};

static struct teacher_gathered in_room(struct room *r) {
    return (struct teacher_gathered){
        .ids = r->ids, .low = r->low, .high = r->high, .tail = r->tail};
}

static struct teacher_rule rule_of(const char *text, double plausible) {
    struct teacher_rule r;
    char *json = xasprintf("{\"base\": \"dpo\", \"negative\": \"reverse\", \"alpha\": \"%s\", "
                           "\"plausible\": %g}",
                           text, plausible);
    assert_true(teacher_rule_alpha(json, &r));
    assert_true(r.base_dpo && r.negative_reverse && r.plausible == plausible);
    free(json);
    return r;
}

static void test_grid(void **state) {
    (void)state;
    struct teacher_grid g;
    static const char *const wrong[] = {
        "",       "0",       "0,1",     "0,1,1",
        "1,0,2",  "0,,1,2",  "0,1,2,",  "0,1,x",
        "-1,0,1", "0,1,inf", "0,1,nan", "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(teacher_grid_parse(wrong[i], &g));
    assert_true(teacher_grid_parse("0,0.1,2.5", &g));
    char *text = teacher_grid_text(&g);
    assert_string_equal(text, "0,0.1,2.5");
    free(text);
    double low, high;
    struct teacher_rule r = rule_of("damped:2.5", 0);
    assert_true(teacher_grid_covers(&g, &r, &low, &high)); // its 0.001 more is allowed
    assert_true(low == 1e-3 && high == 2.501);
    r = rule_of("tvd:2.6", 0);
    assert_false(teacher_grid_covers(&g, &r, &low, &high));
    r = rule_of("fixed:2.5", 0);
    assert_true(teacher_grid_covers(&g, &r, &low, &high));
    assert_true(teacher_grid_parse("0.5,1,2", &g));
    r = rule_of("damped:1", 0);
    assert_false(teacher_grid_covers(&g, &r, &low, &high)); // where TVD is 1, alpha is 0.001
    g = teacher_grid_around(4);
    assert_true(g.n == 7 && g.alpha[0] == 0 && g.alpha[4] == 4 && g.alpha[6] == 8);
}

static double worst(const float *a, const float *b, const int32_t *ids, size_t n) {
    double most = 0;
    for (size_t i = 0; i < n; i++) { // fmax here is an internal error of gcc 12 for aarch64
        double off = fabs((double)a[i] - (double)b[ids[i]]);
        if (!(off <= most)) most = off;
    }
    return most;
}

// Whatever is in the support: equal to what is composed from the logits.
static void test_full_support(void **state) {
    (void)state;
    static struct position p;
    static struct room room;
    static float live[V], got[V];
    struct teacher_grid g = teacher_grid_around(10);
    for (double plausible = 0; plausible < 0.005; plausible += 0.001) {
        struct teacher_rule rule = rule_of("fixed:10", plausible);
        struct teacher_cut cut = {.top_k = V, .mass = 1, .eos = -1};
        struct teacher_gather *t = teacher_gather_new(&rule, &g, V, 1);
        for (uint64_t salt = 0; salt < 4; salt++) {
            make(&p, salt);
            struct teacher_logits z = logits(&p);
            struct teacher_gathered to = in_room(&room);
            assert_true(teacher_gather(t, 0, &z, &cut, 3, &to));
            assert_int_equal(to.n, V);
            for (double alpha = 0; alpha <= 20; alpha += 0.77) {
                struct teacher_components components = {to.low, to.high, to.tail};
                float tail;
                teacher_compose(&rule, alpha, p.base, p.dpo, p.negative, V, live);
                teacher_components_compose(&g, &components, V, alpha, got, &tail, NULL);
                assert_true(worst(got, live, to.ids, V) < 3e-5);
                assert_true(tail < -60);
            }
        }
        teacher_gather_free(t);
    }
}

// Truncated: at a grid point as exact as the floats, between it by the error of the tail.
static void test_truncated(void **state) {
    (void)state;
    static struct position p;
    static struct room room;
    static float live[V], got[V];
    struct teacher_grid g = teacher_grid_around(1);
    struct teacher_rule rule = rule_of("damped:1", 1e-3);
    struct teacher_cut cut = {.top_k = 24, .mass = 0.99, .eos = 7, .least = 1e-3};
    struct teacher_gather *t = teacher_gather_new(&rule, &g, V, 1);
    double off = 0, gap = 0;
    for (uint64_t salt = 0; salt < 20; salt++) {
        make(&p, salt);
        struct teacher_logits z = logits(&p);
        struct teacher_gathered to = in_room(&room);
        assert_true(teacher_gather(t, 0, &z, &cut, 3, &to));
        assert_true(to.n < 80 && to.n >= 24);
        struct teacher_components components = {to.low, to.high, to.tail};
        for (double alpha = 0; alpha <= 2; alpha += 1. / 16) {
            float tail;
            double bracket[2], exact;
            teacher_compose(&rule, alpha, p.base, p.dpo, p.negative, V, live);
            exact = teacher_tail(live, V, to.ids, to.n);
            teacher_components_compose(&g, &components, to.n, alpha, got, &tail, bracket);
            assert_true(bracket[0] <= exact + 1e-5 && exact <= bracket[1] + 1e-5);
            bool on = alpha == 0 || alpha == 0.125 || alpha == 0.25 || alpha == 0.5 || alpha == 1;
            double limit = on || alpha == 2 ? 1e-5 : 2e-3;
            assert_true(fabs((double)tail - exact) < limit);
            assert_true(worst(got, live, to.ids, to.n) < 1e-5 + 2 * limit);
            off = fmax(off, fabs((double)tail - exact));
            gap = fmax(gap, bracket[1] - bracket[0]);
        }
        float before[GRID_MOST];
        memcpy(before, to.tail, sizeof before);
        assert_true(teacher_gather_given(t, 0, &z, &to)); // on the support that is there: the same
        assert_memory_equal(before, to.tail, g.n * sizeof *before);
    }
    print_message("log Q is off by %.2g at most between grid points, the bracket %.2g wide\n", off,
                  gap);
    teacher_gather_free(t);
}

// ---- files

struct made {
    int32_t ids[TOKENS];
    uint8_t mask[TOKENS];
    float entropy[TOKENS];
    struct room room[TOKENS];
    struct position position[TOKENS];
    struct teacher_position at[TOKENS];
    struct teacher_components components[TOKENS];
};

static struct teacher_row make_row(struct teacher_gather *t, size_t row, struct made *m) {
    struct teacher_cut cut = {.top_k = 20, .mass = 0.99, .eos = 7, .least = 1e-3};
    struct teacher_row r = {.n = TOKENS,
                            .prompt_length = 2,
                            .ids = m->ids,
                            .mask = m->mask,
                            .position = m->at,
                            .entropy = m->entropy,
                            .components = m->components};
    for (size_t i = 0; i < TOKENS; i++) {
        m->ids[i] = (int32_t)(rng_bits(1, RNG_TEST, row, i) % V);
        m->mask[i] = i >= 2;
        if (i < 2) continue;
        size_t p = r.positions++;
        make(&m->position[p], 100 * row + i);
        struct teacher_logits z = logits(&m->position[p]);
        struct teacher_gathered to = in_room(&m->room[p]);
        assert_true(teacher_gather(t, 0, &z, &cut, m->ids[i], &to));
        m->at[p] = (struct teacher_position){.n = to.n, .ids = to.ids, .tvd = (float)to.tvd};
        m->components[p] = (struct teacher_components){to.low, to.high, to.tail};
        m->entropy[p] = (float)to.entropy;
    }
    return r;
}

static void write_file(const char *path, struct teacher_gather *t, const struct teacher_grid *g,
                       int bits) {
    static struct made m;
    struct fail f = {0};
    const int32_t common[] = {9, 3};
    struct lineage l = {.kind = "teacher", .stage = "teacher-dump", .options = "{}"};
    struct teacher_info info = {.vocab = V,
                                .max_length = TOKENS,
                                .grid = *g,
                                .eos = 7,
                                .rule = "{\"base\": \"dpo\", \"negative\": \"reverse\", "
                                        "\"alpha\": \"damped:1\", \"plausible\": 0.001}",
                                .bits = bits,
                                .n_common = 2,
                                .common = common};
    struct columns_plan plan = {.rows_total = ROWS};
    struct teacher_writer *w = teacher_writer_open(path, &l, &info, &plan, &f);
    for (size_t i = 0; i < ROWS; i++) {
        struct teacher_row r = make_row(t, i, &m);
        teacher_write(w, &r);
    }
    if (!teacher_writer_commit(w, NULL)) fail_msg("%s", f.text);
}

struct seen {
    double kl, positions;
};

// A row composed by `rule` from the file against the logits it came from.
static void check_row(const struct teacher_row *got, size_t row, const struct made *m,
                      const struct teacher_rule *rule, const struct teacher_grid *g, int bits,
                      struct seen *seen) {
    static float live[V];
    assert_int_equal(got->positions, TOKENS - 2);
    assert_memory_equal(got->ids, m->ids, sizeof m->ids);
    for (size_t p = 0; p < got->positions; p++, seen->positions++) {
        const struct position *z = &m->position[p];
        const struct teacher_position *a = &got->position[p];
        double alpha = teacher_alpha(rule, (double)m->at[p].tvd), sum = exp((double)a->log_tail);
        assert_true(fabs((double)a->alpha - alpha) < 3e-5);
        assert_int_equal(a->n, m->at[p].n);
        teacher_compose(rule, alpha, z->base, z->dpo, z->negative, V, live);
        double w = alpha / g->alpha[g->n - 1], room = bits == 32 ? 0.002 : 0.03;
        for (uint32_t k = 0; k < a->n; k++) // of the most likely ends' levels, for the normaliser
            room =
                fmax(room, exp((double)a->logp[k]) > 0.02 ? teacher_components_error(bits, -8) : 0);
        for (uint32_t k = 0; k < a->n; k++) {
            double got_p = (double)a->logp[k], want = (double)live[a->ids[k]];
            double low = (double)got->components[p].low[k],
                   high = (double)got->components[p].high[k];
            double limit = (1 - w) * teacher_components_error(bits, low) +
                           w * teacher_components_error(bits, high) + room;
            assert_true(fabs(got_p - want) <= limit);
            sum += exp(got_p);
            seen->kl += exp(want) * (want - got_p);
            if (a->ids[k] == m->ids[p + 2]) assert_true(a->realised == a->logp[k]);
        }
        double tail = exp(teacher_tail(live, V, m->at[p].ids, a->n));
        seen->kl += tail * (log(tail) - (double)a->log_tail);
        assert_true(fabs(sum - 1) < 1e-5);
    }
    (void)row;
}

static void test_files(void **state) {
    (void)state;
    static struct made m;
    static const int all_bits[] = {32, 16, 12, 8, 6};
    static const double most[] = {1e-7, 4e-7, 2e-4, 6e-4, 0.01}; // KL of what is stored
    static const char *const rules[] = {"damped:1", "fixed:0.5", "tvd:2", "fixed:1.7", "fixed:0"};
    struct teacher_grid g = teacher_grid_around(1);
    struct teacher_rule dump = rule_of("damped:1", 1e-3);
    struct teacher_gather *t = teacher_gather_new(&dump, &g, V, 1);
    for (size_t b = 0; b < 5; b++) {
        char *path = scratch_path("components.h5");
        write_file(path, t, &g, all_bits[b]);
        for (size_t k = 0; k < 5; k++) {
            struct fail f = {0};
            struct seen seen = {0};
            struct teacher_rule rule = rule_of(rules[k], 1e-3);
            struct teacher_set *s = teacher_set_open(1, (const char *[]){path}, &f);
            if (!s) fail_msg("%s", f.text);
            assert_true(teacher_set_info(s)->grid.n == 7 && teacher_set_info(s)->eos == 7);
            if (k) teacher_set_compose(s, &rule);
            for (size_t row = 0; row < ROWS; row++) {
                struct teacher_row got;
                make_row(t, row, &m);
                if (!teacher_set_row(s, row, &got)) fail_msg("%s", f.text);
                check_row(&got, row, &m, &rule, &g, all_bits[b], &seen);
                double off = fabs((double)got.entropy[0] - (double)m.entropy[0]);
                if (!k) assert_true(off <= 1. / 512 + 1e-6); // of its own rule: as stored
            }
            teacher_set_close(s);
            print_message("%2d bits, %-9s: KL %.2g\n", all_bits[b], rules[k],
                          seen.kl / seen.positions);
            assert_true(seen.kl / seen.positions < most[b]);
        }
        free(path);
    }
    teacher_gather_free(t);
}

// What is stored fits the logits it came from, and nothing else does.
static void test_compare(void **state) {
    (void)state;
    static struct made m;
    static float room[V];
    static const int all_bits[] = {32, 12, 8};
    struct teacher_grid g = teacher_grid_around(1);
    struct teacher_rule rule = rule_of("damped:1", 1e-3);
    struct teacher_gather *t = teacher_gather_new(&rule, &g, V, 1);
    for (size_t b = 0; b < 3; b++) {
        char *path = scratch_path("compare.h5");
        struct fail f = {0};
        struct teacher_info info;
        struct teacher_shard shard;
        struct compared c;
        write_file(path, t, &g, all_bits[b]);
        struct columns_reader *r = columns_open(path, "teacher", &f);
        assert_true(r && teacher_info_read(&info, r, &f) && teacher_shard_load(&shard, r, &f));
        struct teacher_compare *compare = teacher_compare_new(r, &info, 1e-3, 1, &f);
        assert_non_null(compare);
        make_row(t, 4, &m);
        struct teacher_row row = teacher_shard_row(&shard, 4);
        for (size_t p = 0; p < row.positions; p++) {
            struct teacher_logits z = logits(&m.position[p]),
                                  other = logits(&m.position[p ? 0 : 1]);
            teacher_compare(compare, 0, &row, p, &z, room, &c);
            assert_true(compared_fits(&c) && c.numbers == 2 * row.position[p].n + g.n + 3);
            assert_true(c.kl > 0 && c.kl < 3);
            teacher_compare(compare, 0, &row, p, &other, room, &c);
            assert_false(compared_fits(&c));
        }
        struct teacher_logits z = logits(&m.position[2]);
        float *moved[] = {(float *)row.components[2].high + 3, (float *)row.components[2].tail + 1,
                          (float *)row.entropy + 2,
                          &((struct teacher_position *)row.position)[2].tvd};
        static const enum compared_number what[] = {COMPARED_LOGP, COMPARED_TAIL, COMPARED_ENTROPY,
                                                    COMPARED_TVD};
        for (size_t i = 0; i < 4; i++) {
            float was = *moved[i];
            *moved[i] += i ? 0.05f : 2;
            teacher_compare(compare, 0, &row, 2, &z, room, &c);
            assert_true(!compared_fits(&c) && c.what == what[i]);
            *moved[i] = was;
        }
        teacher_compare_free(compare);
        teacher_shard_release(&shard);
        teacher_info_release(&info);
        columns_close(r);
        free(path);
    }
    teacher_gather_free(t);
}

static void test_levels(void **state) {
    (void)state;
    static const int all_bits[] = {16, 12, 8, 6};
    size_t n;
    assert_null(teacher_components_levels(32, &n));
    for (int b = 0; b < 4; b++) {
        float *level = teacher_components_levels(all_bits[b], &n);
        struct teacher_codec c;
        assert_true(teacher_codec_init(&c, all_bits[b], V, 0, NULL, n, level));
        assert_true(n > 50 && level[0] == 0 && level[n - 1] < -1500);
        double used = 0;
        for (double x = 0; x < 1900; x += 0.01 + x / 1000) {
            double off = fabs((double)level[teacher_codec_level(&c, (float)-x)] + x);
            double limit = teacher_components_error(all_bits[b], -x);
            assert_true(off <= limit + 1e-4);
            used = fmax(used, off / limit);
        }
        assert_true(used > 0.9);
        teacher_codec_release(&c);
        free(level);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grid),      cmocka_unit_test(test_full_support),
        cmocka_unit_test(test_truncated), cmocka_unit_test(test_levels),
        cmocka_unit_test(test_files),     cmocka_unit_test(test_compare),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
