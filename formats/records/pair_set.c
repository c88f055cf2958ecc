#include "formats/records/pair_set.h"
#include "common/base/mem.h"
#include "formats/bytes/hash.h"
#include <stdlib.h>

static void put_bytes(struct str *s, const char *text, size_t n) { // a length, so that none run on
    str_add(s, &n, sizeof n);
    str_add(s, text ? text : "", n);
}

static void put_json(struct str *s, const struct json *v) {
    struct str text = {0};
    if (v) json_write(&text, v, 0);
    put_bytes(s, text.text, text.length);
    str_release(&text);
}

static void put_turn(struct str *s, const struct turn *t) {
    str_add(s, &(unsigned char){(unsigned char)t->role}, 1);
    put_bytes(s, t->text, t->n);
    put_bytes(s, t->reasoning.text, t->reasoning.n);
    put_json(s, t->tool_calls);
}

static uint64_t hash_turn(const struct turn *t) {
    struct str s = {0};
    put_turn(&s, t);
    uint64_t h = hash_bytes(s.text, s.length).low;
    str_release(&s);
    return h;
}

// The lowest bit says which of the two is the chosen one.
uint64_t pair_key(const struct example *e) {
    struct str s = {0};
    uint64_t good = hash_turn(&e->response), bad = hash_turn(&e->rejected);
    bool turned = good > bad;
    uint64_t sides[] = {turned ? bad : good, turned ? good : bad};
    put_json(&s, e->tools);
    for (size_t i = 0; i < e->n; i++) put_turn(&s, &e->turns[i]);
    str_add(&s, sides, sizeof sides);
    uint64_t key = hash_bytes(s.text, s.length).low & ~(uint64_t)1;
    str_release(&s);
    return (key ? key : 2) | turned;
}

static size_t place_of(const struct pair_set *s, uint64_t key) { // of the pair, or where it goes
    size_t i = (size_t)(key >> 1) & (s->capacity - 1);
    while (s->slot[i] && (s->slot[i] | 1) != (key | 1)) i = (i + 1) & (s->capacity - 1);
    return i;
}

static void make_room(struct pair_set *s) {
    if (s->n * 2 < s->capacity) return;
    struct pair_set larger = {.n = s->n, .capacity = s->capacity ? s->capacity * 2 : 1024};
    larger.slot = xcalloc(larger.capacity, sizeof *larger.slot);
    for (size_t i = 0; i < s->capacity; i++)
        if (s->slot[i]) larger.slot[place_of(&larger, s->slot[i])] = s->slot[i];
    free(s->slot);
    *s = larger;
}

enum pair_seen pair_set_add(struct pair_set *s, uint64_t key) {
    make_room(s);
    size_t i = place_of(s, key);
    if (s->slot[i]) return s->slot[i] == key ? PAIR_AGAIN : PAIR_CONTRADICTED;
    s->slot[i] = key;
    s->n++;
    return PAIR_NEW;
}

void pair_set_release(struct pair_set *s) {
    free(s->slot);
    *s = (struct pair_set){0};
}
