// SPDX-License-Identifier: MIT
/* SUBMIT: order, dependencies, packets' fields, and every documented error. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "card.h"
#include "harness.h"

FIXTURE(submit) {
	struct card card;
};

FIXTURE_SETUP(submit)
{
	ASSERT_EQ(0, card_setup(&self->card, 0));
}

FIXTURE_TEARDOWN(submit)
{
	card_teardown(&self->card);
}

TEST_F(submit, empty_job_signals)
{
	uint64_t point;

	ASSERT_EQ(0, card_submit(&self->card, 0, 0, &point));
	EXPECT_EQ(0, card_wait(self->card.fd, self->card.syncobj, point, 5000 * MS));
	EXPECT_EQ(0, card_fence_error(self->card.fd, self->card.syncobj, point));
}

TEST_F(submit, packets_run_in_order)
{
	struct {
		struct quire_packet_fill first;
		struct quire_packet_copy second;
		struct quire_packet_fill third;
	} stream;
	struct bo bo;

	ASSERT_EQ(0, card_buffer(&self->card, 2 << 20, DRM_QUIRE_PLACEMENT_CARD, &bo));
	packet_fill(&stream.first, bo.va, 1 << 20, 0x11);
	packet_copy(&stream.second, bo.va + (1 << 20), bo.va, 1 << 20);
	packet_fill(&stream.third, bo.va, 1 << 20, 0x22);
	ASSERT_EQ(0, card_run(&self->card, &stream, sizeof(stream)));
	for (unsigned int i = 0; i < (1 << 20) / 8; i += 100) {
		ASSERT_EQ(0x22, ((uint64_t *)bo.map)[i]);
		ASSERT_EQ(0x11, ((uint64_t *)bo.map)[(1 << 17) + i]);
	}
}

TEST_F(submit, copy_takes_any_byte_address_and_rows)
{
	struct quire_packet_copy copy;
	struct bo from, to;
	uint8_t *in, *out;

	ASSERT_EQ(0, card_buffer(&self->card, 1 << 20, DRM_QUIRE_PLACEMENT_SYSTEM, &from));
	ASSERT_EQ(0, card_buffer(&self->card, 1 << 20, DRM_QUIRE_PLACEMENT_CARD, &to));
	in = from.map;
	out = to.map;
	for (unsigned int i = 0; i < 1 << 20; i++)
		in[i] = (uint8_t)(i * 7 + (i >> 8));
	packet_copy(&copy, to.va + 5, from.va + 3, 1000);
	copy.rows = 50;
	copy.source_stride = 1777;
	copy.destination_stride = 1003;
	ASSERT_EQ(0, card_run(&self->card, &copy, sizeof(copy)));
	for (unsigned int row = 0; row < 50; row++)
		ASSERT_EQ(0, memcmp(out + 5 + row * 1003, in + 3 + row * 1777, 1000));
	EXPECT_EQ(0, out[4]);
	EXPECT_EQ(0, out[5 + 1000]);
}

TEST_F(submit, jobs_of_one_call_run_in_order_and_signal_each)
{
	enum { COUNT = 32 };
	struct drm_quire_job jobs[COUNT] = { 0 };
	struct drm_quire_sync syncs[COUNT];
	struct drm_quire_submit args = { .queue_id = self->card.queue,
					 .jobs = { sizeof(jobs[0]), COUNT, (uintptr_t)jobs } };
	struct quire_packet_fill *fill = self->card.stream.map;
	struct bo bo;

	ASSERT_EQ(0, card_buffer(&self->card, PAGE, DRM_QUIRE_PLACEMENT_CARD, &bo));
	for (unsigned int i = 0; i < COUNT; i++) {
		packet_fill(&fill[i], bo.va, 8 * (COUNT - i), i + 1);
		syncs[i] = (struct drm_quire_sync){ DRM_QUIRE_SYNC_SIGNAL | DRM_QUIRE_SYNC_TIMELINE,
						    self->card.syncobj, i + 1 };
		jobs[i].stream_va = self->card.stream.va + i * sizeof(*fill);
		jobs[i].stream_bytes = sizeof(*fill);
		jobs[i].syncs = (struct drm_quire_obj_array){ sizeof(syncs[0]), 1,
							      (uintptr_t)&syncs[i] };
	}
	ASSERT_EQ(0, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_SUBMIT, &args));
	for (unsigned int i = 0; i < COUNT; i++)
		ASSERT_EQ(0, card_wait(self->card.fd, self->card.syncobj, i + 1, 5000 * MS));
	for (unsigned int i = 0; i < COUNT; i++)
		EXPECT_EQ(COUNT - i, ((uint64_t *)bo.map)[i]);
}

TEST_F(submit, waits_for_another_queue)
{
	struct quire_packet_copy copy;
	struct drm_quire_sync syncs[2];
	struct drm_quire_job job = { .stream_bytes = sizeof(copy),
				     .syncs = { sizeof(syncs[0]), 2, (uintptr_t)syncs } };
	struct drm_quire_submit args = { .jobs = { sizeof(job), 1, (uintptr_t)&job } };
	uint32_t bytes, other, done;
	uint64_t point, one = 1;
	struct bo to;

	/* Long work first; the copy on the other queue must not overtake it. */
	ASSERT_EQ(0, card_buffer(&self->card, PAGE, DRM_QUIRE_PLACEMENT_CARD, &to));
	ASSERT_EQ(0, card_long_stream(&self->card, &bytes));
	bytes = 4 * sizeof(struct quire_packet_gemm);
	packet_fill((struct quire_packet_fill *)((char *)self->card.stream.map + bytes),
		    self->card.stream.va + 100000, 8, 0x600d);
	ASSERT_EQ(0, card_submit(&self->card, self->card.stream.va,
				 bytes + sizeof(struct quire_packet_fill), &point));
	ASSERT_EQ(0, card_queue_create(self->card.fd, self->card.vm, 0, &other));
	ASSERT_EQ(0, card_syncobj_create(self->card.fd, &done));
	packet_copy(&copy, to.va, self->card.stream.va + 100000, 8);
	job.stream_va = self->card.stream.va + 120000;
	memcpy((char *)self->card.stream.map + 120000, &copy, sizeof(copy));
	syncs[0] = (struct drm_quire_sync){ DRM_QUIRE_SYNC_WAIT | DRM_QUIRE_SYNC_TIMELINE,
					    self->card.syncobj, point };
	syncs[1] = (struct drm_quire_sync){ DRM_QUIRE_SYNC_SIGNAL | DRM_QUIRE_SYNC_TIMELINE, done,
					    one };
	args.queue_id = other;
	ASSERT_EQ(0, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_SUBMIT, &args));
	ASSERT_EQ(0, card_wait(self->card.fd, done, 1, 30000 * MS));
	EXPECT_EQ(0x600d, *(uint64_t *)to.map);
}

