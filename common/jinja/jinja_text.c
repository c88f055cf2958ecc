// Text as methods and filters change it; marks go with their bytes. See jinja_run.h.
#include "common/base/unicode.h"
#include "common/jinja/jinja_run.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool python_space(uint32_t c) {
    return unicode_is_space(c) || (c >= 0x1c && c <= 0x1f);
}

// Whether the character of k bytes at `at` is of the set; NULL: white space.
static bool in_set(const char *at, size_t k, const struct jtext *set) {
    uint32_t c;
    if (!set) {
        unicode_next(at, k, &c);
        return python_space(c);
    }
    for (size_t i = 0, n; i < set->n; i += n) {
        n = jtext_offset((struct jtext){set->text + i, NULL, set->n - i}, 1);
        if (n == k && !memcmp(set->text + i, at, k)) return true;
    }
    return false;
}

static size_t character_before(struct jtext t, size_t end) {
    size_t at = end - 1;
    while (at && ((unsigned char)t.text[at] & 0xc0) == 0x80) at--;
    return at;
}

struct jtext jtext_strip(struct jtext t, const struct jtext *set, bool left, bool right) {
    size_t start = 0, end = t.n;
    while (left && start < end) {
        size_t k = jtext_offset(jtext_part(t, start, end), 1);
        if (!in_set(t.text + start, k, set)) break;
        start += k;
    }
    while (right && start < end) {
        size_t at = character_before(t, end);
        if (!in_set(t.text + at, end - at, set)) break;
        end = at;
    }
    return jtext_part(t, start, end);
}

size_t jtext_find(struct jtext t, struct jtext what, size_t from) {
    if (from > t.n) return SIZE_MAX;
    if (!what.n) return from;
    const char *at = memmem(t.text + from, t.n - from, what.text, what.n);
    return at ? (size_t)(at - t.text) : SIZE_MAX;
}

static void add_part(struct jrun *r, struct jvalue list, struct jtext t, size_t start, size_t end) {
    jinja_append(r->pool, list, jinja_text(r->pool, jtext_part(t, start, end)));
}

// At runs of white space; the rest after `most` cuts keeps what stands in it.
static void split_blanks(struct jrun *r, struct jtext t, int64_t most, struct jvalue list) {
    t = jtext_strip(t, NULL, true, most < 0);
    for (size_t at = 0; at < t.n;) {
        size_t end = at, k;
        if (most == 0) {
            add_part(r, list, t, at, t.n);
            return;
        }
        while (end < t.n &&
               (k = jtext_offset(jtext_part(t, end, t.n), 1), !in_set(t.text + end, k, NULL)))
            end += k;
        add_part(r, list, t, at, end);
        while (end < t.n &&
               (k = jtext_offset(jtext_part(t, end, t.n), 1), in_set(t.text + end, k, NULL)))
            end += k;
        at = end;
        most--;
    }
}

static void reverse(struct jlist *l) {
    for (size_t i = 0; i < l->n / 2; i++) {
        struct jvalue v = l->items[i];
        l->items[i] = l->items[l->n - 1 - i];
        l->items[l->n - 1 - i] = v;
    }
}

static void split_right(struct jrun *r, struct jtext t, struct jtext by, int64_t most,
                        struct jvalue list) {
    size_t end = t.n;
    for (size_t at = t.n; most && at >= by.n && at; at--) {
        size_t start = at - by.n;
        if (at > end || memcmp(t.text + start, by.text, by.n)) continue;
        add_part(r, list, t, at, end);
        end = start;
        at = start + 1;
        most--;
    }
    add_part(r, list, t, 0, end);
    reverse(list.u.list);
}

struct jvalue jtext_split(struct jrun *r, struct jtext t, const struct jtext *by, int64_t most,
                          bool from_right) {
    struct jvalue list = jinja_list(r->pool, J_LIST);
    jinja_step(r, t.n / 16);
    if (by && !by->n) jinja_fail(r, "split by an empty string");
    if (!by && from_right && most >= 0) jinja_fail(r, "rsplit needs a separator here");
    if (!by) {
        split_blanks(r, t, most, list);
        return list;
    }
    if (from_right && most >= 0) {
        split_right(r, t, *by, most, list);
        return list;
    }
    size_t at = 0;
    for (size_t end; most && (end = jtext_find(t, *by, at)) != SIZE_MAX; most--) {
        add_part(r, list, t, at, end);
        at = end + by->n;
    }
    add_part(r, list, t, at, t.n);
    return list;
}

