// Chat templates that have a name here, as Jinja sources of our own: for tokenizers that bring
// none, and for data in formats older than templates (alpaca, hh). They render what the models' own
// do for turns of text; tools and thoughts need a model's own template.
#pragma once

const char *template_named(const char *name); // the source; NULL: no such name
const char *template_names(void);             // "chatml, qwen2, ..."
