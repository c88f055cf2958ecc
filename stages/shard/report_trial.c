#include "formats/store/zfilter.h"
#include "stages/shard/report.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void report_add(struct report_trial *t, const struct report_job *j, const struct sample_position *p,
                const float *kept, double log_tail, double log_most) {
    float *star = xmalloc(p->n * sizeof *star);
    for (size_t k = 0; k < p->n; k++) {
        star[k] = p->entry[k].logp;
        t->entries += !isnan(kept[k]);
    }
    t->kl += fidelity_kl(p->n, star, kept, log_tail, p->q, p->qlogq, j->sample->V);
    for (size_t m = 0; m < j->sample->students; m++)
        fidelity_add(t->sum[m], &p->student[m], p->n, kept, log_tail, log_most);
    free(star);
}

size_t report_stored(const void *bytes, size_t n, size_t size, int level) {
    const unsigned char *from = bytes;
    unsigned char *to = xmalloc(zfilter_bound(COLUMN_CHUNK * size));
    size_t stored = 0;
    for (size_t at = 0; at < n; at += COLUMN_CHUNK) {
        size_t here = n - at < COLUMN_CHUNK ? n - at : COLUMN_CHUNK;
        stored += zfilter_encode(from + at * size, here * size, size, level, to);
    }
    free(to);
    return stored;
}

// ---- our own file

struct row_buffers { // of one row's positions
    struct teacher_position *position;
    float *entropy, *logp, *kept;
    int32_t *ids;
};

static void fill_position(const struct report_setting *s, int32_t eos,
                          const struct sample_position *p, struct row_buffers *b, size_t i,
                          size_t *at) {
    const struct teacher_cut cut = {
        .top_k = s->top_k, .mass = s->mass, .least = s->least, .eos = eos};
    double most, tail = s->error_budget > 0
                            ? fidelity_sample_within(p, s->budget, eos, b->kept, &most)
                            : fidelity_sample_cut(p, &cut, s->student_k, b->kept, &most);
    size_t first = *at;
    for (size_t k = 0; k < p->n; k++) {
        if (isnan(b->kept[k])) continue;
        b->ids[*at] = p->entry[k].id;
        b->logp[(*at)++] = b->kept[k];
    }
    b->position[i] = (struct teacher_position){.n = (uint32_t)(*at - first),
                                               .ids = b->ids + first,
                                               .logp = b->logp + first,
                                               .log_tail = (float)tail,
                                               .log_most = (float)most,
                                               .alpha = p->alpha,
                                               .tvd = p->tvd,
                                               .realised = p->realised};
    b->entropy[i] = p->entropy;
}

static bool write_rows(const struct report_job *j, const struct report_setting *s,
                       struct teacher_writer *w) {
    const struct fidelity_sample *m = j->sample;
    const struct tokens *t = m->tokens;
    size_t longest = t->longest, room = longest * m->most, done = 0;
    struct row_buffers b = {xmalloc(longest * sizeof *b.position),
                            xmalloc(longest * sizeof *b.entropy), xmalloc(room * sizeof *b.logp),
                            xmalloc(room * sizeof *b.kept), xmalloc(room * sizeof *b.ids)};
    bool ok = true;
    for (size_t r = 0; ok && r < m->rows; r++) {
        size_t first = t->first[m->row[r]], n = t->first[m->row[r] + 1] - first, here = 0, at = 0;
        for (size_t i = 1; i < n; i++)
            if (t->mask[first + i]) fill_position(s, m->eos, &m->position[done++], &b, here++, &at);
        struct teacher_row row = {.n = n,
                                  .prompt_length = (size_t)t->prompt_length[m->row[r]],
                                  .ids = t->ids + first,
                                  .mask = t->mask + first,
                                  .positions = here,
                                  .position = b.position,
                                  .entropy = b.entropy};
        ok = teacher_write(w, &row);
    }
    void *all[] = {b.position, b.entropy, b.logp, b.kept, b.ids};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    return ok;
}

static bool write_cache(const struct report_job *j, const struct report_setting *s,
                        struct fail *f) {
    const struct lineage l = {.kind = "teacher", .stage = "shard report", .options = "{}"};
    const struct columns_plan plan = {.rows_total = j->sample->rows, .zstd_level = j->zstd_level};
    struct teacher_info info = *j->info;
    info.bits = s->bits;
    info.error_budget = s->error_budget;
    struct teacher_writer *w = teacher_writer_open(j->scratch, &l, &info, &plan, f);
    if (w && write_rows(j, s, w)) return teacher_writer_commit(w, NULL);
    teacher_writer_abandon(w, false);
    return false;
}

static void measure(const struct report_job *j, const struct teacher_shard *shard,
                    struct report_trial *t) {
    float *kept = xmalloc(j->sample->most * sizeof *kept);
    for (size_t i = 0; i < j->sample->positions; i++) {
        const struct sample_position *p = &j->sample->position[i];
        const struct teacher_position *c = &shard->position[i];
        for (size_t k = 0; k < p->n; k++) {
            kept[k] = NAN;
            j->where[p->entry[k].id] = (int32_t)k;
        }
        for (uint32_t k = 0; k < c->n; k++) kept[j->where[c->ids[k]]] = c->logp[k];
        for (size_t k = 0; k < p->n; k++) j->where[p->entry[k].id] = -1;
        report_add(t, j, p, kept, (double)c->log_tail, (double)c->log_most);
    }
    free(kept);
}

static bool is_of(const char *column, const char *const *names, size_t n) {
    for (size_t i = 0; i < n; i++) {
        size_t length = strlen(names[i]);
        if (strncmp(column, names[i], length) != 0) continue;
        if (!column[length] || column[length] == '_') return true; // or a plane of it
    }
    return false;
}

void report_count_stored(struct columns_reader *r, double *all, double *alike) {
    static const char *const tokens[] = {"ids", "mask", "length", "prompt_length"};
    static const char *const ours[] = {"tail", "log_tail", "most", "log_most",
                                       "tvd",  "entropy",  "alpha"};
    size_t n;
    const struct column *c = columns_list(r, &n);
    for (size_t i = 0; i < n; i++) {
        if (is_of(c[i].name, tokens, 4)) continue;
        double bytes = (double)columns_stored(r, c[i].name);
        *all += bytes;
        if (!is_of(c[i].name, ours, 7)) *alike += bytes;
    }
}

static bool try_cache(const struct report_job *j, struct report_trial *t, struct fail *f) {
    struct teacher_shard shard = {0};
    if (!write_cache(j, &t->setting, f)) return false;
    struct columns_reader *r = columns_open(j->scratch, "teacher", f);
    bool ok = r && teacher_shard_load(&shard, r, f);
    if (ok) {
        report_count_stored(r, &t->bytes, &t->alike);
        measure(j, &shard, t);
    }
    teacher_shard_release(&shard);
    columns_close(r);
    unlink(j->scratch);
    return ok;
}

bool report_try(const struct report_job *j, const struct report_setting *s, struct report_trial *t,
                struct fail *f) {
    double n = (double)j->sample->positions;
    *t = (struct report_trial){.setting = *s};
    t->sum = xcalloc(j->sample->students, sizeof *t->sum);
    if (s->coding == REPORT_CACHE && !try_cache(j, t, f)) return false;
    if (s->coding != REPORT_CACHE) {
        report_peer(j, t);
        t->alike = t->bytes;
    }
    t->entries /= n;
    t->bytes /= n;
    t->alike /= n;
    t->kl /= n;
    return true;
}
