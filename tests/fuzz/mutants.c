// mutants FILE                  all mutants of a file, each read by the reader of its kind and by
//                               what shard check calls; prints how many there were and what came
//                               out. Exit 1 where the two disagree, or a failure is none or of two
//                               lines; a signal where a reader breaks. BASE in the environment: the
//                               model of an adapter
// mutants FILE K OUT            the K-th one, written to OUT; its description on stdout
// mutants --count FILE          how many there are
#include "formats/models/adapter_file.h"
#include "formats/models/checkpoint.h"
#include "formats/models/model_file.h"
#include "formats/teachers/teacher_set.h"
#include "formats/tokens/reference.h"
#include "formats/tokens/tokens.h"
#include "tests/fuzz/mutate.h"
#include <sys/resource.h>
#include <unistd.h>

static void read_teacher(const char *path, struct fail *f) {
    struct teacher_row row;
    struct teacher_set *s = teacher_set_open(1, &path, f);
    for (size_t i = 0; s && i < teacher_set_rows(s); i++)
        if (!teacher_set_row(s, i, &row)) break;
    teacher_set_close(s);
}

static void check_teacher(const char *path, struct fail *f) {
    struct teacher_shard t;
    struct teacher_info i = {0};
    struct columns_reader *r = columns_open(path, "teacher", f);
    if (r && columns_verify(r) && teacher_info_read(&i, r, f) && teacher_shard_load(&t, r, f))
        teacher_shard_release(&t);
    teacher_info_release(&i);
    columns_close(r);
}

static void read_adapter(const char *path, struct fail *f) {
    struct model_file m;
    const char *base = getenv("BASE");
    if (!base) die(EXIT_USAGE, "BASE names no model");
    if (!model_file_load(base, &m, f)) die_if(f);
    adapter_file_load(path, &m, f);
    model_file_release(&m);
}

static void read_as(const char *kind, const char *path, struct fail *f) {
    struct model_file m;
    struct tokens t;
    struct pairs p;
    if (!strcmp(kind, "model") && model_file_load(path, &m, f)) model_file_release(&m);
    if (!strcmp(kind, "adapter")) read_adapter(path, f);
    if (!strcmp(kind, "tokens") && tokens_load(&t, 1, &path, f)) tokens_release(&t);
    if (!strcmp(kind, "pairs") && pairs_load(&p, 1, &path, f)) pairs_release(&p);
    if (!strcmp(kind, "reference")) reference_check(path, f);
    if (!strcmp(kind, "checkpoint")) checkpoint_verify(path, f);
    if (!strcmp(kind, "teacher")) read_teacher(path, f);
}

static void check_as(const char *kind, const char *path, struct fail *f) {
    if (!strcmp(kind, "tokens"))
        tokens_check(path, f);
    else if (!strcmp(kind, "pairs"))
        pairs_check(path, f);
    else if (!strcmp(kind, "teacher"))
        check_teacher(path, f);
    else if (!strcmp(kind, "adapter"))
        adapter_file_verify(path, f);
    else
        read_as(kind, path, f);
}

// A part of a set by itself is fine, though no reader takes it without the rest; an adapter too, of
// another base.
static bool of_set(const char *why) {
    return strstr(why, "is of a set of") || strstr(why, "has no rows") ||
           strstr(why, "is an adapter of the model") || strstr(why, "does not fit its base");
}

static bool judge(const char *what, const struct fail *read, const struct fail *check) {
    bool line = !read->code || (*read->text && !strchr(read->text, '\n'));
    bool code = !read->code || read->code == EXIT_BADDATA;
    bool agree = !read->code == !check->code || of_set(read->text);
    if (line && code && agree) return true;
    printf("%s: read %d '%s', checked %d '%s'\n", what, read->code, read->text, check->code,
           check->text);
    return false;
}

static void load(struct image *m, const char *path) {
    struct fail f = {0};
    image_load(m, path, &f);
    die_if(&f);
}

static char *make(const char *from, size_t k, const char *to) {
    static char what[200];
    struct fail f = {0};
    struct image m;
    load(&m, from);
    mutate(&m, k, what);
    image_save(&m, to, &f);
    image_free(&m);
    die_if(&f);
    return what;
}

int main(int argc, char **argv) {
    struct image m;
    if (argc == 4) {
        puts(make(argv[1], strtoull(argv[2], NULL, 10), argv[3]));
        return 0;
    }
    load(&m, argv[argc - 1]);
    size_t n = mutate_count(&m), refused = 0, wrong = 0;
    char *kind = xstrdup(image_text(&m, "kind")), last[] = "mutant-XXXXXX";
    image_free(&m);
    if (argc == 3) return printf("%zu\n", n) < 0;
    setrlimit(RLIMIT_AS, &(struct rlimit){2ul << 30, 2ul << 30}); // no claim is believed
    int fd = mkstemp(last);
    close(fd);
    for (size_t k = 0; k < n; k++) {
        struct fail read = {0}, check = {0};
        const char *what = make(argv[1], k, last);
        read_as(kind, last, &read);
        check_as(kind, last, &check);
        refused += read.code != 0;
        wrong += !judge(what, &read, &check);
    }
    unlink(last);
    printf("%s: %zu mutants, %zu refused, %zu taken, %zu wrong\n", kind, n, refused, n - refused,
           wrong);
    return wrong != 0;
}
