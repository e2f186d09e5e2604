/* SPDX-License-Identifier: MIT */
/* What the parts of the fuzzer of the driver's calls share: files, ids, and a call of each kind. */
#ifndef QUIRE_TESTS_FUZZ_CALLS_H
#define QUIRE_TESTS_FUZZ_CALLS_H

#include <stddef.h>
#include <stdint.h>

#include "card.h"
#include "fuzz_random.h"

#define FUZZ_FILES 2
#define SLOTS 12
#define USER_BYTES (1u << 20)
#define STREAM_BYTES (64u << 10)
#define DATA_BYTES (1u << 20) /* behind the streams, bound with them */
#define VA_BASE 0x40000000ull
#define VA_SPAN (48ull << 20)
#define STREAM_VA 0x30000000ull

/* A file of a process, and what its threads remember of what they made there. */
struct file {
	_Atomic int fd;
	_Atomic uint32_t vm[4], bo[SLOTS], queue[6], syncobj[SLOTS];
	_Atomic uint64_t offset[SLOTS]; /* of mappings */
	_Atomic int shared[SLOTS];	/* dma-bufs, sync files, syncobj files */
	uint8_t *stream;
};

extern struct file fuzz_files[FUZZ_FILES];

#define COUNT(slots) (sizeof(slots) / sizeof((slots)[0]))
#define PICK(rng, slots) fuzz_pick(rng, slots, COUNT(slots))
#define DROP(rng, slots) fuzz_drop(rng, slots, COUNT(slots))
#define KEEP(rng, slots, id) fuzz_keep(rng, slots, COUNT(slots), id)
#define SOME(rng, slots) (&(slots)[rng_below(rng, COUNT(slots))])

/* fuzz_ids.c: calls, ids, and memory that may not be there. */

int64_t fuzz_now_us(void);
/* The file of this number: on one card after the other. */
int fuzz_open(unsigned int file);
unsigned int fuzz_cards(void);
/* One try, as a signal may end it; 0 or -errno. */
int fuzz_once(struct file *file, unsigned long request, void *args);
/* Now and then with another value somewhere. */
int fuzz_call(struct file *file, struct rng *rng, unsigned long request, void *args, size_t bytes);
/* As it is; but the pages of the arguments may come late, or not be there. */
int fuzz_send(struct file *file, struct rng *rng, unsigned long request, void *args, size_t bytes);
/* Where the call, or jobs, write: in the area, or where nothing of ours lies to be hit. */
uint64_t fuzz_harmless(uint64_t address, const uint8_t *area, size_t bytes);
/* Mostly an id of ours, but also one that is gone, or none. */
uint32_t fuzz_pick(struct rng *rng, _Atomic uint32_t *slots, uint32_t count);
/* One to be destroyed.  Now and then it is remembered all the same. */
uint32_t fuzz_drop(struct rng *rng, _Atomic uint32_t *slots, uint32_t count);
/* Remembers an id; the one that has to make room, unless the kernel has given it out again. */
uint32_t fuzz_keep(struct rng *rng, _Atomic uint32_t *slots, uint32_t count, uint32_t id);
void fuzz_put(uint8_t *to, const uint8_t *from, size_t bytes);
void fuzz_touch(struct rng *rng, volatile uint8_t *at, uint64_t bytes);
/* Handler of SIGSEGV and SIGBUS. */
void fuzz_on_fault(int signal);

/* fuzz_memory.c, fuzz_sync.c, fuzz_jobs.c: calls, each with random arguments; 0 or -errno. */

int fuzz_bo_create(struct file *file, struct rng *rng);
int fuzz_userptr(struct file *file, struct rng *rng);
int fuzz_gem_close(struct file *file, struct rng *rng);
int fuzz_bo_info(struct file *file, struct rng *rng);
int fuzz_mmap_offset(struct file *file, struct rng *rng);
int fuzz_map_and_touch(struct file *file, struct rng *rng);
int fuzz_user_pages(struct file *file, struct rng *rng);
int fuzz_prime_export(struct file *file, struct rng *rng);
int fuzz_prime_import(struct file *file, struct rng *rng);
int fuzz_map_shared(struct file *file, struct rng *rng);
int fuzz_sync_create(struct file *file, struct rng *rng);
int fuzz_sync_destroy(struct file *file, struct rng *rng);
int fuzz_sync_wait(struct file *file, struct rng *rng);
int fuzz_sync_change(struct file *file, struct rng *rng);
int fuzz_sync_share(struct file *file, struct rng *rng);
int fuzz_vm_create(struct file *file, struct rng *rng);
int fuzz_vm_destroy(struct file *file, struct rng *rng);
int fuzz_bind(struct file *file, struct rng *rng);
int fuzz_bind_stream(struct file *file, struct rng *rng);
int fuzz_queue_create(struct file *file, struct rng *rng);
int fuzz_queue_destroy(struct file *file, struct rng *rng);
int fuzz_queue_query(struct file *file, struct rng *rng);
int fuzz_submit(struct file *file, struct rng *rng);

/* fuzz_shared.c: memory that others have, and arguments that come late. */

int fuzz_udmabuf(struct file *file, struct rng *rng);
int fuzz_shared_call(struct file *file, struct rng *rng);
int fuzz_display(struct file *file, struct rng *rng);
/* The same where its pages are brought by another thread, or itself. */
void *fuzz_make_late(struct rng *rng, void *what, size_t bytes);
int fuzz_shared_init(void);

void fuzz_close_bo(struct file *file, uint32_t handle);
/* At most so many; how many. */
uint32_t fuzz_some_syncs(struct file *file, struct rng *rng, struct drm_quire_sync *syncs,
			 uint32_t most);
/* Memory of the process: what buffers are made of. */
int fuzz_memory_init(void);

#endif
