// SPDX-License-Identifier: MIT
/* How the firmware cuts packets into bands and shares the engines among queues. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "firmware_card.h"

/* What an engine may keep from band to band hangs on this number. */
static void bands_of_one_packet_share_a_serial_that_no_other_has(void **state)
{
	const struct quire_packet_gemm packets[4] = {
		gemm(1000, 1000, 1000, 1), gemm(2, 2, 2, 1), gemm(1000, 1000, 1000, 1),
		gemm(64, 64, 1024, 200),
	};
	uint32_t serial[4] = { 0 };
	struct card *card = boot(VERSIONS);

	(void)state;
	start_queue(card, 0, 1);
	submit(card, 0, packets, sizeof(packets));
	run(card);
	assert_int_equal(QUIRE_STATUS_OK, record(card, 0, 1).status);
	for (unsigned int i = 0, packet = 0; i < card->bands; i++) {
		const struct quire_band *b = &card->history[i].band;

		if (i && !b->row && !b->column && !b->batch)
			packet++;
		if (!b->row && !b->column && !b->batch)
			serial[packet] = b->serial;
		assert_int_equal(serial[packet], b->serial);
	}
	assert_int_equal(0, serial[1]);
	assert_true(serial[0] && serial[2] && serial[3]);
	assert_true(serial[0] != serial[2] && serial[0] != serial[3] && serial[2] != serial[3]);
	destroy(card);
}

static void bands_tile_the_output_exactly(void **state)
{
	static const struct { uint32_t m, n, k, batch, most; } cases[] = {
		{ 64, 64, 64, 1, 1 },	   { 512, 512, 64, 1, 32 },    { 100, 300, 5000, 1, 2500 },
		{ 1, 1, 1u << 30, 1, 1 },  { 7, 5, 3, 1000, 4 },       { 65, 1000, 1000, 3, 600 },
		{ 2000, 1, 2000, 1, 63 },   { 1, 2000, 2000, 1, 63 },   { 130, 70, 20000, 1, 2300 },
		{ 3, 5, 1 << 19, 1, 15 },
	};

	(void)state;
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct card *card = boot(VERSIONS);
		struct quire_packet_gemm p =
			gemm(cases[i].m, cases[i].n, cases[i].k, cases[i].batch);

		p.a.address = 0x1000;
		p.b.address = 0x400000000000ull;
		p.d.address = 0x800000000000ull;
		start_queue(card, 0, 1);
		submit(card, 0, &p, sizeof(p));
		run(card);
		assert_int_equal(QUIRE_STATUS_OK, record(card, 0, 1).status);
		check_tiling(card, cases[i].m, cases[i].n, cases[i].batch);
		assert_true(card->bands <= cases[i].most);
		/* the digest is the sum over bands */
		assert_int_equal((uint64_t)cases[i].m * cases[i].n * cases[i].batch,
				 record(card, 0, 1).digest);
		destroy(card);
	}
}

/*
 * Numbers that may be far apart cost up to 2.5 ns a product, and some 4 ns where each is read for a
 * single one.  What is mostly cheap stays in one band.  A card has bands of 2^8 times as much.
 */
