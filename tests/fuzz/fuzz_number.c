// SPDX-License-Identifier: MIT
/*
 * Any bytes as text of a number: what is parsed must be what strtod makes of the same
 * characters, print, and read back as itself in every format.
 */
#include <stdlib.h>
#include <string.h>

#include <quirenum/posit.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint32_t formats[] = {
	QUIRE_FORMAT_FP64, QUIRE_FORMAT_POSIT8, QUIRE_FORMAT_POSIT16, QUIRE_FORMAT_POSIT32,
	QUIRE_FORMAT_POSIT(3), QUIRE_FORMAT_POSIT(23), QUIRE_FORMAT_BF16, QUIRE_FORMAT_FP16,
	QUIRE_FORMAT_FP32, QUIRE_FORMAT_E4M3, QUIRE_FORMAT_E5M2, QUIRE_FORMAT_INT8,
};

static void must(bool condition)
{
	if (!condition)
		abort();
}

/* strtod also takes "nan(...)" and spaces, which are not compared. */
static void compare_with_strtod(const char *text, const char *end, uint64_t word)
{
	char *other;
	double d = strtod(text, &other);
	uint64_t good;

	memcpy(&good, &d, sizeof(good));
	if (d != d)
		return;
	must(other == end);
	must(word == good);
}

static void check_format(uint32_t format, const char *text)
{
	char printed[QUIRE_NUMBER_TEXT_SIZE];
	uint64_t word, back;
	const char *end;

	if (quire_number_parse(format, text, &end, &word)) {
		must(end == text);
		return;
	}
	must(end > text && end <= text + strlen(text));
	if (format == QUIRE_FORMAT_FP64)
		compare_with_strtod(text, end, word);
	for (int style = 0; style < 2; style++) {
		must(quire_number_print(format, word, style, printed, sizeof(printed)) ==
		     strlen(printed));
		must(quire_number_parse(format, printed, NULL, &back) == 0);
		must(back == word);
	}
}

/* The first byte chooses a format beside FP64, the rest is the text. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);	/* exactly: a read behind the end is seen */

	if (!text || !size) {
		free(text);
		return 0;
	}
	memcpy(text, data + 1, size - 1);
	text[size - 1] = 0;
	check_format(QUIRE_FORMAT_FP64, text);
	check_format(formats[data[0] % (sizeof(formats) / sizeof(formats[0]))], text);
	free(text);
	return 0;
}
