// Products in bf16. What multiplies bf16 is so fast that rounding and packing must not be done by
// every task. Two ways, of the same bits:
// - the operand of fewer lines is packed once, in parallel, and read by all tasks; of the other one
//   each task packs some lines, which stay in its L2 cache, and multiplies them. Where the longer
//   side gives all threads enough to do.
// - both are packed once, for many threads and for tiles. That takes room, so a product goes by
//   chunks of c.
// - of weights that were packed for good the other operand alone is packed.
// In all ways the inner length is taken as far as there is room, in blocks as gemm.h has them.
#include "common/engine/gemm_product.h"
#include "common/base/arena.h"
#include "common/base/mem.h"
#include "common/base/parallel.h"
#include <stdlib.h>

// ROOM: words of the panels. GROUP: lines, or inner numbers, of a task that packs.
enum { ROOM = 3 << 20, DEPTH = 2 * KERNEL_DEPTH, GROUP = 32, CACHE_LINE = 16 };
enum { OWN_LINES = 96, OWN_LEAST = 48 }; // of a task that packs what it multiplies
enum { TASK_ROWS = 264, TASK_COLUMNS = 192, LEAST_ROWS = 48 };

struct inner { // a block of the inner length: its numbers, and the step where they begin in panels
    size_t first, count, step;
};

struct side { // an operand of a chunk
    const struct operand *from;
    struct span lines;
    size_t panel; // lines of one
    uint32_t *to;
};

struct chunk {
    const struct product *p;
    struct side a, b;
    const struct side *own; // NULL, or the one that is packed by the tasks which multiply
    const struct inner *inner;
    size_t inners, steps, groups; // groups: GROUP inner numbers each
    size_t down, across;          // tasks
    bool add;
    bool *made; // (threads) where each packs a's lines for itself: whether it has; else NULL
};

size_t gemm_bf16_bytes(void) {
    return ROOM * sizeof(uint32_t);
}

// Taken once: gemm has one caller at a time.
static uint32_t *room(void) {
    static uint32_t *panels;
    if (!panels) panels = big_alloc(gemm_bf16_bytes());
    return panels;
}

static size_t steps_of(size_t k) {
    return pieces(k, kernels()->bf16.inner);
}

static size_t panels_of(const struct side *s) {
    return pieces(s->lines.count, s->panel);
}

// Steps from a line to the next where they lie side by side: an odd number of cache lines, so that
// those of a panel do not take each other's place in L1.
static size_t apart(size_t steps) {
    size_t words = kernels()->bf16.words;
    if (words >= CACHE_LINE) return steps;
    return (pieces(steps * words, CACHE_LINE) | 1) * CACHE_LINE / words;
}

// Words from a panel to the next.
static size_t stride(const struct chunk *c, const struct side *s) {
    return apart(c->steps) * s->panel * kernels()->bf16.words;
}

// A few panels where lines lie along the inner length, else a few steps of all panels: as it is in
// memory.
static size_t pack_tasks(const struct chunk *c, const struct side *s) {
    return s->from->inner ? pieces(s->lines.count, pieces(GROUP, s->panel) * s->panel) : c->groups;
}

static void pack_panels(const struct chunk *c, const struct side *s, size_t i) {
    size_t panels = pieces(GROUP, s->panel), most = panels * s->panel, line = i * most;
    size_t n = s->lines.count - line < most ? s->lines.count - line : most;
    uint32_t *to = s->to + i * panels * stride(c, s);
    for (const struct inner *k = c->inner; k < c->inner + c->inners; k++) {
        struct operand o = from(*s->from, s->lines.first + line, k->first);
        kernels()->bf16_pack(to, apart(c->steps), k->step, &o, n, k->count, s == &c->b);
    }
}

static void pack_steps(const struct chunk *c, const struct side *s, size_t group) {
    const struct inner *k = c->inner;
    for (; group >= pieces(k->count, GROUP); k++) group -= pieces(k->count, GROUP);
    size_t at = group * GROUP, n = k->count - at < GROUP ? k->count - at : GROUP;
    struct operand o = from(*s->from, s->lines.first, k->first + at);
    kernels()->bf16_pack(s->to, apart(c->steps), k->step + steps_of(at), &o, s->lines.count, n,
                         s == &c->b);
}

