// Products of few rows, compiled once a vector level with KERNELS set; see kernels.h.
#include "common/engine/kernels_vector.h"
#if defined(__AVX512BF16__)
#include "common/engine/kernels_pairs.h"
#endif

// ---- few rows ----

// y[0..n-1]: the sums of t's first n vectors (whole fours), each by the tree of lanes_sum.
INLINE void sums_of_some(float *y, float t[16][16], size_t n) {
    float quarter[16][4], turned[4][16];
    for (size_t i = 0; i < n; i++)
        for (size_t l = 0; l < 8; l++) t[i][l] += t[i][l + 8];
    for (size_t i = 0; i < n; i++)
        for (size_t l = 0; l < 4; l++) quarter[i][l] = t[i][l] + t[i][l + 4];
    for (size_t i = 0; i < n; i += 4) transpose4(&turned[0][i], 16, quarter[i], 0, 4, FLOATS);
    for (size_t i = 0; i < n; i++)
        y[i] = (turned[0][i] + turned[2][i]) + (turned[1][i] + turned[3][i]);
}

#if defined(__AVX512F__)
// Halves, quarters, eighths and sixteenths of two vectors at a time are added together.
INLINE vec add_halves(vec a, vec b) {
    return SHUFFLE16(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) +
           SHUFFLE16(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
}

INLINE vec add_quarters(vec a, vec b) {
    return SHUFFLE16(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27) +
           SHUFFLE16(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
}

INLINE vec add_eighths(vec a, vec b) {
    return SHUFFLE16(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29) +
           SHUFFLE16(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
}

INLINE vec add_sixteenths(vec a, vec b) {
    return SHUFFLE16(a, b, 0, 2, 16, 18, 4, 6, 20, 22, 8, 10, 24, 26, 12, 14, 28, 30) +
           SHUFFLE16(a, b, 1, 3, 17, 19, 5, 7, 21, 23, 9, 11, 25, 27, 13, 15, 29, 31);
}

// Number 4 k + i of a quarter is what remains of vector k + 4 i: hence the order they are taken in.
INLINE vec sum_vectors(const vec s[16]) {
    vec four[4];
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++)
        four[i] = add_quarters(add_halves(s[i], s[4 + i]), add_halves(s[8 + i], s[12 + i]));
    return add_sixteenths(add_eighths(four[0], four[1]), add_eighths(four[2], four[3]));
}
#endif

INLINE void sums(float *y, float t[16][16], size_t n) {
#if defined(__AVX512F__)
    if (n == 16) {
        vec s[16];
        memcpy(s, t, sizeof s);
        store(y, sum_vectors(s));
        return;
    }
#endif
    sums_of_some(y, t, n);
}

// To s: part p of the 16 lanes of R x J sums over K numbers, in the order of k_dot whatever R and J
// are.
INLINE void rows_part(vec *s, size_t p, const float *x, size_t ldx, size_t R, const void *w,
                      size_t at, size_t ldw, size_t J, size_t K, enum kind kind) {
    size_t k = p * LANES;
    for (; k + 16 - p * LANES <= K; k += 16) {
        vec b[16];
#pragma GCC unroll 16
        for (size_t j = 0; j < J; j++) b[j] = load_weights(w, at + j * ldw + k, kind);
#pragma GCC unroll 16
        for (size_t r = 0; r < R; r++) {
            vec a = load(x + r * ldx + k);
#pragma GCC unroll 16
            for (size_t j = 0; j < J; j++) s[r * J + j] += a * b[j];
        }
    }
    if (k >= K) return;
#pragma GCC unroll 16
    for (size_t i = 0; i < R * J; i++)
        s[i] += load_some(x + i / J * ldx + k, K - k, 0) *
                some_weights(w, at + i % J * ldw + k, K - k, kind);
}

// ---- the same in bf16: PAIRED are weights as they are, PAIRED_CLEAN those whose small numbers are
// 0 already ----

INLINE words load_words(const uint16_t *w, bool clean) {
    words b;
    memcpy(&b, w, sizeof b);
    if (clean) return b;
#if defined(__AVX512BF16__)
    return (words)without_small((__m512i)b);
#else
    words high = b & 0xffff0000u, low = b << 16;
    high &= (words)((high & 0x7fffffffu) >= BF16_LEAST_BITS);
    low &= (words)((low & 0x7fffffffu) >= BF16_LEAST_BITS);
    return high | low >> 16;
#endif
}

// Part p of R x J sums of 32 inner numbers.
INLINE void pairs_step(vec *s, size_t p, const float *x, size_t ldx, size_t R, const uint16_t *w,
                       size_t ldw, size_t J, bool clean) {
    words b[16];
#pragma GCC unroll 16
    for (size_t j = 0; j < J; j++) b[j] = load_words(w + j * ldw + 2 * p * LANES, clean);
#pragma GCC unroll 16
    for (size_t r = 0; r < R; r++) {
        vec a = load(x + r * ldx + p * LANES);
#if defined(__AVX512BF16__)
#pragma GCC unroll 16
        for (size_t j = 0; j < J; j++)
            s[r * J + j] = (vec)_mm512_dpbf16_ps((__m512)s[r * J + j], (__m512bh)a, (__m512bh)b[j]);
#else
        vec even = load(x + r * ldx + 16 + p * LANES);
#pragma GCC unroll 16
        for (size_t j = 0; j < J; j++) {
            s[r * J + j] += a * (vec)(b[j] & 0xffff0000u);
            s[r * J + j] += even * (vec)(b[j] << 16);
        }
#endif
    }
}

INLINE void pairs_part(vec *s, size_t p, const float *x, size_t ldx, size_t R, const uint16_t *w,
                       size_t ldw, size_t J, size_t K, bool clean) {
    size_t k = 0;
    for (; k + 32 <= K; k += 32)
        pairs_step(s, p, x + k * BF16_WORDS / 2, ldx, R, w + k, ldw, J, clean);
    if (k < K) {
        uint16_t rest[16][32] = {0};
        for (size_t j = 0; j < J; j++) memcpy(rest[j], w + j * ldw + k, (K - k) * sizeof *w);
        pairs_step(s, p, x + k * BF16_WORDS / 2, ldx, R, rest[0], 32, J, clean);
    }
}

INLINE void part_of(vec *s, size_t p, const float *x, size_t ldx, size_t R, const void *w,
                    size_t at, size_t ldw, size_t J, size_t K, enum kind kind) {
    if (kind >= PAIRED)
        pairs_part(s, p, x, ldx, R, (const uint16_t *)w + at, ldw, J, K, kind == PAIRED_CLEAN);
    else
        rows_part(s, p, x, ldx, R, w, at, ldw, J, K, kind);
}

INLINE void clear(vec *s, size_t n) {
#pragma GCC unroll 16
    for (size_t i = 0; i < n; i++) s[i] = splat(0);
}

INLINE void clean_block(uint16_t *to, const uint16_t *w, size_t n) {
    size_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES) {
        words b = load_words(w + i, false);
        memcpy(to + i, &b, sizeof b);
    }
    for (; i < n; i++) to[i] = (w[i] & 0x7fff) < BF16_LEAST_BITS >> 16 ? 0 : w[i];
}

// Words of pairs, or of each 32 numbers the second ones of the pairs and then the first ones.
void AT_LEVEL(bf16_line)(float *to, const float *x, size_t K) {
    for (size_t k = 0; k < K; k += 32, to += 16 * BF16_WORDS) {
        float some[32] = {0};
        memcpy(some, x + k, (K - k < 32 ? K - k : 32) * sizeof *some);
#if defined(__AVX512BF16__)
        store(to, (vec)line_words(load(some), load(some + 16)));
#else
        for (size_t i = 0; i < 32; i += LANES) store(some + i, narrowed(load(some + i)));
        for (size_t i = 0; i < 16; i++) {
            to[i] = some[2 * i + 1];
            to[16 + i] = some[2 * i];
        }
#endif
    }
}

INLINE void put(float *to, float sum, bool add) {
    *to = add ? *to + sum : sum;
}

#if defined(__AVX512F__)
// y (4,4) from the lanes of its sums.
INLINE void put_sixteen(float *y, size_t ldy, const vec *s, bool add) {
    float sum[16];
    store(sum, sum_vectors(s));
#pragma GCC unroll 4
    for (size_t r = 0; r < 4; r++) {
        vec4 to = load4(sum, r * 4, FLOATS);
        if (add) to += load4(y, r * ldy, FLOATS);
        memcpy(y + r * ldy, &to, sizeof to);
    }
}
#endif

// R rows of x times J rows of w, R J <= 4 FEW.
INLINE void rows_tile(float *y, size_t ldy, const float *x, size_t ldx, size_t R, const void *w,
                      size_t at, size_t J, size_t K, enum kind kind, bool add) {
    vec s[16];
#if defined(__AVX512F__)
    if (R == 4 && J == 4) { // all in registers
        clear(s, 16);
        part_of(s, 0, x, ldx, 4, w, at, K, 4, K, kind);
        put_sixteen(y, ldy, s, add);
        return;
    }
#endif
    float t[16][16], sum[16];
    size_t n = (R * J + 3) / 4 * 4;
    for (size_t i = R * J; i < n; i++) memset(t[i], 0, sizeof t[i]);
    for (size_t p = 0; p < PARTS; p++) {
        clear(s, R * J);
        part_of(s, p, x, ldx, R, w, at, K, J, K, kind);
#pragma GCC unroll 16
        for (size_t i = 0; i < R * J; i++) store(t[i] + p * LANES, s[i]);
    }
    sums(sum, t, n);
    for (size_t i = 0; i < R * J; i++) put(y + i / J * ldy + i % J, sum[i], add);
}

#if defined(__AVX512F__)
enum { SHORT = 128 }; // numbers of rows that are no stream, as the keys of a head

// y (16) [+]= x times sixteen short rows
INLINE void short_rows(float *y, const float *x, const float *w, size_t K, bool add) {
    vec s[16];
    clear(s, 16);
    rows_part(s, 0, x, 0, 1, w, 0, K, 16, K, FLOATS);
    vec sum = sum_vectors(s);
    store(y, add ? load(y) + sum : sum);
}
#endif

enum { AHEAD = 4096 }; // bytes: as many lines in flight as there can be

// One row waits for memory, which comes fastest as a single stream: row after row of w, whose sums
// are made sixteen at a time.
INLINE void one_row(float *y, const float *x, const void *w, size_t M, size_t K, enum kind kind,
                    bool add) {
    float t[16][16], sum[16];
    size_t m = 0, row = K * (kind == FLOATS ? 4 : 2); // bytes
#if defined(__AVX512F__)
    for (; kind == FLOATS && K <= SHORT && m + 16 <= M; m += 16)
        short_rows(y + m, x, (const float *)w + m * K, K, add);
    if (m && m < M && !add) { // the last sixteen, some of them again
        short_rows(y + M - 16, x, (const float *)w + (M - 16) * K, K, false);
        return;
    }
#endif
    for (; m + 16 <= M; m += 16) {
        for (size_t j = 0; j < 16; j++) {
            vec s[PARTS];
            size_t ahead = (m + j) * row + AHEAD;
            for (size_t p = ahead; p < ahead + row && p < M * row; p += 64)
                __builtin_prefetch((const char *)w + p, 0, 3);
            for (size_t p = 0; kind >= PAIRED && p < PARTS; p++) {
                clear(s + p, 1);
                part_of(s + p, p, x, 0, 1, w, (m + j) * K, K, 1, K, kind);
            }
            if (kind < PAIRED) dot_lanes(s, x, w, (m + j) * K, K, kind);
            memcpy(t[j], s, sizeof t[j]);
        }
        sums(sum, t, 16);
        for (size_t j = 0; j < 16; j++) put(&y[m + j], sum[j], add);
    }
    for (; m < M; m++) rows_tile(y + m, 0, x, 0, 1, w, m * K, 1, K, kind, add);
}

// Numbers of w that stay in the L1 cache, and those of the longest rows that are widened; DEEP in
// float32, twice as many in bf16, are an inner length whose rows stay there too.
enum { ROWS_BLOCK = 6144, WIDE_BLOCK = 16384, DEEP = 512, GROUP = 32 };

struct ahead { // weights that are fetched meanwhile: `lines` of them before each tile
    const char *at;
    size_t lines;
};

// A few lines before each tile: four rows read side by side are no stream that the hardware
// foresees.
INLINE void fetch_ahead(struct ahead *next) {
    for (size_t p = 0; p < next->lines; p++, next->at += 64) __builtin_prefetch(next->at, 0, 3);
}

// to (n): w's numbers from `at` on in float32.
INLINE void widen_block(float *to, const void *w, size_t at, size_t n, enum kind kind) {
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) store(to + i, load_weights(w, at + i, kind));
    if (i < n) store_some(to + i, some_weights(w, at + i, n - i, kind), n - i);
}

