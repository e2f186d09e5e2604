// SPDX-License-Identifier: MIT
/* The commands list, info and counters: what is known of each card. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <quire/hw.h>

#include "../table.h"
#include "smi.h"

static void put_attribute(json_object *row, const struct card *card, const char *key,
			  const char *name)
{
	char line[64];

	smi_put_string(row, key, smi_attribute(card, name, line));
}

/* The same for a whole number; the kernel writes -1 for "not known". */
static void put_attribute_number(json_object *row, const struct card *card, const char *key,
				 const char *name)
{
	char line[64];
	const char *text = smi_attribute(card, name, line);

	if (text && *text != '-')
		smi_put_integer(row, key, strtoull(text, NULL, 10));
	else
		json_object_object_add(row, key, NULL);
}

static void put_temperature(json_object *row, const struct card *card)
{
	double celsius;

	if (smi_temperature(card, &celsius))
		smi_put_number(row, "modelled_celsius", celsius);
	else
		json_object_object_add(row, "modelled_celsius", NULL);
}

/* ---- list ---- */

static json_object *list_row(const struct card *card)
{
	json_object *row = json_object_new_object();

	smi_put_integer(row, "index", card->name.index);
	smi_put_string(row, "pci_address", card->name.bdf);
	smi_put_string(row, "node", card->name.node);
	put_attribute_number(row, card, "serial", "quire/serial");
	put_attribute(row, card, "state", "quire/state");
	put_attribute(row, card, "firmware", "quire/fw_release");
	put_attribute_number(row, card, "engines", "quire/engines");
	put_attribute_number(row, card, "card_memory_bytes", "quire/card_memory");
	put_attribute_number(row, card, "card_used_bytes", "quire/card_memory_used");
	put_temperature(row, card);
	put_attribute_number(row, card, "resets", "quire/resets");
	return row;
}

/* ---- info ---- */

static void put_iommu_group(json_object *row, const struct card *card)
{
	char path[PATH_MAX], target[PATH_MAX];
	ssize_t length;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", card->name.bdf);
	length = readlink(path, target, sizeof(target) - 1);
	if (length > 0) {
		target[length] = '\0';
		smi_put_integer(row, "iommu_group", strtoul(strrchr(target, '/') + 1, NULL, 10));
	} else {
		json_object_object_add(row, "iommu_group", NULL);
	}
}

static json_object *info_row(const struct card *card)
{
	json_object *row = list_row(card);

	put_attribute(row, card, "hardware", "quire/hw_version");
	put_attribute_number(row, card, "interface_version", "quire/interface_version");
	put_attribute_number(row, card, "queues", "quire/queues");
	put_attribute_number(row, card, "contexts", "quire/contexts");
	if (card->error) {
		json_object_object_add(row, "system_used_bytes", NULL);
		json_object_object_add(row, "memory_losses", NULL);
	} else {
		smi_put_integer(row, "system_used_bytes", card->info.system_used);
		smi_put_integer(row, "memory_losses", card->info.vram_lost);
	}
	put_attribute(row, card, "pci_link_speed", "current_link_speed");
	put_attribute_number(row, card, "pci_link_width", "current_link_width");
	put_attribute(row, card, "pci_power_state", "power_state");
	put_attribute_number(row, card, "numa_node", "numa_node");
	put_iommu_group(row, card);
	return row;
}

/* ---- counters ---- */

/* In the order of enum quire_counter, but for the temperature. */
static const char *const counter_keys[QUIRE_DEVICE_COUNTERS] = {
	[QUIRE_COUNTER_CYCLES] = "cycles",
	[QUIRE_COUNTER_JOBS] = "jobs",
	[QUIRE_COUNTER_PACKETS] = "packets",
	[QUIRE_COUNTER_MACS_POSIT8] = "macs_posit8",
	[QUIRE_COUNTER_MACS_POSIT16] = "macs_posit16",
	[QUIRE_COUNTER_MACS_POSIT32] = "macs_posit32",
	[QUIRE_COUNTER_MACS_BF16] = "macs_bf16",
	[QUIRE_COUNTER_MACS_FP32] = "macs_fp32",
	[QUIRE_COUNTER_MACS_OTHER] = "macs_other",
	[QUIRE_COUNTER_BYTES_CARD] = "card_moved_bytes",
	[QUIRE_COUNTER_BYTES_SYSTEM] = "system_moved_bytes",
	[QUIRE_COUNTER_MODELLED_PJ] = "modelled_pj",
	[QUIRE_COUNTER_FAULTS] = "mmu_faults",
	[QUIRE_COUNTER_ERRORS] = "errors",
	[QUIRE_COUNTER_INSTRUCTIONS] = "firmware_instructions",
};

static json_object *counters_row(const struct card *card)
{
	json_object *row = json_object_new_object();

	smi_put_integer(row, "index", card->name.index);
	smi_put_string(row, "pci_address", card->name.bdf);
	for (size_t i = 0; i < QUIRE_DEVICE_COUNTERS; i++) {
		if (!counter_keys[i])
			continue;
		if (card->counters_error)
			json_object_object_add(row, counter_keys[i], NULL);
		else
			smi_put_integer(row, counter_keys[i], card->counters[i]);
	}
	put_temperature(row, card);
	return row;
}

/* ---- all three ---- */

static int wedged_status(const struct card *cards, int count)
{
	int status = STATUS_OK;

	for (int i = 0; i < count; i++) {
		if (!smi_is_wedged(&cards[i]))
			continue;
		fprintf(stderr, "quire-smi: %s: a reset failed, the card does nothing any more; "
			"modprobe -r quire, modprobe quire\n", cards[i].name.node);
		status = STATUS_DEVICE_LOST;
	}
	return status;
}

static int error_status(const struct card *cards, int count)
{
	int status = STATUS_OK;

	for (int i = 0; i < count; i++) {
		int error = cards[i].counters_error;

		if (!error)
			continue;
		/* Why a card cannot be opened names it already. */
		fprintf(stderr, "quire-smi: %s%s%s\n", cards[i].error ? "" : cards[i].name.node,
			cards[i].error ? "" : ": ", cards[i].error_text);
		if (!status)
			/* It was there a moment ago. */
			status = error == -ENODEV ? STATUS_DEVICE_LOST : exit_status_of(error);
	}
	return status;
}

static int show(const struct smi_options *options, const char *command,
		json_object *(*make_row)(const struct card *), void (*print)(json_object *),
		int (*status)(const struct card *cards, int count))
{
	static struct card cards[CARDS_MOST];
	json_object *report = smi_report_create(command), *rows = json_object_new_array();
	int count = smi_cards(options, cards);

	for (int i = 0; i < count; i++)
		json_object_array_add(rows, make_row(&cards[i]));
	json_object_object_add(report, "cards", rows);
	if (options->json) {
		smi_report_print(report);
	} else {
		print(rows);
		json_object_put(report);
	}
	fflush(stdout);
	return count ? status(cards, count) : STATUS_NO_DEVICE;
}

int smi_list(const struct smi_options *options)
{
	return show(options, "list", list_row, table_print, wedged_status);
}

int smi_info(const struct smi_options *options)
{
	return show(options, "info", info_row, smi_print_objects, wedged_status);
}

int smi_counters(const struct smi_options *options)
{
	return show(options, "counters", counters_row, smi_print_objects, error_status);
}
