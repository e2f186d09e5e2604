// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "progress.h"

bool progress_wanted(void)
{
	const char *wish = getenv("QUIRE_PROGRESS");

	return wish && *wish ? !strcmp(wish, "always") : isatty(2);
}

void progress_show(const char *name, double done)
{
	char bar[41];
	int filled = done <= 0 ? 0 : done >= 1 ? 40 : (int)(40 * done);

	memset(bar, '.', 40);
	memset(bar, '#', (size_t)filled);
	bar[40] = '\0';
	fprintf(stderr, "\r%-8.20s [%s] %3.0f %%", name, bar, 100 * done);
	if (done >= 1)
		fprintf(stderr, "\r%*s\r", 72, "");
}
