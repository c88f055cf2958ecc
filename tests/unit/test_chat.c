// Which tokens of a conversation are trained, by what a template renders; what is refused.
#include "common/text/bpe_train.h"
#include "common/text/template_named.h"
#include "formats/bytes/slurp.h"
#include "formats/models/tokenizer_json.h"
#include "stages/shared/tokenizer_train.h"
#include "formats/records/encode.h"
#include "formats/records/token_source.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static struct tokenizer *tokenizer;
static struct token_source source;

static int set_up(void **state) {
    static const char *const special[] = {"<s>",
                                          "</s>",
                                          "<|im_start|>",
                                          "<|im_end|>",
                                          "<|eot_id|>",
                                          "<|begin_of_text|>",
                                          "<|start_header_id|>",
                                          "<|end_header_id|>",
                                          "<A>"};
    struct bpe_trainer *trainer = bpe_train_new(special, 9);
    struct tokenizer_training o = {270, special, 9, NULL};
    struct fail f = {0};
    size_t n;
    (void)state;
    bpe_train_add(trainer, "the cat sat", 11);
    char *json = tokenizer_train_json(trainer, &o, &n, &f);
    tokenizer = tokenizer_parse(json, n, "ours", &f);
    source = (struct token_source){.tokenizer = tokenizer,
                                   .bos = tokenizer_id(tokenizer, "<s>"),
                                   .eos = tokenizer_id(tokenizer, "</s>")};
    free(json);
    bpe_train_free(trainer);
    return tokenizer ? 0 : 1;
}

static int tear_down(void **state) {
    (void)state;
    tokenizer_free(tokenizer);
    return 0;
}

// Runs of ids as text; what is trained in braces, a special token that is one id in guillemets.
static void add_ids(struct str *s, const struct ids *ids, const char *mask) {
    for (size_t i = 0, end; i < ids->n; i = end) {
        size_t n;
        bool special = tokenizer_is_special(tokenizer, ids->id[i]), trained = mask[i];
        for (end = i + 1; end < ids->n && !special && mask[end] == mask[i] &&
                          !tokenizer_is_special(tokenizer, ids->id[end]);
             end++)
            continue;
        char *text = tokenizer_decode(tokenizer, ids->id + i, end - i, false, &n);
        if (trained && (!i || !mask[i - 1])) str_puts(s, "{");
        if (special) str_puts(s, "\xc2\xab");
        str_add(s, text, n);
        if (special) str_puts(s, "\xc2\xbb");
        if (trained && (end == ids->n || !mask[end])) str_puts(s, "}");
        free(text);
    }
}

struct asked {
    enum data_kind kind;
    const char *template; // a name, or a source
    const char *args[2];
    bool parse_special;
};

static void open_template(struct chat_template *t, const struct asked *a, struct fail *f) {
    size_t n = 0;
    char path[] = "/tmp/chat-XXXXXX";
    while (n < 2 && a->args[n]) n++;
    if (template_named(a->template)) {
        chat_template_open(t, a->template, &source, n, a->args, f);
        return;
    }
    int fd = mkstemp(path);
    assert_int_equal(write(fd, a->template, strlen(a->template)), strlen(a->template));
    close(fd);
    chat_template_open(t, path, &source, n, a->args, f);
    unlink(path);
}

