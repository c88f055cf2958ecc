#include "stages/report/panel_data.h"
#include "common/base/path.h"
#include "formats/bytes/json.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// A line of more points than CROWDED shows means over steps, about POINTS of them.
enum { CROWDED = 120, POINTS = 80 };

static void *keep(struct panel_data *d, void *memory) {
    grow(&d->keep, &d->capacity, d->kept + 1, sizeof *d->keep);
    return d->keep[d->kept++] = memory;
}

static double *numbers(struct panel_data *d, size_t n) {
    return keep(d, xmalloc((n + 1) * sizeof(double)));
}

void panel_data_release(struct panel_data *d) {
    for (size_t i = 0; i < d->kept; i++) free(d->keep[i]);
    free(d->keep);
}

// ---- a column of a table
// ---------------------------------------------------------------------------

struct measure { // COLUMN, COLUMN*100, COLUMN/first
    size_t column;
    double factor;
    bool relative;
};

static struct measure find_measure(struct page *p, const struct sheet *s, const char *text) {
    struct measure m = {.factor = 1};
    size_t n = strcspn(text, "*/");
    char *name = xasprintf("%.*s", (int)n, text), *end = NULL;
    m.column = sheet_find(s, name);
    if (m.column == SHEET_NONE)
        die(EXIT_BADDATA, "'%s' line %zu: no column '%s' in '%s'", p->spec, p->line, name, s->path);
    if (text[n] == '*') m.factor = strtod(text + n + 1, &end);
    if ((text[n] == '*' && (*end || !(m.factor > 0))) ||
        (text[n] == '/' && strcmp(text + n, "/first")))
        page_complain(p, "a column is NAME, NAME*FACTOR or NAME/first");
    m.relative = text[n] == '/';
    free(name);
    return m;
}

static bool listed(const char *list, const char *name) { // a word of it
    if (!list) return true;
    size_t k = strlen(name);
    for (const char *at = list; (at += strspn(at, " "), *at); at += strcspn(at, " "))
        if (strcspn(at, " ") == k && !strncmp(at, name, k)) return true;
    return false;
}

static bool wanted(const struct page_panel *q, const struct page_series *f, const struct sheet *s,
                   size_t row, size_t where, size_t names) {
    if (f->column && strncmp(sheet_text(s, row, where), f->start, strlen(f->start))) return false;
    return q->kind != PLOT_BARS || listed(q->only, sheet_text(s, row, names));
}

// value, and its error's ends, of the rows that are wanted
static void fill(const struct sheet *s, const size_t *row, size_t n, struct measure m,
                 double *value, double *low, double *high) {
    size_t error = sheet_error(s, m.column);
    double first = 1;
    for (size_t i = n; m.relative && i-- > 0;) {
        double v = sheet_number(s, row[i], m.column);
        if (isfinite(v) && v != 0) first = v;
    }
    for (size_t i = 0; i < n; i++) {
        double v = sheet_number(s, row[i], m.column) * m.factor / first;
        double e = error == SHEET_NONE ? (double)NAN
                                       : sheet_number(s, row[i], error) * m.factor / fabs(first);
        value[i] = v;
        low[i] = v - e;
        high[i] = v + e;
    }
}

// ---- means over many steps
// ---------------------------------------------------------------------------

static void average(struct panel_data *d, struct plot_series *s) {
    size_t per = (s->n + POINTS - 1) / POINTS, n = 0;
    double *x = numbers(d, s->n), *y = numbers(d, s->n), *low = numbers(d, s->n),
           *high = numbers(d, s->n);
    for (size_t at = 0; at < s->n; at += per) {
        double sum = 0, steps = 0, count = 0, least = INFINITY, most = -INFINITY;
        for (size_t i = at; i < s->n && i < at + per; i++) {
            if (!isfinite(s->y[i])) continue;
            sum += s->y[i];
            steps += s->x[i];
            least = fmin(least, s->y[i]);
            most = fmax(most, s->y[i]);
            count++;
        }
        if (!count) continue;
        x[n] = steps / count;
        y[n] = sum / count;
        low[n] = least;
        high[n++] = most;
    }
    s->n = n;
    s->x = x;
    s->y = y;
    s->low = low;
    s->high = high;
    if (per > d->averaged) d->averaged = per;
}

static size_t points(const struct plot_series *s) {
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) n += isfinite(s->y[i]) != 0;
    return n;
}

// ---- series
// ---------------------------------------------------------------------------------------

static const char **categories(struct panel_data *d, const struct sheet *s, const size_t *row,
                               size_t n, size_t column) {
    const char **names = keep(d, xmalloc((n + 1) * sizeof *names));
    for (size_t i = 0; i < n; i++) names[i] = keep(d, xstrdup(sheet_text(s, row[i], column)));
    return names;
}

// The page's colour of a name, or another where one of this panel has it already.
static int colour_of(struct page *p, const struct panel_data *d, const char *name) {
    int colour = page_colour(p, name);
    bool taken[PLOT_COLOURS] = {false};
    for (size_t i = 0; i < d->n; i++) {
        size_t k = strlen(name);
        const char *other = d->series[i].name;
        if (!strcmp(other, name) || (!strncmp(other, name, k) && other[k] == ',')) continue;
        taken[d->series[i].colour] = true;
    }
    for (int i = 0; taken[colour] && i < PLOT_COLOURS; i++)
        if (!taken[i]) colour = i;
    return colour;
}

