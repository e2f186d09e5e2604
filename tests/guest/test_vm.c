// SPDX-License-Identifier: MIT
/* Address spaces: map, replace, unmap, permissions, and every documented error. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "card.h"
#include "harness.h"

FIXTURE(vm) {
	struct card card;
};

FIXTURE_SETUP(vm)
{
	ASSERT_EQ(0, card_setup(&self->card, 0));
}

FIXTURE_TEARDOWN(vm)
{
	card_teardown(&self->card);
}

#define VA 0x7000000000ull

TEST_F(vm, map_replaces_what_was_mapped)
{
	struct quire_packet_fill fill;
	struct card *card = &self->card;
	struct bo first, second;

	ASSERT_EQ(0, card_buffer(card, 4 * PAGE, DRM_QUIRE_PLACEMENT_SYSTEM, &first));
	ASSERT_EQ(0, card_buffer(card, 4 * PAGE, DRM_QUIRE_PLACEMENT_CARD, &second));
	ASSERT_EQ(0, card_bind(card->fd, card->vm, first.handle, VA, 4 * PAGE, 0));
	/* The two pages in the middle now come from the second buffer. */
	ASSERT_EQ(0, card_bind(card->fd, card->vm, second.handle, VA + PAGE, 2 * PAGE, 0));
	packet_fill(&fill, VA, 4 * PAGE, 0xabcdef);
	ASSERT_EQ(0, card_run(card, &fill, sizeof(fill)));
	for (unsigned int page = 0; page < 4; page++) {
		uint64_t in_first = ((uint64_t *)first.map)[page * PAGE / 8];
		uint64_t in_second = ((uint64_t *)second.map)[page * PAGE / 8];

		EXPECT_EQ(page == 0 || page == 3 ? 0xabcdef : 0, in_first);
		EXPECT_EQ(page < 2 ? 0xabcdef : 0, in_second);
	}
}

TEST_F(vm, bo_offset_selects_the_part)
{
	struct drm_quire_vm_bind_op op = { .type = DRM_QUIRE_VM_BIND_MAP,
					   .bo_offset = 2 * PAGE,
					   .va = VA,
					   .size = PAGE };
	struct drm_quire_vm_bind args = { .vm_id = self->card.vm,
					  .ops = { sizeof(op), 1, (uintptr_t)&op } };
	struct quire_packet_fill fill;
	struct bo bo;

	ASSERT_EQ(0, card_buffer(&self->card, 4 * PAGE, DRM_QUIRE_PLACEMENT_CARD, &bo));
	op.handle = bo.handle;
	ASSERT_EQ(0, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_VM_BIND, &args));
	packet_fill(&fill, VA, PAGE, 7);
	ASSERT_EQ(0, card_run(&self->card, &fill, sizeof(fill)));
	EXPECT_EQ(0, ((uint64_t *)bo.map)[2 * PAGE / 8 - 1]);
	EXPECT_EQ(7, ((uint64_t *)bo.map)[2 * PAGE / 8]);
	EXPECT_EQ(0, ((uint64_t *)bo.map)[3 * PAGE / 8]);
}

TEST_F(vm, large_pages_and_small_pages_give_the_same)
{
	struct quire_packet_fill fill;
	uint64_t size = 6 << 20;
	struct bo bo;

	ASSERT_EQ(0, card_buffer(&self->card, size, DRM_QUIRE_PLACEMENT_CARD, &bo));
	/* Once 2 MiB aligned, once one page off so that only 4 KiB entries fit. */
	for (int odd = 0; odd < 2; odd++) {
		uint64_t va = VA + (uint64_t)odd * ((1ull << 32) + PAGE);

		ASSERT_EQ(0, card_bind(self->card.fd, self->card.vm, bo.handle, va, size, 0));
		packet_fill(&fill, va, size, 100 + odd);
		ASSERT_EQ(0, card_run(&self->card, &fill, sizeof(fill)));
		for (uint64_t i = 0; i < size / 8; i += 511)
			ASSERT_EQ(100 + odd, ((uint64_t *)bo.map)[i]);
	}
}