// One row; pairs as "prompt + chosen - rejected"; a refused one gives its reason.
static char *made(struct asked a, const char *json) {
    struct fail f = {0};
    struct chat_template chat;
    struct record row = {.path = "row", .line = 1, .syntax = SYNTAX_JSONL};
    struct example x = {0};
    struct encoded out = {0};
    struct field_map map = {0};
    struct str s = {0};
    bool sure;
    str_puts(&s, "");
    open_template(&chat, &a, &f);
    if (f.code) print_message("%s\n", f.text);
    assert_int_equal(f.code, 0);
    struct encoder e = {.tokenizer = tokenizer,
                        .kind = a.kind,
                        .template = &chat,
                        .bos = source.bos,
                        .eos = source.eos,
                        .parse_special = a.parse_special,
                        .vocab = 1000};
    str_puts(&row.cells.text, json);
    assert_true(record_parse(&row));
    enum shape shape = shape_tell(&row, a.kind, &map, &sure);
    if (shape != SHAPE_AUTO && shape_read(&row, shape, a.kind, &map, &x) &&
        encode(&e, &row, &x, &out)) {
        char *all = xmalloc(out.chosen.n + out.rejected.n + 1);
        memset(all, 1, out.chosen.n + out.rejected.n + 1);
        add_ids(&s, &out.ids, out.mask.text);
        if (a.kind == DATA_PREF) {
            str_puts(&s, " + ");
            add_ids(&s, &out.chosen, all);
            str_puts(&s, " - ");
            add_ids(&s, &out.rejected, all);
        }
        if (out.special_text) str_printf(&s, " (%zu typed)", out.special_text);
        if (out.joined) str_puts(&s, " (joined)");
        free(all);
    } else {
        str_puts(&s, strstr(row.bad.text, "line 1: ") + 8);
    }
    record_release(&row);
    example_release(&x);
    encoded_release(&out);
    chat_template_close(&chat);
    return s.text;
}

static void expect(struct asked a, const char *json, const char *want) {
    char *have = made(a, json);
    if (strcmp(have, want)) print_message("%s\n", json);
    assert_string_equal(have, want);
    free(have);
}

static void refuse(struct asked a, const char *json, const char *why) {
    char *have = made(a, json);
    if (!strstr(have, why)) print_message("%s\n%s\n", json, have);
    assert_non_null(strstr(have, why));
    free(have);
}

#define U(t) "{\"role\":\"user\",\"content\":\"" t "\"}"
#define A(t) "{\"role\":\"assistant\",\"content\":\"" t "\"}"
#define S(t) "{\"role\":\"system\",\"content\":\"" t "\"}"
#define TALK(messages) "{\"messages\":[" messages "]}"
#define OPEN "\xc2\xab<|im_start|>\xc2\xbb"
#define CLOSE "\xc2\xab<|im_end|>\xc2\xbb"

static const struct asked chatml = {.kind = DATA_SFT, .template = "chatml"},
                          qwen3 = {.kind = DATA_SFT, .template = "qwen3"};

static void turns(void **state) {
    (void)state;
    expect(chatml, TALK(U("a") "," A("b") "," U("c") "," A("d")),
           OPEN "user\na" CLOSE "\n" OPEN "assistant\n{b" CLOSE "}\n" OPEN "user\nc" CLOSE "\n" OPEN
                "assistant\n{d" CLOSE "}");
    expect(chatml,
           TALK(U("a") ","
                       "{\"role\":\"assistant\",\"content\":\"b\",\"weight\":0}"
                       "," U("c") "," A("d")),
           OPEN "user\na" CLOSE "\n" OPEN "assistant\nb" CLOSE "\n" OPEN "user\nc" CLOSE "\n" OPEN
                "assistant\n{d" CLOSE "}");
    expect((struct asked){.kind = DATA_SFT, .template = "llama2"},
           TALK(S("s") "," U("a") "," A("b") "," U("c") "," A("d")),
           "\xc2\xab<s>\xc2\xbb[INST] <<SYS>>\ns\n<</SYS>>\n\na [/INST]{ b \xc2\xab</s>\xc2\xbb}"
           "\xc2\xab<s>\xc2\xbb[INST] c [/INST]{ d \xc2\xab</s>\xc2\xbb}");
    // the system text goes with the last question; so does it where the first answer is cut
    expect((struct asked){.kind = DATA_SFT, .template = "mistral-tekken"},
           TALK(S("s") "," U("a") "," A("b") "," U("c") "," A("d")),
           "\xc2\xab<s>\xc2\xbb[INST]a[/INST]{b\xc2\xab</s>\xc2\xbb}[INST]s\n\nc[/INST]{d\xc2\xab</"
           "s>\xc2\xbb}");
}

