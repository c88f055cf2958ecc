#include "formats/store/columns.h"
#include "formats/store/columns_private.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

static bool alive(const struct columns_reader *r) {
    return r && !r->fail->code;
}

bool columns_awake(struct columns_reader *r) {
    if (!alive(r) || r->file) return alive(r);
    struct artefact a = {0};
    r->file = h5_open(r->path, r->fail);
    if (r->file && artefact_get(r->file, r->path, r->artefact.kind, &a) &&
        !hash_equal(a.content, r->artefact.content))
        fail_set(r->fail, EXIT_BADDATA, "'%s' was replaced while it was being read", r->path);
    artefact_release(&a);
    return alive(r);
}

bool columns_unfit(struct columns_reader *r, const char *what, const char *name) {
    return fail_set(r->fail, EXIT_BADDATA, "'%s': %s '%s' is missing or not as it should be",
                    r->path, what, name);
}

static bool get_size(struct columns_reader *r, const char *name, size_t *to) {
    int64_t value = -1;
    if (!h5_get_int(r->file, name, &value) || value < 0 || value > (int64_t)1 << 48)
        return columns_unfit(r, "attribute", name);
    *to = (size_t)value;
    return true;
}

static bool read_part(struct columns_reader *r) {
    struct part *p = &r->part;
    bool ok = get_size(r, "part", &p->part) && get_size(r, "parts", &p->parts) &&
              get_size(r, "rows", &p->rows) && get_size(r, "rows_total", &p->rows_total) &&
              get_size(r, "first_row", &p->first_row);
    if (!ok) return false;
    if (p->parts > COLUMNS_PARTS) return columns_unfit(r, "attribute", "parts");
    if (p->part >= p->parts) return columns_unfit(r, "attribute", "part");
    if (p->parts > 1 && !p->rows) return columns_unfit(r, "attribute", "rows");
    if (!p->part && p->first_row) return columns_unfit(r, "attribute", "first_row");
    size_t end = p->first_row + p->rows;
    bool last = p->part + 1 == p->parts;
    return (last ? end == p->rows_total : end < p->rows_total) ||
           columns_unfit(r, "attribute", "rows_total");
}

// Whether a column has the type that FORMATS.md gives it, so that whoever reads it may go by that.
static bool is_typed(const char *kind, const char *name, enum column_type type) {
    static const struct column known[] = {
        {"ids", COLUMN_I32},           {"mask", COLUMN_U8},
        {"length", COLUMN_I32},        {"prompt_length", COLUMN_I32},
        {"chosen_length", COLUMN_I32}, {"rejected_length", COLUMN_I32},
        {"prompt", COLUMN_I32},        {"entries", COLUMN_U16},
        {"support", COLUMN_I32},       {"logp", COLUMN_F32},
        {"log_tail", COLUMN_F32},      {"log_most", COLUMN_F32},
        {"alpha", COLUMN_F32},         {"tvd", COLUMN_F32},
        {"realised", COLUMN_F32},      {"entropy", COLUMN_F32},
        {"step", COLUMN_I32},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(name, known[i].name)) return type == known[i].type;
    if (!strcmp(name, "chosen") || !strcmp(name, "rejected"))
        return type == (strcmp(kind, "reference") ? COLUMN_I32 : COLUMN_F64);
    const char *end = strrchr(name, '_'); // a byte of a coded field
    bool coded = end && (!strcmp(end, "_low") || !strcmp(end, "_high") || !strcmp(end, "_top"));
    return !coded || type == COLUMN_U8;
}

static size_t find(const struct columns_reader *r, const char *column) {
    size_t c = 0;
    while (c < r->n && strcmp(r->columns[c].name, column) != 0) c++;
    return c;
}

