// benchmark prompts: a benchmark's questions as prompts for `tokenize --kind prompt`.
// benchmark answers: what `generate --text` made of them, in the benchmark's own form.
// MT-Bench has a temperature for each category: prompts takes one of its groups by --temperature,
// answers takes the groups' responses in the order of --temperatures.
#include "common/base/fail.h"
#include "common/base/jsonout.h"
#include "common/base/log.h"
#include "common/base/options.h"
#include "common/base/value.h"
#include "formats/bytes/whole_file.h"
#include "formats/records/benchmark.h"
#include "formats/records/responses.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct job {
    const char *questions_path, *model, *system, *output;
    struct opt_list first, second, temperatures;
    double temperature;
    struct benchmark_questions q;
};

// As MT-Bench's own settings have it; the other benchmarks leave it to the user.
static double temperature_of(const struct job *j, const struct benchmark_question *q,
                             double otherwise) {
    static const struct {
        const char *category;
        double temperature;
    } table[] = {{"writing", 0.7}, {"roleplay", 0.7}, {"stem", 0.1}, {"humanities", 0.1}};
    if (j->q.kind != BENCHMARK_MTBENCH) return otherwise;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (!strcmp(q->category, table[i].category)) return table[i].temperature;
    return 0;
}

// The questions of one temperature that have turn `turn`, in order: index (questions). Returns how
// many.
static size_t pick(const struct job *j, double temperature, size_t turn, size_t *index) {
    size_t n = 0;
    for (size_t i = 0; i < j->q.n; i++) {
        const struct benchmark_question *q = &j->q.items[i];
        if (q->turns > turn && temperature_of(j, q, temperature) == temperature) index[n++] = i;
    }
    return n;
}

static void load_responses(struct responses *r, const char *path, size_t n) {
    struct fail f = {0};
    responses_load(r, path, &f);
    die_if(&f);
    if (r->n != n)
        die(EXIT_BADDATA, "'%s' has %zu responses to %zu prompts; generate one for each", path,
            r->n, n);
}

static void write_text(const char *path, struct str *text) {
    struct fail f = {0};
    if (!text->length) die(EXIT_BADDATA, "no question is of this temperature; nothing to write");
    whole_file_write(path, text->text, text->length, &f);
    die_if(&f);
    str_release(text);
    print_result("%s", path);
}

// ---- prompts

static void put_message(struct str *to, const char *role, const char *text, size_t n) {
    str_printf(to, "{\"role\": \"%s\", \"content\": ", role);
    jsonout_bytes(to, text, n);
    str_puts(to, "}");
}

static void write_prompts(struct job *j) {
    size_t turn = j->first.n ? 1 : 0, *index = xmalloc(j->q.n * sizeof *index);
    size_t first = pick(j, j->temperature, 0, index);
    struct str text = {0};
    struct responses r = {0};
    if (turn) load_responses(&r, j->first.items[0], first);
    for (size_t k = 0; k < first; k++) {
        const struct benchmark_question *q = &j->q.items[index[k]];
        if (q->turns <= turn) continue;
        str_puts(&text, "{\"messages\": [");
        if (j->system) {
            put_message(&text, "system", j->system, strlen(j->system));
            str_puts(&text, ", ");
        }
        put_message(&text, "user", q->turn[0].text, q->turn[0].n);
        if (turn) {
            str_puts(&text, ", ");
            put_message(&text, "assistant", r.items[k].response, r.items[k].response_bytes);
            str_puts(&text, ", ");
            put_message(&text, "user", q->turn[1].text, q->turn[1].n);
        }
        str_puts(&text, "]}\n");
    }
    write_text(j->output, &text);
    if (turn) responses_release(&r);
    free(index);
}

// ---- answers

struct answer {
    const struct response_text *turn[BENCHMARK_TURNS];
};

// One turn's responses in files by temperature, given to the questions they answer.
static void assign(const struct job *j, const struct opt_list *paths, size_t turn,
                   struct responses *r, struct answer *answers) {
    size_t *index = xmalloc(j->q.n * sizeof *index);
    if (paths->n != j->temperatures.n)
        die(EXIT_USAGE, "%zu files of turn %zu for %zu temperatures; give one for each", paths->n,
            turn + 1, j->temperatures.n);
    for (size_t g = 0; g < paths->n; g++) {
        double t;
        if (!value_real(j->temperatures.items[g], &t))
            die(EXIT_USAGE, "--temperatures '%s' is no number", j->temperatures.items[g]);
        size_t n = pick(j, t, turn, index);
        load_responses(&r[g], paths->items[g], n);
        for (size_t k = 0; k < n; k++) answers[index[k]].turn[turn] = &r[g].items[k];
    }
    free(index);
}

