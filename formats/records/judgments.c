#include "formats/records/judgments.h"
#include "common/base/mem.h"
#include "formats/records/records.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

size_t judgments_model(const struct judgments *j, const char *name) {
    size_t m = 0;
    while (m < j->models && strcmp(j->model[m], name) != 0) m++;
    return m;
}

static void add_model(struct judgments *j, const char *name) {
    if (judgments_model(j, name) < j->models) return;
    j->model = xrealloc(j->model, (j->models + 1) * sizeof *j->model);
    j->model[j->models++] = xstrdup(name);
}

static bool refuse(const struct record *r, const char *what, struct fail *f) {
    return fail_set(f, EXIT_BADDATA,
                    "'%s' line %zu: %s; give MT-Bench's or Arena-Hard's file of judgments", r->path,
                    r->line, what);
}

static void read_games(struct judgment *g, const struct json *games) {
    for (size_t i = 0; i < 2; i++) {
        size_t n;
        const char *label = json_text(json_get(json_at(games, i), "score"), &n);
        if (label && n < sizeof g->game[i]) memcpy(g->game[i], label, n);
    }
}

static bool read_row(struct judgments *j, struct judgment *g, const struct record *r,
                     struct fail *f) {
    const struct json *id = record_json(r, "question_id"), *uid = record_json(r, "uid");
    const struct json *games = record_json(r, "games"), *score = record_json(r, "score");
    const char *model = json_text(record_json(r, "model"), NULL);
    const char *category = json_text(record_json(r, "category"), NULL);
    const char *text = json_text(id ? id : uid, NULL);
    if (!text && !json_is_integer(id)) return refuse(r, "no question_id or uid", f);
    if (!model) return refuse(r, "no model", f);
    if (!games && json_type(score) != JSON_NUMBER) return refuse(r, "no score, no games", f);
    g->id = text ? xstrdup(text) : xasprintf("%lld", (long long)json_int(id));
    g->model = xstrdup(model);
    g->category = xstrdup(category ? category : "");
    if (games) {
        read_games(g, games);
    } else {
        g->score = json_number(score);
        g->turn = (int)json_int(record_json(r, "turn"));
        if (g->turn != 1 && g->turn != 2) return refuse(r, "'turn' is neither 1 nor 2", f);
    }
    if (j->n == 1) j->games = games != NULL;
    if (j->n == 1) j->v2 = uid != NULL;
    if (j->games != (games != NULL)) return refuse(r, "it is of another benchmark", f);
    add_model(j, model);
    return true;
}

bool judgments_load(struct judgments *j, size_t n, const char *const *paths, struct fail *f) {
    struct record r = {0};
    size_t capacity = 0;
    *j = (struct judgments){0};
    struct records *in = records_open(n, paths, SYNTAX_AUTO, f);
    while (!f->code && records_next(in, &r)) {
        grow(&j->items, &capacity, j->n + 1, sizeof *j->items);
        j->items[j->n++] = (struct judgment){0};
        if (record_parse(&r))
            read_row(j, &j->items[j->n - 1], &r, f);
        else
            fail_pass(f, &r.bad);
    }
    record_release(&r);
    if (in) records_close(in);
    if (!j->n) fail_set(f, EXIT_BADDATA, "no judgments in '%s'", paths[0]);
    if (f->code) judgments_release(j);
    return !f->code;
}

void judgments_release(struct judgments *j) {
    for (size_t i = 0; i < j->n; i++) {
        free(j->items[i].id);
        free(j->items[i].model);
        free(j->items[i].category);
    }
    for (size_t m = 0; m < j->models; m++) free(j->model[m]);
    free(j->items);
    free(j->model);
    *j = (struct judgments){0};
}
