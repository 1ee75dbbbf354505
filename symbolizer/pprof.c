/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/pprof.h"

const struct pprof_limits pprof_limits_default = {
	.identity_bytes = MIB(256),
	.samples = 4 << 20,
	.locations = 4 << 20,
	.functions = 4 << 20,
	.strings = 8 << 20,
	.stack_depth = 4096,
	.lines_per_location = 256,
	.labels_per_sample = 1024,
};

size_t pprof_default_value(const struct pprof *p)
{
	for (size_t i = 0; i < p->sample_type_count; i++) {
		if (p->default_sample_type.n &&
		    str_eq(p->sample_types[i].type, p->default_sample_type))
			return i;
	}
	return p->sample_type_count ? p->sample_type_count - 1 : 0;
}
