// eval judge --protocol: a benchmark's questions, a model's answers and the benchmark's own prompts
// make requests for a judge; its verdicts are read as the benchmark reads them and written in the
// benchmark's own form, for its tools or for eval mtbench, arenahard and alpaca.
//
// A request is one line of JSON: messages, temperature and max_tokens as the usual chat protocol
// has them (logprobs and top_logprobs where tokens' probabilities are wanted), and `about`, what it
// is about in plain texts, for judges that are no chat model. A reply is one line of JSON: a text,
// {"content", "logprobs": {token: number}}, or the chat protocol's own response.
#pragma once
#include "common/base/log.h"
#include "common/base/options.h"
#include "formats/bytes/json.h"
#include "formats/records/benchmark.h"
#include "formats/records/verdicts.h"

struct verdict { // what a reply says
    bool known;
    double value;  // MT-Bench: the rating; AlpacaEval: the probability that the first is better
    char label[8]; // Arena-Hard: "A>>B"
    char *text;    // the judge's words; NULL: no reply
};

struct judge_request {
    size_t question, part; // part: a turn from 0, or a game (0: the baseline or output_1 first)
    const struct judge_prompt *prompt;
    struct benchmark_text user; // the filled prompt
    struct hash128 key;
    struct verdict verdict;
};

struct protocol_run {
    const char *name, *questions_path, *answers_path, *baseline_path, *prompts_path;
    const char *references_path, *order;
    int64_t retries;
    // the caller's
    const char *command, *verdicts, *output;
    double timeout;
    uint64_t seed;
    struct log *log;
    // internal
    const struct protocol *protocol;
    struct benchmark_questions questions;
    struct benchmark_answers answers, baseline, references;
    struct judge_prompts prompts;
    struct verdicts *log_of_verdicts;
    size_t n, n_pending, *pending, answered;
    struct judge_request *request;
};

struct protocol {
    const char *name;
    bool baseline; // answers are compared with
    int max_tokens;
    bool logprobs;
    // Adds the requests of one question.
    void (*requests)(struct protocol_run *r, size_t question);
    // What the judge's words (v->text) and its tokens' probabilities say; sets v->known.
    void (*read)(struct verdict *v, const struct json *logprobs);
    // Appends what is written of one question; first: its first request, parts of them.
    void (*write)(const struct protocol_run *r, const struct judge_request *first, size_t parts,
                  struct str *to);
};
const struct protocol *protocol_named(const char *name);
// What a judge's line says, in place of *v, whose text is freed. False: not a reply at all.
bool protocol_reply(const struct protocol *p, const char *line, struct verdict *v);
// For .requests: one more, with the places filled; dies where the prompts do not have `prompt`.
void protocol_add(struct protocol_run *r, size_t question, size_t part, const char *prompt,
                  const struct judge_place *places, size_t n);
// The answer to a question; dies, exit 3, where there is none.
const struct benchmark_answer *protocol_answer(const struct benchmark_answers *a,
                                               const struct benchmark_question *q);

void protocol_rows(struct options *o, struct protocol_run *r);
// All of it, from files to files; the table goes to stdout. dry_run: counts alone.
void protocol_main(struct options *o, struct protocol_run *r, bool dry_run, const char *summary);
