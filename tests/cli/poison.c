// Files that are wrong on purpose, for the tests of programs:
//   poison attribute FILE NAME N   a file of any kind, in place, with another integer; its hash is
//                                  remade, as for element and retype
//   poison text FILE NAME A B      the same of a text, with B in place of its first A, as long
//   poison element FILE COLUMN I X the same with another number as element I of a column
//   poison add FILE COLUMN I X     the same with X added to element I
//   poison alter FILE COLUMN I X   the same, with the content_hash as it was
//   poison cut FILE COLUMN         with a first chunk of half its elements
//   poison retype FILE COLUMN      with a column of bytes in place of integers, or the reverse
//   poison spool FILE N            the last N bytes of the state in a spool become letters, under a
//                                  right hash
//   poison nan MODEL TOKENS OUT    the model with finite weights that overflow at a token that
//   stands
//                                  in one row only (printed), so that training meets NaN in one
//                                  step
//   poison shift TEACHER BY OUT    the cache, of one file, with each position's distribution that
//                                  of the position BY (-1 or 1) further in its row. A coded file
//                                  knows no other realised token than the one that stands there:
//                                  then that one gets what was the other's
#include "formats/store/h5.h"
#include "formats/store/spool.h"
#include "formats/models/model_file.h"
#include "formats/teachers/teacher_file.h"
#include "formats/tokens/tokens.h"
#include "formats/store/zfilter.h"
#include "tests/fuzz/image.h"
#include <hdf5.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void load(const char *path, struct model_file *m) {
    struct fail f = {0};
    model_file_load(path, m, &f);
    die_if(&f);
}

static void save(const char *path, const struct model_file *m) {
    struct fail f = {0};
    struct lineage l = {.kind = "model", .stage = "poison", .options = "{}"};
    model_file_save(path, m, &l, &f);
    die_if(&f);
}

// ---- files of any kind, in place

static hid_t open_file(const char *path) {
    struct fail f = {0};
    struct h5 *h = h5_open(path, &f); // makes the filter known
    die_if(&f);
    h5_close(h);
    return H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
}

static void close_file(hid_t file, bool ok, const char *path) {
    if (H5Fclose(file) < 0 || !ok) die(EXIT_FAILED, "cannot change '%s'", path);
}

static void set_attribute(const char *path, const char *name, int64_t value) {
    hid_t file = open_file(path), a = H5Aopen(file, name, H5P_DEFAULT);
    close_file(file, H5Awrite(a, H5T_NATIVE_INT64, &value) >= 0 && H5Aclose(a) >= 0, path);
}

static void set_text(const char *path, const char *name, const char *from, const char *to) {
    hid_t file = open_file(path), a = H5Aopen(file, name, H5P_DEFAULT), type = H5Aget_type(a);
    char *text = xcalloc(H5Tget_size(type) + 1, 1);
    bool ok = H5Aread(a, type, text) >= 0;
    char *at = ok ? strstr(text, from) : NULL;
    if (!at || strlen(from) != strlen(to)) die(EXIT_USAGE, "no '%s' in '%s'", from, text);
    memcpy(at, to, strlen(to));
    ok = H5Awrite(a, type, text) >= 0;
    free(text);
    H5Tclose(type);
    close_file(file, H5Aclose(a) >= 0 && ok, path);
}

static void set_element(const char *path, const char *column, hsize_t at, double value, bool add) {
    hid_t file = open_file(path), d = H5Dopen2(file, column, H5P_DEFAULT), space = H5Dget_space(d);
    hsize_t one[2] = {1, 1}, dims[2] = {0, 1};
    hid_t memory = H5Screate_simple(1, one, NULL);
    H5Sget_simple_extent_dims(space, dims, NULL);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, (hsize_t[]){at / dims[1], at % dims[1]}, NULL, one,
                        NULL);
    double had = 0;
    bool ok = !add || H5Dread(d, H5T_NATIVE_DOUBLE, memory, space, H5P_DEFAULT, &had) >= 0;
    value += had;
    ok = ok && H5Dwrite(d, H5T_NATIVE_DOUBLE, memory, space, H5P_DEFAULT, &value) >= 0;
    H5Sclose(memory);
    H5Sclose(space);
    close_file(file, H5Dclose(d) >= 0 && ok, path);
}

