#include "common/method/recipe.h"
#include "formats/bytes/json.h"
#include "formats/teachers/teacher_columns.h"
#include "formats/teachers/teacher_file.h"
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Of the components layout with bits 32; logp has two elements an entry, log_tail one a grid point
enum { PARTS_TVD = ALPHA, PARTS_ENTROPY, PARTS_COLUMNS };

struct entry {
    uint32_t number, level[2];
};
struct teacher_writer {
    struct columns_writer *columns;
    struct teacher_grid grid; // n 0: composed
    struct teacher_codec code;
    size_t field[CODE_FIELDS], alpha; // columns; alpha 0: it follows from tvd
    struct entry *entry;              // (room)
    struct teacher_stored *order;     // (tokens)
    uint32_t *number;                 // (room)
    uint8_t *bytes;                   // (room)
    size_t room, tokens;
};

bool teacher_rule_alpha(const char *rule, struct teacher_rule *to) {
    struct fail ignored = {0};
    struct json *j = rule ? json_parse(rule, strlen(rule), "rule", &ignored) : NULL;
    const char *alpha = json_text(json_get(j, "alpha"), NULL);
    const char *base = json_text(json_get(j, "base"), NULL);
    const char *negative = json_text(json_get(j, "negative"), NULL);
    bool known = alpha && recipe_alpha(alpha, to);
    to->base_dpo = base && !strcmp(base, "dpo");
    to->negative_reverse = negative && !strcmp(negative, "reverse");
    to->plausible = json_number(json_get(j, "plausible"));
    json_free(j);
    return known;
}

bool teacher_rule_from_tvd(const char *rule, struct teacher_rule *to) {
    return teacher_rule_alpha(rule, to) && to->alpha != ALPHA_KL;
}

static size_t list_columns(struct teacher_writer *w, bool alpha, struct column *columns,
                           char (*names)[CODE_NAME]) {
    size_t n = w->code.bits == 32 ? TEACHER_COLUMNS : ROW_COLUMNS, named = 0;
    memcpy(columns, teacher_columns, n * sizeof *columns);
    if (w->code.bits == 32 && w->grid.n) {
        columns[PARTS_TVD] = teacher_columns[TVD];
        columns[PARTS_ENTROPY] = teacher_columns[ENTROPY];
        return PARTS_COLUMNS;
    }
    if (w->code.bits == 32) return n;
    for (int f = 0; f < CODE_FIELDS; f++) {
        w->field[f] = n;
        for (size_t k = 0; k < teacher_codec_planes(&w->code, f); k++) {
            teacher_codec_name(&w->code, f, k, names[named]);
            columns[n++] = (struct column){names[named++], COLUMN_U8};
        }
    }
    if (alpha) {
        w->alpha = n;
        columns[n++] = teacher_columns[ALPHA];
    }
    return n;
}

static bool create(struct teacher_writer *w, const char *path, const struct lineage *l,
                   const struct teacher_info *i, const struct columns_plan *plan, struct fail *f) {
    char tokenizer[33], reference[33], beta[40], budget[40], names[CODE_COLUMNS][CODE_NAME];
    struct column columns[TEACHER_COLUMNS + CODE_COLUMNS];
    struct teacher_rule rule;
    hash_text(i->tokenizer, tokenizer);
    hash_text(i->reference, reference);
    snprintf(beta, sizeof beta, "%.17g", i->reward_beta);
    snprintf(budget, sizeof budget, "%.17g", i->error_budget);
    char *grid = teacher_grid_text(&w->grid);
    struct columns_attr attrs[] = {
        {"layout", w->grid.n ? "components" : "composed", 0},
        {"bits", NULL, w->code.bits},
        {"vocab", NULL, (int64_t)i->vocab},
        {"max_length", NULL, (int64_t)i->max_length},
        {"tokenizer", tokenizer, 0},
        {"reference", reference, 0},
        {"reward_beta", beta, 0},
        {"recipe", i->recipe ? i->recipe : "", 0},
        {"rule", i->rule ? i->rule : "{}", 0},
        {"eos", NULL, i->eos},
        {"error_budget", budget, 0},
        {"alpha_grid", grid, 0}, // the last one: of components alone
    };
    struct columns_blob blobs[3];
    bool column = !teacher_rule_from_tvd(i->rule, &rule) && !w->grid.n;
    size_t blob = 0, n = list_columns(w, column, columns, names);
    if (i->tokenizer_json)
        blobs[blob++] =
            (struct columns_blob){"tokenizer.json", i->tokenizer_json, strlen(i->tokenizer_json)};
    if (w->code.bits != 32) {
        blobs[blob++] =
            (struct columns_blob){"levels", w->code.level, w->code.levels * sizeof *w->code.level};
        blobs[blob++] = (struct columns_blob){"common", i->n_common ? i->common : (int32_t[]){0},
                                              i->n_common * sizeof *i->common};
    }
    struct lineage own = *l;
    own.kind = "teacher";
    own.version = artefact_version(own.kind);
    size_t n_attrs = sizeof attrs / sizeof *attrs;
    if (!w->grid.n) n_attrs--; // alpha_grid
    w->columns = columns_create(path, &own, n, columns, n_attrs, attrs, blob, blobs, plan, f);
    free(grid);
    return w->columns != NULL;
}

