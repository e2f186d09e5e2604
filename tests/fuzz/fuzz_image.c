// SPDX-License-Identifier: MIT
#include <errno.h>
#include <string.h>

#include "fuzz_image.h"

static void *aligned(size_t bytes)
{
	void *memory;

	if (posix_memalign(&memory, QUIRE_TILED_ALIGN, bytes))
		exit(1);
	return memory;
}

/* Not within what quire/tiled.h allows in one of 16 cases: the plan must say so. */
static struct quire_tile_choice take_choice(struct input *in, bool *valid)
{
	uint8_t kind = (uint8_t)take(in, 1);
	struct quire_tile_choice choice = { 0, 0 };
	int32_t reach;

	if (kind % 4 == 0)
		return choice;
	choice.bits = (uint8_t)(3 + kind % 30);
	choice.scale = (int8_t)take(in, 1);
	reach = 4 * choice.bits - 8;
	if (choice.scale >= reach - 149 && choice.scale <= 127 - reach)
		return choice;
	if (kind < 240)
		choice.scale = quire_tile_clamp_scale(choice.bits, choice.scale);
	else
		*valid = false;
	return choice;
}

static void put_numbers(struct input *in, struct image *image, const struct quire_tiled_shape *shape,
			const struct quire_tile_choice *choices)
{
	uint64_t bytes = (uint64_t)shape->rows * shape->columns * sizeof(float);
	struct quire_dense dense = { malloc(bytes), QUIRE_FORMAT_FP32, 0, shape->columns };

	must(dense.data != NULL);
	fill(in, (uint8_t *)(uintptr_t)dense.data, bytes);
	must(quire_tiled_pack(shape, &dense, choices, image->data, image->bytes, NULL) == 0);
	must(quire_tiled_open(image->data, image->bytes, &image->view, NULL) == 0);
	must(quire_tiled_verify(&image->view, NULL, NULL) == 0);
	free((void *)(uintptr_t)dense.data);
}

static void put_patterns(struct input *in, struct image *image, const struct quire_tiled_shape *shape,
			 const struct quire_tile_choice *choices)
{
	uint64_t start = quire_tiled_data_start(quire_tiled_count(shape));

	must(quire_tiled_layout(shape, choices, image->data, image->bytes) == 0);
	fill(in, image->data + start, image->bytes - start);
	must(quire_tiled_open(image->data, image->bytes, &image->view, NULL) == 0);
	(void)quire_tiled_verify(&image->view, NULL, NULL);
}

struct image take_image(struct input *in, uint32_t rows, uint32_t columns)
{
	static const uint32_t tiles[4][2] = { { 16, 16 }, { 32, 32 }, { 64, 64 }, { 1, 256 } };
	static const uint8_t likely[8] = { 0, 0, 0, 0, 1, 1, 2, 3 };
	uint8_t kind = (uint8_t)take(in, 1);
	const uint32_t *tile = tiles[likely[kind % 8]];
	const struct quire_tiled_shape shape = { rows, columns, tile[0], tile[1] };
	const uint32_t grid_columns = (columns + shape.tile_columns - 1) / shape.tile_columns;
	/* rows and columns of tiles that are empty, from eight to eight */
	const uint32_t no_row = (uint32_t)take(in, 1), no_column = (uint32_t)take(in, 1);
	uint64_t count = quire_tiled_count(&shape);
	struct quire_tile_choice *choices = calloc(count, sizeof(*choices));
	struct image image = { .data = NULL };
	bool valid = true;

	must(choices != NULL && rows <= IMAGE_SIDE && columns <= IMAGE_SIDE);
	for (uint64_t i = 0; i < count; i++)
		if (!(kind & 16 && (no_row >> i / grid_columns % 8 & 1 ||
				   no_column >> i % grid_columns % 8 & 1)))
			choices[i] = take_choice(in, &valid);
	image.bytes = quire_tiled_plan(&shape, choices);
	must((image.bytes != 0) == valid);
	if (!valid) {
		memset(choices, 0, count * sizeof(*choices));
		image.bytes = quire_tiled_plan(&shape, choices);
	}
	image.data = aligned(image.bytes);
	(kind & 8 ? put_numbers : put_patterns)(in, &image, &shape, choices);
	free(choices);
	return image;
}

void drop_image(struct image *image)
{
	free(image->data);
}

/* Whoever looks at an image writes nothing to it. */
static int open_image(const uint8_t *data, uint64_t bytes, struct quire_tiled *view,
		      struct quire_tiled_error *error)
{
	uint8_t *before = aligned(bytes + 1);
	int status;

	memcpy(before, data, bytes);
	status = quire_tiled_open(data, bytes, view, error);
	must(memcmp(before, data, bytes) == 0);
	free(before);
	return status;
}