/* And a point that nobody has given yet cannot be waited for. */
TEST_F(submit, a_wait_is_for_the_end_of_other_work_not_for_its_success)
{
	struct drm_quire_sync syncs[2];
	struct drm_quire_job job = { .syncs = { sizeof(syncs[0]), 2, (uintptr_t)syncs } };
	struct drm_quire_submit args = { .jobs = { sizeof(job), 1, (uintptr_t)&job } };
	uint32_t other, done;
	uint64_t point;

	/* A stream that is not there. */
	ASSERT_EQ(0, card_submit(&self->card, 0x5550000000ull, 16, &point));
	ASSERT_EQ(0, card_queue_create(self->card.fd, self->card.vm, 0, &other));
	ASSERT_EQ(0, card_syncobj_create(self->card.fd, &done));
	syncs[0] = (struct drm_quire_sync){ DRM_QUIRE_SYNC_WAIT | DRM_QUIRE_SYNC_TIMELINE,
					    self->card.syncobj, point + 1 };
	syncs[1] = (struct drm_quire_sync){ DRM_QUIRE_SYNC_SIGNAL | DRM_QUIRE_SYNC_TIMELINE, done,
					    1 };
	args.queue_id = other;
	EXPECT_EQ(-EINVAL, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_SUBMIT, &args));
	syncs[0].point = point;
	ASSERT_EQ(0, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_SUBMIT, &args));
	EXPECT_EQ(0, card_wait(self->card.fd, done, 1, 5000 * MS));
	EXPECT_EQ(-EFAULT, card_fence_error(self->card.fd, self->card.syncobj, point));
	EXPECT_EQ(0, card_fence_error(self->card.fd, done, 1));
}

