#include "stages/shared/html.h"
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

void html_text(struct str *to, const char *text, size_t n) {
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '<') {
            str_puts(to, "&lt;");
        } else if (c == '>') {
            str_puts(to, "&gt;");
        } else if (c == '&') {
            str_puts(to, "&amp;");
        } else if (c == '"') {
            str_puts(to, "&quot;");
        } else {
            bool control = (c < 0x20 && c != '\n' && c != '\t') || c == 0x7F;
            char plain = control ? ' ' : text[i];
            str_add(to, &plain, 1);
        }
    }
}

void html_number(struct str *to, double value, double error, int decimals) {
    str_printf(to, "%.*f", decimals, value);
    if (!isnan(error)) str_printf(to, "&nbsp;±&nbsp;%.*f", decimals, error);
}

void html_colour(char colour[32], double value, double low, double high) {
    double span = low < 0 ? fmax(-low, high) : high - low;
    double x = low < 0 ? value : value - low;
    double f = span > 0 ? fmin(1, fmax(-1, x / span)) : 0;
    // over the page's own paper, so that it is right in the dark too; never so strong that the text
    // on it is hard to read
    snprintf(colour, 32, "rgba(%s,%.2f)", f < 0 ? "60,120,220" : "240,130,20", 0.62 * fabs(f));
}
