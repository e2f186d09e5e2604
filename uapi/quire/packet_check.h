/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/*
 * What a valid packet is, as code: the firmware checks with it, and so does the
 * SDK where it runs packets without a card, so that both refuse the same packets
 * and name the same fields.  Freestanding; C only.
 *
 * A check gives QUIRE_NO_FIELD or the byte offset of the first wrong field, in the
 * order of packet.h.  Sizes are bounded before they are multiplied, so that no
 * product or sum here exceeds 64 bits.
 */
#ifndef QUIRE_PACKET_CHECK_H
#define QUIRE_PACKET_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#include "hw.h"

#define QUIRE_CHECK_VA_LIMIT (1ull << QUIRE_VA_BITS)
#define QUIRE_CHECK_STRIDE_LIMIT (1ull << 40)	/* elements; times 2^24 matrices stays below 2^64 */

#define QUIRE_CHECK_FIELD(type, field) ((uint32_t)offsetof(struct quire_packet_##type, field))

/* A contiguous range of addresses that a packet reads or writes. */
struct quire_check_range {
	uint64_t start, end;
};

static inline uint32_t quire_check_element_bytes(uint32_t format)
{
	uint32_t bits = QUIRE_FORMAT_BITS(format);

	if (format == QUIRE_FORMAT_QUIRE)
		return QUIRE_IMAGE_BYTES;
	return bits <= 8 ? 1 : bits <= 16 ? 2 : bits <= 32 ? 4 : 8;
}

/*
 * Bytes of a run of elements that starts a row; the offset of an element, too, if elements is
 * a multiple of 32 or the format has no blocks.  elements is below 2^56.
 */
static inline uint64_t quire_check_bytes(uint32_t format, uint64_t elements)
{
	if (format == QUIRE_FORMAT_MXFP8)
		return (elements + QUIRE_MX_ELEMENTS - 1) / QUIRE_MX_ELEMENTS * QUIRE_MX_BLOCK_BYTES;
	return elements * quire_check_element_bytes(format);
}

/* Formats of single elements that products read. */
static inline bool quire_check_is_operand(uint32_t format)
{
	uint32_t bits = QUIRE_FORMAT_BITS(format);

	switch (format) {
	case QUIRE_FORMAT_FP16:
	case QUIRE_FORMAT_FP32:
	case QUIRE_FORMAT_BF16:
	case QUIRE_FORMAT_E4M3:
	case QUIRE_FORMAT_E5M2:
	case QUIRE_FORMAT_INT8:
		return true;
	}
	return bits >= 3 && bits <= 32 && format == QUIRE_FORMAT_POSIT(bits);
}

/* The same and MXFP8: A and B of products besides tiled matrices, conversions besides FP64. */
static inline bool quire_check_is_factor(uint32_t format)
{
	return quire_check_is_operand(format) || format == QUIRE_FORMAT_MXFP8;
}

static inline bool quire_check_is_finite(uint32_t fp32)
{
	return (fp32 & 0x7f800000) != 0x7f800000;
}

static inline bool quire_check_is_zero(uint32_t fp32)
{
	return !(fp32 << 1);
}

static inline bool quire_check_is_unit_or_zero(uint32_t fp32)
{
	return quire_check_is_zero(fp32) || fp32 << 1 == 0x3f800000u << 1;
}

static inline bool quire_check_overlap(const struct quire_check_range *a, const struct quire_check_range *b)
{
	return a->start < b->end && b->start < a->end;
}

static inline bool quire_check_make_range(struct quire_check_range *range, uint64_t start, uint64_t bytes)
{
	range->start = start;
	range->end = start + bytes;
	return start < QUIRE_CHECK_VA_LIMIT && bytes <= QUIRE_CHECK_VA_LIMIT - start;
}

/*
 * A matrix of rows x columns at offset `at` of the packet.  batch is at most
 * 2^24, rows and columns below 2^32.
 */