#if defined(__AVX512F__)
enum { MOST_DEEP = 2 * FEW };
struct piece { // of `rows` rows of w: K numbers of each
    const void *w;
    size_t at, ld, rows, K;
    enum kind kind;
};

// A piece, put together in `to`: in float32, or in bf16 without small numbers.
INLINE struct piece put_together(float *to, const struct piece *p) {
    struct piece made = *p;
    made.w = to;
    made.at = 0;
    made.ld = p->kind >= PAIRED ? 2 * DEEP : DEEP;
    made.kind = p->kind >= PAIRED ? PAIRED_CLEAN : FLOATS;
    for (size_t j = 0; j < p->rows; j++)
        if (p->kind >= PAIRED)
            clean_block((uint16_t *)to + j * made.ld, (const uint16_t *)p->w + p->at + j * p->ld,
                        p->K);
        else
            widen_block(to + j * made.ld, p->w, p->at + j * p->ld, p->K, p->kind);
    return made;
}

// As rows_block, of long rows; n at most GROUP and whole fours, `count` at most MOST_DEEP. The
// inner length is cut into pieces, so that four rows of x and all of w's are in the L1 cache;
// `together`: those of w are put together first.
INLINE void deep_block(float *y, size_t ldy, const float *x, size_t ldx, size_t n, const void *w,
                       size_t at, size_t count, size_t K, enum kind kind, bool together, bool add,
                       struct ahead *next) {
    vec kept[GROUP / 4][MOST_DEEP / FEW][16];
    float buffer[MOST_DEEP * DEEP];
    size_t length = kind >= PAIRED ? 2 * DEEP : DEEP;
    for (size_t k = 0; k < K; k += length) {
        struct piece p = {w, at + k, K, count, K - k < length ? K - k : length, kind};
        size_t line = kind >= PAIRED ? k * BF16_WORDS / 2 : k;
        if (together) p = put_together(buffer, &p);
        for (size_t i = 0; i < n; i += 4)
            for (size_t m = 0; m < count; m += FEW) {
                vec s[16];
                fetch_ahead(next);
                if (k)
                    memcpy(s, kept[i / 4][m / FEW], sizeof s);
                else
                    clear(s, 16);
                part_of(s, 0, x + i * ldx + line, ldx, 4, p.w, p.at + m * p.ld, p.ld, FEW, p.K,
                        p.kind);
                memcpy(kept[i / 4][m / FEW], s, sizeof s);
            }
    }
    for (size_t i = 0; i < n; i += 4)
        for (size_t m = 0; m < count; m += FEW)
            put_sixteen(y + i * ldy + m, ldy, kept[i / 4][m / FEW], add);
}
#endif

