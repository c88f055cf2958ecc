// Talking to another program that answers at its own pace, or not at all.
#include "common/base/pump.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct talk {
    size_t answers;
    double sum;
    bool in_order; // answer i is i
};

static void ask(void *self, size_t i, struct str *line) {
    (void)self;
    str_printf(line, "%zu %0100d\n", i, 0);
}

static bool answer(void *self, size_t i, const char *line, struct fail *f) {
    struct talk *t = self;
    double v;
    char excerpt[PUMP_EXCERPT];
    pump_excerpt(line, excerpt);
    if (!pump_number(line, &v))
        return fail_set(f, EXIT_BADDATA, "line %zu is '%s'", i + 1, excerpt);
    t->in_order = (t->answers ? t->in_order : true) && v == (double)i;
    t->answers++;
    t->sum += v;
    return true;
}

static struct talk talk(const char *command, size_t questions, double timeout, struct fail *f) {
    struct talk t = {0};
    struct pump p = {.name = "judge",
                     .command = command,
                     .questions = questions,
                     .timeout = timeout,
                     .self = &t,
                     .ask = ask,
                     .answer = answer};
    bool ok = pump_run(&p, f);
    assert_int_equal(ok, f->code == 0);
    return t;
}

static void expect(const char *command, int code, const char *words, size_t answers) {
    struct fail f = {0};
    double start = clock_seconds();
    struct talk t = talk(command, 5, 0.2, &f);
    if (f.code != code || !strstr(f.text, words) || t.answers != answers)
        fail_msg("%s: code %d, %zu answers: %s", command, f.code, t.answers, f.text);
    if (clock_seconds() - start > 4) fail_msg("%s: took too long to end", command);
}

static void answers_at_its_own_pace(void **state) {
    (void)state;
    static const char *const commands[] = {
        "while read n rest; do echo $n; done", // at once
        "cut -d' ' -f1",                       // in bursts
        "sort -n | cut -d' ' -f1",             // after the end of its input
        "cut -d' ' -f1 | tr '\\n' '~' | sed 's/~/ \\r\\n\\t/g' | sed '$d'", // blanks and CR
    };
    for (size_t c = 0; c < 4; c++) {
        struct fail f = {0};
        size_t n = c ? 20000 : 500; // more than the pipes hold
        struct talk t = talk(commands[c], n, 0, &f);
        if (f.code || t.answers != n || !t.in_order)
            fail_msg("%s: %zu answers, %s", commands[c], t.answers, f.text);
    }
}

static void last_line_may_lack_its_end(void **state) {
    (void)state;
    struct fail f = {0};
    struct talk t = talk("cat >/dev/null; printf '0\\n1\\n2'", 3, 0, &f);
    assert_int_equal(f.code, 0);
    assert_true(t.in_order && t.answers == 3);
}

static void may_answer_without_reading(void **state) {
    (void)state;
    struct fail f = {0};
    struct talk t = talk("seq 0 19999", 20000, 0, &f);
    assert_int_equal(f.code, 0);
    assert_true(t.in_order && t.answers == 20000);
}

static void failures_are_told_apart(void **state) {
    (void)state;
    expect("exit 7", EXIT_FAILED, "'exit 7' exited with status 7 after 0 of 5 answers", 0);
    expect("echo 0; kill -9 $$", EXIT_FAILED, "killed by signal 9 after 1 of 5", 1);
    expect("no-such-program-here 2>/dev/null", EXIT_FAILED, "status 127", 0);
    expect("echo 0; echo 1", EXIT_BADDATA, "printed 2 lines for 5 lines of input", 2);
    expect("seq 0 5", EXIT_BADDATA, "printed more than 5 lines", 5);
    expect("echo 0; echo maybe; cat", EXIT_BADDATA, "line 2 is 'maybe'", 1);
    expect("echo nan; cat", EXIT_BADDATA, "line 1 is 'nan'", 0);
    expect("echo; cat", EXIT_BADDATA, "line 1 is ''", 0);
    expect("head -c 3000 /dev/zero | tr '\\0' x; sleep 2", EXIT_FAILED, "silent for 0.2 seconds",
           0);
    expect("head -c 3000000 /dev/zero", EXIT_BADDATA, "more than 1048576 bytes", 0);
    expect("echo 0; exec sleep 30", EXIT_FAILED, "silent for 0.2 seconds after 1 of 5", 1);
    expect("exec >&-; exec sleep 30", EXIT_FAILED, "killed by signal 15", 0);
    expect("trap '' TERM; echo x; exec >&-; while :; do sleep 1; done", EXIT_BADDATA, "is 'x'", 0);
    expect("seq 0 4; exit 2", EXIT_FAILED, "status 2 after 5 of 5", 5);
}

// A filter behind the program must die of SIGPIPE as in a shell, though we ignore the signal.
static void signals_are_as_in_a_shell(void **state) {
    (void)state;
    struct fail f = {0};
    talk("yes | head -n 1 >/dev/null; cut -d' ' -f1", 5, 3, &f);
    assert_int_equal(f.code, 0);
}

static void excerpts_are_printable(void **state) {
    (void)state;
    char excerpt[PUMP_EXCERPT];
    pump_excerpt("a\tb\033[31m\xff", excerpt);
    assert_string_equal(excerpt, "a?b?[31m?");
    char longer[200];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    pump_excerpt(longer, excerpt);
    assert_int_equal(strlen(excerpt), PUMP_EXCERPT - 1);
    assert_string_equal(excerpt + PUMP_EXCERPT - 4, "...");
}

int main(void) {
    guard_streams();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_at_its_own_pace),    cmocka_unit_test(last_line_may_lack_its_end),
        cmocka_unit_test(may_answer_without_reading), cmocka_unit_test(failures_are_told_apart),
        cmocka_unit_test(signals_are_as_in_a_shell),  cmocka_unit_test(excerpts_are_printable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
