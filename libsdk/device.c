// SPDX-License-Identifier: MIT
/* Opening a device and choosing its backend. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

static int open_with(const struct backend *backend, const char *name, int fd,
		     quire_device **out)
{
	quire_device *device = calloc(1, sizeof(*device));
	int error;

	if (!device)
		return fail(-ENOMEM, QUIRE_LAYER_LIBRARY, NULL, "no memory for a device");
	atomic_init(&device->references, 1);
	device->backend = backend;
	device->fd = fd;
	pthread_mutex_init(&device->lock, NULL);
	snprintf(device->info.backend, sizeof(device->info.backend), "%s", backend->name);
	error = backend->open(device, name);
	if (error) {
		pthread_mutex_destroy(&device->lock);
		free(device);
		return error;
	}
	*out = device;
	return 0;
}

int quire_open(const char *name, quire_device **device)
{
	const char *backend = secure_getenv("QUIRE_BACKEND");

	if (!device)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL, "quire_open: device is NULL");
	if (!name)
		name = secure_getenv("QUIRE_DEVICE");
	if (!backend || !*backend || !strcmp(backend, "auto")) {
		/* A card that is there but cannot be opened is an error, not a CPU. */
		if (name || quire_enumerate(NULL, 0) > 0)
			return open_with(&quire_backend_card, name, -1, device);
		return open_with(&quire_backend_cpu, NULL, -1, device);
	}
	if (!strcmp(backend, "card"))
		return open_with(&quire_backend_card, name, -1, device);
	if (!strcmp(backend, "cpu"))
		return open_with(&quire_backend_cpu, NULL, -1, device);
	if (!strcmp(backend, "null"))
		return open_with(&quire_backend_null, NULL, -1, device);
	return fail(-EINVAL, QUIRE_LAYER_LIBRARY, "set it to auto, card, cpu or null",
		    "QUIRE_BACKEND is \"%.40s\"", backend);
}

int quire_open_fd(int fd, quire_device **device)
{
	int copy, error;

	if (!device)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL, "quire_open_fd: device is NULL");
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (copy < 0)
		return fail(-errno, QUIRE_LAYER_LIBRARY, NULL, "file descriptor %d: %s", fd,
			    strerror(errno));
	error = open_with(&quire_backend_card, NULL, copy, device);
	if (error)
		close(copy);
	return error;
}

quire_device *quire_device_ref(quire_device *device)
{
	if (device)
		atomic_fetch_add(&device->references, 1);
	return device;
}

void quire_device_unref(quire_device *device)
{
	if (!device || atomic_fetch_sub(&device->references, 1) != 1)
		return;
	device->backend->close(device);
	pthread_mutex_destroy(&device->lock);
	free(device);
}

int info_out(void *out, uint32_t size, void *in, uint32_t bytes, const char *function)
{
	if (size < sizeof(size))
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, "set it to the size of the structure",
			    "%s: info.size is %u", function, size);
	if (bytes > size)
		bytes = size;
	memcpy(in, &bytes, sizeof(bytes));
	memset(out, 0, size);
	memcpy(out, in, bytes);
	return 0;
}

int quire_device_get_info(quire_device *device, struct quire_device_info *info)
{
	struct quire_device_info now;
	int error;

	if (!device || !info)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL,
			    "quire_device_get_info: %s is NULL", device ? "info" : "device");
	now = device->info;
	error = device->backend->info(device, &now);
	return error ? error : info_out(info, info->size, &now, sizeof(now), "quire_device_get_info");
}

int quire_device_get_usage(quire_device *device, struct quire_usage *usage)
{
	struct quire_usage now = { 0 };
	int error;

	if (!device || !usage)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL,
			    "quire_device_get_usage: %s is NULL", device ? "usage" : "device");
	error = device->backend->usage(device, &now);
	return error ? error : info_out(usage, usage->size, &now, sizeof(now),
					"quire_device_get_usage");
}

int quire_device_get_counters(quire_device *device, uint64_t counters[QUIRE_DEVICE_COUNTERS])
{
	if (!device || !counters)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL,
			    "quire_device_get_counters: %s is NULL",
			    device ? "counters" : "device");
	return device->backend->counters(device, counters);
}
