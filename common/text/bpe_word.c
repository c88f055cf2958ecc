#include "common/text/bpe_word.h"
#include "common/base/unicode.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CACHE_SLOTS = 1 << 16, CACHE_TEXT = 30, CACHE_IDS = 8, NO_RANK = INT32_MAX };

// Longest run of symbols merged at once: positions are 32 bits in the heap.
static const size_t longest = (size_t)1 << 30;

struct cached { // one cache line
    uint8_t length, n;
    char text[CACHE_TEXT];
    int32_t id[CACHE_IDS];
};

struct word_work {
    struct cached *cache;
    size_t n, capacity;        // symbols
    int32_t *id, *rank;        // (n) rank of the pair that starts here, or NO_RANK
    uint32_t *next, *previous; // (n) n: none
    size_t heap_n, heap_capacity;
    uint64_t *heap; // rank << 32 | position, a binary heap with the least on top
    struct str spelt;
};

uint32_t byte_to_character(unsigned char b) {
    if ((b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b != 0xad)) return b;
    if (b <= 0x20) return 0x100u + b;
    if (b <= 0xa0) return 0x121u + (b - 0x7fu);
    return 0x143; // 0xad
}

int character_to_byte(uint32_t c) {
    if ((c >= 0x21 && c <= 0x7e) || (c >= 0xa1 && c <= 0xff && c != 0xad)) return (int)c;
    if (c >= 0x100 && c <= 0x120) return (int)(c - 0x100);
    if (c >= 0x121 && c <= 0x142) return (int)(c - 0x121 + 0x7f);
    return c == 0x143 ? 0xad : -1;
}

void ids_add(struct ids *ids, int32_t id) {
    grow(&ids->id, &ids->capacity, ids->n + 1, sizeof *ids->id);
    ids->id[ids->n++] = id;
}

void bpe_model_init(struct bpe_model *m) {
    for (int b = 0; b < 256; b++) {
        char text[8];
        size_t n = unicode_put(byte_to_character((unsigned char)b), text);
        m->byte_symbol[b] = vocab_find(&m->vocab, text, n);
        snprintf(text, sizeof text, "<0x%02X>", (unsigned)b);
        m->byte_token[b] = vocab_find(&m->vocab, text, 6);
    }
}

void bpe_model_release(struct bpe_model *m) {
    vocab_release(&m->vocab);
    merges_release(&m->merges);
}

struct word_work *word_work_new(void) {
    struct word_work *w = xcalloc(1, sizeof *w);
    w->cache = xcalloc(CACHE_SLOTS, sizeof *w->cache);
    return w;
}

void word_work_free(struct word_work *w) {
    if (!w) return;
    free(w->cache);
    free(w->id);
    free(w->rank);
    free(w->next);
    free(w->previous);
    free(w->heap);
    str_release(&w->spelt);
    free(w);
}

static void reserve(struct word_work *w, size_t n) {
    if (n <= w->capacity) return;
    size_t capacity = n + n / 2;
    w->id = xrealloc(w->id, capacity * sizeof *w->id);
    w->rank = xrealloc(w->rank, capacity * sizeof *w->rank);
    w->next = xrealloc(w->next, capacity * sizeof *w->next);
    w->previous = xrealloc(w->previous, capacity * sizeof *w->previous);
    w->capacity = capacity;
}

static bool byte_tokens(const struct bpe_model *m, struct word_work *w, const char *text,
                        size_t n) {
    for (size_t i = 0; i < n; i++)
        if (m->byte_token[(unsigned char)text[i]] < 0) return false;
    for (size_t i = 0; i < n; i++) w->id[w->n++] = m->byte_token[(unsigned char)text[i]];
    return true;
}

// The first symbols of a piece. A character outside the vocabulary: its byte tokens if all exist,
// else unk, else nothing.
static void symbols(const struct bpe_model *m, struct word_work *w, const char *text, size_t n) {
    reserve(w, n);
    w->n = 0;
    bool unknown = false; // the last symbol is an unk that others may join
    for (size_t i = 0, length; i < n; i += length) {
        uint32_t c;
        length = m->byte_level ? 1 : unicode_next(text + i, n - i, &c);
        int32_t id = m->byte_level ? m->byte_symbol[(unsigned char)text[i]]
                                   : vocab_find(&m->vocab, text + i, length);
        if (id >= 0) {
            w->id[w->n++] = id;
            unknown = false;
        } else if (m->byte_fallback && !m->byte_level && byte_tokens(m, w, text + i, length)) {
            unknown = false;
        } else if (m->unk >= 0) {
            if (!unknown || !m->fuse_unk) w->id[w->n++] = m->unk;
            unknown = true;
        }
    }
}

static void sift_down(uint64_t *heap, size_t n, size_t at) {
    uint64_t key = heap[at];
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && heap[child + 1] < heap[child]) child++;
        if (heap[child] >= key) break;
        heap[at] = heap[child];
    }
    heap[at] = key;
}

static void heap_push(struct word_work *w, uint64_t key) {
    grow(&w->heap, &w->heap_capacity, w->heap_n + 1, sizeof *w->heap);
    size_t at = w->heap_n++;
    for (; at && w->heap[(at - 1) / 2] > key; at = (at - 1) / 2)
        w->heap[at] = w->heap[(at - 1) / 2];
    w->heap[at] = key;
}

