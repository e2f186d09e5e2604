/* SPDX-License-Identifier: MIT */
/*
 * .qtn files: a tiled matrix on disk.  struct quire_qtn_header of quire/tiled.h and the
 * image behind it, so that a mapped file is an image in place.  The reader trusts
 * nothing: header, descriptors, checksums, guards, padding and digest are checked
 * before anything is handed out, and the error says what is wrong where.
 */
#ifndef QUIRENUM_QTN_H
#define QUIRENUM_QTN_H

#include <stdint.h>

#include <quirenum/tile.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * struct quire_qtn - an open file
 * @view:  of the matrix; its descriptors are a copy
 * @image, @image_bytes: the image in the file, read-only
 * The rest is the library's own.
 */
struct quire_qtn {
	struct quire_tiled view;
	const void *image;
	uint64_t image_bytes;
	struct quire_tile *tiles;
	void *map;
	uint64_t map_bytes;
};

/* What went wrong, in words: "tile (3, 4): checksum does not match its data". */
struct quire_qtn_error {
	char text[160];
};

/*
 * Map and check a file.  It must not be shortened while it is open.  Returns 0; an error
 * of open() and mmap(); -EINVAL: not a .qtn file of a version known here, cut off, or a
 * wrong field; -EBADMSG: data that do not match checksum, guard or digest; -ENOMEM.
 * @error (may be NULL) is filled unless 0 is returned.
 */
int quire_qtn_open(const char *path, struct quire_qtn *file, struct quire_threads *threads,
		   struct quire_qtn_error *error);

/* The same for a file in memory, aligned to 64 bytes, which must stay until _close(). */
int quire_qtn_parse(const void *data, uint64_t bytes, struct quire_qtn *file,
		    struct quire_threads *threads, struct quire_qtn_error *error);

void quire_qtn_close(struct quire_qtn *file);

/*
 * Write an image, which is checked first, to a file.  The file appears whole or not at
 * all: it is written beside its place, synced and renamed.  Errors as above, and those of
 * write(), fsync() and rename().
 */
int quire_qtn_write(const char *path, const void *image, uint64_t bytes,
		    struct quire_threads *threads, struct quire_qtn_error *error);

#ifdef __cplusplus
}
#endif

#endif /* QUIRENUM_QTN_H */
