// Writing JSON by hand into a growing string: quoted text and numbers. Reading JSON is
// formats/bytes/json.h.
#pragma once
#include "common/base/mem.h"
#include <stddef.h>

// "text" with quotes, backslashes and control characters escaped; other bytes pass unchanged, so
// UTF-8 stays UTF-8. NULL gives null.
void jsonout_text(struct str *s, const char *text);
void jsonout_bytes(struct str *s, const char *text, size_t n); // likewise, NULs allowed inside
// The shortest decimal that reads back as the same double; nan and infinities give null.
void jsonout_number(struct str *s, double v);
// The same digits for other places, where nan, inf and -inf are written out.
void jsonout_digits(double v, char text[32]);
