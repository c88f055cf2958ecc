// Decoding against the naive model in double; samples that depend on nothing but seed, row,
// position.
#include "tests/unit/reference_model.h"
#include "common/base/parallel.h"
#include "common/base/rng.h"
#include "common/engine/sample.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "tests/unit/small_model.h"

enum { JOBS = 9, NEW = 12, LENGTH = 64 };

static struct model make_model(void) {
    struct model_config c = small_config(37, 35, 64);
    c.layers = 2;
    c.width = 24;
    c.heads = 4;
    c.kv_heads = 2;
    c.hidden = 40;
    c.qkv_bias = true;
    return small_model(c, 5, 0.3);
}

static size_t prompt_of(size_t row, int32_t *ids) {
    size_t n = 1 + row * 5 % 23;
    for (size_t i = 0; i < n; i++) ids[i] = (int32_t)(rng_bits(4, RNG_TEST, row, i) % 35);
    return n;
}

static void decodes_like_the_reference(void **state) {
    (void)state;
    struct model m = make_model();
    double *P = malloc(m.n_params * sizeof *P);
    for (size_t i = 0; i < m.n_params; i++) P[i] = m.params[i];
    for (size_t n = 3; n <= 23; n += 20) { // few rows, and a prompt as one product
        struct decoder *d = decoder_new(&m, 3, LENGTH);
        int32_t ids[LENGTH];
        float z[37] = {[35] = 7, 7};
        for (size_t i = 0; i < LENGTH; i++) ids[i] = (int32_t)(rng_bits(8, RNG_TEST, n, i) % 35);
        decoder_start(d, 1, ids, n, z);
        double *expect = ref_logprobs(&m, P, ids, LENGTH);
        for (size_t t = n; t < LENGTH; t++) {
            double max = -INFINITY, sum = 0;
            for (size_t v = 0; v < 35; v++) max = z[v] > max ? z[v] : max;
            for (size_t v = 0; v < 35; v++) sum += exp(z[v] - max);
            for (size_t v = 0; v < 35; v++)
                assert_true(fabs(z[v] - max - log(sum) - expect[(t - 1) * 35 + v]) < 2e-5);
            assert_true(z[35] == 7 && z[36] == 7); // padding has no logits
            size_t slot = 1;
            decoder_step(d, 1, &slot, &ids[t], z);
        }
        free(expect);
        decoder_free(d);
    }
    free(P);
    model_release(&m);
}

static bool run_queue(const struct model *m, size_t slots, struct sample_options o, size_t first,
                      size_t count, int32_t ids[JOBS][NEW], struct sample_job *jobs,
                      const struct sample_queue *q) {
    struct decoder *d = decoder_new(m, slots, LENGTH);
    static const int32_t eos[] = {3};
    static int32_t prompt[JOBS][LENGTH];
    struct sampler s = {.decoders = 1,
                        .decoder = &d,
                        .slots = slots,
                        .length = LENGTH,
                        .options = o,
                        .seed = 11,
                        .n_eos = 1,
                        .eos = eos};
    for (size_t j = first; j < first + count; j++) {
        size_t n = prompt_of(j, prompt[j]);
        jobs[j] = (struct sample_job){.prompt = prompt[j], .n = n, .row = j, .ids = ids[j]};
    }
    bool all = q ? sample_queue_run(&s, q) : sample_run(&s, jobs + first, count);
    decoder_free(d);
    return all;
}

static void run(const struct model *m, size_t slots, struct sample_options o, size_t first,
                size_t count, int32_t ids[JOBS][NEW], struct sample_job *jobs) {
    assert_true(run_queue(m, slots, o, first, count, ids, jobs, NULL));
}

// Jobs of a queue that waits: no more than ROOM may be begun and not yet over in their order.
enum { ROOM = 3 };
struct waiting {
    struct sample_job *jobs;
    size_t next, at, waits, last; // last: the job at whose end it is asked to stop
    bool over[JOBS];
};

