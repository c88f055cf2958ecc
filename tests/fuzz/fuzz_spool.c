// Any bytes as the spool that a killed run left: taken up or refused in one line, and what is kept
// reads back.
#include "common/base/mem.h"
#include "formats/store/spool.h"
#include "tests/fuzz/replay.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void read_back(struct spool *s) {
    size_t n;
    spool_state(s, &n);
    for (size_t i = 0; i < spool_count(s); i++) {
        void *bytes = xmalloc(spool_get(s, i).length + 1);
        if (!spool_read(s, i, bytes)) abort(); // its XXH3 was right when the spool was opened
        free(bytes);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static char path[] = "/dev/shm/fuzz_spool.XXXXXX"; // renamed and locked, so a name of its own
    static int made = -1;
    if (made < 0 && (made = mkstemp(path)) < 0) abort();
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size) abort();
    close(fd);
    struct fail f = {0};
    struct spool *s = spool_open(path, "kind: tokens\n", true, NULL, NULL, &f);
    if (!s && (!f.code || strchr(f.text, '\n'))) abort();
    if (s) read_back(s);
    spool_close(s, false);
    unlink(path);
    return 0;
}
