#include "common/base/outputs.h"
#include "formats/store/columns_private.h"
#include "formats/store/h5.h"
#include <assert.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Stored types are h5.h's; ours are declared in the same order.
_Static_assert((int)COLUMN_I32 == (int)H5_INT32 && (int)COLUMN_F64 == (int)H5_FLOAT64, "one order");

size_t column_size(enum column_type type) {
    return h5_size((enum h5_type)type);
}

// ---- which rows belong to which file

struct columns_parts columns_cut(size_t rows_total, size_t rows_per_shard, size_t shards) {
    struct columns_parts p = {.per = rows_per_shard, .parts = 1};
    if (!p.per && shards) p.per = (rows_total + shards - 1) / shards;
    if (!p.per) p.per = SIZE_MAX;
    if (rows_total) p.parts = rows_total / p.per + (rows_total % p.per != 0);
    return p;
}

void columns_share(size_t rows_total, size_t rows_per_shard, size_t shard, size_t shards,
                   size_t *first, size_t *count) {
    *first = 0;
    *count = rows_total;
    if (!shards) return;
    assert(shard < shards);
    struct columns_parts p = columns_cut(rows_total, rows_per_shard, shards);
    size_t from = p.parts * shard / shards, to = p.parts * (shard + 1) / shards;
    *first = from < p.parts ? from * p.per : rows_total;
    size_t end = to < p.parts ? to * p.per : rows_total;
    *count = from < to ? end - *first : 0;
}

// The same lineage may have been cut into shards otherwise.
static bool is_part(const char *path, struct part want) {
    struct fail ignored = {0};
    struct columns_reader *r = columns_open(path, NULL, &ignored);
    struct part p = r ? columns_part(r) : (struct part){0};
    columns_close(r);
    return p.part == want.part && p.parts == want.parts && p.rows == want.rows &&
           p.rows_total == want.rows_total && p.first_row == want.first_row;
}

bool columns_part_is_current(const char *path, const struct lineage *l, struct part want,
                             bool no_clobber, struct fail *f) {
    if (!artefact_is_current(path, l, no_clobber, f)) return false;
    if (is_part(path, want)) return true;
    if (no_clobber) fail_set(f, EXIT_FAILED, "'%s' exists and --no-clobber was given", path);
    return false;
}

struct part columns_part_of(struct columns_parts cut, size_t part, size_t rows_total) {
    size_t first = cut.parts > 1 ? part * cut.per : 0, left = rows_total - first;
    return (struct part){part, cut.parts, left < cut.per ? left : cut.per, rows_total, first};
}

char *columns_spool_name(const char *path, const struct columns_plan *plan) {
    if (plan->shards <= 1) return xasprintf("%s.spool", path);
    return xasprintf("%s.shard-%zu-of-%zu.spool", path, plan->shard, plan->shards);
}

// How all rows are cut, and the parts from .. to-1 that are this share's.
static struct columns_parts parts_of_share(const struct columns_plan *p, size_t *from, size_t *to) {
    size_t first, count;
    columns_share(p->rows_total, p->rows_per_shard, p->shard, p->shards, &first, &count);
    struct columns_parts cut = columns_cut(p->rows_total, p->rows_per_shard, p->shards);
    *from = count ? first / cut.per : 0;
    *to = count ? (first + count - 1) / cut.per + 1 : 0;
    return cut;
}

// One file, or part of a set.
static bool may_write(const char *path, const struct lineage *l, struct part want, struct fail *f) {
    struct fail refused = {0};
    if (outputs_may_write(path, &refused)) return true;
    bool again = outputs_may_renew(path, f) &&
                 (want.rows_total ? columns_part_is_current(path, l, want, false, f)
                                  : artefact_is_current(path, l, false, f));
    return again || (fail_pass(f, &refused), false);
}

bool columns_may_write(const char *path, const struct lineage *l, const struct columns_plan *plan,
                       struct fail *f) {
    size_t from, to;
    struct columns_parts cut = parts_of_share(plan, &from, &to);
    if (!plan->rows_total) return plan->rows_per_shard || may_write(path, l, (struct part){0}, f);
    for (size_t part = from; part < to && !f->code; part++) {
        char *name = part_path(path, part, cut.parts);
        may_write(name, l, columns_part_of(cut, part, plan->rows_total), f);
        free(name);
    }
    return !f->code;
}

// ---- what a spool was to become

static bool is_made(const char *path, const char *lineage, struct part want) {
    struct fail ignored = {0};
    struct artefact a;
    if (!artefact_read(path, NULL, &a, &ignored)) return false;
    char *found = artefact_lineage(&a);
    bool same = !strcmp(found, lineage) && is_part(path, want);
    free(found);
    artefact_release(&a);
    return same;
}

