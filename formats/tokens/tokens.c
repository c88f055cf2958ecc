#include "formats/tokens/tokens.h"
#include "formats/tokens/token_set.h"
#include <stdlib.h>
#include <string.h>

static const struct column tokens_table[] = {{"ids", COLUMN_I32},
                                             {"mask", COLUMN_U8},
                                             {"length", COLUMN_I32},
                                             {"prompt_length", COLUMN_I32},
                                             {"step", COLUMN_I32}}; // of samples alone
static const struct column pairs_table[] = {
    {"prompt", COLUMN_I32},        {"chosen", COLUMN_I32},        {"rejected", COLUMN_I32},
    {"prompt_length", COLUMN_I32}, {"chosen_length", COLUMN_I32}, {"rejected_length", COLUMN_I32}};
static const char *const kind_name[] = {"text", "sft", "prompt"};

// ---- writing

static struct columns_writer *create(const char *path, const struct lineage *l, const char *kind,
                                     size_t n, const struct column *table,
                                     const struct tokens_info *i, const struct columns_plan *plan,
                                     struct fail *f) {
    char hash[33];
    hash_text(i->tokenizer, hash);
    struct columns_attr attrs[] = {{"vocab", NULL, (int64_t)i->vocab},
                                   {"tokenizer", hash, 0},
                                   {"tokens_kind", kind_name[i->kind], 0}};
    size_t n_attrs = strcmp(kind, "tokens") == 0 ? 3 : 2;
    struct columns_blob blob = {"tokenizer.json", i->tokenizer_json,
                                i->tokenizer_json ? strlen(i->tokenizer_json) : 0};
    struct lineage own = *l;
    own.kind = kind;
    own.version = artefact_version(kind);
    return columns_create(path, &own, n, table, n_attrs, attrs, i->tokenizer_json != NULL, &blob,
                          plan, f);
}

struct columns_writer *tokens_writer_open(const char *path, const struct lineage *l,
                                          const struct tokens_info *i,
                                          const struct columns_plan *plan, struct fail *f) {
    return create(path, l, "tokens", 4, tokens_table, i, plan, f);
}

struct columns_writer *samples_writer_open(const char *path, const struct lineage *l,
                                           const struct tokens_info *i,
                                           const struct columns_plan *plan, struct fail *f) {
    return create(path, l, "tokens", 5, tokens_table, i, plan, f);
}

static bool append_row(struct columns_writer *w, const int32_t *ids, const uint8_t *mask, size_t n,
                       size_t prompt_length) {
    int32_t length = (int32_t)n, prompt = (int32_t)prompt_length;
    return columns_append(w, 0, ids, n) && columns_append(w, 1, mask, n) &&
           columns_append(w, 2, &length, 1) && columns_append(w, 3, &prompt, 1);
}

bool tokens_write(struct columns_writer *w, const int32_t *ids, const uint8_t *mask, size_t n,
                  size_t prompt_length) {
    return append_row(w, ids, mask, n, prompt_length) && columns_end_row(w);
}

bool samples_write(struct columns_writer *w, const int32_t *ids, const uint8_t *mask, size_t n,
                   size_t prompt_length, uint64_t step) {
    int32_t at = (int32_t)step;
    return append_row(w, ids, mask, n, prompt_length) && columns_append(w, 4, &at, 1) &&
           columns_end_row(w);
}

struct columns_writer *pairs_writer_open(const char *path, const struct lineage *l,
                                         const struct tokens_info *i,
                                         const struct columns_plan *plan, struct fail *f) {
    return create(path, l, "pairs", 6, pairs_table, i, plan, f);
}

bool pairs_write(struct columns_writer *w, const int32_t *prompt, size_t np, const int32_t *chosen,
                 size_t nc, const int32_t *rejected, size_t nr) {
    const int32_t *ids[] = {prompt, chosen, rejected};
    int32_t length[] = {(int32_t)np, (int32_t)nc, (int32_t)nr};
    for (size_t c = 0; c < 3; c++)
        if (!columns_append(w, c, ids[c], (size_t)length[c]) ||
            !columns_append(w, 3 + c, &length[c], 1))
            return false;
    return columns_end_row(w);
}

// ---- reading

