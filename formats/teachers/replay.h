// Reads a teacher set ahead of the training. One thread waits for shards, reads and decodes them
// while the steps before them compute; it alone touches the set until replay_stop. In memory are
// the shards of the window that the step under way is in and those of the next one: two windows at
// most, or what a step spans if that is more. What it gives depends on nothing but the rows asked
// for.
#pragma once
#include "formats/teachers/teacher_set.h"

struct replay;
// window: shards that are mixed with each other (--shuffle-window); rows first .. first+rows-1 of
// the set are all that will be asked for.
struct replay *replay_start(struct teacher_set *s, size_t window, size_t first, size_t rows);
// Rows of a shard, and the first of them; waits for it. 0: failure.
size_t replay_part_rows(struct replay *r, size_t part, size_t *first);
// Waits until the shards of rows least .. most are decoded; others may go. `more`: after the last
// shard the first one will be wanted again. False: f has the reason.
bool replay_prepare(struct replay *r, size_t least, size_t most, bool more, struct fail *f);
// One of the rows prepared last; valid until the next replay_prepare. n is 0: it is lost.
struct teacher_row replay_row(struct replay *r, size_t row);
struct teacher_set_numbers replay_numbers(struct replay *r); // of the set, so far
double replay_waited(struct replay *r);                      // seconds in replay_prepare so far
void replay_stop(struct replay *r);                          // the set is the caller's again
