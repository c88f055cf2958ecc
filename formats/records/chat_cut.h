// Where in a rendered conversation the answers stand: what the model has to produce, from the end
// of what it is asked with up to the special token that ends its turn.
//
// No format is known here. An answer begins where the rendering of the messages before it, with the
// generation prompt, ends: that must be a beginning of the whole. Where a template closes another
// thought than it opens (DeepSeek-R1 asks with "<think>" and shows answers without), it may end
// earlier in the generation prompt, at a token of its own. What ends a turn is taken from the
// rendering in which that turn is the last, and must follow the same text in the whole. Of an
// answer in the middle, only what stands between the message before and itself has to be the same.
// Anything else has no clean cut and is a failure (EXIT_BADDATA) that says why; nothing is cut by
// guess.
#pragma once
#include "common/text/bpe.h"
#include "formats/records/chat.h"

struct chat_span { // bytes start .. end-1 of a rendering
    size_t start, end;
};

// Of message i, an answer, in `whole`, the rendering of all messages.
bool chat_cut(struct chat *c, const struct tokenizer *t, size_t i, struct jtext whole,
              struct chat_span *span);
// Whether all that the messages say is shown in `whole`: contents, tool calls, tools, and the
// answer's thought (templates drop earlier ones). Fails naming what is not.
bool chat_shows_all(struct chat *c, const struct example *x, const struct turn *answer,
                    struct jtext whole);

// For each byte whether somebody typed it, for tokenizer_encode_mixed. free() it; NULL: none.
uint8_t *chat_typed(struct jtext t);
