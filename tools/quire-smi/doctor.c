// SPDX-License-Identifier: MIT
/*
 * The command doctor: what a card needs to work, in the order it is needed, and
 * for the first thing that is missing the way to get it.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <drm/quire_drm.h>
#include <quire/hw.h>

#include "smi.h"

#define PCI "/sys/bus/pci/devices"
#define MODULE "/sys/module/" DRM_QUIRE_DRIVER_NAME
#define FIRMWARE "/lib/firmware/" QUIRE_FW_NAME

enum outcome { GOOD, WARNING, FAILED };

struct finding {
	enum outcome outcome;
	char found[400];
	char fix[400];
};

__attribute__((format(printf, 3, 4)))
static void say(struct finding *finding, enum outcome outcome, const char *format, ...)
{
	va_list arguments;

	finding->outcome = outcome;
	va_start(arguments, format);
	vsnprintf(finding->found, sizeof(finding->found), format, arguments);
	va_end(arguments);
}

static void fix(struct finding *finding, const char *text)
{
	snprintf(finding->fix, sizeof(finding->fix), "%s", text);
}

/* ---- Cards on the bus, whether driven or not ---- */

struct function {
	char bdf[24];
	bool bound;
};

static unsigned int read_id(const char *bdf, const char *name)
{
	char path[PATH_MAX];
	unsigned int id = 0;
	FILE *file;

	snprintf(path, sizeof(path), PCI "/%.20s/%s", bdf, name);
	file = fopen(path, "r");
	if (!file)
		return 0;
	if (fscanf(file, "%x", &id) != 1)
		id = 0;
	fclose(file);
	return id;
}

static int is_card(const struct dirent *entry)
{
	return read_id(entry->d_name, "vendor") == QUIRE_PCI_VENDOR_ID &&
	       read_id(entry->d_name, "device") == QUIRE_PCI_DEVICE_ID;
}

static bool is_bound(const char *bdf)
{
	char path[PATH_MAX], target[PATH_MAX];
	ssize_t length;

	snprintf(path, sizeof(path), PCI "/%.20s/driver", bdf);
	length = readlink(path, target, sizeof(target) - 1);
	if (length <= 0)
		return false;
	target[length] = '\0';
	return !strcmp(strrchr(target, '/') + 1, DRM_QUIRE_DRIVER_NAME);
}

static int find_functions(struct function *functions)
{
	struct dirent **entries;
	int found = scandir(PCI, &entries, is_card, alphasort);

	if (found < 0)
		return 0;
	for (int i = 0; i < found; i++) {
		if (i < CARDS_MOST) {
			snprintf(functions[i].bdf, sizeof(functions[i].bdf), "%.20s",
				 entries[i]->d_name);
			functions[i].bound = is_bound(entries[i]->d_name);
		}
		free(entries[i]);
	}
	free(entries);
	return found < CARDS_MOST ? found : CARDS_MOST;
}

/* ---- The checks ---- */

static struct function functions[CARDS_MOST];
static int function_count;

static void check_card(struct finding *finding)
{
	function_count = find_functions(functions);
	if (function_count) {
		say(finding, GOOD, "%d on the PCI bus, first at %s", function_count,
		    functions[0].bdf);
		return;
	}
	say(finding, FAILED, "no PCI function with id %04x:%04x", QUIRE_PCI_VENDOR_ID,
	    QUIRE_PCI_DEVICE_ID);
	fix(finding, "plug a card in; QEMU: -device quire, or use tools/quire-vm; without a card: "
		     "QUIRE_BACKEND=cpu");
}

static void check_module(struct finding *finding)
{
	if (!access(MODULE, F_OK)) {
		say(finding, GOOD, "quire is loaded");
		return;
	}
	say(finding, FAILED, "quire is not loaded");
	fix(finding, "modprobe quire; if there is no such module, build it (make driver) and "
		     "insmod driver/quire.ko");
}

/* The driver's own loader looks at more: the digest, and whether versions fit. */
static void check_firmware(struct finding *finding)
{
	struct quire_fw_header header;
	FILE *file = fopen(FIRMWARE, "rb");
	bool whole;
	long bytes;

	if (!file) {
		say(finding, FAILED, "%s: %s", FIRMWARE, strerror(errno));
		fix(finding, "copy build/firmware/fw-v1.bin there, then unload and load the module");
		return;
	}
	whole = fread(&header, sizeof(header), 1, file) == 1 && !fseek(file, 0, SEEK_END);
	bytes = whole ? ftell(file) : 0;
	fclose(file);
	if (whole && header.magic == QUIRE_FW_MAGIC && header.image_bytes == (uint32_t)bytes) {
		say(finding, GOOD, "%s: release %u.%u.%u", FIRMWARE, header.release >> 16,
		    header.release >> 8 & 0xff, header.release & 0xff);
		return;
	}
	say(finding, FAILED, "%s: %s", FIRMWARE,
	    !whole || header.magic == QUIRE_FW_MAGIC ? "the file is truncated" :
						       "this is not a Quire image");
	fix(finding, "install it again, then unload and load the module");
}

static void check_binding(struct finding *finding)
{
	for (int i = 0; i < function_count; i++) {
		if (functions[i].bound)
			continue;
		say(finding, FAILED, "the driver does not drive %s", functions[i].bdf);
		fix(finding, "dmesg | grep quire says why; after mending it: "
			     "modprobe -r quire; modprobe quire");
		return;
	}
	say(finding, GOOD, "the driver drives %s", function_count > 1 ? "all cards" : "the card");
}

