// Whether what a spool holds can be what a writer of columns has put there; see columns_private.h.
#include "formats/store/columns_private.h"
#include "formats/store/zfilter.h"
#include <stdlib.h>

struct tally { // of a column's chunks so far
    uint64_t part, next;
    bool full; // the last one
};

// The next chunk of its column: of the part at hand, behind a full one, or the first of a later
// part.
static bool follows(const struct spool_entry *e, struct tally *t, size_t size) {
    bool same = e->part == t->part;
    bool ok = same ? e->index == t->next && t->full : e->part > t->part && !e->index;
    *t = (struct tally){e->part, e->index + 1, e->elements == COLUMN_CHUNK};
    return ok && e->elements && e->elements <= COLUMN_CHUNK && e->length &&
           e->length <= zfilter_bound(COLUMN_CHUNK * size);
}

bool columns_spool_is_sound(const struct spool *s, size_t n, const struct column *columns,
                            const uint64_t *index, uint64_t part, bool open) {
    struct tally *tally = xcalloc(n, sizeof *tally);
    bool ok = true;
    for (size_t c = 0; c < n; c++) tally[c].full = true;
    for (size_t i = 0; ok && i < spool_count(s); i++) {
        struct spool_entry e = spool_get(s, i);
        ok = e.column < n && e.part <= part &&
             follows(&e, &tally[e.column], column_size(columns[e.column].type));
    }
    for (size_t c = 0; ok && open && c < n; c++)
        ok =
            index[c] == (tally[c].part == part ? tally[c].next : 0) && (!index[c] || tally[c].full);
    free(tally);
    return ok;
}
