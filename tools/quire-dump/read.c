// SPDX-License-Identifier: MIT
/* A dump in memory: nothing in it is believed before it has been checked here. */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "dump.h"

/* What a section's entries must have at least: what the first drivers wrote. */
static const uint32_t least[DUMP_TYPES] = {
	[QUIRE_DUMP_CARD] = sizeof(struct quire_dump_card),
	[QUIRE_DUMP_CAUSE] = offsetof(struct quire_dump_cause, held),
	[QUIRE_DUMP_REGISTERS] = sizeof(struct quire_dump_register),
	[QUIRE_DUMP_QUEUES] = sizeof(struct quire_dump_queue),
	[QUIRE_DUMP_RING] = sizeof(struct quire_ring_entry),
	[QUIRE_DUMP_RECORDS] = sizeof(struct quire_fence_record),
	[QUIRE_DUMP_LOG] = 1,
	[QUIRE_DUMP_MAPPINGS] = sizeof(struct quire_dump_mapping),
	[QUIRE_DUMP_WALK] = sizeof(struct quire_dump_step),
	[QUIRE_DUMP_STREAM] = 1,
};

/* The most there can be; 0 = any. */
static const size_t most[DUMP_TYPES] = {
	[QUIRE_DUMP_CARD] = 1,
	[QUIRE_DUMP_CAUSE] = 1,
	[QUIRE_DUMP_WALK] = 4,
	[QUIRE_DUMP_STREAM] = QUIRE_STREAM_MAX_BYTES,
};

__attribute__((format(printf, 2, 3)))
static int wrong(struct dump_error *error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(error->text, sizeof(error->text), format, arguments);
	va_end(arguments);
	return -1;
}

static int parse_header(const void *bytes, size_t size, struct quire_dump_header *header,
			struct dump_error *error)
{
	if (size < sizeof(*header))
		return wrong(error, "%zu bytes are no dump: a header alone has %zu", size,
			     sizeof(*header));
	memcpy(header, bytes, sizeof(*header));
	if (header->magic != QUIRE_DUMP_MAGIC)
		return wrong(error, "it does not begin with \"QUIRDUMP\": not a dump of a Quire card");
	if (header->version != QUIRE_DUMP_VERSION)
		return wrong(error, "version %u; this program knows %u", header->version,
			     QUIRE_DUMP_VERSION);
	if (header->bytes != size)
		return wrong(error, "the header says %" PRIu64 " bytes, there are %zu: %s",
			     header->bytes, size, header->bytes > size ? "truncated" : "too long");
	if (header->header_bytes < sizeof(*header) || header->header_bytes % 8 ||
	    header->header_bytes > size)
		return wrong(error, "header_bytes is %u, must be a multiple of 8 from %zu to %zu",
			     header->header_bytes, sizeof(*header), size);
	return 0;
}

static int parse_section(struct dump *dump, const struct quire_dump_section *section,
			 const uint8_t *data, size_t offset, struct dump_error *error)
{
	struct dump_section *known;
	size_t count;

	if (!section->entry_bytes || section->bytes % section->entry_bytes)
		return wrong(error, "offset %zu: section of type %u: %" PRIu64 " bytes in entries of %u",
			     offset, section->type, section->bytes, section->entry_bytes);
	if (!section->type || section->type >= DUMP_TYPES) {
		dump->unknown++;
		return 0;
	}
	known = &dump->sections[section->type];
	count = section->bytes / section->entry_bytes;
	if (known->data)
		return wrong(error, "offset %zu: a second section of type %u", offset, section->type);
	if (section->entry_bytes < least[section->type])
		return wrong(error, "offset %zu: section of type %u: entries of %u bytes, need %u",
			     offset, section->type, section->entry_bytes, least[section->type]);
	if (!count || (most[section->type] && count > most[section->type]))
		return wrong(error, "offset %zu: section of type %u: %zu entries", offset,
			     section->type, count);
	known->data = data;
	known->count = count;
	known->entry_bytes = section->entry_bytes;
	known->omitted = section->omitted;
	return 0;
}

int dump_parse(const void *bytes, size_t size, struct dump *dump, struct dump_error *error)
{
	const uint8_t *start = bytes;
	size_t offset;

	memset(dump, 0, sizeof(*dump));
	if (parse_header(bytes, size, &dump->header, error))
		return -1;
	offset = dump->header.header_bytes;
	for (uint32_t i = 0; i < dump->header.sections; i++) {
		struct quire_dump_section section;
		size_t left = size - offset;

		if (left < sizeof(section))
			return wrong(error, "offset %zu: section %u of %u does not fit", offset,
				     i + 1, dump->header.sections);
		memcpy(&section, start + offset, sizeof(section));
		left -= sizeof(section);
		/* What is left is a multiple of 8, unless the dump's size is none. */
		if (section.bytes > left || ((section.bytes + 7) & ~7ull) > left)
			return wrong(error, "offset %zu: section of type %u: %" PRIu64
				     " bytes, %zu are left", offset, section.type, section.bytes, left);
		if (parse_section(dump, &section, start + offset + sizeof(section), offset, error))
			return -1;
		offset += sizeof(section) + ((section.bytes + 7) & ~7ull);
	}
	if (offset != size)
		return wrong(error, "offset %zu: %zu bytes behind the last section", offset,
			     size - offset);
	return 0;
}

void dump_entry(const struct dump_section *section, size_t i, void *entry, size_t bytes)
{
	size_t there = section->entry_bytes < bytes ? section->entry_bytes : bytes;

	memset(entry, 0, bytes);
	memcpy(entry, section->data + i * section->entry_bytes, there);
}
