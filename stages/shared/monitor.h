// Watching a student that is trained from a cache: on every N-th step the models that the cache was
// made by run on the step's responses, for the log's reward, KL to base and to the DPO model, and
// mass that p* moves. The student is the same with and without. Dies on bad input, like
// stages/shared/training.h.
#pragma once
#include "common/training/runaway.h"
#include "common/training/tail_watch.h"
#include "formats/teachers/teacher_set.h"
#include "stages/shared/teachers.h"
#include "stages/shared/training.h"

struct monitor {
    int64_t every; // --watch-every
    // internal
    const struct teachers *teachers;
    struct teacher_rule rule;
    struct online_teachers *online;
    float *logp;                   // (CHUNK_POSITIONS, V) log p*
    struct teacher_position *info; // (CHUNK_POSITIONS)
    struct distill_numbers numbers;
    struct runaway runaway;
    bool watches_tail; // the divergence sees the student's tail as one bucket: not the forward KL
    struct tail_watch tail;
};
void monitor_rows(struct options *o, struct monitor *w);
// Loads --dpo, and --reverse and --ref as the rule of the (first) cache takes them; alpha: the rule
// that p* is composed with, NULL: the rule's own.
void monitor_load(struct monitor *w, struct teachers *t, struct teacher_set *cache,
                  const char *path, const char *alpha);
// Bytes, beside the student.
size_t monitor_plan(const struct monitor *w, const struct model *student, const struct training *t);
// Before any other of what follows, with or without models: the warning of the student's mass
// outside a cache of this error budget, but for the forward KL.
void monitor_tail(struct monitor *w, double error_budget, struct distill_options *d);
// Takes the memory and puts the watch into d.
void monitor_start(struct monitor *w, const struct training *t, struct distill_options *d);
void monitor_step(struct monitor *w, uint64_t step); // after it: warnings of its numbers
// What the warnings have seen, for a checkpoint, and back; false: it is none.
void monitor_keep(const struct monitor *w, struct str *to);
bool monitor_restore(struct monitor *w, const char *text);
void monitor_close(struct monitor *w); // a w of zeros is fine
