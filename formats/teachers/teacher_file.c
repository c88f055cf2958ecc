#include "formats/teachers/teacher_file.h"
#include "formats/teachers/teacher_check.h"
#include "formats/teachers/teacher_columns.h"
#include "formats/teachers/teacher_damage.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

// ---- reading a shard

struct raw {                       // columns as stored, with their counts
    void *column[TEACHER_COLUMNS]; // NULL: there is none
    size_t n[TEACHER_COLUMNS];
    uint32_t *field[CODE_FIELDS]; // of a coded shard, in place of the columns after PROMPT
    size_t fields[CODE_FIELDS];
    const struct columns_holes *holes;
};

// Columns before `last`; components have no alpha, no realised and no log_most.
static bool read_raw(struct raw *raw, struct columns_reader *r, int last, bool components) {
    bool ok = true;
    for (int c = 0; ok && c < last; c++)
        if (!components || (c != ALPHA && c != REALISED && c != MOST))
            ok =
                columns_expect(r, 1, &teacher_columns[c]) &&
                (raw->column[c] = columns_read_all(r, teacher_columns[c].name, &raw->n[c])) != NULL;
    return ok;
}

// A field's columns of bytes, put together.
static bool read_field(struct raw *raw, enum teacher_field field, const struct teacher_codec *c,
                       struct columns_reader *r) {
    bool ok = true;
    for (size_t k = 0; ok && k < teacher_codec_planes(c, field); k++) {
        char name[CODE_NAME];
        size_t n = 0;
        teacher_codec_name(c, field, k, name);
        struct column column = {name, COLUMN_U8};
        uint8_t *bytes = columns_expect(r, 1, &column) ? columns_read_all(r, name, &n) : NULL;
        ok = bytes && (!k || n == raw->fields[field]);
        if (ok && !k) raw->field[field] = xcalloc(n, sizeof **raw->field);
        raw->fields[field] = k ? raw->fields[field] : n;
        for (size_t i = 0; ok && i < n; i++) raw->field[field][i] |= (uint32_t)bytes[i] << 8 * k;
        free(bytes);
    }
    return ok;
}

// Rows as lengths and masks say; false where the columns contradict each other. Rows from `known`
// on are lost: where they begin is not known.
static bool lay_rows(struct teacher_shard *t, const struct raw *raw, size_t positions) {
    const int32_t *length = raw->column[LENGTH], *prompt = raw->column[PROMPT];
    const uint8_t *mask = raw->column[MASK];
    size_t known = damage_before(raw->holes, "length", t->rows);
    size_t tokens = damage_before(raw->holes, "mask", raw->n[IDS]);
    size_t sure = damage_before(raw->holes, "entries*", positions);
    t->first = xcalloc(t->rows + 1, sizeof *t->first);
    t->position_first = xcalloc(t->rows + 1, sizeof *t->position_first);
    t->lost = xcalloc(t->rows + 1, sizeof *t->lost);
    if (raw->n[MASK] != raw->n[IDS]) return false;
    for (size_t row = 0; row < t->rows; row++) {
        size_t at = t->first[row], here = 0;
        t->first[row + 1] = at;
        t->position_first[row + 1] = t->position_first[row];
        t->lost[row] = row >= known;
        if (row >= known) continue;
        if (length[row] < 0 || (size_t)length[row] > raw->n[IDS] - at) return false;
        if (prompt[row] < 0 || prompt[row] > length[row]) return false;
        size_t end = at + (size_t)length[row];
        for (size_t i = at; i < end; i++) {
            if (mask[i] > 1) return false;
            here += i > at && mask[i];
        }
        if (end > tokens || t->position_first[row] + here > sure) known = row;
        t->lost[row] = row >= known;
        if (row >= known) continue;
        t->first[row + 1] = end;
        t->position_first[row + 1] += here;
    }
    return known < t->rows ||
           (t->first[t->rows] == raw->n[IDS] && t->position_first[t->rows] == positions);
}

