// What rows mean: every column and field is used, refused or named.
#include "formats/records/shapes.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static void put_turn(struct str *s, const struct turn *t) {
    str_printf(s, "%s%s:", role_name(t->role), t->trained ? "+" : "");
    if (t->reasoning.text) str_printf(s, "(%.*s)", (int)t->reasoning.n, t->reasoning.text);
    str_add(s, t->text ? t->text : "", t->n);
    if (t->tool_calls) json_write(s, t->tool_calls, 0);
    if (t->name.text) str_printf(s, " name=%.*s", (int)t->name.n, t->name.text);
    if (t->tool_call_id.text)
        str_printf(s, " id=%.*s", (int)t->tool_call_id.n, t->tool_call_id.text);
}

// "system:a | user:b > assistant+:c - assistant+:d", tools in front, unused names behind.
static void put_example(struct str *s, const struct record *row, enum data_kind kind,
                        const struct example *x) {
    if (x->tools) {
        json_write(s, x->tools, 0);
        str_puts(s, " ");
    }
    for (size_t i = 0; i < x->n; i++) {
        str_puts(s, i ? " | " : "");
        put_turn(s, &x->turns[i]);
    }
    if (kind == DATA_SFT || kind == DATA_PREF) {
        str_puts(s, " > ");
        put_turn(s, &x->response);
    }
    if (kind == DATA_PREF) {
        str_puts(s, " - ");
        put_turn(s, &x->rejected);
    }
    if (x->scored) str_printf(s, " %g>%g", x->score_chosen, x->score_rejected);
    for (size_t i = 0, n; i < record_columns(row); i++)
        if (record_unused(row, i)) str_printf(s, " !%s", record_column(row, i, &n));
    for (size_t at = 0; at < x->unused.length; at += strlen(x->unused.text + at) + 1)
        str_printf(s, " !%s", x->unused.text + at);
}

static char *meaning(enum data_kind kind, const char *map_text, const char *row_text,
                     enum record_syntax syntax) {
    char name[] = "/tmp/shapes-XXXXXX";
    int fd = mkstemp(name);
    assert_int_equal(write(fd, row_text, strlen(row_text)), strlen(row_text));
    close(fd);
    const char *paths[] = {name};
    struct fail f = {0};
    struct record row = {0};
    struct example x = {0};
    struct field_map map;
    struct str s = {0};
    struct records *r = records_open(1, paths, syntax, &f);
    assert_true(field_map_parse(&map, map_text, &f));
    assert_true(records_next(r, &row) && record_parse(&row));
    bool sure;
    enum shape shape = shape_tell(&row, kind, &map, &sure);
    str_puts(&s, "");
    if (shape != SHAPE_AUTO && shape_read(&row, shape, kind, &map, &x))
        put_example(&s, &row, kind, &x);
    else
        str_puts(&s, strchr(strstr(row.bad.text, "' line ") + 7, ' ') + 1);
    record_release(&row);
    example_release(&x);
    field_map_release(&map);
    records_close(r);
    unlink(name);
    return s.text;
}

static void check(enum data_kind kind, const char *map, const char *row, const char *want) {
    enum record_syntax syntax = *row == '{' ? SYNTAX_JSONL : SYNTAX_CSV;
    char *have = meaning(kind, map, row, syntax);
    if (strncmp(have, want, strlen(want))) print_message("%s\n", row);
    if (strchr(want, '>'))
        assert_string_equal(have, want);
    else if (strncmp(have, want, strlen(want))) // the beginning of a reason
        assert_string_equal(have, want);
    free(have);
}

#define ONE "{\"role\":\"user\",\"content\":\"one\"}"
#define EINS "{\"role\":\"assistant\",\"content\":\"eins\"}"

static void system_and_history(void **state) {
    (void)state;
    check(DATA_PREF, NULL,
          "{\"system\":\"S\",\"question\":\"q\",\"chosen\":\"a\",\"rejected\":\"b\"}",
          "system:S | user:q > assistant+:a - assistant+:b");
    check(DATA_PREF, NULL,
          "{\"conversations\":[{\"from\":\"human\",\"value\":\"q\"}],\"system\":\"S\","
          "\"chosen\":{\"from\":\"gpt\",\"value\":\"a\"},"
          "\"rejected\":{\"from\":\"gpt\",\"value\":\"b\"}}",
          "system:S | user:q > assistant+:a - assistant+:b");
    check(DATA_SFT, NULL,
          "{\"instruction\":\"q\",\"input\":\"\",\"output\":\"a\",\"system\":\"S\","
          "\"history\":[[\"h\",\"i\"],[\"j\",\"k\"]]}",
          "system:S | user:h | assistant+:i | user:j | assistant+:k | user:q > assistant+:a");
    check(DATA_SFT, NULL, "{\"messages\":[" ONE "," EINS "],\"system_prompt\":\"S\"}",
          "system:S | user:one > assistant+:eins");
    check(DATA_SFT, NULL, "system,prompt,response\nS,q,a\n", "system:S | user:q > assistant+:a");
    check(DATA_SFT, NULL, "history,prompt,response\n\"[[\"\"h\"\", \"\"i\"\"]]\",q,a\n",
          "user:h | assistant+:i | user:q > assistant+:a");
    check(DATA_SFT, NULL, "system,history,prompt,response\n,[],q,a\n", "user:q > assistant+:a");
    check(DATA_SFT, NULL, "history,prompt,response\nnone yet,q,a\n", "'history' is not a list");
    check(DATA_SFT, "system=none", "{\"prompt\":\"q\",\"response\":\"a\",\"system\":\"S\"}",
          "user:q > assistant+:a !system");
    check(DATA_SFT, NULL,
          "{\"messages\":[{\"role\":\"system\",\"content\":\"T\"}," ONE "," EINS
          "],\"system\":\"S\"}",
          "the column 'system' and the system message differ");
    check(DATA_PREF, NULL,
          "{\"system\":\"S\",\"chosen\":\"\\n\\nHuman: q\\n\\nAssistant: a\","
          "\"rejected\":\"\\n\\nHuman: q\\n\\nAssistant: b\"}",
          "system:S | user:q > assistant+: a - assistant+: b");
}

