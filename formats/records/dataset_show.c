// Rows for people's eyes; see formats/records/dataset.h.
#include "common/base/log.h"
#include "formats/records/dataset.h"
#include <stdlib.h>
#include <unistd.h>

static const char *const special_colour = "\033[35m", *const trained_colour = "\033[32m",
                         *const plain_colour = "\033[2m";

static void add_piece(struct str *s, const struct tokenizer *t, int32_t id) {
    size_t n;
    if (tokenizer_is_special(t, id)) {
        str_puts(s, tokenizer_token(t, id));
        return;
    }
    char *piece = tokenizer_piece(t, id, &n);
    for (size_t i = 0; i < n; i++) {
        if (piece[i] == '\n')
            str_puts(s, "\\n");
        else if (piece[i] == '\t')
            str_puts(s, "\\t");
        else if (piece[i] == '\r')
            str_puts(s, "\\r");
        else if (piece[i] == '\033')
            str_puts(s, "\\e");
        else if (!piece[i])
            str_puts(s, "\\0");
        else
            str_add(s, &piece[i], 1);
    }
    free(piece);
}

// Trained tokens are green on a terminal, else between {+ and +}; tokens are parted by a bar.
static void add_tokens(struct str *s, const struct tokenizer *t, const struct ids *ids,
                       const char *mask, bool colour) {
    bool inside = false;
    for (size_t i = 0; i < ids->n; i++) {
        bool trained = !mask || mask[i] == 1;
        if (colour)
            str_puts(s, tokenizer_is_special(t, ids->id[i]) ? special_colour
                        : trained                           ? trained_colour
                                                            : plain_colour);
        else if (trained != inside)
            str_puts(s, trained ? "{+" : "+}");
        else if (i)
            str_puts(s, "|");
        inside = trained;
        add_piece(s, t, ids->id[i]);
        if (colour) str_puts(s, "\033[0m\033[2m|\033[0m");
    }
    if (inside && !colour) str_puts(s, "+}");
}

static void print_ids(const struct dataset *d, const char *what, const struct ids *ids,
                      const char *mask) {
    struct str s = {0};
    bool colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
    str_puts(&s, "");
    add_tokens(&s, d->encoder.tokenizer, ids, mask, colour);
    print_result("  %s (%zu): %s", what, ids->n, s.text);
    str_release(&s);
}

void dataset_show(const struct dataset *d, const struct record *row, const struct encoded *x) {
    bool pair = d->encoder.kind == DATA_PREF;
    print_result("'%s' line %zu%s", row->path, row->line, x->truncated ? ", truncated" : "");
    print_ids(d, pair ? "prompt" : "tokens", &x->ids, x->mask.text);
    if (!pair) return;
    print_ids(d, "chosen", &x->chosen, NULL);
    print_ids(d, "rejected", &x->rejected, NULL);
}
