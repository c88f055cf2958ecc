#include "formats/teacher_file.h"
#include "common/stop.h"
#include <stdlib.h>
#include <string.h>

struct shard {
    char *path; // NULL: not yet there
    size_t rows, first;
    struct hash128 content;
    bool loaded;
    uint64_t touched;
    struct teacher_shard data;
};

struct teacher_set {
    struct path_source *paths;
    struct columns_reader *model; // the first one to come: all others must be of its set
    struct teacher_info info;
    bool compose; // by `rule`
    struct teacher_rule rule;
    size_t parts, rows, there, keep;
    struct shard *shard; // (parts)
    uint64_t clock;
    struct parents parents;
    struct fail *fail;
};

static bool alive(const struct teacher_set *s) {
    return s && !s->fail->code;
}

// ---- shards as they come

static bool begin(struct teacher_set *s, struct columns_reader *r) {
    s->model = r;
    if (!teacher_info_read(&s->info, r, s->fail)) return false;
    s->parts = columns_part(r).parts;
    s->rows = columns_part(r).rows_total;
    if (s->parts > 1 << 20 || !s->rows)
        return fail_set(s->fail, EXIT_BADDATA, "'%s' has no rows", columns_path(r));
    s->shard = xcalloc(s->parts, sizeof *s->shard);
    return true;
}

static bool take(struct teacher_set *s, const char *path) {
    struct columns_reader *r = columns_open(path, "teacher", s->fail);
    if (!r) return false;
    bool first = !s->model;
    bool ok = first ? begin(s, r) : columns_same_set(s->model, r, s->fail);
    struct part part = columns_part(r);
    struct shard *shard = ok ? &s->shard[part.part] : NULL;
    if (ok && shard->path) {
        if (!hash_equal(shard->content, columns_artefact(r)->content))
            fail_set(s->fail, EXIT_BADDATA, "'%s' and '%s' are the same part %zu", shard->path,
                     path, part.part);
    } else if (ok) {
        shard->path = xstrdup(path);
        shard->rows = part.rows;
        shard->first = part.first_row;
        shard->content = columns_artefact(r)->content;
        s->there++;
    }
    if (!first) columns_close(r);
    return alive(s);
}

// Waits for one more shard.
static bool take_next(struct teacher_set *s) {
    if (!alive(s)) return false;
    const char *path = path_source_next(s->paths);
    if (path) return take(s, path);
    if (stop_requested())
        return fail_set(s->fail, EXIT_STOPPED,
                        "stopped while it waited for a teacher shard; run the same command again");
    if (!s->model) return fail_set(s->fail, EXIT_BADDATA, "no teacher shards were given");
    return fail_set(s->fail, EXIT_BADDATA,
                    "'%s' is of a set of %zu parts, of which %zu came; give them all",
                    columns_path(s->model), s->parts, s->there);
}

static bool take_all(struct teacher_set *s) {
    while (alive(s) && s->there < s->parts) take_next(s);
    size_t next = 0;
    for (size_t i = 0; alive(s) && i < s->parts; i++) {
        if (s->shard[i].first != next)
            fail_set(s->fail, EXIT_BADDATA, "'%s' does not begin at row %zu; its set is mixed",
                     s->shard[i].path, next);
        next += s->shard[i].rows;
    }
    return alive(s);
}

struct teacher_set *teacher_set_open(size_t n, const char *const *items, struct fail *f) {
    if (f->code) return NULL;
    struct teacher_set *s = xcalloc(1, sizeof *s);
    *s = (struct teacher_set){.paths = path_source_open(n, items), .keep = 16, .fail = f};
    path_source_stop(s->paths, stop_requested);
    bool stream = false;
    for (size_t i = 0; i < n; i++) stream = stream || strcmp(items[i], "-") == 0;
    if (take_next(s) && (stream || take_all(s))) return s;
    teacher_set_close(s);
    return NULL;
}

