#define PCRE2_CODE_UNIT_WIDTH 8
#include "common/base/regex.h"
#include "common/base/mem.h"
#include <pcre2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct regex {
    pcre2_code *code;
    bool jit;
};

struct regex_work {
    pcre2_match_data *data;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
    bool gave_up;
};

enum { JIT_STACK = 1 << 26, MATCH_LIMIT = 1000000, STEPS_A_BYTE = 16 };

static void *take_memory(size_t bytes, void *unused) {
    (void)unused;
    return xmalloc(bytes);
}

static void free_memory(void *p, void *unused) {
    (void)unused;
    free(p);
}

// PCRE2's own \s has U+180E beside White_Space.
static const char white_space[] =
    "\\t-\\r \\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}"
    "\\x{202f}\\x{205f}\\x{3000}";

// Copies the pattern with \s and \S spelt out. False where it uses what PCRE2 reads otherwise.
static bool translate(const char *pattern, size_t n, struct str *out, char *why, size_t size) {
    bool in_class = false;
    str_puts(out, "");
    for (size_t i = 0; i < n; i++) {
        bool escape = pattern[i] == '\\' && i + 1 < n;
        char next = i + 1 < n ? pattern[i + 1] : 0;
        if (in_class && pattern[i] == '&' && next == '&') {
            snprintf(why, size, "class intersection '&&' is not supported");
            return false;
        }
        if (escape && next == 's') {
            str_printf(out, in_class ? "%s" : "[%s]", white_space);
        } else if (escape && next == 'S' && !in_class) {
            str_printf(out, "[^%s]", white_space);
        } else {
            str_add(out, pattern + i, escape ? 2 : 1);
        }
        if (escape)
            i++;
        else if (pattern[i] == '[')
            in_class = true;
        else if (pattern[i] == ']')
            in_class = false;
    }
    return true;
}

static struct regex *compile(const char *pattern, size_t n, uint32_t options, char *why,
                             size_t size) {
    int error;
    PCRE2_SIZE offset;
    pcre2_general_context *memory = pcre2_general_context_create(take_memory, free_memory, NULL);
    pcre2_compile_context *context = pcre2_compile_context_create(memory);
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern, n, options, &error, &offset, context);
    pcre2_compile_context_free(context);
    pcre2_general_context_free(memory);
    if (!code) {
        PCRE2_UCHAR message[200];
        pcre2_get_error_message(error, message, sizeof message);
        snprintf(why, size, "%s", (const char *)message);
        return NULL;
    }
    struct regex *r = xcalloc(1, sizeof *r);
    r->code = code;
    r->jit = pcre2_jit_compile(code, PCRE2_JIT_COMPLETE) == 0;
    return r;
}

struct regex *regex_new(const char *pattern, size_t n, char *why, size_t size) {
    struct str text = {0};
    struct regex *r = NULL;
    if (translate(pattern, n, &text, why, size))
        r = compile(text.text, text.length,
                    PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, why, size);
    str_release(&text);
    return r;
}

struct regex *regex_literal(const char *text, size_t n) {
    char why[200];
    return compile(text, n, PCRE2_UTF | PCRE2_LITERAL, why, sizeof why);
}

void regex_free(struct regex *r) {
    if (!r) return;
    pcre2_code_free(r->code);
    free(r);
}

struct regex_work *regex_work_new(void) {
    struct regex_work *w = xcalloc(1, sizeof *w);
    pcre2_general_context *memory = pcre2_general_context_create(take_memory, free_memory, NULL);
    w->data = pcre2_match_data_create(1, memory);
    w->context = pcre2_match_context_create(memory);
    w->stack = pcre2_jit_stack_create(32 << 10, JIT_STACK, memory);
    pcre2_jit_stack_assign(w->context, NULL, w->stack);
    pcre2_general_context_free(memory);
    return w;
}

void regex_work_free(struct regex_work *w) {
    if (!w) return;
    pcre2_match_data_free(w->data);
    pcre2_match_context_free(w->context);
    pcre2_jit_stack_free(w->stack);
    free(w);
}

bool regex_find(const struct regex *r, struct regex_work *w, const char *text, size_t n,
                size_t from, size_t *start, size_t *end) {
    if (from > n) return false;
    PCRE2_SPTR subject = (PCRE2_SPTR)text;
    size_t limit = MATCH_LIMIT + STEPS_A_BYTE * (n - from);
    pcre2_set_match_limit(w->context, limit < UINT32_MAX ? (uint32_t)limit : UINT32_MAX);
    int found =
        r->jit ? pcre2_jit_match(r->code, subject, n, from, 0, w->data, w->context)
               : pcre2_match(r->code, subject, n, from, PCRE2_NO_UTF_CHECK, w->data, w->context);
    if (found < 0 && found != PCRE2_ERROR_NOMATCH) w->gave_up = true;
    if (found < 0) return false;
    const PCRE2_SIZE *span = pcre2_get_ovector_pointer(w->data);
    *start = span[0];
    *end = span[1];
    return *start >= from && *end >= *start; // \K can put them in another order
}

bool regex_gave_up(struct regex_work *w) {
    bool gave_up = w->gave_up;
    w->gave_up = false;
    return gave_up;
}
