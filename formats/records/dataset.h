// Token files from text files: rows are read in order, made into tokens by all threads, and written
// in order. The writers' checkpoints carry how many rows were read and the ledger, so a stopped run
// goes on where it was, and the bytes are those of an undisturbed one.
//
// The whole input is gone through: what is wrong with it is counted, and rows that may not be left
// out fail the run at its end; nothing is written once there is one.
#pragma once
#include "formats/store/columns.h"
#include "formats/records/encode.h"
#include "formats/records/ledger.h"

struct dataset {
    struct encoder encoder;
    size_t n_paths;
    const char *const *paths; // as opened
    const char *const *names; // as the user called them, for messages; NULL: the paths
    enum record_syntax syntax;
    enum shape shape; // AUTO: recognised by each file's first row
    struct field_map map;
    bool lf;           // texts with \n for \r\n
    bool skip_bad;     // else bad rows are the failure, once all rows were looked at
    bool keep_equal;   // pairs whose responses are the same tokens
    double min_margin; // pairs whose scores are closer are dropped; -INFINITY: none
    double valid;      // share of prompts that go to the second writer
    struct log *log;
    struct columns_writer *writer[LEDGER_PARTS]; // train, valid; NULL: nothing is written
    double checkpoint_seconds;
    uint64_t show; // print this many rows to stdout
    struct ledger ledger;
};

// EXIT_DONE (the writers are not yet committed), EXIT_STOPPED (checkpoint made), or f's code.
int dataset_run(struct dataset *d, struct fail *f);

// One row as a person would check it, on stdout: tokens in colour by mask where that is a terminal,
// special tokens by name.
struct encoded;
void dataset_show(const struct dataset *d, const struct record *row, const struct encoded *x);
