// SPDX-License-Identifier: MIT
/*
 * Engines that do not give way: what they cost the queue whose job is on them, the queues beside
 * it, and whoever waits for memory.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <drm.h>

#include "breaking.h"
#include "harness.h"
#include "monitor.h"

FIXTURE(stubborn) {
	struct card guilty;	/* its job is on the card when it breaks */
	struct card innocent;
	uint32_t resets;
	uint64_t point;		/* of the guilty job */
};

FIXTURE_SETUP(stubborn)
{
	ASSERT_EQ(0, monitor_open());
	ASSERT_EQ(0, breaking_setup(&self->guilty, &self->innocent));
	self->resets = breaking_resets(self->innocent.fd);
}

FIXTURE_TEARDOWN(stubborn)
{
	breaking_teardown(&self->guilty, &self->innocent);
	monitor_close();
}

/*
 * What a hung queue costs: the end of its job past its limit, and the longest time that jobs of
 * another had to wait.
 */
static void hang(FIXTURE_DATA(stubborn) *self, const char *how, double *past_limit, double *stopped)
{
	double start, end, last;
	pid_t healer;

	*stopped = 0;
	ASSERT_EQ(0, card_queue_create(self->guilty.fd, self->guilty.vm, BREAKING_LIMIT_MS,
				       &self->guilty.queue));
	ASSERT_EQ(0, monitor_inject(how, 1));
	start = seconds_now();
	ASSERT_EQ(0, breaking_start_guilty(&self->guilty, &self->point));
	/* Or the first of the others' jobs would be on that engine. */
	ASSERT_EQ(0, breaking_let_begin(&self->guilty));
	healer = breaking_heal_after(&self->guilty, self->point, how);
	last = seconds_now();
	do {
		EXPECT_EQ(0, card_answers(&self->innocent));
		end = seconds_now();
		*stopped = end - last > *stopped ? end - last : *stopped;
		last = end;
	} while (end < start + 30 &&
		 card_wait(self->guilty.fd, self->guilty.syncobj, self->point, 0));
	ASSERT_EQ(0, breaking_healed(healer));
	EXPECT_EQ(-ETIME, card_fence_error(self->guilty.fd, self->guilty.syncobj, self->point));
	*past_limit = end - start - BREAKING_LIMIT_MS * 1e-3;
	TH_LOG("{\"recovery\": \"%s\", \"limit_ms\": %d, \"past_limit_ms\": %.0f, "
	       "\"innocent_stopped_ms\": %.0f}", how, BREAKING_LIMIT_MS, *past_limit * 1e3,
	       *stopped * 1e3);
}

/* What takes the processors from the whole machine may spoil a round, not each of them. */
TEST_F_TIMEOUT(stubborn, a_hung_queue_is_ended_soon_and_others_hardly_wait, 150)
{
	static const char *const hangs[] = { "engine-hang", "engine-deaf" };

	for (int i = 0; i < 2; i++) {
		double past_limit, stopped;
		bool good = false;

		for (int round = 0; round < 4 && !good; round++) {
			hang(self, hangs[i], &past_limit, &stopped);
			good = past_limit < 4.0 * test_patience() && stopped < 1.0 * test_patience();
		}
		EXPECT_TRUE(good);
	}
}

/* A page that the card can reach comes and goes: it has to drain that. */
static int bind_and_unbind(struct card *card)
{
	uint32_t handle;
	void *map;
	int ret = card_bo_create(card->fd, PAGE, DRM_QUIRE_PLACEMENT_SYSTEM, 0, &handle);

	if (ret)
		return ret;
	ret = card_bo_map(card->fd, handle, PAGE, &map);
	if (!ret) {
		/* Without pages it would be mapped for the next job only. */
		*(volatile char *)map = 0;
		ret = card_bind(card->fd, card->vm, handle, 0x700000000ull, PAGE, 0);
		munmap(map, PAGE);
	}
	if (!ret)
		ret = card_unbind(card->fd, card->vm, 0x700000000ull, PAGE);
	card_close_handle(card->fd, handle);
	return ret;
}

/*
 * A job that may take ten minutes keeps an engine, and memory of its address space waits.  It says
 * that it may be begun again, which used to make it innocent of each reset there was.
 */
