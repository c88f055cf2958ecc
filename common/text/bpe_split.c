#include "common/text/bpe_split.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct text_range {
    size_t start, end;
    bool match;
};
struct text_ranges {
    struct text_range *range;
    size_t n, capacity;
};

struct text_step *text_steps_add(struct text_steps *s, enum text_kind kind) {
    grow(&s->step, &s->capacity, s->n + 1, sizeof *s->step);
    struct text_step *step = &s->step[s->n++];
    *step = (struct text_step){.kind = kind};
    return step;
}

struct text_step *text_steps_add_gpt2(struct text_steps *s) {
    static const char pattern[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+"
                                  "| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
    char why[200];
    struct text_step *step = text_steps_add(s, TEXT_SPLIT);
    step->regex = regex_new(pattern, sizeof pattern - 1, why, sizeof why);
    assert(step->regex);
    return step;
}

void text_steps_release(struct text_steps *s) {
    for (size_t i = 0; i < s->n; i++) {
        regex_free(s->step[i].regex);
        str_release(&s->step[i].content);
    }
    free(s->step);
    *s = (struct text_steps){0};
}

void text_work_init(struct text_work *w, size_t steps) {
    w->regex = regex_work_new();
    w->n = steps;
    w->buffer = xcalloc(steps, sizeof *w->buffer);
    w->range = xcalloc(steps, sizeof *w->range);
}

void text_work_release(struct text_work *w) {
    regex_work_free(w->regex);
    for (size_t i = 0; i < w->n; i++) {
        str_release(&w->buffer[i]);
        free(w->range[i].range);
    }
    free(w->buffer);
    free(w->range);
}

void text_replace(const struct regex *r, struct regex_work *w, const char *text, size_t n,
                  const struct str *content, struct str *out) {
    size_t done = 0, from = 0, start, end;
    while (regex_find(r, w, text, n, from, &start, &end)) {
        if (start == end) { // an empty match replaces nothing
            uint32_t c;
            if (start == n) break;
            from = start + unicode_next(text + start, n - start, &c);
            continue;
        }
        str_add(out, text + done, start - done);
        str_add(out, content->text, content->length);
        done = from = end;
    }
    str_add(out, text + done, n - done);
}

static void strip(const struct text_step *step, const char *text, size_t n, struct str *out) {
    size_t start = 0, end = n, length;
    uint32_t c;
    while (step->left && start < n) {
        length = unicode_next(text + start, n - start, &c);
        if (!unicode_is_space(c)) break;
        start += length;
    }
    while (step->right && end > start) {
        size_t at = end - 1;
        while (at > start && ((unsigned char)text[at] & 0xc0) == 0x80) at--;
        unicode_next(text + at, end - at, &c);
        if (!unicode_is_space(c)) break;
        end = at;
    }
    str_add(out, text + start, end - start);
}

static bool begins(const char *text, size_t n, const struct str *with) {
    return n >= with->length && !memcmp(text, with->text, with->length);
}

// Runs a step that gives one text, into out; false where it leaves the text as it is.
static bool change(const struct text_step *step, struct text_work *w, const char *text, size_t n,
                   bool may_prefix, struct str *out) {
    out->length = 0;
    switch (step->kind) {
    case TEXT_FORM:
        unicode_normalise(text, n, step->form, out);
        break;
    case TEXT_LOWER:
        unicode_lower(text, n, out);
        break;
    case TEXT_REPLACE:
        text_replace(step->regex, w->regex, text, n, &step->content, out);
        break;
    case TEXT_STRIP:
        strip(step, text, n, out);
        break;
    case TEXT_PREFIX:
        if (!n || !may_prefix || (step->unless_there && begins(text, n, &step->content)))
            return false;
        str_add(out, step->content.text, step->content.length);
        str_add(out, text, n);
        break;
    case TEXT_SPLIT:
        return false;
    }
    return true;
}

const char *text_normalise(const struct text_steps *s, struct text_work *w, const char *text,
                           size_t n, bool continued, size_t *length) {
    for (size_t i = 0; i < s->n && n; i++) {
        struct str *out = &w->buffer[i];
        if (!change(&s->step[i], w, text, n, !continued, out)) continue;
        text = out->text;
        n = out->length;
    }
    *length = n;
    return text;
}

struct split { // what the recursion over the steps carries along
    const struct text_steps *steps;
    struct text_work *work;
    void (*piece)(void *self, const char *text, size_t n);
    void *self;
};

static void run(const struct split *s, size_t i, const char *text, size_t n, bool first);

// Calls found() for the matches and what lies between them, in order.
static void each_range(const struct split *s, size_t i, const char *text, size_t n, void *to,
                       void (*found)(void *to, size_t start, size_t end, bool match)) {
    const struct text_step *step = &s->steps->step[i];
    size_t done = 0, from = 0, start, end;
    while (done < n && regex_find(step->regex, s->work->regex, text, n, from, &start, &end)) {
        uint32_t c;
        if (start == end) {
            if (start == n) break;
            from = start + unicode_next(text + start, n - start, &c);
        } else {
            from = end;
        }
        if (start > done) found(to, done, start, step->invert);
        if (end > start) found(to, start, end, !step->invert);
        done = end;
    }
    if (done < n) found(to, done, n, step->invert);
}

static void add_range(void *to, size_t start, size_t end, bool match) {
    struct text_ranges *r = to;
    grow(&r->range, &r->capacity, r->n + 1, sizeof *r->range);
    r->range[r->n++] = (struct text_range){start, end, match};
}

// Joins each match to a neighbour, or runs of the same kind. The ranges keep their order.
static void join_ranges(struct text_ranges *r, enum text_behaviour behaviour) {
    bool backwards = behaviour == SPLIT_NEXT, previous = false;
    size_t n = 0;
    for (size_t k = 0; k < r->n; k++) { // the result grows from the end that is walked first
        size_t from = backwards ? r->n - 1 - k : k, last = backwards ? r->n - n : n - 1;
        struct text_range x = r->range[from];
        bool joins = behaviour == SPLIT_CONTIGUOUS ? x.match == previous : x.match && !previous;
        previous = x.match;
        if (joins && n) {
            if (backwards)
                r->range[last].start = x.start;
            else
                r->range[last].end = x.end;
        } else {
            n++;
            r->range[backwards ? r->n - n : n - 1] = x;
        }
    }
    if (backwards) memmove(r->range, r->range + (r->n - n), n * sizeof *r->range);
    r->n = n;
}

struct isolated {
    const struct split *split;
    size_t next;
    const char *text;
    bool first, removed;
};

static void isolated_range(void *to, size_t start, size_t end, bool match) {
    const struct isolated *x = to;
    if (match && x->removed) return;
    run(x->split, x->next, x->text + start, end - start, x->first && start == 0);
}

static void cut(const struct split *s, size_t i, const char *text, size_t n, bool first) {
    enum text_behaviour behaviour = s->steps->step[i].behaviour;
    if (behaviour == SPLIT_ISOLATED || behaviour == SPLIT_REMOVED) {
        struct isolated x = {s, i + 1, text, first, behaviour == SPLIT_REMOVED};
        each_range(s, i, text, n, &x, isolated_range);
        return;
    }
    struct text_ranges *r = &s->work->range[i];
    r->n = 0;
    each_range(s, i, text, n, r, add_range);
    join_ranges(r, behaviour);
    for (size_t k = 0; k < r->n; k++) {
        struct text_range x = r->range[k];
        run(s, i + 1, text + x.start, x.end - x.start, first && x.start == 0);
    }
}

static void run(const struct split *s, size_t i, const char *text, size_t n, bool first) {
    for (; n && i < s->steps->n; i++) {
        const struct text_step *step = &s->steps->step[i];
        if (step->kind == TEXT_SPLIT) {
            cut(s, i, text, n, first);
            return;
        }
        struct str *out = &s->work->buffer[i];
        if (!change(step, s->work, text, n, !step->first_only || first, out)) continue;
        text = out->text;
        n = out->length;
    }
    if (n) s->piece(s->self, text, n);
}

void text_split(const struct text_steps *s, struct text_work *w, const char *text, size_t n,
                bool first, void (*piece)(void *self, const char *text, size_t n), void *self) {
    struct split split = {s, w, piece, self};
    run(&split, 0, text, n, first);
}
