#include "formats/teachers/teacher_file.h"
#include "common/base/value.h"
#include "common/engine/model.h"
#include "formats/bytes/json.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool read_hash(struct columns_reader *r, const char *name, struct hash128 *to) {
    char *text = columns_text(r, name);
    bool ok = text && hash_parse(text, to);
    free(text);
    return ok;
}

static bool read_size(struct columns_reader *r, const char *name, int64_t most, size_t *to) {
    int64_t value = 0;
    bool ok = columns_int(r, name, &value) && value > 0 && value <= most;
    *to = ok ? (size_t)value : 0;
    return ok;
}

// 0: no coding that this release reads. Files of version 1 do not say.
static int teacher_bits(struct columns_reader *r) {
    int64_t bits = 32;
    columns_int(r, "bits", &bits);
    return teacher_codec_bits(bits) ? (int)bits : 0;
}

// False: a layout that is not known here.
static bool read_layout(struct columns_reader *r, struct teacher_grid *g) {
    char *layout = columns_text(r, "layout"), *grid = columns_text(r, "alpha_grid");
    bool components = layout && !strcmp(layout, "components");
    *g = (struct teacher_grid){0};
    bool known =
        layout && (components ? grid && teacher_grid_parse(grid, g) : !strcmp(layout, "composed"));
    free(layout);
    free(grid);
    return known;
}

// False: no id of the vocabulary. Files of versions 1 to 3 may lack it.
static bool read_eos(struct columns_reader *r, size_t vocab, int32_t *to) {
    int64_t eos = -1;
    columns_int(r, "eos", &eos);
    *to = (int32_t)eos;
    return eos >= -1 && eos < (int64_t)vocab;
}

bool teacher_codec_read(struct teacher_codec *c, const struct teacher_info *i,
                        struct columns_reader *r) {
    size_t n = 0, levels = 0;
    char *common = columns_blob(r, "common", &n), *level = columns_blob(r, "levels", &levels);
    bool ok =
        common && level && n % sizeof *c->token == 0 && n / sizeof *c->token <= i->vocab &&
        levels % sizeof *c->level == 0 &&
        teacher_codec_init(c, i->bits, i->vocab, n / sizeof *c->token, (int32_t *)(void *)common,
                           levels / sizeof *c->level, (float *)(void *)level);
    free(common);
    free(level);
    return ok;
}

bool teacher_info_layout(struct teacher_info *i, struct columns_reader *r) {
    *i = (struct teacher_info){.bits = teacher_bits(r), .eos = -1};
    return i->bits && read_size(r, "vocab", MODEL_VOCAB, &i->vocab) &&
           read_size(r, "max_length", INT32_MAX, &i->max_length) && read_layout(r, &i->grid) &&
           read_eos(r, i->vocab, &i->eos);
}

// A number that is not negative, and nothing behind it.
static bool read_beta(const char *text, double *to) {
    return text && value_real(text, to) && isfinite(*to) && *to >= 0;
}

static bool is_json(const char *text) {
    struct fail ignored = {0};
    struct json *j = text ? json_parse(text, strlen(text), "rule", &ignored) : NULL;
    bool object = json_type(j) == JSON_OBJECT;
    json_free(j);
    return object;
}

// The numbering of tokens and the levels that are stored, where numbers are coded.
static bool read_codes(const struct teacher_info *i, struct columns_reader *r) {
    struct teacher_codec c = {0};
    bool ok = i->bits == 32 || teacher_codec_read(&c, i, r);
    teacher_codec_release(&c);
    return ok;
}

bool teacher_info_read(struct teacher_info *i, struct columns_reader *r, struct fail *f) {
    struct teacher_info layout;
    size_t n;
    bool known = teacher_info_layout(&layout, r);
    *i = layout;
    char *beta = columns_text(r, "reward_beta");
    char *budget = columns_text(r, "error_budget");
    i->error_budget = budget ? strtod(budget, NULL) : 0; // older files do not say
    free(budget);
    i->recipe = columns_text(r, "recipe");
    i->rule = columns_text(r, "rule");
    i->tokenizer_json = columns_blob(r, "tokenizer.json", &n);
    bool ok = read_beta(beta, &i->reward_beta) && i->recipe && is_json(i->rule) && i->bits &&
              i->vocab && i->max_length && read_hash(r, "tokenizer", &i->tokenizer) &&
              read_hash(r, "reference", &i->reference);
    free(beta);
    fail_pass(f, columns_why(r));
    if (!ok)
        fail_set(f, EXIT_BADDATA, "'%s' lacks attributes of a teacher shard", columns_path(r));
    else if (!known)
        fail_set(f, EXIT_BADDATA, "'%s' has a layout that this release does not read",
                 columns_path(r));
    else if (!read_codes(i, r) && fail_pass(f, columns_why(r)))
        fail_set(f, EXIT_BADDATA, "'%s' is damaged: its 'common' or 'levels' make no code",
                 columns_path(r));
    return !f->code;
}

void teacher_info_release(struct teacher_info *i) {
    free((char *)i->recipe);
    free((char *)i->rule);
    free((char *)i->tokenizer_json);
    *i = (struct teacher_info){0};
}
