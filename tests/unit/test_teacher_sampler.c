// Sampling from p*: what the decoders compose is what the teachers' own pass composes, draws follow
// it, and the KL of --target-kl is the exact one of an enumerable world.
#include "common/base/parallel.h"
#include "common/base/rng.h"
#include "common/method/teacher_sampler.h"
#include "stages/shared/target_kl.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "tests/unit/small_model.h"

enum { V = 6, EOS = 2, NEW = 12, LENGTH = 32 };

static const struct teacher_rule rules[] = {
    {.base_dpo = true, .negative_reverse = true, .alpha = ALPHA_DAMPED, .strength = 1.5},
    {.base_dpo = false, .negative_reverse = true, .alpha = ALPHA_FIXED, .strength = 0.7},
    {.base_dpo = false, .negative_reverse = false, .alpha = ALPHA_TVD, .strength = 5},
    {.base_dpo = true,
     .negative_reverse = false,
     .alpha = ALPHA_FIXED,
     .strength = 2,
     .plausible = 0.1},
};
enum { RULES = sizeof rules / sizeof *rules };

struct teachers {
    struct model dpo, reverse, ref;
    struct teacher_models models;
};

static void make_teachers(struct teachers *t) {
    struct model_config c = small_config(V, V, LENGTH);
    t->dpo = small_model(c, 1, 0.35);
    t->reverse = small_model(c, 2, 0.35);
    t->ref = small_model(c, 3, 0.35);
    t->models = (struct teacher_models){&t->dpo, &t->reverse, &t->ref};
}

static void free_teachers(struct teachers *t) {
    model_release(&t->dpo);
    model_release(&t->reverse);
    model_release(&t->ref);
}

// log p* (n,V) of the tokens behind the first `np` of ids, by the teachers' pass.
static void teach(const struct teachers *t, const struct teacher_rule *rule, const int32_t *ids,
                  size_t n, size_t np, float *logp) {
    struct net_limits limits = {.rows = LENGTH, .positions = LENGTH, .trees_tokens = LENGTH};
    struct online_teachers *live = online_teachers_new(&t->models, rule, &limits);
    struct teacher_position info[LENGTH];
    struct batch b = {0};
    uint8_t mask[LENGTH] = {0};
    memset(mask + np, 1, n - np);
    batch_clear(&b);
    batch_begin_unit(&b);
    batch_sequence(&b, ids, mask, n, 0, RESPONSE_ONLY);
    batch_end(&b);
    online_teachers_compose(live, &b, 0, n - np, logp, info);
    online_teachers_free(live);
    batch_release(&b);
}

struct record {
    struct teacher_sampler star;
    size_t n;
    float z[NEW][V]; // what was drawn from
};

static void compose(void *self, float **z, size_t v) {
    struct record *r = self;
    teacher_sampler_compose(&r->star, z, v);
    memcpy(r->z[r->n++], z[0], sizeof r->z[0]);
}

static void composes_like_the_teachers(void **state) {
    (void)state;
    struct teachers t;
    make_teachers(&t);
    for (size_t k = 0; k < RULES; k++)
        for (uint64_t row = 0; row < 3; row++) {
            struct record r = {.n = 0};
            int32_t ids[LENGTH] = {1, 4, 3};
            float logp[NEW][V];
            struct sample_job job = {.prompt = ids, .n = 3, .row = row, .ids = ids + 3};
            struct sampler s = {.options = {.temperature = 1, .top_p = 1, .max_new = NEW},
                                .seed = 9};
            teacher_sampler_init(&r.star, &t.models, &rules[k]);
            teacher_sampler_open(&r.star, 1, LENGTH, &s);
            s.compose = compose;
            s.self = &r;
            assert_true(sample_run(&s, &job, 1));
            assert_int_equal(r.n, NEW); // no end of sequence here
            teach(&t, &rules[k], ids, 3 + NEW, 3, logp[0]);
            for (size_t i = 0; i < NEW; i++)
                for (size_t v = 0; v < V; v++) assert_true(fabsf(r.z[i][v] - logp[i][v]) < 2e-5f);
            teacher_sampler_close(&r.star);
        }
    free_teachers(&t);
}

// ---- draws and the KL, against all responses of at most two tokens ----

enum { PROMPTS = 1500, TWO = 2 };

static struct tokens make_prompts(void) { // the same prompt, many times
    struct tokens t = {.kind = TOKENS_PROMPT, .rows = PROMPTS, .vocab = V, .longest = 2};
    t.first = malloc((PROMPTS + 1) * sizeof *t.first);
    t.ids = malloc(PROMPTS * 2 * sizeof *t.ids);
    for (size_t i = 0; i <= PROMPTS; i++) t.first[i] = 2 * i;
    for (size_t i = 0; i < 2 * PROMPTS; i++) t.ids[i] = i % 2 ? 5 : 1;
    return t;
}

static double kl(const float *p, const float *q) {
    double sum = 0;
    for (size_t v = 0; v < V; v++) sum += exp((double)p[v]) * ((double)p[v] - (double)q[v]);
    return sum;
}

