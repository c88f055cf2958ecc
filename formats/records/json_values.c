#include "formats/records/json_values.h"
#include <string.h>

static struct jvalue members(struct jpool *p, const struct json *v, uint16_t mark, bool lf) {
    struct jvalue d = jinja_dict(p);
    for (size_t i = 0; i < json_size(v); i++) {
        const char *key = json_key(v, i);
        jinja_set(p, d, jinja_marked(p, key, strlen(key), mark),
                  json_values(p, json_value(v, i), mark, lf));
    }
    return d;
}

static struct jvalue text_value(struct jpool *p, const struct json *v, uint16_t mark, bool lf) {
    size_t n, k = 0;
    const char *text = json_text(v, &n);
    if (!lf || !memmem(text, n, "\r\n", 2)) return jinja_marked(p, text, n, mark);
    char *copy = jpool_copy(p, text, n);
    for (size_t i = 0; i < n; i++)
        if (text[i] != '\r' || i + 1 == n || text[i + 1] != '\n') copy[k++] = text[i];
    return jinja_marked(p, copy, k, mark);
}

struct jvalue json_values(struct jpool *p, const struct json *v, uint16_t mark, bool lf) {
    size_t n = json_size(v);
    switch (json_type(v)) {
    case JSON_NULL:
        return jinja_none();
    case JSON_BOOL:
        return jinja_bool(json_bool(v));
    case JSON_NUMBER:
        return json_is_integer(v) ? jinja_int(json_int(v)) : jinja_float(json_number(v));
    case JSON_STRING:
        return text_value(p, v, mark, lf);
    case JSON_OBJECT:
        return members(p, v, mark, lf);
    default:
        break;
    }
    struct jvalue list = jinja_list(p, J_LIST);
    for (size_t i = 0; i < n; i++) jinja_append(p, list, json_values(p, json_at(v, i), mark, lf));
    return list;
}
