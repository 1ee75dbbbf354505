/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The DWARF expressions (DWARF 5 §2.5) that linkers and compilers put into call frame information
 * and that have a form in bpf/unwind.h, told by their bytes:
 *
 *   breg R off                     CFA is register + offset
 *   breg R off, deref              GCC's realigned stacks (config/i386, DRAP)
 *   breg R off, deref, plus_uconst 8   OpenSSL's loops (crypto/perlasm, cfi_cfa_expression)
 *   breg7 8, breg16 0, lit15, and, litN, ge, lit3, shl, plus
 *                                  PLT stubs of GNU ld (bfd/elfxx-x86.c); N by the stub's shape
 *
 * Pure functions over borrowed bytes.
 */
#ifndef AGENT_CFI_EXPRESSION_H
#define AGENT_CFI_EXPRESSION_H

#include "agent-lite/elf/cfi_program.h"

/* Sets the CFA of *s: CFI_CFA_UNKNOWN for any other expression. */
void cfi_expression_cfa(struct str expression, struct cfi_registers registers, struct cfi_state *s);
/* The rule by which a register is saved at the expression's value. */
enum cfi_rule cfi_expression_rule(struct str expression, struct cfi_registers registers,
				  int64_t *ret_offset);

#endif