TEST_F(vm, partial_unmap_of_a_large_page_keeps_the_rest)
{
	struct quire_packet_fill fill;
	uint64_t size = 4 << 20;
	struct bo bo;

	ASSERT_EQ(0, card_buffer(&self->card, size, DRM_QUIRE_PLACEMENT_CARD, &bo));
	ASSERT_EQ(0, card_bind(self->card.fd, self->card.vm, bo.handle, VA, size, 0));
	ASSERT_EQ(0, card_unbind(self->card.fd, self->card.vm, VA + PAGE, PAGE));
	packet_fill(&fill, VA, PAGE, 1);
	ASSERT_EQ(0, card_run(&self->card, &fill, sizeof(fill)));
	packet_fill(&fill, VA + 2 * PAGE, size - 2 * PAGE, 2);
	ASSERT_EQ(0, card_run(&self->card, &fill, sizeof(fill)));
	EXPECT_EQ(1, ((uint64_t *)bo.map)[0]);
	EXPECT_EQ(0, ((uint64_t *)bo.map)[PAGE / 8]);
	EXPECT_EQ(2, ((uint64_t *)bo.map)[2 * PAGE / 8]);
	packet_fill(&fill, VA + PAGE, PAGE, 3);
	EXPECT_EQ(-EFAULT, card_run(&self->card, &fill, sizeof(fill)));
}

TEST_F(vm, read_only_mapping_refuses_writes_and_names_the_place)
{
	struct drm_quire_queue_query state;
	struct quire_packet_fill fill;
	struct bo bo;

	ASSERT_EQ(0, card_buffer(&self->card, PAGE, DRM_QUIRE_PLACEMENT_SYSTEM, &bo));
	ASSERT_EQ(0, card_bind(self->card.fd, self->card.vm, bo.handle, VA, PAGE,
			       DRM_QUIRE_VM_BIND_READ_ONLY));
	packet_fill(&fill, VA + 256, 64, 9);
	EXPECT_EQ(-EFAULT, card_run(&self->card, &fill, sizeof(fill)));
	ASSERT_EQ(0, card_queue_state(self->card.fd, self->card.queue, &state));
	EXPECT_EQ(QUIRE_STATUS_MMU_FAULT, state.fault_status);
	EXPECT_EQ(QUIRE_FAULT_PERMISSION, state.fault_info & QUIRE_FAULT_REASON);
	EXPECT_NE(0, state.fault_info & QUIRE_FAULT_WRITE);
	EXPECT_EQ(VA, state.fault_address & ~(uint64_t)(PAGE - 1));
	EXPECT_EQ(0, ((uint64_t *)bo.map)[32]);
}

TEST_F(vm, asynchronous_bind_waits_and_signals)
{
	struct drm_quire_sync syncs[2] = {
		{ .flags = DRM_QUIRE_SYNC_WAIT | DRM_QUIRE_SYNC_TIMELINE, .point = 5 },
		{ .flags = DRM_QUIRE_SYNC_SIGNAL | DRM_QUIRE_SYNC_TIMELINE, .point = 6 },
	};
	struct drm_quire_vm_bind_op op = { .type = DRM_QUIRE_VM_BIND_MAP, .va = VA, .size = PAGE };
	struct drm_quire_vm_bind args = { .vm_id = self->card.vm,
					  .flags = DRM_QUIRE_VM_BIND_ASYNC,
					  .ops = { sizeof(op), 1, (uintptr_t)&op },
					  .syncs = { sizeof(syncs[0]), 2, (uintptr_t)syncs } };
	struct drm_syncobj_timeline_array signal = { .count_handles = 1 };
	struct quire_packet_fill fill;
	uint64_t point = 5;
	uint32_t in, out;
	struct bo bo;

	ASSERT_EQ(0, card_buffer(&self->card, PAGE, DRM_QUIRE_PLACEMENT_SYSTEM, &bo));
	op.handle = bo.handle;
	ASSERT_EQ(0, card_syncobj_create(self->card.fd, &in));
	ASSERT_EQ(0, card_syncobj_create(self->card.fd, &out));
	syncs[0].handle = in;
	syncs[1].handle = out;
	/* The awaited point must exist; an earlier bind of the same kind makes it pending. */
	signal.handles = (uintptr_t)&in;
	signal.points = (uintptr_t)&point;
	ASSERT_EQ(0, card_ioctl(self->card.fd, DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL, &signal));
	ASSERT_EQ(0, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_VM_BIND, &args));
	ASSERT_EQ(0, card_wait(self->card.fd, out, 6, 5000 * MS));
	packet_fill(&fill, VA, 8, 77);
	ASSERT_EQ(0, card_run(&self->card, &fill, sizeof(fill)));
	EXPECT_EQ(77, *(uint64_t *)bo.map);
}

