// SPDX-License-Identifier: MIT
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "sdk.h"

quire_device *device;
quire_context *context;
bool sdk_computes;
uint64_t rnd_state = 0x9e3779b97f4a7c15ull;

uint32_t rnd(uint32_t below)
{
	rnd_state ^= rnd_state << 13;
	rnd_state ^= rnd_state >> 7;
	rnd_state ^= rnd_state << 17;
	return (uint32_t)(rnd_state >> 33) % below;
}

int sdk_open(void **state)
{
	struct quire_device_info info = { .size = sizeof(info) };

	(void)state;
	if (quire_open(NULL, &device) || quire_context_create(device, 0, &context) ||
	    quire_device_get_info(device, &info)) {
		fprintf(stderr, "# %s\n", quire_last_error());
		return -1;
	}
	sdk_computes = strcmp(info.backend, "null");
	return 0;
}

int sdk_close(void **state)
{
	(void)state;
	quire_context_unref(context);
	quire_device_unref(device);
	return 0;
}

void says(const char *words)
{
	if (!strstr(quire_last_error(), words))
		fail_msg("\"%s\" does not say \"%s\"", quire_last_error(), words);
}
