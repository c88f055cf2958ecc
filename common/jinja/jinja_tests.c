// Tests: what follows `is`.
#include "common/jinja/jinja_run.h"
#include <string.h>

#define TEST(name, condition)                                                                      \
    static struct jvalue name(struct jrun *r, struct jvalue in, const struct jbound *a) {          \
        (void)r, (void)a, (void)in;                                                                \
        return jinja_bool(condition);                                                              \
    }
TEST(t_defined, in.type != J_UNDEFINED)
TEST(t_undefined, in.type == J_UNDEFINED)
TEST(t_none, in.type == J_NONE)
TEST(t_true, in.type == J_BOOL && in.u.truth)
TEST(t_false, in.type == J_BOOL && !in.u.truth)
TEST(t_boolean, in.type == J_BOOL)
TEST(t_integer, in.type == J_INT)
TEST(t_float, in.type == J_FLOAT)
TEST(t_number, jinja_is_number(in))
TEST(t_string, in.type == J_STRING)
TEST(t_mapping, in.type == J_DICT)
TEST(t_iterable, jinja_iterable(in))
TEST(t_sequence, jinja_iterable(in))
TEST(t_callable,
     in.type == J_MACRO || in.type == J_FUNCTION || in.type == J_METHOD || in.type == J_LOOP)
TEST(t_eq, jinja_compare(r, '=', in, a->v[0]))
TEST(t_ne, jinja_compare(r, '!', in, a->v[0]))
TEST(t_lt, jinja_compare(r, '<', in, a->v[0]))
TEST(t_gt, jinja_compare(r, '>', in, a->v[0]))
TEST(t_le, jinja_compare(r, 'l', in, a->v[0]))
TEST(t_ge, jinja_compare(r, 'g', in, a->v[0]))
TEST(t_in, jinja_contains(r, a->v[0], in))
TEST(t_escaped, false)

static int64_t rest(struct jrun *r, struct jvalue in, struct jvalue by) {
    struct jvalue v = jinja_binary(r, '%', in, by);
    return jinja_truth(v) ? v.type == J_FLOAT ? 2 : jinja_integer(v) : 0;
}
TEST(t_odd, rest(r, in, jinja_int(2)) == 1)
TEST(t_even, rest(r, in, jinja_int(2)) == 0)
TEST(t_divisibleby, rest(r, in, a->v[0]) == 0)

static bool same_object(struct jvalue a, struct jvalue b) {
    bool shared = jinja_is_list(a) || a.type == J_DICT || a.type == J_NAMESPACE;
    return a.type == b.type && (shared ? a.u.list == b.u.list : jinja_equal(a, b));
}
TEST(t_sameas, same_object(in, a->v[0]))

static bool cased(struct jrun *r, struct jvalue in, const char *method) {
    struct jvalue s = jinja_text(r->pool, jinja_str(r->pool, in));
    struct jargs none = {0};
    return jinja_truth(jinja_apply(r, jinja_method_find(s, method, 7), s, &none));
}
TEST(t_lower, cased(r, in, "islower"))
TEST(t_upper, cased(r, in, "isupper"))
TEST(t_filter, in.type == J_STRING && jinja_filter_find(in.u.string->text, in.u.string->n))
TEST(t_test, in.type == J_STRING && jinja_test_find(in.u.string->text, in.u.string->n))

static const struct jfunction tests[] = {
    {"defined", "", t_defined},    {"undefined", "", t_undefined},
    {"none", "", t_none},          {"true", "", t_true},
    {"false", "", t_false},        {"boolean", "", t_boolean},
    {"integer", "", t_integer},    {"float", "", t_float},
    {"number", "", t_number},      {"string", "", t_string},
    {"mapping", "", t_mapping},    {"iterable", "", t_iterable},
    {"sequence", "", t_sequence},  {"callable", "", t_callable},
    {"escaped", "", t_escaped},    {"odd", "", t_odd},
    {"even", "", t_even},          {"lower", "", t_lower},
    {"upper", "", t_upper},        {"filter", "", t_filter},
    {"test", "", t_test},          {"divisibleby", "num", t_divisibleby},
    {"sameas", "other", t_sameas}, {"in", "seq", t_in},
    {"eq", "other", t_eq},         {"equalto", "other", t_eq},
    {"==", "other", t_eq},         {"ne", "other", t_ne},
    {"!=", "other", t_ne},         {"lt", "other", t_lt},
    {"lessthan", "other", t_lt},   {"<", "other", t_lt},
    {"gt", "other", t_gt},         {"greaterthan", "other", t_gt},
    {">", "other", t_gt},          {"le", "other", t_le},
    {"<=", "other", t_le},         {"ge", "other", t_ge},
    {">=", "other", t_ge},
};

const void *jinja_test_find(const char *name, size_t n) {
    return jinja_entry(tests, sizeof tests / sizeof *tests, name, n);
}
