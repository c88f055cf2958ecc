// What this machine has, for the plan of --dry-run: never for results.
#pragma once

// Bytes of memory that a program may have: all of the machine's, or less where a control group (a
// container, a job of Slurm) or ulimit -v allows less.
double machine_memory(void);
double machine_memory_free(void); // of it, now
// Bytes that a user may write where the file `path` is to be; 0: not known.
double machine_disk_free(const char *path);
