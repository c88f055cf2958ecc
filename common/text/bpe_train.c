#include "common/text/bpe_train.h"
#include "common/text/bpe_added.h"
#include "common/text/bpe_split.h"
#include "common/text/bpe_word.h"
#include "common/base/unicode.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct bpe_trainer {
    struct added_tokens special;
    struct matcher matcher;
    struct text_steps split;
    struct text_work work;
    struct str repaired;
    const char *text; // what is being added
    struct vocab words;
    int64_t *count; // by word
    size_t count_capacity;
};

struct pair {
    int32_t left, right;
    int64_t count;
    uint32_t *at; // places where it stood when it was noted; checked before use
    size_t n, capacity;
    bool touched; // waits in `grown`
};

struct candidate {
    int64_t count; // at the time; stale if the pair has another by now
    uint32_t pair;
};

static const uint32_t none = UINT32_MAX;

struct training { // all distinct words, one after the other, as linked symbols
    size_t n;
    int32_t *symbol;
    uint32_t *next, *previous, *word; // none: the word's end or start
    const int64_t *count;
    struct pair *pair;
    size_t pairs, pair_capacity;
    uint32_t *slot; // open addressing: pair + 1, 0: free
    size_t slots;
    struct candidate *heap; // most frequent on top
    size_t heap_n, heap_capacity;
    uint32_t *grown; // pairs whose count went up in the current merge
    size_t grown_n, grown_capacity;
};

struct bpe_trainer *bpe_train_new(const char *const *special, size_t n) {
    struct bpe_trainer *t = xcalloc(1, sizeof *t);
    for (size_t i = 0; i < n; i++) {
        added_tokens_add(&t->special, special[i], strlen(special[i]));
        matcher_add(&t->matcher, special[i], strlen(special[i]), i);
    }
    text_steps_add_gpt2(&t->split);
    text_work_init(&t->work, t->split.n);
    return t;
}

void bpe_train_free(struct bpe_trainer *t) {
    if (!t) return;
    added_tokens_release(&t->special);
    matcher_release(&t->matcher);
    text_steps_release(&t->split);
    text_work_release(&t->work);
    str_release(&t->repaired);
    vocab_release(&t->words);
    free(t->count);
    free(t);
}

static void add_word(void *self, const char *text, size_t n) {
    struct bpe_trainer *t = self;
    int32_t word = vocab_find(&t->words, text, n);
    if (word < 0) {
        if (t->words.count == TRAIN_WORDS) return;
        word = (int32_t)t->words.count;
        if (!vocab_add(&t->words, text, n, word)) return;
        grow(&t->count, &t->count_capacity, (size_t)word + 1, sizeof *t->count);
        t->count[word] = 0;
    }
    t->count[word]++;
}

static void add_part(void *self, ptrdiff_t token, size_t start, size_t end) {
    struct bpe_trainer *t = self;
    if (token == NO_TOKEN)
        text_split(&t->split, &t->work, t->text + start, end - start, false, add_word, t);
}

void bpe_train_add(struct bpe_trainer *t, const char *text, size_t n) {
    if (!unicode_valid(text, n)) {
        t->repaired.length = 0;
        unicode_repair(text, n, &t->repaired);
        text = t->repaired.text;
        n = t->repaired.length;
    }
    t->text = text;
    matcher_cut(&t->matcher, &t->special, true, text, n, NULL, add_part, t);
}

// The slot that holds the pair, or the free one where it belongs.
static size_t pair_slot(const struct training *r, int32_t left, int32_t right) {
    uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9e3779b97f4a7c15u;
    size_t at = (h >> 32) & (r->slots - 1);
    for (; r->slot[at]; at = (at + 1) & (r->slots - 1)) {
        const struct pair *p = &r->pair[r->slot[at] - 1];
        if (p->left == left && p->right == right) break;
    }
    return at;
}

