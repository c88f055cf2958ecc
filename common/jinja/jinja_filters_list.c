// Filters on lists and dicts.
#include "common/jinja/jinja_run.h"
#include <ctype.h>
#include <string.h>

static struct jvalue text(struct jrun *r, struct jtext t) {
    return jinja_text(r->pool, t);
}

static struct jvalue list_of(struct jrun *r, struct jlist all) {
    struct jvalue list = jinja_list(r->pool, J_LIST);
    jinja_step(r, all.n);
    for (size_t i = 0; i < all.n; i++) jinja_append(r->pool, list, all.items[i]);
    return list;
}

// An attribute as "a.b.0": names and places.
static struct jvalue dotted(struct jrun *r, struct jvalue v, struct jvalue path) {
    if (path.type != J_STRING) return jinja_item(r, v, path);
    struct jtext t = *path.u.string;
    for (size_t at = 0; at <= t.n;) {
        const char *dot = memchr(t.text + at, '.', t.n - at);
        size_t end = dot ? (size_t)(dot - t.text) : t.n, digits = at;
        int64_t i = 0;
        while (digits < end && digits - at < 9 && isdigit((unsigned char)t.text[digits]))
            i = i * 10 + t.text[digits++] - '0';
        bool place = digits == end && end > at;
        v = jinja_item(r, v, place ? jinja_int(i) : text(r, jtext_part(t, at, end)));
        at = end + 1;
    }
    return v;
}

// ---- order --------------------------------------------------------------------------------------

struct keyed {
    struct jvalue key, value;
};

static struct jvalue folded(struct jrun *r, struct jvalue v, bool keep_case) {
    if (keep_case || v.type != J_STRING) return v;
    return text(r, jtext_case(r, *v.u.string, JCASE_LOWER));
}

static void merge_sort(struct jrun *r, struct keyed *v, struct keyed *spare, size_t n, int sign) {
    if (n < 2) return;
    size_t half = n / 2, i = 0, j = half;
    merge_sort(r, v, spare, half, sign);
    merge_sort(r, v + half, spare, n - half, sign);
    jinja_step(r, n);
    for (size_t k = 0; k < n; k++) {
        bool left = j == n || (i < half && sign * jinja_order(r, v[j].key, v[i].key) >= 0);
        spare[k] = v[left ? i++ : j++];
    }
    memcpy(v, spare, n * sizeof *v);
}

static struct keyed *sorted(struct jrun *r, struct jlist all, struct jvalue path, bool keep_case,
                            bool falling) {
    struct keyed *v = jpool_take(r->pool, (all.n + 1) * sizeof *v);
    struct keyed *spare = jpool_take(r->pool, (all.n + 1) * sizeof *v);
    for (size_t i = 0; i < all.n; i++) {
        struct jvalue key = path.type == J_NONE ? all.items[i] : dotted(r, all.items[i], path);
        v[i] = (struct keyed){folded(r, key, keep_case), all.items[i]};
    }
    merge_sort(r, v, spare, all.n, falling ? -1 : 1);
    return v;
}

static struct jvalue arg(const struct jbound *a, size_t i) {
    return a->given[i] ? a->v[i] : jinja_none();
}

static struct jvalue f_sort(struct jrun *r, struct jvalue in, const struct jbound *a) {
    struct jlist all = jinja_items(r, in);
    struct keyed *v =
        sorted(r, all, arg(a, 2), jinja_arg_bool(a, 1, false), jinja_arg_bool(a, 0, false));
    struct jvalue list = jinja_list(r->pool, J_LIST);
    for (size_t i = 0; i < all.n; i++) jinja_append(r->pool, list, v[i].value);
    return list;
}

static struct jvalue pairs(struct jrun *r, struct jvalue in) {
    if (in.type == J_UNDEFINED) return jinja_list(r->pool, J_LIST);
    if (in.type != J_DICT) jinja_fail(r, "%s has no items", jinja_type_name(in));
    struct jargs none = {0};
    return jinja_apply(r, jinja_method_find(in, "items", 5), in, &none);
}

