#include "formats/store/h5.h"
#include "common/base/mem.h"
#include "formats/bytes/input.h"
#include "formats/store/h5_private.h"
#include "formats/store/zfilter.h"
#include <assert.h>
#include <errno.h>
#include <hdf5.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 64 << 20, CHUNK_MAX = 1 << 26 };
_Static_assert(sizeof(hid_t) == sizeof(int64_t), "as struct h5 has it");

static hid_t bf16; // the upper half of a float32, made by library_ready

static hid_t native(enum h5_type type) {
    const hid_t types[] = {H5T_STD_I32LE,  H5T_STD_U8LE, H5T_STD_U16LE,  H5T_IEEE_F32LE,
                           H5T_IEEE_F64LE, bf16,         H5I_INVALID_HID};
    return types[type];
}

// ---- causes: what the system said, as libhdf5's error stack has it when a call of it fails
static int seen, failures; // for the process, as libhdf5 is
static herr_t each_error(unsigned n, const H5E_error2_t *e, void *self) {
    int *cause = self;
    (void)n;
    if (!*cause) *cause = h5_errno_in(e->desc);
    if (!*cause && e->maj_num == H5E_RESOURCE &&
        (e->min_num == H5E_NOSPACE || e->min_num == H5E_CANTALLOC))
        *cause = ENOMEM;
    return 0;
}

static herr_t on_failure(hid_t stack, void *self) {
    (void)self;
    failures++;
    return H5Ewalk2(stack, H5E_WALK_UPWARD, each_error, &seen);
}

int h5_cause(void) {
    int error = seen;
    seen = 0;
    return error;
}

// Before the first other call: after a failed write libhdf5's own exit handler can crash.
static bool library_ready(struct fail *f) {
    static const H5Z_class2_t zstd = {
        .version = H5Z_CLASS_T_VERS,
        .id = ZFILTER_ID,
        .encoder_present = 1,
        .decoder_present = 1,
        .name = "zstd",
        .filter = zfilter_callback,
    };
    H5dont_atexit();
    if (H5open() < 0) return fail_set(f, EXIT_FAILED, "out of memory: libhdf5 cannot start");
    H5Eset_auto2(H5E_DEFAULT, on_failure, NULL);
    H5PLset_loading_state(0);
    bool ok = H5Zregister(&zstd) >= 0;
    if (!bf16) {
        hid_t type = H5Tcopy(H5T_IEEE_F32LE);
        ok = ok && H5Tset_fields(type, 15, 7, 8, 0, 7) >= 0 && H5Tset_size(type, 2) >= 0;
        bf16 = ok ? type : 0;
    }
    seen = 0;
    return ok || fail_set(f, EXIT_FAILED, "out of memory: libhdf5 cannot start");
}

static hid_t access_list(void) {
    hid_t list = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_libver_bounds(list, H5F_LIBVER_V110, H5F_LIBVER_V110);
    H5Pset_fclose_degree(list, H5F_CLOSE_STRONG);
#if H5_VERSION_GE(1, 10, 7)
    H5Pset_file_locking(list, 0, 1);
#else
    setenv("HDF5_USE_FILE_LOCKING", "FALSE", 0);
#endif
    return list;
}

// Attributes and links in the object header, which has a checksum, rather than in heaps and trees:
// libhdf5 1.10 can crash on a damaged tree.
static void keep_in_header(hid_t list) {
    H5Pset_attr_phase_change(list, 200, 100);
    H5Pset_link_phase_change(list, 60000, 50000);
}

static hid_t creation_list(void) {
    hid_t list = H5Pcreate(H5P_FILE_CREATE);
    H5Pset_obj_track_times(list, 0);
    keep_in_header(list);
    return list;
}

static const char *reason(void) {
    int cause = h5_cause(), error = cause ? cause : errno;
    return error ? strerror(error) : "libhdf5 cannot write it";
}

static bool write_failed(struct h5 *h) {
    return fail_set(h->fail, EXIT_FAILED, "cannot write '%s': %s", h->path, reason());
}

// Around the calls of an operation that writes. A call may fail without our looking, as those that
// set up a list: a filter left out would make a file that nobody can read.
static bool begin_write(struct h5 *h) {
    errno = failures = 0;
    return h5_alive(h);
}

