// SPDX-License-Identifier: MIT
/* The driver leaves the card, or the card the machine, while programs use it. */
#include <errno.h>
#include <linux/sync_file.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <signal.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <drm.h>

#include "card.h"
#include "harness.h"
#include "monitor.h"
#include "shared.h"

static char bdf[2][16];

static int card_works(void)
{
	struct quire_packet_fill fill;
	struct card card;
	int ret = card_setup(&card, (unsigned int)shared_node(bdf[0]));

	if (!ret) {
		packet_fill(&fill, card.stream.va + PAGE, 64, 1);
		ret = card_run(&card, &fill, sizeof(fill));
	}
	card_teardown(&card);
	return ret;
}

static int remove_module(void)
{
	return syscall(SYS_delete_module, "quire", O_NONBLOCK) ? -errno : 0;
}

FIXTURE(unplug) {
	struct card card;
};

FIXTURE_SETUP(unplug)
{
	ASSERT_EQ(1, shared_find_cards(bdf));
	ASSERT_EQ(0, card_setup(&self->card, (unsigned int)shared_node(bdf[0])));
}

FIXTURE_TEARDOWN(unplug)
{
	if (self->card.fd >= 0)
		card_teardown(&self->card);
}

static int fence_file(int fd, uint32_t syncobj, uint64_t point)
{
	struct drm_syncobj_handle export = { .flags = DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE };
	struct drm_syncobj_transfer transfer = { .src_handle = syncobj, .src_point = point };

	if (card_syncobj_create(fd, &transfer.dst_handle) ||
	    card_ioctl(fd, DRM_IOCTL_SYNCOBJ_TRANSFER, &transfer))
		return -1;
	export.handle = transfer.dst_handle;
	return card_ioctl(fd, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &export) ? -1 : export.fd;
}

/* What everybody sees whose card has gone. */
static void expect_gone(struct card *card)
{
	struct drm_quire_telemetry_info telemetry;
	struct drm_quire_dev_query query = { .type = DRM_QUIRE_QUERY_TELEMETRY,
					     .size = sizeof(telemetry),
					     .pointer = (uintptr_t)&telemetry };
	uint64_t again;
	uint32_t id;

	EXPECT_EQ(-ENODEV, card_submit(card, card->stream.va, 16, &again));
	EXPECT_EQ(-ENODEV, card_vm_create(card->fd, &id));
	EXPECT_EQ(-ENODEV, card_queue_create(card->fd, card->vm, 0, &id));
	EXPECT_EQ(-ENODEV, card_bo_create(card->fd, PAGE, DRM_QUIRE_PLACEMENT_CARD, 0, &id));
	EXPECT_EQ(-ENODEV, card_unbind(card->fd, card->vm, card->stream.va, PAGE));
	EXPECT_EQ(-ENODEV, card_ioctl(card->fd, DRM_IOCTL_QUIRE_DEV_QUERY, &query));
	/* Mappings stay: zeros, not a signal. */
	EXPECT_EQ(0, *(volatile uint64_t *)card->stream.map);
}

TEST_F_TIMEOUT(unplug, unbind_in_mid_job_ends_it_and_bind_brings_the_card_back, 30)
{
	struct sync_fence_info fence = { 0 };
	struct sync_file_info info = { .num_fences = 1, .sync_fence_info = (uintptr_t)&fence };
	uint64_t point;
	uint32_t bytes;
	int file;

	for (int round = 0; round < 3; round++) {
		ASSERT_EQ(0, card_long_stream(&self->card, &bytes));
		for (int i = 0; i < 3; i++)
			ASSERT_EQ(0, card_submit(&self->card, self->card.stream.va, bytes, &point));
		file = fence_file(self->card.fd, self->card.syncobj, 1);
		ASSERT_GE(file, 0);
		ASSERT_EQ(0, sysfs_write(SHARED_DRIVER "unbind", bdf[0]));
		ASSERT_EQ(0, ioctl(file, SYNC_IOC_FILE_INFO, &info));
		EXPECT_EQ(-ENODEV, info.status);
		close(file);
		expect_gone(&self->card);
		ASSERT_EQ(0, sysfs_write(SHARED_DRIVER "bind", bdf[0]));
		EXPECT_EQ(0, card_works());
		card_teardown(&self->card);
		ASSERT_EQ(0, card_setup(&self->card, (unsigned int)shared_node(bdf[0])));
	}
}

