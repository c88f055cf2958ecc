#include "common/base/options.h"
#include "common/base/jsonout.h"
#include "common/base/log.h"
#include "common/base/nearest.h"
#include "common/base/value.h"
#include "common/base/ranks.h"
#include "common/base/version.h"
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum origin { FROM_DEFAULT, FROM_CONFIG, FROM_COMMAND };
enum { NO_ROW = -1 };

struct setting { // one value for one row, not yet looked at
    size_t row;
    const char *value;
    size_t line; // of the config file; 0: the command line
};
struct settings {
    size_t n, capacity;
    struct setting *items;
};

void options_add(struct options *o, const struct opt_row *rows, size_t n) {
    grow(&o->rows, &o->capacity, o->n + n, sizeof *o->rows);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < o->n; j++) {
            assert(strcmp(o->rows[j].name, rows[i].name) != 0);
            assert(!rows[i].letter || o->rows[j].letter != rows[i].letter);
        }
        o->rows[o->n++] = rows[i];
    }
}

static char *keep(struct options *o, const char *text, size_t n) {
    grow(&o->words, &o->word_capacity, o->n_words + 1, sizeof *o->words);
    char *copy = xmalloc(n + 1);
    memcpy(copy, text, n);
    copy[n] = 0;
    return o->words[o->n_words++] = copy;
}

static int find_name(const struct options *o, const char *name, size_t n) {
    for (size_t i = 0; i < o->n; i++)
        if (strlen(o->rows[i].name) == n && !memcmp(o->rows[i].name, name, n)) return (int)i;
    return NO_ROW;
}

static int find_letter(const struct options *o, char letter) {
    for (size_t i = 0; i < o->n; i++)
        if (letter && o->rows[i].letter == letter) return (int)i;
    return NO_ROW;
}

static bool unknown(const struct options *o, const char *name, size_t n, const char *dashes,
                    const char *where, struct fail *f) {
    struct nearest near = nearest_to(name, n);
    for (size_t i = 0; i < o->n; i++)
        if (!o->rows[i].hidden) nearest_try(&near, o->rows[i].name);
    if (near.best)
        return fail_set(f, EXIT_USAGE, "%sunknown option '%s%.*s'; did you mean '%s%s'?", where,
                        dashes, (int)n, name, dashes, near.best);
    return fail_set(f, EXIT_USAGE, "%sunknown option '%s%.*s'; see --help", where, dashes, (int)n,
                    name);
}

static void add_setting(struct settings *s, size_t row, const char *value, size_t line) {
    grow(&s->items, &s->capacity, s->n + 1, sizeof *s->items);
    s->items[s->n++] = (struct setting){row, value, line};
}

// ---- values -------------------------------------------------------------------------------------

void opt_range(const struct opt_row *row, struct str *s) {
    double edge = row->type == OPT_INT ? 9e18 : (double)INFINITY;
    if (row->low == row->high || (row->type != OPT_INT && row->type != OPT_REAL)) return;
    char low[32], high[32];
    jsonout_digits(row->low, low);
    jsonout_digits(row->high, high);
    if (row->low > -edge && row->high < edge)
        str_printf(s, "from %s to %s", low, high);
    else if (row->low > -edge)
        str_printf(s, "at least %s", low);
    else if (row->high < edge)
        str_printf(s, "at most %s", high);
}

static bool in_range(const struct opt_row *row, double v) {
    if (row->low == row->high) return isfinite(v);
    return v >= row->low && v <= row->high;
}

static bool wrong_number(const struct opt_row *row, const char *value, const char *where,
                         bool parsed, struct fail *f) {
    struct str range = {0};
    opt_range(row, &range);
    const char *kind = row->type == OPT_INT ? "a whole number" : "a number";
    if (parsed)
        fail_set(f, EXIT_USAGE, "%s'--%s %s' is out of range; give %s %s", where, row->name, value,
                 kind, range.length ? range.text : "that is finite");
    else
        fail_set(f, EXIT_USAGE, "%s'--%s %s' is not %s; give one%s%s", where, row->name, value,
                 kind, range.length ? " " : "", range.length ? range.text : "");
    str_release(&range);
    return false;
}

