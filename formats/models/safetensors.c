#include "formats/models/safetensors.h"
#include "common/base/mem.h"
#include "common/base/path.h"
#include "formats/bytes/file_kind.h"
#include "formats/bytes/json.h"
#include "formats/bytes/input.h"
#include "formats/bytes/slurp.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const size_t header_limit = 100000000;

// ---- a header -----------------------------------------------------------------------------------

static const struct {
    const char *name;
    size_t size;
} types[] = {{"F32", 4}, {"F16", 2}, {"BF16", 2}, {"F64", 8},     {"I64", 8},
             {"I32", 4}, {"I16", 2}, {"I8", 1},   {"U8", 1},      {"U16", 2},
             {"U32", 4}, {"U64", 8}, {"BOOL", 1}, {"F8_E4M3", 1}, {"F8_E5M2", 1}};

size_t safetensors_type_size(enum safe_type type) {
    return type < SAFE_OTHER ? types[type].size : 0;
}

static bool read_type(struct safe_tensor *t, const struct json *v, size_t *size) {
    const char *name = json_text(v, NULL);
    for (size_t i = 0; name && i < sizeof types / sizeof *types; i++) {
        if (strcmp(name, types[i].name)) continue;
        t->type = i < SAFE_OTHER ? (enum safe_type)i : SAFE_OTHER;
        snprintf(t->type_name, sizeof t->type_name, "%s", name);
        *size = types[i].size;
        return true;
    }
    return false;
}

static bool read_shape(struct safe_tensor *t, const struct json *v, size_t size) {
    if (json_type(v) != JSON_ARRAY || json_size(v) > SAFE_RANK) return false;
    t->rank = json_size(v);
    t->count = 1;
    for (size_t i = 0; i < t->rank; i++) {
        const struct json *d = json_at(v, i);
        if (!json_is_integer(d) || json_int(d) < 0) return false;
        t->shape[i] = (size_t)json_int(d);
        if (__builtin_mul_overflow(t->count, t->shape[i], &t->count)) return false;
    }
    return !__builtin_mul_overflow(t->count, size, &t->bytes);
}

// One entry {"dtype", "shape", "data_offsets": [begin, end]} over the bytes of its file from `data`
// on.
static bool read_entry(struct safe_tensor *t, const struct json *v, size_t data, struct fail *f) {
    const char *path = t->file->path;
    size_t size = 0, n = (size_t)t->file->as_opened.st_size - data;
    const struct json *range = json_get(v, "data_offsets");
    if (!read_type(t, json_get(v, "dtype"), &size))
        return fail_set(f, EXIT_BADDATA, "unknown dtype of tensor '%s' in '%s'", t->name, path);
    if (!read_shape(t, json_get(v, "shape"), size))
        return fail_set(f, EXIT_BADDATA, "bad shape of tensor '%s' in '%s'", t->name, path);
    if (json_size(range) != 2 || !json_is_integer(json_at(range, 0)) ||
        !json_is_integer(json_at(range, 1)))
        return fail_set(f, EXIT_BADDATA, "bad data_offsets of tensor '%s' in '%s'", t->name, path);
    int64_t begin = json_int(json_at(range, 0)), end = json_int(json_at(range, 1));
    if (begin < 0 || end < begin || (uint64_t)end > n)
        return fail_set(f, EXIT_BADDATA,
                        "tensor '%s' lies outside of '%s': bytes %lld to %lld of %zu; the file may "
                        "be truncated, fetch it again",
                        t->name, path, (long long)begin, (long long)end, n);
    if ((size_t)(end - begin) != t->bytes)
        return fail_set(f, EXIT_BADDATA,
                        "tensor '%s' in '%s' has %lld bytes, but its shape needs %zu", t->name,
                        path, (long long)(end - begin), t->bytes);
    t->offset = data + (size_t)begin;
    return true;
}

static int by_offset(const void *a, const void *b) {
    const struct safe_tensor *x = a, *y = b;
    if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct safe_tensor *)a)->name, ((const struct safe_tensor *)b)->name);
}

