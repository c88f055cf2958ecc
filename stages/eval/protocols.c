// How each benchmark asks a judge, reads a verdict and writes it down; see protocol.h.
#include "common/base/jsonout.h"
#include "common/base/rng.h"
#include "common/base/value.h"
#include "common/method/arena.h"
#include "stages/eval/protocol.h"
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void put_member(struct str *to, const char *name, const char *text) {
    str_printf(to, "\"%s\": ", name);
    jsonout_text(to, text);
}

static void put_id(struct str *to, const struct benchmark_question *q) {
    if (q->id_is_number)
        str_puts(to, q->id);
    else
        jsonout_text(to, q->id);
}

static const char *judge_of(const struct protocol_run *r) {
    return r->command ? r->command : "recorded verdicts";
}

// ---- MT-Bench: a rating of each turn

static bool needs_reference(const char *category) {
    return !strcmp(category, "math") || !strcmp(category, "reasoning") ||
           !strcmp(category, "coding") || !strcmp(category, "arena-hard-200");
}

static void mtbench_requests(struct protocol_run *r, size_t question) {
    const struct benchmark_question *q = &r->questions.items[question];
    const struct benchmark_answer *a = protocol_answer(&r->answers, q), *reference = NULL;
    bool math = needs_reference(q->category);
    if (math && !r->references_path)
        die(EXIT_USAGE,
            "question '%s' is of category '%s', which is judged against a reference; "
            "give --references",
            q->id, q->category);
    if (math) reference = protocol_answer(&r->references, q);
    if (a->turns < q->turns)
        die(EXIT_BADDATA, "'%s' answers %zu of %zu turns of question '%s'; generate the others",
            r->answers_path, a->turns, q->turns, q->id);
    const struct judge_place places[] = {
        {"question", q->turn[0]},
        {"answer", a->turn[0]},
        {"question_1", q->turn[0]},
        {"answer_1", a->turn[0]},
        {"question_2", q->turn[1]},
        {"answer_2", a->turn[1]},
        {"ref_answer_1", reference ? reference->turn[0] : (struct benchmark_text){NULL, 0}},
        {"ref_answer_2", reference ? reference->turn[1] : (struct benchmark_text){NULL, 0}}};
    for (size_t turn = 0; turn < q->turns; turn++) {
        const char *names[2][2] = {{"single-v1", "single-v1-multi-turn"},
                                   {"single-math-v1", "single-math-v1-multi-turn"}};
        protocol_add(r, question, turn, names[math][turn], places, sizeof places / sizeof *places);
    }
}

// The first "[[8]]" or "[[7.5]]" with `depth` brackets.
static bool rating(const char *text, size_t depth, double *value) {
    static const char open[] = "[[", close[] = "]]";
    for (const char *at = text; (at = strstr(at, open + 2 - depth)); at++) {
        const char *digits = at + depth;
        size_t n = strspn(digits, "0123456789");
        if (n && digits[n] == '.') n += 1 + strspn(digits + n + 1, "0123456789");
        if (!n || strncmp(digits + n, close + 2 - depth, depth) != 0) continue;
        *value = strtod(digits, NULL);
        return true;
    }
    return false;
}

static void mtbench_read(struct verdict *v, const struct json *logprobs) {
    (void)logprobs;
    v->known = rating(v->text, 2, &v->value) || rating(v->text, 1, &v->value);
}

static void mtbench_write(const struct protocol_run *r, const struct judge_request *first,
                          size_t parts, struct str *to) {
    for (size_t i = 0; i < parts; i++) {
        const struct judge_request *q = &first[i];
        str_puts(to, i ? "\n{\"question_id\": " : "{\"question_id\": ");
        put_id(to, &r->questions.items[q->question]);
        str_puts(to, ", ");
        put_member(to, "model", r->answers.model);
        str_puts(to, ", \"judge\": [");
        jsonout_text(to, judge_of(r));
        str_puts(to, ", ");
        jsonout_text(to, q->prompt->name);
        str_puts(to, "], ");
        str_puts(to, "\"user_prompt\": ");
        jsonout_bytes(to, q->user.text, q->user.n);
        str_puts(to, ", ");
        put_member(to, "judgment", q->verdict.text);
        str_puts(to, ", \"score\": ");
        jsonout_number(to, q->verdict.known ? q->verdict.value : -1);
        str_printf(to, ", \"turn\": %zu}", q->part + 1);
    }
}

