#include "formats/tokens/token_set.h"
#include "common/engine/model.h"
#include <stdlib.h>
#include <string.h>

bool token_set_damaged(struct token_set *s, size_t file, const char *what) {
    return fail_set(s->fail, EXIT_BADDATA, "'%s' is damaged: its '%s' do not fit the rest",
                    columns_path(s->readers[file]), what);
}

static bool open_files(struct token_set *s, const char *kind, size_t n, const char *const *paths) {
    struct path_source *source = path_source_open(n, paths, s->fail);
    for (const char *path; !s->fail->code && (path = path_source_next(source));) {
        struct columns_reader *r = columns_open(path, kind, s->fail);
        if (!r) break;
        s->readers = xrealloc(s->readers, (s->n + 1) * sizeof *s->readers);
        s->readers[s->n++] = r;
        columns_rest(r);
    }
    path_source_close(source);
    if (!s->n) fail_set(s->fail, EXIT_BADDATA, "no %s were given", kind);
    return !s->fail->code;
}

static int by_part(const void *a, const void *b) {
    size_t x = columns_part(*(struct columns_reader *const *)a).part;
    size_t y = columns_part(*(struct columns_reader *const *)b).part;
    return (x > y) - (x < y);
}

// The files of one set stand together: as many as it has parts, each once.
static bool check_sets(struct token_set *s) {
    for (size_t at = 0; at < s->n;) {
        struct columns_reader **set = s->readers + at;
        size_t parts = columns_part(set[0]).parts, have = 1, next = 0;
        while (have < parts && at + have < s->n) {
            if (!columns_same_set(set[0], set[have], s->fail)) return false;
            have++;
        }
        qsort(set, have, sizeof *set, by_part);
        for (size_t i = 0; i < have; i++) {
            struct part p = columns_part(set[i]);
            if (i && p.part == columns_part(set[i - 1]).part)
                return fail_set(s->fail, EXIT_BADDATA, "'%s' and '%s' are the same part %zu",
                                columns_path(set[i - 1]), columns_path(set[i]), p.part);
            if (p.first_row != next) break;
            next += p.rows;
        }
        if (have < parts || next != columns_part(set[0]).rows_total)
            return fail_set(s->fail, EXIT_BADDATA,
                            "'%s' is of a set of %zu parts, of which %zu were given; give them all",
                            columns_path(set[0]), parts, have);
        at += have;
    }
    return true;
}

static bool check_tokenizers(struct token_set *s) {
    for (size_t i = 0; i < s->n; i++) {
        struct hash128 tokenizer = {0, 0};
        int64_t vocab = 0;
        char *text = columns_text(s->readers[i], "tokenizer");
        bool ok = text && hash_parse(text, &tokenizer) &&
                  columns_int(s->readers[i], "vocab", &vocab) && vocab > 0 && vocab <= MODEL_VOCAB;
        free(text);
        if (!ok) return token_set_damaged(s, i, "attributes");
        bool padded = !hash_is_zero(tokenizer); // the ids agree, however many rows a matrix has
        if (i && (!hash_equal(tokenizer, s->tokenizer) || (!padded && (size_t)vocab != s->vocab)))
            return fail_set(s->fail, EXIT_BADDATA,
                            "'%s' and '%s' were made with different "
                            "tokenizers; tokenize both with one",
                            columns_path(s->readers[0]), columns_path(s->readers[i]));
        s->tokenizer = tokenizer;
        if ((size_t)vocab > s->vocab) s->vocab = (size_t)vocab;
        s->rows += columns_part(s->readers[i]).rows;
        columns_rest(s->readers[i]);
    }
    return true;
}

bool token_set_open(struct token_set *s, const char *kind, size_t n, const char *const *paths,
                    struct fail *f) {
    *s = (struct token_set){.fail = f};
    return open_files(s, kind, n, paths) && check_sets(s) && check_tokenizers(s);
}

bool token_set_open_part(struct token_set *s, const char *kind, const char *path, struct fail *f) {
    *s = (struct token_set){.fail = f};
    return open_files(s, kind, 1, &path) && check_tokenizers(s);
}

bool token_set_verify(struct token_set *s) {
    bool ok = !s->fail->code;
    for (size_t i = 0; ok && i < s->n; i++) {
        ok = columns_verify(s->readers[i]);
        columns_rest(s->readers[i]);
    }
    return ok;
}

bool token_set_expect(struct token_set *s, size_t n, const struct column *table) {
    bool ok = true;
    for (size_t i = 0; ok && i < s->n; i++) ok = columns_expect(s->readers[i], n, table);
    return ok;
}

bool token_set_ints(struct token_set *s, const char *column, int32_t **to) {
    for (size_t i = 0; i < s->n; i++) // before memory is taken for the claim
        if (columns_count(s->readers[i], column) != columns_part(s->readers[i]).rows)
            return token_set_damaged(s, i, column);
    *to = xmalloc(s->rows * sizeof **to);
    size_t at = 0;
    for (size_t i = 0; i < s->n; i++) {
        size_t n = columns_part(s->readers[i]).rows;
        if (!columns_read(s->readers[i], column, 0, n, *to + at)) return false;
        columns_rest(s->readers[i]);
        at += n;
    }
    return true;
}

static bool ids_in_range(struct token_set *s, const int32_t *ids, size_t n) {
    int32_t most = -1;
    for (size_t i = 0; i < n; i++) {
        if (ids[i] < 0) return false;
        if (ids[i] > most) most = ids[i];
    }
    if (most >= 0 && (size_t)most >= s->top) s->top = (size_t)most + 1;
    return s->top <= s->vocab;
}

bool token_set_ragged(struct token_set *s, const char *ids, const char *lengths, int32_t **to,
                      size_t **first) {
    int32_t *length = NULL;
    size_t total = 0, at = 0, row = 0;
    bool ok = token_set_ints(s, lengths, &length);
    for (size_t i = 0; ok && i < s->n; i++) total += columns_count(s->readers[i], ids);
    *to = ok ? xmalloc(total * sizeof **to) : NULL;
    *first = ok ? xcalloc(s->rows + 1, sizeof **first) : NULL;
    for (size_t i = 0; ok && i < s->n; i++) {
        size_t n = columns_count(s->readers[i], ids), sum = 0;
        for (size_t k = 0; ok && k < columns_part(s->readers[i]).rows; k++, row++) {
            ok = length[row] >= 0 && (size_t)length[row] <= n - sum;
            sum += ok ? (size_t)length[row] : 0;
            (*first)[row + 1] = at + sum;
        }
        if (!ok || sum != n) ok = token_set_damaged(s, i, lengths);
        ok = ok && columns_read(s->readers[i], ids, 0, n, *to + at);
        if (ok && !ids_in_range(s, *to + at, n)) ok = token_set_damaged(s, i, ids);
        columns_rest(s->readers[i]);
        at += n;
    }
    free(length);
    return ok;
}

void token_set_give(struct token_set *s, struct parents *parents, size_t *parts,
                    size_t **part_rows) {
    *parts = s->n;
    *part_rows = xcalloc(s->n, sizeof **part_rows);
    for (size_t i = 0; i < s->n; i++) {
        const struct artefact *a = columns_artefact(s->readers[i]);
        parents_add(parents, a->kind, a->content);
        (*part_rows)[i] = columns_part(s->readers[i]).rows;
    }
}

void token_set_close(struct token_set *s) {
    for (size_t i = 0; i < s->n; i++) columns_close(s->readers[i]);
    free(s->readers);
    *s = (struct token_set){0};
}
