// One micro-batch through the network and an objective: forward, the objective's passes over chunks
// of logits, and back. What training and validation do to a batch is this.
#pragma once
#include "common/engine/net.h"
#include "common/method/objective.h"

// Adds to what the objective counts and, unless grads is NULL (the loss alone), to grads
// (model_trained(m).n). False: with grads, a stop was requested and the gradient is incomplete.
bool passes_run(struct objective *o, struct net *net, const struct batch *b, float *grads);
