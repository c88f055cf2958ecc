// JSON as a read-only tree. The whole text is checked: UTF-8, no duplicate keys, nothing after the
// value, at most JSON_DEPTH levels and JSON_VALUES values, so that a hostile text costs bounded
// memory. Objects keep the order of the file; looking a key up is a binary search, the i-th key or
// value is immediate. A tree may be read by several threads at once.
//
// Accessors of the wrong type are not errors: they give NULL, 0 or false, so that a caller checks
// json_type() where it matters and chains calls elsewhere. All accept a NULL value. (json_text and
// json_int, because the library behind has a json_string and a json_integer of its own.)
#pragma once
#include "common/base/fail.h"
#include "common/base/mem.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { JSON_DEPTH = 200, JSON_VALUES = 1 << 23, JSON_BYTES = 1 << 29 };
enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json;

// NULL with f set (EXIT_BADDATA; name, line, column) where the text is not one JSON value.
struct json *json_parse(const char *text, size_t n, const char *name, struct fail *f);
// The same for a piece of a file that begins at `line` (1: the first).
struct json *json_parse_at(const char *text, size_t n, const char *name, size_t line,
                           struct fail *f);
void json_free(struct json *root); // a root only; NULL is fine

enum json_type json_type(const struct json *v); // NULL: JSON_NULL
size_t json_size(const struct json *v);         // elements of an array, members of an object
const struct json *json_get(const struct json *object, const char *key); // NULL: none
const struct json *json_at(const struct json *array, size_t i);          // NULL: past the end
const char *json_key(const struct json *object, size_t i);
const struct json *json_value(const struct json *object, size_t i);
const char *json_text(const struct json *v, size_t *n); // NULL: no string; n may be NULL
double json_number(const struct json *v);
bool json_is_integer(const struct json *v); // written without fraction or exponent, fits int64
int64_t json_int(const struct json *v);
bool json_bool(const struct json *v);
const char *json_type_name(enum json_type t); // "object" ...

// Appends the value; indent 0: on one line. Numbers in shortest form that reads back the same.
void json_write(struct str *to, const struct json *v, int indent);

// For a text that comes byte by byte: whether c, the next byte, is in a string (its end included,
// its beginning not). Starts as {0}.
struct json_quotes {
    bool inside, escaped;
};
bool json_quoted(struct json_quotes *q, char c);