struct jtext jtext_replace(struct jrun *r, struct jtext t, struct jtext from, struct jtext to,
                           int64_t most) {
    struct jbuild b = {.pool = r->pool};
    size_t at = 0;
    jinja_step(r, t.n / 16);
    if (!from.n) { // between all characters
        for (; most && at <= t.n; most--) {
            jbuild_text(&b, to);
            size_t k = at < t.n ? jtext_offset(jtext_part(t, at, t.n), 1) : 1;
            if (at < t.n) jbuild_text(&b, jtext_part(t, at, at + k));
            at += k;
        }
        if (at < t.n) jbuild_text(&b, jtext_part(t, at, t.n));
        return jbuild_take(&b);
    }
    for (size_t end; most && (end = jtext_find(t, from, at)) != SIZE_MAX; most--) {
        jbuild_text(&b, jtext_part(t, at, end));
        jbuild_text(&b, to);
        at = end + from.n;
    }
    jbuild_text(&b, jtext_part(t, at, t.n));
    return jbuild_take(&b);
}

// ---- case ---------------------------------------------------------------------------------------

static void one_case(struct jbuild *b, struct jtext c, bool upper, enum jcase how) {
    struct str out = {0};
    uint16_t mark[16];
    if (upper && c.n == 2 && !memcmp(c.text, "\xc3\x9f", 2)) // sharp s, in two letters
        str_puts(&out, how == JCASE_UPPER || how == JCASE_SWAP ? "SS" : "Ss");
    else if (upper)
        unicode_upper(c.text, c.n, &out);
    else
        unicode_lower(c.text, c.n, &out);
    for (size_t i = 0; i < 16; i++) mark[i] = c.mark ? c.mark[0] : 0;
    jbuild_add(b, out.text ? out.text : "", c.mark ? mark : NULL,
               out.length < 16 ? out.length : 16);
    str_release(&out);
}

struct jtext jtext_case(struct jrun *r, struct jtext t, enum jcase how) {
    struct jbuild b = {.pool = r->pool};
    bool first = true;
    jinja_step(r, t.n / 4);
    for (size_t at = 0, k; at < t.n; at += k) {
        k = jtext_offset(jtext_part(t, at, t.n), 1);
        struct jtext c = jtext_part(t, at, at + k);
        uint32_t point;
        unicode_next(c.text, k, &point);
        bool letter = k > 1 ? unicode_is_word(point) : isalpha((unsigned char)*c.text);
        bool upper = how == JCASE_UPPER || ((how == JCASE_CAPITAL || how == JCASE_TITLE) && first);
        if (how == JCASE_SWAP) upper = k == 1 && islower((unsigned char)*c.text);
        if (letter)
            one_case(&b, c, upper, how);
        else
            jbuild_text(&b, c);
        first = how == JCASE_TITLE ? !letter : false;
    }
    return jbuild_take(&b);
}

// ---- joining and padding ------------------------------------------------------------------------

struct jtext jtext_join(struct jrun *r, struct jtext between, struct jvalue list) {
    struct jbuild b = {.pool = r->pool};
    struct jlist all = jinja_items(r, list);
    jinja_step(r, all.n);
    for (size_t i = 0; i < all.n; i++) {
        if (i) jbuild_text(&b, between);
        jinja_write(&b, all.items[i]);
    }
    return jbuild_take(&b);
}

struct jvalue jtext_lines(struct jrun *r, struct jtext t, bool keep_ends) {
    struct jvalue list = jinja_list(r->pool, J_LIST);
    jinja_step(r, t.n / 16);
    for (size_t at = 0; at < t.n;) {
        size_t end = at;
        while (end < t.n && !strchr("\n\r\v\f\x1c\x1d\x1e", t.text[end] ? t.text[end] : 'x')) end++;
        size_t next = end + (end < t.n);
        if (next < t.n && t.text[end] == '\r' && t.text[next] == '\n') next++;
        add_part(r, list, t, at, keep_ends ? next : end);
        at = next;
    }
    return list;
}

// left_share: of the padding, in halves: 0 none of it, 1 half, 2 all.
struct jtext jtext_pad(struct jrun *r, struct jtext t, int64_t width, char with, int left_share) {
    struct jbuild b = {.pool = r->pool};
    int64_t more = width - (int64_t)jtext_length(t), i = 0;
    if (more <= 0) return t;
    int64_t left = left_share == 2 ? more : left_share == 1 ? more / 2 + (more & width & 1) : 0;
    jinja_step(r, (uint64_t)more);
    for (; i < left; i++) jbuild_add(&b, &with, NULL, 1);
    jbuild_text(&b, t);
    for (; i < more; i++) jbuild_add(&b, &with, NULL, 1);
    return jbuild_take(&b);
}

