/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/go_table.h"

#include <endian.h>

enum {
	MAGIC_1_2 = 0xfffffffb,
	MAGIC_1_16 = 0xfffffffa,
	MAGIC_1_18 = 0xfffffff0,
	MAGIC_1_20 = 0xfffffff1,
	PREFIX_SIZE = 8, // magic, two zero bytes, quantum, pointer size
	PCDATA_INLINE_INDEX = 2,
	FUNCDATA_INLINE_TREE = 3,
	STRING_MAX = 64 * 1024,
	VARINT_MAX = 5,
};

bool go_read(const struct go_bytes *b, uint64_t off, unsigned width, uint64_t *ret)
{
	uint32_t v32;
	uint64_t v64;

	if (!range_fits(off, width, b->b.n))
		return false;
	if (width == sizeof(v32)) {
		memcpy(&v32, b->b.p + off, sizeof(v32));
		*ret = b->big_endian ? be32toh(v32) : le32toh(v32);
	} else {
		memcpy(&v64, b->b.p + off, sizeof(v64));
		*ret = b->big_endian ? be64toh(v64) : le64toh(v64);
	}
	return true;
}

bool go_read_u32(const struct go_bytes *b, uint64_t off, uint32_t *ret)
{
	uint64_t v;

	if (!go_read(b, off, sizeof(*ret), &v))
		return false;
	*ret = (uint32_t)v;
	return true;
}

static bool is_magic(uint32_t v)
{
	return v == MAGIC_1_2 || v == MAGIC_1_16 || v == MAGIC_1_18 || v == MAGIC_1_20;
}

static bool is_prefix(struct str bytes, bool *ret_big_endian)
{
	const uint8_t *p = (const uint8_t *)bytes.p;
	struct go_bytes b = {bytes, false};
	uint32_t magic;

	if (bytes.n < PREFIX_SIZE || p[4] || p[5] || (p[6] != 1 && p[6] != 2 && p[6] != 4) ||
	    (p[7] != 4 && p[7] != 8))
		return false;
	if (!go_read_u32(&b, 0, &magic))
		return false;
	*ret_big_endian = !is_magic(magic);
	return is_magic(magic) || is_magic(__builtin_bswap32(magic));
}

bool go_table_probe(struct str bytes)
{
	bool big_endian;

	return is_prefix(bytes, &big_endian);
}

// The words behind the prefix, in order.
enum header_word {
	WORD_FUNCTIONS,
	WORD_FILES,
	WORD_TEXT_START, // since 1.18
	WORDS_BEFORE_OFFSETS_1_16 = 2,
	WORDS_BEFORE_OFFSETS = 3,
};

static int parse_words(struct go_table *t, struct err *e)
{
	uint64_t *const places[] = {&t->names, &t->units, &t->files, &t->programs, &t->functions};
	size_t first = t->layout == GO_1_16 ? WORDS_BEFORE_OFFSETS_1_16 : WORDS_BEFORE_OFFSETS;
	uint64_t table_end;

	if (!go_read(&t->bytes, PREFIX_SIZE, t->word, &t->function_count))
		return err_set(e, ERR_BAD_ELF, ".gopclntab ends inside its header");
	if (t->layout != GO_1_16 &&
	    !go_read(&t->bytes, PREFIX_SIZE + WORD_TEXT_START * t->word, t->word, &t->text_start))
		return err_set(e, ERR_BAD_ELF, ".gopclntab ends inside its header");
	for (size_t i = 0; i < countof(places); i++) {
		if (!go_read(&t->bytes, PREFIX_SIZE + (first + i) * t->word, t->word, places[i]))
			return err_set(e, ERR_BAD_ELF, ".gopclntab ends inside its header");
		if (*places[i] >= t->bytes.b.n)
			return err_set(e, ERR_BAD_ELF,
				       ".gopclntab: part %zu would start at byte %ju of %zu", i,
				       (uintmax_t)*places[i], t->bytes.b.n);
	}
	// Pairs of words or u32s, and one more for the end of the last function.
	if (mul_overflows(t->function_count, (uint64_t)(t->layout == GO_1_16 ? 2 * t->word : 8),
			  &table_end) ||
	    !range_fits(t->functions, table_end, t->bytes.b.n))
		return err_set(e, ERR_BAD_ELF,
			       ".gopclntab: %ju functions do not fit into %zu bytes",
			       (uintmax_t)t->function_count, t->bytes.b.n);
	return 0;
}

int go_table_parse(struct str bytes, struct go_table *ret, struct err *e)
{
	struct go_table t = {.bytes = {bytes, false}};
	uint32_t magic = 0;

	if (!is_prefix(bytes, &t.bytes.big_endian) || !go_read_u32(&t.bytes, 0, &magic))
		return err_set(e, ERR_BAD_ELF, ".gopclntab does not start with a header of Go's");
	if (magic == MAGIC_1_2)
		return err_set(e, ERR_UNSUPPORTED,
			       ".gopclntab is of Go 1.2–1.15; tables are read from Go 1.16 on");
	t.layout = magic == MAGIC_1_16 ? GO_1_16 : magic == MAGIC_1_18 ? GO_1_18 : GO_1_20;
	t.quantum = (unsigned char)bytes.p[6];
	t.word = (unsigned char)bytes.p[7];
	if (parse_words(&t, e))
		return -1;
	*ret = t;
	return 0;
}

