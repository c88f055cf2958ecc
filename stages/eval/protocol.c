#include "stages/eval/protocol.h"
#include "common/base/jsonout.h"
#include "common/base/pump.h"
#include "common/base/stop.h"
#include "formats/bytes/whole_file.h"
#include "stages/eval/table.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

void protocol_rows(struct options *o, struct protocol_run *r) {
    const struct opt_row rows[] = {
        {"protocol", OPT_CHOICE, OPT_RESULT, &r->name, .value = "pairs",
         .choices = "pairs|mtbench|arenahard|alpacaeval",
         .help =
             "pairs: --a against --b; else the benchmark's own questions, prompts and verdicts"},
        {"questions", OPT_TEXT, OPT_INPUT, &r->questions_path, .metavar = "FILE",
         .help = "the benchmark's questions"},
        {"answers", OPT_TEXT, OPT_INPUT, &r->answers_path, .metavar = "FILE",
         .help = "the model's answers in the benchmark's form"},
        {"baseline", OPT_TEXT, OPT_INPUT, &r->baseline_path, .metavar = "FILE",
         .help = "the baseline's answers (arenahard, alpacaeval)"},
        {"prompts", OPT_TEXT, OPT_INPUT, &r->prompts_path, .metavar = "FILE",
         .help =
             "the benchmark's prompts of a judge: MT-Bench's judge_prompts.jsonl, a JSON object "
             "with system_prompt and prompt_template, or AlpacaEval's text file"},
        {"references", OPT_TEXT, OPT_INPUT, &r->references_path, .metavar = "FILE",
         .help = "MT-Bench's reference answers, for math, reasoning and coding"},
        {"order", OPT_CHOICE, OPT_RESULT, &r->order, .value = "random", .choices = "random|both",
         .help = "alpacaeval: show the answers in a random order by --seed, or in both"},
        {"retries", OPT_INT, OPT_EXEC, &r->retries, .value = "2", .low = 0, .high = 100,
         .metavar = "N", .help = "ask again so often where a reply holds no verdict"},
    };
    options_add(o, rows, sizeof rows / sizeof *rows);
}

// ---- requests

const struct benchmark_answer *protocol_answer(const struct benchmark_answers *a,
                                               const struct benchmark_question *q) {
    const struct benchmark_answer *found = benchmark_answer(a, q->id);
    if (!found)
        die(EXIT_BADDATA, "'%s' has no answer to question '%.60s'; generate it first", a->path,
            q->id);
    return found;
}

static void put_message(struct str *to, const char *role, const char *text, size_t n) {
    str_printf(to, "{\"role\": \"%s\", \"content\": ", role);
    jsonout_bytes(to, text, n);
    str_puts(to, "}");
}

static void put_messages(struct str *to, const struct judge_request *q) {
    str_puts(to, "\"messages\": [");
    if (q->prompt->system.n) {
        put_message(to, "system", q->prompt->system.text, q->prompt->system.n);
        str_puts(to, ", ");
    }
    put_message(to, "user", q->user.text, q->user.n);
    str_puts(to, "]");
}

void protocol_add(struct protocol_run *r, size_t question, size_t part, const char *prompt,
                  const struct judge_place *places, size_t n) {
    struct fail f = {0};
    struct str user = {0}, text = {0};
    struct judge_request q = {question, part, judge_prompt(&r->prompts, prompt), .user = {NULL, 0}};
    if (!q.prompt)
        die(EXIT_BADDATA, "'%s' has no prompt '%s'; give the benchmark's own file", r->prompts_path,
            prompt);
    judge_prompt_fill(&user, q.prompt, places, n, &f);
    die_if(&f);
    q.user = (struct benchmark_text){user.text, user.length};
    put_messages(&text, &q);
    str_printf(&text, " %s %zu", r->protocol->name, part);
    q.key = hash_bytes(text.text, text.length);
    str_release(&text);
    r->request = xrealloc(r->request, (r->n + 1) * sizeof *r->request);
    r->request[r->n++] = q;
}

static void put_text(struct str *to, const char *name, const struct benchmark_text *t) {
    str_printf(to, ", \"%s\": ", name);
    jsonout_bytes(to, t->text, t->n);
}