TEST_F(submit, fence_of_a_finished_job_does_not_wait_for_the_rest_of_its_call)
{
	struct drm_quire_sync first, second[2];
	struct drm_quire_job jobs[2] = { { .syncs = { sizeof(first), 1, (uintptr_t)&first } },
					 { .syncs = { sizeof(first), 2, (uintptr_t)second } } };
	struct drm_quire_submit args = { .jobs = { sizeof(jobs[0]), 2, (uintptr_t)jobs } };
	uint32_t bytes, other, done;
	uint64_t slow;

	ASSERT_EQ(0, card_long_stream(&self->card, &bytes));
	ASSERT_EQ(0, card_submit(&self->card, self->card.stream.va, bytes, &slow));
	ASSERT_EQ(0, card_queue_create(self->card.fd, self->card.vm, 0, &other));
	ASSERT_EQ(0, card_syncobj_create(self->card.fd, &done));
	first = (struct drm_quire_sync){ DRM_QUIRE_SYNC_SIGNAL | DRM_QUIRE_SYNC_TIMELINE, done, 1 };
	second[0] = (struct drm_quire_sync){ DRM_QUIRE_SYNC_WAIT | DRM_QUIRE_SYNC_TIMELINE,
					     self->card.syncobj, slow };
	second[1] = (struct drm_quire_sync){ DRM_QUIRE_SYNC_SIGNAL | DRM_QUIRE_SYNC_TIMELINE, done,
					     2 };
	args.queue_id = other;
	ASSERT_EQ(0, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_SUBMIT, &args));
	EXPECT_EQ(0, card_wait(self->card.fd, done, 1, 1000 * MS));
	EXPECT_EQ(-ETIME, card_wait(self->card.fd, done, 2, 1 * MS));
}

TEST_F(submit, binary_syncobj_signals_and_is_waited_for)
{
	struct drm_quire_sync syncs[2] = { { .flags = DRM_QUIRE_SYNC_SIGNAL } };
	struct drm_quire_job job = { .syncs = { sizeof(syncs[0]), 1, (uintptr_t)syncs } };
	struct drm_quire_submit args = { .queue_id = self->card.queue,
					 .jobs = { sizeof(job), 1, (uintptr_t)&job } };
	uint32_t binary;

	ASSERT_EQ(0, card_syncobj_create(self->card.fd, &binary));
	syncs[0].handle = binary;
	ASSERT_EQ(0, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_SUBMIT, &args));
	syncs[0].flags = DRM_QUIRE_SYNC_WAIT;
	syncs[1] = (struct drm_quire_sync){ DRM_QUIRE_SYNC_SIGNAL | DRM_QUIRE_SYNC_TIMELINE,
					    self->card.syncobj, 1 };
	job.syncs.count = 2;
	ASSERT_EQ(0, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_SUBMIT, &args));
	EXPECT_EQ(0, card_wait(self->card.fd, self->card.syncobj, 1, 5000 * MS));
}

TEST_F(submit, more_jobs_than_the_ring_holds)
{
	enum { ROUNDS = 64 };
	struct drm_quire_job jobs[DRM_QUIRE_SUBMIT_MAX_JOBS] = { 0 };
	struct drm_quire_submit args = { .queue_id = self->card.queue,
					 .jobs = { sizeof(jobs[0]), DRM_QUIRE_SUBMIT_MAX_JOBS,
						   (uintptr_t)jobs } };
	struct drm_quire_queue_query state;
	uint64_t point;

	for (int i = 0; i < ROUNDS; i++)
		ASSERT_EQ(0, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_SUBMIT, &args));
	ASSERT_EQ(0, card_submit(&self->card, 0, 0, &point));
	ASSERT_EQ(0, card_wait(self->card.fd, self->card.syncobj, point, 20000 * MS));
	ASSERT_EQ(0, card_queue_state(self->card.fd, self->card.queue, &state));
	EXPECT_EQ(ROUNDS * DRM_QUIRE_SUBMIT_MAX_JOBS + 1, state.completed);
}

