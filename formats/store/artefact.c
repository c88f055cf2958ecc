#include "formats/store/artefact.h"
#include "common/base/path.h"
#include "common/base/version.h"
#include "formats/store/h5.h"
#include "formats/bytes/json.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// ---- parents: an attribute of lines "kind hash"

void parents_add(struct parents *p, const char *kind, struct hash128 hash) {
    p->items = xrealloc(p->items, (p->n + 1) * sizeof *p->items);
    struct parent *item = &p->items[p->n++];
    *item = (struct parent){.hash = hash};
    snprintf(item->kind, sizeof item->kind, "%s", kind);
}

void parents_add_all(struct parents *p, const struct parents *from) {
    for (size_t i = 0; i < from->n; i++) parents_add(p, from->items[i].kind, from->items[i].hash);
}

void parents_add_valid(struct parents *p, const struct parents *from) {
    for (size_t i = 0; i < from->n; i++) {
        char *kind = xasprintf("valid-%s", from->items[i].kind);
        parents_add(p, kind, from->items[i].hash);
        free(kind);
    }
}

bool parents_equal(const struct parents *a, const struct parents *b) {
    bool same = a->n == b->n;
    for (size_t i = 0; same && i < a->n; i++)
        same = hash_equal(a->items[i].hash, b->items[i].hash) &&
               strcmp(a->items[i].kind, b->items[i].kind) == 0;
    return same;
}

void parents_release(struct parents *p) {
    free(p->items);
    *p = (struct parents){0};
}

static void parents_write(const struct parents *p, struct str *to) {
    str_puts(to, "");
    for (size_t i = 0; i < p->n; i++) {
        char hash[33];
        hash_text(p->items[i].hash, hash);
        str_printf(to, "%s %s\n", p->items[i].kind, hash);
    }
}

static bool parents_parse(const char *text, struct parents *p) {
    while (*text) {
        char kind[16];
        size_t n = strcspn(text, " \n");
        struct hash128 hash;
        if (n >= sizeof kind || text[n] != ' ' || !hash_parse(text + n + 1, &hash)) return false;
        memcpy(kind, text, n);
        kind[n] = 0;
        parents_add(p, kind, hash);
        text += n + 33;
        if (*text++ != '\n') return false;
    }
    return true;
}

// ---- the root attributes

static const struct kind {
    const char *name;
    int written, read; // versions: of new files, where they do not ask for a later one; the last
} kinds[] = {{"model", 1, 2},   {"tokens", 1, 1},     {"pairs", 1, 1},  {"reference", 1, 1},
             {"teacher", 5, 5}, {"checkpoint", 1, 1}, {"adapter", 1, 1}};

static const struct kind *kind_of(const char *name) {
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, name) == 0) return &kinds[i];
    return NULL;
}

int artefact_version(const char *kind) {
    const struct kind *k = kind_of(kind);
    return k ? k->written : 0;
}

bool artefact_put(struct h5 *h, const char *kind, const struct lineage *l, struct hash128 content) {
    struct str parents = {0};
    parents_write(&l->parents, &parents);
    h5_put_text(h, "kind", kind);
    h5_put_int(h, "version", l->version ? l->version : artefact_version(kind));
    h5_put_text(h, "created_by", "aligndistil " ALIGNDISTIL_VERSION);
    h5_put_text(h, "stage", l->stage);
    h5_put_text(h, "options", l->options ? l->options : "{}");
    h5_put_text(h, "parents", parents.text);
    if (l->record) h5_put_text(h, "record", l->record);
    str_release(&parents);
    return artefact_put_content(h, content);
}

bool artefact_put_content(struct h5 *h, struct hash128 content) {
    char hash[33];
    hash_text(content, hash);
    return h5_put_text(h, "content_hash", hash);
}

static bool get_short(struct h5 *h, const char *name, char *to, size_t size) {
    char *text = h5_get_text(h, name);
    bool ok = text && strlen(text) < size;
    for (const char *c = text; ok && *c; c++) ok = *c >= ' '; // a line, for lists and messages
    if (ok) strcpy(to, text);
    free(text);
    return ok;
}

static bool check_kind(const struct artefact *a, const char *path, const char *kind,
                       struct fail *f) {
    const struct kind *known = kind_of(a->kind);
    if (kind && strcmp(a->kind, kind) != 0)
        return fail_set(f, EXIT_BADDATA, "'%s' is a file of kind '%s', not '%s'", path, a->kind,
                        kind);
    if (!known)
        return fail_set(f, EXIT_BADDATA,
                        "'%s' is of an unknown kind '%s'; a newer release may "
                        "read it",
                        path, a->kind);
    if (a->version > known->read)
        return fail_set(f, EXIT_BADDATA,
                        "'%s' has version %d of kind '%s', this release reads up to %d; use a "
                        "newer release",
                        path, a->version, a->kind, known->read);
    return true;
}

