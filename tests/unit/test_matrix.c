// SPDX-License-Identifier: MIT
/*
 * What the tools read.  Files are written here byte by byte as their
 * specifications say; covariances are computed again with MPFR.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <math.h>
#include <mpfr.h>
#include <zlib.h>

#include <covariance.h>
#include <matrix.h>
#include <portable_math.h>

static char error[MATRIX_ERROR_BYTES];

/* An npy file: magic, version, length of the padded header, header, elements. */
static size_t npy_file(uint8_t *file, int version, const char *header, const void *elements,
		       size_t bytes)
{
	size_t start = version == 1 ? 10 : 12, length = strlen(header), all;

	all = (start + length + 1 + 63) / 64 * 64;
	memset(file, ' ', all);
	memcpy(file, "\x93NUMPY", 6);
	file[6] = (uint8_t)version;
	file[7] = 0;
	file[8] = (uint8_t)((all - start) & 255);
	file[9] = (uint8_t)((all - start) >> 8);
	if (version > 1)
		file[10] = file[11] = 0;
	memcpy(file + start, header, length);
	file[all - 1] = '\n';
	memcpy(file + all, elements, bytes);
	return all + bytes;
}

static _Alignas(64) uint8_t file[1024];

static void expect_npy(int version, const char *header, const void *elements, size_t bytes,
		       uint64_t rows, uint64_t columns, const double *values)
{
	size_t size = npy_file(file, version, header, elements, bytes);
	struct matrix matrix;

	if (npy_parse(file, size, &matrix, error))
		fail_msg("%s: %s", header, error);
	assert_int_equal(matrix.rows, rows);
	assert_int_equal(matrix.columns, columns);
	for (uint64_t r = 0; r < rows; r++)
		for (uint64_t c = 0; c < columns; c++)
			if (matrix_at(&matrix, r, c) != values[r * columns + c])
				fail_msg("%s: element %d, %d is %g", header, (int)r, (int)c,
					 matrix_at(&matrix, r, c));
	matrix_free(&matrix);
}

static void npy_types_and_orders(void **state)
{
	static const double rows[] = { 1, 2, 3, 4, 5, 6 };
	static const double signs[] = { -1, 2, -3, 4, -5, 6 };
	static const float f4[] = { 1, 2, 3, 4, 5, 6 }, turned[] = { 1, 4, 2, 5, 3, 6 };
	static const double f8[] = { 1, 2, 3, 4, 5, 6 };
	/* 1 2 3 4 5 6 in binary16 */
	static const uint16_t f2[] = { 0x3c00, 0x4000, 0x4200, 0x4400, 0x4500, 0x4600 };
	static const int8_t i1[] = { -1, 2, -3, 4, -5, 6 };
	static const int16_t i2[] = { -1, 2, -3, 4, -5, 6 };
	static const int64_t i8[] = { -1, 2, -3, 4, -5, 6 };
	static const uint8_t u1[] = { 1, 2, 3, 4, 5, 6 };
	static const uint8_t big[] = { 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3,
				       0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0, 6 };

	(void)state;
	for (int version = 1; version <= 3; version++)
		expect_npy(version, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", f4,
			   sizeof(f4), 2, 3, rows);
	expect_npy(1, "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }", turned,
		   sizeof(turned), 2, 3, rows);
	expect_npy(1, "{\"shape\":(6,),\"descr\":\"<f8\",\"fortran_order\":False}", f8, sizeof(f8), 1, 6,
		   rows);
	expect_npy(1, "{'descr': '<f2', 'fortran_order': False, 'shape': (3L, 2L)}", f2, sizeof(f2), 3,
		   2, rows);
	expect_npy(1, "{'descr': '|i1', 'fortran_order': False, 'shape': (2, 3), }", i1, sizeof(i1), 2,
		   3, signs);
	expect_npy(1, "{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3), }", i2, sizeof(i2), 2,
		   3, signs);
	expect_npy(1, "{'descr': '<i8', 'fortran_order': False, 'shape': (1, 6), }", i8, sizeof(i8), 1,
		   6, signs);
	expect_npy(1, "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 1, 3), }", u1, sizeof(u1),
		   2, 3, rows);
	expect_npy(1, "{'descr': '>u4', 'fortran_order': False, 'shape': (2, 3), }", big, sizeof(big), 2,
		   3, rows);
}

