// round_model MODEL OUT: MODEL with its matrices rounded to bf16, as a float32 file.
#include "formats/models/model_file.h"
#include <stdlib.h>

int main(int argc, char **argv) {
    if (argc != 3) die(EXIT_USAGE, "usage: round_model MODEL OUT");
    struct fail f = {0};
    struct model_file m;
    struct lineage l = {.kind = "model", .stage = "import", .options = "{}"};
    model_file_load(argv[1], &m, &f);
    die_if(&f);
    for (size_t i = 0; i < m.model.n_tensors; i++) {
        const struct tensor *t = &m.model.tensors[i];
        for (size_t j = 0; !t->vector && j < t->rows * t->cols; j++) {
            // Dekker's split: what is left of x beside 8 bits of mantissa, to nearest
            volatile float x = m.model.params[t->offset + j], big = x * 65537.0f, high = big - x;
            m.model.params[t->offset + j] = big - high;
        }
    }
    model_file_save(argv[2], &m, &l, &f);
    die_if(&f);
    model_file_release(&m);
    return 0;
}
