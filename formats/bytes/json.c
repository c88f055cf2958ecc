#include "formats/bytes/json.h"
#include "common/base/jsonout.h"
// Names of the library that are ours too: ours win outside its header.
#define JSON_NULL LIBRARY_NULL
#define JSON_STRING LIBRARY_STRING
#define JSON_ARRAY LIBRARY_ARRAY
#define JSON_OBJECT LIBRARY_OBJECT
#define json_type library_type
#include <jansson.h>
#undef JSON_NULL
#undef JSON_STRING
#undef JSON_ARRAY
#undef JSON_OBJECT
#undef json_type
#undef json_is_integer
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

// Strings stay in the library's tree, which the root keeps; ours adds positions and an index.
struct json {
    enum json_type type;
    json_t *source;
    size_t size;
    struct json *items; // (size)
    const char **keys;  // (size), objects only
    uint32_t *order;    // (size) sorted by key; NULL: few members, look at each
};

enum { FEW = 8 };

// ---- bounds, before anything is allocated -------------------------------------------------------

struct scan {
    size_t depth, values;
    struct json_quotes quotes;
};

bool json_quoted(struct json_quotes *q, char c) {
    bool inside = q->inside;
    if (q->escaped)
        q->escaped = false;
    else if (inside && c == '\\')
        q->escaped = true;
    else if (c == '"')
        q->inside = !inside;
    return inside;
}

static void scan_byte(struct scan *s, char c) {
    if (json_quoted(&s->quotes, c)) return;
    if (c == ',' || c == '[' || c == '{') s->values++;
    if (c == '[' || c == '{') s->depth++;
    if ((c == ']' || c == '}') && s->depth) s->depth--;
}

static bool bounded(const char *text, size_t n, const char *name, size_t line, struct fail *f) {
    if (n > JSON_BYTES)
        return fail_set(f, EXIT_BADDATA, "too large a JSON text in '%s': %zu bytes", name, n);
    struct scan s = {0};
    for (size_t i = 0; i < n; i++) {
        line += text[i] == '\n';
        scan_byte(&s, text[i]);
        if (s.depth > JSON_DEPTH)
            return fail_set(f, EXIT_BADDATA,
                            "JSON nested too deeply in '%s' line %zu: over %d levels", name, line,
                            JSON_DEPTH);
        if (s.values > JSON_VALUES)
            return fail_set(f, EXIT_BADDATA, "too many JSON values in '%s' line %zu: over %d", name,
                            line, JSON_VALUES);
    }
    return true;
}

// ---- the tree -----------------------------------------------------------------------------------

static enum json_type type_of(const json_t *j) {
    switch (json_typeof(j)) {
    case LIBRARY_OBJECT:
        return JSON_OBJECT;
    case LIBRARY_ARRAY:
        return JSON_ARRAY;
    case LIBRARY_STRING:
        return JSON_STRING;
    case JSON_INTEGER:
    case JSON_REAL:
        return JSON_NUMBER;
    case JSON_TRUE:
    case JSON_FALSE:
        return JSON_BOOL;
    default:
        return JSON_NULL;
    }
}

static int by_key(const void *a, const void *b, void *keys) {
    const char **k = keys;
    return strcmp(k[*(const uint32_t *)a], k[*(const uint32_t *)b]);
}

static void index_keys(struct json *v) {
    if (v->size <= FEW) return;
    v->order = xmalloc(v->size * sizeof *v->order);
    for (size_t i = 0; i < v->size; i++) v->order[i] = (uint32_t)i;
    qsort_r(v->order, v->size, sizeof *v->order, by_key, v->keys);
}

static void build(struct json *v, json_t *source);

static void build_object(struct json *v) {
    v->size = json_object_size(v->source);
    v->items = xcalloc(v->size, sizeof *v->items);
    v->keys = xmalloc(v->size * sizeof *v->keys);
    const char *key;
    json_t *item;
    size_t i = 0;
    json_object_foreach(v->source, key, item) {
        v->keys[i] = key;
        build(&v->items[i++], item);
    }
    index_keys(v);
}

static void build_array(struct json *v) {
    v->size = json_array_size(v->source);
    v->items = xcalloc(v->size, sizeof *v->items);
    for (size_t i = 0; i < v->size; i++) build(&v->items[i], json_array_get(v->source, i));
}

static void build(struct json *v, json_t *source) {
    *v = (struct json){.type = type_of(source), .source = source};
    if (v->type == JSON_OBJECT) build_object(v);
    if (v->type == JSON_ARRAY) build_array(v);
}

static void release(struct json *v) {
    for (size_t i = 0; i < v->size; i++) release(&v->items[i]);
    free(v->items);
    free(v->keys);
    free(v->order);
}

// The message without the library's quotation of the text, which may hold line breaks.
static void explain(const json_error_t *e, const char *name, size_t line, struct fail *f) {
    const char *near = strstr(e->text, " near ");
    int n = near ? (int)(near - e->text) : (int)strcspn(e->text, "\n");
    size_t at = line + (e->line > 0 ? (size_t)e->line - 1 : 0);
    fail_set(f, EXIT_BADDATA, "invalid JSON in '%s' line %zu, column %d: %.*s", name, at, e->column,
             n, e->text);
}

