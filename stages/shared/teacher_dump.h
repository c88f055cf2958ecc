// The pass of the teachers over rows of tokens: compose p* at every response position from the full
// vocabulary, truncate it, write it. Every row is a unit of its own, so a row's numbers do not
// depend on which shard or run it is in.
#pragma once
#include "common/training/online_teachers.h"
#include "common/base/options.h"
#include "common/method/support.h"
#include "formats/teachers/teacher_file.h"
#include "formats/tokens/tokens.h"

struct teacher_dump {
    struct teacher_models models;
    struct teacher_rule rule;
    struct teacher_grid grid; // of the components layout; n 0: composed
    struct teacher_cut cut;
    const struct model *student; // NULL: none. Its student_k most likely tokens are kept as well
    size_t student_k;
    struct support_budget budget; // error 0: none
    bool inverse_alpha;           // positions will weigh 1 / alpha_t: so does their error
    double typical_weight;        // root of the mean square of 1 / alpha_t, where they do
    struct support_sizes
        typical[GRID_MOST]; // of the budget, at each alpha of the grid; composed: 1
    struct tokens *tokens;  // the whole set
    size_t first, count;    // the rows to dump
    size_t micro_tokens;
    struct opt_every checkpoint_every;
    struct teacher_writer *writer;
    struct log *log;
    void (*begun)(void *self); // called when the memory is there; NULL: nothing is
    void *self;
};
// EXIT_DONE, EXIT_STOPPED (spool kept), or the code in f. The writer is closed in any case.
int teacher_dump_run(struct teacher_dump *d, struct fail *f);
// Rows spread over the set, up to some 2000 tokens: for trials. tokens_release it.
struct tokens teacher_dump_sample(const struct tokens *t);
// Fills `typical` from a pass over such rows, the same ones for every shard of the set; EXIT_DONE,
// EXIT_STOPPED, or the code in f.
int teacher_dump_typical(struct teacher_dump *d, struct fail *f);
size_t teacher_dump_plan(struct teacher_dump *d); // bytes of the pass, without the models

// Pairs as rows of tokens: the chosen, the rejected, or both (chosen first) responses.
bool teacher_dump_responses(const struct pairs *p, bool chosen, bool rejected, struct tokens *t);
