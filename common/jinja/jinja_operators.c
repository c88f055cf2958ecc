// Operators on values, as Python has them.
#include "common/jinja/jinja_run.h"
#include <math.h>
#include <string.h>

static _Noreturn void fail_operands(struct jrun *r, const char *op, struct jvalue a,
                                    struct jvalue b) {
    struct jvalue u = a.type == J_UNDEFINED ? a : b;
    if (u.type == J_UNDEFINED)
        jinja_fail(r, "'%.*s' is undefined", (int)(u.u.string->n < 80 ? u.u.string->n : 80),
                   u.u.string->text);
    jinja_fail(r, "'%s' does not go with %s and %s", op, jinja_type_name(a), jinja_type_name(b));
}

static const char *op_name(char op) {
    static const struct {
        char op;
        const char *name;
    } names[] = {{'+', "+"},  {'-', "-"},  {'*', "*"},  {'/', "/"},     {'d', "//"},
                 {'%', "%"},  {'p', "**"}, {'~', "~"},  {'<', "<"},     {'>', ">"},
                 {'l', "<="}, {'g', ">="}, {'i', "in"}, {'n', "not in"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].op == op) return names[i].name;
    return "?";
}

static struct jvalue integer(struct jrun *r, char op, int64_t a, int64_t b) {
    int64_t x = 0;
    bool over = false;
    switch (op) {
    case '+':
        over = __builtin_add_overflow(a, b, &x);
        break;
    case '-':
        over = __builtin_sub_overflow(a, b, &x);
        break;
    case '*':
        over = __builtin_mul_overflow(a, b, &x);
        break;
    case 'p':
        x = 1;
        if (b > 64 && (a > 1 || a < -1)) over = true;
        if (b > 64) b = 64 + (b & 1); // of 0, 1 and -1
        for (; b > 0 && !over; b--) over = __builtin_mul_overflow(x, a, &x);
        break;
    default: // floor division and its rest
        if (!b) jinja_fail(r, "division by zero");
        if (a == INT64_MIN && b == -1) {
            over = op == 'd';
            break;
        }
        int64_t q = a / b, m = a % b;
        if (m && (m < 0) != (b < 0)) q--, m += b;
        x = op == 'd' ? q : m;
    }
    if (over) jinja_fail(r, "an integer is too large");
    return jinja_int(x);
}

static struct jvalue real(struct jrun *r, char op, double a, double b) {
    double m;
    if ((op == '/' || op == 'd' || op == '%') && b == 0) jinja_fail(r, "division by zero");
    switch (op) {
    case '+':
        return jinja_float(a + b);
    case '-':
        return jinja_float(a - b);
    case '*':
        return jinja_float(a * b);
    case '/':
        return jinja_float(a / b);
    case 'p':
        return jinja_float(pow(a, b));
    case 'd':
        return jinja_float(floor(a / b));
    default:
        m = fmod(a, b);
        return jinja_float(m && (m < 0) != (b < 0) ? m + b : m);
    }
}

static struct jvalue numbers(struct jrun *r, char op, struct jvalue a, struct jvalue b) {
    bool whole = a.type != J_FLOAT && b.type != J_FLOAT && op != '/';
    if (whole && !(op == 'p' && jinja_integer(b) < 0))
        return integer(r, op, jinja_integer(a), jinja_integer(b));
    return real(r, op, jinja_number(a), jinja_number(b));
}

static struct jvalue joined(struct jrun *r, struct jvalue a, struct jvalue b) {
    struct jvalue list = jinja_list(r->pool, a.type);
    for (size_t i = 0; i < a.u.list->n; i++) jinja_append(r->pool, list, a.u.list->items[i]);
    for (size_t i = 0; i < b.u.list->n; i++) jinja_append(r->pool, list, b.u.list->items[i]);
    jinja_step(r, list.u.list->n);
    return list;
}

static struct jvalue both_texts(struct jrun *r, struct jtext a, struct jtext b) {
    struct jbuild out = {.pool = r->pool};
    jbuild_text(&out, a);
    jbuild_text(&out, b);
    return jinja_text(r->pool, jbuild_take(&out));
}

