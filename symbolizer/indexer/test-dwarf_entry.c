/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every entry of .debug_info, read once by libdw and once by us, must be the same: where it is, what it is
 * called, where its code lies, where it was inlined from. On what compilers write in all versions of DWARF,
 * in both byte orders and sizes, on what dwz makes of it, and on the C library's own debug file.
 */
#include "symbolizer/indexer/dwarf_ranges.h"
#include "tests/unit/indexing.h"
#include "tests/unit/subject.h"
#include <dwarf.h>
#include <elfutils/libdw.h>

struct both {
	struct elf_image image;
	struct elf_image alt_image;
	struct dwarf_file file;
	struct dwarf_file alt;
	Dwarf *libdw;
	Dwarf *libdw_alt;
	unsigned entries;
	unsigned functions; // and inlined ones
	unsigned strings;
	unsigned ranges;
	unsigned references;
};

static Dwarf *open_one(struct elf_image *img, struct dwarf_file *file, const char *name)
{
	struct err e = ERR_INIT;
	Dwarf *libdw;
	bool cut;
	int fd = name[0] == '/' ? io_open_read(name, &e) : indexing_fd(name);

	if (fd < 0 || elf_image_open(img, fd, name, &e) || dwarf_file_open(file, img, DWARF_SECTIONS, &cut, &e))
		fail_msg("%s", e.msg);
	assert_false(cut);
	libdw = dwarf_begin(fd, DWARF_C_READ);
	assert_non_null(libdw);
	return libdw;
}

static void open_both(struct both *b, const char *name, const char *alt)
{
	*b = (struct both){.image = ELF_IMAGE_INIT, .alt_image = ELF_IMAGE_INIT};
	b->libdw = open_one(&b->image, &b->file, name);
	if (!alt)
		return;
	b->libdw_alt = open_one(&b->alt_image, &b->alt, alt);
	b->alt.number = 1;
	b->file.alternate = &b->alt;
	dwarf_setalt(b->libdw, b->libdw_alt);
}

static void close_both(struct both *b)
{
	dwarf_end(b->libdw);
	dwarf_file_close(&b->file);
	indexing_close(&b->image);
	if (!b->libdw_alt)
		return;
	dwarf_end(b->libdw_alt);
	dwarf_file_close(&b->alt);
	indexing_close(&b->alt_image);
}

// ---- one entry ----------------------------------------------------------------------------------------

static bool libdw_attr(Dwarf_Die *die, unsigned name, unsigned other, Dwarf_Attribute *ret)
{
	return dwarf_attr(die, name, ret) || dwarf_attr(die, other, ret);
}

static void same_string(struct both *b, struct dwarf_unit *u, const struct dwarf_attributes *a,
			enum dwarf_slot slot, Dwarf_Die *die, unsigned name, unsigned other)
{
	Dwarf_Attribute attr;
	bool has = libdw_attr(die, name, other, &attr);
	const char *theirs = has ? dwarf_formstring(&attr) : NULL;
	struct str ours = dwarf_text(u, a, slot);

	if (has != dwarf_has(a, slot) || !str_is(ours, theirs ? theirs : ""))
		fail_msg("entry 0x%llx, slot %d: " STR_FMT ", libdw says %s",
			 (unsigned long long)dwarf_dieoffset(die), slot, STR_ARG(ours), theirs);
	b->strings += has;
}

static void same_number(const struct dwarf_attributes *a, enum dwarf_slot slot, Dwarf_Die *die, unsigned name)
{
	Dwarf_Attribute attr;
	Dwarf_Word theirs = 0;
	uint64_t ours = 0;
	bool has = dwarf_attr(die, name, &attr) && dwarf_formudata(&attr, &theirs) == 0;

	assert_int_equal(dwarf_has(a, slot) && dwarf_unsigned(&a->value[slot], &ours), has);
	assert_int_equal(ours, theirs);
}

static void same_reference(struct both *b, struct dwarf_unit *u, const struct dwarf_attributes *a,
			   enum dwarf_slot slot, Dwarf_Die *die, unsigned name)
{
	Dwarf_Attribute attr;
	Dwarf_Die target;
	struct dwarf_entry ours;
	bool has = dwarf_attr(die, name, &attr) && dwarf_formref_die(&attr, &target);
	bool in_alt;

