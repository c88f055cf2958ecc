// make_files KIND OUT ROWS [ROWS_PER_SHARD [I N]]: a file of made-up numbers for the tests of
// programs. KIND: tokens, pairs, reference, teacher, coded
// (teacher, 8 bits), components (teacher of components, 8 bits), model. Numbers follow from the row
// alone.
#include "common/base/rng.h"
#include "formats/models/model_file.h"
#include "formats/tokens/reference.h"
#include "formats/teachers/teacher_file.h"
#include "formats/tokens/tokens.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VOCAB = 60, LONGEST = 40, MOST = 9, END = 17 };

static size_t pick(size_t row, size_t position, size_t n) {
    return rng_bits(11, RNG_TEST, row, position) % n;
}

static struct lineage lineage_of(const char *kind, const char *stage) {
    struct lineage l = {.kind = kind, .stage = stage, .options = "{\"seed\":11}"};
    parents_add(&l.parents, "model", (struct hash128){7, 8});
    return l;
}

static size_t make_tokens(size_t row, int32_t *ids, uint8_t *mask) {
    size_t n = 3 + pick(row, 0, LONGEST - 3);
    for (size_t i = 0; i < n; i++) {
        ids[i] = (int32_t)pick(row, i + 1, VOCAB);
        mask[i] = i >= 2;
    }
    return n;
}

static bool write_token_row(struct columns_writer *w, size_t row) {
    int32_t ids[LONGEST];
    uint8_t mask[LONGEST];
    return tokens_write(w, ids, mask, make_tokens(row, ids, mask), 2);
}

static bool write_pair_row(struct columns_writer *w, size_t row) {
    int32_t ids[LONGEST];
    uint8_t mask[LONGEST];
    size_t n = make_tokens(row, ids, mask);
    return pairs_write(w, ids, 1, ids + 1, 1, ids + 2, n - 2);
}

static bool write_reference_row(struct columns_writer *w, size_t row) {
    return reference_write(w, -rng_uniform(1, RNG_TEST, row, 0), -rng_uniform(1, RNG_TEST, row, 1));
}

static bool write_teacher_row(struct teacher_writer *w, size_t row) {
    static int32_t ids[LONGEST], support[LONGEST][MOST];
    static uint8_t mask[LONGEST];
    static float logp[LONGEST][MOST], entropy[LONGEST];
    static struct teacher_position position[LONGEST];
    struct teacher_row r = {
        .prompt_length = 2, .ids = ids, .mask = mask, .position = position, .entropy = entropy};
    r.n = make_tokens(row, ids, mask);
    for (size_t i = 2; i < r.n; i++) {
        size_t p = r.positions++, n = 1 + pick(row, 100 + i, MOST);
        double mass[MOST], sum = 0;
        for (size_t k = 0; k < n; k++) {
            support[p][k] = (int32_t)(((size_t)ids[i] + 7 * k) % VOCAB);
            sum += mass[k] = rng_uniform(3, RNG_TEST, row, 10 * i + k) + 1e-9;
        }
        for (size_t k = 0; k < n; k++) logp[p][k] = (float)log(mass[k] * (1 - exp(-5)) / sum);
        position[p] = (struct teacher_position){.n = (uint32_t)n,
                                                .ids = support[p],
                                                .logp = logp[p],
                                                .log_tail = -5,
                                                .log_most = -6,
                                                .alpha = (float)pick(row, 200 + i, 5),
                                                .tvd = 0.5f,
                                                .realised = logp[p][0]};
        entropy[p] = (float)rng_uniform(4, RNG_TEST, row, i);
    }
    return teacher_write(w, &r);
}