TEST_F(submit, each_field_of_the_call_is_checked)
{
	struct drm_quire_sync sync = { DRM_QUIRE_SYNC_SIGNAL | DRM_QUIRE_SYNC_TIMELINE,
				       self->card.syncobj, 1 };
	struct drm_quire_job good_job = { .syncs = { sizeof(sync), 1, (uintptr_t)&sync } }, job;
	struct drm_quire_submit good = { .queue_id = self->card.queue,
					 .jobs = { sizeof(job), 1, (uintptr_t)&job } };
	struct drm_quire_submit args;
	struct drm_quire_queue_query state;
	struct {
		struct drm_quire_job job;
		uint64_t newer;
	} longer = { good_job, 1 };
	int fd = self->card.fd;

#define REFUSED(error) EXPECT_EQ(error, card_ioctl(fd, DRM_IOCTL_QUIRE_SUBMIT, &args))
	job = good_job;
	args = good, args.queue_id = 4711;
	REFUSED(-ENOENT);
	args = good, args.flags = 1;
	REFUSED(-EINVAL);
	args = good, args.jobs.count = 0;
	REFUSED(-EINVAL);
	args = good, args.jobs.count = DRM_QUIRE_SUBMIT_MAX_JOBS + 1;
	REFUSED(-EINVAL);
	args = good, args.jobs.stride = 8;
	REFUSED(-EINVAL);
	args = good, args.jobs.array = 16;
	REFUSED(-EFAULT);
	args = good, args.jobs.stride = sizeof(longer), args.jobs.array = (uintptr_t)&longer;
	REFUSED(-E2BIG);
	args = good;
	job = good_job, job.stream_va = 4;
	REFUSED(-EINVAL);
	job = good_job, job.stream_bytes = 4;
	REFUSED(-EINVAL);
	job = good_job, job.stream_va = 1 << 20, job.stream_bytes = QUIRE_STREAM_MAX_BYTES + 8;
	REFUSED(-EINVAL);
	job = good_job, job.flags = 2;
	REFUSED(-EINVAL);
	job = good_job, job.outcome_va = 4;
	REFUSED(-EINVAL);
	job = good_job, job.syncs.stride = 4;
	REFUSED(-EINVAL);
	job = good_job, job.syncs.array = 16;
	REFUSED(-EFAULT);
	job = good_job;
	sync.handle = 4711;
	REFUSED(-ENOENT);
	sync.handle = self->card.syncobj, sync.flags |= 2;
	REFUSED(-EINVAL);
	sync.flags = DRM_QUIRE_SYNC_SIGNAL; /* binary with a point */
	REFUSED(-EINVAL);
	sync.flags = DRM_QUIRE_SYNC_SIGNAL | DRM_QUIRE_SYNC_TIMELINE, sync.point = 0;
	REFUSED(-EINVAL);
	sync.flags = DRM_QUIRE_SYNC_WAIT; /* nothing will ever signal it */
	REFUSED(-EINVAL);
#undef REFUSED
	ASSERT_EQ(0, card_queue_state(fd, self->card.queue, &state));
	EXPECT_EQ(0, state.submitted);
}