// The tensors of one file lie end to end and fill it.
static bool covered(struct safe_tensor *t, size_t n, size_t data, const struct safe_file *file,
                    struct fail *f) {
    size_t end = (size_t)file->as_opened.st_size;
    if (n) qsort(t, n, sizeof *t, by_offset);
    for (size_t i = 0; i < n; i++) {
        if (t[i].offset != data)
            return fail_set(f, EXIT_BADDATA, "tensor '%s' in '%s' %s", t[i].name, file->path,
                            t[i].offset < data ? "overlaps another" : "leaves a hole before it");
        data += t[i].bytes;
    }
    if (data == end) return true;
    return fail_set(f, EXIT_BADDATA, "'%s' has %zu bytes that belong to no tensor", file->path,
                    end - data);
}

// data: where the header ends and the numbers begin.
static bool read_header(struct safetensors *s, const struct json *header,
                        const struct safe_file *file, size_t data, struct fail *f) {
    size_t first = s->n;
    if (json_type(header) != JSON_OBJECT)
        return fail_set(f, EXIT_BADDATA, "the header of '%s' is not an object", file->path);
    for (size_t i = 0; i < json_size(header); i++) {
        const char *name = json_key(header, i);
        if (!strcmp(name, "__metadata__")) continue;
        grow(&s->tensors, &s->capacity, s->n + 1, sizeof *s->tensors);
        struct safe_tensor *t = &s->tensors[s->n++];
        *t = (struct safe_tensor){.name = xstrdup(name), .file = file};
        if (!read_entry(t, json_value(header, i), data, f)) return false;
    }
    return covered(s->tensors + first, s->n - first, data, file, f);
}

// ---- files --------------------------------------------------------------------------------------

// Its length in bytes, and the header itself; NULL with f set. free() it.
static char *load_header(int fd, const struct safe_file *file, size_t *n, struct fail *f) {
    size_t size = (size_t)file->as_opened.st_size;
    unsigned char start[9] = {0};
    uint64_t length = 0;
    if (size >= sizeof start && !input_read_at(fd, file->path, start, sizeof start, 0, f))
        return NULL;
    for (int i = 0; i < 8; i++) length |= (uint64_t)start[i] << (8 * i);
    if (length > header_limit || length + 8 > size || length < 2 || start[8] != '{') {
        if (file_kind_foreign(file->path, f))
            fail_set(f, EXIT_BADDATA, "not a safetensors file, or truncated: '%s'", file->path);
        return NULL;
    }
    char *text = xmalloc(*n = (size_t)length);
    if (input_read_at(fd, file->path, text, *n, 8, f)) return text;
    free(text);
    return NULL;
}

static bool add_file(struct safetensors *s, const char *path, struct fail *f) {
    if (!input_is_file(path, "weights are read from files only", f)) return false;
    int fd = input_open(path, f);
    if (fd < 0) return false;
    s->files = xrealloc(s->files, (s->n_files + 1) * sizeof *s->files);
    struct safe_file *file = s->files[s->n_files++] = xcalloc(1, sizeof *file);
    file->path = xstrdup(path);
    size_t n;
    if (fstat(fd, &file->as_opened))
        fail_set(f, EXIT_FAILED, "cannot read '%s': %s", path, strerror(errno));
    char *text = f->code ? NULL : load_header(fd, file, &n, f);
    input_close(fd);
    struct json *header = text ? json_parse(text, n, path, f) : NULL;
    bool ok = header && read_header(s, header, file, 8 + n, f);
    json_free(header);
    free(text);
    return ok;
}

static bool plain_name(const char *file) {
    return file && *file && *file != '.' && !strchr(file, '/');
}

// The distinct file names of {"weight_map": {tensor: file}}, in order of appearance.
static bool add_indexed(struct safetensors *s, const char *folder, const struct json *map,
                        const char *index, struct fail *f) {
    const char **done = xcalloc(json_size(map), sizeof *done);
    size_t n = 0;
    for (size_t i = 0; i < json_size(map) && !f->code; i++) {
        const char *file = json_text(json_value(map, i), NULL);
        if (!plain_name(file))
            fail_set(f, EXIT_BADDATA, "bad file name for '%s' in '%s'", json_key(map, i), index);
        size_t k = 0;
        while (k < n && !f->code && strcmp(done[k], file)) k++;
        if (k < n || f->code) continue;
        done[n++] = file;
        char *path = xasprintf("%s/%s", folder, file);
        add_file(s, path, f);
        free(path);
    }
    free(done);
    return !f->code;
}