static void pack(void *self, size_t i) {
    const struct chunk *c = self;
    const struct side *s = &c->a;
    if (i >= pack_tasks(c, s)) {
        i -= pack_tasks(c, s);
        s = &c->b;
    }
    (s->from->inner ? pack_panels : pack_steps)(c, s, i);
}

static void pack_other(void *self, size_t i) {
    const struct chunk *c = self;
    const struct side *s = c->own == &c->a ? &c->b : &c->a;
    (s->from->inner ? pack_panels : pack_steps)(c, s, i);
}

static void multiply_panels(void *self, size_t i) {
    const struct chunk *c = self;
    const struct span rows = c->a.lines, columns = c->b.lines;
    struct span r = share(rows.count, c->down, c->a.panel, i / c->across);
    struct span m = share(columns.count, c->across, c->b.panel, i % c->across);
    if (!r.count || !m.count) return;
    float *corner = c->p->c + (rows.first + r.first) * c->p->ldc + columns.first + m.first;
    struct bf16_product t = {
        .c = corner,
        .ldc = c->p->ldc,
        .rows = r.count,
        .cols = m.count,
        .steps = c->steps,
        .a = {.at = c->a.to + r.first / c->a.panel * stride(c, &c->a), .apart = apart(c->steps)},
        .b = {.at = c->b.to + m.first / c->b.panel * stride(c, &c->b), .apart = apart(c->steps)},
        .a_lines = c->a.from->inner,
        .add = c->add};
    // By tiles a sum goes on where the one before ended, so that blocks may be taken together.
    if (kernels()->tiles) kernels()->bf16_multiply(&t);
    for (size_t u = 0; !kernels()->tiles && u < c->inners; u++) {
        t.a.first = t.b.first = c->inner[u].step;
        t.steps = steps_of(c->inner[u].count);
        kernels()->bf16_multiply(&t);
        t.add = true;
    }
}

// What this thread most likely takes next is fetched while it multiplies, a share with each block.
static void fetch_next(const struct chunk *c, struct span lines, const struct inner *k,
                       struct bf16_product *t) {
    const struct operand *o = c->own->from;
    if (!lines.count || !o->inner || o->ld != c->p->K) return; // not one piece of memory
    t->ahead = part_of_lines(o, o->ld, lines, (size_t)(k - c->inner), c->inners);
}

// Some lines of an operand by all of the other one. They are packed by the thread that multiplies
// them, unless they were packed for good. `next` are those that it takes after them.
static void multiply_lines(const struct chunk *c, struct span lines, struct span next) {
    const struct product *p = c->p;
    const struct side *own = c->own, *other = own == &c->a ? &c->b : &c->a;
    const bool right = own == &c->b, strips = right && lines.first < p->strips;
    uint32_t packed[OWN_LINES * (DEPTH + 2 * CACHE_LINE)] __attribute__((aligned(64)));
    for (const struct inner *k = c->inner; k < c->inner + c->inners; k++) {
        struct operand o = from(*own->from, lines.first, k->first);
        struct bf16_packed mine = {packed, apart(steps_of(k->count)), 0};
        struct bf16_packed theirs = {other->to, apart(c->steps), k->step};
        struct span r = right ? other->lines : lines, m = right ? lines : other->lines;
        if (strips)
            mine = (struct bf16_packed){(const void *)from(p->packed, lines.first, 0).pairs,
                                        steps_of(p->K), steps_of(k->first)};
        struct bf16_product t = {.c = p->c + r.first * p->ldc + m.first,
                                 .ldc = p->ldc,
                                 .rows = r.count,
                                 .cols = m.count,
                                 .steps = steps_of(k->count),
                                 .a = right ? theirs : mine,
                                 .b = right ? mine : theirs,
                                 .a_lines = c->a.from->inner,
                                 .b_pairs = strips,
                                 .add = c->add || k > c->inner,
                                 .past = is_large(p)};
        fetch_next(c, next, k, &t);
        if (!strips) kernels()->bf16_pack(packed, mine.apart, 0, &o, lines.count, k->count, right);
        kernels()->bf16_multiply(&t);
    }
}

