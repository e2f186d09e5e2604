// SPDX-License-Identifier: MIT
/*
 * A user's memory that does not come back, because a page fault for it does not end, costs others
 * nothing: threads of the kernel wait there, and there are so many of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "card.h"
#include "harness.h"
#include "patience.h"

#define VA 0x4000000000ull
#define DIRECTORY "/tmp/frozen"
#define SPACES 560u /* more than a workqueue of the kernel has works at a time */
#define PRODUCTS 40 /* some seconds */
#define USER 1000

FIXTURE(frozen) {
	struct card card;
	int file;
};

/* A file system that can be frozen; -ENODEV: the guest has none. */
static int mount_disk(void)
{
	mkdir(DIRECTORY, 0755);
	if (system("kit=$(sed 's/.*guest_kit=\\([^ ]*\\).*/\\1/' /proc/cmdline) &&"
		   "modprobe -d $kit brd rd_nr=1 rd_size=32768 && modprobe -d $kit ext4 &&"
		   "mkfs.ext4 -q /dev/ram0") || mount("/dev/ram0", DIRECTORY, "ext4", 0, NULL))
		return -ENODEV;
	return 0;
}

/* A page of a file there. */
static char *map_file(int *file)
{
	*file = open(DIRECTORY "/file", O_RDWR | O_CREAT, 0600);
	if (*file < 0 || ftruncate(*file, PAGE))
		return MAP_FAILED;
	return mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, *file, 0);
}

/* Works of the kernel that had waited for its pages let go of it within a moment. */
static int unmount_disk(void)
{
	for (int i = 0; i < 100 * test_patience(); i++) {
		if (!umount(DIRECTORY))
			return 0;
		if (errno != EBUSY)
			break;
		usleep(100000);
	}
	return -errno;
}

/* Page faults of its files wait from here on, or go on. */
static int freeze(unsigned long request)
{
	int directory = open(DIRECTORY, O_RDONLY), ret;

	ret = ioctl(directory, request, 0) ? -errno : 0;
	close(directory);
	return ret;
}

static int bind_memory(const struct card *card, uint32_t vm, void *memory, uint32_t *handle)
{
	struct drm_quire_userptr args = { .address = (uintptr_t)memory, .size = PAGE };
	int ret = 0;

	if (!*handle)
		ret = card_ioctl(card->fd, DRM_IOCTL_QUIRE_USERPTR, &args);
	if (!*handle)
		*handle = args.handle;
	return ret ? ret : card_bind(card->fd, vm, *handle, VA, PAGE, 0);
}

/* A job that waits for the last one of the card's queue. */
static int submit_behind(const struct card *card, uint32_t queue, uint64_t va, uint32_t bytes,
			 uint32_t signal, uint64_t point)
{
	struct drm_quire_sync syncs[] = {
		{ .flags = DRM_QUIRE_SYNC_WAIT | DRM_QUIRE_SYNC_TIMELINE,
		  .handle = card->syncobj, .point = point },
		{ .flags = DRM_QUIRE_SYNC_SIGNAL | DRM_QUIRE_SYNC_TIMELINE,
		  .handle = signal, .point = 1 },
	};
	struct drm_quire_job job = { .stream_va = va, .stream_bytes = bytes,
				     .syncs = { sizeof(syncs[0]), signal ? 2 : 1,
						(uintptr_t)syncs } };
	struct drm_quire_submit args = { .queue_id = queue,
					 .jobs = { sizeof(job), 1, (uintptr_t)&job } };

	return card_ioctl(card->fd, DRM_IOCTL_QUIRE_SUBMIT, &args);
}

/* Jobs of many address spaces may use a page of a file, and wait for a long one. */
static int use_page(int file)
{
	uint32_t bytes, handle = 0;
	struct card card;
	uint64_t point;
	char *page;
	int ret;

	if (setgid(USER) || setuid(USER))
		return -errno;
	page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (page == MAP_FAILED)
		return -errno;
	page[0] = 1;
	ret = card_setup_limit(&card, 0, 600000);
	if (!ret)
		ret = card_long_stream(&card, &bytes);
	for (int i = 0; i < 4 && !ret; i++)
		ret = card_submit(&card, card.stream.va, bytes, &point);
	for (unsigned int i = 0; i < SPACES && !ret; i++) {
		uint32_t vm, queue;

		ret = card_vm_create(card.fd, &vm);
		if (!ret)
			ret = bind_memory(&card, vm, page, &handle);
		if (!ret)
			ret = card_queue_create(card.fd, vm, 600000, &queue);
		if (!ret)
			ret = submit_behind(&card, queue, 0, 0, 0, point);
	}
	return ret;
}

