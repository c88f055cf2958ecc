// Pieces of an HTML page, appended to a growing string.
#pragma once
#include "common/base/mem.h"
#include <stddef.h>

void html_text(struct str *to, const char *text, size_t n); // escaped; control characters but line
                                                            // feed and tab as blanks
// A number with `decimals`; with `error` not NaN, "value ± error".
void html_number(struct str *to, double value, double error, int decimals);
// Colour of a value for a heat map as "rgba(...)" over the page's own colour: low clear to high
// orange; where low < 0, blue below zero and orange above, clear at zero.
void html_colour(char colour[32], double value, double low, double high);
