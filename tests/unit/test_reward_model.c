// A reward model: Bradley and Terry's loss through the whole model against central differences of
// the naive model in double, its start, and its file.
#include "tests/unit/reference_model.h"
#include "tests/unit/scratch.h"
#include "common/base/parallel.h"
#include "common/base/rng.h"
#include "common/engine/net.h"
#include "common/method/objective.h"
#include "common/training/passes.h"
#include "formats/models/model_file.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "tests/unit/differences.h"
#include "tests/unit/small_model.h"

enum { PAIRS = 3, PROMPT = 4, MOST = 16 };

struct metrics {
    int unused;
};

struct world {
    struct model model;
    struct batch batch;
    int32_t ids[2 * PAIRS][MOST];
    size_t length[2 * PAIRS]; // with the prompt
};

static struct model make_language_model(void) {
    struct model_config c = small_config(29, 29, 64);
    c.layers = 2;
    c.tied = true;
    return small_model_around(c, 4, 0.3, 0.8);
}

static void make_world(struct world *w) {
    static const size_t lengths[PAIRS][2] = {{5, 3}, {1, 6}, {7, 7}};
    struct model language = make_language_model();
    char why[200];
    *w = (struct world){0};
    assert_true(model_reward_from(&w->model, &language, why, sizeof why));
    model_release(&language);
    for (size_t i = 0; i < PAIRS; i++) {
        for (size_t r = 2 * i; r < 2 * i + 2; r++) {
            w->length[r] = PROMPT + lengths[i][r % 2];
            for (size_t t = 0; t < w->length[r]; t++)
                w->ids[r][t] = (int32_t)(rng_bits(8, RNG_TEST, t < PROMPT ? i : 10 + r, t) % 29);
        }
        batch_begin_unit(&w->batch);
        batch_scored(&w->batch, w->ids[2 * i], PROMPT, 2,
                     (const int32_t *const[]){w->ids[2 * i] + PROMPT, w->ids[2 * i + 1] + PROMPT},
                     lengths[i], (enum response_role[]){RESPONSE_CHOSEN, RESPONSE_REJECTED}, i);
    }
    batch_end(&w->batch);
}

static void random_head(struct world *w) {
    for (size_t j = 0; j < w->model.config.width; j++)
        w->model.params[w->model.head + j] = (float)(0.4 * rng_normal(6, RNG_TEST, 0, j));
}

static double reference_loss(const struct world *w, const double *P) {
    double loss = 0, r[2];
    for (size_t i = 0; i < PAIRS; i++) {
        for (size_t k = 0; k < 2; k++) {
            size_t n = w->length[2 * i + k];
            double *z = ref_logits(&w->model, P, w->ids[2 * i + k], n);
            r[k] = z[n - 1];
            free(z);
        }
        loss += log1p(exp(r[1] - r[0])) / PAIRS;
    }
    return loss;
}

static double net_loss(struct world *w, float *grads) {
    struct preference_options options = {.loss = PREFERENCE_REWARD, .beta = 7}; // beta has no part
    struct objective o = objective_preference_new(&options, model_outputs(&w->model.config));
    struct net_limits limits = {.rows = 64, .positions = 64, .trees_tokens = 64, .backward = true};
    struct net *net = net_new(&w->model, &limits);
    const struct batch *b = &w->batch;
    struct step_totals totals = {.rows = PAIRS, .responses = b->responses};
    o.begin_step(o.self, &totals);
    assert_true(passes_run(&o, net, b, grads));
    net_end_step(net, grads);
    net_free(net);
    double loss = o.end_step(o.self, NULL);
    objective_free(&o);
    return loss;
}

static double loss_in_double(const void *w, const double *P) {
    return reference_loss(w, P);
}

static void gradient(void **state) {
    (void)state;
    struct world w;
    make_world(&w);
    random_head(&w);
    const struct model *m = &w.model;
    float *grads = calloc(m->n_params, sizeof *grads);
    double *P = malloc(m->n_params * sizeof *P);
    for (size_t i = 0; i < m->n_params; i++) P[i] = (double)m->params[i];
    double loss = net_loss(&w, grads), expect = reference_loss(&w, P);
    assert_true(fabs(loss - expect) <= 1e-5 * expect);
    differences_check(&(struct differences){.name = "reward",
                                            .tensors = m->tensors,
                                            .n_tensors = m->n_tensors,
                                            .probes = 4,
                                            .grads = grads,
                                            .P = P,
                                            .loss = loss_in_double,
                                            .self = &w,
                                            .h = 1e-5,
                                            .relative = 3e-5,
                                            .scale = 1});
    free(grads);
    free(P);
    batch_release(&w.batch);
    model_release(&w.model);
}

static void starts_at_ln2(void **state) { // the head is zero
    (void)state;
    struct world w;
    make_world(&w);
    float *grads = calloc(w.model.n_params, sizeof *grads);
    assert_true(fabs(net_loss(&w, grads) - log(2)) <= 1e-7);
    free(grads);
    batch_release(&w.batch);
    model_release(&w.model);
}

static void file(void **state) {
    (void)state;
    struct world w;
    struct model_file m = {.bos = -1, .eos = -1}, back;
    struct fail f = {0};
    char *path = scratch_path("reward.h5");
    make_world(&w);
    random_head(&w);
    m.model = w.model;
    struct lineage l = {.kind = "model", .stage = "dpo-train", .options = "{}"};
    assert_true(model_file_save(path, &m, &l, &f));
    assert_false(model_file_load(path, &back, &f)); // where a language model is wanted
    assert_int_equal(f.code, EXIT_BADDATA);
    assert_non_null(strstr(f.text, "reward model"));
    f.code = 0;
    assert_true(model_file_load_as(path, MODEL_REWARD, false, &back, &f));
    assert_int_equal(model_outputs(&back.model.config), 1);
    assert_memory_equal(back.model.params + back.model.head, w.model.params + w.model.head,
                        w.model.config.width * sizeof(float));
    model_file_release(&back);
    free(path);
    batch_release(&w.batch);
    model_release(&w.model);
}

void metrics_value(struct metrics *m, const char *name, double value) {
    (void)m, (void)name, (void)value;
}

int main(void) {
    parallel_init(2);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradient),
        cmocka_unit_test(starts_at_ln2),
        cmocka_unit_test(file),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