/* Another user has done so when a byte comes from @ready; he ends when @go is closed. */
static pid_t start_user(int file, int *ready, int *go)
{
	int from[2], to[2], ret;
	pid_t child;
	char c = 0;

	if (pipe(from) || pipe(to))
		return -1;
	child = fork();
	if (!child) {
		close(to[1]);
		ret = use_page(file);
		if (ret || write(from[1], &c, 1) != 1)
			_exit(ret ? -ret & 0xff : 1);
		_exit(read(to[0], &c, 1) == 0 ? 0 : 1);
	}
	close(from[1]);
	close(to[0]);
	*ready = from[0];
	*go = to[1];
	return child;
}

FIXTURE_SETUP(frozen)
{
	self->file = -1;
	ASSERT_EQ(0, chmod("/dev/accel/accel0", 0666));
	ASSERT_EQ(0, card_setup_limit(&self->card, 0, 600000));
}

FIXTURE_TEARDOWN(frozen)
{
	card_teardown(&self->card);
	if (self->file < 0)
		return;
	close(self->file);
	EXPECT_EQ(0, unmount_disk());
}

/* A job that has not begun loses its memory for a moment; its error. */
static int run_while_memory_goes(struct card *card)
{
	char *memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint32_t queue, done, bytes, handle = 0;
	uint64_t point;
	struct bo bo;
	pid_t child;
	int ret;

	if (memory == MAP_FAILED)
		return -errno;
	memory[0] = 1;
	ret = bind_memory(card, card->vm, memory, &handle);
	if (!ret)
		ret = card_queue_create(card->fd, card->vm, 600000, &queue);
	if (!ret)
		ret = card_syncobj_create(card->fd, &done);
	if (!ret)
		ret = card_buffer(card, PAGE, DRM_QUIRE_PLACEMENT_CARD, &bo);
	if (!ret)
		ret = card_long_stream(card, &bytes);
	if (ret)
		return ret;
	packet_fill(bo.map, VA, PAGE, 0x0707070707070707ull);
	bytes = PRODUCTS * sizeof(struct quire_packet_gemm);
	ret = card_submit(card, card->stream.va, bytes, &point);
	if (!ret)
		ret = submit_behind(card, queue, bo.va, sizeof(struct quire_packet_fill), done, point);
	child = ret ? -1 : fork();
	if (!child)
		_exit(0);
	if (child < 0 || waitpid(child, NULL, 0) != child)
		return ret ? ret : -ECHILD;
	ret = card_wait(card->fd, done, 1, 60000 * MS);
	if (!ret)
		ret = card_fence_error(card->fd, done, 1);
	return ret ? ret : memory[PAGE - 1] == 7 ? 0 : -EBADMSG;
}

TEST_F_TIMEOUT(frozen, memory_of_a_user_that_does_not_come_back_costs_others_nothing, 180)
{
	int ready = -1, go = -1, status;
	pid_t user;
	char c;

	if (mount_disk())
		SKIP(return, "no disk with a file system");
	self->file = open(DIRECTORY "/file", O_RDWR | O_CREAT, 0600);
	ASSERT_LE(0, self->file);
	ASSERT_EQ(0, ftruncate(self->file, PAGE));
	user = start_user(self->file, &ready, &go);
	ASSERT_LT(0, user);
	ASSERT_EQ(1, read(ready, &c, 1));
	/* From here on threads ask for his page. */
	ASSERT_EQ(0, freeze(FIFREEZE));
	EXPECT_EQ(0, run_while_memory_goes(&self->card));
	EXPECT_EQ(0, freeze(FITHAW));
	close(go);
	EXPECT_EQ(user, waitpid(user, &status, 0));
	EXPECT_EQ(0, status);
}

/* A process that lets the file system go on when @go is closed, or after so long. */
static pid_t start_thaw(int timeout_ms, int *go)
{
	int to[2];
	pid_t child;

	if (pipe(to))
		return -1;
	child = fork();
	if (!child) {
		struct pollfd closed = { .fd = to[0], .events = POLLIN };

		close(to[1]);
		poll(&closed, 1, timeout_ms);
		_exit(-freeze(FITHAW));
	}
	close(to[0]);
	*go = to[1];
	return child;
}

struct submission {
	struct card *card;
	int ret;
	bool ended;
};

static void *submit_empty(void *argument)
{
	struct submission *submission = argument;
	uint64_t point;

	submission->ret = card_submit(submission->card, 0, 0, &point);
	__atomic_store_n(&submission->ended, true, __ATOMIC_RELEASE);
	return NULL;
}

