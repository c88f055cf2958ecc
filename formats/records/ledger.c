#include "formats/records/ledger.h"
#include "common/base/mem.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

// ---- counting -----------------------------------------------------------------------------------

// What follows "line 7: ", or what comes before " in 'file'".
static void reason_of(const char *message, char *to, size_t size) {
    const char *at = strstr(message, "' line ");
    size_t n = at ? strspn(at + 7, "0123456789") : 0;
    if (n && at[7 + n] == ':' && at[8 + n] == ' ') message = at + 9 + n;
    const char *in = strstr(message, " in '");
    size_t length = in ? (size_t)(in - message) : strcspn(message, ";");
    snprintf(to, size, "%.*s", (int)(length < size ? length : size - 1), message);
    for (char *c = to; *c; c++) // one reason for all lengths and counts
        if (isdigit((unsigned char)*c) && (c == to || c[-1] == ' ')) {
            size_t digits = strspn(c, "0123456789");
            *c = '#';
            memmove(c + 1, c + digits, strlen(c + digits) + 1);
        }
}

// At most to[size - 1] bytes, no broken character at the end.
static void copy(char *to, size_t size, const char *text) {
    size_t n = (size_t)snprintf(to, size, "%s", text);
    if (n < size) return;
    n = size - 1;
    while (n && ((unsigned char)to[n - 1] & 0xC0) == 0x80) n--;
    if (n && (unsigned char)to[n - 1] >= 0xC0) n--;
    to[n] = 0;
}

static bool ends(const char *text, size_t size) {
    return memchr(text, 0, size);
}

bool ledger_is_sound(const struct ledger *l) {
    bool ok = ends(l->first_bad, sizeof l->first_bad) && ends(l->first_long, sizeof l->first_long);
    for (size_t i = 0; i < LEDGER_PROBLEMS; i++) {
        ok = ok && ends(l->problems[i].text, sizeof l->problems[i].text);
        for (size_t k = 0; k < LEDGER_EXAMPLES; k++)
            ok = ok && ends(l->problems[i].example[k], sizeof l->problems[i].example[k]);
    }
    for (size_t i = 0; i < LEDGER_COLUMNS; i++)
        ok = ok && ends(l->unused[i].name, sizeof l->unused[i].name);
    return ok;
}

void ledger_count(struct ledger *l, const char *outcome, const char *reason, const char *example) {
    char text[sizeof l->problems->text], line[sizeof l->problems->text + 32];
    snprintf(line, sizeof line, "%s: %.*s", outcome, (int)sizeof text, reason);
    copy(text, sizeof text, line);
    for (size_t i = 0; i < LEDGER_PROBLEMS; i++) {
        struct ledger_problem *p = &l->problems[i];
        bool rest = i + 1 == LEDGER_PROBLEMS;
        if (p->n && strcmp(p->text, text) && !rest) continue;
        if (!p->n) copy(p->text, sizeof p->text, rest ? "for other reasons" : text);
        if (p->n < LEDGER_EXAMPLES) copy(p->example[p->n], sizeof p->example[0], example);
        p->n++;
        return;
    }
}

void ledger_bad(struct ledger *l, bool skip, const char *message) {
    char reason[100];
    reason_of(message, reason, sizeof reason);
    if (!l->bad++) copy(l->first_bad, sizeof l->first_bad, message);
    char example[sizeof l->problems->example[0]];
    copy(example, sizeof example, message);
    char *detail = strstr(example, ": ");
    if (!strchr(reason, '#') && detail && strstr(detail, reason)) *detail = 0; // said above it
    ledger_count(l, skip ? "skipped" : "bad", reason, example);
}

void ledger_long(struct ledger *l, bool drop, const char *row, uint64_t tokens, uint64_t most,
                 const char *limit) {
    char reason[80], example[200];
    snprintf(reason, sizeof reason, "longer than %llu tokens", (unsigned long long)most);
    snprintf(example, sizeof example, "%.150s: %llu tokens", row, (unsigned long long)tokens);
    if (!l->too_long++)
        snprintf(l->first_long, sizeof l->first_long, "%.110s: %llu tokens, more than %.60s", row,
                 (unsigned long long)tokens, limit);
    ledger_count(l, drop ? "dropped" : "too long", reason, example);
}

void ledger_unused(struct ledger *l, const char *name, size_t n) {
    char text[sizeof l->unused->name];
    snprintf(text, sizeof text, "%.*s", (int)(n < sizeof text ? n : sizeof text - 1), name);
    for (size_t i = 0; i < LEDGER_COLUMNS; i++) {
        struct ledger_column *c = &l->unused[i];
        if (c->n && strcmp(c->name, text)) continue;
        if (!c->n++) copy(c->name, sizeof c->name, text);
        return;
    }
    l->other_unused++;
}

