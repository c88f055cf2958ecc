#include "stages/shared/generation.h"
#include "common/base/clock.h"
#include "common/base/jsonout.h"
#include "formats/bytes/whole_file.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

// Responses in progress or waiting for one before them: a ring of jobs, in the order of the rows.
enum { AHEAD = 16 }; // times the slots
struct window {
    struct generation *g;
    size_t room, stride;     // jobs of the ring; the most tokens a response has
    size_t at, next, total;  // of all responses: written, begun
    struct sample_job *jobs; // (room)
    bool *done;              // (room)
    int32_t *ids, *row;      // (room, stride); a row as it is written
    uint8_t *mask;
    double saved;
};

static struct sample_job *next_job(void *self) {
    struct window *w = self;
    const struct generation *g = w->g;
    if (w->next == w->total || w->next - w->at == w->room) return NULL;
    size_t i = w->next % w->room, row = w->next / g->samples;
    w->done[i] = false;
    w->jobs[i] = (struct sample_job){.prompt = g->prompts->ids + g->prompts->first[row],
                                     .n = tokens_prompt_length(g->prompts, row),
                                     .row = row,
                                     .sample = w->next % g->samples,
                                     .ids = w->ids + i * w->stride};
    w->next++;
    return &w->jobs[i];
}

static bool write_job(struct window *w, const struct sample_job *j) {
    struct columns_writer *to = w->g->writer;
    if (j->broken)
        return fail_set(columns_fail(to), EXIT_FAILED,
                        "prompt %zu: the logits of token %zu of its response are not finite; the "
                        "model diverged",
                        (size_t)j->row, j->count - 1);
    size_t n = sample_job_row(j, w->row, w->mask);
    return tokens_write(to, w->row, w->mask, n, j->n);
}

// Writes it and those that waited for it.
static bool end_job(void *self, struct sample_job *j) {
    struct window *w = self;
    size_t before = w->at;
    w->done[j - w->jobs] = true;
    for (; w->at < w->next && w->done[w->at % w->room]; w->at++)
        if (!write_job(w, &w->jobs[w->at % w->room])) return false;
    if (w->at == before) return true;
    log_progress(w->g->log, "response", w->at - w->g->first, w->g->count, NULL);
    if (clock_seconds() - w->saved < w->g->checkpoint_every) return true;
    w->saved = clock_seconds();
    return columns_checkpoint(w->g->writer, NULL, 0);
}

static struct window open_window(struct generation *g) {
    size_t most = (size_t)g->sampler.options.max_new, length = g->sampler.length;
    struct window w = {.g = g,
                       .room = AHEAD * g->sampler.slots,
                       .stride = most < length ? most : length,
                       .at = g->first + columns_rows(g->writer),
                       .next = g->first + columns_rows(g->writer),
                       .total = g->first + g->count,
                       .saved = clock_seconds()};
    w.jobs = xmalloc(w.room * sizeof *w.jobs);
    w.done = xmalloc(w.room * sizeof *w.done);
    w.ids = xmalloc(w.room * w.stride * sizeof *w.ids);
    w.row = xmalloc(length * sizeof *w.row);
    w.mask = xmalloc(length);
    return w;
}

static void close_window(struct window *w) {
    free(w->jobs);
    free(w->done);
    free(w->ids);
    free(w->row);
    free(w->mask);
}

size_t generation_plan(size_t slots, size_t most) {
    return AHEAD * slots * most * sizeof(int32_t);
}

int generation_run(struct generation *g, struct fail *f) {
    struct window w = open_window(g);
    bool all = sample_queue_run(&g->sampler, &(struct sample_queue){&w, next_job, end_job});
    log_end_progress(g->log);
    close_window(&w);
    if (all && columns_commit(g->writer, NULL)) return EXIT_DONE;
    if (all) return f->code ? f->code : EXIT_FAILED;
    columns_checkpoint(g->writer, NULL, 0);
    int code = fail_pass(f, columns_fail(g->writer)) ? EXIT_STOPPED : f->code;
    columns_abandon(g->writer, true);
    return code;
}

// ---- as text ----

struct text_row {
    size_t row, sample, tokens;
    struct decoded text;
    bool finished;
};

static void csv_field(struct str *s, const char *text, size_t n) {
    str_puts(s, "\"");
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '"') str_puts(s, "\"");
        str_add(s, text + i, 1);
    }
    str_puts(s, "\"");
}

static void print_row(struct str *s, const struct text_row *r, bool csv) {
    if (csv) {
        str_printf(s, "%zu,%zu,", r->row, r->sample);
        csv_field(s, r->text.prompt, r->text.prompt_bytes);
        str_puts(s, ",");
        csv_field(s, r->text.response, r->text.response_bytes);
        str_printf(s, ",%zu,%s\r\n", r->tokens, r->finished ? "true" : "false");
        return;
    }
    str_printf(s, "{\"row\": %zu, \"sample\": %zu, \"prompt\": ", r->row, r->sample);
    jsonout_bytes(s, r->text.prompt, r->text.prompt_bytes);
    str_puts(s, ", \"response\": ");
    jsonout_bytes(s, r->text.response, r->text.response_bytes);
    str_printf(s, ", \"tokens\": %zu, \"finished\": %s}\n", r->tokens,
               r->finished ? "true" : "false");
}

struct decoded generation_decode(const struct tokenizer *k, const int32_t *ids, size_t np,
                                 size_t n) {
    struct decoded d;
    d.prompt = tokenizer_decode(k, ids, np, true, &d.prompt_bytes);
    // The response is decoded after its prompt, so that a space between the two stays.
    char *whole = tokenizer_decode(k, ids, n, true, &d.response_bytes);
    size_t skip = d.prompt_bytes < d.response_bytes ? d.prompt_bytes : d.response_bytes;
    bool same = !memcmp(whole, d.prompt, skip) && skip == d.prompt_bytes;
    if (!same) {
        free(whole);
        whole = tokenizer_decode(k, ids + np, n - np, true, &d.response_bytes);
        skip = 0;
    }
    d.response_bytes -= skip;
    memmove(whole, whole + skip, d.response_bytes + 1);
    d.response = whole;
    return d;
}

void generation_decoded_release(struct decoded *d) {
    free(d->prompt);
    free(d->response);
}

static struct text_row make_row(const struct tokens *t, const struct tokenizer *k, size_t i,
                                size_t samples, size_t n_eos, const int32_t *eos) {
    const int32_t *ids = t->ids + t->first[i];
    size_t n = t->first[i + 1] - t->first[i], np = (size_t)t->prompt_length[i];
    struct text_row r = {.row = i / samples, .sample = i % samples, .tokens = n - np};
    for (size_t e = 0; e < n_eos; e++) r.finished |= n > np && ids[n - 1] == eos[e];
    r.text = generation_decode(k, ids, np, n);
    return r;
}

bool generation_text(size_t n, const char *const *path, const char *to, const struct tokenizer *k,
                     size_t samples, size_t n_eos, const int32_t *eos, struct fail *f) {
    struct tokens t;
    if (!tokens_load(&t, n, path, f)) return false;
    bool csv = text_ends(to, ".csv");
    struct str s = {0};
    if (csv) str_puts(&s, "row,sample,prompt,response,tokens,finished\r\n");
    for (size_t i = 0; i < t.rows; i++) {
        struct text_row r = make_row(&t, k, i, samples, n_eos, eos);
        print_row(&s, &r, csv);
        generation_decoded_release(&r.text);
    }
    bool ok = whole_file_write(to, s.text ? s.text : "", s.length, f);
    str_release(&s);
    tokens_release(&t);
    return ok;
}