	assert_int_equal(dwarf_has(a, slot) && dwarf_reference(u, &a->value[slot], &ours), has);
	if (!has)
		return;
	in_alt = b->libdw_alt && dwarf_cu_getdwarf(target.cu) == b->libdw_alt;
	assert_int_equal(dwarf_entry_key(&ours) >> 44, in_alt);
	assert_int_equal(dwarf_entry_key(&ours) & ((UINT64_C(1) << 44) - 1), dwarf_dieoffset(&target));
	b->references++;
}

static void same_ranges(struct both *b, struct dwarf_unit *u, const struct dwarf_attributes *a, Dwarf_Die *die)
{
	struct dwarf_ranges ours;
	ptrdiff_t at = 0;
	Dwarf_Addr base;
	Dwarf_Addr start;
	Dwarf_Addr end;
	uint64_t our_start;
	uint64_t our_end;

	dwarf_ranges_begin(&ours, u, a);
	while ((at = dwarf_ranges(die, at, &base, &start, &end)) > 0) {
		if (start >= end)
			continue;
		assert_true(dwarf_ranges_next(&ours, &our_start, &our_end));
		assert_int_equal(our_start, start);
		assert_int_equal(our_end, end);
		b->ranges++;
	}
	assert_false(dwarf_ranges_next(&ours, &our_start, &our_end));
}

static void same_entry(struct both *b, const struct dwarf_entry *ours, Dwarf_Die *die)
{
	struct dwarf_attributes a;
	struct dwarf_unit *u = ours->unit;
	unsigned tag = (unsigned)dwarf_tag(die);

	if (dwarf_entry_key(ours) != dwarf_dieoffset(die))
		fail_msg("entry 0x%llx, libdw is at 0x%llx", (unsigned long long)dwarf_entry_key(ours),
			 (unsigned long long)dwarf_dieoffset(die));
	assert_int_equal(ours->abbrev->tag, tag);
	assert_int_equal(ours->abbrev->children, dwarf_haschildren(die));
	b->entries++;
	if (tag != DW_TAG_subprogram && tag != DW_TAG_inlined_subroutine)
		return;
	b->functions++;
	assert_non_null(dwarf_entry_read(ours, &a));
	same_string(b, u, &a, SLOT_NAME, die, DW_AT_name, DW_AT_name);
	same_string(b, u, &a, SLOT_LINKAGE_NAME, die, DW_AT_linkage_name, DW_AT_MIPS_linkage_name);
	same_number(&a, SLOT_DECL_LINE, die, DW_AT_decl_line);
	same_number(&a, SLOT_CALL_FILE, die, DW_AT_call_file);
	same_number(&a, SLOT_CALL_LINE, die, DW_AT_call_line);
	same_number(&a, SLOT_CALL_COLUMN, die, DW_AT_call_column);
	same_reference(b, u, &a, SLOT_ABSTRACT_ORIGIN, die, DW_AT_abstract_origin);
	same_reference(b, u, &a, SLOT_SPECIFICATION, die, DW_AT_specification);
	same_ranges(b, u, &a, die);
}

// ---- all of them --------------------------------------------------------------------------------------

// libdw's next entry in the order of the file; *depth follows.
static bool libdw_next(Dwarf_Die *stack, unsigned *depth)
{
	if (dwarf_child(&stack[*depth], &stack[*depth + 1]) == 0) {
		++*depth;
		assert_true(*depth < 200);
		return true;
	}
	while (*depth && dwarf_siblingof(&stack[*depth], &stack[*depth]))
		--*depth;
	return *depth;
}

static void same_unit(struct both *b, struct dwarf_unit *u, Dwarf_Die *root)
{
	static Dwarf_Die stack[256];
	struct dwarf_walk walk;
	unsigned depth = 0;

	stack[0] = *root;
	dwarf_walk_begin(&walk, u);
	while (libdw_next(stack, &depth)) {
		assert_true(dwarf_walk_next(&walk));
		assert_int_equal(walk.depth, depth);
		same_entry(b, &walk.entry, &stack[depth]);
		dwarf_walk_enter(&walk);
	}
	assert_false(dwarf_walk_next(&walk));
}

// Children of the unit alone: subtrees are passed over.
static void same_siblings(struct dwarf_unit *u, Dwarf_Die *root)
{
	struct dwarf_walk walk;
	Dwarf_Die at;
	int more = dwarf_child(root, &at);

	dwarf_walk_begin(&walk, u);
	for (; more == 0; more = dwarf_siblingof(&at, &at)) {
		assert_true(dwarf_walk_next(&walk));
		assert_int_equal(walk.depth, 1);
		assert_int_equal(dwarf_entry_key(&walk.entry), dwarf_dieoffset(&at));
		dwarf_walk_pass(&walk);
	}
	assert_false(dwarf_walk_next(&walk));
}

