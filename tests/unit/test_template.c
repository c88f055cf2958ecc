#include "common/text/template.h"
#include "formats/bytes/json.h"
#include "formats/models/tokenizer_json.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define FOLDER "../shared/data/configs/chat_templates/"

static const struct template_message talk[] = {
    {"system", "Be brief."}, {"user", " Hi \n"},   {"assistant", " Yes. "},
    {"user", "Why?"},        {"assistant", "So."},
};
enum { TALK = 5 };

static void renders(const char *name, const struct template_message *m, size_t n,
                    const struct template_options *o, const char *want) {
    struct template_text x = {0};
    struct fail f = {0};
    if (!template_render(name, m, n, o, &x, &f)) print_message("%s\n", f.text);
    assert_int_equal(f.code, 0);
    assert_string_equal(x.text.text, want);
    size_t end = 0; // the parts cover the text
    for (size_t i = 0; i < x.n; i++) {
        assert_int_equal(x.part[i].start, end);
        end = x.part[i].end;
    }
    assert_int_equal(end, x.text.length);
    template_text_release(&x);
}

// The assistant's parts, each in brackets.
static void answers(const char *name, const char *want) {
    struct template_text x = {0};
    struct fail f = {0};
    struct template_options o = {.eos = "<eos>"};
    struct str got = {0};
    assert_true(template_render(name, talk, TALK, &o, &x, &f));
    for (size_t i = 0; i < x.n; i++) {
        bool goes_on = i && x.part[i - 1].assistant, more = i + 1 < x.n && x.part[i + 1].assistant;
        if (!x.part[i].assistant) continue;
        if (!goes_on) str_puts(&got, "[");
        str_add(&got, x.text.text + x.part[i].start, x.part[i].end - x.part[i].start);
        if (!more) str_puts(&got, "]");
    }
    assert_string_equal(got.text, want);
    str_release(&got);
    template_text_release(&x);
}

static void by_name(void **state) {
    (void)state;
    struct template_options o = {.eos = "</s>"}, ask = {.eos = "</s>", .generation_prompt = true};
    renders("chatml", talk, 2, &ask,
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n Hi \n<|im_end|>\n"
            "<|im_start|>assistant\n");
    renders("zephyr", talk, 3, &ask,
            "<|system|>\nBe brief.</s>\n<|user|>\n Hi \n</s>\n<|assistant|>\n Yes. </s>\n"
            "<|assistant|>\n");
    renders("llama2", talk, TALK, &o,
            "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\n Hi [/INST] Yes. </s><s>[INST] Why? [/INST] "
            "So. </s>");
    renders("mistral", talk + 1, 4, &o,
            "<s>[INST]  Hi \n [/INST] Yes. </s>[INST] Why? [/INST]So.</s>");
    renders("mistral-v1", talk, 4, &ask,
            "<s> [INST] Be brief.\n\n Hi \n [/INST]  Yes. </s> [INST] Why? [/INST]");
    renders("mistral-v3", talk, 4, &ask,
            "<s>[INST]  Hi \n[/INST] Yes.</s>[INST] Be brief.\n\nWhy?[/INST]");
    renders("hh", talk + 1, 3, &ask,
            "\n\nHuman:  Hi \n\n\nAssistant:  Yes. </s>\n\nHuman: Why?"
            "\n\nAssistant:");
    renders("none", talk + 3, 2, &o, "Why?So.</s>");
    struct template_message task[] = {{"user", "Add."}, {"input", "1 2"}, {"assistant", "3"}};
    renders("alpaca", task, 3, &o,
            "Below is an instruction that describes a task, paired with an input that provides "
            "further context. Write a response that appropriately completes the request.\n\n"
            "### Instruction:\nAdd.\n\n### Input:\n1 2\n\n### Response:\n3</s>");
    renders("alpaca", task, 1, &ask,
            "Below is an instruction that describes a task. Write a response that appropriately "
            "completes the request.\n\n### Instruction:\nAdd.\n\n### Response:\n");
    struct template_options dated = {.date = "1 May 2025"};
    renders(
        "llama3.2", talk, 1, &dated,
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: "
        "December 2023\nToday Date: 1 May 2025\n\nBe brief.<|eot_id|>");
}

static void thoughts(void **state) {
    (void)state;
    struct template_options o = {0}, ask = {.generation_prompt = true, .no_think = true};
    struct template_message m[] = {{"user", "1?"},
                                   {"assistant", "<think>\nhm\n</think>\n\nA"},
                                   {"user", "2?"},
                                   {"assistant", "<think>\nwell\n</think>\n\nB"}};
    renders(
        "qwen3", m, 4, &o,
        "<|im_start|>user\n1?<|im_end|>\n<|im_start|>assistant\nA<|im_end|>\n<|im_start|>user\n2?"
        "<|im_end|>\n<|im_start|>assistant\n<think>\nwell\n</think>\n\nB<|im_end|>\n");
    renders("qwen3", m, 1, &ask,
            "<|im_start|>user\n1?<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n");
    renders("qwen3", m + 3, 1, &o, // no question: as Jinja has it
            "<|im_start|>assistant\nB<|im_end|>\n");
    answers("qwen3", "[ Yes. <|im_end|>][So.<|im_end|>]"); // an empty thought is the prompt's
}