static void bands_of_numbers_that_may_be_far_apart_are_short(void **state)
{
	static const struct { uint32_t m, n, k, format, mode, bands; } cases[] = {
		{ 40, 1, 1 << 14, QUIRE_FORMAT_FP32, 0, 10 },
		{ 1, 40, 1 << 14, QUIRE_FORMAT_FP32, 0, 10 },
		{ 40, 1, 1 << 14, QUIRE_FORMAT_POSIT32, 0, 10 },
		{ 40, 1, 1 << 14, QUIRE_FORMAT_POSIT16, 0, 14 },
		{ 40, 1, 1 << 14, QUIRE_FORMAT_BF16, QUIRE_GEMM_MODE_FP32, 14 },
		{ 6, 8, 1 << 12, QUIRE_FORMAT_POSIT16, 0, 2 },
		{ 4, 2, 1 << 14, QUIRE_FORMAT_POSIT16, 0, 2 },
		{ 1, 1, 1 << 14, QUIRE_FORMAT_FP32, 0, 1 },
		{ 64, 64, 1 << 8, QUIRE_FORMAT_FP32, 0, 4 },
		{ 64, 64, 128, QUIRE_FORMAT_FP32, 0, 2 },
		{ 32, 32, 128, QUIRE_FORMAT_FP32, 0, 1 },
		{ 64, 64, 128, QUIRE_FORMAT_BF16, 0, 1 },
		{ 64, 64, 256, QUIRE_FORMAT_BF16, 0, 2 },
		{ 64, 64, 256, QUIRE_FORMAT_BF16, QUIRE_GEMM_MODE_FP32, 1 },
		{ 64, 64, 256, QUIRE_FORMAT_POSIT16, 0, 1 },
		{ 1000, 1, 100, QUIRE_FORMAT_FP32, 0, 1 },
		{ 1, 1000, 100, QUIRE_FORMAT_FP32, 0, 1 },
	};

	(void)state;
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct card *card = boot(VERSIONS);
		struct quire_packet_gemm p = gemm(cases[i].m, cases[i].n, cases[i].k, 1);

		p.a.address = 0x1000;
		p.b.address = 0x400000000000ull;
		p.d.address = 0x800000000000ull;
		p.a.format = p.b.format = p.d.format = cases[i].format;
		p.mode = cases[i].mode;
		start_queue(card, 0, 1);
		submit(card, 0, &p, sizeof(p));
		run(card);
		assert_int_equal(QUIRE_STATUS_OK, record(card, 0, 1).status);
		check_tiling(card, cases[i].m, cases[i].n, 1);
		if (card->bands != cases[i].bands)
			fail_msg("case %u: %u bands, not %u", i, card->bands, cases[i].bands);
		destroy(card);
	}
}

/* No queue is left out and none is served twice, the last number included. */
static void round_robin_reaches_every_queue(void **state)
{
	static const unsigned int queues[] = { 0, 1, 31, 32, 62, 63 };
	struct card *card = boot(VERSIONS);
	unsigned int served[QUIRE_QUEUES] = { 0 };

	(void)state;
	for (unsigned int i = 0; i < 6; i++) {
		configure_queue(card, queues[i], 1);
		card->queue[queues[i]][QUIRE_QUEUE_RING_LO / 4] = RING(i);
		card->queue[queues[i]][QUIRE_QUEUE_RECORD_LO / 4] = RECORDS(i);
		assert_int_equal(QUIRE_MAILBOX_OK,
				 mailbox(card, QUIRE_MAILBOX_QUEUE_START, queues[i]));
	}
	card->engines_inline = false;
	for (unsigned int i = 0; i < 6; i++) {
		struct quire_packet_gemm p = gemm(80000 + queues[i], 1000, 1000, 1);
		struct quire_ring_entry entry = { .sequence = 1, .stream_bytes = sizeof(p),
						  .stream_address = STREAM + 0x1000 * i };

		memcpy(card->bus + entry.stream_address, &p, sizeof(p));
		memcpy(card->bus + RING(i) + sizeof(entry), &entry, sizeof(entry));
		card->queue[queues[i]][QUIRE_QUEUE_TAIL / 4] = 1;
		card->doorbells |= 1ull << queues[i];
	}
	for (unsigned int round = 0; round < 150; round++) {
		run(card);
		for (unsigned int e = 0; e < ENGINES; e++)
			if (card->engine_band[e])
				end_band(card, e, QUIRE_STATUS_OK);
	}
	for (unsigned int i = 0; i < card->bands; i++)
		served[card->history[i].packet.m - 80000]++;
	for (unsigned int i = 0; i < 6; i++)
		assert_in_range(served[queues[i]], card->bands / 6 - 1, card->bands / 6 + 1);
	destroy(card);
}