static unsigned pair_width(const struct go_table *t)
{
	return t->layout == GO_1_16 ? t->word : 4;
}

bool go_table_entry(const struct go_table *t, uint64_t i, uint64_t *ret)
{
	unsigned width = pair_width(t);

	return i <= t->function_count &&
	       go_read(&t->bytes, t->functions + i * 2 * width, width, ret);
}

// Where the words behind the entry lie in a _func, and how long it is before its two arrays.
static bool read_record(const struct go_table *t, uint64_t at, struct go_function *ret)
{
	const unsigned entry = t->layout == GO_1_16 ? t->word : 4;
	const unsigned fixed = entry + (t->layout == GO_1_20 ? 40 : 36);
	const struct {
		unsigned off;
		uint32_t *to;
	} fields[] = {{0, &ret->name}, {16, &ret->file_program}, {20, &ret->line_program},
		      {28, &ret->unit}};
	uint32_t pcdata_count;
	uint8_t funcdata_count;
	uint64_t arrays = at + fixed;
	unsigned width = pair_width(t);

	for (size_t i = 0; i < countof(fields); i++) {
		if (!go_read_u32(&t->bytes, at + entry + fields[i].off, fields[i].to))
			return false;
	}
	if (!go_read_u32(&t->bytes, at + entry + 24, &pcdata_count) ||
	    !range_fits(arrays, 4 * (uint64_t)pcdata_count, t->bytes.b.n))
		return false;
	if (t->layout == GO_1_20 && !go_read_u32(&t->bytes, at + entry + 32, &ret->start_line))
		return false;
	if (pcdata_count > PCDATA_INLINE_INDEX &&
	    !go_read_u32(&t->bytes, arrays + 4 * PCDATA_INLINE_INDEX, &ret->inline_program))
		return false;
	arrays += 4 * (uint64_t)pcdata_count;
	arrays += -arrays % width;
	funcdata_count = (uint8_t)t->bytes.b.p[at + fixed - 1];
	if (funcdata_count > FUNCDATA_INLINE_TREE) {
		if (!go_read(&t->bytes, arrays + (uint64_t)width * FUNCDATA_INLINE_TREE, width,
			     &ret->inline_tree))
			return false;
		ret->has_inline_tree =
			ret->inline_tree != (t->layout == GO_1_16 ? 0 : UINT32_MAX);
	}
	ret->record_end = arrays + (uint64_t)width * funcdata_count;
	return true;
}

bool go_table_function(const struct go_table *t, uint64_t i, struct go_function *ret)
{
	struct go_function f = {0};
	unsigned width = pair_width(t);
	uint64_t next;
	uint64_t record;

	if (i >= t->function_count || !go_table_entry(t, i, &f.entry) ||
	    !go_table_entry(t, i + 1, &next) || next <= f.entry ||
	    !go_read(&t->bytes, t->functions + (i * 2 + 1) * width, width, &record))
		return false;
	f.size = next - f.entry;
	// All ones marks text that the external linker put between Go's.
	if (record >= t->bytes.b.n - t->functions || !read_record(t, t->functions + record, &f))
		return false;
	if (f.start_line > INT32_MAX)
		f.start_line = 0;
	*ret = f;
	return true;
}

static struct str string_at(const struct go_table *t, uint64_t at)
{
	struct str rest;
	const char *end;

	if (at >= t->bytes.b.n)
		return STR_EMPTY;
	rest = str_skip(t->bytes.b, at);
	end = memchr(rest.p, 0, MIN(rest.n, (size_t)STRING_MAX));
	return end ? (struct str){rest.p, (size_t)(end - rest.p)} : STR_EMPTY;
}

struct str go_table_name(const struct go_table *t, uint32_t at)
{
	return string_at(t, t->names + at);
}

struct str go_table_file(const struct go_table *t, uint32_t unit, int32_t file)
{
	uint32_t at;

	if (file < 0 ||
	    !go_read_u32(&t->bytes, t->units + 4 * ((uint64_t)unit + (uint32_t)file), &at) ||
	    at == UINT32_MAX)
		return STR_EMPTY;
	return string_at(t, t->files + at);
}

struct go_program go_program_start(const struct go_table *t, uint32_t program)
{
	struct go_program p = {t, program ? t->programs + program : 0, 0, -1};

	go_program_step(&p);
	return p;
}

static bool read_varint(struct go_program *p, uint32_t *ret)
{
	struct str bytes = p->table->bytes.b;
	uint64_t v = 0;

	for (unsigned i = 0; i < VARINT_MAX && p->at < bytes.n; i++) {
		uint8_t byte = (uint8_t)bytes.p[p->at++];

		v |= (uint64_t)(byte & 0x7f) << (7 * i);
		if (!(byte & 0x80)) {
			*ret = (uint32_t)v;
			return true;
		}
	}
	return false;
}

// A value of 0 ends the program, unless it is the first.
static bool take_step(struct go_program *p)
{
	bool first = p->end == 0;
	uint32_t value;
	uint32_t distance;

	if (!p->at || !read_varint(p, &value) || (!value && !first) || !read_varint(p, &distance) ||
	    !distance)
		return false;
	p->value = (int32_t)((uint32_t)p->value + (-(value & 1) ^ (value >> 1)));
	p->end += (uint64_t)distance * p->table->quantum;
	return true;
}

void go_program_step(struct go_program *p)
{
	if (take_step(p))
		return;
	p->at = 0;
	p->end = UINT64_MAX;
	p->value = -1;
}
