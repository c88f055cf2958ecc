#include "formats/teachers/teacher_file.h"
#include <stdlib.h>
#include <string.h>

static bool read_hash(struct columns_reader *r, const char *name, struct hash128 *to) {
    char *text = columns_text(r, name);
    bool ok = text && hash_parse(text, to);
    free(text);
    return ok;
}

static bool read_size(struct columns_reader *r, const char *name, size_t *to) {
    int64_t value = 0;
    bool ok = columns_int(r, name, &value) && value > 0 && value <= INT32_MAX;
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

static int32_t read_eos(struct columns_reader *r, size_t vocab) {
    int64_t eos = -1;
    bool known = columns_int(r, "eos", &eos) && eos >= 0 && eos < (int64_t)vocab;
    return known ? (int32_t)eos : -1;
}

bool teacher_info_layout(struct teacher_info *i, struct columns_reader *r) {
    *i = (struct teacher_info){.bits = teacher_bits(r), .eos = -1};
    if (!i->bits || !read_size(r, "vocab", &i->vocab) ||
        !read_size(r, "max_length", &i->max_length) || !read_layout(r, &i->grid))
        return false;
    i->eos = read_eos(r, i->vocab);
    return true;
}

bool teacher_info_read(struct teacher_info *i, struct columns_reader *r, struct fail *f) {
    struct teacher_info layout;
    size_t n;
    bool known = teacher_info_layout(&layout, r);
    *i = layout;
    char *beta = columns_text(r, "reward_beta");
    i->recipe = columns_text(r, "recipe");
    i->rule = columns_text(r, "rule");
    i->tokenizer_json = columns_blob(r, "tokenizer.json", &n);
    bool ok = beta && i->recipe && i->rule && i->bits && i->vocab && i->max_length &&
              read_hash(r, "tokenizer", &i->tokenizer) && read_hash(r, "reference", &i->reference);
    i->reward_beta = beta ? strtod(beta, NULL) : 0;
    free(beta);
    if (!ok)
        fail_set(f, EXIT_BADDATA, "'%s' lacks attributes of a teacher shard", columns_path(r));
    else if (!known)
        fail_set(f, EXIT_BADDATA, "'%s' has a layout that this release does not read",
                 columns_path(r));
    return !f->code;
}

void teacher_info_release(struct teacher_info *i) {
    free((char *)i->recipe);
    free((char *)i->rule);
    free((char *)i->tokenizer_json);
    *i = (struct teacher_info){0};
}