static void npy_halves_are_exact(void **state)
{
	/* largest, smallest normal, smallest subnormal, -0, -2, infinity */
	static const uint16_t halves[] = { 0x7bff, 0x0400, 0x0001, 0x8000, 0xc000, 0x7c00 };
	static const double values[] = { 65504, 0x1p-14, 0x1p-24, 0, -2, INFINITY };

	(void)state;
	expect_npy(1, "{'descr': '<f2', 'fortran_order': False, 'shape': (2, 3), }", halves,
		   sizeof(halves), 2, 3, values);
}

static void npy_plain_floats_are_not_copied(void **state)
{
	static const float f4[] = { 1, 2 };
	size_t size = npy_file(file, 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }",
			       f4, sizeof(f4));
	struct matrix matrix;

	(void)state;
	assert_int_equal(npy_parse(file, size, &matrix, error), 0);
	assert_null(matrix.memory);
	assert_ptr_equal(matrix.data, file + size - sizeof(f4));
	matrix_free(&matrix);
}

static void refuse_npy(const char *header, size_t bytes, const char *reason)
{
	static const uint8_t zeros[64];
	size_t size = npy_file(file, 1, header, zeros, bytes);
	struct matrix matrix;

	assert_int_equal(npy_parse(file, size, &matrix, error), -1);
	if (!strstr(error, reason))
		fail_msg("%s: expected \"%s\", got \"%s\"", header, reason, error);
	assert_null(matrix.memory);
}

static void npy_errors_name_the_reason(void **state)
{
	static const int64_t large[] = { (1ll << 53) + 1 };
	struct matrix matrix;
	size_t size;

	(void)state;
	refuse_npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 20, "20 bytes follow");
	refuse_npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 28, "28 bytes follow");
	refuse_npy("{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }", 8, "\"<c8\"");
	refuse_npy("{'descr': '|V2', 'fortran_order': False, 'shape': (1,), }", 2, "\"|V2\"");
	refuse_npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", 4, "fields");
	refuse_npy("{'descr': '<f4', 'shape': (1,), }", 4, "lacks");
	refuse_npy("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 3), }", 0, "no elements");
	refuse_npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296, 4), }", 4,
		   "larger than any file");
	refuse_npy("{'descr': '<f4', 'fortran_order': True, 'shape': (1, 1, 1), }", 4, "C order");
	refuse_npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)", 4, "does not end");
	refuse_npy("['descr']", 4, "not a dictionary");
	size = npy_file(file, 1, "{'descr': '<i8', 'fortran_order': False, 'shape': (1,), }", large, 8);
	assert_int_equal(npy_parse(file, size, &matrix, error), -1);
	assert_non_null(strstr(error, "2^53"));
	file[6] = 4;
	assert_int_equal(npy_parse(file, size, &matrix, error), -1);
	assert_non_null(strstr(error, "version 4"));
	file[6] = 1;
	assert_int_equal(npy_parse(file, 40, &matrix, error), -1);
	assert_non_null(strstr(error, "cut off"));
}

static void csv_reads_lines_of_numbers(void **state)
{
	static const char *const texts[] = {
		"1,2,3\n4,5,6\n",
		"# made by hand\n1;2;3\n\n4;5;6",
		"a,b,c\r\n1,2,3\r\n4,5,6\r\n",
		" 1 2\t3\n4e0 5.0 0x1.8p2\n",
	};
	struct matrix matrix;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (csv_parse(texts[i], strlen(texts[i]), &matrix, error))
			fail_msg("text %d: %s", (int)i, error);
		assert_int_equal(matrix.rows, 2);
		assert_int_equal(matrix.columns, 3);
		for (int e = 0; e < 6; e++)
			assert_true(matrix_at(&matrix, (uint64_t)e / 3, (uint64_t)e % 3) == e + 1);
		matrix_free(&matrix);
	}
}

