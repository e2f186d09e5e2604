/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/*
 * The model of cycles and energy: docs/hardware.md section 9.  It is arithmetic,
 * never a measurement.  The device and the backends without a card share it.
 *
 * Sources: Jouppi et al., "Ten Lessons From Three Generations Shaped Google's
 * TPUv4i", ISCA 2021 (7 nm adders and multipliers); Horowitz, "Computing's Energy
 * Problem", ISSCC 2014; ratios of posit and exact accumulators to them by counting
 * full adders; memory energies of HBM2 and PCI Express by order of magnitude.
 */
#ifndef QUIRE_MODEL_H
#define QUIRE_MODEL_H

#include "hw.h"

#define QUIRE_MODEL_CARD_PJ_PER_BYTE 40u
#define QUIRE_MODEL_BUS_PJ_PER_BYTE 50u
#define QUIRE_MODEL_BYTES_PER_CYCLE 256u

/*
 * struct quire_model_cost - of one multiply-accumulate
 * @macs_per_cycle:     of the whole card
 * @femtojoule_per_mac: with its share of the accumulator
 * @counter:            enum quire_counter it is counted in
 */
struct quire_model_cost {
	uint32_t macs_per_cycle;
	uint32_t femtojoule_per_mac;
	uint32_t counter;
};

static inline struct quire_model_cost quire_model_format(uint32_t format, uint32_t mode)
{
	struct quire_model_cost cost = { 4096, 200, QUIRE_COUNTER_MACS_OTHER };
	uint32_t bits = QUIRE_FORMAT_BITS(format);

	switch (QUIRE_FORMAT_KIND(format)) {
	case QUIRE_KIND_POSIT:
		cost.macs_per_cycle = bits <= 8 ? 4096 : bits <= 16 ? 1024 : 256;
		cost.femtojoule_per_mac = bits <= 8 ? 230 : bits <= 16 ? 750 : 2700;
		cost.counter = bits <= 8  ? QUIRE_COUNTER_MACS_POSIT8 :
			       bits <= 16 ? QUIRE_COUNTER_MACS_POSIT16 :
					    QUIRE_COUNTER_MACS_POSIT32;
		break;
	case QUIRE_KIND_BFLOAT:
		cost.macs_per_cycle = 1024;
		cost.femtojoule_per_mac = mode == QUIRE_GEMM_MODE_FP32 ? 590 : 550;
		cost.counter = QUIRE_COUNTER_MACS_BF16;
		break;
	case QUIRE_KIND_IEEE:
		cost.macs_per_cycle = bits <= 16 ? 1024 : 256;
		cost.femtojoule_per_mac = bits <= 16 ? 600 : 2700;
		cost.counter = bits <= 16 ? QUIRE_COUNTER_MACS_OTHER : QUIRE_COUNTER_MACS_FP32;
		break;
	case QUIRE_KIND_INT:
		cost.femtojoule_per_mac = 100;
		break;
	}
	return cost;
}

/* A mixed pair costs what the dearer operand costs. */
static inline struct quire_model_cost quire_model_product(uint32_t format_a, uint32_t format_b,
							  uint32_t mode)
{
	struct quire_model_cost a = quire_model_format(format_a, mode);
	struct quire_model_cost b = quire_model_format(format_b, mode);

	return a.femtojoule_per_mac >= b.femtojoule_per_mac ? a : b;
}

static inline int quire_packet_is_tiled(const struct quire_packet_gemm *p)
{
	return p->a.format == QUIRE_FORMAT_TILED || p->b.format == QUIRE_FORMAT_TILED;
}

/*
 * Of products with a tiled operand, by width of the tile: 0 up to 8 bits, 1 up to 16, 2
 * more; of two tiles the wider counts.
 */
static inline struct quire_model_cost quire_model_tiled(const struct quire_packet_gemm *p,
							uint32_t width)
{
	uint32_t tile = QUIRE_FORMAT_POSIT(8u << width);

	return quire_model_product(p->a.format == QUIRE_FORMAT_TILED ? tile : p->a.format,
				   p->b.format == QUIRE_FORMAT_TILED ? tile : p->b.format,
				   QUIRE_GEMM_MODE_EXACT);
}

/* Picojoule of macs multiply-accumulates; macs below 2^63. */
static inline uint64_t quire_model_pj(struct quire_model_cost cost, uint64_t macs)
{
	return macs / 1000 * cost.femtojoule_per_mac + macs % 1000 * cost.femtojoule_per_mac / 1000;
}

/*
 * struct quire_model_macs - what the products of a packet cost; without tiled operands
 * all of its MACs are macs[0]
 */
struct quire_model_macs {
	uint64_t cycles;
	uint64_t picojoule;
};

static inline struct quire_model_macs quire_model_gemm(const struct quire_packet_gemm *p,
						       const uint64_t macs[3])
{
	struct quire_model_macs sum = { 0, 0 };

	for (uint32_t i = 0; i < 3; i++) {
		struct quire_model_cost cost =
			quire_packet_is_tiled(p) ? quire_model_tiled(p, i) :
						   quire_model_product(p->a.format, p->b.format,
								       p->mode);

		sum.cycles += (macs[i] + cost.macs_per_cycle - 1) / cost.macs_per_cycle;
		sum.picojoule += quire_model_pj(cost, macs[i]);
	}
	return sum;
}

#endif /* QUIRE_MODEL_H */
