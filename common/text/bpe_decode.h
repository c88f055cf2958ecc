// Decoders: token strings -> text, step by step over a list of pieces, as tokenizer.json names
// them.
#pragma once
#include "common/base/mem.h"
#include "common/base/regex.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum decode_kind {
    DECODE_BYTE_LEVEL,    // GPT-2's stand-in characters -> bytes; joins all pieces
    DECODE_REPLACE,       // matches of regex in each piece by content
    DECODE_BYTE_FALLBACK, // runs of <0xXX> pieces -> their bytes (ill-formed: U+FFFD each)
    DECODE_FUSE,          // all pieces become one
    DECODE_STRIP,     // up to `start` times content at the start of each piece, `stop` at its end
    DECODE_METASPACE, // content -> ' '; `drop`: the first piece loses one in front
};

struct decode_step {
    enum decode_kind kind;
    struct regex *regex; // owned
    struct str content;  // owned
    size_t start, stop;
    bool drop;
};

struct pieces { // a list of strings; zero-initialise, pieces_release
    struct str text;
    size_t *end; // (n)
    size_t n, capacity;
};
void pieces_add(struct pieces *p, const char *text, size_t n);
void pieces_release(struct pieces *p);

// Runs one step on `p`, in place.
void decode_run(const struct decode_step *s, struct pieces *p);
