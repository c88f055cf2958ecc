// The manual page (man macros of troff) and the completion's lines of a table of options. Nothing
// of the day or the machine is in them.
#include "common/base/manual.h"
#include "common/base/options.h"
#include "common/base/version.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

void manual_text(struct str *s, const char *text) {
    for (bool line_start = true; *text; line_start = *text++ == '\n') {
        if (line_start && (*text == '.' || *text == '\'')) str_puts(s, "\\&");
        if (*text == '\\')
            str_puts(s, "\\e");
        else if (*text == '-')
            str_puts(s, "\\-");
        else
            str_add(s, text, 1);
    }
}

void manual_section(struct str *s, const char *title) {
    str_puts(s, ".SH \"");
    for (; *title; title++) str_printf(s, "%c", toupper((unsigned char)*title));
    str_puts(s, "\"\n");
}

void manual_item(struct str *s, const char *left, const char *right) {
    str_puts(s, ".TP\n.B \"");
    manual_text(s, left);
    str_puts(s, "\"\n");
    manual_text(s, right);
    str_puts(s, "\n");
}

// "eval nll" -> "aligndistil-eval-nll"
static void page_name(struct str *s, const char *program) {
    if (strcmp(program, "aligndistil") != 0) str_puts(s, "aligndistil-");
    for (; *program; program++) str_add(s, *program == ' ' ? "-" : program, 1);
}

void manual_begin(struct str *s, const char *program, const char *usage, const char *summary) {
    struct str name = {0};
    page_name(&name, program);
    str_printf(s, ".TH \"%s\" 1 \"\" \"aligndistil %s\" \"aligndistil manual\"\n", name.text,
               ALIGNDISTIL_VERSION);
    manual_section(s, "name");
    manual_text(s, name.text);
    str_puts(s, " \\- ");
    char *first = xasprintf("%.*s", (int)strcspn(summary, ".;:"), summary);
    manual_text(s, first);
    free(first);
    str_puts(s, "\n");
    manual_section(s, "synopsis");
    bool own = !strcmp(program, "aligndistil");
    str_printf(s, ".B \"%s%s\"\n", own ? "" : "aligndistil ", program);
    manual_text(s, usage ? usage : "[options]");
    str_puts(s, "\n");
    manual_section(s, "description");
    manual_text(s, summary);
    str_puts(s, "\n");
    str_release(&name);
}

void manual_see(struct str *s, const char *program) {
    struct str name = {0};
    page_name(&name, program);
    str_puts(s, ".BR ");
    manual_text(s, name.text);
    str_puts(s, " (1)\n");
    str_release(&name);
}

void manual_end(struct str *s, const char *program) {
    static const char *const codes[][2] = {
        {"0", "done"},
        {"1", "failed"},
        {"2", "wrong usage"},
        {"3", "bad input data"},
        {"75", "stopped after saving; run the same command again to continue"},
        {"141", "the reader of standard output closed the pipe"}};
    manual_section(s, "exit status");
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        manual_item(s, codes[i][0], codes[i][1]);
    manual_section(s, "see also");
    if (strcmp(program, "aligndistil") != 0) manual_see(s, "aligndistil");
}

char *options_man(const struct options *o) {
    struct str s = {0}, left = {0}, right = {0};
    manual_begin(&s, o->program, o->usage, o->summary ? o->summary : o->program);
    for (int block = 0; block < OPT_BLOCKS; block++) {
        bool any = false;
        for (size_t i = 0; i < o->n; i++) {
            if (!opt_in_block(&o->rows[i], block)) continue;
            if (!any) manual_section(&s, opt_block_title(block));
            any = true;
            left.length = right.length = 0;
            opt_left(&o->rows[i], &left);
            opt_right(&o->rows[i], &right);
            manual_item(&s, left.text, right.text);
        }
    }
    manual_end(&s, o->program);
    str_release(&left);
    str_release(&right);
    return s.text;
}

char *options_completion(const struct options *o) {
    struct str s = {0};
    for (size_t i = 0; i < o->n; i++) {
        const struct opt_row *row = &o->rows[i];
        if (row->hidden) continue;
        str_printf(&s, "--%s %s", row->name,
                   row->type == OPT_FLAG   ? "flag"
                   : row->type == OPT_LIST ? "list"
                                           : "value");
        if (row->type == OPT_CHOICE) str_printf(&s, " %s", row->choices);
        str_puts(&s, "\n");
    }
    return s.text;
}
