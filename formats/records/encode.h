// An example to token ids. Without a template: what the tokenizer puts in front of a text (exactly
// one BOS), the prompt, then the response and EOS; prompt and response are encoded apart, so that
// their boundary is exact. With a template: what it renders, cut where answers begin and end
// (formats/records/chat_cut.h); the answers and the special tokens that end them are trained, or
// what {% generation %} says; what follows the last of them is left out. A text is one row of BOS,
// text, EOS, in pieces where it is longer than max_length; a later piece begins with its
// predecessor's last token, untrained.
#pragma once
#include "common/text/bpe.h"
#include "formats/records/chat.h"
#include "formats/records/shapes.h"
#include "formats/records/shapes_text.h"

enum on_long { LONG_ERROR, LONG_DROP, LONG_TRUNCATE, LONG_SPLIT };
#define ON_LONG_NAMES "error|drop|truncate|split"

struct encoder {
    const struct tokenizer *tokenizer;
    enum data_kind kind;
    const struct chat_template *template; // NULL: none
    int32_t bos, eos;                     // -1: none
    bool parse_special;                   // special tokens written out in the data become their ids
    size_t vocab;                         // ids of shape `ids` stay below
    size_t max_length; // most tokens of a row (of prompt and either response); 0: any
    enum on_long on_long;
};

struct encoded {          // zero-initialise; reused
    struct ids ids;       // the whole row; of pairs the prompt
    struct str mask;      // a byte an id
    size_t prompt_length; // tokens before the first trained one
    struct ids chosen, rejected;
    bool dropped, truncated, no_room; // over max_length (dropped: ERROR too); no_room: the prompt
                                      // alone
    size_t longest;                   // tokens before anything was cut
    size_t special_text;              // special tokens written out in the data that are text
    bool bos_added;                   // of a template that writes none
    bool joined; // in one go, an answer's first token would be one with the prompt's last
};

// False with row->bad set (a row that cannot be used). Thread-safe for different rows.
bool encode(const struct encoder *e, struct record *row, const struct example *x,
            struct encoded *out);
void encoded_release(struct encoded *e);

// What counts as misleading in texts for it: what is put around them must not be in them, unless
// their special tokens are read.
struct text_rules encoder_text_rules(const struct encoder *e);

// Pieces of a row of kind text: piece i is ids [first, first + n).
size_t encoded_pieces(const struct encoder *e, const struct encoded *x);
void encoded_piece(const struct encoder *e, const struct encoded *x, size_t i, size_t *first,
                   size_t *n);

// ---- between the files of this module

size_t encoded_targets(const struct str *mask); // one past the last trained token; 0: none
void encoded_add(struct ids *to, const int32_t *id, size_t n);
bool encode_chat(const struct encoder *e, const struct example *x, struct encoded *out,
                 struct fail *f);