void ledger_unused_fields(struct ledger *l, const struct record *row, const struct example *x) {
    const struct str *fields = &x->unused;
    for (size_t i = 0, n; i < record_columns(row); i++)
        if (record_unused(row, i)) {
            const char *name = record_column(row, i, &n);
            ledger_unused(l, name, n);
        }
    for (size_t at = 0; at < fields->length; at += strlen(fields->text + at) + 1)
        ledger_unused(l, fields->text + at, strlen(fields->text + at));
}

bool ledger_check(const struct ledger *l, bool skip_bad, bool take_long, struct fail *f) {
    unsigned long long bad = skip_bad ? 0 : l->bad, large = take_long ? 0 : l->too_long;
    unsigned long long rows = l->rows_in;
    if (bad && large)
        fail_set(f, EXIT_BADDATA,
                 "%llu of %llu rows cannot be used, first %s; %llu are too long, first %s; fix "
                 "them or pass --on-bad skip and --on-long drop or truncate",
                 bad, rows, l->first_bad, large, l->first_long);
    else if (bad)
        fail_set(f, EXIT_BADDATA,
                 "%llu of %llu rows cannot be used, first %s; fix them or pass --on-bad skip", bad,
                 rows, l->first_bad);
    else if (large)
        fail_set(f, EXIT_BADDATA,
                 "%llu of %llu rows are too long, first %s; pass --on-long drop or truncate", large,
                 rows, l->first_long);
    return !bad && !large;
}

// ---- printing -----------------------------------------------------------------------------------

static void line(struct log *log, uint64_t n, const char *what) {
    if (n) log_note(log, "  %10llu %s", (unsigned long long)n, what);
}

static void print_problem(const struct ledger_problem *p, struct log *log) {
    line(log, p->n, p->text);
    for (uint64_t i = 0; i < p->n && i < LEDGER_EXAMPLES; i++)
        log_note(log, "             %s", p->example[i]);
}

static void print_part(const struct ledger *l, struct log *log, int part, const char *name) {
    log_note(log, "  %10llu rows out%s: %llu tokens, %llu of them trained",
             (unsigned long long)l->rows_out[part], name, (unsigned long long)l->tokens[part],
             (unsigned long long)l->trained[part]);
}

static void print_unused(const struct ledger *l, struct log *log) {
    struct str s = {0};
    for (size_t i = 0; i < LEDGER_COLUMNS && l->unused[i].n; i++)
        str_printf(&s, "%s%s", i ? ", " : "", l->unused[i].name);
    if (l->other_unused) str_puts(&s, ", and others");
    if (s.length) log_note(log, "  columns not used: %s", s.text);
    str_release(&s);
}

void ledger_warn_lost(const struct ledger *l) {
    uint64_t lost = l->rows_in - l->rows_used;
    if (lost * 10 > l->rows_in)
        warn("%llu of %llu rows are lost (%.3g %%)", (unsigned long long)lost,
             (unsigned long long)l->rows_in, 100.0 * (double)lost / (double)l->rows_in);
}

void ledger_print_problems(const struct ledger *l, struct log *log) {
    for (size_t i = 0; i < LEDGER_PROBLEMS; i++) print_problem(&l->problems[i], log);
    print_unused(l, log);
}

void ledger_print(const struct ledger *l, struct log *log, bool split) {
    log_note(log, "  %10llu rows in", (unsigned long long)l->rows_in);
    for (size_t i = 0; i < LEDGER_PROBLEMS; i++) print_problem(&l->problems[i], log);
    line(log, l->truncated, "truncated");
    line(log, l->split, "split into pieces");
    print_part(l, log, 0, split ? " (train)" : "");
    if (split) print_part(l, log, 1, " (valid)");
    log_note(log, "  %10llu rows begin with BOS, %llu end with EOS, longest %llu tokens%s",
             (unsigned long long)l->with_bos, (unsigned long long)l->with_eos,
             (unsigned long long)l->longest, l->truncated || l->split ? " before it was cut" : "");
    line(log, l->bos_added,
         "rows have the tokenizer's BOS where the template writes none, as apply_chat_template "
         "would not");
    line(log, l->unknown, "tokens are the unknown token: characters that the vocabulary lacks");
    line(log, l->bytes, "tokens are single bytes of characters that the vocabulary lacks");
    print_unused(l, log);
}