// The rows that are lost too, once the places of all entries are known.
static void mark_lost_rows(struct teacher_shard *t, const struct raw *raw) {
    size_t *entry = xcalloc(t->rows + 1, sizeof *entry), p = 0;
    const uint16_t *plain = raw->column[ENTRIES];
    const uint32_t *coded = raw->field[CODE_ENTRIES];
    for (size_t row = 0; row < t->rows; row++) {
        entry[row + 1] = entry[row];
        for (; p < t->position_first[row + 1]; p++) entry[row + 1] += coded ? coded[p] : plain[p];
    }
    const struct {
        enum damage_unit unit;
        const size_t *first;
        size_t each;
    } all[] = {{DAMAGE_ROWS, NULL, 1},
               {DAMAGE_TOKENS, t->first, 1},
               {DAMAGE_POSITIONS, t->position_first, 1},
               {DAMAGE_TAILS, t->position_first, t->grid.n ? t->grid.n : 1},
               {DAMAGE_SUPPORT, entry, 1},
               {DAMAGE_LEVELS, entry, t->grid.n ? 2 : 1}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        damage_mark(raw->holes, all[i].unit, t->rows, all[i].first, all[i].each, t->lost);
    for (size_t row = 0; row < t->rows; row++) t->n_lost += t->lost[row];
    free(entry);
}

static bool lay_positions(struct teacher_shard *t, const struct raw *raw) {
    const uint16_t *entries = raw->column[ENTRIES];
    const float *tail = raw->column[TAIL], *alpha = raw->column[ALPHA];
    const float *tvd = raw->column[TVD], *realised = raw->column[REALISED];
    const float *most = raw->column[MOST];
    size_t n = t->position_first[t->rows], at = 0;
    if (raw->n[LOGP] != raw->n[SUPPORT]) return false;
    for (int c = TAIL; c < TEACHER_COLUMNS; c++)
        if (raw->column[c] && raw->n[c] != raw->n[ENTRIES]) return false;
    t->position = xcalloc(n, sizeof *t->position);
    for (size_t i = 0; i < n; i++) {
        if (entries[i] > raw->n[SUPPORT] - at) return false;
        t->position[i] = (struct teacher_position){.n = entries[i],
                                                   .ids = t->support + at,
                                                   .logp = t->logp + at,
                                                   .log_tail = tail[i],
                                                   .log_most = most ? most[i] : 0,
                                                   .alpha = alpha[i],
                                                   .tvd = tvd[i],
                                                   .realised = realised[i]};
        at += entries[i];
    }
    return t->n_lost || at == raw->n[SUPPORT];
}

static bool in_vocabulary(const int32_t *ids, size_t n, size_t vocab) {
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || (size_t)ids[i] >= vocab) return false;
    return true;
}

// Token ids from differences of codes; false where they leave the vocabulary.
static bool decode_support(const struct teacher_codec *c, const uint32_t *delta, size_t n,
                           int32_t *ids) {
    uint64_t number = 0;
    for (size_t i = 0; i < n; i++) {
        number += delta[i] + (uint64_t)(i > 0);
        if (number >= c->vocab) return false;
        ids[i] = c->token[number];
    }
    return true;
}

// Puts the tokens that are apart after the n others; false where one is among them.
static bool add_apart(const struct teacher_codec *c, const struct raw *raw, size_t i,
                      int32_t realised, size_t *n, int32_t *ids, uint32_t *level) {
    if (!c->apart) return true;
    if (*n + 2 > UINT16_MAX) return false;
    for (size_t k = 0; k < *n; k++)
        if (ids[k] == realised || ids[k] == c->end) return false;
    ids[*n] = realised;
    level[(*n)++] = raw->field[CODE_REALISED][i];
    if (c->end < 0 || c->end == realised) return true;
    ids[*n] = c->end;
    level[(*n)++] = raw->field[CODE_END][i];
    return true;
}

struct scratch {
    uint32_t *level;              // of one position
    struct teacher_stored *order; // (tokens)
    size_t tokens;
};
struct coded_position { // of a position: in the columns, in the row; of its entries: there, decoded
    size_t stored, position, at, to;
    int32_t realised;
};

static bool decode_position(struct teacher_shard *t, const struct teacher_codec *c,
                            const struct raw *raw, const struct coded_position *coded,
                            uint32_t *level) {
    size_t i = coded->stored, n = raw->field[CODE_ENTRIES][i];
    int32_t *ids = t->support + coded->to;
    float *logp = t->logp + coded->to;
    memcpy(level, raw->field[CODE_LEVEL] + coded->at, n * sizeof *level);
    double tail = teacher_codec_value(c, CODE_TAIL, raw->field[CODE_TAIL][i]);
    bool ok = decode_support(c, raw->field[CODE_SUPPORT] + coded->at, n, ids) &&
              add_apart(c, raw, i, coded->realised, &n, ids, level) && n && tail < 0;
    for (size_t k = 0; k < n; k++)
        if (level[k] >= c->levels) return false;
    if (!ok) return false;
    teacher_codec_decode(c, level, n, tail, logp);
    if (!isfinite(logp[0])) return false; // all of it below what a double holds
    double tvd = teacher_codec_value(c, CODE_TVD, raw->field[CODE_TVD][i]);
    double most = c->most ? teacher_codec_value(c, CODE_MOST, raw->field[CODE_MOST][i]) : 0;
    if (!isfinite(most)) return false;
    const float *alpha = raw->column[ALPHA];
    if (alpha && !isfinite(alpha[i])) return false;
    t->position[coded->position] =
        (struct teacher_position){.n = (uint32_t)n,
                                  .ids = ids,
                                  .logp = logp,
                                  .log_tail = (float)tail,
                                  .log_most = (float)most,
                                  .alpha = alpha ? alpha[i] : (float)teacher_alpha(&t->rule, tvd),
                                  .tvd = (float)tvd,
                                  .realised = NAN};
    double entropy = teacher_codec_value(c, CODE_ENTROPY, raw->field[CODE_ENTROPY][i]);
    if (c->apart) entropy = fmax(entropy + teacher_entropy_kept(logp, n, tail), 0);
    t->entropy[coded->position] = (float)entropy;
    return true;
}