TEST_F(submit, bad_packets_name_the_field)
{
	struct quire_packet_gemm good, gemm;
	struct bo bo;

	ASSERT_EQ(0, card_buffer(&self->card, 1 << 20, DRM_QUIRE_PLACEMENT_CARD, &bo));
	packet_gemm(&good, QUIRE_FORMAT_POSIT16, 8, 8, 8, bo.va, bo.va + 4096, bo.va + 8192);
#define NAMES(field, value)                                                                     \
	do {                                                                                    \
		struct drm_quire_queue_query state;                                             \
		gemm = good;                                                                    \
		gemm.field = (value);                                                           \
		EXPECT_EQ(-EFAULT, card_run(&self->card, &gemm, sizeof(gemm)));                 \
		ASSERT_EQ(0, card_queue_state(self->card.fd, self->card.queue, &state));        \
		EXPECT_EQ(QUIRE_STATUS_BAD_PACKET, state.fault_status);                         \
		EXPECT_EQ(offsetof(struct quire_packet_gemm, field), state.fault_detail);       \
		ASSERT_EQ(0, card_queue_destroy(self->card.fd, self->card.queue));              \
		ASSERT_EQ(0, card_queue_create(self->card.fd, self->card.vm, 0,                 \
					       &self->card.queue));                             \
	} while (0)
	NAMES(header.opcode, 99);
	NAMES(header.flags, 1);
	NAMES(header.result, 3);
	NAMES(m, 0);
	NAMES(m, 1u << 25);
	NAMES(n, 0);
	NAMES(batch, 0);
	NAMES(mode, 7);
	NAMES(mode, QUIRE_GEMM_MODE_FP32); /* only for BF16 */
	NAMES(gemm_flags, 1u << 20);
	NAMES(alpha, 0x7f800000);
	NAMES(beta, 0x7fc00000);
	NAMES(a.format, 0x12345);
	NAMES(a.format, QUIRE_FORMAT_QUIRE);
	NAMES(a.leading_dimension, 7);
	NAMES(b.leading_dimension, 7);
	NAMES(d.leading_dimension, 7);
	NAMES(a.address, bo.va + 1);
	NAMES(d.address, 1ull << 48);
	NAMES(d.address, bo.va); /* overlaps A */
	NAMES(bias_address, bo.va + 16384); /* without a bias flag */
	NAMES(reserved, 1);
#undef NAMES
	EXPECT_EQ(0, card_run(&self->card, &good, sizeof(good)));
}

/* The status, the fence error and what else docs/uapi.md promises for each kind of fault. */
TEST_F(submit, every_kind_of_fault_has_its_error)
{
	struct quire_packet_header cut = { QUIRE_PACKET_GEMM, 160, 0, 0 };
	struct quire_packet_copy copy;
	struct quire_packet_gemm gemm;
	struct drm_quire_queue_query state;
	struct bo bo;

	ASSERT_EQ(0, card_buffer(&self->card, 1 << 16, DRM_QUIRE_PLACEMENT_CARD, &bo));
#define ENDS_WITH(error, status, packet)                                                        \
	do {                                                                                    \
		EXPECT_EQ(error, card_run(&self->card, &(packet), sizeof(packet)));             \
		ASSERT_EQ(0, card_queue_state(self->card.fd, self->card.queue, &state));        \
		EXPECT_EQ(status, state.fault_status);                                          \
		EXPECT_EQ(DRM_QUIRE_QUEUE_STATE_BANNED, state.state);                           \
		ASSERT_EQ(0, card_queue_destroy(self->card.fd, self->card.queue));              \
		ASSERT_EQ(0, card_queue_create(self->card.fd, self->card.vm, 0,                 \
					       &self->card.queue));                             \
	} while (0)
	/* A packet longer than what is left of the stream. */
	ENDS_WITH(-EFAULT, QUIRE_STATUS_BAD_STREAM, cut);
	/* Fault addresses name the operand that did it. */
	packet_copy(&copy, bo.va, 0x6660000000ull, 64);
	ENDS_WITH(-EFAULT, QUIRE_STATUS_MMU_FAULT, copy);
	EXPECT_EQ(QUIRE_FAULT_UNIT_SOURCE, state.fault_info >> QUIRE_FAULT_UNIT_SHIFT);
	EXPECT_EQ(0x6660000000ull, state.fault_address);
	EXPECT_EQ(0, state.fault_info & QUIRE_FAULT_WRITE);
	packet_copy(&copy, 0x7770000000ull, bo.va, 64);
	ENDS_WITH(-EFAULT, QUIRE_STATUS_MMU_FAULT, copy);
	EXPECT_EQ(QUIRE_FAULT_UNIT_DESTINATION, state.fault_info >> QUIRE_FAULT_UNIT_SHIFT);
	EXPECT_NE(0, state.fault_info & QUIRE_FAULT_WRITE);
	/* 2^31 products in one sum are one too many. */
	packet_gemm(&gemm, QUIRE_FORMAT_POSIT8, 1, 1, 0x80000000u, bo.va, bo.va, bo.va + 4096);
	ENDS_WITH(-ERANGE, QUIRE_STATUS_LIMIT, gemm);
#undef ENDS_WITH
	/* A stream that is not there. */
	uint64_t point;

	ASSERT_EQ(0, card_submit(&self->card, 0x5550000000ull, 16, &point));
	ASSERT_EQ(0, card_wait(self->card.fd, self->card.syncobj, point, 5000 * MS));
	EXPECT_EQ(-EFAULT, card_fence_error(self->card.fd, self->card.syncobj, point));
	ASSERT_EQ(0, card_queue_state(self->card.fd, self->card.queue, &state));
	EXPECT_EQ(QUIRE_STATUS_MMU_FAULT, state.fault_status);
	EXPECT_EQ(QUIRE_FAULT_UNIT_STREAM, state.fault_info >> QUIRE_FAULT_UNIT_SHIFT);
}