// ---- Arena-Hard: two games against the baseline, which is assistant A in the first

static void arena_requests(struct protocol_run *r, size_t question) {
    const struct benchmark_question *q = &r->questions.items[question];
    const struct benchmark_answer *a = protocol_answer(&r->answers, q);
    const struct benchmark_answer *b = protocol_answer(&r->baseline, q);
    for (size_t game = 0; game < 2; game++) {
        struct benchmark_text one = game ? a->turn[0] : b->turn[0];
        struct benchmark_text two = game ? b->turn[0] : a->turn[0];
        const struct judge_place places[] = {{"question_1", q->turn[0]}, {"answer_1", one},
                                             {"answer_2", two},          {"QUESTION", q->turn[0]},
                                             {"ANSWER_A", one},          {"ANSWER_B", two}};
        protocol_add(r, question, game, q->category, places, sizeof places / sizeof *places);
    }
}

// The last label in `depth` brackets of the text in capitals.
static bool arena_verdict(const char *text, size_t depth, char label[8]) {
    static const char open[] = "[[", close[] = "]]";
    bool found = false;
    for (const char *at = text; (at = strstr(at, open + 2 - depth)); at++) {
        char word[8] = {0};
        size_t n = strspn(at + depth, "ABab<>=");
        if (!n || n > 4 || strncmp(at + depth + n, close + 2 - depth, depth) != 0) continue;
        for (size_t i = 0; i < n; i++) word[i] = (char)toupper((unsigned char)at[depth + i]);
        double outcome;
        bool strong;
        found = arena_label(word, &outcome, &strong);
        if (found) memcpy(label, word, sizeof word);
    }
    return *label;
}

static void arena_read(struct verdict *v, const struct json *logprobs) {
    (void)logprobs;
    v->known = arena_verdict(v->text, 2, v->label) || arena_verdict(v->text, 1, v->label);
}

static void put_game(struct str *to, const struct judge_request *q, bool v2) {
    str_puts(to, "{\"score\": ");
    jsonout_text(to, q->verdict.known ? q->verdict.label : NULL);
    str_puts(to, v2 ? ", \"judgment\": {\"answer\": " : ", \"judgment\": ");
    jsonout_text(to, q->verdict.text);
    str_puts(to, v2 ? "}}" : "}");
}

static void arena_write(const struct protocol_run *r, const struct judge_request *first,
                        size_t parts, struct str *to) {
    const struct benchmark_question *q = &r->questions.items[first->question];
    bool v2 = r->questions.kind == BENCHMARK_ARENA_V2;
    str_printf(to, "{\"%s\": ", v2 ? "uid" : "question_id");
    put_id(to, q);
    str_puts(to, ", ");
    put_member(to, "category", q->category);
    str_puts(to, ", ");
    put_member(to, "judge", judge_of(r));
    str_puts(to, ", ");
    put_member(to, "model", r->answers.model);
    str_puts(to, ", ");
    put_member(to, "baseline", r->baseline.model);
    str_puts(to, ", \"games\": [");
    for (size_t i = 0; i < parts; i++) {
        if (i) str_puts(to, ", ");
        put_game(to, &first[i], v2);
    }
    str_puts(to, "]}");
}

// ---- AlpacaEval: the probability of one token, "m" for the answer shown first, "M" for the other

