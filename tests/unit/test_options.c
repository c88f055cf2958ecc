#include "common/base/options.h"
#include "common/base/value.h"
#include "tests/unit/child.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
// after the standard headers, as cmocka wants it
#include <cmocka.h>

struct values {
    struct opt_list data;
    double lr, wait, inf;
    int64_t rows, any;
    const char *alpha, *name;
    struct opt_every every;
    bool reverse, verbose;
};

static void table(struct options *o, struct values *v) {
    const struct opt_row rows[] = {
        {"data", OPT_LIST, OPT_INPUT, &v->data, .required = true},
        {"lr", OPT_REAL, OPT_RESULT, &v->lr, .value = "1e-5", .low = 0, .high = 1,
         .help = "learning rate"},
        {"big", OPT_REAL, OPT_RESULT, &v->inf, .value = "1", .low = 0, .high = (double)INFINITY},
        {"rows", OPT_INT, OPT_RESULT, &v->rows, .value = "3", .low = 1, .high = 10},
        {"any", OPT_INT, OPT_EXEC, &v->any, .value = "0"},
        {"alpha", OPT_CHOICE, OPT_RESULT, &v->alpha, .value = "tvd:1.50",
         .choices = "fixed:|tvd:|none"},
        {"name", OPT_TEXT, OPT_RESULT, &v->name, .letter = 'o'},
        {"reverse", OPT_FLAG, OPT_RESULT, &v->reverse, .required = false},
        {"wait", OPT_TIME, OPT_EXEC, &v->wait, .value = "0"},
        {"every", OPT_EVERY, OPT_EXEC, &v->every, .value = "10m"},
        {"verbose", OPT_FLAG, OPT_EXEC, &v->verbose, .letter = 'v'},
    };
    *v = (struct values){0};
    *o = (struct options){.program = "prog", .summary = "Does it."};
    options_add(o, rows, sizeof rows / sizeof *rows);
}

// Splits `line` at blanks and parses it; the caller releases o.
static bool parse(struct options *o, struct values *v, const char *line, struct opt_list *rest,
                  struct fail *f) {
    static char text[400];
    char *words[40] = {"prog"};
    int n = 1;
    snprintf(text, sizeof text, "%s", line);
    for (char *w = strtok(text, " "); w; w = strtok(NULL, " ")) words[n++] = w;
    *f = (struct fail){0};
    table(o, v);
    return options_try(o, n, words, rest, f);
}

static void refuse(const char *line, const char *message) {
    struct options o;
    struct values v;
    struct fail f;
    assert_false(parse(&o, &v, line, NULL, &f));
    assert_int_equal(f.code, EXIT_USAGE);
    if (!strstr(f.text, message)) fail_msg("'%s' gave: %s", line, f.text);
    assert_null(strchr(f.text, '\n'));
    options_release(&o);
}

static void test_values(void **state) {
    (void)state;
    struct options o;
    struct values v;
    struct fail f;
    struct opt_list rest = {0};
    assert_true(parse(&o, &v,
                      "word --data a - b --lr 0.5 --rows=10 --alpha fixed:-2.50 -vo x "
                      "--wait 1h30m --every 500 --any -7 --reverse --big inf -- --tail",
                      &rest, &f));
    assert_int_equal(v.data.n, 3);
    assert_string_equal(v.data.items[1], "-");
    assert_true(v.lr == 0.5 && v.rows == 10 && v.any == -7 && v.wait == 5400 && isinf(v.inf));
    assert_string_equal(v.alpha, "fixed:-2.5");
    assert_true(choice_number(v.alpha) == -2.5 && choice_is(v.alpha, "fixed:"));
    assert_true(choice_is(v.alpha, "fixed") && !choice_is(v.alpha, "fix"));
    assert_true(v.verbose && v.reverse && v.every.steps == 500 && v.every.seconds == 0);
    assert_string_equal(v.name, "x");
    assert_int_equal(rest.n, 2);
    assert_string_equal(rest.items[1], "--tail");
    assert_true(options_given(&o, "lr") && options_given(&o, "verbose"));
    free(rest.items);
    options_release(&o);
}

