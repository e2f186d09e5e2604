// SPDX-License-Identifier: MIT
/*
 * Whoever takes memory from a process whose jobs use it: what he waits for, and what he must not.
 */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

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

#define MOST_FACTORS (1u << 22)

/* A job of @count bands, which take long for what they are: sums of numbers far apart. */
static int start_bands(struct card *card, const struct bo *numbers, uint32_t k, uint32_t count,
		       uint64_t *point)
{
	struct quire_packet_gemm *packets = card->stream.map;

	for (uint32_t i = 0; i < count; i++)
		packet_gemm(&packets[i], QUIRE_FORMAT_FP32, 1, 1, k, numbers->va, numbers->va,
			    numbers->va + MOST_FACTORS * sizeof(float));
	return card_submit(card, card->stream.va, (uint32_t)(count * sizeof(*packets)), point);
}

/* Factors of which one band takes about @seconds, and how long it does. */
static int find_band(struct card *card, struct bo *numbers, double seconds, uint32_t *k,
		     double *band)
{
	int ret = card_buffer(card, MOST_FACTORS * sizeof(float) + PAGE,
			      DRM_QUIRE_PLACEMENT_SYSTEM, numbers);

	for (uint32_t i = 0; i < MOST_FACTORS && !ret; i++)
		((uint32_t *)numbers->map)[i] = (67 + i * 79 % 121) << 23;
	for (*k = 1u << 16; !ret; *k *= 2) {
		double start = seconds_now();
		uint64_t point;

		ret = start_bands(card, numbers, *k, 1, &point);
		if (!ret)
			ret = card_wait(card->fd, card->syncobj, point, 60000 * MS);
		*band = seconds_now() - start;
		if (*band >= seconds || *k == MOST_FACTORS)
			break;
	}
	return ret;
}

/*
 * Two queues, one in mid band whenever the other's ends.  Whoever takes page after page would wait
 * for a band each time.
 */
TEST_F_TIMEOUT(userhold, bands_are_waited_for_once_and_not_for_each_page, 240)
{
	enum { BUFFERS = 16, BANDS = 40 };
	double band = 0, start, took;
	struct card second;
	struct bo numbers;
	uint64_t point;
	uint32_t k;

	/* Shorter than others have patience: a longer one would be ended. */
	ASSERT_EQ(0, find_band(&self->card, &numbers, 0.5, &k, &band));
	ASSERT_EQ(0, make_buffers(self, BUFFERS, PAGE, true));
	second = self->card;
	ASSERT_EQ(0, card_queue_create(second.fd, second.vm, 600000, &second.queue));
	ASSERT_EQ(0, card_syncobj_create(second.fd, &second.syncobj));
	second.point = 0;
	ASSERT_EQ(0, start_bands(&self->card, &numbers, k, BANDS, &point));
	usleep((useconds_t)(band / 2 * 1e6));
	ASSERT_EQ(0, start_bands(&second, &numbers, k, BANDS, &point));
	usleep((useconds_t)(band / 4 * 1e6));
	start = seconds_now();
	for (unsigned int i = 0; i < BUFFERS; i++) {
		ASSERT_EQ(0, madvise(self->memory + i * PAGE, PAGE, MADV_DONTNEED));
		/* The page is back; but the hold, an eighth of a band at the least, is not over. */
		usleep((useconds_t)(band / 50 * 1e6));
	}
	took = seconds_now() - start;
	TH_LOG("bands of %.3f s, %.3f s for %u pages", band, took, BUFFERS);
	EXPECT_LT(took, 6 * band);
}

/* The child's own memory, as a buffer at @va of the address space: 0 or an error. */
static int bind_in_child(struct card *card, uint64_t va)
{
	pid_t child = fork();
	int status;

	if (!child) {
		struct drm_quire_userptr args = { .size = PAGE };
		void *memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		int ret;

		args.address = (uintptr_t)memory;
		ret = card_ioctl(card->fd, DRM_IOCTL_QUIRE_USERPTR, &args);
		ret = ret ?: card_bind(card->fd, card->vm, args.handle, va, PAGE, 0);
		card_close_handle(card->fd, args.handle);
		_exit(-ret);
	}
	if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
		return -ECHILD;
	return -WEXITSTATUS(status);
}

/* Else whoever takes a page of one would wait for jobs of the other. */
TEST_F(userhold, an_address_space_has_memory_of_one_process)
{
	double end = seconds_now() + 10 * test_patience();
	int ret;

	ASSERT_EQ(0, make_buffers(self, 1, PAGE, true));
	EXPECT_EQ(-EXDEV, bind_in_child(&self->card, VA + PAGE));
	ASSERT_EQ(0, card_unbind(self->card.fd, self->card.vm, VA, PAGE));
	/* Once the card has let go of it. */
	while ((ret = bind_in_child(&self->card, VA)) == -EXDEV && seconds_now() < end)
		usleep(10000);
	EXPECT_EQ(0, ret);
}

#define OLD 0x5151515151515151ull

/* Jobs that go on writing @page of the buffer for a while. */
static int start_fills(FIXTURE_DATA(userhold) *self, unsigned int jobs, uint64_t page)
{
	struct quire_packet_fill *packets = self->card.stream.map;
	uint32_t count = QUIRE_STREAM_MAX_BYTES / sizeof(*packets);
	uint64_t point;
	int ret = 0;

	for (uint32_t i = 0; i < count; i++)
		packet_fill(&packets[i], VA + page * PAGE, PAGE, OLD);
	for (unsigned int i = 0; i < jobs && !ret; i++)
		ret = card_submit(&self->card, self->card.stream.va,
				  (uint32_t)(count * sizeof(*packets)), &point);
	return ret;
}

/* The buffer is large, so that it takes a while to ask for its pages. */
TEST_F_TIMEOUT(userhold, what_is_unmapped_while_pages_are_asked_for_is_gone_for_jobs, 120)
{
	enum { ROUNDS = 40, PAGES = 8192 };
	size_t bytes = PAGES * (size_t)PAGE;
	unsigned int written = 0;

	ASSERT_EQ(0, make_buffers(self, 1, bytes, true));
	madvise(self->memory, bytes, MADV_NOHUGEPAGE);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		uint8_t *last = self->memory + bytes - PAGE;
		volatile uint64_t *word = (volatile uint64_t *)last;

		memset(self->memory, 1, bytes);
		ASSERT_EQ(0, start_fills(self, 60, PAGES - 1));
		while (*word != OLD)
			usleep(1000);
		/* Jobs rest while all is asked for again; meanwhile something else comes there. */
		ASSERT_EQ(0, madvise(self->memory, PAGE, MADV_DONTNEED));
		usleep(i * 200);
		ASSERT_EQ(last, mmap(last, PAGE, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
		usleep(60000);
		written += *word != 0;
		card_queue_destroy(self->card.fd, self->card.queue);
		ASSERT_EQ(0, card_queue_create(self->card.fd, self->card.vm, 600000,
					       &self->card.queue));
	}
	EXPECT_EQ(0, written);
}

TEST_HARNESS_MAIN
