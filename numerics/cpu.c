// SPDX-License-Identifier: MIT
/*
 * Choice of the kernel for the CPU the process runs on.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "tile_internal.h"

/* Best first.  The plain path has no kernel. */
static const struct choice {
	const char *name;
	const struct gemm_kernel *kernel;
} choices[] = {
#ifdef QUIRE_HAVE_X86_KERNELS
	{ "amx", &gemm_kernel_amx },
	{ "ifma", &gemm_kernel_ifma },
	{ "avx2", &gemm_kernel_avx2 },
#endif
	{ "generic", &gemm_kernel_generic },
	{ "plain", NULL },
};

static _Atomic(const struct choice *) chosen;

static bool usable(const struct choice *choice)
{
	return !choice->kernel || !choice->kernel->supported || choice->kernel->supported();
}

static const struct choice *find(const char *name)
{
	for (size_t i = 0; i < sizeof(choices) / sizeof(choices[0]); i++)
		if (name ? !strcmp(choices[i].name, name) : usable(&choices[i]))
			return &choices[i];
	return NULL;
}

static const struct choice *current(void)
{
	const struct choice *choice = atomic_load_explicit(&chosen, memory_order_acquire);
	const char *wish;

	if (choice)
		return choice;
	wish = getenv("QUIRE_KERNEL");
	choice = wish ? find(wish) : NULL;
	/* a wish that cannot be met is not worth a crash: the results are the same */
	if (!choice || !usable(choice))
		choice = find(NULL);
	atomic_store_explicit(&chosen, choice, memory_order_release);
	return choice;
}

int quire_kernel_select(const char *name)
{
	const struct choice *choice = find(name);

	if (!choice)
		return -EINVAL;
	if (!usable(choice))
		return -ENOTSUP;
	atomic_store_explicit(&chosen, choice, memory_order_release);
	return 0;
}

const char *quire_kernel_name(void)
{
	return current()->name;
}

const struct gemm_kernel *gemm_kernel_current(void)
{
	return current()->kernel;
}

const struct tile_kernel *tile_kernel_current(void)
{
	const struct gemm_kernel *kernel = current()->kernel;

	return kernel ? kernel->tile : &tile_kernel_generic;
}