static inline uint32_t quire_check_operand(const struct quire_operand *o, uint32_t at, uint32_t rows,
			      uint32_t columns, uint32_t batch, struct quire_check_range *range)
{
	uint32_t bytes = quire_check_element_bytes(o->format);
	uint32_t align = bytes == QUIRE_IMAGE_BYTES ? 8 : bytes;
	/* where a row or a matrix may start */
	uint32_t unit = o->format == QUIRE_FORMAT_MXFP8 ? QUIRE_MX_ELEMENTS : 1;
	uint64_t elements = (uint64_t)(rows - 1) * o->leading_dimension + columns;

	if (o->leading_dimension < columns || o->leading_dimension & (unit - 1))
		return at + (uint32_t)offsetof(struct quire_operand, leading_dimension);
	if (o->batch_stride >= QUIRE_CHECK_STRIDE_LIMIT || o->batch_stride & (unit - 1))
		return at + (uint32_t)offsetof(struct quire_operand, batch_stride);
	if (elements >= QUIRE_CHECK_VA_LIMIT || o->address & (align - 1))
		return at;
	if (batch > 1) {
		const uint64_t strides = (batch - 1) * o->batch_stride;

		/* Below 2^64, but with the elements on top it need not be. */
		if (strides >= QUIRE_CHECK_VA_LIMIT)
			return at;
		elements += strides;
	}
	if (elements >= QUIRE_CHECK_VA_LIMIT ||
	    !quire_check_make_range(range, o->address, quire_check_bytes(o->format, elements)))
		return at;
	return QUIRE_NO_FIELD;
}

/* The image of a tiled operand: as far as it is known, its header, for each of the batch. */
static inline uint32_t quire_check_image(const struct quire_operand *o, uint32_t at, uint32_t batch,
					 struct quire_check_range *range)
{
	if (o->leading_dimension)
		return at + (uint32_t)offsetof(struct quire_operand, leading_dimension);
	if (o->batch_stride & (QUIRE_TILED_ALIGN - 1) || o->batch_stride >= QUIRE_CHECK_STRIDE_LIMIT)
		return at + (uint32_t)offsetof(struct quire_operand, batch_stride);
	if (o->address & (QUIRE_TILED_ALIGN - 1) || (batch - 1) * o->batch_stride >= QUIRE_CHECK_VA_LIMIT ||
	    !quire_check_make_range(range, o->address, (batch - 1) * o->batch_stride +
				    sizeof(struct quire_tiled_header)))
		return at;
	return QUIRE_NO_FIELD;
}

/* What D takes, from its first element to behind its last; the packet has been checked. */
static inline struct quire_check_range quire_check_output(const struct quire_packet_gemm *p)
{
	uint64_t elements = (p->batch - 1) * p->d.batch_stride +
			    (uint64_t)(p->m - 1) * p->d.leading_dimension + p->n;
	struct quire_check_range range;

	range.start = p->d.address;
	range.end = p->d.address + elements * quire_check_element_bytes(p->d.format);
	return range;
}

/*
 * The header of an image at @address, read out of memory that others may write: that of
 * a rows x columns matrix.  QUIRE_NO_FIELD with its range, or the byte offset of the
 * wrong field of struct quire_tiled_header.
 */
static inline uint32_t quire_check_image_header(const struct quire_tiled_header *header,
						uint64_t address, uint32_t rows, uint32_t columns,
						struct quire_check_range *range)
{
	uint32_t field = quire_tiled_check_header(header, QUIRE_TILED_MAX_BYTES);

	if (field != QUIRE_NO_FIELD)
		return field;
	if (header->rows != rows)
		return (uint32_t)offsetof(struct quire_tiled_header, rows);
	if (header->columns != columns)
		return (uint32_t)offsetof(struct quire_tiled_header, columns);
	if (!quire_check_make_range(range, address, header->image_bytes))
		return (uint32_t)offsetof(struct quire_tiled_header, image_bytes);
	return QUIRE_NO_FIELD;
}

/*
 * Where bands of a product may be cut: rows and columns of D that lie in the same block of an
 * operand, whose blocks run along them, stay together.
 */
static inline uint32_t quire_check_row_unit(const struct quire_packet_gemm *p)
{
	return p->a.format == QUIRE_FORMAT_MXFP8 && p->gemm_flags & QUIRE_GEMM_TRANSPOSE_A ?
		       QUIRE_MX_ELEMENTS : 1;
}

static inline uint32_t quire_check_column_unit(const struct quire_packet_gemm *p)
{
	return p->b.format == QUIRE_FORMAT_MXFP8 && !(p->gemm_flags & QUIRE_GEMM_TRANSPOSE_B) ?
		       QUIRE_MX_ELEMENTS : 1;
}

/* A or B of a product. */
static inline uint32_t quire_check_factor(const struct quire_operand *o, uint32_t at, uint32_t rows,
					  uint32_t columns, uint32_t batch,
					  struct quire_check_range *range)
{
	if (o->format == QUIRE_FORMAT_TILED)
		return quire_check_image(o, at, batch, range);
	return quire_check_operand(o, at, rows, columns, batch, range);
}

