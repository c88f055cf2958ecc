#include "stages/shared/import_corpus.h"
#include "formats/records/records.h"

static size_t add_strings(struct bpe_trainer *t, const struct json *v) {
    size_t n, count = 0;
    const char *text = json_text(v, &n);
    if (text) bpe_train_add(t, text, n);
    for (size_t i = 0; i < json_size(v); i++)
        count += add_strings(t, json_type(v) == JSON_OBJECT ? json_value(v, i) : json_at(v, i));
    return count + (text != NULL);
}

static size_t add_row(struct bpe_trainer *t, const struct record *row) {
    size_t n, i = 0;
    const char *text = record_text(row, "text", &n);
    if (text) bpe_train_add(t, text, n);
    if (text || row->json) return text ? 1 : add_strings(t, row->json);
    for (; i < row->cells.n; i++) {
        text = csv_field(&row->cells, i, &n);
        bpe_train_add(t, text, n);
    }
    return i;
}

char *import_corpus(size_t n, const char *const *paths, const struct tokenizer_training *training,
                    size_t *length, struct fail *f) {
    struct bpe_trainer *t = bpe_train_new(training->special, training->n_special);
    struct records *r = records_open(n, paths, SYNTAX_AUTO, f);
    struct record row = {0};
    size_t texts = 0;
    while (records_next(r, &row)) {
        if (!record_parse(&row))
            fail_pass(f, &row.bad);
        else
            texts += add_row(t, &row);
    }
    if (!texts) fail_set(f, EXIT_BADDATA, "no text in '%s'; nothing to train on", paths[0]);
    char *json = f->code ? NULL : tokenizer_train_json(t, training, length, f);
    record_release(&row);
    records_close(r);
    bpe_train_free(t);
    return json;
}
