// A template's source as tokens: text between tags, and what stands inside them. White space is
// taken away as transformers asks of Jinja: trim_blocks (the line break after a block tag or a
// comment), lstrip_blocks (blanks before a tag that stands first on its line), the signs - and +,
// line breaks in one spelling, and the source's last line break.
#pragma once
#include "common/jinja/jinja_value.h"

enum jtoken_type {
    JT_END,
    JT_TEXT,
    JT_OPEN_PRINT,  // {{
    JT_CLOSE_PRINT, // }}
    JT_OPEN_BLOCK,  // {%
    JT_CLOSE_BLOCK, // %}
    JT_NAME,
    JT_INT,
    JT_FLOAT,
    JT_STRING,
    JT_SIGN, // an operator, a bracket, a comma ...
};

struct jtoken {
    enum jtoken_type type;
    uint32_t line, column;
    const char *text; // of a string: unescaped; NUL-terminated
    size_t n;
    int64_t integer;
    double real;
};

struct jtokens { // ends with a JT_END
    size_t n, capacity;
    struct jtoken *token;
};

// Fails (jinja_fail_at) where a tag, a comment or a string has no end, or a character means
// nothing.
struct jtokens jinja_lex(struct jpool *p, const char *source, size_t n);
