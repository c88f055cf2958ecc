// gold [score|label|judge]: the true reward of the built-in experiments (see pipelines/lib/gold.h).
//   score   rows with prompt and response (JSONL or CSV): one number per line; --parts: every term
//   label   rows with several responses a prompt: preference pairs as CSV, with Bradley-Terry noise
//   judge   rows with prompt, response_a, response_b: the preference for a, a line each
// score and judge answer each row before they read the next.
#include "common/base/fail.h"
#include "common/base/log.h"
#include "common/base/options.h"
#include "common/base/rng.h"
#include "pipelines/lib/gold.h"
#include "pipelines/lib/rows.h"
#include "pipelines/lib/table.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct job {
    const char *world, *noise, *output;
    int64_t seed;
    double scale;
    bool parts;
    struct options options; // they own the texts
    struct opt_list words;
};

static void parse(struct job *j, int argc, char **argv) {
    struct opt_row rows[] = {
        {"world", OPT_CHOICE, OPT_RESULT, &j->world, .value = "world", .choices = "world|stories",
         .help = "which reward"},
        {"parts", OPT_FLAG, OPT_RESULT, &j->parts,
         .help = "score: a header, then the score and its terms, tabs between"},
        {"scale", OPT_REAL, OPT_RESULT, &j->scale, .value = "1", .low = 0, .high = 1e6,
         .metavar = "X", .help = "label, judge: P(a over b) = sigmoid(X (gold a - gold b))"},
        {"noise", OPT_CHOICE, OPT_RESULT, &j->noise, .value = "bt", .choices = "bt|none",
         .help = "label: draw from P, or take the better"},
        {"seed", OPT_INT, OPT_RESULT, &j->seed, .value = "1", .high = 1e15, .metavar = "N",
         .help = "label: seed of the noise"},
        {"output", OPT_TEXT, OPT_OUTPUT, &j->output, .letter = 'o', .value = "-",
         .metavar = "FILE.csv", .help = "label: where to; - is stdout"},
    };
    j->options = (struct options){.program = "gold",
                                  .usage = "[score|label|judge] [options] [FILE|-]",
                                  .summary = "The true reward of the built-in experiments."};
    options_add(&j->options, rows, sizeof rows / sizeof *rows);
    options_parse(&j->options, argc, argv, &j->words);
}

static void put_score(const struct job *j, const struct gold *g, const struct gold_score *s) {
    if (!j->parts) {
        print_result("%.6g", s->total);
        return;
    }
    struct str line = {0};
    str_printf(&line, "%.6g", s->total);
    for (size_t i = 0; i < gold_parts(g); i++) str_printf(&line, "\t%.6g", s->part[i]);
    print_result("%s", line.text);
    str_release(&line);
}

static void put_header(const struct gold *g) {
    struct str line = {0};
    str_puts(&line, "score");
    for (size_t i = 0; i < gold_parts(g); i++) str_printf(&line, "\t%s", gold_part_name(g, i));
    print_result("%s", line.text);
    str_release(&line);
}

static struct gold_score score_of(const struct gold *g, const struct rows *r, size_t response) {
    size_t np, nr;
    const char *prompt = rows_field(r, 0, &np), *text = rows_field(r, response, &nr);
    return gold_judge(g, prompt ? prompt : "", np, text ? text : "", nr);
}

static void score(const struct job *j, const struct gold *g, const char *path) {
    static const char *const names[] = {"prompt", "response"};
    struct fail f = {0};
    struct rows *r = rows_open(path, 2, names, 2, &f);
    if (j->parts) put_header(g);
    while (rows_next(r)) {
        struct gold_score s = score_of(g, r, 1);
        put_score(j, g, &s);
    }
    rows_close(r);
    die_if(&f);
}

static void judge(const struct job *j, const struct gold *g, const char *path) {
    static const char *const names[] = {"prompt", "response_a", "response_b"};
    struct fail f = {0};
    struct rows *r = rows_open(path, 3, names, 3, &f);
    while (rows_next(r)) {
        double a = score_of(g, r, 1).total, b = score_of(g, r, 2).total;
        print_result("%.9g", gold_preference(j->scale, a, b));
    }
    rows_close(r);
    die_if(&f);
}

// ---- label --------------------------------------------------------------------------------------

struct sample { // one response to a prompt
    struct str prompt, row, response;
    double gold;
    size_t at, group; // its place in the file, and that of its group's first
};
struct samples {
    struct sample *item;
    size_t n, capacity;
};

static void add_field(struct str *to, const struct rows *r, size_t i) {
    size_t n;
    const char *text = rows_field(r, i, &n);
    str_add(to, text ? text : "", text ? n : 0);
}

// Takes off an end that a model has spelt out, <|end_story|>: a pair's responses end by themselves,
// and `tokenize` refuses such a text as one that ends twice.
static void take_end_off(struct str *text) {
    const char *at = text->length ? memrchr(text->text, '<', text->length) : NULL;
    if (!at || text->length < 4 || at[1] != '|') return;
    if (memcmp(text->text + text->length - 2, "|>", 2) != 0) return;
    text->length = (size_t)(at - text->text);
    text->text[text->length] = 0;
}

