// textstat FILE: what a file of responses (JSONL as `generate --text` writes it, or CSV) is like,
// as CSV: responses, tokens (mean; empty where the file has no such column), ended (per cent whose
// last sentence is complete) and distinct_2 (different pairs of neighbouring words, as a share of
// all).
#include "common/base/fail.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/options.h"
#include "pipelines/lib/rows.h"
#include "pipelines/lib/words.h"
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct pairs { // hashes of the word pairs, all of them
    uint64_t *item;
    size_t n, capacity;
};

static uint64_t hash(uint64_t h, const struct word *w) {
    for (size_t i = 0; i < w->n; i++) h = (h ^ (unsigned char)w->text[i]) * 0x100000001B3u;
    return (h ^ ' ') * 0x100000001B3u;
}

static void add_pairs(struct pairs *p, const struct words *w) {
    if (w->n < 2) return;
    grow(&p->item, &p->capacity, p->n + w->n, sizeof *p->item);
    for (size_t i = 1; i < w->n; i++)
        p->item[p->n++] = hash(hash(0xCBF29CE484222325u, &w->word[i - 1]), &w->word[i]);
}

static int by_value(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static double distinct(struct pairs *p) {
    size_t different = 0;
    if (!p->n) return 0;
    qsort(p->item, p->n, sizeof *p->item, by_value);
    for (size_t i = 0; i < p->n; i++) different += i == 0 || p->item[i] != p->item[i - 1];
    return (double)different / (double)p->n;
}

static void measure(const char *path) {
    static const char *const names[] = {"response", "tokens"};
    struct fail f = {0};
    struct rows *r = rows_open(path, 2, names, 1, &f);
    struct pairs pairs = {0};
    size_t n = 0, ended = 0, size, counted = 0;
    double tokens = 0;
    while (rows_next(r)) {
        struct words w = {0};
        const char *text = rows_field(r, 0, &size);
        words_split(&w, text ? text : "", text ? size : 0);
        add_pairs(&pairs, &w);
        ended += w.ended;
        words_release(&w);
        double count = rows_number(r, 1);
        if (!isnan(count)) tokens += count, counted++;
        n++;
    }
    rows_close(r);
    die_if(&f);
    if (!n) die(EXIT_BADDATA, "no rows in '%s'; nothing to measure", path);
    print_result("responses,tokens,ended,distinct_2");
    if (counted)
        print_result("%zu,%.6g,%.6g,%.6g", n, tokens / (double)counted,
                     100.0 * (double)ended / (double)n, distinct(&pairs));
    else
        print_result("%zu,,%.6g,%.6g", n, 100.0 * (double)ended / (double)n, distinct(&pairs));
    free(pairs.item);
}

int main(int argc, char **argv) {
    struct options options = {.program = "textstat",
                              .usage = "FILE|-",
                              .summary = "Length, endings and variety of responses, as CSV."};
    struct opt_list words = {0};
    options_parse(&options, argc, argv, &words);
    if (words.n != 1) die(EXIT_USAGE, "%zu files given; give one file of responses", words.n);
    measure(words.items[0]);
    finish_stdout();
    free(words.items);
    options_release(&options);
    return EXIT_DONE;
}
