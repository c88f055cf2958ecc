// Kinds `tokens` (text, sft, prompt) and `pairs` in memory: whole sets, flat columns.
// Columns in the file: tokens: ids int32, mask uint8 (1 = a target), length int32 (a row),
// prompt_length int32 (leading tokens before the response; 0 for text). pairs: prompt, chosen,
// rejected int32 with prompt_length, chosen_length, rejected_length int32.
#pragma once
#include "formats/store/artefact.h"
#include "formats/store/columns.h"

enum tokens_kind { TOKENS_TEXT, TOKENS_SFT, TOKENS_PROMPT };

struct tokens {
    enum tokens_kind kind;
    size_t rows, vocab, longest; // longest row in tokens
    size_t top;                  // largest id + 1
    size_t *first;               // (rows + 1) into ids and mask
    int32_t *ids;
    uint8_t *mask;
    int32_t *prompt_length;   // (rows)
    struct hash128 tokenizer; // zero: unknown
    struct parents parents;   // the files, in order
    size_t parts;
    size_t *part_rows; // (parts)
};
// All shards of a set, in order; several sets may follow each other. Refuses incomplete or mixed
// sets, mixed tokenizers or kinds.
bool tokens_load(struct tokens *t, size_t n, const char *const *paths, struct fail *f);
// Whether tokens_load would take the file, whatever part of its set it is; reads all of it.
bool tokens_check(const char *path, struct fail *f);
// As tokens_load, and refuses tokens of kind text: a row is a prompt, or begins with one (sft).
bool tokens_load_prompts(struct tokens *t, size_t n, const char *const *paths, struct fail *f);
size_t tokens_prompt_length(const struct tokens *t, size_t row); // of a row of prompts
// The longest prompt; 0, with f set, where one is empty or leaves a model of `most` positions no
// room for a response.
size_t tokens_longest_prompt(const struct tokens *t, size_t most, struct fail *f);
// Leaves rows first .. first + rows - 1, as one part.
void tokens_keep_rows(struct tokens *t, size_t first, size_t rows);
size_t tokens_bytes(const struct tokens *t); // in memory
void tokens_release(struct tokens *t);

struct pairs {
    size_t rows, vocab, longest; // longest: most tokens of prompt + chosen or prompt + rejected
    size_t longest_shared;       // most tokens of prompt + chosen + rejected
    size_t top;                  // largest id + 1
    size_t *prompt_first, *chosen_first, *rejected_first; // (rows + 1)
    int32_t *prompt, *chosen, *rejected;
    struct hash128 tokenizer;
    struct parents parents;
    size_t parts;
    size_t *part_rows;
};
bool pairs_check(const char *path, struct fail *f); // as tokens_check
bool pairs_load(struct pairs *p, size_t n, const char *const *paths, struct fail *f);
void pairs_keep_rows(struct pairs *p, size_t first, size_t rows); // as tokens_keep_rows
size_t pairs_bytes(const struct pairs *p);                        // in memory
void pairs_release(struct pairs *p);

struct tokens_info { // what writers state besides the columns
    enum tokens_kind kind;
    size_t vocab;
    struct hash128 tokenizer;
    const char *tokenizer_json; // stored as a dataset, so that tools can decode; NULL: none
};
// A long writer on a spool: see formats/store/columns.h for stopping, resuming, shards.
struct columns_writer *tokens_writer_open(const char *path, const struct lineage *l,
                                          const struct tokens_info *i,
                                          const struct columns_plan *plan, struct fail *f);
bool tokens_write(struct columns_writer *w, const int32_t *ids, const uint8_t *mask, size_t n,
                  size_t prompt_length);
// Tokens that were sampled in training: a further column, step int32, of each row.
struct columns_writer *samples_writer_open(const char *path, const struct lineage *l,
                                           const struct tokens_info *i,
                                           const struct columns_plan *plan, struct fail *f);
bool samples_write(struct columns_writer *w, const int32_t *ids, const uint8_t *mask, size_t n,
                   size_t prompt_length, uint64_t step);
struct columns_writer *pairs_writer_open(const char *path, const struct lineage *l,
                                         const struct tokens_info *i,
                                         const struct columns_plan *plan, struct fail *f);
bool pairs_write(struct columns_writer *w, const int32_t *prompt, size_t np, const int32_t *chosen,
                 size_t nc, const int32_t *rejected, size_t nr);
