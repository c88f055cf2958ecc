// A sample of teacher positions from which caches of any setting follow without running the models
// again. It holds for each position the tokens that any setting may keep, with the exact log p*,
// and what common/method/fidelity.h needs of each student. One pass of the models over the rows
// makes it.
#pragma once
#include "common/method/fidelity.h"
#include "common/method/support.h"
#include "common/training/online_teachers.h"
#include "formats/teachers/teacher_file.h"
#include "formats/tokens/tokens.h"

struct fidelity_sample {
    // given
    struct teacher_models models;
    struct teacher_rule rule;
    size_t students;
    const struct model *const *student;  // (students); the first: the one to be trained
    struct tokens *tokens;               // the whole set
    size_t rows, *row;                   // which of its rows, ascending
    size_t top_k, student_k;             // most that a setting may ask for
    const struct support_budget *budget; // (budgets), 32 at most, for the first student's gradient
    size_t budgets;
    bool inverse_alpha; // positions will weigh 1 / alpha_t
    int32_t eos;
    size_t micro_tokens;
    struct log *log;
    // made
    size_t V, positions, capacity, most; // most: tokens of a position
    struct support_sizes typical;        // of gradients, where there is a budget
    double typical_weight;               // and of 1 / alpha_t
    struct sample_position *position;    // (positions)
};
struct sample_position {
    size_t n;                    // tokens U, in rank order
    struct teacher_entry *entry; // (n) exact log p*
    uint16_t *rank;              // (n) for the first student, from 0; UINT16_MAX: after student_k
    uint32_t *within;            // (n) bit b: a token that budget b keeps
    struct fidelity_student *student; // (students)
    int32_t target;
    float alpha, tvd, realised, entropy;
    double q, qlogq; // p*, p* log p* summed over the tokens outside U
    float most;      // the largest log p* outside U
};
// EXIT_DONE, EXIT_STOPPED, or the code in f.
int fidelity_sample_run(struct fidelity_sample *s, struct fail *f);
void fidelity_sample_release(struct fidelity_sample *s);
// The entries that a dump with this cut (its `must` apart) and student_k of the first student's
// tokens keeps of a position: kept (n) = log p*, NAN: not kept. Returns log Q; *log_most, the
// largest log p* that is not kept. Or those that one within a budget keeps.
double fidelity_sample_cut(const struct sample_position *p, const struct teacher_cut *cut,
                           size_t student_k, float *kept, double *log_most);
double fidelity_sample_within(const struct sample_position *p, size_t budget, int32_t eos,
                              float *kept, double *log_most);
