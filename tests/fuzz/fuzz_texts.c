// Any bytes as one of the small text files that users and other programs write; the first byte says
// which. Each reader takes them or says why not in one line, and what it took can be used.
#include "common/base/options.h"
#include "common/base/pump.h"
#include "formats/models/huggingface.h"
#include "formats/models/peft.h"
#include "formats/models/tokenizer_json.h"
#include "formats/records/benchmark.h"
#include "formats/records/judgments.h"
#include "formats/records/responses.h"
#include "formats/records/verdicts.h"
#include "tests/fuzz/replay.h"
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void check(bool ok, const struct fail *f) {
    if (ok != !f->code || (f->code && (!*f->text || strchr(f->text, '\n')))) abort();
}

static void read_verdicts(const char *path) {
    struct fail f = {0};
    struct response_text a = {.prompt = "p", .response = "a"}, b = {.prompt = "p", .response = "b"};
    struct hash128 key = verdicts_key(&a, &b);
    struct verdicts *v = verdicts_open(path, "judge", &f);
    check(v != NULL, &f);
    if (!v) return;
    double p = verdicts_find(v, key);
    if (!isnan(p) && !(p >= 0 && p <= 1)) abort();
    verdicts_reply(v, key);
    verdicts_other_judge(v);
    if (verdicts_claim(v, key)) check(verdicts_add(v, key, 0.5, &f), &f);
    verdicts_close(v);
    v = verdicts_open(path, NULL, &f); // what was taken up and continued is a log again
    check(v != NULL, &f);
    if (!v) abort();
    verdicts_close(v);
}

static void read_responses(const char *path) {
    struct fail f = {0};
    struct responses r;
    bool ok = responses_load(&r, path, &f);
    check(ok, &f);
    for (size_t i = 0; ok && i < r.n; i++)
        responses_characters(r.items[i].response, r.items[i].response_bytes);
    if (ok) responses_release(&r);
}

static void read_benchmark(const char *path) {
    struct fail f = {0}, g = {0}, h = {0};
    struct benchmark_questions q = {0};
    struct benchmark_answers a = {0};
    struct judgments j = {0};
    bool questions = benchmark_questions_load(&q, path, &f);
    check(questions, &f);
    bool answers = benchmark_answers_load(&a, path, &g);
    check(answers, &g);
    for (size_t i = 0; questions && i < q.n; i++) {
        struct str text = {0};
        benchmark_answer_write(&text, q.kind, &q.items[i], "model", q.items[i].turn, 3);
        if (answers) benchmark_answer(&a, q.items[i].id);
        str_release(&text);
    }
    if (questions) benchmark_questions_release(&q);
    if (answers) benchmark_answers_release(&a);
    bool judged = judgments_load(&j, 1, &path, &h);
    check(judged, &h);
    if (judged) judgments_model(&j, "model"), judgments_release(&j);
}

static void read_prompts(const char *path) {
    struct fail f = {0};
    struct judge_prompts p = {0};
    char text[] = "{x} \"y\"";
    const struct judge_place places[] = {
        {"question", {text, 7}}, {"answer_a", {text, 7}}, {"answer", {text, 0}}};
    bool ok = judge_prompts_load(&p, path, &f);
    check(ok, &f);
    for (size_t i = 0; ok && i < p.n; i++) {
        struct fail g = {0};
        struct str to = {0};
        check(judge_prompt_fill(&to, &p.items[i], places, 3, &g), &g);
        str_release(&to);
    }
    if (ok) judge_prompt(&p, "pair-v2"), judge_prompts_release(&p);
}

static void read_config(const char *path) {
    bool flag;
    int64_t number;
    double real, seconds;
    const char *text, *choice;
    struct opt_list list = {0};
    struct opt_every every;
    const struct opt_row rows[] = {
        {"flag", OPT_FLAG, OPT_EXEC, &flag, .help = ""},
        {"number", OPT_INT, OPT_EXEC, &number, .value = "3", .low = 1, .high = 9, .help = ""},
        {"real", OPT_REAL, OPT_RESULT, &real, .value = "0.5", .help = ""},
        {"text", OPT_TEXT, OPT_INPUT, &text, .help = ""},
        {"choice", OPT_CHOICE, OPT_RESULT, &choice, .value = "a", .choices = "a|b:|c", .help = ""},
        {"list", OPT_LIST, OPT_INPUT, &list, .help = "", .required = true},
        {"seconds", OPT_TIME, OPT_EXEC, &seconds, .value = "0", .help = ""},
        {"every", OPT_EVERY, OPT_EXEC, &every, .value = "0", .help = ""},
    };
    char *argv[] = {"fuzz", "--config", (char *)path, NULL};
    struct options o = {.program = "fuzz", .summary = ""};
    struct fail f = {0};
    options_add(&o, rows, sizeof rows / sizeof *rows);
    bool ok = options_try(&o, 3, argv, NULL, &f);
    check(ok, &f);
    if (ok && (!list.n || number < 1 || number > 9 || !isfinite(real))) abort();
    options_release(&o);
}

static void read_peft(const char *json, size_t n) {
    struct fail f = {0};
    struct adapter_config c;
    bool ok = peft_config(json, n, "fuzz", &c, &f);
    check(ok, &f);
    if (ok && (!c.rank || !(c.alpha > 0))) abort();
}

static void read_beside(const char *path) {
    static const char json[] = "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"</s>\":1},"
                               "\"merges\":[]},\"added_tokens\":[{\"id\":1,\"content\":\"</s>\","
                               "\"special\":true}]}";
    static struct tokenizer *t;
    struct fail f = {0};
    int32_t eos = -1;
    char *template = NULL;
    if (!t) t = tokenizer_parse(json, sizeof json - 1, "fuzz", &f);
    if (!t) abort();
    check(huggingface_beside(path, t, &eos, &template, &f), &f);
    if (eos < -1 || eos > 1) abort();
    free(template);
}

static void read_number(const char *line) {
    char excerpt[PUMP_EXCERPT];
    double x;
    if (pump_number(line, &x) && !isfinite(x)) abort();
    pump_excerpt(line, excerpt);
    if (strchr(excerpt, '\n') || strlen(excerpt) >= sizeof excerpt) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!size) return 0;
    int fd = memfd_create("fuzz", 0);
    if (fd < 0 || write(fd, data + 1, size - 1) != (ssize_t)(size - 1)) abort();
    char *path = xasprintf("/proc/self/fd/%d", fd);
    char *text = xcalloc(size, 1); // with a NUL behind
    memcpy(text, data + 1, size - 1);
    void (*const of_path[])(const char *) = {read_verdicts, read_responses, read_benchmark,
                                             read_prompts,  read_config,    read_beside};
    enum { PATHS = sizeof of_path / sizeof *of_path };
    size_t which = data[0] % (PATHS + 2);
    if (which < PATHS) of_path[which](path);
    if (which == PATHS) read_peft(text, size - 1);
    if (which == PATHS + 1) read_number(text);
    free(text);
    free(path);
    close(fd);
    return 0;
}
