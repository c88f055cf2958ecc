// The curves of a run that nobody described: its logs by what they log.
#include "stages/report/page.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_LOGS = 8, MOST_PANELS = 12 };

// What logs hold, in the order in which it is worth looking at; see stages/README.md.
static const struct {
    const char *column, *title, *label;
} known[] = {
    {"loss", "Loss", "nats, as the objective counts"},
    {"reward_accuracy", "Preferences in order", "share of the step's pairs"},
    {"reward_margin", "Margin of chosen over rejected", "reward margin"},
    {"score", "Score", "mean score"},
    {"reward", "Expected reward", "reward per response"},
    {"kl_base", "KL to the base", "nats per response"},
    {"kl_ref", "KL to the reference", "nats per response"},
    {"kl", "Divergence", "nats per token"},
    {"student_tail", "Student's mass outside the cache", "share"},
    {"alpha", "Strength", "mean alpha"},
    {"tvd", "TVD of the teachers", "mean TVD"},
    {"entropy", "Entropy", "nats per token"},
    {"response_length", "Response length", "tokens"},
    {"grad_norm", "Gradient norm", "norm"},
    {"lr", "Learning rate", "learning rate"},
    {"tokens_per_second", "Speed", "tokens per second"},
};
// What says little as a curve.
static const char *const left_out[] = {"step",          "epoch",           "seconds",
                                       "tokens",        "logp_chosen",     "logp_rejected",
                                       "reward_chosen", "reward_rejected", "outside_top64"};

static bool has_column(const char *header, const char *column) {
    size_t k = strlen(column);
    for (const char *at = header; *at;) {
        size_t n = strcspn(at, ",");
        if (n == k && !strncmp(at, column, k)) return true;
        at += n + (at[n] == ',');
    }
    return false;
}

// Logs of one family are drawn together; what was measured on the way, by its columns.
enum family { FINE_TUNING, PREFERENCE, DISTILLATION, SCORES, MEASURED, FAMILIES };
static const struct {
    const char *heading, *id;
} families[FAMILIES] = {{"Fine-tuning", "fine-tuning"},
                        {"Preference training", "preference"},
                        {"Distillation", "distillation"},
                        {"Training on scores", "scores"},
                        {"Measured on the way", "measured"}};

static enum family family_of(const struct run_file *log) {
    const char *header = log->header;
    if (!has_column(header, "loss")) return MEASURED;
    if (has_column(header, "reward_accuracy")) return PREFERENCE;
    if (has_column(header, "alpha") || has_column(header, "student_tail")) return DISTILLATION;
    return has_column(header, "score") ? SCORES : FINE_TUNING;
}

static bool same_group(const struct run_file *a, const struct run_file *b) {
    enum family x = family_of(a);
    return x == family_of(b) && (x != MEASURED || !strcmp(a->header, b->header));
}

// ---- curves
// -----------------------------------------------------------------------------------------

struct group {
    const struct run *run;
    const struct run_file *log[MOST_LOGS];
    struct sheet sheet[MOST_LOGS];
    size_t n, panels, number; // number: of this group, from 1
};

static double number_in(const struct group *g, size_t log, size_t row, const char *column) {
    size_t c = sheet_find(&g->sheet[log], column);
    return c == SHEET_NONE ? (double)NAN : sheet_number(&g->sheet[log], row, c);
}

// Whether the numbers go over more than a power of ten and a half, all above zero.
static bool wants_log(const struct group *g, const char *column) {
    double low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < g->n; i++)
        for (size_t row = 0; row < g->sheet[i].rows; row++) {
            double v = number_in(g, i, row, column);
            if (isfinite(v)) low = fmin(low, v), high = fmax(high, v);
        }
    return low > 0 && high > 30 * low;
}

static bool any_number(const struct group *g, const char *column) {
    for (size_t i = 0; i < g->n; i++)
        for (size_t row = 0; row < g->sheet[i].rows; row++)
            if (isfinite(number_in(g, i, row, column))) return true;
    return false;
}

