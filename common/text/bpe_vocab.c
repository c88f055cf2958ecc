#include "common/text/bpe_vocab.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct vocab_entry {
    size_t offset;
    uint32_t length; // UINT32_MAX: no string has this id
};

enum { ABSENT = -1 };

static uint64_t mix(uint64_t h, uint64_t v) {
    h = (h ^ v) * 0x9e3779b97f4a7c15u;
    return h ^ h >> 29;
}

static uint64_t hash_bytes(const char *text, size_t n) {
    uint64_t h = mix(0x2545f4914f6cdd1du, n), v = 0;
    for (; n >= 8; text += 8, n -= 8) {
        memcpy(&v, text, 8);
        h = mix(h, v);
    }
    v = 0;
    memcpy(&v, text, n);
    h = mix(h, v);
    return h ^ h >> 32;
}

const char *vocab_text(const struct vocab *v, int32_t id, size_t *n) {
    if (id < 0 || (size_t)id >= v->size || v->entry[id].length == UINT32_MAX) return NULL;
    if (n) *n = v->entry[id].length;
    return v->text.text + v->entry[id].offset;
}

// The slot that holds the string, or the free one where it belongs.
static size_t find_slot(const struct vocab *v, const char *text, size_t n) {
    size_t at = hash_bytes(text, n) & (v->slots - 1);
    for (; v->slot[at] != ABSENT; at = (at + 1) & (v->slots - 1)) {
        const struct vocab_entry *e = &v->entry[v->slot[at]];
        if (e->length == n && !memcmp(v->text.text + e->offset, text, n)) break;
    }
    return at;
}

static void grow_slots(struct vocab *v) {
    size_t n = v->slots ? 2 * v->slots : 64;
    v->slot = xrealloc(v->slot, n * sizeof *v->slot);
    v->slots = n;
    memset(v->slot, 0xff, n * sizeof *v->slot);
    for (size_t id = 0; id < v->size; id++) {
        size_t length;
        const char *text = vocab_text(v, (int32_t)id, &length);
        if (text) v->slot[find_slot(v, text, length)] = (int32_t)id;
    }
}

bool vocab_add(struct vocab *v, const char *text, size_t n, int32_t id) {
    assert(id >= 0 && id < VOCAB_LIMIT);
    if (2 * (v->count + 1) > v->slots) grow_slots(v);
    size_t at = find_slot(v, text, n);
    if (v->slot[at] != ABSENT || vocab_text(v, id, NULL) || n >= UINT32_MAX) return false;
    grow(&v->entry, &v->entry_capacity, (size_t)id + 1, sizeof *v->entry);
    for (; v->size <= (size_t)id; v->size++) v->entry[v->size].length = UINT32_MAX;
    v->entry[id] = (struct vocab_entry){v->text.length, (uint32_t)n};
    str_add(&v->text, text, n);
    str_add(&v->text, "", 1);
    v->slot[at] = id;
    v->count++;
    return true;
}

int32_t vocab_find(const struct vocab *v, const char *text, size_t n) {
    return v->slots ? v->slot[find_slot(v, text, n)] : ABSENT;
}

void vocab_release(struct vocab *v) {
    str_release(&v->text);
    free(v->entry);
    free(v->slot);
    *v = (struct vocab){0};
}

static size_t pair_slot(const struct merges *m, int32_t left, int32_t right) {
    uint64_t h = mix(0, (uint64_t)(uint32_t)left << 32 | (uint32_t)right);
    size_t at = (h ^ h >> 32) & (m->slots - 1);
    for (; m->slot[at]; at = (at + 1) & (m->slots - 1)) {
        const struct merge *e = &m->merge[m->slot[at] - 1];
        if (e->left == left && e->right == right) break;
    }
    return at;
}

void merges_add(struct merges *m, int32_t left, int32_t right, int32_t to) {
    if (2 * (m->count + 1) > m->slots) {
        free(m->slot);
        m->slots = m->slots ? 2 * m->slots : 64;
        m->slot = xcalloc(m->slots, sizeof *m->slot);
        for (size_t i = 0; i < m->count; i++)
            m->slot[pair_slot(m, m->merge[i].left, m->merge[i].right)] = (uint32_t)i + 1;
    }
    grow(&m->merge, &m->capacity, m->count + 1, sizeof *m->merge);
    m->merge[m->count++] = (struct merge){left, right, to};
    m->slot[pair_slot(m, left, right)] = (uint32_t)m->count;
}

int32_t merges_find(const struct merges *m, int32_t left, int32_t right) {
    return m->slots ? (int32_t)m->slot[pair_slot(m, left, right)] - 1 : MERGE_NONE;
}

void merges_release(struct merges *m) {
    free(m->merge);
    free(m->slot);
    *m = (struct merges){0};
}
