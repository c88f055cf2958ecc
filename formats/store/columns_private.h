// What the .c files that read columns share; for nobody else.
#pragma once
#include "formats/store/columns.h"
#include "formats/store/h5.h"

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

bool columns_awake(struct columns_reader *r); // the file is open, again where columns_rest closed it
bool columns_unfit(struct columns_reader *r, const char *what, const char *name);
// Elements first .. first+n-1 of column c were read to `bytes`: hashes the chunks among them.
void columns_note(struct columns_reader *r, size_t c, size_t first, size_t n, const void *bytes);
