// Any bytes as a tokenizer.json, and behind a NUL byte any text to encode and decode with it.
#include "formats/models/tokenizer_json.h"
#include "tests/fuzz/replay.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *json = (const char *)data;
    const char *end = memchr(json, 0, size);
    size_t n = end ? (size_t)(end - json) : size, rest = end ? size - n - 1 : 0;
    struct fail f = {0};
    struct tokenizer *t = tokenizer_parse(json, n, "fuzz", &f);
    if (!t) {
        if (!f.code || strchr(f.text, '\n')) abort(); // a failure says why, in one line
        return 0;
    }
    const char *text = end ? end + 1 : "a b\n";
    if (!end) rest = 4;
    struct ids ids = {0};
    tokenizer_encode(t, text, rest, true, true, &ids);
    tokenizer_encode_continued(t, text, rest, true, false, &ids);
    for (size_t i = 0; i < ids.n; i++)
        if (!tokenizer_token(t, ids.id[i])) abort(); // every id is a token
    free(tokenizer_decode(t, ids.id, ids.n, false, NULL));
    if (ids.n) free(tokenizer_piece(t, ids.id[0], NULL));
    ids_release(&ids);
    tokenizer_free(t);
    return 0;
}
