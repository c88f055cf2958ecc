// The model card of an exported model, README.md: what it was made from and with, what the training
// came to (the file's record), every option of the last stage. free() it.
#pragma once
#include "formats/models/model_file.h"

char *hf_card_text(const struct model_file *m, const struct artefact *from, struct fail *f);
