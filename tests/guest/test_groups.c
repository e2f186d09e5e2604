// SPDX-License-Identifier: MIT
/*
 * Control groups: what a process takes by calls counts to its group, and a process that wants ever
 * more is refused at the group's limit.  It is not killed, and others work meanwhile, also while
 * the machine's memory is short.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "card.h"
#include "harness.h"
#include "patience.h"
#include "swap.h"

#define KIB 1024ll
#define MIB (1024 * KIB)
#define LIMIT (64 * MIB)
#define VA 0x6000000000ull
#define BUFFER (4 * MIB)

static char root[] = "/tmp/groups-XXXXXX";
static char group[64];

static int write_text(const char *directory, const char *name, const char *text)
{
	char path[160];
	int fd, ret = 0;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		ret = -errno;
	if (fd >= 0)
		close(fd);
	return ret;
}

/* The number in a file of the group, or behind @key in it; -1: there is none. */
static long long number(const char *name, const char *key)
{
	char path[160], text[1024], *at = text;
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", group, name);
	fd = open(path, O_RDONLY);
	got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	if (got < 0)
		return -1;
	text[got] = 0;
	if (key)
		at = strstr(text, key);
	return at ? atoll(at + (key ? strlen(key) : 0)) : -1;
}

static int make_group(long long limit)
{
	char text[32];

	if (!mkdtemp(root) || mount("none", root, "cgroup2", 0, NULL) ||
	    write_text(root, "cgroup.subtree_control", "+memory"))
		return -errno;
	snprintf(group, sizeof(group), "%s/small", root);
	snprintf(text, sizeof(text), "%lld", limit);
	if (mkdir(group, 0755))
		return -errno;
	return write_text(group, "memory.max", text);
}

static void remove_group(void)
{
	for (int i = 0; i < 100 * test_patience() && rmdir(group) && errno == EBUSY; i++)
		usleep(50000);
	umount(root);
	rmdir(root);
	strcpy(root + sizeof(root) - 7, "XXXXXX");
}

/* One thing more of a kind; 0 or -errno. */
struct greedy {
	const char *name;
	int (*more)(struct card *card, unsigned int i);
	/* At the least, bytes that @count of them count each. */
	long long bytes;
	unsigned int count;
	/* There is a limit of their number. */
	bool limited;
};

/* The pages of a buffer come when it is mapped. */
static int more_system_buffers(struct card *card, unsigned int i)
{
	uint32_t handle;
	void *map;
	int ret;

	(void)i;
	ret = card_bo_create(card->fd, BUFFER, DRM_QUIRE_PLACEMENT_SYSTEM, 0, &handle);
	return ret ? ret : card_bo_map(card->fd, handle, BUFFER, &map);
}

/* Far more than the card has: what does not fit leaves it. */
static int more_card_buffers(struct card *card, unsigned int i)
{
	uint32_t handle;

	(void)i;
	return card_bo_create(card->fd, BUFFER, DRM_QUIRE_PLACEMENT_CARD, 0, &handle);
}

static int more_queues(struct card *card, unsigned int i)
{
	uint32_t queue;

	(void)i;
	return card_queue_create(card->fd, card->vm, 0, &queue);
}

static int more_address_spaces(struct card *card, unsigned int i)
{
	uint32_t vm;

	(void)i;
	return card_vm_create(card->fd, &vm);
}

/* Each where no page table is yet. */
static int more_mappings(struct card *card, unsigned int i)
{
	return card_bind(card->fd, card->vm, card->stream.handle, VA + ((uint64_t)i << 30), PAGE,
			 0);
}

/* Behind some that take seconds each. */
static int more_jobs(struct card *card, unsigned int i)
{
	/* Without a timeline: DRM walks all of its points at each new one. */
	struct drm_quire_job job = { 0 };
	struct drm_quire_submit args = { .queue_id = card->queue,
					 .jobs = { sizeof(job), 1, (uintptr_t)&job } };
	uint32_t bytes;
	uint64_t point;
	int ret;

	if (i)
		return card_ioctl(card->fd, DRM_IOCTL_QUIRE_SUBMIT, &args);
	ret = card_long_stream(card, &bytes);
	for (int j = 0; j < 20 && !ret; j++)
		ret = card_submit(card, card->stream.va, bytes, &point);
	return ret;
}

#define UNUSED (32 * MIB)
#define USER_MEMORY (64 * MIB)
#define POINTS 1024u /* of a job */

