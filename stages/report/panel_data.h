// The numbers of a panel: series out of tables, means over many steps, where epochs begin.
#pragma once
#include "stages/report/page.h"

enum { PANEL_RULES = 16 };
struct panel_data {
    size_t n, rules;
    struct plot_series series[2 * PAGE_SERIES]; // a held-out curve may follow each
    struct plot_rule rule[PANEL_RULES];
    size_t averaged; // most steps that a point of a line is the mean of
    void **keep;     // memory behind the series
    size_t kept, capacity;
};
void panel_data_read(struct page *p, const struct page_panel *q, struct panel_data *d);
void panel_data_release(struct panel_data *d);