static void multiply_own(void *self, size_t i) {
    const struct chunk *c = self;
    size_t n = c->own->lines.count, panel = c->own->panel;
    struct span lines = share(n, c->down, panel, i), next = {0};
    if (i + 1 < c->down) next = share(n, c->down, panel, i + 1); // that it most likely takes
    if (lines.count) multiply_lines(c, lines, next);
}

// The same by strips that were packed for good, and what fills none, a panel: each thread has a
// stretch of them. Few rows are packed by each thread for itself: that takes less time than to wait
// for the others, and to fetch what they packed.
static void multiply_strips(void *self, size_t first, size_t last) {
    struct chunk c = *(const struct chunk *)self;
    size_t n = c.b.panel, M = c.b.lines.count, me = (size_t)parallel_self();
    c.own = &c.b;
    if (c.made) {
        c.a.to += me * panels_of(&c.a) * stride(&c, &c.a);
        for (size_t i = 0; !c.made[me] && i < pack_tasks(&c, &c.a); i++) pack_other(&c, i);
        c.made[me] = true;
    }
    for (size_t i = first; i < last; i++) {
        struct span lines = {i * n, M - i * n < n ? M - i * n : n};
        size_t end = lines.first + lines.count;
        multiply_lines(&c, lines, (struct span){end, M - end < n ? M - end : n});
    }
}

// Few tasks leave threads waiting at the end.
static void cut(struct chunk *c) {
    size_t rows = c->a.lines.count, want = 6 * (size_t)parallel_threads();
    c->across = pieces(c->b.lines.count, TASK_COLUMNS);
    c->down = pieces(rows, TASK_ROWS);
    while (c->down * c->across < want && rows / (c->down + 1) >= LEAST_ROWS) c->down++;
}

static void do_own(struct chunk *c) {
    struct side *other = c->own == &c->a ? &c->b : &c->a;
    size_t most = pieces(c->own->lines.count, OWN_LEAST), want = 6 * (size_t)parallel_threads();
    other->to = room();
    c->down = pieces(c->own->lines.count, OWN_LINES);
    if (c->down < want) c->down = want < most ? want : most;
    parallel_for(pack_tasks(c, other), pack_other, c);
    parallel_for(c->down, multiply_own, c);
}

static void do_strips(struct chunk *c) {
    size_t threads = (size_t)parallel_threads();
    bool copies = c->p->N <= FEW_ROWS && threads * panels_of(&c->a) * stride(c, &c->a) <= ROOM;
    c->a.to = room();
    c->made = copies ? xcalloc(threads, sizeof *c->made) : NULL;
    if (!copies) parallel_for(pack_tasks(c, &c->a), pack_other, c);
    parallel_range(pieces(c->p->M, c->own->panel), 1, multiply_strips, c);
    free(c->made);
}

static void do_both(struct chunk *c) {
    c->a.to = room();
    c->b.to = c->a.to + panels_of(&c->a) * stride(c, &c->a);
    cut(c);
    parallel_for(pack_tasks(c, &c->a) + pack_tasks(c, &c->b), pack, c);
    parallel_for(c->down * c->across, multiply_panels, c);
}

static void do_chunk(struct chunk *c) {
    (c->p->strips ? do_strips : c->own ? do_own : do_both)(c);
    c->add = true;
    c->inners = c->steps = c->groups = 0;
}