static void keep_memory(FIXTURE_DATA(stubborn) *self,
			const char *hang, uint32_t expected)
{
	struct drm_quire_queue_query state;
	uint64_t kept;
	double start;
	pid_t healer;

	ASSERT_EQ(0, card_queue_create(self->guilty.fd, self->guilty.vm, 600000,
				       &self->guilty.queue));
	ASSERT_EQ(0, monitor_inject(hang, 1));
	ASSERT_EQ(0, breaking_start_other(&self->guilty, DRM_QUIRE_JOB_RESTARTABLE, &kept));
	ASSERT_EQ(0, breaking_let_begin(&self->guilty));
	healer = breaking_heal_after(&self->guilty, kept, hang);
	start = seconds_now();
	while (card_wait(self->guilty.fd, self->guilty.syncobj, kept, 0) &&
	       seconds_now() < start + 75) {
		ASSERT_EQ(0, bind_and_unbind(&self->guilty));
		EXPECT_EQ(0, card_answers(&self->innocent));
		usleep(200000);
	}
	TH_LOG("{\"recovery\": \"undrained %s\", \"seconds\": %.1f, \"resets\": %u}", hang,
	       seconds_now() - start, breaking_resets(self->innocent.fd) - self->resets);
	ASSERT_EQ(0, card_wait(self->guilty.fd, self->guilty.syncobj, kept, 0));
	ASSERT_EQ(0, breaking_healed(healer));
	EXPECT_EQ(-ETIME, card_fence_error(self->guilty.fd, self->guilty.syncobj, kept));
	ASSERT_EQ(0, card_queue_state(self->guilty.fd, self->guilty.queue, &state));
	EXPECT_EQ(DRM_QUIRE_QUEUE_STATE_BANNED, state.state);
	EXPECT_EQ(DRM_QUIRE_QUEUE_RESET_GUILTY, state.reset);
	EXPECT_EQ(0, state.rerun);
	/* Others complained, too, and one answer was enough for all. */
	sleep(2);
	EXPECT_EQ(0, card_answers(&self->innocent));
	EXPECT_EQ(self->resets + expected, breaking_resets(self->innocent.fd));
}

TEST_F_TIMEOUT(stubborn, job_that_keeps_memory_from_being_given_back_is_ended, 150)
{
	keep_memory(self, "engine-hang", 0);
}

TEST_F_TIMEOUT(stubborn, memory_on_an_engine_that_is_deaf_costs_one_reset, 150)
{
	keep_memory(self, "engine-deaf", 1);
}

TEST_F_TIMEOUT(stubborn, engine_that_ignores_the_cancel_costs_others_nothing, 60)
{
	struct drm_quire_queue_query state;
	uint64_t refused, other, digest;
	uint32_t bytes;

	/* On a busy machine the job takes longer than the usual limit. */
	ASSERT_EQ(0, card_queue_create(self->innocent.fd, self->innocent.vm, 600000,
				       &self->innocent.queue));
	ASSERT_EQ(0, card_long_stream(&self->innocent, &bytes));
	ASSERT_EQ(0, breaking_start_other(&self->innocent, 0, &other));
	ASSERT_EQ(0, card_wait(self->innocent.fd, self->innocent.syncobj, other, 20000 * MS));
	ASSERT_EQ(0, card_fence_error(self->innocent.fd, self->innocent.syncobj, other));
	digest = breaking_digest(&self->innocent);
	ASSERT_NE(0, digest);
	/* One of two engines is deaf; what the other computes goes on after the reset. */
	ASSERT_EQ(0, monitor_inject("engine-deaf", 1));
	ASSERT_EQ(0, breaking_start_guilty(&self->guilty, &self->point));
	ASSERT_EQ(0, breaking_let_begin(&self->guilty));
	breaking_forget_digest(&self->innocent);
	ASSERT_EQ(0, breaking_start_other(&self->innocent, 0, &other));
	ASSERT_EQ(0, card_wait(self->guilty.fd, self->guilty.syncobj, self->point, 20000 * MS));
	ASSERT_EQ(0, monitor_inject("engine-deaf", 0));
	EXPECT_EQ(-ETIME, card_fence_error(self->guilty.fd, self->guilty.syncobj, self->point));
	ASSERT_EQ(0, card_queue_state(self->guilty.fd, self->guilty.queue, &state));
	EXPECT_EQ(DRM_QUIRE_QUEUE_STATE_BANNED, state.state);
	EXPECT_EQ(DRM_QUIRE_QUEUE_RESET_GUILTY, state.reset);
	EXPECT_EQ(-ECANCELED, card_submit(&self->guilty, 0, 0, &refused));
	ASSERT_EQ(0, card_wait(self->innocent.fd, self->innocent.syncobj, other, 20000 * MS));
	EXPECT_EQ(0, card_fence_error(self->innocent.fd, self->innocent.syncobj, other));
	EXPECT_EQ(digest, breaking_digest(&self->innocent));
	ASSERT_EQ(0, card_queue_state(self->innocent.fd, self->innocent.queue, &state));
	EXPECT_EQ(DRM_QUIRE_QUEUE_STATE_ACTIVE, state.state);
	EXPECT_EQ(0, state.rerun);
	EXPECT_EQ(self->resets + 1, breaking_resets(self->innocent.fd));
}

