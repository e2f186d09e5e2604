// SPDX-License-Identifier: GPL-2.0-only
/*
 * hwmon: temperature, power and energy.  All three are modelled, and the labels say so.
 *
 * The energy since probe could tell at any rate what the card does for others, as the
 * telemetry counters do, so only root reads it; power is a mean over at least a second.
 */
#include <linux/hwmon.h>
#include <linux/ktime.h>
#include <linux/math64.h>

#include <drm/drm_managed.h>

#include "quire_hwmon.h"
#include "quire_power.h"

#if IS_REACHABLE(CONFIG_HWMON)

#define QUIRE_HWMON_INTERVAL_NS NSEC_PER_SEC

/** struct quire_hwmon - energy of a card over time */
struct quire_hwmon {
	/** @qdev: card */
	struct quire_device *qdev;
	/** @lock: protects all below */
	struct mutex lock;
	/** @counter_pj: last value of the card's counter, which a reset of the function clears */
	u64 counter_pj;
	/** @energy_pj: since probe */
	u64 energy_pj;
	/** @from_pj: @energy_pj at @from */
	u64 from_pj;
	/** @from: when the interval that @power_uw will tell next began */
	ktime_t from;
	/** @power_uw: mean over the last interval */
	u64 power_uw;
};

/* One picojoule in a nanosecond is a milliwatt. */
static u64 quire_hwmon_power_uw(u64 pj, s64 ns)
{
	return mul_u64_u64_div_u64(pj, 1000, ns);
}

static void quire_hwmon_count(struct quire_hwmon *hwmon)
{
	u64 counter;
	int index;

	lockdep_assert_held(&hwmon->lock);
	/* Asleep it uses nothing that the model knows of. */
	if (quire_card_enter(hwmon->qdev, &index)) {
		counter = quire_counter(hwmon->qdev, QUIRE_COUNTER_MODELLED_PJ);
		quire_card_exit(hwmon->qdev, index);
		if (counter < hwmon->counter_pj)
			hwmon->counter_pj = 0;
		/* All ones: it has been pulled. */
		if (counter != ~0ull) {
			hwmon->energy_pj += counter - hwmon->counter_pj;
			hwmon->counter_pj = counter;
		}
	}
}

static void quire_hwmon_update(struct quire_hwmon *hwmon)
{
	ktime_t now = ktime_get();
	s64 ns = ktime_to_ns(ktime_sub(now, hwmon->from));

	quire_hwmon_count(hwmon);
	if (ns < QUIRE_HWMON_INTERVAL_NS)
		return;
	hwmon->power_uw = quire_hwmon_power_uw(hwmon->energy_pj - hwmon->from_pj, ns);
	hwmon->from_pj = hwmon->energy_pj;
	hwmon->from = now;
}

static int quire_hwmon_read_temperature(struct quire_device *qdev, long *value)
{
	int index;

	if (!quire_card_enter(qdev, &index))
		return -ENODATA;
	*value = quire_counter(qdev, QUIRE_COUNTER_TEMPERATURE);
	quire_card_exit(qdev, index);
	return 0;
}

static int quire_hwmon_read(struct device *dev, enum hwmon_sensor_types type, u32 attribute,
			    int channel, long *value)
{
	struct quire_hwmon *hwmon = dev_get_drvdata(dev);

	if (type == hwmon_temp)
		return quire_hwmon_read_temperature(hwmon->qdev, value);
	mutex_lock(&hwmon->lock);
	quire_hwmon_update(hwmon);
	if (type == hwmon_power)
		*value = hwmon->power_uw;
	else
		*value = div_u64(hwmon->energy_pj, 1000000);
	mutex_unlock(&hwmon->lock);
	return 0;
}

static int quire_hwmon_read_string(struct device *dev, enum hwmon_sensor_types type,
				   u32 attribute, int channel, const char **text)
{
	switch (type) {
	case hwmon_temp:
		*text = "modelled temperature";
		return 0;
	case hwmon_power:
		*text = "modelled power";
		return 0;
	default:
		*text = "modelled energy";
		return 0;
	}
}

static umode_t quire_hwmon_is_visible(const void *data, enum hwmon_sensor_types type,
				      u32 attribute, int channel)
{
	/* They tell what others' jobs are like, as the telemetry counters do. */
	if (type == hwmon_energy && attribute == hwmon_energy_input)
		return 0400;
	return type == hwmon_power && attribute == hwmon_power_average ? 0400 : 0444;
}

static const struct hwmon_channel_info *const quire_hwmon_channels[] = {
	HWMON_CHANNEL_INFO(temp, HWMON_T_INPUT | HWMON_T_LABEL),
	HWMON_CHANNEL_INFO(power, HWMON_P_AVERAGE | HWMON_P_LABEL),
	HWMON_CHANNEL_INFO(energy, HWMON_E_INPUT | HWMON_E_LABEL),
	NULL
};

static const struct hwmon_ops quire_hwmon_ops = {
	.is_visible = quire_hwmon_is_visible,
	.read = quire_hwmon_read,
	.read_string = quire_hwmon_read_string,
};

static const struct hwmon_chip_info quire_hwmon_chip = {
	.ops = &quire_hwmon_ops,
	.info = quire_hwmon_channels,
};

void quire_hwmon_sample(struct quire_device *qdev)
{
	struct quire_hwmon *hwmon = READ_ONCE(qdev->hwmon);

	if (!hwmon)
		return;
	mutex_lock(&hwmon->lock);
	quire_hwmon_count(hwmon);
	mutex_unlock(&hwmon->lock);
}

/* The files go with the driver's binding; a card works without them. */
void quire_hwmon_init(struct quire_device *qdev)
{
	struct quire_hwmon *hwmon = drmm_kzalloc(&qdev->drm, sizeof(*hwmon), GFP_KERNEL);
	struct device *dev;

	if (!hwmon || drmm_mutex_init(&qdev->drm, &hwmon->lock))
		return;
	hwmon->qdev = qdev;
	hwmon->counter_pj = quire_counter(qdev, QUIRE_COUNTER_MODELLED_PJ);
	hwmon->from = ktime_get();
	WRITE_ONCE(qdev->hwmon, hwmon);
	dev = devm_hwmon_device_register_with_info(qdev->drm.dev, DRM_QUIRE_DRIVER_NAME, hwmon,
						   &quire_hwmon_chip, NULL);
	if (IS_ERR(dev))
		drm_warn(&qdev->drm, "no hwmon device (%pe)\n", dev);
}

#endif
