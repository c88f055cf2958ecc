#include "stages/report/run.h"
#include "formats/store/columns.h"
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { TEXT_BYTES = 256 << 20 }; // a larger text is data, not a result

char *run_path(const struct run *r, const char *path) {
    return *path == '/' ? xstrdup(path) : xasprintf("%s/%s", r->folder, path);
}

static bool ends(const char *path, const char *ending) {
    size_t n = strlen(path), k = strlen(ending);
    return n >= k && !strcasecmp(path + n - k, ending);
}

char *run_stem(const char *path) {
    static const char *const endings[] = {".h5", ".csv", ".tsv", ".jsonl", ".json", ".log"};
    const char *slash = strrchr(path, '/');
    char *stem = xstrdup(slash ? slash + 1 : path);
    for (int again = 0; again < 2; again++) // .log.csv has two
        for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
            if (ends(stem, endings[i]) && strlen(stem) > strlen(endings[i]))
                stem[strlen(stem) - strlen(endings[i])] = '\0';
    return stem;
}

bool run_is_model(const struct run_file *x) {
    return x->kind == RUN_ARTEFACT &&
           (!strcmp(x->made.kind, "model") || !strcmp(x->made.kind, "adapter"));
}

// ---- what a file is
// -------------------------------------------------------------------------------

static bool is_snapshot(const char *path) { // NAME.step-40.h5
    const char *at = strstr(path, ".step-");
    return at && ends(path, ".h5") && strspn(at + 6, "0123456789") + 9 == strlen(at);
}

static bool look_at_artefact(struct run_file *x, const char *path, struct fail *f) {
    if (!artefact_read(path, NULL, &x->made, f)) return false;
    x->kind = RUN_ARTEFACT;
    if (run_is_model(x) || !strcmp(x->made.kind, "checkpoint")) return true;
    struct columns_reader *r = columns_open(path, NULL, f);
    if (r) {
        x->rows = columns_part(r).rows;
        x->summary = strcmp(x->made.kind, "tokens") ? NULL : columns_text(r, "tokens_kind");
    }
    columns_close(r);
    return !f->code;
}

static bool has(const struct sheet *s, const char *column) {
    return sheet_find(s, column) != SHEET_NONE;
}

static bool mostly_numbers(const struct sheet *s) {
    size_t numbers = 0, filled = 0;
    for (size_t i = 0; i < s->rows; i++)
        for (size_t c = 0; c < s->columns; c++) {
            filled += *sheet_text(s, i, c) != '\0';
            numbers += !isnan(sheet_number(s, i, c));
        }
    return numbers && 2 * numbers >= filled;
}

// A text that is no table of ours is somebody's, and no failure.
static bool look_at_text(struct run_file *x, const char *path, struct fail *f) {
    struct sheet s;
    struct fail other = {0};
    bool known = sheet_read(&s, path, RUN_TABLE_ROWS + 1, &other) && s.rows && s.columns > 1;
    if (other.code == EXIT_FAILED) fail_pass(f, &other);
    x->rows = s.rows;
    if (known && has(&s, "prompt") && has(&s, "response"))
        x->kind = RUN_RESPONSES;
    else if (known && has(&s, "step") && isfinite(sheet_number(&s, 0, sheet_find(&s, "step"))))
        x->kind = RUN_LOG;
    else if (known && s.rows <= RUN_TABLE_ROWS && s.columns <= 40 && !has(&s, "prompt") &&
             mostly_numbers(&s))
        x->kind = RUN_TABLE;
    else
        known = false;
    struct str header = {0};
    for (size_t i = 0; i < s.columns; i++) str_printf(&header, "%s%s", i ? "," : "", s.name[i]);
    x->header = header.text;
    sheet_release(&s);
    return known;
}