static void spans(void **state) {
    (void)state;
    answers("chatml", "[ Yes. <|im_end|>][So.<|im_end|>]");
    answers("llama3", "[Yes.<|eot_id|>][So.<|eot_id|>]");
    answers("llama2", "[ Yes. <eos>][ So. <eos>]");
    answers("zephyr", "[ Yes. <eos>][So.<eos>]");
    answers("hh", "[  Yes. <eos>][ So.<eos>]");
    answers("alpaca", "[ Yes. <eos>][So.<eos>]");
    answers("none", "[ Yes. <eos>][So.<eos>]");
}

static char *read_file(const char *path) {
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    struct str s = {0};
    char part[1 << 14];
    str_puts(&s, "");
    for (size_t k; (k = fread(part, 1, sizeof part, f)) > 0;) str_add(&s, part, k);
    fclose(f);
    return s.text;
}

// The four conversations of the file of rendered texts.
static void check_rendered(const char *name, const struct json *cases) {
    struct template_message m[] = {{"system", "You are terse."},
                                   {"user", "Hi  there "},
                                   {"assistant", " Yes. "},
                                   {"user", "Why?\n"}};
    struct template_message hello = {"user", "Hello"};
    struct template_options o = {0}, ask = {.generation_prompt = true};
    renders(name, &hello, 1, &ask, json_text(json_get(cases, "single+gen"), NULL));
    renders(name, &hello, 1, &o, json_text(json_get(cases, "single"), NULL));
    renders(name, m, 4, &ask, json_text(json_get(cases, "system+gen"), NULL));
    renders(name, m, 4, &o, json_text(json_get(cases, "system"), NULL));
}

static void equals_jinja(void **state) {
    (void)state;
    static const char *const names[][2] = {
        {"Qwen-Qwen2.5-7B-Instruct.jinja", "qwen2.5"},
        {"SmolLM2-Instruct.jinja", "smollm2"},
        {"meta-llama-Llama-3.1-8B-Instruct.jinja", "llama3.1"},
        {"meta-llama-Llama-3.2-3B-Instruct.jinja", "llama3.2"},
        {"trl_llama3.jinja", "llama3"},
        {"trl_llama3_training.jinja", "llama3"},
        {"trl_qwen2_5.jinja", "qwen2.5"},
        {"trl_qwen2_5_training.jinja", "qwen2.5"},
    };
    char *text = read_file(FOLDER "rendered_hf_jinja_0.5.11.json");
    if (!text) {
        print_message("SKIP: no ../shared\n");
        skip();
    }
    struct fail f = {0};
    struct json *root = json_parse(text, strlen(text), "rendered", &f);
    assert_non_null(root);
    assert_int_equal(json_size(root), 8);
    for (size_t i = 0; i < 8; i++) {
        char path[200];
        snprintf(path, sizeof path, FOLDER "%s", names[i][0]);
        char *jinja = read_file(path);
        assert_non_null(jinja);
        const char *name = template_pick("auto", jinja, &f);
        assert_non_null(name);
        assert_string_equal(name, names[i][1]);
        check_rendered(name, json_get(root, names[i][0]));
        free(jinja);
    }
    json_free(root);
    free(text);
}

static void recognises(void **state) {
    (void)state;
    const char chatml[] = "{# a \"comment' #}{%- for message in messages -%}{{- \"<|im_start|>\" + "
                          "message['role'] + '\n' +message[\"content\"]+ '<|im_end|>' + '\\n' -}}"
                          "{% endfor %}{% if add_generation_prompt %}{{'<|im_start|>assistant\\n'}}"
                          "{% endif %}";
    assert_string_equal(template_recognise(chatml, strlen(chatml)), "chatml");
    char *foreign = xasprintf("{{ 'You are Bob.' }}%s", chatml);
    assert_null(template_recognise(foreign, strlen(foreign)));
    free(foreign);
    static const char *const odd[] = {"", "{{", "{#", "{{ '", "{{ '\\", "{% \"a", "%}-}}"};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        assert_null(template_recognise(odd[i], strlen(odd[i])));
}

