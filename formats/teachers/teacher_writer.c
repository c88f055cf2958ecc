#include "common/base/mem.h"
#include "common/base/parallel.h"
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

struct teacher_writer {
    struct columns_writer *columns;
    struct teacher_grid grid; // n 0: composed
    struct teacher_codec code;
    size_t field[CODE_FIELDS], alpha; // columns; alpha 0: it follows from tvd
    struct teacher_stored *order;     // (tokens)
    size_t tokens;
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
    free(w->order);
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

static bool write_components(struct columns_writer *w, const struct teacher_position *p,
                             const struct teacher_components *c, size_t grid, float entropy) {
    uint16_t entries = (uint16_t)p->n;
    return columns_append(w, ENTRIES, &entries, 1) && columns_append(w, SUPPORT, p->ids, p->n) &&
           columns_append(w, LOGP, c->low, p->n) && columns_append(w, LOGP, c->high, p->n) &&
           columns_append(w, TAIL, c->tail, grid) && columns_append(w, PARTS_TVD, &p->tvd, 1) &&
           columns_append(w, PARTS_ENTROPY, &entropy, 1);
}

static bool write_as_it_is(struct teacher_writer *w, const struct teacher_row *row, size_t n) {
    bool ok = true;
    for (size_t k = 0; ok && k < n; k++) {
        size_t i = w->order[k].position;
        assert(row->position[i].n && row->position[i].n <= UINT16_MAX);
        if (row->components)
            ok = write_components(w->columns, &row->position[i], &row->components[i], w->grid.n,
                                  row->entropy[i]);
        else
            ok = write_plain(w->columns, &row->position[i], row->entropy[i]);
    }
    return ok;
}

// ---- coded

// The codes of a row's positions, in the order in which they are stored: each is coded by itself.
struct codes {
    const struct teacher_writer *w;
    const struct teacher_row *row;
    size_t positions, ends;       // ends: levels of an entry
    size_t *first;                // (positions + 1) a position's first entry
    struct teacher_entry *entry;  // (entries) which it is, and its token's code, negative
    uint32_t *level;              // (entries, ends) of log p* as they come
    uint32_t *value[CODE_FIELDS]; // (positions, or entries; values_each)
};

static const uint32_t lacking = UINT32_MAX; // the level of a token that every support holds

static bool of_entries(enum teacher_field field) {
    return field == CODE_SUPPORT || field == CODE_LEVEL;
}

// Values of a position, or of an entry.
static size_t values_each(const struct codes *c, enum teacher_field field) {
    if (field == CODE_LEVEL) return c->ends;
    return field == CODE_TAIL && c->w->grid.n ? c->w->grid.n : 1;
}

static size_t place_of(const struct codes *c, enum teacher_field field, size_t k) {
    return values_each(c, field) * (of_entries(field) ? c->first[k] : k);
}

// values: log p* of the entries, or its two ends.
static void code_levels(struct codes *c, size_t k, size_t n, const float *const values[2]) {
    uint32_t *level = c->level + place_of(c, CODE_LEVEL, k);
    for (size_t e = 0; e < c->ends; e++)
        for (size_t i = 0; i < n; i++)
            level[e * n + i] = teacher_codec_level(&c->w->code, values[e][i]);
}

// The entries without those that are apart.
static void code_entries(struct codes *c, size_t k, const struct teacher_position *p,
                         int32_t realised) {
    const struct teacher_codec *code = &c->w->code;
    struct teacher_entry *entry = c->entry + c->first[k];
    uint32_t *support = c->value[CODE_SUPPORT] + place_of(c, CODE_SUPPORT, k);
    uint32_t *to = c->value[CODE_LEVEL] + place_of(c, CODE_LEVEL, k), n = 0;
    const uint32_t *level = c->level + place_of(c, CODE_LEVEL, k);
    for (uint32_t i = 0; i < p->n; i++)
        if (!code->apart || (p->ids[i] != realised && p->ids[i] != code->end))
            entry[n++] = (struct teacher_entry){(int32_t)i, -(float)code->number[p->ids[i]]};
    teacher_rank(entry, n); // by their codes, which are exact in float32
    for (uint32_t i = 0; i < n; i++) {
        support[i] = (uint32_t)(i ? entry[i - 1].logp - entry[i].logp - 1 : -entry[i].logp);
        for (size_t e = 0; e < c->ends; e++) to[e * n + i] = level[e * p->n + (size_t)entry[i].id];
    }
    c->value[CODE_ENTRIES][k] = n;
}

static void code_number(struct codes *c, enum teacher_field field, size_t at, double x) {
    if (c->value[field]) c->value[field][at] = teacher_codec_number(&c->w->code, field, x);
}

static void code_components(struct codes *c, size_t k, size_t i) {
    const struct teacher_position *p = &c->row->position[i];
    const struct teacher_components *parts = &c->row->components[i];
    code_levels(c, k, p->n, (const float *const[]){parts->low, parts->high});
    code_entries(c, k, p, -1);
    for (size_t g = 0; g < c->w->grid.n; g++)
        code_number(c, CODE_TAIL, place_of(c, CODE_TAIL, k) + g, (double)parts->tail[g]);
    code_number(c, CODE_TVD, k, (double)p->tvd);
    code_number(c, CODE_ENTROPY, k, (double)c->row->entropy[i]);
}

// The level of a token that every support holds.
static void code_apart(struct codes *c, size_t k, const struct teacher_position *p,
                       enum teacher_field field, int32_t token) {
    if (!c->value[field]) return;
    c->value[field][k] = lacking;
    for (uint32_t i = 0; i < p->n; i++)
        if (p->ids[i] == token) c->value[field][k] = c->level[c->first[k] + i];
}

static void code_composed(struct codes *c, size_t k, size_t i, int32_t realised) {
    const struct teacher_codec *code = &c->w->code;
    const struct teacher_position *p = &c->row->position[i];
    code_levels(c, k, p->n, (const float *const[]){p->logp, NULL});
    double own = teacher_codec_entropy(code, c->level + c->first[k], p->n, (double)p->log_tail);
    code_entries(c, k, p, realised);
    code_apart(c, k, p, CODE_REALISED, realised);
    code_apart(c, k, p, CODE_END, code->end);
    code_number(c, CODE_TAIL, k, (double)p->log_tail);
    code_number(c, CODE_MOST, k, (double)p->log_most);
    code_number(c, CODE_TVD, k, (double)p->tvd);
    code_number(c, CODE_ENTROPY, k, (double)c->row->entropy[i] - own);
}

static void code_position(void *self, size_t k) {
    struct codes *c = self;
    const struct teacher_stored *s = &c->w->order[k];
    if (c->row->components)
        code_components(c, k, s->position);
    else
        code_composed(c, k, s->position, c->row->ids[s->token]);
}

static struct codes codes_new(const struct teacher_writer *w, const struct teacher_row *row,
                              size_t n) {
    struct codes c = {.w = w, .row = row, .positions = n, .ends = row->components ? 2 : 1};
    c.first = xcalloc(n + 1, sizeof *c.first);
    for (size_t k = 0; k < n; k++) {
        size_t entries = row->position[w->order[k].position].n;
        assert(entries && entries <= UINT16_MAX);
        c.first[k + 1] = c.first[k] + entries;
    }
    c.entry = xmalloc(c.first[n] * sizeof *c.entry);
    c.level = xmalloc(c.ends * c.first[n] * sizeof *c.level);
    for (int f = 0; f < CODE_FIELDS; f++)
        if (teacher_codec_planes(&w->code, f))
            c.value[f] = xmalloc(place_of(&c, f, n) * sizeof *c.value[f]);
    return c;
}

static void codes_free(struct codes *c) {
    free(c->first);
    free(c->entry);
    free(c->level);
    for (int f = 0; f < CODE_FIELDS; f++) free(c->value[f]);
}

static bool lacks_none(const struct codes *c, enum teacher_field field) {
    for (size_t k = 0; c->value[field] && k < c->positions; k++)
        if (c->value[field][k] == lacking)
            return fail_set(
                columns_fail(c->w->columns), EXIT_BADDATA, "a support lacks %s; it is no teacher's",
                field == CODE_END ? "the end of sequence" : "the token that stands there");
    return true;
}

// A plane of a field: byte number `plane` of each value.
static bool put(struct teacher_writer *w, const struct codes *c, enum teacher_field field,
                size_t plane, uint8_t *bytes) {
    size_t n = 0, each = values_each(c, field);
    for (size_t k = 0; k < c->positions; k++) {
        const uint32_t *x = c->value[field] + place_of(c, field, k);
        size_t values = each * (of_entries(field) ? c->value[CODE_ENTRIES][k] : 1);
        for (size_t i = 0; i < values; i++) bytes[n++] = (uint8_t)(x[i] >> 8 * plane);
    }
    return columns_append(w->columns, w->field[field] + plane, bytes, n);
}

static bool write_coded(struct teacher_writer *w, const struct teacher_row *row, size_t n) {
    struct codes c = codes_new(w, row, n);
    parallel_for(n, code_position, &c);
    bool ok = lacks_none(&c, CODE_REALISED) && lacks_none(&c, CODE_END);
    uint8_t *bytes = xmalloc(c.ends * c.first[n] + place_of(&c, CODE_TAIL, n));
    for (int f = 0; f < CODE_FIELDS; f++)
        for (size_t plane = 0; ok && plane < teacher_codec_planes(&w->code, f); plane++)
            ok = put(w, &c, f, plane, bytes);
    for (size_t k = 0; ok && w->alpha && k < n; k++)
        ok = columns_append(w->columns, w->alpha, &row->position[w->order[k].position].alpha, 1);
    free(bytes);
    codes_free(&c);
    return ok;
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
    assert(!row->components == !w->grid.n);
    ok = ok && (w->code.bits == 32 ? write_as_it_is : write_coded)(w, row, positions);
    return ok && columns_end_row(c);
}
