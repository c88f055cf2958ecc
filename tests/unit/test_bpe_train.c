#include "common/text/bpe_train.h"
#include "common/text/bpe_word.h"
#include "common/base/rng.h"
#include "formats/models/tokenizer_json.h"
#include "stages/shared/tokenizer_train.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const char *const special[] = {"<|bos|>", "<|eos|>"};

static char *train(const char *text, size_t n, size_t vocab) {
    struct bpe_trainer *trainer = bpe_train_new(special, 2);
    bpe_train_add(trainer, text, n);
    struct tokenizer_training o = {vocab, special, 2, "<|bos|>"};
    struct fail f = {0};
    char *json = tokenizer_train_json(trainer, &o, &n, &f);
    if (!json) print_message("%s\n", f.text);
    assert_non_null(json);
    assert_int_equal(n, strlen(json));
    bpe_train_free(trainer);
    return json;
}

static struct tokenizer *parse(const char *json) {
    struct fail f = {0};
    struct tokenizer *t = tokenizer_parse(json, strlen(json), "trained", &f);
    if (!t) print_message("%s\n", f.text);
    assert_non_null(t);
    return t;
}

static void merges_of_a_known_text(void **state) {
    (void)state;
    struct bpe_trainer *trainer = bpe_train_new(NULL, 0);
    const char text[] = "hug hug hug hug hug hug hug hug hug hug pug pug pug pug pug pun pun pun "
                        "pun pun pun pun pun pun pun pun pun bun bun bun bun hugs hugs hugs hugs "
                        "hugs";
    bpe_train_add(trainer, text, strlen(text));
    struct vocab tokens = {0};
    struct merges merges = {0};
    bpe_train_run(trainer, TRAIN_BYTES + 6, 2, &tokens, &merges);
    // counts: ug 20, then "\u0120p" 17 = un 16, hug 15 ...
    static const char *const want[] = {"ug",  "\xc4\xa0p",   "un",
                                       "hug", "\xc4\xa0hug", "\xc4\xa0pun"};
    assert_int_equal(tokens.count, TRAIN_BYTES + 6);
    for (int32_t i = 0; i < 6; i++)
        assert_string_equal(vocab_text(&tokens, TRAIN_BYTES + i, NULL), want[i]);
    assert_string_equal(vocab_text(&tokens, 0, NULL), "!");
    assert_int_equal(merges.count, 6);
    vocab_release(&tokens);
    merges_release(&merges);
    bpe_train_free(trainer);
}

enum { WORDS = 60, LONGEST = 12, MERGES = 80 };

// The slow way: words as lists of symbols, everything counted again for each merge.
struct slow {
    int32_t symbol[WORDS][LONGEST];
    size_t n[WORDS];
    int64_t count[WORDS];
};

static int64_t count_pair(const struct slow *s, int32_t a, int32_t b) {
    int64_t total = 0;
    for (size_t w = 0; w < WORDS; w++)
        for (size_t i = 0; i + 1 < s->n[w]; i++)
            if (s->symbol[w][i] == a && s->symbol[w][i + 1] == b) total += s->count[w];
    return total;
}

static int64_t most_frequent(const struct slow *s, int32_t *left, int32_t *right) {
    int64_t most = 0;
    for (size_t w = 0; w < WORDS; w++) {
        for (size_t i = 0; i + 1 < s->n[w]; i++) {
            int32_t a = s->symbol[w][i], b = s->symbol[w][i + 1];
            int64_t c = count_pair(s, a, b);
            bool first = a < *left || (a == *left && b < *right);
            if (c < most || (c == most && !first)) continue;
            most = c;
            *left = a;
            *right = b;
        }
    }
    return most;
}

static void apply(struct slow *s, int32_t left, int32_t right, int32_t to) {
    for (size_t w = 0; w < WORDS; w++) {
        size_t n = 0;
        for (size_t i = 0; i < s->n[w]; i++) {
            bool pair = s->symbol[w][i] == left && i + 1 < s->n[w] && s->symbol[w][i + 1] == right;
            s->symbol[w][n++] = pair ? to : s->symbol[w][i];
            i += pair;
        }
        s->n[w] = n;
    }
}

