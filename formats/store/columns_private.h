// What the .c files that read columns share; for nobody else.
#pragma once
#include "formats/store/columns.h"
#include "formats/store/h5.h"
#include "formats/store/spool.h"

struct chunk_hash {
    bool known;
    struct hash128 hash;
};

struct columns_reader {
    char *path, *names; // names: the attribute `columns`, cut at its blanks
    struct h5 *file;
    struct artefact artefact;
    struct part part;
    struct str own;
    size_t n;
    struct column *columns;
    size_t *counts;              // elements
    struct chunk_hash **hashes;  // of each column's chunks, as they were read; NULL: none yet
    struct columns_holes *holes; // NULL: what cannot be read is a failure
    struct fail *fail;
};

bool columns_awake(
    struct columns_reader *r); // the file is open, again where columns_rest closed it
bool columns_unfit(struct columns_reader *r, const char *what, const char *name);
// Elements first .. first+n-1 of column c were read to `bytes`: hashes the chunks among them.
void columns_note(struct columns_reader *r, size_t c, size_t first, size_t n, const void *bytes);
// Whether the files that a spool beside `path` with this header was to become are there, of its
// lineage and cut: a kill between the last one's rename and the spool's removal leaves both.
bool columns_are_made(const char *path, const char *header);
// Whether the chunks of a spool follow each other as a writer of these columns (n) appends them:
// none is longer than its buffer. part: the one that is being written, of which index (n) chunks of
// each column are there if it is `open`.
bool columns_spool_is_sound(const struct spool *s, size_t n, const struct column *columns,
                            const uint64_t *index, uint64_t part, bool open);
