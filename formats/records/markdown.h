// What Arena-Hard's style control counts in an answer, by the definitions of its own tools: lines
// that are headers, lines that are list items, bold texts; what stands in fenced code blocks does
// not count.
#pragma once
#include <stddef.h>

struct markdown_counts {
    size_t header[6];          // # to ######
    size_t ordered, unordered; // list items
    size_t stars, underscores; // **bold**, __bold__
};
// text: n bytes of well-formed UTF-8
struct markdown_counts markdown_count(const char *text, size_t n);