#define QUIRE_CHECK(expression)                                                      \
	do {                                                                   \
		uint32_t field_ = (expression);                                \
									       \
		if (field_ != QUIRE_NO_FIELD)                                        \
			return field_;                                         \
	} while (0)

static inline uint32_t quire_check_gemm_scalars(const struct quire_packet_gemm *p, uint32_t *status)
{
	if (p->m == 0 || p->m > QUIRE_GEMM_MAX_DIMENSION)
		return QUIRE_CHECK_FIELD(gemm, m);
	if (p->n == 0 || p->n > QUIRE_GEMM_MAX_DIMENSION)
		return QUIRE_CHECK_FIELD(gemm, n);
	if (p->k > QUIRE_PRODUCT_LIMIT) {
		*status = QUIRE_STATUS_LIMIT;
		return QUIRE_CHECK_FIELD(gemm, k);
	}
	if (p->batch == 0 || p->batch > QUIRE_GEMM_MAX_DIMENSION)
		return QUIRE_CHECK_FIELD(gemm, batch);
	if (p->mode > QUIRE_GEMM_MODE_FP32)
		return QUIRE_CHECK_FIELD(gemm, mode);
	if (p->gemm_flags & ~QUIRE_GEMM_FLAGS ||
	    (p->gemm_flags & QUIRE_GEMM_BIAS_COLUMN && p->gemm_flags & QUIRE_GEMM_BIAS_ROW))
		return QUIRE_CHECK_FIELD(gemm, gemm_flags);
	if (!quire_check_is_finite(p->alpha))
		return QUIRE_CHECK_FIELD(gemm, alpha);
	if (!quire_check_is_finite(p->beta))
		return QUIRE_CHECK_FIELD(gemm, beta);
	if (!quire_check_is_factor(p->a.format) && p->a.format != QUIRE_FORMAT_TILED)
		return QUIRE_CHECK_FIELD(gemm, a.format);
	if (!quire_check_is_factor(p->b.format) && p->b.format != QUIRE_FORMAT_TILED)
		return QUIRE_CHECK_FIELD(gemm, b.format);
	if (p->mode == QUIRE_GEMM_MODE_FP32 &&
	    (p->a.format != QUIRE_FORMAT_BF16 || p->b.format != QUIRE_FORMAT_BF16))
		return QUIRE_CHECK_FIELD(gemm, mode);
	if (!quire_check_is_operand(p->d.format) && p->d.format != QUIRE_FORMAT_FP64 &&
	    p->d.format != QUIRE_FORMAT_QUIRE)
		return QUIRE_CHECK_FIELD(gemm, d.format);
	return QUIRE_NO_FIELD;
}

/* What a quire image as result does not go with. */
static inline uint32_t quire_check_gemm_image(const struct quire_packet_gemm *p)
{
	if (p->d.format != QUIRE_FORMAT_QUIRE)
		return QUIRE_NO_FIELD;
	if (p->mode != QUIRE_GEMM_MODE_EXACT)
		return QUIRE_CHECK_FIELD(gemm, mode);
	if (p->gemm_flags & QUIRE_GEMM_RELU)
		return QUIRE_CHECK_FIELD(gemm, gemm_flags);
	if (!quire_check_is_unit_or_zero(p->alpha))
		return QUIRE_CHECK_FIELD(gemm, alpha);
	if (!quire_check_is_unit_or_zero(p->beta))
		return QUIRE_CHECK_FIELD(gemm, beta);
	return QUIRE_NO_FIELD;
}

static inline uint32_t quire_check_gemm_bias(const struct quire_packet_gemm *p, const struct quire_check_range *d)
{
	uint32_t flags = p->gemm_flags & (QUIRE_GEMM_BIAS_COLUMN | QUIRE_GEMM_BIAS_ROW);
	uint32_t count = flags & QUIRE_GEMM_BIAS_ROW ? p->m : p->n;
	struct quire_check_range bias;

	if (!flags) {
		if (p->bias_address)
			return QUIRE_CHECK_FIELD(gemm, bias_address);
		return p->bias_format ? QUIRE_CHECK_FIELD(gemm, bias_format) : QUIRE_NO_FIELD;
	}
	if (!quire_check_is_operand(p->bias_format))
		return QUIRE_CHECK_FIELD(gemm, bias_format);
	if (p->bias_address & (quire_check_element_bytes(p->bias_format) - 1) ||
	    !quire_check_make_range(&bias, p->bias_address, (uint64_t)count * quire_check_element_bytes(p->bias_format)))
		return QUIRE_CHECK_FIELD(gemm, bias_address);
	return quire_check_overlap(&bias, d) ? QUIRE_CHECK_FIELD(gemm, d.address) : QUIRE_NO_FIELD;
}

