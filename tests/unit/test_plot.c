// Plots: axes that hold what they should, marks and texts inside the drawing, nothing on the
// curves.
#include "stages/shared/plot.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static size_t count(const char *text, const char *what) {
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, what)); at += strlen(what)) n++;
    return n;
}

// The number behind the i-th `what`; NaN: there are not as many.
static double number_after(const char *text, const char *what, size_t i) {
    const char *at = text;
    for (size_t k = 0; k <= i; k++) {
        at = strstr(k ? at + 1 : at, what);
        if (!at) return NAN;
    }
    return strtod(at + strlen(what), NULL);
}

static char *draw(const struct plot *p) {
    struct str s = {0};
    assert_true(plot_svg(p, &s));
    assert_null(strstr(s.text, "nan"));
    assert_null(strstr(s.text, "inf"));
    double high = number_after(s.text, "viewBox=\"0 0 460 ", 0);
    for (size_t i = 0; i < count(s.text, "<circle"); i++) {
        double x = number_after(s.text, " cx=\"", i), y = number_after(s.text, " cy=\"", i);
        assert_true(x >= 0 && x <= PLOT_WIDE && y >= 0 && y <= high);
    }
    for (const char *at = s.text; (at = strstr(at, "<text x=\"")); at++) {
        double x = strtod(at + 9, NULL), y = strtod(strstr(at, " y=\"") + 4, NULL);
        assert_true(x >= 0 && x <= PLOT_WIDE && y > 0 && y < high);
    }
    return s.text;
}

static void axes_hold_their_values(void **state) {
    (void)state;
    struct plot_axis a = {.from = 0, .to = 100};
    double low[] = {35.2, 41, 48.9}, one[] = {0.25, NAN}, none[] = {NAN, INFINITY};
    assert_true(plot_axis_fit(&a, low, 3, false)); // accuracies below one half have an axis too
    for (int i = 0; i < 3; i++) {
        double at = plot_axis_place(&a, low[i]);
        assert_true(at > 0 && at < 100);
    }
    assert_true(plot_axis_fit(&a, one, 2, false));
    assert_true(a.low < 0.25 && a.high > 0.25);
    assert_false(plot_axis_fit(&a, none, 2, false));
    a.log = true;
    double powers[] = {-1, 0, 1e-3, 10};
    assert_true(plot_axis_fit(&a, powers, 4, false));
    assert_true(isnan(plot_axis_place(&a, 0)) && isnan(plot_axis_place(&a, -1)));
    assert_true(plot_axis_place(&a, 1e-3) > 0 && plot_axis_place(&a, 10) < 100);
}

static void zoom_cuts_outliers_alone(void **state) {
    (void)state;
    struct plot_axis a = {.from = 0, .to = 100};
    double near[] = {0, 3, 5, 6, 8, 9, 11, 14, 10, 12}, far[12];
    assert_true(plot_axis_fit(&a, near, 10, true));
    assert_false(a.cut);
    assert_true(a.low <= 0 && a.high >= 14);
    memcpy(far, near, sizeof near);
    far[10] = 180;
    far[11] = 210;
    assert_true(plot_axis_fit(&a, far, 12, true));
    assert_true(a.cut && a.high < 30 && a.high >= 14 && a.low <= 0);
    double same[] = {2, 2, 2, 5}; // no deviation to measure by: all are shown
    assert_true(plot_axis_fit(&a, same, 4, true));
    assert_true(!a.cut && a.high >= 5);
}

