#include "formats/records/shapes_text.h"
#include "formats/store/artefact.h"

void example_prompt(const struct example *e, struct str *to) {
    if (e->verbatim) {
        str_add(to, e->plain.text, e->plain.n);
        return;
    }
    for (size_t i = 0; i < e->n; i++) {
        if (i) str_puts(to, "\n\n");
        str_add(to, e->turns[i].text, e->turns[i].n);
    }
}

double example_key(const struct example *e) {
    struct str s = {0};
    size_t n = e->prompt_length ? e->prompt_length : e->ids.n;
    if (e->ids.n)
        str_add(&s, e->ids.id, n * sizeof *e->ids.id);
    else
        example_prompt(e, &s);
    struct hash128 h = hash_bytes(s.text ? s.text : "", s.length);
    str_release(&s);
    return (double)(h.high >> 11) * 0x1p-53;
}
