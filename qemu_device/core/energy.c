// SPDX-License-Identifier: MIT
/* Energy of moving bytes, and the temperature that follows from all energy: a model. */
#include <math.h>

#include "internal.h"

#define AMBIENT_MILLIDEGREES 35000.0
#define MILLIDEGREES_PER_WATT 500.0
#define THERMAL_SECONDS 10.0
#define MILLIDEGREES_MOST 1000000u	/* no sensor shows more */

uint64_t energy_of_bytes(uint64_t card_bytes, uint64_t system_bytes)
{
	return card_bytes * QUIRE_MODEL_CARD_PJ_PER_BYTE + system_bytes * QUIRE_MODEL_BUS_PJ_PER_BYTE;
}

/* First-order: the mean power since the last reading warms towards its equilibrium. */
uint32_t energy_temperature(struct quire_device *device)
{
	uint64_t now = device->bus.clock(device->bus.opaque);
	uint64_t pj = atomic_load(&device->counter[QUIRE_COUNTER_MODELLED_PJ]);
	double seconds = (double)(now - device->heat_time) * 1e-9;
	/* While a reset waits, a register access may see the counter already cleared. */
	uint64_t spent = pj >= device->heat_pj ? pj - device->heat_pj : 0;
	double watts = seconds > 0 ? (double)spent * 1e-12 / seconds : 0;
	double target = AMBIENT_MILLIDEGREES + watts * MILLIDEGREES_PER_WATT;

	device->temperature += (target - device->temperature) * -expm1(-seconds / THERMAL_SECONDS);
	device->heat_time = now;
	device->heat_pj = pj;
	return device->temperature < MILLIDEGREES_MOST ? (uint32_t)device->temperature :
							 MILLIDEGREES_MOST;
}

void energy_restart(struct quire_device *device)
{
	device->heat_time = device->bus.clock(device->bus.opaque);
	device->heat_pj = atomic_load(&device->counter[QUIRE_COUNTER_MODELLED_PJ]);
	device->temperature = AMBIENT_MILLIDEGREES;
}