struct teacher_writer *teacher_writer_open(const char *path, const struct lineage *l,
                                           const struct teacher_info *i,
                                           const struct columns_plan *plan, struct fail *f) {
    struct teacher_writer *w = xcalloc(1, sizeof *w);
    int bits = i->bits ? i->bits : 32;
    size_t levels = 0;
    float *level = i->grid.n ? teacher_components_levels(bits, &levels) : NULL;
    bool ok = teacher_codec_init(&w->code, bits, i->vocab, i->n_common, i->common, levels, level);
    assert(ok);
    free(level);
    w->grid = i->grid;
    teacher_codec_version(&w->code, artefact_version("teacher"), !i->grid.n, i->eos);
    if (ok && create(w, path, l, i, plan, f)) return w;
    teacher_codec_release(&w->code);
    free(w);
    return NULL;
}

struct columns_writer *teacher_writer_columns(struct teacher_writer *w) {
    return w ? w->columns : NULL;
}

static void writer_free(struct teacher_writer *w) {
    teacher_codec_release(&w->code);
    free(w->entry);
    free(w->order);
    free(w->number);
    free(w->bytes);
    free(w);
}

bool teacher_writer_commit(struct teacher_writer *w, struct hash128 *content) {
    if (!w) return false;
    bool ok = columns_commit(w->columns, content);
    writer_free(w);
    return ok;
}

void teacher_writer_abandon(struct teacher_writer *w, bool keep_spool) {
    if (!w) return;
    columns_abandon(w->columns, keep_spool);
    writer_free(w);
}

// ---- positions

static bool write_plain(struct columns_writer *w, const struct teacher_position *p, float entropy) {
    uint16_t entries = (uint16_t)p->n;
    return columns_append(w, ENTRIES, &entries, 1) && columns_append(w, SUPPORT, p->ids, p->n) &&
           columns_append(w, LOGP, p->logp, p->n) && columns_append(w, TAIL, &p->log_tail, 1) &&
           columns_append(w, ALPHA, &p->alpha, 1) && columns_append(w, TVD, &p->tvd, 1) &&
           columns_append(w, REALISED, &p->realised, 1) &&
           columns_append(w, ENTROPY, &entropy, 1) && columns_append(w, MOST, &p->log_most, 1);
}

static bool put(struct teacher_writer *w, enum teacher_field field, const uint32_t *x, size_t n) {
    bool ok = true;
    for (size_t k = 0; ok && k < teacher_codec_planes(&w->code, field); k++) {
        for (size_t i = 0; i < n; i++) w->bytes[i] = (uint8_t)(x[i] >> 8 * k);
        ok = columns_append(w->columns, w->field[field] + k, w->bytes, n);
    }
    return ok;
}

static bool put_number(struct teacher_writer *w, enum teacher_field field, double x) {
    uint32_t code = teacher_codec_number(&w->code, field, x);
    return put(w, field, &code, 1);
}

static int by_number(const void *a, const void *b) {
    uint32_t x = ((const struct entry *)a)->number, y = ((const struct entry *)b)->number;
    return (x > y) - (x < y);
}

static bool put_levels(struct teacher_writer *w, int end, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) w->number[i] = w->entry[i].level[end];
    return put(w, CODE_LEVEL, w->number, n);
}

// values: log p* of the entries, or its two ends. Without those that are apart.
static bool put_entries(struct teacher_writer *w, const struct teacher_position *p,
                        int32_t realised, const float *const values[2], int ends) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->n; i++) {
        if (w->code.apart && (p->ids[i] == realised || p->ids[i] == w->code.end)) continue;
        w->entry[n].number = (uint32_t)w->code.number[p->ids[i]];
        for (int e = 0; e < ends; e++)
            w->entry[n].level[e] = teacher_codec_level(&w->code, values[e][i]);
        n++;
    }
    qsort(w->entry, n, sizeof *w->entry, by_number);
    for (uint32_t i = n; i-- > 1;) w->entry[i].number -= w->entry[i - 1].number + 1;
    for (uint32_t i = 0; i < n; i++) w->number[i] = w->entry[i].number;
    bool ok = put(w, CODE_ENTRIES, &n, 1) && put(w, CODE_SUPPORT, w->number, n);
    for (int e = 0; ok && e < ends; e++) ok = put_levels(w, e, n);
    return ok;
}