// A template that ends the whole once more (Phi): an answer in the middle ends with its own token.
static void twice_ended(void **state) {
    (void)state;
    struct asked a = {.kind = DATA_SFT,
                      .template =
                          "{% for m in messages %}{{ m.content + '<|im_end|>' }}{% endfor %}"
                          "{% if not add_generation_prompt %}{{ eos_token }}{% endif %}"};
    expect(a, TALK(U("a") "," A("b") "," U("c") "," A("d")),
           "a" CLOSE "{b" CLOSE "}c" CLOSE "{d" CLOSE "\xc2\xab</s>\xc2\xbb}");
}

static void thoughts(void **state) {
    (void)state;
    struct asked pref = {.kind = DATA_PREF, .template = "qwen3"}, quick = pref, ask = quick;
    quick.args[0] = "enable_thinking=false";
    ask.kind = DATA_PROMPT;
    ask.args[0] = "enable_thinking=false";
#define PAIR "{\"prompt\":\"q\",\"chosen\":\"<think>\\nhm\\n</think>\\n\\na\",\"rejected\":\"b\"}"
#define PLAIN "{\"prompt\":\"q\",\"chosen\":\"a\",\"rejected\":\"b\"}"
    expect(pref, PAIR,
           OPEN "user\nq" CLOSE "\n" OPEN "assistant\n + {<think>\nhm\n</think>\n\na" CLOSE
                "} - {<think>\n\n</think>\n\nb" CLOSE "}");
    expect(quick, PLAIN,
           OPEN "user\nq" CLOSE "\n" OPEN "assistant\n<think>\n\n</think>\n\n + {a" CLOSE
                "} - {b" CLOSE "}");
    expect(ask, PLAIN, OPEN "user\nq" CLOSE "\n" OPEN "assistant\n<think>\n\n</think>\n\n");
    refuse(quick, PAIR, "the answer in message 2 cannot be cut");
    expect(qwen3,
           TALK(U("a") "," A("<think>x</think>b") "," U(
               "c") ","
                    "{\"role\":\"assistant\",\"content\":\"d\",\"reasoning_content\":\"y\"}"),
           OPEN "user\na" CLOSE "\n" OPEN "assistant\n{b" CLOSE "}\n" OPEN "user\nc" CLOSE "\n" OPEN
                "assistant\n{<think>\ny\n</think>\n\nd" CLOSE "}");
    refuse(chatml,
           TALK(U("a") ","
                       "{\"role\":\"assistant\",\"content\":\"d\",\"reasoning_content\":\"y\"}"),
           "does not show the thought (reasoning_content) of message 2");
}

// A prompt that opens a thought which the answer does not have is cut before it, at a token.
static void opened_thought(void **state) {
    (void)state;
    struct asked a = {.kind = DATA_PREF,
                      .template = "{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}"
                                  "{% else %}<A>{{ m.content }}</s>{% endif %}{% endfor %}"
                                  "{% if add_generation_prompt %}<A><think>\n{% endif %}"};
    expect(a, "{\"prompt\":\"q\",\"chosen\":\"a\",\"rejected\":\"<b>\"}",
           "q\xc2\xab<A>\xc2\xbb + {a\xc2\xab</s>\xc2\xbb} - {<b>\xc2\xab</s>\xc2\xbb}");
    a.template = "{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}"
                 "{% else %}ANSWER: {{ m.content }}</s>{% endif %}{% endfor %}"
                 "{% if add_generation_prompt %}ANSWER: <think>\n{% endif %}";
    refuse(a, PLAIN, "what it is asked with is no beginning of it");
}

