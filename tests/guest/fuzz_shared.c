// SPDX-License-Identifier: MIT
/*
 * Memory of others: dma-bufs of udmabuf and calls on any, calls of DRM that are for displays, and
 * arguments whose pages come late, because another thread has to bring them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/udmabuf.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fuzz_calls.h"

#define LATE_PAGES 16

static uint8_t *fuzz_late, *fuzz_late_source;

int fuzz_udmabuf(struct file *file, struct rng *rng)
{
	struct udmabuf_create args = { .size = (1 + rng_below(rng, 64)) * PAGE };
	int device = open("/dev/udmabuf", O_RDWR | O_CLOEXEC), ret;

	/* A kernel without it has nothing to refuse. */
	if (device < 0)
		return errno == ENOENT ? 0 : -errno;
	args.memfd = (uint32_t)memfd_create("fuzz", MFD_ALLOW_SEALING | MFD_CLOEXEC);
	ret = ftruncate((int)args.memfd, 64 * PAGE) ||
	      fcntl((int)args.memfd, F_ADD_SEALS, F_SEAL_SHRINK);
	if (!ret)
		ret = ioctl(device, UDMABUF_CREATE, &args);
	if (ret >= 0)
		close(atomic_exchange(SOME(rng, file->shared), ret));
	else
		ret = -errno;
	close((int)args.memfd);
	close(device);
	return ret < 0 ? ret : 0;
}

/* On whatever lies there: also sync files and syncobjs. */
int fuzz_shared_call(struct file *file, struct rng *rng)
{
	int fd = *SOME(rng, file->shared);
	struct dma_buf_sync sync = { .flags = rng_below(rng, 8) };
	struct dma_buf_export_sync_file out = { .flags = 1 + rng_below(rng, 3) };
	struct dma_buf_import_sync_file in = { .flags = 1 + rng_below(rng, 3),
					       .fd = *SOME(rng, file->shared) };

	switch (rng_below(rng, 3)) {
	case 0:
		return ioctl(fd, DMA_BUF_IOCTL_SYNC, &sync) ? -errno : 0;
	case 1:
		if (ioctl(fd, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &out))
			return -errno;
		close(atomic_exchange(SOME(rng, file->shared), out.fd));
		return 0;
	default:
		return ioctl(fd, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &in) ? -errno : 0;
	}
}

/* DRM's own: what is for displays must be refused, whatever its arguments. */
int fuzz_display(struct file *file, struct rng *rng)
{
	uint32_t number = rng_once_in(rng, 2) ? rng_below(rng, 0x40) : 0xa0 + rng_below(rng, 0x1f);
	uint64_t args[32];
	int ret;

	for (unsigned int i = 0; i < 32; i++)
		args[i] = rng_once_in(rng, 2) ? 0 : rng_odd_value(rng);
	ret = fuzz_once(file, _IOC(rng_below(rng, 4), 'd', number, rng_below(rng, sizeof(args))),
			args);
	return ret == -EACCES ? 0 : ret;
}

void *fuzz_make_late(struct rng *rng, void *what, size_t bytes)
{
	size_t page = rng_below(rng, LATE_PAGES - 1) + 1;
	uint8_t *at = fuzz_late + page * PAGE;

	if (!fuzz_late || bytes > PAGE)
		return what;
	/* Now and then the end of it only. */
	if (rng_once_in(rng, 2) && bytes > 8)
		at -= bytes / 2 & ~7ul;
	memcpy(fuzz_late_source + (at - fuzz_late), what, bytes);
	madvise(fuzz_late + page * PAGE, PAGE, MADV_DONTNEED);
	return at;
}

/* Brings the pages, each after a while, until the process ends. */
static void *fuzz_late_main(void *argument)
{
	int fd = *(int *)argument;
	struct rng rng = { 1 };
	struct uffd_msg message;

	while (read(fd, &message, sizeof(message)) == sizeof(message)) {
		uint64_t at = message.arg.pagefault.address & ~(uint64_t)(PAGE - 1);
		struct uffdio_copy copy = {
			.dst = at, .len = PAGE,
			.src = (uintptr_t)fuzz_late_source + (at - (uintptr_t)fuzz_late),
		};

		if (message.event != UFFD_EVENT_PAGEFAULT)
			continue;
		usleep(rng_below(&rng, 3000));
		/* The page may have gone again meanwhile. */
		if (ioctl(fd, UFFDIO_COPY, &copy))
			ioctl(fd, UFFDIO_WAKE, &(struct uffdio_range){ at, PAGE });
	}
	return NULL;
}

int fuzz_shared_init(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register area = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	static int fd;
	pthread_t thread;

	fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	/* A kernel without it: arguments are there at once. */
	if (fd < 0)
		return 0;
	fuzz_late = mmap(NULL, LATE_PAGES * PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fuzz_late_source = mmap(NULL, LATE_PAGES * PAGE, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (fuzz_late == MAP_FAILED || fuzz_late_source == MAP_FAILED)
		return -errno;
	area.range = (struct uffdio_range){ (uintptr_t)fuzz_late, LATE_PAGES * PAGE };
	if (ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &area))
		return -errno;
	return pthread_create(&thread, NULL, fuzz_late_main, &fd) ? -EAGAIN : 0;
}
