#include "common/base/fail.h"
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct fail_voice voice = {.warns = true}; // of the process
static char voice_who[128];

// Names from foreign files may hold line breaks or terminal codes; a message is one line.
static void one_line(char *text) {
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = '?';
}

bool fail_set(struct fail *f, int code, const char *format, ...) {
    if (f->code) return false;
    f->code = code;
    va_list args;
    va_start(args, format);
    vsnprintf(f->text, sizeof f->text, format, args);
    one_line(f->text);
    va_end(args);
    return false;
}

bool fail_pass(struct fail *to, const struct fail *from) {
    if (!to->code && from->code) *to = *from;
    return !to->code;
}

int fail_code_of(int error) {
    static const int of_path[] = {ENOENT, ENOTDIR, EISDIR, EACCES,       EPERM,  ELOOP,
                                  ENXIO,  ENODEV,  EINVAL, ENAMETOOLONG, ESPIPE, EOVERFLOW};
    for (size_t i = 0; i < sizeof of_path / sizeof *of_path; i++)
        if (error == of_path[i]) return EXIT_BADDATA;
    return EXIT_FAILED;
}

static void say(const char *kind, const char *format, va_list args) {
    char text[2048];
    vsnprintf(text, sizeof text, format, args);
    one_line(text);
    bool terminal = isatty(STDERR_FILENO), colour = terminal && *kind && !getenv("NO_COLOR");
    if (terminal) fputs("\r\033[K", stderr); // a progress line may stand there
    fprintf(stderr, "%s: %s%s%s%s%s\n", program_invocation_short_name, voice_who,
            colour ? "\033[33m" : "", kind, text, colour ? "\033[0m" : "");
}

void die(int code, const char *format, ...) {
    // Of threads that cannot go on at once the first one speaks and ends the program.
    static pthread_mutex_t first = PTHREAD_MUTEX_INITIALIZER;
    va_list args;
    pthread_mutex_lock(&first);
    if (voice.before) voice.before();
    va_start(args, format);
    say("", format, args);
    va_end(args);
    if (voice.end) voice.end(code);
    exit(code);
}

void die_if(const struct fail *f) {
    if (f->code) die(f->code, "%s", f->text);
}

void warn(const char *format, ...) {
    va_list args;
    if (!voice.warns) return;
    va_start(args, format);
    say("warning: ", format, args);
    va_end(args);
}

void fail_voice(const struct fail_voice *v) {
    voice = *v;
    snprintf(voice_who, sizeof voice_who, "%s", v->who);
}

bool fail_is_alone(void) {
    return !voice.end;
}
