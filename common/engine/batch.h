// A micro-batch: packed rows of tokens, cut into units and segments, and the positions with a loss.
//
// A *segment* is a run of rows that attends to itself causally and, before that, to the rows of its
// prefix segment (a shared prompt). A *tree* is a prompt with the segments that continue it, or a
// lone segment; trees lie side by side. A *unit* is a group of whole trees. A *position* is a row
// whose logits enter the loss, with the token it should predict; a *response* owns a run of
// positions.
#pragma once
#include "common/engine/gemm.h"
#include <stddef.h>
#include <stdint.h>

struct segment {
    size_t first, count;               // rows of its own
    size_t prefix_first, prefix_count; // rows it continues; count 0: none
};

struct teacher_position {       // one position of a cache or of online teachers; see
                                // common/method/teacher.h
    uint32_t n;                 // entries of the support
    const int32_t *ids;         // (n)
    const float *logp;          // (n) log p*, renormalised to 1 - Q
    float log_tail;             // log Q
    float log_most;             // log of the largest p* outside the support; 0: not known
    float alpha, tvd, realised; // alpha_t, TVD_t, log p* of the realised token
};

enum response_role { RESPONSE_ONLY, RESPONSE_CHOSEN, RESPONSE_REJECTED };

struct response {
    size_t first, count; // positions
    size_t row;          // of the data set
    enum response_role role;
    double ref_logp; // log p_ref(y|x), where the objective wants it
};

struct batch {
    uint64_t serial; // another number for each filling
    size_t n, n_cap; // rows
    int32_t *ids;    // (n)
    size_t segments, segment_cap;
    struct segment *segment;
    size_t trees, tree_cap; // tree t: segments tree[t] .. tree[t+1]-1
    size_t *tree;
    size_t units, unit_cap; // unit u: rows unit_row[u] .. unit_row[u+1]-1, likewise positions
    size_t *unit_row, *unit_position;
    size_t positions, position_cap;
    size_t *row;                      // (positions) index into ids
    int32_t *target;                  // (positions)
    size_t *owner;                    // (positions) its response
    struct teacher_position *teacher; // (positions), or NULL
    float *weight; // (positions) of the score-function term, 0 unless the source sets it
    float *behaviour, *reference; // (positions) log p of the target when it was sampled (NaN: as
                                  // now) and of the reference; for objective_group.h
    size_t responses, response_cap;
    struct response *response;
};

enum { CHUNK_POSITIONS = 256 }; // most positions in a chunk of logits; fixed, for the bits
struct chunk {                  // positions first .. first+count-1 of one unit
    size_t first, count;
};
size_t batch_chunks(const struct batch *b); // how many it has
struct chunk batch_chunk(const struct batch *b, size_t i);

void batch_clear(struct batch *b);
void batch_begin_unit(struct batch *b); // what follows belongs to a new unit
// Adds a whole sequence: ids (n), mask (n) 1 where the token is a target. A target at index i is
// predicted at row i - 1, so index 0 never is. One response owns all positions.
void batch_sequence(struct batch *b, const int32_t *ids, const uint8_t *mask, size_t n, size_t row,
                    enum response_role role);
// Adds a prompt (np >= 1) with `k` responses that share it. All tokens of each response are
// targets.
void batch_shared(struct batch *b, const int32_t *prompt, size_t np, size_t k,
                  const int32_t *const *response, const size_t *n, const enum response_role *role,
                  size_t row);
// The same for a reward model: all tokens have rows, and each response one position at its last
// one. n >= 1.
void batch_scored(struct batch *b, const int32_t *prompt, size_t np, size_t k,
                  const int32_t *const *response, const size_t *n, const enum response_role *role,
                  size_t row);
void batch_end(struct batch *b); // closes the last unit
struct rowplan batch_rows(const struct batch *b);
void batch_release(struct batch *b);
