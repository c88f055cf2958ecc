#include "formats/records/ledger.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

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

void ledger_bad(struct ledger *l, const char *message) {
    char text[sizeof l->reasons->text];
    reason_of(message, text, sizeof text);
    l->bad++;
    for (size_t i = 0; i < LEDGER_REASONS; i++) {
        struct ledger_reason *r = &l->reasons[i];
        bool rest = i + 1 == LEDGER_REASONS;
        if (r->n && strcmp(r->text, text) && !rest) continue;
        if (!r->n) snprintf(r->text, sizeof r->text, "%s", rest ? "other reasons" : text);
        r->n++;
        return;
    }
}

static void line(struct log *log, uint64_t n, const char *what) {
    if (n) log_note(log, "  %10llu %s", (unsigned long long)n, what);
}

static void print_part(const struct ledger *l, struct log *log, int part, const char *name) {
    log_note(log, "  %10llu rows out%s: %llu tokens, %llu of them trained",
             (unsigned long long)l->rows_out[part], name, (unsigned long long)l->tokens[part],
             (unsigned long long)l->trained[part]);
}

void ledger_print(const struct ledger *l, struct log *log, bool split, uint64_t max_length) {
    char text[160];
    log_note(log, "  %10llu rows in", (unsigned long long)l->rows_in);
    for (size_t i = 0; i < LEDGER_REASONS && l->reasons[i].n; i++) {
        snprintf(text, sizeof text, "skipped: %s", l->reasons[i].text);
        line(log, l->reasons[i].n, text);
    }
    snprintf(text, sizeof text, "dropped: longer than %llu tokens", (unsigned long long)max_length);
    line(log, l->long_dropped, text);
    line(log, l->no_room, "dropped: no room for a response after the prompt");
    line(log, l->truncated, "truncated");
    line(log, l->split, "split into pieces");
    line(log, l->same, "kept although chosen and rejected are the same");
    print_part(l, log, 0, split ? " (train)" : "");
    if (split) print_part(l, log, 1, " (valid)");
    log_note(log, "  %10llu rows begin with BOS, %llu end with EOS, longest %llu tokens",
             (unsigned long long)l->with_bos, (unsigned long long)l->with_eos,
             (unsigned long long)l->longest);
}