static inline uint32_t quire_check_gemm_c(const struct quire_packet_gemm *p, const struct quire_check_range *d)
{
	const struct quire_operand *c = &p->c;
	struct quire_check_range range;

	if (quire_check_is_zero(p->beta)) {
		if (c->address)
			return QUIRE_CHECK_FIELD(gemm, c.address);
		if (c->batch_stride)
			return QUIRE_CHECK_FIELD(gemm, c.batch_stride);
		if (c->format)
			return QUIRE_CHECK_FIELD(gemm, c.format);
		return c->leading_dimension ? QUIRE_CHECK_FIELD(gemm, c.leading_dimension) : QUIRE_NO_FIELD;
	}
	if (!quire_check_is_operand(c->format) && c->format != QUIRE_FORMAT_QUIRE)
		return QUIRE_CHECK_FIELD(gemm, c.format);
	QUIRE_CHECK(quire_check_operand(c, QUIRE_CHECK_FIELD(gemm, c), p->m, p->n, p->batch, &range));
	if (c->address == p->d.address && c->format == p->d.format &&
	    c->leading_dimension == p->d.leading_dimension &&
	    c->batch_stride == p->d.batch_stride)
		return QUIRE_NO_FIELD;
	return quire_check_overlap(&range, d) ? QUIRE_CHECK_FIELD(gemm, d.address) : QUIRE_NO_FIELD;
}

static inline uint32_t quire_check_gemm(const struct quire_packet_gemm *p, uint32_t *status)
{
	bool transpose_a = p->gemm_flags & QUIRE_GEMM_TRANSPOSE_A;
	bool transpose_b = p->gemm_flags & QUIRE_GEMM_TRANSPOSE_B;
	struct quire_check_range a, b, d;

	QUIRE_CHECK(quire_check_gemm_scalars(p, status));
	QUIRE_CHECK(quire_check_gemm_image(p));
	QUIRE_CHECK(quire_check_operand(&p->d, QUIRE_CHECK_FIELD(gemm, d), p->m, p->n, p->batch, &d));
	/* Matrices of D must not quire_check_overlap each other. */
	if (p->batch > 1 &&
	    p->d.batch_stride < (uint64_t)(p->m - 1) * p->d.leading_dimension + p->n)
		return QUIRE_CHECK_FIELD(gemm, d.batch_stride);
	if (!quire_check_is_zero(p->alpha) && p->k) {
		QUIRE_CHECK(quire_check_factor(&p->a, QUIRE_CHECK_FIELD(gemm, a), transpose_a ? p->k : p->m,
				    transpose_a ? p->m : p->k, p->batch, &a));
		QUIRE_CHECK(quire_check_factor(&p->b, QUIRE_CHECK_FIELD(gemm, b), transpose_b ? p->n : p->k,
				    transpose_b ? p->k : p->n, p->batch, &b));
		if (quire_check_overlap(&a, &d) || quire_check_overlap(&b, &d))
			return QUIRE_CHECK_FIELD(gemm, d.address);
	}
	QUIRE_CHECK(quire_check_gemm_c(p, &d));
	QUIRE_CHECK(quire_check_gemm_bias(p, &d));
	return p->reserved ? QUIRE_CHECK_FIELD(gemm, reserved) : QUIRE_NO_FIELD;
}

