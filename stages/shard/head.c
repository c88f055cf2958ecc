#include "common/base/fail.h"
#include "common/base/jsonout.h"
#include "common/base/log.h"
#include "formats/store/columns.h"
#include "formats/teachers/teacher_file.h"
#include "formats/models/tokenizer_json.h"
#include "stages/shard/shard.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct printer {
    struct columns_reader *reader;
    struct tokenizer *tokenizer; // NULL: none is stored
    bool json;
    size_t first_row;
    int64_t vocab; // of rows of tokens
    struct str line;
};

// ---- pieces of a line

static void put_number(struct str *s, double x, int digits) {
    if (isfinite(x))
        str_printf(s, "%.*g", digits, x);
    else
        str_puts(s, "null"); // JSON has no infinity
}

static void put_ints(struct str *s, const char *name, const int32_t *x, size_t n) {
    str_printf(s, ", \"%s\": [", name);
    for (size_t i = 0; i < n; i++) str_printf(s, "%s%d", i ? ", " : "", x[i]);
    str_puts(s, "]");
}

static void put_mask(struct str *s, const uint8_t *x, size_t n) {
    str_puts(s, ", \"mask\": [");
    for (size_t i = 0; i < n; i++) str_printf(s, "%s%d", i ? ", " : "", x[i]);
    str_puts(s, "]");
}

// Ids as quoted text where a tokenizer is stored, else as numbers.
static void put_text(struct printer *p, const char *name, const int32_t *ids, size_t n) {
    str_printf(&p->line, "\n  %s: ", name);
    if (p->tokenizer) {
        size_t length;
        char *text = tokenizer_decode(p->tokenizer, ids, n, false, &length);
        jsonout_bytes(&p->line, text, length);
        free(text);
    } else {
        for (size_t i = 0; i < n; i++) str_printf(&p->line, "%s%d", i ? " " : "", ids[i]);
    }
}

// ---- one row of each kind

static void token_row(struct printer *p, const int32_t *ids, const uint8_t *mask, size_t n,
                      size_t prompt) {
    if (p->json) {
        str_printf(&p->line, ", \"length\": %zu, \"prompt_length\": %zu", n, prompt);
        put_ints(&p->line, "ids", ids, n);
        put_mask(&p->line, mask, n);
        return;
    }
    str_printf(&p->line, ": %zu tokens, %zu of the prompt", n, prompt);
    if (prompt) put_text(p, "prompt", ids, prompt);
    if (prompt < n) put_text(p, prompt ? "response" : "text", ids + prompt, n - prompt);
}

static void put_reals(struct str *s, const char *name, const float *x, size_t n) {
    str_printf(s, ", \"%s\": [", name);
    for (size_t i = 0; i < n; i++) {
        if (i) str_puts(s, ", ");
        put_number(s, x[i], 9);
    }
    str_puts(s, "]");
}

// grid: of the components layout, whose p* is composed by the file's own rule
static void teacher_positions(struct printer *p, const struct teacher_row *row, size_t grid) {
    str_puts(&p->line, ", \"positions\": [");
    for (size_t i = 0; i < row->positions; i++) {
        const struct teacher_position *at = &row->position[i];
        const double numbers[] = {at->log_tail, at->log_most, at->alpha,
                                  at->tvd,      at->realised, row->entropy[i]};
        const char *const names[] = {"log_tail", "log_most", "alpha", "tvd", "realised", "entropy"};
        str_printf(&p->line, "%s{\"entries\": %u", i ? ", " : "", at->n);
        put_ints(&p->line, "support", at->ids, at->n);
        put_reals(&p->line, "logp", at->logp, at->n);
        if (row->components) {
            put_reals(&p->line, "low", row->components[i].low, at->n);
            put_reals(&p->line, "high", row->components[i].high, at->n);
            put_reals(&p->line, "log_tails", row->components[i].tail, grid);
        }
        for (int k = 0; k < 6; k++) {
            if (k == 1 && !(at->log_most < 0)) continue; // it is not known
            str_printf(&p->line, ", \"%s\": ", names[k]);
            put_number(&p->line, numbers[k], 9);
        }
        str_puts(&p->line, "}");
    }
    str_puts(&p->line, "]");
}