static void refuse_csv(const char *text, const char *reason)
{
	struct matrix matrix;

	assert_int_equal(csv_parse(text, strlen(text), &matrix, error), -1);
	if (!strstr(error, reason))
		fail_msg("expected \"%s\", got \"%s\"", reason, error);
}

static void csv_errors_name_the_line(void **state)
{
	(void)state;
	refuse_csv("1,2\n3,4,5\n", "line 2 has more or fewer");
	refuse_csv("1,2\n\n3,x\n", "line 3 is not");
	refuse_csv("1,2\n3,4y\n", "line 2 is not");
	refuse_csv("", "no numbers");
	refuse_csv("names,only\n", "no numbers");
}

static void pictures(void **state)
{
	static const struct { const char *file; size_t size; double value[4]; } good[] = {
		{ "P2\n# c\n2 2 255\n0 1 254 255", 0, { 0, 1, 254, 255 } },
		{ "P5 2 2\n255\n\x00\x01\xfe\xff", 15, { 0, 1, 254, 255 } },
		{ "P5 2 2 65535\n\x00\x01\x01\x00\xff\xff\x00\x00", 21, { 1, 256, 65535, 0 } },
		{ "P6 2 2 255\n\xff\xff\xff\xff\x00\x00\x00\xff\x00\x00\x00\xff", 23,
		  { 255, (float)76.245, (float)149.685, (float)29.07 } },
		{ "P3 2 2 1 1 1 1 0 0 0 1 0 0 0 1 0", 0, { 1, 0, (float)0.299, (float)0.587 } },
	};
	struct matrix matrix;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		size_t size = good[i].size ? good[i].size : strlen(good[i].file);

		if (pnm_parse((const uint8_t *)good[i].file, size, &matrix, error))
			fail_msg("picture %d: %s", (int)i, error);
		assert_int_equal(matrix.rows, 2);
		assert_int_equal(matrix.columns, 2);
		for (uint64_t e = 0; e < 4; e++)
			assert_true(matrix_at(&matrix, e / 2, e % 2) == good[i].value[e]);
		matrix_free(&matrix);
		if (good[i].size)
			assert_int_equal(pnm_parse((const uint8_t *)good[i].file, size - 1, &matrix,
						   error), -1);
	}
	assert_int_equal(pnm_parse((const uint8_t *)"P5 99999 99999 255\n.", 20, &matrix, error), -1);
	assert_non_null(strstr(error, "cut off"));
	assert_int_equal(pnm_parse((const uint8_t *)"P2 1 1 255\n256 ", 15, &matrix, error), -1);
	assert_int_equal(pnm_parse((const uint8_t *)"P4 8 1\n\xff", 8, &matrix, error), -1);
}

/* Files of each kind in the file system, told apart by their contents. */
static void files_are_told_apart(void **state)
{
	static const float f4[] = { 1, 2, 3, 4 };
	char path[] = "/tmp/quire-matrix-XXXXXX";
	int fd = mkstemp(path);
	struct matrix matrix;
	gzFile packed;
	size_t size;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(matrix_load(path, &matrix, error), -1);
	assert_non_null(strstr(error, "empty"));
	size = npy_file(file, 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }", f4,
			sizeof(f4));
	assert_int_equal(pwrite(fd, file, size, 0), size);
	assert_int_equal(matrix_load(path, &matrix, error), 0);
	assert_non_null(matrix.map);
	assert_true(matrix_at(&matrix, 1, 0) == 3);
	matrix_free(&matrix);
	assert_int_equal(ftruncate(fd, 0), 0);
	packed = gzopen(path, "wb");
	assert_int_equal(gzputs(packed, "1,2\n3,4\n"), 8);
	gzclose(packed);
	assert_int_equal(matrix_load(path, &matrix, error), 0);
	assert_true(matrix_at(&matrix, 1, 0) == 3);
	matrix_free(&matrix);
	assert_int_equal(ftruncate(fd, 20), 0);
	assert_int_equal(matrix_load(path, &matrix, error), -1);
	close(fd);
	unlink(path);
	assert_int_equal(matrix_load(path, &matrix, error), -1);
	assert_non_null(strstr(error, "No such file"));
	assert_int_equal(matrix_load("/tmp", &matrix, error), -1);
}

