/* SPDX-License-Identifier: MIT */
/*
 * Exact matrix multiplication.
 *
 *	D = act(round(alpha * op(A) op(B) + beta * C + bias))
 *
 * With QUIRE_GEMM_EXACT every element of D is the exact value of the bracket,
 * rounded once to the format of D.  So the result depends on nothing but the
 * operands: not on the kernel, the number of threads, the tiling, or the order
 * of the sum.  All kernels give the same bits and the same digest.
 *
 * Special values.  NaR and NaN of any operand element that is read, infinity
 * times zero and +inf - inf make an output NaR (posit), the canonical quiet NaN
 * (floating point) or the NaR pattern (quire image).  An infinity that stays is
 * an infinity, NaR in a posit.  An exact result of zero is +0.  Overflow goes to
 * infinity, except posits (largest value), E4M3 (448) and INT8 (-128, 127; NaN
 * gives -128).  RELU makes everything below zero, -0 and -infinity
 * included, +0; NaR and NaN stay.
 */
#ifndef QUIRENUM_GEMM_H
#define QUIRENUM_GEMM_H

#include <stdint.h>

#include <quire/format.h>

#ifdef __cplusplus
extern "C" {
#endif

struct quire_threads;

/* How the sum over k is taken; the values are those of quire/packet.h. */
enum quire_gemm_arithmetic {
	QUIRE_GEMM_EXACT = 0,	/* exact sum, one rounding in all */
	/*
	 * A and B are BF16.  s = +0, then s = fma(a[k], b[k], s) in FP32 for
	 * k = 0, 1, ... in this order, to nearest even, subnormals kept, NaN
	 * and infinities as IEEE 754 has them.  Then alpha * s + beta * C + bias
	 * is exact and rounded once to the format of D.
	 */
	QUIRE_GEMM_FP32 = 1,
};

enum quire_gemm_bias {
	QUIRE_GEMM_BIAS_NONE = 0,
	QUIRE_GEMM_BIAS_PER_COLUMN = 1,	/* n elements, one for each column of D */
	QUIRE_GEMM_BIAS_PER_ROW = 2,	/* m elements, one for each row of D */
};

enum quire_gemm_activation {
	QUIRE_GEMM_LINEAR = 0,
	QUIRE_GEMM_ACTIVATION_RELU = 1,
};

#define QUIRE_GEMM_DIMENSION_LIMIT (1u << 24)	/* m, n, batch */

/*
 * struct quire_gemm_operand - a matrix that is read
 * @data:   element (0, 0); aligned to its container, a quire image to 8 bytes
 * @format: QUIRE_FORMAT_*.  A, B: posit<n> with n = 3..32, BF16, FP16, FP32,
 *          E4M3, E5M2, INT8 (a plain integer: the product of two scales belongs into
 *          alpha, which is exact), MXFP8, in any mixture; or QUIRE_FORMAT_TILED, see below.
 *          C: the same but MXFP8 and tiled, and the quire image.
 * @transpose: 1 when the matrix is stored transposed (A as k x m, B as n x k);
 *          must be 0 for C
 * @leading_dimension: elements from one stored row to the next, at least the
 *          stored columns (not looked at with a single row)
 * @batch_stride: elements from one matrix of the batch to the next; 0 shares one
 *          matrix; not looked at when batch is 1.  Of MXFP8 this and the leading
 *          dimension, where they are looked at, are multiples of 32 (quire/format.h).
 *
 * With QUIRE_FORMAT_TILED (A and B) data points to views (struct quire_tiled of
 * quirenum/tile.h), one, or with batch_stride 1 one for each matrix of the batch.  The
 * operand is the view's window, as large as needed; leading_dimension is not looked at.
 * The result is that of the decoded numbers, bit for bit; parts of the sum whose tiles
 * are empty are not computed.  D must not overlap the images.
 */
struct quire_gemm_operand {
	const void *data;
	uint32_t format;
	uint32_t transpose;
	uint64_t leading_dimension;
	uint64_t batch_stride;
};

/*
 * struct quire_gemm_output - the matrix that is written
 * @data, @leading_dimension, @batch_stride: as above; matrices of a batch must
 *          not overlap.  D must not overlap A, B or the bias.  It may be C
 *          exactly: same address, format, leading dimension and stride.
 * @format: any format of C, or FP64.  With the quire image the exact sum is
 *          stored: alpha and beta must be -1, 0 or 1, the activation linear and
 *          the arithmetic exact.  Partial sums over k can so be chained through
 *          C without loss; the limit of 2^31 - 1 products then holds for the
 *          whole chain and is the caller's to keep.
 */
struct quire_gemm_output {
	void *data;
	uint32_t format;
	uint32_t reserved;	/* 0 */
	uint64_t leading_dimension;
	uint64_t batch_stride;
};

/*
 * struct quire_gemm - one job; all zero is a good start
 * @m, @n, @k: op(A) is m x k, op(B) is k x n, D is m x n.  Zero is allowed: with
 *          m, n or batch 0 nothing is done, with k 0 the sum is 0.
 *          k <= QUIRE_PRODUCT_LIMIT.
 * @batch:  number of products
 * @a, @b:  operands; not read, and not checked but for the format, when alpha or
 *          k is 0
 * @c:      not read and not checked when beta is 0
 * @d:      result
 * @bias:   vector, aligned to its container, format as for A; shared by the batch
 * @bias_kind: enum quire_gemm_bias; with QUIRE_GEMM_BIAS_NONE bias and
 *          bias_format are not looked at
 * @alpha, @beta: finite; used as the exact rational they are
 * @arithmetic: enum quire_gemm_arithmetic
 * @activation: enum quire_gemm_activation, after the rounding
 * @digest_batch, @digest_row, @digest_column: place of D's first element in a
 *          larger result, so that bands of one job yield terms of one digest
 * @digest_rows, @digest_columns: shape of that larger result; 0 means m and n
 * @cancel: when not NULL, looked at between blocks; once it is not 0 the call
 *          returns -ECANCELED with D partly written
 * @threads: pool from quire_threads_create(); NULL: the calling thread alone
 * @workspace: from quire_gemm_workspace_create(); NULL: one that such jobs share
 * @b_version: with a workspace, the caller's number for the contents of B; 0: none, see there
 */
struct quire_gemm {
	uint32_t m, n, k, batch;
	struct quire_gemm_operand a, b, c;
	struct quire_gemm_output d;
	const void *bias;
	uint32_t bias_format;
	uint32_t bias_kind;
	float alpha, beta;
	uint32_t arithmetic;
	uint32_t activation;
	uint64_t digest_batch;
	uint64_t digest_row, digest_column;
	uint64_t digest_rows, digest_columns;
	const volatile uint32_t *cancel;
	struct quire_threads *threads;
	struct quire_gemm_workspace *workspace;
	uint64_t b_version;
};

/*
 * struct quire_gemm_result - what a job did
 * @digest:      digest of D (quire/format.h); bands add up modulo 2^64
 * @macs:        m * n * k * batch; with tiled operands those of stored tiles only
 * @exceptional: elements of D before activation that are NaR, NaN or infinite
 * @tiled_macs:  with tiled operands, @macs by width as quire_tiled_macs() counts them
 */
struct quire_gemm_result {
	uint64_t digest;
	uint64_t macs;
	uint64_t exceptional;
	uint64_t tiled_macs[3];
};

/*
 * Check a job without touching its data.  Returns what quire_gemm() would:
 *	0		fine
 *	-EINVAL		a value is not allowed, a pointer is null or misaligned, a
 *			leading dimension is too small, D overlaps something
 *	-EOVERFLOW	a size is beyond its limit or beyond the address space
 * and, when why is not NULL, the name of the offending field in *why ("a.format")
 * or NULL.
 */
int quire_gemm_check(const struct quire_gemm *gemm, const char **why);

/*
 * Do a job.  Returns 0, an error of quire_gemm_check() (nothing written),
 * -ENOMEM or -EBUSY (another job uses the workspace; nothing written) or -ECANCELED.
 * result may be NULL.  The calling thread's floating-point environment (rounding direction, FTZ,
 * DAZ, traps) has no influence, as in all of this library, and is the same afterwards.
 * Safe to call from many threads, also with one pool.  Working memory is at most
 * about 60 MiB, whatever the job, times 2 to 6 where operands span so many powers
 * of two that their numbers are cut into parts; all but these is kept for
 * the next job.
 */
int quire_gemm(const struct quire_gemm *gemm, struct quire_gemm_result *result);

/* Elements of B whose packed form a workspace can hold. */
#define QUIRE_GEMM_KEPT_ELEMENTS (12u << 17)

/*
 * Working memory that a caller keeps between jobs of its own, and with it the packed form of B:
 * a product that is computed as bands of rows packs B once.  It is used again when the
 * job before with this workspace succeeded and had the same nonzero b_version, n, k, operand b
 * (address, format, transposition, leading dimension) and kernel; with batch = 1,
 * k <= 4096, B not tiled, n, rounded up to a multiple of 48, times k at most
 * QUIRE_GEMM_KEPT_ELEMENTS and B's columns within a few dozen powers of two.  In every other
 * case B is packed anew, so that a version costs nothing.  Whoever changes an element of B
 * gives it another version.  The memory is bounded as that of a job.
 * One job at a time may use a workspace.  NULL: no memory.
 */
struct quire_gemm_workspace *quire_gemm_workspace_create(void);
void quire_gemm_workspace_destroy(struct quire_gemm_workspace *workspace);

/*
 * Bytes that the elements of A and B took as they were packed, of the last pair of blocks of
 * the last exact job with this workspace that packed any, which must be through; 0 when there
 * is none.  Few sums are taken as they lie.  What else working memory is is a small part of them
 * when the product is large.
 */
uint64_t quire_gemm_workspace_packed_bytes(const struct quire_gemm_workspace *workspace);

/*
 * Kernels: "amx" (AMX-INT8 beside the next), "ifma" (AVX-512 IFMA), "avx2" (AVX2 with
 * FMA), "generic" (portable).
 * The best one the CPU has is taken; the variable QUIRE_KERNEL or a call of
 * quire_kernel_select() before the first job forces another; NULL returns to the
 * best.  "plain" is the reference: one accumulator per element, no blocking.  "amx" asks Linux to save
 * the process' tiles, see NOTES of quirenum(3).
 * Returns 0, -EINVAL (no such kernel) or -ENOTSUP (not on this CPU).
 */
int quire_kernel_select(const char *name);
const char *quire_kernel_name(void);

#ifdef __cplusplus
}
#endif

#endif /* QUIRENUM_GEMM_H */
