// Filters on one value: text, numbers, JSON. Those on lists are in jinja_filters_list.c.
#include "common/jinja/jinja_run.h"
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct jvalue text(struct jrun *r, struct jtext t) {
    return jinja_text(r->pool, t);
}

static struct jvalue f_trim(struct jrun *r, struct jvalue in, const struct jbound *a) {
    bool set = a->given[0] && a->v[0].type != J_NONE;
    struct jtext chars = jinja_arg_text(r, a, 0, "");
    return text(r, jtext_strip(jinja_str(r->pool, in), set ? &chars : NULL, true, true));
}

#define CASE_FILTER(name, how)                                                                     \
    static struct jvalue name(struct jrun *r, struct jvalue in, const struct jbound *a) {          \
        (void)a;                                                                                   \
        return text(r, jtext_case(r, jinja_str(r->pool, in), how));                                \
    }
CASE_FILTER(f_lower, JCASE_LOWER)
CASE_FILTER(f_upper, JCASE_UPPER)
CASE_FILTER(f_capitalize, JCASE_CAPITAL)

// Words begin after blanks and - ( { [ <, unlike the method.
static struct jvalue f_title(struct jrun *r, struct jvalue in, const struct jbound *a) {
    struct jtext t = jinja_str(r->pool, in);
    struct jbuild b = {.pool = r->pool};
    (void)a;
    for (size_t at = 0, end; at < t.n; at = end) {
        bool edge = strchr("-({[< \t\n\r\v\f", t.text[at]) && t.text[at];
        for (end = at; end < t.n; end++) {
            bool here = strchr("-({[< \t\n\r\v\f", t.text[end]) && t.text[end];
            if (here != edge) break;
        }
        jbuild_text(&b, edge ? jtext_part(t, at, end)
                             : jtext_case(r, jtext_part(t, at, end), JCASE_CAPITAL));
    }
    return text(r, jbuild_take(&b));
}

static struct jvalue f_replace(struct jrun *r, struct jvalue in, const struct jbound *a) {
    return text(r, jtext_replace(r, jinja_str(r->pool, in), jinja_arg_text(r, a, 0, ""),
                                 jinja_arg_text(r, a, 1, ""), jinja_arg_int(r, a, 2, -1)));
}

static struct jvalue f_string(struct jrun *r, struct jvalue in, const struct jbound *a) {
    (void)a;
    return in.type == J_STRING ? in : text(r, jinja_str(r->pool, in));
}

static struct jvalue f_center(struct jrun *r, struct jvalue in, const struct jbound *a) {
    return text(r, jtext_pad(r, jinja_str(r->pool, in), jinja_arg_int(r, a, 0, 80), ' ', 1));
}

static struct jvalue f_escape(struct jrun *r, struct jvalue in, const struct jbound *a) {
    static const char *const codes[][2] = {
        {"&", "&amp;"}, {">", "&gt;"}, {"<", "&lt;"}, {"'", "&#39;"}, {"\"", "&#34;"}};
    struct jtext t = jinja_str(r->pool, in);
    (void)a;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        t = jtext_replace(r, t, (struct jtext){codes[i][0], NULL, 1},
                          (struct jtext){codes[i][1], NULL, strlen(codes[i][1])}, -1);
    return text(r, t);
}

static struct jvalue f_format(struct jrun *r, struct jvalue in, const struct jbound *a) {
    return text(r, jtext_percent(r, jinja_str(r->pool, in), a->raw->v, a->raw->n));
}

static struct jvalue f_wordcount(struct jrun *r, struct jvalue in, const struct jbound *a) {
    (void)a;
    struct jvalue words = jtext_split(r, jinja_str(r->pool, in), NULL, -1, false);
    return jinja_int((int64_t)words.u.list->n);
}

// Lines after the first begin with a width of blanks or a given text.
static struct jvalue f_indent(struct jrun *r, struct jvalue in, const struct jbound *a) {
    struct jbuild with = {.pool = r->pool}, b = {.pool = r->pool};
    if (a->given[0] && a->v[0].type == J_STRING)
        jbuild_text(&with, *a->v[0].u.string);
    else
        for (int64_t i = jinja_arg_int(r, a, 0, 4); i > 0; i--) jbuild_puts(&with, " ");
    bool first = jinja_arg_bool(a, 1, false), blank = jinja_arg_bool(a, 2, false);
    struct jtext t = jinja_str(r->pool, in), indent = jbuild_take(&with);
    jbuild_text(&b, t);
    jbuild_puts(&b, "\n"); // as Jinja does, so that a last line break counts
    struct jvalue lines = jtext_lines(r, jbuild_take(&b), false);
    b = (struct jbuild){.pool = r->pool};
    for (size_t i = 0; i < lines.u.list->n; i++) {
        struct jtext line = *lines.u.list->items[i].u.string;
        if (i) jbuild_puts(&b, "\n");
        if ((i || first) && (line.n || blank || !i)) jbuild_text(&b, indent);
        jbuild_text(&b, line);
    }
    return text(r, jbuild_take(&b));
}

