/* SPDX-License-Identifier: Apache-2.0 */
/* What the indexer says of an index it has made: "unhex-index/1", described in docs/FORMATS.md. */
#ifndef SYMBOLIZER_INDEXER_INDEX_REPORT_H
#define SYMBOLIZER_INDEXER_INDEX_REPORT_H

#include "base/json.h"
#include "base/sandbox.h"
#include "symbolizer/indexer/uhx_builder.h"
#include "symbolizer/indexer/warnings.h"

struct index_report {
	const struct uhx_meta *meta;
	const struct uhx_counts *counts;
	const struct warnings *warnings;
	struct sandbox_state sandbox;
};

/* One JSON object. */
void index_report_write(const struct index_report *r, struct json_out *j);

#endif
