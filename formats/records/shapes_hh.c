// HH's text form of a dialogue: "\n\nHuman: ...\n\nAssistant: ...".
#include "formats/records/shapes.h"
#include <string.h>

static const char human[] = "\n\nHuman:", assistant[] = "\n\nAssistant:";

static const char *find(const char *text, size_t n, const char *mark) {
    return memmem(text, n, mark, strlen(mark));
}

static struct turn trimmed(enum role role, const char *text, size_t n) {
    while (n && strchr(" \n", *text) && *text) text++, n--;
    while (n && strchr(" \n", text[n - 1]) && text[n - 1]) n--;
    return (struct turn){.role = role, .text = text, .n = n, .trained = role == ROLE_ASSISTANT};
}

// The turns of a dialogue that begins with one of the marks and ends with an empty assistant's.
static bool split_dialogue(struct example *e, const char *text, size_t n) {
    const char *end = text + n;
    while (text < end) {
        bool asks = n >= sizeof human - 1 && !memcmp(text, human, sizeof human - 1);
        bool answers = n >= sizeof assistant - 1 && !memcmp(text, assistant, sizeof assistant - 1);
        if (!asks && !answers) return false;
        text += asks ? sizeof human - 1 : sizeof assistant - 1;
        n = (size_t)(end - text);
        const char *h = find(text, n, human), *a = find(text, n, assistant), *stop = end;
        if (h && h < stop) stop = h;
        if (a && a < stop) stop = a;
        if (answers && stop == end) return true;
        example_add(e, trimmed(asks ? ROLE_USER : ROLE_ASSISTANT, text, (size_t)(stop - text)));
        text = stop;
        n = (size_t)(end - text);
    }
    return false;
}

// Bytes up to and with the last "\n\nAssistant:" that both texts share.
static size_t shared_dialogue(const char *a, size_t n, const char *b, size_t k) {
    size_t same = 0, cut = 0, m = sizeof assistant - 1;
    while (same < n && same < k && a[same] == b[same]) same++;
    for (const char *at = a; (at = find(at, same - (size_t)(at - a), assistant)); at++)
        cut = (size_t)(at - a) + m;
    return cut;
}

bool read_hh(struct record *row, const char *chosen, const char *rejected, struct example *e) {
    size_t n, k;
    const char *a = record_text(row, chosen, &n);
    const char *b = record_text(row, rejected, &k);
    if (!a || !b) return row_bad(row, "'%s' is not a text", a ? rejected : chosen);
    size_t cut = shared_dialogue(a, n, b, k);
    if (!cut || !split_dialogue(e, a, cut))
        return row_bad(row, "chosen and rejected do not begin with the same dialogue of 'Human:' "
                            "and 'Assistant:'");
    e->dialogue = e->verbatim = true;
    e->plain = (struct turn){.role = ROLE_USER, .text = a, .n = cut};
    e->response =
        (struct turn){.role = ROLE_ASSISTANT, .text = a + cut, .n = n - cut, .trained = true};
    e->rejected =
        (struct turn){.role = ROLE_ASSISTANT, .text = b + cut, .n = k - cut, .trained = true};
    return true;
}