/* A call of another address space that waits for a point of the card's timeline. */
static int bind_after(struct card *card, uint32_t vm, uint64_t gate, uint32_t done)
{
	struct drm_quire_sync syncs[2] = {
		{ DRM_QUIRE_SYNC_WAIT | DRM_QUIRE_SYNC_TIMELINE, card->syncobj, gate },
		{ DRM_QUIRE_SYNC_SIGNAL, done, 0 },
	};
	struct drm_quire_vm_bind_op op = { .type = DRM_QUIRE_VM_BIND_MAP, .va = VA, .size = PAGE };
	struct drm_quire_vm_bind args = { .vm_id = vm,
					  .flags = DRM_QUIRE_VM_BIND_ASYNC,
					  .ops = { sizeof(op), 1, (uintptr_t)&op },
					  .syncs = { sizeof(syncs[0]), 2, (uintptr_t)syncs } };
	int ret = card_bo_create(card->fd, PAGE, DRM_QUIRE_PLACEMENT_CARD, 0, &op.handle);

	return ret ? ret : card_ioctl(card->fd, DRM_IOCTL_QUIRE_VM_BIND, &args);
}

/* A job of seconds, on a queue whose limit it does not come to. */
static int begin_long_job(struct card *card, uint64_t *gate)
{
	uint32_t bytes;
	int ret = card_queue_create(card->fd, card->vm, 60000, &card->queue);

	if (!ret)
		ret = card_long_stream(card, &bytes);
	return ret ? ret : card_submit(card, card->stream.va, bytes, gate);
}

TEST_F(vm, destroying_it_gives_up_calls_that_wait_for_others)
{
	struct drm_quire_vm_destroy destroy = { 0 };
	struct card *card = &self->card;
	uint32_t done[2];
	uint64_t gate;

	ASSERT_EQ(0, begin_long_job(card, &gate));
	ASSERT_EQ(0, card_vm_create(card->fd, &destroy.vm_id));
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, card_syncobj_create(card->fd, &done[i]));
		ASSERT_EQ(0, bind_after(card, destroy.vm_id, gate, done[i]));
	}
	ASSERT_EQ(0, card_ioctl(card->fd, DRM_IOCTL_QUIRE_VM_DESTROY, &destroy));
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(0, card_wait(card->fd, done[i], 0, 0));
		EXPECT_EQ(-ECANCELED, card_fence_error(card->fd, done[i], 0));
	}
	/* All of that before the job has ended. */
	EXPECT_EQ(-ETIME, card_wait(card->fd, card->syncobj, gate, 0));
	EXPECT_EQ(0, card_queue_destroy(card->fd, card->queue));
}

/* A synchronous call waits for the others before it; whoever is killed meanwhile is gone. */
TEST_F(vm, a_call_that_waits_for_others_ends_with_its_process)
{
	struct card *card = &self->card;
	uint64_t gate;
	uint32_t done;
	pid_t child;
	int status;

	ASSERT_EQ(0, begin_long_job(card, &gate));
	ASSERT_EQ(0, card_syncobj_create(card->fd, &done));
	ASSERT_EQ(0, bind_after(card, card->vm, gate, done));
	child = fork();
	ASSERT_LE(0, child);
	if (!child)
		_exit(card_unbind(card->fd, card->vm, VA, PAGE) ? 1 : 0);
	usleep(300000);
	/* It cannot have ended by itself. */
	ASSERT_EQ(0, waitpid(child, &status, WNOHANG));
	ASSERT_EQ(0, kill(child, SIGKILL));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(-ETIME, card_wait(card->fd, card->syncobj, gate, 0));
	EXPECT_EQ(0, card_queue_destroy(card->fd, card->queue));
}