TEST_F(submit, depths_of_1_4_and_32_run_without_a_timeout)
{
	static const unsigned int depths[] = { 1, 4, 32 };
	struct drm_quire_queue_query state;

	for (unsigned int d = 0; d < 3; d++) {
		uint64_t points[32], point = 0;

		for (unsigned int i = 0; i < 2000; i++) {
			if (i >= depths[d])
				ASSERT_EQ(0, card_wait(self->card.fd, self->card.syncobj,
						       points[i % depths[d]], 1000 * MS));
			ASSERT_EQ(0, card_submit(&self->card, 0, 0, &point));
			points[i % depths[d]] = point;
		}
		ASSERT_EQ(0, card_wait(self->card.fd, self->card.syncobj, point, 1000 * MS));
	}
	ASSERT_EQ(0, card_queue_state(self->card.fd, self->card.queue, &state));
	EXPECT_EQ(6000, state.completed);
	EXPECT_EQ(DRM_QUIRE_QUEUE_STATE_ACTIVE, state.state);
}

/* Moves the interrupts of all queues to processors @mask, or counts those that left it. */
static int vectors(const char *mask, int check)
{
	FILE *file = fopen("/proc/interrupts", "r");
	char line[512];
	int count = 0;

	while (file && fgets(line, sizeof(line), file)) {
		char path[64], found[64] = "";
		FILE *affinity;

		if (!strstr(line, "quire-queue"))
			continue;
		snprintf(path, sizeof(path), "/proc/irq/%d/smp_affinity", atoi(line));
		affinity = fopen(path, check ? "r" : "w");
		if (!affinity)
			continue;
		if (!check)
			count += fputs(mask, affinity) >= 0;
		else if (fgets(found, sizeof(found), affinity))
			count += strtoul(found, NULL, 16) != strtoul(mask, NULL, 16);
		fclose(affinity);
	}
	if (file)
		fclose(file);
	return count;
}

TEST_F(submit, interrupts_stay_where_the_administrator_put_them)
{
	struct quire_packet_fill fill;
	struct bo bo;
	cpu_set_t set;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP(return, "there is one processor");
	ASSERT_EQ(0, card_buffer(&self->card, 4 << 20, DRM_QUIRE_PLACEMENT_CARD, &bo));
	packet_fill(&fill, bo.va, 4 << 20, 0x11);
	ASSERT_LT(0, vectors("1", 0));
	CPU_ZERO(&set);
	CPU_SET(1, &set);
	ASSERT_EQ(0, sched_setaffinity(0, sizeof(set), &set));
	for (int run = 0; run < 20; run++)
		ASSERT_EQ(0, card_run(&self->card, &fill, sizeof(fill)));
	EXPECT_EQ(0, vectors("1", 1));
}

