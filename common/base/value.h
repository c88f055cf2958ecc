// Numbers as people write them, read strictly: the whole word or nothing, no leading blanks, no
// trailing junk, no hexadecimal, never nan, no silent overflow. All return false and leave *v alone
// where the word is not such a number.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool value_int(const char *word, int64_t *v);
bool value_real(const char *word, double *v); // "inf" and "-inf" are read
// "90", "90s", "1.5h", "3h50m", "1d12h": seconds, from units d h m s in falling order.
bool value_time(const char *word, double *seconds);
bool value_share(const char *word, size_t *i, size_t *n); // "I/N", 0 <= I < N
// "A:B", rows A up to, but without, B, either of which may be left out; "N": the first N of `all`.
bool value_range(const char *word, size_t all, size_t *from, size_t *to);
bool value_flag(const char *word, bool *v); // true|false|yes|no|on|off|1|0