static void test_defaults_and_json(void **state) {
    (void)state;
    struct options o;
    struct values v;
    struct fail f;
    assert_true(parse(&o, &v, "--data a --lr 0.1 --lr 0.3 --data b", NULL, &f));
    assert_int_equal(v.data.n, 2);
    assert_true(v.every.seconds == 600 && v.every.steps == 0 && !v.reverse);
    assert_false(options_given(&o, "rows"));
    assert_true(isnan(choice_number("none")));
    size_t i = 7, n = 7;
    assert_true(value_share("0/1", &i, &n) && i == 0 && n == 1);
    assert_true(value_share("2/3", &i, &n) && i == 2 && n == 3);
    static const char *const shares[] = {"3/3",  "-1/3", "1/-3", " 1/3", "1/ 3",
                                         "1/3x", "1",    "/3",   ""};
    for (size_t k = 0; k < sizeof shares / sizeof *shares; k++)
        assert_false(value_share(shares[k], &i, &n));
    assert_true(i == 2 && n == 3);
    static const struct {
        const char *word;
        size_t from, to;
    } ranges[] = {{"3:7", 3, 7}, {"3:", 3, 9}, {":7", 0, 7}, {":", 0, 9}, {"4", 0, 4}};
    for (size_t k = 0; k < sizeof ranges / sizeof *ranges; k++)
        assert_true(value_range(ranges[k].word, 9, &i, &n) && i == ranges[k].from &&
                    n == ranges[k].to);
    static const char *const odd[] = {"", "-1:3", "1:-3", "1:2:3", "a:3", "1:x", " 1:2", "+1:2"};
    for (size_t k = 0; k < sizeof odd / sizeof *odd; k++)
        assert_false(value_range(odd[k], 9, &i, &n));
    char *json = options_json(&o);
    assert_string_equal(json,
                        "{\"lr\":0.3,\"big\":1,\"rows\":3,\"alpha\":\"tvd:1.5\",\"name\":null,"
                        "\"reverse\":false}");
    free(json);
    options_release(&o);
}

static void test_refused(void **state) {
    (void)state;
    refuse("--data a --lrr 1", "unknown option '--lrr'; did you mean '--lr'?");
    refuse("--data a --rever", "did you mean '--reverse'?");
    refuse("--data a --xyzzyxyzzy", "unknown option '--xyzzyxyzzy'; see --help");
    refuse("--data a -x", "unknown option '-x'");
    refuse("--lr 0.1", "option '--data' is missing");
    refuse("--data", "option '--data' needs a value");
    refuse("--data a --name --lr 1", "needs a value but '--lr' follows it");
    refuse("--data a --lr 0.1x", "'--lr 0.1x' is not a number; give one from 0 to 1");
    refuse("--data a --lr nan", "is not a number");
    refuse("--data a --lr 0x1", "is not a number");
    refuse("--data a --lr 1e999", "is not a number");
    refuse("--data a --lr inf", "out of range");
    refuse("--data a --lr 1.5", "'--lr 1.5' is out of range; give a number from 0 to 1");
    refuse("--data a --lr=", "is not a number");
    refuse("--data a --rows 2.0", "is not a whole number; give one from 1 to 10");
    refuse("--data a --rows 11", "out of range");
    refuse("--data a --any 99999999999999999999", "not a whole number");
    refuse("--data a --alpha fixed", "give one of fixed:N|tvd:N|none");
    refuse("--data a --alpha none:3", "not a choice");
    refuse("--data a --alpha tvd:nan", "not a choice");
    refuse("--data a --wait 3m5h", "is not a time");
    refuse("--data a --wait -5", "is not a time");
    refuse("--data a --every 5x", "neither steps nor a time");
    refuse("--data a --reverse=maybe", "not a flag's value");
    refuse("word --data a", "unexpected word 'word'");
    refuse("--data a -- word", "unexpected word 'word'");
    refuse("--config /nonexistent", "cannot open '/nonexistent'");
}