static bool set_choice(struct options *o, struct opt_row *row, const char *value, const char *where,
                       struct fail *f) {
    for (const char *c = row->choices; *c;) {
        size_t n = strcspn(c, "|");
        bool number = c[n - 1] == ':';
        double v;
        char text[32];
        if (number && !strncmp(value, c, n) && value_real(value + n, &v) && isfinite(v)) {
            jsonout_digits(v, text);
            char *whole = xasprintf("%.*s%s", (int)n, c, text);
            *(const char **)row->to = keep(o, whole, strlen(whole));
            free(whole);
            return true;
        }
        if (!number && strlen(value) == n && !strncmp(value, c, n)) {
            *(const char **)row->to = keep(o, value, n);
            return true;
        }
        c += n + (c[n] == '|');
    }
    struct str choices = {0};
    opt_choices(row, &choices);
    fail_set(f, EXIT_USAGE, "%s'--%s %s' is not a choice; give one of %s", where, row->name, value,
             choices.text);
    str_release(&choices);
    return false;
}

static bool set_every(struct opt_every *to, const char *value) {
    int64_t steps;
    double seconds;
    if (value_int(value, &steps) && steps >= 0)
        *to = (struct opt_every){.steps = steps};
    else if (value_time(value, &seconds))
        *to = (struct opt_every){.seconds = seconds};
    else
        return false;
    return true;
}

static void list_add(struct options *o, struct opt_list *list, const char *text) {
    list->items = xrealloc(list->items, (list->n + 1) * sizeof *list->items);
    list->items[list->n++] = keep(o, text, strlen(text));
}

// "-" in a list of files: each line of stdin that is not empty is a path.
static bool set_paths(struct options *o, struct opt_list *list, const char *name, struct fail *f) {
    char *line = NULL;
    size_t capacity = 0, before = list->n;
    while (getline(&line, &capacity, stdin) >= 0) {
        line[strcspn(line, "\r\n")] = 0;
        if (*line) list_add(o, list, line);
    }
    free(line);
    if (ferror(stdin)) // the paths that came are not all
        return fail_set(f, fail_code_of(errno), "cannot read the paths of '--%s -': %s", name,
                        strerror(errno));
    return list->n > before ||
           fail_set(f, EXIT_BADDATA, "'--%s -' got no paths on stdin; write one on each line",
                    name);
}

static bool set_value(struct options *o, struct opt_row *row, const char *value, const char *where,
                      struct fail *f) {
    int64_t n;
    double v;
    switch (row->type) {
    case OPT_FLAG:
        return value_flag(value, row->to) ||
               fail_set(f, EXIT_USAGE, "%s'--%s=%s' is not a flag's value; give true or false",
                        where, row->name, value);
    case OPT_INT:
        if (!value_int(value, &n)) return wrong_number(row, value, where, false, f);
        if (!in_range(row, (double)n)) return wrong_number(row, value, where, true, f);
        *(int64_t *)row->to = n;
        return true;
    case OPT_REAL:
        if (!value_real(value, &v)) return wrong_number(row, value, where, false, f);
        if (!in_range(row, v)) return wrong_number(row, value, where, true, f);
        *(double *)row->to = v;
        return true;
    case OPT_TEXT:
        *(const char **)row->to = keep(o, value, strlen(value));
        return true;
    case OPT_CHOICE:
        return set_choice(o, row, value, where, f);
    case OPT_LIST:
        if (row->paths && !strcmp(value, "-")) return set_paths(o, row->to, row->name, f);
        list_add(o, row->to, value);
        return true;
    case OPT_TIME:
        return value_time(value, row->to) ||
               fail_set(f, EXIT_USAGE, "%s'--%s %s' is not a time; write 90, 10m or 3h50m", where,
                        row->name, value);
    case OPT_EVERY:
        return set_every(row->to, value) ||
               fail_set(f, EXIT_USAGE, "%s'--%s %s' is neither steps nor a time; write 500 or 10m",
                        where, row->name, value);
    }
    return false;
}