static bool check_index(const struct safetensors *s, const struct json *map, const char *index,
                        struct fail *f) {
    for (size_t i = 0; i < json_size(map); i++)
        if (!safetensors_find(s, json_key(map, i)))
            return fail_set(f, EXIT_BADDATA, "tensor '%s' of '%s' is not in '%s'", json_key(map, i),
                            index, json_text(json_value(map, i), NULL));
    for (size_t i = 0; i < s->n; i++)
        if (!json_get(map, s->tensors[i].name))
            return fail_set(f, EXIT_BADDATA, "tensor '%s' is not listed in '%s'",
                            s->tensors[i].name, index);
    return true;
}

static bool sort_names(struct safetensors *s, struct fail *f) {
    if (s->n) qsort(s->tensors, s->n, sizeof *s->tensors, by_name);
    for (size_t i = 1; i < s->n; i++)
        if (!strcmp(s->tensors[i - 1].name, s->tensors[i].name))
            return fail_set(f, EXIT_BADDATA, "tensor '%s' is in two files", s->tensors[i].name);
    return true;
}

static bool open_index(struct safetensors *s, const char *folder, const char *index,
                       struct fail *f) {
    size_t n;
    char *text = slurp(index, header_limit, &n, f);
    struct json *v = text ? json_parse(text, n, index, f) : NULL;
    const struct json *map = json_get(v, "weight_map");
    if (v && !json_size(map)) fail_set(f, EXIT_BADDATA, "no weight_map in '%s'", index);
    bool ok = v && !f->code && add_indexed(s, folder, map, index, f) && sort_names(s, f) &&
              check_index(s, map, index, f);
    json_free(v);
    free(text);
    return ok;
}

static bool open_folder(struct safetensors *s, const char *path, struct fail *f) {
    char *one = xasprintf("%s/model.safetensors", path);
    char *index = xasprintf("%s/model.safetensors.index.json", path);
    bool ok = false;
    if (path_is_there(one, f))
        ok = add_file(s, one, f) && sort_names(s, f);
    else if (path_is_there(index, f))
        ok = open_index(s, path, index, f);
    else
        fail_set(f, EXIT_BADDATA,
                 "no model.safetensors or model.safetensors.index.json in '%s'; convert other "
                 "formats with transformers' save_pretrained",
                 path);
    free(one);
    free(index);
    return ok;
}

bool safetensors_open(struct safetensors *s, const char *path, struct fail *f) {
    *s = (struct safetensors){0};
    struct stat st;
    if (f->code) return false;
    bool folder = !stat(path, &st) && S_ISDIR(st.st_mode);
    bool ok = folder ? open_folder(s, path, f) : add_file(s, path, f) && sort_names(s, f);
    if (!ok) safetensors_close(s);
    return ok;
}

void safetensors_close(struct safetensors *s) {
    for (size_t i = 0; i < s->n_files; i++) free(s->files[i]->path), free(s->files[i]);
    for (size_t i = 0; i < s->n; i++) free(s->tensors[i].name);
    free(s->files);
    free(s->tensors);
    *s = (struct safetensors){0};
}

const struct safe_tensor *safetensors_find(const struct safetensors *s, const char *name) {
    struct safe_tensor key = {.name = (char *)name};
    return s->n ? bsearch(&key, s->tensors, s->n, sizeof key, by_name) : NULL;
}

void safetensors_shape(const struct safe_tensor *t, char *text, size_t size) {
    size_t n = (size_t)snprintf(text, size, "(");
    for (size_t i = 0; i < t->rank && n < size; i++)
        n += (size_t)snprintf(text + n, size - n, i ? ", %zu" : "%zu", t->shape[i]);
    if (n < size) snprintf(text + n, size - n, ")");
}
