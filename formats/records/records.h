// Rows of any text format behind one reader: CSV and TSV (first row: names), JSONL, a JSON array of
// objects, plain text; gzip or zstd of them; several files one after another.
//
// A row that cannot be read by itself (bad JSON, invalid UTF-8, too many fields, ...) is given out
// as a bad one with its reason, so that the caller may skip it; what makes the rest of a file
// unreadable (an unclosed quote, a damaged archive) is a failure. Both name file and line. Memory
// is bounded: a row has at most RECORD_BYTES.
//
// Reading only finds the rows; record_parse, which may run in threads, makes fields of one.
#pragma once
#include "common/base/fail.h"
#include "common/base/mem.h"
#include "formats/bytes/csv.h"
#include "formats/bytes/json.h"

enum { RECORD_BYTES = 64 << 20 };
enum record_syntax { SYNTAX_AUTO, SYNTAX_CSV, SYNTAX_TSV, SYNTAX_JSONL, SYNTAX_JSON, SYNTAX_TEXT };

struct record {       // zero-initialise; reused from call to call; record_release
    const char *path; // the reader's
    size_t line;      // where it begins
    enum record_syntax syntax;
    const struct csv_row *header; // CSV: the names, kept by the reader until records_close
    struct csv_row cells;         // CSV; else the bytes of the row in cells.text
    struct json *json;            // after record_parse: an object (JSON)
    size_t used_n, used_capacity;
    bool *used; // (used_n) after record_parse: whether a column was asked for and gave something
    bool nulls; // a column that holds null is there for record_has, too
    struct fail bad; // why it cannot be used
};

struct records;
// AUTO: by name for .csv, .tsv and .txt, else JSON where it begins with '[' or '{', else CSV.
struct records *records_open(size_t n, const char *const *paths, enum record_syntax syntax,
                             struct fail *f);
// False at the end, or with f of records_open set.
bool records_next(struct records *r, struct record *out);
// How a file is read, by its name and its first bytes; AUTO with f set: it cannot be.
enum record_syntax records_syntax_of(const char *path, enum record_syntax wanted, struct fail *f);
// What the current file is, for the report; NULL before the first row.
const char *records_syntax(const struct records *r);
void records_close(struct records *r);

// Checks UTF-8 and parses JSON. False with record->bad set. Thread-safe for different records.
bool record_parse(struct record *record);
bool record_has(const struct record *record, const char *name);      // null is none
bool record_names_it(const struct record *record, const char *name); // even where it is null
// A field as text; NULL where there is none or it is not a string. Plain text has the field `text`.
const char *record_text(const struct record *record, const char *name, size_t *n);
// A field of a JSON row; NULL: none.
const struct json *record_json(const struct record *record, const char *name);
// Its columns, for the report of what nothing used: the i-th name, of n bytes, and
// whether it holds something that neither record_text nor record_json gave out.
size_t record_columns(const struct record *record);
const char *record_column(const struct record *record, size_t i, size_t *n);
bool record_unused(const struct record *record, size_t i);
// "prompt, chosen, rejected": the names a row has, for messages. Appends.
void record_names(const struct record *record, struct str *to);
void record_release(struct record *record);
