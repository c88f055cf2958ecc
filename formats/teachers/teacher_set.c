#include "formats/teachers/teacher_set.h"
#include "formats/store/row_hashes.h"
#include "formats/teachers/teacher_damage.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct shard {
    char *path; // NULL: not yet there
    struct part part;
    size_t bytes, reading; // about: decoded, and besides while it is being read
    struct hash128 content;
    bool loaded, held, counted;
    char *damage; // what is lost of it and why; NULL: nothing
    uint64_t touched;
    struct teacher_shard data;
};

struct cache {
    struct columns_reader *model; // the first one to come: all others must be of its set
    struct teacher_info info;
    size_t first_part, parts, there, first_row, rows;
};

struct teacher_set {
    struct path_source *paths;
    bool stream, skip_bad;
    size_t caches, parts, rows, keep;
    struct cache *cache; // (caches)
    struct shard *shard; // (parts)
    struct teacher_info info;
    bool compose; // by `rule`
    struct teacher_rule rule;
    uint64_t clock;
    struct parents parents;
    struct row_hashes hashes;
    struct teacher_set_numbers numbers;
    pthread_mutex_t hdf5;
    struct fail *fail;
};

static bool alive(const struct teacher_set *s) {
    return s && !s->fail->code;
}

// ---- shards as they come

static bool bad_mix(struct teacher_set *s, struct columns_reader *r, const char *what) {
    return fail_set(s->fail, EXIT_BADDATA,
                    "'%s' and '%s' are caches of different %s; distil from "
                    "one after the other",
                    columns_path(s->cache[0].model), columns_path(r), what);
}

static bool goes_with(struct teacher_set *s, const struct teacher_info *i,
                      struct columns_reader *r) {
    const struct teacher_info *first = &s->cache[0].info;
    if (!hash_equal(i->tokenizer, first->tokenizer)) return bad_mix(s, r, "tokenizers");
    if (i->vocab != first->vocab && hash_is_zero(i->tokenizer)) // else they differ in padding
        return bad_mix(s, r, "vocabularies");
    if (strcmp(i->recipe, first->recipe)) return bad_mix(s, r, "recipes");
    if (i->grid.n != first->grid.n) return bad_mix(s, r, "layouts");
    if (i->grid.n && (memcmp(i->grid.alpha, first->grid.alpha, i->grid.n * sizeof *i->grid.alpha) ||
                      strcmp(i->rule, first->rule)))
        return bad_mix(s, r, "grids or rules");
    return true;
}

// One more cache, after those that are known.
static struct cache *begin(struct teacher_set *s, struct columns_reader *r) {
    struct part p = columns_part(r);
    s->cache = xrealloc(s->cache, (s->caches + 1) * sizeof *s->cache);
    struct cache *c = &s->cache[s->caches++];
    *c = (struct cache){.model = r,
                        .first_part = s->parts,
                        .parts = p.parts,
                        .first_row = s->rows,
                        .rows = p.rows_total};
    if (!teacher_info_read(&c->info, r, s->fail) || !goes_with(s, &c->info, r)) return NULL;
    if (c->parts > 1 << 20 || !c->rows) {
        fail_set(s->fail, EXIT_BADDATA, "'%s' has no rows", columns_path(r));
        return NULL;
    }
    s->parts += c->parts;
    s->rows += c->rows;
    s->shard = xrealloc(s->shard, s->parts * sizeof *s->shard);
    memset(s->shard + c->first_part, 0, c->parts * sizeof *s->shard);
    size_t longest = s->info.max_length;
    s->info = s->cache[0].info;
    s->info.max_length = longest > c->info.max_length ? longest : c->info.max_length;
    return c;
}

// The cache that the shard is of. A stream is of one.
static struct cache *cache_of(struct teacher_set *s, struct columns_reader *r) {
    for (size_t i = 0; i < s->caches; i++) {
        struct fail other = {0};
        if (columns_same_set(s->cache[i].model, r, &other)) return &s->cache[i];
        if (s->stream) fail_pass(s->fail, &other);
    }
    return alive(s) ? begin(s, r) : NULL;
}

// Elements of a column; 0: there is none of that name.
static size_t elements(struct columns_reader *r, const char *name) {
    size_t n;
    const struct column *columns = columns_list(r, &n);
    while (n && strcmp(columns[n - 1].name, name) != 0) n--;
    return n ? columns_count(r, name) : 0;
}

