// Files of the public benchmarks, as their own tools read and write them (MT-Bench's FastChat,
// arena-hard-auto v0.1 and v2, alpaca_eval): questions, a model's answers, prompts of a judge.
// All loaders hold a whole file; EXIT_BADDATA names file and line. An id is the question_id or uid
// as text; AlpacaEval has none, there the instruction is the id.
#pragma once
#include "common/base/fail.h"
#include "common/base/mem.h"
#include <stdbool.h>
#include <stddef.h>

enum { BENCHMARK_TURNS = 2 };
enum benchmark { BENCHMARK_MTBENCH, BENCHMARK_ARENA_V01, BENCHMARK_ARENA_V2, BENCHMARK_ALPACA };

struct benchmark_text {
    char *text; // NUL-terminated; NULs inside count; NULL: none
    size_t n;
};
struct benchmark_question {
    size_t line;
    char *id, *category;
    bool id_is_number;
    size_t turns;
    struct benchmark_text turn[BENCHMARK_TURNS];
};
struct benchmark_questions {
    const char *path; // the caller's
    enum benchmark kind;
    size_t n;
    struct benchmark_question *items;
};
bool benchmark_questions_load(struct benchmark_questions *q, const char *path, struct fail *f);
void benchmark_questions_release(struct benchmark_questions *q);

enum { BENCHMARK_COUNTS = 4 }; // tokens, headers, list items, bold texts
struct benchmark_answer {
    char *id;
    size_t turns;
    struct benchmark_text turn[BENCHMARK_TURNS];
    double count[BENCHMARK_COUNTS]; // NaN: the file does not say
};
struct benchmark_answers {
    const char *path; // the caller's
    char *model;
    size_t n;
    struct benchmark_answer *items; // by id, ascending
};
// Answers of one model: choices of turns, messages, or AlpacaEval's outputs.
bool benchmark_answers_load(struct benchmark_answers *a, const char *path, struct fail *f);
// NULL: none of that id.
const struct benchmark_answer *benchmark_answer(const struct benchmark_answers *a, const char *id);
void benchmark_answers_release(struct benchmark_answers *a);

// One answer as a line (an object of an array for AlpacaEval) in the benchmark's own form, with
// tokens (of the last turn) and markdown counts where it has them. response (turns of q).
void benchmark_answer_write(struct str *to, enum benchmark kind, const struct benchmark_question *q,
                            const char *model, const struct benchmark_text *response,
                            size_t tokens);

struct judge_prompt {
    char *name;                         // "" where the file has one prompt without a name
    struct benchmark_text system, user; // user: with {places} to fill
    bool plain;                         // of the text form: all other braces are text
};
struct judge_prompts {
    const char *path;
    size_t n;
    struct judge_prompt *items;
};
// JSON lines or an object with system_prompt and prompt_template (a text, or a list of one), or
// AlpacaEval's text file of <|im_start|>role ... <|im_end|> blocks.
bool judge_prompts_load(struct judge_prompts *p, const char *path, struct fail *f);
const struct judge_prompt *judge_prompt(const struct judge_prompts *p, const char *name);
void judge_prompts_release(struct judge_prompts *p);

struct judge_place {
    const char *name; // in braces in the template
    struct benchmark_text value;
};
// Appends the template with its places filled, as Python's str.format does ("{{" and "}}" are
// braces), or in a plain one by replacing. False with f set: a place that has no value.
bool judge_prompt_fill(struct str *to, const struct judge_prompt *p,
                       const struct judge_place *places, size_t n, struct fail *f);
