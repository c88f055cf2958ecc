#include "formats/teachers/columns_rows.h"
#include "formats/teachers/teacher_components.h"
#include <stdlib.h>
#include <string.h>

enum unit { ROW, TOKEN, POSITION, ENTRY, PROMPT, CHOSEN, REJECTED, UNITS };

struct columns_rows {
    size_t rows, n;
    struct held {
        unsigned char *bytes;
        size_t size, each; // bytes an element, elements a unit
        enum unit unit;
    } * held;             // (n)
    size_t *first[UNITS]; // (rows + 1) units before a row; NULL: not of this kind
};

// ---- which column counts what

static bool begins(const char *name, const char *with) {
    size_t n = strlen(with);
    return !strncmp(name, with, n) && (!name[n] || name[n] == '_');
}

static enum unit unit_of(const char *kind, const char *name) {
    static const char *const entry[] = {"support", "logp", "level"};
    static const char *const position[] = {"entries", "log_tail", "tail", "log_most",
                                           "most",    "alpha",    "tvd",  "realised",
                                           "end",     "entropy"};
    if (strstr(name, "length") || !strcmp(name, "step") || !strcmp(kind, "reference")) return ROW;
    if (!strcmp(kind, "pairs"))
        return !strcmp(name, "prompt") ? PROMPT : !strcmp(name, "chosen") ? CHOSEN : REJECTED;
    for (size_t i = 0; i < sizeof entry / sizeof *entry; i++)
        if (begins(name, entry[i])) return ENTRY;
    for (size_t i = 0; i < sizeof position / sizeof *position; i++)
        if (begins(name, position[i])) return POSITION;
    return TOKEN;
}

// Elements a unit: of components, two ends an entry and a tail for every grid point.
static size_t each_of(const char *name, size_t grid) {
    if (!grid) return 1;
    if (begins(name, "logp") || begins(name, "level")) return 2;
    return begins(name, "log_tail") || begins(name, "tail") ? grid : 1;
}

static size_t grid_of(struct columns_reader *r) {
    struct teacher_grid g = {0};
    char *text = columns_text(r, "alpha_grid");
    if (text) teacher_grid_parse(text, &g);
    free(text);
    return g.n;
}

// ---- where rows begin

// NULL: there is none of that name and type.
static const struct held *find(const struct columns_rows *c, struct columns_reader *r,
                               const char *name, enum column_type type) {
    size_t n;
    const struct column *columns = columns_list(r, &n);
    for (size_t i = 0; i < n; i++)
        if (!strcmp(columns[i].name, name) && columns[i].type == type) return &c->held[i];
    return NULL;
}

// By a column of int32 lengths; false where one is negative or the column is not there.
static bool lay_lengths(struct columns_rows *c, struct columns_reader *r, enum unit unit,
                        const char *name) {
    const struct held *h = find(c, r, name, COLUMN_I32);
    size_t *first = c->first[unit] = xcalloc(c->rows + 1, sizeof *first);
    for (size_t i = 0; h && i < c->rows; i++) {
        int32_t n;
        memcpy(&n, h->bytes + i * sizeof n, sizeof n);
        if (n < 0) return false;
        first[i + 1] = first[i] + (size_t)n;
    }
    return h != NULL;
}

static bool lay_positions(struct columns_rows *c, struct columns_reader *r) {
    const struct held *mask = find(c, r, "mask", COLUMN_U8);
    const size_t *token = c->first[TOKEN];
    size_t n = columns_count(r, "mask");
    size_t *first = c->first[POSITION] = xcalloc(c->rows + 1, sizeof *first);
    if (!mask || token[c->rows] != n) return false;
    for (size_t row = 0; row < c->rows; row++) {
        first[row + 1] = first[row];
        for (size_t i = token[row] + 1; i < token[row + 1]; i++)
            first[row + 1] += mask->bytes[i] == 1;
    }
    return true;
}

