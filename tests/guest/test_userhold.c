// SPDX-License-Identifier: MIT
/* Whoever takes memory from a process whose jobs use it: what he waits for, and what he must not. */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "card.h"
#include "harness.h"
#include "shared.h"

#define VA 0x4000000000ull

static char bdf[2][16];

FIXTURE(userhold) {
	struct card card;
	uint8_t *memory;
	size_t bytes;
};

FIXTURE_SETUP(userhold)
{
	ASSERT_EQ(1, shared_find_cards(bdf));
	ASSERT_EQ(0, card_setup_limit(&self->card, (unsigned int)shared_node(bdf[0]), 600000));
}

FIXTURE_TEARDOWN(userhold)
{
	if (self->card.fd >= 0)
		card_teardown(&self->card);
	if (self->memory)
		munmap(self->memory, self->bytes);
}

/* Memory of the process as @count buffers of @bytes each, bound one behind the other. */
static int make_buffers(FIXTURE_DATA(userhold) *self, unsigned int count, size_t bytes, bool bound)
{
	uint8_t *memory = mmap(NULL, count * bytes, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int ret = 0;

	if (memory == MAP_FAILED)
		return -ENOMEM;
	self->memory = memory;
	self->bytes = count * bytes;
	for (unsigned int i = 0; i < count && !ret; i++) {
		struct drm_quire_userptr args = { .address = (uintptr_t)memory + i * bytes,
						  .size = bytes };

		ret = card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_USERPTR, &args);
		if (!ret && bound)
			ret = card_bind(self->card.fd, self->card.vm, args.handle, VA + i * bytes,
					bytes, 0);
	}
	return ret;
}

static void *drop_pages(void *argument)
{
	FIXTURE_DATA(userhold) *self = argument;

	/* The last buffers of the file end last. */
	for (size_t left = self->bytes; left; left -= PAGE)
		madvise(self->memory + left - PAGE, PAGE, MADV_DONTNEED);
	return NULL;
}

/* What the driver has for a card ends after what is told that the pages go. */
TEST_F_TIMEOUT(userhold, memory_goes_while_the_last_file_of_a_lost_card_is_closed, 60)
{
	enum { ROUNDS = 3, BUFFERS = 3000 };
	pthread_t thread;

	for (int round = 0; round < ROUNDS; round++) {
		ASSERT_EQ(0, make_buffers(self, BUFFERS, PAGE, false));
		ASSERT_EQ(0, sysfs_write(SHARED_DRIVER "unbind", bdf[0]));
		ASSERT_EQ(0, pthread_create(&thread, NULL, drop_pages, self));
		card_teardown(&self->card);
		ASSERT_EQ(0, pthread_join(thread, NULL));
		munmap(self->memory, self->bytes);
		self->memory = NULL;
		ASSERT_EQ(0, sysfs_write(SHARED_DRIVER "bind", bdf[0]));
		ASSERT_EQ(0, card_setup_limit(&self->card, (unsigned int)shared_node(bdf[0]),
					      600000));
	}
}

TEST_HARNESS_MAIN