static struct jvalue f_truncate(struct jrun *r, struct jvalue in, const struct jbound *a) {
    struct jtext t = jinja_str(r->pool, in), end = jinja_arg_text(r, a, 2, "...");
    int64_t length = jinja_arg_int(r, a, 0, 255), leeway = jinja_arg_int(r, a, 3, 5);
    int64_t tail = (int64_t)jtext_length(end);
    if (length < tail || leeway < 0) jinja_fail(r, "truncate to a length below its end's");
    if ((int64_t)jtext_length(t) <= length + leeway) return text(r, t);
    struct jtext head = jtext_part(t, 0, jtext_offset(t, (size_t)(length - tail)));
    if (!jinja_arg_bool(a, 1, false))
        for (size_t i = head.n; i > 0; i--)
            if (head.text[i - 1] == ' ') {
                head.n = i - 1;
                break;
            }
    struct jbuild b = {.pool = r->pool};
    jbuild_text(&b, head);
    jbuild_text(&b, end);
    return text(r, jbuild_take(&b));
}

static struct jvalue f_urlencode(struct jrun *r, struct jvalue in, const struct jbound *a) {
    struct jtext t = jinja_str(r->pool, in);
    struct jbuild b = {.pool = r->pool};
    (void)a;
    for (size_t i = 0; i < t.n; i++) {
        unsigned char c = (unsigned char)t.text[i];
        char code[4];
        snprintf(code, sizeof code, "%%%02X", c);
        if (c < 0x80 && (isalnum(c) || strchr("_.-~/", c)) && c)
            jbuild_text(&b, jtext_part(t, i, i + 1));
        else
            jbuild_puts(&b, code);
    }
    return text(r, jbuild_take(&b));
}

static struct jvalue f_safe(struct jrun *r, struct jvalue in, const struct jbound *a) {
    (void)r, (void)a;
    return in;
}

// ---- numbers ------------------------------------------------------------------------------------

static bool number_of(struct jrun *r, struct jvalue in, double *d, bool *whole) {
    *whole = in.type == J_INT || in.type == J_BOOL;
    if (jinja_is_number(in)) {
        *d = jinja_number(in);
        return true;
    }
    if (in.type != J_STRING) return false;
    struct jtext t = jtext_strip(*in.u.string, NULL, true, true);
    char *copy = jpool_copy(r->pool, t.text, t.n), *end;
    *d = strtod(copy, &end);
    *whole = t.n && strspn(copy, "+-0123456789") == t.n;
    return t.n && !*end && strlen(copy) == t.n && !strpbrk(copy, "xXpP");
}

static struct jvalue f_int(struct jrun *r, struct jvalue in, const struct jbound *a) {
    double d;
    bool whole;
    int64_t base = jinja_arg_int(r, a, 1, 10);
    struct jvalue without = a->given[0] ? a->v[0] : jinja_int(0);
    if (in.type == J_INT || in.type == J_BOOL) return jinja_int(jinja_integer(in));
    if (base != 10 && in.type == J_STRING && (base == 0 || (base >= 2 && base <= 36))) {
        char *copy = jpool_copy(r->pool, in.u.string->text, in.u.string->n), *end;
        long long v = strtoll(copy, &end, (int)base);
        return *copy && !*end ? jinja_int(v) : without;
    }
    if (!number_of(r, in, &d, &whole) || !(d > -9.2e18 && d < 9.2e18)) return without;
    if (!whole || in.type != J_STRING) return jinja_int((int64_t)d);
    struct jtext t = jtext_strip(*in.u.string, NULL, true, true);
    return jinja_int(strtoll(jpool_copy(r->pool, t.text, t.n), NULL, 10));
}

static struct jvalue f_float(struct jrun *r, struct jvalue in, const struct jbound *a) {
    double d;
    bool whole;
    if (number_of(r, in, &d, &whole)) return jinja_float(d);
    return a->given[0] ? a->v[0] : jinja_float(0);
}

static struct jvalue f_abs(struct jrun *r, struct jvalue in, const struct jbound *a) {
    (void)a;
    if (!jinja_is_number(in)) jinja_fail(r, "abs of %s", jinja_type_name(in));
    if (in.type == J_FLOAT) return jinja_float(fabs(in.u.real));
    return jinja_integer(in) < 0 ? jinja_binary(r, '-', jinja_int(0), in)
                                 : jinja_int(jinja_integer(in));
}

