// SPDX-License-Identifier: MIT
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "card.h"
#include "monitor.h"

#define DRIVER "/sys/bus/virtio/drivers/virtio_console/"
#define PORTS "/sys/class/virtio-ports"
#define PORT_NAME "quire.monitor\n"

static int port = -1;

static int is_port(const char *entry)
{
	char path[300], name[64] = "";
	FILE *file;

	snprintf(path, sizeof(path), PORTS "/%s/name", entry);
	file = fopen(path, "r");
	if (!file)
		return 0;
	if (!fgets(name, sizeof(name), file))
		name[0] = '\0';
	fclose(file);
	return !strcmp(name, PORT_NAME);
}

/* One line of the answer; lines are short but for the greeting, of which the start will do. */
static int read_line(char *line, size_t room)
{
	size_t used = 0;
	char c;

	for (;;) {
		ssize_t got = read(port, &c, 1);

		if (got <= 0)
			return got ? -errno : -EPIPE;
		if (c == '\n')
			break;
		if (used + 1 < room)
			line[used++] = c;
	}
	line[used] = '\0';
	return 0;
}

/* The answer to a command; events and the greeting come in between. */
static int ask(const char *json, char *answer, size_t room)
{
	int error;

	if (write(port, json, strlen(json)) != (ssize_t)strlen(json) || write(port, "\n", 1) != 1)
		return -errno;
	do
		error = read_line(answer, room);
	while (!error && strncmp(answer, "{\"return\"", 9) && strncmp(answer, "{\"error\"", 8));
	return error;
}

int monitor_command(const char *json)
{
	char answer[512];
	int error = ask(json, answer, sizeof(answer));

	if (error || answer[2] == 'r')
		return error;
	fprintf(stderr, "# monitor: %s\n# %s\n", json, answer);
	return -EIO;
}

int monitor_open(void)
{
	struct dirent *entry;
	char path[300] = "", answer[512];
	DIR *ports = opendir(PORTS);

	while (ports && (entry = readdir(ports)))
		if (is_port(entry->d_name))
			snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
	if (ports)
		closedir(ports);
	if (!path[0])
		return -ENODEV;
	port = open(path, O_RDWR | O_CLOEXEC);
	if (port < 0)
		return -errno;
	/* Refused from the second time on: QEMU sees one client for all its life. */
	return ask("{\"execute\":\"qmp_capabilities\"}", answer, sizeof(answer));
}

void monitor_close(void)
{
	close(port);
	port = -1;
}

/* One after the other, because their ports go and come meanwhile. */
static int restart_ports(void)
{
	struct dirent *entry;
	DIR *devices = opendir(DRIVER);
	char names[8][16];
	int count = 0, ret = devices ? 0 : -errno;

	while (devices && count < 8 && (entry = readdir(devices)))
		if (!strncmp(entry->d_name, "virtio", 6))
			snprintf(names[count++], sizeof(names[0]), "%.15s", entry->d_name);
	if (devices)
		closedir(devices);
	for (int i = 0; i < count && !ret; i++)
		ret = sysfs_write(DRIVER "unbind", names[i]) ?: sysfs_write(DRIVER "bind", names[i]);
	return ret;
}

int monitor_wake(void)
{
	int was_open = port >= 0, ret;

	monitor_close();
	ret = restart_ports();
	if (ret || !was_open)
		return ret;
	for (int tries = 0; tries < 1000; tries++) {
		ret = monitor_open();
		if (ret != -ENODEV && ret != -ENOENT)
			break;
		/* Name and node come a little later. */
		usleep(10000);
	}
	return ret;
}

int monitor_inject(const char *name, unsigned int value)
{
	char json[256];

	snprintf(json, sizeof(json),
		 "{\"execute\":\"qom-set\",\"arguments\":{\"path\":\"/machine/peripheral/quire0\","
		 "\"property\":\"inject-%s\",\"value\":%u}}", name, value);
	return monitor_command(json);
}
