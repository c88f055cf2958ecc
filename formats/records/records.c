#include "formats/records/records.h"
#include "common/base/unicode.h"
#include "formats/bytes/json.h"
#include "formats/bytes/stream.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct records {
    size_t n, next;
    char **paths;
    enum record_syntax wanted, syntax; // asked for, of the current file
    struct fail *f;
    struct stream *stream; // NULL: between files
    const char *path;
    size_t line;     // of the byte that comes next
    size_t row_line; // where the current CSV row began
    struct csv *csv;
    struct csv_row *header; // NULL: not read yet
    size_t n_headers;
    struct csv_row **headers; // of all files, until records_close
    bool inside, after;       // JSON array: after '[', after an element
    char *separator;          // plain text: the line between rows; NULL: each line is one
};

struct records *records_open(size_t n, const char *const *paths, enum record_syntax syntax,
                             struct fail *f) {
    struct records *r = xcalloc(1, sizeof *r);
    r->f = f;
    r->wanted = syntax;
    r->n = n;
    r->paths = xcalloc(n, sizeof *r->paths);
    for (size_t i = 0; i < n; i++) r->paths[i] = xstrdup(paths[i]);
    return r;
}

const char *records_syntax(const struct records *r) {
    static const char *const names[] = {NULL, "CSV", "TSV", "JSONL", "a JSON array", "plain text"};
    return names[r->syntax];
}

// ---- files --------------------------------------------------------------------------------------

static bool named(const char *path, const char *ending) {
    size_t n = strlen(path), k = strlen(ending);
    static const char *const packed[] = {".gz", ".zst"};
    for (size_t i = 0; i < 2; i++)
        if (n > strlen(packed[i]) && !strcasecmp(path + n - strlen(packed[i]), packed[i]))
            n -= strlen(packed[i]);
    return n > k && !strncasecmp(path + n - k, ending, k);
}

static enum record_syntax tell_syntax(struct records *r) {
    size_t n;
    const char *text = stream_peek(r->stream, &n);
    size_t i = 0;
    while (i < n && strchr(" \t\r\n", text[i])) i++;
    if (r->wanted != SYNTAX_AUTO) return r->wanted;
    if (named(r->path, ".csv")) return SYNTAX_CSV;
    if (named(r->path, ".tsv")) return SYNTAX_TSV;
    if (named(r->path, ".txt")) return SYNTAX_TEXT;
    if (i < n && text[i] == '{') return SYNTAX_JSONL;
    return i < n && text[i] == '[' ? SYNTAX_JSON : SYNTAX_CSV;
}

// Corpora of stories put a line of this between them.
static char *find_separator(struct stream *s) {
    static const char mark[] = "<|endoftext|>";
    size_t n, k = sizeof mark - 1;
    const char *text = stream_peek(s, &n), *at = text;
    while ((at = memmem(at, n - (size_t)(at - text), mark, k))) {
        const char *end = at + k;
        bool begins = at == text || at[-1] == '\n';
        if (begins && end < text + n && (*end == '\n' || *end == '\r')) return xstrdup(mark);
        at = end;
    }
    return NULL;
}

static bool next_file(struct records *r) {
    if (r->next == r->n) return false;
    r->path = r->paths[r->next++];
    r->stream = stream_open(r->path, r->f);
    if (!r->stream) return false;
    r->line = r->row_line = 1;
    r->inside = r->after = false;
    r->header = NULL;
    r->syntax = tell_syntax(r);
    bool csv = r->syntax == SYNTAX_CSV || r->syntax == SYNTAX_TSV;
    if (csv) r->csv = csv_new(r->syntax == SYNTAX_CSV ? ',' : '\t');
    if (r->syntax == SYNTAX_TEXT) r->separator = find_separator(r->stream);
    return !r->f->code;
}

static void end_file(struct records *r) {
    stream_close(r->stream);
    r->stream = NULL;
    csv_release(r->csv);
    r->csv = NULL;
    free(r->separator);
    r->separator = NULL;
}

void records_close(struct records *r) {
    if (!r) return;
    end_file(r);
    for (size_t i = 0; i < r->n_headers; i++) {
        csv_row_release(r->headers[i]);
        free(r->headers[i]);
    }
    for (size_t i = 0; i < r->n; i++) free(r->paths[i]);
    free(r->headers);
    free(r->paths);
    free(r);
}

