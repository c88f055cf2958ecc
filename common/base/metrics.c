#include "common/base/metrics.h"
#include "common/base/fail.h"
#include "common/base/path.h"
#include "common/base/jsonout.h"
#include "common/base/mem.h"
#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct column {
    char *name;
    double value;
    bool set; // in the current row
};

struct metrics {
    FILE *file;
    char *path;
    char *resumed;   // the last row that was kept
    bool csv, fixed; // fixed: the header is written
    size_t n, capacity;
    struct column *columns; // without "step"
};

static _Noreturn void failed(const struct metrics *m, const char *what) {
    die(EXIT_FAILED, "cannot %s '%s': %s; see --log", what, m->path, strerror(errno));
}

static struct column *add_column(struct metrics *m, const char *name, size_t n) {
    grow(&m->columns, &m->capacity, m->n + 1, sizeof *m->columns);
    m->columns[m->n] = (struct column){.name = xasprintf("%.*s", (int)n, name)};
    return &m->columns[m->n++];
}

static void read_header(struct metrics *m, const char *line) { // "step,loss,..."
    const char *s = line + strcspn(line, ",\r\n");
    while (*s == ',') {
        size_t n = strcspn(++s, ",\r\n");
        add_column(m, s, n);
        s += n;
    }
    m->fixed = true;
}

static bool step_of(const struct metrics *m, const char *line, unsigned long long *step) {
    return sscanf(line, m->csv ? "%llu" : "{\"step\":%llu", step) == 1;
}

// Cuts after the last whole row with step <= resume_step.
static void cut_back(struct metrics *m, uint64_t resume_step) {
    char *line = NULL;
    size_t capacity = 0;
    long end = 0;
    ssize_t n;
    bool first = true;
    while ((n = getline(&line, &capacity, m->file)) > 0 && line[n - 1] == '\n') {
        unsigned long long step;
        bool row = step_of(m, line, &step);
        if (row ? step > resume_step : !(first && m->csv)) break;
        if (first && m->csv) read_header(m, line);
        first = false;
        end = ftell(m->file);
        free(m->resumed);
        m->resumed = row ? xstrdup(line) : NULL;
    }
    free(line);
    if (ferror(m->file)) failed(m, "read");
    if (ftruncate(fileno(m->file), end) || fseek(m->file, end, SEEK_SET)) failed(m, "cut back");
}

void metrics_check(const char *path) {
    bool csv = path && text_ends(path, ".csv");
    if (path && !csv && !text_ends(path, ".jsonl"))
        die(EXIT_USAGE, "log '%s' ends in neither .csv nor .jsonl; see --log", path);
    const char *begin = csv ? "step," : "{\"step\":";
    char head[8];
    struct fail f = {0};
    struct stat st;
    if (path && !stat(path, &st) && S_ISCHR(st.st_mode)) return; // it is written in place
    if (path && !path_may_write(path, &f)) die_if(&f);
    FILE *file = path ? fopen(path, "r") : NULL;
    if (!file && path && errno != ENOENT)
        die(EXIT_FAILED, "cannot open '%s': %s; see --log", path, strerror(errno));
    if (!file) return;
    size_t n = fread(head, 1, strlen(begin), file);
    if (ferror(file)) die(EXIT_FAILED, "cannot read '%s': %s; see --log", path, strerror(errno));
    fclose(file);
    // A log is written over or cut back: not so what is none. A killed run may leave less than
    // these.
    if (memcmp(head, begin, n))
        die(EXIT_FAILED, "'%s' exists and is no log of a run; name another file for --log", path);
}

struct metrics *metrics_open(const char *path, uint64_t resume_step) {
    struct metrics *m = xcalloc(1, sizeof *m);
    if (!path) return m;
    metrics_check(path);
    m->path = xstrdup(path);
    m->csv = text_ends(path, ".csv");
    m->file = resume_step ? fopen(path, "r+") : NULL;
    if (m->file)
        cut_back(m, resume_step);
    else if (resume_step && errno != ENOENT)
        failed(m, "open");
    else if (!(m->file = fopen(path, "w")))
        failed(m, "open");
    return m;
}

