// SPDX-License-Identifier: MIT
/* The last error of each thread. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

static _Thread_local struct quire_error_info last;
static _Thread_local char line[sizeof(last.text) + sizeof(last.hint) + 32];

int fail(int code, enum quire_layer layer, const char *hint, const char *text, ...)
{
	va_list arguments;

	last.code = code;
	last.layer = layer;
	va_start(arguments, text);
	vsnprintf(last.text, sizeof(last.text), text, arguments);
	va_end(arguments);
	snprintf(last.hint, sizeof(last.hint), "%s", hint ? hint : "");
	return code;
}

const char *quire_last_error(void)
{
	static const char *const layers[] = {
		[QUIRE_LAYER_NONE] = "none",
		[QUIRE_LAYER_LIBRARY] = "library",
		[QUIRE_LAYER_KERNEL] = "kernel",
		[QUIRE_LAYER_CARD] = "card",
	};

	if (!last.code)
		return "no error";
	if (last.hint[0])
		snprintf(line, sizeof(line), "%s: %s (%s)", layers[last.layer], last.text,
			 last.hint);
	else
		snprintf(line, sizeof(line), "%s: %s", layers[last.layer], last.text);
	return line;
}

void quire_last_error_info(struct quire_error_info *info)
{
	if (info)
		*info = last;
}

const char *quire_version(void)
{
	return "0.1.0";
}
