// SPDX-License-Identifier: GPL-2.0-only
/*
 * Checks of packets, field by field in the order of uapi/quire/packet.h.  A check
 * gives the byte offset of the first wrong field.  Sizes are bounded before they
 * are multiplied, so that no product or sum here exceeds 64 bits.
 */
#include "firmware.h"

#define VA_LIMIT (1ull << QUIRE_VA_BITS)
#define STRIDE_LIMIT (1ull << 40)	/* elements; times 2^24 matrices stays below 2^64 */
#define FILL_PIECE 65536u
#define BAND_BYTES (8u << 20)
#define BAND_ELEMENTS (1u << 20)

#define FIELD(type, field) ((uint32_t)offsetof(struct quire_packet_##type, field))

/* A contiguous range of addresses that a packet reads or writes. */
struct range {
	uint64_t start, end;
};

static uint32_t element_bytes(uint32_t format)
{
	uint32_t bits = QUIRE_FORMAT_BITS(format);

	if (format == QUIRE_FORMAT_QUIRE)
		return QUIRE_IMAGE_BYTES;
	return bits <= 8 ? 1 : bits <= 16 ? 2 : bits <= 32 ? 4 : 8;
}

/* Formats that products and conversions read. */
static bool is_operand(uint32_t format)
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

static bool is_finite(uint32_t fp32)
{
	return (fp32 & 0x7f800000) != 0x7f800000;
}

static bool is_zero(uint32_t fp32)
{
	return !(fp32 << 1);
}

static bool is_unit_or_zero(uint32_t fp32)
{
	return is_zero(fp32) || fp32 << 1 == 0x3f800000u << 1;
}

static bool overlap(const struct range *a, const struct range *b)
{
	return a->start < b->end && b->start < a->end;
}

static bool make_range(struct range *range, uint64_t start, uint64_t bytes)
{
	range->start = start;
	range->end = start + bytes;
	return start < VA_LIMIT && bytes <= VA_LIMIT - start;
}

/*
 * A matrix of rows x columns at offset `at` of the packet.  batch is at most
 * 2^24, rows and columns below 2^32.
 */
static uint32_t check_operand(const struct quire_operand *o, uint32_t at, uint32_t rows,
			      uint32_t columns, uint32_t batch, struct range *range)
{
	uint32_t bytes = element_bytes(o->format);
	uint32_t align = bytes == QUIRE_IMAGE_BYTES ? 8 : bytes;
	uint64_t elements = (uint64_t)(rows - 1) * o->leading_dimension + columns;

	if (o->leading_dimension < columns)
		return at + (uint32_t)offsetof(struct quire_operand, leading_dimension);
	if (o->batch_stride >= STRIDE_LIMIT)
		return at + (uint32_t)offsetof(struct quire_operand, batch_stride);
	if (elements >= VA_LIMIT || o->address & (align - 1))
		return at;
	if (batch > 1)
		elements += (batch - 1) * o->batch_stride;
	if (elements >= VA_LIMIT || !make_range(range, o->address, elements * bytes))
		return at;
	return NO_FIELD;
}

#define CHECK(expression)                                                      \
	do {                                                                   \
		uint32_t field_ = (expression);                                \
									       \
		if (field_ != NO_FIELD)                                        \
			return field_;                                         \
	} while (0)

static uint32_t check_gemm_scalars(const struct quire_packet_gemm *p, uint32_t *status)
{
	if (p->m == 0 || p->m > QUIRE_GEMM_MAX_DIMENSION)
		return FIELD(gemm, m);
	if (p->n == 0 || p->n > QUIRE_GEMM_MAX_DIMENSION)
		return FIELD(gemm, n);
	if (p->k > QUIRE_PRODUCT_LIMIT) {
		*status = QUIRE_STATUS_LIMIT;
		return FIELD(gemm, k);
	}
	if (p->batch == 0 || p->batch > QUIRE_GEMM_MAX_DIMENSION)
		return FIELD(gemm, batch);
	if (p->mode > QUIRE_GEMM_MODE_FP32)
		return FIELD(gemm, mode);
	if (p->gemm_flags & ~QUIRE_GEMM_FLAGS ||
	    (p->gemm_flags & QUIRE_GEMM_BIAS_COLUMN && p->gemm_flags & QUIRE_GEMM_BIAS_ROW))
		return FIELD(gemm, gemm_flags);
	if (!is_finite(p->alpha))
		return FIELD(gemm, alpha);
	if (!is_finite(p->beta))
		return FIELD(gemm, beta);
	if (!is_operand(p->a.format))
		return FIELD(gemm, a.format);
	if (!is_operand(p->b.format))
		return FIELD(gemm, b.format);
	if (p->mode == QUIRE_GEMM_MODE_FP32 &&
	    (p->a.format != QUIRE_FORMAT_BF16 || p->b.format != QUIRE_FORMAT_BF16))
		return FIELD(gemm, mode);
	if (!is_operand(p->d.format) && p->d.format != QUIRE_FORMAT_FP64 &&
	    p->d.format != QUIRE_FORMAT_QUIRE)
		return FIELD(gemm, d.format);
	return NO_FIELD;
}