/* One row of many bytes, a matrix with long rows: cut as well. */
static void long_rows_are_cut(void **state)
{
	struct quire_packet_copy copy = { { QUIRE_PACKET_COPY, sizeof(copy), 0, 0 },
					  0, 1ull << 40, (20u << 20) + 1, 0, 0, 1, 0 };
	struct quire_packet_convert convert = {
		{ QUIRE_PACKET_CONVERT, sizeof(convert), 0, 0 }, 2, 3 << 20, 0,
		{ 0, 0, QUIRE_FORMAT_FP32, 3 << 20 }, { 1ull << 40, 0, QUIRE_FORMAT_POSIT8, 3 << 20 } };
	struct card *card = boot(VERSIONS);
	uint64_t pieces = 0;

	(void)state;
	start_queue(card, 0, 1);
	submit(card, 0, &copy, sizeof(copy));
	run(card);
	assert_int_equal(QUIRE_STATUS_OK, record(card, 0, 1).status);
	assert_int_equal(3, card->bands);	/* 8 MiB each */
	for (unsigned int i = 0; i < card->bands; i++) {
		assert_int_equal(pieces, card->history[i].band.column);
		assert_int_equal(1, card->history[i].band.rows);
		pieces += card->history[i].band.columns;
	}
	assert_int_equal(321, pieces);		/* of 64 KiB */
	card->bands = 0;
	submit(card, 0, &convert, sizeof(convert));
	run(card);
	assert_int_equal(6, card->bands);
	check_tiling(card, 2, 3 << 20, 1);
	destroy(card);
}

/* Where products are the least of what an engine does, it is matrices and rows that count. */
static void bands_of_few_products_are_short(void **state)
{
	static const struct { uint32_t m, n, batch, most; } cases[] = {
		{ 1, 1, 1 << 20, 512 }, { 1 << 20, 1, 1, 1 << 15 }, { 1, 1 << 20, 1, 1 << 15 },
		{ 16, 16, 1 << 12, 1 << 17 },
	};
	const struct quire_packet_copy copy = { { QUIRE_PACKET_COPY, sizeof(copy), 0, 0 },
						0, 1ull << 40, 1, 1, 1, 1 << 20, 0 };
	const struct quire_packet_convert convert = {
		{ QUIRE_PACKET_CONVERT, sizeof(convert), 0, 0 }, 1 << 20, 1, 0,
		{ 0, 0, QUIRE_FORMAT_FP32, 1 }, { 1ull << 40, 0, QUIRE_FORMAT_POSIT8, 1 } };
	struct card *card = boot(VERSIONS);

	(void)state;
	start_queue(card, 0, 1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct quire_packet_gemm p = gemm(cases[i].m, cases[i].n, 1, cases[i].batch);

		p.a.address = 0x1000;
		p.b.address = 0x400000000000ull;
		p.d.address = 0x800000000000ull;
		card->bands = 0;
		submit(card, 0, &p, sizeof(p));
		run(card);
		for (unsigned int n = 0; n < card->bands; n++) {
			const struct quire_band *b = &card->history[n].band;

			assert_true((uint64_t)b->batches * b->rows * b->columns <= cases[i].most);
		}
		check_tiling(card, cases[i].m, cases[i].n, cases[i].batch);
	}
	card->bands = 0;
	submit(card, 0, &copy, sizeof(copy));
	run(card);
	assert_int_equal(128, card->bands);
	card->bands = 0;
	submit(card, 0, &convert, sizeof(convert));
	run(card);
	assert_int_equal(128, card->bands);
	check_tiling(card, 1 << 20, 1, 1);
	destroy(card);
}

/*
 * A sum costs some 0.3 us where it is more than rounded or its numbers may be far apart, however
 * short it is; with a factor that is a power of two it does not.
 */
