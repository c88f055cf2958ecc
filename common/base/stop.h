// Being asked to stop: SIGINT, SIGTERM, SIGUSR1, SIGHUP (unless it is ignored, as under nohup), or
// --stop-after. The first request is remembered and noted on stderr; a second signal, from a
// quarter of a second on, exits at once with status 128 + signal. System calls are restarted
// (SA_RESTART) except poll(): a wait for input that should end on a request uses that.
#pragma once
#include <stdbool.h>

void stop_init(double stop_after_seconds); // 0: no deadline; counted from here
bool stop_requested(void);                 // cheap, from any thread
