// What a model will cost before anything is read: parameters, the memory of each stage, the time a
// token takes here (from a short run of the matrix product).
#pragma once
#include "common/base/log.h"
#include "common/engine/model.h"

void import_plan(struct log *log, const struct model *m);
