/* SPDX-License-Identifier: GPL-2.0-only */
/* First instructions, and the trap handler.  The boot ROM has cleared the BSS. */
	.section .text.start, "ax"
	.globl _start
_start:
	.option push
	.option norelax
	la	gp, __global_pointer$
	.option pop
	la	sp, _stack_top
	la	t0, trap
	csrw	mtvec, t0
	call	firmware_main
1:	wfi
	j	1b

	/*
	 * Nothing here is expected to trap: a trap is a bug, and state after it is
	 * not to be trusted.  Report on a fresh stack and halt.
	 */
	.balign 4
trap:
	la	sp, _stack_top
	csrr	a0, mepc
	csrr	a1, mcause
	csrr	a2, mtval
	call	fault_panic
1:	j	1b
