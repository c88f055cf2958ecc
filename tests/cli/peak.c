// peak FILE command...: runs the command and writes the most memory it had, in bytes, to FILE. Its
// exit code is the command's; 126 where that cannot be measured.
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
    struct rusage used;
    int status = 0;
    if (argc < 3) return 126;
    pid_t child = fork();
    if (child < 0) return 126;
    if (!child) {
        execv(argv[2], argv + 2);
        _exit(127);
    }
    if (wait4(child, &status, 0, &used) < 0 || !WIFEXITED(status) || used.ru_maxrss <= 0)
        return 126;
    FILE *file = fopen(argv[1], "w");
    if (!file || fprintf(file, "%lld\n", used.ru_maxrss * 1024LL) < 0 || fclose(file)) return 126;
    return WEXITSTATUS(status);
}