// In plain texts: the questions of the turns so far, and the answer, or the answers as shown.
static void put_about(struct str *to, const struct protocol_run *r, const struct judge_request *q) {
    const struct benchmark_question *of = &r->questions.items[q->question];
    const struct benchmark_answer *a = benchmark_answer(&r->answers, of->id);
    str_printf(to, "{\"protocol\": \"%s\", \"id\": ", r->protocol->name);
    jsonout_text(to, of->id);
    str_printf(to, ", \"part\": %zu", q->part);
    put_text(to, "question", &of->turn[0]);
    if (!r->protocol->baseline) {
        put_text(to, "response", &a->turn[0]);
        if (q->part) {
            put_text(to, "question_2", &of->turn[1]);
            put_text(to, "response_2", &a->turn[1]);
        }
    } else {
        const struct benchmark_answer *b = benchmark_answer(&r->baseline, of->id);
        put_text(to, "response_a", q->part ? &a->turn[0] : &b->turn[0]);
        put_text(to, "response_b", q->part ? &b->turn[0] : &a->turn[0]);
    }
    str_puts(to, "}");
}

static void ask(void *self, size_t i, struct str *line) {
    const struct protocol_run *r = self;
    const struct judge_request *q = &r->request[r->pending[i]];
    str_puts(line, "{");
    put_messages(line, q);
    str_printf(line, ", \"temperature\": 0, \"max_tokens\": %d", r->protocol->max_tokens);
    if (r->protocol->logprobs) str_puts(line, ", \"logprobs\": true, \"top_logprobs\": 5");
    str_puts(line, ", \"about\": ");
    put_about(line, r, q);
    str_puts(line, "}\n");
}

// ---- replies

// The chat protocol's list of the first token's alternatives as {token: number}, or what `plain`
// holds as such; NULL: none.
static const struct json *logprobs_of(const struct json *reply, const struct json *choice) {
    const struct json *list = json_get(json_get(choice, "logprobs"), "content");
    return list ? json_get(json_at(list, 0), "top_logprobs") : json_get(reply, "logprobs");
}

bool protocol_reply(const struct protocol *p, const char *line, struct verdict *v) {
    struct fail ignored = {0};
    struct json *reply = json_parse(line, strlen(line), "reply", &ignored);
    const struct json *choice = json_at(json_get(reply, "choices"), 0), *text = reply;
    if (json_type(reply) == JSON_OBJECT) text = json_get(reply, "content");
    if (choice) text = json_get(json_get(choice, "message"), "content");
    const char *words = json_text(text, NULL);
    free(v->text);
    *v = (struct verdict){.text = words ? xstrdup(words) : NULL};
    if (words) p->read(v, logprobs_of(reply, choice));
    json_free(reply);
    return words;
}

static bool answer(void *self, size_t i, const char *line, struct fail *f) {
    struct protocol_run *r = self;
    struct judge_request *q = &r->request[r->pending[i]];
    char excerpt[PUMP_EXCERPT];
    pump_excerpt(line, excerpt);
    if (!protocol_reply(r->protocol, line, &q->verdict))
        return fail_set(f, EXIT_BADDATA,
                        "the judge's line %zu is '%s', not a reply; it must print a text as JSON, "
                        "{\"content\": TEXT} or the chat protocol's response, one per line",
                        i + 1, excerpt);
    log_progress(r->log, "verdict", i + 1, r->n_pending, NULL);
    return verdicts_add_reply(r->log_of_verdicts, q->key, line, f);
}

static size_t find_pending(struct protocol_run *r) {
    r->n_pending = 0;
    for (size_t i = 0; i < r->n; i++) {
        struct judge_request *q = &r->request[i];
        const char *reply = verdicts_reply(r->log_of_verdicts, q->key);
        if (reply && !q->verdict.text) protocol_reply(r->protocol, reply, &q->verdict);
        if (!q->verdict.known) r->pending[r->n_pending++] = i;
    }
    return r->n_pending;
}

static void ask_judge(struct protocol_run *r) {
    struct fail f = {0};
    const char *other = r->command ? verdicts_other_judge(r->log_of_verdicts) : NULL;
    if (other)
        warn("'%s' holds verdicts of another judge, '%s'; they are kept", r->verdicts, other);
    if (find_pending(r) && !r->command)
        die(EXIT_USAGE,
            "%zu of %zu verdicts are not known; give --judge COMMAND, or a --verdicts log that "
            "holds them",
            r->n_pending, r->n);
    for (int64_t attempt = 0; attempt <= r->retries && find_pending(r); attempt++) {
        struct pump pump = {"judge", r->command, r->n_pending, r->timeout, r, ask, answer};
        stop_init(0);
        pump_run(&pump, &f);
        log_end_progress(r->log);
        die_if(&f);
    }
    if (find_pending(r))
        warn("%zu of %zu replies hold no verdict after %lld tries; they count as missing",
             r->n_pending, r->n, (long long)r->retries + 1);
}

