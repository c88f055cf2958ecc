// Prompts as a source of the training loop (common/training/train.h) whose rows are answered,
// before each step, by the student as it then is: `prepare` samples (temperature 1) from the very
// parameters that are trained. Teachers run online, on the samples. Sample i of a step is drawn
// with the key step * batch size + i, so the responses depend on seed, step and student alone: not
// on threads, micro-batches, slots, or where the run was cut.
//
// Where the loss has a score-function term (reward level token or response, --exact), prepare also
// runs student and teachers over the samples and makes the weights of the whole step.
#pragma once
#include "common/training/online_teachers.h"
#include "common/engine/sample.h"
#include "common/training/train.h"
#include "formats/models/model_file.h"
#include "formats/tokens/tokens.h"

struct on_policy_options {
    const char *level; // distribution | token | response
    bool exact;
    int64_t max_new, slots;
};
void on_policy_rows(struct options *o, struct on_policy_options *p);

struct on_policy {
    // the caller's, before on_policy_open
    const struct model *student;
    const struct tokens *prompts; // kind prompt, or sft, whose responses are left out
    int32_t eos;                  // -1: none
    uint64_t seed;
    const struct train_options *train;
    size_t max_new, slots;
    struct teacher_models teachers;
    struct teacher_rule rule;
    enum reward_level level;
    bool exact, inverse_alpha;
    double reward_beta;
    // internal
    struct source source;
    struct sampler sampler;
    struct decoder *decoder;
    struct sample_job *jobs; // (batch) of the step
    int32_t *ids;            // (batch, max_new)
    size_t n, *place;        // place (rows): of a row in the step, SIZE_MAX: not in it
    size_t *first;           // (batch + 1) positions of the samples
    int32_t *row_ids;        // one sequence
    uint8_t *row_mask;
    struct online_teachers *online;
    struct net *net; // the student, for the weights
    struct batch batch;
    float *logp, *weight;
    struct teacher_position *info;
    struct policy_position *position; // of the step
    size_t weight_capacity, position_capacity;
};
// Fills *s. False, EXIT_BADDATA: a prompt that is empty or leaves no room for a response.
bool on_policy_source(struct on_policy *p, struct source *s, struct fail *f);
size_t on_policy_plan(const struct on_policy *p); // bytes in addition to the training
// Forward passes over a step's samples: the teachers, the student where it is weighed, and two for
// sampling.
double on_policy_passes(const struct on_policy *p);
void on_policy_open(struct on_policy *p);           // takes the memory
void on_policy_close(struct on_policy *p);

// For objective_distill: `teacher` and `watch`, both with the struct on_policy.
void on_policy_teacher(void *self, const struct batch *b, size_t first, size_t count, float *logp,
                       struct teacher_position *info);
void on_policy_watch(void *self, const struct batch *b, size_t first, size_t count,
                     const float *logits, const float *logp, const struct teacher_position *info,
                     struct policy_position *out);