TEST_F(vm, bad_operations_change_nothing)
{
	struct drm_quire_vm_bind_op ops[2] = {
		{ .type = DRM_QUIRE_VM_BIND_UNMAP, .size = PAGE },
		{ .type = DRM_QUIRE_VM_BIND_MAP, .handle = 4711, .va = VA, .size = PAGE },
	};
	struct drm_quire_vm_bind args = { .vm_id = self->card.vm,
					  .ops = { sizeof(ops[0]), 2, (uintptr_t)ops } };
	struct quire_packet_fill fill;
	struct bo bo;

	ASSERT_EQ(0, card_buffer(&self->card, PAGE, DRM_QUIRE_PLACEMENT_SYSTEM, &bo));
	ops[0].va = bo.va;
	EXPECT_EQ(-ENOENT, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_VM_BIND, &args));
	packet_fill(&fill, bo.va, 8, 5);
	EXPECT_EQ(0, card_run(&self->card, &fill, sizeof(fill)));
}

TEST_F(vm, private_buffer_of_another_address_space_is_refused)
{
	struct drm_quire_vm_bind_op op = { .type = DRM_QUIRE_VM_BIND_MAP, .va = VA, .size = PAGE };
	struct drm_quire_vm_bind args = { .vm_id = self->card.vm,
					  .ops = { sizeof(op), 1, (uintptr_t)&op } };
	uint32_t other;

	ASSERT_EQ(0, card_vm_create(self->card.fd, &other));
	ASSERT_EQ(0, card_bo_create(self->card.fd, PAGE, DRM_QUIRE_PLACEMENT_CARD, other, &op.handle));
	EXPECT_EQ(-EINVAL, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_VM_BIND, &args));
	args.vm_id = other;
	EXPECT_EQ(0, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_VM_BIND, &args));
}

static int bind_with(struct card *card, struct drm_quire_vm_bind_op op)
{
	struct drm_quire_vm_bind args = { .vm_id = card->vm,
					  .ops = { sizeof(op), 1, (uintptr_t)&op } };

	return card_ioctl(card->fd, DRM_IOCTL_QUIRE_VM_BIND, &args);
}

TEST_F(vm, each_field_of_an_operation_is_checked)
{
	struct drm_quire_vm_bind_op good = { .type = DRM_QUIRE_VM_BIND_MAP, .va = VA, .size = PAGE };
	struct drm_quire_vm_bind_op op;
	struct bo bo;

	ASSERT_EQ(0, card_buffer(&self->card, 2 * PAGE, DRM_QUIRE_PLACEMENT_SYSTEM, &bo));
	good.handle = bo.handle;
	ASSERT_EQ(0, bind_with(&self->card, good));
	op = good, op.type = 0;
	EXPECT_EQ(-EINVAL, bind_with(&self->card, op));
	op = good, op.type = 3;
	EXPECT_EQ(-EINVAL, bind_with(&self->card, op));
	op = good, op.flags = 2;
	EXPECT_EQ(-EINVAL, bind_with(&self->card, op));
	op = good, op.pad = 1;
	EXPECT_EQ(-EINVAL, bind_with(&self->card, op));
	op = good, op.handle = 4711;
	EXPECT_EQ(-ENOENT, bind_with(&self->card, op));
	op = good, op.bo_offset = 12;
	EXPECT_EQ(-EINVAL, bind_with(&self->card, op));
	op = good, op.bo_offset = 2 * PAGE;
	EXPECT_EQ(-EINVAL, bind_with(&self->card, op));
	op = good, op.bo_offset = 0 - (uint64_t)PAGE;
	EXPECT_EQ(-EINVAL, bind_with(&self->card, op));
	op = good, op.va = VA + 1;
	EXPECT_EQ(-EINVAL, bind_with(&self->card, op));
	op = good, op.va = 1ull << 48;
	EXPECT_EQ(-EINVAL, bind_with(&self->card, op));
	op = good, op.va = 0;
	EXPECT_EQ(-EINVAL, bind_with(&self->card, op));
	op = good, op.size = 0;
	EXPECT_EQ(-EINVAL, bind_with(&self->card, op));
	op = good, op.size = 100;
	EXPECT_EQ(-EINVAL, bind_with(&self->card, op));
	op = good, op.size = 3 * PAGE;
	EXPECT_EQ(-EINVAL, bind_with(&self->card, op));
	op = good, op.va = 0 - (uint64_t)PAGE;
	EXPECT_EQ(-EINVAL, bind_with(&self->card, op));
	op = good, op.type = DRM_QUIRE_VM_BIND_UNMAP;
	EXPECT_EQ(-EINVAL, bind_with(&self->card, op)); /* a handle makes no sense here */
}

