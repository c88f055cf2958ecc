// Pieces of an HTML page, appended to a growing string. Texts are escaped; nothing is loaded from
// elsewhere: style and figures stand in the page.
#pragma once
#include "common/base/mem.h"
#include <stddef.h>

void html_text(struct str *to, const char *text, size_t n); // escaped; control characters as blanks
void html_head(struct str *to, const char *title);          // up to <body>, with the style
void html_foot(struct str *to);
// A number for people: decimals by its size; with `error` not NaN, "value ± error".
void html_number(struct str *to, double value, double error);
// Colour of a value for a heat map as "rgb(...)": low white to high orange; where low < 0, blue
// below zero and orange above, white at zero.
void html_colour(char colour[24], double value, double low, double high);
