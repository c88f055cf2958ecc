// By which rule of alpha p* of a cache is composed: its own; or, where its layout is components,
// any that its grid covers. Dies on a disagreement, like the rest of stages/shared/training.h.
#pragma once
#include "common/base/log.h"
#include "common/method/recipe.h"
#include "formats/teachers/teacher_set.h"

// Dies where a cache of layout components cannot give p* by the rule: kl:K.
void cache_rule_components(const struct teacher_rule *rule);
// asked: the rule's options of the command line (o); filled in with what holds, or emptied for a
// composed cache, which has its own. Sets the set's rule; notes the alphas, the grid and how
// closely it brackets the tails. Returns alpha's text, NULL: the cache does not say; free() it
// after *asked.
char *cache_rule(struct teacher_set *s, const struct options *o, const char *recipe,
                 struct teacher_options *asked, struct log *log);