TEST_F(submit, outcome_of_a_job_is_written_before_its_fence)
{
	struct drm_quire_sync sync = { DRM_QUIRE_SYNC_SIGNAL | DRM_QUIRE_SYNC_TIMELINE,
				       self->card.syncobj, 1 };
	struct drm_quire_job job = { .syncs = { sizeof(sync), 1, (uintptr_t)&sync } };
	struct drm_quire_submit args = { .queue_id = self->card.queue,
					 .jobs = { sizeof(job), 1, (uintptr_t)&job } };
	struct drm_quire_queue_query state;
	struct quire_job_outcome *outcome;
	struct quire_packet_gemm *gemm = self->card.stream.map;
	struct bo bo;

	ASSERT_EQ(0, card_buffer(&self->card, 1 << 16, DRM_QUIRE_PLACEMENT_SYSTEM, &bo));
	outcome = (struct quire_job_outcome *)((char *)bo.map + 16384);
	packet_gemm(gemm, QUIRE_FORMAT_POSIT16, 8, 8, 8, bo.va, bo.va + 4096, bo.va + 8192);
	job.stream_va = self->card.stream.va;
	job.stream_bytes = sizeof(*gemm);
	job.outcome_va = bo.va + 16384;
	ASSERT_EQ(0, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_SUBMIT, &args));
	ASSERT_EQ(0, card_wait(self->card.fd, self->card.syncobj, 1, 5000 * MS));
	EXPECT_EQ(1, outcome->number);
	EXPECT_EQ(QUIRE_STATUS_OK, outcome->status);
	EXPECT_EQ(512, outcome->macs);
	EXPECT_NE(0, outcome->busy_ns);
	EXPECT_GE(outcome->ended, outcome->started + outcome->busy_ns);
	ASSERT_EQ(0, card_queue_state(self->card.fd, self->card.queue, &state));
	EXPECT_EQ(outcome->busy_ns, state.busy_ns);
	EXPECT_EQ(outcome->macs, state.macs);
	/* Where it cannot be written the job has failed. */
	job.outcome_va = 0x5550000000ull;
	sync.point = 2;
	ASSERT_EQ(0, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_SUBMIT, &args));
	ASSERT_EQ(0, card_wait(self->card.fd, self->card.syncobj, 2, 5000 * MS));
	EXPECT_EQ(-EFAULT, card_fence_error(self->card.fd, self->card.syncobj, 2));
	ASSERT_EQ(0, card_queue_state(self->card.fd, self->card.queue, &state));
	EXPECT_EQ(QUIRE_FAULT_UNIT_RESULT, state.fault_info >> QUIRE_FAULT_UNIT_SHIFT);
}

/* Jobs that cannot end are kernel memory: there is a limit, and it is not an endless retry. */
TEST_F_TIMEOUT(submit, jobs_that_have_not_ended_are_limited, 120)
{
	struct drm_quire_job jobs[DRM_QUIRE_SUBMIT_MAX_JOBS] = { 0 };
	struct drm_quire_submit args = { .jobs = { sizeof(jobs[0]), DRM_QUIRE_SUBMIT_MAX_JOBS,
						   (uintptr_t)jobs } };
	struct drm_quire_sync wait = { DRM_QUIRE_SYNC_WAIT | DRM_QUIRE_SYNC_TIMELINE,
				       self->card.syncobj, 1 };
	struct drm_quire_queue_query state;
	uint32_t bytes;
	uint64_t slow;

	ASSERT_EQ(0, card_long_stream(&self->card, &bytes));
	/* They must outlast all the calls below. */
	ASSERT_EQ(0, card_queue_create(self->card.fd, self->card.vm, 600000, &self->card.queue));
	for (int i = 0; i < 4 * test_patience(); i++)
		ASSERT_EQ(0, card_submit(&self->card, self->card.stream.va, bytes, &slow));
	wait.point = slow;
	ASSERT_EQ(0, card_queue_create(self->card.fd, self->card.vm, 0, &args.queue_id));
	jobs[0].syncs = (struct drm_quire_obj_array){ sizeof(wait), 1, (uintptr_t)&wait };
	for (unsigned int i = 0; i < DRM_QUIRE_QUEUE_MAX_JOBS / DRM_QUIRE_SUBMIT_MAX_JOBS; i++)
		ASSERT_EQ(0, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_SUBMIT, &args));
	EXPECT_EQ(-ENOBUFS, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_SUBMIT, &args));
	ASSERT_EQ(0, card_queue_state(self->card.fd, args.queue_id, &state));
	EXPECT_EQ(DRM_QUIRE_QUEUE_MAX_JOBS, state.submitted);
	EXPECT_EQ(0, state.completed);
	ASSERT_EQ(0, card_queue_destroy(self->card.fd, args.queue_id));
}

