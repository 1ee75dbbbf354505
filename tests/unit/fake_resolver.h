/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A resolver that knows a few answers by heart, counts what it is asked, and spoils its strings when a
 * module is released, so that who kept one is found out. Header-only.
 *
 *   aaaa  OK, program headers: code of 0x1000 bytes at vaddr 0x1000, file offset 0x400
 *         0x1100  ns::leaf(int) inlined into work(); DWARF
 *         0x1200  plain; symtab, no file
 *         0x1300  main.work; gopclntab
 *         0x1400  fails with ERR_DB
 *   dddd  OK, the same names, no program headers
 *   bbbb  pending; cccc missing; ffff invalid, by the resolver's word
 *   text with a '!': ERR_BAD_BUILD_ID; "fail": ERR_DB
 */
#ifndef TESTS_UNIT_FAKE_RESOLVER_H
#define TESTS_UNIT_FAKE_RESOLVER_H

#include "symbolizer/resolver.h"
#include <stdio.h>

struct fake {
	size_t opened;
	size_t released;
	size_t lookups;
	char text[8][32];
};

static const struct program_header fake_header = {
	.vaddr = 0x1000, .memsz = 0x1000, .offset = 0x400, .filesz = 0x1000, .align = 4096, .flags = 5};

static int fake_module(void *ctx, struct str id, struct module *ret, struct err *e)
{
	struct fake *f = ctx;
	struct module m = {.status = MODULE_OK, .handle = f};

	if (memchr(id.p, '!', id.n))
		return err_set(e, ERR_BAD_BUILD_ID, "not a build-ID");
	if (str_is(id, "fail"))
		return err_set(e, ERR_DB, "the catalog is gone");
	if (str_is(id, "aaaa"))
		m.headers = (struct program_headers){&fake_header, 1, true};
	else if (str_is(id, "bbbb"))
		m = (struct module){.status = MODULE_PENDING, .reason = "pending", .detail = "fetching",
				    .handle = f};
	else if (str_is(id, "cccc"))
		m = (struct module){.status = MODULE_MISSING, .handle = f};
	else if (str_is(id, "ffff"))
		m = (struct module){.status = MODULE_INVALID, .reason = "malformed_elf", .handle = f};
	f->opened++;
	*ret = m;
	return 0;
}

static struct str fake_text(struct fake *f, size_t i, const char *text)
{
	snprintf(f->text[i], sizeof(f->text[i]), "%s", text);
	return str_from(f->text[i]);
}

static void fake_inlined(struct fake *f, struct frames *ret)
{
	*ret = (struct frames){.source = SOURCE_DWARF, .n = 2};
	ret->frame[0] = (struct frame){
		.function = fake_text(f, 0, "ns::leaf(int)"),
		.system_name = fake_text(f, 1, "_ZN2ns4leafEi"),
		.file = fake_text(f, 2, "/src/leaf.cc"),
		.line = 12, .start_line = 10, .column = 3, .inlined = true};
	ret->frame[1] = (struct frame){
		.function = fake_text(f, 3, "work()"),
		.system_name = fake_text(f, 4, "_Z4workv"),
		.file = fake_text(f, 5, "/src/work.cc"),
		.line = 40, .start_line = 38, .column = 9};
}

static void fake_plain(struct fake *f, enum frame_source source, const char *name, uint32_t line,
		       struct frames *ret)
{
	*ret = (struct frames){.source = source, .n = 1};
	ret->frame[0] = (struct frame){
		.function = fake_text(f, 0, name),
		.system_name = fake_text(f, 1, name),
		.file = line ? fake_text(f, 2, "/src/work.go") : STR_EMPTY,
		.line = line, .start_line = line ? line - 1 : 0};
}

static int fake_lookup(void *ctx, const struct module *m, uint64_t va, struct frames *ret,
		       struct err *e)
{
	struct fake *f = ctx;

	(void)m;
	f->lookups++;
	ret->n = 0;
	if (va == 0x1100)
		fake_inlined(f, ret);
	else if (va == 0x1200)
		fake_plain(f, SOURCE_SYMTAB, "plain", 0, ret);
	else if (va == 0x1300)
		fake_plain(f, SOURCE_GOPCLNTAB, "main.work", 7, ret);
	else if (va >= 0x1500 && va < 0x1600)
		fake_plain(f, SOURCE_EH_FRAME, "fun_0x1500", 0, ret);
	else if (va == 0x1400)
		return err_set(e, ERR_DB, "the result cache is gone");
	return 0;
}

static void fake_release(void *ctx, struct module *m)
{
	struct fake *f = ctx;

	(void)m;
	f->released++;
	memset(f->text, 'X', sizeof(f->text));
}

UNUSED static struct resolver fake_resolver(struct fake *f)
{
	*f = (struct fake){0};
	return (struct resolver){f, fake_module, fake_lookup, fake_release};
}

#endif
