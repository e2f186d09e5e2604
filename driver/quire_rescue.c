// SPDX-License-Identifier: GPL-2.0-only
/*
 * What lies in card memory is copied to pages of system memory before the card forgets it, and
 * back to the same places afterwards.  Nobody sees it: placement, page tables and jobs at
 * rest stay as they are, and no fence is waited for, which moving the buffers would need.
 */
#include <linux/highmem.h>
#include <linux/iosys-map.h>

#include <drm/drm_cache.h>
#include <drm/drm_managed.h>
#include <drm/ttm/ttm_device.h>
#include <drm/ttm/ttm_resource.h>

#include "quire_gem.h"
#include "quire_power.h"

/* A page that can be had without killing somebody, and one without waiting for anybody. */
#define QUIRE_RESCUE_GFP (GFP_HIGHUSER | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)
#define QUIRE_RESCUE_GFP_NOWAIT (GFP_NOWAIT | __GFP_HIGHMEM | __GFP_NOMEMALLOC | __GFP_NOWARN)

/** struct quire_rescue - the content of card memory while it cannot stay there */
struct quire_rescue {
	/** @range: TTM's range manager, which @card calls */
	const struct ttm_resource_manager_func *range;
	/** @card: manager of card memory; it tells @used what it gives */
	struct ttm_resource_manager_func card;
	/** @lock: protects @spare, @spares and @saved; nobody waits for memory under it */
	struct mutex lock;
	/** @used: first page to number of pages, of what is given; its own lock */
	struct xarray used;
	/** @spare: pages of system memory without content */
	struct list_head spare;
	/** @spares: length of @spare */
	unsigned long spares;
	/** @saved: pages with content; their private word is the page of card memory */
	struct list_head saved;
};

static struct quire_rescue *quire_rescue_of(struct ttm_resource_manager *man)
{
	return container_of(man->func, struct quire_rescue, card);
}

static int quire_rescue_alloc(struct ttm_resource_manager *man, struct ttm_buffer_object *bo,
			      const struct ttm_place *place, struct ttm_resource **res)
{
	struct quire_rescue *rescue = quire_rescue_of(man);
	int ret = rescue->range->alloc(man, bo, place, res);

	if (ret)
		return ret;
	/* A card that may not have stopped goes on where a job's buffer was: that is not given. */
	if (READ_ONCE(to_quire_device(bo->base.dev)->wedged))
		ret = -ENOSPC;
	else
		ret = xa_err(xa_store(&rescue->used, (*res)->start,
				      xa_mk_value(PFN_UP((*res)->size)), QUIRE_GFP_CALL));
	if (ret) {
		rescue->range->free(man, *res);
		*res = NULL;
	}
	return ret;
}

static void quire_rescue_free(struct ttm_resource_manager *man, struct ttm_resource *res)
{
	struct quire_rescue *rescue = quire_rescue_of(man);

	xa_erase(&rescue->used, res->start);
	rescue->range->free(man, res);
}

/* How many pages are missing to save all that is used now. */
static unsigned long quire_rescue_missing(struct quire_rescue *rescue)
{
	unsigned long start, needed = 0;
	void *entry;

	guard(mutex)(&rescue->lock);
	xa_for_each(&rescue->used, start, entry)
		needed += xa_to_value(entry);
	return needed - min(needed, rescue->spares);
}

static int quire_rescue_add_spare(struct quire_rescue *rescue, gfp_t gfp)
{
	struct page *page = alloc_page(gfp);

	if (!page)
		return -ENOMEM;
	guard(mutex)(&rescue->lock);
	list_add(&page->lru, &rescue->spare);
	rescue->spares++;
	return 0;
}

/*
 * Pages for all that is used now.  -ENOMEM: what there is stays, for another try.  @wait: no job
 * waits for the caller.
 */
int quire_rescue_reserve(struct quire_device *qdev, bool wait)
{
	unsigned long missing = quire_rescue_missing(qdev->rescue);
	int ret = 0;

	while (missing-- && !ret)
		ret = quire_rescue_add_spare(qdev->rescue,
					     wait ? QUIRE_RESCUE_GFP : QUIRE_RESCUE_GFP_NOWAIT);
	return ret;
}

