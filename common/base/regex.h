// Regular expressions of tokenizer.json (Oniguruma's dialect, as far as tokenizers use it), with
// Unicode properties, compiled to machine code where the system allows. The only door to PCRE2.
// \s is White_Space exactly, ^ and $ match at lines. A compiled expression is shared by threads;
// each thread searches with a regex_work of its own.
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct regex;
struct regex_work;

// NULL with the reason in `why` (size bytes) where the pattern is not understood.
struct regex *regex_new(const char *pattern, size_t n, char *why, size_t size);
struct regex *regex_literal(const char *text, size_t n); // matches just this text (n >= 1)
void regex_free(struct regex *r);

struct regex_work *regex_work_new(void);
void regex_work_free(struct regex_work *w);

// The first match in text (n bytes of well-formed UTF-8) at or after `from`. False: none, or the
// search was given up (a hostile pattern: it took more steps than a text of this length is given),
// which regex_gave_up then tells.
bool regex_find(const struct regex *r, struct regex_work *w, const char *text, size_t n,
                size_t from, size_t *start, size_t *end);
// Whether a search was given up since this was asked last.
bool regex_gave_up(struct regex_work *w);