static void same_root(struct both *b, struct dwarf_unit *u, Dwarf_Die *root)
{
	struct dwarf_attributes a;
	struct err e = ERR_INIT;

	if (!dwarf_unit_read(u, &a, &e))
		fail_msg("%s", e.msg);
	assert_int_equal(u->tag, dwarf_tag(root));
	same_string(b, u, &a, SLOT_COMP_DIR, root, DW_AT_comp_dir, DW_AT_comp_dir);
	same_number(&a, SLOT_STMT_LIST, root, DW_AT_stmt_list);
	same_number(&a, SLOT_LANGUAGE, root, DW_AT_language);
	same_ranges(b, u, &a, root);
}

static void same_file(const char *name, const char *alt)
{
	struct both b;
	Dwarf_CU *cu = NULL;
	Dwarf_Die root;
	Dwarf_Half version;
	uint8_t type;
	size_t i = 0;

	open_both(&b, name, alt);
	while (dwarf_get_units(b.libdw, cu, &cu, &version, &type, &root, NULL) == 0) {
		struct dwarf_unit *u = &b.file.units[i];

		if (type == DW_UT_type && version < 5) // of .debug_types
			continue;
		assert_true(i++ < b.file.unit_count);
		assert_int_equal(u->version, version);
		same_root(&b, u, &root);
		same_unit(&b, u, &root);
		same_siblings(u, &root);
	}
	assert_int_equal(i, b.file.unit_count);
	print_message("%s: %zu units, %u entries, %u functions, %u strings, %u ranges, %u references\n", name, i,
		      b.entries, b.functions, b.strings, b.ranges, b.references);
	assert_true(b.functions > 0 && b.strings > 0 && b.ranges > 0);
	close_both(&b);
}

static void compile(const char *compiler, const char *flags)
{
	if (!toolbox_has(compiler)) {
		print_message("%s is missing\n", compiler);
		skip();
	}
	print_message("%s %s\n", compiler, flags);
	assert_int_equal(toolbox_run("%s -std=c++17 %s %s -o subject", compiler, flags, subject), 0);
	same_file("subject", NULL);
}

static void test_gcc(void **state)
{
	(void)state;
	compile("g++", "-O2 -gdwarf-2 -gstrict-dwarf");
	compile("g++", "-O2 -gdwarf-4 -fdebug-types-section");
	compile("g++", "-O2 -gdwarf-5 -fdebug-types-section");
	compile("g++", "-O2 -gdwarf-5 -gdwarf64");
	compile("g++", "-O1 -gdwarf-4 -flto");
}

static void test_clang(void **state)
{
	(void)state;
	compile("clang++", "-O2 -gdwarf-2");
	compile("clang++", "-O1 -gdwarf-4 -ffunction-sections -Wl,--gc-sections");
	compile("clang++", "-O2 -gdwarf-5 -fuse-ld=lld -ffunction-sections -Wl,--gc-sections");
}

static const char plain_c[] =
	"static inline int twice(int x) { return x * 2; }\n"
	"__attribute__((noinline)) static int cold(int x) { return twice(x) - 3; }\n"
	"int entry(int x) { int s = 0; for (int i = 0; i < x; i++) s += twice(i) ? cold(i) : i; return s; }\n";

// Machines that nothing here can run are compiled for all the same.
static void test_other_machines(void **state)
{
	static const char *const targets[] = {
		"i386-linux-gnu -gdwarf-2", "i386-linux-gnu -gdwarf-5",	 "mips-linux-gnu -gdwarf-4",
		"mips64-linux-gnu -gdwarf-5", "powerpc-linux-gnu -gdwarf-5",
		"powerpc64-linux-gnu -mabi=elfv2 -gdwarf-5 -gdwarf64",
	};

	(void)state;
	if (!toolbox_has("clang") || !toolbox_has("ld.lld")) {
		print_message("clang or lld is missing\n");
		skip();
	}
	toolbox_write("plain.c", str_from(plain_c));
	for (size_t i = 0; i < countof(targets); i++) {
		print_message("%s\n", targets[i]);
		assert_int_equal(toolbox_run("clang --target=%s -O2 -ffreestanding -fPIC -nostdlib -shared "
					     "-fuse-ld=lld plain.c -o plain", targets[i]), 0);
		same_file("plain", NULL);
	}
}

