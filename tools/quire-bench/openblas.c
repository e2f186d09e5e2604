// SPDX-License-Identifier: MIT
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "openblas.h"

bool openblas_load(struct openblas *openblas, const char *core)
{
	char *(*core_name)(void) = NULL;

	memset(openblas, 0, sizeof(*openblas));
	unsetenv("OPENBLAS_L2_SIZE");
	unsetenv("OPENBLAS_NUM_THREADS");
	if (core)
		setenv("OPENBLAS_CORETYPE", core, 1);
	else
		unsetenv("OPENBLAS_CORETYPE");
	openblas->library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
	if (!openblas->library)
		return false;
	*(void **)&openblas->set_threads = dlsym(openblas->library, "openblas_set_num_threads");
	*(void **)&openblas->dgemm = dlsym(openblas->library, "cblas_dgemm");
	*(void **)&openblas->sgemm = dlsym(openblas->library, "cblas_sgemm");
	*(void **)&core_name = dlsym(openblas->library, "openblas_get_corename");
	openblas->core = core_name ? core_name() : "unknown";
	return openblas->set_threads && openblas->dgemm && openblas->sgemm;
}
