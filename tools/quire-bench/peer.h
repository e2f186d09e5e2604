/* SPDX-License-Identifier: MIT */
/* Peers of the card in the same guest: QEMU's NVMe device. */
#ifndef QUIRE_BENCH_PEER_H
#define QUIRE_BENCH_PEER_H

#include <liburing.h>

#define NVME_NODE "/dev/nvme0n1"
#define NVME_BATCH 32

struct nvme_peer {
	struct io_uring ring;
	void *memory;	/* NVME_BATCH blocks of 4 KiB */
	int fd;
};

/* -errno; -ENOENT when there is none. */
int nvme_peer_open(struct nvme_peer *peer);
void nvme_peer_close(struct nvme_peer *peer);

/* One read of 4 KiB, and NVME_BATCH of them submitted at once. @argument: the peer. */
int nvme_peer_read(void *argument);
int nvme_peer_read_batch(void *argument);

#endif /* QUIRE_BENCH_PEER_H */
