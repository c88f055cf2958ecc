// What people and plots see of a run: notes and a progress line on stderr, metrics in a file.
// stdout is for results alone: print_result() writes one path or row per line and dies (exit 1, one
// line) if stdout is closed or full; where its reader is gone (`| head`) the program ends silently,
// exit 141, as a program that is killed by SIGPIPE.
#pragma once
#include "common/base/metrics.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct log; // verbosity, progress state

// progress: auto (a line that is redrawn where stderr is a terminal, a plain line now and then
// otherwise), always, never.
struct log *log_open(const char *progress, bool quiet, bool verbose);
void log_note(struct log *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_detail(struct log *l, const char *format, ...) // -v only
    __attribute__((format(printf, 2, 3)));
// done of total units of work ("step", "row"); total 0: not known. numbers: what else is worth
// seeing ("loss 0.61"), NULL: the rate. Time that went and is left is made here; the line is cut to
// the terminal's width.
void log_progress(struct log *l, const char *what, uint64_t done, uint64_t total,
                  const char *numbers);
void log_time(double seconds, char text[32]); // "1m02s"
void log_end_progress(struct log *l);         // after a last line
void log_drop_progress(struct log *l);        // without one: the caller says how it ended
// Takes the redrawn line away until it is drawn again: before anything else that may go to the
// terminal, a result or a warning.
void log_clear(struct log *l);
void log_close(struct log *l);

// Ignores SIGPIPE (a closed pipe is then an error of the write) and fills closed standard file
// descriptors, so that no output file is ever opened as stdout. options_parse() calls it.
void guard_streams(void);
void print_result(const char *format, ...) __attribute__((format(printf, 1, 2)));
void finish_stdout(void); // flush and check; call before leaving main with success