static void bands_of_dear_sums_are_short(void **state)
{
	static const struct {
		uint32_t alpha, beta, c, bias, d, format, least, most;
	} cases[] = {
		{ .alpha = 0x3f800000, .least = 1 << 19, .most = 1 << 20 },
		{ .alpha = 0xbe800000, .least = 1 << 19, .most = 1 << 20 },
		{ .alpha = 0x3f800001, .least = 1 << 17, .most = 1 << 18 },
		{ .alpha = 1, .least = 1 << 17, .most = 1 << 18 },
		{ .alpha = 0x3f800000, .beta = 0x3f800000, .c = QUIRE_FORMAT_POSIT16,
		  .least = 1 << 17, .most = 1 << 18 },
		{ .alpha = 0x3f800000, .beta = 0xbf800000, .c = QUIRE_FORMAT_QUIRE,
		  .least = 1 << 17, .most = 1 << 18 },
		{ .alpha = 0x3f800000, .bias = QUIRE_FORMAT_FP32,
		  .least = 1 << 17, .most = 1 << 18 },
		{ .alpha = 0x3f800000, .d = QUIRE_FORMAT_QUIRE, .least = 1 << 17, .most = 1 << 18 },
		{ .alpha = 0x3f800000, .format = QUIRE_FORMAT_FP32,
		  .least = 1 << 16, .most = 1 << 17 },
	};

	(void)state;
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct quire_packet_gemm p = gemm(1024, 4096, 1, 1);
		struct card *card = boot(VERSIONS);

		p.alpha = cases[i].alpha;
		p.beta = cases[i].beta;
		if (cases[i].c)
			p.c = (struct quire_operand){ 1ull << 40, 0, cases[i].c, 4096 };
		if (cases[i].bias) {
			p.bias_address = 1ull << 41;
			p.bias_format = cases[i].bias;
			p.gemm_flags = QUIRE_GEMM_BIAS_COLUMN;
		}
		if (cases[i].d)
			p.d.format = cases[i].d;
		if (cases[i].format)
			p.a.format = cases[i].format;
		start_queue(card, 0, 1);
		submit(card, 0, &p, sizeof(p));
		run(card);
		assert_int_equal(QUIRE_STATUS_OK, record(card, 0, 1).status);
		check_tiling(card, 1024, 4096, 1);
		for (unsigned int j = 0; j < card->bands; j++) {
			const struct quire_band *b = &card->history[j].band;
			const uint32_t sums = b->rows * b->columns;

			if (sums < cases[i].least || sums > cases[i].most)
				fail_msg("case %u: a band of %u sums", i, sums);
		}
		destroy(card);
	}
}

/* Serve engines for a while and count whose bands they get. */
static void serve(struct card *card, unsigned int rounds, unsigned int count[8])
{
	for (unsigned int i = 0; i < rounds; i++) {
		unsigned int first = card->bands;

		for (unsigned int e = 0; e < ENGINES; e++)
			if (card->engine_band[e])
				end_band(card, e, QUIRE_STATUS_OK);
		run(card);
		for (; first < card->bands; first++)
			count[card->history[first].packet.m % 8]++;
	}
}

static void long_jobs_share_and_short_ones_do_not_wait(void **state)
{
	struct card *card = boot(VERSIONS);
	unsigned int count[8] = { 0 };
	struct quire_packet_gemm p;

	(void)state;
	card->engines_inline = false;
	for (unsigned int q = 0; q < 2; q++) {
		start_queue(card, q, 1);
		p = gemm(80000 + q, 1000, 1000, 1);
		submit(card, q, &p, sizeof(p));
	}
	serve(card, 100, count);
	assert_in_range(count[0], 90, 110);
	assert_in_range(count[1], 90, 110);
	/* A short job arrives: it is served within the next bands. */
	start_queue(card, 2, 1);
	p = gemm(10, 1, 1, 1);
	submit(card, 2, &p, sizeof(p));
	serve(card, 3, count);
	assert_int_equal(1, record(card, 2, 1).sequence);
	destroy(card);
}

static void high_priority_comes_first_and_low_does_not_starve(void **state)
{
	struct card *card = boot(VERSIONS);
	unsigned int count[8] = { 0 };

	(void)state;
	card->engines_inline = false;
	for (unsigned int q = 0; q < 3; q++) {
		struct quire_packet_gemm p = gemm(80000 + q, 1000, 1000, 1);

		start_queue(card, q, q);
		submit(card, q, &p, sizeof(p));
	}
	serve(card, 400, count);
	assert_true(count[2] > 8 * (count[0] + count[1]) / 2);
	assert_true(count[0] >= 20 && count[1] >= 20);
	destroy(card);
}