static void check_node(struct finding *finding)
{
	struct quire_card_name names[CARDS_MOST];
	int count = quire_enumerate(names, CARDS_MOST);

	for (int i = 0; i < count; i++) {
		if (!access(names[i].node, F_OK))
			continue;
		say(finding, FAILED, "%s is missing", names[i].node);
		fix(finding, "udev or devtmpfs makes it: mount -t devtmpfs dev /dev");
		return;
	}
	if (count > 0) {
		say(finding, GOOD, "%s%s", names[0].node, count > 1 ? " and others" : "");
	} else {
		say(finding, FAILED, "no card in /sys/class/accel");
		fix(finding, "dmesg | grep quire says why");
	}
}

static void check_permission(struct finding *finding)
{
	struct quire_card_name names[CARDS_MOST];
	int count = quire_enumerate(names, CARDS_MOST);

	for (int i = 0; i < count; i++) {
		int fd = open(names[i].node, O_RDWR | O_CLOEXEC);

		if (fd >= 0) {
			close(fd);
			continue;
		}
		say(finding, FAILED, "%s: %s", names[i].node, strerror(errno));
		fix(finding, "install 60-quire.rules (udevadm control --reload; udevadm trigger), "
			     "adduser $USER render, and log in again");
		return;
	}
	say(finding, GOOD, "you may open %s", count > 1 ? "all of them" : "it");
}

static void check_interface(struct finding *finding)
{
	static const struct smi_options all = { NULL, false };
	static struct card cards[CARDS_MOST];
	int count = smi_cards(&all, cards);

	for (int i = 0; i < count; i++) {
		if (!cards[i].error)
			continue;
		say(finding, FAILED, "%s", cards[i].error_text);
		fix(finding, "install driver, firmware and library of one release");
		return;
	}
	if (count)
		say(finding, GOOD, "driver, firmware and library speak version %u",
		    cards[0].info.interface_version);
	else
		say(finding, FAILED, "the card has gone");
}

static void check_state(struct finding *finding)
{
	struct quire_card_name names[CARDS_MOST];
	const char *first = NULL;
	char line[64];
	int count = quire_enumerate(names, CARDS_MOST);

	for (int i = 0; i < count; i++) {
		const struct card card = { .name = names[i] };

		if (i == 0)
			first = smi_attribute(&card, "quire/state", line);
		if (!smi_is_wedged(&card))
			continue;
		say(finding, FAILED, "%s: a reset failed, it does nothing any more", names[i].node);
		fix(finding, "modprobe -r quire; modprobe quire");
		return;
	}
	say(finding, GOOD, "%s", first ? first : "unknown");
}

static void check_iommu(struct finding *finding)
{
	char path[PATH_MAX];

	for (int i = 0; i < function_count; i++) {
		snprintf(path, sizeof(path), PCI "/%s/iommu_group", functions[i].bdf);
		if (!access(path, F_OK))
			continue;
		say(finding, WARNING, "no IOMMU keeps %s to the memory it was given",
		    functions[i].bdf);
		fix(finding, "fine for most; otherwise boot with intel_iommu=on or amd_iommu=on "
			     "(quire-vm --iommu)");
		return;
	}
	say(finding, GOOD, "an IOMMU guards memory");
}

static const struct {
	const char *name;
	void (*check)(struct finding *finding);
	enum exit_status status;	/* when it fails */
} checks[] = {
	{ "card", check_card, STATUS_NO_DEVICE },
	{ "module", check_module, STATUS_NO_DEVICE },
	{ "firmware", check_firmware, STATUS_INTERFACE },
	{ "binding", check_binding, STATUS_INTERFACE },
	{ "node", check_node, STATUS_NO_DEVICE },
	{ "permission", check_permission, STATUS_PERMISSION },
	{ "state", check_state, STATUS_DEVICE_LOST },
	{ "interface", check_interface, STATUS_INTERFACE },
	{ "iommu", check_iommu, STATUS_OK },
};

#define CHECKS (sizeof(checks) / sizeof(checks[0]))

static void print_finding(const char *name, const struct finding *finding)
{
	static const char *const words[] = { "ok", "warning", "FAILED" };

	printf("%-10s  %-7s  %s\n", name, words[finding->outcome], finding->found);
	if (*finding->fix)
		printf("%-10s  %-7s  to do: %s\n", "", "", finding->fix);
}

static json_object *finding_row(const char *name, const struct finding *finding)
{
	static const char *const words[] = { "ok", "warning", "failed" };
	json_object *row = json_object_new_object();

	smi_put_string(row, "check", name);
	smi_put_string(row, "outcome", words[finding->outcome]);
	smi_put_string(row, "found", finding->found);
	smi_put_string(row, "fix", *finding->fix ? finding->fix : NULL);
	return row;
}

/* Stops at the first failure: what comes behind cannot be told. */
int smi_doctor(const struct smi_options *options)
{
	json_object *report = smi_report_create("doctor"), *rows = json_object_new_array();
	int status = STATUS_OK;

	for (size_t i = 0; i < CHECKS && !status; i++) {
		struct finding finding = { 0 };

		checks[i].check(&finding);
		if (finding.outcome == FAILED)
			status = checks[i].status;
		if (!options->json)
			print_finding(checks[i].name, &finding);
		json_object_array_add(rows, finding_row(checks[i].name, &finding));
	}
	json_object_object_add(report, "checks", rows);
	if (options->json)
		smi_report_print(report);
	else
		json_object_put(report);
	return status;
}
