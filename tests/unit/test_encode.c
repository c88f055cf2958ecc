// Shapes of rows and what they become: ids, masks, boundaries.
#include "formats/records/encode.h"
#include "formats/records/token_source.h"
#include "formats/models/tokenizer_json.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

// Bytes a b c ... as tokens, "ab" joined, <s> in front.
static struct tokenizer *tokenizer_new(void) {
    struct str s = {0};
    str_puts(&s, "{\"version\":\"1.0\",\"added_tokens\":[");
    static const char *const special[] = {"<s>", "</s>", "<|im_start|>", "<|im_end|>"};
    for (int i = 0; i < 4; i++)
        str_printf(&s,
                   "%s{\"id\":%d,\"content\":\"%s\",\"special\":true,\"single_word\":false,"
                   "\"lstrip\":false,\"rstrip\":false,\"normalized\":false}",
                   i ? "," : "", i, special[i]);
    str_puts(&s,
             "],\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"ByteLevel\","
             "\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":true},"
             "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":"
             "{\"id\":\"<s>\",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],"
             "\"pair\":[],\"special_tokens\":{\"<s>\":{\"id\":\"<s>\",\"ids\":[0],\"tokens\":"
             "[\"<s>\"]}}},\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\","
             "\"vocab\":{\"<s>\":0,\"</s>\":1,\"<|im_start|>\":2,\"<|im_end|>\":3");
    for (int c = 33; c < 127; c++) {
        char quoted[3] = {(char)c, 0};
        if (c == '"' || c == '\\') snprintf(quoted, 3, "\\%c", c);
        str_printf(&s, ",\"%s\":%d", quoted, c);
    }
    str_puts(&s, ",\"\xc4\xa0\":32,\"\xc4\x8a\":10,\"ab\":200},\"merges\":[\"a b\"]}}");
    struct fail f = {0};
    struct tokenizer *t = tokenizer_parse(s.text, s.length, "test", &f);
    if (!t) print_message("%s\n", f.text);
    assert_non_null(t);
    str_release(&s);
    return t;
}

static struct tokenizer *tokenizer;
static struct chat_template chatml;

static int set_up(void **state) {
    (void)state;
    tokenizer = tokenizer_new();
    struct token_source source = {.tokenizer = tokenizer, .bos = 0, .eos = 1};
    struct fail f = {0};
    assert_true(chat_template_open(&chatml, "chatml", &source, 0, NULL, &f));
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    chat_template_close(&chatml);
    tokenizer_free(tokenizer);
    return 0;
}

static void add_ids(struct str *s, const struct ids *ids, const char *mask) {
    for (size_t i = 0; i < ids->n; i++) {
        bool trained = mask ? mask[i] == 1 : true, before = i && (mask ? mask[i - 1] == 1 : true);
        if (trained && !before) str_puts(s, "{");
        if (!trained && before) str_puts(s, "}");
        str_puts(s, tokenizer_token(tokenizer, ids->id[i]));
    }
}

// One JSON row as "prompt{trained|...", pairs with " + chosen - rejected", or the reason.
static char *made(const char *json, struct encoder e, const char *map_text) {
    char name[] = "/tmp/encode-XXXXXX";
    int fd = mkstemp(name);
    assert_int_equal(write(fd, json, strlen(json)), strlen(json));
    close(fd);
    const char *paths[] = {name};
    struct fail f = {0};
    struct record row = {0};
    struct example x = {0};
    struct encoded out = {0};
    struct field_map map;
    struct str s = {0};
    struct records *r = records_open(1, paths, SYNTAX_JSONL, &f);
    assert_true(field_map_parse(&map, map_text, &f));
    assert_true(records_next(r, &row) && record_parse(&row));
    e.tokenizer = tokenizer;
    e.bos = 0;
    if (!e.eos) e.eos = 1;
    e.vocab = 201;
    bool sure;
    enum shape shape = shape_tell(&row, e.kind, &map, &sure);
    str_puts(&s, "");
    if (shape != SHAPE_AUTO && shape_read(&row, shape, e.kind, &map, &x) &&
        encode(&e, &row, &x, &out)) {
        if (out.dropped)
            str_puts(&s, "dropped");
        else
            add_ids(&s, &out.ids, out.mask.text);
        if (e.kind == DATA_PREF) {
            str_puts(&s, " + ");
            add_ids(&s, &out.chosen, NULL);
            str_puts(&s, " - ");
            add_ids(&s, &out.rejected, NULL);
        }
    } else {
        str_puts(&s, strstr(row.bad.text, "line 1: ") + 8);
    }
    record_release(&row);
    example_release(&x);
    encoded_release(&out);
    field_map_release(&map);
    records_close(r);
    unlink(name);
    return s.text;
}

static void expect_with(struct encoder e, const char *map, const char *json, const char *want) {
    char *have = made(json, e, map);
    if (strcmp(have, want)) print_message("%s\n", json);
    assert_string_equal(have, want);
    free(have);
}

static void expect(enum data_kind kind, const char *json, const char *want) {
    expect_with((struct encoder){.kind = kind}, NULL, json, want);
}

