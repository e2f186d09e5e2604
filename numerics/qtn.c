// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <quirenum/qtn.h>

#include "gemm_internal.h"

#define SAY(error, ...)                                                        \
	do {                                                                   \
		if (error)                                                     \
			snprintf((error)->text, sizeof((error)->text), __VA_ARGS__); \
	} while (0)

static int say_tiled(int code, const struct quire_tiled_error *what, struct quire_qtn_error *error)
{
	if (what->in_tile && code == -EBADMSG)
		SAY(error, "tile (%u, %u): %s does not match its data", what->tile_row,
		    what->tile_column, what->field);
	else if (what->in_tile)
		SAY(error, "tile (%u, %u): %s is wrong", what->tile_row, what->tile_column,
		    what->field);
	else
		SAY(error, "image header: %s is wrong", what->field);
	return code;
}

static int check_image(const void *image, uint64_t bytes, struct quire_tiled *view,
		       struct quire_threads *threads, struct quire_qtn_error *error)
{
	const struct quire_tiled_header *header = image;
	struct quire_tiled_error what;
	int code = quire_tiled_open(image, bytes, view, &what);

	if (!code && header->image_bytes != bytes) {
		what = (struct quire_tiled_error){ .field = "image_bytes" };
		code = -EINVAL;
	}
	if (!code)
		code = quire_tiled_verify(view, threads, &what);
	return code ? say_tiled(code, &what, error) : 0;
}

static int check_header(const struct quire_qtn_header *h, uint64_t bytes,
			struct quire_qtn_error *error)
{
	if (bytes < sizeof(*h) || h->magic != QUIRE_QTN_MAGIC) {
		SAY(error, "not a .qtn file: it does not start with \"QTN1\" and a header");
		return -EINVAL;
	}
	if (h->version != QUIRE_QTN_VERSION) {
		SAY(error, "version is %u, only %u can be read", h->version, QUIRE_QTN_VERSION);
		return -EINVAL;
	}
	if (h->file_bytes != bytes) {
		SAY(error, "the file has %llu bytes, its header says %llu: it is cut off or damaged",
		    (unsigned long long)bytes, (unsigned long long)h->file_bytes);
		return -EINVAL;
	}
	for (int i = 0; i < 5; i++)
		if (h->reserved[i]) {
			SAY(error, "header: reserved is not 0");
			return -EINVAL;
		}
	return 0;
}

int quire_qtn_parse(const void *data, uint64_t bytes, struct quire_qtn *file,
		    struct quire_threads *threads, struct quire_qtn_error *error)
{
	const struct quire_qtn_header *h = data;
	const struct quire_tiled_header *image;
	struct quire_tiled checked;
	struct quire_tiled_error what;
	int code;

	memset(file, 0, sizeof(*file));
	if (!data || (uintptr_t)data % QUIRE_TILED_ALIGN) {
		SAY(error, "the file in memory is not aligned to 64 bytes");
		return -EINVAL;
	}
	code = check_header(h, bytes, error);
	if (code)
		return code;
	image = (const struct quire_tiled_header *)(h + 1);
	bytes -= sizeof(*h);
	code = check_image(image, bytes, &checked, threads, error);
	if (code)
		return code;
	if (quire_tiled_digest(image, 0, bytes) != h->digest) {
		SAY(error, "header: digest does not match the image");
		return -EBADMSG;
	}
	/* from here on descriptors are a copy: who changes the file changes numbers only */
	file->tiles = malloc(image->tiles * sizeof(*file->tiles));
	if (!file->tiles) {
		SAY(error, "no memory for the descriptors of %llu tiles",
		    (unsigned long long)image->tiles);
		return -ENOMEM;
	}
	memcpy(file->tiles, checked.tiles, (uint64_t)checked.grid_rows * checked.grid_columns *
					   sizeof(*file->tiles));
	code = quire_tiled_view(image, file->tiles, 0, checked.grid_rows, image, bytes, &file->view,
				&what);
	if (code) {
		quire_qtn_close(file);
		return say_tiled(code, &what, error);
	}
	file->image = image;
	file->image_bytes = bytes;
	return 0;
}

int quire_qtn_open(const char *path, struct quire_qtn *file, struct quire_threads *threads,
		   struct quire_qtn_error *error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), code;
	struct stat status;
	void *map;

	memset(file, 0, sizeof(*file));
	if (fd < 0 || fstat(fd, &status)) {
		code = -errno;
		SAY(error, "%s: %s", path, strerror(-code));
		if (fd >= 0)
			close(fd);
		return code;
	}
	if (!S_ISREG(status.st_mode) || status.st_size < (off_t)sizeof(struct quire_qtn_header)) {
		close(fd);
		SAY(error, "%s: not a .qtn file: too short for a header", path);
		return -EINVAL;
	}
	map = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	code = map == MAP_FAILED ? -errno : 0;
	close(fd);
	if (code) {
		SAY(error, "%s: cannot map it: %s", path, strerror(-code));
		return code;
	}
	code = quire_qtn_parse(map, (uint64_t)status.st_size, file, threads, error);
	if (code) {
		munmap(map, (size_t)status.st_size);
		return code;
	}
	file->map = map;
	file->map_bytes = (uint64_t)status.st_size;
	return 0;
}

void quire_qtn_close(struct quire_qtn *file)
{
	if (!file)
		return;
	free(file->tiles);
	if (file->map)
		munmap(file->map, file->map_bytes);
	memset(file, 0, sizeof(*file));
}

static int write_all(int fd, const void *data, uint64_t bytes)
{
	const uint8_t *at = data;

	while (bytes) {
		ssize_t done = write(fd, at, bytes < 1u << 30 ? bytes : 1u << 30);

		if (done < 0 && errno != EINTR)
			return -errno;
		if (done > 0) {
			at += done;
			bytes -= (uint64_t)done;
		}
	}
	return 0;
}

int quire_qtn_write(const char *path, const void *image, uint64_t bytes,
		    struct quire_threads *threads, struct quire_qtn_error *error)
{
	struct quire_qtn_header header = { .magic = QUIRE_QTN_MAGIC, .version = QUIRE_QTN_VERSION,
					   .file_bytes = sizeof(header) + bytes };
	struct quire_tiled view;
	char *beside;
	int code = check_image(image, bytes, &view, threads, error), fd;

	if (code)
		return code;
	header.digest = quire_tiled_digest(image, 0, bytes);
	if (asprintf(&beside, "%s.XXXXXX", path) < 0) {
		SAY(error, "no memory");
		return -ENOMEM;
	}
	fd = mkostemp(beside, O_CLOEXEC);
	code = fd < 0 ? -errno : write_all(fd, &header, sizeof(header));
	if (!code)
		code = write_all(fd, image, bytes);
	if (!code && (fchmod(fd, 0644) || fsync(fd)))
		code = -errno;
	if (fd >= 0 && close(fd) && !code)
		code = -errno;
	if (!code && rename(beside, path))
		code = -errno;
	if (code) {
		SAY(error, "%s: %s", path, strerror(-code));
		if (fd >= 0)
			unlink(beside);
	}
	free(beside);
	return code;
}