enum record_syntax records_syntax_of(const char *path, enum record_syntax wanted, struct fail *f) {
    struct records *r = records_open(1, &path, wanted, f);
    enum record_syntax s = next_file(r) ? r->syntax : SYNTAX_AUTO;
    records_close(r);
    return s;
}

static void start(struct records *r, struct record *out) {
    json_free(out->json);
    out->json = NULL;
    out->path = r->path;
    out->line = r->line;
    out->syntax = r->syntax;
    out->header = NULL;
    out->used_n = 0;
    out->nulls = false;
    out->bad = (struct fail){0};
    out->cells.n = out->cells.text.length = 0;
}

static bool append_bytes(struct records *r, struct record *out, const char *bytes, size_t n) {
    if (out->cells.text.length + n > RECORD_BYTES)
        return fail_set(r->f, EXIT_BADDATA, "row too long in '%s' line %zu: over %d bytes", r->path,
                        out->line, RECORD_BYTES);
    str_add(&out->cells.text, bytes, n);
    stream_skip(r->stream, n);
    return true;
}

// ---- lines --------------------------------------------------------------------------------------

// One line without its end into out->cells.text, added to what is there. False: no more.
static bool add_line(struct records *r, struct record *out) {
    size_t n;
    const char *text = stream_peek(r->stream, &n);
    if (!n) return false;
    for (; n; text = stream_peek(r->stream, &n)) {
        const char *end = memchr(text, '\n', n);
        if (!append_bytes(r, out, text, end ? (size_t)(end - text) : n)) return false;
        if (!end) continue;
        stream_skip(r->stream, 1);
        r->line++;
        break;
    }
    struct str *s = &out->cells.text;
    if (s->length && s->text[s->length - 1] == '\r') s->text[--s->length] = 0;
    return !r->f->code;
}

static bool blank(const struct str *s) {
    for (size_t i = 0; i < s->length; i++)
        if (!strchr(" \t\r\n", s->text[i]) || !s->text[i]) return false;
    return true;
}

static bool next_line(struct records *r, struct record *out) {
    do {
        start(r, out);
        if (!add_line(r, out)) return false;
    } while (blank(&out->cells.text));
    return true;
}

// Lines up to a separator, blank ones around them dropped.
static bool next_document(struct records *r, struct record *out) {
    size_t k = strlen(r->separator);
    struct str *s = &out->cells.text;
    start(r, out);
    for (size_t at = 0;; at = s->length) {
        if (!add_line(r, out)) break;
        bool ends = s->length - at == k && !memcmp(s->text + at, r->separator, k);
        if (ends) s->length = at;
        if (!blank(s) && ends) break;
        if (blank(s))
            start(r, out); // with the line that follows
        else
            str_puts(s, "\n");
    }
    while (s->length && s->text[s->length - 1] == '\n') s->length--;
    if (s->length) s->text[s->length] = 0;
    return s->length && !r->f->code;
}

// ---- CSV ----------------------------------------------------------------------------------------

static bool next_cells(struct records *r, struct record *out) {
    bool done = false;
    size_t n, used = 0, content = 0;
    out->line = r->row_line;
    for (;;) {
        const char *text = stream_peek(r->stream, &n);
        if (r->f->code) return false;
        size_t k = 0;
        while (k < n && text[k] != '\n' && text[k] != '\r') k++;
        if (k < n) k++;
        if ((used += k) > RECORD_BYTES)
            return fail_set(r->f, EXIT_BADDATA,
                            "row too long in '%s' line %zu: over %d bytes; is a quote unclosed?",
                            r->path, out->line, RECORD_BYTES);
        bool fine =
            n ? csv_feed(r->csv, text, k, &out->cells, &done) : csv_end(r->csv, &out->cells, &done);
        if (!fine)
            return fail_set(r->f, EXIT_BADDATA, "%s in '%s' line %zu (the row begins at line %zu)",
                            csv_message(r->csv), r->path, r->line, out->line);
        bool line_end = n && text[k - 1] == '\n';
        content += k - (n && (line_end || text[k - 1] == '\r'));
        stream_skip(r->stream, k);
        r->line += line_end;
        if (done || !n) break;
        // a blank line between rows is none of the next row's; nor is the LF of a CRLF
        if (!content && line_end) out->line = r->line;
    }
    return done;
}

static bool names_differ(const struct csv_row *header, const char *path, struct fail *f) {
    size_t n, k;
    for (size_t i = 0; i < header->n && i < 1000; i++)
        for (size_t j = 0; j < i; j++) {
            const char *a = csv_field(header, i, &n), *b = csv_field(header, j, &k);
            if (n == k && n && !memcmp(a, b, n))
                return fail_set(f, EXIT_BADDATA, "column '%.*s' is twice in '%s'", (int)n, a, path);
        }
    return true;
}

