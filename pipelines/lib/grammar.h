// The grammar of the embedded world: requests, and responses of mixed quality.
//
// A world is drawn by its seed: which topics and names exist, what is true of each topic (its
// adjectives, parts, colour ...), and how often each phrasing is used. Phrases are texts with
// slots:
//   {t} topic  {k} its class  {a} adjective with an opposite  {b} adjective  {p} part  {s} supply
//   {u} use, with its lead  {K} keep  {v} verb  {h} harm  {n} name  {c} colour  {d} number
//   {l} setting  {D} day  {w} move
// Each response has a quality of its own; at each place where a trait can sit (a word, a sentence,
// the end) the worse choice is the likelier, the lower the quality. Everything is a function of the
// seed and the row.
#pragma once
#include "common/base/mem.h"
#include <stddef.h>
#include <stdint.h>

enum kind { KIND_DESCRIBE, KIND_EXPLAIN, KIND_LIST, KIND_THANK, KIND_REFUSE, KIND_EVENT, KINDS };
enum split { SPLIT_TRAIN, SPLIT_VALID, SPLIT_TEST, SPLITS };
extern const char *const kind_names[KINDS];
extern const char *const split_names[SPLITS];

struct kind_phrases { // lists, items separated by '|'
    const char *prompts;
    const char *body[3];       // one sentence of each; the middle one is now and then left out
    const char *polite, *rude; // openings; NULL: none
    const char *closing;
};
extern const struct kind_phrases kind_phrases[KINDS];

enum aside {           // sentences that any kind may hold
    ASIDE_RUDE_END,    // instead of a closing
    ASIDE_NEUTRAL,     // says nothing, costs nothing
    ASIDE_RAMBLE,      // a sentence of it
    ASIDE_FILLER,      // put before a sentence
    ASIDE_OVERREFUSAL, // a refusal out of place
    ASIDES
};
extern const char *const asides[ASIDES];
extern const char *const comply[3]; // the body of a response that helps to do harm

struct world;
struct world *world_new(uint64_t seed);
void world_free(struct world *w);

struct request_scene { // what a prompt is about
    enum kind kind;
    int class, pair, side;          // pair -1: no adjective in the prompt
    size_t topic, name, verb, harm; // indices into the lists
    struct str text;
};
// Prompt number `row` of the world; s->text is replaced.
void world_prompt(const struct world *w, uint64_t row, struct request_scene *s);
const char *world_topic(const struct request_scene *s, size_t *n);
// Replaces *to by the response of this row.
void world_response(const struct world *w, uint64_t row, const struct request_scene *s,
                    struct str *to);
// The same of a given quality: 1 nothing goes wrong, 0 the worst.
void world_response_of_quality(const struct world *w, uint64_t row, const struct request_scene *s,
                               double quality, struct str *to);
// The split that a prompt belongs to: its text alone decides (and the seed), 80 : 10 : 10.
enum split world_split(const struct world *w, const char *prompt, size_t n);