static bool lay_entries(struct columns_rows *c, struct columns_reader *r) {
    const struct held *plain = find(c, r, "entries", COLUMN_U16);
    const struct held *low = find(c, r, "entries_low", COLUMN_U8);
    const struct held *high = find(c, r, "entries_high", COLUMN_U8);
    const size_t *position = c->first[POSITION];
    size_t *first = c->first[ENTRY] = xcalloc(c->rows + 1, sizeof *first);
    size_t n = plain ? columns_count(r, "entries") : low ? columns_count(r, "entries_low") : 0;
    if ((!plain && !low) || n != position[c->rows]) return false;
    if (high && columns_count(r, "entries_high") != n) return false;
    for (size_t row = 0; row < c->rows; row++) {
        first[row + 1] = first[row];
        for (size_t i = position[row]; i < position[row + 1]; i++) {
            uint16_t k;
            if (plain)
                memcpy(&k, plain->bytes + i * sizeof k, sizeof k);
            else
                k = (uint16_t)(low->bytes[i] | (high ? high->bytes[i] << 8 : 0));
            first[row + 1] += k;
        }
    }
    return true;
}

static bool lay(struct columns_rows *c, struct columns_reader *r, const char *kind) {
    c->first[ROW] = xcalloc(c->rows + 1, sizeof **c->first);
    for (size_t i = 0; i < c->rows; i++) c->first[ROW][i + 1] = i + 1;
    if (!strcmp(kind, "reference")) return true;
    if (!strcmp(kind, "pairs"))
        return lay_lengths(c, r, PROMPT, "prompt_length") &&
               lay_lengths(c, r, CHOSEN, "chosen_length") &&
               lay_lengths(c, r, REJECTED, "rejected_length");
    return lay_lengths(c, r, TOKEN, "length") && lay_positions(c, r) &&
           (strcmp(kind, "teacher") || lay_entries(c, r));
}

static bool all_counted(const struct columns_rows *c, struct columns_reader *r) {
    const struct column *columns = columns_list(r, &(size_t){0});
    for (size_t i = 0; i < c->n; i++) {
        const struct held *h = &c->held[i];
        const size_t *first = c->first[h->unit];
        if (!first || first[c->rows] * h->each != columns_count(r, columns[i].name)) return false;
    }
    return true;
}

struct columns_rows *columns_rows_load(struct columns_reader *r, struct fail *f) {
    const char *kind = columns_artefact(r)->kind;
    struct columns_rows *c = xcalloc(1, sizeof *c);
    const struct column *columns = columns_list(r, &c->n);
    size_t count, grid = grid_of(r);
    bool ok = true;
    c->rows = columns_part(r).rows;
    c->held = xcalloc(c->n, sizeof *c->held);
    for (size_t i = 0; ok && i < c->n; i++) {
        c->held[i] = (struct held){columns_read_all(r, columns[i].name, &count),
                                   column_size(columns[i].type), each_of(columns[i].name, grid),
                                   unit_of(kind, columns[i].name)};
        ok = c->held[i].bytes && (c->held[i].unit != ROW || count == c->rows);
    }
    if (ok && columns_verify(r) && lay(c, r, kind) && all_counted(c, r)) return c;
    fail_pass(f, columns_why(r));
    fail_set(f, EXIT_BADDATA, "'%s' is damaged: its columns do not fit each other",
             columns_path(r));
    columns_rows_free(c);
    return NULL;
}

void columns_rows_free(struct columns_rows *c) {
    if (!c) return;
    for (size_t i = 0; i < c->n; i++) free(c->held[i].bytes);
    for (int u = 0; u < UNITS; u++) free(c->first[u]);
    free(c->held);
    free(c);
}

// ---- rows

size_t columns_rows_count(const struct columns_rows *c) {
    return c->rows;
}

bool columns_rows_copy(const struct columns_rows *c, size_t row, struct columns_writer *w) {
    bool ok = true;
    for (size_t i = 0; ok && i < c->n; i++) {
        const struct held *h = &c->held[i];
        const size_t *first = c->first[h->unit];
        ok = columns_append(w, i, h->bytes + first[row] * h->each * h->size,
                            (first[row + 1] - first[row]) * h->each);
    }
    return ok && columns_end_row(w);
}

static size_t count(const struct columns_rows *c, enum unit unit, size_t row) {
    return c->first[unit] ? c->first[unit][row + 1] - c->first[unit][row] : 0;
}

size_t columns_rows_tokens(const struct columns_rows *c, size_t row) {
    return count(c, TOKEN, row);
}

size_t columns_rows_positions(const struct columns_rows *c, size_t row) {
    return count(c, POSITION, row);
}
