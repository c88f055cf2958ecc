#include "common/base/jsonout.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add_escaped(struct str *s, unsigned char c) {
    static const char plain[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    const char *at = c ? strchr(plain, c) : NULL;
    if (at)
        str_printf(s, "\\%c", letters[at - plain]);
    else if (c < 0x20 || c == 0x7f)
        str_printf(s, "\\u%04x", c);
    else
        str_add(s, &c, 1);
}

void jsonout_bytes(struct str *s, const char *text, size_t n) {
    str_puts(s, "\"");
    for (size_t i = 0; i < n; i++) add_escaped(s, (unsigned char)text[i]);
    str_puts(s, "\"");
}

void jsonout_text(struct str *s, const char *text) {
    if (!text)
        str_puts(s, "null");
    else
        jsonout_bytes(s, text, strlen(text));
}

void jsonout_digits(double v, char text[32]) {
    if (isnan(v)) { // never "-nan"
        strcpy(text, "nan");
        return;
    }
    int digits = 1;
    do snprintf(text, 32, "%.*e", digits - 1, v);
    while (!isinf(v) && strtod(text, NULL) != v && ++digits <= 17);
    const char *e = strchr(text, 'e');
    int whole = e ? atoi(e + 1) + 1 : 0; // digits before the point: 600, not 6e+02
    if (whole > digits && whole <= 16) digits = whole;
    if (!isinf(v)) snprintf(text, 32, "%.*g", digits, v);
}

void jsonout_number(struct str *s, double v) {
    char text[32];
    jsonout_digits(v, text);
    str_puts(s, isfinite(v) ? text : "null");
}