// n rows of x times `count` (FEW at a time) of w; meanwhile the weights that follow are fetched.
INLINE void rows_block(float *y, size_t ldy, const float *x, size_t ldx, size_t n, const void *w,
                       size_t at, size_t count, size_t K, enum kind kind, bool add,
                       struct ahead next) {
    size_t whole = n / 4 * 4;
    for (size_t i = 0; i < n; i += i < whole ? 4 : 1)
        for (size_t m = 0; m < count; m += FEW) {
            float *to = y + i * ldy + m;
            fetch_ahead(&next);
            if (i < whole)
                rows_tile(to, ldy, x + i * ldx, ldx, 4, w, at + m * K, FEW, K, kind, add);
            else
                rows_tile(to, ldy, x + i * ldx, ldx, 1, w, at + m * K, FEW, K, kind, add);
        }
}

// The weights behind `count` rows from m on, to be fetched in so many turns.
INLINE struct ahead behind(const void *w, size_t m, size_t count, size_t K, enum kind kind,
                           size_t turns) {
    size_t size = kind == FLOATS ? 4 : 2;
    return (struct ahead){(const char *)w + (m + count) * K * size,
                          (count * K * size / turns + 63) / 64};
}

// By rows of w that are left over.
INLINE void last_rows(float *y, size_t ldy, const float *x, size_t ldx, size_t n, const void *w,
                      size_t m, size_t M, size_t K, enum kind kind, bool add) {
    for (; m < M; m++)
        for (size_t i = 0; i < n; i++)
            rows_tile(y + i * ldy + m, ldy, x + i * ldx, ldx, 1, w, m * K, 1, K, kind, add);
}

