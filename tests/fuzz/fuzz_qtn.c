// SPDX-License-Identifier: MIT
/*
 * Any bytes as a .qtn file and as an image: refused with a reason, or a view every
 * element of which can be read.
 */
#include <stdlib.h>
#include <string.h>

#include <quirenum/gemm.h>
#include <quirenum/qtn.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ELEMENTS_MAX (1u << 16)

static void read_all(const struct quire_tiled *view)
{
	const struct quire_tiled_shape *s = &view->shape;
	struct quire_tiled_output out = { .format = QUIRE_FORMAT_FP32, .leading_dimension = s->columns };

	/* a few empty tiles can stand for a huge matrix */
	if ((uint64_t)s->rows * s->columns > ELEMENTS_MAX)
		return;
	out.data = malloc((size_t)s->rows * s->columns * 4);
	if (!out.data || quire_tiled_unpack(view, s->rows, s->columns, &out, NULL, NULL, NULL))
		abort();
	free(out.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct quire_qtn_header *file;
	struct quire_tiled_header *image;
	struct quire_qtn_error error = { "" };
	struct quire_tiled_error what;
	struct quire_tiled view;
	struct quire_qtn qtn;
	uint8_t *copy = NULL;

	quire_kernel_select("generic");
	if (!size || posix_memalign((void **)&copy, 64, size))
		return 0;
	memcpy(copy, data, size);
	if (!quire_qtn_parse(copy, size, &qtn, NULL, &error)) {
		read_all(&qtn.view);
		quire_qtn_close(&qtn);
	} else if (!error.text[0]) {
		abort();
	}
	/* behind the doors that a fuzzer hardly opens: magic numbers and sizes */
	if (size > sizeof(*file) + sizeof(*image)) {
		file = (struct quire_qtn_header *)copy;
		image = (struct quire_tiled_header *)(file + 1);
		image->magic = QUIRE_TILED_MAGIC;
		image->version = QUIRE_TILED_VERSION;
		image->rows &= 1023;
		image->columns &= 1023;
		memset(image->reserved, 0, sizeof(image->reserved));
		if (quire_tiled_shape_valid(image->tile_rows, image->tile_columns))
			image->tiles = (uint64_t)quire_tiled_grid(image->rows, image->tile_rows) *
				       quire_tiled_grid(image->columns, image->tile_columns);
		if (!quire_tiled_open(image, size - sizeof(*file), &view, &what)) {
			read_all(&view);
			quire_tiled_verify(&view, NULL, &what);
		} else if (!what.field) {
			abort();
		}
	}
	free(copy);
	return 0;
}