// All positions of a row, whose entries begin at *at of the columns and at *to of what is decoded.
static bool decode_row(struct teacher_shard *t, const struct teacher_codec *c,
                       const struct raw *raw, size_t row, size_t *at, size_t *to,
                       struct scratch *s) {
    size_t first = t->first[row], n = t->first[row + 1] - first, position = t->position_first[row];
    size_t positions = t->position_first[row + 1] - position;
    if (!t->lost[row]) {
        grow(&s->order, &s->tokens, n, sizeof *s->order);
        teacher_codec_order(c, n, t->ids + first, t->mask + first, s->order);
    }
    for (size_t k = 0; k < positions; k++) {
        size_t i = position + k, here = raw->field[CODE_ENTRIES][i];
        if (here > raw->fields[CODE_SUPPORT] - *at) return false;
        if (!t->lost[row]) {
            struct coded_position coded = {i, position + s->order[k].position, *at, *to,
                                           t->ids[first + s->order[k].token]};
            if (!decode_position(t, c, raw, &coded, s->level)) return false;
            *to += t->position[coded.position].n;
        }
        *at += here;
    }
    return true;
}

static bool decode_positions(struct teacher_shard *t, const struct teacher_codec *c,
                             const struct raw *raw) {
    size_t n = raw->fields[CODE_ENTRIES], entries = raw->fields[CODE_SUPPORT], at = 0, to = 0;
    for (int f = CODE_REALISED; f < CODE_FIELDS; f++)
        if (teacher_codec_planes(c, f) && raw->fields[f] != n) return false;
    if (raw->fields[CODE_LEVEL] != entries || (raw->column[ALPHA] && raw->n[ALPHA] != n))
        return false;
    t->position = xcalloc(n, sizeof *t->position);
    t->entropy = xcalloc(n, sizeof *t->entropy);
    size_t all = entries + (c->apart ? 2 * n : 0);
    t->support = xcalloc(all, sizeof *t->support);
    t->logp = xcalloc(all, sizeof *t->logp);
    struct scratch s = {.level = xmalloc((UINT16_MAX + 2) * sizeof *s.level)};
    bool ok = true;
    for (size_t row = 0; ok && row < t->rows; row++) ok = decode_row(t, c, raw, row, &at, &to, &s);
    free(s.level);
    free(s.order);
    return ok && (t->n_lost || at == entries);
}

// ---- components

// Room for what is composed, and what it is composed from.
static void lay_components(struct teacher_shard *t, size_t positions, size_t entries) {
    t->components = xcalloc(positions, sizeof *t->components);
    t->logp = xcalloc(entries, sizeof *t->logp);
    if (!t->position) t->position = xcalloc(positions, sizeof *t->position);
}

static void lay_part(struct teacher_shard *t, size_t i, size_t at, size_t n) {
    t->components[i] = (struct teacher_components){
        .low = t->ends + 2 * at, .high = t->ends + 2 * at + n, .tail = t->tails + i * t->grid.n};
    t->position[i].n = (uint32_t)n;
    t->position[i].ids = t->support + at;
    t->position[i].logp = t->logp + at;
}

// most: 0, or a little more, to which what is rounded may come.
static bool all_log(const float *x, size_t n, float most) {
    for (size_t i = 0; i < n; i++)
        if (!(x[i] <= most && x[i] >= -1e4f)) return false;
    return true;
}

