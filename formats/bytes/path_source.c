#include "formats/bytes/path_source.h"
#include "common/base/mem.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct path_source {
    size_t n, next;
    const char *const *items;
    bool (*stopped)(void);
    struct str line;
    char buffer[4096]; // of stdin, unread from `at` to `end`
    size_t at, end;
};

struct path_source *path_source_open(size_t n, const char *const *items) {
    struct path_source *s = xcalloc(1, sizeof *s);
    *s = (struct path_source){.n = n, .items = items};
    return s;
}

void path_source_stop(struct path_source *s, bool (*stopped)(void)) {
    s->stopped = stopped;
}

// More of stdin; false: its end, or a stop. A deadline passes without a signal, so poll() needs a
// timeout.
static bool fill(struct path_source *s) {
    enum { MILLISECONDS = 100 };
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    while (s->stopped && poll(&input, 1, MILLISECONDS) <= 0)
        if (s->stopped()) return false;
    ssize_t n;
    do n = read(STDIN_FILENO, s->buffer, sizeof s->buffer);
    while (n < 0 && errno == EINTR);
    s->at = 0;
    s->end = n > 0 ? (size_t)n : 0;
    return n > 0;
}

// The next line of stdin that is not empty, or NULL at its end.
static const char *next_line(struct path_source *s) {
    s->line.length = 0;
    for (bool more = true; more;) {
        more = s->at < s->end || fill(s);
        char c = more ? s->buffer[s->at++] : '\n';
        if (c != '\n' && c != '\r')
            str_add(&s->line, &c, 1);
        else if (s->line.length && !(s->stopped && s->stopped()))
            return s->line.text;
    }
    return NULL;
}

const char *path_source_next(struct path_source *s) {
    while (s->next < s->n) {
        if (strcmp(s->items[s->next], "-") != 0) return s->items[s->next++];
        const char *line = next_line(s);
        if (line) return line;
        s->next++;
    }
    return NULL;
}

void path_source_close(struct path_source *s) {
    if (!s) return;
    str_release(&s->line);
    free(s);
}
