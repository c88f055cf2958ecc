#!/bin/bash
# What to expect of several nodes: a table of tokens/s, and of what share of the nodes' sum that is, from a model
# of compute and network. The README beside says what it leaves out and what it was checked against.
#
#   bash expect.sh [PARAMETERS [TOKENS [GFLOPS [RANKS]]]]
#
# PARAMETERS trained (8e9), TOKENS of a step (131072), GFLOP/s that a node reaches in training (2500), RANKS on each
# node (1). A step computes 6 FLOPs for a parameter and token, on all nodes at once; then each node sends and receives
# RANKS x 8 x PARAMETERS x (N - 1) / N bytes: gradients to their owners, sums (or weights) back. LINKS: Gbit/s, of which
# SHARE (0.95) carries what is sent, the rest being headers of TCP and IP.
awk -v P="${1:-8e9}" -v tokens="${2:-131072}" -v gflops="${3:-2500}" -v ranks="${4:-1}" -v links="${LINKS:-10 25 100 200}" -v share="${SHARE:-0.95}" '
BEGIN {
    n = split(links, link, " ")
    line = "| nodes | alone |"; rule = "|---|---|"
    for (i = 1; i <= n; i++) { line = line " " link[i] " Gbit/s |"; rule = rule "---|" }
    print line; print rule
    for (N = 1; N <= 64; N *= 2) {
        compute = 6 * P * tokens / (N * gflops * 1e9)
        line = sprintf("| %d | %.4g s |", N, compute)
        for (i = 1; i <= n; i++) {
            network = ranks * 8 * P * (N - 1) / N / (share * link[i] * 1e9 / 8)
            line = line sprintf(" %.4g tokens/s, %.0f%% |", tokens / (compute + network), 100 * compute / (compute + network))
        }
        print line
    }
}'
