#include "formats/records/benchmark.h"
#include "common/base/jsonout.h"
#include "formats/records/markdown.h"
#include "formats/records/records.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct benchmark_text copy(const struct json *v) {
    struct benchmark_text t = {NULL, 0};
    const char *text = json_text(v, &t.n);
    if (!text) return t;
    t.text = xmalloc(t.n + 1);
    memcpy(t.text, text, t.n);
    t.text[t.n] = 0;
    return t;
}

static bool refuse(const struct record *r, const char *what, struct fail *f) {
    return fail_set(f, EXIT_BADDATA, "'%s' line %zu: %s; give the benchmark's own file", r->path,
                    r->line, what);
}

// The rows of a file of JSON, each handed to `row`.
static bool for_rows(const char *path, struct fail *f, void *self,
                     bool (*row)(void *self, const struct record *r, struct fail *f)) {
    struct record r = {0};
    size_t n = 0;
    struct records *in = records_open(1, &path, SYNTAX_AUTO, f);
    while (!f->code && records_next(in, &r)) {
        if (!record_parse(&r))
            fail_pass(f, &r.bad);
        else if (r.syntax != SYNTAX_JSONL && r.syntax != SYNTAX_JSON)
            refuse(&r, "it is no JSON", f);
        else
            row(self, &r, f);
        n++;
    }
    record_release(&r);
    if (in) records_close(in);
    if (!n) fail_set(f, EXIT_BADDATA, "no rows in '%s'; give the benchmark's own file", path);
    return !f->code;
}

static char *id_of(const struct record *r, bool *number) {
    const struct json *v = record_json(r, "question_id");
    if (!v) v = record_json(r, "uid");
    if (!v) v = record_json(r, "instruction");
    const char *text = json_text(v, NULL);
    *number = json_is_integer(v);
    if (*number) return xasprintf("%lld", (long long)json_int(v));
    return text ? xstrdup(text) : NULL;
}

// ---- questions

static enum benchmark kind_of(const struct record *r) {
    if (record_json(r, "instruction")) return BENCHMARK_ALPACA;
    if (record_json(r, "uid")) return BENCHMARK_ARENA_V2;
    const struct json *turns = record_json(r, "turns");
    return json_type(json_at(turns, 0)) == JSON_OBJECT ? BENCHMARK_ARENA_V01 : BENCHMARK_MTBENCH;
}

static void question_turns(struct benchmark_question *q, const struct record *r) {
    const struct json *turns = record_json(r, "turns"), *one = record_json(r, "prompt");
    if (!one) one = record_json(r, "instruction");
    if (!turns) q->turn[q->turns++] = copy(one);
    for (size_t i = 0; i < json_size(turns) && i < BENCHMARK_TURNS; i++) {
        const struct json *t = json_at(turns, i);
        q->turn[q->turns++] = copy(json_type(t) == JSON_OBJECT ? json_get(t, "content") : t);
    }
}

static bool add_question(void *self, const struct record *r, struct fail *f) {
    struct benchmark_questions *q = self;
    struct benchmark_question new = {.line = r->line};
    if (!q->n) q->kind = kind_of(r);
    new.id = id_of(r, &new.id_is_number);
    const char *category = json_text(record_json(r, "category"), NULL);
    if (!category) category = json_text(record_json(r, "dataset"), NULL);
    new.category = xstrdup(category ? category : "");
    question_turns(&new, r);
    q->items = xrealloc(q->items, (q->n + 1) * sizeof *q->items);
    q->items[q->n++] = new;
    if (!new.id) return refuse(r, "no question_id, uid or instruction", f);
    if (kind_of(r) != q->kind) return refuse(r, "it is of another benchmark than line 1", f);
    for (size_t t = 0; t < (new.turns ? new.turns : 1); t++)
        if (!new.turn[t].text) return refuse(r, "no text of the question", f);
    return true;
}

bool benchmark_questions_load(struct benchmark_questions *q, const char *path, struct fail *f) {
    *q = (struct benchmark_questions){.path = path};
    if (!for_rows(path, f, q, add_question)) benchmark_questions_release(q);
    return !f->code;
}

