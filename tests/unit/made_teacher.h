// Teacher shards whose rows are a function of their number, for the tests of those who read them.
#pragma once
#include "formats/teachers/teacher_set.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "tests/unit/scratch.h"
#include <math.h>

enum { LONGEST = 9 };

// A row as a function of its number, in the caller's memory.
struct made {
    int32_t ids[LONGEST], support[LONGEST][3];
    uint8_t mask[LONGEST];
    float logp[LONGEST][3], entropy[LONGEST];
    struct teacher_position position[LONGEST];
};

static inline uint32_t mixed(size_t row, size_t i) { // rows come again after 120
    return (uint32_t)hash_bytes((size_t[]){row % 120, i}, 2 * sizeof i).low;
}

static inline struct teacher_row make_row(size_t row, struct made *m) {
    struct teacher_row r = {.n = 4 + row % 6,
                            .prompt_length = 2,
                            .ids = m->ids,
                            .mask = m->mask,
                            .position = m->position,
                            .entropy = m->entropy};
    for (size_t i = 0; i < r.n; i++) {
        m->ids[i] = (int32_t)(mixed(row, i) % 40);
        m->mask[i] = i >= 2;
        if (!m->mask[i]) continue;
        size_t p = r.positions++;
        uint32_t n = 1 + (uint32_t)(row + i) % 3;
        double mass[3], sum = 0;
        for (uint32_t k = 0; k < n; k++) {
            m->support[p][k] = (m->ids[i] + (k ? 1 + (int32_t)(row + 7 * k) % 39 : 0)) % 40;
            sum += mass[k] = 1 + (double)(mixed(row, i + k) * row % 1000);
        }
        for (uint32_t k = 0; k < n; k++) // with the tail they make 1
            m->logp[p][k] = (float)log(mass[k] * (1 - exp(-3.5)) / sum);
        m->entropy[p] = (float)row + 0.25f;
        m->position[p] = (struct teacher_position){
            n, m->support[p], m->logp[p], -3.5f, -4.5f - (float)p, (float)i, 0.125f, m->logp[p][0]};
    }
    return r;
}

static inline void write_set(const char *path, const char *options, size_t rows, size_t per,
                             int bits) {
    struct fail f = {0};
    struct lineage l = {.kind = "teacher", .stage = "teacher-dump", .options = options};
    struct teacher_info info = {.vocab = 40,
                                .max_length = LONGEST,
                                .tokenizer = hash_bytes("{}", 2),
                                .reference = {5, 6},
                                .tokenizer_json = "{}",
                                .reward_beta = 0.1,
                                .recipe = "demo",
                                .eos = -1,
                                .bits = bits,
                                .rule = "{\"alpha\":1}"};
    struct columns_plan plan = {.rows_per_shard = per, .rows_total = rows};
    struct teacher_writer *w = teacher_writer_open(path, &l, &info, &plan, &f);
    for (size_t i = 0; i < rows; i++) {
        struct made m;
        struct teacher_row r = make_row(i, &m);
        teacher_write(w, &r);
    }
    if (!teacher_writer_commit(w, NULL)) fail_msg("%s", f.text);
}

// log p* (n) at one end of the grid, which makes 1 with the tail.
static inline void made_end(size_t row, size_t at, uint32_t n, float tail, float *logp) {
    double mass[3], sum = 0;
    for (uint32_t k = 0; k < n; k++)
        sum += mass[k] = exp(-(double)(mixed(row, at + k) % 1000) / 300);
    for (uint32_t k = 0; k < n; k++) logp[k] = (float)log(mass[k] * -expm1((double)tail) / sum);
}

// The same rows in the components layout, with made-up numbers.
static inline void write_components(const char *path, size_t rows, int bits) {
    enum { GRID = 3 };
    struct fail f = {0};
    struct lineage l = {.kind = "teacher", .stage = "teacher-dump", .options = "{}"};
    struct teacher_info info = {.vocab = 40,
                                .max_length = LONGEST,
                                .recipe = "demo",
                                .rule = "{\"alpha\": \"fixed:1\"}",
                                .bits = bits,
                                .grid = {GRID, {0, 1, 2}}};
    struct columns_plan plan = {.rows_total = rows};
    struct teacher_writer *w = teacher_writer_open(path, &l, &info, &plan, &f);
    for (size_t i = 0; i < rows; i++) {
        struct made m;
        struct teacher_components components[LONGEST];
        float low[LONGEST][3], high[LONGEST][3], tail[LONGEST][GRID];
        struct teacher_row r = make_row(i, &m);
        for (size_t p = 0; p < r.positions; p++) {
            for (size_t k = 0; k < GRID; k++)
                tail[p][k] = -0.5f - (float)(mixed(i, p + k + 20) % 100) / 50;
            uint32_t n = r.position[p].n;
            made_end(i, p, n, tail[p][0], low[p]);
            made_end(i, p + 9, n, tail[p][GRID - 1], high[p]);
            components[p] = (struct teacher_components){low[p], high[p], tail[p]};
        }
        r.components = components;
        teacher_write(w, &r);
    }
    if (!teacher_writer_commit(w, NULL)) fail_msg("%s", f.text);
}

static inline void check_row(const struct teacher_row *got, size_t row) {
    struct made m;
    struct teacher_row want = make_row(row, &m);
    assert_int_equal(got->n, want.n);
    assert_int_equal(got->prompt_length, 2);
    assert_int_equal(got->positions, want.positions);
    assert_memory_equal(got->ids, want.ids, want.n * sizeof *want.ids);
    assert_memory_equal(got->mask, want.mask, want.n);
    for (size_t p = 0; p < want.positions; p++) {
        const struct teacher_position *a = &got->position[p], *b = &want.position[p];
        assert_int_equal(a->n, b->n);
        assert_memory_equal(a->ids, b->ids, b->n * sizeof *b->ids);
        assert_memory_equal(a->logp, b->logp, b->n * sizeof *b->logp);
        assert_true(a->log_tail == b->log_tail && a->log_most == b->log_most);
        assert_true(a->alpha == b->alpha && a->tvd == b->tvd);
        assert_true(a->realised == b->realised && got->entropy[p] == want.entropy[p]);
    }
}
