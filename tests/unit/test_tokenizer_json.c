#include "formats/models/tokenizer_json.h"
#include "common/base/mem.h"
#include "formats/bytes/json.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define DATA "../shared/data/"

static char *read_file(const char *path, size_t *n) {
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    struct str s = {0};
    char part[1 << 16];
    for (size_t k; (k = fread(part, 1, sizeof part, f)) > 0;) str_add(&s, part, k);
    fclose(f);
    *n = s.length;
    return s.text;
}

static struct tokenizer *open_tokenizer(const char *path) {
    size_t n;
    char *text = read_file(path, &n);
    if (!text) {
        print_message("SKIP: no ../shared\n");
        skip();
    }
    struct fail f = {0};
    struct tokenizer *t = tokenizer_parse(text, n, path, &f);
    if (!t) print_message("%s\n", f.text);
    assert_non_null(t);
    free(text);
    return t;
}

static struct tokenizer *parse(const char *text) {
    struct fail f = {0};
    struct tokenizer *t = tokenizer_parse(text, strlen(text), "t.json", &f);
    if (!t) print_message("%s\n", f.text);
    assert_non_null(t);
    return t;
}

static void assert_ids(const struct ids *got, const int32_t *want, size_t n) {
    bool same = got->n == n && !(n && memcmp(got->id, want, n * sizeof *want));
    if (!same) {
        print_message("got:");
        for (size_t i = 0; i < got->n; i++) print_message(" %d", (int)got->id[i]);
        print_message("\nwant:");
        for (size_t i = 0; i < n; i++) print_message(" %d", (int)want[i]);
        print_message("\n");
    }
    assert_true(same);
}

static void encodes(const struct tokenizer *t, const char *text, const int32_t *want, size_t n) {
    struct ids got = {0};
    tokenizer_encode(t, text, strlen(text), false, true, &got);
    assert_ids(&got, want, n);
    ids_release(&got);
}
#define ENCODES(t, text, ...)                                                                      \
    encodes(t, text, (const int32_t[]){__VA_ARGS__},                                               \
            sizeof((const int32_t[]){__VA_ARGS__}) / sizeof(int32_t))

static void round_trip(const struct tokenizer *t, const char *text, size_t n) {
    struct ids ids = {0};
    tokenizer_encode(t, text, n, false, true, &ids);
    size_t length;
    char *back = tokenizer_decode(t, ids.id, ids.n, false, &length);
    if (length != n || memcmp(back, text, n)) print_message("'%s' came back as '%s'\n", text, back);
    assert_int_equal(length, n);
    assert_memory_equal(back, text, n);
    free(back);
    ids_release(&ids);
}

// Known answers: texts between marker lines, and a line of ids for each.
static void known_answers(const char *tokenizer, const char *name, bool round) {
    struct tokenizer *t = open_tokenizer(tokenizer);
    char path[200];
    size_t n, m, cases = 0;
    snprintf(path, sizeof path, DATA "tokenizers/known-answers/%s.inp", name);
    char *in = read_file(path, &n);
    snprintf(path, sizeof path, DATA "tokenizers/known-answers/%s.out", name);
    char *out = read_file(path, &m);
    assert_true(in && out);
    const char mark[] = "\n__ggml_vocab_test__\n";
    char *line = out;
    for (char *text = in; text && *line; cases++) {
        char *end = strstr(text, mark);
        size_t length = end ? (size_t)(end - text) : strlen(text);
        struct ids want = {0}, got = {0};
        char *stop = strchr(line, '\n');
        assert_non_null(stop);
        for (char *p = line; p < stop;) {
            int32_t id = (int32_t)strtol(p, &p, 10);
            grow(&want.id, &want.capacity, want.n + 1, sizeof *want.id);
            want.id[want.n++] = id;
            while (p < stop && *p == ' ') p++;
        }
        line = stop + 1;
        tokenizer_encode(t, text, length, false, false, &got);
        assert_ids(&got, want.id, want.n);
        if (round) round_trip(t, text, length);
        ids_release(&want);
        ids_release(&got);
        text = end ? end + strlen(mark) : NULL;
    }
    assert_true(cases > 40);
    free(in);
    free(out);
    tokenizer_free(t);
}

static void gpt2(void **state) {
    (void)state;
    known_answers(DATA "tokenizers/gpt2/tokenizer.json", "gpt-2", true);
}

