#include "pipelines/lib/grammar.h"
#include "pipelines/lib/lexicon.h"
#include "common/base/rng.h"
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { KEPT_TOPICS = 14, KEPT_NAMES = 16, FACTS = 4, COLOUR_FACTS = 2 };
enum salt { SALT_TOPICS = 1 << 8, SALT_NAMES = 2 << 8, SALT_WEIGHTS = 3 << 8, SALT_PAIRS = 4 << 8 };
// rows of the generator: prompts and responses in ranges of their own, facts above both
static const uint64_t row_response = 1ull << 40, row_quality = 2ull << 40, row_world = 4ull << 40;

enum trait { // how often the worst quality goes wrong
    BAD_TOPIC,
    BAD_DETAIL,
    BAD_RUDE,
    BAD_REPEAT,
    BAD_STUTTER,
    BAD_CONTRADICT,
    BAD_RAMBLE,
    BAD_FILLER,
    BAD_FORM,
    BAD_END,
    TRAITS
};
static const double worst_rate[TRAITS] = {
    [BAD_TOPIC] = 0.30,   [BAD_DETAIL] = 0.30,     [BAD_RUDE] = 0.35,   [BAD_REPEAT] = 0.14,
    [BAD_STUTTER] = 0.05, [BAD_CONTRADICT] = 0.25, [BAD_RAMBLE] = 0.16, [BAD_FILLER] = 0.20,
    [BAD_FORM] = 0.25,    [BAD_END] = 0.45,
};

struct world {
    uint64_t seed;
    size_t topic[CLASSES][KEPT_TOPICS], name[KEPT_NAMES];
    double rate[TRAITS];
};

struct draw { // numbers of one row, one after the other
    uint64_t seed, row, position;
};

static double next(struct draw *d) {
    return rng_uniform(d->seed, RNG_WORLD, d->row, d->position++);
}

static bool chance(struct draw *d, double p) {
    return next(d) < p;
}

static size_t pick(struct draw *d, size_t n) {
    return (size_t)(next(d) * (double)n);
}

static uint64_t text_hash(const char *text, size_t n) { // FNV-1a
    uint64_t h = 0xCBF29CE484222325u;
    for (size_t i = 0; i < n; i++) h = (h ^ (unsigned char)text[i]) * 0x100000001B3u;
    return h;
}

// Which of a list's items this world holds, `keep` of them, in an order of its own.
static void choose(uint64_t seed, uint64_t salt, const char *list, size_t keep, size_t *chosen) {
    size_t n = list_count(list);
    size_t *order = xmalloc(n * sizeof *order);
    rng_permute(seed, RNG_WORLD, row_world + salt, n, order);
    for (size_t i = 0; i < keep; i++) chosen[i] = order[i % n];
    free(order);
}

struct world *world_new(uint64_t seed) {
    struct world *w = xcalloc(1, sizeof *w);
    w->seed = seed;
    for (int c = 0; c < CLASSES; c++)
        choose(seed, SALT_TOPICS + (uint64_t)c, word_classes[c].nouns, KEPT_TOPICS, w->topic[c]);
    choose(seed, SALT_NAMES, shared_list(LIST_NAMES), KEPT_NAMES, w->name);
    for (int t = 0; t < TRAITS; t++) {
        double u = rng_uniform(seed, RNG_WORLD, row_world + SALT_WEIGHTS, (uint64_t)t);
        w->rate[t] = worst_rate[t] * (0.8 + 0.4 * u);
    }
    return w;
}

void world_free(struct world *w) {
    free(w);
}

enum split world_split(const struct world *w, const char *prompt, size_t n) {
    double u = rng_uniform(w->seed, RNG_SPLIT, text_hash(prompt, n), 0);
    return u < 0.8 ? SPLIT_TRAIN : u < 0.9 ? SPLIT_VALID : SPLIT_TEST;
}

// An item of a list of phrases; each world prefers some (weights are log-normal).
static const char *phrase(const struct world *w, struct draw *d, const char *list, size_t *n) {
    size_t count = list_count(list);
    uint64_t row = row_world + text_hash(list, strlen(list)) % row_world;
    double sum = 0, weight[16];
    for (size_t i = 0; i < count; i++)
        sum += weight[i] = exp(0.6 * rng_normal(w->seed, RNG_WORLD, row, i));
    double u = next(d) * sum;
    size_t i = 0;
    while (i + 1 < count && (u -= weight[i]) >= 0) i++;
    return list_item(list, i, n);
}

