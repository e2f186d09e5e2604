// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gnuplot.h"

static bool has_suffix(const char *path, const char *suffix)
{
	size_t length = strlen(path), tail = strlen(suffix);

	return length > tail && !strcmp(path + length - tail, suffix);
}

bool gnuplot_can_draw(const char *path)
{
	return has_suffix(path, ".svg") || has_suffix(path, ".png");
}

/* In the child: commands from the pipe, the picture to the file. */
static void become_gnuplot(int commands, int picture)
{
	dup2(commands, 0);
	dup2(picture, 1);
	execlp("gnuplot", "gnuplot", "-", (char *)NULL);
	_exit(127);
}

int gnuplot_start(struct gnuplot *plot, const char *path, int width, int height)
{
	int picture = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	int ends[2] = { -1, -1 };

	plot->path = path;
	if (picture < 0 || pipe2(ends, O_CLOEXEC)) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		if (picture >= 0)
			close(picture);
		return -1;
	}
	signal(SIGPIPE, SIG_IGN); /* a gnuplot that ended shows in its status */
	plot->child = fork();
	if (!plot->child)
		become_gnuplot(ends[0], picture);
	close(ends[0]);
	close(picture);
	plot->script = plot->child > 0 ? fdopen(ends[1], "w") : NULL;
	if (!plot->script) {
		fprintf(stderr, "%s: gnuplot cannot be started: %s\n", path, strerror(errno));
		close(ends[1]);
		return -1;
	}
	if (has_suffix(path, ".svg"))
		fprintf(plot->script, "set terminal svg size %d,%d font 'Helvetica,14'\n", width, height);
	else
		fprintf(plot->script, "set terminal pngcairo size %d,%d\n", width, height);
	return 0;
}

int gnuplot_finish(struct gnuplot *plot)
{
	int status = -1;

	fclose(plot->script);
	waitpid(plot->child, &status, 0);
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	unlink(plot->path);
	fprintf(stderr, "%s: gnuplot could not draw it%s\n", plot->path,
		WIFEXITED(status) && WEXITSTATUS(status) == 127 ? "; install gnuplot-nox" : "");
	return -1;
}

void gnuplot_put_quoted(FILE *script, const char *text)
{
	fputc('\'', script);
	for (; *text; text++) {
		if (*text == '\'')
			fputc('\'', script);
		fputc((unsigned char)*text < ' ' ? '?' : *text, script);
	}
	fputc('\'', script);
}
