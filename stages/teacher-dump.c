// teacher-dump: runs the teachers once over the responses and keeps p*, truncated, in a cache that
// distill replays as often as one likes.
#include "common/base/parallel.h"
#include "common/base/stop.h"
#include "common/engine/kernels.h"
#include "stages/shared/dump_job.h"
#include <stdlib.h>

static void declare(struct options *o, struct dump_job *d) {
    teachers_rows(o, &d->teachers);
    const struct opt_row in[] = {
        {"data", OPT_LIST, OPT_INPUT, &d->data, .metavar = "FILE...",
         .help = "pairs, or tokens with responses", .required = true, .paths = true},
        {"output", OPT_TEXT, OPT_OUTPUT, &d->output, .letter = 'o', .metavar = "FILE",
         .help = "the teacher cache", .required = true},
        {"responses", OPT_CHOICE, OPT_RESULT, &d->responses, .value = "chosen",
         .choices = "chosen|rejected|both", .help = "which responses of pairs are dumped"},
    };
    options_add(o, in, sizeof in / sizeof *in);
    recipe_row(o, &d->recipe);
    teacher_options_rows(o, &d->teacher);
    target_kl_rows(o, &d->target);
    teacher_cut_rows(o, &d->teacher, true);
    const struct opt_row rest[] = {
        {"layout", OPT_CHOICE, OPT_RESULT, &d->layout, .value = "composed",
         .choices = "composed|components",
         .help =
             "keep p* of this strength, or what p* of every strength on --alpha-grid follows from"},
        {"alpha-grid", OPT_TEXT, OPT_RESULT, &d->grid, .value = "auto", .metavar = "A,B,C...",
         .help = "components: 3 to 16 ascending alphas from 0, where the tail "
                 "mass is kept; auto = 0, S/8, S/4, S/2, S, 1.5S, 2S with the S of --alpha"},
        {"student", OPT_TEXT, OPT_INPUT, &d->student, .metavar = "FILE",
         .help = "model to be trained, which the cache is to serve; without it the one of --ref"},
        {"error-budget", OPT_REAL, OPT_RESULT, &d->error_budget, .value = "0.03", .low = 0,
         .high = 10, .metavar = "E",
         .help =
             "keep the tokens that the gradient of --student wants: at each position it is off "
             "by at most E of its size, or of that of a typical one, four times that half-way to "
             "p*; what is --least likely, if not given 0.002, is kept anyway, and where p* is sure "
             "what is less likely, up to --top-k tokens, by default 1024 (components: 512 at each "
             "alpha). Near the end of a training at tvd:20 the gradient is further off (a cosine "
             "of "
             "0.95 in the demo). "
             "0 = off, as is where --mass, --top-k, --least or --student-k is given alone"},
        {"student-k", OPT_INT, OPT_RESULT, &d->student_k, .value = "16", .low = 1, .high = 500,
         .metavar = "N", .help = "without a budget: how many of --student's most likely tokens"},
        {"bits", OPT_CHOICE, OPT_RESULT, &d->bits_text, .value = "12", .choices = "32|16|12|8|6",
         .help = "levels of log p*: 12 is off by 0.1 % at p* = 1, by 3 % at "
                 "0.01, 8 by 0.5 and 5 %; 32 is exact and plain (see shard report)"},
        {"rows-per-shard", OPT_INT, OPT_EXEC, &d->rows_per_shard, .value = "0", .low = 0,
         .high = 1e12, .metavar = "N", .help = "rows of each shard, 0 = one file"},
        {"zstd-level", OPT_INT, OPT_RESULT, &d->zstd_level, .value = "3", .low = 1, .high = 19,
         .metavar = "N", .help = "compression level"},
        {"shard", OPT_TEXT, OPT_EXEC, &d->shard, .metavar = "I/N",
         .help = "dump share I of N of the shards, 0 <= I < N"},
        {"micro-tokens", OPT_INT, OPT_EXEC, &d->micro_tokens, .value = "4096", .low = 1,
         .high = 1e9, .metavar = "N",
         .help = "tokens computed at once; more need more memory and can be faster"},
        {"checkpoint-every", OPT_EVERY, OPT_EXEC, &d->checkpoint_every, .value = "1m",
         .metavar = "T",
         .help = "save the rows so far every so many rows, or after a time such as 1m"},
        {"stop-after", OPT_TIME, OPT_EXEC, &d->stop_after, .value = "0", .metavar = "T",
         .help = "save and exit 75 after a time such as 3h50m, 0 = never"},
    };
    options_add(o, rest, sizeof rest / sizeof *rest);
    common_kernels_row(o, &d->common);
    common_options_rows(o, &d->common);
}

static int run(struct dump_job *d) {
    if (d->common.dry_run) {
        dump_print_plan(d);
        return EXIT_DONE;
    }
    if (d->target.kl > 0 && dump_settle_strength(d)) return EXIT_DONE;
    return d->common.force || !dump_current(d) ? dump_run(d) : EXIT_DONE;
}

int main(int argc, char **argv) {
    struct dump_job d = {0};
    struct options o = {.program = "teacher-dump",
                        .usage =
                            "--dpo FILE --reverse FILE --ref FILE --data FILE... -o FILE [options]",
                        .summary = "Compute the teachers' distributions once, into a cache."};
    declare(&o, &d);
    options_parse(&o, argc, argv, NULL);
    parallel_init((int)d.common.threads);
    kernels_choose(d.common.kernels);
    stop_init(d.stop_after);
    d.log = log_open(d.common.progress, d.common.quiet, d.common.verbose);
    recipe_teacher(d.recipe, &o, false, &d.teacher, &d.run.rule);
    d.options = &o;
    if (!(d.target.kl > 0)) options_refuse(&o, "target-rows|max-new", "is for --target-kl");
    dump_settle_budget(&d);
    dump_settle_layout(&d);
    d.json = dump_options(&d);
    d.lineage = (struct lineage){.kind = "teacher",
                                 .stage = "teacher-dump",
                                 .version = artefact_version("teacher"),
                                 .options = d.json};
    dump_load_models(&d);
    dump_load_student(&d);
    dump_load_data(&d);
    dump_plan_shards(&d);
    d.run.cut = (struct teacher_cut){.top_k = (size_t)d.teacher.top_k,
                                     .mass = d.teacher.mass,
                                     .least = d.teacher.least,
                                     .eos = d.teachers.dpo_model.eos};
    dump_check_room(&d);
    d.run.tokens = &d.tokens;
    d.run.micro_tokens = (size_t)d.micro_tokens;
    d.run.checkpoint_every = d.checkpoint_every;
    d.run.log = d.log;
    int code = run(&d);
    log_close(d.log);
    finish_stdout();
    options_release(&o);
    free(d.json);
    free(d.alpha);
    teachers_release(&d.teachers);
    tokens_release(&d.tokens);
    parents_release(&d.lineage.parents);
    model_file_release(&d.student_model);
    return code;
}
