/* SPDX-License-Identifier: MIT */
/* The parts of quire-dump: a dump in memory, what its numbers mean, and two ways to print it. */
#ifndef QUIRE_DUMP_TOOL_H
#define QUIRE_DUMP_TOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <json-c/json.h>
#include <quire/dump.h>

#define DUMP_TYPES (QUIRE_DUMP_STREAM + 1)

/* struct dump_section - a section found; @data is NULL if there is none */
struct dump_section {
	const uint8_t *data;
	size_t count;		/* entries */
	size_t entry_bytes;	/* as written */
	uint64_t omitted;
};

/* struct dump - a dump that has been checked; points into the bytes it was made of */
struct dump {
	struct quire_dump_header header;
	struct dump_section sections[DUMP_TYPES];
	unsigned int unknown;	/* sections of types we do not know */
};

struct dump_error {
	char text[256];
};

/* ---- read.c ---- */

/* Checks all sizes; -1 and a text if something does not fit. */
int dump_parse(const void *bytes, size_t size, struct dump *dump, struct dump_error *error);

/*
 * Entry @i of a section as the structure of this version, @bytes long: what the writer did
 * not know is 0.
 */
void dump_entry(const struct dump_section *section, size_t i, void *entry, size_t bytes);

/* ---- names.c ---- */

/* The name of a value, or NULL. */
const char *dump_reason_name(uint32_t reason);
const char *dump_status_name(uint32_t status);
const char *dump_fault_name(uint32_t info);
const char *dump_unit_name(uint32_t info);
const char *dump_queue_state_name(uint32_t state);

/* Name of a register in BAR 0, such as "BOOT_STATUS" or "QUEUE[3].TAIL". */
void dump_register_name(uint32_t offset, char name[32]);

/* "rw system memory", "table in card memory" and the like. */
void dump_entry_flags(const struct quire_dump_step *step, char text[48]);

/* Text of a dump, made printable: whatever it holds becomes one line of ASCII. */
void dump_text(const char *from, size_t size, char *to);

/* ---- packets.c ---- */

/* struct dump_field - a field of a packet */
struct dump_field {
	const char *name;	/* such as "a.address" */
	uint32_t offset;
	uint32_t bytes;
	enum { DUMP_NUMBER, DUMP_ADDRESS, DUMP_FORMAT, DUMP_FP32 } kind;
};

/* struct dump_packet - what lies at an offset of a stream */
struct dump_packet {
	uint32_t offset;
	struct quire_packet_header header;
	const char *name;		/* of the opcode, or NULL */
	const struct dump_field *fields;
	size_t fields_count;
	uint32_t fields_end;		/* fields from here on lie behind the packet's end */
	const uint8_t *bytes;
	const char *wrong;		/* why the next one cannot be found, or NULL */
};

/* The packet at @offset; false at the end of the stream. */
bool dump_packet_at(const uint8_t *stream, size_t size, uint32_t offset,
		    struct dump_packet *packet);
/* A field's value as a text, and as a number. */
uint64_t dump_field_value(const struct dump_packet *packet, const struct dump_field *field);
void dump_field_text(const struct dump_packet *packet, const struct dump_field *field,
		     char text[40]);
/* The field of a packet at this offset, or NULL. */
const char *dump_field_name(const struct dump_packet *packet, uint32_t offset);

/* ---- text.c, json.c ---- */

void dump_print(const struct dump *dump, FILE *to);
/* Schema quire-dump/1; the caller gives it back. */
json_object *dump_json(const struct dump *dump);

#endif /* QUIRE_DUMP_TOOL_H */