/* Bands start at a block where blocks run along them, however long the sums are. */
static void bands_keep_blocks(void **state)
{
	const struct { uint32_t m, n, k, flags, row_unit, column_unit; } shapes[] = {
		{ 100, 100, 1 << 20, 0, 1, 32 },
		{ 100, 100, 1 << 20, QUIRE_GEMM_TRANSPOSE_A, 32, 32 },
		{ 100, 100, 1 << 20, QUIRE_GEMM_TRANSPOSE_A | QUIRE_GEMM_TRANSPOSE_B, 32, 1 },
		{ 300, 5000, 5000, QUIRE_GEMM_TRANSPOSE_A, 32, 32 },
		{ 70, 33, 1 << 29, QUIRE_GEMM_TRANSPOSE_A, 32, 32 },
	};
	struct card *card = boot(VERSIONS);

	(void)state;
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		struct quire_packet_gemm p = gemm(shapes[i].m, shapes[i].n, shapes[i].k, 1);
		bool at = shapes[i].flags & QUIRE_GEMM_TRANSPOSE_A;
		bool bt = shapes[i].flags & QUIRE_GEMM_TRANSPOSE_B;

		p.gemm_flags = shapes[i].flags;
		p.a.address = 1ull << 45;
		p.a.format = QUIRE_FORMAT_MXFP8;
		p.a.leading_dimension = ((at ? p.m : p.k) + 31) / 32 * 32;
		p.b.address = 1ull << 46;
		p.b.format = QUIRE_FORMAT_MXFP8;
		p.b.leading_dimension = ((bt ? p.k : p.n) + 31) / 32 * 32;
		p.a.batch_stride = 0;
		p.b.batch_stride = 0;
		card->bands = 0;
		start_queue(card, 0, 1);
		submit(card, 0, &p, sizeof(p));
		run(card);
		assert_int_equal(QUIRE_STATUS_OK, record(card, 0, 1).status);
		assert_true(card->bands > 1);
		for (unsigned int band = 0; band < card->bands; band++) {
			assert_int_equal(card->history[band].band.row % shapes[i].row_unit, 0);
			assert_int_equal(card->history[band].band.column % shapes[i].column_unit, 0);
		}
		check_tiling(card, p.m, p.n, 1);
		mailbox(card, QUIRE_MAILBOX_QUEUE_STOP, 0);
	}
	destroy(card);
}

/* An engine that runs all bands: how often it packs an element of B. */
static uint64_t elements_packed(const struct card *card, uint32_t k)
{
	const struct quire_band *kept = NULL;
	uint64_t packed = 0;

	for (unsigned int i = 0; i < card->bands; i++) {
		const struct quire_band *b = &card->history[i].band;
		uint32_t panels = (b->columns + QUIRE_BAND_PANEL_COLUMNS - 1) / QUIRE_BAND_PANEL_COLUMNS;

		if (!kept || b->column != kept->column || b->columns != kept->columns ||
		    b->batch != kept->batch)
			packed += (uint64_t)b->columns * b->batches * k;
		kept = (uint64_t)panels * QUIRE_BAND_PANEL_COLUMNS * k <= KEPT_B ? b : NULL;
	}
	return packed;
}

/*
 * Large products, B of which no engine can keep as a whole: it is packed once all the same, and
 * the bands are of the size that they may have.
 */
static void b_is_packed_once(void **state)
{
	static const struct { uint32_t m, n, k, batch; } cases[] = {
		{ 700, 1500, 16, 1 },  { 700, 385, 16, 1 },  { 129, 2000, 16, 2 }, { 1100, 900, 7, 1 },
		{ 65, 3000, 13, 1 },   { 640, 384, 16, 3 },  { 400, 999, 10, 2 },  { 200, 4000, 9, 1 },
		{ 1000, 433, 14, 1 },  { 1000, 432, 14, 1 },
	};
	static const uint32_t formats[] = { QUIRE_FORMAT_POSIT16, QUIRE_FORMAT_MXFP8 };

	(void)state;
	for (unsigned int i = 0; i < 4 * sizeof(cases) / sizeof(cases[0]); i++) {
		const uint32_t m = cases[i / 4].m, n = cases[i / 4].n, k = cases[i / 4].k;
		struct quire_packet_gemm p = gemm(m, n, k, cases[i / 4].batch);
		struct card *card = boot(VERSIONS);

		p.gemm_flags = i & 1 ? QUIRE_GEMM_TRANSPOSE_B : 0;
		p.b.format = formats[i >> 1 & 1];
		p.b.leading_dimension = ((i & 1 ? k : n) + 31) / 32 * 32;
		p.b.batch_stride = p.b.leading_dimension * (i & 1 ? n : k);
		start_queue(card, 0, 1);
		submit(card, 0, &p, sizeof(p));
		run(card);
		assert_int_equal(QUIRE_STATUS_OK, record(card, 0, 1).status);
		check_tiling(card, m, n, p.batch);
		assert_true(card->bands > p.batch);
		assert_int_equal((uint64_t)n * k * p.batch, elements_packed(card, k));
		for (unsigned int j = 0; j < card->bands; j++) {
			const struct quire_band *b = &card->history[j].band;

			assert_int_equal(1, b->batches);
			assert_int_equal(0, b->column % 32);
			assert_true((uint64_t)b->rows * b->columns * k <= BAND_MACS);
		}
		destroy(card);
	}
}

