// A plain append-only file OUT.spool in which a long writer keeps its finished chunks until the
// HDF5 file can be made in one pass. Records carry their length and XXH3-128; a checkpoint record
// holds the writer's state and is fsynced. Opened again, the file is cut after the last valid
// checkpoint, so a kill at any moment loses at most the work since then. The first record is a
// header of lines "name: value" (the lineage): a spool with another header is refused, naming the
// difference, unless its run is over. Failures stick to the `struct fail` of spool_open and are
// EXIT_FAILED; a NULL spool is accepted everywhere. One process at a time (flock, where the file
// system supports it).
#pragma once
#include "formats/store/artefact.h"

struct spool_entry {      // a finished chunk
    uint64_t part, index; // of the chunk in its column and part
    uint64_t elements;    // uncompressed
    struct hash128 raw;   // XXH3-128 of the uncompressed bytes
    uint64_t length;      // stored bytes
    uint32_t column;
};

struct spool;
// resume: continue with the stored chunks; else start again. over: whether the run that has written
// `header` has finished what it made, so that a spool of another run may be started again, not
// refused; NULL: it has not.
struct spool *spool_open(const char *path, const char *header, bool resume,
                         bool (*over)(void *self, const char *header), void *self, struct fail *f);
bool spool_add(struct spool *s, const struct spool_entry *e, const void *bytes);
// What was added so far is safe on disk, together with `state`.
bool spool_checkpoint(struct spool *s, const void *state, size_t n);
// The state of the checkpoint that spool_open found; NULL: none, the spool is empty.
const void *spool_state(const struct spool *s, size_t *n);
size_t spool_count(const struct spool *s);
struct spool_entry spool_get(const struct spool *s, size_t i);
bool spool_read(struct spool *s, size_t i, void *to); // (length) bytes
// Like a checkpoint, but drops all chunks of parts before `part`: the file is written again beside
// the old one and takes its name.
bool spool_compact(struct spool *s, uint64_t part, const void *state, size_t n);
bool spool_close(struct spool *s, bool keep);