TEST_F_TIMEOUT(frozen, closing_a_queue_does_not_wait_for_memory_that_a_submission_waits_for, 120)
{
	struct submission waiting = { .card = &self->card };
	uint32_t handle = 0;
	int go = -1, status, closed;
	double start, took;
	pthread_t thread;
	pid_t thaw;
	char *page;

	if (mount_disk())
		SKIP(return, "no disk with a file system");
	page = map_file(&self->file);
	ASSERT_NE(MAP_FAILED, page);
	page[0] = 1;
	ASSERT_EQ(0, bind_memory(&self->card, self->card.vm, page, &handle));
	thaw = start_thaw(20000 * test_patience(), &go);
	ASSERT_LT(0, thaw);
	/* Its pages are written, and a page fault makes them ones that may be written to again. */
	ASSERT_EQ(0, freeze(FIFREEZE));
	ASSERT_EQ(0, pthread_create(&thread, NULL, submit_empty, &waiting));
	usleep(500000 * test_patience());
	EXPECT_FALSE(__atomic_load_n(&waiting.ended, __ATOMIC_ACQUIRE));
	start = seconds_now();
	closed = card_queue_destroy(self->card.fd, self->card.queue);
	took = seconds_now() - start;
	EXPECT_FALSE(__atomic_load_n(&waiting.ended, __ATOMIC_ACQUIRE));
	close(go);
	EXPECT_EQ(thaw, waitpid(thaw, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, closed);
	EXPECT_GT(5 * test_patience(), took);
	EXPECT_EQ(-ECANCELED, waiting.ret);
	EXPECT_EQ(0, munmap(page, PAGE));
}

/* Jobs whose memory is a page that nobody can write to until the file system goes on. */
static int take_page(struct card *card, char *page)
{
	uint32_t handle = 0, bytes;
	uint64_t point;
	int ret;

	page[0] = 1;
	ret = bind_memory(card, card->vm, page, &handle);
	if (!ret)
		ret = card_long_stream(card, &bytes);
	if (!ret)
		ret = card_submit(card, card->stream.va, bytes, &point);
	if (ret)
		return ret;
	usleep(100000);
	return freeze(FIFREEZE);
}

/* What the card has worked for the queue, in seconds. */
static double seconds_worked(const struct card *card)
{
	struct drm_quire_queue_query state = {};

	card_queue_state(card->fd, card->queue, &state);
	return state.busy_ns / 1e9;
}

/* What it had worked then. */
static double comes_to_rest(const struct card *card)
{
	double before, worked = seconds_worked(card);

	do {
		before = worked;
		usleep(300000);
		worked = seconds_worked(card);
	} while (worked != before);
	return worked;
}

TEST_F_TIMEOUT(frozen, attempts_to_sleep_do_not_keep_jobs_at_rest, 120)
{
	double rested, awake = 0, start;
	int attempts = 0;
	char *page;

	if (mount_disk() || sysfs_write("/sys/power/pm_test", "freezer"))
		SKIP(return, "no disk with a file system, or no attempts to sleep");
	page = map_file(&self->file);
	ASSERT_NE(MAP_FAILED, page);
	ASSERT_EQ(0, take_page(&self->card, page));
	EXPECT_EQ(0, sysfs_write("/sys/power/pm_freeze_timeout", "1000"));
	EXPECT_EQ(0, sysfs_write("/sys/power/sync_on_suspend", "0"));
	rested = comes_to_rest(&self->card);
	while (seconds_worked(&self->card) < rested + 0.3 && awake < 10 * test_patience()) {
		/* The thread that waits for the page cannot be frozen. */
		EXPECT_EQ(-EBUSY, sysfs_write("/sys/power/state", "mem"));
		start = seconds_now();
		usleep(500000);
		awake += seconds_now() - start;
		attempts++;
	}
	TH_LOG("%d attempts, awake for %.1f s", attempts, awake);
	/* The time for which they are frozen, a second each, is not of the hold's 5. */
	EXPECT_LT(3.3, awake);
	EXPECT_GT(10 * test_patience(), awake);
	EXPECT_EQ(0, freeze(FITHAW));
	sysfs_write("/sys/power/pm_freeze_timeout", "20000");
	sysfs_write("/sys/power/sync_on_suspend", "1");
	sysfs_write("/sys/power/pm_test", "none");
	EXPECT_EQ(0, munmap(page, PAGE));
}

TEST_HARNESS_MAIN
