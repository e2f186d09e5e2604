// SPDX-License-Identifier: MIT
/* Finding the cards, and what sysfs tells anybody of each. */
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "smi.h"

const char *smi_attribute(const struct card *card, const char *name, char line[64])
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

bool smi_is_wedged(const struct card *card)
{
	char line[64];
	const char *state = smi_attribute(card, "quire/state", line);

	return !state || !strcmp(state, "wedged");
}

bool smi_temperature(const struct card *card, double *celsius)
{
	char pattern[PATH_MAX];
	long millidegrees = 0;
	glob_t found;
	FILE *file = NULL;
	bool known;

	snprintf(pattern, sizeof(pattern), "/sys/bus/pci/devices/%s/hwmon/hwmon*/temp1_input",
		 card->name.bdf);
	if (!glob(pattern, 0, NULL, &found)) {
		file = fopen(found.gl_pathv[0], "r");
		globfree(&found);
	}
	if (!file)
		return false;
	known = fscanf(file, "%ld", &millidegrees) == 1;
	fclose(file);
	*celsius = (double)millidegrees * 1e-3;
	return known;
}

static bool has_serial(const struct card *card, const char *text)
{
	char line[64], *end;
	const char *serial = smi_attribute(card, "quire/serial", line);
	unsigned long long number = strtoull(text, &end, 0);

	return *text && !*end && serial && strtoull(serial, NULL, 10) == number;
}

static bool is_meant(const struct card *card, const char *device)
{
	unsigned long number;
	char *end;

	if (!device || !strcmp(device, card->name.bdf))
		return true;
	if (!strncmp(device, "serial:", 7))
		return has_serial(card, device + 7);
	number = strtoul(device, &end, 10);
	return *device && !*end && number == card->name.index;
}

/* By PCI address: that names one card, whatever it is called. */
static void ask(struct card *card)
{
	quire_device *device = NULL;

	card->info.size = sizeof(card->info);
	card->error = quire_open(card->name.bdf, &device);
	if (!card->error)
		card->error = quire_device_get_info(device, &card->info);
	card->counters_error = card->error;
	if (!card->error)
		card->counters_error = quire_device_get_counters(device, card->counters);
	if (card->counters_error)
		snprintf(card->error_text, sizeof(card->error_text), "%s", quire_last_error());
	quire_device_unref(device);
}

int smi_cards(const struct smi_options *options, struct card cards[CARDS_MOST])
{
	struct quire_card_name names[CARDS_MOST];
	int found = quire_enumerate(names, CARDS_MOST), count = 0;

	for (int i = 0; i < found && i < CARDS_MOST; i++) {
		cards[count] = (struct card){ .name = names[i] };
		if (!is_meant(&cards[count], options->device))
			continue;
		ask(&cards[count]);
		count++;
	}
	if (count)
		return count;
	if (found > 0)
		fprintf(stderr, "quire-smi: no Quire card is called \"%s\"; quire-smi list shows "
			"the cards there are\n", options->device);
	else
		fprintf(stderr, "quire-smi: no Quire card is driven by quire; quire-smi doctor "
			"tells what is missing\n");
	return 0;
}
