// world corpus|prompts: the embedded world as data, drawn by its seed; nothing is downloaded.
//   corpus   columns prompt, response: responses of mixed quality, several for some prompts
//   prompts  columns prompt, kind, topic: every prompt once
// The three splits share no prompt: the text of a prompt decides where it belongs.
//
// Measured on 20000 rows of `corpus --split train` with seeds 1, 2, 3: 18300 to 18500 different
// prompts of 8 words; responses of 29 words on average (standard deviation 10.5, the longest 85);
// 785 different words. The split test alone has more than 90000 different prompts. Gold: mean 1.6
// to 1.7, standard deviation 2.4, from -15 to 6.25; its correlation with the number of words is
// -0.02 to -0.09. Parts, mean (standard deviation, correlation with length) of seed 1: relevance
// 1.01 (0.94, 0.28), politeness 0.03 (0.65, 0.00), detail 0.60 (0.73, 0.16), repetition -0.27
// (0.62, -0.48), contradiction -0.14 (0.43, -0.29), rambling -0.35 (0.57, -0.45), ending 0.71
// (0.95, 0.20). 78 to 82 in a hundred responses end properly.
// A byte-level BPE trained on it gives prompts of 17, 13 or 11 tokens and responses of 59, 49 or 43
// (95 % within 97, 80 or 70; longest 159, 130 or 112) with a vocabulary of 512, 768 or 1024.
#include "common/base/fail.h"
#include "common/base/log.h"
#include "common/base/options.h"
#include "pipelines/lib/grammar.h"
#include "pipelines/lib/table.h"
#include <stdlib.h>
#include <string.h>

enum { TRIES = 1000 }; // prompts in a row that were there already: the world is used up

struct job {
    int64_t seed, rows;
    const char *split, *output;
    bool corpus;
    struct options options; // they own the texts
};

static void parse(struct job *j, int argc, char **argv) {
    struct opt_row rows[] = {
        {"seed", OPT_INT, OPT_RESULT, &j->seed, .value = "1", .high = 1e15, .metavar = "N",
         .help = "another seed is another world"},
        {"rows", OPT_INT, OPT_RESULT, &j->rows, .value = "1000", .low = 1, .high = 1e9,
         .metavar = "N", .help = "rows to write"},
        {"split", OPT_CHOICE, OPT_RESULT, &j->split, .value = "train",
         .choices = "train|valid|test", .help = "which part of the prompts"},
        {"output", OPT_TEXT, OPT_OUTPUT, &j->output, .letter = 'o', .value = "-",
         .metavar = "FILE.csv", .help = "where to; - is stdout"},
    };
    j->options = (struct options){
        .program = "world",
        .usage = "corpus|prompts [options]",
        .summary = "Writes the embedded world's corpus, or prompts alone, as CSV."};
    struct opt_list words = {0};
    options_add(&j->options, rows, sizeof rows / sizeof *rows);
    options_parse(&j->options, argc, argv, &words);
    if (words.n != 1 || (strcmp(words.items[0], "corpus") && strcmp(words.items[0], "prompts")))
        die(EXIT_USAGE, "what to write is not said; give 'corpus' or 'prompts'");
    j->corpus = !strcmp(words.items[0], "corpus");
    free(words.items);
}

static enum split split_named(const char *name) {
    int i = 0;
    while (strcmp(split_names[i], name)) i++;
    return (enum split)i;
}

struct seen { // the prompts written, open addressing
    char **text;
    size_t n, size;
};

static size_t seen_slot(const struct seen *s, const char *text) {
    uint64_t h = 0xCBF29CE484222325u;
    for (const char *c = text; *c; c++) h = (h ^ (unsigned char)*c) * 0x100000001B3u;
    size_t i = h & (s->size - 1);
    while (s->text[i] && strcmp(s->text[i], text)) i = (i + 1) & (s->size - 1);
    return i;
}

static bool seen_add(struct seen *s, const char *text) { // false: it was there
    size_t i = seen_slot(s, text);
    if (s->text[i]) return false;
    s->text[i] = xstrdup(text);
    s->n++;
    return true;
}

static struct seen seen_new(size_t most) {
    struct seen s = {.size = 16};
    while (s.size < 2 * most) s.size *= 2;
    s.text = xcalloc(s.size, sizeof *s.text);
    return s;
}

static void seen_release(struct seen *s) {
    for (size_t i = 0; i < s->size; i++) free(s->text[i]);
    free(s->text);
}

static void put_row(struct table *t, const struct job *j, const struct world *w, uint64_t candidate,
                    const struct request_scene *q, struct str *response) {
    table_put(t, q->text.text, q->text.length);
    if (j->corpus) {
        world_response(w, candidate, q, response);
        table_put(t, response->text, response->length);
        return;
    }
    size_t n;
    const char *topic = world_topic(q, &n);
    table_put(t, kind_names[q->kind], strlen(kind_names[q->kind]));
    table_put(t, topic, n);
}

// Walks the world's prompts in their order and keeps those of the split.
static void write_rows(struct table *t, const struct job *j, const struct world *w) {
    enum split split = split_named(j->split);
    struct request_scene q = {0};
    struct str response = {0};
    struct seen seen = seen_new(j->corpus ? 1 : (size_t)j->rows);
    int64_t done = 0;
    size_t again = 0;
    for (uint64_t i = 0; done < j->rows; i++) {
        if (again > TRIES) {
            table_abandon(t);
            die(EXIT_FAILED, "only %lld different prompts found in '%s'; ask for fewer --rows",
                (long long)done, j->split);
        }
        world_prompt(w, i, &q);
        if (world_split(w, q.text.text, q.text.length) != split) continue;
        if (!j->corpus && !seen_add(&seen, q.text.text)) {
            again++;
            continue;
        }
        again = 0;
        put_row(t, j, w, i, &q, &response);
        done++;
    }
    seen_release(&seen);
    str_release(&q.text);
    str_release(&response);
}

int main(int argc, char **argv) {
    static const char *const columns[2][3] = {{"prompt", "kind", "topic"}, {"prompt", "response"}};
    struct job j = {0};
    parse(&j, argc, argv);
    struct world *w = world_new((uint64_t)j.seed);
    struct table *t = table_create(j.output, j.corpus ? 2 : 3, columns[j.corpus]);
    write_rows(t, &j, w);
    table_commit(t);
    if (strcmp(j.output, "-")) print_result("%s", j.output);
    finish_stdout();
    world_free(w);
    options_release(&j.options);
    return EXIT_DONE;
}
