/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/frame.h"
#include "symbolizer/quality.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static struct frames in;
static struct frames out;

static void fill(void)
{
	in = (struct frames){.source = SOURCE_DWARF, .n = 3};
	in.frame[0] = (struct frame){
		.function = STR("ns::leaf(int)"),
		.system_name = STR("_ZN2ns4leafEi"),
		.file = STR("/src/leaf.cc"),
		.line = 12,
		.start_line = 10,
		.column = 3,
		.inlined = true,
	};
	in.frame[1] = (struct frame){
		.function = STR("middle"),
		.system_name = STR("middle"),
		.file = STR(""),
		.inlined = true,
	};
	in.frame[2] = (struct frame){
		.function = STR("main"),
		.system_name = STR("main"),
		.file = STR("/src/main.cc"),
		.line = UINT32_MAX,
	};
}

static struct buf encoded(void)
{
	struct buf b = BUF_INIT(KIB(64));

	frames_encode(&in, &b);
	assert_false(b.failed);
	return b;
}

static void assert_frames_equal(const struct frames *a, const struct frames *b)
{
	assert_int_equal(a->source, b->source);
	assert_int_equal(a->n, b->n);
	for (size_t i = 0; i < a->n; i++) {
		const struct frame *x = &a->frame[i];
		const struct frame *y = &b->frame[i];

		assert_true(str_eq(x->function, y->function));
		assert_true(str_eq(x->system_name, y->system_name));
		assert_true(str_eq(x->file, y->file));
		assert_int_equal(x->line, y->line);
		assert_int_equal(x->start_line, y->start_line);
		assert_int_equal(x->column, y->column);
		assert_int_equal(x->inlined, y->inlined);
	}
}

static void test_round_trip(void **state)
{
	struct err e = ERR_INIT;
	struct buf b;

	(void)state;
	fill();
	b = encoded();
	assert_int_equal(frames_decode(buf_str(&b), &out, &e), 0);
	assert_frames_equal(&in, &out);
	buf_deinit(&b);
}

static void test_no_frames(void **state)
{
	struct err e = ERR_INIT;
	struct buf b;

	(void)state;
	in = (struct frames){.source = SOURCE_NONE};
	b = encoded();
	assert_int_equal(b.n, 3);
	assert_int_equal(frames_decode(buf_str(&b), &out, &e), 0);
	assert_int_equal(out.n, 0);
	buf_deinit(&b);
}

static void test_deepest_chain(void **state)
{
	struct err e = ERR_INIT;
	struct buf b;

	(void)state;
	in = (struct frames){.source = SOURCE_GOPCLNTAB, .n = FRAMES_MAX};
	for (size_t i = 0; i < FRAMES_MAX; i++) {
		in.frame[i].function = in.frame[i].system_name = STR("f");
		in.frame[i].file = STR("");
		in.frame[i].line = (uint32_t)i;
	}
	b = encoded();
	assert_int_equal(frames_decode(buf_str(&b), &out, &e), 0);
	assert_frames_equal(&in, &out);
	buf_deinit(&b);
}

static void test_every_truncation_is_refused(void **state)
{
	struct buf b;

	(void)state;
	fill();
	b = encoded();
	for (size_t n = 0; n < b.n; n++) {
		struct err e = ERR_INIT;
		char *copy = malloc(n + 1);

		assert_non_null(copy);
		memcpy(copy, b.p, n);
		assert_int_equal(frames_decode((struct str){copy, n}, &out, &e), -1);
		assert_int_equal(e.kind, ERR_CORRUPT);
		free(copy);
	}
	buf_deinit(&b);
}

static void refuse(const char *bytes, size_t n, const char *message)
{
	struct err e = ERR_INIT;

	assert_int_equal(frames_decode((struct str){bytes, n}, &out, &e), -1);
	assert_int_equal(e.kind, ERR_CORRUPT);
	assert_string_equal(e.msg, message);
}

static void test_what_does_not_fit_is_refused(void **state)
{
	(void)state;
	refuse("\x02\x06\x00", 3, "cached frames: version 2, this program reads 1");
	refuse("\x01\x07\x00", 3, "cached frames: malformed near byte 2 of 3");
	refuse("\x01\x06\x81\x02", 4, "cached frames: malformed near byte 4 of 4");
	refuse("\x01\x06\x00\x00", 4, "cached frames: malformed near byte 3 of 4");
	refuse("\x01\x06\x01\x04", 4, "cached frames: malformed near byte 4 of 4");
	refuse("\x01\x06\x01\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 14,
	       "cached frames: malformed near byte 14 of 14");
}

static void test_damage_never_crashes(void **state)
{
	struct buf b;

	(void)state;
	fill();
	b = encoded();
	for (size_t i = 0; i < b.n; i++) {
		for (int bit = 0; bit < 8; bit++) {
			struct err e = ERR_INIT;

			b.p[i] = (char)(b.p[i] ^ 1 << bit);
			if (frames_decode(buf_str(&b), &out, &e))
				assert_int_equal(e.kind, ERR_CORRUPT);
			b.p[i] = (char)(b.p[i] ^ 1 << bit);
		}
	}
	buf_deinit(&b);
}

static void test_source_names(void **state)
{
	(void)state;
	assert_string_equal(frame_source_name(SOURCE_DWARF), "dwarf");
	assert_string_equal(frame_source_name(SOURCE_GOPCLNTAB), "gopclntab");
	assert_string_equal(frame_source_name(SOURCE_SYMTAB), "symtab");
	assert_string_equal(frame_source_name(SOURCE_DYNSYM), "dynsym");
	assert_string_equal(frame_source_name(SOURCE_PLT), "plt");
	assert_string_equal(frame_source_name(SOURCE_EH_FRAME), "eh_frame");
	assert_string_equal(frame_source_name(SOURCE_NONE), "none");
	assert_string_equal(frame_source_name(SOURCE_COUNT), "none");
}

static void test_quality_names(void **state)
{
	enum quality q = QUALITY_NONE;

	(void)state;
	for (int i = QUALITY_NONE; i <= QUALITY_DWARF; i++) {
		assert_true(quality_parse(str_from(quality_name((enum quality)i)), &q));
		assert_int_equal(q, i);
	}
	assert_string_equal(quality_name(QUALITY_G1), "g1");
	assert_string_equal(quality_name((enum quality)77), "none");
	assert_false(quality_parse(STR("Dwarf"), &q));
	assert_false(quality_parse(STR(""), &q));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_no_frames),
		cmocka_unit_test(test_deepest_chain),
		cmocka_unit_test(test_every_truncation_is_refused),
		cmocka_unit_test(test_what_does_not_fit_is_refused),
		cmocka_unit_test(test_damage_never_crashes),
		cmocka_unit_test(test_source_names),
		cmocka_unit_test(test_quality_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
