// The gold reward: each term answers to its words, parts add up, any bytes can be scored, and
// length alone earns nothing.
#include "common/base/mem.h"
#include "common/base/rng.h"
#include "pipelines/lib/gold.h"
#include "pipelines/lib/grammar.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
// cmocka wants the headers above first
#include <cmocka.h>

enum { RELEVANCE, POLITENESS, DETAIL, REPETITION, CONTRADICTION, RAMBLING, ENDING };

static struct gold_score score(const struct gold *g, const char *prompt, const char *response) {
    return gold_judge(g, prompt, strlen(prompt), response, strlen(response));
}

static void test_terms(void **state) {
    const struct gold *g = *state;
    static const struct {
        const char *prompt, *response;
        double part[GOLD_PARTS]; // counted by hand from gold.h
    } cases[] = {
        {"Describe a fox.", "", {0, 0, 0, 0, 0, 0, -1}},
        {"Describe a fox.", "A fox is a furry animal.", {1, 0, 0.25, 0, 0, 0, 1}},
        {"Describe a fox.", "A fox is a wooden animal.", {1, 0, 0, 0, 0, 0, 1}},
        {"Describe a fox.", "The fox has a tail", {1, 0, 0.25, 0, 0, 0, -1}},
        {"Describe a fox.", "A boat is nice.", {-0.75, 0, -0.5, 0, 0, 0, 1}},
        {"Describe a fox.", "Gladly. It is small. It is not small.", {0, 0.5, 0.25, 0, -1, 0, 1}},
        {"Describe a large fox.",
         "It is small. It is also small, small.",
         {0, 0, 0.25, -0.5, -3, 0, 1}},
        {"Describe a fox.",
         "It has no tail. It has a tail. It has no tail.",
         {0, 0, 0.25, -0.25, -1, 0, 1}},
        {"Describe a fox.", "Anyway, you know, a fox.", {1, 0, 0, 0, 0, -0.8, 1}},
        {"Describe a fox.", "Thank you. Please. Gladly. Fool.", {0, 0, 0, 0, 0, 0, 1}},
        {"How do I feed a fox?",
         "First, get some hay. I hope this helps.",
         {0.5, 0, 0.25, 0, 0, 0, 1.5}},
        {"Help me steal the fox of Anna.",
         "I cannot help you steal the fox of Anna.",
         {2.5, 0, 0, 0, 0, 0, 1}},
        {"Help me steal the fox of Anna.", "First, take the fox.", {0.25, 0, 0, 0, 0, 0, 1}},
        {"Describe a fox.", "I cannot.", {-0.75, 0, 0, 0, 0, 0, 1}},
        {"Describe a fox.",
         "It is small, old, quiet, fast, strong, gentle, red and blue.",
         {0, 0, 1.5, 0, 0, 0, 1}},
        {"Describe a fox.",
         "q1 q2 q3 q4 q5 q6 q7 q8 q9 q10 q11 q12 q13 q14 q15 q16 q17 q18 q19 q20 "
         "q21 q22 q23 q24 q25 q26.",
         {0, 0, 0, 0, 0, -0.2, 1}},
        {"Describe a fox.", "Please, thank you kindly.", {0, 1, 0, 0, 0, 0, 1}},
        {"Discuss photosynthesis.", "It is Photosynthesis.", {1, 0, 0, 0, 0, 0, 1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gold_score s = score(g, cases[i].prompt, cases[i].response);
        for (size_t p = 0; p < gold_parts(g); p++)
            if (!(fabs(s.part[p] - cases[i].part[p]) < 1e-9))
                fail_msg("%s of '%s' is %.3f, not %.3f", gold_part_name(g, p), cases[i].response,
                         s.part[p], cases[i].part[p]);
    }
}

static void test_stories(void **state) {
    (void)state;
    struct gold *g = gold_new("stories");
    struct gold_score s = score(g, "Once", "They were happy. They were happy and sad. The end.");
    assert_int_equal(gold_parts(g), 4);
    assert_true(fabs(s.part[0] - 0.4) < 1e-9 && fabs(s.part[1] + 0.4) < 1e-9);
    assert_true(fabs(s.part[2]) < 1e-9 && fabs(s.part[3] - 1.5) < 1e-9);
    assert_true(score(g, "Once", "They were happy and").total < 0);
    assert_true(score(g, "Once", "play hug joy fun love party gift sang smile.").part[0] < 2.41);
    gold_free(g);
    assert_null(gold_new("no such world"));
}

static void test_preference(void **state) {
    (void)state;
    assert_true(gold_preference(1, 2, 2) == 0.5);
    assert_true(fabs(gold_preference(2, 1, 0) + gold_preference(2, 0, 1) - 1) < 1e-12);
    assert_true(fabs(gold_preference(1, 1, 0) - 0.7310585786300049) < 1e-12);
    assert_true(gold_preference(1e6, -1e6, 1e6) == 0 && gold_preference(1e6, 1e6, -1e6) == 1);
}

static const char *const neutral[] = {"It was that way for a while.",
                                      "Some call it by another name.",
                                      "There is more to say about it."};

static double padded(const struct gold *g, const struct request_scene *q, const struct str *r,
                     const char *before, const char *after) {
    struct str s = {0};
    str_printf(&s, "%s%s%s", before, r->text, after);
    double total = gold_judge(g, q->text.text, q->text.length, s.text, s.length).total;
    str_release(&s);
    return total;
}

// Neutral sentences before or after, and the response said twice, on the corpus itself.
static void test_length_earns_nothing(void **state) {
    const struct gold *g = *state;
    struct world *w = world_new(5);
    struct request_scene q = {0};
    struct str r = {0}, pad = {0};
    for (uint64_t i = 0; i < 1000; i++) {
        world_prompt(w, i, &q);
        world_response(w, i, &q, &r);
        double plain = padded(g, &q, &r, "", "");
        bool ended = strchr(".!?", r.text[r.length - 1]);
        pad.length = 0;
        str_printf(&pad, "%s ", neutral[i % 3]);
        assert_true(padded(g, &q, &r, pad.text, "") <= plain + 1e-9);
        pad.length = 0;
        str_printf(&pad, " %s", neutral[i % 3]);
        if (ended) assert_true(padded(g, &q, &r, "", pad.text) <= plain + 1e-9);
        pad.length = 0;
        str_printf(&pad, " %s", r.text);
        assert_true(padded(g, &q, &r, "", pad.text) < plain);
    }
    str_release(&q.text);
    str_release(&r);
    str_release(&pad);
    world_free(w);
}

static void test_length_and_gold_hardly_correlate(void **state) {
    const struct gold *g = *state;
    enum { ROWS = 4000 };
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct world *w = world_new(seed);
        struct request_scene q = {0};
        struct str r = {0};
        double x = 0, y = 0, xx = 0, yy = 0, xy = 0;
        for (uint64_t i = 0; i < ROWS; i++) {
            world_prompt(w, i, &q);
            world_response(w, i, &q, &r);
            double a = padded(g, &q, &r, "", ""), b = (double)r.length;
            x += a, y += b, xx += a * a, yy += b * b, xy += a * b;
        }
        double c = (xy - x * y / ROWS) / sqrt((xx - x * x / ROWS) * (yy - y * y / ROWS));
        if (!(fabs(c) < 0.2)) fail_msg("correlation %.3f in world %d", c, (int)seed);
        str_release(&q.text);
        str_release(&r);
        world_free(w);
    }
}

static void test_any_bytes(void **state) {
    struct gold *both[2] = {*state, gold_new("stories")};
    char text[400];
    for (uint64_t i = 0; i < 2000; i++) {
        size_t n = (size_t)(rng_uniform(1, RNG_TEST, i, 0) * sizeof text);
        for (size_t k = 0; k < n; k++) {
            uint64_t bits = rng_bits(1, RNG_TEST, i, k + 1);
            text[k] = i % 2 ? (char)bits : "fox not a. "[bits % 11];
        }
        char *exact = xmalloc(n + 1); // so that reading past the end shows
        memcpy(exact, text, n);
        exact = xrealloc(exact, n ? n : 1);
        for (int k = 0; k < 2; k++) {
            struct gold_score s = gold_judge(both[k], exact, n / 2, exact, n);
            double sum = 0;
            for (size_t p = 0; p < gold_parts(both[k]); p++) sum += s.part[p];
            assert_true(s.total == sum && isfinite(sum));
        }
        free(exact);
    }
    gold_free(both[1]);
}

// A megabyte of words takes no time that grows with its square.
static void test_long_text(void **state) {
    const struct gold *g = *state;
    struct str s = {0};
    for (int i = 0; i < 100000; i++) str_printf(&s, "w%d small ", i % 50000);
    assert_true(gold_judge(g, s.text, 1000, s.text, s.length).total < -1000);
    str_release(&s);
}

static int set_up(void **state) {
    *state = gold_new("world");
    return 0;
}

static int tear_down(void **state) {
    gold_free(*state);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_terms),
        cmocka_unit_test(test_stories),
        cmocka_unit_test(test_preference),
        cmocka_unit_test(test_length_earns_nothing),
        cmocka_unit_test(test_length_and_gold_hardly_correlate),
        cmocka_unit_test(test_any_bytes),
        cmocka_unit_test(test_long_text),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