// All of the inner length for some of c, as many blocks at a time as there is room for.
static void whole_inner(struct chunk *c, struct inner *inner) {
    const struct product *p = c->p;
    const struct rowplan all = {.units = 1, .first = (const size_t[2]){0, p->K}},
                         *plan = p->plan ? p->plan : &all;
    size_t lines = c->own == &c->a ? 0 : panels_of(&c->a) * c->a.panel;
    if (c->own != &c->b) lines += panels_of(&c->b) * c->b.panel;
    size_t most = ROOM / (lines * kernels()->bf16.words);
    size_t even = kernels()->bf16.inner > 16 ? kernels()->bf16.inner : 16;
    c->inner = inner;
    for (size_t u = 0; u < plan->units; u++) {
        size_t first = plan->first[u], n = plan->first[u + 1] - first, blocks = pieces(n, DEPTH);
        for (size_t i = 0; i < blocks; i++) {
            struct span k = piece(n, blocks, even, i);
            if (!k.count) break;
            if (apart(c->steps + steps_of(k.count)) > most) do_chunk(c);
            inner[c->inners++] = (struct inner){first + k.first, k.count, c->steps};
            c->steps += steps_of(k.count);
            c->groups += pieces(k.count, GROUP);
        }
    }
    if (c->steps) do_chunk(c);
}

static size_t most_blocks(const struct product *p) {
    size_t n = 0;
    for (size_t u = 0; p->plan && u < p->plan->units; u++)
        n += pieces(p->plan->first[u + 1] - p->plan->first[u], DEPTH);
    return p->plan ? n : pieces(p->K, DEPTH);
}

// Most rows and columns of c together: a block of the inner length has room for them.
static size_t most_lines(void) {
    size_t words = apart(steps_of(DEPTH)) * kernels()->bf16.words;
    return ROOM / words - kernels()->bf16.left - kernels()->bf16.right;
}

// False: there are too many threads for it, or the level has tiles.
static bool by_own(const struct product *p, struct inner *inner) {
    const size_t longer = p->N > p->M ? p->N : p->M, shorter = p->N > p->M ? p->M : p->N;
    struct chunk c = {.p = p,
                      .a = {&p->a, {0, p->N}, kernels()->bf16.left, NULL},
                      .b = {&p->b, {0, p->M}, kernels()->bf16.right, NULL},
                      .add = p->add || p->plan};
    if (kernels()->tiles || shorter > most_lines()) return false;
    if (pieces(longer, OWN_LEAST) < 3 * (size_t)parallel_threads()) return false;
    c.own = p->N > p->M ? &c.a : &c.b;
    whole_inner(&c, inner);
    return true;
}

// The longer side of c is cut to leave room for the shorter one.
static void by_chunks(const struct product *p, struct inner *inner) {
    const size_t lines = most_lines(), half = lines / 2, N = p->N, M = p->M;
    size_t rows = N < half || M > half ? half : lines - M;
    size_t cols = lines - (N < half ? N : rows);
    size_t down = pieces(N, rows), across = pieces(M, cols);
    for (size_t i = 0; i < down * across; i++) {
        const size_t panel[2] = {kernels()->bf16.left, kernels()->bf16.right};
        struct chunk c = {.p = p,
                          .a = {&p->a, piece(N, down, panel[0], i / across), panel[0], NULL},
                          .b = {&p->b, piece(M, across, panel[1], i % across), panel[1], NULL},
                          .add = p->add || p->plan};
        if (c.a.lines.count && c.b.lines.count) whole_inner(&c, inner);
    }
}

// Weights that were packed for good.
static void by_strips(const struct product *p, struct inner *inner) {
    size_t down = pieces(p->N, most_lines());
    for (size_t i = 0; i < down; i++) {
        struct chunk c = {.p = p,
                          .a = {&p->a, piece(p->N, down, 1, i), kernels()->bf16.left, NULL},
                          .b = {&p->b, {0, p->M}, kernels()->bf16.right, NULL},
                          .add = p->add};
        c.own = &c.b;
        if (c.a.lines.count) whole_inner(&c, inner);
    }
}

void gemm_bf16(const struct product *p) {
    struct inner *inner = xmalloc((most_blocks(p) + 1) * sizeof *inner);
    if (p->strips)
        by_strips(p, inner);
    else if (!by_own(p, inner))
        by_chunks(p, inner);
    free(inner);
}