/* Nobody ever touches them. */
static int more_unused_buffers(struct card *card, unsigned int i)
{
	uint32_t handle;

	(void)i;
	return card_bo_create(card->fd, UNUSED, DRM_QUIRE_PLACEMENT_SYSTEM, 0, &handle);
}

/* The same memory again and again. */
static int more_user_memory(struct card *card, unsigned int i)
{
	static void *memory;
	/* dma-debug can follow only so many mappings of a page that devices write. */
	struct drm_quire_userptr args = { .size = USER_MEMORY,
					  .flags = DRM_QUIRE_USERPTR_READ_ONLY };

	if (!i)
		memory = mmap(NULL, USER_MEMORY, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	args.address = (uintptr_t)memory;
	return card_ioctl(card->fd, DRM_IOCTL_QUIRE_USERPTR, &args);
}

/* Of many timelines, since DRM walks all points of one at each new one; behind long jobs. */
static int more_points(struct card *card, unsigned int i)
{
	enum { TIMELINES = 16 * POINTS };
	static uint32_t timeline[TIMELINES];
	static struct drm_quire_sync syncs[POINTS];
	struct drm_quire_job job = { .syncs = { sizeof(syncs[0]), POINTS, (uintptr_t)syncs } };
	struct drm_quire_submit args = { .queue_id = card->queue,
					 .jobs = { sizeof(job), 1, (uintptr_t)&job } };
	unsigned int first = i * POINTS % TIMELINES;
	int ret = i ? 0 : more_jobs(card, 0);

	for (unsigned int j = 0; j < POINTS && !ret; j++) {
		if (i * POINTS < TIMELINES)
			ret = card_syncobj_create(card->fd, &timeline[first + j]);
		syncs[j] = (struct drm_quire_sync){
			.flags = DRM_QUIRE_SYNC_SIGNAL | DRM_QUIRE_SYNC_TIMELINE,
			.handle = timeline[first + j], .point = 1 + i * POINTS / TIMELINES,
		};
	}
	return ret ? ret : card_ioctl(card->fd, DRM_IOCTL_QUIRE_SUBMIT, &args);
}

static const struct greedy kinds[] = {
	{ "system buffers", more_system_buffers, BUFFER, 32, false },
	{ "card buffers", more_card_buffers, 0, 0, false },
	{ "queues", more_queues, 28 * KIB, 32, false },
	{ "address spaces", more_address_spaces, 8 * KIB, 32, false },
	{ "mappings", more_mappings, 8 * KIB, 32, false },
	{ "jobs", more_jobs, 128, 20000, true },
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* In the group: at most @count things; what the last call answered. */
static int be_greedy(const struct greedy *kind, unsigned int count)
{
	struct card card;
	int ret;

	ret = write_text(group, "cgroup.procs", "0");
	if (!ret)
		ret = card_setup_limit(&card, 0, 60000);
	for (unsigned int i = 0; i < count && !ret; i++) {
		ret = kind->more(&card, i);
		/* As many as a file may have: on with the next file. */
		if (ret == -EMFILE)
			ret = card_setup_limit(&card, 0, 60000);
	}
	return ret;
}

/* A process without end, and what the others' jobs answer meanwhile; its status. */
static int run_greedy(const struct greedy *kind, unsigned int count, struct card *others,
		      int *error)
{
	struct quire_packet_fill fill;
	int status = -1;
	pid_t child = fork();

	if (!child)
		_exit(-be_greedy(kind, count) & 0xff);
	*error = child < 0 ? -errno : 0;
	packet_fill(&fill, others->stream.va + PAGE, 64, 1);
	while (!*error && waitpid(child, &status, WNOHANG) == 0) {
		*error = card_run(others, &fill, sizeof(fill));
		usleep(20000);
	}
	return status;
}

FIXTURE(groups) {
	struct card card;
};

FIXTURE_SETUP(groups)
{
	ASSERT_EQ(0, card_setup(&self->card, 0));
}

FIXTURE_TEARDOWN(groups)
{
	remove_group();
	card_teardown(&self->card);
}

TEST_F_TIMEOUT(groups, who_wants_ever_more_gets_an_error_and_is_not_killed, 180)
{
	int made = make_group(LIMIT);

	if (made == -ENOENT || made == -ENODEV)
		SKIP(return, "no control groups for memory");
	ASSERT_EQ(0, made);
	for (unsigned int i = 0; i < KINDS && !kinds[i].limited; i++) {
		int error, status = run_greedy(&kinds[i], 1000000, &self->card, &error);

		TH_LOG("%s: status %#x, %lld KiB at the most", kinds[i].name, status,
		       number("memory.peak", NULL) / KIB);
		EXPECT_EQ(0, error) TH_LOG("%s: others' jobs failed", kinds[i].name);
		ASSERT_TRUE(WIFEXITED(status)) TH_LOG("%s: killed", kinds[i].name);
		EXPECT_EQ(ENOMEM, WEXITSTATUS(status)) TH_LOG("%s", kinds[i].name);
		EXPECT_EQ(0, number("memory.events", "oom_kill "));
	}
}

TEST_F_TIMEOUT(groups, what_calls_make_counts_and_comes_back, 60)
{
	int made = make_group(16 * LIMIT);

	if (made == -ENOENT || made == -ENODEV)
		SKIP(return, "no control groups for memory");
	ASSERT_EQ(0, made);
	for (unsigned int i = 0; i < KINDS; i++) {
		const unsigned int count = kinds[i].count;
		int error, status;
		long long peak;

		if (!count)
			continue;
		remove_group();
		ASSERT_EQ(0, make_group(16 * LIMIT));
		status = run_greedy(&kinds[i], count, &self->card, &error);
		peak = number("memory.peak", NULL);
		TH_LOG("%u %s: %lld KiB", count, kinds[i].name, peak / KIB);
		EXPECT_EQ(0, status) TH_LOG("%s", kinds[i].name);
		EXPECT_GE(peak, count * kinds[i].bytes) TH_LOG("%s", kinds[i].name);
		for (int j = 0; j < 100 * test_patience() &&
		     number("memory.current", NULL) > 4 * MIB; j++)
			usleep(50000);
		EXPECT_LE(number("memory.current", NULL), 4 * MIB) TH_LOG("%s", kinds[i].name);
	}
}

/* Memory of the process's own. */
static bool take(size_t bytes)
{
	return mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0) != MAP_FAILED;
}

/* In the group: all of the card's memory, and what the group has; waits until @go ends. */
static int fill_card_and_group(int ready, int go)
{
	struct card card;
	char c = 0;
	int ret;

	ret = write_text(group, "cgroup.procs", "0");
	if (!ret)
		ret = card_setup_limit(&card, 0, 60000);
	for (unsigned int i = 0; i < 62 && !ret; i++)
		ret = more_card_buffers(&card, i);
	if (ret || !take(44 * MIB) || write(ready, &c, 1) != 1)
		return 1;
	return read(go, &c, 1) == 0 ? 0 : 1;
}

/* The machine's memory, until there is no room for a page, and more; waits until @go ends. */
static int fill_machine(int ready, int go)
{
	struct card card;
	uint32_t handle;
	char c = 0;
	int ret;

	ret = card_setup_limit(&card, 0, 60000);
	while (!ret) {
		if (!take(BUFFER))
			return 1;
		ret = card_bo_create(card.fd, PAGE, DRM_QUIRE_PLACEMENT_SYSTEM, 0, &handle);
	}
	if (ret != -ENOMEM || !take(2 * BUFFER) || write(ready, &c, 1) != 1)
		return 1;
	return read(go, &c, 1) == 0 ? 0 : 1;
}

/* A process that has filled something and keeps it until *@go is closed. */
static pid_t start_filler(int (*fill)(int ready, int go), int *go)
{
	int ready[2], end[2];
	pid_t child;
	char c;

	if (pipe(ready) || pipe(end))
		return -1;
	child = fork();
	if (!child) {
		close(end[1]);
		_exit(fill(ready[1], end[0]));
	}
	close(ready[1]);
	close(end[0]);
	if (child > 0 && read(ready[0], &c, 1) != 1) {
		waitpid(child, NULL, 0);
		child = -1;
	}
	close(ready[0]);
	*go = end[1];
	return child;
}

/* What takes much that is easily charged to nobody, and how much of it: less than a user may. */
static const struct greedy hidden[] = {
	{ "unused buffers", more_unused_buffers, 0, 1500, false },
	{ "user memory", more_user_memory, 0, 100, false },
	{ "points of timelines", more_points, 0, 600, false },
};

static const struct greedy *hider;

/* In the group: keeps it until @go ends. */
static int hide(int ready, int go)
{
	char c = 0;
	int ret = be_greedy(hider, hider->count);

	if (ret || write(ready, &c, 1) != 1)
		return -ret & 0xff;
	return read(go, &c, 1) == 0 ? 0 : 1;
}

/* Bytes of memory that the machine has left. */
static long long available(void)
{
	char text[2048], *at;
	int fd = open("/proc/meminfo", O_RDONLY);
	ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	text[got > 0 ? got : 0] = '\0';
	at = strstr(text, "MemAvailable:");
	return at ? atoll(at + strlen("MemAvailable:")) * KIB : 0;
}

TEST_F_TIMEOUT(groups, what_the_machine_lacks_is_charged, 240)
{
	/* A kernel that checks each access keeps what has been freed for a while. */
	const long long noise = (test_patience() == 1 ? 16 : 64) * MIB;
	int made = make_group(16 * LIMIT);

	if (made == -ENOENT || made == -ENODEV)
		SKIP(return, "no control groups for memory");
	ASSERT_EQ(0, made);
	for (unsigned int i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++) {
		long long before = available(), lacking, charged;
		int go, status;
		pid_t child;

		hider = &hidden[i];
		child = start_filler(hide, &go);
		ASSERT_GT(child, 0) TH_LOG("%s", hider->name);
		lacking = before - available();
		charged = number("memory.current", NULL);
		TH_LOG("%u %s: %lld KiB lack, %lld KiB are charged", hider->count, hider->name,
		       lacking / KIB, charged / KIB);
		EXPECT_LE(lacking, charged + noise) TH_LOG("%s", hider->name);
		close(go);
		ASSERT_EQ(child, waitpid(child, &status, 0));
		EXPECT_EQ(0, status);
	}
}

/* Lines of TTM in the kernel's log that are new. */
static unsigned int ttm_lines(int log)
{
	unsigned int lines = 0;
	char line[1024];
	ssize_t got;

	while ((got = read(log, line, sizeof(line) - 1)) > 0 || (got < 0 && errno == EPIPE)) {
		line[got > 0 ? got : 0] = '\0';
		lines += strstr(line, "[TTM]") != NULL;
	}
	return lines;
}

/* What has no room outside of the card stays there: others lie elsewhere. */
TEST_F_TIMEOUT(groups, who_fills_the_card_and_his_group_costs_others_no_call, 120)
{
	int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK), made = make_group(LIMIT), go, status;
	uint32_t handle;
	pid_t child;

	if (made == -ENOENT || made == -ENODEV)
		SKIP(return, "no control groups for memory");
	ASSERT_EQ(0, made);
	ASSERT_GE(log, 0);
	child = start_filler(fill_card_and_group, &go);
	ASSERT_GT(child, 0);
	ttm_lines(log);
	for (int i = 0; i < 30; i++) {
		ASSERT_EQ(0, card_bo_create(self->card.fd, BUFFER, DRM_QUIRE_PLACEMENT_CARD, 0,
					    &handle)) TH_LOG("buffer %d", i);
	}
	EXPECT_EQ(0, ttm_lines(log));
	EXPECT_EQ(0, number("memory.events", "oom_kill "));
	close(go);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	close(log);
}