static bool wrote(struct h5 *h, bool ok) {
    return (ok && !failures) || write_failed(h);
}

// Passes on whether a call that reads went well, and keeps the cause where it did not.
static bool went(struct h5 *h, bool ok) {
    int error = ok ? 0 : h5_cause();
    if (error && fail_code_of(error) == EXIT_FAILED)
        fail_set(h->fail, EXIT_FAILED, "cannot read '%s': %s", h->path, strerror(error));
    return ok;
}

struct h5 *h5_create(const char *path, struct fail *f) {
    if (f->code || !library_ready(f)) return NULL;
    errno = failures = 0;
    hid_t access = access_list(), creation = creation_list();
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, creation, access);
    H5Pclose(access);
    H5Pclose(creation);
    if (file >= 0 && !failures) return h5_handle(file, path, true, f);
    if (file >= 0) H5Fclose(file);
    fail_set(f, EXIT_FAILED, "cannot write '%s': %s", path, reason());
    return NULL;
}

struct h5 *h5_open(const char *path, struct fail *f) {
    if (f->code ||
        !input_is_file(path, "an HDF5 file is read from disk, a folder goes through import", f) ||
        !library_ready(f))
        return NULL;
    hid_t access = access_list();
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, access);
    H5Pclose(access);
    if (file >= 0) return h5_handle(file, path, false, f);
    htri_t ours = H5Fis_hdf5(path);
    int error = h5_cause();
    if (error && (fail_code_of(error) == EXIT_FAILED || error == EACCES || error == ENOENT))
        fail_set(f, fail_code_of(error), "cannot open '%s': %s", path, strerror(error));
    else
        h5_refuse(path, ours > 0, f);
    return NULL;
}

static void close_dataset(struct h5 *h) {
    if (!h->open) return;
    if (H5Dclose(h->open) < 0 && h->writing) write_failed(h);
    h->open = 0;
    h->held = 0;
    free(h->open_name);
    free(h->chunk);
    h->open_name = h->chunk = NULL;
}

bool h5_close(struct h5 *h) {
    if (!h) return false;
    begin_write(h);
    close_dataset(h);
    if (H5Fclose(h->file) < 0 && h->writing) write_failed(h);
    bool ok = !h->fail->code;
    free(h->path);
    free(h);
    return ok;
}

// ---- attributes

static bool put_attribute(struct h5 *h, const char *name, hid_t type, const void *value) {
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t a = H5Aexists(h->file, name) > 0
                  ? H5Aopen(h->file, name, H5P_DEFAULT)
                  : H5Acreate2(h->file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    bool ok = a >= 0 && H5Awrite(a, type, value) >= 0;
    if (a >= 0) ok = H5Aclose(a) >= 0 && ok;
    H5Sclose(space);
    return wrote(h, ok);
}

bool h5_put_text(struct h5 *h, const char *name, const char *text) {
    if (!begin_write(h)) return false;
    size_t n = strlen(text);
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, n ? n : 1); // an empty text is one NUL
    H5Tset_strpad(type, H5T_STR_NULLPAD);
    H5Tset_cset(type, H5T_CSET_UTF8);
    bool ok = put_attribute(h, name, type, text);
    H5Tclose(type);
    return ok;
}

bool h5_put_int(struct h5 *h, const char *name, int64_t value) {
    return begin_write(h) && put_attribute(h, name, H5T_STD_I64LE, &value);
}

bool h5_put_real(struct h5 *h, const char *name, double value) {
    return begin_write(h) && put_attribute(h, name, H5T_IEEE_F64LE, &value);
}

// The open attribute, or a negative id: there is none, or it cannot be read (a failure).
static hid_t find_attribute(struct h5 *h, const char *name) {
    if (!h5_alive(h)) return H5I_INVALID_HID;
    htri_t exists = H5Aexists(h->file, name);
    if (exists == 0) return H5I_INVALID_HID;
    hid_t a = exists > 0 ? H5Aopen(h->file, name, H5P_DEFAULT) : H5I_INVALID_HID;
    if (a < 0) h5_damaged(h, "attribute", name);
    return a;
}