// The level of a token that every support holds.
static bool put_apart(struct teacher_writer *w, const struct teacher_position *p,
                      enum teacher_field field, int32_t token) {
    for (uint32_t k = 0; k < p->n; k++) {
        if (p->ids[k] != token) continue;
        uint32_t level = teacher_codec_level(&w->code, p->logp[k]);
        return put(w, field, &level, 1);
    }
    return fail_set(columns_fail(w->columns), EXIT_BADDATA,
                    "a support lacks %s; it is no teacher's",
                    field == CODE_END ? "the end of sequence" : "the token that stands there");
}

static bool write_coded(struct teacher_writer *w, const struct teacher_position *p,
                        int32_t realised, float entropy) {
    double own = teacher_codec_entropy(&w->code, p->logp, p->n, (double)p->log_tail);
    return put_entries(w, p, realised, (const float *const[]){p->logp, NULL}, 1) &&
           put_apart(w, p, CODE_REALISED, realised) &&
           (w->code.end < 0 || put_apart(w, p, CODE_END, w->code.end)) &&
           put_number(w, CODE_TAIL, (double)p->log_tail) &&
           put_number(w, CODE_MOST, (double)p->log_most) &&
           put_number(w, CODE_TVD, (double)p->tvd) &&
           put_number(w, CODE_ENTROPY, (double)entropy - own) &&
           (!w->alpha || columns_append(w->columns, w->alpha, &p->alpha, 1));
}

static bool write_components(struct teacher_writer *w, const struct teacher_position *p,
                             const struct teacher_components *components, float entropy) {
    struct columns_writer *c = w->columns;
    uint16_t entries = (uint16_t)p->n;
    if (w->code.bits == 32)
        return columns_append(c, ENTRIES, &entries, 1) &&
               columns_append(c, SUPPORT, p->ids, p->n) &&
               columns_append(c, LOGP, components->low, p->n) &&
               columns_append(c, LOGP, components->high, p->n) &&
               columns_append(c, TAIL, components->tail, w->grid.n) &&
               columns_append(c, PARTS_TVD, &p->tvd, 1) &&
               columns_append(c, PARTS_ENTROPY, &entropy, 1);
    bool ok = put_entries(w, p, -1, (const float *const[]){components->low, components->high}, 2);
    for (size_t k = 0; ok && k < w->grid.n; k++)
        ok = put_number(w, CODE_TAIL, (double)components->tail[k]);
    return ok && put_number(w, CODE_TVD, (double)p->tvd) &&
           put_number(w, CODE_ENTROPY, (double)entropy);
}

static void make_room(struct teacher_writer *w, size_t n) {
    if (n <= w->room) return;
    w->room = 2 * n;
    w->entry = xrealloc(w->entry, w->room * sizeof *w->entry);
    w->number = xrealloc(w->number, w->room * sizeof *w->number);
    w->bytes = xrealloc(w->bytes, w->room);
}

bool teacher_write(struct teacher_writer *w, const struct teacher_row *row) {
    if (!w) return false;
    struct columns_writer *c = w->columns;
    int32_t length = (int32_t)row->n, prompt = (int32_t)row->prompt_length;
    bool ok = columns_append(c, IDS, row->ids, row->n) &&
              columns_append(c, MASK, row->mask, row->n) && columns_append(c, LENGTH, &length, 1) &&
              columns_append(c, PROMPT, &prompt, 1);
    grow(&w->order, &w->tokens, row->n, sizeof *w->order);
    size_t positions = teacher_codec_order(&w->code, row->n, row->ids, row->mask, w->order);
    assert(positions == row->positions);
    for (size_t k = 0; ok && k < positions; k++) {
        size_t i = w->order[k].position;
        const struct teacher_position *p = &row->position[i];
        assert(p->n && p->n <= UINT16_MAX);
        make_room(w, p->n);
        assert(!row->components == !w->grid.n);
        if (row->components)
            ok = write_components(w, p, &row->components[i], row->entropy[i]);
        else
            ok = w->code.bits == 32
                     ? write_plain(c, p, row->entropy[i])
                     : write_coded(w, p, row->ids[w->order[k].token], row->entropy[i]);
    }
    return ok && columns_end_row(c);
}