static bool share_is_made(const char *path, const char *lineage, const struct columns_plan *p) {
    size_t from, to;
    struct columns_parts cut = parts_of_share(p, &from, &to);
    bool made = true;
    for (size_t part = from; made && part < to; part++) {
        char *name = part_path(path, part, cut.parts);
        made = is_made(name, lineage, columns_part_of(cut, part, p->rows_total));
        free(name);
    }
    return made;
}

// The rows were not counted beforehand: those that the first of `parts` files says; 0: not made.
static size_t rows_of_set(const char *path, size_t parts, const char *lineage,
                          struct columns_plan p) {
    struct fail ignored = {0};
    char *first = part_path(path, 0, parts);
    struct columns_reader *r = columns_open(first, NULL, &ignored);
    if (r) p.rows_total = columns_part(r).rows_total;
    columns_close(r);
    free(first);
    return p.rows_total && share_is_made(path, lineage, &p) ? p.rows_total : 0;
}

static size_t rows_of_some_set(const char *path, const char *lineage, struct columns_plan p) {
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    char *folder = slash ? xasprintf("%.*s", (int)(slash + 1 - path), path) : xstrdup(".");
    size_t rows = rows_of_set(path, 1, lineage, p);
    DIR *d = opendir(folder);
    for (struct dirent *e; d && !rows && (e = readdir(d));) {
        size_t parts = 0;
        for (const char *at = e->d_name; (at = strstr(at, "-of-")); at++)
            parts = strtoul(at + 4, NULL, 10);
        if (parts < 2 || parts > COLUMNS_PARTS) continue;
        char *first = part_path(base, 0, parts);
        if (!strcmp(first, e->d_name)) rows = rows_of_set(path, parts, lineage, p);
        free(first);
    }
    if (d) closedir(d);
    free(folder);
    return rows;
}

bool columns_are_made(const char *path, const char *header) {
    struct columns_plan p = {0};
    const char *cut = strstr(header, "\nrows per shard: "); // no value holds an end of line
    if (!cut || sscanf(cut, "\nrows per shard: %zu\nrows: %zu\nshard: %zu of %zu\n",
                       &p.rows_per_shard, &p.rows_total, &p.shard, &p.shards) != 4)
        return false;
    if (p.shard >= p.shards) return false;
    char *lineage = xasprintf("%.*s", (int)(cut + 1 - header), header);
    bool made =
        p.rows_total ? share_is_made(path, lineage, &p) : rows_of_some_set(path, lineage, p) != 0;
    free(lineage);
    return made;
}

// ---- what is there already

// A set whose rows nobody counted: those of one that is there. (What --no-clobber keeps is refused
// once the names of the files are known.)
static bool uncounted_is_current(const char *path, const struct lineage *l,
                                 struct columns_plan plan, struct fail *f) {
    char *lineage = lineage_text(l->kind, l);
    plan.rows_total = rows_of_some_set(path, lineage, plan);
    free(lineage);
    return plan.rows_total && columns_is_current(path, l, &plan, false, f);
}

bool columns_is_current(const char *path, const struct lineage *l, const struct columns_plan *plan,
                        bool no_clobber, struct fail *f) {
    if (!plan->rows_total && plan->rows_per_shard) return uncounted_is_current(path, l, *plan, f);
    if (!plan->rows_total) return artefact_is_current(path, l, no_clobber, f);
    size_t from, to;
    struct columns_parts cut = parts_of_share(plan, &from, &to);
    bool current = true;
    for (int pass = 0; pass < 2 && current; pass++)
        for (size_t part = from; part < to && current; part++) {
            char *name = part_path(path, part, cut.parts);
            struct part want = columns_part_of(cut, part, plan->rows_total);
            if (!pass)
                current = columns_part_is_current(name, l, want, no_clobber, f);
            else if (plan->finished)
                plan->finished(plan->self, name);
            free(name);
        }
    char *spool = columns_spool_name(path, plan);
    if (current) artefact_sweep_spool(spool, l);
    free(spool);
    return current;
}

// ---- content_hash

void columns_digest_begin(struct columns_digest *d, const char *kind, int version, size_t rows) {
    str_printf(&d->text, "%s %d\n@rows %zu\n", kind, version, rows);
}

void columns_digest_attr(struct columns_digest *d, const struct columns_attr *attr) {
    if (attr->text)
        str_printf(&d->text, "@%s %s\n", attr->name, attr->text);
    else
        str_printf(&d->text, "@%s %lld\n", attr->name, (long long)attr->number);
}

void columns_digest_dataset(struct columns_digest *d, const char *name, enum column_type type,
                            size_t elements) {
    str_printf(&d->text, "%s %s %zu\n", name, h5_type_name((enum h5_type)type), elements);
}

void columns_digest_chunk(struct columns_digest *d, struct hash128 raw) {
    char hash[33];
    hash_text(raw, hash);
    str_printf(&d->text, "%s\n", hash);
}

struct hash128 columns_digest_end(struct columns_digest *d) {
    struct hash128 hash = hash_bytes(d->text.text, d->text.length);
    str_release(&d->text);
    return hash;
}