static bool get_number(struct h5 *h, const char *name, hid_t type, void *value) {
    hid_t a = find_attribute(h, name);
    if (a < 0) return false;
    hid_t stored = H5Aget_type(a), space = H5Aget_space(a);
    bool ok = H5Tequal(stored, type) > 0 && H5Sget_simple_extent_npoints(space) == 1 &&
              went(h, H5Aread(a, type, value) >= 0);
    H5Sclose(space);
    H5Tclose(stored);
    H5Aclose(a);
    return ok || h5_damaged(h, "attribute", name);
}

bool h5_get_int(struct h5 *h, const char *name, int64_t *value) {
    return get_number(h, name, H5T_STD_I64LE, value);
}

bool h5_get_real(struct h5 *h, const char *name, double *value) {
    return get_number(h, name, H5T_IEEE_F64LE, value);
}

static bool of_class(struct h5 *h, const char *name, H5T_class_t class) {
    hid_t a = find_attribute(h, name);
    if (a < 0) return false;
    hid_t stored = H5Aget_type(a);
    bool same = H5Tget_class(stored) == class;
    H5Tclose(stored);
    H5Aclose(a);
    return same;
}

bool h5_is_text(struct h5 *h, const char *name) {
    return of_class(h, name, H5T_STRING);
}

bool h5_is_real(struct h5 *h, const char *name) {
    return of_class(h, name, H5T_FLOAT);
}

char *h5_get_text(struct h5 *h, const char *name) {
    hid_t a = find_attribute(h, name);
    if (a < 0) return NULL;
    hid_t stored = H5Aget_type(a), space = H5Aget_space(a);
    size_t n = H5Tget_size(stored);
    char *text = NULL;
    bool ok = H5Tget_class(stored) == H5T_STRING && H5Tis_variable_str(stored) == 0 &&
              H5Sget_simple_extent_npoints(space) == 1 && n <= TEXT_MAX;
    if (ok) {
        text = xcalloc(n + 1, 1);
        ok = went(h, H5Aread(a, stored, text) >= 0);
    }
    H5Sclose(space);
    H5Tclose(stored);
    H5Aclose(a);
    if (ok) return text;
    free(text);
    h5_damaged(h, "attribute", name);
    return NULL;
}

// ---- names

static herr_t each_attribute(hid_t at, const char *name, const H5A_info_t *info, void *self) {
    (void)at, (void)info;
    h5_names_add(self, name);
    return 0;
}

char **h5_attributes(struct h5 *h, size_t *n) {
    struct h5_names names = {0};
    hsize_t at = 0;
    if (h5_alive(h) && !went(h, H5Aiterate2(h->file, H5_INDEX_NAME, H5_ITER_NATIVE, &at,
                                            each_attribute, &names) >= 0))
        h5_damaged(h, "group", "/");
    return h5_names_sorted(&names, n);
}

static herr_t each_link(hid_t at, const char *name, const H5L_info_t *info, void *self) {
    (void)at, (void)info;
    h5_names_add(self, name);
    return 0;
}

// Whether the file itself holds an object of that name, "/" or one of at most two words: not where
// there is none, nor (a failure) where a word is a link to another place or file.
static bool is_here(struct h5 *h, const char *name) {
    if (!h5_alive(h) || !strcmp(name, "/")) return h5_alive(h);
    const char *slash = strchr(name, '/');
    char *parent = slash ? xasprintf("%.*s", (int)(slash - name), name) : NULL;
    const char *words[] = {parent ? parent : name, parent ? name : NULL};
    bool here = true;
    for (int i = 0; here && i < 2 && words[i]; i++) {
        H5L_info_t info;
        htri_t exists = H5Lexists(h->file, words[i], H5P_DEFAULT);
        here = exists > 0 && went(h, H5Lget_info(h->file, words[i], &info, H5P_DEFAULT) >= 0);
        if (exists < 0) h5_damaged(h, "object", words[i]);
        if (here && info.type != H5L_TYPE_HARD)
            here = fail_set(h->fail, EXIT_BADDATA,
                            "'%s': '%s' is a link to another place; only what is in the file "
                            "itself is read",
                            h->path, words[i]);
    }
    free(parent);
    return here;
}