static inline uint32_t quire_check_copy(const struct quire_packet_copy *p)
{
	struct quire_check_range source, destination;
	uint64_t rows = p->rows;

	if (p->rows == 0)
		return QUIRE_CHECK_FIELD(copy, rows);
	if (p->row_bytes == 0 || p->row_bytes >= QUIRE_CHECK_VA_LIMIT)
		return QUIRE_CHECK_FIELD(copy, row_bytes);
	/* rows < 2^32 and strides < 2^31 or one row: products stay below 2^63 */
	if (rows > 1 && (p->source_stride < p->row_bytes || p->source_stride >> 31))
		return QUIRE_CHECK_FIELD(copy, source_stride);
	if (rows > 1 && (p->destination_stride < p->row_bytes || p->destination_stride >> 31))
		return QUIRE_CHECK_FIELD(copy, destination_stride);
	if (!quire_check_make_range(&source, p->source, (rows - 1) * p->source_stride + p->row_bytes))
		return QUIRE_CHECK_FIELD(copy, source);
	if (!quire_check_make_range(&destination, p->destination,
			(rows - 1) * p->destination_stride + p->row_bytes))
		return QUIRE_CHECK_FIELD(copy, destination);
	if (quire_check_overlap(&source, &destination))
		return QUIRE_CHECK_FIELD(copy, destination);
	return p->reserved ? QUIRE_CHECK_FIELD(copy, reserved) : QUIRE_NO_FIELD;
}

static inline uint32_t quire_check_fill(const struct quire_packet_fill *p)
{
	struct quire_check_range range;

	/* At most 2^32 - 1 pieces of 64 KiB, so that a band can count them. */
	if (p->bytes == 0 || p->bytes & 7 || p->bytes > QUIRE_CHECK_VA_LIMIT - 65536)
		return QUIRE_CHECK_FIELD(fill, bytes);
	if (p->destination & 7 || !quire_check_make_range(&range, p->destination, p->bytes))
		return QUIRE_CHECK_FIELD(fill, destination);
	return p->reserved ? QUIRE_CHECK_FIELD(fill, reserved) : QUIRE_NO_FIELD;
}

static inline uint32_t quire_check_convert(const struct quire_packet_convert *p)
{
	const struct quire_operand *s = &p->source, *d = &p->destination;
	struct quire_check_range source, destination;

	if (p->rows == 0)
		return QUIRE_CHECK_FIELD(convert, rows);
	if (p->columns == 0)
		return QUIRE_CHECK_FIELD(convert, columns);
	if (p->reserved)
		return QUIRE_CHECK_FIELD(convert, reserved);
	if (!quire_check_is_factor(s->format) && s->format != QUIRE_FORMAT_FP64)
		return QUIRE_CHECK_FIELD(convert, source.format);
	if (!quire_check_is_factor(d->format) && d->format != QUIRE_FORMAT_FP64)
		return QUIRE_CHECK_FIELD(convert, destination.format);
	if (s->batch_stride)
		return QUIRE_CHECK_FIELD(convert, source.batch_stride);
	if (d->batch_stride)
		return QUIRE_CHECK_FIELD(convert, destination.batch_stride);
	QUIRE_CHECK(quire_check_operand(s, QUIRE_CHECK_FIELD(convert, source), p->rows, p->columns, 1, &source));
	QUIRE_CHECK(quire_check_operand(d, QUIRE_CHECK_FIELD(convert, destination), p->rows, p->columns, 1,
			    &destination));
	if (quire_check_overlap(&source, &destination))
		return QUIRE_CHECK_FIELD(convert, destination.address);
	return QUIRE_NO_FIELD;
}

static inline int quire_packet_is_pack(const struct quire_packet_pack *p)
{
	return p->header.opcode == QUIRE_PACKET_PACK;
}

/* The two sides of PACK and UNPACK. */
static inline const struct quire_operand *quire_pack_image(const struct quire_packet_pack *p)
{
	return quire_packet_is_pack(p) ? &p->destination : &p->source;
}

static inline const struct quire_operand *quire_pack_dense(const struct quire_packet_pack *p)
{
	return quire_packet_is_pack(p) ? &p->source : &p->destination;
}

/* One side of PACK or UNPACK at offset @at of the packet. */
static inline uint32_t quire_check_pack_side(const struct quire_packet_pack *p,
					     const struct quire_operand *o, uint32_t at,
					     struct quire_check_range *range)
{
	bool is_image = o == quire_pack_image(p);

	if (is_image ? o->format != QUIRE_FORMAT_TILED :
		       !quire_check_is_operand(o->format) && o->format != QUIRE_FORMAT_FP64)
		return at + (uint32_t)offsetof(struct quire_operand, format);
	if (o->batch_stride)
		return at + (uint32_t)offsetof(struct quire_operand, batch_stride);
	if (!is_image)
		return quire_check_operand(o, at, p->rows, p->columns, 1, range);
	QUIRE_CHECK(quire_check_image(o, at, 1, range));
	return quire_check_make_range(range, o->address, p->image_bytes) ? QUIRE_NO_FIELD : at;
}

