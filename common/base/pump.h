// Questions to another program and its answers: `sh -c COMMAND` reads one line per question on
// stdin and prints one line an answer on stdout, in the same order, at its own pace: at once, in
// bursts, or all of them after the end of its input. Neither side waits for the other (poll), so
// nothing locks up however much is buffered. Its stderr is ours.
//
// Failures name the command: EXIT_FAILED where it cannot start, dies, or exits with a status;
// EXIT_BADDATA where it prints too few or too many lines, or a line the caller refuses. The program
// is ended in that case, and what it has answered so far was handed over.
#pragma once
#include "common/base/fail.h"
#include "common/base/mem.h"
#include <stddef.h>

enum {
    PUMP_LINE = 1 << 20,
    PUMP_EXCERPT = 48
}; // longest answer in bytes; PUMP_EXCERPT: of one in a message

struct pump {
    const char *name, *command; // name: what it is in messages, "judge"
    size_t questions;           // at least 1
    double timeout;             // longest silence in seconds, 0: no limit
    void *self;
    void (*ask)(void *self, size_t i, struct str *line); // appends the line, with its end
    // line: NUL-terminated, without its end. False with f set: refused
    bool (*answer)(void *self, size_t i, const char *line, struct fail *f);
};
bool pump_run(const struct pump *p, struct fail *f);

// Answers that are one finite number, blanks around it allowed.
bool pump_number(const char *line, double *value);
// The beginning of an answer, printable, to quote it.
void pump_excerpt(const char *line, char excerpt[PUMP_EXCERPT]);