// In native order, since libhdf5 1.10 sorts into a table that it releases wrongly after an error.
char **h5_members(struct h5 *h, const char *group, size_t *n) {
    struct h5_names names = {0};
    hsize_t at = 0;
    if (!is_here(h, group)) return h5_names_sorted(&names, n);
    if (!went(h, H5Literate_by_name(h->file, group, H5_INDEX_NAME, H5_ITER_NATIVE, &at, each_link,
                                    &names, H5P_DEFAULT) >= 0))
        h5_damaged(h, "group", group);
    return h5_names_sorted(&names, n);
}

// ---- datasets

bool h5_group(struct h5 *h, const char *name) {
    if (!begin_write(h)) return false;
    hid_t list = H5Pcreate(H5P_GROUP_CREATE);
    H5Pset_obj_track_times(list, 0);
    keep_in_header(list);
    hid_t group = H5Gcreate2(h->file, name, H5P_DEFAULT, list, H5P_DEFAULT);
    H5Pclose(list);
    return wrote(h, group >= 0 && H5Gclose(group) >= 0);
}

bool h5_begin(struct h5 *h, const char *name, const struct h5_shape *s) {
    if (!begin_write(h)) return false;
    close_dataset(h);
    hsize_t dims[2] = {s->dims[0], s->dims[1]}, chunk = s->chunk;
    unsigned values[1] = {(unsigned)s->level};
    hid_t space = H5Screate_simple(s->rank, dims, NULL), list = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_obj_track_times(list, 0);
    H5Pset_fill_time(list, H5D_FILL_TIME_NEVER);
    if (chunk) {
        H5Pset_chunk(list, 1, &chunk);
        if (h5_size(s->type) > 1) H5Pset_shuffle(list);
        H5Pset_filter(list, ZFILTER_ID, H5Z_FLAG_MANDATORY, 1, values);
        H5Pset_fletcher32(list);
    }
    h->open = H5Dcreate2(h->file, name, native(s->type), space, H5P_DEFAULT, list, H5P_DEFAULT);
    H5Pclose(list);
    H5Sclose(space);
    if (h->open < 0) h->open = 0;
    if (!wrote(h, h->open)) return false;
    h->open_name = xstrdup(name);
    h->shape = *s;
    return true;
}

bool h5_chunks_write(struct h5 *h, size_t chunk, const void *bytes, size_t n) {
    if (!begin_write(h)) return false;
    hsize_t offset = chunk * h->shape.chunk;
    return wrote(h, H5Dwrite_chunk(h->open, H5P_DEFAULT, 0, &offset, n, bytes) >= 0);
}

bool h5_end(struct h5 *h) {
    if (begin_write(h)) close_dataset(h);
    return h5_alive(h);
}

static enum h5_type type_of(hid_t dataset) {
    hid_t stored = H5Dget_type(dataset);
    enum h5_type type = H5_INT32;
    while (type < H5_FOREIGN && H5Tequal(stored, native(type)) <= 0) type++;
    H5Tclose(stored);
    return type;
}

// Whether chunks are coded as zfilter_encode does: (shuffle), zstd, Fletcher32; others are refused.
static bool is_ours(hid_t list, struct h5_shape *s) {
    const int want[] = {H5Z_FILTER_SHUFFLE, ZFILTER_ID, H5Z_FILTER_FLETCHER32};
    int first = h5_size(s->type) == 1, n = 3 - first;
    bool ok = H5Pget_nfilters(list) == n;
    for (int i = 0; ok && i < n; i++) {
        unsigned flags, values[1] = {0};
        size_t n_values = 1;
        ok = H5Pget_filter2(list, (unsigned)i, &flags, &n_values, values, 0, NULL, NULL) ==
             want[first + i];
        if (ok && want[first + i] == ZFILTER_ID && n_values) s->level = (int)values[0];
    }
    return ok;
}

// A shape is believed only where the file has the bytes for it: contiguous data in full, or every
// chunk; so a reader may allocate what it claims.
static bool backed(hid_t dataset, hid_t space, struct h5_shape *s) {
    hid_t list = H5Dget_create_plist(dataset);
    H5D_layout_t layout = H5Pget_layout(list);
    hsize_t chunk = 0, chunks = 0;
    bool ok = layout == H5D_CONTIGUOUS || layout == H5D_CHUNKED;
    if (layout == H5D_CHUNKED)
        ok = s->rank == 1 && H5Pget_chunk(list, 1, &chunk) == 1 && chunk && chunk <= CHUNK_MAX &&
             H5Dget_num_chunks(dataset, space, &chunks) >= 0 &&
             chunks == (s->count + chunk - 1) / chunk && is_ours(list, s);
    else if (ok)
        ok = H5Dget_storage_size(dataset) == s->count * h5_size(s->type) &&
             H5Pget_external_count(list) == 0;
    s->stored = H5Dget_storage_size(dataset);
    s->chunk = chunk;
    H5Pclose(list);
    return ok;
}