static struct jvalue f_items(struct jrun *r, struct jvalue in, const struct jbound *a) {
    (void)a;
    return pairs(r, in);
}

static struct jvalue f_dictsort(struct jrun *r, struct jvalue in, const struct jbound *a) {
    struct jlist all = *pairs(r, in).u.list;
    struct jtext by = jinja_arg_text(r, a, 1, "key");
    bool value = by.n == 5 && !memcmp(by.text, "value", 5);
    struct keyed *v =
        sorted(r, all, jinja_int(value), jinja_arg_bool(a, 0, false), jinja_arg_bool(a, 2, false));
    struct jvalue list = jinja_list(r->pool, J_LIST);
    for (size_t i = 0; i < all.n; i++) jinja_append(r->pool, list, v[i].value);
    return list;
}

static struct jvalue f_groupby(struct jrun *r, struct jvalue in, const struct jbound *a) {
    struct jlist all = jinja_items(r, in);
    struct keyed *v = sorted(r, all, arg(a, 0), jinja_arg_bool(a, 2, false), false);
    struct jvalue groups = jinja_list(r->pool, J_LIST), group = jinja_none();
    for (size_t i = 0; i < all.n; i++) {
        if (!i || !jinja_equal(v[i].key, v[i - 1].key)) {
            struct jvalue both = jinja_list(r->pool, J_TUPLE);
            group = jinja_list(r->pool, J_LIST);
            jinja_append(r->pool, both, dotted(r, v[i].value, arg(a, 0)));
            jinja_append(r->pool, both, group);
            jinja_append(r->pool, groups, both);
        }
        jinja_append(r->pool, group, v[i].value);
    }
    return groups;
}

static struct jvalue extreme(struct jrun *r, struct jvalue in, const struct jbound *a, int sign) {
    struct jlist all = jinja_items(r, in);
    struct jvalue best = jinja_undefined(r->pool, "the first of nothing", 20), key = jinja_none();
    for (size_t i = 0; i < all.n; i++) {
        struct jvalue k =
            arg(a, 1).type == J_NONE ? all.items[i] : dotted(r, all.items[i], arg(a, 1));
        k = folded(r, k, jinja_arg_bool(a, 0, false));
        if (i && sign * jinja_order(r, k, key) <= 0) continue;
        key = k;
        best = all.items[i];
    }
    return best;
}

static struct jvalue f_max(struct jrun *r, struct jvalue in, const struct jbound *a) {
    return extreme(r, in, a, 1);
}

static struct jvalue f_min(struct jrun *r, struct jvalue in, const struct jbound *a) {
    return extreme(r, in, a, -1);
}

static struct jvalue f_unique(struct jrun *r, struct jvalue in, const struct jbound *a) {
    struct jlist all = jinja_items(r, in);
    struct jvalue seen = jinja_list(r->pool, J_LIST), list = jinja_list(r->pool, J_LIST);
    for (size_t i = 0; i < all.n; i++) {
        struct jvalue k =
            arg(a, 1).type == J_NONE ? all.items[i] : dotted(r, all.items[i], arg(a, 1));
        k = folded(r, k, jinja_arg_bool(a, 0, false));
        if (jinja_contains(r, seen, k)) continue;
        jinja_append(r->pool, seen, k);
        jinja_append(r->pool, list, all.items[i]);
    }
    return list;
}

static struct jvalue f_reverse(struct jrun *r, struct jvalue in, const struct jbound *a) {
    (void)a;
    if (in.type == J_STRING) return jinja_slice(r, in, jinja_none(), jinja_none(), jinja_int(-1));
    struct jvalue list = list_of(r, jinja_items(r, in));
    return jinja_slice(r, list, jinja_none(), jinja_none(), jinja_int(-1));
}

// ---- parts --------------------------------------------------------------------------------------

static struct jvalue f_first(struct jrun *r, struct jvalue in, const struct jbound *a) {
    struct jlist all = jinja_items(r, in);
    (void)a;
    return all.n ? all.items[0] : jinja_undefined(r->pool, "the first of nothing", 20);
}

