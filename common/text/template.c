#include "common/text/template.h"
#include "common/text/template_find.h"
#include "common/base/unicode.h"
#include <stdlib.h>
#include <string.h>

struct slice {
    const char *text;
    size_t n;
};

struct render { // one call of template_render
    const struct template_style *s;
    const struct template_message *m;
    size_t n;
    const struct template_options *o;
    struct template_text *x;
    struct fail *f;
    const char *bos, *eos;
};

void template_text_release(struct template_text *x) {
    str_release(&x->text);
    free(x->part);
    *x = (struct template_text){0};
}

static struct slice whole(const char *text) {
    return (struct slice){text, strlen(text)};
}

static void add(struct render *r, struct slice s, bool assistant, bool token) {
    struct template_text *x = r->x;
    if (!s.n) return;
    size_t start = x->text.length;
    str_add(&x->text, s.text, s.n);
    struct template_part *last = x->n ? &x->part[x->n - 1] : NULL;
    if (last && !token && !last->token && last->assistant == assistant) {
        last->end = x->text.length;
        return;
    }
    grow(&x->part, &x->capacity, x->n + 1, sizeof *x->part);
    x->part[x->n++] = (struct template_part){start, x->text.length, assistant, token};
}

static void put(struct render *r, const char *text) {
    add(r, whole(text), false, false);
}

static void put_bos(struct render *r) {
    if (!r->x->text.length) r->x->has_bos = true;
    add(r, whole(r->bos), false, true);
}

// White space as Python's str.strip sees it.
static bool blank(uint32_t c) {
    return unicode_is_space(c) || (c >= 0x1c && c <= 0x1f);
}

static struct slice trim(const char *text) {
    struct slice s = whole(text);
    uint32_t c;
    for (size_t k; s.n && (k = unicode_next(s.text, s.n, &c), blank(c)); s.n -= k) s.text += k;
    while (s.n) {
        size_t at = s.n - 1;
        while (at && ((unsigned char)s.text[at] & 0xc0) == 0x80) at--;
        unicode_next(s.text + at, s.n - at, &c);
        if (!blank(c)) break;
        s.n = at;
    }
    return s;
}

static struct slice strip_newlines(struct slice s, bool left, bool right) {
    for (; left && s.n && s.text[0] == '\n'; s.n--) s.text++;
    while (right && s.n && s.text[s.n - 1] == '\n') s.n--;
    return s;
}

static bool is(const struct template_message *m, const char *role) {
    return !strcmp(m->role, role);
}

static void open_turn(struct render *r, const char *role) {
    put(r, r->s->open);
    put(r, role);
    put(r, r->s->close);
}

static void close_turn(struct render *r, bool assistant) {
    add(r, whole(r->s->end ? r->s->end : r->eos), assistant, true);
    put(r, r->s->gap);
}

static void turn(struct render *r, const char *role, const char *content) {
    bool assistant = !strcmp(role, "assistant");
    open_turn(r, role);
    add(r, r->s->trim ? trim(content) : whole(content), assistant, false);
    close_turn(r, assistant);
}

void template_turns(struct render *r) {
    if (r->bos) put_bos(r);
    if (r->s->system && !(r->n && is(&r->m[0], "system"))) turn(r, "system", r->s->system);
    for (size_t i = 0; i < r->n; i++) turn(r, r->m[i].role, r->m[i].content);
    if (r->o->generation_prompt) open_turn(r, "assistant");
}

// The system turn is always there and begins with two dates.
void template_dated(struct render *r) {
    size_t first = r->n && is(&r->m[0], "system");
    put_bos(r);
    open_turn(r, "system");
    put(r, "Cutting Knowledge Date: December 2023\nToday Date: ");
    put(r, r->o->date ? r->o->date : "26 Jul 2024");
    put(r, "\n\n");
    if (first) add(r, trim(r->m[0].content), false, false);
    close_turn(r, false);
    for (size_t i = first; i < r->n; i++) turn(r, r->m[i].role, r->m[i].content);
    if (r->o->generation_prompt) open_turn(r, "assistant");
}

// Where `mark` stands in s: the first or the last place; NULL: nowhere.
static const char *find(struct slice s, const char *mark, bool last) {
    const char *found = NULL;
    size_t n = strlen(mark);
    for (const char *p = s.text; (p = memmem(p, s.n - (size_t)(p - s.text), mark, n)); p += n) {
        found = p;
        if (!last) break;
    }
    return found;
}

