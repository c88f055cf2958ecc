// The page of a run that nobody described: tables, curves (page_curves.c), responses side by side.
#include "stages/report/page.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_ANSWERS = 6, MOST_TABLES = 40 };

// The stem, or where several have it the path.
char *page_name(const struct run *r, const struct run_file *x) {
    char *stem = run_stem(x->path);
    for (size_t i = 0; i < r->n; i++) {
        if (&r->file[i] == x || r->file[i].kind != x->kind) continue;
        char *other = run_stem(r->file[i].path);
        bool same = !strcmp(stem, other);
        free(other);
        if (!same) continue;
        char *path = xstrdup(x->path),
             *end = strstr(strrchr(path, '/') ? strrchr(path, '/') : path, stem);
        end[strlen(stem)] = '\0'; // without its ending
        free(stem);
        return path;
    }
    return stem;
}

// ---- tables
// -----------------------------------------------------------------------------------------

// Files of the same columns make one table.
static void put_tables(const struct run *r, struct str *to) {
    bool *done = xcalloc(r->n + 1, sizeof *done);
    size_t tables = 0;
    for (size_t i = 0; i < r->n; i++) {
        if (r->file[i].kind != RUN_TABLE || done[i]) continue;
        if (!tables++) str_puts(to, "heading Results\n");
        if (tables > MOST_TABLES) continue;
        struct str list = {0};
        size_t n = 0;
        for (size_t k = i; k < r->n; k++) {
            const struct run_file *x = &r->file[k];
            if (x->kind != RUN_TABLE || strcmp(x->header, r->file[i].header)) continue;
            done[k] = true;
            str_printf(&list, " \"%s\"", x->path);
            n++;
        }
        const char *path = r->file[i].path;
        str_printf(to, "note %s%s\n%s%s\n", path, n > 1 ? " and files of the same columns" : "",
                   n > 1 ? "stack" : "table", list.text);
        str_release(&list);
    }
    if (tables > MOST_TABLES) str_printf(to, "note And %zu tables more.\n", tables - MOST_TABLES);
    free(done);
}

// ---- responses
// --------------------------------------------------------------------------------------

// What --compare names: NAME=FILE, a file, or the name of responses in the run.
static bool put_named(const struct run *r, const char *word, struct str *to, struct fail *f) {
    const char *equals = strchr(word, '=');
    char *name = equals ? xasprintf("%.*s", (int)(equals - word), word) : run_stem(word);
    const char *path = equals ? equals + 1 : word;
    const struct run_file *found = run_find(r, path);
    size_t fit = 0;
    bool there = found || access(path, R_OK) == 0;
    for (size_t i = 0; !there && i < r->n; i++) {
        char *stem = run_stem(r->file[i].path);
        if (r->file[i].kind == RUN_RESPONSES && !strcmp(stem, path)) {
            found = &r->file[i];
            if (fit++)
                fail_set(f, EXIT_BADDATA, "'%s' may be '%s' or another of '%s'; name the file",
                         word, r->file[i].path, r->folder);
        }
        free(stem);
    }
    char *full = found ? run_path(r, found->path) : xstrdup(path);
    char *real = realpath(full, NULL); // pages look for paths in the run's folder
    if (!real)
        fail_set(f, EXIT_BADDATA,
                 "no responses '%s' in '%s', and no such file; give a file that "
                 "`generate --text` wrote, or NAME=FILE",
                 word, r->folder);
    else if (strpbrk(name, "\"=") || strchr(real, '"'))
        fail_set(f, EXIT_BADDATA, "'%s' has a quote or '=' in its name; rename it", word);
    else
        str_printf(to, " \"%s=%s\"", name, real);
    free(real);
    free(full);
    free(name);
    return !f->code;
}

// NULL: not a file that `generate` wrote, which counts tokens.
static char *first_prompt(const struct run *r, const struct run_file *x, struct fail *f) {
    struct sheet s;
    struct fail other = {0};
    char *path = run_path(r, x->path), *prompt = NULL;
    if (sheet_read(&s, path, 1, &other) && s.rows && sheet_find(&s, "tokens") != SHEET_NONE)
        prompt = xstrdup(sheet_text(&s, 0, sheet_find(&s, "prompt")));
    if (other.code == EXIT_FAILED) fail_pass(f, &other);
    sheet_release(&s);
    free(path);
    return prompt;
}

// The largest group of files that begin with the same prompt, in order of their names.
static void put_sharing(const struct run *r, struct str *to, struct fail *f) {
    char **prompt = xcalloc(r->n + 1, sizeof *prompt);
    size_t most = 0, best = 0;
    for (size_t i = 0; i < r->n; i++)
        if (r->file[i].kind == RUN_RESPONSES) prompt[i] = first_prompt(r, &r->file[i], f);
    for (size_t i = 0; i < r->n; i++) {
        size_t n = 0;
        for (size_t k = 0; prompt[i] && k < r->n; k++)
            n += prompt[k] && !strcmp(prompt[i], prompt[k]);
        if (n > most) most = n, best = i;
    }
    for (size_t i = 0, n = 0; most && i < r->n && n < MOST_ANSWERS; i++) {
        if (!prompt[i] || strcmp(prompt[i], prompt[best])) continue;
        char *name = page_name(r, &r->file[i]);
        if (!strchr(name, '=')) str_printf(to, " \"%s=%s\"", name, r->file[i].path);
        n += !strchr(name, '=');
        free(name);
    }
    for (size_t i = 0; i < r->n; i++) free(prompt[i]);
    free(prompt);
}

static bool put_responses(const struct run *r, size_t prompts, size_t n, const char *const *compare,
                          struct str *to, struct fail *f) {
    struct str list = {0};
    for (size_t i = 0; i < n; i++)
        if (!put_named(r, compare[i], &list, f)) break;
    if (!n) put_sharing(r, &list, f);
    if (list.length)
        str_printf(
            to,
            "heading Responses side by side\nnote The first prompts that all of them answered, a "
            "response of each.\nresponses %zu%s\n",
            prompts, list.text);
    str_release(&list);
    return !f->code;
}

char *page_automatic(const struct run *r, size_t prompts, size_t n, const char *const *compare,
                     struct fail *f) {
    struct str s = {0};
    char *real = realpath(r->folder, NULL);
    const char *slash = real ? strrchr(real, '/') : NULL;
    str_printf(&s, "title Run %s\nfacts\n", slash && slash[1] ? slash + 1 : r->folder);
    free(real);
    put_tables(r, &s);
    page_curves(r, &s, f);
    put_responses(r, prompts, n, compare, &s, f);
    str_puts(&s, "heading What was made from what\nlineage\n");
    return s.text;
}