/* A move waits for a card that does not drain what it has begun. */
TEST_F_TIMEOUT(unplug, unbind_while_a_buffer_moves_and_the_engine_is_stuck, 60)
{
	enum { FULL = 7 };
	const uint64_t size = 32 << 20;
	uint32_t handle;
	pid_t mover, remover;
	int status, removed = -1, gone = 0;
	void *map;

	if (monitor_open())
		SKIP(return, "the machine has no monitor for the guest");
	for (int i = 0; i < FULL; i++) {
		ASSERT_EQ(0, card_bo_create(self->card.fd, size, DRM_QUIRE_PLACEMENT_CARD, 0,
					    &handle));
		ASSERT_EQ(0, card_bo_map(self->card.fd, handle, size, &map));
		*(volatile int *)map = 1;
		munmap(map, size);
	}
	ASSERT_EQ(0, monitor_inject("engine-stuck", 1));
	mover = fork();
	if (!mover)
		_exit(-card_bo_create(self->card.fd, 2 * size, DRM_QUIRE_PLACEMENT_CARD, 0,
				      &handle) & 0xff);
	usleep(500000);
	EXPECT_EQ(0, waitpid(mover, &status, WNOHANG)) TH_LOG("no move was on its way");
	remover = fork();
	if (!remover)
		_exit(sysfs_write(SHARED_DRIVER "unbind", bdf[0]) ? 1 : 0);
	for (int i = 0; i < 400 * test_patience() && !gone; i++) {
		usleep(50000);
		gone = waitpid(remover, &removed, WNOHANG) == remover;
	}
	EXPECT_EQ(1, gone);
	ASSERT_EQ(0, monitor_inject("engine-stuck", 0));
	monitor_close();
	ASSERT_EQ(1, gone);
	EXPECT_EQ(0, removed);
	EXPECT_EQ(mover, waitpid(mover, &status, 0));
	ASSERT_EQ(0, sysfs_write(SHARED_DRIVER "bind", bdf[0]));
	EXPECT_EQ(0, card_works());
}

/* A page that nobody brings, or NULL. */
static void *page_of_nobody(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	range.range.start = (uintptr_t)page;
	range.range.len = PAGE;
	if (fd < 0 || page == MAP_FAILED || ioctl(fd, UFFDIO_API, &api) ||
	    ioctl(fd, UFFDIO_REGISTER, &range))
		return NULL;
	return page;
}

/* Makes a call whose arguments lie in such a page; comes back only killed. */
static void call_into_nowhere(int fd, unsigned int which, uint32_t vm, uint32_t queue, void *page)
{
	struct drm_quire_submit submit = { .queue_id = queue,
					   .jobs = { .stride = sizeof(struct drm_quire_job),
						     .count = 1,
						     .array = (uintptr_t)page } };
	struct drm_quire_vm_bind bind = { .vm_id = vm,
					  .ops = { .stride = sizeof(struct drm_quire_vm_bind_op),
						   .count = 1,
						   .array = (uintptr_t)page } };
	struct drm_quire_dev_query query = { .type = DRM_QUIRE_QUERY_TELEMETRY,
					     .size = sizeof(struct drm_quire_telemetry_info),
					     .pointer = (uintptr_t)page };

	if (which == 0)
		card_ioctl(fd, DRM_IOCTL_QUIRE_SUBMIT, &submit);
	else if (which == 1)
		card_ioctl(fd, DRM_IOCTL_QUIRE_VM_BIND, &bind);
	else
		card_ioctl(fd, DRM_IOCTL_QUIRE_DEV_QUERY, &query);
	_exit(0);
}

