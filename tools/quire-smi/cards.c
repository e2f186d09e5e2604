// SPDX-License-Identifier: MIT
/* Finding the cards and asking each what it is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "smi.h"

/* By PCI address: that names one card, whatever it is called. */
static void ask(struct card *card)
{
	quire_device *device = NULL;

	card->info.size = sizeof(card->info);
	card->error = quire_open(card->name.bdf, &device);
	if (!card->error)
		card->error = quire_device_get_info(device, &card->info);
	if (!card->error)
		card->error = quire_device_get_counters(device, card->counters);
	if (card->error)
		snprintf(card->error_text, sizeof(card->error_text), "%s", quire_last_error());
	quire_device_unref(device);
}

static bool is_meant(const struct card *card, const char *device)
{
	unsigned long long number;
	char *end;

	if (!device || !strcmp(device, card->name.bdf))
		return true;
	if (!strncmp(device, "serial:", 7)) {
		number = strtoull(device + 7, &end, 0);
		return device[7] && !*end && !card->error && number == card->info.serial;
	}
	number = strtoull(device, &end, 10);
	return *device && !*end && number == card->name.index;
}

int smi_cards(const struct smi_options *options, struct card cards[CARDS_MOST], int *status)
{
	struct quire_card_name names[CARDS_MOST];
	int found = quire_enumerate(names, CARDS_MOST), count = 0;

	for (int i = 0; i < found && i < CARDS_MOST; i++) {
		cards[count] = (struct card){ .name = names[i] };
		ask(&cards[count]);
		if (is_meant(&cards[count], options->device))
			count++;
	}
	if (count)
		return count;
	*status = STATUS_NO_DEVICE;
	if (found > 0)
		fprintf(stderr, "quire-smi: no Quire card is called \"%s\"; quire-smi list shows "
			"the cards there are\n", options->device);
	else
		fprintf(stderr, "quire-smi: no Quire card is driven by quire; quire-smi doctor "
			"tells what is missing\n");
	return -1;
}

int smi_cards_status(const struct card *cards, int count)
{
	int status = STATUS_OK;

	fflush(stdout);
	for (int i = 0; i < count; i++) {
		if (!cards[i].error)
			continue;
		fprintf(stderr, "quire-smi: %s\n", cards[i].error_text);
		if (!status)
			/* It was there a moment ago. */
			status = cards[i].error == -ENODEV ? STATUS_DEVICE_LOST :
							     exit_status_of(cards[i].error);
	}
	return status;
}
