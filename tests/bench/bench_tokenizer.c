// bench_tokenizer TOKENIZER.json TEXT: encoding speed, one thread. Prints; asserts nothing.
#include "common/base/mem.h"
#include "formats/models/tokenizer_json.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static char *read_file(const char *path, size_t *n) {
    FILE *f = fopen(path, "rb");
    if (!f) die(EXIT_FAILED, "cannot read '%s'", path);
    struct str s = {0};
    char part[1 << 16];
    for (size_t k; (k = fread(part, 1, sizeof part, f)) > 0;) str_add(&s, part, k);
    fclose(f);
    *n = s.length;
    return s.text;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void measure(const struct tokenizer *t, const char *what, const char *text, size_t n) {
    for (int pass = 0; pass < 3; pass++) {
        struct ids ids = {0};
        double start = now();
        tokenizer_encode(t, text, n, false, false, &ids);
        double seconds = now() - start;
        printf("%-24s %9zu bytes %9zu ids %8.3f s %7.1f MB/s\n", what, n, ids.n, seconds,
               (double)n / seconds / 1e6);
        ids_release(&ids);
    }
}

int main(int argc, char **argv) {
    if (argc == 1) {
        puts("skipped: give it TOKENIZER.json and TEXT");
        return 0;
    }
    if (argc != 3) die(EXIT_USAGE, "usage: bench_tokenizer TOKENIZER.json TEXT");
    size_t n, size;
    struct fail f = {0};
    double start = now();
    char *json = read_file(argv[1], &size), *text = read_file(argv[2], &n);
    struct tokenizer *t = tokenizer_parse(json, size, argv[1], &f);
    die_if(&f);
    printf("%-24s %9zu bytes %9s %12.3f s\n", "loading", size, "", now() - start);
    measure(t, "text", text, n);
    char *letters = xmalloc(1000000);
    memset(letters, 'a', 1000000);
    measure(t, "one letter", letters, 1000000);
    memset(letters, ' ', 1000000);
    measure(t, "one blank", letters, 1000000);
    free(letters);
    free(text);
    free(json);
    tokenizer_free(t);
    return 0;
}