static struct sample_job *wait_next(void *self) {
    struct waiting *w = self;
    bool full = w->next - w->at == ROOM;
    w->waits += full && w->next < JOBS;
    return full || w->next == JOBS ? NULL : &w->jobs[w->next++];
}

static bool wait_over(void *self, struct sample_job *j) {
    struct waiting *w = self;
    assert_false(w->over[j - w->jobs]);
    assert_true(j->finished || j->count == NEW);
    w->over[j - w->jobs] = true;
    while (w->at < w->next && w->over[w->at]) w->at++;
    return (size_t)(j - w->jobs) != w->last;
}

static void jobs_of_a_queue(void **state) {
    (void)state;
    struct model m = make_model();
    struct sample_options o = {.temperature = 0.9, .top_p = 0.97, .max_new = NEW};
    int32_t all[JOBS][NEW] = {{0}}, other[JOBS][NEW] = {{0}};
    struct sample_job a[JOBS], b[JOBS];
    run(&m, 4, o, 0, JOBS, all, a);
    for (size_t last = 5; last <= JOBS; last += JOBS - 5) { // at JOBS none
        memset(other, 0, sizeof other);
        struct waiting w = {.jobs = b, .last = last};
        struct sample_queue q = {&w, wait_next, wait_over};
        assert_true(run_queue(&m, 2 * ROOM, o, 0, JOBS, other, b, &q) == (last == JOBS));
        assert_true(w.waits > 0);
        assert_true(last == JOBS ? w.at == JOBS : w.next < JOBS);
        for (size_t j = 0; j < JOBS; j++)
            if (w.over[j]) assert_memory_equal(all[j], other[j], sizeof all[j]);
    }
    model_release(&m);
}

static void samples_depend_on_their_row_only(void **state) {
    (void)state;
    struct model m = make_model();
    struct sample_options o = {.temperature = 0.9, .top_p = 0.97, .max_new = NEW};
    int32_t all[JOBS][NEW] = {{0}}, other[JOBS][NEW] = {{0}};
    struct sample_job a[JOBS], b[JOBS];
    run(&m, 4, o, 0, JOBS, all, a);
    for (int threads = 1; threads <= 3; threads++) {
        parallel_init(threads);
        for (size_t slots = 1; slots <= 9; slots += 4) {
            memset(other, 0, sizeof other);
            run(&m, slots, o, 0, 5, other, b); // in two calls, other slots, other threads
            run(&m, slots, o, 5, JOBS - 5, other, b);
            assert_memory_equal(all, other, sizeof all);
            for (size_t j = 0; j < JOBS; j++) assert_int_equal(a[j].count, b[j].count);
        }
    }
    parallel_init(2);
    bool ended = false, cut = false;
    for (size_t j = 0; j < JOBS; j++) {
        assert_true(a[j].finished ? all[j][a[j].count - 1] == 3 : a[j].count == NEW);
        ended |= a[j].finished;
        cut |= !a[j].finished;
    }
    assert_true(ended || cut);
    model_release(&m);
}

