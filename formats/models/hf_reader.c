#include "formats/models/hf_reader.h"
#include <math.h>
#include <string.h>

bool hf_is_null(const struct json *v) {
    return json_type(v) == JSON_NULL;
}

bool hf_listed(const char *key, const char *const *list, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!strcmp(key, list[i])) return true;
    return false;
}

size_t hf_size(struct hf_reader *r, const char *key, size_t fallback) {
    const struct json *v = json_get(r->root, key);
    if (hf_is_null(v) && fallback) return fallback;
    if (!json_is_integer(v) || json_int(v) <= 0 || json_int(v) > 1 << 28) {
        fail_set(r->f, EXIT_BADDATA,
                 hf_is_null(v) ? "'%s' is missing in '%s'"
                               : "'%s' in '%s' is not a positive integer",
                 key, r->name);
        return 1;
    }
    return (size_t)json_int(v);
}

double hf_real(struct hf_reader *r, const struct json *object, const char *key, double fallback) {
    const struct json *v = json_get(object, key);
    if (hf_is_null(v) && fallback > 0) return fallback;
    double x = json_number(v);
    if (!(x > 0) || !isfinite(x))
        fail_set(r->f, EXIT_BADDATA, "'%s' in '%s' is not a positive number", key, r->name);
    return x;
}

bool hf_flag(struct hf_reader *r, const char *key, bool fallback) {
    const struct json *v = json_get(r->root, key);
    if (hf_is_null(v)) return fallback;
    if (json_type(v) != JSON_BOOL)
        fail_set(r->f, EXIT_BADDATA, "'%s' in '%s' is not true or false", key, r->name);
    return json_bool(v);
}

void hf_must_be_off(struct hf_reader *r, const char *key) {
    if (hf_flag(r, key, false))
        fail_set(r->f, EXIT_BADDATA, "'%s' in '%s' is true; this is not supported", key, r->name);
}
