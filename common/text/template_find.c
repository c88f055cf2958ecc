#include "common/text/template_find.h"
#include <stdlib.h>
#include <string.h>

#define CHATML .bos = NULL, .open = "<|im_start|>", .close = "\n", .end = "<|im_end|>", .gap = "\n"
#define LLAMA3                                                                                     \
    .bos = "<|begin_of_text|>", .open = "<|start_header_id|>", .close = "<|end_header_id|>\n\n",   \
    .end = "<|eot_id|>", .gap = "", .trim = true
#define CHATML_TURN "'<|im_start|>'+message['role']+'\\n'+message['content']+'<|im_end|>'+'\\n'"
#define LLAMA3_TURN                                                                                \
    "'<|start_header_id|>'+message['role']+'<|end_header_id|>\\n\\n'+message['content']|trim+'<|"  \
    "eot_id|>'\n"
#define LLAMA3_DATES "Cutting Knowledge Date: December 2023\\n\nToday Date: \n26 Jul 2024\n"
#define SENTENCEPIECE .bos = "<s>", .eos = "</s>"

// In order: the first whose marks fit is it.
static const struct template_style styles[] = {
    {.name = "chatml",
     .render = template_turns,
     CHATML,
     .has = CHATML_TURN "\n'<|im_start|>assistant\\n'",
     .lacks = "You are\nloop.\nbos_token\neos_token\ntool"},
    {.name = "qwen2",
     .render = template_turns,
     CHATML,
     .system = "You are a helpful assistant.",
     .has = "'<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n'\n" CHATML_TURN,
     .lacks = "Qwen\nloop.last\ntool\n<think>"},
    {.name = "qwen2.5",
     .render = template_turns,
     CHATML,
     .system = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.",
     .has = "'<|im_start|>system\\nYou are Qwen, created by Alibaba Cloud. You are a helpful "
            "assistant.<|im_end|>\\n'\n"
            "'<|im_start|>'+message.role+'\\n'+message.content+'<|im_end|>'+'\\n'",
     .lacks = "<think>\n|trim\n.strip()"},
    {.name = "qwen3",
     .render = template_thinking,
     CHATML,
     .has = "last_query_index\nenable_thinkingisfalse\n'<think>\\n\\n</think>\\n\\n'\n"
            "reasoning_content.strip('\\n')+'\\n</think>\\n\\n'+content.lstrip('\\n')",
     .lacks = "You are Qwen\n|trim"},
    {.name = "llama3",
     .render = template_turns,
     LLAMA3,
     .has = LLAMA3_TURN "bos_token",
     .lacks = "Cutting Knowledge\nYou are\ntools"},
    {.name = "llama3.1",
     .render = template_dated,
     LLAMA3,
     .has = LLAMA3_TURN LLAMA3_DATES "builtin_tools",
     .lacks = "strftime_now\nYou are"},
    {.name = "llama3.2",
     .render = template_dated,
     LLAMA3,
     .has = LLAMA3_TURN LLAMA3_DATES "strftime_now",
     .lacks = "builtin_tools\nYou are"},
    {.name = "llama2",
     .render = template_llama2,
     SENTENCEPIECE,
     .has = "bos_token+'[INST] '+content.strip()+' [/INST]'\n"
            "'<<SYS>>\\n'+system_message+'\\n<</SYS>>\\n\\n'+message['content']\n"
            "' '+content.strip()+' '+eos_token}}",
     .lacks = "You are\ntrue==true\nadd_generation_prompt"},
    {.name = "mistral",
     .render = template_mistral,
     SENTENCEPIECE,
     .open = "[INST] ",
     .close = " [/INST]",
     .gap = "",
     .has = "bos_token\n'[INST] '+message['content']+' [/INST]'\n{{message['content']+eos_token}}",
     .lacks = "system\nYou are"},
    {.name = "mistral-v1",
     .render = template_mistral,
     SENTENCEPIECE,
     .open = " [INST] ",
     .close = " [/INST]",
     .gap = " ",
     .has = "{{bos_token}}\n' [INST] '+system_message+'\\n\\n'+message['content']+' [/INST]'\n"
            "' [INST] '+message['content']+' [/INST]'\n{{' '+message['content']+eos_token}}\n"
            "loop.firstandsystem_message"},
    {.name = "mistral-v3",
     .render = template_mistral,
     SENTENCEPIECE,
     .open = "[INST] ",
     .close = "[/INST]",
     .gap = " ",
     .trim = true,
     .system_last = true,
     .has = "{{bos_token}}\n'[INST] '+system_message+'\\n\\n'+message['content']+'[/INST]'\n"
            "'[INST] '+message['content']+'[/INST]'\n{{' '+message['content']|trim+eos_token}}\n"
            "loop.lastandsystem_message"},
    {.name = "mistral-tekken",
     .render = template_mistral,
     SENTENCEPIECE,
     .open = "[INST]",
     .close = "[/INST]",
     .gap = "",
     .system_last = true,
     .has = "{{bos_token}}\n'[INST]'+system_message+'\\n\\n'+message['content']+'[/INST]'\n"
            "'[INST]'+message['content']+'[/INST]'\n{{message['content']+eos_token}}\n"
            "loop.lastandsystem_message"},
    {.name = "zephyr",
     .render = template_turns,
     .eos = "</s>",
     .open = "<|",
     .close = "|>\n",
     .gap = "\n",
     .has = "'<|user|>\\n'+message['content']+eos_token}}\\n\n"
            "'<|system|>\\n'+message['content']+eos_token}}\\n\n"
            "'<|assistant|>\\n'+message['content']+eos_token}}\\n\n'<|assistant|>'}}\\n",
     .lacks = "You are\nbos_token"},
    {.name = "smollm2",
     .render = template_turns,
     CHATML,
     .system = "You are a helpful AI assistant named SmolLM, trained by Hugging Face",
     .has = "'<|im_start|>system\\nYou are a helpful AI assistant named SmolLM, trained by Hugging "
            "Face<|im_end|>\\n'\n" CHATML_TURN,
     .lacks = "<think>\ntool\nloop.last"},
    {.name = "alpaca", .render = template_alpaca},
    {.name = "hh", .render = template_hh},
    {.name = "none", .render = template_none},
};
enum { STYLES = sizeof styles / sizeof *styles };

