// The shards of one or several teacher caches as one numbered sequence of rows: cache after cache,
// in the order in which they were first named, and the rows of each cache in their order.
//
// Shards may be given in any order. With a "-" in the list paths come from stdin, while
// teacher-dump finishes the shards of one cache; calls that need a shard wait for it. Shards are
// decoded whole. At most teacher_set_keep of them stay in memory, not counting those that are held.
// Failures (EXIT_BADDATA) stick to the `struct fail` of open: a damaged shard, an incomplete cache,
// caches that do not fit together (tokenizer, vocabulary, recipe, layout). Not for several threads
// at once.
#pragma once
#include "formats/teachers/teacher_file.h"

struct teacher_set;
struct teacher_set *teacher_set_open(size_t n, const char *const *items, struct fail *f);
void teacher_set_keep(struct teacher_set *s, size_t shards); // 2 if not set; 2 at least
// Components: compose p* by this rule of alpha. Call it before the first row is read.
void teacher_set_compose(struct teacher_set *s, const struct teacher_rule *rule);
// A chunk that cannot be read makes its rows `lost`. Without this call it is a failure that names
// the file and the rows.
void teacher_set_skip_bad(struct teacher_set *s);
const struct fail *teacher_set_fail(const struct teacher_set *s);
size_t teacher_set_parts(const struct teacher_set *s); // of all caches
size_t teacher_set_rows(const struct teacher_set *s);
bool teacher_set_there(const struct teacher_set *s, size_t part);  // whether its shard has come
size_t teacher_set_part_rows(struct teacher_set *s, size_t part);  // may wait; 0: failure
size_t teacher_set_part_first(struct teacher_set *s, size_t part); // its first row; there
// Of the cache named first, but with the longest row of all caches.
const struct teacher_info *teacher_set_info(const struct teacher_set *s);
size_t teacher_set_caches(const struct teacher_set *s);
const struct teacher_info *teacher_set_cache(const struct teacher_set *s, size_t cache);
// May wait for the shard; zero: failure before it came.
struct hash128 teacher_set_content(struct teacher_set *s, size_t part);
bool teacher_set_streams(const struct teacher_set *s);            // its list has a "-"
const struct parents *teacher_set_parents(struct teacher_set *s); // waits for all; NULL: failure

// The tokens of a row (0: lost, or failure); the row itself (n is 0: lost). May wait for the shard.
// Pointers are valid until as many other shards as are kept have been used.
size_t teacher_set_length(struct teacher_set *s, size_t row);
bool teacher_set_row(struct teacher_set *s, size_t row, struct teacher_row *out);
// A shard, decoded, until it is dropped; NULL: failure. May wait for it.
const struct teacher_shard *teacher_set_hold(struct teacher_set *s, size_t part);
void teacher_set_drop(struct teacher_set *s, size_t part);
// libhdf5 is not thread-safe. While the set is quiet, a thread that waits in it, or decodes a
// shard, does not call libhdf5.
void teacher_set_quiet(struct teacher_set *s, bool on);

struct teacher_set_numbers {
    size_t rows;           // decoded so far, each counted once
    size_t lost, repeated; // of these; repeated: with the tokens of another row of its cache
    char first_lost[400], first_repeated[400]; // where and why; empty: none
};
// What was lost of a part, as first_lost does for the first; NULL: nothing so far.
const char *teacher_set_damage(const struct teacher_set *s, size_t part);
struct teacher_set_numbers teacher_set_numbers(const struct teacher_set *s);
// The most bytes that `shards` consecutive decoded shards take, one of which is still being read.
// Shards that have not come count with the mean size.
size_t teacher_set_bytes(const struct teacher_set *s, size_t shards);
void teacher_set_close(struct teacher_set *s);
