#include "pipelines/lib/gold_scorer.h"
#include "common/base/mem.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct gold {
    const struct gold_scorer *scorer;
    struct lexicon *lexicon;
};

struct gold *gold_new(const char *world) {
    const struct gold_scorer *scorers[] = {&gold_world_scorer, &gold_stories_scorer};
    for (size_t i = 0; i < sizeof scorers / sizeof *scorers; i++) {
        if (strcmp(scorers[i]->world, world)) continue;
        struct gold *g = xcalloc(1, sizeof *g);
        *g = (struct gold){scorers[i], lexicon_new()};
        return g;
    }
    return NULL;
}

void gold_free(struct gold *g) {
    if (!g) return;
    lexicon_free(g->lexicon);
    free(g);
}

size_t gold_parts(const struct gold *g) {
    return g->scorer->parts;
}

const char *gold_part_name(const struct gold *g, size_t i) {
    return g->scorer->name[i];
}

struct gold_score gold_judge(const struct gold *g, const char *prompt, size_t np,
                             const char *response, size_t nr) {
    struct gold_score s = {0};
    struct words p, r;
    words_split(&p, prompt, np);
    words_split(&r, response, nr);
    g->scorer->judge(g->lexicon, &p, &r, s.part);
    for (size_t i = 0; i < g->scorer->parts; i++) s.total += s.part[i];
    words_release(&p);
    words_release(&r);
    return s;
}

double gold_preference(double scale, double a, double b) {
    return 1 / (1 + exp(-scale * (a - b)));
}

double gold_repetition(const struct words *r) {
    double sum = 0;
    for (size_t i = 1; i < r->n; i++) {
        const struct word *last = &r->word[i - 1];
        if (r->word[i].first == last->first && r->word[i].sentence == last->sentence)
            sum -= 0.5;
        else if (r->word[i].again)
            sum -= 0.25;
    }
    return sum;
}

double gold_ending(const struct words *r, bool closing) {
    if (!r->n || !r->ended) return -1;
    return closing ? 1.5 : 1;
}
