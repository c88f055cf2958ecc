// The log of a judge's verdicts, JSONL: {"judge": COMMAND} where a command begins to answer, and
// {"key": HASH, "preference": P} for each question (a judge of a benchmark: "reply", its own
// words), written as it is answered. A log replays without the judge; one that was cut short, in
// the middle of a line even, is continued. The key is XXH3-128 of a prompt and both responses in
// the order in which they were shown.
#pragma once
#include "common/base/fail.h"
#include "formats/store/artefact.h"
#include "formats/records/responses.h"

struct hash128 verdicts_key(const struct response_text *a, const struct response_text *b);

struct verdicts;
// path NULL: kept in memory alone. A file that is not there yet is made at the first verdict. judge
// NULL: none. NULL with f set: a line (named) is no verdict.
struct verdicts *verdicts_open(const char *path, const char *judge, struct fail *f);
// NaN: not known (yet).
double verdicts_find(const struct verdicts *v, struct hash128 key);
// True the first time a key is met that has no verdict: this is the one to ask for.
bool verdicts_claim(struct verdicts *v, struct hash128 key);
// A claimed key's answer; in the log when this returns.
bool verdicts_add(struct verdicts *v, struct hash128 key, double preference, struct fail *f);
// The same for a judge that answers in JSON (`reply`: one line of it): what it said last, NULL: not
// known.
const char *verdicts_reply(const struct verdicts *v, struct hash128 key);
bool verdicts_add_reply(struct verdicts *v, struct hash128 key, const char *reply, struct fail *f);
// The command that gave the last verdicts of the log, if another than `judge`; NULL: the same.
const char *verdicts_other_judge(const struct verdicts *v);
void verdicts_close(struct verdicts *v);
