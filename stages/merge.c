// merge: an adapter added to the weights of its base, as a whole model.
#include "common/base/log.h"
#include "common/base/parallel.h"
#include "common/engine/adapter.h"
#include "formats/models/model_shelf.h"
#include "stages/shared/plan.h"
#include <stdlib.h>

struct merge {
    const char *model, *adapter, *output;
    struct common_options common;
    struct log *log;
};

static void declare(struct options *o, struct merge *s) {
    const struct opt_row rows[] = {
        {"model", OPT_TEXT, OPT_INPUT, &s->model, .metavar = "FILE",
         .help = "the model that the adapter belongs to", .required = true},
        {"adapter", OPT_TEXT, OPT_INPUT, &s->adapter, .metavar = "FILE", .help = "the adapter",
         .required = true},
        {"output", OPT_TEXT, OPT_OUTPUT, &s->output, .letter = 'o', .metavar = "FILE",
         .help = "the merged model", .required = true},
    };
    options_add(o, rows, sizeof rows / sizeof *rows);
    common_options_rows(o, &s->common);
}

// Returns its record; free() it.
static char *parent_of(struct parents *p, const char *path, const char *kind) {
    struct fail f = {0};
    struct artefact a;
    artefact_read(path, kind, &a, &f);
    die_if(&f);
    parents_add(p, kind, a.content);
    char *record = a.record;
    a.record = NULL;
    artefact_release(&a);
    return record;
}

static void write_merged(struct merge *s, const struct lineage *l) {
    struct model_shelf shelf = {.base = s->model};
    struct model_file m;
    struct fail f = {0};
    model_shelf_load(&shelf, s->adapter, false, &m, &f);
    die_if(&f);
    model_shelf_release(&shelf);
    log_note(s->log, "%zu parameters, and %zu of the adapter", model_count(&m.model),
             parameters_count(&m.model.adapter->trained));
    double bytes = 4 * (double)m.model.n_params;
    struct plan plan = {bytes + MEM_PROGRAM, bytes, -1, s->output};
    if (s->common.dry_run) plan_print(s->log, &plan);
    if (!s->common.dry_run) {
        adapter_merge(&m.model);
        model_file_save(s->output, &m, l, &f);
        die_if(&f);
        print_result("%s", s->output);
    }
    model_file_release(&m);
}

int main(int argc, char **argv) {
    struct merge s = {0};
    struct fail f = {0};
    struct options o = {.program = "merge",
                        .usage = "--model FILE --adapter FILE -o FILE [options]",
                        .summary = "Add an adapter to its base's weights: a whole model."};
    declare(&o, &s);
    options_parse(&o, argc, argv, NULL);
    parallel_init((int)s.common.threads);
    s.log = log_open(s.common.progress, s.common.quiet, s.common.verbose);
    char *options = options_json(&o);
    struct lineage l = {.kind = "model", .stage = "merge", .options = options};
    free(parent_of(&l.parents, s.model, "model"));
    char *record = parent_of(&l.parents, s.adapter, "adapter"); // what the adapter came to
    l.record = record;
    bool current = !s.common.force && !s.common.dry_run &&
                   artefact_is_current(s.output, &l, s.common.no_clobber, &f);
    die_if(&f);
    if (current) {
        log_note(s.log, "'%s' is up to date: made with the same options and inputs", s.output);
        print_result("%s", s.output);
    } else {
        write_merged(&s, &l);
    }
    finish_stdout();
    free(record);
    free(options);
    parents_release(&l.parents);
    log_close(s.log);
    options_release(&o);
    return EXIT_DONE;
}
