// Any bytes as a safetensors file (odd first byte) or as a config.json (even).
#include "common/base/parallel.h"
#include "formats/models/huggingface.h"
#include "formats/models/safetensors.h"
#include "tests/fuzz/replay.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void one_line(const struct fail *f) {
    if (f->code && (!*f->text || strchr(f->text, '\n'))) abort();
}

static void read_tensors(const char *path) {
    struct safetensors s;
    struct fail f = {0};
    if (!safetensors_open(&s, path, &f)) {
        one_line(&f);
        return;
    }
    for (size_t i = 0; i < s.n; i++) {
        const struct safe_tensor *t = &s.tensors[i];
        float *to = xmalloc(t->count * sizeof *to);
        struct fail g = {0};
        safetensors_read(t, to, &g);
        one_line(&g);
        free(to);
    }
    safetensors_close(&s);
}

static void read_config(const char *text, size_t n) {
    struct hf_config c;
    struct fail f = {0};
    struct model m;
    char why[200];
    if (huggingface_config(text, n, "fuzz", &c, &f)) {
        if (!c.model.vocab) c.model.vocab = 100;
        if (model_init(&m, &c.model, why, sizeof why)) model_release(&m);
    }
    one_line(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!size) return 0;
    parallel_init(1);
    if (!(data[0] & 1)) {
        read_config((const char *)data + 1, size - 1);
        return 0;
    }
    int fd = memfd_create("fuzz", 0);
    if (fd < 0 || write(fd, data + 1, size - 1) != (ssize_t)(size - 1)) abort();
    char *path = xasprintf("/proc/self/fd/%d", fd);
    read_tensors(path);
    free(path);
    close(fd);
    return 0;
}
