// SPDX-License-Identifier: MIT
/*
 * A kernel hands the machine to another one while the card works.  Two parts, run by kexec.sh:
 *	test_kexec leave KERNEL INITRAMFS COMMAND-LINE	starts jobs and goes
 *	test_kexec arrive				in the new kernel, without the driver; TAP
 * The jobs of the first write a pattern to half of the machine's memory, over and over.  What the
 * new kernel has there must stay as it is.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/reboot.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "card.h"

#define PCI_DEVICES "/sys/bus/pci/devices"
#define CONFIG_COMMAND 4
#define COMMAND_MASTER 4
#define LIMIT_MS 600000u
#define CANNOT_LEAVE 4	/* exit status: this kernel hands over to no other */
#define OLD 0x6c656e72656b646cull
#define NEW 0x77656e77656e7765ull
#define OLD_BYTES (96ull << 20)		/* of each buffer, of which there are */
#define OLD_BUFFERS 4u
#define NEW_BYTES (512ull << 20)

/* Jobs that keep the card busy for minutes: one reads and writes its own memory, others ours. */
static int leave_jobs(void)
{
	struct card products, fills[OLD_BUFFERS];
	uint32_t bytes;
	uint64_t point;
	int ret = card_setup_limit(&products, 0, LIMIT_MS);

	if (!ret)
		ret = card_long_stream(&products, &bytes);
	if (!ret)
		ret = card_submit(&products, products.stream.va, bytes, &point);
	for (uint32_t i = 0; i < OLD_BUFFERS && !ret; i++) {
		struct quire_packet_fill *packets;
		struct bo bo;

		ret = card_setup_limit(&fills[i], 0, LIMIT_MS);
		if (!ret)
			ret = card_buffer(&fills[i], OLD_BYTES, DRM_QUIRE_PLACEMENT_SYSTEM, &bo);
		if (ret)
			break;
		packets = fills[i].stream.map;
		bytes = QUIRE_STREAM_MAX_BYTES / sizeof(*packets) * sizeof(*packets);
		for (uint32_t p = 0; p < bytes / sizeof(*packets); p++)
			packet_fill(&packets[p], bo.va, OLD_BYTES, OLD);
		ret = card_submit(&fills[i], fills[i].stream.va, bytes, &point);
		/* All of it has been written once: the pages are there, and the card is at it. */
		for (int tries = 0; tries < 1000 && !ret; tries++) {
			if (((volatile uint64_t *)bo.map)[OLD_BYTES / 8 - 1] == OLD)
				break;
			usleep(10000);
		}
	}
	return ret;
}

static int leave(const char *kernel, const char *initramfs, const char *command_line)
{
	int kernel_file = open(kernel, O_RDONLY), initramfs_file = open(initramfs, O_RDONLY);
	int ret;

	if (syscall(SYS_kexec_file_load, kernel_file, initramfs_file, strlen(command_line) + 1,
		    command_line, 0ul)) {
		perror("kexec_file_load");
		return errno == ENOSYS || errno == EPERM ? CANNOT_LEAVE : 1;
	}
	ret = leave_jobs();
	if (ret) {
		fprintf(stderr, "jobs: %s\n", strerror(-ret));
		return 1;
	}
	syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_KEXEC, NULL);
	perror("reboot");
	return 1;
}

static int read_number(const char *directory, const char *name, unsigned long *number)
{
	char path[300], text[32] = "";
	int file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = open(path, O_RDONLY);
	if (file < 0)
		return -errno;
	if (read(file, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	close(file);
	*number = strtoul(text, NULL, 0);
	return 0;
}

/* Directory of the card in sysfs; there is no driver that would name it. */
static int find_card(char *directory, size_t room)
{
	DIR *devices = opendir(PCI_DEVICES);
	struct dirent *entry;
	int found = 0;

	while (devices && !found && (entry = readdir(devices))) {
		unsigned long vendor = 0, device = 0;

		snprintf(directory, room, PCI_DEVICES "/%.64s", entry->d_name);
		found = !read_number(directory, "vendor", &vendor) &&
			!read_number(directory, "device", &device) &&
			vendor == QUIRE_PCI_VENDOR_ID && device == QUIRE_PCI_DEVICE_ID;
	}
	if (devices)
		closedir(devices);
	return found;
}

static int is_bus_master(const char *directory)
{
	char path[300];
	uint16_t command = 0xffff;
	int file;

	snprintf(path, sizeof(path), "%s/config", directory);
	file = open(path, O_RDONLY);
	if (file < 0 || pread(file, &command, 2, CONFIG_COMMAND) != 2)
		command = 0xffff;
	close(file);
	return !!(command & COMMAND_MASTER);
}

static uint32_t boot_status(const char *directory)
{
	uint32_t status = ~0u;
	char path[300];
	void *registers;
	int file;

	snprintf(path, sizeof(path), "%s/resource%d", directory, QUIRE_BAR_REGISTERS);
	file = open(path, O_RDWR);
	registers = mmap(NULL, QUIRE_BAR_REGISTERS_BYTES, PROT_READ, MAP_SHARED, file, 0);
	close(file);
	if (registers == MAP_FAILED)
		return status;
	status = *(volatile uint32_t *)((char *)registers + QUIRE_REG_BOOT_STATUS);
	munmap(registers, QUIRE_BAR_REGISTERS_BYTES);
	return status;
}

static size_t changed_words(const volatile uint64_t *words)
{
	size_t changed = 0;

	for (size_t i = 0; i < NEW_BYTES / 8; i++)
		changed += words[i] != NEW;
	return changed;
}

static int card_works(void)
{
	struct quire_packet_fill fill;
	struct card card;
	int ret = card_setup(&card, 0);

	if (!ret) {
		packet_fill(&fill, card.stream.va + PAGE, 64, 1);
		ret = card_run(&card, &fill, sizeof(fill));
	}
	return ret;
}

static bool report(bool good, const char *name)
{
	static unsigned int number;

	printf("%sok %u %s\n", good ? "" : "not ", ++number, name);
	return good;
}

static bool report_changes(const volatile uint64_t *words, const char *name)
{
	size_t changed = changed_words(words);

	if (changed)
		printf("# %zu words were written\n", changed);
	return report(!changed, name);
}

static int arrive(void)
{
	uint64_t *words = mmap(NULL, NEW_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			       -1, 0);
	char directory[128];
	bool good;

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("TAP version 13\n1..5\n");
	if (words == MAP_FAILED || !find_card(directory, sizeof(directory))) {
		printf("Bail out! no memory or no card\n");
		return 1;
	}
	for (size_t i = 0; i < NEW_BYTES / 8; i++)
		words[i] = NEW;
	good = report(!is_bus_master(directory), "the card has lost the bus");
	good &= report(boot_status(directory) == QUIRE_BOOT_OFF, "the card has been stopped");
	sleep(1);
	good &= report_changes(words, "memory of the new kernel stays");
	/* It gives the card the bus again. */
	good &= report(!system("modprobe quire") && !card_works(), "the card works again");
	sleep(1);
	good &= report_changes(words, "memory stays with the driver loaded");
	return good ? 0 : 1;
}

int main(int argc, char **argv)
{
	if (argc == 5 && !strcmp(argv[1], "leave"))
		return leave(argv[2], argv[3], argv[4]);
	if (argc == 2 && !strcmp(argv[1], "arrive"))
		return arrive();
	fprintf(stderr, "usage: test_kexec leave KERNEL INITRAMFS COMMAND-LINE | arrive\n");
	return 2;
}
