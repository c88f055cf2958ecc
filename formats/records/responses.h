// Responses as text, as `generate --text` writes them: rows of any text format
// (formats/records/records.h) with columns prompt and response, in memory. Taken where they are
// there: row and sample (else the row's own number and 0) and difficulty, a number that says how
// hard the instruction is.
#pragma once
#include "common/base/fail.h"
#include <stddef.h>
#include <stdint.h>

struct response_text {
    size_t line; // of the file
    int64_t row, sample;
    char *prompt, *response; // NUL-terminated; NULs inside count
    size_t prompt_bytes, response_bytes;
    double difficulty; // NaN: not given
    double tokens;     // of the response; 0: not given
};
struct responses {
    const char *path; // the caller's
    size_t n;
    struct response_text *items;
};
// False, with nothing to release, where a row cannot be read or lacks a column, or there is none.
bool responses_load(struct responses *r, const char *path, struct fail *f);
void responses_release(struct responses *r);
size_t responses_characters(const char *text, size_t n); // code points of UTF-8
