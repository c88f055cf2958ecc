// export: a model file as a folder that transformers and its relatives load.
#include "common/base/log.h"
#include "common/base/options.h"
#include "common/base/parallel.h"
#include "formats/models/hf_export.h"
#include <stdlib.h>
#include <string.h>

struct export {
    const char *model, *format, *type, *output;
    double shard_gib;
    struct common_options common;
    struct log *log;
};

static void declare(struct options *o, struct export *s) {
    const struct opt_row rows[] = {
        {"model", OPT_TEXT, OPT_INPUT, &s->model, .metavar = "FILE", .help = "the model",
         .required = true},
        {"format", OPT_CHOICE, OPT_RESULT, &s->format, .choices = "hf", .value = "hf",
         .help = "hf: a Hugging Face folder"},
        {"type", OPT_CHOICE, OPT_RESULT, &s->type, .choices = "f32|bf16", .value = "f32",
         .help = "precision of the numbers"},
        {"shard-size", OPT_REAL, OPT_RESULT, &s->shard_gib, .value = "4", .low = 1e-6, .high = 1e6,
         .metavar = "GIB", .help = "largest file of tensors, in GiB"},
        {"output", OPT_TEXT, OPT_OUTPUT, &s->output, .letter = 'o', .metavar = "DIR",
         .help = "the folder", .required = true},
    };
    options_add(o, rows, sizeof rows / sizeof *rows);
    common_options_rows(o, &s->common);
}

// "DIR/" is DIR.
static char *without_slash(const char *path) {
    char *copy = xstrdup(path);
    for (size_t n = strlen(copy); n > 1 && copy[n - 1] == '/'; n--) copy[n - 1] = 0;
    return copy;
}

static void write_folder(struct export *s, const struct hf_export *x, const struct artefact *from) {
    struct model_file m;
    struct fail f = {0};
    model_file_load_as(s->model, MODEL_ANY, false, &m, &f);
    die_if(&f);
    log_note(s->log, "%zu parameters, %.2f GiB as %s", model_count(&m.model),
             (double)(model_count(&m.model) * safetensors_type_size(x->type)) / (1 << 30), s->type);
    if (!s->common.dry_run) {
        hf_export_write(x, &m, from, &f);
        die_if(&f);
        print_result("%s", x->folder);
    }
    model_file_release(&m);
}

static void run(struct export *s, const char *options) {
    struct fail f = {0};
    struct artefact from;
    struct lineage l = {.kind = "export", .stage = "export", .options = options};
    artefact_read(s->model, "model", &from, &f);
    die_if(&f);
    parents_add(&l.parents, "model", from.content);
    char *folder = without_slash(s->output);
    struct hf_export x = {.folder = folder,
                          .lineage = &l,
                          .type = strcmp(s->type, "f32") ? SAFE_BF16 : SAFE_F32,
                          .shard_bytes = (size_t)(s->shard_gib * (1 << 30))};
    bool there =
        !s->common.force && !s->common.dry_run && hf_export_current(&x, s->common.no_clobber, &f);
    die_if(&f);
    if (there) {
        log_note(s->log, "'%s' is up to date: made with the same options and inputs", folder);
        print_result("%s", folder);
    } else {
        write_folder(s, &x, &from);
    }
    free(folder);
    artefact_release(&from);
    parents_release(&l.parents);
}

int main(int argc, char **argv) {
    struct export s = {0};
    struct options o = {.program = "export",
                        .usage = "--model FILE -o DIR [options]",
                        .summary = "Write a model in the formats of other programs."};
    declare(&o, &s);
    options_parse(&o, argc, argv, NULL);
    parallel_init((int)s.common.threads);
    s.log = log_open(s.common.progress, s.common.quiet, s.common.verbose);
    char *options = options_json(&o);
    run(&s, options);
    finish_stdout();
    free(options);
    log_close(s.log);
    options_release(&o);
    return EXIT_DONE;
}
