// What all our HDF5 files share: root attributes kind, version, created_by, stage, options,
// parents, content_hash; written whole or not at all; byte-reproducible. FORMATS.md is the
// specification. Reading failures are EXIT_BADDATA, writing failures EXIT_FAILED.
#pragma once
#include "common/base/fail.h"
#include "common/base/mem.h"
#include "formats/bytes/hash.h"
#include "formats/bytes/path_source.h"
#include "formats/bytes/whole_file.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct h5;

struct parent {
    char kind[16];
    struct hash128 hash;
};
struct parents { // every input, in order
    size_t n;
    struct parent *items;
};
void parents_add(struct parents *p, const char *kind, struct hash128 hash);
void parents_add_all(struct parents *p, const struct parents *from);
// The same of data that is held out, which are no inputs of training: kinds `valid-tokens` ...
void parents_add_valid(struct parents *p, const struct parents *from);
bool parents_equal(const struct parents *a, const struct parents *b);
void parents_release(struct parents *p);

struct lineage { // how an output came to be; what "the same command" means
    const char *kind, *stage;
    int version;         // 0: the newest of the kind
    const char *options; // JSON of the RESULT options
    struct parents parents;
    const char *record; // JSON of what the stage measured as it ran, NULL: none; no part of "the
                        // same command", nor of the content hash
};

struct artefact { // the root attributes of an existing file
    char kind[16], stage[32], created_by[64];
    int version;
    char *options, *record; // record: NULL: none
    struct parents parents;
    struct hash128 content;
};
// Opens, checks that it is ours, whole, of `kind` (NULL: any) and of a version we read.
bool artefact_read(const char *path, const char *kind, struct artefact *a, struct fail *f);
void artefact_release(struct artefact *a);

// The "up to date" rule. True: `path` exists with the same kind, stage, options and parents; it
// was touched. False with f set: it exists and no_clobber; false otherwise: compute it.
bool artefact_is_current(const char *path, const struct lineage *l, bool no_clobber,
                         struct fail *f);
// The set a shard belongs to (root attributes part, parts, rows_total; 0 of 1 where there is one).
struct part {
    size_t part, parts, rows, rows_total, first_row;
};
// "cache.h5", 0 of 12 -> "cache-00000-of-00012.h5"; parts 1 -> the name itself. free() it.
char *part_path(const char *path, size_t part, size_t parts);

// ---- for the modules of formats/

// The newest version of a kind that is read and written here; 0: no such kind.
int artefact_version(const char *kind);
bool artefact_put(struct h5 *h, const char *kind, const struct lineage *l, struct hash128 content);
bool artefact_put_content(struct h5 *h, struct hash128 content); // another, once it is known
bool artefact_get(struct h5 *h, const char *path, const char *kind, struct artefact *a);

// Removes the spool `name` where its header says that it is of this lineage: a kill between the
// output's rename and the spool's removal leaves one.
void artefact_sweep_spool(const char *name, const struct lineage *l);

// A lineage as lines "name: value". lineage_same: whether two are equal; if not, `difference` says
// what the first difference is ("option 'beta' was 0.1 and is 0.2").
char *lineage_text(const char *kind, const struct lineage *l); // free() it
char *artefact_lineage(const struct artefact *a);              // free() it
bool lineage_same(const char *found, const char *wanted, struct str *difference);