static bool apply(struct options *o, const struct settings *s, enum origin origin, struct fail *f) {
    for (size_t i = 0; i < s->n && !f->code; i++) {
        const struct setting *x = &s->items[i];
        struct opt_row *row = &o->rows[x->row];
        if (row->type == OPT_LIST && o->from[x->row] < origin) ((struct opt_list *)row->to)->n = 0;
        char *where = x->line ? xasprintf("'%s' line %zu: ", o->config, x->line) : xstrdup("");
        set_value(o, row, x->value, where, f);
        free(where);
        o->from[x->row] = (unsigned char)origin;
    }
    return !f->code;
}

static void apply_defaults(struct options *o) {
    struct fail f = {0};
    for (size_t i = 0; i < o->n; i++) {
        struct opt_row *row = &o->rows[i];
        if (row->type == OPT_FLAG && !row->value) *(bool *)row->to = false;
        if (row->type == OPT_LIST) *(struct opt_list *)row->to = (struct opt_list){0};
        if (row->value) set_value(o, row, row->value, "default ", &f);
    }
    die_if(&f); // a bug in a table
}

// ---- the command line ---------------------------------------------------------------------------

struct scan {
    struct options *o;
    int n, at;
    char **words;
    struct settings out;
    struct opt_list *rest;
    struct fail *fail;
};

static bool is_option(const char *word) { // "-" and negative numbers are not
    double v;
    return word[0] == '-' && word[1] && !value_real(word, &v);
}

// The value of a row: what is glued to it, or the next word, or for a list all that follow.
static bool take_value(struct scan *s, size_t row, const char *glued) {
    const struct opt_row *r = &s->o->rows[row];
    if (glued || r->type == OPT_FLAG) {
        add_setting(&s->out, row, glued ? glued : "true", 0);
        return true;
    }
    size_t taken = 0;
    while (s->at < s->n && !is_option(s->words[s->at]) && (r->type == OPT_LIST || !taken)) {
        add_setting(&s->out, row, s->words[s->at++], 0);
        taken++;
    }
    if (taken) return true;
    if (s->at < s->n)
        return fail_set(s->fail, EXIT_USAGE,
                        "option '--%s' needs a value but '%s' follows it; "
                        "write --%s=VALUE if the value starts with a dash",
                        r->name, s->words[s->at], r->name);
    return fail_set(s->fail, EXIT_USAGE, "option '--%s' needs a value; see --help", r->name);
}

static bool scan_long(struct scan *s, const char *name) {
    size_t n = strcspn(name, "=");
    int row = find_name(s->o, name, n);
    if (row == NO_ROW) return unknown(s->o, name, n, "--", "", s->fail);
    return take_value(s, (size_t)row, name[n] ? name + n + 1 : NULL);
}

static bool scan_letters(struct scan *s, const char *letters) {
    for (; *letters; letters++) {
        int row = find_letter(s->o, *letters);
        if (row == NO_ROW) {
            size_t n = strlen(letters);
            if (n > 1) return unknown(s->o, letters, n, "-", "", s->fail);
            return fail_set(s->fail, EXIT_USAGE, "unknown option '-%s'; see --help", letters);
        }
        bool flag = s->o->rows[row].type == OPT_FLAG;
        if (!take_value(s, (size_t)row, !flag && letters[1] ? letters + 1 : NULL)) return false;
        if (!flag) return true;
    }
    return true;
}

static bool take_rest(struct scan *s, const char *word) {
    if (!s->rest)
        return fail_set(s->fail, EXIT_USAGE,
                        "unexpected word '%s'; options start with two dashes, see --help", word);
    s->rest->items = xrealloc(s->rest->items, (s->rest->n + 1) * sizeof *s->rest->items);
    s->rest->items[s->rest->n++] = word;
    return true;
}

