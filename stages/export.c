// export: a model file as a folder that transformers and its relatives load.
#include "common/base/log.h"
#include "common/base/options.h"
#include "common/base/parallel.h"
#include "common/engine/adapter.h"
#include "formats/models/gguf_export.h"
#include "formats/models/hf_export.h"
#include "formats/models/model_shelf.h"
#include "formats/models/peft.h"
#include "stages/shared/plan.h"
#include <stdlib.h>
#include <string.h>

struct export {
    const char *model, *format, *type, *gguf_type, *output;
    double shard_gib;
    struct model_shelf shelf;
    struct common_options common;
    struct log *log;
};

static void declare(struct options *o, struct export *s) {
    const struct opt_row rows[] = {
        {"model", OPT_TEXT, OPT_INPUT, &s->model, .metavar = "FILE",
         .help = "the model, or an adapter", .required = true},
        {"format", OPT_CHOICE, OPT_RESULT, &s->format, .choices = "hf|gguf|peft|gguf-lora",
         .value = "hf",
         .help = "hf: a Hugging Face folder; gguf: a file for llama.cpp (both with the adapter "
                 "merged); peft, gguf-lora: the adapter alone, for PEFT or for llama.cpp"},
        {"type", OPT_CHOICE, OPT_RESULT, &s->type, .choices = "source|f32|f16|bf16",
         .value = "source",
         .help = "hf: precision of the numbers; source: the one that the imported model had"},
        {"gguf-type", OPT_CHOICE, OPT_RESULT, &s->gguf_type, .choices = "source|f32|f16|bf16|q8_0",
         .value = "source",
         .help = "gguf, gguf-lora: type of the matrices; source: as the imported model's"},
        {"shard-size", OPT_REAL, OPT_RESULT, &s->shard_gib, .value = "4", .low = 1e-6, .high = 1e6,
         .metavar = "GIB", .help = "hf: largest file of tensors, in GiB"},
        {"output", OPT_TEXT, OPT_OUTPUT, &s->output, .letter = 'o', .metavar = "PATH",
         .help = "the folder, or the file", .required = true},
    };
    options_add(o, rows, sizeof rows / sizeof *rows);
    model_shelf_row(o, &s->shelf);
    common_options_rows(o, &s->common);
}

static void check_options(const struct export *s, const struct options *o) {
    bool hf = choice_is(s->format, "hf"), peft = choice_is(s->format, "peft");
    if (!hf) options_refuse(o, "type", "is of --format hf; GGUF has --gguf-type");
    if (!hf) options_refuse(o, "shard-size", "is of --format hf");
    if (hf || peft) options_refuse(o, "gguf-type", "is of --format gguf and gguf-lora");
}

// "DIR/" is DIR.
static char *without_slash(const char *path) {
    char *copy = xstrdup(path);
    for (size_t n = strlen(copy); n > 1 && copy[n - 1] == '/'; n--) copy[n - 1] = 0;
    return copy;
}

static void load_model(struct export *s, const struct artefact *from, struct model_file *m) {
    struct fail f = {0};
    if (choice_is(s->format, "hf") && !strcmp(from->kind, "model")) { // a reward model too
        model_file_load_as(s->model, MODEL_ANY, false, m, &f);
        die_if(&f);
        return;
    }
    bool alone = choice_is(s->format, "gguf-lora") || choice_is(s->format, "peft");
    model_shelf_load(&s->shelf, s->model, alone, m, &f);
    die_if(&f);
    model_shelf_release(&s->shelf);
    if (alone && !m->model.adapter)
        die(EXIT_BADDATA, "'%s' is a whole model; --format %s takes an adapter", s->model,
            s->format);
    if (m->model.adapter && !alone) adapter_merge(&m->model);
}

static enum gguf_type gguf_type(const struct export *s) {
    return choice_is(s->gguf_type, "f32")    ? GGUF_F32
           : choice_is(s->gguf_type, "f16")  ? GGUF_F16
           : choice_is(s->gguf_type, "bf16") ? GGUF_BF16
                                             : GGUF_Q8_0;
}

static enum safe_type safe_type(const struct export *s) {
    return choice_is(s->type, "f32") ? SAFE_F32 : choice_is(s->type, "f16") ? SAFE_F16 : SAFE_BF16;
}

