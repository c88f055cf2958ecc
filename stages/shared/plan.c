#include "stages/shared/plan.h"
#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/machine.h"
#include "common/base/mem.h"
#include "common/engine/gemm.h"
#include <math.h>

static double gib(double bytes) {
    return bytes / (1 << 30);
}

static void add_memory(struct str *s, double memory) {
    double all = machine_memory();
    str_printf(s, "memory %.2f GiB, this machine has %.2f GiB (%.2f GiB free)", gib(memory),
               gib(all), gib(machine_memory_free()));
    if (memory > all)
        str_puts(s, ": too little; less is needed with a smaller --micro-tokens, with adapters "
                    "(--lora-rank) or --frozen-dtype bf16, where there are these");
}

static void add_disk(struct str *s, double disk, const char *output) {
    double there = output ? machine_disk_free(output) : 0;
    str_printf(s, "%sdisk %.2f GiB", s->length ? "; " : "", gib(disk));
    if (there > 0)
        str_printf(s, ", of %.2f GiB free%s", gib(there), disk > there ? ": too little" : "");
}

static void add_time(struct str *s, double seconds) {
    char text[32];
    log_time(seconds, text);
    str_printf(s, "%sabout %.2f hours (%s)", s->length ? "; " : "", seconds / 3600, text);
}

void plan_tell(struct log *log, const struct plan *p) {
    struct str s = {0};
    if (p->memory >= 0) add_memory(&s, p->memory);
    if (p->disk >= 0) add_disk(&s, p->disk, p->output);
    if (p->seconds >= 0) add_time(&s, p->seconds);
    log_note(log, "%s", s.text);
    str_release(&s);
}

void plan_print(struct log *log, const struct plan *p) {
    if (p->memory >= 0) print_result("memory_bytes\t%.0f", p->memory);
    if (p->disk >= 0) print_result("disk_bytes\t%.0f", p->disk);
    if (p->seconds >= 0) print_result("estimated_seconds\t%.0f", p->seconds);
    plan_tell(log, p);
}

double plan_product_rate(bool bf16) {
    enum { N = 512, M = 1024, K = 1024 };
    size_t first[] = {0, N}, bytes = sizeof(float) * (N * M + N * K + M * K);
    struct rowplan plan = {.units = 1, .first = first};
    float *y = big_alloc(bytes), *x = y + N * M, *w = x + N * K;
    double begin = clock_seconds(), now = begin, best = 0;
    for (int i = 0; i < 2 || (now - begin < 0.2 && i < 200); i++) {
        double start = now;
        gemm_forward(&plan, y, M, x, K, (struct weights){.f32 = w, .rounded = bf16}, M, K, false);
        now = clock_seconds();
        if (now > start) best = fmax(best, 2.0 * N * M * K / (now - start));
    }
    big_free(y, bytes);
    return best;
}