static void add_series(struct page *p, const struct page_panel *q, const struct page_series *f,
                       const struct sheet *s, const char *y, const char *name, bool dashed,
                       struct panel_data *d) {
    bool bars = q->kind == PLOT_BARS;
    size_t *row = keep(d, xmalloc((s->rows + 1) * sizeof *row)), n = 0;
    size_t where = f->column ? sheet_find(s, f->column) : 0;
    if (where == SHEET_NONE)
        die(EXIT_BADDATA, "'%s' line %zu: no column '%s' in '%s'", p->spec, p->line, f->column,
            s->path);
    struct measure across = find_measure(p, s, f->x), up = find_measure(p, s, y);
    for (size_t i = 0; i < s->rows; i++)
        if (wanted(q, f, s, i, where, across.column)) row[n++] = i;
    double *v[6];
    for (int k = 0; k < 6; k++) v[k] = numbers(d, s->rows);
    fill(s, row, n, up, v[1], v[2], v[3]);
    if (!bars) fill(s, row, n, across, v[0], v[4], v[5]);
    for (size_t i = 0; bars && i < n; i++) v[0][i] = (double)i;
    struct plot_series out = {.name = keep(d, xstrdup(name)),
                              .n = n,
                              .x = v[0],
                              .y = v[1],
                              .colour = bars ? 0 : colour_of(p, d, f->name),
                              .joined = f->joined,
                              .dashed = dashed};
    if (bars) out.category = categories(d, s, row, n, across.column);
    if (!bars && q->kind == PLOT_POINTS && across.column != 0)
        out.category = categories(d, s, row, n, 0);
    if (sheet_error(s, up.column) != SHEET_NONE) out.low = v[2], out.high = v[3];
    if (!bars && sheet_error(s, across.column) != SHEET_NONE) out.left = v[4], out.right = v[5];
    if (!points(&out)) return;
    if (q->kind == PLOT_LINES && points(&out) > CROWDED) average(d, &out);
    out.bare = q->kind == PLOT_LINES && points(&out) > 40;
    d->series[d->n++] = out;
}

// The held-out curve of the same log, where it has one: valid_loss beside loss.
static void add_held_out(struct page *p, const struct page_panel *q, const struct page_series *f,
                         const struct sheet *s, struct panel_data *d) {
    char *column = xasprintf("valid_%s", f->y), *name = xasprintf("%s, validation", f->name);
    size_t n = strcspn(column, "*/");
    char *plain = xasprintf("%.*s", (int)n, column);
    if (sheet_find(s, plain) != SHEET_NONE) add_series(p, q, f, s, column, name, true, d);
    free(plain);
    free(name);
    free(column);
}

// ---- where epochs begin
// -----------------------------------------------------------------------------

static void add_rule(struct panel_data *d, double at, double epoch) {
    for (size_t i = 0; i < d->rules; i++)
        if (fabs(d->rule[i].at - at) < 1.5) return; // another log's, at the same step
    if (d->rules == PANEL_RULES) return;
    d->rule[d->rules++] = (struct plot_rule){at, keep(d, xasprintf("epoch %.0f", epoch))};
}

static double recorded_epochs(const struct run_file *model) {
    struct fail f = {0};
    struct json *options =
        json_parse(model->made.options, strlen(model->made.options), model->path, &f);
    double steps = json_number(json_get(options, "steps"));
    double epochs = steps > 0 ? 0 : json_number(json_get(options, "epochs"));
    json_free(options);
    return epochs;
}

// By the log's own column, or by what the model of its name says of its training.
static void add_epochs(struct page *p, const struct page_series *f, const struct sheet *s,
                       struct panel_data *d) {
    size_t epoch = sheet_find(s, "epoch"), step = sheet_find(s, "step");
    if (strcmp(f->x, "step") || step == SHEET_NONE || !s->rows) return;
    double last = sheet_number(s, s->rows - 1, step), before = 1;
    if (epoch != SHEET_NONE) {
        for (size_t i = 0; i < s->rows; i++) {
            double now = ceil(sheet_number(s, i, epoch));
            if (now > before) add_rule(d, sheet_number(s, i ? i - 1 : 0, step), now);
            if (isfinite(now)) before = now;
        }
        return;
    }
    const struct run_file *model = run_model_of(p->run, f->file);
    double epochs = model ? recorded_epochs(model) : 0;
    for (double e = 1; e < epochs && epochs <= PANEL_RULES; e++)
        add_rule(d, last * e / epochs, e + 1);
}

static bool is_there(const struct page *p, const char *file) {
    struct fail f = {0};
    char *path = run_path(p->run, file);
    bool there = path_is_there(path, &f);
    free(path);
    die_if(&f);
    return there;
}

void panel_data_read(struct page *p, const struct page_panel *q, struct panel_data *d) {
    size_t here = p->line;
    for (size_t i = 0; i < q->n; i++) {
        const struct page_series *f = &q->series[i];
        p->line = f->line; // for what is wrong with it
        if (f->optional && !is_there(p, f->file)) continue;
        struct sheet s = page_sheet(p, f->file);
        if (s.rows) {
            add_series(p, q, f, &s, f->y, f->name, f->dashed, d);
            if (q->kind == PLOT_LINES) {
                add_held_out(p, q, f, &s, d);
                add_epochs(p, f, &s, d);
            }
        }
        sheet_release(&s);
    }
    p->line = here;
}