static void plain(void **state) {
    (void)state;
    expect(DATA_SFT, "{\"prompt\":\"xa\",\"response\":\"bc\"}", "<s>xa{bc</s>"); // a b not joined
    expect(DATA_SFT, "{\"question\":\"ab\",\"completion\":\"c\"}", "<s>ab{c</s>");
    expect(DATA_SFT, "{\"instruction\":\"i\",\"input\":\"n\",\"output\":\"o\"}",
           "<s>i\xc4\x8an{o</s>");
    expect(DATA_SFT, "{\"instruction\":\"i\",\"input\":\"\",\"output\":\"o\"}", "<s>i{o</s>");
    expect(DATA_TEXT, "{\"text\":\"ab\"}", "<s>{ab</s>");
    expect(DATA_PROMPT, "{\"prompt\":\"ab\"}", "<s>ab");
    expect(DATA_PREF, "{\"prompt\":\"p\",\"chosen\":\"g\",\"rejected\":\"b\"}",
           "<s>p + {g</s> - {b</s>");
    expect_with((struct encoder){.kind = DATA_PREF}, "prompt=q,chosen=good",
                "{\"q\":\"p\",\"good\":\"g\",\"rejected\":\"b\"}", "<s>p + {g</s> - {b</s>");
    // special tokens in data are text, unless asked for; never two BOS
    expect(DATA_PROMPT, "{\"prompt\":\"<s>a\"}", "<s><s>a");
    expect_with((struct encoder){.kind = DATA_PROMPT, .parse_special = true}, NULL,
                "{\"prompt\":\"<s>a</s>\"}", "<s>a</s>");
}

static void lists(void **state) {
    (void)state;
#define U(t) "{\"role\":\"user\",\"content\":\"" t "\"}"
#define A(t) "{\"role\":\"assistant\",\"content\":\"" t "\"}"
    expect(DATA_SFT, "{\"messages\":[" U("q") "," A("a") "]}", "<s>q{a</s>");
    expect(DATA_SFT, "{\"messages\":[" U("q") "," A("a") "],\"label\":false}",
           "its label is false: a response that nobody should learn");
    expect(DATA_PROMPT, "{\"messages\":[" U("q") "," A("a") "]}", "<s>q");
    expect(DATA_SFT,
           "{\"conversations\":[{\"from\":\"human\",\"value\":\"q\"},"
           "{\"from\":\"gpt\",\"value\":\"a\"}]}",
           "<s>q{a</s>");
    expect(DATA_PREF,
           "{\"prompt\":\"q\",\"chosen\":[" U("q") "," A("g") "],\"rejected\":[" U("q") "," A(
               "b") "]}",
           "<s>q + {g</s> - {b</s>");
    expect(DATA_PREF, "{\"prompt\":[" U("q") "],\"chosen\":[" A("g") "],\"rejected\":[" A("b") "]}",
           "<s>q + {g</s> - {b</s>");
    expect(DATA_PREF,
           "{\"conversations\":[" U("q") "],\"chosen\":" A("g") ",\"rejected\":" A("b") "}",
           "<s>q + {g</s> - {b</s>");
    expect(DATA_PREF,
           "{\"chosen_messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
           "\"value\":\"q\"}]}," A("g") "],\"rejected_messages\":[" U("q") "," A("b") "]}",
           "<s>q + {g</s> - {b</s>");
    expect(DATA_PREF, "{\"chosen\":[" U("q") "," A("g") "],\"rejected\":[" U("r") "," A("b") "]}",
           "chosen and rejected differ before their last message");
    expect(DATA_SFT, "{\"messages\":[{\"role\":\"wizard\",\"content\":\"x\"}]}",
           "role 'wizard' of a message is not understood; system, user, assistant and tool are");
}

static void hh(void **state) {
    (void)state;
    expect(DATA_PREF,
           "{\"chosen\":\"\\n\\nHuman: q\\n\\nAssistant: g\","
           "\"rejected\":\"\\n\\nHuman: q\\n\\nAssistant: b\"}",
           "<s>\xc4\x8a\xc4\x8aHuman:\xc4\xa0q\xc4\x8a\xc4\x8a"
           "Assistant: + {\xc4\xa0g</s> - {\xc4\xa0"
           "b</s>");
    expect(DATA_PREF,
           "{\"response_j\":\"\\n\\nHuman: q\\n\\nAssistant: g\","
           "\"response_k\":\"\\n\\nHuman: q\\n\\nAssistant: b\"}",
           "<s>\xc4\x8a\xc4\x8aHuman:\xc4\xa0q\xc4\x8a\xc4\x8a"
           "Assistant: + {\xc4\xa0g</s> - {\xc4\xa0"
           "b</s>");
    expect_with((struct encoder){.kind = DATA_PREF, .template = &chatml}, NULL,
                "{\"chosen\":\"\\n\\nHuman: q\\n\\nAssistant: g\","
                "\"rejected\":\"\\n\\nHuman: q\\n\\nAssistant: b\"}",
                "<s><|im_start|>user\xc4\x8aq<|im_end|>\xc4\x8a<|im_start|>assistant\xc4\x8a"
                " + {g<|im_end|> - {b<|im_end|>");
    expect(DATA_PREF, "{\"chosen\":\"g\",\"rejected\":\"b\"}",
           "chosen and rejected do not begin with the same dialogue of 'Human:' and 'Assistant:'");
}