// Each name once, and a number for each row where the format has one.
static bool read_columns(struct columns_reader *r) {
    r->names = h5_get_text(r->file, "columns");
    if (!r->names) return columns_unfit(r, "attribute", "columns");
    for (char *save, *name = strtok_r(r->names, " ", &save); name;
         name = strtok_r(NULL, " ", &save)) {
        struct h5_shape s;
        if (!h5_shape(r->file, name, &s) || s.rank != 1 ||
            !is_typed(r->artefact.kind, name, (enum column_type)s.type))
            return columns_unfit(r, "column", name);
        bool of_rows = text_ends(name, "length") || !strcmp(name, "step") ||
                       !strcmp(r->artefact.kind, "reference");
        if (find(r, name) < r->n) return columns_unfit(r, "column", name);
        if (of_rows && s.count != r->part.rows)
            return fail_set(r->fail, EXIT_BADDATA,
                            "'%s' is damaged: its columns do not fit each other: '%s' has %zu "
                            "numbers for %zu rows",
                            r->path, name, s.count, r->part.rows);
        r->columns = xrealloc(r->columns, (r->n + 1) * sizeof *r->columns);
        r->counts = xrealloc(r->counts, (r->n + 1) * sizeof *r->counts);
        r->hashes = xrealloc(r->hashes, (r->n + 1) * sizeof *r->hashes);
        r->hashes[r->n] = NULL;
        r->columns[r->n] = (struct column){name, (enum column_type)s.type};
        r->counts[r->n++] = s.count;
    }
    return true;
}

static bool known_kind(const struct columns_reader *r) {
    static const char *const kinds[] = {"tokens", "pairs", "reference", "teacher"};
    for (size_t i = 0; i < 4; i++)
        if (strcmp(r->artefact.kind, kinds[i]) == 0) return true;
    return fail_set(r->fail, EXIT_BADDATA, "'%s' is a file of kind '%s', which has no rows",
                    r->path, r->artefact.kind);
}

// Names of root attributes that all tables have: not those of a kind's own.
static bool is_reserved(const char *name) {
    static const char *const names[] = {"kind",       "version",    "created_by",   "stage",
                                        "options",    "parents",    "content_hash", "columns",
                                        "attributes", "blobs",      "part",         "parts",
                                        "rows",       "rows_total", "first_row"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(name, names[i])) return true;
    return false;
}

// Calls each() with every name in the list that the attribute `attr` holds, which is sorted.
static bool each_name(struct columns_reader *r, const char *attr, struct columns_extras *e,
                      bool (*each)(struct columns_reader *, const char *,
                                   struct columns_extras *)) {
    char *names = columns_text(r, attr), *save;
    bool ok = names != NULL || columns_unfit(r, "attribute", attr);
    const char *before = "";
    for (char *name = ok ? strtok_r(names, " ", &save) : NULL; ok && name;
         name = strtok_r(NULL, " ", &save)) {
        bool taken = strcmp(attr, "blobs") ? is_reserved(name) : find(r, name) < r->n;
        if (strcmp(before, name) >= 0 || taken) ok = columns_unfit(r, "attribute", attr);
        ok = ok && each(r, name, e);
        before = name;
    }
    free(names);
    return ok;
}

static bool add_attr(struct columns_reader *r, const char *name, struct columns_extras *e) {
    struct columns_attr a = {.name = name};
    bool text = h5_is_text(r->file, name);
    if (text) a.text = h5_get_text(r->file, name);
    if (text ? !a.text : !h5_get_int(r->file, name, &a.number))
        return columns_unfit(r, "attribute", name);
    a.name = xstrdup(name);
    e->attrs = xrealloc(e->attrs, (e->n_attrs + 1) * sizeof *e->attrs);
    e->attrs[e->n_attrs++] = a;
    return true;
}

// The kind's own attributes, in which all parts of a set agree, a line each.
static bool read_own(struct columns_reader *r) {
    struct columns_extras e = {0};
    bool ok = each_name(r, "attributes", &e, add_attr);
    for (size_t i = 0; i < e.n_attrs; i++)
        if (e.attrs[i].text)
            str_printf(&r->own, "%s: %s\n", e.attrs[i].name, e.attrs[i].text);
        else
            str_printf(&r->own, "%s: %lld\n", e.attrs[i].name, (long long)e.attrs[i].number);
    columns_free_extras(&e);
    return ok;
}

