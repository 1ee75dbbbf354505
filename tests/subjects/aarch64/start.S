/* SPDX-License-Identifier: Apache-2.0 */
/* Where the process begins, and where signal handlers return to. */
	.text
	.globl _start
	.type _start, %function
_start:
	.cfi_startproc
	.cfi_undefined x30
	mov x29, #0
	mov x30, #0
	mov x0, sp
	bl record_all
	mov x0, #0
	mov x8, #93 /* exit */
	svc #0
	.cfi_endproc
	.size _start, . - _start

/*
 * As arch/arm64/kernel/vdso/sigreturn.S describes its own to unwinders, the instruction before
 * included, for whoever looks one before the return address.
 */
	.section chain_restorer, "ax", %progbits
	.cfi_startproc
	.cfi_signal_frame
	.cfi_def_cfa x29, 0
	.cfi_offset x29, 0
	.cfi_offset x30, 8
	nop
	.globl restorer
	.hidden restorer
	.type restorer, %function
restorer:
	mov x8, #139 /* rt_sigreturn */
	svc #0
	.cfi_endproc
	.size restorer, . - restorer

	.section .note.GNU-stack, "", %progbits
