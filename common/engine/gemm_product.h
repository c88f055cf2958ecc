// What gemm*.c share: a product and how it is cut. Only they include it.
#pragma once
#include "common/engine/gemm.h"
#include "common/engine/kernels.h"

struct span {
    size_t first, count;
};

static inline size_t pieces(size_t n, size_t most) {
    return (n + most - 1) / most;
}

// Piece i of n: even, in steps of `step`; the last ones may be empty.
static inline struct span piece(size_t n, size_t k, size_t step, size_t i) {
    size_t each = (n + step * k - 1) / (step * k) * step;
    size_t first = i * each < n ? i * each : n, end = first + each < n ? first + each : n;
    return (struct span){first, end - first};
}

// The same for tasks: they differ by a step at most. (The bits depend on the inner length's
// pieces.)
static inline struct span share(size_t n, size_t k, size_t step, size_t i) {
    size_t steps = pieces(n, step), first = steps * i / k * step, end = steps * (i + 1) / k * step;
    return (struct span){first, (end < n ? end : n) - first};
}

enum { FEW_ROWS = 64 }; // of c: reading b takes as long as multiplying

// c (N,M) [+]= a (N,K) b (K,M) cut into tasks of rows by columns. How it is cut does not show in
// the bits: each output adds the same blocks of the inner length in order.
struct product {
    float *c;
    size_t ldc, N, M, K;
    struct operand a, b;
    struct operand packed; // b's first `strips` columns, whole strips
    size_t strips;
    bool add, bf16;
    const struct rowplan *rows; // the units of the N rows, or NULL:
    const struct rowplan *plan; // those of the inner length, each by itself
    size_t down, right;         // tasks: pieces of rows, of columns
    const struct product *more; // of the same rows, after this one
    size_t n_more, at;          // at: see struct beside
};

// b, packed or not, is one piece of memory, to be read once.
static inline bool is_stream(const struct product *p) {
    return p->N <= FEW_ROWS && p->b.inner && p->b.ld == p->K;
}

// c, of whole cache lines, is larger than what a core's caches keep, and each number of it written
// once.
static inline bool is_large(const struct product *p) {
    enum { LARGE = 1 << 20, LINE = 64 };
    return is_stream(p) && !p->add && p->K <= KERNEL_DEPTH * (p->bf16 ? 2 : 1) &&
           p->N * p->M * sizeof *p->c >= LARGE && p->ldc * sizeof *p->c % LINE == 0 &&
           (uintptr_t)p->c % LINE == 0;
}

// Part i of n of lines that are one piece of memory: an operand's, one K numbers after the other.
static inline struct memory part_of_lines(const struct operand *o, size_t K, struct span lines,
                                          size_t i, size_t n) {
    const char *at = o->f32 ? (const char *)o->f32 : (const char *)o->bf16;
    size_t line = K * (o->f32 ? sizeof *o->f32 : sizeof *o->bf16), bytes = lines.count * line;
    return (struct memory){at + lines.first * line + bytes * i / n, bytes / n};
}

// The operand's numbers from line n and inner step k on.
static inline struct operand from(struct operand o, size_t n, size_t k) {
    size_t at = o.inner ? n * o.ld + k : k * o.ld + n, strip = kernels()->strip;
    if (o.f32) o.f32 += at;
    if (o.bf16) o.bf16 += at;
    if (o.packed) o.packed += n * o.ld + k * strip;
    if (o.pairs) o.pairs += n * o.ld + k / 2 * strip;
    return o;
}

// A product in bf16.
void gemm_bf16(const struct product *p);
