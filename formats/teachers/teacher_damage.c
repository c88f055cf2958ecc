#include "formats/teachers/teacher_damage.h"
#include <string.h>

static bool is_named(const char *column, const char *name) {
    size_t n = strlen(name);
    if (n && name[n - 1] == '*') return strncmp(column, name, n - 1) == 0;
    return strcmp(column, name) == 0;
}

static enum damage_unit unit_of(const char *column) {
    static const struct {
        const char *name;
        enum damage_unit unit;
    } known[] = {
        {"length", DAMAGE_ROWS},      {"prompt_length", DAMAGE_ROWS}, {"ids", DAMAGE_TOKENS},
        {"mask", DAMAGE_TOKENS},      {"log_tail", DAMAGE_TAILS},     {"tail_*", DAMAGE_TAILS},
        {"support*", DAMAGE_SUPPORT}, {"logp", DAMAGE_LEVELS},        {"level*", DAMAGE_LEVELS}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (is_named(column, known[i].name)) return known[i].unit;
    return DAMAGE_POSITIONS;
}

void damage_mark(const struct columns_holes *h, enum damage_unit unit, size_t rows,
                 const size_t *first, size_t each, bool *lost) {
    for (size_t i = 0; h && i < h->n; i++) {
        const struct columns_hole *hole = &h->items[i];
        if (unit_of(hole->column) != unit) continue;
        for (size_t r = 0; r < rows; r++) {
            size_t from = first ? each * first[r] : r, to = first ? each * first[r + 1] : r + 1;
            if (from < to && from < hole->first + hole->n && to > hole->first) lost[r] = true;
        }
    }
}

size_t damage_before(const struct columns_holes *h, const char *column, size_t n) {
    for (size_t i = 0; h && i < h->n; i++)
        if (is_named(h->items[i].column, column) && h->items[i].first < n) n = h->items[i].first;
    return n;
}

void damage_text(const struct columns_holes *h, size_t rows, const bool *lost, size_t first_row,
                 struct str *to) {
    size_t from = 0, end = rows;
    const struct columns_hole *hole = &h->items[0];
    while (from < rows && !lost[from]) from++;
    while (end > from && !lost[end - 1]) end--;
    str_printf(to, "column '%s', elements %zu to %zu", hole->column, hole->first,
               hole->first + hole->n - 1);
    if (h->n > 1) str_printf(to, " and %zu more chunks", h->n - 1);
    if (from < end) str_printf(to, " (rows %zu to %zu)", first_row + from, first_row + end - 1);
}
