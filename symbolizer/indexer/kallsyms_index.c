/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/kallsyms_index.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "symbolizer/indexer/index_report.h"
#include "symbolizer/indexer/kallsyms_list.h"
#include "symbolizer/indexer/probe.h"

static void write_probe(const struct kallsyms_head *h, size_t symbols, size_t size,
			struct json_out *j)
{
	json_obj(j);
	json_kv_cstr(j, "format", "unhex-probe/1");
	probe_write_ids(&h->id, 1, j);
	json_kv_cstr(j, "machine", h->machine);
	json_kv_cstr(j, "kind", "kallsyms");
	json_kv_cstr(j, "quality", quality_name(symbols ? QUALITY_SYMTAB : QUALITY_NONE));
	json_kv_u64(j, "functions", symbols);
	json_kv_u64(j, "size", size);
	json_end_obj(j);
}

static int write_index(const struct kallsyms_index_input *in, const struct kallsyms_head *h,
		       struct symbols *s, struct json_out *report, struct err *e)
{
	_cleanup_(uhx_builder_freep) struct uhx_builder *b = NULL;
	const struct uhx_meta meta = {
		.ids = &h->id,
		.id_count = 1,
		.machine = str_from(h->machine),
		.quality = s->n ? QUALITY_SYMTAB : QUALITY_NONE,
	};
	struct uhx_counts counts;

	if (uhx_builder_new(&b, e) || symbols_finish(s, e))
		return -1;
	symbols_add_rows(s, b);
	if (uhx_builder_write(b, &meta, in->out_fd, &counts, e))
		return -1;
	index_report_write(&(struct index_report){&meta, &counts, in->warnings, in->sandbox},
			   report);
	return 0;
}

// From its start, wherever the descriptor's position is.
static int read_all(int fd, struct buf *ret, struct err *e)
{
	uint64_t size;
	char *room;

	if (io_file_size(fd, &size, e))
		return -1;
	room = size <= KALLSYMS_BYTES_MAX ? buf_reserve(ret, size) : NULL;
	if (!room)
		return err_set(e, ERR_TOO_LARGE, "symbol list: more than %d MiB",
			       KALLSYMS_BYTES_MAX >> 20);
	if (io_pread_all(fd, room, size, 0, e))
		return -1;
	buf_commit(ret, size);
	return 0;
}

int kallsyms_index_run(const struct kallsyms_index_input *in, struct json_out *report,
		       struct err *e)
{
	_cleanup_(buf_deinit) struct buf bytes = BUF_INIT(KALLSYMS_BYTES_MAX);
	_cleanup_(symbols_deinit) struct symbols s = SYMBOLS_INIT;
	struct kallsyms_head h;
	struct str text;

	if (read_all(in->fd, &bytes, e))
		return err_wrap(e, "%s", in->name);
	text = buf_str(&bytes);
	if (kallsyms_list_head(&text, &h, e) || kallsyms_list_read(text, &s, e))
		return err_wrap(e, "%s", in->name);
	if (in->out_fd >= 0)
		return write_index(in, &h, &s, report, e);
	write_probe(&h, s.n, bytes.n, report);
	return 0;
}