// "<think>thought</think>answer" -> thought and answer, as Qwen3's template takes them apart.
static struct slice take_thought(struct slice *content) {
    const char *first = find(*content, "</think>", false), *last = find(*content, "</think>", true);
    if (!first) return (struct slice){0};
    struct slice thought = {content->text, (size_t)(first - content->text)};
    const char *open = find(thought, "<think>", true);
    if (open) {
        open += strlen("<think>");
        thought = (struct slice){open, (size_t)(first - open)};
    }
    const char *after = last + strlen("</think>");
    *content = (struct slice){after, content->n - (size_t)(after - content->text)};
    *content = strip_newlines(*content, true, false);
    return strip_newlines(thought, true, true);
}

// Thoughts before the last question are dropped; the last answer has one, if only an empty one.
// That is the prompt's then: the answer begins behind it.
void template_thinking(struct render *r) {
    size_t question = r->n ? r->n - 1 : 0;
    for (size_t i = 0; i < r->n; i++)
        if (is(&r->m[i], "user")) question = i;
    for (size_t i = 0; i < r->n; i++) {
        if (!is(&r->m[i], "assistant")) {
            turn(r, r->m[i].role, r->m[i].content);
            continue;
        }
        struct slice content = whole(r->m[i].content), thought = take_thought(&content);
        open_turn(r, "assistant");
        if (i > question && (i + 1 == r->n || thought.n)) {
            bool own = thought.n > 0;
            add(r, whole("<think>\n"), own, false);
            add(r, thought, own, false);
            add(r, whole("\n</think>\n\n"), own, false);
            content = strip_newlines(content, true, false);
        }
        add(r, content, true, false);
        close_turn(r, true);
    }
    if (!r->o->generation_prompt) return;
    open_turn(r, "assistant");
    if (r->o->no_think) put(r, "<think>\n\n</think>\n\n");
}

// Whether the messages from `first` on are user, assistant, user ...
static bool alternate(struct render *r, size_t first) {
    for (size_t i = first; i < r->n; i++)
        if (!is(&r->m[i], (i - first) % 2 ? "assistant" : "user"))
            return fail_set(
                r->f, EXIT_BADDATA,
                "roles must alternate user, assistant for template '%s': message %zu is "
                "'%.40s'; drop the row or choose another template",
                r->s->name, i + 1, r->m[i].role);
    return true;
}

// [INST] ... [/INST]; each exchange of Llama 2 begins with BOS.
void template_llama2(struct render *r) {
    size_t first = r->n && is(&r->m[0], "system");
    if (!alternate(r, first)) return;
    for (size_t i = first; i < r->n; i++) {
        if (is(&r->m[i], "assistant")) {
            add(r, whole(" "), true, false);
            add(r, trim(r->m[i].content), true, false);
            add(r, whole(" "), true, false);
            add(r, whole(r->eos), true, true);
            continue;
        }
        struct str content = {0};
        if (first && i == first) str_printf(&content, "<<SYS>>\n%s\n<</SYS>>\n\n", r->m[0].content);
        str_puts(&content, r->m[i].content);
        put_bos(r);
        put(r, "[INST] ");
        add(r, trim(content.text), false, false);
        put(r, " [/INST]");
        str_release(&content);
    }
}

// The system text goes in front of the first question or the last (Jinja's: only if nothing follows
// it; here always, so that a prompt is the same with its answer and without). The blank behind
// [/INST] is the answer's, since there is no generation prompt.
void template_mistral(struct render *r) {
    size_t first = r->n && is(&r->m[0], "system"), with_system = first;
    if (!alternate(r, first)) return;
    if (r->s->system_last)
        for (size_t i = first; i < r->n; i++)
            if (is(&r->m[i], "user")) with_system = i;
    put_bos(r);
    for (size_t i = first; i < r->n; i++) {
        if (is(&r->m[i], "assistant")) {
            add(r, whole(r->s->gap), true, false);
            add(r, r->s->trim ? trim(r->m[i].content) : whole(r->m[i].content), true, false);
            add(r, whole(r->eos), true, true);
            continue;
        }
        put(r, r->s->open);
        if (first && i == with_system) {
            put(r, r->m[0].content);
            put(r, "\n\n");
        }
        put(r, r->m[i].content);
        put(r, r->s->close);
    }
}

void template_alpaca(struct render *r) {
    static const char plain[] = "Below is an instruction that describes a task. Write a response "
                                "that appropriately completes the request.";
    static const char with_input[] =
        "Below is an instruction that describes a task, paired with an input that provides further "
        "context. Write a response that appropriately completes the request.";
    size_t first = r->n && is(&r->m[0], "system");
    bool input = r->n > first + 1 && is(&r->m[first + 1], "input");
    put(r, first ? r->m[0].content : input ? with_input : plain);
    for (size_t i = first; i < r->n; i++) {
        if (is(&r->m[i], "assistant")) {
            put(r, "\n\n### Response:\n");
            add(r, whole(r->m[i].content), true, false);
            add(r, whole(r->eos), true, true);
        } else {
            put(r, is(&r->m[i], "input") ? "\n\n### Input:\n" : "\n\n### Instruction:\n");
            put(r, r->m[i].content);
        }
    }
    if (r->o->generation_prompt) put(r, "\n\n### Response:\n");
}