static bool load_plain_components(struct teacher_shard *t, const struct raw *raw) {
    const uint16_t *entries = raw->column[ENTRIES];
    const float *tvd = raw->column[TVD];
    size_t n = raw->n[ENTRIES], all = raw->n[SUPPORT], at = 0;
    bool ok = raw->n[LOGP] == 2 * all && raw->n[TAIL] == n * t->grid.n && raw->n[TVD] == n &&
              raw->n[ENTROPY] == n && all_log(t->ends, 2 * all, 1e-3f) &&
              all_log(t->tails, n * t->grid.n, 0);
    if (!ok) return false;
    lay_components(t, n, all);
    for (size_t i = 0; i < t->position_first[t->rows]; at += entries[i++]) {
        if (!entries[i] || entries[i] > all - at) return false;
        lay_part(t, i, at, entries[i]);
        t->position[i].tvd = tvd[i];
    }
    return t->n_lost || at == all;
}

static bool decode_part(struct teacher_shard *t, const struct teacher_codec *c,
                        const struct raw *raw, size_t i, size_t at) {
    size_t n = raw->field[CODE_ENTRIES][i];
    if (!decode_support(c, raw->field[CODE_SUPPORT] + at, n, t->support + at)) return false;
    lay_part(t, i, at, n);
    t->position[i].tvd = (float)teacher_codec_value(c, CODE_TVD, raw->field[CODE_TVD][i]);
    t->entropy[i] = (float)teacher_codec_value(c, CODE_ENTROPY, raw->field[CODE_ENTROPY][i]);
    return true;
}

static bool decode_components(struct teacher_shard *t, const struct teacher_codec *c,
                              const struct raw *raw) {
    size_t n = raw->fields[CODE_ENTRIES], all = raw->fields[CODE_SUPPORT], G = t->grid.n, at = 0;
    if (raw->fields[CODE_LEVEL] != 2 * all || raw->fields[CODE_TAIL] != n * G ||
        raw->fields[CODE_TVD] != n || raw->fields[CODE_ENTROPY] != n)
        return false;
    t->support = xcalloc(all, sizeof *t->support);
    t->ends = xcalloc(2 * all, sizeof *t->ends);
    t->tails = xcalloc(n * G, sizeof *t->tails);
    t->entropy = xcalloc(n, sizeof *t->entropy);
    lay_components(t, n, all);
    for (size_t i = 0; i < 2 * all; i++) {
        if (raw->field[CODE_LEVEL][i] >= c->levels) return false;
        t->ends[i] = c->level[raw->field[CODE_LEVEL][i]];
    }
    for (size_t i = 0; i < n * G; i++)
        t->tails[i] = (float)teacher_codec_value(c, CODE_TAIL, raw->field[CODE_TAIL][i]);
    for (size_t row = 0; row < t->rows; row++)
        for (size_t i = t->position_first[row]; i < t->position_first[row + 1]; i++) {
            size_t here = raw->field[CODE_ENTRIES][i];
            if (!here || here > all - at) return false;
            if (!t->lost[row] && !decode_part(t, c, raw, i, at)) return false;
            at += here;
        }
    return t->n_lost || at == all;
}

// ---- a whole shard

// log p* of the token that stands at each position: it is always in the support.
static void find_realised(struct teacher_shard *t) {
    for (size_t row = 0; row < t->rows; row++) {
        struct teacher_position *p = t->position + t->position_first[row];
        for (size_t i = t->first[row] + 1; i < t->first[row + 1]; i++) {
            if (!t->mask[i]) continue;
            for (uint32_t k = 0; k < p->n; k++)
                if (p->ids[k] == t->ids[i]) p->realised = p->logp[k];
            p++;
        }
    }
}

static bool load_coded(struct teacher_shard *t, struct raw *raw, const struct teacher_info *i,
                       struct columns_reader *r) {
    struct teacher_codec c = {0};
    char *rule = columns_text(r, "rule");
    bool ok = teacher_codec_read(&c, i, r);
    teacher_codec_version(&c, columns_artefact(r)->version, !t->grid.n, i->eos);
    for (int f = 0; ok && f < CODE_FIELDS; f++) ok = read_field(raw, f, &c, r);
    if (ok && !t->grid.n && !teacher_rule_from_tvd(rule, &t->rule))
        ok = columns_expect(r, 1, &teacher_columns[ALPHA]) &&
             (raw->column[ALPHA] = columns_read_all(r, "alpha", &raw->n[ALPHA])) != NULL;
    ok = ok && lay_rows(t, raw, raw->fields[CODE_ENTRIES]);
    if (ok) mark_lost_rows(t, raw);
    ok = ok && (t->grid.n ? decode_components(t, &c, raw) : decode_positions(t, &c, raw));
    if (ok && !t->grid.n) find_realised(t);
    teacher_codec_release(&c);
    free(rule);
    return ok;
}

