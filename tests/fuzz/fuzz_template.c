// Any bytes as a template, rendered over a conversation with tools, within small bounds: a failure
// is one line, a text has marks that fit.
#include "common/jinja/jinja.h"
#include "tests/fuzz/replay.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOOLS = 99 };

static void one_line(const struct fail *f) {
    if (!f->code || !*f->text || strchr(f->text, '\n')) abort();
}

static struct jvalue message(struct jpool *p, const char *role, const char *content,
                             uint16_t mark) {
    struct jvalue m = jinja_dict(p);
    jinja_put(p, m, "role", jinja_string(p, role));
    jinja_put(p, m, "content", jinja_marked(p, content, strlen(content), mark));
    return m;
}

static void set_variables(struct jinja_rendering *r) {
    struct jpool *p = &r->pool;
    struct jvalue messages = jinja_list(p, J_LIST), tools = jinja_list(p, J_LIST);
    struct jvalue call = jinja_dict(p), function = jinja_dict(p), calls = jinja_list(p, J_LIST);
    jinja_put(p, function, "name", jinja_marked(p, "f", 1, TOOLS));
    jinja_put(p, function, "arguments", jinja_dict(p));
    jinja_put(p, call, "function", function);
    jinja_append(p, calls, call);
    jinja_append(p, tools, call);
    jinja_append(p, messages, message(p, "system", "Be \"brief\".", 1));
    jinja_append(p, messages, message(p, "user", " h\xc3\xa9 \n<|im_end|>", 2));
    struct jvalue answer = message(p, "assistant", "<think>hm</think>Yes", 3);
    jinja_put(p, answer, "tool_calls", calls);
    jinja_append(p, messages, answer);
    jinja_append(p, messages, message(p, "tool", "12.5", 4));
    jinja_let(r, "messages", messages);
    jinja_let(r, "tools", tools);
    jinja_let(r, "bos_token", jinja_string(p, "<s>"));
    jinja_let(r, "eos_token", jinja_string(p, "</s>"));
    jinja_let(r, "add_generation_prompt", jinja_bool(true));
}

static void check_text(struct jtext t) {
    for (size_t i = 0; t.mark && i < t.n; i++) {
        uint16_t source = t.mark[i] & JMARK_SOURCE;
        if (source > 4 && source != TOOLS) abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fail f = {0};
    struct jinja *t = jinja_open((const char *)data, size, "'fuzz'", &f);
    if (!t) {
        one_line(&f);
        return 0;
    }
    struct jinja_rendering r;
    struct jtext out;
    jinja_begin(&r, t);
    r.limits = (struct jinja_limits){200000, 32 << 20, 1 << 20};
    set_variables(&r);
    if (jinja_render(&r, &out, &f))
        check_text(out);
    else
        one_line(&f);
    jinja_end(&r);
    jinja_free(t);
    return 0;
}
