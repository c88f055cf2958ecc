// Ranks: one command started many times by mpirun or srun, on one machine or on several, and the
// only door to MPI. Each process is one rank; together they are one program to the outside: rank 0
// talks, reads and writes what belongs to the run, the others compute their shares and speak only
// when they fail. Without MPI (make MPI=1 builds with it), or started alone, there is one rank, and
// everything here is what it is then: nothing.
//
// Every rank must make the same calls in the same order: a rank that was asked to stop goes on to
// the next ranks_or, where all learn of it. What is merged is combined bit by bit, so that no order
// of the ranks can show in a result. Waiting sleeps, since the CPUs may be others'.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// First in main: joins the other ranks, if a launcher started several. Then die() names rank and
// host on all but rank 0 and ends all ranks, warnings come from rank 0 alone, and so does stdout.
// Dies (exit 2) where several were started and cannot see each other. Where a word of the command
// is
// "-", all ranks read what rank 0 gets on stdin, which launchers pass to it alone.
void ranks_begin(int argc, char **argv);
// Last in main: waits for all. The code to leave with: `code` on rank 0, 0 on the others, so that
// no launcher ends rank 0 for what another one returned.
int ranks_end(int code);
int ranks_count(void);                  // 1 without MPI
int ranks_self(void);                   // 0 .. ranks_count()-1
size_t ranks_share(size_t n, int rank); // of n things rank r does ranks_share(n, r) .. (n, r + 1)-1
const char *ranks_host(int rank);       // "" where there is one rank
const char *ranks_library(void);        // "Open MPI v4.1.4, ..."; NULL: built without
bool ranks_threads(void);               // whether another thread than main's may call

// data (bytes) becomes the bitwise OR of all ranks' data. What only one rank knows is zero on the
// others: so shares are put together, and rank 0's word is passed on.
void ranks_merge(void *data, size_t bytes);
unsigned ranks_or(unsigned flags);
// The first rank whose data are not those of rank 0; 0: all agree.
int ranks_differ(const void *data, size_t bytes);
// x (n) passes through the ranks in order, each adding its own by add(self, x), and comes to all:
// one sum in one order, whatever the number of ranks.
void ranks_chain(double *x, size_t n, void (*add)(void *self, double *x), void *self);
// own (bytes) of all ranks, in order of the ranks, at rank 0: *all, free() it; NULL elsewhere.
size_t ranks_collect(const void *own, size_t bytes, void **all);

// Messages in flight. Those from one rank to another arrive in the order in which they were sent;
// memory belongs to them until they are over.
struct ranks_messages;
struct ranks_messages *ranks_messages_new(size_t most);
void ranks_messages_free(struct ranks_messages *m);
void ranks_send(struct ranks_messages *m, int to, const void *data, size_t bytes);
void ranks_receive(struct ranks_messages *m, int from, void *data, size_t bytes);
bool ranks_over(struct ranks_messages *m); // whether all are, and it is empty again
void ranks_wait(struct ranks_messages *m);

struct ranks_traffic { // of this rank since ranks_begin
    uint64_t bytes;    // sent in messages
    double seconds;    // waited for others, in all calls
};
struct ranks_traffic ranks_traffic(void);