static bool is_object(const char *text) {
    struct fail ignored = {0};
    struct json *j = json_parse(text, strlen(text), "options", &ignored);
    bool object = json_type(j) == JSON_OBJECT;
    json_free(j);
    return object;
}

bool artefact_get(struct h5 *h, const char *path, const char *kind, struct artefact *a) {
    *a = (struct artefact){0};
    if (!h) return false;
    int64_t version = 0;
    char hash[33] = "", *parents = NULL;
    bool ok = get_short(h, "kind", a->kind, sizeof a->kind) && h5_get_int(h, "version", &version) &&
              version > 0 && version < INT32_MAX;
    if (!ok) return fail_set(h5_fail(h), EXIT_BADDATA, "'%s' is not a file of aligndistil", path);
    a->version = (int)version;
    if (!check_kind(a, path, kind, h5_fail(h))) return false;
    ok = get_short(h, "stage", a->stage, sizeof a->stage) &&
         get_short(h, "created_by", a->created_by, sizeof a->created_by) &&
         (a->options = h5_get_text(h, "options")) && is_object(a->options) &&
         (parents = h5_get_text(h, "parents")) && parents_parse(parents, &a->parents) &&
         get_short(h, "content_hash", hash, sizeof hash) && hash_parse(hash, &a->content);
    free(parents);
    a->record = ok ? h5_get_text(h, "record") : NULL;
    ok = ok && !h5_fail(h)->code && (!a->record || is_object(a->record));
    if (ok) return true;
    artefact_release(a);
    return fail_set(h5_fail(h), EXIT_BADDATA, "'%s' lacks its lineage; it is not whole", path);
}

bool artefact_read(const char *path, const char *kind, struct artefact *a, struct fail *f) {
    *a = (struct artefact){0};
    struct h5 *h = h5_open(path, f);
    bool ok = artefact_get(h, path, kind, a);
    h5_close(h);
    return ok;
}

void artefact_release(struct artefact *a) {
    free(a->options);
    free(a->record);
    parents_release(&a->parents);
    *a = (struct artefact){0};
}

// ---- names of shards

char *part_path(const char *path, size_t part, size_t parts) {
    if (parts <= 1) return xstrdup(path);
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    const char *dot = strrchr(base, '.');
    if (!dot || dot == base) dot = base + strlen(base);
    return xasprintf("%.*s-%05zu-of-%05zu%s", (int)(dot - path), path, part, parts, dot);
}

// ---- lineage as text

static char *lineage_lines(const char *kind, int version, const char *stage, const char *options,
                           const struct parents *parents) {
    struct str text = {0};
    str_printf(&text, "kind: %s\nversion: %d\nstage: %s\noptions: %s\n", kind, version, stage,
               options ? options : "{}");
    for (size_t i = 0; i < parents->n; i++) {
        char hash[33];
        hash_text(parents->items[i].hash, hash);
        str_printf(&text, "input %zu: %s %s\n", i + 1, parents->items[i].kind, hash);
    }
    return text.text;
}

char *lineage_text(const char *kind, const struct lineage *l) {
    int version = l->version ? l->version : artefact_version(kind);
    return lineage_lines(kind, version, l->stage, l->options, &l->parents);
}

char *artefact_lineage(const struct artefact *a) {
    return lineage_lines(a->kind, a->version, a->stage, a->options, &a->parents);
}

static void value_text(struct str *to, const struct json *v) {
    size_t start = to->length;
    if (v)
        json_write(to, v, 0);
    else
        str_puts(to, "not set");
    if (to->length - start > 80) {
        to->length = start + 77;
        to->text[to->length] = 0;
        str_puts(to, "...");
    }
}

static bool same_value(const struct json *a, const struct json *b) {
    struct str x = {0}, y = {0};
    if (a) json_write(&x, a, 0);
    if (b) json_write(&y, b, 0);
    bool same = x.length == y.length && (!x.length || memcmp(x.text, y.text, x.length) == 0);
    str_release(&x);
    str_release(&y);
    return same;
}