static void generation(void **state) {
    (void)state;
    struct asked a = {.kind = DATA_SFT,
                      .template = "{% for m in messages %}{% if m.role == 'assistant' %}<A>"
                                  "{% generation %}{{ m.content }}</s>{% endgeneration %}!"
                                  "{% else %}{{ m.content }}{% endif %}{% endfor %}"};
    expect(
        a, TALK(U("a") "," A("b") "," U("c") "," A("d")),
        "a\xc2\xab<A>\xc2\xbb{b\xc2\xab</s>\xc2\xbb}!c\xc2\xab<A>\xc2\xbb{d\xc2\xab</s>\xc2\xbb}");
    expect(a,
           TALK(U("a") ","
                       "{\"role\":\"assistant\",\"content\":\"b\",\"train\":false}"
                       "," U("c") "," A("d")),
           "a\xc2\xab<A>\xc2\xbb"
           "b\xc2\xab</s>\xc2\xbb!c\xc2\xab<A>\xc2\xbb{d\xc2\xab</s>\xc2\xbb}");
    a.template = "{% for m in messages %}{{ m.content }}{% if false %}{% generation %}x"
                 "{% endgeneration %}{% endif %}{% endfor %}";
    refuse(a, TALK(U("a") "," A("b")), "{% generation %} marks nothing");
}

static void typed(void **state) {
    (void)state;
    struct asked parse = chatml;
    parse.parse_special = true;
    expect(chatml, TALK(U("a<|im_end|>") "," A("b</s>c")),
           OPEN "user\na<|im_end|>" CLOSE "\n" OPEN "assistant\n{b</s>c" CLOSE "} (2 typed)");
    expect(parse, TALK(U("a<|im_end|>") "," A("b</s>c")),
           OPEN "user\na" CLOSE CLOSE "\n" OPEN "assistant\n{b\xc2\xab</s>\xc2\xbb"
                "c" CLOSE "}");
    expect(chatml, TALK(U("a") "," A("\\n\\nb")),
           OPEN "user\na" CLOSE "\n" OPEN "assistant\n{\n\nb" CLOSE "}");
}

static void refuses(void **state) {
    (void)state;
    struct asked a = {.kind = DATA_SFT,
                      .template = "{% for m in messages %}{{ m.content }} {% endfor %}"};
    refuse(a, TALK(U("a") "," A("b")), "no special token of the tokenizer ends its turn");
    a.template = "{% for m in messages %}{% if m.role != 'system' %}{{ m.content }}</s>{% endif "
                 "%}{% endfor %}";
    refuse(a, TALK(S("s") "," U("a") "," A("b")), "does not show the content of message 1");
    a.template = "{% for m in messages %}{{ m.role + ':' + m.content|trim }}</s>{% endfor %}"
                 "{% if add_generation_prompt %}assistant:{% endif %}";
    refuse(a, TALK(U("a") "," A(" \\n")), "does not show the content of message 2");
    refuse(a, TALK(U("a") "," A(" ") "," U("b") "," A("c")),
           "does not show the content of message 2");
    expect(a, TALK(U("a") "," U(" ") "," A(" b")),
           "user:a\xc2\xab</s>\xc2\xbbuser:\xc2\xab</s>\xc2\xbb"
           "assistant:{b\xc2\xab</s>\xc2\xbb}");
    a.kind = DATA_PREF;
    refuse(a, "{\"prompt\":\"a\",\"chosen\":\"b\",\"rejected\":\" \"}",
           "does not show the content of message 2");
    a.kind = DATA_SFT;
    refuse(chatml, "{\"messages\":[" U("a") "," A("b") "],\"tools\":[{\"name\":\"f\"}]}",
           "does not show the row's tools");
    refuse((struct asked){.kind = DATA_SFT, .template = "mistral"},
           TALK(U("a") "," U("b") "," A("c")), "roles must alternate");
    a.template = "{{ messages[5].content }}{{ 1 + messages }}";
    refuse(a, TALK(U("a") "," A("b")), "line 1 column 15: 'an item past the end' is undefined");
    a.template = "{% for m in messages %}{% if m.role == 'user' and loop.last %}LAST{% endif %}"
                 "{{ m.content }}</s>{% endfor %}";
    refuse(a, TALK(U("a") "," A("b")), "what it is asked with is no beginning of it");
}

