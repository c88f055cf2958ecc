// Random conversations through templates and tokenizers: a pair's prompt with a response is, token
// for token and as text, the rendering of the whole conversation, and what kind sft makes of it.
// CONVERSATIONS=10000 tries that many; a few are the default. The models' tokenizers are those of
// ../shared; where it is missing one of our own remains.
#include "common/base/jsonout.h"
#include "common/text/bpe_train.h"
#include "formats/models/tokenizer_json.h"
#include "stages/shared/tokenizer_train.h"
#include "formats/records/chat_cut.h"
#include "formats/records/encode.h"
#include "formats/records/token_source.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define TEMPLATES "tests/golden/templates/"

static uint64_t seed = 1;

static size_t draw(size_t n) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(seed >> 33) % n;
}

// solid: more than white space, which may have no clean cut where a template strips it.
static void add_text(struct str *s, bool solid) {
    static const char *const parts[] = {"the",
                                        " cat",
                                        " Sat",
                                        " on 42",
                                        ".",
                                        "\n",
                                        "\n\n",
                                        " ",
                                        "  ",
                                        "\t",
                                        "!?",
                                        "'s",
                                        " \xc3\xa9t\xc3\xa9",
                                        "\xe6\x97\xa5\xe6\x9c\xac",
                                        "\xf0\x9f\x99\x82",
                                        "<|im_end|>",
                                        "<|im_start|>system\n",
                                        "</s>",
                                        "<s>",
                                        "<|eot_id|>",
                                        "<|endoftext|>",
                                        "[INST]",
                                        "{{ x }}",
                                        "{% if %}",
                                        "\"q\"",
                                        "\\",
                                        "\r\n",
                                        "a\xcc\x81",
                                        "<b>"};
    struct str text = {0};
    str_puts(&text, "");
    for (size_t n = draw(12); n; n--) str_puts(&text, parts[draw(sizeof parts / sizeof *parts)]);
    if (solid && strspn(text.text, " \t\r\n") == text.length) str_puts(&text, "x");
    jsonout_bytes(s, text.text, text.length);
    str_release(&text);
}

static void add_message(struct str *s, const char *role, bool solid, bool thinks) {
    str_printf(s, "{\"role\": \"%s\", \"content\": ", role);
    add_text(s, solid);
    if (thinks && draw(2)) {
        str_puts(s, ", \"reasoning_content\": ");
        add_text(s, true);
    }
    str_puts(s, "}");
}

struct rows { // one conversation, as a row of kind pref and one of kind sft
    struct str pref, sft;
};

static void make_rows(struct rows *r, bool system, bool thinks) {
    struct str turns = {0}, good = {0}, bad = {0};
    str_puts(&turns, "");
    if (system && draw(2)) add_message(&turns, "system", false, false), str_puts(&turns, ", ");
    for (size_t n = draw(3); n; n--) {
        add_message(&turns, "user", true, false);
        str_puts(&turns, ", ");
        add_message(&turns, "assistant", true, false);
        str_puts(&turns, ", ");
    }
    add_message(&turns, "user", false, false);
    add_message(&good, "assistant", true, thinks);
    add_message(&bad, "assistant", true, thinks);
    r->pref = r->sft = (struct str){0};
    str_printf(&r->pref, "{\"prompt\": [%s], \"chosen\": [%s], \"rejected\": [%s]}", turns.text,
               good.text, bad.text);
    str_printf(&r->sft, "{\"messages\": [%s, %s]}", turns.text, good.text);
    str_release(&turns);
    str_release(&good);
    str_release(&bad);
}

struct made { // what a row became
    struct record row;
    struct example example;
    struct encoded tokens;
    bool ok;
};

static void make(struct made *m, const struct encoder *e, enum data_kind kind,
                 const struct str *json) {
    struct field_map map = {0};
    struct encoder own = *e;
    bool sure;
    own.kind = kind;
    *m = (struct made){.row = {.path = "row", .line = 1, .syntax = SYNTAX_JSONL}};
    str_add(&m->row.cells.text, json->text, json->length);
    m->ok = record_parse(&m->row);
    enum shape shape = m->ok ? shape_tell(&m->row, kind, &map, &sure) : SHAPE_AUTO;
    m->ok = shape != SHAPE_AUTO && shape_read(&m->row, shape, kind, &map, &m->example) &&
            encode(&own, &m->row, &m->example, &m->tokens);
}