/* The formula of the covariance in 200 bits. */
static double exact_covariance(const double *place, uint32_t i, uint32_t j, double beta,
			       uint32_t twice_nu, double nugget)
{
	mpfr_t x, y, r, e;
	double result;

	mpfr_inits2(200, x, y, r, e, (mpfr_ptr)NULL);
	mpfr_set_d(x, place[2 * i], MPFR_RNDN);
	mpfr_sub_d(x, x, place[2 * j], MPFR_RNDN);
	mpfr_set_d(y, place[2 * i + 1], MPFR_RNDN);
	mpfr_sub_d(y, y, place[2 * j + 1], MPFR_RNDN);
	mpfr_hypot(r, x, y, MPFR_RNDN);
	mpfr_div_d(r, r, beta, MPFR_RNDN);
	mpfr_neg(e, r, MPFR_RNDN);
	mpfr_exp(e, e, MPFR_RNDN);
	if (twice_nu == 3) {
		mpfr_add_ui(r, r, 1, MPFR_RNDN);
		mpfr_mul(e, e, r, MPFR_RNDN);
	}
	if (i == j)
		mpfr_add_d(e, e, nugget, MPFR_RNDN);
	result = mpfr_get_d(e, MPFR_RNDN);
	mpfr_clears(x, y, r, e, (mpfr_ptr)NULL);
	return result;
}

static void check_covariance(const char *spec, uint32_t twice_nu, double beta)
{
	static double place[2048];
	struct matrix matrix;
	struct matern matern;
	uint64_t random = 1;

	assert_int_equal(matern_parse(spec, &matern, error), 0);
	matern_places(&matern, place);
	assert_int_equal(matern_covariance(&matern, &matrix, error), 0);
	assert_int_equal(matrix.type, MATRIX_F64);
	assert_int_equal(matrix.rows, 1024);
	assert_true(matrix_is_symmetric(&matrix));
	for (int n = 0; n < 4000; n++) {
		uint32_t i = (uint32_t)(next_random(&random) % 1024);
		uint32_t j = n < 200 ? i : (uint32_t)(next_random(&random) % 1024);
		double exact = exact_covariance(place, i, j, beta, twice_nu, 1e-4);
		double value = matrix_at(&matrix, i, j);

		/* r <= 48 has three roundings of its own, which exp turns into 48 * 3 units. */
		if (!(fabs(value - exact) <= 200 * 0x1p-53 * exact))
			fail_msg("%u, %u: %a, exactly %a", i, j, value, exact);
	}
	matrix_free(&matrix);
}

static void matern_covariance_is_the_formula(void **state)
{
	(void)state;
	check_covariance("", 1, 0.03);
	check_covariance("nu=3/2,beta=0.1", 3, 0.1);
}