static void teacher_summary(struct printer *p, const struct teacher_row *row) {
    double entries = 0, alpha = 0, realised = 0, n = row->positions ? (double)row->positions : 1;
    for (size_t i = 0; i < row->positions; i++) {
        entries += row->position[i].n;
        alpha += row->position[i].alpha;
        realised += row->position[i].realised;
    }
    str_printf(&p->line, "\n  %zu positions: %.1f entries, alpha %.3g, log p* %.3g in the mean",
               row->positions, entries / n, alpha / n, realised / n);
}

// ---- rows first.. of the kinds, at most `rows` of them

static void begin_row(struct printer *p, size_t row) {
    p->line.length = 0;
    str_printf(&p->line, p->json ? "{\"row\": %zu" : "row %zu", p->first_row + row);
}

static void end_row(struct printer *p) {
    print_result("%s%s", p->line.text, p->json ? "}" : "");
}

static void print_teacher(struct printer *p, size_t rows, struct fail *f) {
    struct teacher_shard t;
    if (!teacher_shard_load(&t, p->reader, f)) return;
    for (size_t i = 0; i < rows; i++) {
        struct teacher_row row = teacher_shard_row(&t, i);
        begin_row(p, i);
        token_row(p, row.ids, row.mask, row.n, row.prompt_length);
        if (p->json)
            teacher_positions(p, &row, t.grid.n);
        else
            teacher_summary(p, &row);
        end_row(p);
    }
    teacher_shard_release(&t);
}

// The first `rows` lengths of a column, and the elements they count; false: failure or nonsense.
static bool read_ragged(struct printer *p, const char *lengths, const char *column, size_t rows,
                        int32_t **length, void **elements, size_t *total, size_t size) {
    *length = xmalloc(rows * sizeof **length);
    *elements = NULL;
    *total = 0;
    size_t count = columns_count(p->reader, column);
    if (!columns_read(p->reader, lengths, 0, rows, *length)) return false;
    for (size_t i = 0; i < rows; i++) {
        if ((*length)[i] < 0 || (size_t)(*length)[i] > count - *total) return false;
        *total += (size_t)(*length)[i];
    }
    *elements = xmalloc(*total * size);
    return columns_read(p->reader, column, 0, *total, *elements);
}

static bool are_tokens(const struct printer *p, const int32_t *ids, size_t n) {
    size_t i = 0;
    while (i < n && ids[i] >= 0 && ids[i] < p->vocab) i++;
    return i == n;
}

static bool has_column(const struct columns_reader *r, const char *name) {
    size_t n;
    const struct column *columns = columns_list(r, &n);
    for (size_t i = 0; i < n; i++)
        if (!strcmp(columns[i].name, name)) return true;
    return false;
}

static bool print_tokens(struct printer *p, size_t rows) {
    int32_t *length, *prompt = xmalloc(rows * sizeof *prompt);
    void *ids;
    size_t total, at = 0;
    bool ok = read_ragged(p, "length", "ids", rows, &length, &ids, &total, sizeof(int32_t));
    uint8_t *mask = xmalloc(total);
    int32_t *step = has_column(p->reader, "step") ? xmalloc(rows * sizeof *step) : NULL;
    ok = ok && (!step || columns_read(p->reader, "step", 0, rows, step)) &&
         columns_read(p->reader, "mask", 0, total, mask) &&
         columns_read(p->reader, "prompt_length", 0, rows, prompt);
    for (size_t i = 0; ok && i < rows; at += (size_t)length[i++]) {
        ok = prompt[i] >= 0 && prompt[i] <= length[i] &&
             are_tokens(p, (int32_t *)ids + at, (size_t)length[i]);
        if (!ok) break;
        begin_row(p, i);
        if (step) str_printf(&p->line, p->json ? ", \"step\": %d" : " (step %d)", step[i]);
        token_row(p, (int32_t *)ids + at, mask + at, (size_t)length[i], (size_t)prompt[i]);
        end_row(p);
    }
    free(length);
    free(prompt);
    free(step);
    free(ids);
    free(mask);
    return ok;
}

