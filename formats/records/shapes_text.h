// Examples as text: joined turns where there is no template, the key of a split.
#pragma once
#include "formats/records/shapes.h"

// The prompt without a template: the plain text, or the turns with empty lines between. Appends.
void example_prompt(const struct example *e, struct str *to);
// What distinguishes prompts for --split: XXH3 of the prompt (or text, or ids) in [0, 1).
double example_key(const struct example *e);