TEST_F_TIMEOUT(groups, work_goes_on_while_others_use_the_machines_memory, 120)
{
	struct quire_packet_fill fill;
	int go, status;
	pid_t child;

	/* The first use of what the job needs. */
	packet_fill(&fill, self->card.stream.va + PAGE, 64, 1);
	ASSERT_EQ(0, card_run(&self->card, &fill, sizeof(fill)));
	child = start_filler(fill_machine, &go);
	ASSERT_GT(child, 0);
	EXPECT_EQ(0, card_run(&self->card, &fill, sizeof(fill)));
	EXPECT_EQ(0, more_mappings(&self->card, 0));
	EXPECT_EQ(-ENOMEM, more_system_buffers(&self->card, 0));
	close(go);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
}

/* In the group: its call swaps others' buffers out. */
static int push_others_out(void)
{
	struct card card;
	int ret;

	ret = write_text(group, "cgroup.procs", "0");
	if (!ret)
		ret = card_setup_limit(&card, 0, 60000);
	return ret ? 1 : swap_out_buffers(card.fd) != 0;
}

/*
 * Who swaps out pays until the kernel has found place in swap space.  A group that may have none
 * there has no room for it.
 */
TEST_F_TIMEOUT(groups, who_has_no_room_for_what_others_have_swaps_nothing_of_it_out, 120)
{
	enum { COUNT = 32 };
	int made = make_group(LIMIT), swap = swap_on(), status;
	uint32_t handle;
	pid_t child;

	if (made == -ENOENT || made == -ENODEV || swap == -ENOENT)
		SKIP(return, "no control groups for memory, or no swap space");
	ASSERT_EQ(0, made);
	ASSERT_EQ(0, swap);
	ASSERT_EQ(0, write_text(group, "memory.swap.max", "0"));
	for (int i = 0; i < COUNT; i++) {
		void *map;

		ASSERT_EQ(0, card_bo_create(self->card.fd, BUFFER, DRM_QUIRE_PLACEMENT_SYSTEM, 0,
					    &handle));
		ASSERT_EQ(0, card_bo_map(self->card.fd, handle, BUFFER, &map));
		munmap(map, BUFFER);
	}
	child = fork();
	if (!child)
		_exit(push_others_out());
	ASSERT_GT(child, 0);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	swap_limit_restore();
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, number("memory.events", "oom_kill "));
	/* The owner, who has, can. */
	EXPECT_EQ(0, swap_out_buffers(self->card.fd));
	EXPECT_EQ(0, swap_off());
}