TEST_F(vm, each_field_of_the_call_is_checked)
{
	struct drm_quire_vm_bind_op op = { .type = DRM_QUIRE_VM_BIND_UNMAP, .va = VA, .size = PAGE };
	struct drm_quire_vm_bind good = { .vm_id = self->card.vm,
					  .ops = { sizeof(op), 1, (uintptr_t)&op } };
	struct drm_quire_sync sync = { .handle = self->card.syncobj };
	struct drm_quire_vm_bind args;
	struct {
		struct drm_quire_vm_bind_op op;
		uint64_t newer;
	} longer = { op, 0 };

	args = good, args.vm_id = 4711;
	EXPECT_EQ(-ENOENT, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_VM_BIND, &args));
	args = good, args.flags = 2;
	EXPECT_EQ(-EINVAL, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_VM_BIND, &args));
	args = good, args.ops.stride = 8;
	EXPECT_EQ(-EINVAL, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_VM_BIND, &args));
	args = good, args.ops.array = 16;
	EXPECT_EQ(-EFAULT, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_VM_BIND, &args));
	args = good, args.syncs = (struct drm_quire_obj_array){ sizeof(sync), 1, (uintptr_t)&sync };
	EXPECT_EQ(-EINVAL, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_VM_BIND, &args));
	args.flags = DRM_QUIRE_VM_BIND_ASYNC; /* the syncobj has no fence to wait for */
	EXPECT_EQ(-EINVAL, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_VM_BIND, &args));
	sync.handle = 4711;
	EXPECT_EQ(-ENOENT, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_VM_BIND, &args));
	args = good, args.ops.count = DRM_QUIRE_VM_BIND_MAX_OPS + 1;
	EXPECT_EQ(-EINVAL, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_VM_BIND, &args));
	args = good, args.ops.count = 0;
	EXPECT_EQ(-EINVAL, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_VM_BIND, &args));
	args = good, args.ops.stride = sizeof(longer), args.ops.array = (uintptr_t)&longer;
	EXPECT_EQ(0, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_VM_BIND, &args));
	longer.newer = 1;
	EXPECT_EQ(-E2BIG, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_VM_BIND, &args));
}

TEST_F(vm, create_and_destroy_errors)
{
	struct drm_quire_vm_create create = { .flags = 1 };
	struct drm_quire_vm_destroy destroy = { .vm_id = 4711 };

	EXPECT_EQ(-EINVAL, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_VM_CREATE, &create));
	EXPECT_EQ(-ENOENT, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_VM_DESTROY, &destroy));
	destroy.vm_id = self->card.vm;
	EXPECT_EQ(-EBUSY, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_VM_DESTROY, &destroy));
	destroy.pad = 1;
	EXPECT_EQ(-EINVAL, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_VM_DESTROY, &destroy));
}

TEST_F(vm, a_file_has_so_many_and_no_more)
{
	static uint32_t vm[DRM_QUIRE_FILE_MAX_VMS];
	unsigned int count = 1;
	int ret;

	while (!(ret = card_vm_create(self->card.fd, &vm[count])))
		if (++count == DRM_QUIRE_FILE_MAX_VMS)
			break;
	EXPECT_EQ(DRM_QUIRE_FILE_MAX_VMS, count) TH_LOG("%d", ret);
	EXPECT_EQ(-EMFILE, card_vm_create(self->card.fd, &vm[0]));
	for (unsigned int i = 1; i < count; i++) {
		struct drm_quire_vm_destroy destroy = { .vm_id = vm[i] };

		ASSERT_EQ(0, card_ioctl(self->card.fd, DRM_IOCTL_QUIRE_VM_DESTROY, &destroy));
	}
	EXPECT_EQ(0, card_vm_create(self->card.fd, &vm[0]));
}

TEST_HARNESS_MAIN
