// A run's folder: which of its files are ours or tables of ours, told by what they hold. Folders
// inside are looked through too, RUN_DEPTH levels deep; hidden names, temporary files and symbolic
// links to folders are passed over. Files are sorted by path.
#pragma once
#include "formats/store/artefact.h"
#include "stages/report/sheet.h"
#include <time.h>

enum { RUN_DEPTH = 3, RUN_FILES = 20000, RUN_TABLE_ROWS = 60 };
enum run_kind {
    RUN_ARTEFACT,  // one of our HDF5 files
    RUN_LOG,       // rows of numbers with a `step`: a --log, or snapshots that were measured
    RUN_RESPONSES, // rows with prompt and response
    RUN_TABLE,     // a few rows, mostly numbers: results
};
struct run_file {
    char *path; // from the run's folder on
    enum run_kind kind;
    struct artefact made; // RUN_ARTEFACT
    size_t rows;          // RUN_ARTEFACT: of its table; 0: none. RUN_TABLE: all
    char *header;         // others: column names, with commas between
    char *summary;        // RUN_ARTEFACT: tokens_kind of a token file; NULL: nothing to say
    long long bytes;
    time_t when; // it was last changed
};
struct run {
    const char *folder;
    size_t n, capacity;
    struct run_file *file;
    size_t snapshots, unreadable; // left out
};
// EXIT_BADDATA where it is no folder, or there are more than RUN_FILES files in it. Files that look
// like ours and cannot be read are warned of.
bool run_open(struct run *r, const char *folder, struct fail *f);
void run_release(struct run *r);
char *run_path(const struct run *r, const char *path);                  // from here; free() it
const struct run_file *run_find(const struct run *r, const char *path); // NULL: none
// The file with this content (a parent), NULL: none.
const struct run_file *run_by_hash(const struct run *r, struct hash128 hash);
// The model or adapter that a log is of, by its name: dpo.csv or dpo.log.csv of dpo.h5. NULL: none.
const struct run_file *run_model_of(const struct run *r, const char *log);
// The name that people give a file: without folders and endings.
char *run_stem(const char *path); // free() it
bool run_is_model(const struct run_file *x);
