// What the rows of a data file mean. The common shapes of instruction and preference data are
// recognised by the fields of a file's first row, or named; each becomes one `example`: the turns
// before the response and the response, or chosen and rejected.
//
//   text          text
//   completion    prompt, response (also completion, output, answer; question for prompt)
//   alpaca        instruction, input, output (or chosen and rejected)
//   messages      messages or conversations: lists of {role, content} or {from, value}
//   preference    prompt or a dialogue, with chosen and rejected: texts, messages or lists of them
//   v1            chosen_messages, rejected_messages
//   hh            chosen and rejected that begin with the same dialogue
//   ids           ids: token ids as they are (with prompt_length where there is a response)
//
// Every row is read by its file's shape; one that does not fit is bad, with a reason, file and
// line.
#pragma once
#include "formats/records/example.h"
#include "formats/records/records.h"

enum shape {
    SHAPE_AUTO,
    SHAPE_TEXT,
    SHAPE_COMPLETION,
    SHAPE_ALPACA,
    SHAPE_MESSAGES,
    SHAPE_PREFERENCE,
    SHAPE_V1,
    SHAPE_HH,
    SHAPE_IDS,
};
#define SHAPE_NAMES "auto|text|completion|alpaca|messages|preference|v1|hh|ids"
enum shape shape_named(const char *name);
const char *shape_name(enum shape s);

enum data_kind { DATA_TEXT, DATA_SFT, DATA_PREF, DATA_PROMPT };
#define DATA_NAMES "text|sft|pref|prompt"

struct field_map { // --map prompt=question,chosen=good: our names and the file's
    size_t n;
    char **ours, **theirs;
};
bool field_map_parse(struct field_map *m, const char *text, struct fail *f); // NULL: an empty one
void field_map_release(struct field_map *m);

// The shape of a row for a kind of data. AUTO with record->bad set: none fits; the message lists
// the fields there are. *sure: false where it fits but for fields that are null, so that it says
// nothing about other rows.
enum shape shape_tell(struct record *row, enum data_kind kind, const struct field_map *map,
                      bool *sure);
// False with row->bad set where the row does not fit.
bool shape_read(struct record *row, enum shape shape, enum data_kind kind,
                const struct field_map *map, struct example *out);

// What counts as a text that is not what it looks like.
struct text_rules {
    bool template; // texts become turns of a chat template
    bool rendered; // a text may be rendered already: its special tokens are read
    // What is put around texts, where it must not be there yet: BOS, and special tokens of this
    // tokenizer at the end of an answer. NULL: may
    const char *bos;
    const struct tokenizer *tokenizer;
};
// False with row->bad set for a list written as text, a response with another speaker's turns, a
// text that is rendered already, one with its own BOS or EOS.
bool texts_check(struct record *row, enum data_kind kind, const struct text_rules *r,
                 const struct example *e);

// ---- between the files of this module

const char *columns_field(const char *name); // of a column beside the conversation; NULL: none
const char *mapped(const struct field_map *map, const char *name);
bool row_bad(struct record *row, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool turns_add(struct record *row, const struct json *list, struct example *e);
bool turn_read(struct record *row, const struct json *v, struct example *e, struct turn *to);
bool turn_same(const struct turn *a, const struct turn *b); // in what they say
bool read_hh(struct record *row, const char *chosen, const char *rejected, struct example *e);
bool read_lists(struct record *row, const struct json *chosen, const struct json *rejected,
                struct example *e);
// Takes the first n turns, a prompt (of a list, or one text), out again; false with row->bad set
// where the turns after it ask something else.
bool prompt_agrees(struct record *row, struct example *e, size_t n, bool list);
// False with row->bad set for a list of messages, written as JSON or as Python shows it.
bool text_not_list(struct record *row, const char *what, const char *text, size_t n);
// Columns beside the conversation: system, history and tools join the example; false with row->bad
// set where a label or weight says that it is not to be trained, or there is more than text.
bool columns_take(struct record *row, enum data_kind kind, const struct field_map *map,
                  struct example *e);
// 0, 1, true or false, as JSON or as text; row->bad for anything else.
bool weight_read(struct record *row, const char *name, const struct json *v, const char *text,
                 size_t n, bool *on);
