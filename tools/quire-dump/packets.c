// SPDX-License-Identifier: MIT
/* The packets of a command stream, field by field (quire/packet.h). */
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include <quire.h>

#include "dump.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define FIELD(packet, member, kind)                                            \
	{ #member, offsetof(struct quire_packet_##packet, member),             \
	  sizeof(((struct quire_packet_##packet *)0)->member), DUMP_##kind }
#define OPERAND(packet, operand)                                               \
	FIELD(packet, operand.address, ADDRESS), FIELD(packet, operand.batch_stride, NUMBER), \
	FIELD(packet, operand.format, FORMAT), FIELD(packet, operand.leading_dimension, NUMBER)

static const struct dump_field gemm[] = {
	FIELD(gemm, m, NUMBER), FIELD(gemm, n, NUMBER), FIELD(gemm, k, NUMBER),
	FIELD(gemm, batch, NUMBER), FIELD(gemm, mode, NUMBER), FIELD(gemm, gemm_flags, NUMBER),
	FIELD(gemm, alpha, FP32), FIELD(gemm, beta, FP32), OPERAND(gemm, a), OPERAND(gemm, b),
	OPERAND(gemm, c), OPERAND(gemm, d), FIELD(gemm, bias_address, ADDRESS),
	FIELD(gemm, bias_format, FORMAT), FIELD(gemm, reserved, NUMBER),
};

static const struct dump_field copy[] = {
	FIELD(copy, source, ADDRESS), FIELD(copy, destination, ADDRESS),
	FIELD(copy, row_bytes, NUMBER), FIELD(copy, source_stride, NUMBER),
	FIELD(copy, destination_stride, NUMBER), FIELD(copy, rows, NUMBER),
	FIELD(copy, reserved, NUMBER),
};

static const struct dump_field fill[] = {
	FIELD(fill, destination, ADDRESS), FIELD(fill, bytes, NUMBER),
	FIELD(fill, pattern, ADDRESS), FIELD(fill, reserved, NUMBER),
};

static const struct dump_field convert[] = {
	FIELD(convert, rows, NUMBER), FIELD(convert, columns, NUMBER),
	FIELD(convert, reserved, NUMBER), OPERAND(convert, source),
	OPERAND(convert, destination),
};

static const struct dump_field pack[] = {
	FIELD(pack, rows, NUMBER), FIELD(pack, columns, NUMBER),
	FIELD(pack, image_bytes, NUMBER), OPERAND(pack, source), OPERAND(pack, destination),
};

static const struct {
	const char *name;
	const struct dump_field *fields;
	size_t count;
} opcodes[] = {
	[QUIRE_PACKET_NOP] = { "NOP", NULL, 0 },
	[QUIRE_PACKET_GEMM] = { "GEMM", gemm, COUNT(gemm) },
	[QUIRE_PACKET_COPY] = { "COPY", copy, COUNT(copy) },
	[QUIRE_PACKET_FILL] = { "FILL", fill, COUNT(fill) },
	[QUIRE_PACKET_CONVERT] = { "CONVERT", convert, COUNT(convert) },
	[QUIRE_PACKET_PACK] = { "PACK", pack, COUNT(pack) },
	[QUIRE_PACKET_UNPACK] = { "UNPACK", pack, COUNT(pack) },
};

static const struct dump_field header_fields[] = {
	{ "opcode", 0, 2, DUMP_NUMBER }, { "bytes", 2, 2, DUMP_NUMBER },
	{ "flags", 4, 4, DUMP_NUMBER }, { "result", 8, 8, DUMP_ADDRESS },
};

bool dump_packet_at(const uint8_t *stream, size_t size, uint32_t offset,
		    struct dump_packet *packet)
{
	size_t left = offset < size ? size - offset : 0;
	size_t there;

	memset(packet, 0, sizeof(*packet));
	if (!left)
		return false;
	packet->offset = offset;
	packet->bytes = stream + offset;
	if (left < sizeof(packet->header)) {
		packet->wrong = "the stream ends within a header";
		return true;
	}
	memcpy(&packet->header, packet->bytes, sizeof(packet->header));
	there = packet->header.bytes;
	if (there < sizeof(packet->header) || there % QUIRE_STREAM_ALIGN ||
	    there > QUIRE_PACKET_MAX_BYTES)
		packet->wrong = "its size is wrong";
	else if (there > left)
		packet->wrong = "it goes past the end of the stream";
	packet->fields_end = there < left ? there : left;
	if (packet->header.opcode < COUNT(opcodes)) {
		packet->name = opcodes[packet->header.opcode].name;
		packet->fields = opcodes[packet->header.opcode].fields;
		packet->fields_count = opcodes[packet->header.opcode].count;
	}
	while (packet->fields_count &&
	       packet->fields[packet->fields_count - 1].offset +
	       packet->fields[packet->fields_count - 1].bytes > packet->fields_end)
		packet->fields_count--;
	return true;
}

uint64_t dump_field_value(const struct dump_packet *packet, const struct dump_field *field)
{
	uint64_t value = 0;

	memcpy(&value, packet->bytes + field->offset, field->bytes);
	return value;
}

void dump_field_text(const struct dump_packet *packet, const struct dump_field *field,
		     char text[40])
{
	uint64_t value = dump_field_value(packet, field);
	uint32_t bits = (uint32_t)value;
	float number;

	switch (field->kind) {
	case DUMP_ADDRESS:
		snprintf(text, 40, "%#" PRIx64, value);
		break;
	case DUMP_FORMAT:
		snprintf(text, 40, "%s", value ? quire_format_name(bits) : "none");
		if (value && !strcmp(text, "unknown"))
			snprintf(text, 40, "%#x", bits);
		break;
	case DUMP_FP32:
		memcpy(&number, &bits, sizeof(number));
		snprintf(text, 40, "%.9g", (double)number);
		break;
	default:
		snprintf(text, 40, "%" PRIu64, value);
	}
}

static const char *find(const struct dump_field *fields, size_t count, uint32_t offset)
{
	for (size_t i = 0; i < count; i++)
		if (offset >= fields[i].offset && offset < fields[i].offset + fields[i].bytes)
			return fields[i].name;
	return NULL;
}

const char *dump_field_name(const struct dump_packet *packet, uint32_t offset)
{
	const char *name = find(header_fields, COUNT(header_fields), offset);

	return name ? name : find(packet->fields, packet->fields_count, offset);
}