// ---- files

static void check_options(struct options *o, struct protocol_run *r) {
    options_refuse(o, "a|b", "is of --protocol pairs");
    if (!r->questions_path || !r->answers_path || !r->prompts_path)
        die(EXIT_USAGE, "--protocol %s needs --questions, --answers and --prompts", r->name);
    if (r->protocol->baseline && !r->baseline_path)
        die(EXIT_USAGE, "--protocol %s needs --baseline, the answers to compare with", r->name);
    if (!r->protocol->baseline) options_refuse(o, "baseline", "has no use with --protocol mtbench");
    if (strcmp(r->name, "mtbench")) options_refuse(o, "references", "is of --protocol mtbench");
    if (strcmp(r->name, "alpacaeval")) options_refuse(o, "order", "is of --protocol alpacaeval");
    if (!r->command && !r->verdicts)
        die(EXIT_USAGE, "give --judge COMMAND, or a --verdicts log to replay");
}

static void load_inputs(struct protocol_run *r) {
    struct fail f = {0};
    benchmark_questions_load(&r->questions, r->questions_path, &f);
    if (!f.code) benchmark_answers_load(&r->answers, r->answers_path, &f);
    if (!f.code && r->baseline_path) benchmark_answers_load(&r->baseline, r->baseline_path, &f);
    if (!f.code && r->references_path)
        benchmark_answers_load(&r->references, r->references_path, &f);
    if (!f.code) judge_prompts_load(&r->prompts, r->prompts_path, &f);
    if (!f.code) r->log_of_verdicts = verdicts_open(r->verdicts, r->command, &f);
    die_if(&f);
    for (size_t i = 0; i < r->questions.n; i++) r->protocol->requests(r, i);
    r->pending = xmalloc((r->n + 1) * sizeof *r->pending);
}

static void write_output(const struct protocol_run *r) {
    struct fail f = {0};
    struct str text = {0};
    bool array = r->questions.kind == BENCHMARK_ALPACA;
    if (array) str_puts(&text, "[");
    for (size_t i = 0, parts; i < r->n; i += parts) {
        parts = 1;
        while (i + parts < r->n && r->request[i + parts].question == r->request[i].question)
            parts++;
        str_puts(&text, !array ? "" : i ? ",\n " : "\n ");
        r->protocol->write(r, &r->request[i], parts, &text);
        if (!array) str_puts(&text, "\n");
    }
    if (array) str_puts(&text, "\n]\n");
    whole_file_write(r->output, text.text ? text.text : "", text.length, &f);
    str_release(&text);
    die_if(&f);
    print_result("%s", r->output);
}

static void print_counts(const struct protocol_run *r, const char *summary) {
    static const char *const names[] = {"model", "questions", "requests", "verdicts"};
    struct fail f = {0};
    struct table *t = table_new(sizeof names / sizeof *names, names);
    size_t known = 0;
    for (size_t i = 0; i < r->n; i++) known += r->request[i].verdict.known;
    table_text(t, r->answers.model);
    table_number(t, (double)r->questions.n, 0);
    table_number(t, (double)r->n, 0);
    table_number(t, (double)known, 0);
    table_finish(t, summary, &f);
    die_if(&f);
}

static void release(struct protocol_run *r) {
    for (size_t i = 0; i < r->n; i++) {
        free(r->request[i].user.text);
        free(r->request[i].verdict.text);
    }
    free(r->request);
    free(r->pending);
    verdicts_close(r->log_of_verdicts);
    judge_prompts_release(&r->prompts);
    benchmark_questions_release(&r->questions);
    benchmark_answers_release(&r->answers);
    benchmark_answers_release(&r->baseline);
    benchmark_answers_release(&r->references);
}

void protocol_main(struct options *o, struct protocol_run *r, bool dry_run, const char *summary) {
    r->protocol = protocol_named(r->name);
    check_options(o, r);
    load_inputs(r);
    if (dry_run) {
        print_result("requests\t%zu\nto_ask\t%zu", r->n, find_pending(r));
    } else {
        ask_judge(r);
        if (r->output)
            write_output(r);
        else
            print_counts(r, summary);
        if (r->output && summary) print_counts(r, summary);
    }
    release(r);
}
