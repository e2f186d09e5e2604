// SPDX-License-Identifier: MIT
/*
 * The command ps: processes that hold a card open, from /proc/PID/fdinfo as
 * Documentation/gpu/drm-usage-stats.rst of the kernel describes it.
 */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <drm/quire_drm.h>

#include "../table.h"
#include "smi.h"

#define CLIENTS_MOST 4096

/* One open file of the driver; several descriptors and processes may share it. */
struct client {
	char pdev[24];
	uint64_t id;
	uint64_t memory_bytes;
	uint64_t busy_ns;
	uint64_t jobs;
	uint64_t modelled_pj;
};

struct clients {
	size_t count;
	struct client seen[CLIENTS_MOST];
};

/* "12 KiB" in bytes. */
static uint64_t parse_memory(const char *text)
{
	char *unit;
	uint64_t amount = strtoull(text, &unit, 10);

	unit += strspn(unit, " \t");
	if (!strncmp(unit, "KiB", 3))
		return amount << 10;
	if (!strncmp(unit, "MiB", 3))
		return amount << 20;
	return amount;
}

/* One "key:<tab>value" of an fdinfo file; true when it names our driver. */
static bool parse_line(char *line, struct client *client)
{
	char *value = strchr(line, ':');

	if (!value)
		return false;
	*value++ = '\0';
	value += strspn(value, " \t");
	value[strcspn(value, "\n")] = '\0';
	if (!strcmp(line, "drm-driver"))
		return !strcmp(value, DRM_QUIRE_DRIVER_NAME);
	if (!strcmp(line, "drm-pdev"))
		snprintf(client->pdev, sizeof(client->pdev), "%s", value);
	else if (!strcmp(line, "drm-client-id"))
		client->id = strtoull(value, NULL, 10);
	else if (!strncmp(line, "drm-total-", 10))
		client->memory_bytes += parse_memory(value);
	else if (!strncmp(line, "drm-engine-", 11) && strncmp(line, "drm-engine-capacity-", 20))
		client->busy_ns += strtoull(value, NULL, 10);
	else if (!strcmp(line, "quire-jobs"))
		client->jobs = strtoull(value, NULL, 10);
	else if (!strcmp(line, "quire-modelled-energy"))
		client->modelled_pj = strtoull(value, NULL, 10);
	return false;
}

static bool read_client(const char *path, struct client *client)
{
	FILE *file = fopen(path, "r");
	char line[256];
	bool ours = false;

	*client = (struct client){ 0 };
	if (!file)
		return false;
	while (fgets(line, sizeof(line), file))
		ours |= parse_line(line, client);
	fclose(file);
	return ours;
}

static bool is_new(struct clients *clients, const struct client *client)
{
	for (size_t i = 0; i < clients->count; i++)
		if (clients->seen[i].id == client->id &&
		    !strcmp(clients->seen[i].pdev, client->pdev))
			return false;
	if (clients->count == CLIENTS_MOST)
		return false;
	clients->seen[clients->count++] = *client;
	return true;
}

static void command_of(const char *pid, char *name, size_t room)
{
	char path[PATH_MAX];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%s/comm", pid);
	file = fopen(path, "r");
	if (!file || !fgets(name, (int)room, file))
		*name = '\0';
	if (file)
		fclose(file);
	name[strcspn(name, "\n")] = '\0';
}

static const struct card *card_of(const struct card *cards, int count, const struct client *client)
{
	for (int i = 0; i < count; i++)
		if (!strcmp(cards[i].name.bdf, client->pdev))
			return &cards[i];
	return NULL;
}

static void add_row(json_object *rows, const char *pid, const struct card *card,
		    const struct client *client)
{
	json_object *row = json_object_new_object();
	char name[64];

	command_of(pid, name, sizeof(name));
	smi_put_integer(row, "card", card->name.index);
	smi_put_integer(row, "pid", strtoull(pid, NULL, 10));
	smi_put_string(row, "command", name);
	smi_put_integer(row, "client", client->id);
	smi_put_integer(row, "memory_bytes", client->memory_bytes);
	smi_put_integer(row, "jobs", client->jobs);
	smi_put_integer(row, "busy_ns", client->busy_ns);
	smi_put_integer(row, "modelled_pj", client->modelled_pj);
	json_object_array_add(rows, row);
}

static void scan_process(const char *pid, const struct card *cards, int count,
			 struct clients *clients, json_object *rows)
{
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *directory;

	snprintf(path, sizeof(path), "/proc/%s/fdinfo", pid);
	directory = opendir(path);
	if (!directory)
		return;	/* gone, or another user's */
	while ((entry = readdir(directory))) {
		const struct card *card;
		struct client client;

		if (*entry->d_name == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%.16s/fdinfo/%.16s", pid, entry->d_name);
		if (!read_client(path, &client))
			continue;
		card = card_of(cards, count, &client);
		if (card && is_new(clients, &client))
			add_row(rows, pid, card, &client);
	}
	closedir(directory);
}

static void scan(const struct card *cards, int count, json_object *rows)
{
	static struct clients clients;
	DIR *proc = opendir("/proc");
	struct dirent *entry;

	if (!proc)
		return;
	while ((entry = readdir(proc)))
		if (*entry->d_name >= '0' && *entry->d_name <= '9')
			scan_process(entry->d_name, cards, count, &clients, rows);
	closedir(proc);
}

int smi_processes(const struct smi_options *options)
{
	static struct card cards[CARDS_MOST];
	json_object *report = smi_report_create("ps"), *rows = json_object_new_array();
	int count = smi_cards(options, cards);

	scan(cards, count, rows);
	json_object_object_add(report, "processes", rows);
	if (options->json) {
		smi_report_print(report);
		return count ? STATUS_OK : STATUS_NO_DEVICE;
	}
	if (json_object_array_length(rows))
		table_print(rows);
	else if (count)
		puts("no process uses a card");
	json_object_put(report);
	return count ? STATUS_OK : STATUS_NO_DEVICE;
}