struct columns_reader *columns_open(const char *path, const char *kind, struct fail *f) {
    struct h5 *file = h5_open(path, f);
    if (!file) return NULL;
    struct columns_reader *r = xcalloc(1, sizeof *r);
    *r = (struct columns_reader){.path = xstrdup(path), .file = file, .fail = f};
    if (artefact_get(file, path, kind, &r->artefact) && known_kind(r) && read_part(r) &&
        read_columns(r) && read_own(r))
        return r;
    columns_close(r);
    return NULL;
}

const struct artefact *columns_artefact(const struct columns_reader *r) {
    return &r->artefact;
}

struct part columns_part(const struct columns_reader *r) {
    return r->part;
}

const struct fail *columns_why(const struct columns_reader *r) {
    return r->fail;
}

const char *columns_path(const struct columns_reader *r) {
    return r->path;
}

bool columns_follows(struct part p, struct part before, const char *path, struct fail *f) {
    size_t end = before.first_row + before.rows;
    return p.first_row == end ||
           fail_set(f, EXIT_BADDATA,
                    "'%s' begins at row %zu, the part before it ends at %zu; its set is mixed",
                    path, p.first_row, end);
}

const struct column *columns_list(const struct columns_reader *r, size_t *n) {
    *n = r->n;
    return r->columns;
}

size_t columns_count(struct columns_reader *r, const char *column) {
    if (!alive(r)) return 0;
    size_t c = find(r, column);
    if (c < r->n) return r->counts[c];
    columns_unfit(r, "column", column);
    return 0;
}

size_t columns_stored(struct columns_reader *r, const char *column) {
    struct h5_shape s;
    return columns_awake(r) && h5_shape(r->file, column, &s) ? s.stored : 0;
}

int columns_level(struct columns_reader *r) {
    struct h5_shape s;
    int level = 0;
    for (size_t c = 0; columns_awake(r) && !level && c < r->n; c++)
        if (h5_shape(r->file, r->columns[c].name, &s)) level = s.level;
    return level;
}

bool columns_expect(struct columns_reader *r, size_t n, const struct column *columns) {
    if (!alive(r)) return false;
    for (size_t i = 0; i < n; i++) {
        size_t c = find(r, columns[i].name);
        if (c == r->n || r->columns[c].type != columns[i].type)
            return columns_unfit(r, "column", columns[i].name);
    }
    return true;
}

bool columns_read(struct columns_reader *r, const char *column, size_t first, size_t n, void *to) {
    if (!columns_awake(r)) return false;
    size_t count = columns_count(r, column);
    if (!alive(r)) return false;
    size_t c = find(r, column);
    if (first > count || n > count - first)
        return fail_set(r->fail, EXIT_BADDATA,
                        "'%s' is damaged: column '%s' has %zu elements, %zu are needed", r->path,
                        column, count, first + n);
    if (!h5_read(r->file, column, first, n, to)) return false;
    columns_note(r, c, first, n, to);
    return true;
}

// Chunk by chunk; one that cannot be read becomes a hole.
static bool read_around(struct columns_reader *r, size_t c, unsigned char *to) {
    const struct column *column = &r->columns[c];
    struct columns_holes *h = r->holes;
    size_t size = column_size(column->type), count = r->counts[c];
    for (size_t at = 0; columns_awake(r) && at < count; at += COLUMN_CHUNK) {
        size_t n = count - at < COLUMN_CHUNK ? count - at : COLUMN_CHUNK;
        if (columns_read(r, column->name, at, n, to + at * size)) continue;
        if (r->fail->code != EXIT_BADDATA) return false; // the file is not at fault
        *r->fail = (struct fail){0};
        memset(to + at * size, 0, n * size);
        h->items = xrealloc(h->items, (h->n + 1) * sizeof *h->items);
        h->items[h->n++] = (struct columns_hole){column->name, at, n};
    }
    return alive(r);
}