static void grow_slots(struct training *r) {
    free(r->slot);
    r->slots = r->slots ? 2 * r->slots : 1024;
    r->slot = xcalloc(r->slots, sizeof *r->slot);
    for (size_t i = 0; i < r->pairs; i++)
        r->slot[pair_slot(r, r->pair[i].left, r->pair[i].right)] = (uint32_t)i + 1;
}

// The pair's entry, made where there is none.
static uint32_t find_pair(struct training *r, int32_t left, int32_t right) {
    if (2 * (r->pairs + 1) > r->slots) grow_slots(r);
    size_t at = pair_slot(r, left, right);
    if (r->slot[at]) return r->slot[at] - 1;
    grow(&r->pair, &r->pair_capacity, r->pairs + 1, sizeof *r->pair);
    r->pair[r->pairs] = (struct pair){.left = left, .right = right};
    r->slot[at] = (uint32_t)++r->pairs;
    return r->slot[at] - 1;
}

// One more occurrence of the pair that starts at `at`.
static void note_pair(struct training *r, uint32_t at) {
    uint32_t i = find_pair(r, r->symbol[at], r->symbol[r->next[at]]);
    struct pair *p = &r->pair[i];
    p->count += r->count[r->word[at]];
    grow(&p->at, &p->capacity, p->n + 1, sizeof *p->at);
    p->at[p->n++] = at;
    if (p->touched) return;
    p->touched = true;
    grow(&r->grown, &r->grown_capacity, r->grown_n + 1, sizeof *r->grown);
    r->grown[r->grown_n++] = i;
}

static void drop_pair(struct training *r, uint32_t at) {
    uint32_t i = find_pair(r, r->symbol[at], r->symbol[r->next[at]]);
    r->pair[i].count -= r->count[r->word[at]];
}

static bool before(const struct training *r, struct candidate a, struct candidate b) {
    if (a.count != b.count) return a.count > b.count;
    const struct pair *p = &r->pair[a.pair], *q = &r->pair[b.pair];
    return p->left != q->left ? p->left < q->left : p->right < q->right;
}

static void push(struct training *r, uint32_t pair) {
    struct candidate c = {r->pair[pair].count, pair};
    grow(&r->heap, &r->heap_capacity, r->heap_n + 1, sizeof *r->heap);
    size_t at = r->heap_n++;
    for (; at && before(r, c, r->heap[(at - 1) / 2]); at = (at - 1) / 2)
        r->heap[at] = r->heap[(at - 1) / 2];
    r->heap[at] = c;
}

static struct candidate pop(struct training *r) {
    struct candidate top = r->heap[0], last = r->heap[--r->heap_n];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < r->heap_n; at = child) {
        if (child + 1 < r->heap_n && before(r, r->heap[child + 1], r->heap[child])) child++;
        if (!before(r, r->heap[child], last)) break;
        r->heap[at] = r->heap[child];
    }
    if (r->heap_n) r->heap[at] = last;
    return top;
}

static void push_grown(struct training *r) {
    for (size_t i = 0; i < r->grown_n; i++) {
        r->pair[r->grown[i]].touched = false;
        push(r, r->grown[i]);
    }
    r->grown_n = 0;
}

