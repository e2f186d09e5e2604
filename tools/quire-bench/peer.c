// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "peer.h"

#define BLOCK 4096u

int nvme_peer_open(struct nvme_peer *peer)
{
	int error;

	peer->fd = open(NVME_NODE, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (peer->fd < 0)
		return -errno;
	peer->memory = aligned_alloc(BLOCK, NVME_BATCH * BLOCK);
	error = peer->memory ? io_uring_queue_init(NVME_BATCH, &peer->ring, 0) : -ENOMEM;
	if (error) {
		free(peer->memory);
		close(peer->fd);
	}
	return error;
}

void nvme_peer_close(struct nvme_peer *peer)
{
	io_uring_queue_exit(&peer->ring);
	free(peer->memory);
	close(peer->fd);
}

int nvme_peer_read(void *argument)
{
	struct nvme_peer *peer = argument;
	ssize_t got = pread(peer->fd, peer->memory, BLOCK, 0);

	if (got < 0)
		return -errno;
	return got == BLOCK ? 0 : -EIO;
}

int nvme_peer_read_batch(void *argument)
{
	struct nvme_peer *peer = argument;
	int error = 0;

	for (unsigned int i = 0; i < NVME_BATCH; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&peer->ring);

		io_uring_prep_read(sqe, peer->fd, (char *)peer->memory + i * BLOCK, BLOCK,
				   (uint64_t)i * BLOCK);
	}
	if (io_uring_submit_and_wait(&peer->ring, NVME_BATCH) != NVME_BATCH)
		return -EIO;
	for (unsigned int i = 0; i < NVME_BATCH; i++) {
		struct io_uring_cqe *cqe;

		if (io_uring_wait_cqe(&peer->ring, &cqe))
			return -EIO;
		if (cqe->res != (int)BLOCK)
			error = cqe->res < 0 ? cqe->res : -EIO;
		io_uring_cqe_seen(&peer->ring, cqe);
	}
	return error;
}
