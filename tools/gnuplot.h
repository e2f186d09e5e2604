/* SPDX-License-Identifier: MIT */
/* Pictures drawn by gnuplot: the same script gives the same file. */
#ifndef QUIRE_GNUPLOT_H
#define QUIRE_GNUPLOT_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

/*
 * struct gnuplot - a picture that is being drawn
 * @script: where commands are written to
 */
struct gnuplot {
	FILE *script;
	const char *path;
	pid_t child;
};

/* Does the name end in .svg or .png? */
bool gnuplot_can_draw(const char *path);

/*
 * Start gnuplot for a file of width x height, the terminal set by its name.  0, or
 * -1 with a message on standard error.
 */
int gnuplot_start(struct gnuplot *plot, const char *path, int width, int height);

/* End the script, wait for the picture. 0, or -1 with a message and no file. */
int gnuplot_finish(struct gnuplot *plot);

/* A string of gnuplot: in single quotes, which are doubled inside. */
void gnuplot_put_quoted(FILE *script, const char *text);

#endif /* QUIRE_GNUPLOT_H */