void teacher_shard_compose(struct teacher_shard *t, const struct teacher_rule *rule) {
    bool stored = rule->alpha == t->rule.alpha && rule->strength == t->rule.strength;
    for (size_t i = 0; i < t->position_first[t->rows]; i++) {
        struct teacher_position *p = &t->position[i];
        if (!p->n) continue; // lost
        double alpha = teacher_alpha(rule, (double)p->tvd);
        p->alpha = (float)alpha;
        teacher_components_compose(&t->grid, &t->components[i], p->n, alpha, (float *)p->logp,
                                   &p->log_tail, NULL);
        if (!stored)
            t->entropy[i] = (float)teacher_entropy_kept(p->logp, p->n, (double)p->log_tail);
    }
    find_realised(t);
}

// By the rule in the file; where that has none, as the grid begins.
static void compose_stored(struct teacher_shard *t, struct columns_reader *r) {
    char *rule = columns_text(r, "rule");
    if (!teacher_rule_from_tvd(rule, &t->rule))
        t->rule = (struct teacher_rule){.alpha = ALPHA_FIXED, .strength = t->grid.alpha[0]};
    free(rule);
    struct teacher_rule own = t->rule;
    teacher_shard_compose(t, &own);
}

static bool load_plain(struct teacher_shard *t, const struct raw *raw) {
    if (!lay_rows(t, raw, raw->n[ENTRIES])) return false;
    mark_lost_rows(t, raw);
    return t->grid.n ? load_plain_components(t, raw) : lay_positions(t, raw);
}

bool teacher_shard_load(struct teacher_shard *t, struct columns_reader *r, struct fail *f) {
    struct raw raw = {.holes = columns_holes(r)};
    int64_t version = columns_artefact(r)->version;
    struct teacher_info i;
    *t = (struct teacher_shard){0};
    bool ok = teacher_info_layout(&i, r) && read_raw(&raw, r,
                                                     i.bits != 32  ? ENTRIES
                                                     : version > 4 ? TEACHER_COLUMNS
                                                                   : MOST,
                                                     i.grid.n != 0);
    t->grid = i.grid;
    t->rows = ok ? columns_part(r).rows : 0;
    t->ids = raw.column[IDS];
    t->mask = raw.column[MASK];
    t->prompt_length = raw.column[PROMPT];
    t->support = raw.column[SUPPORT];
    if (t->grid.n) {
        t->ends = raw.column[LOGP];
        t->tails = raw.column[TAIL];
    } else {
        t->logp = raw.column[LOGP];
    }
    t->entropy = raw.column[ENTROPY];
    ok = ok && raw.n[LENGTH] == t->rows && raw.n[PROMPT] == t->rows &&
         in_vocabulary(t->ids, raw.n[IDS], i.vocab) &&
         (i.bits == 32 ? load_plain(t, &raw) : load_coded(t, &raw, &i, r)) &&
         teacher_check(t, &i, i.bits == 32, r, f) && columns_verify(r);
    static const int scratch[] = {LENGTH, ENTRIES, ALPHA, TVD, REALISED, MOST};
    for (size_t k = 0; k < sizeof scratch / sizeof *scratch; k++) free(raw.column[scratch[k]]);
    if (!t->grid.n) free(raw.column[TAIL]);
    for (int k = 0; k < CODE_FIELDS; k++) free(raw.field[k]);
    if (ok && t->grid.n) compose_stored(t, r);
    if (ok) return true;
    teacher_shard_release(t);
    fail_pass(f, columns_why(r));
    return fail_set(f, EXIT_BADDATA, "'%s' is damaged: its columns do not fit each other",
                    columns_path(r));
}

struct teacher_row teacher_shard_row(const struct teacher_shard *t, size_t row) {
    size_t at = t->first[row], position = t->position_first[row];
    if (t->lost[row]) return (struct teacher_row){0};
    return (struct teacher_row){.n = t->first[row + 1] - at,
                                .prompt_length = (size_t)t->prompt_length[row],
                                .ids = t->ids + at,
                                .mask = t->mask + at,
                                .positions = t->position_first[row + 1] - position,
                                .position = t->position + position,
                                .entropy = t->entropy + position,
                                .components = t->components ? t->components + position : NULL};
}

void teacher_shard_release(struct teacher_shard *t) {
    void *owned[] = {t->first, t->position_first, t->ids,     t->prompt_length, t->support,
                     t->mask,  t->logp,           t->entropy, t->position,      t->components,
                     t->ends,  t->tails,          t->lost};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) free(owned[i]);
    *t = (struct teacher_shard){0};
}
