#include "common/text/bpe_decode.h"
#include "common/text/bpe_split.h"
#include "common/text/bpe_word.h"
#include "common/base/unicode.h"
#include <stdlib.h>
#include <string.h>

static void end_piece(struct pieces *p) {
    grow(&p->end, &p->capacity, p->n + 1, sizeof *p->end);
    p->end[p->n++] = p->text.length;
}

void pieces_add(struct pieces *p, const char *text, size_t n) {
    str_add(&p->text, text, n);
    end_piece(p);
}

void pieces_release(struct pieces *p) {
    str_release(&p->text);
    free(p->end);
    *p = (struct pieces){0};
}

static const char *piece(const struct pieces *p, size_t i, size_t *n) {
    size_t start = i ? p->end[i - 1] : 0;
    *n = p->end[i] - start;
    return *n ? p->text.text + start : "";
}

// A token all of stand-in characters is their bytes; any other (an added token) is itself.
static void byte_level(const char *text, size_t n, struct str *out) {
    size_t before = out->length;
    for (size_t i = 0; i < n;) {
        uint32_t c;
        i += unicode_next(text + i, n - i, &c);
        int byte = character_to_byte(c);
        if (byte < 0) {
            out->length = before;
            str_add(out, text, n);
            return;
        }
        str_add(out, &(char){(char)byte}, 1);
    }
}

static int hex(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int byte_token(const char *text, size_t n) {
    if (n != 6 || memcmp(text, "<0x", 3) || text[5] != '>') return -1;
    int high = hex(text[3]), low = hex(text[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static void end_bytes(struct str *bytes, struct pieces *out) {
    if (!bytes->length) return;
    if (unicode_valid(bytes->text, bytes->length)) {
        pieces_add(out, bytes->text, bytes->length);
    } else {
        for (size_t i = 0; i < bytes->length; i++) pieces_add(out, "\xef\xbf\xbd", 3);
    }
    bytes->length = 0;
}

static void byte_fallback(const struct pieces *p, struct pieces *out) {
    struct str bytes = {0};
    for (size_t i = 0, n; i < p->n; i++) {
        const char *text = piece(p, i, &n);
        int byte = byte_token(text, n);
        if (byte >= 0) {
            str_add(&bytes, &(char){(char)byte}, 1);
            continue;
        }
        end_bytes(&bytes, out);
        pieces_add(out, text, n);
    }
    end_bytes(&bytes, out);
    str_release(&bytes);
}

static void strip(const struct decode_step *s, const char *text, size_t n, struct pieces *out) {
    const char *what = s->content.text;
    size_t length = s->content.length;
    for (size_t i = 0; i < s->start && n >= length && !memcmp(text, what, length); i++) {
        text += length;
        n -= length;
    }
    for (size_t i = 0; i < s->stop && n >= length && !memcmp(text + n - length, what, length); i++)
        n -= length;
    pieces_add(out, text, n);
}

static void metaspace(const struct decode_step *s, const char *text, size_t n, bool first,
                      struct pieces *out) {
    size_t length = s->content.length;
    bool drop = first && s->drop;
    for (size_t i = 0; i < n;) {
        if (n - i >= length && !memcmp(text + i, s->content.text, length)) {
            if (!drop || i) str_add(&out->text, " ", 1);
            i += length;
        } else {
            str_add(&out->text, text + i++, 1);
        }
    }
    end_piece(out);
}

void decode_run(const struct decode_step *s, struct pieces *p) {
    struct pieces out = {0};
    struct regex_work *work = s->kind == DECODE_REPLACE ? regex_work_new() : NULL;
    if (s->kind == DECODE_BYTE_FALLBACK) byte_fallback(p, &out);
    for (size_t i = 0, n; i < p->n && s->kind != DECODE_BYTE_FALLBACK; i++) {
        const char *text = piece(p, i, &n);
        switch (s->kind) {
        case DECODE_BYTE_LEVEL:
            byte_level(text, n, &out.text);
            break;
        case DECODE_FUSE:
            str_add(&out.text, text, n);
            break;
        case DECODE_STRIP:
            strip(s, text, n, &out);
            break;
        case DECODE_METASPACE:
            metaspace(s, text, n, i == 0, &out);
            break;
        case DECODE_REPLACE:
            text_replace(s->regex, work, text, n, &s->content, &out.text);
            end_piece(&out);
            break;
        case DECODE_BYTE_FALLBACK:
            break;
        }
    }
    if (s->kind == DECODE_BYTE_LEVEL || s->kind == DECODE_FUSE) end_piece(&out);
    regex_work_free(work);
    pieces_release(p);
    *p = out;
}
