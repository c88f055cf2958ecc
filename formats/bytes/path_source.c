#include "formats/bytes/path_source.h"
#include "common/base/mem.h"
#include "common/base/stop.h"
#include "formats/bytes/input.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct path_source {
    size_t n, next;
    const char *const *items;
    struct str line;
    char buffer[4096]; // of stdin, unread from `at` to `end`
    size_t at, end;
    struct fail *fail;
};

struct path_source *path_source_open(size_t n, const char *const *items, struct fail *f) {
    struct path_source *s = xcalloc(1, sizeof *s);
    *s = (struct path_source){.n = n, .items = items, .fail = f};
    return s;
}

// More of stdin; false: its end, or a failure.
static bool fill(struct path_source *s) {
    ssize_t n = input_read(STDIN_FILENO, "-", s->buffer, sizeof s->buffer, s->fail);
    if (n <= 0 && stop_requested())
        fail_set(s->fail, EXIT_STOPPED,
                 "stopped while it waited for paths on stdin; run the same command again");
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
        else if (s->line.length && !s->fail->code)
            return s->line.text;
    }
    return NULL;
}

const char *path_source_next(struct path_source *s) {
    while (s->next < s->n && !s->fail->code) {
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