static inline uint32_t quire_check_pack(const struct quire_packet_pack *p)
{
	struct quire_check_range source, destination;

	if (p->rows == 0 || p->rows > QUIRE_TILED_MAX_DIMENSION)
		return QUIRE_CHECK_FIELD(pack, rows);
	if (p->columns == 0 || p->columns > QUIRE_TILED_MAX_DIMENSION)
		return QUIRE_CHECK_FIELD(pack, columns);
	if (p->image_bytes < sizeof(struct quire_tiled_header) ||
	    p->image_bytes > QUIRE_TILED_MAX_BYTES)
		return QUIRE_CHECK_FIELD(pack, image_bytes);
	QUIRE_CHECK(quire_check_pack_side(p, &p->source, QUIRE_CHECK_FIELD(pack, source), &source));
	QUIRE_CHECK(quire_check_pack_side(p, &p->destination, QUIRE_CHECK_FIELD(pack, destination),
					  &destination));
	if (quire_check_overlap(&source, &destination))
		return QUIRE_CHECK_FIELD(pack, destination.address);
	return QUIRE_NO_FIELD;
}

/*
 * The header of a checked packet's image, read out of memory that others may write.
 * PACK takes a plan as well, and gets QUIRE_TILED_MAGIC in the copy.
 */
static inline uint32_t quire_check_pack_header(const struct quire_packet_pack *p,
					       struct quire_tiled_header *copy)
{
	struct quire_check_range range;

	if (quire_packet_is_pack(p) && copy->magic == QUIRE_TILED_PLAN)
		copy->magic = QUIRE_TILED_MAGIC;
	QUIRE_CHECK(quire_check_image_header(copy, quire_pack_image(p)->address, p->rows,
					     p->columns, &range));
	return copy->image_bytes == p->image_bytes ?
		       QUIRE_NO_FIELD :
		       (uint32_t)offsetof(struct quire_tiled_header, image_bytes);
}

static inline uint32_t quire_packet_check_header(const struct quire_packet_header *header)
{
	static const uint8_t bytes[] = {
		[QUIRE_PACKET_NOP] = sizeof(struct quire_packet_header),
		[QUIRE_PACKET_GEMM] = sizeof(struct quire_packet_gemm),
		[QUIRE_PACKET_COPY] = sizeof(struct quire_packet_copy),
		[QUIRE_PACKET_FILL] = sizeof(struct quire_packet_fill),
		[QUIRE_PACKET_CONVERT] = sizeof(struct quire_packet_convert),
		[QUIRE_PACKET_PACK] = sizeof(struct quire_packet_pack),
		[QUIRE_PACKET_UNPACK] = sizeof(struct quire_packet_pack),
	};

	if (header->opcode >= sizeof(bytes))
		return QUIRE_CHECK_FIELD(header, opcode);
	if (header->bytes != bytes[header->opcode])
		return QUIRE_CHECK_FIELD(header, bytes);
	if (header->flags)
		return QUIRE_CHECK_FIELD(header, flags);
	if (header->result & 7 || header->result > QUIRE_CHECK_VA_LIMIT - sizeof(struct quire_packet_result))
		return QUIRE_CHECK_FIELD(header, result);
	return QUIRE_NO_FIELD;
}

/*
 * Check a packet whose header has been checked.  *status tells what a wrong field
 * means: QUIRE_STATUS_BAD_PACKET or QUIRE_STATUS_LIMIT.
 */
static inline uint32_t quire_packet_check(const void *packet, uint32_t *status)
{
	*status = QUIRE_STATUS_BAD_PACKET;
	switch (((const struct quire_packet_header *)packet)->opcode) {
	case QUIRE_PACKET_GEMM:
		return quire_check_gemm((const struct quire_packet_gemm *)packet, status);
	case QUIRE_PACKET_COPY:
		return quire_check_copy((const struct quire_packet_copy *)packet);
	case QUIRE_PACKET_FILL:
		return quire_check_fill((const struct quire_packet_fill *)packet);
	case QUIRE_PACKET_CONVERT:
		return quire_check_convert((const struct quire_packet_convert *)packet);
	case QUIRE_PACKET_PACK:
	case QUIRE_PACKET_UNPACK:
		return quire_check_pack((const struct quire_packet_pack *)packet);
	}
	return QUIRE_NO_FIELD;
}

#undef QUIRE_CHECK

#endif /* QUIRE_PACKET_CHECK_H */