TEST_F(submit, result_is_written_for_a_gemm)
{
	struct quire_packet_result *result;
	struct quire_packet_gemm gemm;
	int16_t *a, *d;
	struct bo bo;

	ASSERT_EQ(0, card_buffer(&self->card, 1 << 16, DRM_QUIRE_PLACEMENT_CARD, &bo));
	a = bo.map;
	d = (int16_t *)((char *)bo.map + 8192);
	result = (struct quire_packet_result *)((char *)bo.map + 16384);
	for (int i = 0; i < 64; i++) {
		a[i] = i % 9 == 0 ? 0x4000 : 0; /* identity */
		a[2048 + i] = (int16_t)(i * 321);
	}
	packet_gemm(&gemm, QUIRE_FORMAT_POSIT16, 8, 8, 8, bo.va, bo.va + 4096, bo.va + 8192);
	gemm.header.result = bo.va + 16384;
	ASSERT_EQ(0, card_run(&self->card, &gemm, sizeof(gemm)));
	EXPECT_EQ(0, memcmp(d, a + 2048, 128));
	EXPECT_EQ(QUIRE_STATUS_OK, result->status);
	EXPECT_EQ(512, result->macs);
	EXPECT_NE(0, result->digest);
	EXPECT_NE(0, result->modelled_pj);
	EXPECT_NE(0, result->cycles);
	EXPECT_EQ(256, result->bytes_read);
	EXPECT_EQ(128, result->bytes_written);
}

/* Vector 32 of docs/numerics.md: float sums give 0 or 1 by order, the exact sum is 21/16. */
TEST_F(submit, gemm_is_exact_where_floats_are_not)
{
	static const uint16_t row[5] = { 0x7800, 0x4000, 0x3800, 0x3000, 0x7800 };
	static const uint16_t column[5] = { 0x7800, 0x4000, 0x3800, 0x3000, 0x8800 };
	struct quire_packet_gemm gemm;
	struct bo bo;

	ASSERT_EQ(0, card_buffer(&self->card, PAGE * 4, DRM_QUIRE_PLACEMENT_SYSTEM, &bo));
	memcpy(bo.map, row, sizeof(row));
	memcpy((char *)bo.map + PAGE, column, sizeof(column));
	packet_gemm(&gemm, QUIRE_FORMAT_POSIT16, 1, 1, 5, bo.va, bo.va + PAGE, bo.va + 2 * PAGE);
	ASSERT_EQ(0, card_run(&self->card, &gemm, sizeof(gemm)));
	EXPECT_EQ(0x4280, *(uint16_t *)((char *)bo.map + 2 * PAGE));
}

TEST_F(submit, gemm_with_rows_in_scattered_system_pages_equals_card_memory)
{
	enum { N = 192 };
	struct quire_packet_gemm gemm;
	struct bo system, card;
	uint64_t d = 2ull * N * N * 4;

	ASSERT_EQ(0, card_buffer(&self->card, 3ull * N * N * 4, DRM_QUIRE_PLACEMENT_SYSTEM, &system));
	ASSERT_EQ(0, card_buffer(&self->card, 3ull * N * N * 4, DRM_QUIRE_PLACEMENT_CARD, &card));
	for (unsigned int i = 0; i < 2 * N * N; i++)
		((uint32_t *)system.map)[i] = 0x30000000u + (i * 2654435761u >> 3);
	memcpy(card.map, system.map, d);
	packet_gemm(&gemm, QUIRE_FORMAT_POSIT32, N, N, N, system.va, system.va + d / 2, system.va + d);
	ASSERT_EQ(0, card_run(&self->card, &gemm, sizeof(gemm)));
	packet_gemm(&gemm, QUIRE_FORMAT_POSIT32, N, N, N, card.va, card.va + d / 2, card.va + d);
	ASSERT_EQ(0, card_run(&self->card, &gemm, sizeof(gemm)));
	EXPECT_EQ(0, memcmp((char *)system.map + d, (char *)card.map + d, N * N * 4));
}

TEST_HARNESS_MAIN
