#include "formats/store/row_hashes.h"
#include "common/base/mem.h"
#include <stdlib.h>

enum { LEAST = 1024 }; // slots; a power of two

// The slot that holds the hash, or the free one where it belongs. 0 marks a free one.
static uint64_t *find(const struct row_hashes *h, uint64_t hash) {
    size_t at = (size_t)hash & (h->room - 1);
    while (h->slot[at] && h->slot[at] != hash) at = (at + 1) & (h->room - 1);
    return &h->slot[at];
}

static void make_room(struct row_hashes *h) {
    struct row_hashes larger = {h->n, h->room ? 2 * h->room : LEAST, NULL};
    larger.slot = xcalloc(larger.room, sizeof *larger.slot);
    for (size_t i = 0; i < h->room; i++)
        if (h->slot[i]) *find(&larger, h->slot[i]) = h->slot[i];
    free(h->slot);
    *h = larger;
}

bool row_hashes_add(struct row_hashes *h, uint64_t hash) {
    if (4 * h->n >= 3 * h->room) make_room(h);
    hash += !hash;
    uint64_t *slot = find(h, hash);
    if (*slot) return true;
    *slot = hash;
    h->n++;
    return false;
}

void row_hashes_release(struct row_hashes *h) {
    free(h->slot);
    *h = (struct row_hashes){0};
}