// What `source` comes to. An adapter has no configuration of its own, but its base may be named.
static void settle_types(struct export *s, const struct artefact *from) {
    bool adapter = !strcmp(from->kind, "adapter");
    const char *path = adapter ? s->shelf.base : s->model;
    const char *source = path ? model_file_came_in(path) : "f32";
    if (choice_is(s->type, "source")) s->type = source;
    if (choice_is(s->gguf_type, "source")) s->gguf_type = source;
}

struct output { // as it is to be
    struct hf_export hf;
    struct peft_export peft;
    struct lineage lineage;
    char *path;
};

static bool is_current(const struct export *s, const struct output *out) {
    struct fail f = {0};
    if (s->common.force || s->common.dry_run) return false;
    bool current = choice_is(s->format, "peft") ? peft_current(&out->peft, s->common.no_clobber, &f)
                   : choice_is(s->format, "hf")
                       ? hf_export_current(&out->hf, s->common.no_clobber, &f)
                       : gguf_export_current(out->path, &out->lineage, s->common.no_clobber, &f);
    die_if(&f);
    return current;
}

static void print_plan(const struct export *s, const struct model *m, const char *path) {
    bool hf = choice_is(s->format, "hf"), whole = hf || choice_is(s->format, "gguf");
    const char *type = hf ? s->type : choice_is(s->format, "peft") ? "f32" : s->gguf_type;
    double each = choice_is(type, "f32") ? 4 : choice_is(type, "q8_0") ? 34.0 / 32 : 2;
    double n = (double)(whole ? model_count(m) : parameters_count(&m->adapter->trained));
    struct plan plan = {.memory = (double)(model_bytes(m) + MEM_PROGRAM),
                        .disk = n * each,
                        .seconds = -1,
                        .output = path};
    plan_print(s->log, &plan);
}

static void write_output(struct export *s, const struct output *out, const struct artefact *from) {
    struct model_file m;
    struct fail f = {0};
    load_model(s, from, &m);
    log_note(s->log, "%zu parameters", model_count(&m.model));
    size_t context = gguf_context(&m.model.config);
    if (!strncmp(s->format, "gguf", 4) && context < m.model.config.max_positions)
        log_note(s->log,
                 "llama.cpp knows no sliding window of this architecture; up to %zu tokens, the "
                 "file's context, it computes the same",
                 context);
    bool dry = s->common.dry_run; // what llama.cpp does not take is refused all the same
    if (choice_is(s->format, "gguf"))
        gguf_export(dry ? NULL : out->path, gguf_type(s), &m, &out->lineage, &f);
    else if (choice_is(s->format, "gguf-lora"))
        gguf_export_adapter(dry ? NULL : out->path, gguf_type(s), &m, &out->lineage, &f);
    else if (!dry && choice_is(s->format, "hf"))
        hf_export_write(&out->hf, &m, from, &f);
    else if (!dry)
        peft_write(&out->peft, &m, &f);
    die_if(&f);
    if (dry)
        print_plan(s, &m.model, out->path);
    else
        print_result("%s", out->path);
    model_file_release(&m);
}

static void run(struct export *s, const struct options *o) {
    struct fail f = {0};
    struct artefact from;
    artefact_read(s->model, NULL, &from, &f);
    die_if(&f);
    settle_types(s, &from);
    char *options = options_json(o);
    struct output out = {.lineage = {.kind = "export", .stage = "export", .options = options}};
    parents_add(&out.lineage.parents, from.kind, from.content);
    out.path = without_slash(s->output);
    out.peft = (struct peft_export){.folder = out.path, .lineage = &out.lineage};
    out.hf = (struct hf_export){.folder = out.path,
                                .lineage = &out.lineage,
                                .type = safe_type(s),
                                .shard_bytes = (size_t)(s->shard_gib * (1 << 30))};
    if (is_current(s, &out)) {
        log_note(s->log, "'%s' is up to date: made with the same options and inputs", out.path);
        print_result("%s", out.path);
    } else {
        write_output(s, &out, &from);
    }
    free(out.path);
    free(options);
    artefact_release(&from);
    parents_release(&out.lineage.parents);
}

int main(int argc, char **argv) {
    struct export s = {0};
    struct options o = {.program = "export",
                        .usage = "--model FILE -o PATH [options]",
                        .summary = "Write a model in the formats of other programs."};
    declare(&o, &s);
    options_parse(&o, argc, argv, NULL);
    check_options(&s, &o);
    parallel_init((int)s.common.threads);
    s.log = log_open(s.common.progress, s.common.quiet, s.common.verbose);
    run(&s, &o);
    finish_stdout();
    log_close(s.log);
    options_release(&o);
    return EXIT_DONE;
}
