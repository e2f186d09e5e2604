// SPDX-License-Identifier: MIT
/*
 * The model of cycles, energy and temperature: docs/hardware.md section 9.  It is
 * arithmetic, not a measurement.  Sources: Jouppi et al., "Ten Lessons From Three
 * Generations Shaped Google's TPUv4i", ISCA 2021 (7 nm adders and multipliers);
 * Horowitz, "Computing's Energy Problem", ISSCC 2014; area ratios of posit and
 * exact accumulators by counting full adders.
 */
#include <math.h>

#include "internal.h"

#define CARD_PJ_PER_BYTE 40
#define BUS_PJ_PER_BYTE 50
#define AMBIENT_MILLIDEGREES 35000.0
#define MILLIDEGREES_PER_WATT 500.0
#define THERMAL_SECONDS 10.0

static struct energy_cost cost_of(uint32_t format)
{
	uint32_t bits = QUIRE_FORMAT_BITS(format);

	switch (QUIRE_FORMAT_KIND(format)) {
	case QUIRE_KIND_POSIT:
		if (bits <= 8)
			return (struct energy_cost){ 4096, 230, QUIRE_COUNTER_MACS_POSIT8 };
		if (bits <= 16)
			return (struct energy_cost){ 1024, 750, QUIRE_COUNTER_MACS_POSIT16 };
		return (struct energy_cost){ 256, 2700, QUIRE_COUNTER_MACS_POSIT32 };
	case QUIRE_KIND_BFLOAT:
		return (struct energy_cost){ 1024, 550, QUIRE_COUNTER_MACS_BF16 };
	case QUIRE_KIND_IEEE:
		if (bits <= 16)
			return (struct energy_cost){ 1024, 600, QUIRE_COUNTER_MACS_OTHER };
		return (struct energy_cost){ 256, 2700, QUIRE_COUNTER_MACS_FP32 };
	case QUIRE_KIND_INT:
		return (struct energy_cost){ 4096, 100, QUIRE_COUNTER_MACS_OTHER };
	}
	return (struct energy_cost){ 4096, 200, QUIRE_COUNTER_MACS_OTHER };
}

/* A mixed pair costs what the wider operand costs. */
struct energy_cost energy_of_product(uint32_t format_a, uint32_t format_b)
{
	struct energy_cost a = cost_of(format_a), b = cost_of(format_b);

	return a.femtojoule_per_mac >= b.femtojoule_per_mac ? a : b;
}

uint64_t energy_of_bytes(uint64_t card_bytes, uint64_t system_bytes)
{
	return card_bytes * CARD_PJ_PER_BYTE + system_bytes * BUS_PJ_PER_BYTE;
}

/* First-order: the mean power since the last reading warms towards its equilibrium. */
uint32_t energy_temperature(struct quire_device *device)
{
	uint64_t now = device->bus.clock(device->bus.opaque);
	uint64_t pj = atomic_load(&device->counter[QUIRE_COUNTER_MODELLED_PJ]);
	double seconds = (double)(now - device->heat_time) * 1e-9;
	double watts = seconds > 0 ? (double)(pj - device->heat_pj) * 1e-12 / seconds : 0;
	double target = AMBIENT_MILLIDEGREES + watts * MILLIDEGREES_PER_WATT;

	if (device->temperature == 0)
		device->temperature = AMBIENT_MILLIDEGREES;
	device->temperature += (target - device->temperature) * -expm1(-seconds / THERMAL_SECONDS);
	device->heat_time = now;
	device->heat_pj = pj;
	return (uint32_t)device->temperature;
}
