// SPDX-License-Identifier: MIT
/* Calls that may fail, ids that may be gone, memory that may not be there. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "fuzz_calls.h"

static __thread sigjmp_buf *fuzz_escape;

int64_t fuzz_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000ll + now.tv_nsec / 1000;
}

int fuzz_once(struct file *file, unsigned long request, void *args)
{
	return ioctl(file->fd, request, args) ? -errno : 0;
}

int fuzz_call(struct file *file, struct rng *rng, unsigned long request, void *args,
	      size_t bytes)
{
	if (rng_once_in(rng, 7))
		rng_mutate(rng, args, bytes);
	return fuzz_send(file, rng, request, args, bytes);
}

uint64_t fuzz_harmless(uint64_t address, const uint8_t *area, size_t bytes)
{
	/* Nothing lies below 64 KiB, nor in the kernel's half. */
	if (address < 0x10000 || address - (uintptr_t)area < bytes)
		return address;
	return address | 1ull << 63;
}

int fuzz_send(struct file *file, struct rng *rng, unsigned long request, void *args, size_t bytes)
{
	if (rng_once_in(rng, 200))
		return fuzz_once(file, request, (void *)(uintptr_t)rng_odd_value(rng));
	if (rng_once_in(rng, 60)) {
		void *late = fuzz_make_late(rng, args, bytes);
		int ret = fuzz_once(file, request, late);

		if (late != args)
			memcpy(args, late, bytes);
		return ret;
	}
	return fuzz_once(file, request, args);
}

int fuzz_open(unsigned int file)
{
	static const char *const nodes[] = { "/dev/accel/accel0", "/dev/accel/accel1" };

	return open(nodes[file % fuzz_cards()], O_RDWR | O_CLOEXEC);
}

unsigned int fuzz_cards(void)
{
	return access("/dev/accel/accel1", F_OK) ? 1 : 2;
}

uint32_t fuzz_pick(struct rng *rng, _Atomic uint32_t *slots, uint32_t count)
{
	uint32_t id = 0;

	if (rng_once_in(rng, 40))
		return rng_once_in(rng, 2) ? rng_below(rng, 40) : (uint32_t)rng_odd_value(rng);
	for (int tries = 0; tries < 8 && !id; tries++)
		id = slots[rng_below(rng, count)];
	return id;
}

uint32_t fuzz_drop(struct rng *rng, _Atomic uint32_t *slots, uint32_t count)
{
	_Atomic uint32_t *place = &slots[rng_below(rng, count)];

	return rng_once_in(rng, 30) ? fuzz_pick(rng, slots, count) : atomic_exchange(place, 0);
}

uint32_t fuzz_keep(struct rng *rng, _Atomic uint32_t *slots, uint32_t count, uint32_t id)
{
	uint32_t place = rng_below(rng, count), old;

	for (uint32_t i = 0; i < count; i++)
		if (!slots[i])
			place = i;
	old = atomic_exchange(&slots[place], id);
	for (uint32_t i = 0; i < count; i++)
		if (slots[i] == old)
			return 0;
	return old;
}

/* Writes to what may not be there. */
void fuzz_put(uint8_t *to, const uint8_t *from, size_t bytes)
{
	sigjmp_buf here;

	fuzz_escape = &here;
	if (!sigsetjmp(here, 1))
		memcpy(to, from, bytes);
	fuzz_escape = NULL;
}

void fuzz_touch(struct rng *rng, volatile uint8_t *at, uint64_t bytes)
{
	sigjmp_buf here;

	fuzz_escape = &here;
	if (!sigsetjmp(here, 1))
		for (int i = 0; i < 8; i++) {
			uint64_t place = rng_next(rng) % bytes;

			if (rng_once_in(rng, 2))
				at[place] = (uint8_t)place;
			else
				(void)at[place];
		}
	fuzz_escape = NULL;
}

void fuzz_on_fault(int signal)
{
	if (!fuzz_escape) {
		static const char text[] = "# fuzz_ioctl: a fault of its own\n";

		(void)!write(1, text, sizeof(text) - 1);
		_exit(99);
	}
	(void)signal;
	siglongjmp(*fuzz_escape, 1);
}
