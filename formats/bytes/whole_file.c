#include "formats/bytes/whole_file.h"
#include "common/base/mem.h"
#include "common/base/outputs.h"
#include "common/base/path.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

static char *folder_of(const char *path) {
    const char *slash = strrchr(path, '/');
    if (!slash) return xstrdup(".");
    if (slash == path) return xstrdup("/");
    return xasprintf("%.*s", (int)(slash - path), path);
}

static const char *base_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

// ---- temporary names: NAME.tmp-HOST-PID-RANDOM

static void host_name(char to[64]) {
    if (gethostname(to, 64) != 0) strcpy(to, "localhost");
    to[63] = 0;
    for (char *c = to; *c; c++)
        if (*c == '/') *c = '_';
}

char *whole_file_temp(const char *path) {
    char host[64];
    uint32_t random = 0;
    host_name(host);
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) < 0) random = (uint32_t)getppid();
    return xasprintf("%s.tmp-%s-%ld-%08x", path, host, (long)getpid(), (unsigned)random);
}

// Ours: made for `base` on this host by a process that is no more.
static bool is_stale(const char *name, const char *base, const char *host) {
    size_t nb = strlen(base), nh = strlen(host);
    if (strncmp(name, base, nb) != 0 || strncmp(name + nb, ".tmp-", 5) != 0) return false;
    name += nb + 5;
    if (strncmp(name, host, nh) != 0 || name[nh] != '-') return false;
    char *end;
    errno = 0;
    long pid = strtol(name + nh + 1, &end, 10);
    if (errno || pid <= 0 || *end != '-' || strlen(end + 1) != 8) return false;
    if (strspn(end + 1, "0123456789abcdef") != 8) return false;
    return kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

void whole_file_sweep(const char *path) {
    char host[64], *folder = folder_of(path);
    host_name(host);
    DIR *d = opendir(folder);
    for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d))
        if (is_stale(e->d_name, base_of(path), host)) unlinkat(dirfd(d), e->d_name, 0);
    if (d) closedir(d);
    free(folder);
}

bool whole_file_prepare(const char *path, struct fail *f) {
    return outputs_may_write(path, f) && whole_file_prepare_state(path, f);
}

bool whole_file_prepare_state(const char *path, struct fail *f) {
    if (!outputs_may_renew(path, f)) return false;
    signal(SIGXFSZ, SIG_IGN); // writes then fail with EFBIG
    if (!*path) return fail_set(f, EXIT_FAILED, "the output's name is empty; name a file");
    if (!*base_of(path))
        return fail_set(f, EXIT_FAILED, "cannot write '%s': it is a folder; name a file", path);
    if (!path_may_write(path, f)) return false;
    whole_file_sweep(path);
    char *temp = whole_file_temp(path);
    int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        fail_set(f, EXIT_FAILED, "cannot write '%s': %s", path, strerror(errno));
    else
        unlink(temp);
    if (fd >= 0) close(fd);
    free(temp);
    return !f->code;
}

static bool sync_path(const char *path, int flags) {
    int fd = open(path, flags | O_CLOEXEC);
    if (fd < 0) return false;
    bool ok = fsync(fd) == 0 || errno == EINVAL || errno == ENOTSUP;
    return close(fd) == 0 && ok;
}

bool whole_file_sync_folder(const char *path) {
    char *folder = folder_of(path);
    bool ok = sync_path(folder, O_RDONLY | O_DIRECTORY);
    int why = errno;
    free(folder);
    errno = why;
    return ok;
}

bool whole_file_commit(const char *temp, const char *path, struct fail *f) {
    if (outputs_may_renew(path, f) &&
        !(sync_path(temp, O_RDONLY) && rename(temp, path) == 0 && whole_file_sync_folder(path)))
        fail_set(f, EXIT_FAILED, "cannot write '%s': %s", path, strerror(errno));
    if (f->code) unlink(temp);
    return !f->code;
}

bool whole_file_write(const char *path, const void *bytes, size_t n, struct fail *f) {
    if (!whole_file_prepare(path, f)) return false;
    char *temp = whole_file_temp(path);
    FILE *out = fopen(temp, "wb");
    bool ok = out && fwrite(bytes, 1, n, out) == n;
    if (out && fclose(out) != 0) ok = false;
    if (!ok) {
        fail_set(f, EXIT_FAILED, "cannot write '%s': %s", path, strerror(errno));
        remove(temp);
    } else {
        whole_file_commit(temp, path, f);
    }
    free(temp);
    return !f->code;
}