static struct jvalue repeated(struct jrun *r, struct jvalue v, int64_t times) {
    struct jbuild out = {.pool = r->pool};
    struct jvalue list = jinja_list(r->pool, v.type == J_TUPLE ? J_TUPLE : J_LIST);
    for (int64_t i = 0; i < times; i++) {
        jinja_step(r, 1);
        if (v.type == J_STRING && !v.u.string->n) break;
        if (v.type == J_STRING) jbuild_text(&out, *v.u.string);
        for (size_t k = 0; v.type != J_STRING && k < v.u.list->n; k++)
            jinja_append(r->pool, list, v.u.list->items[k]);
    }
    return v.type == J_STRING ? jinja_text(r->pool, jbuild_take(&out)) : list;
}

struct jvalue jinja_binary(struct jrun *r, char op, struct jvalue a, struct jvalue b) {
    if (op == '~') return both_texts(r, jinja_str(r->pool, a), jinja_str(r->pool, b));
    if (jinja_is_number(a) && jinja_is_number(b)) return numbers(r, op, a, b);
    bool text_a = a.type == J_STRING, text_b = b.type == J_STRING;
    if (op == '+' && text_a && text_b) return both_texts(r, *a.u.string, *b.u.string);
    if (op == '+' && jinja_is_list(a) && a.type == b.type) return joined(r, a, b);
    if (op == '%' && text_a) {
        bool many = b.type == J_TUPLE;
        return jinja_text(r->pool, jtext_percent(r, *a.u.string, many ? b.u.list->items : &b,
                                                 many ? b.u.list->n : 1));
    }
    bool times_a = a.type == J_INT || a.type == J_BOOL,
         times_b = b.type == J_INT || b.type == J_BOOL;
    if (op == '*' && (text_a || jinja_is_list(a)) && times_b)
        return repeated(r, a, jinja_integer(b));
    if (op == '*' && times_a && (text_b || jinja_is_list(b)))
        return repeated(r, b, jinja_integer(a));
    fail_operands(r, op_name(op), a, b);
}

// ---- comparisons --------------------------------------------------------------------------------

static int order_texts(struct jtext a, struct jtext b) {
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.text, b.text, n) : 0; // UTF-8 sorts as its characters do
    return c ? c : (a.n > b.n) - (a.n < b.n);
}

static bool ordered(struct jrun *r, struct jvalue a, struct jvalue b, const char *op, int *c) {
    if (jinja_is_number(a) && jinja_is_number(b)) {
        double x = jinja_number(a), y = jinja_number(b);
        *c = (x > y) - (x < y);
        if (a.type != J_FLOAT && b.type != J_FLOAT)
            *c = (jinja_integer(a) > jinja_integer(b)) - (jinja_integer(a) < jinja_integer(b));
        return !isnan(x) && !isnan(y);
    }
    if (a.type == J_STRING && b.type == J_STRING) {
        *c = order_texts(*a.u.string, *b.u.string);
        return true;
    }
    if (!jinja_is_list(a) || a.type != b.type) fail_operands(r, op, a, b);
    const struct jlist *x = a.u.list, *y = b.u.list;
    for (size_t i = 0; i < x->n && i < y->n; i++) {
        if (jinja_equal(x->items[i], y->items[i])) continue;
        if (++r->depth > JINJA_DEPTH) jinja_fail(r, "lists too deep to compare");
        bool known = ordered(r, x->items[i], y->items[i], op, c);
        r->depth--;
        return known;
    }
    *c = (x->n > y->n) - (x->n < y->n);
    return true;
}

int jinja_order(struct jrun *r, struct jvalue a, struct jvalue b) {
    int c = 0;
    ordered(r, a, b, "<", &c);
    return c;
}

bool jinja_contains(struct jrun *r, struct jvalue list, struct jvalue item) {
    if (list.type == J_STRING) {
        if (item.type != J_STRING) fail_operands(r, "in", item, list);
        jinja_step(r, list.u.string->n / 64);
        return jtext_find(*list.u.string, *item.u.string, 0) != SIZE_MAX;
    }
    if (list.type == J_UNDEFINED) return false;
    if (list.type == J_DICT) return jinja_get(list.u.dict, item) != NULL;
    if (!jinja_is_list(list)) fail_operands(r, "in", item, list);
    jinja_step(r, list.u.list->n);
    for (size_t i = 0; i < list.u.list->n; i++)
        if (jinja_equal(list.u.list->items[i], item)) return true;
    return false;
}