// Out of memory is then out of memory, not bad JSON.
static void use_our_memory(void) {
    json_set_alloc_funcs(xmalloc, free);
}

struct json *json_parse_at(const char *text, size_t n, const char *name, size_t line,
                           struct fail *f) {
    if (f->code || !bounded(text, n, name, line, f)) return NULL;
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, use_our_memory);
    json_error_t e;
    size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL;
    json_t *source = json_loadb(text, n, flags, &e);
    // tokenizer_config.json likes 1000000000000000019884624838656
    if (!source && json_error_code(&e) == json_error_numeric_overflow)
        source = json_loadb(text, n, flags | JSON_DECODE_INT_AS_REAL, &e);
    if (!source) {
        explain(&e, name, line, f);
        return NULL;
    }
    struct json *root = xmalloc(sizeof *root);
    build(root, source);
    return root;
}

struct json *json_parse(const char *text, size_t n, const char *name, struct fail *f) {
    return json_parse_at(text, n, name, 1, f);
}

void json_free(struct json *root) {
    if (!root) return;
    release(root);
    json_decref(root->source);
    free(root);
}

// ---- reading ------------------------------------------------------------------------------------

enum json_type json_type(const struct json *v) {
    return v ? v->type : JSON_NULL;
}

const char *json_type_name(enum json_type t) {
    static const char *const names[] = {"null", "boolean", "number", "string", "array", "object"};
    return names[t];
}

size_t json_size(const struct json *v) {
    return v ? v->size : 0;
}

const struct json *json_get(const struct json *object, const char *key) {
    if (json_type(object) != JSON_OBJECT) return NULL;
    size_t low = 0, high = object->size;
    if (!object->order) {
        for (; low < high; low++)
            if (!strcmp(object->keys[low], key)) return &object->items[low];
        return NULL;
    }
    while (low < high) {
        size_t middle = (low + high) / 2, i = object->order[middle];
        int c = strcmp(key, object->keys[i]);
        if (!c) return &object->items[i];
        if (c < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const struct json *json_at(const struct json *array, size_t i) {
    return json_type(array) == JSON_ARRAY && i < array->size ? &array->items[i] : NULL;
}

const char *json_key(const struct json *object, size_t i) {
    return json_type(object) == JSON_OBJECT && i < object->size ? object->keys[i] : NULL;
}

const struct json *json_value(const struct json *object, size_t i) {
    return json_type(object) == JSON_OBJECT && i < object->size ? &object->items[i] : NULL;
}

const char *json_text(const struct json *v, size_t *n) {
    bool is = json_type(v) == JSON_STRING;
    if (n) *n = is ? json_string_length(v->source) : 0;
    return is ? json_string_value(v->source) : NULL;
}

double json_number(const struct json *v) {
    return json_type(v) == JSON_NUMBER ? json_number_value(v->source) : 0;
}

bool json_is_integer(const struct json *v) {
    return v && json_typeof(v->source) == JSON_INTEGER;
}

int64_t json_int(const struct json *v) {
    return json_is_integer(v) ? json_integer_value(v->source) : 0;
}

bool json_bool(const struct json *v) {
    return v && json_typeof(v->source) == JSON_TRUE;
}

// ---- writing ------------------------------------------------------------------------------------

static void new_line(struct str *to, int indent, int level) {
    if (indent) str_printf(to, "\n%*s", indent * level, "");
}

// A real stays one: 10000.0
static void write_number(struct str *to, const struct json *v) {
    size_t from = to->length;
    if (json_is_integer(v))
        str_printf(to, "%lld", (long long)json_int(v));
    else
        jsonout_number(to, json_number(v));
    if (!json_is_integer(v) && !strpbrk(to->text + from, ".en")) str_puts(to, ".0");
}

static void write_value(struct str *to, const struct json *v, int indent, int level) {
    size_t n;
    switch (json_type(v)) {
    case JSON_NULL:
        str_puts(to, "null");
        return;
    case JSON_BOOL:
        str_puts(to, json_bool(v) ? "true" : "false");
        return;
    case JSON_NUMBER:
        write_number(to, v);
        return;
    case JSON_STRING: {
        const char *s = json_text(v, &n);
        jsonout_bytes(to, s, n);
        return;
    }
    default:
        break;
    }
    bool object = v->type == JSON_OBJECT;
    str_puts(to, object ? "{" : "[");
    for (size_t i = 0; i < v->size; i++) {
        if (i) str_puts(to, indent ? "," : ", ");
        new_line(to, indent, level + 1);
        if (object) jsonout_text(to, v->keys[i]);
        if (object) str_puts(to, ": ");
        write_value(to, &v->items[i], indent, level + 1);
    }
    if (v->size) new_line(to, indent, level);
    str_puts(to, object ? "}" : "]");
}

void json_write(struct str *to, const struct json *v, int indent) {
    write_value(to, v, indent, 0);
}