static struct samples read_samples(const struct gold *g, const char *path) {
    static const char *const names[] = {"prompt", "response", "row"};
    struct samples s = {0};
    struct fail f = {0};
    struct rows *r = rows_open(path, 3, names, 2, &f);
    while (rows_next(r)) {
        grow(&s.item, &s.capacity, s.n + 1, sizeof *s.item);
        struct sample *x = &s.item[s.n];
        *x = (struct sample){.at = s.n, .gold = score_of(g, r, 1).total};
        s.n++;
        add_field(&x->prompt, r, 0);
        add_field(&x->response, r, 1);
        take_end_off(&x->response);
        add_field(&x->row, r, 2);
    }
    rows_close(r);
    die_if(&f);
    return s;
}

static int compare_text(const struct str *a, const struct str *b) {
    int order = memcmp(a->text, b->text, a->length < b->length ? a->length : b->length);
    return order ? order : (a->length > b->length) - (a->length < b->length);
}

static int same_request(const struct sample *a, const struct sample *b) {
    int order = compare_text(&a->row, &b->row);
    return order ? order : compare_text(&a->prompt, &b->prompt);
}

static int by_request(const void *a, const void *b) {
    const struct sample *x = a, *y = b;
    int order = same_request(x, y);
    return order ? order : (x->at > y->at) - (x->at < y->at);
}

static int by_group(const void *a, const void *b) {
    const struct sample *x = a, *y = b;
    if (x->group != y->group) return x->group > y->group ? 1 : -1;
    return (x->at > y->at) - (x->at < y->at);
}

// Responses of one row and prompt side by side, groups in the order of the file.
static void group(struct samples *s) {
    if (!s->n) return;
    qsort(s->item, s->n, sizeof *s->item, by_request);
    for (size_t i = 0; i < s->n; i++) {
        bool first = i == 0 || same_request(&s->item[i - 1], &s->item[i]);
        s->item[i].group = first ? s->item[i].at : s->item[i - 1].group;
    }
    qsort(s->item, s->n, sizeof *s->item, by_group);
}

struct tally {
    size_t pairs, right, ties, equal, alone;
};

static void label_pair(struct table *t, const struct job *j, const struct sample *a,
                       const struct sample *b, struct tally *tally) {
    if (!compare_text(&a->response, &b->response)) {
        tally->equal++;
        return;
    }
    double p = gold_preference(j->scale, a->gold, b->gold);
    double u = rng_uniform((uint64_t)j->seed, RNG_LABEL, a->group, b->at);
    if (!strcmp(j->noise, "none")) p = a->gold >= b->gold, u = 0.5;
    const struct sample *chosen = u < p ? a : b, *rejected = u < p ? b : a;
    tally->pairs++;
    if (chosen->gold > rejected->gold) tally->right++;
    if (chosen->gold == rejected->gold) tally->ties++;
    table_put(t, a->prompt.text, a->prompt.length);
    table_put(t, chosen->response.text, chosen->response.length);
    table_put(t, rejected->response.text, rejected->response.length);
}

static void report(const struct tally *t) {
    size_t told = t->pairs - t->ties;
    fprintf(stderr,
            "gold: %zu pairs, %.1f %% of those that differ in gold labelled right; %zu equal in "
            "gold, %zu with equal texts skipped, %zu responses without a partner\n",
            t->pairs, told ? 100.0 * (double)t->right / (double)told : 0.0, t->ties, t->equal,
            t->alone);
}

// Samples 0 and 1 of a prompt make a pair, 2 and 3 the next.
static void label(const struct job *j, const struct gold *g, const char *path) {
    static const char *const names[] = {"prompt", "chosen", "rejected"};
    struct samples s = read_samples(g, path);
    group(&s);
    struct table *t = table_create(j->output, 3, names);
    struct tally tally = {0};
    for (size_t i = 0; i < s.n;) {
        bool partner = i + 1 < s.n && s.item[i].group == s.item[i + 1].group;
        if (partner)
            label_pair(t, j, &s.item[i], &s.item[i + 1], &tally);
        else
            tally.alone++;
        i += partner ? 2 : 1;
    }
    if (!tally.pairs) {
        table_abandon(t);
        die(EXIT_BADDATA, "'%s' has no two different responses to one prompt; sample more", path);
    }
    table_commit(t);
    report(&tally);
    if (strcmp(j->output, "-")) print_result("%s", j->output);
    for (size_t i = 0; i < s.n; i++) {
        str_release(&s.item[i].prompt);
        str_release(&s.item[i].row);
        str_release(&s.item[i].response);
    }
    free(s.item);
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*run)(const struct job *j, const struct gold *g, const char *path);
    } modes[] = {{"score", score}, {"label", label}, {"judge", judge}};
    struct job j = {0};
    parse(&j, argc, argv);
    size_t word = 0, mode = 0;
    for (size_t m = 0; j.words.n && m < sizeof modes / sizeof *modes; m++)
        if (!strcmp(j.words.items[0], modes[m].name)) mode = m, word = 1;
    if (j.words.n > word + 1)
        die(EXIT_USAGE, "unexpected '%s'; give one file", j.words.items[word + 1]);
    struct gold *g = gold_new(j.world);
    modes[mode].run(&j, g, j.words.n > word ? j.words.items[word] : "-");
    finish_stdout();
    gold_free(g);
    free(j.words.items);
    options_release(&j.options);
    return EXIT_DONE;
}
