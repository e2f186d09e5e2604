// SPDX-License-Identifier: MIT
/* quire-smi: what cards there are, how they are, and who uses them. */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "smi.h"

const char *argp_program_version = "quire-smi 0.1.0";

static const struct {
	const char *name;
	smi_command *run;
} commands[] = {
	{ "list", smi_list },	/* the default */
	{ "info", smi_info },
	{ "counters", smi_counters },
	{ "ps", smi_processes },
	{ "doctor", smi_doctor },
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

struct arguments {
	struct smi_options options;
	smi_command *run;	/* NULL until named */
};

static const struct argp_option options[] = {
	{ "device", 'd', "NAME", 0, "only this card: index, PCI address or serial:NUMBER", 0 },
	{ "json", 'j', NULL, 0, "print JSON, schema quire-smi/2; unknown values are null", 0 },
	{ 0 },
};

static smi_command *find_command(const char *name)
{
	for (size_t i = 0; i < COMMANDS; i++)
		if (!strcmp(commands[i].name, name))
			return commands[i].run;
	return NULL;
}

static error_t parse(int key, char *value, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case 'd': arguments->options.device = value; break;
	case 'j': arguments->options.json = true; break;
	case ARGP_KEY_ARG:
		if (arguments->run)
			argp_error(state, "unexpected \"%s\"", value);
		arguments->run = find_command(value);
		if (!arguments->run)
			argp_error(state, "no command \"%s\"", value);
		break;
	default: return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		options, parse, "[list|info|counters|ps|doctor]",
		"Show the Quire cards.\v"
		"list      one line for each card (the default)\n"
		"info      all that is known of each card\n"
		"counters  what each card has done since its last reset, and its modelled energy\n"
		"ps        processes that use a card, as far as you may see them\n"
		"doctor    what a card needs to work, and how to get what is missing\n"
		"\n"
		"All of it works while a card hangs. Exit status: 0 fine, 1 failed, 2 wrong usage, "
		"3 no card, 4 no permission, 5 firmware, driver and library do not fit, 6 card lost.",
		NULL, NULL, NULL };
	struct arguments arguments = { { NULL, false }, NULL };

	argp_err_exit_status = STATUS_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	/* Only cards are of interest here. */
	setenv("QUIRE_BACKEND", "card", 1);
	if (!arguments.run)
		arguments.run = smi_list;
	return arguments.run(&arguments.options);
}