struct scene { // a text in progress
    const struct world *world;
    const struct request_scene *request;
    struct draw *draw;
    struct str *to;
    double bad;        // 0: nothing goes wrong, 1: the worst quality
    size_t used[128];  // items taken from each slot's list
    size_t start[128]; // where the slot's list is entered, + 1
    int pair, side;    // the last adjective said; -1: none
    const char *part;  // the last part said
    size_t part_n;
    bool neutral; // a neutral sentence was said
};

static bool goes_wrong(struct scene *s, enum trait t) {
    return s->bad > 0 && chance(s->draw, s->bad * s->world->rate[t]);
}

static void put(struct scene *s, const char *text, size_t n) {
    str_add(s->to, text, n);
}

static void put_item(struct scene *s, const char *list, size_t i) {
    size_t n;
    const char *item = list_item(list, i, &n);
    put(s, item, n);
}

// The next item of those that are true of the topic: the first `facts` of the world's own order.
static size_t fact(struct scene *s, char slot, const char *list, size_t facts) {
    size_t count = list_count(list), chosen[32];
    if (facts > count) facts = count;
    uint64_t salt = (uint64_t)slot << 16 | (uint64_t)s->request->class << 8 | s->request->topic;
    choose(s->world->seed, salt << 12, list, facts, chosen);
    size_t at = (size_t)slot;
    if (!s->start[at]) s->start[at] = 1 + pick(s->draw, facts);
    return chosen[(s->start[at] - 1 + s->used[at]++) % facts];
}

static void put_pair(struct scene *s) {
    const struct request_scene *q = s->request;
    const char *list = word_classes[q->class].pairs;
    size_t n;
    bool asked = q->pair >= 0 && !s->used['a'] && chance(s->draw, 0.7);
    int pair = atoi(list_item(list, fact(s, 'a', list, FACTS), &n));
    if (asked) pair = q->pair;
    asked = pair == q->pair;
    uint64_t row = row_world + SALT_PAIRS + (uint64_t)q->class;
    int side = asked ? q->side
                     : rng_uniform(s->world->seed, RNG_WORLD, row,
                                   q->topic * PAIRS + (uint64_t)pair) < 0.5;
    s->pair = pair;
    s->side = side;
    put(s, opposites[pair][side], strlen(opposites[pair][side]));
}

static void put_part(struct scene *s, const char *parts) {
    s->part = list_item(parts, fact(s, 'p', parts, FACTS + 1), &s->part_n);
    put(s, s->part, s->part_n);
}

static void put_topic(struct scene *s) {
    const struct request_scene *q = s->request;
    if (!goes_wrong(s, BAD_TOPIC)) {
        put_item(s, word_classes[q->class].nouns, q->topic);
        return;
    }
    int other = (q->class + 1 + (int)pick(s->draw, CLASSES - 1)) % CLASSES;
    put_item(s, word_classes[other].nouns, s->world->topic[other][pick(s->draw, KEPT_TOPICS)]);
}

static const char *vague(char slot) {
    switch (slot) {
    case 'a':
    case 'b':
    case 'c':
        return "nice";
    case 'p':
        return "thing";
    case 's':
        return "some stuff";
    case 'l':
        return "thing";
    case 'K':
        return "do something with it";
    default:
        return NULL;
    }
}

static void put_shared(struct scene *s, enum shared_list list) {
    put_item(s, shared_list(list), pick(s->draw, list_count(shared_list(list))));
}