// --help, --version and --describe count at once, whatever else is on the line after them.
static bool asked(struct scan *s) {
    for (size_t i = 0; i < s->out.n; i++) {
        const void *to = s->o->rows[s->out.items[i].row].to;
        if (to == &s->o->help) s->o->help = true;
        if (to == &s->o->version) s->o->version = true;
        if (to == &s->o->config) s->o->config = s->out.items[i].value;
        if (to == &s->o->describe) s->o->describe = s->out.items[i].value;
    }
    return s->o->help || s->o->version || s->o->describe;
}

static bool scan_words(struct scan *s) {
    bool options_end = false;
    while (s->at < s->n && !asked(s)) {
        const char *word = s->words[s->at++];
        bool fine = true;
        if (options_end || !is_option(word))
            fine = take_rest(s, word);
        else if (!strcmp(word, "--"))
            options_end = true;
        else
            fine = word[1] == '-' ? scan_long(s, word + 2) : scan_letters(s, word + 1);
        if (!fine) return false;
    }
    asked(s);
    return true;
}

// ---- the configuration file ---------------------------------------------------------------------

static char *trim(char *s) {
    s += strspn(s, " \t");
    size_t n = strlen(s);
    while (n && isspace((unsigned char)s[n - 1])) n--;
    s[n] = 0;
    return s;
}

// One word at *p: "quoted", or up to a blank (list) or a comment. NULL: no more, or not closed.
static const char *config_word(struct options *o, char **p, bool list, bool *bad) {
    char *s = *p + strspn(*p, " \t");
    if (!*s || *s == '#') return NULL;
    if (*s == '"') {
        size_t n = strcspn(s + 1, "\"");
        *bad = !s[n + 1];
        if (*bad) return NULL;
        *p = s + n + 2; // after the closing quote
        return keep(o, s + 1, n);
    }
    size_t n = 0;
    while (s[n] && !(isblank((unsigned char)s[n]) && (list || s[n + 1] == '#'))) n++;
    *p = s + n;
    return trim(keep(o, s, n));
}

static bool config_line(struct options *o, char *text, size_t line, struct settings *out,
                        struct fail *f) {
    char *equals = strchr(text, '='), *value = equals + 1, where[300];
    snprintf(where, sizeof where, "'%.200s' line %zu: ", o->config, line);
    if (!equals)
        return fail_set(f, EXIT_USAGE, "%sno '=' in '%s'; write name = value", where, text);
    *equals = 0;
    const char *name = trim(text);
    int row = find_name(o, name, strlen(name));
    if (row == NO_ROW) return unknown(o, name, strlen(name), "", where, f);
    const void *to = o->rows[row].to;
    if (to == &o->config || to == &o->help || to == &o->version || to == &o->describe)
        return fail_set(f, EXIT_USAGE, "%s'%s' belongs on the command line", where, name);
    bool list = o->rows[row].type == OPT_LIST, bad = false;
    size_t count = 0;
    for (const char *word; (word = config_word(o, &value, list, &bad)); count++)
        add_setting(out, (size_t)row, word, line);
    if (bad) return fail_set(f, EXIT_USAGE, "%sa quote is not closed in '%s'", where, name);
    if (!count || (count > 1 && !list))
        return fail_set(f, EXIT_USAGE, "%s'%s' needs %s value", where, name,
                        count ? "a single" : "a");
    return true;
}

// A wrong name is a wrong option; a disk that fails is not.
static int cause(void) {
    return fail_code_of(errno) == EXIT_FAILED ? EXIT_FAILED : EXIT_USAGE;
}

static bool read_config(struct options *o, struct settings *out, struct fail *f) {
    FILE *file = fopen(o->config, "r");
    if (!file)
        return fail_set(f, cause(), "cannot open '%s': %s; see --config", o->config,
                        strerror(errno));
    char *text = NULL;
    size_t capacity = 0, line = 0;
    while (!f->code && getline(&text, &capacity, file) >= 0) {
        char *s = trim(text);
        line++;
        if (line == 1 && !strncmp(s, "\xef\xbb\xbf", 3)) s = trim(s + 3);
        if (*s && *s != '#') config_line(o, s, line, out, f);
    }
    if (ferror(file)) fail_set(f, cause(), "cannot read '%s': %s", o->config, strerror(errno));
    free(text);
    fclose(file);
    return !f->code;
}