// A row of a coded cache: distinct tokens, the realised one and the end among them, that sum to
// 1 - Q.
static bool write_coded_row(struct teacher_writer *w, size_t row) {
    static int32_t ids[LONGEST], support[LONGEST][MOST];
    static uint8_t mask[LONGEST];
    static float logp[LONGEST][MOST], entropy[LONGEST];
    static struct teacher_position position[LONGEST];
    struct teacher_row r = {
        .prompt_length = 2, .ids = ids, .mask = mask, .position = position, .entropy = entropy};
    r.n = make_tokens(row, ids, mask);
    for (size_t i = 2; i < r.n; i++) {
        size_t p = r.positions++, n = 1 + pick(row, 100 + i, MOST - 1);
        bool ends = false;
        double mass[MOST], sum = 0, tail = 0.3 * rng_uniform(5, RNG_TEST, row, i) + 1e-9;
        for (size_t k = 0; k < n; k++) {
            support[p][k] = (int32_t)(((size_t)ids[i] + 7 * k) % VOCAB);
            ends = ends || support[p][k] == END;
            mass[k] = exp(-8 * rng_uniform(3, RNG_TEST, row, 10 * i + k));
            sum += mass[k];
        }
        if (!ends) {
            support[p][n] = END;
            sum += mass[n++] = 1e-4;
        }
        for (size_t k = 0; k < n; k++) logp[p][k] = (float)log(mass[k] * (1 - tail) / sum);
        position[p] = (struct teacher_position){(uint32_t)n,
                                                support[p],
                                                logp[p],
                                                (float)log(tail),
                                                (float)log(tail / 2),
                                                0,
                                                (float)pick(row, 200 + i, 100) / 100,
                                                logp[p][0]};
        entropy[p] = (float)rng_uniform(4, RNG_TEST, row, i);
    }
    return teacher_write(w, &r);
}

// A row of a cache of components: each end sums to 1 less its tail.
static bool write_components_row(struct teacher_writer *w, size_t row) {
    enum { GRID = 4 };
    static int32_t ids[LONGEST], support[LONGEST][MOST];
    static uint8_t mask[LONGEST];
    static float ends[LONGEST][2][MOST], tails[LONGEST][GRID], entropy[LONGEST];
    static struct teacher_position position[LONGEST];
    static struct teacher_components components[LONGEST];
    struct teacher_row r = {.prompt_length = 2,
                            .ids = ids,
                            .mask = mask,
                            .position = position,
                            .entropy = entropy,
                            .components = components};
    r.n = make_tokens(row, ids, mask);
    for (size_t i = 2; i < r.n; i++) {
        size_t p = r.positions++, n = 1 + pick(row, 100 + i, MOST);
        double mass[2][MOST], sum[2] = {0, 0};
        for (size_t g = 0; g < GRID; g++)
            tails[p][g] = (float)(-1.5 - (double)g * rng_uniform(5, RNG_TEST, row, 10 * i + g));
        for (size_t k = 0; k < 2 * n; k++) {
            support[p][k / 2] = (int32_t)(((size_t)ids[i] + 7 * (k / 2)) % VOCAB);
            mass[k % 2][k / 2] = exp(-12 * rng_uniform(3, RNG_TEST, row, 100 * i + k));
            sum[k % 2] += mass[k % 2][k / 2];
        }
        for (size_t k = 0; k < 2 * n; k++) {
            double tail = exp((double)tails[p][k % 2 ? GRID - 1 : 0]);
            ends[p][k % 2][k / 2] = (float)log(mass[k % 2][k / 2] * (1 - tail) / sum[k % 2]);
        }
        position[p] = (struct teacher_position){
            .n = (uint32_t)n, .ids = support[p], .tvd = (float)pick(row, 200 + i, 100) / 100};
        components[p] = (struct teacher_components){ends[p][0], ends[p][1], tails[p]};
        entropy[p] = (float)rng_uniform(4, RNG_TEST, row, i);
    }
    return teacher_write(w, &r);
}