static bool load_mask(struct token_set *set, uint8_t **mask, size_t tokens) {
    *mask = xmalloc(tokens);
    size_t at = 0;
    for (size_t i = 0; i < set->n; i++) {
        size_t n = columns_count(set->readers[i], "mask");
        if (n > tokens - at) return token_set_damaged(set, i, "mask");
        if (!columns_read(set->readers[i], "mask", 0, n, *mask + at)) return false;
        columns_rest(set->readers[i]);
        at += n;
    }
    if (at != tokens) return token_set_damaged(set, 0, "mask");
    for (size_t i = 0; i < tokens; i++)
        if ((*mask)[i] > 1) return token_set_damaged(set, 0, "mask");
    return true;
}

static bool one_kind(struct token_set *set, enum tokens_kind *kind) {
    for (size_t i = 0; i < set->n; i++) {
        char *name = columns_text(set->readers[i], "tokens_kind");
        int k = 2;
        while (name && k >= 0 && strcmp(name, kind_name[k]) != 0) k--;
        free(name);
        if (!name || k < 0) return token_set_damaged(set, i, "tokens_kind");
        if (i && (int)*kind != k)
            return fail_set(set->fail, EXIT_BADDATA,
                            "'%s' holds tokens of kind '%s', the first file '%s'",
                            columns_path(set->readers[i]), kind_name[k], kind_name[*kind]);
        *kind = (enum tokens_kind)k;
        columns_rest(set->readers[i]);
    }
    return true;
}

static bool check_prompts(struct token_set *set, const struct tokens *t) {
    for (size_t i = 0; i < t->rows; i++) {
        size_t n = t->first[i + 1] - t->first[i];
        size_t most = t->kind == TOKENS_TEXT ? 0 : n;
        if (t->prompt_length[i] < 0 || (size_t)t->prompt_length[i] > most)
            return token_set_damaged(set, 0, "prompt_length");
    }
    return true;
}

static size_t longest(size_t rows, const size_t *first) {
    size_t most = 0;
    for (size_t i = 0; i < rows; i++)
        if (first[i + 1] - first[i] > most) most = first[i + 1] - first[i];
    return most;
}

static bool read_tokens(struct tokens *t, struct token_set *set) {
    bool ok = token_set_expect(set, 4, tokens_table) && one_kind(set, &t->kind) &&
              token_set_ragged(set, "ids", "length", &t->ids, &t->first) &&
              load_mask(set, &t->mask, t->first[set->rows]) &&
              token_set_ints(set, "prompt_length", &t->prompt_length);
    if (!ok) return false;
    t->rows = set->rows;
    t->vocab = set->vocab;
    t->top = set->top;
    t->tokenizer = set->tokenizer;
    t->longest = longest(t->rows, t->first);
    return check_prompts(set, t) && token_set_verify(set);
}

bool tokens_load(struct tokens *t, size_t n, const char *const *paths, struct fail *f) {
    *t = (struct tokens){0};
    struct token_set set;
    if (token_set_open(&set, "tokens", n, paths, f) && read_tokens(t, &set))
        token_set_give(&set, &t->parents, &t->parts, &t->part_rows);
    token_set_close(&set);
    if (f->code) tokens_release(t);
    return !f->code;
}

bool tokens_check(const char *path, struct fail *f) {
    struct tokens t = {0};
    struct token_set set;
    if (token_set_open_part(&set, "tokens", path, f)) read_tokens(&t, &set);
    token_set_close(&set);
    tokens_release(&t);
    return !f->code;
}

bool tokens_load_prompts(struct tokens *t, size_t n, const char *const *paths, struct fail *f) {
    if (!tokens_load(t, n, paths, f)) return false;
    if (t->kind != TOKENS_TEXT) return true;
    tokens_release(t);
    return fail_set(f, EXIT_BADDATA,
                    "'%s' has no prompts; tokenize with --kind prompt, or sft, whose responses are "
                    "left out",
                    paths[0]);
}

size_t tokens_prompt_length(const struct tokens *t, size_t row) {
    if (t->kind == TOKENS_SFT) return (size_t)t->prompt_length[row];
    return t->first[row + 1] - t->first[row];
}

