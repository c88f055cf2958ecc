#include "common/base/value.h"
#include "common/base/mem.h"
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool number_starts(const char *s) {
    if (*s == '-' || *s == '+') s++;
    return isdigit((unsigned char)*s) || (*s == '.' && isdigit((unsigned char)s[1]));
}

bool value_int(const char *word, int64_t *v) {
    if (!number_starts(word) || strchr(word, '.')) return false;
    char *end;
    errno = 0;
    long long n = strtoll(word, &end, 10);
    if (*end || errno) return false;
    *v = n;
    return true;
}

static bool is_infinity(const char *word, double *v) {
    double sign = *word == '-' ? -1 : 1;
    if (*word == '-' || *word == '+') word++;
    if (strcmp(word, "inf") != 0) return false;
    *v = sign * (double)INFINITY;
    return true;
}

// The longest decimal number at s; NULL if there is none or it overflows.
static const char *read_decimal(const char *s, double *v) {
    if (!number_starts(s)) return NULL;
    const char *digits = *s == '-' || *s == '+' ? s + 1 : s;
    if (digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X')) return NULL;
    char *end;
    *v = strtod(s, &end);
    return isfinite(*v) ? end : NULL;
}

bool value_real(const char *word, double *v) {
    if (is_infinity(word, v)) return true;
    double x;
    const char *end = read_decimal(word, &x);
    if (!end || *end) return false;
    *v = x;
    return true;
}

bool value_time(const char *word, double *seconds) {
    static const struct {
        char letter;
        double seconds;
    } units[] = {{'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}};
    double total = 0, x;
    if (value_real(word, &x) && x >= 0 && isfinite(x)) {
        *seconds = x;
        return true;
    }
    size_t unit = 0;
    for (const char *s = word; *s; s++) {
        s = isdigit((unsigned char)*s) || *s == '.' ? read_decimal(s, &x) : NULL;
        if (!s || !*s) return false;
        while (unit < 4 && units[unit].letter != *s) unit++;
        if (unit == 4) return false;
        total += x * units[unit++].seconds;
    }
    if (!*word) return false;
    *seconds = total;
    return true;
}

bool value_share(const char *word, size_t *i, size_t *n) {
    char *part = xstrdup(word), *slash = strchr(part, '/');
    int64_t a = 0, b = 0;
    if (slash) *slash = 0;
    bool good = slash && value_int(part, &a) && value_int(slash + 1, &b) && a >= 0 && a < b;
    if (good) *i = (size_t)a;
    if (good) *n = (size_t)b;
    free(part);
    return good;
}

static bool row_number(const char *word, size_t fallback, size_t *to) {
    int64_t n = (int64_t)fallback;
    if (*word && (!isdigit((unsigned char)*word) || !value_int(word, &n))) return false;
    *to = (size_t)n;
    return true;
}

bool value_range(const char *word, size_t all, size_t *from, size_t *to) {
    char *first = xstrdup(word), *colon = strchr(first, ':');
    size_t a = 0, b = all;
    if (colon) *colon = 0;
    bool good = *word && row_number(colon ? colon + 1 : first, all, &b);
    good = good && (!colon || row_number(first, 0, &a));
    if (good) *from = a;
    if (good) *to = b;
    free(first);
    return good;
}

bool value_flag(const char *word, bool *v) {
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(word, words[i]) != 0) continue;
        *v = i % 2 == 1;
        return true;
    }
    return false;
}
