// The default of --lr: by what is trained and by the model's size, since a rate that suits a model
// of a million parameters ruins one of a billion. METHOD.md section 6 has the table and where its
// numbers come from. An adapter takes ten times the rate of full training, but no more than the
// smallest models do.
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum rate_kind { RATE_SFT, RATE_DPO, RATE_REWARD, RATE_DISTILL };
enum { RATE_HELP = 160 };

// parameters: of the whole model, below an adapter too.
double learning_rate_default(enum rate_kind kind, size_t parameters, bool adapter);
// The kind's row of the table in words, for --help.
void learning_rate_words(enum rate_kind kind, char text[RATE_HELP]);
void learning_rate_count(size_t parameters, char text[16]); // "494M"
