// The tensors of a Hugging Face folder against our tensor table; see formats/models/huggingface.h.
#include "formats/bytes/stream.h"
#include "formats/models/huggingface.h"
#include "formats/models/safetensors.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char embed_name[] = "model.embed_tokens.weight", head_name[] = "lm_head.weight";

struct complaint { // what does not fit; the first few are spelled out
    struct str text;
    size_t n;
};

static void complain(struct complaint *c, const char *what, const char *name, const char *shapes) {
    if (c->n++ >= 4) return;
    str_printf(&c->text, "%s%s '%s' %s", c->n > 1 ? ", " : "", what, name, shapes);
}

static bool shape_fits(const struct tensor *t, const struct safe_tensor *s) {
    if (t->vector) return s->rank == 1 && s->shape[0] == t->cols;
    return s->rank == 2 && s->shape[0] == t->rows && s->shape[1] == t->cols;
}

static const struct safe_tensor *source_of(const struct safetensors *s, const struct model *m,
                                           const struct tensor *t) {
    const struct safe_tensor *found = safetensors_find(s, t->name);
    if (!found && m->config.tied && !strcmp(t->name, embed_name))
        found = safetensors_find(s, head_name);
    return found;
}

// Buffers that old checkpoints carry and that we compute ourselves.
static bool is_buffer(const char *name) {
    return text_ends(name, ".rotary_emb.inv_freq");
}

static bool is_wanted(const struct model *m, const char *name) {
    return model_tensor(m, name) || (m->config.tied && !strcmp(name, head_name));
}

static void check_tensor(struct complaint *c, const struct tensor *t, const struct safe_tensor *s) {
    char want[64], pair[160], have[80];
    if (t->vector)
        snprintf(want, sizeof want, "(%zu)", t->cols);
    else
        snprintf(want, sizeof want, "(%zu, %zu)", t->rows, t->cols);
    if (!s) {
        complain(c, "missing", t->name, want);
        return;
    }
    safetensors_shape(s, have, sizeof have);
    snprintf(pair, sizeof pair, "%s instead of %s", have, want);
    if (!shape_fits(t, s)) complain(c, "misshapen", s->name, pair);
}

static bool check_tensors(const struct safetensors *s, const struct model *m, const char *folder,
                          struct fail *f) {
    struct complaint c = {0};
    for (size_t i = 0; i < m->n_tensors; i++)
        check_tensor(&c, &m->tensors[i], source_of(s, m, &m->tensors[i]));
    for (size_t i = 0; i < s->n; i++) {
        char shape[80];
        safetensors_shape(&s->tensors[i], shape, sizeof shape);
        if (!is_wanted(m, s->tensors[i].name) && !is_buffer(s->tensors[i].name))
            complain(&c, "surplus", s->tensors[i].name, shape);
    }
    if (c.n > 4) str_printf(&c.text, " and %zu more", c.n - 4);
    if (c.n)
        fail_set(f, EXIT_BADDATA, "tensors do not fit the config.json of '%s': %s", folder,
                 c.text.text);
    str_release(&c.text);
    return !f->code;
}

// A tied model may hold its matrix under both names, but then twice the same.
static bool check_tie(const struct safetensors *s, const struct model *m, const char *folder,
                      struct fail *f) {
    const struct safe_tensor *e = safetensors_find(s, embed_name),
                             *h = safetensors_find(s, head_name);
    if (!m->config.tied || !e || !h) return true;
    return safetensors_same(e, h, f) ||
           fail_set(f, EXIT_BADDATA,
                    "'%s' and '%s' differ in '%s' although tie_word_embeddings is true", embed_name,
                    head_name, folder);
}

static bool read_block(void *self, const struct tensor *t, size_t first, size_t n, float *to,
                       struct fail *f) {
    const struct huggingface_source *s = self;
    const struct safe_tensor *from = source_of(s->files, s->model, t);
    if (!safetensors_read_part(from, first, n, to, f)) return false;
    return tensor_file_finite(to, n) ||
           fail_set(f, EXIT_BADDATA, "tensor '%s' holds a NaN or an infinity", from->name);
}

static bool all_bf16(const struct safetensors *s, const struct model *m) {
    for (size_t i = 0; i < m->n_tensors; i++)
        if (!m->tensors[i].vector && source_of(s, m, &m->tensors[i])->type != SAFE_BF16)
            return false;
    return true;
}

bool huggingface_open(struct huggingface_source *s, const char *folder, const struct model *m,
                      struct fail *f) {
    *s = (struct huggingface_source){{read_block, s, false}, xcalloc(1, sizeof *s->files), m};
    if (!safetensors_open(s->files, folder, f) || !check_tensors(s->files, m, folder, f))
        return false;
    s->source.bf16 = all_bf16(s->files, m);
    return true;
}

void huggingface_close(struct huggingface_source *s) {
    if (s->files) safetensors_close(s->files);
    free(s->files);
    s->files = NULL;
}

bool huggingface_check(const char *folder, const struct model *m, struct parents *parents,
                       struct fail *f) {
    struct safetensors s;
    if (!safetensors_open(&s, folder, f)) return false;
    bool ok = check_tensors(&s, m, folder, f) && check_tie(&s, m, folder, f);
    for (size_t i = 0; ok && i < s.n_files; i++) {
        struct hash128 hash;
        ok = stream_hash(s.files[i]->path, &hash, f);
        if (ok) parents_add(parents, "safetensors", hash);
    }
    safetensors_close(&s);
    return ok;
}

bool huggingface_weights(const char *folder, struct model *m, struct fail *f) {
    struct huggingface_source s;
    bool ok = huggingface_open(&s, folder, m, f);
    if (ok && !m->params) model_alloc(m);
    for (size_t i = 0; ok && i < m->n_tensors; i++) {
        const struct tensor *t = &m->tensors[i];
        ok = read_block(&s, t, 0, t->rows * t->cols, m->params + t->offset, f);
    }
    huggingface_close(&s);
    return ok;
}
