// Runs of one program without starting it again: each is a fork from the beginning of main. On
// stdin comes a line for each run,
//   run -                  nothing fails
//   run KIND:N:WHAT[:SITE] see inject.c
//   list FILE              nothing fails; its calls go to FILE, a line "KIND SITE" each, in order
// and for each of them goes to stdout "STATUS SITE\n": what waitpid() says, and where a call failed
// (0: nowhere). A run has its stdout and stderr in the files out and err, and SECONDS to end.
#include "inject.h"
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CALLS = 1 << 20, SECONDS = 60 };

static void redirect(int to, const char *path, int flags) {
    int fd = open(path, flags, 0666);
    if (fd < 0 || dup2(fd, to) < 0) _exit(125);
    close(fd);
}

static void write_list(const char *path, const struct inject_seen *seen) {
    FILE *file = fopen(path, "w");
    for (long i = 0; file && i < seen->calls && i < seen->most; i++)
        fprintf(file, "%s %016" PRIx64 "\n", inject_names[seen->call[i].kind], seen->call[i].site);
    if (!file || fclose(file)) _exit(125);
}

void inject_serve(int (*program)(int, char **, char **), int argc, char **argv,
                  char **environment) {
    if (!getenv("INJECT_SERVE")) return;
    unsetenv("INJECT_SERVE");
    size_t size = sizeof(struct inject_seen) + CALLS * sizeof(struct inject_call);
    struct inject_seen *seen =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char line[4200], rest[4100];
    while (fgets(line, sizeof line, stdin)) {
        struct inject plan = {.kind = -1};
        bool list = sscanf(line, "list %4095s", rest) == 1;
        if (!list && (sscanf(line, "run %4095s", rest) != 1 ||
                      (strcmp(rest, "-") && !inject_parse(rest, &plan))))
            _exit(125);
        seen->hit = 0, seen->calls = 0, seen->most = CALLS, seen->list = list;
        pid_t pid = fork();
        if (!pid) {
            redirect(0, "/dev/null", O_RDONLY);
            redirect(1, "out", O_WRONLY | O_CREAT | O_TRUNC);
            redirect(2, "err", O_WRONLY | O_CREAT | O_TRUNC);
            alarm(SECONDS);
            inject_arm(&plan, seen);
            exit(program(argc, argv, environment));
        }
        int status = 0;
        if (pid < 0 || waitpid(pid, &status, 0) != pid) _exit(125);
        if (list) write_list(rest, seen);
        char reply[64];
        int n = snprintf(reply, sizeof reply, "%d %016" PRIx64 "\n", status, seen->hit);
        if (write(1, reply, (size_t)n) != n) _exit(125);
    }
    _exit(0);
}