static void opening(void **state) {
    (void)state;
    static const struct {
        struct asked asked;
        const char *why;
        int code;
    } cases[] = {
        {{.template = "{{ x | nope }}"}, "line 1 column 8: unknown filter 'nope'", EXIT_BADDATA},
        {{.template = "a\n{% include 'x' %}"},
         "line 2 column 4: unknown statement 'include'",
         EXIT_BADDATA},
        {{.template = "{{ x is nope }}"}, "unknown test 'nope'", EXIT_BADDATA},
        {{.template = "{% if x %}"}, "a block has no 'endif'", EXIT_BADDATA},
        {{.template = "{{ (1 }}"}, "line 1 column", EXIT_BADDATA},
        {{.template = "chatml", .args = {"x"}}, "bad --template-args 'x'", EXIT_USAGE},
        {{.template = "chatml", .args = {"date=tomorrow"}}, "give date=YYYY-MM-DD", EXIT_USAGE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct chat_template t;
        struct fail f = {0};
        open_template(&t, &cases[i].asked, &f);
        if (!strstr(f.text, cases[i].why)) print_message("%s\n", f.text);
        assert_non_null(strstr(f.text, cases[i].why));
        assert_int_equal(f.code, cases[i].code);
    }
    struct chat_template t;
    struct fail f = {0};
    assert_false(chat_template_open(&t, "nonsense", &source, 0, NULL, &f));
    assert_non_null(
        strstr(f.text, "unknown template 'nonsense'; give auto, none, a file, or one of chatml"));
    assert_int_equal(f.code, EXIT_USAGE);
    char *list = xstrdup(template_names()); // each is one
    for (char *name = strtok(list, ", "); name; name = strtok(NULL, ", "))
        assert_non_null(template_named(name));
    free(list);
}

// ---- our own templates by name ------------------------------------------------------------------

static void renders(const char *name, const char *json, bool ask, const char *want) {
    struct asked a = {.kind = ask ? DATA_PROMPT : DATA_SFT, .template = name};
    struct chat_template t;
    struct record row = {.path = "row", .line = 1, .syntax = SYNTAX_JSONL};
    struct example x = {0};
    struct field_map map = {0};
    struct chat c;
    struct jtext out;
    struct fail f = {0};
    bool sure;
    open_template(&t, &a, &f);
    str_puts(&row.cells.text, json);
    assert_true(record_parse(&row));
    assert_true(shape_read(&row, shape_tell(&row, a.kind, &map, &sure), a.kind, &map, &x));
    chat_begin(&c, &t, &x, ask ? NULL : &x.response, &f);
    if (!chat_render(&c, c.n, ask, &out)) print_message("%s\n", f.text);
    char *text = xasprintf("%.*s", (int)out.n, out.text);
    assert_string_equal(text, want);
    free(text);
    chat_end(&c);
    chat_template_close(&t);
    record_release(&row);
    example_release(&x);
}

static void by_name(void **state) {
    (void)state;
#define BRIEF S("Be brief.") "," U(" Hi \\n")
#define LONG BRIEF "," A(" Yes. ") "," U("Why?") "," A("So.")
    renders("chatml", TALK(BRIEF), true,
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n Hi \n<|im_end|>\n"
            "<|im_start|>assistant\n");
    renders("qwen2", TALK(U("a")), true,
            "<|im_start|>system\nYou are a helpful "
            "assistant.<|im_end|>\n<|im_start|>user\na<|im_end|>\n"
            "<|im_start|>assistant\n");
    renders("zephyr", TALK(BRIEF "," A(" Yes. ")), false,
            "<|system|>\nBe brief.</s>\n<|user|>\n Hi \n</s>\n<|assistant|>\n Yes. </s>\n");
    renders("llama2", TALK(LONG), false,
            "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\n Hi [/INST] Yes. </s><s>[INST] Why? [/INST] "
            "So. </s>");
    renders("mistral", TALK(U(" Hi \\n") "," A(" Yes. ") "," U("Why?") "," A("So.")), false,
            "<s>[INST]  Hi \n [/INST] Yes. </s>[INST] Why? [/INST]So.</s>");
    renders("mistral-v1", TALK(BRIEF "," A(" Yes. ") "," U("Why?")), true,
            "<s> [INST] Be brief.\n\n Hi \n [/INST]  Yes. </s> [INST] Why? [/INST]");
    renders("mistral-v3", TALK(BRIEF "," A(" Yes. ") "," U("Why?")), true,
            "<s>[INST]  Hi \n[/INST] Yes.</s>[INST] Be brief.\n\nWhy?[/INST]");
    renders("hh", TALK(U(" Hi \\n") "," A(" Yes. ") "," U("Why?")), true,
            "\n\nHuman:  Hi \n\n\nAssistant:  Yes. </s>\n\nHuman: Why?\n\nAssistant:");
    renders("alpaca", "{\"instruction\":\"Add.\",\"input\":\"1 2\",\"output\":\"3\"}", false,
            "Below is an instruction that describes a task, paired with an input that provides "
            "further context. Write a response that appropriately completes the request.\n\n"
            "### Instruction:\nAdd.\n\n### Input:\n1 2\n\n### Response:\n3</s>");
    renders("alpaca", "{\"instruction\":\"Add.\"}", true,
            "Below is an instruction that describes a task. Write a response that appropriately "
            "completes the request.\n\n### Instruction:\nAdd.\n\n### Response:\n");
    renders("llama3", TALK(U(" Hi \\n")), true,
            "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n");
    renders(
        "llama3.2", TALK(S("Be brief.") "," U("a")), true,
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: "
        "December 2023\nToday Date: 26 Jul 2024\n\nBe brief.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\na<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n");
}

// ---- the models' own, and what was rendered of them elsewhere -----------------------------------

#define FOLDER "../shared/data/configs/chat_templates/"

static void equals_rendered(void **state) {
    (void)state;
    static const char *const talks[][2] = {
        {"single", TALK(U("Hello"))},
        {"system", TALK(S("You are terse.") "," U("Hi  there ") "," A(" Yes. ") "," U("Why?\\n"))}};
    struct fail f = {0};
    size_t n;
    char *text = slurp_optional(FOLDER "rendered_hf_jinja_0.5.11.json", 1 << 20, &n, &f);
    if (!text) {
        print_message("SKIP: no ../shared\n");
        skip();
    }
    struct json *root = json_parse(text, n, "rendered", &f);
    assert_int_equal(json_size(root), 8);
    source.bos = tokenizer_id(tokenizer, "<|begin_of_text|>");
    for (size_t i = 0; i < json_size(root); i++) {
        char *path = xasprintf(FOLDER "%s", json_key(root, i));
        char *jinja = slurp(path, 1 << 20, &n, &f);
        for (size_t k = 0; k < 2; k++) {
            char *name = xasprintf("%s+gen", talks[k][0]);
            renders(jinja, talks[k][1], true, json_text(json_get(json_value(root, i), name), NULL));
            free(name);
        }
        free(jinja);
        free(path);
    }
    source.bos = tokenizer_id(tokenizer, "<s>");
    json_free(root);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(turns),      cmocka_unit_test(twice_ended),
        cmocka_unit_test(thoughts),   cmocka_unit_test(opened_thought),
        cmocka_unit_test(generation), cmocka_unit_test(typed),
        cmocka_unit_test(refuses),    cmocka_unit_test(opening),
        cmocka_unit_test(by_name),    cmocka_unit_test(equals_rendered),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