/* Packets at the stream's beginning, one band each: @count sums of @k products. */
static int card_long_sums(struct card *card, uint32_t k, uint32_t count)
{
	struct quire_packet_gemm *packets = card->stream.map;
	struct bo operands, output;
	int ret = card_buffer(card, k, DRM_QUIRE_PLACEMENT_SYSTEM, &operands);

	if (!ret)
		ret = card_buffer(card, PAGE, DRM_QUIRE_PLACEMENT_SYSTEM, &output);
	if (ret)
		return ret;
	memset(operands.map, 0x43, k);
	for (uint32_t i = 0; i < count; i++)
		packet_gemm(&packets[i], QUIRE_FORMAT_POSIT8, 1, 1, k, operands.va, operands.va,
			    output.va);
	return 0;
}

/*
 * Bands of the innocent take about as long as the driver waits for them: whether they end before
 * or after it has given up, what has begun is not begun again.
 */
TEST_F_TIMEOUT(stubborn, queue_that_comes_to_rest_too_late_is_not_run_twice, 120)
{
	struct drm_quire_queue_query state;
	volatile uint64_t *mark = breaking_mark(&self->innocent);
	uint64_t other;
	uint32_t bytes;

	for (unsigned int i = 0; i < 8; i++) {
		uint64_t va;
		int error;

		ASSERT_EQ(0, card_queue_create(self->guilty.fd, self->guilty.vm, BREAKING_LIMIT_MS,
					       &self->guilty.queue));
		ASSERT_EQ(0, card_queue_create(self->innocent.fd, self->innocent.vm, 600000,
					       &self->innocent.queue));
		ASSERT_EQ(0, card_long_sums(&self->innocent, 1u << 20, 31));
		va = breaking_marked(&self->innocent, 30, &bytes);
		ASSERT_EQ(0, monitor_inject("engine-deaf", 1));
		ASSERT_EQ(0, breaking_start_guilty(&self->guilty, &self->point));
		ASSERT_EQ(0, breaking_let_begin(&self->guilty));
		usleep(i * 30000);
		ASSERT_EQ(0, card_submit(&self->innocent, va, bytes, &other));
		ASSERT_EQ(0, breaking_begun(&self->innocent));
		*mark = 0;
		ASSERT_EQ(0, card_wait(self->guilty.fd, self->guilty.syncobj, self->point,
				       20000 * MS));
		ASSERT_EQ(0, monitor_inject("engine-deaf", 0));
		ASSERT_EQ(0, card_wait(self->innocent.fd, self->innocent.syncobj, other,
				       60000 * MS));
		error = card_fence_error(self->innocent.fd, self->innocent.syncobj, other);
		EXPECT_TRUE(!error || error == -EIO) TH_LOG("error %d", error);
		EXPECT_EQ(0, *mark) TH_LOG("begun twice, error %d", error);
		ASSERT_EQ(0, card_queue_state(self->innocent.fd, self->innocent.queue, &state));
		EXPECT_EQ(0, state.rerun);
		if (!error)
			EXPECT_EQ(DRM_QUIRE_QUEUE_RESET_NONE, state.reset);
	}
}

static int send_files(int to, const int *files, unsigned int count)
{
	char control[CMSG_SPACE(4 * sizeof(int))] = { 0 }, byte = 0;
	struct iovec data = { &byte, 1 };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = control,
				  .msg_controllen = CMSG_SPACE(count * sizeof(int)) };
	struct cmsghdr *rights = CMSG_FIRSTHDR(&message);

	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(rights), files, count * sizeof(int));
	return sendmsg(to, &message, 0) == 1 ? 0 : -errno;
}

