#include "formats/bytes/csv.h"
#include <csv.h>

struct csv {
    struct csv_parser parser;
    struct csv_row *row;
    bool done;
    const char *message;
};

enum { BLOCK = 1 << 20 };

// libcsv would trim blanks around unquoted fields.
static int never(unsigned char c) {
    (void)c;
    return 0;
}

struct csv *csv_new(char delimiter) {
    struct csv *c = xcalloc(1, sizeof *c);
    csv_init(&c->parser, CSV_STRICT | CSV_STRICT_FINI);
    csv_set_space_func(&c->parser, never);
    csv_set_blk_size(&c->parser, BLOCK); // its buffer grows by this, not by doubling
    csv_set_delim(&c->parser, (unsigned char)delimiter);
    return c;
}

static void field(void *bytes, size_t n, void *self) {
    struct csv_row *r = ((struct csv *)self)->row;
    str_add(&r->text, bytes ? bytes : "", n);
    grow(&r->end, &r->capacity, r->n + 1, sizeof *r->end);
    r->end[r->n++] = r->text.length;
}

static void row(int c, void *self) {
    (void)c;
    ((struct csv *)self)->done = true;
}

static void begin(struct csv *c, struct csv_row *r) {
    c->row = r;
    if (c->done) {
        c->done = false;
        r->n = r->text.length = 0;
    }
}

bool csv_feed(struct csv *c, const char *bytes, size_t n, struct csv_row *r, bool *done) {
    begin(c, r);
    bool fine = csv_parse(&c->parser, bytes, n, field, row, c) == n;
    if (!fine && csv_error(&c->parser) == CSV_ENOMEM) mem_lacks(BLOCK);
    if (!fine)
        c->message = csv_error(&c->parser) == CSV_EPARSE ? "stray quote in a field"
                                                         : csv_strerror(csv_error(&c->parser));
    *done = c->done;
    return fine;
}

bool csv_end(struct csv *c, struct csv_row *r, bool *done) {
    begin(c, r);
    bool fine = !csv_fini(&c->parser, field, row, c);
    if (!fine) c->message = "unclosed quote";
    *done = c->done;
    return fine;
}

const char *csv_message(const struct csv *c) {
    return c->message;
}

void csv_release(struct csv *c) {
    if (!c) return;
    csv_free(&c->parser);
    free(c);
}

const char *csv_field(const struct csv_row *r, size_t i, size_t *n) {
    size_t first = i ? r->end[i - 1] : 0;
    *n = r->end[i] - first;
    return r->text.text ? r->text.text + first : "";
}

void csv_row_release(struct csv_row *r) {
    str_release(&r->text);
    free(r->end);
    *r = (struct csv_row){0};
}
