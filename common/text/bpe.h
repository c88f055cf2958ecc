// Byte-pair tokenizers as tokenizer.json describes them: normaliser, added tokens, pre-tokenizer,
// merges, post-processor, decoder. Built from a parsed description
// (formats/models/tokenizer_json.h).
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tokenizer;

struct ids { // a growing list; zero-initialise, free with ids_release
    int32_t *id;
    size_t n, capacity;
    bool gave_up; // the tokenizer's pattern took too long on a text, so that these are not its ids
};
void ids_release(struct ids *ids);

// Appends the ids of text (n bytes of UTF-8; ill-formed bytes count as U+FFFD, never a crash).
// add_special: what the post-processor adds (BOS ...). parse_special: special tokens written out in
// the text become their ids, else they are text; added tokens that are not special always do.
// Thread-safe for concurrent calls on one tokenizer.
void tokenizer_encode(const struct tokenizer *t, const char *text, size_t n, bool add_special,
                      bool parse_special, struct ids *out);
// The same for text that continues earlier text (a response after its prompt): nothing special
// is added and no space is put in front, except where the file wants one after every added token
// and the earlier text ended with one (after_token).
void tokenizer_encode_continued(const struct tokenizer *t, const char *text, size_t n,
                                bool after_token, bool parse_special, struct ids *out);
// The same for text that is partly somebody's (typed[i] not 0, NULL: none of it), partly a
// template's: special tokens become ids where all of their bytes are the template's, else they are
// text. Returns how many are text for that reason.
enum text_place { TEXT_FIRST, TEXT_CONTINUED, TEXT_AFTER_TOKEN };
size_t tokenizer_encode_mixed(const struct tokenizer *t, const char *text, size_t n,
                              const uint8_t *typed, enum text_place place, struct ids *out);
// Where the last special token that is not typed ends; 0: there is none.
size_t tokenizer_last_special(const struct tokenizer *t, const char *text, size_t n,
                              const uint8_t *typed);
// Whether a token that is looked for as a whole string, special or not, begins at the text.
bool tokenizer_added_at(const struct tokenizer *t, const char *text, size_t n);
size_t tokenizer_count_special(const struct tokenizer *t, const char *text, size_t n);
// The text of ids, always well-formed UTF-8 (what is not becomes U+FFFD) and NUL-terminated;
// skip_special leaves special tokens out; ids outside the vocabulary are left out. free() it.
char *tokenizer_decode(const struct tokenizer *t, const int32_t *ids, size_t n, bool skip_special,
                       size_t *length);
// The bytes one id adds to a text in the middle of others, which may be part of a character; a
// space in front is kept. For showing tokens and streaming. free() it.
char *tokenizer_piece(const struct tokenizer *t, int32_t id, size_t *length);
size_t tokenizer_vocab(const struct tokenizer *t);                  // largest id + 1
int32_t tokenizer_id(const struct tokenizer *t, const char *token); // -1: not in the vocabulary
const char *tokenizer_token(const struct tokenizer *t, int32_t id); // as in the file; NULL: none
// What add_special puts in front of and after a text; the lists belong to the tokenizer.
void tokenizer_surround(const struct tokenizer *t, const struct ids **before,
                        const struct ids **after);
// From here on that token alone stands in front of a text; -1: nothing does.
void tokenizer_begin_with(struct tokenizer *t, int32_t id);
// Adds to the counters: ids that are the unknown token, and ids that are a single byte of a
// character which the vocabulary does not have (byte fallback, above ASCII).
void tokenizer_count_unknown(const struct tokenizer *t, const int32_t *ids, size_t n,
                             uint64_t *unknown, uint64_t *bytes);
bool tokenizer_is_special(const struct tokenizer *t, int32_t id);
void tokenizer_free(struct tokenizer *t);
