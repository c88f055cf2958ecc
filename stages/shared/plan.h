// What --dry-run says of memory, disk and time: numbers for programs on stdout (memory_bytes,
// disk_bytes, estimated_seconds), and for people a line on stderr in GiB and hours, beside what
// this machine has.
#pragma once
#include "common/base/log.h"

struct plan {
    double memory, disk, seconds; // bytes, bytes, seconds; below 0: not known
    const char *output;           // where the disk is; NULL: not known
};
void plan_print(struct log *log, const struct plan *p);
void plan_tell(struct log *log, const struct plan *p); // the line alone
// FLOP/s of matrix products, in bf16 or float32, by running some for a moment
double plan_product_rate(bool bf16);
