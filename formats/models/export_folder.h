// The folder of an export to other programs: like formats/bytes/whole_folder.h, with an
// aligndistil.json that says of what and how it was made, by which the export is known again. An
// existing folder is replaced only where it is an export of ours or empty.
//
// is_ours: whether a file of that name is one that is written there, aligndistil.json among them.
#pragma once
#include "formats/bytes/whole_folder.h"
#include "formats/store/artefact.h"

// True: the folder is an export with the same lineage. What a killed run left is repaired first.
bool export_folder_current(const char *folder, bool (*is_ours)(const char *name),
                           const struct lineage *l, bool no_clobber, struct fail *f);
// The folder to be written, whose files go into w->partial. EXIT_FAILED where another is there.
bool export_folder_open(struct whole_folder *w, const char *folder,
                        bool (*is_ours)(const char *name), struct fail *f);
// Adds aligndistil.json and puts all in place; where f is set, only cleans up.
bool export_folder_commit(struct whole_folder *w, const struct lineage *l, struct fail *f);