static void release(struct made *m) {
    record_release(&m->row);
    example_release(&m->example);
    encoded_release(&m->tokens);
}

static void join(struct ids *to, const struct encoded *x) {
    encoded_add(to, x->ids.id, x->ids.n);
    encoded_add(to, x->chosen.id, x->chosen.n);
}

static void same_ids(const struct ids *a, const struct ids *b, const char *row) {
    bool same = a->n == b->n && !memcmp(a->id, b->id, a->n * sizeof *a->id);
    if (!same) print_message("%s\n", row);
    assert_true(same);
}

// The whole conversation rendered and encoded in one go, up to the token that ends it.
static void check_whole(const struct encoder *e, const struct made *pair, const struct ids *ids,
                        const char *row) {
    struct chat c;
    struct jtext whole;
    struct fail f = {0};
    struct ids before = {0}, at_once = {0};
    size_t n;
    chat_begin(&c, e->template, &pair->example, &pair->example.response, &f);
    assert_true(chat_render(&c, c.n, false, &whole));
    uint8_t *typed = chat_typed(whole);
    size_t end = tokenizer_last_special(e->tokenizer, whole.text, whole.n, typed);
    tokenizer_encode_mixed(e->tokenizer, whole.text, end, typed, TEXT_FIRST, &at_once);
    const struct ids *front, *behind;
    tokenizer_surround(e->tokenizer, &front, &behind);
    bool has_front = at_once.n && front->n && at_once.id[0] == front->id[0];
    if (!has_front) encoded_add(&before, front->id, front->n);
    encoded_add(&before, at_once.id, at_once.n);
    if (!pair->tokens.joined) same_ids(ids, &before, row);
    char *text = tokenizer_decode(e->tokenizer, ids->id + (has_front ? 0 : front->n),
                                  ids->n - (has_front ? 0 : front->n), false, &n);
    char *again = tokenizer_decode(e->tokenizer, at_once.id, at_once.n, false, &n);
    assert_string_equal(text, again);
    free(text);
    free(again);
    free(typed);
    ids_release(&before);
    ids_release(&at_once);
    chat_end(&c);
}

struct tally {
    size_t checked, joined, refused;
};

static void check(const struct encoder *e, const struct rows *r, struct tally *t) {
    struct made pair, sft, prompt;
    struct ids ids = {0};
    make(&pair, e, DATA_PREF, &r->pref);
    if (!pair.ok) {
        t->refused++;
        if (!strstr(pair.row.bad.text, "empty"))
            print_message("%s\n%s\n", pair.row.bad.text, r->pref.text);
        assert_non_null(strstr(pair.row.bad.text, "empty")); // all else has a clean cut
        release(&pair);
        return;
    }
    make(&sft, e, DATA_SFT, &r->sft);
    make(&prompt, e, DATA_PROMPT, &r->pref);
    if (!sft.ok || !prompt.ok)
        print_message("%s%s\n%s\n", sft.row.bad.text, prompt.row.bad.text, r->sft.text);
    assert_true(sft.ok && prompt.ok);
    join(&ids, &pair.tokens);
    same_ids(&prompt.tokens.ids, &pair.tokens.ids, r->pref.text);
    bool marked = jinja_has_generation(e->template->jinja);
    if (!marked && !sft.tokens.joined) same_ids(&sft.tokens.ids, &ids, r->sft.text);
    check_whole(e, &pair, &ids, r->pref.text);
    t->checked++;
    t->joined += pair.tokens.joined;
    release(&pair);
    release(&sft);
    release(&prompt);
    ids_release(&ids);
}

static size_t wanted(void) { // of each tokenizer
    const char *n = getenv("CONVERSATIONS");
    return n ? (size_t)atoi(n) / 5 : 60;
}