static int quire_rescue_save_page(struct quire_device *qdev, unsigned long at)
{
	struct quire_rescue *rescue = qdev->rescue;
	struct iosys_map from, to;
	struct page *page;

	lockdep_assert_held(&rescue->lock);
	page = list_first_entry_or_null(&rescue->spare, struct page, lru);
	if (page) {
		list_move_tail(&page->lru, &rescue->saved);
		rescue->spares--;
	} else {
		/* Somebody got card memory after pages were set aside. */
		page = alloc_page(QUIRE_RESCUE_GFP_NOWAIT);
		if (!page)
			return -ENOMEM;
		list_add_tail(&page->lru, &rescue->saved);
	}
	set_page_private(page, at);
	iosys_map_set_vaddr_iomem(&from, qdev->memory + ((u64)at << PAGE_SHIFT));
	iosys_map_set_vaddr(&to, kmap_local_page(page));
	drm_memcpy_from_wc(&to, &from, PAGE_SIZE);
	kunmap_local(to.vaddr);
	return 0;
}

/*
 * The card has stopped and nobody touches it.  A range that is given to somebody now gets
 * its content when the card is back, and so does not need a rescue.
 */
int quire_rescue_save(struct quire_device *qdev)
{
	struct quire_rescue *rescue = qdev->rescue;
	unsigned long start;
	void *entry;
	int ret;

	guard(mutex)(&rescue->lock);
	xa_for_each(&rescue->used, start, entry) {
		for (unsigned long i = 0; i < xa_to_value(entry); i++) {
			ret = quire_rescue_save_page(qdev, start + i);
			if (ret)
				return ret;
		}
		cond_resched();
	}
	return 0;
}

void quire_rescue_restore(struct quire_device *qdev)
{
	struct page *page;

	guard(mutex)(&qdev->rescue->lock);
	list_for_each_entry(page, &qdev->rescue->saved, lru) {
		void *from = kmap_local_page(page);

		memcpy_toio(qdev->memory + ((u64)page_private(page) << PAGE_SHIFT), from,
			    PAGE_SIZE);
		kunmap_local(from);
		cond_resched();
	}
	/* Write-combined: it must have arrived before the card reads it. */
	wmb();
}

void quire_rescue_clear(struct quire_device *qdev)
{
	u64 end = quire_gem_card_bytes(qdev);

	for (u64 at = 0; at < end; at += SZ_1M) {
		memset_io(qdev->memory + at, 0, min_t(u64, SZ_1M, end - at));
		cond_resched();
	}
	/* As above. */
	wmb();
}

void quire_rescue_drop(struct quire_device *qdev)
{
	struct quire_rescue *rescue = qdev->rescue;
	struct page *page, *next;

	guard(mutex)(&rescue->lock);
	list_splice_init(&rescue->saved, &rescue->spare);
	list_for_each_entry_safe(page, next, &rescue->spare, lru) {
		list_del(&page->lru);
		set_page_private(page, 0);
		__free_page(page);
	}
	rescue->spares = 0;
}

static void quire_rescue_release(struct drm_device *drm, void *data)
{
	struct quire_rescue *rescue = data;

	xa_destroy(&rescue->used);
}

int quire_rescue_init(struct quire_device *qdev)
{
	struct quire_rescue *rescue = drmm_kzalloc(&qdev->drm, sizeof(*rescue), GFP_KERNEL);
	int ret;

	if (!rescue)
		return -ENOMEM;
	ret = drmm_mutex_init(&qdev->drm, &rescue->lock);
	if (ret)
		return ret;
	xa_init_flags(&rescue->used, XA_FLAGS_ACCOUNT);
	INIT_LIST_HEAD(&rescue->spare);
	INIT_LIST_HEAD(&rescue->saved);
	qdev->rescue = rescue;
	return drmm_add_action_or_reset(&qdev->drm, quire_rescue_release, rescue);
}

/* Before the first buffer: learn what TTM's range manager gives. */
void quire_rescue_attach(struct quire_device *qdev, struct ttm_resource_manager *man)
{
	struct quire_rescue *rescue = qdev->rescue;

	rescue->range = man->func;
	rescue->card = *man->func;
	rescue->card.alloc = quire_rescue_alloc;
	rescue->card.free = quire_rescue_free;
	man->func = &rescue->card;
}
