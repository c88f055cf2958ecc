// Any bytes as a line that a judge behind a chat protocol prints, or as a verdict it printed
// earlier; the first byte picks the benchmark.
#include "stages/eval/protocol.h"
#include "tests/fuzz/replay.h"
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const names[] = {"mtbench", "arenahard", "alpacaeval"};
    if (!size) return 0;
    char *line = xcalloc(size, 1); // with a NUL behind
    memcpy(line, data + 1, size - 1);
    struct verdict v = {0};
    bool ok = protocol_reply(protocol_named(names[data[0] % 3]), line, &v);
    if (ok != (v.text != NULL) || (v.known && !ok)) abort();
    if (v.known && !isfinite(v.value)) abort();
    if (strlen(v.label) >= sizeof v.label) abort();
    free(v.text);
    free(line);
    return 0;
}
