#include "common/base/clock.h"
#include "common/base/jsonout.h"
#include "common/base/log.h"
#include "common/base/value.h"
#include "tests/unit/child.h"
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static const char *folder(void) { // for scratch files
    return getenv("TMP") ? getenv("TMP") : "/tmp";
}

static void read_all(const char *path, char text[4096]) {
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    text[fread(text, 1, 4095, f)] = 0;
    fclose(f);
}

static void write_all(const char *path, const char *text) {
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void rows(const char *path, uint64_t resume, uint64_t last) {
    struct metrics *m = metrics_open(path, resume);
    for (uint64_t step = resume + 1; step <= last; step++) {
        metrics_value(m, "loss", 1.0 / (double)step);
        metrics_value(m, "rate", step == 2 ? (double)NAN : 600);
        metrics_row(m, step);
        metrics_sync(m);
    }
    metrics_close(m);
}

static const char csv[] = "step,loss,rate\n1,1,600\n2,0.5,nan\n3,0.3333333333333333,600\n";
static const char jsonl[] = "{\"step\":1,\"loss\":1,\"rate\":600}\n"
                            "{\"step\":2,\"loss\":0.5,\"rate\":null}\n"
                            "{\"step\":3,\"loss\":0.3333333333333333,\"rate\":600}\n";

static void check_resumed(const char *path, const char *whole, const char *tail) {
    char text[4096], torn[4096];
    for (uint64_t at = 0; at <= 3; at++) { // any step, with rows beyond it and a torn last line
        snprintf(torn, sizeof torn, "%s%s", whole, tail);
        write_all(path, torn);
        rows(path, at, 3);
        read_all(path, text);
        assert_string_equal(text, whole);
    }
    rows(path, 0, 3);
    read_all(path, text);
    assert_string_equal(text, whole);
    unlink(path);
    rows(path, 2, 3); // the log is gone: continues with a new one
    unlink(path);
}

static void test_metrics(void **state) {
    (void)state;
    char path[300];
    snprintf(path, sizeof path, "%s/test_log.csv", folder());
    check_resumed(path, csv, "4,0.2");
    snprintf(path, sizeof path, "%s/test_log.jsonl", folder());
    check_resumed(path, jsonl, "{\"step\":4,\"lo");
    metrics_close(metrics_open(NULL, 3));
}

static void opens(void *self) {
    rows(self, 0, 3);
}
static void resumes(void *self) {
    metrics_close(metrics_open(self, 3));
}
static void adds_column(void *self) {
    rows(self, 0, 3);
    struct metrics *m = metrics_open(self, 3);
    metrics_value(m, "other", 1);
}

static void test_metrics_refused(void **state) {
    (void)state;
    char path[300], text[4096];
    snprintf(path, sizeof path, "%s/test_log.csv", folder());
    struct child c = run_child(opens, "run.txt");
    assert_int_equal(c.code, 2);
    assert_non_null(strstr(c.text, "log 'run.txt' ends in neither .csv nor .jsonl"));
    c = run_child(opens, "/nonexistent/x.csv");
    assert_int_equal(c.code, 1);
    assert_non_null(strstr(c.text, "cannot open '/nonexistent/x.csv'"));
    c = run_child(adds_column, path);
    assert_int_equal(c.code, 1);
    assert_non_null(strstr(c.text, "has no column 'other'"));
    // what is no log is neither written over nor cut back; a log's first bytes are one
    const char *foreign = "prompt,response\na,b\n";
    for (int i = 0; i < 2; i++) {
        write_all(path, foreign);
        c = run_child(i ? resumes : opens, path);
        assert_int_equal(c.code, 1);
        assert_non_null(strstr(c.text, "exists and is no log of a run; name another file"));
        read_all(path, text);
        assert_string_equal(text, foreign);
    }
    write_all(path, "ste");
    c = run_child(opens, path);
    assert_int_equal(c.code, 0);
    unlink(path);
}

// A column that a row may lack: empty, and there from the first row on. What resuming has kept.
static void test_metrics_lacking(void **state) {
    (void)state;
    static const char *const ending[] = {"csv", "jsonl"};
    static const char *const whole[] = {"step,loss,valid,seconds\n1,2,,0.5\n2,2,7,1\n",
                                        "{\"step\":1,\"loss\":2,\"seconds\":0.5}\n"
                                        "{\"step\":2,\"loss\":2,\"valid\":7,\"seconds\":1}\n"};
    for (int k = 0; k < 2; k++) {
        char path[300], text[4096];
        snprintf(path, sizeof path, "%s/test_lacking.%s", folder(), ending[k]);
        struct metrics *m = metrics_open(path, 0);
        assert_true(metrics_resumed(m, "seconds") == 0);
        for (int step = 1; step <= 2; step++) {
            metrics_value(m, "loss", 2);
            metrics_column(m, "valid");
            if (step == 2) metrics_value(m, "valid", 7);
            metrics_value(m, "seconds", 0.5 * step);
            assert_true(step == 2 ? metrics_get(m, "valid") == 7 : isnan(metrics_get(m, "valid")));
            metrics_row(m, (uint64_t)step);
        }
        metrics_close(m);
        read_all(path, text);
        assert_string_equal(text, whole[k]);
        for (uint64_t at = 1; at <= 2; at++) {
            write_all(path, whole[k]);
            m = metrics_open(path, at);
            assert_true(metrics_resumed(m, "seconds") == 0.5 * (double)at);
            assert_true(metrics_resumed(m, "loss") == 2 && metrics_resumed(m, "none") == 0);
            metrics_close(m);
        }
        unlink(path);
    }
    struct metrics *m = metrics_open(NULL, 0); // in memory alone
    metrics_value(m, "loss", 3);
    assert_true(metrics_get(m, "loss") == 3);
    metrics_row(m, 1);
    assert_true(isnan(metrics_get(m, "loss")));
    metrics_close(m);
}

struct talk {
    const char *progress;
    bool quiet, verbose;
};

static void talks(void *self) {
    const struct talk *t = self;
    struct log *l = log_open(t->progress, t->quiet, t->verbose);
    log_note(l, "a %s", "note");
    log_detail(l, "a detail");
    log_progress(l, "step", 1, 4, "loss 2.5000");
    usleep(150000);
    log_progress(l, "step", 2, 4, "loss 2.2500");
    log_note(l, "between");
    log_end_progress(l);
    log_close(l);
}

static void talks_and_drops(void *self) {
    (void)self;
    struct log *l = log_open("always", false, false);
    log_progress(l, "row", 1, 4, NULL);
    usleep(150000);
    log_progress(l, "row", 2, 4, NULL);
    log_drop_progress(l);
    log_end_progress(l); // of nothing
    log_close(l);
}

// The number that stands between the two in the text; -1 where there is none.
static double number_in(const char *text, const char *before, const char *after) {
    const char *at = strstr(text, before);
    if (!at) return -1;
    char *end;
    double number = strtod(at += strlen(before), &end);
    return end > at && !strncmp(end, after, strlen(after)) ? number : -1;
}

static void test_log(void **state) {
    (void)state;
    struct child c = run_child(talks, &(struct talk){"auto", false, false});
    assert_string_equal(c.text, "test_log: a note\ntest_log: between\n"); // too short for a line
    c = run_child(talks, &(struct talk){"never", false, true});
    assert_string_equal(c.text, "test_log: a note\ntest_log: a detail\ntest_log: between\n");
    c = run_child(talks, &(struct talk){"auto", true, true});
    assert_string_equal(c.text, "");
    double start = clock_seconds(); // what the child measures takes no longer than the child
    c = run_child(talks, &(struct talk){"always", false, false});
    double took = clock_seconds() - start;
    double left = number_in(c.text, "[==========>         ] step 2/4 (50%), loss 2.2500, ", "s");
    assert_true(left >= 0 && left <= 2 * took + 0.5);               // in whole seconds
    assert_non_null(strstr(c.text, "\r\033[Ktest_log: between\n")); // the note clears the line
    assert_int_equal(c.text[strlen(c.text) - 1], '\n');
    start = clock_seconds();
    c = run_child(talks_and_drops, NULL); // nothing of the line is left
    took = clock_seconds() - start;
    double rate = number_in(c.text, "row 2/4 (50%), ", " rows/s, ");
    assert_true(rate < 6.7 && rate > 0.99 / took); // one row after 150 ms or more; three digits
    const char *end = strrchr(c.text, '\r');
    assert_string_equal(end, "\r\033[K");
}

static void prints_to(void *self) {
    guard_streams();
    int fd = self ? open(self, O_WRONLY) : -1;
    if (fd >= 0)
        dup2(fd, STDOUT_FILENO);
    else
        close(STDOUT_FILENO), guard_streams();
    print_result("%d", 5);
    finish_stdout();
}

static void prints_to_nobody(void *self) {
    int ends[2];
    if (pipe(ends) || dup2(ends[1], STDOUT_FILENO) < 0) abort();
    close(ends[0]);
    close(ends[1]);
    guard_streams();
    print_result("%s", (char *)self);
}

static void closed_is_filled(void *self) {
    (void)self;
    close(STDOUT_FILENO);
    guard_streams();
    if (open("/dev/null", O_RDONLY) == STDOUT_FILENO) fputs("stdout was given away", stderr);
}

static void test_stdout(void **state) {
    (void)state;
    struct child c = run_child(prints_to, "/dev/full");
    assert_int_equal(c.code, 1);
    assert_non_null(strstr(c.text, "test_log: cannot write to 'stdout': No space left on device"));
    c = run_child(prints_to, NULL);
    assert_int_equal(c.code, 1);
    assert_non_null(strstr(c.text, "cannot write to 'stdout': Bad file descriptor"));
    c = run_child(prints_to_nobody, "x");
    assert_int_equal(c.code, 141);
    assert_string_equal(c.text, "");
    c = run_child(closed_is_filled, NULL);
    assert_string_equal(c.text, "");
}

static void digits(double v, const char *text) {
    char out[32];
    jsonout_digits(v, out);
    assert_string_equal(out, text);
}

static void test_numbers(void **state) {
    (void)state;
    digits(0.1, "0.1");
    digits(1e-5, "1e-05");
    digits(600, "600");
    digits(-1234567, "-1234567");
    digits(5e-324, "5e-324");
    digits(1.0 / 3, "0.3333333333333333");
    digits(1e300, "1e+300");
    digits(0, "0");
    digits(-(double)INFINITY, "-inf");
    digits((double)NAN, "nan");
    double x = 1;
    for (int i = 0; i < 2000; i++) { // what is written reads back the same
        char out[32];
        double back;
        x = x * 1.37 + 1e-3 * i;
        if (x > 1e200) x = 1e-200 / x;
        jsonout_digits(x, out);
        assert_true(value_real(out, &back) && back == x);
    }
    struct str s = {0};
    jsonout_bytes(&s, "a\"\\\n\x01\0\xc3\xa9", 8);
    assert_string_equal(s.text, "\"a\\\"\\\\\\n\\u0001\\u0000\xc3\xa9\"");
    str_release(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metrics),         cmocka_unit_test(test_metrics_refused),
        cmocka_unit_test(test_metrics_lacking), cmocka_unit_test(test_log),
        cmocka_unit_test(test_stdout),          cmocka_unit_test(test_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
