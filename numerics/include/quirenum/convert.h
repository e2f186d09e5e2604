/* SPDX-License-Identifier: MIT */
/*
 * Conversion of matrices from any format to any other, one rounding per element.
 *
 *	D = round(factor * S)
 *
 * Rounding and special values are those of docs/numerics.md, section 2: to a posit never to
 * zero and never past the largest; infinities and NaN become NaR; NaR becomes the canonical
 * quiet NaN; to FP16, FP32, FP64, BF16 and E5M2 overflow gives infinity; E4M3 saturates to
 * 448 and INT8 to -128 and 127, and NaN is -128 there.  The sign of a zero is kept where both
 * formats have one.  All kernels give the same bits and the same digest.
 *
 * MXFP8 takes its scales from what is converted: docs/numerics.md says how.  An infinity is NaN
 * there, and what is left of the last block of a row becomes zero.
 */
#ifndef QUIRENUM_CONVERT_H
#define QUIRENUM_CONVERT_H

#include <stdint.h>

#include <quire/format.h>

#ifdef __cplusplus
extern "C" {
#endif

struct quire_threads;

/*
 * struct quire_convert - one conversion; all zero but factor 1 is a good start
 * @rows, @columns: of both matrices; with 0 nothing is done
 * @source, @destination: element (0, 0), aligned to its container, a quire image to 8 bytes.
 *          They must not overlap.
 * @source_format, @destination_format: posit<n> with n = 3..32, BF16, FP16, FP32, FP64, E4M3,
 *          E5M2, INT8, MXFP8 or the quire image; a quire image does not become MXFP8, nor
 *          do FP64 and MXFP8 become an image
 * @source_leading_dimension, @destination_leading_dimension: elements from one row to the
 *          next, at least columns, of MXFP8 a multiple of 32 (not looked at with a single row)
 * @factor: finite and not 0, taken exactly: the scale of INT8 data, or one over it.  Must be 1
 *          when a format is FP64 or the quire image.
 * @digest_row, @digest_column: place of the first element in a larger destination of
 *          @digest_columns columns that is converted in parts, so that the digests add up;
 *          0 columns: not a part.  Parts of MXFP8 are whole blocks, up to the last of a row
 * @cancel: when not NULL, looked at from time to time; once it is not 0 the call returns
 *          -ECANCELED with the destination partly written
 * @threads: pool from quire_threads_create(); NULL: the calling thread alone
 */
struct quire_convert {
	uint64_t rows, columns;
	const void *source;
	void *destination;
	uint32_t source_format, destination_format;
	uint64_t source_leading_dimension, destination_leading_dimension;
	float factor;
	uint32_t reserved;	/* 0 */
	uint64_t digest_row, digest_column, digest_columns;
	const volatile uint32_t *cancel;
	struct quire_threads *threads;
};

/*
 * struct quire_convert_result - what a conversion did
 * @digest:      of the destination (quire/format.h)
 * @exceptional: elements of the destination that are NaR, NaN or infinite
 */
struct quire_convert_result {
	uint64_t digest;
	uint64_t exceptional;
};

/*
 * Check a conversion without touching its data: 0, -EINVAL (a value is not allowed, a pointer
 * is null or misaligned, a leading dimension is too small, the matrices overlap, MXFP8 is cut
 * within a block) or -EOVERFLOW (a size is beyond the address space), and, when why is not NULL, the name of the offending
 * field in *why or NULL.
 */
int quire_convert_check(const struct quire_convert *convert, const char **why);

/*
 * Do a conversion.  Returns 0, an error of quire_convert_check() or -ENOMEM (nothing
 * written), or -ECANCELED.  result may be NULL; the digest is only taken when it is not.  Safe to
 * call from many threads, also with one pool.  Needs no memory to speak of.
 */
int quire_convert(const struct quire_convert *convert, struct quire_convert_result *result);

#ifdef __cplusplus
}
#endif

#endif /* QUIRENUM_CONVERT_H */