static void llama3(void **state) {
    (void)state;
    known_answers(DATA "tokenizers/llama3/tokenizer.json", "llama-bpe", true);
}

static void qwen2(void **state) { // normalises to NFC: no round trip for every text
    (void)state;
    known_answers(DATA "tokenizers/qwen2/tokenizer.json", "qwen2", false);
}

static void tinystories(void **state) {
    (void)state;
    struct tokenizer *t = open_tokenizer(DATA "models/TinyStories-656K/tokenizer.json");
    size_t n;
    char *text = read_file(DATA "models/TinyStories-656K/known_answers_f64.json", &n);
    struct fail f = {0};
    struct json *root = json_parse(text, n, "known answers", &f);
    assert_non_null(root);
    size_t cases = 0;
    for (size_t i = 0; i < json_size(root); i++) {
        size_t length;
        const char *prompt = json_text(json_get(json_at(root, i), "prompt"), &length);
        const struct json *ids = json_get(json_at(root, i), "ids");
        struct ids got = {0}, want = {0};
        for (size_t k = 0; k < json_size(ids); k++) {
            grow(&want.id, &want.capacity, want.n + 1, sizeof *want.id);
            want.id[want.n++] = (int32_t)json_int(json_at(ids, k));
        }
        tokenizer_encode(t, prompt, length, true, true, &got);
        if (json_get(json_at(root, i), "note")) // the prompt may be given in part
            got.n = got.n < want.n ? got.n : want.n;
        assert_ids(&got, want.id, want.n);
        ids_release(&got);
        ids_release(&want);
        cases++;
    }
    assert_int_equal(cases, 5);
    round_trip(t, "Once upon a time, Ben said: \"Hi.\"", 33);
    struct ids ids = {0};
    tokenizer_encode_continued(t, "Once", 4, false, true, &ids);
    assert_int_equal(tokenizer_id(t, "On"), ids.id[0]); // no prefix
    ids_release(&ids);
    // its special tokens are matched in normalised text, behind the prefix
    ENCODES(t, "<|end_story|>", 2);
    json_free(root);
    free(text);
    tokenizer_free(t);
}

// A byte-level tokenizer with a few tokens; the parts around the model are given.
static char *byte_level(const char *added, const char *rest) {
    return xasprintf(
        "{\"added_tokens\":[%s],%s\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":"
        "false},\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":"
        "0,"
        "\"b\":1,\"c\":2,\"\\u0120\":3,\"ab\":4,\"abc\":5,\"\\u0120a\":6,\"aa\":7},\"merges\":[\"a "
        "b\","
        "\"ab c\",\"\\u0120 a\",[\"a\",\"a\"]]}}",
        added, rest);
}

static void merges(void **state) {
    (void)state;
    char *text = byte_level("", "");
    struct tokenizer *t = parse(text);
    ENCODES(t, "abc", 5);
    ENCODES(t, "aab", 0, 4); // the lower rank goes first
    ENCODES(t, "aaaa", 7, 7);
    ENCODES(t, "aaa", 7, 0); // leftmost first
    ENCODES(t, "a a", 0, 6);
    ENCODES(t, "x"); // no unk token: left out
    tokenizer_free(t);
    free(text);
}