/* What a quire image as result does not go with. */
static uint32_t check_gemm_image(const struct quire_packet_gemm *p)
{
	if (p->d.format != QUIRE_FORMAT_QUIRE)
		return NO_FIELD;
	if (p->mode != QUIRE_GEMM_MODE_EXACT)
		return FIELD(gemm, mode);
	if (p->gemm_flags & QUIRE_GEMM_RELU)
		return FIELD(gemm, gemm_flags);
	if (!is_unit_or_zero(p->alpha))
		return FIELD(gemm, alpha);
	if (!is_unit_or_zero(p->beta))
		return FIELD(gemm, beta);
	return NO_FIELD;
}

static uint32_t check_gemm_bias(const struct quire_packet_gemm *p, const struct range *d)
{
	uint32_t flags = p->gemm_flags & (QUIRE_GEMM_BIAS_COLUMN | QUIRE_GEMM_BIAS_ROW);
	uint32_t count = flags & QUIRE_GEMM_BIAS_ROW ? p->m : p->n;
	struct range bias;

	if (!flags) {
		if (p->bias_address)
			return FIELD(gemm, bias_address);
		return p->bias_format ? FIELD(gemm, bias_format) : NO_FIELD;
	}
	if (!is_operand(p->bias_format))
		return FIELD(gemm, bias_format);
	if (p->bias_address & (element_bytes(p->bias_format) - 1) ||
	    !make_range(&bias, p->bias_address, (uint64_t)count * element_bytes(p->bias_format)))
		return FIELD(gemm, bias_address);
	return overlap(&bias, d) ? FIELD(gemm, d.address) : NO_FIELD;
}

static uint32_t check_gemm_c(const struct quire_packet_gemm *p, const struct range *d)
{
	const struct quire_operand *c = &p->c;
	struct range range;

	if (is_zero(p->beta)) {
		if (c->address)
			return FIELD(gemm, c.address);
		if (c->batch_stride)
			return FIELD(gemm, c.batch_stride);
		if (c->format)
			return FIELD(gemm, c.format);
		return c->leading_dimension ? FIELD(gemm, c.leading_dimension) : NO_FIELD;
	}
	if (!is_operand(c->format) && c->format != QUIRE_FORMAT_QUIRE)
		return FIELD(gemm, c.format);
	CHECK(check_operand(c, FIELD(gemm, c), p->m, p->n, p->batch, &range));
	if (c->address == p->d.address && c->format == p->d.format &&
	    c->leading_dimension == p->d.leading_dimension &&
	    c->batch_stride == p->d.batch_stride)
		return NO_FIELD;
	return overlap(&range, d) ? FIELD(gemm, d.address) : NO_FIELD;
}

static uint32_t check_gemm(const struct quire_packet_gemm *p, uint32_t *status)
{
	bool transpose_a = p->gemm_flags & QUIRE_GEMM_TRANSPOSE_A;
	bool transpose_b = p->gemm_flags & QUIRE_GEMM_TRANSPOSE_B;
	struct range a, b, d;

	CHECK(check_gemm_scalars(p, status));
	CHECK(check_gemm_image(p));
	CHECK(check_operand(&p->d, FIELD(gemm, d), p->m, p->n, p->batch, &d));
	/* Matrices of D must not overlap each other. */
	if (p->batch > 1 &&
	    p->d.batch_stride < (uint64_t)(p->m - 1) * p->d.leading_dimension + p->n)
		return FIELD(gemm, d.batch_stride);
	if (!is_zero(p->alpha) && p->k) {
		CHECK(check_operand(&p->a, FIELD(gemm, a), transpose_a ? p->k : p->m,
				    transpose_a ? p->m : p->k, p->batch, &a));
		CHECK(check_operand(&p->b, FIELD(gemm, b), transpose_b ? p->n : p->k,
				    transpose_b ? p->k : p->n, p->batch, &b));
		if (overlap(&a, &d) || overlap(&b, &d))
			return FIELD(gemm, d.address);
	}
	CHECK(check_gemm_c(p, &d));
	CHECK(check_gemm_bias(p, &d));
	return p->reserved ? FIELD(gemm, reserved) : NO_FIELD;
}