#define CALL "{\"type\":\"function\",\"function\":{\"name\":\"w\",\"arguments\":{\"x\":1}}}"

static void tools(void **state) {
    (void)state;
    const char *called =
        "user:one > assistant+:look[{\"type\": \"function\", \"function\": {\"name\": \"w\", "
        "\"arguments\": {\"x\": 1}}}]";
    check(DATA_SFT, NULL,
          "{\"messages\":[" ONE ",{\"role\":\"assistant\",\"content\":\"look\",\"tool_calls\":["
          "{\"function\":{\"name\":\"w\",\"arguments\":{\"x\":1}}}]}]}",
          called);
    check(DATA_SFT, NULL, // OpenAI: arguments are text
          "{\"messages\":[" ONE ",{\"role\":\"assistant\",\"content\":\"look\",\"tool_calls\":["
          "{\"function\":{\"name\":\"w\",\"arguments\":\"{\\\"x\\\": 1}\"}}]}]}",
          called);
    check(DATA_SFT, NULL,
          "{\"messages\":[" ONE ",{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[" CALL
          "]},{\"role\":\"tool\",\"name\":\"w\",\"tool_call_id\":\"7\",\"content\":\"sun\"}," EINS
          "],\"tools\":\"[{\\\"name\\\": \\\"w\\\"}]\"}",
          "[{\"type\": \"function\", \"function\": {\"name\": \"w\"}}] user:one | "
          "assistant+:[{\"type\": \"function\", \"function\": {\"name\": \"w\", \"arguments\": "
          "{\"x\": 1}}}] | tool:sun name=w id=7 > assistant+:eins");
    check(DATA_SFT, NULL,
          "{\"conversations\":[{\"from\":\"human\",\"value\":\"one\"},{\"from\":\"function_call\","
          "\"value\":\"{\\\"name\\\":\\\"w\\\",\\\"arguments\\\":{}}\"},{\"from\":\"observation\","
          "\"value\":\"sun\"},{\"from\":\"gpt\",\"value\":\"eins\"}],\"tools\":\"\"}",
          "user:one | assistant+:[{\"type\": \"function\", \"function\": {\"name\": \"w\", "
          "\"arguments\": {}}}] | tool:sun > assistant+:eins");
    check(DATA_SFT, NULL,
          "{\"messages\":[" ONE ",{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{}]}]}",
          "a tool call has no name");
    check(DATA_SFT, NULL, "{\"messages\":[" ONE ",{\"role\":\"assistant\",\"content\":null}]}",
          "a message's content is null, not text");
    check(DATA_SFT, NULL, "{\"messages\":[" ONE "," EINS "],\"tools\":\"w\"}",
          "'tools' is not a list");
}

static void thoughts(void **state) {
    (void)state;
    check(DATA_SFT, NULL,
          "{\"messages\":[" ONE ",{\"role\":\"assistant\",\"content\":\"eins\","
          "\"reasoning_content\":\"hm\"}]}",
          "user:one > assistant+:(hm)eins");
    check(DATA_SFT, NULL,
          "{\"messages\":[" ONE ",{\"role\":\"assistant\",\"content\":\"eins\",\"thinking\":7}]}",
          "'reasoning_content' of a message is not a text");
}

