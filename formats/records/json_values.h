// JSON as values of a template.
#pragma once
#include "common/jinja/jinja_value.h"
#include "formats/bytes/json.h"

// A copy in the pool. All strings and keys bear the mark, so that what a user typed is known as
// such in what is rendered; NULL becomes none. lf: strings have \n for \r\n.
struct jvalue json_values(struct jpool *p, const struct json *v, uint16_t mark, bool lf);