static void alpaca_requests(struct protocol_run *r, size_t question) {
    const struct benchmark_question *q = &r->questions.items[question];
    const struct benchmark_answer *a = protocol_answer(&r->answers, q);
    const struct benchmark_answer *b = protocol_answer(&r->baseline, q);
    struct hash128 h = hash_bytes(q->id, strlen(q->id));
    bool both = !strcmp(r->order, "both"), second = rng_bits(r->seed, RNG_ORDER, h.low, h.high) & 1;
    for (size_t part = 0; part < 2; part++) {
        if (!both && part != second) continue;
        const struct judge_place places[] = {{"instruction", q->turn[0]},
                                             {"output_1", part ? a->turn[0] : b->turn[0]},
                                             {"output_2", part ? b->turn[0] : a->turn[0]}};
        protocol_add(r, question, part, "", places, sizeof places / sizeof *places);
    }
}

// The log-probability of a token, from {token: number} or a list of {"token", "logprob"}.
static double logprob(const struct json *l, const char *token) {
    if (json_type(l) == JSON_OBJECT) {
        const struct json *v = json_get(l, token);
        return json_type(v) == JSON_NUMBER ? json_number(v) : -INFINITY;
    }
    for (size_t i = 0; i < json_size(l); i++) {
        const char *name = json_text(json_get(json_at(l, i), "token"), NULL);
        if (name && !strcmp(name, token)) return json_number(json_get(json_at(l, i), "logprob"));
    }
    return -INFINITY;
}

static void alpaca_read(struct verdict *v, const struct json *logprobs) {
    double first = logprob(logprobs, "m"), other = logprob(logprobs, "M");
    if (isfinite(first) || isfinite(other)) {
        v->value = 1 / (1 + exp(other - first));
        v->known = true;
        return;
    }
    size_t skip = strspn(v->text, " \n\t");
    char c = v->text[skip];
    v->known = (c == 'm' || c == 'M') && !isalnum((unsigned char)v->text[skip + 1]);
    v->value = c == 'm';
}

static void alpaca_write(const struct protocol_run *r, const struct judge_request *first,
                         size_t parts, struct str *to) {
    const struct benchmark_question *q = &r->questions.items[first->question];
    const struct benchmark_answer *a = benchmark_answer(&r->answers, q->id);
    const struct benchmark_answer *b = benchmark_answer(&r->baseline, q->id);
    double preference = 0; // 1: the baseline's answer, 2: the model's
    for (size_t i = 0; i < parts; i++) {
        double p = first[i].verdict.known ? first[i].verdict.value : NAN;
        preference += (first[i].part ? 1 + p : 2 - p) / (double)parts;
    }
    str_puts(to, "{\"instruction\": ");
    jsonout_bytes(to, q->turn[0].text, q->turn[0].n);
    str_puts(to, ", \"output_1\": ");
    jsonout_bytes(to, b->turn[0].text, b->turn[0].n);
    str_puts(to, ", ");
    put_member(to, "generator_1", r->baseline.model);
    str_puts(to, ", ");
    put_member(to, "dataset", q->category);
    str_puts(to, ", \"output_2\": ");
    jsonout_bytes(to, a->turn[0].text, a->turn[0].n);
    str_puts(to, ", ");
    put_member(to, "generator_2", r->answers.model);
    str_puts(to, ", ");
    put_member(to, "annotator", judge_of(r));
    str_puts(to, ", \"preference\": ");
    jsonout_number(to, preference);
    str_puts(to, "}");
}

static const struct protocol protocols[] = {
    {"mtbench", false, 2048, false, mtbench_requests, mtbench_read, mtbench_write},
    {"arenahard", true, 4096, false, arena_requests, arena_read, arena_write},
    {"alpacaeval", true, 1, true, alpaca_requests, alpaca_read, alpaca_write},
};

const struct protocol *protocol_named(const char *name) {
    for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++)
        if (!strcmp(protocols[i].name, name)) return &protocols[i];
    return NULL;
}