// The first member that differs, looked for from both sides.
static void name_option(const char *found, size_t nf, const char *wanted, size_t nw,
                        struct str *difference) {
    struct fail ignored = {0};
    struct json *a = json_parse(found, nf, "options", &ignored);
    struct json *b = json_parse(wanted, nw, "options", &ignored);
    const char *key = NULL;
    for (size_t i = 0; a && b && !key && i < json_size(b); i++)
        if (!same_value(json_get(a, json_key(b, i)), json_value(b, i))) key = json_key(b, i);
    for (size_t i = 0; a && b && !key && i < json_size(a); i++)
        if (!json_get(b, json_key(a, i))) key = json_key(a, i);
    if (key) {
        str_printf(difference, "option '%s' was ", key);
        value_text(difference, json_get(a, key));
        str_puts(difference, " and is ");
        value_text(difference, json_get(b, key));
    } else {
        str_puts(difference, "the options differ");
    }
    json_free(a);
    json_free(b);
}

// An input that one of the two has alone. A cache as a stream is one input, its first shard.
static void name_input(const char *line, size_t name, bool was, struct str *difference) {
    str_printf(difference, "%.*s %s", (int)name, line,
               was ? "is not given this time" : "was not given then");
    if (!strncmp(line + name, ": teacher ", 10))
        str_puts(difference,
                 " (a stream of shards does not go on as a list of them, nor the reverse)");
}

static void name_line(const char *found, const char *wanted, struct str *difference) {
    size_t nf = strcspn(found, "\n"), nw = strcspn(wanted, "\n");
    size_t name = strcspn(wanted, ":\n");
    if (!*wanted) name = strcspn(found, ":\n");
    const char *from = *wanted ? wanted : found;
    if (name == 7 && strncmp(from, "options", 7) == 0 && nf > 9 && nw > 9)
        name_option(found + 9, nf - 9, wanted + 9, nw - 9, difference);
    else if (strncmp(from, "input ", 6) == 0 && (!*found || !*wanted))
        name_input(from, name, *found, difference);
    else if (strncmp(from, "input ", 6) == 0)
        str_printf(difference, "%.*s is another file", (int)name, from);
    else
        str_printf(difference, "was '%.*s' and is '%.*s'", (int)(nf < 120 ? nf : 120), found,
                   (int)(nw < 120 ? nw : 120), wanted);
}

bool lineage_same(const char *found, const char *wanted, struct str *difference) {
    if (strcmp(found, wanted) == 0) return true;
    while (*found && *wanted) {
        size_t n = strcspn(found, "\n");
        if (strncmp(found, wanted, n + 1) != 0) break;
        found += n + (found[n] == '\n');
        wanted += n + (wanted[n] == '\n');
    }
    name_line(found, wanted, difference);
    return false;
}

void artefact_sweep_spool(const char *name, const struct lineage *l) {
    enum { HEAD = 1 << 16 }; // longer than any header
    whole_file_sweep(name);  // killed while the spool was made shorter
    char *lineage = lineage_text(l->kind, l), *head = xmalloc(HEAD);
    struct stat st;
    bool there = stat(name, &st) == 0 && S_ISREG(st.st_mode);
    FILE *file = there ? fopen(name, "rb") : NULL;
    size_t n = file ? fread(head, 1, HEAD, file) : 0;
    if (file) fclose(file);
    if (n && memmem(head, n, lineage, strlen(lineage))) unlink(name);
    whole_file_sweep(name);
    free(head);
    free(lineage);
}

bool artefact_is_current(const char *path, const struct lineage *l, bool no_clobber,
                         struct fail *f) {
    if (!path_is_there(path, f)) return false;
    struct fail ignored = {0};
    struct artefact a;
    bool same = false;
    if (artefact_read(path, NULL, &a, &ignored)) {
        char *found = artefact_lineage(&a), *wanted = lineage_text(l->kind, l);
        same = strcmp(found, wanted) == 0;
        if (same)
            utimensat(AT_FDCWD, path, NULL, 0); // for make; a file that may only be read is
                                                // as current
        free(found);
        free(wanted);
        artefact_release(&a);
    }
    // What cannot be read for now is neither current nor to be made again.
    if (ignored.code == EXIT_FAILED) {
        fail_pass(f, &ignored);
        return false;
    }
    char *spool = xasprintf("%s.spool", path);
    if (same) {
        artefact_sweep_spool(spool, l);
        whole_file_sweep(path);
    }
    free(spool);
    if (!same && no_clobber)
        fail_set(f, EXIT_FAILED, "'%s' exists and --no-clobber was given", path);
    return same;
}
