#include "formats/records/json_values.h"
#include <string.h>

static struct jvalue members(struct jpool *p, const struct json *v, uint16_t mark) {
    struct jvalue d = jinja_dict(p);
    for (size_t i = 0; i < json_size(v); i++) {
        const char *key = json_key(v, i);
        jinja_set(p, d, jinja_marked(p, key, strlen(key), mark),
                  json_values(p, json_value(v, i), mark));
    }
    return d;
}

struct jvalue json_values(struct jpool *p, const struct json *v, uint16_t mark) {
    size_t n = json_size(v);
    switch (json_type(v)) {
    case JSON_NULL:
        return jinja_none();
    case JSON_BOOL:
        return jinja_bool(json_bool(v));
    case JSON_NUMBER:
        return json_is_integer(v) ? jinja_int(json_int(v)) : jinja_float(json_number(v));
    case JSON_STRING: {
        const char *text = json_text(v, &n);
        return jinja_marked(p, text, n, mark);
    }
    case JSON_OBJECT:
        return members(p, v, mark);
    default:
        break;
    }
    struct jvalue list = jinja_list(p, J_LIST);
    for (size_t i = 0; i < n; i++) jinja_append(p, list, json_values(p, json_at(v, i), mark));
    return list;
}