static void refuses(void **state) {
    (void)state;
    struct fail f = {0};
    assert_null(template_pick("auto", "{{ messages }}", &f));
    assert_int_equal(f.code, EXIT_USAGE);
    assert_non_null(strstr(f.text, "not recognised"));
    assert_non_null(strstr(f.text, "chatml, "));
    f.code = 0;
    assert_null(template_pick("auto", NULL, &f));
    f.code = 0;
    assert_null(template_pick("gpt", NULL, &f));
    assert_non_null(strstr(f.text, "unknown template 'gpt'; choose auto or one of chatml"));
    static const struct {
        const char *name;
        struct template_message m[2];
        int code;
        const char *message;
    } cases[] = {
        {"chatml", {{"user", "a"}, {"tool", "b"}}, EXIT_BADDATA, "role 'tool'"},
        {"chatml", {{"user", "a"}, {"system", "b"}}, EXIT_BADDATA, "not the first"},
        {"chatml", {{"user", "a"}, {"input", "b"}}, EXIT_BADDATA, "role 'input'"},
        {"mistral", {{"user", "a"}, {"user", "b"}}, EXIT_BADDATA, "alternate"},
        {"llama2", {{"assistant", "a"}, {"user", "b"}}, EXIT_BADDATA, "alternate"},
        {"none", {{"user", "a"}, {"assistant", "b"}}, EXIT_USAGE, "no end-of-sequence"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct template_text x = {0};
        struct template_options o = {0};
        f.code = 0;
        assert_false(template_render(cases[i].name, cases[i].m, 2, &o, &x, &f));
        assert_int_equal(f.code, cases[i].code);
        assert_non_null(strstr(f.text, cases[i].message));
        template_text_release(&x);
    }
    char *list = xstrdup(template_choices()); // every choice is a template
    for (char *name = strtok(list, ", "); name; name = strtok(NULL, ", "))
        assert_string_equal(template_pick(name, NULL, &f), name);
    free(list);
}

static struct tokenizer *small_tokenizer(const char *bos) {
    static const char *const special[] = {"<s>", "</s>", "<|im_start|>", "<|im_end|>"};
    const char text[] = "system user assistant user assistant Yes. Yes. Why? Why? So. So.\n\n\n\n";
    struct bpe_trainer *trainer = bpe_train_new(special, 4);
    bpe_train_add(trainer, text, strlen(text));
    struct tokenizer_training o = {280, special, 4, bos};
    struct fail f = {0};
    size_t n;
    char *json = tokenizer_train_json(trainer, &o, &n, &f);
    struct tokenizer *t = tokenizer_parse(json, n, "small", &f);
    assert_non_null(t);
    free(json);
    bpe_train_free(trainer);
    return t;
}

static void ids_of(const struct tokenizer *t, const char *name, const struct template_message *m,
                   size_t n, bool ask, struct ids *ids, struct str *mask) {
    struct template_text x = {0};
    struct template_options o = {.bos = "<s>", .eos = "</s>", .generation_prompt = ask};
    struct fail f = {0};
    assert_true(template_render(name, m, n, &o, &x, &f));
    assert_true(template_encode(t, &x, ids, mask, &f));
    assert_int_equal(ids->n, mask->length);
    template_text_release(&x);
}

// A prompt's ids are what stands before the masked answer; the mask holds the answer and its end.
static void boundaries(void **state) {
    (void)state;
    static const char *const names[] = {"chatml", "zephyr", "llama2", "mistral",
                                        "alpaca", "hh",     "none"};
    struct template_message m[] = {{"user", "Why?"}, {"assistant", "\n\nYes.\n"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct tokenizer *t = small_tokenizer("<s>");
        struct ids prompt = {0}, all = {0};
        struct str mask = {0}, none = {0};
        ids_of(t, names[i], m, 1, true, &prompt, &none);
        ids_of(t, names[i], m, 2, false, &all, &mask);
        assert_memory_equal(all.id, prompt.id, prompt.n * sizeof *prompt.id);
        size_t last = prompt.n;
        for (size_t k = 0; k < all.n; k++) {
            if (k < prompt.n) assert_int_equal(mask.text[k], 0);
            if (k == prompt.n) assert_int_equal(mask.text[k], 1);
            if (mask.text[k]) last = k;
            assert_int_equal(all.id[k] == tokenizer_id(t, "<s>"), k == 0); // exactly one BOS
        }
        assert_int_equal(all.id[last], tokenizer_id(t, i ? "</s>" : "<|im_end|>"));
        size_t n;
        char *text = tokenizer_decode(t, all.id + prompt.n, last - prompt.n, false, &n);
        const char *answer = !strcmp(names[i], "llama2") ? " Yes. "
                             : !strcmp(names[i], "hh")   ? " \n\nYes.\n"
                                                         : "\n\nYes.\n";
        assert_string_equal(text, answer);
        free(text);
        ids_release(&prompt);
        ids_release(&all);
        str_release(&mask);
        str_release(&none);
        tokenizer_free(t);
    }
}

static void missing_token(void **state) {
    (void)state;
    struct tokenizer *t = small_tokenizer(NULL);
    struct template_text x = {0};
    struct template_options o = {0};
    struct fail f = {0};
    struct ids ids = {0};
    struct str mask = {0};
    assert_true(template_render("llama3", talk, 2, &o, &x, &f));
    assert_false(template_encode(t, &x, &ids, &mask, &f));
    assert_int_equal(f.code, EXIT_USAGE);
    assert_non_null(strstr(f.text, "'<|begin_of_text|>'"));
    template_text_release(&x);
    ids_release(&ids);
    str_release(&mask);
    tokenizer_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_name),      cmocka_unit_test(thoughts),      cmocka_unit_test(spans),
        cmocka_unit_test(equals_jinja), cmocka_unit_test(recognises),    cmocka_unit_test(refuses),
        cmocka_unit_test(boundaries),   cmocka_unit_test(missing_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
