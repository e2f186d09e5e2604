// SPDX-License-Identifier: MIT
/*
 * Memory for packed operands, kept from job to job: a fresh mapping costs a page fault
 * for every 4 KiB, a tenth of the time of a job of 512 x 512 x 512.  Jobs without a
 * workspace of the caller's share one.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "gemm_internal.h"

/* At most one; whoever takes it owns it. */
static _Atomic(struct quire_gemm_workspace *) kept;

struct quire_gemm_workspace *quire_gemm_workspace_create(void)
{
	return calloc(1, sizeof(struct quire_gemm_workspace));
}

void quire_gemm_workspace_destroy(struct quire_gemm_workspace *workspace)
{
	if (!workspace)
		return;
	for (int i = 0; i < GEMM_ROOMS; i++)
		free(workspace->room[i].memory);
	free(workspace);
}

uint64_t quire_gemm_workspace_packed_bytes(const struct quire_gemm_workspace *workspace)
{
	return workspace->packed_bytes;
}

int gemm_workspace_take(const struct quire_gemm *gemm, struct quire_gemm_workspace **workspace)
{
	if (gemm->workspace) {
		if (atomic_exchange(&gemm->workspace->busy, true))
			return -EBUSY;
		*workspace = gemm->workspace;
		return 0;
	}
	*workspace = atomic_exchange(&kept, NULL);
	if (!*workspace)
		*workspace = quire_gemm_workspace_create();
	return *workspace ? 0 : -ENOMEM;
}

void gemm_workspace_keep(const struct quire_gemm *gemm, struct quire_gemm_workspace *workspace)
{
	if (gemm->workspace)
		atomic_store(&workspace->busy, false);
	else
		quire_gemm_workspace_destroy(atomic_exchange(&kept, workspace));
}

uint8_t *gemm_workspace_room(struct quire_gemm_workspace *workspace, enum gemm_room which,
			     size_t bytes)
{
	struct gemm_memory *room = &workspace->room[which];

	if (room->bytes >= bytes)
		return room->memory;
	free(room->memory);
	room->memory = aligned_alloc(64, bytes);
	room->bytes = room->memory ? bytes : 0;
	return room->memory;
}

bool gemm_workspace_use_b(struct quire_gemm_workspace *workspace, const struct quire_gemm *g,
			  const struct gemm_kernel *kernel)
{
	const struct gemm_packed_b *p = &workspace->packed;
	bool same = p->version && g->workspace && p->version == g->b_version && p->kernel == kernel &&
		    p->n == g->n && p->k == g->k && g->batch == 1 && p->b.data == g->b.data &&
		    p->b.format == g->b.format && p->b.transpose == g->b.transpose &&
		    p->b.leading_dimension == g->b.leading_dimension;

	workspace->packed.version = 0;
	return same;
}

void gemm_workspace_has_b(struct quire_gemm_workspace *workspace, const struct quire_gemm *g,
			  const struct gemm_kernel *kernel)
{
	workspace->packed = (struct gemm_packed_b){ g->b_version, kernel, g->b, g->n, g->k };
}
