#include "formats/records/verdicts.h"
#include "common/base/jsonout.h"
#include "common/base/path.h"
#include "formats/bytes/json.h"
#include "formats/bytes/slurp.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct verdict {
    struct hash128 key;
    double preference; // NaN: claimed, not answered, or answered by a reply
    char *reply;       // one line of JSON; NULL: none
    bool used;
};

struct verdicts {
    const char *path, *judge;
    char *last_judge;      // of the log
    struct verdict *table; // open addressing, a power of two
    size_t n, capacity;
    size_t whole;   // bytes of the log that are sound lines
    bool open_line; // the last of them lacks its end
    int fd;         // -1: not open for writing
};

struct hash128 verdicts_key(const struct response_text *a, const struct response_text *b) {
    struct str s = {0};
    str_printf(&s, "%zu %zu %zu ", a->prompt_bytes, a->response_bytes, b->response_bytes);
    str_add(&s, a->prompt, a->prompt_bytes);
    str_add(&s, a->response, a->response_bytes);
    str_add(&s, b->response, b->response_bytes);
    struct hash128 key = hash_bytes(s.text, s.length);
    str_release(&s);
    return key;
}

static struct verdict *slot(const struct verdicts *v, struct hash128 key) {
    size_t at = key.low & (v->capacity - 1);
    while (v->table[at].used && !hash_equal(v->table[at].key, key))
        at = (at + 1) & (v->capacity - 1);
    return &v->table[at];
}

static struct verdict *insert(struct verdicts *v, struct hash128 key) {
    if (2 * (v->n + 1) > v->capacity) {
        struct verdicts old = *v;
        v->capacity = old.capacity ? 2 * old.capacity : 256;
        v->table = xcalloc(v->capacity, sizeof *v->table);
        for (size_t i = 0; i < old.capacity; i++)
            if (old.table[i].used) *slot(v, old.table[i].key) = old.table[i];
        free(old.table);
    }
    struct verdict *s = slot(v, key);
    if (s->used) return s;
    *s = (struct verdict){key, NAN, NULL, true};
    v->n++;
    return s;
}

static bool read_reply(struct verdicts *v, struct hash128 key, const struct json *reply) {
    struct str text = {0};
    if (!reply) return false;
    json_write(&text, reply, 0);
    struct verdict *s = insert(v, key);
    free(s->reply);
    s->reply = text.text;
    return true;
}

// One line; false: no verdict.
static bool read_line(struct verdicts *v, const struct json *line) {
    const char *judge = json_text(json_get(line, "judge"), NULL);
    if (judge) {
        free(v->last_judge);
        v->last_judge = xstrdup(judge);
        return true;
    }
    size_t n = 0;
    const struct json *p = json_get(line, "preference");
    const char *key = json_text(json_get(line, "key"), &n);
    struct hash128 hash;
    if (n != 32 || !hash_parse(key, &hash)) return false;
    if (json_type(p) != JSON_NUMBER) return read_reply(v, hash, json_get(line, "reply"));
    double preference = json_number(p);
    if (!(preference >= 0 && preference <= 1)) return false;
    insert(v, hash)->preference = preference;
    return true;
}

static void read_log(struct verdicts *v, const char *text, size_t n, struct fail *f) {
    size_t line = 1;
    for (size_t at = 0; at < n; line++) {
        const char *end = memchr(text + at, '\n', n - at);
        size_t length = end ? (size_t)(end - text) - at : n - at;
        struct fail bad = {0};
        struct json *j = length ? json_parse_at(text + at, length, v->path, line, &bad) : NULL;
        bool good = !length || (j && read_line(v, j));
        json_free(j);
        if (!good && end) {
            fail_set(f, EXIT_BADDATA,
                     "'%s' line %zu is no verdict; fix or remove the log to ask the judge again",
                     v->path, line);
            return;
        }
        if (!good) return; // the end of a run that was killed
        at += length + (end != NULL);
        v->whole = at;
        v->open_line = !end;
    }
}

