#include "common/base/stop.h"
#include "tests/unit/child.h"
#include <signal.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

struct order { // what the child does
    double deadline;
    int first, second;
    unsigned pause; // microseconds between them
};

static void stops(void *self) {
    const struct order *o = self;
    stop_init(o->deadline);
    printf("%d", stop_requested());
    fflush(stdout);
    if (o->first) raise(o->first);
    if (o->deadline > 0) usleep((useconds_t)(1.2e6 * o->deadline));
    printf("%d", stop_requested());
    printf("%d\n", stop_requested());
    fflush(stdout);
    if (o->second) {
        usleep(o->pause);
        raise(o->second);
    }
}

static void expect(struct order o, int code, const char *text) {
    struct child c = run_child(stops, &o);
    assert_int_equal(c.code, code);
    assert_string_equal(c.text, text);
}

#define NOTE ": stopping at the last step boundary; a second signal exits at once\n"

static void test_signals(void **state) {
    (void)state;
    expect((struct order){0}, 0, "000\n");
    expect((struct order){.first = SIGTERM}, 0, "0test_stop: SIGTERM" NOTE "11\n");
    expect((struct order){.first = SIGINT}, 0, "0test_stop: SIGINT" NOTE "11\n");
    expect((struct order){.first = SIGUSR1}, 0, "0test_stop: SIGUSR1" NOTE "11\n");
    expect((struct order){.first = SIGHUP}, 0, "0test_stop: SIGHUP" NOTE "11\n");
    signal(SIGHUP, SIG_IGN); // the child has it so, too
    expect((struct order){.first = SIGHUP}, 0, "000\n");
    signal(SIGHUP, SIG_DFL);
}

static void test_second_exits(void **state) {
    (void)state;
    expect((struct order){.first = SIGUSR1, .second = SIGTERM, .pause = 300000}, 128 + SIGTERM,
           "0test_stop: SIGUSR1" NOTE "11\n");
    expect((struct order){.first = SIGINT, .second = SIGINT, .pause = 300000}, 128 + SIGINT,
           "0test_stop: SIGINT" NOTE "11\n");
    expect((struct order){.first = SIGTERM, .second = SIGTERM}, 0, // as timeout(1) sends it
           "0test_stop: SIGTERM" NOTE "11\n");
}

static void test_deadline(void **state) {
    (void)state;
    expect((struct order){.deadline = 0.05}, 0, "0test_stop: --stop-after has passed" NOTE "11\n");
    expect((struct order){.deadline = 0.05, .first = SIGTERM}, 0,
           "0test_stop: SIGTERM" NOTE "11\n"); // said once
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signals),
        cmocka_unit_test(test_second_exits),
        cmocka_unit_test(test_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
