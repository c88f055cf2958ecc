// Threads. Work is cut the same way whatever their number: a body gets an index, writes only what
// belongs to that index, and every sum over indices is taken afterwards in order.
#pragma once
#include <stddef.h>

// 0: the CPUs this process may use (affinity mask, cgroup quota), capped by OMP_NUM_THREADS.
// Call once, before any other work.
void parallel_init(int threads);
int parallel_threads(void);
int parallel_self(void); // 0 .. parallel_threads()-1 inside a body

// body(self, i) for each i < n; returns when all are done. A thread begins with a share of the
// indices that is the same whenever n is, then takes what others have left. Called inside a body,
// or by one thread alone, it is a plain loop. One caller at a time.
void parallel_for(size_t n, void (*body)(void *self, size_t i), void *self);
// The same by contiguous pieces [first, last): half of what is left of a share a call, `grain`
// indices at least where a share has them.
void parallel_range(size_t n, size_t grain, void (*body)(void *self, size_t first, size_t last),
                    void *self);