void benchmark_questions_release(struct benchmark_questions *q) {
    for (size_t i = 0; i < q->n; i++) {
        free(q->items[i].id);
        free(q->items[i].category);
        for (size_t t = 0; t < BENCHMARK_TURNS; t++) free(q->items[i].turn[t].text);
    }
    free(q->items);
    *q = (struct benchmark_questions){.path = q->path};
}

// ---- answers

static void answer_turns(struct benchmark_answer *a, const struct record *r) {
    const struct json *turns = json_get(json_at(record_json(r, "choices"), 0), "turns");
    const struct json *messages = record_json(r, "messages"), *output = record_json(r, "output");
    if (output) a->turn[a->turns++] = copy(output);
    for (size_t i = 0; i < json_size(turns) && i < BENCHMARK_TURNS; i++) {
        const struct json *t = json_at(turns, i);
        a->turn[a->turns++] = copy(json_type(t) == JSON_OBJECT ? json_get(t, "content") : t);
    }
    if (output || turns || !json_size(messages)) return;
    const struct json *last = json_get(json_at(messages, json_size(messages) - 1), "content");
    a->turn[a->turns++] = copy(json_type(last) == JSON_OBJECT ? json_get(last, "answer") : last);
}

// A count as a number, or the sum of an object's numbers; NaN: none.
static double count_of(const struct json *v) {
    if (json_type(v) == JSON_NUMBER) return json_number(v);
    double sum = json_type(v) == JSON_OBJECT ? 0 : NAN;
    for (size_t i = 0; json_type(v) == JSON_OBJECT && i < json_size(v); i++)
        sum += json_number(json_value(v, i));
    return sum;
}

static void answer_counts(struct benchmark_answer *a, const struct record *r) {
    static const char *const names[] = {"token_len", "header_count", "list_count", "bold_count"};
    const struct json *counts = record_json(r, "conv_metadata");
    if (!counts) counts = record_json(r, "metadata");
    for (size_t i = 0; i < BENCHMARK_COUNTS; i++)
        a->count[i] = count_of(json_get(counts, names[i]));
    const struct json *turn = json_at(json_get(json_at(record_json(r, "choices"), 0), "turns"), 0);
    if (isnan(a->count[0])) a->count[0] = count_of(json_get(turn, "token_len"));
}

static bool add_answer(void *self, const struct record *r, struct fail *f) {
    struct benchmark_answers *a = self;
    struct benchmark_answer new = {0};
    bool number;
    const char *const names[] = {"model_id", "model", "generator"};
    const char *model = NULL;
    for (size_t i = 0; i < 3 && !model; i++) model = json_text(record_json(r, names[i]), NULL);
    new.id = id_of(r, &number);
    answer_turns(&new, r);
    answer_counts(&new, r);
    a->items = xrealloc(a->items, (a->n + 1) * sizeof *a->items);
    a->items[a->n++] = new;
    if (!a->model && model) a->model = xstrdup(model);
    if (!new.id) return refuse(r, "no question_id, uid or instruction", f);
    if (!model) return refuse(r, "no model_id, model or generator", f);
    if (strcmp(model, a->model)) return refuse(r, "it is of another model than line 1", f);
    for (size_t t = 0; t < (new.turns ? new.turns : 1); t++)
        if (!new.turn[t].text) return refuse(r, "no text of the answer", f);
    return true;
}

static int by_id(const void *a, const void *b) {
    const struct benchmark_answer *x = a, *y = b;
    return strcmp(x->id, y->id);
}

bool benchmark_answers_load(struct benchmark_answers *a, const char *path, struct fail *f) {
    *a = (struct benchmark_answers){.path = path};
    if (for_rows(path, f, a, add_answer)) qsort(a->items, a->n, sizeof *a->items, by_id);
    for (size_t i = 1; i < a->n && !f->code; i++)
        if (!strcmp(a->items[i].id, a->items[i - 1].id))
            fail_set(f, EXIT_BADDATA, "'%s' answers question '%.60s' twice; keep one of them", path,
                     a->items[i].id);
    if (f->code) benchmark_answers_release(a);
    return !f->code;
}

