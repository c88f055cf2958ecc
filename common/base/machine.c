#include "common/base/machine.h"
#include "common/base/mem.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

// The number in a file, INFINITY where there is none ("max").
static double number_in(const char *path) {
    FILE *file = fopen(path, "re");
    double x;
    bool read = file && fscanf(file, "%lf", &x) == 1;
    if (file) fclose(file);
    return read && isfinite(x) ? x : (double)INFINITY;
}

// The least limit of this process's control group and of those above it (version 2), or version
// 1's.
static double group_limit(void) {
    char line[4096], path[8192];
    double least = number_in("/sys/fs/cgroup/memory/memory.limit_in_bytes");
    FILE *file = fopen("/proc/self/cgroup", "re");
    while (file && fgets(line, sizeof line, file)) {
        if (strncmp(line, "0::/", 4)) continue;
        char *group = line + 3;
        group[strcspn(group, "\n")] = 0;
        for (char *slash; (slash = strrchr(group, '/')); *slash = 0) {
            snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.max", group);
            least = fmin(least, number_in(path));
        }
        least = fmin(least, number_in("/sys/fs/cgroup/memory.max"));
    }
    if (file) fclose(file);
    return least;
}

static double page_bytes(int name) {
    return (double)sysconf(name) * (double)sysconf(_SC_PAGESIZE);
}

double machine_memory(void) {
    struct rlimit limit;
    double bytes = fmin(page_bytes(_SC_PHYS_PAGES), group_limit());
    if (!getrlimit(RLIMIT_AS, &limit) && limit.rlim_cur != RLIM_INFINITY)
        bytes = fmin(bytes, (double)limit.rlim_cur);
    return bytes;
}

double machine_memory_free(void) {
    char line[256];
    double kib = NAN;
    FILE *file = fopen("/proc/meminfo", "re");
    while (file && isnan(kib) && fgets(line, sizeof line, file))
        if (sscanf(line, "MemAvailable: %lf", &kib) != 1) kib = NAN;
    if (file) fclose(file);
    double bytes = isnan(kib) ? page_bytes(_SC_AVPHYS_PAGES) : 1024 * kib;
    return fmin(bytes, machine_memory());
}

double machine_disk_free(const char *path) {
    struct statvfs s;
    const char *slash = strrchr(path, '/');
    char *folder = slash ? xasprintf("%.*s", (int)(slash - path + 1), path) : xstrdup(".");
    bool known = !statvfs(folder, &s);
    free(folder);
    return known ? (double)s.f_bavail * (double)s.f_frsize : 0;
}
