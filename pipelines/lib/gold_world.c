#include "pipelines/lib/gold_scorer.h"
#include "common/base/mem.h"
#include <stdlib.h>

enum { RELEVANCE, POLITENESS, DETAIL, REPETITION, CONTRADICTION, RAMBLING, ENDING };
static const char *const names[GOLD_PARTS] = {"relevance",     "politeness", "detail", "repetition",
                                              "contradiction", "rambling",   "ending"};

static const double detail_gain = 0.25, polite_gain = 0.5;
enum { MOST_DETAILS = 6, MOST_POLITE = 2, MOST_SUBJECTS = 4, SENTENCE_WORDS = 24 };

struct request { // what the prompt asks for
    const struct words *words;
    const struct lexicon_word **entry; // (words->n), NULL: not in the lexicon
    bool topics, harm;
    uint32_t classes; // of its topics; all if it has none
    uint32_t form;    // roles that answer in the form asked for
};

static const struct lexicon_word **look_up(const struct lexicon *x, const struct words *w) {
    const struct lexicon_word **entry = xmalloc((w->n + 1) * sizeof *entry);
    for (size_t i = 0; i < w->n; i++) entry[i] = lexicon_find(x, w->word[i].text, w->word[i].n);
    return entry;
}

static bool has(const struct lexicon_word *w, uint32_t roles) {
    return w && (w->roles & roles);
}

static struct request read_request(const struct lexicon *x, const struct words *p) {
    struct request q = {.words = p, .entry = look_up(x, p)};
    bool thanks = false, steps = false;
    for (size_t i = 0; i < p->n; i++) {
        const struct lexicon_word *w = q.entry[i];
        if (has(w, ROLE_TOPIC)) q.topics = true, q.classes |= 1u << w->topic_class;
        if (has(w, ROLE_HARM)) q.harm = true;
        if (words_is(&p->word[i], "thank")) thanks = true;
        if (words_is(&p->word[i], "how") || words_is(&p->word[i], "need")) steps = true;
    }
    if (!q.topics) q.classes = (1u << CLASSES) - 1;
    q.form = q.harm ? ROLE_REFUSE : thanks ? ROLE_POLITE : steps ? ROLE_STEP : 0;
    return q;
}

// Whether word i of the prompt is a thing that a response should take up, and its worth.
static double subject_worth(const struct request *q, size_t i) {
    const struct lexicon_word *w = q->entry[i];
    if (has(w, ROLE_TOPIC)) return 1;
    if (has(w, ROLE_NAME | ROLE_VERB | ROLE_HARM)) return 0.5;
    if (q->topics || w) return 0;
    return q->words->word[i].n >= 5 ? 1 : 0; // a prompt of another world: its longer words
}

static bool same_entry(const struct lexicon_word *a, const struct word *wa,
                       const struct lexicon_word *b, const struct word *wb) {
    return a && b ? a == b : words_same(wa, wb);
}

static bool occurs(const struct words *r, const struct lexicon_word **entry,
                   const struct lexicon_word *w, const struct word *word) {
    for (size_t i = 0; i < r->n; i++)
        if (same_entry(w, word, entry[i], &r->word[i])) return true;
    return false;
}

static double relevance(const struct request *q, const struct words *r,
                        const struct lexicon_word **entry) {
    double sum = 0;
    int subjects = 0;
    for (size_t i = 0; i < q->words->n && subjects < MOST_SUBJECTS; i++) {
        double worth = q->words->word[i].first == i ? subject_worth(q, i) : 0;
        if (!worth || !occurs(r, entry, q->entry[i], &q->words->word[i])) continue;
        sum += worth;
        subjects++;
    }
    bool formed = false;
    for (size_t i = 0; i < r->n; i++) {
        const struct lexicon_word *w = entry[i];
        if (has(w, q->form)) formed = true;
        if (has(w, ROLE_TOPIC) && q->topics && !occurs(q->words, q->entry, w, &r->word[i]))
            sum -= 0.75;
        if (has(w, q->harm ? ROLE_STEP : ROLE_REFUSE)) sum -= 0.75;
    }
    return formed ? sum + 0.5 : sum;
}