static void weights(void **state) {
    (void)state;
    static const char *const off[] = {"\"weight\":0", "\"loss_weight\":0.0", "\"train\":false",
                                      "\"training\":false", "\"label\":false"};
    for (size_t i = 0; i < sizeof off / sizeof *off; i++) {
        char *row = xasprintf("{\"messages\":[" ONE
                              ",{\"role\":\"assistant\",\"content\":\"a\",%s}," ONE "," EINS "]}",
                              off[i]);
        check(DATA_SFT, NULL, row, "user:one | assistant:a | user:one > assistant+:eins");
        free(row);
        row = xasprintf("{\"messages\":[" ONE "," EINS "," ONE
                        ",{\"role\":\"assistant\",\"content\":\"a\",%s}]}",
                        off[i]);
        check(DATA_SFT, NULL, row, "user:one > assistant+:eins");
        free(row);
        row = xasprintf("{\"messages\":[" ONE ",{\"role\":\"assistant\",\"content\":\"a\",%s}]}",
                        off[i]);
        check(DATA_SFT, NULL, row, "no assistant's message is to be trained (weight 0)");
        check(DATA_PROMPT, NULL, row, "user:one");
        free(row);
    }
    check(DATA_SFT, NULL,
          "{\"messages\":[" ONE ",{\"role\":\"assistant\",\"content\":\"a\",\"weight\":0.5}]}",
          "'weight' is neither zero nor one");
    check(DATA_SFT, NULL, "prompt,response,weight\nq,a,0\n", "its weight is zero");
    check(DATA_SFT, NULL, "prompt,response,weight\nq,a,1\n", "user:q > assistant+:a");
    check(DATA_TEXT, NULL, "{\"text\":\"t\",\"train\":false}", "its train is zero");
    check(DATA_PREF, NULL,
          "{\"prompt\":\"q\",\"chosen\":[{\"role\":\"assistant\",\"content\":\"a\",\"weight\":0}],"
          "\"rejected\":[" EINS "]}",
          "a response has weight 0");
}

static void labels(void **state) {
    (void)state;
    const char *refused = "its label is false: a response that nobody should learn";
    check(DATA_SFT, NULL, "{\"prompt\":\"q\",\"completion\":\"a\",\"label\":false}", refused);
    check(DATA_SFT, NULL, "{\"prompt\":\"q\",\"completion\":\"a\",\"label\":true}",
          "user:q > assistant+:a");
    check(DATA_SFT, NULL, "{\"instruction\":\"q\",\"output\":\"a\",\"label\":0}", refused);
    check(DATA_SFT, NULL, "{\"instruction\":\"q\",\"output\":\"a\",\"kto_tag\":false}",
          "its kto_tag is false");
    check(DATA_SFT, NULL, "prompt,response,label\nq,a,False\n", refused);
    check(DATA_SFT, NULL, "{\"prompt\":[" ONE "],\"completion\":[" EINS "],\"label\":false}",
          refused);
    check(DATA_SFT, NULL, "{\"prompt\":[" ONE "],\"completion\":[" EINS "],\"label\":true}",
          "user:one > assistant+:eins");
    check(DATA_TEXT, NULL, "{\"text\":\"t\",\"label\":false}", refused);
    check(DATA_TEXT, NULL, "text,label\nt,0\n", "user:t");
    check(DATA_SFT, NULL, "prompt,response,label\nq,a,sport\n", "user:q > assistant+:a !label");
    check(DATA_PREF, NULL, "{\"prompt\":\"q\",\"completion\":\"a\",\"label\":false}",
          "unpaired data (a label for each response, as for KTO)");
    check(DATA_PREF, NULL, "{\"messages\":[" ONE "," EINS "],\"label\":true}",
          "unpaired data (a label for each response, as for KTO)");
}

static void other_columns(void **state) {
    (void)state;
    check(DATA_SFT, NULL, "{\"prompt\":\"q\",\"response\":\"a\",\"images\":[\"x.png\"]}",
          "it has 'images'");
    check(DATA_SFT, NULL, "prompt,response,image\nq,a,x.png\n", "it has 'image'");
    check(DATA_SFT, NULL, "{\"prompt\":\"q\",\"response\":\"a\",\"images\":[],\"videos\":null}",
          "user:q > assistant+:a");
    check(DATA_SFT, NULL,
          "{\"messages\":[" ONE ",{\"role\":\"assistant\",\"content\":\"a\",\"image\":\"x\"}]}",
          "a message holds 'image'");
    check(DATA_SFT, NULL,
          "{\"id\":7,\"messages\":[" ONE ",{\"role\":\"assistant\",\"content\":\"a\",\"mood\":1,"
          "\"tool_calls\":null}],\"note\":null,\"source\":\"web\"}",
          "user:one > assistant+:a !id !source !messages: mood");
    check(DATA_SFT, "response=chosen", "prompt,chosen,rejected\nq,a,b\n",
          "user:q > assistant+:a !rejected");
    check(DATA_PREF, NULL,
          "{\"prompt\":\"q\",\"chosen\":\"a\",\"rejected\":\"b\",\"score_chosen\":8,"
          "\"score_rejected\":2.5}",
          "user:q > assistant+:a - assistant+:b 8>2.5");
    check(DATA_PREF, NULL, "prompt,chosen,rejected,score_chosen,score_rejected\nq,a,b,high,3\n",
          "user:q > assistant+:a - assistant+:b !score_chosen !score_rejected");
    check(DATA_PREF, NULL, "prompt,chosen,rejected,chosen_rating,rejected_rating\nq,a,b,5,6\n",
          "user:q > assistant+:a - assistant+:b 5>6");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(system_and_history),
        cmocka_unit_test(tools),
        cmocka_unit_test(thoughts),
        cmocka_unit_test(weights),
        cmocka_unit_test(labels),
        cmocka_unit_test(other_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