/* Touches pages until so much is left of the group. */
static void fill_group(uint8_t *at, long long left)
{
	while (number("memory.current", NULL) < LIMIT - left)
		for (unsigned int i = 0; i < 16; i++, at += PAGE)
			*at = 1;
}

/* A job on memory of a process whose group is full but for what its calls may not have. */
static int work_in_full_group(void)
{
	struct quire_packet_fill *packets;
	struct drm_quire_userptr args = { .size = MIB };
	const uint32_t count = QUIRE_STREAM_MAX_BYTES / sizeof(*packets);
	struct card card;
	uint64_t point;
	uint8_t *memory;
	int ret, status;

	ret = write_text(group, "cgroup.procs", "0");
	if (!ret)
		ret = card_setup_limit(&card, 0, 60000);
	memory = mmap(NULL, LIMIT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	args.address = (uintptr_t)memory;
	/* Page by page: a huge one would take the rest of what is to be left for forks. */
	madvise(memory, LIMIT, MADV_NOHUGEPAGE);
	if (!ret)
		ret = card_ioctl(card.fd, DRM_IOCTL_QUIRE_USERPTR, &args);
	if (!ret)
		ret = card_bind(card.fd, card.vm, args.handle, VA, MIB, 0);
	if (ret)
		return ret;
	packets = card.stream.map;
	for (uint32_t i = 0; i < count; i++)
		packet_fill(&packets[i], VA, MIB, i);
	fill_group(memory + MIB, 3 * MIB);
	ret = card_submit(&card, card.stream.va, count * sizeof(*packets), &point);
	if (ret == -ENOMEM) {
		/* As it should be: so make room for the call, and take it again. */
		madvise(memory + 32 * MIB, 8 * MIB, MADV_DONTNEED);
		ret = card_submit(&card, card.stream.va, count * sizeof(*packets), &point);
		fill_group(memory + 32 * MIB, 3 * MIB);
	}
	for (int i = 0; i < 3 && !ret; i++) {
		pid_t child = fork();

		if (!child)
			_exit(0);
		if (child < 0 || waitpid(child, &status, 0) < 0)
			ret = -errno;
	}
	if (!ret)
		ret = card_wait(card.fd, card.syncobj, point, 60000 * MS);
	return ret ? ret : card_fence_error(card.fd, card.syncobj, point);
}

TEST_F_TIMEOUT(groups, jobs_go_on_when_their_memory_moves_in_a_full_group, 120)
{
	int made = make_group(LIMIT), status;
	pid_t child;

	if (made == -ENOENT || made == -ENODEV)
		SKIP(return, "no control groups for memory");
	ASSERT_EQ(0, made);
	child = fork();
	if (!child)
		_exit(-work_in_full_group() & 0xff);
	ASSERT_GT(child, 0);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_TRUE(WIFEXITED(status));
	EXPECT_EQ(0, WEXITSTATUS(status));
	EXPECT_EQ(0, number("memory.events", "oom_kill "));
}

TEST_HARNESS_MAIN
