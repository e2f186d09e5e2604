// SPDX-License-Identifier: MIT
/* The checks of packets against sums that cannot overflow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <quire/packet_check.h>

typedef unsigned __int128 wide;

static uint64_t rnd(void)
{
	static uint64_t state = 0x9e3779b97f4a7c15;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* A number of up to so many bits: any, near a power of two, or near the largest. */
static uint64_t number(unsigned int bits)
{
	const uint64_t power = 1ull << rnd() % bits, near = rnd() % 5;

	switch (rnd() % 4) {
	case 0: return rnd() >> (64 - bits);
	case 1: return (1ull << bits) - 1 - near;
	default: return power + near > 2 ? power + near - 2 : power;
	}
}

/* Whether all of it lies below the end of virtual memory, and which bytes it takes. */
static bool fits(const struct quire_operand *o, uint32_t rows, uint32_t columns, uint32_t batch,
		 uint32_t bytes, wide *end)
{
	const wide last = (wide)(batch - 1) * o->batch_stride +
			  (wide)(rows - 1) * o->leading_dimension + columns;

	*end = o->address + last * bytes;
	return *end <= (wide)1 << 48;
}

static void operands_end_where_wide_sums_say(void **state)
{
	static const struct { uint32_t format, bytes; } formats[] = {
		{ QUIRE_FORMAT_POSIT8, 1 }, { QUIRE_FORMAT_BF16, 2 }, { QUIRE_FORMAT_FP32, 4 },
		{ QUIRE_FORMAT_FP64, 8 }, { QUIRE_FORMAT_QUIRE, 80 },
	};
	unsigned int good = 0;

	(void)state;
	for (int i = 0; i < 400000; i++) {
		const uint32_t bytes = formats[i % 5].bytes, align = bytes == 80 ? 8 : bytes;
		const uint32_t rows = (uint32_t)number(24), columns = (uint32_t)number(24);
		const uint32_t batch = i % 3 ? (uint32_t)number(24) + 1 : 1;
		struct quire_operand o = { .format = formats[i % 5].format };
		struct quire_check_range range;
		bool is;
		wide end;

		o.address = number(48) / align * align;
		o.leading_dimension = number(40);
		o.batch_stride = number(40);
		is = quire_check_operand(&o, 0, rows, columns, batch, &range) == QUIRE_NO_FIELD;
		if (o.leading_dimension < columns) {
			assert_false(is);
			continue;
		}
		if (is != fits(&o, rows, columns, batch, bytes, &end))
			fail_msg("%u x %u, batch %u, format %x, address %llx, row %llu, batch %llu: %s",
				 rows, columns, batch, o.format, (unsigned long long)o.address,
				 (unsigned long long)o.leading_dimension,
				 (unsigned long long)o.batch_stride, is ? "accepted" : "refused");
		if (!is)
			continue;
		good++;
		assert_int_equal(o.address, range.start);
		assert_true(range.end == (uint64_t)end);
	}
	assert_in_range(good, 10000, 390000);
}

/* Its end is 2^64 and some megabytes. */
static void an_operand_that_ends_behind_64_bits_is_refused(void **state)
{
	struct quire_packet_gemm p = {
		.header = { .opcode = QUIRE_PACKET_GEMM, .bytes = sizeof(p) },
		.m = 1, .n = 1, .k = 1 << 24, .batch = 1 << 24, .alpha = 0x3f800000,
		.gemm_flags = QUIRE_GEMM_TRANSPOSE_A,
		.a = { .address = 0x10000, .leading_dimension = 65538,
		       .batch_stride = (1ull << 40) - 1, .format = QUIRE_FORMAT_POSIT8 },
		.b = { .address = 0x40000000, .leading_dimension = 1, .format = QUIRE_FORMAT_POSIT8 },
		.d = { .address = 0x80000000, .leading_dimension = 1, .batch_stride = 1,
		       .format = QUIRE_FORMAT_POSIT8 },
	};
	uint32_t status = QUIRE_STATUS_OK;

	(void)state;
	assert_int_equal(offsetof(struct quire_packet_gemm, a), quire_packet_check(&p, &status));
	assert_int_equal(QUIRE_STATUS_BAD_PACKET, status);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(operands_end_where_wide_sums_say),
		cmocka_unit_test(an_operand_that_ends_behind_64_bits_is_refused),
	};

	return cmocka_run_group_tests_name("packet check", tests, NULL, NULL);
}