static struct jvalue f_round(struct jrun *r, struct jvalue in, const struct jbound *a) {
    int64_t digits = jinja_arg_int(r, a, 0, 0);
    struct jtext how = jinja_arg_text(r, a, 1, "common");
    if (!jinja_is_number(in)) jinja_fail(r, "round of %s", jinja_type_name(in));
    double d = jinja_number(in), scale = pow(10, (double)digits);
    bool up = how.n == 4 && !memcmp(how.text, "ceil", 4),
         down = how.n == 5 && !memcmp(how.text, "floor", 5);
    if (up || down) return jinja_float((up ? ceil(d * scale) : floor(d * scale)) / scale);
    if (in.type != J_FLOAT && digits >= 0) return jinja_int(jinja_integer(in));
    char form[400];
    if (digits >= 0 && digits < 20 && fabs(d) < 1e300) { // to the nearest, exactly as printed
        snprintf(form, sizeof form, "%.*f", (int)digits, d);
        return jinja_float(strtod(form, NULL));
    }
    return jinja_float(digits < 0 ? nearbyint(d * scale) / scale : d);
}

// ---- whole values -------------------------------------------------------------------------------

static struct jvalue f_default(struct jrun *r, struct jvalue in, const struct jbound *a) {
    bool missing = in.type == J_UNDEFINED || (jinja_arg_bool(a, 1, false) && !jinja_truth(in));
    return !missing ? in : a->given[0] ? a->v[0] : jinja_string(r->pool, "");
}

static struct jvalue f_length(struct jrun *r, struct jvalue in, const struct jbound *a) {
    (void)a;
    if (in.type == J_STRING) return jinja_int((int64_t)jtext_length(*in.u.string));
    if (jinja_iterable(in)) return jinja_int((int64_t)jinja_items(r, in).n);
    jinja_fail(r, "%s has no length", jinja_type_name(in));
}

static struct jvalue f_tojson(struct jrun *r, struct jvalue in, const struct jbound *a) {
    bool lines = a->given[1] && a->v[1].type != J_NONE;
    int64_t indent = lines ? jinja_arg_int(r, a, 1, 0) : -1;
    struct jjson how = {.indent = (int)(indent < 0    ? lines ? 0 : -1
                                        : indent > 32 ? 32
                                                      : indent),
                        .item = lines ? "," : ", ",
                        .key = ": ",
                        .sort = jinja_arg_bool(a, 3, false)};
    if (a->given[2] && a->v[2].type != J_NONE) {
        struct jlist l = jinja_items(r, a->v[2]);
        if (l.n != 2 || l.items[0].type != J_STRING || l.items[1].type != J_STRING)
            jinja_fail(r, "tojson's separators are two strings");
        how.item = jpool_copy(r->pool, l.items[0].u.string->text, l.items[0].u.string->n);
        how.key = jpool_copy(r->pool, l.items[1].u.string->text, l.items[1].u.string->n);
    }
    if (jinja_arg_bool(a, 0, false)) jinja_fail(r, "tojson(ensure_ascii=true) is not known");
    struct jbuild b = {.pool = r->pool};
    if (!jinja_write_json(&b, in, &how, 0))
        jinja_fail(r, "%s has no JSON form", jinja_type_name(in));
    jinja_step(r, b.n / 16);
    return text(r, jbuild_take(&b));
}

static struct jvalue f_attr(struct jrun *r, struct jvalue in, const struct jbound *a) {
    struct jtext name = jinja_arg_text(r, a, 0, "");
    return jinja_attribute(r, in, name.text, name.n);
}

const struct jfunction jinja_text_filters[] = {
    {"trim", "chars", f_trim},
    {"lower", "", f_lower},
    {"upper", "", f_upper},
    {"capitalize", "", f_capitalize},
    {"title", "", f_title},
    {"replace", "old,new,count", f_replace},
    {"string", "", f_string},
    {"center", "width", f_center},
    {"escape", "", f_escape},
    {"e", "", f_escape},
    {"forceescape", "", f_escape},
    {"safe", "", f_safe},
    {"format", "*", f_format},
    {"wordcount", "", f_wordcount},
    {"indent", "width,first,blank", f_indent},
    {"truncate", "length,killwords,end,leeway", f_truncate},
    {"urlencode", "", f_urlencode},
    {"int", "default,base", f_int},
    {"float", "default", f_float},
    {"abs", "", f_abs},
    {"round", "precision,method", f_round},
    {"default", "default_value,boolean", f_default},
    {"d", "default_value,boolean", f_default},
    {"length", "", f_length},
    {"count", "", f_length},
    {"tojson", "ensure_ascii,indent,separators,sort_keys", f_tojson},
    {"attr", "name", f_attr},
};
const size_t jinja_text_filters_n = sizeof jinja_text_filters / sizeof *jinja_text_filters;

const void *jinja_filter_find(const char *name, size_t n) {
    const struct jfunction *f = jinja_entry(jinja_text_filters, jinja_text_filters_n, name, n);
    return f ? f : jinja_entry(jinja_list_filters, jinja_list_filters_n, name, n);
}
