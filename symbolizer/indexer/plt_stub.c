/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/plt_stub.h"

#include <elf.h>

enum { X86_STEP = 8, A64_STEP = 4, A64_TAIL_WORDS = 6 };

static bool starts(struct str code, const char *bytes, size_t n)
{
	return code.n >= n && memcmp(code.p, bytes, n) == 0;
}

static uint32_t le32(const char *p)
{
	uint32_t v = 0;

	for (int i = 3; i >= 0; i--)
		v = v << 8 | (uint8_t)p[i];
	return v;
}

// ---- x86 ---------------------------------------------------------------------------------------

// The instructions of one stub, read one after the other.
struct x86_cursor {
	const struct plt_code *code;
	size_t at;
};

static bool x86_skip(struct x86_cursor *c, const char *opcode, size_t n, size_t operand)
{
	struct str rest = str_skip(c->code->bytes, c->at);

	if (!starts(rest, opcode, n) || rest.n < n + operand)
		return false;
	c->at += n + operand;
	return true;
}

#define X86_SKIP(c, opcode, operand) x86_skip((c), (opcode), sizeof(opcode) - 1, (operand))

static uint32_t x86_operand(const struct x86_cursor *c)
{
	return le32(c->code->bytes.p + c->at - 4);
}

// After an instruction whose last four bytes say where its operand is.
static uint64_t x86_slot(const struct x86_cursor *c)
{
	uint32_t operand = x86_operand(c);

	if (c->code->machine == EM_386)
		return operand;
	return c->code->vaddr + c->at + (uint64_t)(int64_t)(int32_t)operand;
}

// push N; jmp PLT0: the second half of a lazy stub, or all of one where the jump is in .plt.sec.
static bool x86_lazy_half(struct x86_cursor *c, uint32_t *ret_index)
{
	struct x86_cursor try = *c;
	uint32_t operand;

	if (!X86_SKIP(&try, "\x68", 4))
		return false;
	operand = x86_operand(&try);
	if (!X86_SKIP(&try, "\xf2\xe9", 4) && !X86_SKIP(&try, "\xe9", 4))
		return false;
	*c = try;
	// i386 pushes the offset of a relocation of 8 bytes
	*ret_index = c->code->machine == EM_386 ? operand / (uint32_t)sizeof(Elf32_Rel) : operand;
	return true;
}

static bool x86_jump(struct x86_cursor *c, uint64_t *ret_slot)
{
	// bnd jmp *slot(%rip); jmp *slot(%rip), on i386 jmp *slot
	if (X86_SKIP(c, "\xf2\xff\x25", 4) || X86_SKIP(c, "\xff\x25", 4)) {
		*ret_slot = x86_slot(c);
		return true;
	}
	// jmp *slot(%ebx)
	if (c->code->machine == EM_386 && X86_SKIP(c, "\xff\xa3", 4)) {
		*ret_slot = (uint32_t)(c->code->got + x86_operand(c));
		return true;
	}
	// mov slot(%rip),%r11, in front of a retpoline
	if (c->code->machine == EM_X86_64 && X86_SKIP(c, "\x4c\x8b\x1d", 4)) {
		*ret_slot = x86_slot(c);
		return true;
	}
	return false;
}

static bool x86_stub(const struct plt_code *code, size_t at, struct plt_stub *ret)
{
	struct x86_cursor c = {code, at};
	uint32_t index = 0;

	if (!X86_SKIP(&c, "\xf3\x0f\x1e\xfa", 0))
		X86_SKIP(&c, "\xf3\x0f\x1e\xfb", 0);
	X86_SKIP(&c, "\x41\xbb", 4); // mold: mov $N,%r11d
	ret->is_index = x86_lazy_half(&c, &index);
	ret->slot = index;
	if (!ret->is_index) {
		if (!x86_jump(&c, &ret->slot))
			return false;
		x86_lazy_half(&c, &index);
	}
	ret->start = code->vaddr + at;
	ret->end = code->vaddr + c.at;
	return true;
}

static bool x86_next(const struct plt_code *code, size_t *at, struct plt_stub *ret)
{
	for (size_t i = *at; i < code->bytes.n; i += X86_STEP) {
		size_t end;

		if (!x86_stub(code, i, ret))
			continue;
		end = (size_t)(ret->end - code->vaddr);
		*at = (end + X86_STEP - 1) / X86_STEP * X86_STEP;
		return true;
	}
	return false;
}

// ---- AArch64 -----------------------------------------------------------------------------------

static uint32_t a64_word(const struct plt_code *code, size_t at)
{
	return range_fits(at, 4, code->bytes.n) ? le32(code->bytes.p + at) : 0;
}

// adrp x16, page; ldr x17, [x16, offset]
static bool a64_slot(const struct plt_code *code, size_t at, uint64_t *ret)
{
	uint32_t adrp = a64_word(code, at);
	uint32_t ldr = a64_word(code, at + 4);
	uint64_t page = (code->vaddr + at) & ~UINT64_C(0xfff);
	uint32_t pages = (adrp >> 5 & 0x7ffff) << 2 | (adrp >> 29 & 3);
	int64_t distance = (int64_t)((uint64_t)pages << 43) >> 43; // of 21 bits

	if ((adrp & 0x9f00001f) != 0x90000010)
		return false;
	page += (uint64_t)distance << 12;
	if ((ldr & 0xffc003ff) == 0xf9400211)
		*ret = page + (uint64_t)(ldr >> 10 & 0xfff) * 8;
	else if ((ldr & 0xffc003ff) == 0xb9400211) // w17: ILP32
		*ret = page + (uint64_t)(ldr >> 10 & 0xfff) * 4;
	else
		return false;
	return true;
}

// Behind br x17, which an add and an authentication stand in front of.
static size_t a64_end(const struct plt_code *code, size_t at)
{
	for (size_t i = 0; i < A64_TAIL_WORDS; i++)
		if (a64_word(code, at + i * 4) == 0xd61f0220)
			return at + (i + 1) * 4;
	return at;
}

static bool a64_next(const struct plt_code *code, size_t *at, struct plt_stub *ret)
{
	for (size_t i = *at; i + 8 <= code->bytes.n; i += A64_STEP) {
		size_t start = i;
		size_t end;

		if (!a64_slot(code, i, &ret->slot))
			continue;
		if (i > *at && a64_word(code, i - 4) == 0xd503245f) // bti c
			start -= 4;
		end = a64_end(code, i + 8);
		ret->start = code->vaddr + start;
		ret->end = code->vaddr + end;
		ret->is_index = false;
		*at = end;
		return true;
	}
	return false;
}

bool plt_stub_machine(unsigned machine)
{
	return machine == EM_X86_64 || machine == EM_386 || machine == EM_AARCH64;
}

bool plt_stub_next(const struct plt_code *code, size_t *at, struct plt_stub *ret)
{
	switch (code->machine) {
	case EM_X86_64:
	case EM_386:
		return x86_next(code, at, ret);
	case EM_AARCH64:
		return a64_next(code, at, ret);
	default:
		return false;
	}
}
