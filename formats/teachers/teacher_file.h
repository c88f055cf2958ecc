// Kind `teacher`: token rows, loss mask and lengths, and for each response position the truncated
// p* with its exact tail (layout composed), or what p* of every strength follows from (layout
// components, see formats/teachers/teacher_components.h). Self-contained: `distill` needs it and a
// student only. Bits 32: float32 numbers as they are, supports in rank order. Fewer bits: coded,
// see formats/teachers/teacher_codec.h; supports in the order of the codes, `realised` found in
// them, alpha from tvd where the rule says how. FORMATS.md names the columns.
#pragma once
#include "common/engine/batch.h"
#include "common/method/teacher.h"
#include "formats/store/columns.h"
#include "formats/teachers/teacher_codec.h"
#include "formats/teachers/teacher_components.h"
#include "formats/tokens/tokens.h"

struct teacher_info {                    // root attributes
    size_t vocab, max_length;            // longest row of the whole set
    struct hash128 tokenizer, reference; // hash of the reference model's file
    const char *tokenizer_json;
    double reward_beta;
    const char *recipe, *rule; // rule: JSON of base, negative, alpha, plausible
    struct teacher_grid grid;  // of the components layout; n 0: composed
    double error_budget;       // of teacher-dump --error-budget; 0: the support was cut otherwise
    int32_t eos;               // -1: none, or the file does not say
    int bits;                  // of teacher_codec.h; 0 is 32. The writer only:
    size_t n_common;           // tokens with the lowest codes, see teacher_codec_init
    const int32_t *common;
};
// A long writer on a spool: see formats/store/columns.h for stopping, resuming, shards.
struct teacher_writer;
struct teacher_writer *teacher_writer_open(const char *path, const struct lineage *l,
                                           const struct teacher_info *i,
                                           const struct columns_plan *plan, struct fail *f);
// For columns_rows, _checkpoint, _fail; NULL of NULL.
struct columns_writer *teacher_writer_columns(struct teacher_writer *w);
bool teacher_writer_commit(struct teacher_writer *w, struct hash128 *content);
void teacher_writer_abandon(struct teacher_writer *w, bool keep_spool);
// What the JSON `rule` says; false: no rule of alpha.
bool teacher_rule_alpha(const char *rule, struct teacher_rule *to);
// The same; false also where alpha does not follow from tvd by it (kl:K).
bool teacher_rule_from_tvd(const char *rule, struct teacher_rule *to);

struct teacher_row {         // one row as written and as read back
    size_t n, prompt_length; // tokens
    const int32_t *ids;
    const uint8_t *mask;
    size_t positions;
    const struct teacher_position *position;     // (positions)
    const float *entropy;                        // (positions)
    const struct teacher_components *components; // (positions) components layout, else NULL. Of
                                                 // position the writer then takes n, ids and tvd
};
// row->positions is the number of mask bytes 1 after the first.
bool teacher_write(struct teacher_writer *w, const struct teacher_row *row);

// A whole shard decoded, its columns checked against each other; for the set and the tools. Where
// the reader goes around holes (columns_tolerate), rows may be lost.
struct teacher_shard {
    size_t rows;
    size_t *first, *position_first; // (rows + 1) into ids, mask and into position, entropy
    int32_t *ids, *prompt_length, *support;
    uint8_t *mask;
    float *logp, *entropy;
    struct teacher_position *position;
    struct teacher_rule rule;              // of alpha, where it follows from tvd
    struct teacher_grid grid;              // components; then logp and alpha are composed by `rule`
    struct teacher_components *components; // (positions) into:
    float *ends, *tails; // 2 per entry: low, then high of the position; grid.n per position
    bool *lost;          // (rows)
    size_t n_lost;
};
bool teacher_shard_load(struct teacher_shard *t, struct columns_reader *r, struct fail *f);
// Components: p* by another rule of alpha. Its entropy is then that of the support with the tail as
// one token, unless the rule is the one in the file.
void teacher_shard_compose(struct teacher_shard *t, const struct teacher_rule *rule);
struct teacher_row teacher_shard_row(const struct teacher_shard *t, size_t row); // lost: n is 0
void teacher_shard_release(struct teacher_shard *t);
// What the attributes say; texts are to be freed with teacher_info_release.
bool teacher_info_read(struct teacher_info *i, struct columns_reader *r, struct fail *f);
void teacher_info_release(struct teacher_info *i);
// The code that a shard of fewer than 32 bits says it is in; release it, after a failure too.
// False: its blobs make none.
bool teacher_codec_read(struct teacher_codec *c, const struct teacher_info *i,
                        struct columns_reader *r);
// Of these vocab, max_length, bits, grid and eos alone; nothing to release. False: not read by this
// release.
bool teacher_info_layout(struct teacher_info *i, struct columns_reader *r);