static void templates(void **state) {
    (void)state;
    struct encoder e = {.kind = DATA_SFT, .template = &chatml};
    expect_with(
        e, NULL, "{\"messages\":[" U("q") "," A("a") "," U("r") "," A("b") "]}",
        "<s><|im_start|>user\xc4\x8aq<|im_end|>\xc4\x8a<|im_start|>assistant\xc4\x8a{a<|im_end|>}"
        "\xc4\x8a<|im_start|>user\xc4\x8ar<|im_end|>\xc4\x8a<|im_start|>assistant\xc4\x8a{b<|im_"
        "end|>");
    expect_with(e, NULL,
                "{\"messages\":[" U("q") ",{\"role\":\"assistant\",\"content\":\"a\","
                                         "\"weight\":0}," U("r") "," A("b") "]}",
                "<s><|im_start|>user\xc4\x8aq<|im_end|>\xc4\x8a<|im_start|>assistant\xc4\x8a"
                "a<|im_end|>"
                "\xc4\x8a<|im_start|>user\xc4\x8ar<|im_end|>\xc4\x8a<|im_start|>assistant\xc4\x8a{"
                "b<|im_end|>");
}

static void ids(void **state) {
    (void)state;
    expect(DATA_TEXT, "{\"ids\":[97,98,99]}", "a{bc");
    expect(DATA_SFT, "{\"ids\":[97,98,99],\"prompt_length\":2}", "ab{c");
    expect(DATA_PROMPT, "{\"ids\":[97,98]}", "ab");
    expect(DATA_TEXT, "{\"ids\":[97,201]}", "id 201 is outside the vocabulary of 201");
    expect(DATA_TEXT, "{\"ids\":[97,-1]}", "'ids' holds something that is no token id");
    expect(DATA_SFT, "{\"ids\":[97,98],\"prompt_length\":2}", "'prompt_length' is not from 1 to 1");
}

static void bad(void **state) {
    (void)state;
    expect(DATA_SFT, "{\"prompt\":\"\",\"response\":\"b\"}", "empty prompt");
    expect(DATA_SFT, "{\"prompt\":\"a\",\"response\":\"\"}", "empty response");
    expect(DATA_PREF, "{\"prompt\":\"a\",\"chosen\":\"\",\"rejected\":\"x\"}",
           "empty chosen response");
    expect(DATA_SFT, "{\"prompt\":\"a\",\"response\":3}", "'response' is not a text");
    expect(DATA_PREF, "{\"a\":1,\"b\":2}",
           "missing column: --kind pref needs prompt, chosen and "
           "rejected; there are: a, b; name others with --map");
}

static void lengths(void **state) {
    (void)state;
    const char *row = "{\"prompt\":\"xyz\",\"response\":\"opq\"}"; // 8 tokens
    struct encoder e = {.kind = DATA_SFT, .max_length = 8};
    expect_with(e, NULL, row, "<s>xyz{opq</s>");
    e.max_length = 7;
    expect_with(e, NULL, row, "dropped");
    e.on_long = LONG_DROP;
    expect_with(e, NULL, row, "dropped");
    e.on_long = LONG_TRUNCATE;
    expect_with(e, NULL, row, "<s>xyz{opq");
    e.max_length = 4;
    expect_with(e, NULL, row, "dropped"); // never an empty response
    e.max_length = 6;
    e.kind = DATA_PREF;
    expect_with(e, NULL, "{\"prompt\":\"xyz\",\"chosen\":\"opq\",\"rejected\":\"n\"}",
                "<s>xyz + {op - {n</s>");
    e.kind = DATA_PROMPT;
    e.max_length = 3;
    expect_with(e, NULL, "{\"prompt\":\"wxyz\"}", "<s>yz");
}

static void pieces(void **state) {
    (void)state;
    struct encoder e = {.kind = DATA_TEXT, .max_length = 4, .on_long = LONG_SPLIT};
    for (size_t n = 2; n < 40; n++) {
        struct encoded x = {.ids = {.n = n}};
        size_t trained = 0, count = encoded_pieces(&e, &x), first, k;
        for (size_t i = 0; i < count; i++) {
            encoded_piece(&e, &x, i, &first, &k);
            assert_int_equal(first, trained);
            assert_in_range(k, 2, 4);
            trained += k - 1;
        }
        assert_int_equal(trained, n - 1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain),     cmocka_unit_test(lists),  cmocka_unit_test(hh),
        cmocka_unit_test(templates), cmocka_unit_test(ids),    cmocka_unit_test(bad),
        cmocka_unit_test(lengths),   cmocka_unit_test(pieces),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
