/* SPDX-License-Identifier: MIT */
/* What the commands of quire-smi share.  All they learn comes from sysfs, procfs and
 * the driver's query ioctls, which answer while the card hangs. */
#ifndef QUIRE_SMI_H
#define QUIRE_SMI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <json-c/json.h>
#include <quire.h>

#include "../exit_status.h"

#define CARDS_MOST 64

struct smi_options {
	const char *device;	/* NULL: all */
	bool json;
};

/*
 * struct card - one card and what it says when it is opened
 * @error: of opening or asking it; then @info is not known
 * @counters_error: then @counters are not known: they need CAP_PERFMON as well
 * @error_text: what was wrong, of either
 */
struct card {
	struct quire_card_name name;
	int error, counters_error;
	char error_text[600];
	struct quire_device_info info;
	uint64_t counters[QUIRE_DEVICE_COUNTERS];
};

/*
 * The cards that --device means, all without it.  Returns how many; with none a
 * message has been printed, and STATUS_NO_DEVICE is the exit status.
 */
int smi_cards(const struct smi_options *options, struct card cards[CARDS_MOST]);

/*
 * First line of an attribute of the card's PCI function, or NULL.  Those below
 * "quire/" are the driver's and need no permission on the node (docs/uapi.md).
 */
const char *smi_attribute(const struct card *card, const char *name, char line[64]);

/* Degrees of the card's model, from hwmon, which anybody may read; false when not known. */
bool smi_temperature(const struct card *card, double *celsius);

/* Whether a reset failed, so that the card does nothing any more. */
bool smi_is_wedged(const struct card *card);

/* A command: prints, returns the exit status. */
typedef int smi_command(const struct smi_options *options);
smi_command smi_list, smi_info, smi_counters, smi_processes, smi_doctor;

/* ---- Printing ---- */

/* An object with "schema", "version", "command" and "time". */
json_object *smi_report_create(const char *command);
/* Print it as JSON and free it. */
void smi_report_print(json_object *report);
/* Keys and values of each object of an array, one a line. */
void smi_print_objects(json_object *objects);

void smi_put_string(json_object *object, const char *key, const char *value);
void smi_put_integer(json_object *object, const char *key, uint64_t value);
void smi_put_number(json_object *object, const char *key, double value);
/* "1.2.3" of major << 16 | minor << 8 | patch. */
void smi_put_release(json_object *object, const char *key, uint32_t release);

#endif /* QUIRE_SMI_H */
