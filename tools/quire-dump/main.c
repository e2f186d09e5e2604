// SPDX-License-Identifier: MIT
/* quire-dump: what the driver left when a job failed or the card was reset. */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../exit_status.h"
#include "dump.h"

#define KERNELS_DUMPS "/sys/class/devcoredump/devcd*/data"
#define LARGEST (256u << 20)

const char *argp_program_version = "quire-dump 0.1.0";

struct arguments {
	const char *file;
	const char *output;
	bool json;
	bool release;
};

/* struct contents - a file in memory */
struct contents {
	uint8_t *bytes;
	size_t size;
};

static const struct argp_option options[] = {
	{ "json", 'j', NULL, 0, "print JSON, schema quire-dump/1", 0 },
	{ "output", 'o', "FILE", 0, "save the dump as it is and print nothing", 0 },
	{ "release", 'r', NULL, 0, "let the kernel forget the dump afterwards, so that it keeps the next one", 0 },
	{ 0 },
};

static error_t parse(int key, char *value, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case 'j': arguments->json = true; break;
	case 'o': arguments->output = value; break;
	case 'r': arguments->release = true; break;
	case ARGP_KEY_ARG:
		if (arguments->file)
			argp_error(state, "unexpected \"%s\"", value);
		arguments->file = value;
		break;
	case ARGP_KEY_END:
		if (arguments->file && arguments->release)
			argp_error(state, "--release is for a dump that the kernel keeps, not for a file");
		break;
	default: return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

/* All of a file; -errno.  The kernel's files do not tell their size. */
static int read_all(int fd, struct contents *contents)
{
	size_t room = 0;
	ssize_t got;

	*contents = (struct contents){ 0 };
	do {
		if (contents->size == room) {
			uint8_t *more;

			if (room >= LARGEST)
				return -EFBIG;
			room = room ? 2 * room : 65536;
			more = realloc(contents->bytes, room);
			if (!more)
				return -ENOMEM;
			contents->bytes = more;
		}
		got = read(fd, contents->bytes + contents->size, room - contents->size);
		if (got > 0)
			contents->size += (size_t)got;
	} while (got > 0 || (got < 0 && errno == EINTR));
	return got < 0 ? -errno : 0;
}

static int read_file(const char *path, struct contents *contents)
{
	int fd, ret;

	if (!strcmp(path, "-"))
		return read_all(STDIN_FILENO, contents);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		*contents = (struct contents){ 0 };
		return -errno;
	}
	ret = read_all(fd, contents);
	close(fd);
	return ret;
}

static bool is_ours(const struct contents *contents)
{
	const uint64_t magic = QUIRE_DUMP_MAGIC;

	return contents->size >= sizeof(magic) && !memcmp(contents->bytes, &magic, sizeof(magic));
}

/* The first of the dumps that the kernel keeps which is one of a Quire card. */
static enum exit_status find(char path[128], struct contents *contents)
{
	enum exit_status status = STATUS_NO_DEVICE;
	glob_t found;

	*contents = (struct contents){ 0 };
	if (glob(KERNELS_DUMPS, 0, NULL, &found))
		found.gl_pathc = 0;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		int ret = read_file(found.gl_pathv[i], contents);

		if (!ret && is_ours(contents)) {
			snprintf(path, 128, "%s", found.gl_pathv[i]);
			globfree(&found);
			return STATUS_OK;
		}
		if (ret == -EACCES)
			status = STATUS_PERMISSION;
		free(contents->bytes);
		contents->bytes = NULL;
	}
	if (found.gl_pathc)
		globfree(&found);
	if (status == STATUS_PERMISSION)
		fprintf(stderr, "quire-dump: the kernel keeps dumps, but only root may read them\n");
	else
		fprintf(stderr, "quire-dump: the kernel keeps no dump of a Quire card\n");
	return status;
}

static enum exit_status save(const char *path, const struct contents *contents)
{
	FILE *file = fopen(path, "wb");
	bool good = file && fwrite(contents->bytes, 1, contents->size, file) == contents->size;

	if (file && fclose(file))
		good = false;
	if (good)
		return STATUS_OK;
	fprintf(stderr, "quire-dump: %s: %s\n", path, strerror(errno));
	return STATUS_FAILED;
}

static enum exit_status show(const char *path, const struct contents *contents, bool as_json)
{
	struct dump_error error;
	struct dump dump;

	if (dump_parse(contents->bytes, contents->size, &dump, &error)) {
		fprintf(stderr, "quire-dump: %s: %s\n", path, error.text);
		return STATUS_FAILED;
	}
	if (as_json) {
		json_object *object = dump_json(&dump);

		puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY |
							    JSON_C_TO_STRING_NOSLASHESCAPE));
		json_object_put(object);
	} else {
		dump_print(&dump, stdout);
	}
	if (!fflush(stdout) && !ferror(stdout))
		return STATUS_OK;
	fprintf(stderr, "quire-dump: cannot write: %s\n", strerror(errno));
	return STATUS_FAILED;
}

/* Any write does. */
static enum exit_status forget(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, "1", 1) == 1 && !close(fd))
		return STATUS_OK;
	fprintf(stderr, "quire-dump: %s: %s\n", path, strerror(errno));
	return STATUS_FAILED;
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		options, parse, "[FILE]",
		"Decode what the Quire driver left when a job failed or the card was reset.\v"
		"Without FILE the dump that the kernel keeps is taken, for which you must be root; - "
		"is standard input. Exit status: 0 fine, 1 not a dump, broken or not readable, 2 "
		"wrong usage, 3 the kernel keeps none, 4 no permission.",
		NULL, NULL, NULL };
	struct arguments arguments = { 0 };
	struct contents contents;
	enum exit_status status;
	char path[128] = "";

	argp_err_exit_status = STATUS_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	if (arguments.file) {
		int ret = read_file(arguments.file, &contents);

		if (ret) {
			fprintf(stderr, "quire-dump: %s: %s\n", arguments.file, strerror(-ret));
			free(contents.bytes);
			return ret == -EACCES ? STATUS_PERMISSION : STATUS_FAILED;
		}
		snprintf(path, sizeof(path), "%s", arguments.file);
	} else {
		status = find(path, &contents);
		if (status)
			return status;
	}
	if (arguments.output)
		status = save(arguments.output, &contents);
	else
		status = show(path, &contents, arguments.json);
	free(contents.bytes);
	if (!status && arguments.release)
		status = forget(path);
	return status;
}