static void put_id(const struct group *g, const char *column, struct str *to) {
    str_puts(to, families[family_of(g->log[0])].id);
    if (family_of(g->log[0]) == MEASURED) str_printf(to, "-%zu", g->number);
    str_puts(to, "-");
    for (; *column; column++) {
        char c = *column >= 'A' && *column <= 'Z' ? (char)(*column + 32) : *column;
        str_add(to, (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? &c : "-", 1);
    }
}

static void put_panel(struct group *g, const char *column, const char *title, const char *label,
                      struct str *to) {
    if (g->panels == MOST_PANELS || !any_number(g, column)) return;
    str_puts(to, "panel lines ");
    put_id(g, column, to);
    str_printf(to, " %s\nx step step\ny %s %s\n", title, column, label);
    if (wants_log(g, column)) str_puts(to, "log y\n");
    for (size_t i = 0; i < g->n; i++) {
        if (sheet_find(&g->sheet[i], column) == SHEET_NONE) continue;
        char *name = page_name(g->run, g->log[i]);
        str_printf(to, "series \"%s\" \"%s\"\n", name, g->log[i]->path);
        free(name);
    }
    g->panels++;
}

static bool drawn_already(const char *column) {
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(column, known[i].column)) return true;
    for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++)
        if (!strcmp(column, left_out[i])) return true;
    size_t n = strlen(column); // quantiles of a column: alpha_p10 and the like
    return !strncmp(column, "valid_", 6) || (n > 4 && column[n - 4] == '_' && column[n - 3] == 'p');
}

static void put_group(struct group *g, struct str *to) {
    enum family family = family_of(g->log[0]);
    const char *path = g->log[0]->path, *slash = strrchr(path, '/');
    str_printf(to, "heading %s", families[family].heading);
    if (family == MEASURED && slash) str_printf(to, ": %.*s", (int)(slash - path), path);
    str_puts(to, family == MEASURED ? "\nfigure Of snapshots; bands are standard errors.\n"
                                    : "\nfigure Of each step, as the logs have it.\n");
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        put_panel(g, known[i].column, known[i].title, known[i].label, to);
    for (size_t c = 0; c < g->sheet[0].columns; c++) {
        const char *column = g->sheet[0].name[c];
        if (sheet_is_error(&g->sheet[0], c) || drawn_already(column) || strpbrk(column, " \t\"*/"))
            continue;
        put_panel(g, column, column, column, to);
    }
}

// The group of the i-th file; done (files of the run): those that are in a group.
static void take_group(const struct run *r, size_t i, bool *done, size_t number, struct str *to,
                       struct fail *f) {
    struct group g = {.run = r, .number = number};
    size_t more = 0;
    for (size_t k = i; k < r->n; k++) {
        if (r->file[k].kind != RUN_LOG || !same_group(&r->file[i], &r->file[k])) continue;
        done[k] = true;
        if (g.n == MOST_LOGS) {
            more++;
            continue;
        }
        char *path = run_path(r, r->file[k].path);
        g.log[g.n] = &r->file[k];
        sheet_read(&g.sheet[g.n++], path, 0, f);
        free(path);
    }
    put_group(&g, to);
    if (more) str_printf(to, "note And %zu logs more like these.\n", more);
    for (size_t k = 0; k < g.n; k++) sheet_release(&g.sheet[k]);
}

void page_curves(const struct run *r, struct str *to, struct fail *f) {
    bool *done = xcalloc(r->n + 1, sizeof *done);
    size_t groups = 0;
    for (int family = 0; family < FAMILIES; family++)
        for (size_t i = 0; i < r->n && !f->code; i++)
            if (r->file[i].kind == RUN_LOG && !done[i] && (int)family_of(&r->file[i]) == family)
                take_group(r, i, done, ++groups, to, f);
    free(done);
}