// ---- all together -------------------------------------------------------------------------------

static void add_builtin(struct options *o) {
    const struct opt_row rows[] = {
        {"config", OPT_TEXT, OPT_EXEC, &o->config, .metavar = "FILE", .shared = true,
         .help = "read options from FILE, as lines `name = value`"},
        {"help", OPT_FLAG, OPT_EXEC, &o->help, .letter = 'h', .shared = true,
         .help = "print this text"},
        {"version", OPT_FLAG, OPT_EXEC, &o->version, .shared = true, .help = "print the version"},
        {"describe", OPT_CHOICE, OPT_EXEC, &o->describe, .choices = "man|words", .hidden = true},
    };
    options_add(o, rows, sizeof rows / sizeof *rows);
}

static bool check_required(const struct options *o, struct fail *f) {
    for (size_t i = 0; i < o->n; i++)
        if (o->rows[i].required && !o->from[i])
            return fail_set(f, EXIT_USAGE, "option '--%s' is missing; see --help", o->rows[i].name);
    return true;
}

bool options_try(struct options *o, int argc, char **argv, struct opt_list *rest, struct fail *f) {
    add_builtin(o);
    o->from = xcalloc(o->n, 1);
    apply_defaults(o);
    struct scan s = {.o = o, .n = argc, .at = 1, .words = argv, .rest = rest, .fail = f};
    struct settings config = {0};
    if (scan_words(&s) && !asked(&s)) {
        if (o->config && read_config(o, &config, f)) apply(o, &config, FROM_CONFIG, f);
        if (!f->code && apply(o, &s.out, FROM_COMMAND, f) && check_required(o, f))
            options_check_files(o, rest, f);
    }
    free(config.items);
    free(s.out.items);
    return !f->code;
}

void options_parse(struct options *o, int argc, char **argv, struct opt_list *rest) {
    struct fail f = {0};
    guard_streams();
    options_try(o, argc, argv, rest, &f);
    die_if(&f);
    if (!o->help && !o->version && !o->describe) return;
    const char *mpi = ranks_library();
    char *text = o->version                    ? xasprintf("%s (aligndistil) %s, %s\n", o->program,
                                                           ALIGNDISTIL_VERSION, mpi ? mpi : "without MPI")
                 : !o->describe                ? options_help(o)
                 : !strcmp(o->describe, "man") ? options_man(o)
                                               : options_completion(o);
    print_result("%.*s", (int)strlen(text) - 1, text); // print_result ends the line
    free(text);
    options_release(o);
    finish_stdout();
    exit(EXIT_DONE);
}

static bool name_given(const struct options *o, const char *name, size_t n) {
    int row = find_name(o, name, n);
    assert(row != NO_ROW);
    return o->from && o->from[row];
}

bool options_given(const struct options *o, const char *name) {
    return name_given(o, name, strlen(name));
}

void options_refuse(const struct options *o, const char *names, const char *why) {
    for (const char *name = names; *name;) {
        size_t n = strcspn(name, "|");
        if (name_given(o, name, n)) die(EXIT_USAGE, "--%.*s %s", (int)n, name, why);
        name += n + (name[n] == '|');
    }
}

void options_release(struct options *o) {
    for (size_t i = 0; i < o->n; i++)
        if (o->from && o->rows[i].type == OPT_LIST) free(((struct opt_list *)o->rows[i].to)->items);
    for (size_t i = 0; i < o->n_words; i++) free(o->words[i]);
    free(o->words);
    free(o->from);
    free(o->rows);
    *o = (struct options){.program = o->program, .summary = o->summary, .usage = o->usage};
}
