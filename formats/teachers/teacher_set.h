// The shards of one or several teacher caches as one numbered sequence of rows: the rows of each
// cache in order, the caches in the order in which they were first named.
//
// Opens all shards, in any order; "-" in the list: paths come from stdin as the shards of one cache
// are finished, and calls that need one not yet there wait for it. Shards are decoded whole, and at
// most teacher_set_keep of them are in memory, besides those that are held. Failures (EXIT_BADDATA)
// stick to the `struct fail` of open: a shard that is damaged, a cache that is not whole, caches
// that do not go together (tokenizer, vocabulary, recipe, layout). For one thread at a time.
#pragma once
#include "formats/teachers/teacher_file.h"

struct teacher_set;
struct teacher_set *teacher_set_open(size_t n, const char *const *items, struct fail *f);
void teacher_set_keep(struct teacher_set *s, size_t shards); // 2 if not set, and at least
// Components: compose by this rule of alpha. Before the first row is asked for.
void teacher_set_compose(struct teacher_set *s, const struct teacher_rule *rule);
// Chunks that cannot be read cost the rows that they are of, which are then `lost`; if not set,
// they are a failure that names file and rows.
void teacher_set_skip_bad(struct teacher_set *s);
const struct fail *teacher_set_fail(const struct teacher_set *s);
size_t teacher_set_parts(const struct teacher_set *s); // of all caches
size_t teacher_set_rows(const struct teacher_set *s);
bool teacher_set_there(const struct teacher_set *s, size_t part);  // its shard has come
size_t teacher_set_part_rows(struct teacher_set *s, size_t part);  // may wait; 0: failure
size_t teacher_set_part_first(struct teacher_set *s, size_t part); // its first row; there
// Of the first cache, with the longest row of all.
const struct teacher_info *teacher_set_info(const struct teacher_set *s);
size_t teacher_set_caches(const struct teacher_set *s);
const struct teacher_info *teacher_set_cache(const struct teacher_set *s, size_t cache);
// May wait for it; zero: failure before it came.
struct hash128 teacher_set_content(struct teacher_set *s, size_t part);
bool teacher_set_streams(const struct teacher_set *s);            // its list has a "-"
const struct parents *teacher_set_parents(struct teacher_set *s); // waits for all; NULL: failure

// Tokens in row `row` (0: lost, or failure), and the row itself (n is 0: lost); pointers live until
// as many other shards as are kept were touched since. May wait for the shard.
size_t teacher_set_length(struct teacher_set *s, size_t row);
bool teacher_set_row(struct teacher_set *s, size_t row, struct teacher_row *out);
// A shard, decoded, until it is dropped; NULL: failure. May wait for it.
const struct teacher_shard *teacher_set_hold(struct teacher_set *s, size_t part);
void teacher_set_drop(struct teacher_set *s, size_t part);
// libhdf5 is not for several threads: while it is quiet, a thread that waits for a shard, or
// decodes one, in this set waits before it calls it.
void teacher_set_quiet(struct teacher_set *s, bool on);

struct teacher_set_numbers {
    size_t rows, lost,
        repeated; // decoded so far, once each; with the tokens of another of its cache
    char first_lost[400], first_repeated[400]; // where and why; empty: none
};
// What was lost of a part, as first_lost does for the first; NULL: nothing so far.
const char *teacher_set_damage(const struct teacher_set *s, size_t part);
struct teacher_set_numbers teacher_set_numbers(const struct teacher_set *s);
// The most bytes that `shards` decoded shards after each other take, one of them just being read;
// where not all have come, as many of the mean size.
size_t teacher_set_bytes(const struct teacher_set *s, size_t shards);
void teacher_set_close(struct teacher_set *s);