// Chunk 0 becomes a frame of half its size, with the right checksum.
static void cut_chunk(const char *path, const char *column) {
    hid_t file = open_file(path), d = H5Dopen2(file, column, H5P_DEFAULT), type = H5Dget_type(d);
    hid_t list = H5Dget_create_plist(d);
    hsize_t chunk, at = 0;
    H5Pget_chunk(list, 1, &chunk);
    size_t size = H5Tget_size(type), n = chunk / 2 * size;
    void *raw = xcalloc(n, 1), *coded = xmalloc(zfilter_bound(n));
    size_t made = zfilter_encode(raw, n, size, 3, coded);
    bool ok = H5Dwrite_chunk(d, H5P_DEFAULT, 0, &at, made, coded) >= 0;
    free(raw);
    free(coded);
    H5Pclose(list);
    H5Tclose(type);
    close_file(file, H5Dclose(d) >= 0 && ok, path);
}

// The same numbers as bytes, or as int32 where they are bytes.
static void retype(const char *path, const char *column) {
    hid_t file = open_file(path), d = H5Dopen2(file, column, H5P_DEFAULT), space = H5Dget_space(d);
    hid_t old = H5Dget_type(d), type = H5Tget_size(old) == 1 ? H5T_STD_I32LE : H5T_STD_U8LE;
    int32_t *x = xcalloc((size_t)H5Sget_simple_extent_npoints(space), sizeof *x);
    bool ok = H5Dread(d, H5T_NATIVE_INT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, x) >= 0;
    H5Tclose(old);
    H5Dclose(d);
    H5Ldelete(file, column, H5P_DEFAULT);
    d = H5Dcreate2(file, column, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    ok = ok && H5Dwrite(d, H5T_NATIVE_INT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, x) >= 0;
    free(x);
    H5Sclose(space);
    close_file(file, H5Dclose(d) >= 0 && ok, path);
}

static void fill_state(const char *path, size_t last) {
    enum {
        RECORD = 72,
        LENGTH = 64
    }; // of spool.c: the header's record, and where its length stands
    char head[1 << 14];
    uint64_t length;
    size_t n;
    struct fail f = {0};
    FILE *file = fopen(path, "rb");
    if (!file || fread(head, 1, sizeof head, file) < RECORD) die(EXIT_FAILED, "no '%s'", path);
    fclose(file);
    memcpy(&length, head + LENGTH, sizeof length);
    head[RECORD + length] = 0;
    struct spool *s = spool_open(path, head + RECORD, true, NULL, NULL, &f);
    die_if(&f);
    const char *state = spool_state(s, &n);
    char *other = xmalloc(n);
    memcpy(other, state, n);
    memset(other + n - last, 'x', last);
    spool_checkpoint(s, other, n);
    spool_close(s, true);
    free(other);
}

// ---- models and caches

// A token that is read in one row only; a row's last token is never read.
static int32_t lonely(const struct tokens *t, size_t *row) {
    size_t *seen = xcalloc(2 * t->vocab, sizeof *seen); // rows it stands in; the last of them
    for (size_t r = 0; r < t->rows; r++)
        for (size_t i = t->first[r]; i + 1 < t->first[r + 1]; i++) {
            size_t *s = seen + 2 * t->ids[i];
            if (!s[0] || s[1] != r) s[0]++;
            s[1] = r;
        }
    for (size_t id = 0; id < t->vocab; id++)
        if (seen[2 * id] == 1) {
            *row = seen[2 * id + 1];
            free(seen);
            return (int32_t)id;
        }
    free(seen);
    die(EXIT_BADDATA, "every token stands in several rows");
}

// What the first number of a token's embedding gives, out of all measure.
static void amplify(struct model *m, const char *name) {
    const struct tensor *t = model_tensor(m, name);
    for (size_t i = 0; i < t->rows; i++) m->params[t->offset + i * t->cols] = 1e19f;
}

static void poison(const char *model, const char *tokens, const char *out) {
    struct model_file m;
    struct tokens t;
    struct fail f = {0};
    size_t row = 0;
    load(model, &m);
    tokens_load(&t, 1, &tokens, &f);
    die_if(&f);
    int32_t id = lonely(&t, &row);
    const struct tensor *e = model_tensor(&m.model, "model.embed_tokens.weight");
    for (size_t v = 0; v < e->rows; v++)
        m.model.params[e->offset + v * e->cols] = v == (size_t)id ? 1.f : 0.f;
    amplify(&m.model, "model.layers.0.self_attn.q_proj.weight");
    amplify(&m.model, "model.layers.0.self_attn.k_proj.weight");
    printf("%zu\n", row);
    save(out, &m);
    tokens_release(&t);
    model_file_release(&m);
}

// A copy of `from` in which the entry of `token` is one of `here`, whatever that had; the end of
// sequence stays. Its ids and logp are to be freed.
static struct teacher_position relabelled(const struct teacher_position *from, int32_t token,
                                          int32_t here, int32_t eos) {
    struct teacher_position p = *from;
    int32_t *ids = xmalloc((p.n + 1) * sizeof *ids);
    float *logp = xmalloc((p.n + 1) * sizeof *logp);
    p.n = 0;
    for (uint32_t k = 0; k < from->n; k++) {
        const int32_t id = from->ids[k], as[] = {id == token ? here : id, id};
        for (int i = 0; i < 1 + (id == token && id == eos && id != here); i++) {
            if (as[i] == here && id != token) continue;
            ids[p.n] = as[i];
            logp[p.n++] = from->logp[k];
        }
    }
    p.ids = ids;
    p.logp = logp;
    return p;
}

static void shift(const char *path, long by, const char *out) {
    struct fail f = {0};
    struct teacher_info info;
    struct teacher_shard t;
    struct columns_reader *r = columns_open(path, "teacher", &f);
    if (!r || !teacher_info_read(&info, r, &f) || !teacher_shard_load(&t, r, &f)) die_if(&f);
    struct lineage l = {.kind = "teacher", .stage = "poison", .options = "{}"};
    struct columns_plan plan = {.rows_total = t.rows};
    struct teacher_writer *w = teacher_writer_open(out, &l, &info, &plan, &f);
    struct teacher_position *moved = xcalloc(t.position_first[t.rows], sizeof *moved);
    int32_t *token = xcalloc(t.position_first[t.rows], sizeof *token); // that stand in the row
    for (size_t i = 0; i < t.rows; i++) {
        struct teacher_row row = teacher_shard_row(&t, i);
        size_t n = 0;
        for (size_t k = 1; k < row.n; k++)
            if (row.mask[k]) token[n++] = row.ids[k];
        for (size_t p = 0; p < n; p++) {
            long from = (long)p + by, last = (long)n - 1;
            from = from < 0 ? 0 : from > last ? last : from;
            moved[p] = row.position[from];
            if (info.bits != 32) moved[p] = relabelled(&moved[p], token[from], token[p], info.eos);
        }
        row.position = moved;
        teacher_write(w, &row);
        for (size_t p = 0; p < n && info.bits != 32; p++) {
            free((int32_t *)moved[p].ids);
            free((float *)moved[p].logp);
        }
    }
    teacher_writer_commit(w, NULL);
    die_if(&f);
    free(moved);
    free(token);
    teacher_shard_release(&t);
    teacher_info_release(&info);
    columns_close(r);
}

// So that the file is what its content_hash says, and the readers look further.
static void rehash(const char *path) {
    struct fail f = {0};
    image_rehash_file(path, &f);
    die_if(&f);
}

int main(int argc, char **argv) {
    if (argc == 5 && !strcmp(argv[1], "attribute")) {
        set_attribute(argv[2], argv[3], strtoll(argv[4], NULL, 10));
        rehash(argv[2]);
    } else if (argc == 6 && !strcmp(argv[1], "text")) {
        set_text(argv[2], argv[3], argv[4], argv[5]);
        rehash(argv[2]);
    } else if (argc == 6 && (!strcmp(argv[1], "element") || !strcmp(argv[1], "add"))) {
        set_element(argv[2], argv[3], strtoull(argv[4], NULL, 10), strtod(argv[5], NULL),
                    !strcmp(argv[1], "add"));
        rehash(argv[2]);
    } else if (argc == 6 && !strcmp(argv[1], "alter")) {
        set_element(argv[2], argv[3], strtoull(argv[4], NULL, 10), strtod(argv[5], NULL), false);
    } else if (argc == 4 && !strcmp(argv[1], "spool")) {
        fill_state(argv[2], strtoull(argv[3], NULL, 10));
    } else if (argc == 4 && !strcmp(argv[1], "cut")) {
        cut_chunk(argv[2], argv[3]);
    } else if (argc == 4 && !strcmp(argv[1], "retype")) {
        retype(argv[2], argv[3]);
        rehash(argv[2]);
    } else if (argc == 5 && !strcmp(argv[1], "nan")) {
        poison(argv[2], argv[3], argv[4]);
    } else if (argc == 5 && !strcmp(argv[1], "shift")) {
        shift(argv[2], strtol(argv[3], NULL, 10), argv[4]);
    } else {
        die(EXIT_USAGE, "see the top of poison.c");
    }
    return EXIT_DONE;
}
