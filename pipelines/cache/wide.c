// wide: a teacher with the vocabulary of a real model but a body of random weights, so that a
// cache's size can be measured where V is large without a large model.
//   wide --model M --data TOKENS --entropy 1.5 -o REF     logits = log of the tokens' smoothed
//   counts
//                                                         in TOKENS + random ones, sharpened
//   wide --model M --noise 0.1 --seed N -o NEAR           all weights moved a little
//   wide --model M --from A --to B --share S -o C         M + S (B - A), weight by weight
// The counts come into the logits through the first component of the hidden state, which is made
// nearly constant. Sharpening: the other columns of the head are scaled until the mean entropy is
// that of --entropy nats.
#include "common/training/online_teachers.h"
#include "common/base/log.h"
#include "common/base/options.h"
#include "common/base/parallel.h"
#include "common/base/rng.h"
#include "common/training/score.h"
#include "formats/models/model_file.h"
#include "formats/teachers/sources.h"
#include <math.h>
#include <stdlib.h>

struct wide {
    const char *model, *data, *from, *to, *output;
    double entropy, noise, share;
    struct common_options common;
    struct model_file file;
    struct tokens tokens;
    struct parents parents;
};

static void declare(struct options *o, struct wide *w) {
    const struct opt_row rows[] = {
        {"model", OPT_TEXT, OPT_INPUT, &w->model, .metavar = "FILE", .help = "model to begin with",
         .required = true},
        {"data", OPT_TEXT, OPT_INPUT, &w->data, .metavar = "FILE",
         .help = "tokens whose counts the logits follow"},
        {"from", OPT_TEXT, OPT_INPUT, &w->from, .metavar = "FILE", .help = "model A of --share"},
        {"to", OPT_TEXT, OPT_INPUT, &w->to, .metavar = "FILE", .help = "model B of --share"},
        {"output", OPT_TEXT, OPT_OUTPUT, &w->output, .letter = 'o', .metavar = "FILE",
         .help = "the model", .required = true},
        {"entropy", OPT_REAL, OPT_RESULT, &w->entropy, .value = "1.5", .low = 0.01, .high = 20,
         .metavar = "X", .help = "mean entropy in nats, with --data"},
        {"noise", OPT_REAL, OPT_RESULT, &w->noise, .value = "0", .low = 0, .high = 10,
         .metavar = "X", .help = "deviation added to each weight, in its matrix's own"},
        {"share", OPT_REAL, OPT_RESULT, &w->share, .value = "1", .low = -10, .high = 10,
         .metavar = "S", .help = "how far from A to B"},
    };
    options_add(o, rows, sizeof rows / sizeof *rows);
    common_options_rows(o, &w->common);
}

static void add_counts(struct wide *w) {
    struct model *m = &w->file.model;
    size_t V = m->config.vocab, C = m->config.width, n = w->tokens.first[w->tokens.rows];
    float *embed = m->params + m->embed, *head = m->params + m->head, *norm = m->params + m->norm;
    const float large = 0.08f, spread = 0.02f; // of the first component, of the others
    double rms = sqrt(((double)(C - 1) * spread * spread + (double)large * large) / (double)C);
    double *count = xmalloc(V * sizeof *count);
    for (size_t v = 0; v < V; v++) count[v] = 0.1;
    for (size_t i = 0; i < n; i++) count[w->tokens.ids[i]]++;
    norm[0] = (float)(rms / (double)large); // the first component of the final state is about 1
    for (size_t v = 0; v < V; v++) {
        embed[v * C] = large;
        head[v * C] = (float)log(count[v]);
    }
    free(count);
}

static void scale_head(struct model *m, float scale) {
    size_t C = m->config.width;
    for (size_t v = 0; v < m->config.vocab; v++)
        for (size_t c = 1; c < C; c++) m->params[m->head + v * C + c] *= scale;
}

struct entropies {
    const float *logp;
    size_t V;
    double at[CHUNK_POSITIONS];
};

static void entropy_at(void *self, size_t i) {
    struct entropies *e = self;
    e->at[i] = teacher_entropy(e->logp + i * e->V, e->V);
}

