/* SPDX-License-Identifier: MIT */
/*
 * Raw access to the driver for guest tests: every call is one ioctl and returns
 * 0 or -errno, so that a test sees exactly what the kernel answered.
 */
#ifndef QUIRE_TESTS_CARD_H
#define QUIRE_TESTS_CARD_H

#include <stddef.h>
#include <stdint.h>

#include <quire/hw.h>
#include <drm/quire_drm.h>

#define PAGE 4096u
#define MS 1000000ll /* nanoseconds */

struct bo {
	uint32_t handle;
	uint64_t size;
	uint64_t va;
	void *map;
};

/* Everything a test needs to run jobs: one file, one address space, one queue. */
struct card {
	int fd;
	uint32_t vm;
	uint32_t queue;
	uint32_t syncobj; /* timeline */
	uint64_t point;
	uint64_t next_va;
	struct bo stream;
};

/* Into a file of sysfs or the like: 0 or the error of opening or writing. */
int sysfs_write(const char *path, const char *text);

double seconds_now(void);

int card_open_node(unsigned int index);
int card_ioctl(int fd, unsigned long request, void *arg);

int card_vm_create(int fd, uint32_t *vm);
int card_queue_create(int fd, uint32_t vm, uint32_t limit_ms, uint32_t *queue);
int card_queue_destroy(int fd, uint32_t queue);
int card_bo_create(int fd, uint64_t size, uint32_t placement, uint32_t vm, uint32_t *handle);
int card_bo_map(int fd, uint32_t handle, uint64_t size, void **map);
int card_bind(int fd, uint32_t vm, uint32_t handle, uint64_t va, uint64_t size, uint32_t flags);
int card_unbind(int fd, uint32_t vm, uint64_t va, uint64_t size);
void card_close_handle(int fd, uint32_t handle);

int card_syncobj_create(int fd, uint32_t *handle);
/* Waits until the point has signalled; -ETIME after timeout_ns, or more where all is slow. */
int card_wait(int fd, uint32_t syncobj, uint64_t point, int64_t timeout_ns);
/* Error a signalled point carries (negative), or 0. */
int card_fence_error(int fd, uint32_t syncobj, uint64_t point);

/* A card with address space, queue, timeline and a mapped stream buffer. */
int card_setup(struct card *card, unsigned int index);
int card_setup_limit(struct card *card, unsigned int index, uint32_t limit_ms);
void card_teardown(struct card *card);

struct drm_quire_device_info card_info(int fd);
/* Whether quire/state of the first card says so. */
int card_is(const char *state);
/* A small job, whose result is looked at: 0, or an error. */
int card_answers(struct card *card);

/* Buffer created, mapped, bound at a fresh address. */
int card_buffer(struct card *card, uint64_t size, uint32_t placement, struct bo *bo);

/* Submits a stream that signals the next point; *point receives it. */
int card_submit(struct card *card, uint64_t va, uint32_t bytes, uint64_t *point);
/* Copies packets to the stream buffer, submits and waits; the fence's error. */
int card_run(struct card *card, const void *packets, size_t bytes);
/* Fills the stream buffer with products of 1024^3, many seconds of work. */
int card_long_stream(struct card *card, uint32_t *bytes);
int card_queue_state(int fd, uint32_t queue, struct drm_quire_queue_query *state);

void packet_fill(struct quire_packet_fill *p, uint64_t va, uint64_t bytes, uint64_t pattern);
void packet_copy(struct quire_packet_copy *p, uint64_t to, uint64_t from, uint64_t bytes);
/* D = A B, row-major and dense, all of one format. */
void packet_gemm(struct quire_packet_gemm *p, uint32_t format, uint32_t m, uint32_t n, uint32_t k,
		 uint64_t a, uint64_t b, uint64_t d);

#endif