// A damaged file is left out, with a warning; what the machine cannot read (f) makes no page.
static void look_at(struct run *r, const char *name, const struct stat *st, struct fail *failed) {
    struct run_file x = {.path = xstrdup(name), .bytes = st->st_size, .when = st->st_mtime};
    struct fail f = {0};
    bool ours = ends(name, ".h5"), known = false;
    char *path = run_path(r, name);
    if (is_snapshot(name)) {
        r->snapshots++;
    } else if (ours) {
        known = look_at_artefact(&x, path, &f);
    } else if (st->st_size > 0 && st->st_size <= TEXT_BYTES &&
               (ends(name, ".csv") || ends(name, ".jsonl") || ends(name, ".tsv"))) {
        known = strpbrk(name, "\"\n\r") == NULL && look_at_text(&x, path, &f);
    }
    if (f.code == EXIT_FAILED) {
        fail_pass(failed, &f);
    } else if (f.code) {
        warn("%s; the page goes without it", f.text);
        r->unreadable++;
    }
    if (known) {
        grow(&r->file, &r->capacity, r->n + 1, sizeof *r->file);
        r->file[r->n++] = x;
    } else {
        free(x.path);
        free(x.header);
        free(x.summary);
    }
    free(path);
}

// ---- the folder
// -------------------------------------------------------------------------------------

static bool passed_over(const char *name) {
    return name[0] == '.' || strstr(name, ".tmp-") || ends(name, ".spool") || ends(name, ".ckpt");
}

static int by_name(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

static bool walk(struct run *r, const char *inside, int depth, struct fail *f) {
    struct dirent **entry;
    char *folder = *inside ? run_path(r, inside) : xstrdup(r->folder);
    int n = scandir(folder, &entry, NULL, by_name);
    if (n < 0)
        fail_set(f, fail_code_of(errno), "cannot open the folder '%s': %s%s", folder,
                 strerror(errno), *inside ? "" : "; give the folder of a run");
    free(folder);
    for (int i = 0; i < n; i++) {
        const char *name = entry[i]->d_name;
        char *path = *inside ? xasprintf("%s/%s", inside, name) : xstrdup(name);
        char *full = run_path(r, path);
        struct stat st;
        if (f->code || passed_over(name)) {
        } else if (lstat(full, &st) != 0) {
            if (errno != ENOENT) // it is gone
                fail_set(f, EXIT_FAILED, "cannot open '%s': %s", full, strerror(errno));
        } else if (S_ISDIR(st.st_mode)) {
            if (depth < RUN_DEPTH) walk(r, path, depth + 1, f);
        } else if (stat(full, &st) == 0 && S_ISREG(st.st_mode)) {
            look_at(r, path, &st, f);
            if (r->n > RUN_FILES)
                fail_set(f, EXIT_BADDATA,
                         "'%s' holds more than %d files; give the folder of one run", r->folder,
                         RUN_FILES);
        }
        free(full);
        free(path);
        free(entry[i]);
    }
    if (n >= 0) free(entry);
    return !f->code;
}

bool run_open(struct run *r, const char *folder, struct fail *f) {
    *r = (struct run){.folder = folder};
    return walk(r, "", 0, f);
}

void run_release(struct run *r) {
    for (size_t i = 0; i < r->n; i++) {
        struct run_file *x = &r->file[i];
        if (x->kind == RUN_ARTEFACT) artefact_release(&x->made);
        free(x->path);
        free(x->header);
        free(x->summary);
    }
    free(r->file);
}

const struct run_file *run_find(const struct run *r, const char *path) {
    for (size_t i = 0; i < r->n; i++)
        if (!strcmp(r->file[i].path, path)) return &r->file[i];
    return NULL;
}

const struct run_file *run_by_hash(const struct run *r, struct hash128 hash) {
    for (size_t i = 0; i < r->n; i++)
        if (r->file[i].kind == RUN_ARTEFACT &&
            !memcmp(&r->file[i].made.content, &hash, sizeof hash))
            return &r->file[i];
    return NULL;
}

const struct run_file *run_model_of(const struct run *r, const char *log) {
    const char *slash = strrchr(log, '/');
    char *stem = run_stem(log);
    char *path = xasprintf("%.*s%s.h5", slash ? (int)(slash + 1 - log) : 0, log, stem);
    const struct run_file *found = run_find(r, path);
    free(path);
    free(stem);
    return found && run_is_model(found) ? found : NULL;
}