// ---- the % operator -----------------------------------------------------------------------------

struct directive {
    bool left, zero, plus;
    int width, precision;
    char letter;
};

static size_t read_number(const char *s, size_t n, int *v) {
    size_t k = 0;
    for (*v = 0; k < n && isdigit((unsigned char)s[k]) && *v < 1000; k++) *v = *v * 10 + s[k] - '0';
    return k;
}

static size_t read_directive(struct jtext f, size_t at, struct directive *d) {
    *d = (struct directive){.precision = -1};
    for (; at < f.n && strchr("-0+ ", f.text[at]) && f.text[at]; at++) {
        d->left |= f.text[at] == '-';
        d->zero |= f.text[at] == '0';
        d->plus |= f.text[at] == '+';
    }
    at += read_number(f.text + at, f.n - at, &d->width);
    if (at < f.n && f.text[at] == '.')
        at += 1 + read_number(f.text + at + 1, f.n - at - 1, &d->precision);
    d->letter = at < f.n ? f.text[at] : 0;
    return at + 1;
}

static void put_directive(struct jrun *r, struct jbuild *b, const struct directive *d,
                          struct jvalue v) {
    char form[16], text[400];
    struct jtext t;
    if (d->letter == 's' || d->letter == 'r') {
        struct jbuild made = {.pool = r->pool};
        if (d->letter == 'r') jinja_write_repr(&made, v, 0);
        t = d->letter == 'r' ? jbuild_take(&made) : jinja_str(r->pool, v);
        if (d->precision >= 0) t = jtext_part(t, 0, jtext_offset(t, (size_t)d->precision));
    } else {
        if (!d->letter || !strchr("dixXofFeEgG", d->letter))
            jinja_fail(r, "unknown directive '%%%c' in a format", d->letter ? d->letter : ' ');
        if (!jinja_is_number(v))
            jinja_fail(r, "'%%%c' needs a number, not %s", d->letter, jinja_type_name(v));
        bool whole = strchr("dixXo", d->letter) != NULL;
        int precision = d->precision > 60 ? 60 : d->precision;
        if (precision >= 0)
            snprintf(form, sizeof form, "%%%s.%d%s%c", d->plus ? "+" : "", precision,
                     whole ? "ll" : "", d->letter);
        else
            snprintf(form, sizeof form, "%%%s%s%c", d->plus ? "+" : "", whole ? "ll" : "",
                     d->letter);
        int64_t i = v.type == J_FLOAT
                        ? (int64_t)(v.u.real > -9e18 && v.u.real < 9e18 ? v.u.real : 0)
                        : jinja_integer(v);
        int n = whole ? snprintf(text, sizeof text, form, (long long)i)
                      : snprintf(text, sizeof text, form, jinja_number(v));
        t = *jinja_marked(r->pool, text, (size_t)n, 0).u.string;
    }
    bool zero = d->zero && !d->left && d->letter != 's' && d->letter != 'r';
    bool sign = zero && t.n && (*t.text == '-' || *t.text == '+');
    if (sign) jbuild_text(b, jtext_part(t, 0, 1));
    if (sign) t = jtext_part(t, 1, t.n);
    jbuild_text(b, jtext_pad(r, t, d->width - sign, zero ? '0' : ' ', d->left ? 0 : 2));
}

struct jtext jtext_percent(struct jrun *r, struct jtext f, const struct jvalue *v, size_t n) {
    struct jbuild b = {.pool = r->pool};
    size_t used = 0;
    for (size_t at = 0; at < f.n;) {
        const char *sign = memchr(f.text + at, '%', f.n - at);
        size_t end = sign ? (size_t)(sign - f.text) : f.n;
        jbuild_text(&b, jtext_part(f, at, end));
        at = end + 1;
        if (!sign) break;
        struct directive d;
        at = read_directive(f, at, &d);
        if (d.letter == '%') {
            jbuild_puts(&b, "%");
            continue;
        }
        if (used == n) jinja_fail(r, "a format has more directives than values");
        put_directive(r, &b, &d, v[used++]);
    }
    if (used < n) jinja_fail(r, "a format has fewer directives than values");
    return jbuild_take(&b);
}