static void put_slot(struct scene *s, char slot) {
    const struct request_scene *q = s->request;
    const struct word_class *k = &word_classes[q->class];
    const char *colours = shared_list(LIST_COLOURS), *loose = vague(slot);
    if (loose && goes_wrong(s, BAD_DETAIL)) {
        put(s, loose, strlen(loose));
        return;
    }
    switch (slot) {
    case 't':
        put_topic(s);
        break;
    case 'k':
        put(s, k->name, strlen(k->name));
        break;
    case 'a':
        put_pair(s);
        break;
    case 'b':
        put_item(s, k->adjectives, fact(s, slot, k->adjectives, FACTS));
        break;
    case 'p':
        put_part(s, k->parts);
        break;
    case 's':
        put_item(s, k->supplies, fact(s, slot, k->supplies, FACTS + 2));
        break;
    case 'u':
        str_printf(s->to, "%s ", k->lead);
        put_item(s, k->uses, fact(s, slot, k->uses, FACTS));
        break;
    case 'K':
        put_item(s, k->keep, fact(s, slot, k->keep, FACTS));
        break;
    case 'v':
        put_item(s, k->verbs, q->verb);
        break;
    case 'h':
        put_item(s, shared_list(LIST_HARMS), q->harm);
        break;
    case 'n':
        put_item(s, shared_list(LIST_NAMES), q->name);
        break;
    case 'c':
        put_item(s, colours, fact(s, slot, colours, COLOUR_FACTS));
        break;
    case 'd':
        put_shared(s, LIST_NUMBERS);
        break;
    case 'l':
        put_shared(s, LIST_SETTINGS);
        break;
    case 'D':
        put_shared(s, LIST_DAYS);
        break;
    case 'w':
        put_shared(s, LIST_MOVES);
        break;
    }
}

// "a owl" -> "an owl", from byte `from` on.
static void fix_articles(struct str *t, size_t from) {
    struct str fixed = {0};
    for (size_t i = from; i < t->length; i++) {
        const char *c = t->text + i;
        str_add(&fixed, c, 1);
        bool starts = i == from || c[-1] == ' ';
        if (starts && (*c == 'a' || *c == 'A') && c[1] == ' ' && strchr("aeiou", c[2]))
            str_puts(&fixed, "n");
    }
    t->length = from;
    str_add(t, fixed.text, fixed.length);
    str_release(&fixed);
}

static void put_phrase(struct scene *s, const char *text, size_t n) {
    size_t from = s->to->length;
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '{') {
            put_slot(s, text[i + 1]);
            i += 2;
        } else {
            put(s, text + i, 1);
        }
    }
    fix_articles(s->to, from);
}

static void put_one(struct scene *s, const char *list) {
    size_t n;
    const char *text = phrase(s->world, s->draw, list, &n);
    put_phrase(s, text, n);
}

void world_prompt(const struct world *w, uint64_t row, struct request_scene *q) {
    static const double share[KINDS] = {0.22, 0.20, 0.18, 0.15, 0.10, 0.15};
    struct draw d = {w->seed, row, 0};
    double u = next(&d);
    int kind = 0;
    while (kind + 1 < KINDS && (u -= share[kind]) >= 0) kind++;
    int class = (int)pick(&d, CLASSES);
    struct str text = q->text;
    *q = (struct request_scene){.kind = (enum kind)kind, .class = class, .pair = -1, .text = text};
    q->topic = w->topic[class][pick(&d, KEPT_TOPICS)];
    q->name = w->name[pick(&d, KEPT_NAMES)];
    q->verb = pick(&d, list_count(word_classes[class].verbs));
    q->harm = pick(&d, list_count(shared_list(LIST_HARMS)));
    const char *pairs = word_classes[class].pairs;
    size_t n;
    int pair = atoi(list_item(pairs, pick(&d, list_count(pairs)), &n)), side = chance(&d, 0.5);
    const char *form = phrase(w, &d, kind_phrases[kind].prompts, &n);
    q->text.length = 0;
    struct scene s = {.world = w, .request = q, .draw = &d, .to = &q->text, .pair = -1};
    for (size_t i = 0; i < n; i++) {
        if (form[i] == '{' && form[i + 1] == 'a') {
            q->pair = pair;
            q->side = side;
            put(&s, opposites[pair][side], strlen(opposites[pair][side]));
            i += 2;
        } else if (form[i] == '{') {
            put_slot(&s, form[i + 1]);
            i += 2;
        } else {
            put(&s, form + i, 1);
        }
    }
    fix_articles(&q->text, 0);
}

const char *world_topic(const struct request_scene *q, size_t *n) {
    return list_item(word_classes[q->class].nouns, q->topic, n);
}

static void begin_sentence(struct scene *s) {
    if (s->to->length) put(s, " ", 1);
}