// E sum KL(p* || ref) over the tree, and the variance of the sum.
static double exact_kl(const struct teachers *t, const struct teacher_rule *rule,
                       double *variance) {
    const struct teacher_rule reference = {.base_dpo = false, .strength = 0}; // alpha 0: ref itself
    float p[V], q[V], p2[V], q2[V];
    int32_t ids[3] = {1, 5, 0};
    double mean = 0, square = 0;
    int32_t first[3] = {1, 5, 0};
    teach(t, rule, first, 3, 2, p);
    teach(t, &reference, first, 3, 2, q);
    double root = kl(p, q);
    for (int32_t v = 0; v < V; v++) {
        double sum = root;
        if (v != EOS) {
            int32_t next[4] = {ids[0], ids[1], v, 0};
            teach(t, rule, next, 4, 3, p2);
            teach(t, &reference, next, 4, 3, q2);
            sum += kl(p2, q2);
        }
        mean += exp((double)p[v]) * sum;
        square += exp((double)p[v]) * sum * sum;
    }
    *variance = square - mean * mean;
    return mean;
}

static void kl_is_exact(void **state) {
    (void)state;
    struct teachers t;
    make_teachers(&t);
    struct tokens prompts = make_prompts();
    struct target_kl_options o = {.kl = 1, .rows = PROMPTS, .max_new = TWO};
    for (size_t k = 0; k < RULES; k++) {
        struct target_kl search = {.models = t.models,
                                   .rule = rules[k],
                                   .prompts = &prompts,
                                   .options = &o,
                                   .micro_tokens = 512,
                                   .eos = EOS,
                                   .seed = 4};
        struct target_kl_trial a, b;
        double variance, want = exact_kl(&t, &rules[k], &variance);
        assert_true(target_kl_try(&search, rules[k].strength, &a));
        double error = sqrt(variance / PROMPTS);
        if (!(fabs(a.kl - want) < 4 * error + 1e-5))
            fail_msg("KL %g, not %g +- %g", a.kl, want, error);
        assert_true(error < 0.1 * want && want > 0.01);
        search.micro_tokens = 100; // neither cut nor threads show
        parallel_init(3);
        assert_true(target_kl_try(&search, rules[k].strength, &b));
        parallel_init(2);
        assert_memory_equal(&a, &b, sizeof a);
    }
    free(prompts.first);
    free(prompts.ids);
    free_teachers(&t);
}

static void finds_the_strength(void **state) {
    (void)state;
    struct teachers t;
    make_teachers(&t);
    struct tokens prompts = make_prompts();
    struct target_kl_options o = {.kl = 1.5, .rows = 200, .max_new = 5};
    struct log *log = log_open("never", true, false);
    struct target_kl search = {.models = t.models,
                               .rule = rules[1],
                               .prompts = &prompts,
                               .options = &o,
                               .micro_tokens = 512,
                               .eos = EOS,
                               .seed = 4,
                               .log = log};
    struct target_kl_trial best, again;
    struct fail f = {0};
    assert_true(target_kl_search(&search, &best, &f));
    assert_true(fabs(best.kl / o.kl - 1) < 0.03);
    assert_true(target_kl_try(&search, best.strength, &again));
    assert_true(again.kl == best.kl && again.alpha == best.alpha);
    assert_true(best.error > 0 && best.error < 0.3); // of 200 responses
    search.rule = rules[0];
    assert_true(target_kl_try(&search, 0, &again)); // the base by itself
    o.kl = again.kl * 0.9;
    assert_false(target_kl_search(&search, &best, &f));
    assert_true(f.code == EXIT_FAILED && strstr(f.text, "by itself"));
    f = (struct fail){0};
    search.rule = rules[1];
    o.kl = 1e4;
    assert_false(target_kl_search(&search, &best, &f));
    assert_int_equal(f.code, EXIT_FAILED);
    assert_non_null(strstr(f.text, "no strength gives"));
    struct fail g = {0};
    prompts.kind = TOKENS_TEXT;
    assert_false(target_kl_search(&search, &best, &g));
    assert_int_equal(g.code, EXIT_BADDATA);
    log_close(log);
    free(prompts.first);
    free(prompts.ids);
    free_teachers(&t);
}

// How often each first token is drawn, against p*: chi squared with 5 degrees of freedom.
static void draws_follow(void **state) {
    (void)state;
    enum { DRAWS = 3000 };
    struct teachers t;
    make_teachers(&t);
    struct tokens prompts = make_prompts();
    for (size_t k = 0; k < RULES; k++) {
        struct teacher_sampler star;
        struct sampler s = {.options = {.temperature = 1, .top_p = 1, .max_new = 1}, .seed = 21};
        struct sample_job *jobs = calloc(DRAWS, sizeof *jobs);
        int32_t ids[DRAWS], first[3] = {1, 5, 0};
        double count[V] = {0}, chi = 0;
        float p[V];
        for (size_t i = 0; i < DRAWS; i++)
            jobs[i] = (struct sample_job){.prompt = prompts.ids, .n = 2, .row = i, .ids = &ids[i]};
        teacher_sampler_init(&star, &t.models, &rules[k]);
        teacher_sampler_open(&star, 8, 8, &s);
        assert_true(sample_run(&s, jobs, DRAWS));
        teacher_sampler_close(&star);
        teach(&t, &rules[k], first, 3, 2, p);
        for (size_t i = 0; i < DRAWS; i++) count[ids[i]]++;
        for (size_t v = 0; v < V; v++) {
            double want = DRAWS * exp((double)p[v]);
            chi += (count[v] - want) * (count[v] - want) / want;
        }
        if (!(chi < 20.5)) fail_msg("chi squared %g under rule %zu", chi, k); // 1 in 1000
        free(jobs);
    }
    free(prompts.first);
    free(prompts.ids);
    free_teachers(&t);
}

int main(void) {
    parallel_init(2);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(composes_like_the_teachers), cmocka_unit_test(kl_is_exact),
        cmocka_unit_test(finds_the_strength), cmocka_unit_test(draws_follow)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
