// How the numbers of a teacher cache become small integers and back (FORMATS.md, kind teacher).
// Tokens are renumbered by how often they occur, the support is stored in ascending order of these
// codes, as differences; log-probabilities are levels of a table whose steps grow as p* falls;
// each integer is stored byte by byte, one column a byte, low byte first. Composed shards have the
// two tokens that every support holds, the realised one and the end of sequence, apart: their ids
// are known, and their levels are unlike the others'. The positions of a row stand in the order of
// the tokens before them, so that similar supports lie side by side.
#pragma once
#include "formats/store/columns.h"

enum teacher_field {
    CODE_ENTRIES,
    CODE_SUPPORT,
    CODE_LEVEL,
    CODE_REALISED, // levels, where they are apart
    CODE_END,
    CODE_TAIL,
    CODE_MOST, // the largest p* outside the support, where it is kept
    CODE_TVD,
    CODE_ENTROPY,
    CODE_FIELDS
};
enum { CODE_COLUMNS = 20, CODE_NAME = 24 };

struct teacher_codec {
    int bits; // 16, 12, 8 or 6; 32: nothing is coded and the rest is empty
    // what the format's version makes of it; set by teacher_codec_version after _init
    bool brief;  // TVD takes one byte, not two
    bool apart;  // the tail is a level too, entropy what the support's own lacks, rows are sorted
    bool most;   // the largest p* outside the support is kept
    int32_t end; // token of CODE_END; -1: none
    size_t vocab, levels;
    float *level, *mass;     // (levels) log p of a level, ascending -log p; its exp
    int32_t *token, *number; // (vocab) token id of a code, code of a token
};
bool teacher_codec_bits(int64_t bits); // whether there is such a coding
// common (n): the tokens with the lowest codes, in order; all others follow by id. levels: NULL, or
// the table as stored (else that of `bits`). False: they are no such numbers.
bool teacher_codec_init(struct teacher_codec *c, int bits, size_t vocab, size_t n,
                        const int32_t *common, size_t levels, const float *level);
// How that version lays its fields out. eos: -1: none is known.
void teacher_codec_version(struct teacher_codec *c, int version, bool composed, int32_t eos);
void teacher_codec_release(struct teacher_codec *c);
// The level nearest to log p.
uint32_t teacher_codec_level(const struct teacher_codec *c, float logp);
// The most by which the level nearest to log p may be off, before the support is renormalised: half
// a step, and below the last level the distance from it.
double teacher_codec_error(const struct teacher_codec *c, float logp);

// log Q, TVD (or its logarithm) and entropy (or what the support's own lacks) in fixed steps, half
// of which is the error. Of what is apart log Q has the middles of the levels, as has the largest
// log p* outside the support, whose code 0 is 0: it is not known.
uint32_t teacher_codec_number(const struct teacher_codec *c, enum teacher_field field, double x);
double teacher_codec_value(const struct teacher_codec *c, enum teacher_field field, uint32_t code);

// The columns of a field: their number (0: there is no such field) and their names (into `name`).
size_t teacher_codec_planes(const struct teacher_codec *c, enum teacher_field field);
void teacher_codec_name(const struct teacher_codec *c, enum teacher_field field, size_t plane,
                        char name[CODE_NAME]);
// logp (n) = levels `level` (n), scaled to sum to 1 - Q.
void teacher_codec_decode(const struct teacher_codec *c, const uint32_t *level, size_t n,
                          double log_tail, float *logp);
// A position of a row, its token and the one before that; in the order in which they are stored.
struct teacher_stored {
    int32_t before;
    uint32_t position, token;
};
// Of a row of n tokens; returns the number of positions. order (n).
size_t teacher_codec_order(const struct teacher_codec *c, size_t n, const int32_t *ids,
                           const uint8_t *mask, struct teacher_stored *order);

// Entropy in nats, as if the tail were one token, of what log Q and levels (n) are decoded to.
double teacher_codec_entropy(const struct teacher_codec *c, const uint32_t *level, size_t n,
                             double log_tail);
// The same of what is decoded already.
double teacher_entropy_kept(const float *logp, size_t n, double log_tail);

// Tokens that occur in ids (n), the most frequent first, ties by id; before them `first` (-1:
// none), the one that is in every support. free() it.
int32_t *teacher_codec_common(const int32_t *ids, size_t n, size_t vocab, int32_t first,
                              size_t *count);