static void run(struct token_source *s, const char *what, const char *const *templates) {
    struct tally t = {0};
    size_t n = wanted();
    for (size_t i = 0; templates[i]; i++) {
        struct chat_template chat;
        struct fail f = {0};
        bool alternates = strstr(templates[i], "mistral") != NULL;
        if (!chat_template_open(&chat, templates[i], s, 0, NULL, &f)) print_message("%s\n", f.text);
        assert_int_equal(f.code, 0);
        struct encoder e = {.tokenizer = s->tokenizer,
                            .template = &chat,
                            .bos = s->bos,
                            .eos = s->eos,
                            .vocab = tokenizer_vocab(s->tokenizer)};
        size_t count = 0;
        for (const char *const *k = templates; *k; k++) count++;
        for (size_t k = 0; k < n / count + 1; k++) {
            struct rows r;
            make_rows(&r, !alternates || draw(2), strstr(templates[i], "qwen3") != NULL);
            check(&e, &r, &t);
            str_release(&r.pref);
            str_release(&r.sft);
        }
        chat_template_close(&chat);
    }
    print_message(
        "%s: %zu conversations, %zu with a joint of their own, %zu with an empty prompt\n", what,
        t.checked, t.joined, t.refused);
    assert_true(t.checked > n / 2);
}

static void our_own(void **state) {
    (void)state;
    static const char *const special[] = {"<s>",
                                          "</s>",
                                          "<|im_start|>",
                                          "<|im_end|>",
                                          "<|eot_id|>",
                                          "<|begin_of_text|>",
                                          "<|endoftext|>",
                                          "<|start_header_id|>",
                                          "<|end_header_id|>"};
    static const char *const names[] = {"chatml",
                                        "qwen2.5",
                                        "qwen3",
                                        "llama3",
                                        "llama3.1",
                                        "llama2",
                                        "mistral",
                                        "mistral-v1",
                                        "mistral-v3",
                                        "mistral-tekken",
                                        "zephyr",
                                        "alpaca",
                                        "hh",
                                        "smollm2",
                                        TEMPLATES "chatml.jinja",
                                        TEMPLATES "generation.jinja",
                                        TEMPLATES "qwen3.jinja",
                                        TEMPLATES "hermes.jinja",
                                        NULL};
    static const char text[] =
        "the cat Sat on 42. the cat sat\n\n\nuser assistant system the\n\n on a";
    struct bpe_trainer *trainer = bpe_train_new(special, 9);
    bpe_train_add(trainer, text, strlen(text));
    struct tokenizer_training o = {300, special, 9, "<s>"};
    struct fail f = {0};
    size_t n;
    char *json = tokenizer_train_json(trainer, &o, &n, &f);
    struct token_source s = {.tokenizer = tokenizer_parse(json, n, "ours", &f)};
    assert_non_null(s.tokenizer);
    s.bos = tokenizer_id(s.tokenizer, "<s>");
    s.eos = tokenizer_id(s.tokenizer, "</s>");
    run(&s, "ours", names);
    tokenizer_free(s.tokenizer);
    free(json);
    bpe_train_free(trainer);
}

static void of_shared(const char *path, const char *const *templates) {
    struct token_source s;
    struct fail f = {0};
    FILE *there = fopen(path, "rb");
    if (!there) {
        print_message("SKIP: no ../shared\n");
        skip();
    }
    fclose(there);
    assert_true(token_source_open(&s, NULL, path, &f));
    run(&s, path, templates);
    token_source_close(&s);
}

static void gpt2(void **state) {
    (void)state;
    static const char *const names[] = {"zephyr", "alpaca", "hh", NULL};
    of_shared("../shared/data/tokenizers/gpt2/tokenizer.json", names);
}

static void llama3(void **state) {
    (void)state;
    static const char *const names[] = {"auto", "llama3", "llama3.1", "zephyr", NULL};
    of_shared("../shared/data/tokenizers/llama3/tokenizer.json", names);
}

static void qwen2(void **state) {
    (void)state;
    static const char *const names[] = {
        "auto", "chatml", "qwen2.5", "qwen3", TEMPLATES "qwen3.jinja", TEMPLATES "generation.jinja",
        NULL};
    of_shared("../shared/data/tokenizers/qwen2/tokenizer.json", names);
}

static void tiny_stories(void **state) {
    (void)state;
    static const char *const names[] = {"zephyr", "alpaca", NULL};
    of_shared("../shared/data/models/TinyStories-656K/tokenizer.json", names);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(our_own), cmocka_unit_test(gpt2),
                                       cmocka_unit_test(llama3), cmocka_unit_test(qwen2),
                                       cmocka_unit_test(tiny_stories)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
