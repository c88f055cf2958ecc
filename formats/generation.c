#include "formats/generation.h"
#include "common/clock.h"
#include "common/jsonout.h"
#include "common/stop.h"
#include "formats/whole_file.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct group { // jobs under way together
    struct sample_job *jobs;
    int32_t *ids;
    size_t n;
};

static size_t prompt_length(const struct tokens *t, size_t row) {
    size_t n = t->first[row + 1] - t->first[row];
    return t->kind == TOKENS_SFT ? (size_t)t->prompt_length[row] : n;
}

static void fill_group(const struct generation *g, struct group *group, size_t first, size_t n) {
    size_t max_new = (size_t)g->sampler.options.max_new;
    group->n = n;
    for (size_t i = 0; i < n; i++) {
        size_t row = (first + i) / g->samples;
        group->jobs[i] = (struct sample_job){.prompt = g->prompts->ids + g->prompts->first[row],
                                             .n = prompt_length(g->prompts, row),
                                             .row = row,
                                             .sample = (first + i) % g->samples,
                                             .ids = group->ids + i * max_new};
    }
}

static bool write_group(struct generation *g, const struct group *group) {
    size_t room = g->sampler.length;
    int32_t *ids = xmalloc(room * sizeof *ids);
    uint8_t *mask = xmalloc(room);
    bool ok = true;
    for (size_t i = 0; i < group->n && ok; i++) {
        const struct sample_job *j = &group->jobs[i];
        if (j->broken)
            ok = fail_set(columns_fail(g->writer), EXIT_FAILED,
                          "prompt %zu: the logits of token %zu of its response are not finite; the "
                          "model diverged",
                          (size_t)j->row, j->count - 1);
        if (!ok) break;
        memcpy(ids, j->prompt, j->n * sizeof *ids);
        memcpy(ids + j->n, j->ids, j->count * sizeof *ids);
        memset(mask, 0, j->n);
        memset(mask + j->n, 1, j->count);
        ok = tokens_write(g->writer, ids, mask, j->n + j->count, j->n);
    }
    free(ids);
    free(mask);
    return ok;
}

static int run(struct generation *g, struct group *group, size_t most, struct fail *f) {
    size_t at = columns_rows(g->writer), total = g->prompts->rows * g->samples;
    double saved = clock_seconds();
    while (at < total) {
        fill_group(g, group, at, total - at < most ? total - at : most);
        if (stop_requested() || !sample_run(&g->sampler, group->jobs, group->n)) {
            columns_checkpoint(g->writer, NULL, 0);
            return fail_pass(f, columns_fail(g->writer)) ? EXIT_STOPPED : f->code;
        }
        if (!write_group(g, group)) break;
        at += group->n;
        log_progress(g->log, "response", at, total, NAN);
        if (clock_seconds() - saved < g->checkpoint_every) continue;
        if (!columns_checkpoint(g->writer, NULL, 0)) break;
        saved = clock_seconds();
    }
    return fail_pass(f, columns_fail(g->writer)) ? EXIT_DONE : f->code;
}

int generation_run(struct generation *g, struct fail *f) {
    size_t most = 4 * g->sampler.slots, max_new = (size_t)g->sampler.options.max_new;
    struct group group = {.jobs = xmalloc(most * sizeof *group.jobs),
                          .ids = xmalloc(most * max_new * sizeof *group.ids)};
    int code = run(g, &group, most, f);
    log_end_progress(g->log);
    if (code == EXIT_DONE) {
        if (!columns_commit(g->writer, NULL)) code = f->code ? f->code : EXIT_FAILED;
    } else {
        columns_abandon(g->writer, true);
    }
    free(group.jobs);
    free(group.ids);
    return code;
}

// ---- as text ----

struct text_row {
    size_t row, sample, tokens;
    char *prompt, *response;
    size_t prompt_bytes, response_bytes;
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
        csv_field(s, r->prompt, r->prompt_bytes);
        str_puts(s, ",");
        csv_field(s, r->response, r->response_bytes);
        str_printf(s, ",%zu,%s\r\n", r->tokens, r->finished ? "true" : "false");
        return;
    }
    str_printf(s, "{\"row\": %zu, \"sample\": %zu, \"prompt\": ", r->row, r->sample);
    jsonout_bytes(s, r->prompt, r->prompt_bytes);
    str_puts(s, ", \"response\": ");
    jsonout_bytes(s, r->response, r->response_bytes);
    str_printf(s, ", \"tokens\": %zu, \"finished\": %s}\n", r->tokens,
               r->finished ? "true" : "false");
}

static struct text_row make_row(const struct tokens *t, const struct tokenizer *k, size_t i,
                                size_t samples, size_t n_eos, const int32_t *eos) {
    const int32_t *ids = t->ids + t->first[i];
    size_t n = t->first[i + 1] - t->first[i], np = (size_t)t->prompt_length[i];
    struct text_row r = {.row = i / samples, .sample = i % samples, .tokens = n - np};
    for (size_t e = 0; e < n_eos; e++) r.finished |= n > np && ids[n - 1] == eos[e];
    r.prompt = tokenizer_decode(k, ids, np, true, &r.prompt_bytes);
    // The response is decoded behind its prompt, so that a space between the two stays.
    char *whole = tokenizer_decode(k, ids, n, true, &r.response_bytes);
    size_t skip = r.prompt_bytes < r.response_bytes ? r.prompt_bytes : r.response_bytes;
    bool same = !memcmp(whole, r.prompt, skip) && skip == r.prompt_bytes;
    if (!same) {
        free(whole);
        whole = tokenizer_decode(k, ids + np, n - np, true, &r.response_bytes);
        skip = 0;
    }
    r.response_bytes -= skip;
    memmove(whole, whole + skip, r.response_bytes + 1);
    r.response = whole;
    return r;
}

bool generation_text(const char *path, const char *to, const struct tokenizer *k, size_t samples,
                     size_t n_eos, const int32_t *eos, struct fail *f) {
    struct tokens t;
    if (!tokens_load(&t, 1, &path, f)) return false;
    size_t n = strlen(to);
    bool csv = n > 4 && !strcmp(to + n - 4, ".csv");
    struct str s = {0};
    if (csv) str_puts(&s, "row,sample,prompt,response,tokens,finished\r\n");
    for (size_t i = 0; i < t.rows; i++) {
        struct text_row r = make_row(&t, k, i, samples, n_eos, eos);
        print_row(&s, &r, csv);
        free(r.prompt);
        free(r.response);
    }
    bool ok = whole_file_write(to, s.text ? s.text : "", s.length, f);
    str_release(&s);
    tokens_release(&t);
    return ok;
}
