// A program whose n-th call of a kind fails or kills it (LD_PRELOAD). inject.c has the calls,
// site.c says where in the program one is, serve.c is how it is driven.
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum inject_kind { OPEN, READ, WRITE, FSYNC, RENAME, UNLINK, MALLOC, INSIDE, THREAD, KINDS };
extern const char *const inject_names[KINDS];

struct inject {
    int kind;     // -1: nothing fails
    int error;    // errno; 0: SIGKILL
    bool onwards; // all calls that follow too (a full disk)
    long at;      // from 1, counted from main; of those at `site` where that is not 0
    uint64_t site;
};
bool inject_parse(const char *text, struct inject *to); // KIND:N:WHAT[:SITE], see inject.c
// Seen by the parent of a forked run, which fails calls as `plan` says.
struct inject_seen {
    uint64_t hit;     // the site of the first call that failed; 0: none did
    bool list;        // calls are listed
    long calls, most; // how many there were; room in `call`
    struct inject_call {
        uint64_t site;
        uint32_t kind;
    } call[];
};
// From now on calls count. seen: NULL, or shared memory.
void inject_arm(const struct inject *plan, struct inject_seen *seen);

// Where this thread is: a hash of the return addresses of the whole stack, each by its library and
// its place in that, so that it is the same in every run of the same binary. Inside libhdf5 only
// what is in libhdf5 counts, so that it is the same in all programs. Not 0.
uint64_t inject_site(void);
void inject_find_libraries(void); // before the first call of inject_site
bool inject_in_hdf5(uintptr_t address);

// Where INJECT_SERVE is set: runs `program` once for each line that comes on stdin. Returns if not.
void inject_serve(int (*program)(int, char **, char **), int argc, char **argv, char **environment);
