#include "common/base/fail.h"
#include "common/method/recipe.h"
#include "formats/bytes/json.h"
#include "formats/teachers/teacher_cut.h"
#include "stages/shard/shard.h"
#include <stdlib.h>
#include <string.h>

struct recode {
    const char *output, *bits_text;
    struct teacher_options cut; // mass, top_k, least
    int64_t zstd_level;
    struct columns_reader **set;
    size_t parts;
    struct teacher_info info;
    bool cuts, codes; // fewer entries, fewer bits
};

static void declare(struct options *o, struct recode *s) {
    const struct opt_row rows[] = {
        shard_output_row(&s->output,
                         "the recoded cache; of a set x.h5 makes x-00000-of-00003.h5 and so on"),
        {"bits", OPT_CHOICE, OPT_RESULT, &s->bits_text, .value = "as-stored",
         .choices = "as-stored|32|16|12|8|6", .help = "levels of log p*; no more than are stored"},
        {"zstd-level", OPT_INT, OPT_RESULT, &s->zstd_level, .value = "0", .low = 0, .high = 19,
         .metavar = "N", .help = "compression level, 0 = as stored"},
    };
    options_add(o, rows, sizeof rows / sizeof *rows);
    teacher_cut_rows(o, &s->cut, false);
}

// ---- no more than there is

static const struct json *stored(const struct json *options, const char *name) {
    const struct json *j = json_get(options, name);
    return json_type(j) == JSON_NUMBER ? j : NULL;
}

static void settle_cut(struct recode *s, const struct options *o) {
    struct fail ignored = {0};
    const char *text = columns_artefact(s->set[0])->options;
    struct json *j = json_parse(text, strlen(text), "options", &ignored);
    bool budget = s->info.error_budget > 0; // its --least left nothing out
    const struct json *k = stored(j, "top-k"), *mass = budget ? NULL : stored(j, "mass"),
                      *least = budget ? NULL : stored(j, "least");
    struct teacher_options *c = &s->cut;
    static const char *const names[] = {"top-k", "mass", "least"};
    for (size_t i = 0; i < 3; i++) s->cuts = s->cuts || options_given(o, names[i]);
    if (!options_given(o, "top-k")) c->top_k = k ? json_int(k) : UINT16_MAX;
    if (!options_given(o, "mass")) c->mass = mass ? json_number(mass) : 1;
    if (!options_given(o, "least")) c->least = least ? json_number(least) : 0;
    if (k && c->top_k > json_int(k))
        die(EXIT_USAGE,
            "--top-k %lld is more than the %lld that the cache was cut to; what was left "
            "out is gone",
            (long long)c->top_k, (long long)json_int(k));
    if (mass && c->mass > json_number(mass))
        die(EXIT_USAGE,
            "--mass %g is more than the %g that the cache was cut to; what was left out "
            "is gone",
            c->mass, json_number(mass));
    if (least && c->least < json_number(least))
        die(EXIT_USAGE,
            "--least %g is below the %g that the cache was cut to; what was left out is "
            "gone",
            c->least, json_number(least));
    json_free(j);
}

static void settle_bits(struct recode *s, int has) {
    static const char *const names[] = {"6", "8", "12", "16", "32"};
    if (!strcmp(s->bits_text, "as-stored"))
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            if (atoi(names[i]) == has) s->bits_text = names[i];
    s->info.bits = atoi(s->bits_text);
    s->codes = s->info.bits != has;
    if (s->info.bits > has)
        die(EXIT_USAGE, "--bits %d is more than the cache's %d; what was rounded off is gone",
            s->info.bits, has);
}

static void settle_coding(struct recode *s, const struct options *o, struct fail *f) {
    if (strcmp(columns_artefact(s->set[0])->kind, "teacher") != 0)
        die(EXIT_BADDATA, "'%s' is of kind %s; recode takes teacher files", columns_path(s->set[0]),
            columns_artefact(s->set[0])->kind);
    if (!teacher_info_read(&s->info, s->set[0], f)) die_if(f);
    settle_bits(s, s->info.bits);
    settle_cut(s, o);
    if (!s->zstd_level) s->zstd_level = columns_level(s->set[0]);
}

// ---- writing

