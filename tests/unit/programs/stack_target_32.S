/* Sleeps, as a 32-bit program. */
	.globl	_start
	.type	_start, @function
_start:
	movl	$172, %eax	/* prctl(PR_SET_PDEATHSIG, SIGKILL) */
	movl	$1, %ebx
	movl	$9, %ecx
	int	$0x80
again:	movl	$29, %eax	/* pause() */
	int	$0x80
	jmp	again
	.size	_start, . - _start
	.section .note.GNU-stack, "", @progbits
