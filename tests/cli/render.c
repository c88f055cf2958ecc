// Renders templates for comparison with other interpreters: each line of stdin is an object
// {"template": SOURCE, "variables": {...}} (without variables: those of the line before; "file": a
// template in the folder of --folder DIR instead of the source), each line of stdout the rendered
// text as JSON or {"error": MESSAGE}.
//   --folder DIR   of the files
//   --generation   behind the text what stands inside {% generation %}, in brackets
//   --check        each line also has "want", the text, or an object where an error is right: says
//                  what differs, exit 1; names the number of equal ones
#include "common/jinja/jinja.h"
#include "formats/bytes/json.h"
#include "formats/bytes/slurp.h"
#include "formats/records/json_values.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_text(const char *text, size_t n) {
    putchar('"');
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\')
            printf("\\%c", c);
        else if (c < 0x20)
            printf("\\u%04x", c);
        else
            putchar(c);
    }
    putchar('"');
}

static void put_generated(struct jtext t) {
    struct str s = {0};
    for (size_t i = 0; i < t.n; i++) {
        bool in = t.mark && t.mark[i] & JMARK_GENERATION;
        bool before = i && t.mark && t.mark[i - 1] & JMARK_GENERATION;
        if (in != before) str_puts(&s, in ? "[" : "]");
        if (in) str_add(&s, t.text + i, 1);
    }
    if (t.n && t.mark && t.mark[t.n - 1] & JMARK_GENERATION) str_puts(&s, "]");
    printf(" ");
    put_text(s.text ? s.text : "", s.length);
    str_release(&s);
}

struct state {
    struct json *kept; // the last line with variables
    bool generated, check;
    const char *folder;
    size_t equal, different;
};

static void check(struct state *s, const struct json *v, struct jtext out, const struct fail *f) {
    const struct json *want = json_get(v, "want");
    size_t n;
    const char *text = json_text(want, &n);
    bool same = f->code ? !text : text && n == out.n && !memcmp(text, out.text, n);
    s->equal += same;
    s->different += !same;
    if (same) return;
    struct str line = {0};
    json_write(&line, v, -1);
    printf("%.600s\n  have ", line.text);
    put_text(f->code ? f->text : out.text, f->code ? strlen(f->text) : out.n);
    printf("\n");
    str_release(&line);
}

static void print(struct state *s, struct jtext out, const struct fail *f) {
    if (f->code) {
        printf("{\"error\": ");
        put_text(f->text, strlen(f->text));
        printf("}\n");
        return;
    }
    put_text(out.text, out.n);
    if (s->generated) put_generated(out);
    printf("\n");
}

static void render(struct state *s, const struct json *v) {
    size_t n = 0;
    struct fail f = {0};
    const char *source = json_text(json_get(v, "template"), &n);
    const char *file = json_text(json_get(v, "file"), NULL);
    char *path = file ? xasprintf("%s/%s", s->folder ? s->folder : ".", file) : NULL;
    char *text = path ? slurp(path, 1 << 20, &n, &f) : NULL;
    const struct json *variables = json_get(s->kept, "variables");
    if (text) source = text;
    struct jinja *t = jinja_open(source ? source : "", source ? n : 0, "template", &f);
    struct jinja_rendering r = {0};
    struct jtext out = {"", NULL, 0};
    if (t) jinja_begin(&r, t);
    for (size_t i = 0; t && i < json_size(variables); i++)
        jinja_let(&r, json_key(variables, i),
                  json_values(&r.pool, json_value(variables, i), 1, false));
    if (t) jinja_render(&r, &out, &f);
    if (s->check)
        check(s, v, out, &f);
    else
        print(s, out, &f);
    if (t) jinja_end(&r);
    jinja_free(t);
    free(text);
    free(path);
}

static void take_line(struct state *s, const char *line, size_t n) {
    struct fail f = {0};
    struct json *v = json_parse(line, n, "stdin", &f);
    bool keeps = json_type(json_get(v, "variables")) == JSON_OBJECT;
    if (f.code) printf("%s\n", f.text);
    s->different += f.code != 0;
    if (keeps) {
        json_free(s->kept);
        s->kept = v;
    }
    if (json_get(v, "template") || json_get(v, "file")) render(s, v);
    if (!keeps) json_free(v);
}

int main(int argc, char **argv) {
    struct state s = {0};
    char *line = NULL;
    size_t capacity = 0;
    for (int i = 1; i < argc; i++) {
        s.generated |= !strcmp(argv[i], "--generation");
        s.check |= !strcmp(argv[i], "--check");
        if (!strcmp(argv[i], "--folder") && i + 1 < argc) s.folder = argv[++i];
    }
    for (ssize_t n; (n = getline(&line, &capacity, stdin)) > 0;) take_line(&s, line, (size_t)n);
    json_free(s.kept);
    free(line);
    if (s.check) printf("%zu equal, %zu different\n", s.equal, s.different);
    return s.different != 0;
}