// About the bytes of a shard that teacher_shard_load has read.
static size_t kept_bytes(struct columns_reader *r, const struct teacher_info *i) {
    bool coded = i->bits && i->bits != 32;
    size_t positions = elements(r, coded ? "entries_low" : "entries");
    size_t entries = elements(r, coded ? "support_low" : "support");
    size_t rest = sizeof(struct teacher_position) + sizeof(float); // the entropy
    entries += elements(r, "realised_low") + elements(r, "end_low");
    if (i->grid.n) rest += sizeof(struct teacher_components) + i->grid.n * sizeof(float);
    return elements(r, "ids") * 5 + columns_part(r).rows * 21 + entries * (i->grid.n ? 16 : 8) +
           positions * rest;
}

// What it has besides while it reads: codes of 32 bits, or columns that go into positions.
static size_t reading_bytes(struct columns_reader *r) {
    size_t n, bytes = 12 * columns_part(r).rows;
    const struct column *columns = columns_list(r, &n);
    static const char *const plain[] = {"entries", "log_tail", "alpha",
                                        "tvd",     "realised", "log_most"};
    for (size_t c = 0; c < n; c++) {
        size_t length = strlen(columns[c].name);
        if (length > 4 && !strcmp(columns[c].name + length - 4, "_low"))
            bytes += columns_count(r, columns[c].name) * sizeof(uint32_t);
    }
    for (size_t c = 0; c < sizeof plain / sizeof *plain; c++)
        bytes += elements(r, plain[c]) * sizeof(float);
    return bytes;
}

static bool add_part(struct teacher_set *s, struct cache *c, struct columns_reader *r) {
    struct part part = columns_part(r);
    struct shard *shard = &s->shard[c->first_part + part.part];
    if (shard->path && hash_equal(shard->content, columns_artefact(r)->content)) return true;
    if (shard->path)
        return fail_set(s->fail, EXIT_BADDATA, "'%s' and '%s' are the same part %zu", shard->path,
                        columns_path(r), part.part);
    *shard = (struct shard){.path = xstrdup(columns_path(r)),
                            .part = part,
                            .bytes = kept_bytes(r, &c->info),
                            .reading = reading_bytes(r),
                            .content = columns_artefact(r)->content};
    c->there++;
    const struct shard *before = part.part ? shard - 1 : NULL, *next = shard + 1;
    if (part.part + 1 == part.parts || !next->path) next = NULL;
    return (!before || !before->path ||
            columns_follows(part, before->part, shard->path, s->fail)) &&
           (!next || columns_follows(next->part, part, next->path, s->fail));
}

static bool add_shard(struct teacher_set *s, const char *path) {
    pthread_mutex_lock(&s->hdf5);
    struct columns_reader *r = columns_open(path, "teacher", s->fail);
    size_t before = s->caches;
    struct cache *c = r ? cache_of(s, r) : NULL;
    if (c) add_part(s, c, r);
    if (s->caches == before)
        columns_close(r);
    else
        columns_rest(r);
    pthread_mutex_unlock(&s->hdf5);
    return alive(s);
}

// What is missing: of a cache alone, or of several that are mixed.
static bool lacks(struct teacher_set *s, const struct cache *c) {
    struct fail mixed = {0};
    if (s->caches > 1) {
        columns_same_set(c->model, s->cache[c == s->cache].model, &mixed);
        return fail_set(s->fail, EXIT_BADDATA,
                        "%s; of '%s' %zu of %zu parts came; give all of each "
                        "cache",
                        mixed.text, columns_path(c->model), c->there, c->parts);
    }
    return fail_set(s->fail, EXIT_BADDATA,
                    "'%s' is of a set of %zu parts, of which %zu came; give them all",
                    columns_path(c->model), c->parts, c->there);
}

// Waits for one more shard.
static bool add_next(struct teacher_set *s) {
    if (!alive(s)) return false;
    const char *path = path_source_next(s->paths);
    if (path) return add_shard(s, path);
    if (!alive(s)) return false;
    if (!s->caches) return fail_set(s->fail, EXIT_BADDATA, "no teacher shards were given");
    return lacks(s, &s->cache[0]);
}

// A list is taken to its end, a stream until its cache is whole.
static bool take_all(struct teacher_set *s) {
    const char *path;
    while (alive(s) && s->stream && (!s->caches || s->cache->there < s->cache->parts)) add_next(s);
    while (alive(s) && !s->stream && (path = path_source_next(s->paths))) add_shard(s, path);
    for (size_t k = 0; alive(s) && k < s->caches; k++)
        if (s->cache[k].there < s->cache[k].parts) return lacks(s, &s->cache[k]);
    return alive(s) && (s->caches || add_next(s));
}

