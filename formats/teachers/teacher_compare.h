// Compares what a teacher cache holds of a position with the teachers' logits there. A number may
// be off by the error of its coding, in a file that was recoded or rewritten also by that of a
// coding that it may have had before, and by a tolerance for another machine's rounding.
#pragma once
#include "formats/teachers/teacher_file.h"
#include "formats/teachers/teacher_gather.h"

enum compared_number {
    COMPARED_LOGP,
    COMPARED_TAIL,
    COMPARED_MOST,
    COMPARED_TVD,
    COMPARED_ALPHA,
    COMPARED_ENTROPY,
    COMPARED_NUMBERS
};

struct compared {
    size_t numbers;                 // compared
    double off[COMPARED_NUMBERS];   // the most by which one is off
    double share[COMPARED_NUMBERS]; // the same as a share of what is allowed; above 1: a mismatch
    double kl; // KL(p* || p~), p~ what is stored with the tail spread evenly over all other tokens
    // the worst mismatch
    enum compared_number what;
    int32_t token; // -1: none in particular
    double stored, live, allowed;
};
struct teacher_compare;
// NULL: f says why; the file does not say by what rule it was made.
struct teacher_compare *teacher_compare_new(struct columns_reader *r, const struct teacher_info *i,
                                            double tolerance, int threads, struct fail *f);
void teacher_compare_free(struct teacher_compare *c);
const struct teacher_rule *teacher_compare_rule(const struct teacher_compare *c);
// Position i of the row. self: parallel_self(). scratch (V).
void teacher_compare(struct teacher_compare *c, int self, const struct teacher_row *row, size_t i,
                     const struct teacher_logits *z, float *scratch, struct compared *to);
bool compared_fits(const struct compared *c);
const char *compared_name(enum compared_number number); // "log p*"
