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
	/** @lock: protects all below; inside it is quire_counters.lock */
	struct mutex lock;
	/** @from_pj: energy since probe at @from */
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

/* Energy since probe. */
static u64 quire_hwmon_energy_pj(struct quire_device *qdev)
{
	u64 pj;
	int index;

	/* Asleep it uses nothing that the model knows of. */
	if (!quire_card_enter(qdev, &index))
		return quire_counter_kept(qdev, QUIRE_COUNTER_MODELLED_PJ);
	pj = quire_counter(qdev, QUIRE_COUNTER_MODELLED_PJ);
	quire_card_exit(qdev, index);
	return pj;
}

static void quire_hwmon_update(struct quire_hwmon *hwmon, u64 pj)
{
	ktime_t now = ktime_get();
	s64 ns = ktime_to_ns(ktime_sub(now, hwmon->from));

	lockdep_assert_held(&hwmon->lock);
	if (ns < QUIRE_HWMON_INTERVAL_NS)
		return;
	hwmon->power_uw = quire_hwmon_power_uw(pj - hwmon->from_pj, ns);
	hwmon->from_pj = pj;
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
	u64 pj;

	if (type == hwmon_temp)
		return quire_hwmon_read_temperature(hwmon->qdev, value);
	mutex_lock(&hwmon->lock);
	pj = quire_hwmon_energy_pj(hwmon->qdev);
	quire_hwmon_update(hwmon, pj);
	if (type == hwmon_power)
		*value = hwmon->power_uw;
	else
		*value = div_u64(pj, 1000000);
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

/* The files go with the driver's binding; a card works without them. */
void quire_hwmon_init(struct quire_device *qdev)
{
	struct quire_hwmon *hwmon = drmm_kzalloc(&qdev->drm, sizeof(*hwmon), GFP_KERNEL);
	struct device *dev;

	if (!hwmon || drmm_mutex_init(&qdev->drm, &hwmon->lock))
		return;
	hwmon->qdev = qdev;
	hwmon->from = ktime_get();
	dev = devm_hwmon_device_register_with_info(qdev->drm.dev, DRM_QUIRE_DRIVER_NAME, hwmon,
						   &quire_hwmon_chip, NULL);
	if (IS_ERR(dev))
		drm_warn(&qdev->drm, "no hwmon device (%pe)\n", dev);
}

#endif