TEST_F_TIMEOUT(unplug, calls_stuck_in_memory_of_nobody_do_not_hold_it_up, 60)
{
	enum { CALLS = 3 };
	pid_t stuck[CALLS], remover;
	int status, removed = -1, gone = 0;

	if (!page_of_nobody())
		SKIP(return, "the kernel has no userfaultfd");
	for (unsigned int i = 0; i < CALLS; i++) {
		stuck[i] = fork();
		if (!stuck[i]) {
			void *page = page_of_nobody();

			if (page)
				call_into_nowhere(self->card.fd, i, self->card.vm,
						  self->card.queue, page);
			_exit(1);
		}
		ASSERT_GT(stuck[i], 0);
	}
	usleep(500000);
	for (int i = 0; i < CALLS; i++)
		ASSERT_EQ(0, waitpid(stuck[i], &status, WNOHANG));
	remover = fork();
	if (!remover)
		_exit(sysfs_write(SHARED_DRIVER "unbind", bdf[0]) ? 1 : 0);
	for (int i = 0; i < 200 * test_patience() && !gone; i++) {
		usleep(50000);
		gone = waitpid(remover, &removed, WNOHANG) == remover;
	}
	EXPECT_EQ(1, gone);
	for (int i = 0; i < CALLS; i++) {
		EXPECT_EQ(0, waitpid(stuck[i], &status, WNOHANG));
		kill(stuck[i], SIGKILL);
		waitpid(stuck[i], &status, 0);
	}
	if (!gone)
		waitpid(remover, &removed, 0);
	EXPECT_EQ(0, removed);
	ASSERT_EQ(0, sysfs_write(SHARED_DRIVER "bind", bdf[0]));
	EXPECT_EQ(0, card_works());
}

/* A dma-buf outlives the card; what it maps then must not take memory without end. */
TEST_F_TIMEOUT(unplug, exported_buffers_are_not_mapped_any_more, 60)
{
	struct drm_prime_handle export = { .flags = DRM_CLOEXEC | DRM_RDWR };
	volatile int *before;

	ASSERT_EQ(0, card_bo_create(self->card.fd, PAGE, DRM_QUIRE_PLACEMENT_CARD, 0,
				    &export.handle));
	ASSERT_EQ(0, card_ioctl(self->card.fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &export));
	before = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, export.fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)before);
	*before = 1;
	ASSERT_EQ(0, sysfs_write(SHARED_DRIVER "unbind", bdf[0]));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, export.fd, 0));
	EXPECT_EQ(ENODEV, errno);
	EXPECT_EQ(0, *before);
	*before = 2;
	/* Nobody else sees that. */
	EXPECT_EQ(0, *(volatile int *)self->card.stream.map);
	munmap((void *)before, PAGE);
	close(export.fd);
	ASSERT_EQ(0, sysfs_write(SHARED_DRIVER "bind", bdf[0]));
	EXPECT_EQ(0, card_works());
}

TEST_F_TIMEOUT(unplug, unbind_under_load_of_many_processes, 60)
{
	enum { PROCESSES = 6, ROUNDS = 4 };

	card_teardown(&self->card);
	self->card.fd = -1;
	for (int round = 0; round < ROUNDS; round++) {
		pid_t pid[PROCESSES];

		for (int p = 0; p < PROCESSES; p++) {
			pid[p] = fork();
			if (pid[p])
				continue;
			/* Everything at once, until it says that the card has gone. */
			for (int ret = 0; ret != -ENODEV && ret != -ENOENT && ret != -ENXIO;) {
				struct quire_packet_fill fill;
				struct bo bo;
				struct card card;

				ret = card_setup(&card, (unsigned int)shared_node(bdf[0]));
				for (int i = 0; i < 20 && !ret; i++) {
					packet_fill(&fill, card.stream.va + PAGE, 64, 1);
					ret = card_run(&card, &fill, sizeof(fill));
					if (!ret && i % 5 == p % 5)
						ret = card_buffer(&card, 1 << 20,
								  DRM_QUIRE_PLACEMENT_CARD, &bo);
				}
				card_teardown(&card);
			}
			_exit(0);
		}
		usleep(150000 + 50000 * round);
		ASSERT_EQ(0, sysfs_write(SHARED_DRIVER "unbind", bdf[0]));
		for (int p = 0; p < PROCESSES; p++) {
			int status;

			ASSERT_EQ(pid[p], waitpid(pid[p], &status, 0));
			EXPECT_EQ(0, status);
		}
		ASSERT_EQ(0, sysfs_write(SHARED_DRIVER "bind", bdf[0]));
		ASSERT_EQ(0, card_works());
	}
}