static void added_tokens(void **state) {
    (void)state;
    char *text =
        byte_level("{\"id\":8,\"content\":\"<s>\",\"special\":true},"
                   "{\"id\":9,\"content\":\"<s><s>\",\"special\":true},"
                   "{\"id\":10,\"content\":\"bb\",\"single_word\":true},"
                   "{\"id\":11,\"content\":\"<l>\",\"lstrip\":true,\"rstrip\":true}",
                   "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":["
                   "{\"SpecialToken\":{\"id\":\"<s>\",\"type_id\":0}},{\"Sequence\":{\"id\":"
                   "\"A\",\"type_id\":0}}],\"special_tokens\":{\"<s>\":{\"id\":\"<s>\","
                   "\"ids\":[8],\"tokens\":[\"<s>\"]}}},");
    struct tokenizer *t = parse(text);
    ENCODES(t, "a<s>b", 0, 8, 1);
    ENCODES(t, "<s><s><s>", 9, 8); // longest at the leftmost place
    ENCODES(t, "bb abb a", 10, 3, 4, 1, 6);
    ENCODES(t, "a  <l> \tb", 0, 11, 1);
    struct ids ids = {0};
    tokenizer_encode(t, "a<s>", 4, true, false, &ids); // special tokens are text here
    assert_ids(&ids, (const int32_t[]){8, 0}, 2);
    assert_true(tokenizer_is_special(t, 8));
    assert_false(tokenizer_is_special(t, 10));
    assert_int_equal(tokenizer_vocab(t), 12);
    assert_int_equal(tokenizer_id(t, "<l>"), 11);
    assert_string_equal(tokenizer_token(t, 8), "<s>");
    assert_null(tokenizer_token(t, 12));
    size_t n;
    char *back = tokenizer_decode(t, (const int32_t[]){8, 0, 6, -5, 99}, 5, true, &n);
    assert_string_equal(back, "a a");
    free(back);
    ids_release(&ids);
    tokenizer_free(t);
    free(text);
}

static void sentencepiece_style(void **state) {
    (void)state;
    struct tokenizer *t = parse(
        "{\"added_tokens\":[],\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":"
        "\"\\u2581\","
        "\"prepend_scheme\":\"first\",\"split\":false},\"decoder\":{\"type\":\"Sequence\","
        "\"decoders\":"
        "[{\"type\":\"Replace\",\"pattern\":{\"String\":\"\\u2581\"},\"content\":\" \"},"
        "{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},{\"type\":\"Strip\",\"content\":\" \","
        "\"start\":1,\"stop\":0}]},\"model\":{\"vocab\":{\"<unk>\":0,\"<0xC3>\":1,\"<0xA9>\":2,"
        "\"\\u2581\":3,\"a\":4,\"\\u2581a\":5},\"merges\":[\"\\u2581 a\"],\"unk_token\":\"<unk>\","
        "\"byte_fallback\":true,\"fuse_unk\":true}}");
    ENCODES(t, "a a", 5, 5);
    ENCODES(t, "\xc3\xa9", 3, 1, 2);
    ENCODES(t, "xyz a", 3, 0, 5); // neighbouring unknowns are one
    round_trip(t, "a \xc3\xa9  a", 7);
    size_t n;
    char *piece = tokenizer_piece(t, 5, &n), *half = tokenizer_piece(t, 1, &n);
    assert_string_equal(piece, " a");
    assert_int_equal(n, 1);
    assert_int_equal((unsigned char)half[0], 0xc3);
    free(piece);
    free(half);
    tokenizer_free(t);
}

static void behaviours(void **state) {
    (void)state;
    static const struct {
        const char *behaviour;
        int32_t want[8];
        size_t n;
    } cases[] = {
        {"Isolated", {0, 1, 1, 0}, 4},        {"Removed", {0, 0}, 2},
        {"MergedWithPrevious", {3, 1, 0}, 3}, {"MergedWithNext", {0, 1, 4}, 3},
        {"Contiguous", {0, 2, 0}, 3},
    };
    for (size_t i = 0; i < 5; i++) { // "a--a"
        char *text = xasprintf("{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"String\":\"-"
                               "\"},\"behavior\":\"%s\"}"
                               ",\"model\":{\"vocab\":{\"a\":0,\"-\":1,\"--\":2,\"a-\":3,\"-a\":4},"
                               "\"merges\":[\"- -\",\"a -\",\"- a\"]}}",
                               cases[i].behaviour);
        struct tokenizer *t = parse(text);
        encodes(t, "a--a", cases[i].want, cases[i].n);
        tokenizer_free(t);
        free(text);
    }
}

// Any UTF-8, made from a fixed sequence: characters of all lengths, marks, blanks, controls.
static void any_text(void **state) {
    (void)state;
    struct tokenizer *t = open_tokenizer(DATA "tokenizers/llama3/tokenizer.json");
    uint64_t x = 88172645463325252u;
    for (int round = 0; round < 300; round++) {
        struct str s = {0};
        for (int i = 0; i < 40; i++) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            static const uint32_t top[] = {0x80, 0x80, 0x300, 0x3000, 0xd800, 0x110000};
            uint32_t c = (uint32_t)((x >> 20) % top[x % 6]);
            if (c >= 0xd800 && c < 0xe000) c = 0x20;
            char b[4] = {(char)c, 0, 0, 0};
            size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
            static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
            for (size_t k = n; n > 1 && k-- > 1; c >>= 6) b[k] = (char)(0x80 | (c & 0x3f));
            if (n > 1) b[0] = (char)(lead[n] | c);
            str_add(&s, b, n);
        }
        round_trip(t, s.text, s.length);
        for (size_t i = 0; i < s.length; i += 7) s.text[i] = (char)(x >> (i % 56)); // and any bytes
        struct ids ids = {0};
        tokenizer_encode(t, s.text, s.length, true, true, &ids);
        ids_release(&ids);
        str_release(&s);
    }
    tokenizer_free(t);
}

