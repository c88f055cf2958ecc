// A config.json while it is read: what hf_config.c and hf_rope.c share. Every failure names the key
// and the file; after one the values mean nothing.
#pragma once
#include "formats/models/hf_family.h"
#include "formats/models/huggingface.h"

struct hf_reader {
    const struct json *root;
    const char *name;
    struct hf_config *c;
    struct fail *f;
    const struct hf_family *family;
};

bool hf_is_null(const struct json *v);
bool hf_listed(const char *key, const char *const *list, size_t n);
// A positive whole number; `fallback` where it is missing or null, 0 there: required.
size_t hf_size(struct hf_reader *r, const char *key, size_t fallback);
// A positive number of an object, likewise.
double hf_real(struct hf_reader *r, const struct json *object, const char *key, double fallback);
bool hf_flag(struct hf_reader *r, const char *key, bool fallback);
void hf_must_be_off(struct hf_reader *r, const char *key);
// Rotary positions, of a config whose sizes are read: theta, scaling, the share of a head.
void hf_read_rope(struct hf_reader *r);