TEST_F_TIMEOUT(unplug, module_stays_while_a_file_a_mapping_or_a_fence_needs_it, 30)
{
	struct sync_fence_info fence = { 0 };
	struct sync_file_info info = { .num_fences = 1, .sync_fence_info = (uintptr_t)&fence };
	uint64_t point;
	int file;

	EXPECT_EQ(-EWOULDBLOCK, remove_module());
	ASSERT_EQ(0, card_submit(&self->card, 0, 0, &point));
	ASSERT_EQ(0, card_wait(self->card.fd, self->card.syncobj, point, 5000 * MS));
	file = fence_file(self->card.fd, self->card.syncobj, point);
	ASSERT_GE(file, 0);
	close(self->card.fd);
	EXPECT_EQ(-EWOULDBLOCK, remove_module()); /* the mapping */
	self->card.fd = -1;
	munmap(self->card.stream.map, self->card.stream.size);
	EXPECT_EQ(-EWOULDBLOCK, remove_module()); /* the fence */
	ASSERT_EQ(0, ioctl(file, SYNC_IOC_FILE_INFO, &info));
	EXPECT_EQ(1, info.status);
	/* later kernels do not ask the driver of a fence that has signalled */
	EXPECT_TRUE(!strcmp("quire", fence.driver_name) || !strcmp("detached-driver", fence.driver_name))
		TH_LOG("driver %s", fence.driver_name);
	close(file);
	EXPECT_EQ(0, remove_module());
	ASSERT_EQ(0, system("modprobe quire"));
	EXPECT_EQ(0, card_works());
}

TEST_F_TIMEOUT(unplug, card_pulled_in_mid_job_and_put_back, 60)
{
	struct sync_fence_info fence = { 0 };
	struct sync_file_info info = { .num_fences = 1, .sync_fence_info = (uintptr_t)&fence };
	struct pollfd ready = { .events = POLLIN };
	int file;
	uint64_t point;
	uint32_t bytes;

	if (monitor_open())
		SKIP(return, "the machine has no monitor for the guest");
	ASSERT_EQ(0, card_long_stream(&self->card, &bytes));
	ASSERT_EQ(0, card_submit(&self->card, self->card.stream.va, bytes, &point));
	ASSERT_EQ(0, monitor_command("{\"execute\":\"device_del\",\"arguments\":{\"id\":\"quire0\"}}"));
	/* Somebody pressed the button: the kernel lets go of the card some seconds later. */
	file = fence_file(self->card.fd, self->card.syncobj, point);
	ASSERT_GE(file, 0);
	ready.fd = file;
	ASSERT_EQ(1, poll(&ready, 1, 20000));
	ASSERT_EQ(0, ioctl(file, SYNC_IOC_FILE_INFO, &info));
	EXPECT_EQ(-ENODEV, info.status);
	close(file);
	/* Jobs end first, then the calls, then the mappings. */
	for (int tries = 0; tries < 500 * test_patience() &&
	     *(volatile uint64_t *)self->card.stream.map; tries++)
		usleep(10000);
	expect_gone(&self->card);
	card_teardown(&self->card);
	self->card.fd = -1;
	/* QEMU forgets the name first and the memory later, and aborts if asked in between. */
	sleep(3);
	for (int tries = 0; tries < 100; tries++) {
		if (!monitor_command("{\"execute\":\"device_add\",\"arguments\":{\"driver\":\"quire\","
				     "\"id\":\"quire0\",\"bus\":\"port0\",\"memory\":268435456}}"))
			break;
		usleep(100000);
	}
	for (int tries = 0; tries < 100 * test_patience() &&
	     access("/dev/accel/accel0", F_OK); tries++)
		usleep(100000);
	EXPECT_EQ(0, card_works());
	monitor_close();
}

TEST_HARNESS_MAIN
