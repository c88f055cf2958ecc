// The parts of a manual page in troff's man macros, from which options_man() and the pages of
// programs with subcommands are put together. All append to s.
#pragma once
#include "common/base/mem.h"

// The head, NAME (the summary up to its first full stop), SYNOPSIS and DESCRIPTION. `program`:
// "sft", "eval nll".
void manual_begin(struct str *s, const char *program, const char *usage, const char *summary);
void manual_section(struct str *s, const char *title);
void manual_item(struct str *s, const char *left, const char *right); // a term and its text
void manual_text(struct str *s, const char *text);   // with troff's own characters escaped
void manual_end(struct str *s, const char *program); // exit codes, see also
void manual_see(struct str *s, const char *program); // one more page to see