#if defined(__AVX512F__)
// n rows of x, whole fours, times all of w, whose rows are long. Pieces are put together where they
// are used often: if they must be widened or cleaned anyway, or if rows lie so many bytes apart
// that they meet in the same few lines of the cache.
INLINE void deep_rows(float *y, size_t ldy, const float *x, size_t ldx, size_t n, const void *w,
                      size_t M, size_t K, enum kind kind, bool add) {
    size_t m = 0, length = kind >= PAIRED ? 2 * DEEP : DEEP;
    bool apart = K * (kind == FLOATS ? 4 : 2) % 4096 == 0;
    bool together = n >= 8 && (kind == HALVES || kind == PAIRED || apart);
    for (size_t count; m + FEW <= M; m += count) {
        count = M - m < MOST_DEEP ? FEW : MOST_DEEP;
        size_t turns = n / 4 * (count / FEW) * ((K + length - 1) / length);
        struct ahead next = behind(w, m, count, K, kind, turns);
        for (size_t i = 0, rows; i < n; i += rows) {
            float *to = y + i * ldy + m;
            rows = n - i < GROUP ? n - i : GROUP;
            if (together)
                deep_block(to, ldy, x + i * ldx, ldx, rows, w, m * K, count, K, kind, true, add,
                           &next);
            else
                deep_block(to, ldy, x + i * ldx, ldx, rows, w, m * K, count, K, kind, false, add,
                           &next);
        }
    }
    last_rows(y, ldy, x, ldx, n, w, m, M, K, kind, add);
}
#endif

