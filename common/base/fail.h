// Failure: exit codes, messages, and the error that sticks.
//
// Three cases, three idioms. A bug: assert. Bad input or I/O in a library: fail_set() on the
// handle's `struct fail`; the first failure stays, later calls on that handle do nothing. Cannot go
// on, in a stage: die(). Messages are lower case, the error first, the subject in single quotes,
// the way out last; the program's name is put in front here.
#pragma once
#include <stdbool.h>

enum exit_code {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_BADDATA = 3,
    EXIT_STOPPED = 75, // stopped after saving: run the same command again
    EXIT_PIPE = 141,   // the reader of stdout is gone, as the shell says of SIGPIPE (128 + 13)
};

struct fail { // zero: no failure
    int code; // an enum exit_code
    char text[600];
};

// Keeps the first failure only. Always returns false, so that `return fail_set(...)` reads well.
bool fail_set(struct fail *f, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// Copies `from` to `to` unless `to` already holds one; returns whether `to` is fine.
bool fail_pass(struct fail *to, const struct fail *from);

// The exit code of a system error met while opening or reading an input: EXIT_BADDATA where the
// path is at fault (it is missing, is of another kind, may not be read), EXIT_FAILED where the
// machine is (EIO, ESTALE, ENOMEM, EMFILE, ENOSPC ...): the input may be fine, and nothing is to be
// made again.
int fail_code_of(int error);

// "program: message" on stderr, then exit(code).
_Noreturn void die(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
// die() with what sticks to f, if anything does.
void die_if(const struct fail *f);
// "program: warning: message"
void warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

// How a process speaks that is one of several (common/base/ranks.h). `who` stands in front of what
// die() says; `before` is called first, `end` in place of exit. The text is copied.
struct fail_voice {
    bool warns; // false: warn() says nothing
    const char *who;
    void (*before)(void);
    void (*end)(int code);
};
void fail_voice(const struct fail_voice *v);
bool fail_is_alone(void); // fail_voice was not called
