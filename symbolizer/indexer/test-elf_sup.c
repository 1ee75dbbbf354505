/* SPDX-License-Identifier: Apache-2.0 */
/* DWARF 5's way to share entries between files; what is compared with is the program as it was before. */
#include "symbolizer/indexer/elf_sup.h"

#include "tests/unit/llvm_reference.h"
#include "tests/unit/subject.h"

static const char id_text[] = "0102030405060708090a0b0c0d0e0f1011121314";

static void test_shared_entries(void **state)
{
	struct indexing_files files = {.elf = "one", .alt = "shared"};
	struct indexing x;

	(void)state;
	if (!toolbox_has("dwz") || !toolbox_has("llvm-symbolizer")) {
		print_message("dwz or llvm-symbolizer is missing\n");
		skip();
	}
	assert_int_equal(toolbox_run("g++ -std=c++17 -O2 -gdwarf-5 -Wl,--build-id %s -o one && "
				     "g++ -std=c++17 -O1 -gdwarf-5 -Wl,--build-id %s -o two && cp one before && "
				     "dwz --dwarf-5 -m shared -M shared one two && readelf -SW one | grep -q debug_sup",
				     subject, subject), 0);
	compare_files("before", &files);
	indexing_run(&x, "one", NULL, NULL);
	assert_non_null(strstr(x.report.p, "some names are in shared (build ID "));
	indexing_deinit(&x);
	indexing_run(&x, "one", NULL, "two");
	assert_int_equal(x.error.kind, ERR_ID_MISMATCH);
	indexing_deinit(&x);
}

static bool read_bytes_as_sup(const char *bytes, size_t n, struct elf_sup *ret)
{
	struct elf_image img;
	struct err e = ERR_INIT;
	bool done;

	toolbox_write("sup", (struct str){bytes, n});
	assert_int_equal(toolbox_run("objcopy --add-section .debug_sup=sup plain.o s.o"), 0);
	assert_int_equal(indexing_image(&img, "s.o", &e), 0);
	done = elf_sup_read(&img, ret);
	if (done && ret->is_supplementary)
		assert_true(img.id_count == 2 && build_id_eq(&img.ids[0], &ret->id));
	else
		assert_int_equal(img.id_count, 1);
	indexing_close(&img);
	return done;
}

static void test_section(void **state)
{
	static char bytes[] = "\5\0\0name\0\24\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17\20\21\22\23\24";
	char text[BUILD_ID_TEXT];
	struct elf_sup sup;

	(void)state;
	assert_int_equal(toolbox_run("echo 'int x;' >plain.c && gcc -c plain.c -o plain.o"), 0);
	for (size_t n = 1; n < sizeof(bytes) - 1; n++)
		assert_false(read_bytes_as_sup(bytes, n, &sup));
	assert_true(read_bytes_as_sup(bytes, sizeof(bytes) - 1, &sup));
	assert_false(sup.is_supplementary);
	build_id_text(&sup.id, text);
	assert_string_equal(text, id_text);
	bytes[2] = 1;
	assert_true(read_bytes_as_sup(bytes, sizeof(bytes) - 1, &sup));
	assert_true(sup.is_supplementary);
	bytes[0] = 6;
	assert_false(read_bytes_as_sup(bytes, sizeof(bytes) - 1, &sup));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shared_entries),
		cmocka_unit_test(test_section),
	};

	return cmocka_run_group_tests(tests, subject_setup, toolbox_teardown);
}