static void equals_the_slow_way(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 10; seed++) {
        struct bpe_trainer *trainer = bpe_train_new(NULL, 0);
        struct slow s = {0};
        for (size_t w = 0; w < WORDS; w++) { // few letters, so that ties and overlaps abound
            char text[LONGEST + 1] = {' '};
            s.n[w] = 2 + (size_t)(rng_uniform(seed, RNG_TEST, w, 0) * (LONGEST - 2));
            for (size_t i = 1; i < s.n[w]; i++)
                text[i] = (char)('a' + (int)(rng_uniform(seed, RNG_TEST, w, i) * 3));
            s.count[w] = 1 + (int64_t)(rng_uniform(seed, RNG_TEST, w, 99) * 4);
            for (int64_t k = 0; k < s.count[w]; k++) bpe_train_add(trainer, text, s.n[w]);
            for (size_t i = 0; i < s.n[w]; i++)
                s.symbol[w][i] = text[i] == ' ' ? 220 : text[i] - 33;
        }
        struct vocab tokens = {0};
        struct merges merges = {0};
        bpe_train_run(trainer, TRAIN_BYTES + MERGES, 1, &tokens, &merges);
        size_t rank = 0;
        for (; rank < merges.count; rank++) {
            int32_t left = 0, right = 0;
            if (!most_frequent(&s, &left, &right)) break;
            const struct merge *m = &merges.merge[rank];
            if (m->left != left || m->right != right) {
                int32_t known = merges_find(&merges, left, right);
                assert_true(known >= 0 && (size_t)known < rank); // one that came back
                apply(&s, left, right, merges.merge[known].to);
                rank--;
                continue;
            }
            apply(&s, left, right, m->to);
        }
        assert_true(merges.count >= 60);
        assert_int_equal(rank, merges.count);
        vocab_release(&tokens);
        merges_release(&merges);
        bpe_train_free(trainer);
    }
}

static const char story[] =
    "Once upon a time there was a small bird. The bird had a red hat.\n<|eos|>Once upon a time "
    "there was a big cat.  The cat saw the bird and the bird saw the cat.\n\"Hello, bird!\" said "
    "the cat. \"Hello, cat!\" said the bird. They didn't fight; they'd play all day, 123 times.\n";

static void written_and_read_back(void **state) {
    (void)state;
    char *json = train(story, strlen(story), 290);
    struct tokenizer *t = parse(json);
    assert_int_equal(tokenizer_vocab(t), 290);
    assert_int_equal(tokenizer_id(t, "<|bos|>"), 288);
    assert_true(tokenizer_is_special(t, 289));
    assert_true(tokenizer_id(t, "\xc4\xa0"
                                "bird") >= TRAIN_BYTES);
    const char *texts[] = {story, "Zo\xc3\xab \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x90\xa6\t\n\n  x ",
                           ""};
    for (int i = 0; i < 3; i++) {
        struct ids ids = {0};
        size_t n = strlen(texts[i]), length;
        tokenizer_encode(t, texts[i], n, true, true, &ids);
        assert_int_equal(ids.id[0], 288);
        char *back = tokenizer_decode(t, ids.id + 1, ids.n - 1, false, &length);
        assert_int_equal(length, n);
        assert_memory_equal(back, texts[i], n);
        if (texts[i] == story) assert_true(ids.n < n / 2);
        free(back);
        ids_release(&ids);
    }
    tokenizer_free(t);
    free(json);
}

static void order_does_not_matter(void **state) {
    (void)state;
    struct bpe_trainer *a = bpe_train_new(special, 2), *b = bpe_train_new(special, 2);
    bpe_train_add(a, " the cat", 8);
    bpe_train_add(a, story, strlen(story));
    bpe_train_add(b, story, strlen(story));
    bpe_train_add(b, " the cat", 8);
    struct tokenizer_training o = {330, special, 2, NULL};
    struct fail f = {0};
    size_t n, m;
    char *x = tokenizer_train_json(a, &o, &n, &f), *y = tokenizer_train_json(b, &o, &m, &f);
    assert_string_equal(x, y);
    free(x);
    free(y);
    bpe_train_free(a);
    bpe_train_free(b);
}

static void few_texts_give_few_tokens(void **state) {
    (void)state;
    char *json = train("ab ab", 5, 100000);
    struct tokenizer *t = parse(json);
    assert_int_equal(tokenizer_vocab(t), 256 + 1 + 2); // "ab" alone occurs twice
    tokenizer_free(t);
    free(json);
    json = train("", 0, 258);
    t = parse(json);
    assert_int_equal(tokenizer_vocab(t), 258);
    tokenizer_free(t);
    free(json);
}

static void refuse(struct tokenizer_training o, const char *message) {
    struct bpe_trainer *t = bpe_train_new(o.special, o.n_special);
    bpe_train_add(t, "ab ab", 5);
    struct fail f = {0};
    size_t n;
    assert_null(tokenizer_train_json(t, &o, &n, &f));
    assert_int_equal(f.code, EXIT_USAGE);
    assert_non_null(strstr(f.text, message));
    bpe_train_free(t);
}

static void bad_settings(void **state) {
    (void)state;
    static const char *const twice[] = {"<a>", "<a>"}, *const brief[] = {"a"};
    refuse((struct tokenizer_training){257, special, 2, NULL}, "cannot be trained; give 258");
    refuse((struct tokenizer_training){(size_t)1 << 40, special, 2, NULL}, "cannot be trained");
    refuse((struct tokenizer_training){300, special, 2, "<|x|>"}, "not among");
    refuse((struct tokenizer_training){300, twice, 2, NULL}, "given twice");
    refuse((struct tokenizer_training){300, brief, 1, NULL}, "too short");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merges_of_a_known_text),    cmocka_unit_test(equals_the_slow_way),
        cmocka_unit_test(written_and_read_back),     cmocka_unit_test(order_does_not_matter),
        cmocka_unit_test(few_texts_give_few_tokens), cmocka_unit_test(bad_settings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