// Mean entropy over the first positions of some rows.
static double mean_entropy(struct wide *w) {
    struct fail f = {0};
    struct source source;
    struct batch b = {0};
    source_tokens(&source, &w->tokens);
    struct net_limits limits = score_limits(&source, 1);
    struct online_teachers *live =
        online_teachers_new(&(struct teacher_models){.ref = &w->file.model}, NULL, &limits);
    struct entropies e = {.V = w->file.model.config.vocab};
    float *logp = xmalloc(CHUNK_POSITIONS * e.V * sizeof *logp);
    double sum = 0, n = 0;
    size_t rows = w->tokens.rows, stride = rows / 24 + 1;
    e.logp = logp;
    for (size_t row = 0; row < rows; row += stride) {
        score_fill(&b, &source, row, row + 1, 1, &f);
        die_if(&f);
        size_t here = b.positions < 32 ? b.positions : 32;
        online_teachers_reference(live, &b, 0, here, logp);
        parallel_for(here, entropy_at, &e);
        for (size_t i = 0; i < here; i++) sum += e.at[i];
        n += (double)here;
    }
    free(logp);
    online_teachers_free(live);
    batch_release(&b);
    return sum / n;
}

static void sharpen(struct wide *w) {
    struct model *m = &w->file.model;
    float low = 1, high = 1000, now = 1; // scales of the head as it was
    for (int i = 0; i < 14; i++) {
        float next = sqrtf(low * high);
        scale_head(m, next / now);
        now = next;
        if (mean_entropy(w) > w->entropy)
            low = now;
        else
            high = now;
    }
}

static void add_noise(struct model *m, double noise, uint64_t seed) {
    for (size_t t = 0; t < m->n_tensors; t++) {
        const struct tensor *x = &m->tensors[t];
        float *p = m->params + x->offset;
        size_t n = x->rows * x->cols, first = x->offset == m->head || x->offset == m->embed;
        double square = 0, count = 0;
        for (size_t i = 0; i < n; i++) {
            if (x->vector || (first && i % x->cols == 0)) continue; // counts stay
            square += (double)p[i] * (double)p[i];
            count++;
        }
        for (size_t i = 0; i < n && count; i++)
            if (!(first && i % x->cols == 0))
                p[i] += (float)(noise * sqrt(square / count) * rng_normal(seed, RNG_WORLD, t, i));
    }
}

static void step(struct wide *w) {
    struct fail f = {0};
    struct model_file a, b;
    model_file_load(w->from, &a, &f);
    die_if(&f);
    model_file_load(w->to, &b, &f);
    die_if(&f);
    struct model *m = &w->file.model;
    if (a.model.n_params != m->n_params || b.model.n_params != m->n_params)
        die(EXIT_BADDATA, "'%s', '%s' and '%s' are of different shapes", w->model, w->from, w->to);
    for (size_t i = 0; i < m->n_params; i++)
        m->params[i] += (float)w->share * (b.model.params[i] - a.model.params[i]);
    model_file_release(&a);
    model_file_release(&b);
}

int main(int argc, char **argv) {
    struct wide w = {0};
    struct fail f = {0};
    struct options o = {.program = "wide",
                        .usage = "--model FILE -o FILE [options]",
                        .summary = "A teacher of random weights with a large vocabulary."};
    declare(&o, &w);
    options_parse(&o, argc, argv, NULL);
    parallel_init((int)w.common.threads);
    if (!w.from != !w.to) die(EXIT_USAGE, "--from and --to go together");
    model_file_load(w.model, &w.file, &f);
    die_if(&f);
    if (w.file.model.config.tied)
        die(EXIT_BADDATA, "'%s' has a tied head; make it untied", w.model);
    if (w.data) {
        tokens_load(&w.tokens, 1, &w.data, &f);
        die_if(&f);
        add_counts(&w);
        sharpen(&w);
    }
    if (w.from) step(&w);
    if (w.noise > 0) add_noise(&w.file.model, w.noise, (uint64_t)w.common.seed);
    char *json = options_json(&o);
    parents_add(&w.parents, "model", w.file.content);
    struct lineage l = {.kind = "model", .stage = "wide", .options = json, .parents = w.parents};
    model_file_save(w.output, &w.file, &l, &f);
    die_if(&f);
    print_result("%s", w.output);
    finish_stdout();
    free(json);
    parents_release(&w.parents);
    tokens_release(&w.tokens);
    model_file_release(&w.file);
    options_release(&o);
    return EXIT_DONE;
}