/* Point i lies in the cell that Morton's order says, at most 0.4 cells from its middle. */
static void matern_places_are_in_morton_order(void **state)
{
	static const int first[8][2] = { { 0, 0 }, { 1, 0 }, { 0, 1 }, { 1, 1 },
					 { 2, 0 }, { 3, 0 }, { 2, 1 }, { 3, 1 } };
	static double place[2048];
	static uint8_t seen[32][32];
	struct matern matern;
	double most = 0;

	(void)state;
	assert_int_equal(matern_parse("", &matern, error), 0);
	matern_places(&matern, place);
	for (int i = 0; i < 1024; i++) {
		int x = (int)(place[2 * i] * 32), y = (int)(place[2 * i + 1] * 32);
		double off = fmax(fabs(place[2 * i] * 32 - x - 0.5), fabs(place[2 * i + 1] * 32 - y - 0.5));

		assert_in_range(x, 0, 31);
		assert_in_range(y, 0, 31);
		assert_int_equal(seen[y][x]++, 0);
		if (i < 8) {
			assert_int_equal(x, first[i][0]);
			assert_int_equal(y, first[i][1]);
		}
		most = fmax(most, off);
	}
	/* The largest of 2048 uniform numbers is not far below their limit. */
	assert_true(most <= 0.4 + 1e-12 && most > 0.39);
}

static void generators_refuse_wrong_names(void **state)
{
	struct matrix matrix;

	(void)state;
	assert_int_equal(matrix_load("matern:points=1000", &matrix, error), -1);
	assert_non_null(strstr(error, "power of 4"));
	assert_int_equal(matrix_load("matern:nu=1", &matrix, error), -1);
	assert_int_equal(matrix_load("matern:alpha=1", &matrix, error), -1);
	assert_int_equal(matrix_load("matern:beta=x", &matrix, error), -1);
	assert_int_equal(matrix_load("matern:beta", &matrix, error), -1);
	assert_int_equal(matrix_load("rbf:/does/not/exist", &matrix, error), -1);
}

static void exp_and_log_are_close(void **state)
{
	uint64_t random = 3;
	mpfr_t exact;

	(void)state;
	mpfr_init2(exact, 200);
	for (int i = 0; i < 20000; i++) {
		double x = -60 * random_unit(&random) * random_unit(&random);
		double y = ldexp(1 + random_unit(&random), (int)(next_random(&random) % 200) - 100);

		mpfr_set_d(exact, x, MPFR_RNDN);
		mpfr_exp(exact, exact, MPFR_RNDN);
		mpfr_sub_d(exact, exact, portable_exp(x), MPFR_RNDN);
		assert_true(fabs(mpfr_get_d(exact, MPFR_RNDN)) <= 0x1p-51 * portable_exp(x));
		y = i % 2 ? y : 1 + ldexp(random_unit(&random) - 0.5, -(i % 40));
		mpfr_set_d(exact, y, MPFR_RNDN);
		mpfr_log(exact, exact, MPFR_RNDN);
		mpfr_sub_d(exact, exact, portable_log(y), MPFR_RNDN);
		assert_true(fabs(mpfr_get_d(exact, MPFR_RNDN)) <= 0x1p-51 * fabs(portable_log(y)));
	}
	assert_true(portable_exp(0) == 1 && portable_log(1) == 0 && portable_exp(-701) == 0);
	mpfr_clear(exact);
}

static void normal_numbers_have_their_moments(void **state)
{
	enum { COUNT = 200000 };
	double sum = 0, square = 0, fourth = 0;
	uint64_t random = 5;

	(void)state;
	for (int i = 0; i < COUNT; i++) {
		double z = random_normal(&random);

		sum += z;
		square += z * z;
		fourth += z * z * z * z;
	}
	/* Five standard deviations of each mean. */
	assert_true(fabs(sum / COUNT) < 5 * sqrt(1.0 / COUNT));
	assert_true(fabs(square / COUNT - 1) < 5 * sqrt(2.0 / COUNT));
	assert_true(fabs(fourth / COUNT - 3) < 5 * sqrt(96.0 / COUNT));
}

/*
 * C = [[4, 2], [2, 5]] has determinant 16 and inverse [[5, -2], [-2, 4]] / 16; with
 * z = (1, 3) the form z^T C^-1 z is (5 - 12 + 36) / 16.
 */