// The tokens with the lowest codes: as they are, or, where nothing was coded, as a dump would have
// them.
static int32_t *take_common(struct recode *s, struct fail *f) {
    size_t n = 0, total = 0;
    char *blob = columns_blob(s->set[0], "common", &n);
    if (blob) {
        s->info.n_common = n / sizeof(int32_t);
        return (int32_t *)(void *)blob;
    }
    int32_t *ids = NULL;
    for (size_t i = 0; i < s->parts && !f->code; i++) {
        int32_t *more = columns_read_all(s->set[i], "ids", &n);
        columns_rest(s->set[i]);
        if (!more) break;
        ids = xrealloc(ids, (total + n + 1) * sizeof *ids);
        memcpy(ids + total, more, n * sizeof *ids);
        total += n;
        free(more);
    }
    for (size_t i = 0; i < total; i++)
        if (ids[i] < 0 || (size_t)ids[i] >= s->info.vocab)
            fail_set(f, EXIT_BADDATA, "'%s' is damaged: an id leaves the vocabulary",
                     columns_path(s->set[0]));
    int32_t *common =
        f->code ? NULL
                : teacher_codec_common(ids, total, s->info.vocab, s->info.eos, &s->info.n_common);
    free(ids);
    return common;
}

static bool write_part(struct recode *s, struct teacher_writer *w, struct teacher_cutter *cutter,
                       size_t part, struct fail *f) {
    struct teacher_cut cut = {.top_k = UINT16_MAX, .mass = 1, .eos = s->info.eos};
    struct teacher_shard t;
    if (s->cuts) {
        cut.top_k = (size_t)s->cut.top_k;
        cut.mass = s->cut.mass;
        cut.least = s->cut.least;
    }
    bool loaded = teacher_shard_load(&t, s->set[part], f);
    columns_rest(s->set[part]);
    if (!loaded) return false;
    bool ok = true;
    for (size_t i = 0; ok && i < t.rows; i++) {
        struct teacher_row row = teacher_shard_row(&t, i), out;
        teacher_cutter_row(cutter, &cut, &row, &out);
        ok = teacher_write(w, &out);
    }
    teacher_shard_release(&t);
    return ok;
}

// f: that of the set, so that what a reader says comes first.
static void recode(struct recode *s, const struct lineage *l, const struct columns_plan *plan,
                   struct fail *f) {
    int32_t *common = take_common(s, f);
    s->info.common = common;
    if (s->cuts) s->info.error_budget = 0;
    die_if(f);
    struct teacher_writer *w = teacher_writer_open(s->output, l, &s->info, plan, f);
    struct teacher_cutter *cutter = teacher_cutter_new(&s->info.grid);
    bool ok = w != NULL;
    for (size_t part = 0; ok && part < s->parts; part++) ok = write_part(s, w, cutter, part, f);
    if (ok)
        teacher_writer_commit(w, NULL);
    else
        teacher_writer_abandon(w, false);
    die_if(f);
    teacher_cutter_free(cutter);
    free(common);
}

// Neither entries nor bits change: every number stays as it is stored.
static void compress(struct recode *s, const struct lineage *l, const struct columns_plan *plan,
                     struct fail *f) {
    struct columns_writer *w = shard_writer(s->output, s->set[0], l, plan, 0, f);
    if (shard_copy(w, s->set, s->parts, f))
        columns_commit(w, NULL);
    else
        columns_abandon(w, false);
}

int shard_recode(int argc, char **argv) {
    struct recode s = {0};
    struct options o = {.program = "shard recode",
                        .usage = "[--bits N] [--top-k N] [--mass X] [--least P] [--zstd-level N] "
                                 "-o FILE SHARD...",
                        .summary =
                            "A teacher cache with fewer entries, fewer bits or another "
                            "compression, without the teachers. An option that is not given keeps "
                            "what is stored; the mass of removed entries goes to the tail."};
    struct opt_list files;
    struct fail f = {0};
    declare(&o, &s);
    shard_options(&o, argc, argv, &files, 1);
    s.set = shard_set_open(&files, &f);
    s.parts = files.n;
    settle_coding(&s, &o, &f);
    char *json = shard_options_json(&o, s.set[0]);
    struct lineage l = shard_new_lineage(s.set, s.parts, "shard recode", json);
    if (s.cuts || s.codes) l.version = 0; // what is written is of the newest
    struct part first = columns_part(s.set[0]);
    struct columns_plan plan = {.rows_total = first.rows_total,
                                .rows_per_shard = first.parts > 1 ? first.rows : 0,
                                .zstd_level = (int)s.zstd_level,
                                .finished = shard_print_path};
    bool current = columns_is_current(s.output, &l, &plan, false, &f);
    if (!current) columns_may_write(s.output, &l, &plan, &f);
    plan.rows_total = 0; // open: no file is made before all rows were read well
    if (!current && !f.code) (s.cuts || s.codes ? recode : compress)(&s, &l, &plan, &f);
    die_if(&f);
    parents_release(&l.parents);
    teacher_info_release(&s.info);
    free(json);
    shard_set_close(s.set, s.parts);
    shard_files_release(&files);
    options_release(&o);
    return EXIT_DONE;
}
