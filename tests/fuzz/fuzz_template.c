// Any bytes as a Jinja source to recognise, and as the contents of a conversation to render.
#include "common/text/template.h"
#include "tests/fuzz/replay.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void render(const char *name, const char *content) {
    static const char *const roles[] = {"system", "user", "assistant", "user", "assistant"};
    struct template_message m[5];
    struct template_text x = {0};
    struct template_options o = {.eos = "</s>", .generation_prompt = strlen(content) % 2};
    struct fail f = {0};
    for (int i = 0; i < 5; i++) m[i] = (struct template_message){roles[i], content};
    if (!template_render(name, m, 5, &o, &x, &f)) abort();
    size_t end = 0;
    for (size_t i = 0; i < x.n; i++) {
        if (x.part[i].start != end || x.part[i].end <= end) abort(); // the parts cover the text
        end = x.part[i].end;
    }
    if (end != x.text.length) abort();
    template_text_release(&x);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const names[] = {"chatml", "qwen3",  "llama3.1", "llama2", "mistral-v3",
                                        "zephyr", "alpaca", "hh",       "none"};
    char *text = malloc(size + 1);
    memcpy(text, data, size);
    text[size] = 0;
    template_recognise(text, size);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) render(names[i], text);
    free(text);
    return 0;
}