void teacher_set_close(struct teacher_set *s) {
    if (!s) return;
    for (size_t i = 0; s->shard && i < s->parts; i++) {
        free(s->shard[i].path);
        teacher_shard_release(&s->shard[i].data);
    }
    free(s->shard);
    teacher_info_release(&s->info);
    parents_release(&s->parents);
    columns_close(s->model);
    path_source_close(s->paths);
    free(s);
}

// ---- what the set says

void teacher_set_keep(struct teacher_set *s, size_t shards) {
    s->keep = shards < 2 ? 2 : shards;
}

void teacher_set_compose(struct teacher_set *s, const struct teacher_rule *rule) {
    s->compose = true;
    s->rule = *rule;
}

size_t teacher_set_parts(const struct teacher_set *s) {
    return s->parts;
}

size_t teacher_set_rows(const struct teacher_set *s) {
    return s->rows;
}

const struct teacher_info *teacher_set_info(const struct teacher_set *s) {
    return &s->info;
}

static struct shard *wait_for(struct teacher_set *s, size_t part) {
    while (alive(s) && part < s->parts && !s->shard[part].path) take_next(s);
    return alive(s) && part < s->parts ? &s->shard[part] : NULL;
}

size_t teacher_set_part_rows(struct teacher_set *s, size_t part) {
    struct shard *shard = wait_for(s, part);
    return shard ? shard->rows : 0;
}

struct hash128 teacher_set_first(struct teacher_set *s) {
    struct shard *shard = wait_for(s, 0);
    return shard ? shard->content : (struct hash128){0, 0};
}

const struct parents *teacher_set_parents(struct teacher_set *s) {
    if (!take_all(s)) return NULL;
    if (!s->parents.n)
        for (size_t i = 0; i < s->parts; i++)
            parents_add(&s->parents, "teacher", s->shard[i].content);
    return &s->parents;
}

// ---- rows

static void make_room(struct teacher_set *s) {
    size_t loaded = 0;
    struct shard *oldest = NULL;
    for (size_t i = 0; i < s->parts; i++) {
        struct shard *shard = &s->shard[i];
        if (!shard->loaded) continue;
        loaded++;
        if (!oldest || shard->touched < oldest->touched) oldest = shard;
    }
    if (loaded < s->keep) return;
    teacher_shard_release(&oldest->data);
    oldest->loaded = false;
}

static bool load(struct teacher_set *s, struct shard *shard) {
    if (shard->loaded) return true;
    make_room(s);
    struct columns_reader *r = columns_open(shard->path, "teacher", s->fail);
    if (r && !hash_equal(columns_artefact(r)->content, shard->content))
        fail_set(s->fail, EXIT_BADDATA, "'%s' was replaced while it was being read", shard->path);
    shard->loaded = r && alive(s) && teacher_shard_load(&shard->data, r, s->fail);
    if (shard->loaded && s->compose) teacher_shard_compose(&shard->data, &s->rule);
    columns_close(r);
    return shard->loaded;
}

static struct shard *holding(struct teacher_set *s, size_t row) {
    for (size_t i = 0; i < s->parts; i++) {
        struct shard *shard = &s->shard[i];
        if (shard->path && row >= shard->first && row - shard->first < shard->rows) return shard;
    }
    return NULL;
}

static struct shard *touch(struct teacher_set *s, size_t row) {
    struct shard *shard = NULL;
    while (alive(s) && !(shard = holding(s, row))) take_next(s);
    if (!shard || !alive(s) || !load(s, shard)) return NULL;
    shard->touched = ++s->clock;
    return shard;
}

size_t teacher_set_length(struct teacher_set *s, size_t row) {
    struct shard *shard = touch(s, row);
    return shard ? teacher_shard_row(&shard->data, row - shard->first).n : 0;
}

bool teacher_set_row(struct teacher_set *s, size_t row, struct teacher_row *out) {
    struct shard *shard = touch(s, row);
    if (shard) *out = teacher_shard_row(&shard->data, row - shard->first);
    return shard != NULL;
}