/* Files that are on their way through a socket that nobody has when this process has ended. */
static int send_to_nobody(int before, int file, int after)
{
	int sockets[2];

	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, sockets))
		return -errno;
	return send_files(sockets[0], (int[]){ before, file, after, sockets[1] }, 4);
}

/* The end of the card's jobs, as another file sees it. */
static int share_timeline(const struct card *card, int other, uint32_t *syncobj)
{
	struct drm_syncobj_handle from = { .handle = card->syncobj }, to = { .fd = -1 };
	int ret = card_ioctl(card->fd, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &from);

	to.fd = from.fd;
	if (!ret)
		ret = card_ioctl(other, DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, &to);
	close(from.fd);
	*syncobj = to.handle;
	return ret;
}

static bool closed_soon(int pipe)
{
	struct pollfd end = { .fd = pipe };

	return poll(&end, 1, 30000) == 1 && end.revents & POLLHUP;
}

/* A job that hangs, and whose end the other file can see. */
static int hang_job(struct card *card, int other, uint32_t *syncobj)
{
	uint32_t bytes;
	uint64_t point;
	int ret = card_setup_limit(card, 0, 600000);

	if (!ret)
		ret = card_long_stream(card, &bytes);
	if (!ret)
		ret = share_timeline(card, other, syncobj);
	if (!ret)
		ret = monitor_inject("engine-hang", 1);
	if (!ret)
		ret = card_submit(card, card->stream.va, bytes, &point);
	return ret ? ret : breaking_let_begin(card);
}

TEST_F_TIMEOUT(stubborn, file_that_the_kernel_closes_holds_up_no_other_that_it_closes, 120)
{
	int before[2], after[2], fd = self->innocent.fd, status;
	uint32_t *syncobj;
	struct card card;
	pid_t child;

	syncobj = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, syncobj);
	ASSERT_EQ(0, pipe(before));
	ASSERT_EQ(0, pipe(after));
	child = fork();
	if (!child)
		_exit(-(hang_job(&card, fd, syncobj) ?:
			send_to_nobody(before[1], card.fd, after[1])));
	close(before[1]);
	close(after[1]);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	ASSERT_EQ(0, status);
	/* The kernel looks for such files when a socket is closed. */
	close(socket(AF_UNIX, SOCK_DGRAM, 0));
	EXPECT_TRUE(closed_soon(before[0]));
	EXPECT_TRUE(closed_soon(after[0]));
	/* It is closed all the same, which takes a while. */
	EXPECT_EQ(-ETIME, card_wait(fd, *syncobj, 1, 0));
	EXPECT_EQ(0, card_wait(fd, *syncobj, 1, 30000 * MS));
	ASSERT_EQ(0, monitor_inject("engine-hang", 0));
	EXPECT_EQ(0, card_answers(&self->innocent));
	close(before[0]);
	close(after[0]);
}

/* What it has not opened itself, be it that it was sent. */
TEST_F_TIMEOUT(stubborn, who_closes_the_file_of_another_does_not_wait_for_its_jobs, 120)
{
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec data = { &byte, 1 };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = control,
				  .msg_controllen = sizeof(control) };
	int sockets[2], fd = self->innocent.fd, status, sent;
	uint32_t *syncobj;
	struct card card;
	pid_t child;

	syncobj = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, syncobj);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_DGRAM, 0, sockets));
	child = fork();
	if (!child)
		_exit(-(hang_job(&card, fd, syncobj) ?: send_files(sockets[0], &card.fd, 1)));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	ASSERT_EQ(0, status);
	ASSERT_EQ(1, recvmsg(sockets[1], &message, 0));
	memcpy(&sent, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(sent));
	close(sent);
	/* It takes a while, but not ours. */
	EXPECT_EQ(-ETIME, card_wait(fd, *syncobj, 1, 0));
	EXPECT_EQ(0, card_wait(fd, *syncobj, 1, 30000 * MS));
	ASSERT_EQ(0, monitor_inject("engine-hang", 0));
	EXPECT_EQ(0, card_answers(&self->innocent));
}

TEST_HARNESS_MAIN
