// The monotonic clock, for progress and checkpoints; never for results.
#pragma once

double clock_seconds(void);