static uint32_t check_copy(const struct quire_packet_copy *p)
{
	struct range source, destination;
	uint64_t rows = p->rows;

	if (p->rows == 0)
		return FIELD(copy, rows);
	if (p->row_bytes == 0 || p->row_bytes >= VA_LIMIT)
		return FIELD(copy, row_bytes);
	/* rows < 2^32 and strides < 2^31 or one row: products stay below 2^63 */
	if (rows > 1 && (p->source_stride < p->row_bytes || p->source_stride >> 31))
		return FIELD(copy, source_stride);
	if (rows > 1 && (p->destination_stride < p->row_bytes || p->destination_stride >> 31))
		return FIELD(copy, destination_stride);
	if (!make_range(&source, p->source, (rows - 1) * p->source_stride + p->row_bytes))
		return FIELD(copy, source);
	if (!make_range(&destination, p->destination,
			(rows - 1) * p->destination_stride + p->row_bytes))
		return FIELD(copy, destination);
	if (overlap(&source, &destination))
		return FIELD(copy, destination);
	return p->reserved ? FIELD(copy, reserved) : NO_FIELD;
}

static uint32_t check_fill(const struct quire_packet_fill *p)
{
	struct range range;

	if (p->bytes == 0 || p->bytes & 7 || p->bytes >= VA_LIMIT)
		return FIELD(fill, bytes);
	if (p->destination & 7 || !make_range(&range, p->destination, p->bytes))
		return FIELD(fill, destination);
	return p->reserved ? FIELD(fill, reserved) : NO_FIELD;
}

static uint32_t check_convert(const struct quire_packet_convert *p)
{
	const struct quire_operand *s = &p->source, *d = &p->destination;
	struct range source, destination;

	if (p->rows == 0)
		return FIELD(convert, rows);
	if (p->columns == 0)
		return FIELD(convert, columns);
	if (p->reserved)
		return FIELD(convert, reserved);
	if (!is_operand(s->format) && s->format != QUIRE_FORMAT_FP64)
		return FIELD(convert, source.format);
	if (!is_operand(d->format) && d->format != QUIRE_FORMAT_FP64)
		return FIELD(convert, destination.format);
	if (s->batch_stride)
		return FIELD(convert, source.batch_stride);
	if (d->batch_stride)
		return FIELD(convert, destination.batch_stride);
	CHECK(check_operand(s, FIELD(convert, source), p->rows, p->columns, 1, &source));
	CHECK(check_operand(d, FIELD(convert, destination), p->rows, p->columns, 1,
			    &destination));
	if (overlap(&source, &destination) &&
	    !(s->address == d->address && s->leading_dimension == d->leading_dimension &&
	      element_bytes(s->format) == element_bytes(d->format)))
		return FIELD(convert, destination.address);
	return NO_FIELD;
}

uint32_t packet_check_header(const struct quire_packet_header *header)
{
	static const uint8_t bytes[] = {
		[QUIRE_PACKET_NOP] = sizeof(struct quire_packet_header),
		[QUIRE_PACKET_GEMM] = sizeof(struct quire_packet_gemm),
		[QUIRE_PACKET_COPY] = sizeof(struct quire_packet_copy),
		[QUIRE_PACKET_FILL] = sizeof(struct quire_packet_fill),
		[QUIRE_PACKET_CONVERT] = sizeof(struct quire_packet_convert),
	};

	if (header->opcode >= sizeof(bytes))
		return FIELD(header, opcode);
	if (header->bytes != bytes[header->opcode])
		return FIELD(header, bytes);
	if (header->flags)
		return FIELD(header, flags);
	if (header->result & 7 || header->result > VA_LIMIT - sizeof(struct quire_packet_result))
		return FIELD(header, result);
	return NO_FIELD;
}

static uint32_t step_of(uint64_t unit, uint32_t budget)
{
	return unit >= budget ? 1 : budget / (uint32_t)unit;
}

uint32_t packet_check(struct queue *q, uint32_t *status)
{
	struct band_plan *plan = &q->plan;

	*status = QUIRE_STATUS_BAD_PACKET;
	switch (q->packet.header.opcode) {
	case QUIRE_PACKET_GEMM:
		CHECK(check_gemm(&q->packet.gemm, status));
		band_plan_gemm(plan, &q->packet.gemm);
		break;
	case QUIRE_PACKET_COPY:
		CHECK(check_copy(&q->packet.copy));
		band_plan_rows(plan, q->packet.copy.rows, 1,
			       step_of(q->packet.copy.row_bytes, BAND_BYTES));
		break;
	case QUIRE_PACKET_FILL:
		CHECK(check_fill(&q->packet.fill));
		/* 2^48 bytes are 2^32 pieces; more than fits is refused as out of range */
		if (q->packet.fill.bytes > (uint64_t)FILL_PIECE * 0xffffffffu)
			return FIELD(fill, bytes);
		band_plan_rows(plan,
			       (uint32_t)((q->packet.fill.bytes + FILL_PIECE - 1) / FILL_PIECE), 1,
			       BAND_BYTES / FILL_PIECE);
		break;
	case QUIRE_PACKET_CONVERT:
		CHECK(check_convert(&q->packet.convert));
		band_plan_rows(plan, q->packet.convert.rows, q->packet.convert.columns,
			       step_of(q->packet.convert.columns, BAND_ELEMENTS));
		break;
	default:	/* NOP: no bands */
		plan->more = false;
	}
	return NO_FIELD;
}