static bool shape_of(hid_t dataset, struct h5_shape *s) {
    *s = (struct h5_shape){.type = type_of(dataset), .dims = {0, 1}};
    hid_t space = H5Dget_space(dataset);
    hsize_t dims[2] = {0, 1};
    s->rank = H5Sget_simple_extent_ndims(space);
    bool ok = (s->rank == 1 || s->rank == 2) && s->type != H5_FOREIGN &&
              H5Sget_simple_extent_dims(space, dims, NULL) == s->rank;
    ok = ok && dims[0] < (hsize_t)1 << 48 && dims[1] < (hsize_t)1 << 48 &&
         (!dims[0] || dims[1] < ((hsize_t)1 << 56) / dims[0]);
    if (ok) {
        s->dims[0] = dims[0];
        s->dims[1] = dims[1];
        s->count = dims[0] * dims[1];
        ok = backed(dataset, space, s);
    }
    H5Sclose(space);
    return ok;
}

// Opens `name` as the current dataset, which stays open with its chunk cache until another is.
bool h5_shape(struct h5 *h, const char *name, struct h5_shape *s) {
    if (!h5_alive(h)) return false;
    if (!h->open || strcmp(h->open_name, name) != 0) {
        close_dataset(h);
        if (!is_here(h, name)) return false;
        hid_t d = H5Dopen2(h->file, name, H5P_DEFAULT);
        if (d < 0) return h5_damaged(h, "dataset", name);
        h->open = d;
        h->open_name = xstrdup(name);
        if (!shape_of(d, &h->shape)) return h5_damaged(h, "dataset", name);
    }
    *s = h->shape;
    return true;
}

// libhdf5 takes a chunk's size from its bytes and then reads as many as it should have.
bool h5_read_chunk(struct h5 *h, size_t chunk) {
    if (h->held == chunk + 1) return true;
    size_t size = h5_size(h->shape.type), bytes = h->shape.chunk * size;
    hsize_t offset = chunk * h->shape.chunk, stored = 0;
    uint32_t skipped = 1;
    h->held = 0;
    if (!went(h, H5Dget_chunk_storage_size(h->open, &offset, &stored) >= 0) ||
        stored > zfilter_bound(bytes))
        return false;
    if (!h->chunk) h->chunk = xmalloc(bytes);
    void *raw = xmalloc(stored);
    bool ok = went(h, H5Dread_chunk(h->open, H5P_DEFAULT, &offset, &skipped, raw) >= 0);
    errno = 0;
    ok = ok && !skipped && zfilter_decode(raw, stored, bytes, size, h->chunk);
    if (!ok && errno == ENOMEM)
        fail_set(h->fail, EXIT_FAILED, "cannot read '%s': out of memory", h->path);
    free(raw);
    h->held = ok ? chunk + 1 : 0;
    return ok;
}

bool h5_rows(struct h5 *h, bool write, size_t first, size_t n, void *data) {
    const struct h5_shape *s = &h->shape;
    hsize_t width = s->rank == 2 ? s->dims[1] : 1, at[2] = {first / width, 0};
    hsize_t count[2] = {n / width, width};
    assert(first % width == 0 && n % width == 0);
    begin_write(h);
    hid_t space = H5Dget_space(h->open), memory = H5Screate_simple(s->rank, count, NULL);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, at, NULL, count, NULL);
    bool ok = (write ? H5Dwrite(h->open, native(s->type), memory, space, H5P_DEFAULT, data)
                     : H5Dread(h->open, native(s->type), memory, space, H5P_DEFAULT, data)) >= 0;
    H5Sclose(space);
    H5Sclose(memory);
    return write ? wrote(h, ok) : went(h, ok && !failures);
}