double metrics_resumed(const struct metrics *m, const char *name) {
    double value = 0;
    const char *at = m->resumed;
    char *key = xasprintf("\"%s\":", name);
    if (at && m->csv) {
        size_t i = 0;
        while (i < m->n && strcmp(m->columns[i].name, name)) i++;
        for (size_t k = 0; at && k <= i; k++) at = (at = strchr(at, ',')) ? at + 1 : NULL;
        if (i == m->n) at = NULL;
    } else if (at) {
        at = strstr(at, key);
        if (at) at += strlen(key);
    }
    if (at && sscanf(at, "%lf", &value) != 1) value = 0;
    free(key);
    return isfinite(value) ? value : 0;
}

double metrics_get(const struct metrics *m, const char *name) {
    for (size_t i = 0; i < m->n; i++)
        if (m->columns[i].set && !strcmp(m->columns[i].name, name)) return m->columns[i].value;
    return NAN;
}

static struct column *find_column(struct metrics *m, const char *name) {
    for (size_t i = 0; i < m->n; i++)
        if (!strcmp(m->columns[i].name, name)) return &m->columns[i];
    return NULL;
}

static struct column *column(struct metrics *m, const char *name) {
    struct column *c = find_column(m, name);
    assert(!strpbrk(name, ",\"\\\r\n"));
    if (!c && m->fixed)
        die(EXIT_FAILED, "log '%s' has no column '%s'; name another file for --log", m->path, name);
    return c ? c : add_column(m, name, strlen(name));
}

void metrics_column(struct metrics *m, const char *name) {
    if (m) column(m, name);
}

void metrics_extra(struct metrics *m, const char *name, double value) {
    if (m && (!m->fixed || find_column(m, name))) metrics_value(m, name, value);
}

void metrics_value(struct metrics *m, const char *name, double value) {
    if (!m) return;
    struct column *c = column(m, name);
    c->value = value;
    c->set = true;
}

static void csv_header(struct metrics *m, struct str *s) {
    str_puts(s, "step");
    for (size_t i = 0; i < m->n; i++) str_printf(s, ",%s", m->columns[i].name);
    str_puts(s, "\n");
}

static void csv_row(struct metrics *m, uint64_t step, struct str *s) {
    str_printf(s, "%llu", (unsigned long long)step);
    for (size_t i = 0; i < m->n; i++) {
        char text[32] = "";
        if (m->columns[i].set) jsonout_digits(m->columns[i].value, text);
        str_printf(s, ",%s", text);
    }
    str_puts(s, "\n");
}

static void json_row(struct metrics *m, uint64_t step, struct str *s) {
    str_printf(s, "{\"step\":%llu", (unsigned long long)step);
    for (size_t i = 0; i < m->n; i++) {
        if (!m->columns[i].set) continue;
        str_printf(s, ",\"%s\":", m->columns[i].name);
        jsonout_number(s, m->columns[i].value);
    }
    str_puts(s, "}\n");
}

void metrics_row(struct metrics *m, uint64_t step) {
    if (!m) return;
    struct str s = {0};
    if (m->csv && !m->fixed) csv_header(m, &s);
    m->fixed = m->csv;
    if (m->file) (m->csv ? csv_row : json_row)(m, step, &s);
    if (m->file && (fwrite(s.text, 1, s.length, m->file) != s.length || fflush(m->file)))
        failed(m, "write");
    for (size_t i = 0; i < m->n; i++) m->columns[i].set = false;
    str_release(&s);
}

void metrics_sync(struct metrics *m) {
    if (!m || !m->file) return;
    // EINVAL: a pipe or device, which cannot be synced
    if (fflush(m->file) || (fdatasync(fileno(m->file)) && errno != EINVAL && errno != EROFS))
        failed(m, "write");
}

void metrics_close(struct metrics *m) {
    if (!m) return;
    if (m->file && fclose(m->file)) failed(m, "write");
    for (size_t i = 0; i < m->n; i++) free(m->columns[i].name);
    free(m->columns);
    free(m->resumed);
    free(m->path);
    free(m);
}
