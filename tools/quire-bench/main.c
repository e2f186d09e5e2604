// SPDX-License-Identifier: MIT
/* quire-bench: how fast the card is, each figure beside a peer's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

static const struct {
	const char *name;
	bench_command *run;
	const char *summary;
} commands[] = {
	{ "gemm", bench_gemm, "matrix products on the card and in this process" },
	{ "copy", bench_copy, "copies between system and card memory" },
	{ "memory", bench_memory, "binding, making and evicting buffers" },
	{ "numerics", bench_numerics, "exact arithmetic in this process beside OpenBLAS" },
	{ "tiled", bench_tiled, "products with tiled operands, packing and unpacking" },
	{ "submit", bench_submit, "latency and rate of jobs and calls" },
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

const char *argp_program_version = "quire-bench 0.1.0";

static char *list_commands(int key, const char *text, void *input)
{
	char *out = NULL;
	size_t size;
	FILE *stream;

	(void)input;
	if (key != ARGP_KEY_HELP_POST_DOC)
		return (char *)(uintptr_t)text;
	stream = open_memstream(&out, &size);
	if (!stream)
		return (char *)(uintptr_t)text;
	fprintf(stream, "Commands:\n");
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(stream, "  %-10s %s\n", commands[i].name, commands[i].summary);
	fprintf(stream, "\n%s", text ? text : "");
	fclose(stream);
	return out;
}

static int run_command(const char *name, int argc, char **argv)
{
	char program[64];

	for (size_t i = 0; i < COMMANDS; i++) {
		if (strcmp(commands[i].name, name))
			continue;
		snprintf(program, sizeof(program), "quire-bench %s", name);
		argv[0] = program;
		return commands[i].run(argc, argv);
	}
	fprintf(stderr, "quire-bench: no command \"%s\"; quire-bench --help lists them\n", name);
	return STATUS_USAGE;
}

static error_t parse(int key, char *value, struct argp_state *state)
{
	int *command = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		/* All that follows is the sub-command's. */
		*command = state->next - 1;
		state->next = state->argc;
		(void)value;
		return 0;
	case ARGP_KEY_NO_ARGS: argp_error(state, "a command is needed"); return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		NULL, parse, "COMMAND [OPTION...]",
		"Measure the card.\v\"quire-bench COMMAND --help\" shows the command's options.",
		NULL, list_commands, NULL };
	int command = 0;

	argp_err_exit_status = STATUS_USAGE;
	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &command);
	return run_command(argv[command], argc - command, argv + command);
}
