#include "common/engine/blas.h"
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#if defined(NO_BLAS)
const char *blas_name(void) {
    return NULL;
}

void blas_multiply(const struct block *b) {
    (void)b;
}
#else
// The standard interface, declared here: every CBLAS has it, each under another header's name.
enum { ROW_MAJOR = 101, AS_IS = 111, TRANSPOSED = 112 };
void cblas_sgemm(int order, int a_as, int b_as, int rows, int columns, int inner, float alpha,
                 const float *a, int lda, const float *b, int ldb, float beta, float *c, int ldc);

// OpenBLAS's own; other libraries have them not.
char *openblas_get_config(void) __attribute__((weak));
char *openblas_get_corename(void) __attribute__((weak));
void openblas_set_num_threads(int n) __attribute__((weak));

const char *blas_name(void) {
    static char name[64];
    char library[16] = "CBLAS", version[16] = "";
    if (openblas_get_config) sscanf(openblas_get_config(), "%15s %15s", library, version);
    snprintf(name, sizeof name, "blas %s %s %s", library, version,
             openblas_get_corename ? openblas_get_corename() : "");
    return name;
}

void blas_multiply(const struct block *b) {
    static _Thread_local bool alone; // the openmp flavour wants to hear it from each thread
    if (!alone && openblas_set_num_threads) openblas_set_num_threads(1);
    alone = true;
    cblas_sgemm(ROW_MAJOR, b->a.inner ? AS_IS : TRANSPOSED, b->b.inner ? TRANSPOSED : AS_IS,
                (int)b->rows, (int)b->cols, (int)b->k, 1, b->a.f32, (int)b->a.ld, b->b.f32,
                (int)b->b.ld, b->add ? 1 : 0, b->c, (int)b->ldc);
}
#endif