static void test_dwz(void **state)
{
	(void)state;
	if (!toolbox_has("dwz")) {
		print_message("dwz is missing\n");
		skip();
	}
	assert_int_equal(toolbox_run("g++ -std=c++17 -O2 -g %s -o one && g++ -std=c++17 -O1 -g %s -o two && "
				     "cp one alone && dwz alone && dwz -m shared -M shared one two",
				     subject, subject), 0);
	same_file("alone", NULL);
	same_file("one", "shared");
	same_file("two", "shared");
}

static void test_c_library(void **state)
{
	char *path;

	(void)state;
	if (toolbox_run("for f in $(ldconfig -p | awk '/libc\\.so\\.6 .*x86-64/ { print $NF }'); do "
			"id=$(readelf -n $f | awk '/Build ID/ { print $3 }'); "
			"d=/usr/lib/debug/.build-id/$(echo $id | cut -c1-2)/$(echo $id | cut -c3-).debug; "
			"[ -e $d ] && printf %%s $d >libc.txt && exit 0; done; exit 1")) {
		print_message("the C library's debug file is missing\n");
		skip();
	}
	path = toolbox_read("libc.txt", NULL);
	same_file(path, NULL);
	free(path);
}

// Values by way of tables that lie outside of their section are no values.
static void test_tables(void **state)
{
	struct dwarf_file file = {.str = STR("\0abc\0"), .str_offsets = STR("\0\0\0\0\1\0\0\0\177\0\0\0"),
				  .addr = STR("\1\2\3\4\5\6\7\10")};
	struct dwarf_unit u = {.file = &file, .addresses = &file, .sizes = {.address = 8, .offset = 4}, .str_offsets_base = 4};
	struct dwarf_value v = {0, DW_FORM_strx1};
	uint64_t address;

	(void)state;
	assert_true(str_is(dwarf_string(&u, &v), "abc"));
	for (v.number = 1; v.number < 4; v.number++)
		assert_int_equal(dwarf_string(&u, &v).n, 0);
	v.number = UINT64_MAX / 4;
	assert_int_equal(dwarf_string(&u, &v).n, 0);
	v = (struct dwarf_value){0, DW_FORM_addrx};
	assert_true(dwarf_address(&u, &v, &address));
	assert_int_equal(address, 0x0807060504030201);
	v.number = 1;
	assert_false(dwarf_address(&u, &v, &address));
	v.form = DW_FORM_block;
	assert_false(dwarf_address(&u, &v, &address));
	assert_false(dwarf_unsigned(&v, &address));
	assert_int_equal(dwarf_string(&u, &v).n, 0);
}

static const uint8_t *read_in_place(struct buf *text)
{
	struct dwarf_step step = {.form = DW_FORM_string, .op = OP_STRING, .slot = SLOT_NAME};
	struct abbrev abbrev = {.code = 1, .steps = 1, .fixed = ABBREV_NOT_FIXED};
	struct abbrev_table table = {.steps = &step, .step_count = 1};
	const uint8_t *start = (const uint8_t *)text->p;
	struct dwarf_file file = {.info = buf_str(text)};
	struct dwarf_unit unit = {.file = &file, .abbrevs = &table, .entries = start, .end = start + text->n};
	struct dwarf_entry entry = {&unit, &abbrev, start, start};
	struct dwarf_attributes a;

	return dwarf_entry_read(&entry, &a);
}

static void test_long_strings_in_place(void **state)
{
	struct buf text = BUF_INIT(4 << 20);

	(void)state;
	while (text.n < DWARF_IN_PLACE_MAX - 1)
		buf_append_c(&text, 'x');
	assert_null(read_in_place(&text)); // it does not end
	buf_append_c(&text, '\0');
	assert_ptr_equal(read_in_place(&text), text.p + DWARF_IN_PLACE_MAX);
	text.p[text.n - 1] = 'x';
	buf_append_c(&text, '\0');
	assert_null(read_in_place(&text));
	buf_deinit(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_long_strings_in_place),
		cmocka_unit_test(test_gcc),	  cmocka_unit_test(test_clang),
		cmocka_unit_test(test_other_machines), cmocka_unit_test(test_dwz),
		cmocka_unit_test(test_c_library), cmocka_unit_test(test_tables),
	};

	return cmocka_run_group_tests(tests, subject_setup, toolbox_teardown);
}