static int write_teacher(const char *path, const struct lineage *l, const struct columns_plan *plan,
                         size_t first, size_t count, const char *kind) {
    struct fail f = {0};
    bool components = !strcmp(kind, "components"), coded = components || !strcmp(kind, "coded");
    struct teacher_info info = {.vocab = VOCAB,
                                .max_length = LONGEST,
                                .tokenizer = {1, 2},
                                .reward_beta = 0.1,
                                .recipe = "none",
                                .rule = coded ? "{\"alpha\": \"damped:2\"}" : "{}",
                                .bits = coded ? 8 : 32,
                                .eos = coded && !components ? END : -1,
                                .grid = {components ? 4 : 0, {0, 0.5, 1, 2}},
                                .n_common = 3,
                                .common = (int32_t[]){17, 4, 59}};
    struct teacher_writer *w = teacher_writer_open(path, l, &info, plan, &f);
    for (size_t i = 0; i < count; i++)
        (components ? write_components_row
         : coded    ? write_coded_row
                    : write_teacher_row)(w, first + i);
    teacher_writer_commit(w, NULL);
    die_if(&f);
    return EXIT_DONE;
}

static int write_model(const char *path, uint64_t seed) {
    struct model_config c = {.layers = 1,
                             .width = 8,
                             .heads = 2,
                             .kv_heads = 1,
                             .head_dim = 4,
                             .hidden = 12,
                             .vocab = VOCAB,
                             .max_positions = LONGEST,
                             .norm_eps = 1e-6,
                             .rope_theta = 1e4,
                             .tied = true};
    struct model_file m = {.bos = -1, .eos = 0};
    struct fail f = {0};
    char why[100];
    struct lineage l = lineage_of("model", "import");
    if (!model_init(&m.model, &c, why, sizeof why)) die(EXIT_FAILED, "%s", why);
    model_alloc(&m.model);
    model_randomise(&m.model, seed);
    model_file_save(path, &m, &l, &f);
    die_if(&f);
    model_file_release(&m);
    parents_release(&l.parents);
    return EXIT_DONE;
}

static void print_path(void *self, const char *path) {
    (void)self;
    puts(path);
}

int main(int argc, char **argv) {
    if (argc < 4) die(EXIT_USAGE, "make_files KIND OUT ROWS [ROWS_PER_SHARD [I N]]");
    const char *kind = argv[1], *path = argv[2];
    size_t rows = strtoull(argv[3], NULL, 10), first = 0, count = rows;
    if (!strcmp(kind, "model")) return write_model(path, rows);
    struct columns_plan plan = {.rows_total = rows, .finished = print_path};
    if (argc > 4) plan.rows_per_shard = strtoull(argv[4], NULL, 10);
    if (argc > 6)
        plan.shard = strtoull(argv[5], NULL, 10), plan.shards = strtoull(argv[6], NULL, 10);
    columns_share(rows, plan.rows_per_shard, plan.shard, plan.shards, &first, &count);
    struct fail f = {0};
    bool teacher = !strcmp(kind, "coded") || !strcmp(kind, "components");
    struct lineage l = lineage_of(teacher ? "teacher" : kind, "made");
    struct tokens_info ti = {.kind = TOKENS_SFT, .vocab = VOCAB, .tokenizer = {1, 2}};
    bool (*write_row)(struct columns_writer *, size_t) = NULL;
    struct columns_writer *w = NULL;
    if (!strcmp(kind, "tokens")) {
        w = tokens_writer_open(path, &l, &ti, &plan, &f);
        write_row = write_token_row;
    } else if (!strcmp(kind, "pairs")) {
        w = pairs_writer_open(path, &l, &ti, &plan, &f);
        write_row = write_pair_row;
    } else if (!strcmp(kind, "reference")) {
        w = reference_writer_open(path, &l, &plan, &f);
        write_row = write_reference_row;
    } else {
        int code = write_teacher(path, &l, &plan, first, count, kind);
        parents_release(&l.parents);
        return code;
    }
    for (size_t i = 0; i < count; i++) write_row(w, first + i);
    columns_commit(w, NULL);
    die_if(&f);
    parents_release(&l.parents);
    return EXIT_DONE;
}
