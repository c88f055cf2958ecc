#include "pipelines/lib/table.h"
#include "common/base/fail.h"
#include "common/base/mem.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct table {
    const char *path;
    char *temp; // NULL: stdout
    FILE *file;
    size_t columns, at;
};

static _Noreturn void fail_to_write(struct table *t) {
    int error = errno;
    if (t->temp) unlink(t->temp);
    die(EXIT_FAILED, "cannot write '%s': %s; check the folder and the space left",
        t->temp ? t->path : "stdout", strerror(error));
}

struct table *table_create(const char *path, size_t columns, const char *const *names) {
    struct table *t = xcalloc(1, sizeof *t);
    *t = (struct table){.path = path, .columns = columns, .file = stdout};
    if (strcmp(path, "-")) {
        t->temp = xasprintf("%s.tmp-%ld", path, (long)getpid());
        t->file = fopen(t->temp, "w");
        if (!t->file) fail_to_write(t);
    }
    for (size_t i = 0; i < columns; i++) table_put(t, names[i], strlen(names[i]));
    return t;
}

static void put_quoted(FILE *f, const char *text, size_t n) {
    putc('"', f);
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '"') putc('"', f);
        putc(text[i], f);
    }
    putc('"', f);
}

static int needs_quotes(const char *text, size_t n) {
    if (!n || text[0] == ' ' || text[n - 1] == ' ') return 1;
    for (size_t i = 0; i < n; i++)
        if (text[i] == ',' || text[i] == '"' || text[i] == '\n' || text[i] == '\r') return 1;
    return 0;
}

void table_put(struct table *t, const char *text, size_t n) {
    if (needs_quotes(text, n))
        put_quoted(t->file, text, n);
    else
        fwrite(text, 1, n, t->file);
    t->at = (t->at + 1) % t->columns;
    putc(t->at ? ',' : '\n', t->file);
    if (ferror(t->file)) fail_to_write(t);
}

void table_commit(struct table *t) {
    if (fflush(t->file)) fail_to_write(t);
    if (t->temp) {
        if (fsync(fileno(t->file)) || fclose(t->file) || rename(t->temp, t->path)) fail_to_write(t);
    }
    free(t->temp);
    free(t);
}

void table_abandon(struct table *t) {
    if (t->temp) {
        fclose(t->file);
        unlink(t->temp);
    }
    free(t->temp);
    free(t);
}