static void run_product(struct card *card, const struct quire_packet_gemm *p)
{
	start_queue(card, 0, 1);
	submit(card, 0, p, sizeof(*p));
	run(card);
	assert_int_equal(QUIRE_STATUS_OK, record(card, 0, 1).status);
	check_tiling(card, p->m, p->n, 1);
}

/*
 * A is read once per window: rows in all bands together.  With few rows a window is not worth
 * that, and bands are no smaller than they must be.
 */
static void windows_are_not_narrow(void **state)
{
	static const struct { uint32_t m, n, k, rows, bands; } cases[] = {
		{ 60, 3000, 16, 3 * 60, 3 },
		{ 3000, 60, 200, 3000, 47 },
		{ 700, 1500, 16, 4 * 700, 4 * 6 },
		{ 100, 3000, 20, 7 * 100, 7 },
	};

	(void)state;
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct quire_packet_gemm p = gemm(cases[i].m, cases[i].n, cases[i].k, 1);
		struct card *card = boot(VERSIONS);
		uint32_t rows = 0;

		run_product(card, &p);
		for (unsigned int j = 0; j < card->bands; j++)
			rows += card->history[j].band.rows;
		assert_in_range(rows, p.m, cases[i].rows);
		assert_in_range(card->bands, 1, cases[i].bands);
		destroy(card);
	}
}

/*
 * Of long sums, and in FP32 mode, nothing is kept: what a band packs, its rows and columns,
 * is little when it is a square.  Half as much again is allowed.
 */
static void bands_that_keep_nothing_are_near_squares(void **state)
{
	static const struct { uint32_t m, n, k, mode; } cases[] = {
		{ 700, 1500, 17, 0 }, { 700, 1500, 40, 0 }, { 3000, 300, 50, 0 }, { 150, 2000, 20, 0 },
		{ 1000, 1000, 16, QUIRE_GEMM_MODE_FP32 }, { 500, 3000, 8, QUIRE_GEMM_MODE_FP32 },
	};

	(void)state;
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const double area = (double)BAND_MACS / cases[i].k;
		struct quire_packet_gemm p = gemm(cases[i].m, cases[i].n, cases[i].k, 1);
		struct card *card = boot(VERSIONS);
		double packed = 0, elements = (double)p.m * p.n;

		p.mode = cases[i].mode;
		if (p.mode == QUIRE_GEMM_MODE_FP32)
			p.a.format = p.b.format = QUIRE_FORMAT_BF16;
		run_product(card, &p);
		for (unsigned int j = 0; j < card->bands; j++)
			packed += card->history[j].band.rows + card->history[j].band.columns;
		/* squares: twice the side for each, elements over area of them */
		assert_true(packed * packed <= 1.5 * 1.5 * 4 * elements * elements / area);
		destroy(card);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bands_of_one_packet_share_a_serial_that_no_other_has),
		cmocka_unit_test(bands_tile_the_output_exactly),
		cmocka_unit_test(bands_of_numbers_that_may_be_far_apart_are_short),
		cmocka_unit_test(round_robin_reaches_every_queue),
		cmocka_unit_test(long_rows_are_cut),
		cmocka_unit_test(bands_of_few_products_are_short),
		cmocka_unit_test(bands_of_dear_sums_are_short),
		cmocka_unit_test(long_jobs_share_and_short_ones_do_not_wait),
		cmocka_unit_test(high_priority_comes_first_and_low_does_not_starve),
		cmocka_unit_test(bands_keep_blocks),
		cmocka_unit_test(b_is_packed_once),
		cmocka_unit_test(windows_are_not_narrow),
		cmocka_unit_test(bands_that_keep_nothing_are_near_squares),
	};

	return cmocka_run_group_tests_name("firmware bands", tests, NULL, NULL);
}