static void draws(void **state) {
    (void)state;
    const float logits[5] = {logf(0.4f), logf(0.3f), logf(0.2f), logf(0.1f), -INFINITY};
    struct sample_options plain = {.temperature = 1, .top_p = 1};
    struct sample_options two = {.temperature = 1, .top_k = 2, .top_p = 1};
    struct sample_options nucleus = {.temperature = 1, .top_p = 0.65};
    struct sample_options greedy = {.temperature = 0, .top_p = 1},
                          cold = {.temperature = 0.5, .top_p = 1},
                          icy = {.temperature = 1e-39, .top_p = 0.9, .top_k = 3};
    const struct {
        const struct sample_options *o;
        double u;
        int32_t id;
    } cases[] = {
        {&plain, 0.39, 0},
        {&plain, 0.41, 1},
        {&plain, 0.69, 1},
        {&plain, 0.71, 2},
        {&plain, 0.91, 3},
        {&plain, 0.9999999, 3},
        {&two, 0.57, 0},
        {&two, 0.58, 1},
        {&two, 0.999, 1},
        {&nucleus, 0.58, 1},
        {&nucleus, 0.99, 1},
        {&greedy, 0.99, 0},
        {&icy, 0.99, 0},
        {&cold, 16.0 / 30 - 0.01, 0},
        {&cold, 16.0 / 30 + 0.01, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float z[5];
        memcpy(z, logits, sizeof z);
        assert_int_equal(sample_token(cases[i].o, z, 5, cases[i].u), cases[i].id);
    }
    for (double t = 1; t > 1e-320; t *= 0.1) { // the most likely token, the colder the surer
        float z[4] = {-20, 3, 30, 29.9f};
        int32_t id =
            sample_token(&(struct sample_options){.temperature = t, .top_p = 1}, z, 4, 0.5);
        assert_int_equal(id, 2);
    }
}

static const float *sorted_by; // for qsort
static int likelier_first(const void *a, const void *b) {
    int x = *(const int *)a, y = *(const int *)b;
    float d = sorted_by[y] - sorted_by[x];
    return d > 0 ? 1 : d < 0 ? -1 : x - y;
}

// The plain way in double: sort, cut, then walk in the order of ids.
static int naive_draw(const struct sample_options *o, const float *z, int V, double u) {
    static int order[3000];
    static double p[3000];
    double total = 0, mass = 0, drawn = 0;
    int kept = 0, most = o->top_k ? (int)o->top_k : V;
    for (int v = 0; v < V; v++) order[v] = v;
    sorted_by = z;
    qsort(order, (size_t)V, sizeof *order, likelier_first);
    for (int i = 0; i < most; i++) total += exp(z[order[i]] / o->temperature);
    memset(p, 0, sizeof p);
    while (kept < most && mass < o->top_p * total) {
        int v = order[kept++];
        mass += p[v] = exp(z[v] / o->temperature);
    }
    for (int v = 0; v < V; v++)
        if (p[v] > 0 && (drawn += p[v]) > u * mass) return v;
    return order[0];
}

static void draws_from_many(void **state) {
    (void)state;
    enum { V = 3000 };
    static float z[V], scratch[V];
    const struct sample_options ways[] = {{.temperature = 1, .top_p = 1},
                                          {.temperature = 0.7, .top_p = 0.9},
                                          {.temperature = 1.3, .top_p = 1, .top_k = 40},
                                          {.temperature = 1, .top_p = 0.5, .top_k = 700}};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        for (int n = 0; n < 60; n++) {
            double u = rng_uniform(9, RNG_TEST, i, (uint64_t)n);
            for (size_t v = 0; v < V; v++)
                z[v] = (float)((n % 3 + 0.5) * rng_normal(3, RNG_TEST, (uint64_t)n, v));
            memcpy(scratch, z, sizeof z);
            assert_int_equal(sample_token(&ways[i], scratch, V, u), naive_draw(&ways[i], z, V, u));
        }
}

static void refuses_what_is_not_finite(void **state) {
    (void)state;
    const struct sample_options ways[] = {{.temperature = 1, .top_p = 1},
                                          {.top_p = 1},
                                          {.temperature = 2, .top_k = 3, .top_p = 1},
                                          {.temperature = 1, .top_p = 0.5}};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        float none[20], up[20] = {[7] = INFINITY};
        for (size_t v = 0; v < 20; v++) none[v] = NAN;
        assert_int_equal(sample_token(&ways[i], none, 20, 0.3), -1);
        assert_int_equal(sample_token(&ways[i], up, 20, 0.3), -1);
    }
    float one[20] = {[3] = NAN};
    assert_int_equal(sample_token(&ways[0], one, 20, 0.3), -1);
}

int main(void) {
    parallel_init(2);
    const struct CMUnitTest tests[] = {cmocka_unit_test(decodes_like_the_reference),
                                       cmocka_unit_test(samples_depend_on_their_row_only),
                                       cmocka_unit_test(jobs_of_a_queue),
                                       cmocka_unit_test(draws),
                                       cmocka_unit_test(draws_from_many),
                                       cmocka_unit_test(refuses_what_is_not_finite)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
