// SPDX-License-Identifier: MIT
/* .qtn files: what is written comes back; whatever is changed or missing is refused by name. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <quirenum/qtn.h>

enum { ROWS = 70, COLUMNS = 100 };

static char path[] = "/tmp/quire-qtn-XXXXXX";
static float x[ROWS * COLUMNS];

static uint8_t *make_image(uint64_t *bytes)
{
	const struct quire_tiled_shape shape = { ROWS, COLUMNS, 32, 32 };
	const struct quire_dense dense = { x, QUIRE_FORMAT_FP32, 0, COLUMNS };
	struct quire_tile_choice choices[12];
	uint8_t *image;

	for (int i = 0; i < ROWS * COLUMNS; i++)
		x[i] = (float)(i * 7919 % 1013) / 64 - 8;
	for (int i = 0; i < 12; i++)
		choices[i] = (struct quire_tile_choice){ i == 5 ? 0 : (uint8_t)(6 + i), 0 };
	*bytes = quire_tiled_plan(&shape, choices);
	image = aligned_alloc(64, (*bytes + 63) / 64 * 64);
	assert_int_equal(quire_tiled_pack(&shape, &dense, choices, image, *bytes, NULL), 0);
	return image;
}

static uint8_t *read_file(uint64_t *bytes)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data;

	assert_non_null(f);
	fseek(f, 0, SEEK_END);
	*bytes = (uint64_t)ftell(f);
	rewind(f);
	data = aligned_alloc(64, (*bytes + 63) / 64 * 64);
	assert_int_equal(fread(data, 1, *bytes, f), *bytes);
	fclose(f);
	return data;
}

static void what_is_written_comes_back(void **state)
{
	struct quire_qtn_error error;
	struct quire_qtn file;
	uint64_t bytes;
	uint8_t *image = make_image(&bytes);

	(void)state;
	assert_int_equal(quire_qtn_write(path, image, bytes, NULL, &error), 0);
	assert_int_equal(quire_qtn_open(path, &file, NULL, &error), 0);
	assert_int_equal(file.image_bytes, bytes);
	assert_memory_equal(file.image, image, bytes);
	assert_int_equal(file.view.shape.columns, COLUMNS);
	assert_true(quire_tiled_element(&file.view, 69, 99) != 0);
	assert_true(quire_tiled_element(&file.view, 40, 40) == 0);
	quire_qtn_close(&file);
	/* no image, no file */
	image[bytes - 1] ^= 1;
	assert_int_equal(quire_qtn_write("/tmp/quire-qtn-never", image, bytes, NULL, &error), -EBADMSG);
	assert_string_equal(error.text, "tile (2, 3): checksum does not match its data");
	assert_int_equal(access("/tmp/quire-qtn-never", F_OK), -1);
	assert_int_equal(quire_qtn_write("/nowhere/x.qtn", make_image(&bytes), bytes, NULL, &error),
			 -ENOENT);
	assert_int_equal(quire_qtn_open("/nowhere/x.qtn", &file, NULL, &error), -ENOENT);
	assert_non_null(strstr(error.text, "/nowhere/x.qtn"));
	free(image);
}

static void every_flipped_byte_is_found(void **state)
{
	struct quire_qtn_error error;
	struct quire_qtn file;
	uint64_t bytes;
	uint8_t *image = make_image(&bytes), *data;

	(void)state;
	assert_int_equal(quire_qtn_write(path, image, bytes, NULL, NULL), 0);
	data = read_file(&bytes);
	for (uint64_t i = 0; i < bytes; i++) {
		data[i] ^= 1u << i % 8;
		error.text[0] = '\0';
		assert_true(quire_qtn_parse(data, bytes, &file, NULL, &error) < 0);
		assert_true(error.text[0] != '\0');
		data[i] ^= 1u << i % 8;
	}
	assert_int_equal(quire_qtn_parse(data, bytes, &file, NULL, &error), 0);
	quire_qtn_close(&file);
	data[128 + 16 * 3] = 40;	/* bits of tile (0, 3) */
	assert_int_equal(quire_qtn_parse(data, bytes, &file, NULL, &error), -EINVAL);
	assert_string_equal(error.text, "tile (0, 3): bits is wrong");
	free(data);
	free(image);
}

static void every_cut_is_refused(void **state)
{
	struct quire_qtn_error error;
	struct quire_qtn file;
	uint64_t bytes;
	uint8_t *image = make_image(&bytes), *data;

	(void)state;
	assert_int_equal(quire_qtn_write(path, image, bytes, NULL, NULL), 0);
	data = read_file(&bytes);
	for (uint64_t i = 0; i < bytes; i += i < 300 ? 1 : 61) {
		assert_int_equal(quire_qtn_parse(data, i, &file, NULL, &error), -EINVAL);
		assert_non_null(strstr(error.text, i < 64 ? "not a .qtn file" : "cut off"));
	}
	assert_int_equal(truncate(path, (off_t)bytes - 1), 0);
	assert_int_equal(quire_qtn_open(path, &file, NULL, &error), -EINVAL);
	assert_non_null(strstr(error.text, "cut off"));
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(quire_qtn_open(path, &file, NULL, &error), -EINVAL);
	free(data);
	free(image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_comes_back),
		cmocka_unit_test(every_flipped_byte_is_found),
		cmocka_unit_test(every_cut_is_refused),
	};
	int fd = mkstemp(path), failed;

	if (fd < 0)
		return 1;
	close(fd);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	return failed;
}
