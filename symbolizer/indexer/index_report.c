/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/index_report.h"

#include "symbolizer/indexer/probe.h"

void index_report_write(const struct index_report *r, struct json_out *j)
{
	json_obj(j);
	json_kv_cstr(j, "format", "unhex-index/1");
	probe_write_ids(r->meta->ids, r->meta->id_count, j);
	json_kv_cstr(j, "quality", quality_name(r->meta->quality));
	json_key(j, "sources");
	json_arr(j);
	for (int s = SOURCE_COUNT - 1; s > SOURCE_NONE; s--)
		if (r->counts->sources[s])
			json_str_(j, str_from(frame_source_name((enum frame_source)s)));
	json_end_arr(j);
	json_kv_u64(j, "rows", r->counts->rows);
	json_kv_u64(j, "functions", r->counts->functions);
	json_kv_u64(j, "bytes", r->counts->bytes);
	json_kv_u64(j, "cold_bytes", r->counts->cold_bytes);
	json_key(j, "warnings");
	warnings_write(r->warnings, j);
	json_key(j, "sandbox");
	json_obj(j);
	json_kv_bool(j, "seccomp", r->sandbox.seccomp);
	json_kv_bool(j, "landlock", r->sandbox.landlock);
	json_end_obj(j);
	json_end_obj(j);
}