static bool read_header(struct records *r) {
    struct record first = {0};
    start(r, &first);
    bool done = next_cells(r, &first);
    if (done && !unicode_valid(first.cells.text.text, first.cells.text.length))
        done = fail_set(r->f, EXIT_BADDATA, "invalid UTF-8 in '%s' line %zu", r->path, first.line);
    if (!done || !names_differ(&first.cells, r->path, r->f)) {
        record_release(&first);
        return false;
    }
    r->header = xmalloc(sizeof *r->header);
    *r->header = first.cells;
    r->headers = xrealloc(r->headers, (r->n_headers + 1) * sizeof *r->headers);
    r->headers[r->n_headers++] = r->header;
    return true;
}

static bool next_csv(struct records *r, struct record *out) {
    if (!r->header && !read_header(r)) return false;
    r->row_line = r->line;
    start(r, out);
    if (!next_cells(r, out)) return false;
    out->header = r->header;
    if (out->cells.n != r->header->n)
        fail_set(&out->bad, EXIT_BADDATA, "'%s' line %zu: %zu fields, but the header has %zu",
                 r->path, out->line, out->cells.n, r->header->n);
    return true;
}

// ---- a JSON array -------------------------------------------------------------------------------

static char skip_blanks(struct records *r) { // the next byte, 0: none
    size_t n;
    for (const char *text = stream_peek(r->stream, &n); n; text = stream_peek(r->stream, &n)) {
        size_t i = 0;
        for (; i < n && strchr(" \t\r\n", text[i]) && text[i]; i++) r->line += text[i] == '\n';
        stream_skip(r->stream, i);
        if (i < n) return text[i] ? text[i] : 1;
    }
    return 0;
}

struct nesting {
    size_t depth;
    struct json_quotes quotes;
};

// Bytes of text that belong to the current element; *ended: a ',' or ']' of the array follows.
static size_t element_part(struct nesting *s, const char *text, size_t n, bool *ended) {
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (json_quoted(&s->quotes, c)) continue;
        if ((*ended = !s->depth && (c == ',' || c == ']'))) return i;
        if (c == '{' || c == '[') s->depth++;
        if ((c == '}' || c == ']') && s->depth) s->depth--;
    }
    return n;
}

static bool add_element(struct records *r, struct record *out) {
    struct nesting s = {0};
    bool ended = false;
    while (!ended) {
        size_t n;
        const char *text = stream_peek(r->stream, &n);
        if (!n)
            return fail_set(r->f, EXIT_BADDATA,
                            "'%s' ends inside its array, in the row of line %zu", r->path,
                            out->line);
        size_t k = element_part(&s, text, n, &ended);
        for (size_t i = 0; i < k; i++) r->line += text[i] == '\n';
        if (!append_bytes(r, out, text, k)) return false;
    }
    return true;
}

static bool next_element(struct records *r, struct record *out) {
    char c = skip_blanks(r);
    if (!r->inside && c != '[')
        return !c ? false
                  : fail_set(r->f, EXIT_BADDATA, "'%s' is not an array of JSON objects", r->path);
    if (!r->inside || (r->after && c == ',')) {
        stream_skip(r->stream, 1);
        bool first = !r->inside;
        r->inside = true;
        c = skip_blanks(r);
        if (!first || c != ']') {
            start(r, out);
            return r->after = add_element(r, out);
        }
    }
    if (c != ']') return fail_set(r->f, EXIT_BADDATA, "'%s' ends inside its array", r->path);
    stream_skip(r->stream, 1);
    if (skip_blanks(r))
        return fail_set(r->f, EXIT_BADDATA, "'%s' continues after its array, in line %zu", r->path,
                        r->line);
    return false;
}

// -------------------------------------------------------------------------------------------------

bool records_next(struct records *r, struct record *out) {
    while (!r->f->code) {
        if (!r->stream && !next_file(r)) return false;
        bool csv = r->syntax == SYNTAX_CSV || r->syntax == SYNTAX_TSV;
        if (csv                        ? next_csv(r, out)
            : r->syntax == SYNTAX_JSON ? next_element(r, out)
            : r->separator             ? next_document(r, out)
                                       : next_line(r, out))
            return !r->f->code;
        end_file(r);
    }
    return false;
}
