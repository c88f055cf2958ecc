// Whole sets of shards of tokens or pairs, opened together: several sets may follow each other.
// Within a set the parts may come in any order and are put in theirs. Refused: an incomplete or
// mixed set, other tokenizers, lengths that do not add up, ids outside the
// vocabulary. Failures (EXIT_BADDATA) stick to the `struct fail` of open.
#pragma once
#include "formats/store/columns.h"

struct token_set {
    size_t n; // files
    struct columns_reader **readers;
    size_t rows, vocab; // vocab: the most that a file states
    size_t top;         // largest id read so far + 1
    struct hash128 tokenizer;
    struct fail *fail;
};
bool token_set_open(struct token_set *s, const char *kind, size_t n, const char *const *paths,
                    struct fail *f);
// One file by itself, whatever part of its set it is.
bool token_set_open_part(struct token_set *s, const char *kind, const char *path, struct fail *f);
bool token_set_expect(struct token_set *s, size_t n, const struct column *table);
// A column of one number per row over all files: (rows), free() it.
bool token_set_ints(struct token_set *s, const char *column, int32_t **to);
// A column of ids with its column of lengths: ids and first (rows + 1); free() both.
bool token_set_ragged(struct token_set *s, const char *ids, const char *lengths, int32_t **to,
                      size_t **first);
// The files' content hashes and rows, in order.
void token_set_give(struct token_set *s, struct parents *parents, size_t *parts,
                    size_t **part_rows);
// All that was read has the content_hash of its file. Call it last.
bool token_set_verify(struct token_set *s);
bool token_set_damaged(struct token_set *s, size_t file, const char *what); // fails; false
void token_set_close(struct token_set *s);