const char *template_choices(void) {
    return "chatml, qwen2, qwen2.5, qwen3, llama3, llama3.1, llama3.2, llama2, mistral, "
           "mistral-v1, "
           "mistral-v3, mistral-tekken, zephyr, smollm2, alpaca, hh, none";
}

const struct template_style *template_find(const char *name) {
    for (size_t i = 0; i < STYLES; i++)
        if (!strcmp(styles[i].name, name)) return &styles[i];
    return NULL;
}

// Copies the string that begins at i, with ' around it and line breaks as \n; returns where it
// ends.
static size_t copy_string(const char *jinja, size_t n, size_t i, struct str *out) {
    char quote = jinja[i++];
    str_puts(out, "'");
    for (; i < n && jinja[i] != quote; i++) {
        if (jinja[i] == '\n')
            str_puts(out, "\\n");
        else
            str_add(out, jinja + i, jinja[i] == '\\' && i + 1 < n ? 2 : 1);
        i += jinja[i] == '\\';
    }
    str_puts(out, "'");
    return i + 1;
}

// A source in one spelling: no comments, no white space outside strings, no whitespace-control
// dashes, one kind of quotes. The line break behind an expression stays: it is rendered.
static void reduce(const char *jinja, size_t n, struct str *out) {
    bool inside = false; // {{ }} or {% %}
    str_puts(out, "");
    for (size_t i = 0; i < n;) {
        char c = jinja[i], next = i + 1 < n ? jinja[i + 1] : 0;
        if (!inside && c == '{' && next == '#') {
            const char *end = memmem(jinja + i, n - i, "#}", 2);
            i = end ? (size_t)(end - jinja) + 2 : n;
        } else if (!inside && c == '{' && (next == '{' || next == '%')) {
            inside = true;
            str_add(out, jinja + i, 2);
            i += 2;
            if (i < n && (jinja[i] == '-' || jinja[i] == '+')) i++;
        } else if (inside && c == '-' && (next == '}' || next == '%')) {
            i++;
        } else if (inside && (c == '}' || c == '%') && next == '}') {
            inside = false;
            str_add(out, jinja + i, 2);
            bool dash = i && jinja[i - 1] == '-';
            i += 2;
            if (c == '}' && !dash && i < n && jinja[i] == '\n') str_puts(out, "\\n");
        } else if (inside && (c == '\'' || c == '"')) {
            i = copy_string(jinja, n, i, out);
        } else {
            if (c && !strchr(" \t\r\n", c)) str_add(out, &c, 1);
            i++;
        }
    }
}

// Whether all (any: one) of the strings in a list, separated by line breaks, are in the source.
static bool contains(const struct str *source, const char *list, bool any) {
    while (list && *list) {
        size_t n = strcspn(list, "\n");
        bool there = memmem(source->text, source->length, list, n) != NULL;
        if (there == any) return any;
        list += n + (list[n] == '\n');
    }
    return !any;
}

const char *template_recognise(const char *jinja, size_t n) {
    struct str source = {0};
    const char *name = NULL;
    reduce(jinja, n, &source);
    for (size_t i = 0; i < STYLES && !name; i++) {
        const struct template_style *s = &styles[i];
        if (s->has && contains(&source, s->has, false) && !contains(&source, s->lacks, true))
            name = s->name;
    }
    str_release(&source);
    return name;
}

const char *template_pick(const char *wanted, const char *jinja, struct fail *f) {
    if (strcmp(wanted, "auto")) {
        const struct template_style *s = template_find(wanted);
        if (!s)
            fail_set(f, EXIT_USAGE, "unknown template '%.60s'; choose auto or one of %s", wanted,
                     template_choices());
        return s ? s->name : NULL;
    }
    if (!jinja) {
        fail_set(f, EXIT_USAGE, "model has no chat template; pass --template with one of %s",
                 template_choices());
        return NULL;
    }
    const char *name = template_recognise(jinja, strlen(jinja));
    if (!name)
        fail_set(f, EXIT_USAGE,
                 "model's chat template is not recognised; pass --template with one of %s",
                 template_choices());
    return name;
}
