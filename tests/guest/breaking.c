// SPDX-License-Identifier: MIT
#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "breaking.h"
#include "monitor.h"
#include "patience.h"

#define HELD_NS (50 * MS)	/* of engine time: the job has begun */
#define OTHER_PRODUCTS 40u
#define LONG_PRODUCTS 400u
/* In the stream's buffer, behind the products. */
#define OUTCOME 100000u
#define BEGUN 100352u

int breaking_setup(struct card *guilty, struct card *innocent)
{
	uint32_t bytes;
	int ret = card_setup_limit(guilty, 0, BREAKING_LIMIT_MS);

	if (!ret)
		ret = card_setup(innocent, 0);
	if (!ret)
		ret = card_long_stream(guilty, &bytes);
	return ret ? ret : card_answers(innocent);
}

void breaking_teardown(struct card *guilty, struct card *innocent)
{
	static const char *const all[] = { "engine-hang",      "engine-deaf",	  "engine-stuck",
					   "engine-frozen",    "mcu-halt",	  "crash-firmware",
					   "drop-interrupts",  "corrupt-firmware", "dma-errors" };

	for (unsigned int i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		monitor_inject(all[i], 0);
	card_teardown(guilty);
	card_teardown(innocent);
}

uint32_t breaking_resets(int fd)
{
	return card_info(fd).resets;
}

uint64_t breaking_marked(struct card *card, uint32_t products, uint32_t *bytes)
{
	uint32_t first = sizeof(struct quire_packet_gemm) - sizeof(struct quire_packet_fill);

	memset((char *)card->stream.map + BEGUN, 0, 64);
	packet_fill((struct quire_packet_fill *)((char *)card->stream.map + first),
		    card->stream.va + BEGUN, 64, 0xbe617);
	*bytes = sizeof(struct quire_packet_fill) +
		 products * (uint32_t)sizeof(struct quire_packet_gemm);
	return card->stream.va + first;
}

volatile uint64_t *breaking_mark(struct card *card)
{
	return (volatile uint64_t *)((char *)card->stream.map + BEGUN);
}

int breaking_begun(struct card *card)
{
	for (int i = 0; i < 3000 * test_patience() && !*breaking_mark(card); i++)
		usleep(10000);
	return *breaking_mark(card) ? 0 : -ETIME;
}

int breaking_let_begin(struct card *card)
{
	struct drm_quire_queue_query state = { 0 };

	for (int i = 0; i < 3000 * test_patience() && state.busy_ns < HELD_NS; i++) {
		int ret;

		usleep(10000);
		ret = card_queue_state(card->fd, card->queue, &state);
		if (ret)
			return ret;
	}
	return state.busy_ns < HELD_NS ? -ETIME : 0;
}

pid_t breaking_heal_after(const struct card *card, uint64_t point, const char *injection)
{
	pid_t healer = fork();

	if (healer)
		return healer;
	card_wait(card->fd, card->syncobj, point, 120000 * MS);
	_exit(monitor_inject(injection, 0) != 0);
}

int breaking_healed(pid_t healer)
{
	int status;

	if (waitpid(healer, &status, 0) != healer)
		return -errno;
	return status;
}

int breaking_start_guilty(struct card *card, uint64_t *point)
{
	uint32_t bytes;
	uint64_t va = breaking_marked(card, LONG_PRODUCTS, &bytes);

	return card_submit(card, va, bytes, point);
}

int breaking_start(struct card *card, uint32_t flags, uint32_t products, uint64_t *point)
{
	struct drm_quire_sync sync = { DRM_QUIRE_SYNC_SIGNAL | DRM_QUIRE_SYNC_TIMELINE,
				       card->syncobj, card->point + 1 };
	struct drm_quire_job job = { .flags = flags,
				     .outcome_va = card->stream.va + OUTCOME,
				     .syncs = { sizeof(sync), 1, (uintptr_t)&sync } };
	struct drm_quire_submit args = { .queue_id = card->queue,
					 .jobs = { sizeof(job), 1, (uintptr_t)&job } };
	int ret;

	job.stream_va = breaking_marked(card, products, &job.stream_bytes);
	ret = card_ioctl(card->fd, DRM_IOCTL_QUIRE_SUBMIT, &args);
	if (!ret)
		*point = ++card->point;
	return ret;
}

int breaking_start_other(struct card *card, uint32_t flags, uint64_t *point)
{
	/* It must last while others are started, which takes the longer the slower the kernel. */
	uint32_t products = OTHER_PRODUCTS * (test_patience() > 1 ? 8 : 1);

	return breaking_start(card, flags, products, point);
}

struct quire_job_outcome *breaking_outcome(struct card *card)
{
	return (struct quire_job_outcome *)((char *)card->stream.map + OUTCOME);
}

uint64_t breaking_digest(struct card *card)
{
	return breaking_outcome(card)->digest;
}

void breaking_forget_digest(struct card *card)
{
	memset(breaking_outcome(card), 0, sizeof(struct quire_job_outcome));
}