static void likelihood_of_two_points(void **state)
{
	static const double c[] = { 4, 2, 2, 5 }, z[] = { 1, 3 }, singular[] = { 1, 1, 1, 1 };
	struct matrix matrix = { .type = MATRIX_F64, .rows = 2, .columns = 2, .data = c };
	const double pi = 3.14159265358979323846;
	double value;

	(void)state;
	assert_int_equal(gaussian_log_likelihood(&matrix, z, &value), 0);
	assert_true(fabs(value + 0.5 * (2 * log(2 * pi) + log(16) + 29.0 / 16)) < 1e-14);
	matrix.data = singular;
	assert_int_equal(gaussian_log_likelihood(&matrix, z, &value), 1);
}

/* The expected value of z^T C^-1 z is n, its variance 2 n: so -2 l - log terms is near n. */
static void samples_have_the_covariance(void **state)
{
	struct matrix matrix;
	double *z = malloc(256 * sizeof(*z)), with, without;

	(void)state;
	assert_int_equal(matrix_load("matern:points=256,beta=0.1", &matrix, error), 0);
	assert_int_equal(gaussian_sample(&matrix, 11, z), 0);
	assert_int_equal(gaussian_log_likelihood(&matrix, z, &with), 0);
	memset(z, 0, 256 * sizeof(*z));
	assert_int_equal(gaussian_log_likelihood(&matrix, z, &without), 0);
	assert_true(fabs(-2 * (with - without) - 256) < 5 * sqrt(2 * 256.0));
	free(z);
	matrix_free(&matrix);
}

static void rbf_kernel_of_the_digits(void **state)
{
	const char *data = getenv("QUIRE_DIGITS");
	struct matrix digits, kernel;
	char name[4096];
	int zeros[2], found = 0;

	(void)state;
	if (!data || access(data, R_OK)) {
		print_message("# no digits.csv.gz: make check fetches it\n");
		return;
	}
	assert_int_equal(matrix_load(data, &digits, error), 0);
	snprintf(name, sizeof(name), "rbf:%s", data);
	assert_int_equal(matrix_load(name, &kernel, error), 0);
	assert_int_equal(kernel.rows, 1024);
	assert_true(matrix_is_symmetric(&kernel));
	/* The first two rows are the first two images of a zero. */
	for (int i = 0; found < 2; i++)
		if (matrix_at(&digits, (uint64_t)i, 64) == 0)
			zeros[found++] = i;
	double square = 0;

	for (uint64_t p = 0; p < 64; p++)
		square += pow((matrix_at(&digits, (uint64_t)zeros[0], p) -
			       matrix_at(&digits, (uint64_t)zeros[1], p)) / 16, 2);
	assert_true(fabs(matrix_at(&kernel, 0, 1) / exp(-square / 2) - 1) < 1e-14);
	assert_true(matrix_at(&kernel, 1023, 1023) == 1);
	matrix_free(&digits);
	matrix_free(&kernel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(npy_types_and_orders),
		cmocka_unit_test(npy_halves_are_exact),
		cmocka_unit_test(npy_plain_floats_are_not_copied),
		cmocka_unit_test(npy_errors_name_the_reason),
		cmocka_unit_test(csv_reads_lines_of_numbers),
		cmocka_unit_test(csv_errors_name_the_line),
		cmocka_unit_test(pictures),
		cmocka_unit_test(files_are_told_apart),
		cmocka_unit_test(matern_covariance_is_the_formula),
		cmocka_unit_test(matern_places_are_in_morton_order),
		cmocka_unit_test(generators_refuse_wrong_names),
		cmocka_unit_test(exp_and_log_are_close),
		cmocka_unit_test(normal_numbers_have_their_moments),
		cmocka_unit_test(likelihood_of_two_points),
		cmocka_unit_test(samples_have_the_covariance),
		cmocka_unit_test(rbf_kernel_of_the_digits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