static bool print_pairs(struct printer *p, size_t rows) {
    static const char *const names[] = {"prompt", "chosen", "rejected"};
    static const char *const lengths[] = {"prompt_length", "chosen_length", "rejected_length"};
    int32_t *length[3] = {0};
    void *ids[3] = {0};
    size_t total, at[3] = {0};
    bool ok = true;
    for (int c = 0; ok && c < 3; c++)
        ok = read_ragged(p, lengths[c], names[c], rows, &length[c], &ids[c], &total,
                         sizeof(int32_t)) &&
             are_tokens(p, ids[c], total);
    for (size_t i = 0; ok && i < rows; i++) {
        begin_row(p, i);
        for (int c = 0; c < 3 && p->json; c++)
            str_printf(&p->line, ", \"%s\": %d", lengths[c], length[c][i]);
        for (int c = 0; c < 3; c++) {
            const int32_t *from = (int32_t *)ids[c] + at[c];
            if (p->json)
                put_ints(&p->line, names[c], from, (size_t)length[c][i]);
            else
                put_text(p, names[c], from, (size_t)length[c][i]);
            at[c] += (size_t)length[c][i];
        }
        end_row(p);
    }
    for (int c = 0; c < 3; c++) free(length[c]), free(ids[c]);
    return ok;
}

static bool print_reference(struct printer *p, size_t rows) {
    double *chosen = xmalloc(rows * sizeof *chosen), *rejected = xmalloc(rows * sizeof *rejected);
    bool ok = columns_read(p->reader, "chosen", 0, rows, chosen) &&
              columns_read(p->reader, "rejected", 0, rows, rejected);
    for (size_t i = 0; i < rows; i++) // as reference_check has it
        ok = ok && isfinite(chosen[i]) && isfinite(rejected[i]) &&
             fmax(chosen[i], rejected[i]) <= 0.01;
    for (size_t i = 0; ok && i < rows; i++) {
        begin_row(p, i);
        str_puts(&p->line, p->json ? ", \"chosen\": " : ": chosen ");
        put_number(&p->line, chosen[i], 17);
        str_puts(&p->line, p->json ? ", \"rejected\": " : ", rejected ");
        put_number(&p->line, rejected[i], 17);
        end_row(p);
    }
    free(chosen);
    free(rejected);
    return ok;
}

static void open_tokenizer(struct printer *p, struct fail *f) {
    size_t n;
    char *text = p->json ? NULL : columns_blob(p->reader, "tokenizer.json", &n);
    if (text) p->tokenizer = tokenizer_parse(text, n, "tokenizer.json", f);
    free(text);
}

// Rows printed.
static size_t print_file(const char *path, size_t rows, bool json, struct fail *f) {
    struct printer p = {.json = json, .reader = columns_open(path, NULL, f)};
    if (!p.reader) return 0;
    const char *kind = columns_artefact(p.reader)->kind;
    struct part part = columns_part(p.reader);
    p.first_row = part.first_row;
    if (part.rows < rows) rows = part.rows;
    open_tokenizer(&p, f);
    if (!strcmp(kind, "tokens") || !strcmp(kind, "pairs")) columns_int(p.reader, "vocab", &p.vocab);
    bool ok = true;
    if (f->code)
        ok = false;
    else if (!strcmp(kind, "teacher"))
        print_teacher(&p, rows, f);
    else if (!strcmp(kind, "tokens"))
        ok = print_tokens(&p, rows);
    else if (!strcmp(kind, "pairs"))
        ok = print_pairs(&p, rows);
    else
        ok = print_reference(&p, rows);
    if (!ok)
        fail_set(f, EXIT_BADDATA, "'%s' is damaged: its rows are not such as its kind has", path);
    if (p.tokenizer) tokenizer_free(p.tokenizer);
    str_release(&p.line);
    columns_close(p.reader);
    return rows;
}

int shard_head(int argc, char **argv) {
    int64_t rows;
    bool json;
    const struct opt_row table[] = {
        {"rows", OPT_INT, OPT_EXEC, &rows, .value = "5", .low = 1, .high = 1e15, .metavar = "N",
         .help = "how many rows, over all files"},
        {"json", OPT_FLAG, OPT_EXEC, &json,
         .help = "one JSON object per row, with every number that is stored"},
    };
    struct options o = {.program = "shard head",
                        .usage = "[--rows N] [--json] FILE...",
                        .summary =
                            "The first rows of tokens, pairs, reference or teacher files. But "
                            "for teacher files nothing else is read, and so content_hash "
                            "not compared: shard check does that."};
    struct opt_list files;
    options_add(&o, table, 2);
    shard_options(&o, argc, argv, &files, 1);
    struct fail f = {0};
    size_t left = (size_t)rows;
    for (size_t i = 0; i < files.n && left && !f.code; i++)
        left -= print_file(files.items[i], left, json, &f);
    die_if(&f);
    shard_files_release(&files);
    options_release(&o);
    return EXIT_DONE;
}