static void refuse(const char *text, const char *message) {
    struct fail f = {0};
    assert_null(tokenizer_parse(text, strlen(text), "t.json", &f));
    assert_int_equal(f.code, EXIT_BADDATA);
    if (!strstr(f.text, message)) print_message("%s\n  for %s\n", f.text, text);
    assert_non_null(strstr(f.text, message));
    assert_non_null(strstr(f.text, "t.json"));
}

static void hostile_files(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"", "t.json"},
        {"[]", "not a tokenizer"},
        {"{\"model\":{\"type\":\"a\\nb\\u001b[\"}}", "unsupported model 'a?b?['"},
        {"{}", "missing object"},
        {"{\"model\":{\"type\":\"Unigram\"}}", "unsupported model 'Unigram'"},
        {"{\"model\":{\"type\":7}}", "unsupported model"},
        {"{\"model\":{\"vocab\":[]}}", "'vocab'"},
        {"{\"model\":{\"vocab\":{\"a\":-1},\"merges\":[]}}", "token id"},
        {"{\"model\":{\"vocab\":{\"a\":1e9},\"merges\":[]}}", "token id"},
        {"{\"model\":{\"vocab\":{\"a\":99999999},\"merges\":[]}}", "token id"},
        {"{\"model\":{\"vocab\":{\"a\":\"0\"},\"merges\":[]}}", "token id"},
        {"{\"model\":{\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]}}", "two tokens"},
        {"{\"model\":{\"vocab\":{},\"merges\":[]}}", "no tokens"},
        {"{\"model\":{\"vocab\":{\"a\":0},\"merges\":{}}}", "'merges'"},
        {"{\"model\":{\"vocab\":{\"a\":0},\"merges\":[\"a\"]}}", "not a pair"},
        {"{\"model\":{\"vocab\":{\"a\":0},\"merges\":[\"a  a\"]}}", "not a pair"},
        {"{\"model\":{\"vocab\":{\"a\":0},\"merges\":[[\"a\"]]}}", "not a pair"},
        {"{\"model\":{\"vocab\":{\"a\":0},\"merges\":[\"a a\"]}}", "not in the vocabulary"},
        {"{\"model\":{\"vocab\":{\"a\":0},\"merges\":[],\"unk_token\":\"u\"}}", "unk_token"},
        {"{\"model\":{\"vocab\":{\"a\":0},\"merges\":[],\"dropout\":0.1}}", "dropout"},
        {"{\"model\":{\"vocab\":{\"a\":0},\"merges\":[],\"end_of_word_suffix\":\"</w>\"}}",
         "end_of_word_suffix"},
        {"{\"model\":{\"vocab\":{\"a\":0},\"merges\":[],\"fuse_unk\":3}}", "fuse_unk"},
        {"{\"added_tokens\":{},\"model\":{\"vocab\":{\"a\":0},\"merges\":[]}}", "added_tokens"},
        {"{\"added_tokens\":[{\"id\":1}],\"model\":{\"vocab\":{\"a\":0},\"merges\":[]}}",
         "no text"},
        {"{\"added_tokens\":[{\"id\":1,\"content\":\"a\"}],\"model\":{\"vocab\":{\"a\":0},"
         "\"merges\":[]}}",
         "the vocabulary says 0"},
        {"{\"added_tokens\":[{\"id\":0,\"content\":\"b\"}],\"model\":{\"vocab\":{\"a\":0},"
         "\"merges\":[]}}",
         "shares"},
        {"{\"normalizer\":{\"type\":\"Nmt\"},\"model\":{\"vocab\":{\"a\":0},\"merges\":[]}}",
         "unsupported normalizer 'Nmt'"},
        {"{\"normalizer\":[],\"model\":{\"vocab\":{\"a\":0},\"merges\":[]}}", "'type'"},
        {"{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Whitespace\"}]},"
         "\"model\":{\"vocab\":{\"a\":0},\"merges\":[]}}",
         "unsupported pre_tokenizer 'Whitespace'"},
        {"{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(\"},\"behavior\":"
         "\"Isolated\"},\"model\":{\"vocab\":{\"a\":0},\"merges\":[]}}",
         "pattern is not understood"},
        {"{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"[a&&b]\"},\"behavior\":"
         "\"Isolated\"},\"model\":{\"vocab\":{\"a\":0},\"merges\":[]}}",
         "&&"},
        {"{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"ByteLevel\"},"
         "{\"type\":\"Digits\"}]},\"model\":{\"vocab\":{\"a\":0},\"merges\":[]}}",
         "must come last"},
        {"{\"decoder\":{\"type\":\"CTC\"},\"model\":{\"vocab\":{\"a\":0},\"merges\":[]}}",
         "unsupported decoder 'CTC'"},
        {"{\"post_processor\":{\"type\":\"BertProcessing\"},\"model\":{\"vocab\":{\"a\":0},"
         "\"merges\":[]}}",
         "unsupported post_processor 'BertProcessing'"},
        {"{\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{"
         "\"id\":"
         "\"x\"}},{\"Sequence\":{}}],\"special_tokens\":{\"x\":{\"ids\":[5]}}},\"model\":{"
         "\"vocab\":"
         "{\"a\":0},\"merges\":[]}}",
         "no token"},
        {"{\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[]},\"model\":{\"vocab\":"
         "{\"a\":0},\"merges\":[]}}",
         "single"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) refuse(cases[i][0], cases[i][1]);
}

