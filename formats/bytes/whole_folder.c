#include "formats/bytes/whole_folder.h"
#include "common/base/mem.h"
#include "common/base/path.h"
#include "formats/bytes/whole_file.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_there(const char *path) {
    struct stat st;
    return lstat(path, &st) == 0;
}

// With the files that are ours; others, and the folder with them, stay.
static bool remove_folder(const char *path, bool (*is_ours)(const char *name)) {
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));)
        if (is_ours(e->d_name)) unlinkat(dirfd(d), e->d_name, 0);
    if (d) closedir(d);
    return !rmdir(path);
}

static int lock_folder(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return fd;
    close(fd);
    errno = EBUSY;
    return -1;
}

static void names(struct whole_folder *w, const char *folder, bool (*is_ours)(const char *name)) {
    *w = (struct whole_folder){.folder = xstrdup(folder),
                               .partial = xasprintf("%s.partial", folder),
                               .former = xasprintf("%s.former", folder),
                               .lock = -1,
                               .is_ours = is_ours};
}

static void release(struct whole_folder *w) {
    if (w->lock >= 0) close(w->lock);
    free(w->folder);
    free(w->partial);
    free(w->former);
    *w = (struct whole_folder){.lock = -1};
}

// False: another process is at it.
static bool repair(struct whole_folder *w) {
    if (is_there(w->partial)) {
        int lock = lock_folder(w->partial);
        if (lock < 0 && errno == EBUSY) return false;
        remove_folder(w->partial, w->is_ours);
        if (lock >= 0) close(lock);
    }
    if (!is_there(w->former)) return true;
    if (is_there(w->folder))
        remove_folder(w->former, w->is_ours);
    else
        rename(w->former, w->folder);
    return true;
}

void whole_folder_repair(const char *folder, bool (*is_ours)(const char *name)) {
    struct whole_folder w;
    names(&w, folder, is_ours);
    repair(&w);
    release(&w);
}

bool whole_folder_open(struct whole_folder *w, const char *folder,
                       bool (*is_ours)(const char *name), struct fail *f) {
    struct stat st;
    signal(SIGXFSZ, SIG_IGN); // writes then fail with EFBIG
    names(w, folder, is_ours);
    if (!f->code && lstat(folder, &st) == 0 && !S_ISDIR(st.st_mode))
        fail_set(f, EXIT_FAILED, "cannot write '%s': it is %s; name a folder", folder,
                 S_ISLNK(st.st_mode) ? "a symbolic link" : path_kind(st.st_mode));
    if (!f->code && !repair(w))
        fail_set(f, EXIT_FAILED, "'%s' is in use by another process", w->partial);
    if (!f->code && is_there(w->former))
        fail_set(f, EXIT_FAILED, "'%s' is in the way; move it elsewhere", w->former);
    if (!f->code && mkdir(w->partial, 0777))
        fail_set(f, EXIT_FAILED, "cannot create '%s': %s", w->partial, strerror(errno));
    if (!f->code && (w->lock = lock_folder(w->partial)) < 0)
        fail_set(f, EXIT_FAILED, "cannot open '%s': %s", w->partial, strerror(errno));
    if (!f->code) return true;
    release(w);
    return false;
}

bool whole_folder_text(const char *partial, const char *name, const char *text, struct fail *f) {
    if (!text || f->code) return !f->code;
    char *path = xasprintf("%s/%s", partial, name);
    FILE *file = fopen(path, "wbe");
    bool bad = !file || fwrite(text, 1, strlen(text), file) != strlen(text);
    bad = bad || fflush(file) || fsync(fileno(file));
    int why = errno;
    if (file && fclose(file)) bad = true;
    if (bad) fail_set(f, EXIT_FAILED, "cannot write '%s': %s", path, strerror(why));
    free(path);
    return !bad;
}

// Whether partial has taken the place of a folder that is there, which is then at `former`.
static bool exchange(struct whole_folder *w) {
    if (!renameat2(AT_FDCWD, w->partial, AT_FDCWD, w->folder, RENAME_EXCHANGE))
        return rename(w->partial, w->former) == 0; // what was there
    if (errno != EINVAL && errno != ENOSYS && errno != ENOTSUP) return false;
    if (rename(w->folder, w->former)) return false;
    if (!rename(w->partial, w->folder)) return true;
    int why = errno;
    rename(w->former, w->folder);
    errno = why;
    return false;
}

static void put_in_place(struct whole_folder *w, struct fail *f) {
    bool existed = is_there(w->folder);
    bool ok = fsync(w->lock) == 0 || errno == EINVAL || errno == ENOTSUP;
    ok = ok && (existed ? exchange(w) : rename(w->partial, w->folder) == 0);
    if (!ok || !whole_file_sync_folder(w->folder)) {
        fail_set(f, EXIT_FAILED, "cannot write '%s': %s", w->folder, strerror(errno));
        return;
    }
    if (existed && !remove_folder(w->former, w->is_ours))
        warn("files that are not of the export are now in '%s'", w->former);
}

bool whole_folder_commit(struct whole_folder *w, struct fail *f) {
    if (!f->code) put_in_place(w, f);
    if (f->code) remove_folder(w->partial, w->is_ours);
    release(w);
    return !f->code;
}