static uint64_t heap_pop(struct word_work *w) {
    uint64_t top = w->heap[0];
    w->heap[0] = w->heap[--w->heap_n];
    if (w->heap_n) sift_down(w->heap, w->heap_n, 0);
    return top;
}

// Looks up the pair that starts at `at`; true if it merges.
static bool rank_pair(const struct bpe_model *m, struct word_work *w, size_t at) {
    int32_t rank = MERGE_NONE;
    if (w->next[at] < w->n) rank = merges_find(&m->merges, w->id[at], w->id[w->next[at]]);
    w->rank[at] = rank == MERGE_NONE ? NO_RANK : rank;
    return rank != MERGE_NONE;
}

static void push_pair(const struct bpe_model *m, struct word_work *w, size_t at) {
    if (rank_pair(m, w, at)) heap_push(w, (uint64_t)w->rank[at] << 32 | at);
}

// Joins the pair at `at` and looks at the two new pairs beside it.
static void merge_pair(const struct bpe_model *m, struct word_work *w, size_t at) {
    size_t gone = w->next[at];
    w->id[at] = m->merges.merge[w->rank[at]].to;
    w->rank[gone] = NO_RANK;
    w->next[at] = w->next[gone];
    if (w->next[at] < w->n) w->previous[w->next[at]] = (uint32_t)at;
    push_pair(m, w, at);
    if (w->previous[at] < w->n) push_pair(m, w, w->previous[at]);
}

// Least rank first, leftmost among equals. An entry of the heap is stale when its position has
// another rank by now: ranks name pairs, so an equal rank is the same pair.
static void merge_all(const struct bpe_model *m, struct word_work *w) {
    w->heap_n = 0;
    for (size_t i = 0; i < w->n; i++) {
        w->previous[i] = i ? (uint32_t)i - 1 : (uint32_t)w->n;
        w->next[i] = (uint32_t)i + 1;
        if (!rank_pair(m, w, i)) continue;
        grow(&w->heap, &w->heap_capacity, w->heap_n + 1, sizeof *w->heap);
        w->heap[w->heap_n++] = (uint64_t)w->rank[i] << 32 | i;
    }
    for (size_t i = w->heap_n / 2; i-- > 0;) sift_down(w->heap, w->heap_n, i);
    while (w->heap_n) {
        uint64_t top = heap_pop(w);
        size_t at = (uint32_t)top;
        if (w->rank[at] == (int32_t)(top >> 32)) merge_pair(m, w, at);
    }
}

static int32_t whole(const struct bpe_model *m, struct word_work *w, const char *text, size_t n) {
    if (!m->byte_level) return vocab_find(&m->vocab, text, n);
    w->spelt.length = 0;
    for (size_t i = 0; i < n; i++) {
        char bytes[4];
        str_add(&w->spelt, bytes, unicode_put(byte_to_character((unsigned char)text[i]), bytes));
    }
    return vocab_find(&m->vocab, w->spelt.text, w->spelt.length);
}

static void word(const struct bpe_model *m, struct word_work *w, const char *text, size_t n,
                 struct ids *out) {
    int32_t id = m->ignore_merges ? whole(m, w, text, n) : -1;
    if (id >= 0) {
        ids_add(out, id);
        return;
    }
    symbols(m, w, text, n);
    merge_all(m, w);
    for (size_t i = 0; i < w->n; i = w->next[i]) ids_add(out, w->id[i]);
}

static struct cached *cache_slot(const struct word_work *w, const char *text, size_t n) {
    uint64_t h = n, v;
    for (size_t i = 0; i < n; i += 8) {
        v = 0;
        memcpy(&v, text + i, n - i < 8 ? n - i : 8);
        h = (h ^ v) * 0x9e3779b97f4a7c15u;
        h ^= h >> 32;
    }
    return &w->cache[h & (CACHE_SLOTS - 1)];
}

static void long_word(const struct bpe_model *m, struct word_work *w, const char *text, size_t n,
                      struct ids *out) {
    while (n > longest) { // cut between characters
        size_t part = longest;
        while (part > longest - 4 && ((unsigned char)text[part] & 0xc0) == 0x80) part--;
        word(m, w, text, part, out);
        text += part;
        n -= part;
    }
    if (n) word(m, w, text, n, out);
}

void bpe_word(const struct bpe_model *m, struct word_work *w, const char *text, size_t n,
              struct ids *out) {
    if (n > CACHE_TEXT) {
        long_word(m, w, text, n, out);
        return;
    }
    if (!n) return;
    struct cached *slot = cache_slot(w, text, n);
    if (slot->length == n && !memcmp(slot->text, text, n)) {
        grow(&out->id, &out->capacity, out->n + CACHE_IDS, sizeof *out->id);
        memcpy(out->id + out->n, slot->id, sizeof slot->id);
        out->n += slot->n;
        return;
    }
    size_t before = out->n;
    word(m, w, text, n, out);
    if (out->n - before > CACHE_IDS) return;
    slot->length = (uint8_t)n;
    slot->n = (uint8_t)(out->n - before);
    memcpy(slot->text, text, n);
    if (slot->n) memcpy(slot->id, out->id + before, slot->n * sizeof *slot->id);
}
