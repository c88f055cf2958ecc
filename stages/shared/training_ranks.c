#include "stages/shared/training_ranks.h"
#include "common/base/ranks.h"
#include "common/engine/kernels.h"
#include "common/training/lanes.h"
#include <stdlib.h>
#include <string.h>

static int ranks_of(const struct training *t) { // of this run, or of the plan
    return t->train->ranks ? (int)t->train->ranks : ranks_count();
}

void training_ranks_lanes(struct training *t) {
    if (!t->common->dry_run)
        options_refuse(t->options, "ranks", "is for --dry-run; mpirun or srun start ranks");
    int n = ranks_of(t);
    if (!options_given(t->options, "lanes")) t->train->lanes = n;
    if (lanes_block((size_t)t->train->lanes, n)) return;
    char *ranks = lanes_ranks((size_t)t->train->lanes);
    die(EXIT_USAGE, "--lanes %lld can be shared out to %s ranks, not to %d",
        (long long)t->train->lanes, ranks, n);
}

// All ranks know it; rank 0 says so and ends them.
static void compare(const void *data, size_t bytes, int code, const char *what) {
    int other = ranks_differ(data, bytes);
    if (other && !ranks_self())
        die(code, "rank %d on %s has %s than rank 0 on %s", other, ranks_host(other), what,
            ranks_host(0));
    if (other) ranks_or(0);
}

void training_ranks_agree(struct training *t) {
    const struct parents *p = &t->lineage.parents;
    if (t->agreed || ranks_count() == 1) return;
    t->agreed = true;
    struct hash128 options = hash_bytes(t->options_json, strlen(t->options_json));
    compare(&options, sizeof options, EXIT_USAGE, "other options");
    compare(&p->n, sizeof p->n, EXIT_BADDATA, "other numbers of input files");
    for (size_t i = 0; i < p->n; i++) {
        char *what = xasprintf("another file as input %zu, of kind %s,", i + 1, p->items[i].kind);
        compare(&p->items[i].hash, sizeof p->items[i].hash, EXIT_BADDATA, what);
        free(what);
    }
}

static void compare_kernels(const struct training *t) {
    char level[64] = "", *other = xcalloc((size_t)ranks_count(), 1);
    if (!ranks_self()) strncpy(level, kernels()->name, sizeof level - 1);
    ranks_merge(level, sizeof level);
    other[ranks_self()] = !kernels_same_bits(level, t->model->model.rounded);
    ranks_merge(other, (size_t)ranks_count());
    const char *first = memchr(other, 1, (size_t)ranks_count());
    if (first)
        warn("rank %d on %s has other kernels than rank 0 (%s): the last bits depend on which "
             "ranks are where; see --kernels",
             (int)(first - other), ranks_host((int)(first - other)), level);
    free(other);
}

void training_ranks_resume(const struct training *t, uint64_t step) {
    if (ranks_count() > 1) compare_kernels(t);
    char *what = xasprintf("another checkpoint '%s'", t->checkpoint_path);
    compare(&step, sizeof step, EXIT_FAILED, what);
    free(what);
}

void training_ranks_sum_up(const struct training *t) {
    struct ranks_traffic now = ranks_traffic();
    if (ranks_count() > 1)
        log_detail(t->log, "rank 0 of %d sent %llu bytes and waited %.2f s for the others",
                   ranks_count(), (unsigned long long)now.bytes, now.seconds);
}

// ---- the plan ----

bool training_ranks_sharded(const struct training *t) {
    return t->train->shard_optimizer && ranks_of(t) > 1;
}

double training_ranks_memory(const struct training *t, int rank) {
    const struct model *m = &t->model->model;
    int ranks = ranks_of(t);
    bool sharded = training_ranks_sharded(t);
    size_t n = model_trained(m).n, moments = optim_share(m, sharded, rank, ranks).moments;
    size_t sums = 1 + lanes_buffers((size_t)t->train->lanes, ranks);
    return 4.0 * (double)(sums * n + 2 * moments) + (double)exchange_plan(m, ranks);
}

void training_ranks_plan(const struct training *t, double other, double first_more) {
    int ranks = ranks_of(t);
    size_t n = model_trained(&t->model->model).n, lanes = (size_t)t->train->lanes;
    size_t block = lanes_block(lanes, ranks);
    if (lanes > 1) print_result("lanes\t%zu", lanes);
    if (ranks == 1) return;
    print_result("ranks\t%d", ranks);
    print_result("sent_bytes_per_step\t%.0f", 8.0 * (double)n * (ranks - 1) / ranks);
    for (int r = 0; r < ranks; r++) {
        size_t first = block * (size_t)r, own = lanes - first < block ? lanes - first : block;
        print_result("rank\t%d\tlanes\t%zu\tmemory_bytes\t%.0f", r, own,
                     other + (r ? 0 : first_more) + training_ranks_memory(t, r));
    }
}
