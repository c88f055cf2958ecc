// Sampling responses to a set of prompts into a file of kind `tokens` (sft: prompt, sampled
// response), resumable, in row order; and that file as JSONL or CSV text.
#pragma once
#include "common/text/bpe.h"
#include "common/base/log.h"
#include "common/engine/sample.h"
#include "formats/tokens/tokens.h"

struct generation {
    struct sampler sampler; // decoders, options, seed; length fits the longest prompt
    const struct tokens *prompts;
    size_t samples;          // of each prompt
    size_t first, count;     // of all responses: those of this run's share
    double checkpoint_every; // seconds
    struct columns_writer *writer;
    struct log *log;
};
// EXIT_DONE, EXIT_STOPPED (spool kept, with what was complete up to the first that was not) or the
// code in f. The writer is closed in any case.
int generation_run(struct generation *g, struct fail *f);
// Bytes in addition to the decoders, for responses of `most` tokens.
size_t generation_plan(size_t slots, size_t most);

struct decoded {
    char *prompt, *response; // NUL-terminated; NULs inside count
    size_t prompt_bytes, response_bytes;
};
// A row of n tokens, np of them its prompt, as text without special tokens.
struct decoded generation_decode(const struct tokenizer *t, const int32_t *ids, size_t np,
                                 size_t n);
void generation_decoded_release(struct decoded *d);

// Rows of a set (n paths) as {"row", "sample", "prompt", "response", "tokens", "finished"} objects,
// or CSV columns of these names, by the ending of `to`. Written whole or not at all.
bool generation_text(size_t n, const char *const *path, const char *to, const struct tokenizer *t,
                     size_t samples, size_t n_eos, const int32_t *eos, struct fail *f);