struct teacher_set *teacher_set_open(size_t n, const char *const *items, struct fail *f) {
    if (f->code) return NULL;
    struct teacher_set *s = xcalloc(1, sizeof *s);
    *s = (struct teacher_set){.paths = path_source_open(n, items, f), .keep = 2, .fail = f};
    pthread_mutex_init(&s->hdf5, NULL);
    for (size_t i = 0; i < n; i++) s->stream = s->stream || strcmp(items[i], "-") == 0;
    if (s->stream ? add_next(s) : take_all(s)) return s;
    teacher_set_close(s);
    return NULL;
}

void teacher_set_close(struct teacher_set *s) {
    if (!s) return;
    for (size_t i = 0; s->shard && i < s->parts; i++) {
        free(s->shard[i].path);
        free(s->shard[i].damage);
        teacher_shard_release(&s->shard[i].data);
    }
    for (size_t i = 0; i < s->caches; i++) {
        teacher_info_release(&s->cache[i].info);
        columns_close(s->cache[i].model);
    }
    free(s->cache);
    free(s->shard);
    parents_release(&s->parents);
    row_hashes_release(&s->hashes);
    path_source_close(s->paths);
    pthread_mutex_destroy(&s->hdf5);
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

void teacher_set_skip_bad(struct teacher_set *s) {
    s->skip_bad = true;
}

const struct fail *teacher_set_fail(const struct teacher_set *s) {
    return s->fail;
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

size_t teacher_set_caches(const struct teacher_set *s) {
    return s->caches;
}

const struct teacher_info *teacher_set_cache(const struct teacher_set *s, size_t cache) {
    return &s->cache[cache].info;
}

bool teacher_set_there(const struct teacher_set *s, size_t part) {
    return part < s->parts && s->shard[part].path;
}

static struct shard *wait_for(struct teacher_set *s, size_t part) {
    while (alive(s) && part < s->parts && !s->shard[part].path) add_next(s);
    return alive(s) && part < s->parts ? &s->shard[part] : NULL;
}

size_t teacher_set_part_rows(struct teacher_set *s, size_t part) {
    struct shard *shard = wait_for(s, part);
    return shard ? shard->part.rows : 0;
}

static const struct cache *cache_at(const struct teacher_set *s, const struct shard *shard) {
    const struct cache *c = s->cache;
    while ((size_t)(shard - s->shard) >= c->first_part + c->parts) c++;
    return c;
}

size_t teacher_set_part_first(struct teacher_set *s, size_t part) {
    return cache_at(s, &s->shard[part])->first_row + s->shard[part].part.first_row;
}

struct hash128 teacher_set_content(struct teacher_set *s, size_t part) {
    if (!teacher_set_there(s, part) && !wait_for(s, part)) return (struct hash128){0, 0};
    return s->shard[part].content;
}

bool teacher_set_streams(const struct teacher_set *s) {
    return s->stream;
}

const struct parents *teacher_set_parents(struct teacher_set *s) {
    if (!take_all(s)) return NULL;
    if (!s->parents.n)
        for (size_t i = 0; i < s->parts; i++)
            parents_add(&s->parents, "teacher", s->shard[i].content);
    return &s->parents;
}

struct teacher_set_numbers teacher_set_numbers(const struct teacher_set *s) {
    return s->numbers;
}

size_t teacher_set_bytes(const struct teacher_set *s, size_t shards) {
    size_t most = 0, now = 0, all = 0, there = 0, reading = 0;
    for (size_t i = 0; i < s->parts; i++) {
        const struct shard *shard = &s->shard[i];
        now += shard->bytes;
        all += shard->bytes;
        there += shard->path != NULL;
        if (i >= shards) now -= s->shard[i - shards].bytes;
        if (now > most) most = now;
        if (shard->reading > reading) reading = shard->reading;
    }
    if (there && there < s->parts) // of a stream
        most = all / there * (shards < s->parts ? shards : s->parts);
    return most + reading;
}

const char *teacher_set_damage(const struct teacher_set *s, size_t part) {
    return s->shard[part].damage;
}

void teacher_set_quiet(struct teacher_set *s, bool on) {
    if (on)
        pthread_mutex_lock(&s->hdf5);
    else
        pthread_mutex_unlock(&s->hdf5);
}

// ---- shards in memory

// Once for each shard: rows that are lost, rows that occurred before.
static void count_rows(struct teacher_set *s, const struct shard *shard) {
    const struct teacher_shard *t = &shard->data;
    uint64_t cache = (uint64_t)(cache_at(s, shard) - s->cache) << 32; // others may have its rows
    struct teacher_set_numbers *n = &s->numbers;
    n->rows += t->rows;
    n->lost += t->n_lost;
    for (size_t i = 0; i < t->rows; i++) {
        if (t->lost[i]) continue;
        size_t at = t->first[i], length = t->first[i + 1] - at;
        struct hash128 h = hash_bytes(t->ids + at, length * sizeof *t->ids);
        if (!row_hashes_add(&s->hashes, h.low ^ cache ^ (uint64_t)t->prompt_length[i])) continue;
        if (!n->repeated++)
            snprintf(n->first_repeated, sizeof n->first_repeated, "row %zu, in '%s'",
                     shard->part.first_row + i, shard->path);
    }
}

static bool take_damage(struct teacher_set *s, struct shard *shard,
                        const struct columns_holes *holes) {
    struct str where = {0};
    damage_text(holes, shard->part.rows, shard->data.lost, shard->part.first_row, &where);
    if (!s->skip_bad)
        fail_set(s->fail, EXIT_BADDATA,
                 "'%s' is damaged: %s; make it again, or continue without these "
                 "rows with --on-bad skip-chunk",
                 shard->path, where.text);
    else if (!shard->damage)
        shard->damage = xasprintf("'%s', %s", shard->path, where.text);
    if (shard->damage && !s->numbers.first_lost[0])
        snprintf(s->numbers.first_lost, sizeof s->numbers.first_lost, "%s", shard->damage);
    str_release(&where);
    return alive(s);
}

static bool load_shard(struct teacher_set *s, struct shard *shard) {
    if (shard->loaded) return true;
    struct columns_holes holes = {0};
    pthread_mutex_lock(&s->hdf5);
    struct columns_reader *r = columns_open(shard->path, "teacher", s->fail);
    if (r && !hash_equal(columns_artefact(r)->content, shard->content))
        fail_set(s->fail, EXIT_BADDATA, "'%s' was replaced while it was being read", shard->path);
    if (r) columns_tolerate(r, &holes);
    shard->loaded = r && alive(s) && teacher_shard_load(&shard->data, r, s->fail);
    if (shard->loaded && s->compose) teacher_shard_compose(&shard->data, &s->rule);
    if (shard->loaded && holes.n) take_damage(s, shard, &holes);
    columns_close(r);
    pthread_mutex_unlock(&s->hdf5);
    free(holes.items);
    if (alive(s) && !shard->counted) count_rows(s, shard);
    shard->counted = true;
    return alive(s);
}

static void release(struct shard *shard) {
    teacher_shard_release(&shard->data);
    shard->loaded = false;
}

static void make_room(struct teacher_set *s) {
    size_t loaded = 0;
    struct shard *oldest = NULL;
    for (size_t i = 0; i < s->parts; i++) {
        struct shard *shard = &s->shard[i];
        if (!shard->loaded || shard->held) continue;
        loaded++;
        if (!oldest || shard->touched < oldest->touched) oldest = shard;
    }
    if (loaded >= s->keep) release(oldest);
}

static struct shard *holding(struct teacher_set *s, size_t row) {
    for (size_t i = 0; i < s->parts; i++) {
        if (!s->shard[i].path) continue;
        size_t first = teacher_set_part_first(s, i);
        if (row >= first && row - first < s->shard[i].part.rows) return &s->shard[i];
    }
    return NULL;
}

bool teacher_set_row(struct teacher_set *s, size_t row, struct teacher_row *out) {
    struct shard *shard = NULL;
    while (alive(s) && !(shard = holding(s, row))) add_next(s);
    if (!shard || !alive(s)) return false;
    if (!shard->loaded) make_room(s);
    if (!load_shard(s, shard)) return false;
    shard->touched = ++s->clock;
    *out = teacher_shard_row(&shard->data,
                             row - teacher_set_part_first(s, (size_t)(shard - s->shard)));
    return true;
}

size_t teacher_set_length(struct teacher_set *s, size_t row) {
    struct teacher_row out;
    return teacher_set_row(s, row, &out) ? out.n : 0;
}

const struct teacher_shard *teacher_set_hold(struct teacher_set *s, size_t part) {
    struct shard *shard = wait_for(s, part);
    if (!shard || !load_shard(s, shard)) return NULL;
    shard->held = true;
    return &shard->data;
}

void teacher_set_drop(struct teacher_set *s, size_t part) {
    release(&s->shard[part]);
    s->shard[part].held = false;
}
