// The components of tokenizer.json that are chains of steps: normalizer, pre_tokenizer, decoder,
// post_processor. Each reads its JSON value (NULL or null: none) into the current tokenizer;
// false with p->f set where something in it is not understood.
#pragma once
#include "common/text/bpe_build.h"
#include "formats/bytes/json.h"

struct tokenizer_source {
    struct tokenizer *t;
    const char *name; // of the file, for messages
    struct fail *f;
};

bool tokenizer_read_normalizer(struct tokenizer_source *p, const struct json *v);
bool tokenizer_read_pre_tokenizer(struct tokenizer_source *p, const struct json *v);
bool tokenizer_read_decoder(struct tokenizer_source *p, const struct json *v);
bool tokenizer_read_post_processor(struct tokenizer_source *p, const struct json *v);

// A member that is true or false; `otherwise` where it is missing or null. False with p->f set
// where it is something else.
bool tokenizer_flag(struct tokenizer_source *p, const struct json *v, const char *key,
                    bool otherwise, bool *to);