static void test_help(void **state) {
    (void)state;
    struct options o;
    struct values v;
    struct fail f;
    assert_true(parse(&o, &v, "--help --lr oops", NULL, &f)); // nothing else counts then
    assert_true(o.help);
    char *text = options_help(&o);
    assert_non_null(strstr(text, "usage: prog"));
    assert_non_null(strstr(text, "learning rate (from 0 to 1; default 1e-5)"));
    assert_non_null(strstr(text, "one of fixed:N|tvd:N|none; default tvd:1.50"));
    assert_non_null(strstr(text, "-o, --name"));
    for (size_t i = 0; i < o.n; i++) assert_true(o.rows[i].hidden || strstr(text, o.rows[i].name));
    free(text);
    options_release(&o);
}

// Parses a config file of `text`, then `line`.
static bool with_config(struct options *o, struct values *v, const char *text, const char *line,
                        struct fail *f) {
    char path[200], words[300];
    snprintf(path, sizeof path, "%s/config.XXXXXX", getenv("TMP") ? getenv("TMP") : "/tmp");
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    snprintf(words, sizeof words, "--config %s %s", path, line);
    bool fine = parse(o, v, words, NULL, f);
    unlink(path);
    return fine;
}

static void test_config(void **state) {
    (void)state;
    struct options o;
    struct values v;
    struct fail f;
    static const char text[] = "\xef\xbb\xbf# all\r\nlr = 0.25 # half of a half\r\n\n"
                               "data = a.h5 \"b c.h5\"\nname = \"x # y\"\nreverse = yes\n"
                               "alpha=none\nrows = 7";
    assert_true(with_config(&o, &v, text, "--rows 8", &f));
    assert_true(v.lr == 0.25 && v.reverse && v.rows == 8 && v.data.n == 2);
    assert_string_equal(v.data.items[1], "b c.h5");
    assert_string_equal(v.name, "x # y");
    assert_true(options_given(&o, "lr"));
    options_release(&o);
    assert_true(with_config(&o, &v, text, "--data z --reverse=false", &f));
    assert_int_equal(v.data.n, 1); // the command line's list replaces the file's
    assert_false(v.reverse);
    options_release(&o);
}

static void refuse_config(const char *text, const char *message) {
    struct options o;
    struct values v;
    struct fail f;
    assert_false(with_config(&o, &v, text, "--data a", &f));
    assert_int_equal(f.code, EXIT_USAGE);
    if (!strstr(f.text, message)) fail_msg("gave: %s", f.text);
    options_release(&o);
}

static void test_config_refused(void **state) {
    (void)state;
    refuse_config("\nlr 0.5\n", "line 2: no '=' in 'lr 0.5'");
    refuse_config("rowz = 2\n", "line 1: unknown option 'rowz'; did you mean 'rows'?");
    refuse_config("rows = 20\n", "line 1: '--rows 20' is out of range");
    refuse_config("rows =\n", "line 1: 'rows' needs a value");
    refuse_config("name = \"x\n", "a quote is not closed");
    refuse_config("name = \"x\" y\n", "'name' needs a single value");
    refuse_config("config = other\n", "belongs on the command line");
    refuse_config("help = true\n", "belongs on the command line");
}

