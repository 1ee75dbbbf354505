/* SPDX-License-Identifier: Apache-2.0 */
/* Each way of compressing sections gives the bytes of the same file uncompressed; lies about sizes are seen. */
#include "symbolizer/indexer/elf_inflate.h"

#include "tests/unit/indexing.h"
#include <endian.h>

static const char program[] =
	"struct s { int a; char b[20]; };\n"
	"int helper(struct s *s, int n) { for (int i = 0; i < n; i++) s->a += s->b[i]; return s->a; }\n"
	"int other(struct s *s) { return helper(s, 3) + helper(s, 4); }\n";

static int setup(void **state)
{
	if (toolbox_setup(state))
		return -1;
	toolbox_write("p.c", str_from(program));
	return toolbox_run("gcc -g3 -gdwarf-5 -O2 -shared -nostdlib -fPIC p.c -o plain");
}

static const struct elf_section *twin_of(const struct elf_image *img, const char *name)
{
	const struct elf_section *s = elf_image_section(img, name);

	if (!s)
		fail_msg("%s: no %s", img->name, name);
	return s;
}

// Number of sections that are compressed in `name`.
static size_t compare(const char *name, const char *with)
{
	struct elf_image a;
	struct elf_image b;
	struct err e = ERR_INIT;
	size_t compressed = 0;

	if (indexing_image(&a, with, &e) || indexing_image(&b, name, &e))
		fail_msg("%s", e.msg);
	for (size_t i = 0; i < a.section_count; i++) {
		const struct elf_section *s = &a.sections[i];
		const struct elf_section *t;
		struct str want;
		struct str have;

		if (strncmp(s->name, ".debug_", 7) != 0)
			continue;
		t = twin_of(&b, s->name);
		assert_int_equal(elf_image_data(&a, s, &want, &e), 0);
		for (int again = 0; again < 2; again++) { // the second time it is there already
			if (elf_image_data(&b, t, &have, &e))
				fail_msg("%s", e.msg);
			assert_int_equal(have.n, want.n);
			assert_memory_equal(have.p, want.p, want.n);
		}
		compressed += t->inflated;
	}
	indexing_close(&a);
	indexing_close(&b);
	return compressed;
}

static void test_formats(void **state)
{
	static const char *const formats[] = {"zlib-gnu", "zlib-gabi", "zstd"};

	(void)state;
	for (size_t i = 0; i < countof(formats); i++) {
		assert_int_equal(toolbox_run("objcopy --compress-debug-sections=%s plain x", formats[i]), 0);
		assert_true(compare("x", "plain") >= 4);
	}
}

// 32 bits, the other byte order, relocations that apply to what is inflated.
static void test_objects(void **state)
{
	static const char *const targets[] = {"mips-linux-gnu", "powerpc64-linux-gnu", "i386-linux-gnu",
					      "x86_64-linux-gnu"};

	(void)state;
	for (size_t i = 0; i < countof(targets); i++) {
		assert_int_equal(toolbox_run("clang -target %s -g -gdwarf-5 -O1 -c p.c -o p.o && "
					     "llvm-objcopy --compress-debug-sections=zlib p.o z.o",
					     targets[i]), 0);
		assert_true(compare("z.o", "p.o") >= 3);
	}
}

// ---- by hand -----------------------------------------------------------------------------------

struct file {
	char *bytes;
	size_t n;
};

static Elf64_Shdr *first_compressed(const struct file *f)
{
	const Elf64_Ehdr *header = (const void *)f->bytes;
	Elf64_Shdr *sections = (void *)(f->bytes + header->e_shoff);
	const char *names = f->bytes + sections[header->e_shstrndx].sh_offset;

	for (size_t i = 1; i < header->e_shnum; i++)
		if (sections[i].sh_flags & SHF_COMPRESSED ||
		    strncmp(names + sections[i].sh_name, ".zdebug_", 8) == 0)
			return &sections[i];
	fail_msg("nothing is compressed");
	return NULL;
}

static struct file open_file(const char *format)
{
	struct file f;

	assert_int_equal(toolbox_run("objcopy --compress-debug-sections=%s plain x", format), 0);
	f.bytes = toolbox_read("x", &f.n);
	return f;
}

// Headers at odd places: appended to the file, which nothing forbids.
static void test_unaligned(void **state)
{
	static const char *const formats[] = {"zlib-gnu", "zlib-gabi", "zstd"};

	(void)state;
	for (size_t i = 0; i < countof(formats); i++) {
		struct file f = open_file(formats[i]);
		Elf64_Shdr *s = first_compressed(&f);
		size_t at = f.n | 1;
		char *longer = calloc(1, at + s->sh_size);

		memcpy(longer + at, f.bytes + s->sh_offset, s->sh_size);
		s->sh_offset = at;
		s->sh_addralign = 1;
		memcpy(longer, f.bytes, f.n);
		toolbox_write("odd", (struct str){longer, at + s->sh_size});
		assert_true(compare("odd", "plain") >= 4);
		free(longer);
		free(f.bytes);
	}
}

static void refuse(const struct file *f, enum err_kind kind, const char *why)
{
	struct err e = ERR_INIT;
	struct elf_image img;
	struct str data;
	bool refused = false;

	toolbox_write("bad", (struct str){f->bytes, f->n});
	assert_int_equal(indexing_image(&img, "bad", &e), 0);
	for (size_t i = 0; i < img.section_count && !refused; i++)
		refused = elf_image_data(&img, &img.sections[i], &data, &e) != 0;
	assert_true(refused);
	assert_int_equal(e.kind, kind);
	if (!strstr(e.msg, why))
		fail_msg("'%s' does not say '%s'", e.msg, why);
	indexing_close(&img);
}

static void set_size(char *p, uint64_t size, bool big)
{
	size = big ? htobe64(size) : htole64(size);
	memcpy(p, &size, sizeof(size));
}

static void test_lies(void **state)
{
	static const char *const formats[] = {"zlib-gnu", "zlib-gabi", "zstd"};

	(void)state;
	for (size_t i = 0; i < countof(formats); i++) {
		struct file f = open_file(formats[i]);
		Elf64_Shdr *s = first_compressed(&f);
		char *head = f.bytes + s->sh_offset;
		char *size = head + (i == 0 ? 4 : 8); // behind "ZLIB", or type and padding
		uint64_t whole = s->sh_size;

		set_size(size, GIB(5), i == 0);
		refuse(&f, ERR_TOO_LARGE, "inflates to 5368709120 bytes");
		set_size(size, i == 2 ? 1 : GIB(1), i == 0);
		refuse(&f, ERR_BAD_ELF, i == 2 ? "zstd data" : "zlib data is shorter than its size says");
		s->sh_size = i == 0 ? 11 : 20; // not even a header
		refuse(&f, ERR_BAD_ELF, "no compression header");
		s->sh_size = whole;
		head[0] = 'X'; // no "ZLIB", or no known type
		refuse(&f, ERR_BAD_ELF, i == 0 ? "no compression header" : "unknown compression");
		free(f.bytes);
	}
}

static void test_cut(void **state)
{
	struct file f = open_file("zlib-gnu");

	(void)state;
	first_compressed(&f)->sh_size -= 10;
	refuse(&f, ERR_BAD_ELF, "zlib data is damaged or cut off");
	free(f.bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_formats), cmocka_unit_test(test_objects), cmocka_unit_test(test_unaligned),
		cmocka_unit_test(test_lies),	cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, setup, toolbox_teardown);
}