// A filler before a sentence takes its capital away, unless a name or "I" begins it.
static void put_sentence(struct scene *s, const char *list) {
    begin_sentence(s);
    bool filler = goes_wrong(s, BAD_FILLER);
    if (filler) {
        put_one(s, asides[ASIDE_FILLER]);
        put(s, " ", 1);
    }
    size_t from = s->to->length;
    put_one(s, list);
    char *first = s->to->text + from;
    size_t n;
    const char *name = list_item(shared_list(LIST_NAMES), s->request->name, &n);
    bool keeps = (first[0] == 'I' && first[1] == ' ') || !strncmp(first, name, n);
    if (filler && !keeps) first[0] = (char)tolower((unsigned char)first[0]);
    if (!filler) first[0] = (char)toupper((unsigned char)first[0]);
    if (goes_wrong(s, BAD_STUTTER) &&
        s->to->text[s->to->length - 1] == '.') { // the last word again
        size_t end = s->to->length - 1, word = end;
        while (word && s->to->text[word - 1] != ' ') word--;
        struct str again = {0};
        str_printf(&again, ", %.*s.", (int)(end - word), s->to->text + word);
        s->to->length = end;
        put(s, again.text, again.length);
        str_release(&again);
    }
}

static void put_contradiction(struct scene *s) {
    struct str text = {0};
    if (s->part && chance(s->draw, 0.4))
        str_printf(&text, "It has no %.*s.", (int)s->part_n, s->part);
    else if (s->pair >= 0 && chance(s->draw, 0.5))
        str_printf(&text, "It is not %s.", opposites[s->pair][s->side]);
    else if (s->pair >= 0)
        str_printf(&text, "It is also %s.", opposites[s->pair][!s->side]);
    if (text.length) {
        begin_sentence(s);
        put(s, text.text, text.length);
    }
    str_release(&text);
}

// What may follow a sentence that began at byte `from`.
static void put_asides(struct scene *s, size_t from) {
    if (goes_wrong(s, BAD_CONTRADICT)) put_contradiction(s);
    if (goes_wrong(s, BAD_REPEAT)) {
        struct str copy = {0};
        str_add(&copy, s->to->text + from, s->to->length - from);
        begin_sentence(s);
        put(s, copy.text + (copy.text[0] == ' '), copy.length - (copy.text[0] == ' '));
        str_release(&copy);
    }
    if (goes_wrong(s, BAD_RAMBLE)) put_sentence(s, asides[ASIDE_RAMBLE]);
    if (!s->neutral && chance(s->draw, 0.10)) {
        s->neutral = true;
        put_sentence(s, asides[ASIDE_NEUTRAL]);
    }
}

static void put_body(struct scene *s) {
    const char *const *body = kind_phrases[s->request->kind].body;
    if (goes_wrong(s, BAD_FORM)) {
        if (s->request->kind != KIND_REFUSE) {
            put_sentence(s, asides[ASIDE_OVERREFUSAL]);
            return;
        }
        body = comply;
    }
    bool leave_out = chance(s->draw, 0.25);
    for (int i = 0; i < 3; i++) {
        if (i == 1 && leave_out) continue;
        size_t from = s->to->length;
        put_sentence(s, body[i]);
        put_asides(s, from);
    }
}

static void cut(struct scene *s) { // breaks off in the last third, at a word's end
    size_t n = s->to->length, at = n - 2 - pick(s->draw, n / 3);
    while (at < n && isalnum((unsigned char)s->to->text[at])) at++;
    while (at && !isalnum((unsigned char)s->to->text[at - 1])) at--;
    s->to->length = at;
    put(s, "", 0);
}

void world_response_of_quality(const struct world *w, uint64_t row, const struct request_scene *q,
                               double quality, struct str *to) {
    struct draw d = {w->seed, row_response + row, 0};
    to->length = 0;
    struct scene s = {
        .world = w, .request = q, .draw = &d, .to = to, .bad = 1 - quality, .pair = -1};
    const struct kind_phrases *k = &kind_phrases[q->kind];
    if (goes_wrong(&s, BAD_RUDE))
        put_sentence(&s, k->rude);
    else if (k->polite && chance(&d, 0.2 + 0.4 * quality))
        put_sentence(&s, k->polite);
    put_body(&s);
    if (goes_wrong(&s, BAD_RUDE))
        put_sentence(&s, asides[ASIDE_RUDE_END]);
    else if (chance(&d, 0.2 + 0.5 * quality))
        put_sentence(&s, k->closing);
    if (goes_wrong(&s, BAD_END)) cut(&s);
}

void world_response(const struct world *w, uint64_t row, const struct request_scene *q,
                    struct str *to) {
    world_response_of_quality(w, row, q, rng_uniform(w->seed, RNG_WORLD, row_quality + row, 0), to);
}
