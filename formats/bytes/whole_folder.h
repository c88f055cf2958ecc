// A folder that is there whole or not at all: its files are written in FOLDER.partial, which then
// takes the place of FOLDER in one step (an exchange of the two names). Where the file system has
// no such step it takes two, by way of FOLDER.former, and what is killed between them is repaired
// by the next run. Failures are EXIT_FAILED.
#pragma once
#include "common/base/fail.h"
#include <stdbool.h>

struct whole_folder {
    char *folder, *partial, *former; // partial: where the files go
    int lock;                        // of partial
    bool (*is_ours)(const char *name);
};

// What a run that was killed left: the former folder back in its place, the partial one removed.
// is_ours: whether a file of that name is one that is written there; others are never removed, nor
// the folder that they are in.
void whole_folder_repair(const char *folder, bool (*is_ours)(const char *name));
// Includes the repair; makes the empty partial folder. Refused where FOLDER is no folder.
bool whole_folder_open(struct whole_folder *w, const char *folder,
                       bool (*is_ours)(const char *name), struct fail *f);
// A text file in w->partial, safe on disk; NULL: none.
bool whole_folder_text(const char *partial, const char *name, const char *text, struct fail *f);
// Puts it in place, whose files are safe on disk already, and removes what was there; where f is
// set, only cleans up. Releases w either way.
bool whole_folder_commit(struct whole_folder *w, struct fail *f);