static int by_place(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

// Joins the pair at one place and brings the counts of its neighbours up to date.
static void join_pair(struct training *r, uint32_t at, int32_t to) {
    uint32_t gone = r->next[at], after = r->next[gone], ahead = r->previous[at];
    drop_pair(r, at);
    if (ahead != none) drop_pair(r, ahead);
    if (after != none) drop_pair(r, gone);
    r->symbol[at] = to;
    r->symbol[gone] = -1;
    r->next[at] = after;
    if (after != none) r->previous[after] = at;
    if (ahead != none) note_pair(r, ahead);
    if (after != none) note_pair(r, at);
}

// Joins the pair wherever it stands, from left to right.
static void join_all(struct training *r, uint32_t pair, int32_t to) {
    struct pair *p = &r->pair[pair];
    int32_t left = p->left, right = p->right;
    uint32_t *at = p->at;
    size_t n = p->n;
    p->at = NULL;
    p->n = p->capacity = 0;
    qsort(at, n, sizeof *at, by_place);
    for (size_t i = 0; i < n; i++) {
        uint32_t next = r->symbol[at[i]] == left ? r->next[at[i]] : none;
        if (next != none && r->symbol[next] == right) join_pair(r, at[i], to);
    }
    free(at);
    push_grown(r);
}

// Ids of the bytes: by stand-in character, as GPT-2's first 256.
static void byte_ids(struct vocab *tokens, int32_t id[TRAIN_BYTES]) {
    int32_t next = 0;
    for (uint32_t c = 0; next < TRAIN_BYTES; c++) {
        int byte = character_to_byte(c);
        if (byte < 0) continue;
        char text[4];
        vocab_add(tokens, text, unicode_put(c, text), next);
        id[byte] = next++;
    }
}

static void lay_out(struct training *r, const struct bpe_trainer *t, const int32_t *id) {
    size_t n = 0, length;
    for (size_t w = 0; w < t->words.size; w++) {
        vocab_text(&t->words, (int32_t)w, &length);
        n += length;
    }
    if (n >= none) n = none - 1; // beyond: left out
    r->count = t->count;
    r->symbol = xmalloc(n * sizeof *r->symbol);
    r->next = xmalloc(n * sizeof *r->next);
    r->previous = xmalloc(n * sizeof *r->previous);
    r->word = xmalloc(n * sizeof *r->word);
    for (size_t w = 0; w < t->words.size; w++) {
        const char *text = vocab_text(&t->words, (int32_t)w, &length);
        if (r->n + length > n) continue;
        for (size_t i = 0; i < length; i++, r->n++) {
            r->symbol[r->n] = id[(unsigned char)text[i]];
            r->word[r->n] = (uint32_t)w;
            r->previous[r->n] = i ? (uint32_t)r->n - 1 : none;
            r->next[r->n] = i + 1 < length ? (uint32_t)r->n + 1 : none;
        }
    }
    for (size_t i = 0; i < r->n; i++)
        if (r->next[i] != none) note_pair(r, (uint32_t)i);
    push_grown(r);
}

static void release(struct training *r) {
    free(r->symbol);
    free(r->next);
    free(r->previous);
    free(r->word);
    for (size_t i = 0; i < r->pairs; i++) free(r->pair[i].at);
    free(r->pair);
    free(r->slot);
    free(r->heap);
    free(r->grown);
}

// The token that a merge makes; two merges may spell the same one.
static int32_t make_token(struct vocab *tokens, const struct pair *p) {
    struct str text = {0};
    size_t n, m;
    const char *left = vocab_text(tokens, p->left, &n);
    str_add(&text, left, n);
    const char *right = vocab_text(tokens, p->right, &m);
    str_add(&text, right, m);
    int32_t id = vocab_find(tokens, text.text, text.length);
    if (id < 0) {
        id = (int32_t)tokens->count;
        vocab_add(tokens, text.text, text.length, id);
    }
    str_release(&text);
    return id;
}

void bpe_train_run(struct bpe_trainer *t, size_t tokens, int64_t least, struct vocab *tokens_out,
                   struct merges *merges_out) {
    int32_t id[TRAIN_BYTES];
    struct training r = {0};
    assert(tokens <= VOCAB_LIMIT && least > 0);
    byte_ids(tokens_out, id);
    lay_out(&r, t, id);
    while (r.heap_n && tokens_out->count < tokens) {
        struct candidate top = pop(&r);
        struct pair *p = &r.pair[top.pair];
        if (p->count < least) continue;
        if (p->count != top.count) { // a stale entry: its count went down (or up, and waits too)
            if (p->count < top.count) push(&r, top.pair);
            continue;
        }
        int32_t to = make_token(tokens_out, p);
        // A pair can come back when its parts were spelt another way; it has its rank then.
        if (merges_find(merges_out, p->left, p->right) == MERGE_NONE)
            merges_add(merges_out, p->left, p->right, to);
        join_all(&r, top.pair, to);
    }
    release(&r);
}