const struct benchmark_answer *benchmark_answer(const struct benchmark_answers *a, const char *id) {
    struct benchmark_answer key = {.id = (char *)id};
    return a->n ? bsearch(&key, a->items, a->n, sizeof key, by_id) : NULL;
}

void benchmark_answers_release(struct benchmark_answers *a) {
    for (size_t i = 0; i < a->n; i++) {
        free(a->items[i].id);
        for (size_t t = 0; t < BENCHMARK_TURNS; t++) free(a->items[i].turn[t].text);
    }
    free(a->items);
    free(a->model);
    *a = (struct benchmark_answers){.path = a->path};
}

// ---- writing answers

static void put_id(struct str *to, const struct benchmark_question *q) {
    if (q->id_is_number)
        str_puts(to, q->id);
    else
        jsonout_text(to, q->id);
}

static void put_counts(struct str *to, const struct benchmark_text *response, size_t tokens) {
    struct markdown_counts c = markdown_count(response->text, response->n);
    str_printf(to, "{\"token_len\": %zu, \"header_count\": {", tokens);
    for (int i = 0; i < 6; i++) str_printf(to, "%s\"h%d\": %zu", i ? ", " : "", i + 1, c.header[i]);
    str_printf(to, "}, \"list_count\": {\"ordered\": %zu, \"unordered\": %zu}, ", c.ordered,
               c.unordered);
    str_printf(to, "\"bold_count\": {\"**\": %zu, \"__\": %zu}}", c.stars, c.underscores);
}

static void put_choices(struct str *to, enum benchmark kind, size_t turns,
                        const struct benchmark_text *response, size_t tokens) {
    str_puts(to, "[{\"index\": 0, \"turns\": [");
    for (size_t t = 0; t < turns; t++) {
        str_puts(to, t ? ", " : "");
        if (kind == BENCHMARK_ARENA_V01) str_puts(to, "{\"content\": ");
        jsonout_bytes(to, response[t].text, response[t].n);
        if (kind == BENCHMARK_ARENA_V01) str_printf(to, ", \"token_len\": %zu}", tokens);
    }
    str_puts(to, "]}]");
}

void benchmark_answer_write(struct str *to, enum benchmark kind, const struct benchmark_question *q,
                            const char *model, const struct benchmark_text *response,
                            size_t tokens) {
    const struct benchmark_text *last = &response[q->turns - 1];
    if (kind == BENCHMARK_ALPACA) {
        str_puts(to, "{\"instruction\": ");
        jsonout_bytes(to, q->turn[0].text, q->turn[0].n);
        str_puts(to, ", \"output\": ");
        jsonout_bytes(to, last->text, last->n);
        str_puts(to, ", \"generator\": ");
        jsonout_text(to, model);
        str_puts(to, ", \"dataset\": ");
        jsonout_text(to, q->category);
    } else if (kind == BENCHMARK_ARENA_V2) {
        str_puts(to, "{\"uid\": ");
        put_id(to, q);
        str_puts(to, ", \"model\": ");
        jsonout_text(to, model);
        str_puts(to, ", \"messages\": [{\"role\": \"user\", \"content\": ");
        jsonout_bytes(to, q->turn[0].text, q->turn[0].n);
        str_puts(to, "}, {\"role\": \"assistant\", \"content\": {\"answer\": ");
        jsonout_bytes(to, last->text, last->n);
        str_puts(to, "}}], \"metadata\": ");
        put_counts(to, last, tokens);
    } else {
        str_puts(to, "{\"question_id\": ");
        put_id(to, q);
        str_puts(to, ", \"model_id\": ");
        jsonout_text(to, model);
        str_puts(to, ", \"choices\": ");
        put_choices(to, kind, q->turns, response, tokens);
        str_puts(to, ", \"conv_metadata\": ");
        put_counts(to, last, tokens);
    }
    str_puts(to, "}");
}