struct job {
    const struct tokenizer *t;
    const char *text;
    struct ids ids;
};

static void *encode_job(void *to) {
    struct job *job = to;
    for (int i = 0; i < 50; i++) {
        job->ids.n = 0;
        tokenizer_encode(job->t, job->text, strlen(job->text), false, true, &job->ids);
    }
    return NULL;
}

static void several_threads(void **state) {
    (void)state;
    char *json = byte_level("{\"id\":8,\"content\":\"<s>\",\"special\":true}", "");
    struct tokenizer *t = parse(json);
    struct job jobs[4] = {{t, "abc a<s>aab abc abcab", {0}}, {t, " a aaaa<s>", {0}}};
    jobs[2] = jobs[0];
    jobs[3] = jobs[1];
    pthread_t thread[4];
    for (int i = 0; i < 4; i++) pthread_create(&thread[i], NULL, encode_job, &jobs[i]);
    for (int i = 0; i < 4; i++) pthread_join(thread[i], NULL);
    ENCODES(t, " a aaaa<s>", 6, 6, 7, 0, 8);
    for (int i = 0; i < 4; i++) {
        assert_ids(&jobs[i].ids, jobs[i % 2].ids.id, jobs[i % 2].ids.n);
        if (i > 1) ids_release(&jobs[i].ids);
    }
    ids_release(&jobs[0].ids);
    ids_release(&jobs[1].ids);
    tokenizer_free(t);
    free(json);
}

// A pattern that would search for ever ends, and nothing of the text is lost.
static void hostile_pattern(void **state) {
    (void)state;
    struct tokenizer *t = parse(
        "{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(a+)+b|x*\"},\"behavior\":"
        "\"Isolated\"},\"model\":{\"vocab\":{\"a\":0},\"merges\":[]}}");
    char text[2001];
    memset(text, 'a', 2000);
    struct ids ids = {0};
    tokenizer_encode(t, text, 2000, true, true, &ids);
    assert_int_equal(ids.n, 2000);
    ids_release(&ids);
    tokenizer_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merges),        cmocka_unit_test(added_tokens),
        cmocka_unit_test(behaviours),    cmocka_unit_test(sentencepiece_style),
        cmocka_unit_test(hostile_files), cmocka_unit_test(hostile_pattern),
        cmocka_unit_test(gpt2),          cmocka_unit_test(llama3),
        cmocka_unit_test(qwen2),         cmocka_unit_test(tinystories),
        cmocka_unit_test(any_text),      cmocka_unit_test(several_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