/* It must be refused for this field; of this tile when in_tile. */
static void refused(const uint8_t *data, uint64_t bytes, const char *field, bool in_tile, uint64_t tile)
{
	struct quire_tiled_error error;
	struct quire_tiled view;

	must(open_image(data, bytes, &view, &error) == -EINVAL);
	must(error.field && !strcmp(error.field, field) && error.in_tile == in_tile);
	must(!in_tile || tile == (uint64_t)error.tile_row * view.grid_columns + error.tile_column);
}

static void break_header(struct input *in, uint8_t *data, uint64_t bytes)
{
	struct quire_tiled_header *h = (struct quire_tiled_header *)(void *)data;
	uint32_t some = 1 + (uint32_t)take(in, 4) % 0xffffffff;
	const char *field = NULL;

	switch (take(in, 1) % 11) {
	case 0: h->magic ^= some; field = "magic"; break;
	case 1: h->version ^= some; field = "version"; break;
	case 2: h->rows = some > QUIRE_TILED_MAX_DIMENSION ? some : 0; field = "rows"; break;
	case 3: h->columns = some > QUIRE_TILED_MAX_DIMENSION ? some : 0; field = "columns"; break;
	case 4: h->tile_rows = 128 + some % 0x1000; field = "tile_rows"; break;
	case 5: h->tile_columns ^= 1u << some % 32; field = "tile_columns"; break;
	case 6: h->tiles += some; field = "tiles"; break;
	case 7: h->stored_tiles += some; field = "stored_tiles"; break;
	case 8: h->image_bytes += some; field = "image_bytes"; break;
	case 9: h->reserved[some % 2] = some; field = "reserved"; break;
	case 10:
		bytes = some % bytes;
		field = bytes < sizeof(*h) ? "magic" : "image_bytes";
		break;
	}
	refused(data, bytes, field, false, 0);
}

static void break_tile(struct input *in, uint8_t *data, uint64_t bytes)
{
	struct quire_tiled_header *h = (struct quire_tiled_header *)(void *)data;
	uint64_t index = take(in, 2) % h->tiles;
	struct quire_tile *tile = (struct quire_tile *)(h + 1) + index;
	uint32_t some = (uint32_t)take(in, 4), reach = tile->bits ? 4u * tile->bits - 8 : 0;
	const char *field = NULL;

	switch (take(in, 1) % 4) {
	case 0:
		tile->scale = (int8_t)(reach ? 128 - reach + some % reach : some | 1);
		field = "scale";
		break;
	case 1:
		tile->largest = tile->bits ? 0x8001 + some % 0x7fff : 1 + some % 0xffff;
		field = "largest";
		break;
	case 2:
		tile->offset += 1 + some % 0xffffffff;
		field = "offset";
		break;
	case 3:
		if (tile->bits) {
			tile->bits = (uint8_t)(some & 1 ? 33 + some / 2 % 223 : 1 + some / 2 % 2);
			field = "bits";
		} else {
			tile->checksum = 1 + some;
			field = tile->checksum ? "checksum" : NULL;
		}
		break;
	}
	if (field)
		refused(data, bytes, field, true, index);
}

static void break_bytes(struct input *in, uint8_t *data, uint64_t bytes)
{
	const struct quire_tiled_header *h = (const struct quire_tiled_header *)(const void *)data;
	uint64_t checked = sizeof(*h) + h->tiles * sizeof(struct quire_tile);
	struct quire_tiled_output out = { .format = QUIRE_FORMAT_FP32 };
	struct quire_tiled_error error;
	struct quire_tiled view;
	int status;

	for (uint64_t left = 1 + take(in, 1) % 4; left; left--)
		data[take(in, 2) % checked] = (uint8_t)take(in, 1);
	status = open_image(data, bytes, &view, &error);
	must(status == 0 || (status == -EINVAL && error.field));
	if (status)
		return;
	/* as many tiles as before: not much larger */
	out.leading_dimension = view.shape.columns;
	out.data = malloc((size_t)view.shape.rows * view.shape.columns * sizeof(float));
	must(out.data != NULL);
	must(quire_tiled_unpack(&view, view.shape.rows, view.shape.columns, &out, NULL, NULL, NULL) == 0);
	(void)quire_tiled_verify(&view, NULL, &error);
	free(out.data);
}

void break_image(struct input *in, const struct image *image)
{
	static void (*const ways[])(struct input *, uint8_t *, uint64_t) = { break_header, break_tile,
									     break_bytes };
	uint8_t *copy = aligned(image->bytes);

	memcpy(copy, image->data, image->bytes);
	ways[take(in, 1) % 3](in, copy, image->bytes);
	free(copy);
}
