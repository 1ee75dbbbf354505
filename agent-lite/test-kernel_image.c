/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/kernel_image.h"

#include "base/testing.h"
#include <elf.h>

static const struct {
	Elf64_Nhdr head;
	char name[4];
	uint8_t desc[4];
} note = {{4, 4, NT_GNU_BUILD_ID}, "GNU", {1, 2, 3, 4}};

static const struct str notes = {(const char *)&note, sizeof(note)};

static void kaslr_is_taken_off(void **state)
{
	struct kernel_image k;
	struct err e = ERR_INIT;

	(void)state;
#if !defined(__x86_64__)
	print_message("skip: x86-64 only\n");
	skip();
#endif
	assert_ok(kernel_image_parse(notes,
				     STR("0000000000000000 A fixed_percpu_data\n"
					 "ffffffff9a000000 T _text\n"
					 "ffffffff9a001000 t something_text\n"
					 "ffffffff9b209988 T _etext\n"
					 "ffffffffc0001000 t f\t[mod]\n"),
				     &k, &e));
	assert_true(k.known);
	assert_int_equal(k.start, 0xffffffff9a000000);
	assert_int_equal(k.end, 0xffffffff9b209988);
	assert_int_equal(k.bias, 0x19000000);
	assert_int_equal(k.id.size, 4);
}

static void hidden_addresses_are_said(void **state)
{
	struct kernel_image k;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(
		kernel_image_parse(notes,
				   STR("0000000000000000 T _text\n0000000000000000 T _etext\n"), &k,
				   &e),
		-1);
	assert_err(&e, ERR_NO_CAPABILITY, "CAP_SYSLOG");
	assert_int_equal(kernel_image_parse(notes, STR(""), &k, &e), -1);
	assert_err(&e, ERR_NO_CAPABILITY, "kallsyms");
}

static void a_kernel_without_build_id_is_said(void **state)
{
	struct kernel_image k;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(kernel_image_parse(STR(""), STR("ffffffff81000000 T _text\n"), &k, &e),
			 -1);
	assert_err(&e, ERR_NO_KERNEL_SUPPORT, "/sys/kernel/notes");
}

static void nonsense_addresses_are_refused(void **state)
{
	struct kernel_image k;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(kernel_image_parse(notes, STR("1000 T _text\n2000 T _etext\n"), &k, &e),
			 -1);
	assert_err(&e, ERR_NO_KERNEL_SUPPORT, "below the link address");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kaslr_is_taken_off),
		cmocka_unit_test(hidden_addresses_are_said),
		cmocka_unit_test(a_kernel_without_build_id_is_said),
		cmocka_unit_test(nonsense_addresses_are_refused),
	};

	return cmocka_run_group_tests_name("kernel_image", tests, NULL, NULL);
}