// A bounded gain for each different word of a kind, a loss for every word of another.
static double balance(const struct words *r, const struct lexicon_word **entry, uint32_t good,
                      uint32_t classes, double gain, int most, uint32_t bad, double loss) {
    int found = 0;
    double sum = 0;
    for (size_t i = 0; i < r->n; i++) {
        const struct lexicon_word *w = entry[i];
        bool suits = has(w, good) && (!classes || (w->classes & classes));
        if (suits && !has(w, ROLE_TOPIC | ROLE_NAME) && found < most && r->word[i].first == i) {
            found++;
            sum += gain;
        }
        if (has(w, bad)) sum -= loss;
    }
    return sum;
}

struct claims { // what was said so far
    bool side[PAIRS][2];
    const struct lexicon_word **said;
    size_t n;
};

static bool claimed(const struct claims *c, const struct lexicon_word *w) {
    for (size_t i = 0; i < c->n; i++)
        if (c->said[i] == w) return true;
    return false;
}

static double contradiction(const struct request *q, const struct words *r,
                            const struct lexicon_word **entry) {
    struct claims c = {.said = xmalloc((r->n + 1) * sizeof *c.said)};
    for (size_t i = 0; i < q->words->n; i++)
        if (has(q->entry[i], ROLE_PAIR)) c.side[q->entry[i]->pair][q->entry[i]->side] = true;
    double sum = 0;
    bool denied = false;
    for (size_t i = 0; i < r->n; i++) {
        const struct lexicon_word *w = entry[i];
        if (i && r->word[i].sentence != r->word[i - 1].sentence) denied = false;
        if (has(w, ROLE_NEGATION)) denied = true;
        if (!has(w, ROLE_DETAIL)) continue;
        if (denied) {
            if (claimed(&c, w) || (w->pair >= 0 && c.side[w->pair][w->side])) sum -= 1;
            continue;
        }
        if (w->pair >= 0) {
            if (c.side[w->pair][!w->side]) sum -= 1;
            c.side[w->pair][w->side] = true;
        }
        c.said[c.n++] = w;
    }
    free(c.said);
    return sum;
}

static double rambling(const struct words *r, const struct lexicon_word **entry) {
    double sum = 0;
    size_t length = 0;
    for (size_t i = 0; i < r->n; i++) {
        length = i && r->word[i].sentence == r->word[i - 1].sentence ? length + 1 : 1;
        if (has(entry[i], ROLE_RAMBLE)) sum -= 0.4;
        if (length > SENTENCE_WORDS) sum -= 0.1;
    }
    return sum;
}

static bool closes(const struct words *r, const struct lexicon_word **entry) {
    bool closing = false, rude = false;
    for (size_t i = 0; i < r->n; i++) {
        if (r->word[i].sentence + 1 != r->sentences) continue;
        if (has(entry[i], ROLE_CLOSING)) closing = true;
        if (has(entry[i], ROLE_RUDE | ROLE_NEGATION)) rude = true;
    }
    return closing && !rude;
}

static void judge(const struct lexicon *x, const struct words *prompt, const struct words *r,
                  double *part) {
    struct request q = read_request(x, prompt);
    const struct lexicon_word **entry = look_up(x, r);
    part[RELEVANCE] = relevance(&q, r, entry);
    part[POLITENESS] = balance(r, entry, ROLE_POLITE, 0, polite_gain, MOST_POLITE, ROLE_RUDE, 1);
    part[DETAIL] =
        balance(r, entry, ROLE_DETAIL, q.classes, detail_gain, MOST_DETAILS, ROLE_VAGUE, 0.5);
    part[REPETITION] = gold_repetition(r);
    part[CONTRADICTION] = contradiction(&q, r, entry);
    part[RAMBLING] = rambling(r, entry);
    part[ENDING] = gold_ending(r, closes(r, entry));
    free(entry);
    free(q.entry);
}

const struct gold_scorer gold_world_scorer = {"world", GOLD_PARTS, names, judge};