static void ticks_are_round_and_inside(void **state) {
    (void)state;
    static const struct {
        double low, high;
        bool log;
    } cases[] = {{0, 1, false},       {35.2, 48.9, false}, {-4.7, 3.5, false}, {0, 158, false},
                 {1e-7, 3e-6, false}, {-3, 2, true},       {0.3, 0.9, true},   {1.31, 1.42, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct plot_axis a = {cases[i].low, cases[i].high, 0, 100, cases[i].log, false};
        struct plot_ticks t;
        plot_axis_ticks(&a, 5, &t);
        assert_true(t.n >= 2 && t.n <= 12);
        for (size_t k = 0; k < t.n; k++) {
            double at = plot_axis_place(&a, t.at[k]), shown = strtod(t.text[k], NULL);
            assert_true(at >= -0.01 && at <= 100.01);
            assert_true(fabs(shown - t.at[k]) <= 1e-9 + 1e-3 * fabs(t.at[k])); // says where it is
            for (size_t j = 0; j < k; j++) assert_string_not_equal(t.text[j], t.text[k]);
        }
    }
}

static void legend_stands_above_the_curves(void **state) {
    (void)state;
    double x[] = {0, 20, 40}, y[] = {3, 2, 1};
    static const char *const names[] = {"a rather long name", "another one, which is as long",
                                        "a third of them", "and one more to fill rows"};
    struct plot_series s[4];
    for (int i = 0; i < 4; i++)
        s[i] = (struct plot_series){.name = names[i], .n = 3, .x = x, .y = y, .colour = i};
    struct plot p = {.kind = PLOT_LINES, .title = "T", .x_label = "step", .n = 4, .series = s};
    char *svg = draw(&p);
    double top = number_after(strstr(svg, "<svg x="), " y=\"", 0); // of what holds the curves
    assert_true(top > 0);
    size_t keys = 0;
    for (const char *at = svg; (at = strstr(at, "<text x=")); at++) {
        const char *y_at = strstr(at, " y=\""), *class = strstr(at, "class=\"key\"");
        if (!class || class > strchr(at, '>')) continue;
        assert_true(strtod(y_at + 4, NULL) < top);
        assert_true(strtod(at + 9, NULL) < PLOT_WIDE - 60);
        keys++;
    }
    assert_int_equal(keys, 4);
    free(svg);
}

static void a_single_point_is_drawn(void **state) {
    (void)state;
    double x[] = {1}, y[] = {0.69};
    struct plot_series s = {.name = "dpo", .n = 1, .x = x, .y = y, .bare = true};
    struct plot p = {
        .kind = PLOT_LINES, .x_label = "step", .y_label = "loss", .n = 1, .series = &s};
    char *svg = draw(&p);
    assert_int_equal(count(svg, "<circle"), 1);
    assert_non_null(strstr(svg, "<title>dpo: step 1, loss 0.690</title>"));
    free(svg);
    y[0] = NAN; // nothing to draw is said, not drawn
    struct str none = {0};
    assert_false(plot_svg(&p, &none));
    assert_int_equal(none.length, 0);
    p.n = 0;
    assert_false(plot_svg(&p, &none));
    p.kind = PLOT_BARS;
    assert_false(plot_svg(&p, &none));
}

static void errors_and_outliers_are_told(void **state) {
    (void)state;
    double kl[] = {0, 3, 6, 9, 205.8}, gold[] = {1.2, 2.2, 3.1, 3.4, -4}, low[5], high[5];
    for (int i = 0; i < 5; i++) low[i] = gold[i] - 0.05, high[i] = gold[i] + 0.05;
    struct plot_series s = {.name = "a <b>",
                            .n = 5,
                            .x = kl,
                            .y = gold,
                            .low = low,
                            .high = high,
                            .left = kl,
                            .right = kl,
                            .joined = true};
    struct plot p = {.kind = PLOT_POINTS,
                     .zoom = true,
                     .n = 1,
                     .series = &s,
                     .x_label = "KL",
                     .y_label = "gold"};
    char *svg = draw(&p);
    assert_int_equal(count(svg, "class=\"outside\""), 1);
    assert_non_null(strstr(svg, "class=\"note\">205.8</text>"));
    assert_int_equal(count(svg, "<circle"), 4);
    assert_non_null(strstr(svg, "<title>a &lt;b&gt;: KL 9, gold 3.40 ± 0.05</title>"));
    assert_true(count(svg, "class=\"error\"") >= 4);
    free(svg);
}

// A curve that rises to a plateau: where it began is no outlier.
static void zoom_keeps_where_a_curve_began(void **state) {
    (void)state;
    double x[] = {0, 20, 40, 60, 80, 100, 120, 140}, y[8], off[8];
    static const double rise[] = {1.4, 2.9, 3.1, 3.15, 3.2, 3.2, 3.22, 3.25};
    struct plot_series s[4];
    struct plot p = {.kind = PLOT_LINES, .zoom = true, .n = 3, .series = s};
    for (int i = 0; i < 4; i++)
        s[i] = (struct plot_series){.name = "a", .n = 8, .x = x, .y = i < 3 ? y : off};
    for (int i = 0; i < 8; i++) y[i] = rise[i], off[i] = i ? -5 - i : 1.4;
    char *svg = draw(&p);
    assert_int_equal(count(svg, "class=\"outside\""), 0);
    free(svg);
    p.n = 4; // beside one that leaves
    svg = draw(&p);
    assert_int_equal(count(svg, "class=\"outside\""), 7);
    free(svg);
}

static void rules_stand_where_they_are_said(void **state) {
    (void)state;
    double x[] = {0, 50, 100}, y[] = {1, 2, 3};
    struct plot_series s = {.name = "a", .n = 3, .x = x, .y = y};
    struct plot_rule rule[] = {{50, "epoch 2"}, {170, "nowhere"}};
    struct plot p = {.kind = PLOT_LINES, .n = 1, .series = &s, .rules = 2, .rule = rule};
    char *svg = draw(&p);
    assert_int_equal(count(svg, "class=\"rule\""), 1);
    assert_non_null(strstr(svg, ">epoch 2</text>"));
    double middle = number_after(svg, " cx=\"", 1),
           at = number_after(svg, "class=\"rule\" d=\"M", 0);
    assert_true(fabs(middle - at) < 0.2);
    free(svg);
}

static void bars_show_their_tops_and_errors(void **state) {
    (void)state;
    double y[] = {62, 41, 55}, low[] = {60, 39, 55}, high[] = {64, 43, 55};
    static const char *const names[] = {"forward", "reverse, of a name too long for its place",
                                        "c"};
    struct plot_series s = {.n = 3, .x = y, .y = y, .low = low, .high = high, .category = names};
    struct plot p = {.kind = PLOT_BARS, .base = 50, .n = 1, .series = &s, .y_label = "%"};
    char *svg = draw(&p);
    assert_int_equal(count(svg, "class=\"bar\""), 3);
    assert_int_equal(count(svg, "class=\"error\""), 2); // the third has none
    assert_non_null(strstr(svg, ">62.0 ± 2.0</text>"));
    assert_non_null(strstr(svg, "…</text>"));
    double base = number_after(svg, "class=\"bar\" d=\"M", 0);
    const char *first = strstr(svg, "class=\"bar\""), *second = strstr(first + 1, "class=\"bar\"");
    double right = strtod(strchr(first, 'H') + 1, NULL),
           left = strtod(strchr(second, 'H') + 1, NULL);
    assert_true(right > base && left < base); // below chance it hangs to the left
    double end = strtod(strchr(strstr(svg, "class=\"error\""), 'H') + 1, NULL);
    assert_true(end > right && end < PLOT_WIDE);
    free(svg);
    p.base = NAN;
    svg = draw(&p);
    assert_int_equal(count(svg, "class=\"bar\""), 0);
    assert_int_equal(count(svg, "class=\"ring\""), 3);
    free(svg);
}

static void a_file_of_its_own_has_style(void **state) {
    (void)state;
    double x[] = {0, 1}, y[] = {0, 1};
    struct plot_series s = {.name = "a", .n = 2, .x = x, .y = y};
    struct plot p = {.kind = PLOT_LINES, .n = 1, .series = &s};
    struct str alone = {0}, part = {0};
    struct plot two[] = {p, p};
    assert_true(plot_file(two, 2, &alone) && plot_svg(&p, &part));
    assert_int_equal(count(alone.text, "<svg class=\"plot\" x=\""), 2);
    assert_true(number_after(alone.text, " x=\"", 1) >= 0);
    assert_non_null(strstr(alone.text, "xmlns=\"http://www.w3.org/2000/svg\""));
    assert_non_null(strstr(alone.text, "prefers-color-scheme:dark"));
    assert_null(strstr(part.text, "<style>"));
    str_release(&alone);
    str_release(&part);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(axes_hold_their_values),
        cmocka_unit_test(zoom_cuts_outliers_alone),
        cmocka_unit_test(ticks_are_round_and_inside),
        cmocka_unit_test(legend_stands_above_the_curves),
        cmocka_unit_test(a_single_point_is_drawn),
        cmocka_unit_test(errors_and_outliers_are_told),
        cmocka_unit_test(zoom_keeps_where_a_curve_began),
        cmocka_unit_test(rules_stand_where_they_are_said),
        cmocka_unit_test(bars_show_their_tops_and_errors),
        cmocka_unit_test(a_file_of_its_own_has_style),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