size_t tokens_longest_prompt(const struct tokens *t, size_t most, struct fail *f) {
    size_t longest = 0;
    for (size_t i = 0; i < t->rows && !f->code; i++) {
        size_t n = tokens_prompt_length(t, i);
        if (!n)
            fail_set(f, EXIT_BADDATA, "prompt %zu is empty; a prompt needs one token at least", i);
        else if (n + 1 > most)
            fail_set(f, EXIT_BADDATA,
                     "prompt %zu has %zu tokens, which leaves no room in the model's %zu; tokenize "
                     "with --max-length %zu --on-long truncate (or drop)",
                     i, n, most, most - 1);
        if (n > longest) longest = n;
    }
    return f->code ? 0 : longest;
}

void tokens_keep_rows(struct tokens *t, size_t first, size_t rows) {
    memmove(t->first, t->first + first, (rows + 1) * sizeof *t->first);
    memmove(t->prompt_length, t->prompt_length + first, rows * sizeof *t->prompt_length);
    t->rows = t->part_rows[0] = rows;
    t->parts = 1;
}

size_t tokens_bytes(const struct tokens *t) {
    size_t row = sizeof *t->first + sizeof *t->prompt_length;
    return t->rows * row + t->first[t->rows] * (sizeof *t->ids + sizeof *t->mask);
}

void tokens_release(struct tokens *t) {
    free(t->first);
    free(t->ids);
    free(t->mask);
    free(t->prompt_length);
    free(t->part_rows);
    parents_release(&t->parents);
    *t = (struct tokens){0};
}

static bool measure(struct pairs *p) { // false: a prompt or a response is empty
    for (size_t i = 0; i < p->rows; i++) {
        size_t np = p->prompt_first[i + 1] - p->prompt_first[i];
        size_t nc = p->chosen_first[i + 1] - p->chosen_first[i];
        size_t nr = p->rejected_first[i + 1] - p->rejected_first[i];
        size_t one = np + (nc > nr ? nc : nr), all = np + nc + nr;
        if (!np || !nc || !nr) return false;
        if (one > p->longest) p->longest = one;
        if (all > p->longest_shared) p->longest_shared = all;
    }
    return true;
}

static bool read_pairs(struct pairs *p, struct token_set *set) {
    bool ok =
        token_set_expect(set, 6, pairs_table) &&
        token_set_ragged(set, "prompt", "prompt_length", &p->prompt, &p->prompt_first) &&
        token_set_ragged(set, "chosen", "chosen_length", &p->chosen, &p->chosen_first) &&
        token_set_ragged(set, "rejected", "rejected_length", &p->rejected, &p->rejected_first);
    if (!ok) return false;
    p->rows = set->rows;
    p->vocab = set->vocab;
    p->top = set->top;
    p->tokenizer = set->tokenizer;
    if (!measure(p))
        return fail_set(set->fail, EXIT_BADDATA,
                        "'%s' has a pair with an empty prompt or response; tokenize it again",
                        columns_path(set->readers[0]));
    return token_set_verify(set);
}

bool pairs_load(struct pairs *p, size_t n, const char *const *paths, struct fail *f) {
    *p = (struct pairs){0};
    struct token_set set;
    if (token_set_open(&set, "pairs", n, paths, f) && read_pairs(p, &set))
        token_set_give(&set, &p->parents, &p->parts, &p->part_rows);
    token_set_close(&set);
    if (f->code) pairs_release(p);
    return !f->code;
}

bool pairs_check(const char *path, struct fail *f) {
    struct pairs p = {0};
    struct token_set set;
    if (token_set_open_part(&set, "pairs", path, f)) read_pairs(&p, &set);
    token_set_close(&set);
    pairs_release(&p);
    return !f->code;
}

void pairs_keep_rows(struct pairs *p, size_t first, size_t rows) {
    size_t *const offsets[] = {p->prompt_first, p->chosen_first, p->rejected_first};
    for (size_t k = 0; k < 3; k++)
        memmove(offsets[k], offsets[k] + first, (rows + 1) * sizeof *offsets[k]);
    p->rows = p->part_rows[0] = rows;
    p->parts = 1;
}

size_t pairs_bytes(const struct pairs *p) {
    size_t R = p->rows, ids = p->prompt_first[R] + p->chosen_first[R] + p->rejected_first[R];
    return 3 * R * sizeof *p->prompt_first + ids * sizeof *p->prompt;
}

void pairs_release(struct pairs *p) {
    free(p->prompt);
    free(p->chosen);
    free(p->rejected);
    free(p->prompt_first);
    free(p->chosen_first);
    free(p->rejected_first);
    free(p->part_rows);
    parents_release(&p->parents);
    *p = (struct pairs){0};
}