void *columns_read_all(struct columns_reader *r, const char *column, size_t *n) {
    *n = columns_count(r, column);
    if (!columns_awake(r)) return NULL;
    size_t c = find(r, column);
    void *to = xmalloc(*n * column_size(r->columns[c].type));
    if (columns_read(r, column, 0, *n, to)) return to;
    bool around = r->holes && r->fail->code == EXIT_BADDATA;
    if (around) *r->fail = (struct fail){0};
    if (around && read_around(r, c, to)) return to;
    free(to);
    return NULL;
}

void columns_tolerate(struct columns_reader *r, struct columns_holes *holes) {
    r->holes = holes;
}

const struct columns_holes *columns_holes(const struct columns_reader *r) {
    return r->holes;
}

bool columns_int(struct columns_reader *r, const char *attr, int64_t *value) {
    return columns_awake(r) && h5_get_int(r->file, attr, value);
}

char *columns_text(struct columns_reader *r, const char *attr) {
    return columns_awake(r) ? h5_get_text(r->file, attr) : NULL;
}

char *columns_blob(struct columns_reader *r, const char *name, size_t *n) {
    struct h5_shape s;
    *n = 0;
    if (!columns_awake(r) || !h5_shape(r->file, name, &s)) return NULL;
    if (s.type != H5_UINT8 || s.rank != 1) {
        columns_unfit(r, "dataset", name);
        return NULL;
    }
    char *bytes = xmalloc(s.count + 1);
    bytes[s.count] = 0;
    *n = s.count;
    if (h5_read(r->file, name, 0, s.count, bytes)) return bytes;
    free(bytes);
    return NULL;
}

void columns_rest(struct columns_reader *r) {
    h5_close(r->file);
    r->file = NULL;
}

void columns_close(struct columns_reader *r) {
    if (!r) return;
    h5_close(r->file);
    artefact_release(&r->artefact);
    str_release(&r->own);
    for (size_t c = 0; c < r->n; c++) free(r->hashes[c]);
    free(r->hashes);
    free(r->columns);
    free(r->counts);
    free(r->names);
    free(r->path);
    free(r);
}

// ---- what a file has besides the columns

static bool add_blob(struct columns_reader *r, const char *name, struct columns_extras *e) {
    size_t n;
    char *bytes = columns_blob(r, name, &n);
    if (!bytes) return columns_unfit(r, "dataset", name);
    e->blobs = xrealloc(e->blobs, (e->n_blobs + 1) * sizeof *e->blobs);
    e->blobs[e->n_blobs++] = (struct columns_blob){xstrdup(name), bytes, n};
    return true;
}

bool columns_extras(struct columns_reader *r, struct columns_extras *e) {
    *e = (struct columns_extras){0};
    return columns_awake(r) && each_name(r, "attributes", e, add_attr) &&
           each_name(r, "blobs", e, add_blob);
}

void columns_free_extras(struct columns_extras *e) {
    for (size_t i = 0; i < e->n_attrs; i++) {
        free((char *)e->attrs[i].name);
        free((char *)e->attrs[i].text);
    }
    for (size_t i = 0; i < e->n_blobs; i++) {
        free((char *)e->blobs[i].name);
        free((void *)e->blobs[i].bytes);
    }
    free(e->attrs);
    free(e->blobs);
    *e = (struct columns_extras){0};
}

bool columns_same_set(const struct columns_reader *a, const struct columns_reader *b,
                      struct fail *f) {
    struct str difference = {0};
    char *x = artefact_lineage(&a->artefact), *y = artefact_lineage(&b->artefact);
    bool same = lineage_same(x, y, &difference);
    if (same && (a->part.parts != b->part.parts || a->part.rows_total != b->part.rows_total)) {
        str_printf(&difference, "%zu parts of %zu rows and %zu of %zu", a->part.parts,
                   a->part.rows_total, b->part.parts, b->part.rows_total);
        same = false;
    }
    const char *own = a->own.text ? a->own.text : "", *other = b->own.text ? b->own.text : "";
    same = same && lineage_same(own, other, &difference);
    if (!same)
        fail_set(f, EXIT_BADDATA, "'%s' and '%s' are not of one set: %s", a->path, b->path,
                 difference.text);
    str_release(&difference);
    free(x);
    free(y);
    return same;
}
