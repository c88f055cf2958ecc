#include "formats/records/example.h"
#include "common/base/mem.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *role_name(enum role r) {
    static const char *const names[] = {"system", "user", "assistant", "tool"};
    return names[r];
}

void example_clear(struct example *e) {
    struct example kept = *e;
    for (size_t i = 0; i < e->n_owned; i++) free(e->owned[i]);
    for (size_t i = 0; i < e->n_trees; i++) json_free(e->trees[i]);
    *e = (struct example){.capacity = kept.capacity,
                          .turns = kept.turns,
                          .owned_capacity = kept.owned_capacity,
                          .owned = kept.owned,
                          .trees_capacity = kept.trees_capacity,
                          .trees = kept.trees,
                          .unused = kept.unused,
                          .ids = kept.ids};
    e->ids.n = e->unused.length = 0;
}

void example_release(struct example *e) {
    example_clear(e);
    free(e->owned);
    free(e->trees);
    free(e->turns);
    str_release(&e->unused);
    ids_release(&e->ids);
    *e = (struct example){0};
}

void example_insert(struct example *e, size_t at, struct turn t) {
    grow(&e->turns, &e->capacity, e->n + 1, sizeof *e->turns);
    memmove(e->turns + at + 1, e->turns + at, (e->n - at) * sizeof *e->turns);
    e->turns[at] = t;
    e->n++;
}

void example_add(struct example *e, struct turn t) {
    example_insert(e, e->n, t);
}

const char *example_own(struct example *e, char *text) {
    grow(&e->owned, &e->owned_capacity, e->n_owned + 1, sizeof *e->owned);
    return e->owned[e->n_owned++] = text;
}

const struct json *example_own_json(struct example *e, struct json *root) {
    grow(&e->trees, &e->trees_capacity, e->n_trees + 1, sizeof *e->trees);
    return e->trees[e->n_trees++] = root;
}

void example_unused(struct example *e, const char *format, ...) {
    enum { MOST = 4096 }; // a row of foreign names costs bounded memory
    char name[64];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    for (size_t at = 0; at < e->unused.length; at += strlen(e->unused.text + at) + 1)
        if (!strcmp(e->unused.text + at, name)) return;
    if (e->unused.length < MOST) str_add(&e->unused, name, strlen(name) + 1);
}

static const char *turn_beyond_text(const struct turn *t) {
    if (t->tool_calls) return "tool calls";
    if (t->role == ROLE_TOOL) return "a tool's message";
    return t->reasoning.text ? "a thought (reasoning_content)" : NULL;
}

const char *example_beyond_text(const struct example *e) {
    const char *what = e->tools ? "tools" : turn_beyond_text(&e->response);
    if (!what) what = turn_beyond_text(&e->rejected);
    for (size_t i = 0; i < e->n && !what; i++) what = turn_beyond_text(&e->turns[i]);
    return what;
}

static void text_lf(struct example *e, const char **text, size_t *n) {
    if (!*n || !memmem(*text, *n, "\r\n", 2)) return;
    char *copy = xmalloc(*n + 1);
    size_t k = 0;
    for (size_t i = 0; i < *n; i++)
        if ((*text)[i] != '\r' || i + 1 == *n || (*text)[i + 1] != '\n') copy[k++] = (*text)[i];
    copy[k] = 0;
    *text = example_own(e, copy);
    *n = k;
}

static void turn_lf(struct example *e, struct turn *t) {
    text_lf(e, &t->text, &t->n);
    text_lf(e, &t->reasoning.text, &t->reasoning.n);
}

void example_lf(struct example *e) {
    for (size_t i = 0; i < e->n; i++) turn_lf(e, &e->turns[i]);
    turn_lf(e, &e->plain);
    turn_lf(e, &e->response);
    turn_lf(e, &e->rejected);
    turn_lf(e, &e->instruction);
    turn_lf(e, &e->input);
}
