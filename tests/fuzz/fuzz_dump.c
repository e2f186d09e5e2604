// SPDX-License-Identifier: MIT
/* Any bytes as a dump: refused with a reason, or printed both ways. */
#include <stdlib.h>
#include <string.h>

#include "../../tools/quire-dump/dump.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look(const uint8_t *bytes, size_t size)
{
	struct dump_error error = { "" };
	static FILE *nowhere;
	json_object *object;
	struct dump dump;

	if (!nowhere)
		nowhere = fopen("/dev/null", "w");
	if (dump_parse(bytes, size, &dump, &error)) {
		if (!error.text[0])
			abort();
		return;
	}
	dump_print(&dump, nowhere);
	object = dump_json(&dump);
	if (!object || !json_object_to_json_string(object))
		abort();
	json_object_put(object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct quire_dump_header *header;
	struct quire_dump_section *section;
	uint8_t *copy = malloc(size + 1);
	size_t at = sizeof(*header);

	if (!copy)
		return 0;
	memcpy(copy, data, size);
	look(copy, size);
	/* Behind the doors that a fuzzer hardly opens: magic, version and sizes that add up. */
	size &= ~(size_t)7;
	if (size >= at) {
		header = (struct quire_dump_header *)copy;
		header->magic = QUIRE_DUMP_MAGIC;
		header->version = QUIRE_DUMP_VERSION;
		header->header_bytes = sizeof(*header);
		header->bytes = size;
		for (header->sections = 0; size - at >= sizeof(*section); header->sections++) {
			section = (struct quire_dump_section *)(copy + at);
			at += sizeof(*section);
			section->type &= 15;
			section->bytes %= 512;
			if (section->bytes > size - at)
				section->bytes = size - at;
			at += (section->bytes + 7) & ~7ull;
		}
		header->bytes = at;
		look(copy, at);
	}
	free(copy);
	return 0;
}