static struct jvalue f_last(struct jrun *r, struct jvalue in, const struct jbound *a) {
    struct jlist all = jinja_items(r, in);
    (void)a;
    return all.n ? all.items[all.n - 1] : jinja_undefined(r->pool, "the last of nothing", 19);
}

static struct jvalue f_list(struct jrun *r, struct jvalue in, const struct jbound *a) {
    (void)a;
    return list_of(r, jinja_items(r, in));
}

static struct jvalue f_join(struct jrun *r, struct jvalue in, const struct jbound *a) {
    struct jvalue list = in;
    if (a->given[1] && a->v[1].type != J_NONE) {
        struct jlist all = jinja_items(r, in);
        list = jinja_list(r->pool, J_LIST);
        for (size_t i = 0; i < all.n; i++)
            jinja_append(r->pool, list, dotted(r, all.items[i], a->v[1]));
    }
    struct jtext by = a->given[0] ? jinja_str(r->pool, a->v[0]) : (struct jtext){"", NULL, 0};
    return text(r, jtext_join(r, by, list));
}

static struct jvalue f_sum(struct jrun *r, struct jvalue in, const struct jbound *a) {
    struct jlist all = jinja_items(r, in);
    struct jvalue sum = a->given[1] ? a->v[1] : jinja_int(0);
    for (size_t i = 0; i < all.n; i++) {
        struct jvalue v =
            arg(a, 0).type == J_NONE ? all.items[i] : dotted(r, all.items[i], a->v[0]);
        sum = jinja_binary(r, '+', sum, v);
    }
    return sum;
}

static struct jvalue f_batch(struct jrun *r, struct jvalue in, const struct jbound *a) {
    struct jlist all = jinja_items(r, in);
    int64_t size = jinja_arg_int(r, a, 0, 0);
    struct jvalue list = jinja_list(r->pool, J_LIST), part = jinja_none();
    if (size < 1) jinja_fail(r, "batch of less than 1");
    for (size_t i = 0; i < all.n; i++) {
        if (i % (size_t)size == 0) jinja_append(r->pool, list, part = jinja_list(r->pool, J_LIST));
        jinja_append(r->pool, part, all.items[i]);
    }
    bool fill = a->given[1] && a->v[1].type != J_NONE && all.n;
    while (fill && part.u.list->n < (size_t)size) {
        jinja_step(r, 1);
        jinja_append(r->pool, part, a->v[1]);
    }
    return list;
}

static struct jvalue f_slice(struct jrun *r, struct jvalue in, const struct jbound *a) {
    struct jlist all = jinja_items(r, in);
    int64_t slices = jinja_arg_int(r, a, 0, 0);
    struct jvalue list = jinja_list(r->pool, J_LIST);
    if (slices < 1 || slices > JINJA_RANGE) jinja_fail(r, "slice into %lld", (long long)slices);
    size_t n = (size_t)slices, size = all.n / n, longer = all.n % n, at = 0;
    for (size_t i = 0; i < n; i++) {
        struct jvalue part = jinja_list(r->pool, J_LIST);
        for (size_t k = 0; k < size + (i < longer); k++)
            jinja_append(r->pool, part, all.items[at++]);
        if (a->given[1] && a->v[1].type != J_NONE && i >= longer)
            jinja_append(r->pool, part, a->v[1]);
        jinja_append(r->pool, list, part);
    }
    return list;
}

// ---- by a filter or a test ----------------------------------------------------------------------

static struct jargs rest(const struct jargs *a, size_t from) {
    if (a->n < from) from = a->n;
    return (struct jargs){a->n - from, a->v + from, a->names ? a->names + from : NULL};
}

static const struct jvalue *named(const struct jargs *a, const char *name) {
    for (size_t i = 0; i < a->n; i++)
        if (a->names && a->names[i] && a->names[i]->n == strlen(name) &&
            !memcmp(a->names[i]->text, name, strlen(name)))
            return &a->v[i];
    return NULL;
}