struct verdicts *verdicts_open(const char *path, const char *judge, struct fail *f) {
    struct verdicts *v = xcalloc(1, sizeof *v);
    v->path = path;
    v->judge = judge;
    v->fd = -1;
    size_t n = 0;
    if (path) path_may_write(path, f); // before it is read: a FIFO would be waited for
    char *text = path && !f->code ? slurp_optional(path, JSON_BYTES, &n, f) : NULL;
    if (text) read_log(v, text, n, f);
    free(text);
    if (!f->code) return v;
    verdicts_close(v);
    return NULL;
}

double verdicts_find(const struct verdicts *v, struct hash128 key) {
    const struct verdict *s = v->n ? slot(v, key) : NULL;
    return s && s->used ? s->preference : NAN;
}

const char *verdicts_reply(const struct verdicts *v, struct hash128 key) {
    const struct verdict *s = v->n ? slot(v, key) : NULL;
    return s && s->used ? s->reply : NULL;
}

bool verdicts_claim(struct verdicts *v, struct hash128 key) {
    size_t before = v->n;
    insert(v, key);
    return v->n > before;
}

static bool append(struct verdicts *v, const struct str *s, struct fail *f) {
    for (size_t at = 0; at < s->length;) {
        ssize_t n = write(v->fd, s->text + at, s->length - at);
        if (n < 0 && errno != EINTR)
            return fail_set(f, EXIT_FAILED, "cannot write '%s': %s", v->path, strerror(errno));
        if (n > 0) at += (size_t)n;
    }
    return true;
}

static bool open_log(struct verdicts *v, struct fail *f) {
    v->fd = open(v->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (v->fd < 0 || ftruncate(v->fd, (off_t)v->whole))
        return fail_set(f, EXIT_FAILED, "cannot write '%s': %s", v->path, strerror(errno));
    struct str s = {0};
    if (v->open_line) str_puts(&s, "\n");
    if (v->judge && (!v->last_judge || verdicts_other_judge(v))) {
        str_puts(&s, "{\"judge\": ");
        jsonout_text(&s, v->judge);
        str_puts(&s, "}\n");
    }
    bool ok = append(v, &s, f);
    str_release(&s);
    return ok;
}

// A line of the log: the key and one more member.
static bool add_line(struct verdicts *v, struct hash128 key, const char *name, const char *value,
                     struct fail *f) {
    if (!v->path) return true;
    if (v->fd < 0 && !open_log(v, f)) return false;
    char text[33];
    struct str s = {0};
    hash_text(key, text);
    str_printf(&s, "{\"key\": \"%s\", \"%s\": %s}\n", text, name, value);
    bool ok = append(v, &s, f);
    str_release(&s);
    return ok;
}

bool verdicts_add(struct verdicts *v, struct hash128 key, double preference, struct fail *f) {
    struct str s = {0};
    insert(v, key)->preference = preference;
    jsonout_number(&s, preference);
    bool ok = add_line(v, key, "preference", s.text, f);
    str_release(&s);
    return ok;
}

bool verdicts_add_reply(struct verdicts *v, struct hash128 key, const char *reply, struct fail *f) {
    struct verdict *s = insert(v, key);
    free(s->reply);
    s->reply = xstrdup(reply);
    return add_line(v, key, "reply", reply, f);
}

const char *verdicts_other_judge(const struct verdicts *v) {
    bool other = v->judge && v->last_judge && strcmp(v->judge, v->last_judge);
    return other ? v->last_judge : NULL;
}

void verdicts_close(struct verdicts *v) {
    if (!v) return;
    if (v->fd >= 0) close(v->fd);
    for (size_t i = 0; i < v->capacity; i++) free(v->table[i].reply);
    free(v->table);
    free(v->last_judge);
    free(v);
}