static bool files(const char *line, struct fail *f) {
    char text[400], *words[20] = {"prog"};
    int n = 1;
    struct opt_list data = {0}, rest = {0};
    const char *model = NULL, *output = NULL, *log = NULL;
    const struct opt_row rows[] = {
        {"model", OPT_TEXT, OPT_INPUT, &model, .help = ""},
        {"data", OPT_LIST, OPT_INPUT, &data, .help = ""},
        {"output", OPT_TEXT, OPT_OUTPUT, &output, .letter = 'o'},
        {"log", OPT_TEXT, OPT_OUTPUT, &log, .help = ""},
    };
    struct options o = {.program = "prog"};
    snprintf(text, sizeof text, "%s", line);
    for (char *w = strtok(text, " "); w; w = strtok(NULL, " ")) words[n++] = w;
    options_add(&o, rows, sizeof rows / sizeof *rows);
    *f = (struct fail){0};
    bool fine = options_try(&o, n, words, &rest, f);
    free(rest.items);
    options_release(&o);
    return fine;
}

static void refuse_files(const char *line, const char *message) {
    struct fail f;
    assert_false(files(line, &f));
    assert_int_equal(f.code, EXIT_USAGE);
    if (!strstr(f.text, message)) fail_msg("'%s' gave: %s", line, f.text);
}

static void test_files(void **state) {
    (void)state;
    struct fail f;
    char folder[] = "/tmp/test_options.XXXXXX";
    assert_true(mkdtemp(folder) && !chdir(folder));
    for (const char *name = "ab"; *name; name++) {
        FILE *file = fopen((char[]){*name, 0}, "w");
        assert_true(file && !fclose(file));
    }
    assert_int_equal(symlink("b", "link"), 0);
    refuse_files("--model a -o a", "'a' is to be written as --output, but it is also --model");
    refuse_files("--data b ./a -o a", "'a' is to be written as --output, but it is also --data");
    refuse_files("--data a --log link b -o c", "'link' is to be written as --log");
    refuse_files("-o ../../tmp/./x --log ../../tmp/./x", "but it is also --log");
    refuse_files("-o a a", "but it is also an input; name another");
    assert_true(files("--model a --data a b -o c --log d", &f));
    assert_true(files("--model /dev/null -o /dev/null --log /dev/null", &f));
    assert_true(files("--data - -o -", &f));
    assert_true(!unlink("a") && !unlink("b") && !unlink("link") && !chdir("/") && !rmdir(folder));
}

static void test_common(void **state) {
    (void)state;
    struct options o = {.program = "prog"};
    struct common_options c;
    struct fail f = {0};
    char *words[] = {"prog", "--seed", "7", "-qv", "--progress", "never", "--log", "x.csv"};
    common_log_row(&o, &c);
    common_options_rows(&o, &c);
    assert_true(options_try(&o, 8, words, NULL, &f));
    assert_true(c.seed == 7 && c.threads == 0 && c.quiet && c.verbose && !c.dry_run);
    assert_string_equal(c.progress, "never");
    assert_string_equal(c.log, "x.csv");
    char *json = options_json(&o);
    assert_string_equal(json, "{\"seed\":7}");
    free(json);
    options_release(&o);
}

static void refuse_three(void *self) {
    options_refuse(self, "seed|threads|quiet", "has no use here");
}

static void test_refuse(void **state) {
    (void)state;
    struct options o = {.program = "prog"};
    struct common_options c;
    struct fail f = {0};
    char *words[] = {"prog", "--threads", "3", "-v"};
    common_options_rows(&o, &c);
    assert_true(options_try(&o, 4, words, NULL, &f));
    struct child first = run_child(refuse_three, &o);
    assert_int_equal(first.code, EXIT_USAGE);
    assert_non_null(strstr(first.text, "--threads has no use here\n"));
    options_release(&o);
    o = (struct options){.program = "prog"};
    common_options_rows(&o, &c);
    assert_true(options_try(&o, 1, words, NULL, &f));
    assert_int_equal(run_child(refuse_three, &o).code, 0);
    options_release(&o);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),  cmocka_unit_test(test_defaults_and_json),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_help),
        cmocka_unit_test(test_config),  cmocka_unit_test(test_config_refused),
        cmocka_unit_test(test_common),  cmocka_unit_test(test_files),
        cmocka_unit_test(test_refuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