// The blank behind "Assistant:" is the answer's, as in Anthropic's data.
void template_hh(struct render *r) {
    for (size_t i = 0; i < r->n; i++) {
        if (is(&r->m[i], "assistant")) {
            put(r, "\n\nAssistant:");
            add(r, whole(" "), true, false);
            add(r, whole(r->m[i].content), true, false);
            add(r, whole(r->eos), true, true);
        } else {
            put(r, is(&r->m[i], "user") ? "\n\nHuman: " : r->x->n ? "\n\n" : "");
            put(r, r->m[i].content);
        }
    }
    if (r->o->generation_prompt) put(r, "\n\nAssistant:");
}

void template_none(struct render *r) {
    for (size_t i = 0; i < r->n; i++) {
        bool assistant = is(&r->m[i], "assistant");
        add(r, whole(r->m[i].content), assistant, false);
        if (assistant) add(r, whole(r->eos), true, true);
    }
}

static bool check_roles(struct render *r) {
    for (size_t i = 0; i < r->n; i++) {
        const struct template_message *m = &r->m[i];
        bool input = is(m, "input") && r->s->render == template_alpaca;
        if (!input && !is(m, "user") && !is(m, "assistant") && !is(m, "system"))
            return fail_set(
                r->f, EXIT_BADDATA,
                "unsupported role '%.40s' in message %zu for template '%s'; use system, "
                "user, assistant",
                m->role, i + 1, r->s->name);
        if (i && is(m, "system"))
            return fail_set(r->f, EXIT_BADDATA,
                            "system message is not the first: message %zu for template '%s'; drop "
                            "the row",
                            i + 1, r->s->name);
    }
    return true;
}

bool template_render(const char *name, const struct template_message *m, size_t n,
                     const struct template_options *o, struct template_text *x, struct fail *f) {
    const struct template_style *s = template_find(name);
    x->text.length = x->n = 0;
    x->has_bos = false;
    str_puts(&x->text, "");
    if (!s)
        return fail_set(f, EXIT_USAGE, "unknown template '%.60s'; choose one of %s", name,
                        template_choices());
    const char *eos = o->eos ? o->eos : s->eos, *bos = s->bos && o->bos ? o->bos : s->bos;
    if (!s->end && !eos)
        return fail_set(f, EXIT_USAGE,
                        "no end-of-sequence token to end turns with in template '%s'; name one",
                        s->name);
    struct render r = {s, m, n, o, x, f, bos, eos};
    if (!check_roles(&r)) return false;
    s->render(&r);
    return !f->code;
}

static bool add_token(const struct tokenizer *t, const char *text, size_t n, struct ids *ids,
                      struct fail *f) {
    char *copy = xasprintf("%.*s", (int)n, text);
    int32_t id = tokenizer_id(t, copy);
    if (id < 0)
        fail_set(f, EXIT_USAGE,
                 "template's token is not in the tokenizer: '%.60s'; choose another template",
                 copy);
    else {
        grow(&ids->id, &ids->capacity, ids->n + 1, sizeof *ids->id);
        ids->id[ids->n++] = id;
    }
    free(copy);
    return id >= 0;
}

bool template_encode(const struct tokenizer *t, const struct template_text *x, struct ids *ids,
                     struct str *mask, struct fail *f) {
    size_t masked = ids->n;
    bool after_token = false;
    if (!x->has_bos) { // the tokenizer's own, if it has one
        const struct ids *before, *after;
        tokenizer_surround(t, &before, &after);
        for (size_t i = 0; i < before->n; i++) {
            grow(&ids->id, &ids->capacity, ids->n + 1, sizeof *ids->id);
            ids->id[ids->n++] = before->id[i];
        }
    }
    for (size_t i = 0; i < x->n; i++) {
        const struct template_part *p = &x->part[i];
        const char *text = x->text.text + p->start;
        size_t n = p->end - p->start;
        for (; masked < ids->n; masked++) str_add(mask, "\0", 1);
        if (p->token) {
            if (!add_token(t, text, n, ids, f)) return false;
        } else if (i == 0) {
            tokenizer_encode(t, text, n, false, true, ids);
        } else {
            tokenizer_encode_continued(t, text, n, after_token, true, ids);
        }
        after_token = p->token;
        for (; masked < ids->n; masked++) str_add(mask, p->assistant ? "\1" : "\0", 1);
    }
    return true;
}
