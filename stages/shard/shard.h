// shard: looks into the files of all kinds, checks, compares and merges them. One file a
// subcommand; each takes its own argv (argv[0] its name) and returns the exit code.
#pragma once
#include "common/base/options.h"
#include "formats/store/columns.h"

int shard_ls(int argc, char **argv);
int shard_check(int argc, char **argv);
int shard_head(int argc, char **argv);
int shard_stat(int argc, char **argv);
int shard_diff(int argc, char **argv);
int shard_merge(int argc, char **argv);
int shard_split(int argc, char **argv);
int shard_filter(int argc, char **argv);
int shard_recode(int argc, char **argv);
int shard_verify(int argc, char **argv);
int shard_report(int argc, char **argv);

// Parses argv; `files`: the words that are no options, with "-" replaced by the lines of stdin, at
// least `least` of them (exit 2). Release both after use.
void shard_options(struct options *o, int argc, char **argv, struct opt_list *files, size_t least);
void shard_files_release(struct opt_list *files);
struct opt_row shard_output_row(const char **output, const char *help); // -o

// Reads all of a file of any kind and compares its content_hash; false: f says what is wrong.
bool shard_check_file(const char *path, struct fail *f);

// All parts of one set, in order, whatever their order in `files`, or dies.
struct columns_reader **shard_set_open(const struct opt_list *files, struct fail *f);
void shard_set_close(struct columns_reader **set, size_t parts);
// The lineage of the set itself, and that of something made from it by `shard ...` (parents_release
// its parents).
struct lineage shard_same_lineage(const struct columns_reader *r);
struct lineage shard_new_lineage(struct columns_reader **set, size_t parts, const char *stage,
                                 const char *options);
// The options of something made from it, and in which precision its models ran; free() it.
char *shard_options_json(const struct options *o, const struct columns_reader *from);
// A writer of the columns, attributes and blobs of `like`; max_length: replaces the attribute of
// that name, 0: keep it.
struct columns_writer *shard_writer(const char *output, struct columns_reader *like,
                                    const struct lineage *l, const struct columns_plan *plan,
                                    size_t max_length, struct fail *f);
// All rows of the set as they are; one by one, so that chunks break where the new parts do. The
// plan should leave rows_total open: then no file is made before all rows were read well.
bool shard_copy(struct columns_writer *w, struct columns_reader **set, size_t parts,
                struct fail *f);
// stat: mean and quantiles of x (n), which is sorted, on a line; all that a teacher shard holds.
void shard_sort(double *x, size_t n);
void shard_print_numbers(const char *name, double *x, size_t n);
void shard_stat_teacher(struct columns_reader *r, struct fail *f);
void shard_print_path(void *self, const char *path); // for columns_plan.finished
