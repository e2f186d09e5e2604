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

static double celsius(const struct card *card)
{
	return (double)card->counters[QUIRE_COUNTER_TEMPERATURE] * 1e-3;
}

/* ---- list ---- */

static json_object *list_row(const struct card *card)
{
	json_object *row = json_object_new_object();

	smi_put_integer(row, "index", card->name.index);
	smi_put_string(row, "pci_address", card->name.bdf);
	smi_put_string(row, "node", card->name.node);
	if (card->error) {
		static const char *const unknown[] = {
			"serial", "firmware", "engines", "card_memory_bytes", "card_used_bytes",
			"modelled_celsius", "resets",
		};

		for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
			json_object_object_add(row, unknown[i], NULL);
		return row;
	}
	smi_put_integer(row, "serial", card->info.serial);
	smi_put_release(row, "firmware", card->info.fw_release);
	smi_put_integer(row, "engines", card->info.engines);
	smi_put_integer(row, "card_memory_bytes", card->info.card_memory);
	smi_put_integer(row, "card_used_bytes", card->info.card_used);
	smi_put_number(row, "modelled_celsius", celsius(card));
	smi_put_integer(row, "resets", card->info.resets);
	return row;
}

/* ---- info ---- */

/* First line of an attribute of the card's PCI function, or NULL. */
static const char *attribute(const struct card *card, const char *name, char line[64])
{
	char path[PATH_MAX];
	FILE *file;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", card->name.bdf, name);
	file = fopen(path, "r");
	if (!file)
		return NULL;
	if (!fgets(line, 64, file))
		*line = '\0';
	fclose(file);
	line[strcspn(line, "\n")] = '\0';
	return *line ? line : NULL;
}

static void put_attribute(json_object *row, const struct card *card, const char *key,
			  const char *name)
{
	char line[64];

	smi_put_string(row, key, attribute(card, name, line));
}

/* The same for a whole number; the kernel writes -1 for "not known". */
static void put_attribute_number(json_object *row, const struct card *card, const char *key,
				 const char *name)
{
	char line[64];
	const char *text = attribute(card, name, line);

	if (text && *text != '-')
		smi_put_integer(row, key, strtoull(text, NULL, 10));
	else
		json_object_object_add(row, key, NULL);
}

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

static void put_identity(json_object *row, const struct card *card)
{
	static const char *const numbers[] = {
		"interface_version", "queues", "contexts", "system_used_bytes",
	};
	const struct quire_device_info *info = &card->info;
	char version[24];

	if (card->error) {
		smi_put_string(row, "hardware", NULL);
		for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
			json_object_object_add(row, numbers[i], NULL);
		return;
	}
	snprintf(version, sizeof(version), "%u.%u", info->hw_version >> 16,
		 info->hw_version & 0xffff);
	smi_put_string(row, "hardware", version);
	smi_put_integer(row, "interface_version", info->interface_version);
	smi_put_integer(row, "queues", info->queues);
	smi_put_integer(row, "contexts", info->contexts);
	smi_put_integer(row, "system_used_bytes", info->system_used);
}

static json_object *info_row(const struct card *card)
{
	json_object *row = list_row(card);

	put_identity(row, card);
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
		if (card->error)
			json_object_object_add(row, counter_keys[i], NULL);
		else
			smi_put_integer(row, counter_keys[i], card->counters[i]);
	}
	if (card->error)
		json_object_object_add(row, "modelled_celsius", NULL);
	else
		smi_put_number(row, "modelled_celsius", celsius(card));
	return row;
}

/* ---- all three ---- */

static int show(const struct smi_options *options, const char *command,
		json_object *(*make_row)(const struct card *), void (*print)(json_object *))
{
	static struct card cards[CARDS_MOST];
	json_object *report = smi_report_create(command), *rows = json_object_new_array();
	int status = 0, count = smi_cards(options, cards, &status);

	for (int i = 0; i < count; i++)
		json_object_array_add(rows, make_row(&cards[i]));
	json_object_object_add(report, "cards", rows);
	if (options->json) {
		smi_report_print(report);
	} else {
		if (count > 0)
			print(rows);
		json_object_put(report);
	}
	return count < 0 ? status : smi_cards_status(cards, count);
}

int smi_list(const struct smi_options *options)
{
	return show(options, "list", list_row, table_print);
}

int smi_info(const struct smi_options *options)
{
	return show(options, "info", info_row, smi_print_objects);
}

int smi_counters(const struct smi_options *options)
{
	return show(options, "counters", counters_row, smi_print_objects);
}