static void put_answer(struct str *to, const struct job *j, size_t i, const struct answer *a) {
    const struct benchmark_question *q = &j->q.items[i];
    struct benchmark_text response[BENCHMARK_TURNS];
    for (size_t t = 0; t < q->turns; t++) {
        if (!a->turn[t])
            die(EXIT_BADDATA, "no response to turn %zu of question '%s'; give %s", t + 1, q->id,
                t ? "--second" : "the files of all temperatures");
        response[t] = (struct benchmark_text){a->turn[t]->response, a->turn[t]->response_bytes};
    }
    benchmark_answer_write(to, j->q.kind, q, j->model, response,
                           (size_t)a->turn[q->turns - 1]->tokens);
}

static void write_answers(struct job *j) {
    struct responses *r[2];
    struct answer *answers = xcalloc(j->q.n, sizeof *answers);
    struct str text = {0};
    bool array = j->q.kind == BENCHMARK_ALPACA;
    const struct opt_list *turns[] = {&j->first, &j->second};
    for (size_t t = 0; t < 2; t++) {
        r[t] = xcalloc(turns[t]->n + 1, sizeof *r[t]);
        if (turns[t]->n) assign(j, turns[t], t, r[t], answers);
    }
    for (size_t i = 0; i < j->q.n; i++) {
        str_puts(&text, !array ? "" : i ? ",\n " : "[\n ");
        put_answer(&text, j, i, &answers[i]);
        if (!array) str_puts(&text, "\n");
    }
    if (array) str_puts(&text, "\n]\n");
    write_text(j->output, &text);
    for (size_t t = 0; t < 2; t++) {
        for (size_t g = 0; g < turns[t]->n; g++) responses_release(&r[t][g]);
        free(r[t]);
    }
    free(answers);
}

int main(int argc, char **argv) {
    struct job j = {0};
    struct fail f = {0};
    bool answers = argc > 1 && !strcmp(argv[1], "answers");
    bool prompts = argc > 1 && !strcmp(argv[1], "prompts");
    const struct opt_row both[] = {
        {"questions", OPT_TEXT, OPT_INPUT, &j.questions_path, .metavar = "FILE", .required = true,
         .help = "the benchmark's questions"},
        {"output", OPT_TEXT, OPT_OUTPUT, &j.output, .letter = 'o', .metavar = "FILE",
         .required = true, .help = "where to"},
        {"first", OPT_LIST, OPT_INPUT, &j.first, .metavar = "FILE...",
         .help = "responses to the first turn (prompts: then the prompts are of the second)"}};
    const struct opt_row of_prompts[] = {
        {"temperature", OPT_REAL, OPT_RESULT, &j.temperature, .value = "0", .low = 0, .high = 100,
         .metavar = "X", .help = "MT-Bench: only the categories of this temperature"},
        {"system", OPT_TEXT, OPT_RESULT, &j.system, .metavar = "TEXT",
         .help = "a system message before every conversation"}};
    const struct opt_row of_answers[] = {
        {"second", OPT_LIST, OPT_INPUT, &j.second, .metavar = "FILE...",
         .help = "responses to the second turn"},
        {"temperatures", OPT_LIST, OPT_RESULT, &j.temperatures, .metavar = "X...", .required = true,
         .help = "of the files of responses, in their order"},
        {"model", OPT_TEXT, OPT_RESULT, &j.model, .metavar = "NAME", .required = true,
         .help = "the model's name in the file of answers"}};
    struct options o = {.program = answers ? "benchmark answers" : "benchmark prompts",
                        .usage = "--questions FILE -o FILE [options]",
                        .summary = answers ? "Responses in the benchmark's own form."
                                           : "A benchmark's questions as prompts."};
    if (!answers && !prompts) die(EXIT_USAGE, "say benchmark prompts or benchmark answers");
    options_add(&o, both, sizeof both / sizeof *both);
    if (answers)
        options_add(&o, of_answers, sizeof of_answers / sizeof *of_answers);
    else
        options_add(&o, of_prompts, sizeof of_prompts / sizeof *of_prompts);
    options_parse(&o, argc - 1, argv + 1, NULL);
    benchmark_questions_load(&j.q, j.questions_path, &f);
    die_if(&f);
    if (answers)
        write_answers(&j);
    else
        write_prompts(&j);
    benchmark_questions_release(&j.q);
    finish_stdout();
    options_release(&o);
    return EXIT_DONE;
}