static struct jvalue f_map(struct jrun *r, struct jvalue in, const struct jbound *a) {
    struct jlist all = jinja_items(r, in);
    const struct jvalue *path = named(a->raw, "attribute"), *without = named(a->raw, "default");
    struct jvalue list = jinja_list(r->pool, J_LIST);
    const struct jfunction *f = NULL;
    struct jargs more = rest(a->raw, 1);
    if (!path) {
        if (!a->raw->n || a->raw->v[0].type != J_STRING)
            jinja_fail(r, "map needs a filter or an attribute");
        struct jtext name = *a->raw->v[0].u.string;
        f = jinja_filter_find(name.text, name.n);
        if (!f) jinja_fail(r, "unknown filter '%.*s'", (int)(name.n < 60 ? name.n : 60), name.text);
    }
    for (size_t i = 0; i < all.n; i++) {
        jinja_step(r, 1);
        struct jvalue v =
            path ? dotted(r, all.items[i], *path) : jinja_apply(r, f, all.items[i], &more);
        if (path && without && v.type == J_UNDEFINED) v = *without;
        jinja_append(r->pool, list, v);
    }
    return list;
}

// Items (or their attribute) for which a test holds, or does not.
static struct jvalue chosen(struct jrun *r, struct jvalue in, const struct jargs *a, bool attribute,
                            bool want) {
    struct jlist all = jinja_items(r, in);
    struct jvalue list = jinja_list(r->pool, J_LIST);
    const struct jfunction *test = NULL;
    if (attribute && !a->n) jinja_fail(r, "an attribute's name is missing");
    struct jargs of = rest(a, attribute), more = rest(&of, 1);
    if (of.n) {
        struct jtext name = jinja_str(r->pool, of.v[0]);
        test = jinja_test_find(name.text, name.n);
        if (!test)
            jinja_fail(r, "unknown test '%.*s'", (int)(name.n < 60 ? name.n : 60), name.text);
    }
    for (size_t i = 0; i < all.n; i++) {
        jinja_step(r, 1);
        struct jvalue v = attribute ? dotted(r, all.items[i], a->v[0]) : all.items[i];
        bool holds = jinja_truth(test ? jinja_apply(r, test, v, &more) : v);
        if (holds == want) jinja_append(r->pool, list, all.items[i]);
    }
    return list;
}

static struct jvalue f_select(struct jrun *r, struct jvalue in, const struct jbound *a) {
    return chosen(r, in, a->raw, false, true);
}

static struct jvalue f_reject(struct jrun *r, struct jvalue in, const struct jbound *a) {
    return chosen(r, in, a->raw, false, false);
}

static struct jvalue f_selectattr(struct jrun *r, struct jvalue in, const struct jbound *a) {
    return chosen(r, in, a->raw, true, true);
}

static struct jvalue f_rejectattr(struct jrun *r, struct jvalue in, const struct jbound *a) {
    return chosen(r, in, a->raw, true, false);
}

const struct jfunction jinja_list_filters[] = {
    {"sort", "reverse,case_sensitive,attribute", f_sort},
    {"dictsort", "case_sensitive,by,reverse", f_dictsort},
    {"items", "", f_items},
    {"groupby", "attribute,default,case_sensitive", f_groupby},
    {"max", "case_sensitive,attribute", f_max},
    {"min", "case_sensitive,attribute", f_min},
    {"unique", "case_sensitive,attribute", f_unique},
    {"reverse", "", f_reverse},
    {"first", "", f_first},
    {"last", "", f_last},
    {"list", "", f_list},
    {"join", "d,attribute", f_join},
    {"sum", "attribute,start", f_sum},
    {"batch", "linecount,fill_with", f_batch},
    {"slice", "slices,fill_with", f_slice},
    {"map", "*", f_map},
    {"select", "*", f_select},
    {"reject", "*", f_reject},
    {"selectattr", "*", f_selectattr},
    {"rejectattr", "*", f_rejectattr},
};
const size_t jinja_list_filters_n = sizeof jinja_list_filters / sizeof *jinja_list_filters;
