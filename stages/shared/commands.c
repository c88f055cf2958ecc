#include "stages/shared/commands.h"
#include "common/base/fail.h"
#include "common/base/log.h"
#include "common/base/manual.h"
#include "common/base/nearest.h"
#include "common/base/version.h"
#include <stdlib.h>
#include <string.h>

static _Noreturn void print(struct str *s) {
    print_result("%.*s", (int)s->length - 1, s->text); // print_result ends the line
    str_release(s);
    finish_stdout();
    exit(EXIT_DONE);
}

static _Noreturn void help(const struct commands *c) {
    struct str s = {0};
    str_printf(&s, "usage: %s %s\n%s\n\n", c->program, c->usage, c->summary);
    for (size_t i = 0; i < c->n; i++)
        str_printf(&s, "  %-14s%s\n", c->items[i].name, c->items[i].summary);
    str_printf(&s, "\n'%s help %s' lists its options.\n", c->program, c->items[0].name);
    print(&s);
}

static _Noreturn void version(const struct commands *c) {
    struct str s = {0};
    str_puts(&s, c->program);
    if (strcmp(c->program, "aligndistil") != 0) str_puts(&s, " (aligndistil)");
    str_printf(&s, " %s\n", ALIGNDISTIL_VERSION);
    print(&s);
}

static _Noreturn void man(const struct commands *c) {
    struct str s = {0};
    manual_begin(&s, c->program, c->usage, c->summary);
    manual_section(&s, "commands");
    for (size_t i = 0; i < c->n; i++) manual_item(&s, c->items[i].name, c->items[i].summary);
    manual_end(&s, c->program);
    bool top = !strcmp(c->program, "aligndistil");
    for (size_t i = 0; i < c->n; i++) {
        char *page = xasprintf("%s%s%s", top ? "" : c->program, top ? "" : " ", c->items[i].name);
        manual_see(&s, page);
        free(page);
    }
    print(&s);
}

static _Noreturn void words(const struct commands *c) {
    struct str s = {0};
    for (size_t i = 0; i < c->n; i++) str_printf(&s, "%s\n", c->items[i].name);
    print(&s);
}

static int run(const struct commands *c, int argc, char **argv) {
    struct nearest near = nearest_to(argv[0], strlen(argv[0]));
    for (size_t i = 0; i < c->n; i++) {
        if (!strcmp(argv[0], c->items[i].name)) return c->items[i].run(argc, argv);
        nearest_try(&near, c->items[i].name);
    }
    if (near.best)
        die(EXIT_USAGE, "unknown %s '%s'; did you mean '%s'?", c->what, argv[0], near.best);
    die(EXIT_USAGE, "unknown %s '%s'; see --help", c->what, argv[0]);
}

// help NAME...: NAME... --help
static int help_of(const struct commands *c, int argc, char **argv) {
    char **words = xcalloc((size_t)argc + 2, sizeof *words);
    memcpy(words, argv, (size_t)argc * sizeof *words);
    words[argc] = "--help";
    int code = run(c, argc + 1, words);
    free(words);
    return code;
}

int commands_run(const struct commands *c, int argc, char **argv) {
    guard_streams();
    if (argc < 2) die(EXIT_USAGE, "no %s given; see --help", c->what);
    const char *first = argv[1], *second = argc > 2 ? argv[2] : "";
    if (!strcmp(first, "--version")) version(c);
    if (!strcmp(first, "--help") || !strcmp(first, "-h")) help(c);
    if (!strcmp(first, "--describe") && !strcmp(second, "man")) man(c);
    if (!strcmp(first, "--describe") && !strcmp(second, "words")) words(c);
    if (!strcmp(first, "help") && argc == 2) help(c);
    return strcmp(first, "help") ? run(c, argc - 1, argv + 1) : help_of(c, argc - 2, argv + 2);
}