bool jinja_compare(struct jrun *r, char op, struct jvalue a, struct jvalue b) {
    int c = 0;
    if (a.type == J_STRING && b.type == J_STRING) jinja_step(r, a.u.string->n / 256);
    switch (op) {
    case '=':
        return jinja_equal(a, b);
    case '!':
        return !jinja_equal(a, b);
    case 'i':
        return jinja_contains(r, b, a);
    case 'n':
        return !jinja_contains(r, b, a);
    default:
        if (!ordered(r, a, b, op_name(op), &c)) return false;
        return op == '<' ? c < 0 : op == '>' ? c > 0 : op == 'l' ? c <= 0 : c >= 0;
    }
}

// ---- slices and what loops go over --------------------------------------------------------------

bool jinja_iterable(struct jvalue v) {
    return jinja_is_list(v) || v.type == J_STRING || v.type == J_DICT || v.type == J_UNDEFINED;
}

struct jlist jinja_items(struct jrun *r, struct jvalue v) {
    struct jlist none = {0};
    if (jinja_is_list(v)) return *v.u.list;
    if (v.type == J_UNDEFINED) return none;
    if (v.type == J_DICT) return (struct jlist){v.u.dict->n, v.u.dict->n, v.u.dict->keys};
    if (v.type != J_STRING) jinja_fail(r, "%s is nothing to go over", jinja_type_name(v));
    struct jvalue list = jinja_list(r->pool, J_LIST);
    struct jtext rest = *v.u.string;
    jinja_step(r, rest.n);
    while (rest.n) {
        size_t k = jtext_offset(rest, 1);
        jinja_append(r->pool, list, jinja_text(r->pool, jtext_part(rest, 0, k)));
        rest = jtext_part(rest, k, rest.n);
    }
    return *list.u.list;
}

static int64_t slice_bound(struct jrun *r, struct jvalue v, int64_t without, int64_t low,
                           int64_t high, int64_t n) {
    if (v.type == J_NONE) return without;
    if (v.type != J_INT && v.type != J_BOOL)
        jinja_fail(r, "a slice's bound is %s, not an integer", jinja_type_name(v));
    int64_t i = jinja_integer(v);
    if (i < 0) i += n;
    return i < low ? low : i > high ? high : i;
}

struct jvalue jinja_slice(struct jrun *r, struct jvalue v, struct jvalue start, struct jvalue stop,
                          struct jvalue step) {
    if (!jinja_is_list(v) && v.type != J_STRING)
        jinja_fail(r, "%s has no slices", jinja_type_name(v));
    int64_t by = step.type == J_NONE ? 1 : slice_bound(r, step, 1, INT64_MIN, INT64_MAX, 0);
    if (!by) jinja_fail(r, "a slice's step is 0");
    bool text = v.type == J_STRING, simple = text && by == 1;
    struct jlist all = simple ? (struct jlist){.n = jtext_length(*v.u.string)} : jinja_items(r, v);
    int64_t n = (int64_t)all.n, back = by < 0;
    int64_t from = slice_bound(r, start, back ? n - 1 : 0, back ? -1 : 0, back ? n - 1 : n, n);
    int64_t to = slice_bound(r, stop, back ? -1 : n, back ? -1 : 0, back ? n - 1 : n, n);
    if (simple) {
        size_t a = jtext_offset(*v.u.string, (size_t)from),
               b = jtext_offset(*v.u.string, (size_t)to);
        return jinja_text(r->pool, jtext_part(*v.u.string, a, b > a ? b : a));
    }
    struct jvalue list = jinja_list(r->pool, v.type == J_TUPLE ? J_TUPLE : J_LIST);
    for (int64_t i = from; back ? i > to : i < to; i += by) {
        jinja_append(r->pool, list, all.items[i]);
        if (by > n || by < -n) break;
    }
    if (!text) return list;
    return jinja_text(r->pool, jtext_join(r, (struct jtext){"", NULL, 0}, list));
}