// n rows of x times all of w.
INLINE void any_rows(float *y, size_t ldy, const float *x, size_t ldx, size_t n, const void *w,
                     size_t M, size_t K, enum kind kind, bool add) {
    float wide[WIDE_BLOCK];
    enum kind then = kind == PAIRED ? PAIRED_CLEAN : FLOATS;
    size_t m = 0, most = (kind >= PAIRED ? 2 : 1) * ROWS_BLOCK / K / FEW * FEW;
#if defined(__AVX512F__)
    if (n >= 4 && K >= (kind >= PAIRED ? 4 : 2) * DEEP) {
        size_t whole = n / 4 * 4;
        deep_rows(y, ldy, x, ldx, whole, w, M, K, kind, add);
        y += whole * ldy;
        x += whole * ldx;
        n -= whole;
    }
#endif
    if (n == 1) {
        one_row(y, x, w, M, K, kind, add);
        return;
    }
    if (most < FEW) most = FEW;
    bool widened = (kind == HALVES || kind == PAIRED) && n >= 8 && most * K <= WIDE_BLOCK;
    for (size_t count; n && m + FEW <= M; m += count) {
        size_t left = (M - m) / FEW * FEW;
        count = left < most ? left : most;
        struct ahead next = behind(w, m, count, K, kind, (n / 4 + n % 4) * (count / FEW));
        if (widened && kind == PAIRED)
            clean_block((uint16_t *)wide, (const uint16_t *)w + m * K, count * K);
        else if (widened)
            widen_block(wide, w, m * K, count * K, kind);
        if (widened)
            rows_block(y + m, ldy, x, ldx, n, wide, 0, count, K, then, add, next);
        else
            rows_block(y + m, ldy, x, ldx, n, w, m * K, count, K, kind, add, next);
    }
    last_rows(y, ldy, x, ldx, n, w, m, M, K, kind, add);
}

void AT_LEVEL(rows)(float *y, size_t ldy, const float *x, size_t ldx, size_t n, const float *w,
                    size_t M, size_t K, bool add) {
    any_rows(y, ldy, x, ldx, n, w, M, K, FLOATS, add);
}

void AT_LEVEL(rows_half)(float *y, size_t ldy, const float *x, size_t ldx, size_t n,
                         const uint16_t *w, size_t M, size_t K, bool add) {
    any_rows(y, ldy, x, ldx, n, w, M, K, HALVES, add);
}

void AT_LEVEL(rows_bf16)(float *y, size_t ldy, const float *x, size_t n, const uint16_t *w,
                         size_t M, size_t K, bool clean, bool add) {
    if (clean)
        any_rows(y, ldy, x, BF16_LINE(K), n, w, M, K, PAIRED_CLEAN, add);
    else
        any_rows(y, ldy, x, BF16_LINE(K), n, w, M, K, PAIRED, add);
}
