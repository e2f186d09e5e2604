// SPDX-License-Identifier: MIT
/*
 * A dump for programs.  Counts are numbers; addresses, registers, patterns and digests are
 * hexadecimal words, because not every reader of JSON has 64-bit integers.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "dump.h"

static void put_text(json_object *object, const char *key, const char *text)
{
	json_object_object_add(object, key, text ? json_object_new_string(text) : NULL);
}

static void put_number(json_object *object, const char *key, uint64_t number)
{
	json_object_object_add(object, key, json_object_new_uint64(number));
}

static void put_word(json_object *object, const char *key, uint64_t word)
{
	char text[24];

	snprintf(text, sizeof(text), "%#" PRIx64, word);
	put_text(object, key, word ? text : "0x0");
}

static void put_characters(json_object *object, const char *key, const char *from, size_t size)
{
	char text[65];

	dump_text(from, size, text);
	put_text(object, key, text);
}

static void put_flag(json_object *object, const char *key, uint32_t flag)
{
	json_object_object_add(object, key, json_object_new_boolean(flag != 0));
}

/* A ring or a context, null where there is none. */
static void put_place(json_object *object, const char *key, uint32_t place)
{
	if (place == QUIRE_DUMP_NONE)
		put_text(object, key, NULL);
	else
		put_number(object, key, place);
}

static json_object *card(const struct dump_section *section)
{
	json_object *object = json_object_new_object();
	struct quire_dump_card card;
	char text[40];

	dump_entry(section, 0, &card, sizeof(card));
	put_characters(object, "name", card.name, sizeof(card.name));
	put_characters(object, "kernel", card.kernel, sizeof(card.kernel));
	put_characters(object, "driver", card.driver, sizeof(card.driver));
	put_number(object, "serial", card.serial);
	snprintf(text, sizeof(text), "%u.%u", card.hw_version >> 16, card.hw_version & 0xffff);
	put_text(object, "hw_version", text);
	snprintf(text, sizeof(text), "%u.%u.%u", card.fw_release >> 16,
		 card.fw_release >> 8 & 0xff, card.fw_release & 0xff);
	put_text(object, "fw_release", text);
	put_number(object, "interface_version", card.interface_version);
	put_number(object, "engines", card.engines);
	put_number(object, "queues", card.queues);
	put_number(object, "contexts", card.contexts);
	put_number(object, "card_memory_bytes", card.card_memory);
	put_number(object, "resets", card.resets);
	return object;
}

static json_object *cause(const struct dump_section *section)
{
	json_object *object = json_object_new_object();
	struct quire_dump_cause cause;

	dump_entry(section, 0, &cause, sizeof(cause));
	put_characters(object, "text", cause.text, sizeof(cause.text));
	put_number(object, "job", cause.job);
	put_number(object, "sequence", cause.sequence);
	put_number(object, "pid", cause.pid);
	put_characters(object, "command", cause.command, sizeof(cause.command));
	put_place(object, "ring", cause.ring);
	put_place(object, "context", cause.context);
	put_word(object, "stream_address", cause.stream_address);
	put_number(object, "stream_bytes", cause.stream_bytes);
	put_number(object, "status", cause.status);
	put_text(object, "status_name", dump_status_name(cause.status));
	put_number(object, "packet", cause.packet);
	put_number(object, "detail", cause.detail);
	put_word(object, "fault_info", cause.fault_info);
	put_word(object, "fault_address", cause.fault_address);
	put_flag(object, "mappings_held", cause.held & QUIRE_DUMP_HELD_MAPPINGS);
	put_flag(object, "stream_held", cause.held & QUIRE_DUMP_HELD_STREAM);
	if (cause.status != QUIRE_STATUS_MMU_FAULT)
		return object;
	put_text(object, "fault_reason", dump_fault_name(cause.fault_info));
	put_text(object, "fault_unit", dump_unit_name(cause.fault_info));
	put_flag(object, "fault_write", cause.fault_info & QUIRE_FAULT_WRITE);
	return object;
}

static json_object *one_register(const struct dump_section *section, size_t i)
{
	json_object *object = json_object_new_object();
	struct quire_dump_register entry;
	char name[32];

	dump_entry(section, i, &entry, sizeof(entry));
	dump_register_name(entry.offset, name);
	put_word(object, "offset", entry.offset);
	put_text(object, "name", name);
	put_word(object, "value", entry.value);
	return object;
}

static json_object *queue(const struct dump_section *section, size_t i)
{
	json_object *object = json_object_new_object();
	struct quire_dump_queue queue;

	dump_entry(section, i, &queue, sizeof(queue));
	put_number(object, "client", queue.client);
	put_number(object, "id", queue.id);
	put_flag(object, "cause", queue.flags & QUIRE_DUMP_QUEUE_CAUSE);
	put_flag(object, "banned", queue.flags & QUIRE_DUMP_QUEUE_BANNED);
	put_flag(object, "live", queue.flags & QUIRE_DUMP_QUEUE_LIVE);
	put_number(object, "pid", queue.pid);
	put_characters(object, "command", queue.command, sizeof(queue.command));
	json_object_object_add(object, "priority", json_object_new_int(queue.priority));
	put_place(object, "ring", queue.ring);
	put_number(object, "on_ring", queue.on_ring);
	put_number(object, "submitted", queue.submitted);
	put_number(object, "completed", queue.completed);
	put_number(object, "busy_ns", queue.busy_ns);
	put_number(object, "limit_ms", queue.limit_ms);
	return object;
}

/* NULL for a slot that was never used. */
static json_object *ring_entry(const struct dump_section *section, size_t i)
{
	struct quire_ring_entry entry;
	json_object *object;

	dump_entry(section, i, &entry, sizeof(entry));
	if (!entry.sequence)
		return NULL;
	object = json_object_new_object();
	put_number(object, "slot", i);
	put_number(object, "sequence", entry.sequence);
	put_number(object, "number", entry.number);
	put_word(object, "stream_address", entry.stream_address);
	put_number(object, "stream_bytes", entry.stream_bytes);
	put_word(object, "flags", entry.flags);
	put_word(object, "outcome", entry.outcome);
	return object;
}

static json_object *record(const struct dump_section *section, size_t i)
{
	struct quire_fence_record record;
	json_object *object;

	dump_entry(section, i, &record, sizeof(record));
	if (!record.sequence)
		return NULL;
	object = json_object_new_object();
	put_number(object, "slot", i);
	put_number(object, "sequence", record.sequence);
	put_number(object, "status", record.status);
	put_text(object, "status_name", dump_status_name(record.status));
	put_number(object, "packet", record.packet);
	put_number(object, "detail", record.detail);
	put_word(object, "fault_info", record.fault_info);
	put_word(object, "fault_address", record.fault_address);
	put_word(object, "digest", record.digest);
	put_number(object, "macs", record.macs);
	put_number(object, "modelled_cycles", record.cycles);
	put_number(object, "modelled_pj", record.modelled_pj);
	put_number(object, "started_ns", record.started);
	put_number(object, "ended_ns", record.ended);
	put_number(object, "busy_ns", record.busy_ns);
	return object;
}

static json_object *mapping(const struct dump_section *section, size_t i)
{
	json_object *object = json_object_new_object();
	struct quire_dump_mapping mapping;

	dump_entry(section, i, &mapping, sizeof(mapping));
	put_word(object, "address", mapping.address);
	put_number(object, "bytes", mapping.bytes);
	put_number(object, "offset", mapping.offset);
	put_number(object, "buffer_bytes", mapping.buffer_bytes);
	put_flag(object, "read_only", mapping.flags & QUIRE_DUMP_MAPPING_READ_ONLY);
	put_flag(object, "on_card", mapping.flags & QUIRE_DUMP_MAPPING_ON_CARD);
	put_flag(object, "card", mapping.flags & QUIRE_DUMP_MAPPING_CARD);
	put_flag(object, "userptr", mapping.flags & QUIRE_DUMP_MAPPING_USERPTR);
	put_flag(object, "imported", mapping.flags & QUIRE_DUMP_MAPPING_IMPORTED);
	return object;
}

static json_object *step(const struct dump_section *section, size_t i)
{
	json_object *object = json_object_new_object();
	struct quire_dump_step step;
	char flags[48];

	dump_entry(section, i, &step, sizeof(step));
	dump_entry_flags(&step, flags);
	put_number(object, "level", step.level);
	put_number(object, "index", step.index);
	put_word(object, "entry", step.entry);
	put_word(object, "address", step.entry & QUIRE_PTE_ADDRESS);
	put_text(object, "flags", flags);
	return object;
}

static json_object *array(const struct dump_section *section,
			  json_object *(*entry)(const struct dump_section *, size_t))
{
	json_object *list = json_object_new_array();

	for (size_t i = 0; i < section->count; i++) {
		json_object *object = entry(section, i);

		if (object)
			json_object_array_add(list, object);
	}
	return list;
}

static json_object *packet(const struct dump_packet *packet)
{
	json_object *object = json_object_new_object();

	put_number(object, "offset", packet->offset);
	put_number(object, "opcode", packet->header.opcode);
	put_text(object, "name", packet->name);
	put_number(object, "bytes", packet->header.bytes);
	put_word(object, "flags", packet->header.flags);
	put_word(object, "result", packet->header.result);
	for (size_t i = 0; i < packet->fields_count; i++) {
		const struct dump_field *field = &packet->fields[i];
		char text[40];

		dump_field_text(packet, field, text);
		if (field->kind == DUMP_NUMBER)
			put_number(object, field->name, dump_field_value(packet, field));
		else
			put_text(object, field->name, text);
	}
	if (packet->wrong)
		put_text(object, "wrong", packet->wrong);
	return object;
}

static json_object *packets(const struct dump *dump, const struct dump_section *section)
{
	json_object *list = json_object_new_array();
	struct quire_dump_cause cause = { 0 };
	struct dump_packet at;
	uint32_t offset = 0;

	if (dump->sections[QUIRE_DUMP_CAUSE].data)
		dump_entry(&dump->sections[QUIRE_DUMP_CAUSE], 0, &cause, sizeof(cause));
	while (dump_packet_at(section->data, section->count, offset, &at)) {
		json_object *object = packet(&at);

		put_flag(object, "failed", cause.status && at.offset == cause.packet);
		if (at.offset == cause.packet && cause.status == QUIRE_STATUS_BAD_PACKET)
			put_text(object, "wrong_field", dump_field_name(&at, cause.detail));
		json_object_array_add(list, object);
		if (at.wrong)
			break;
		offset += at.header.bytes;
	}
	return list;
}

static json_object *log_text(const struct dump_section *section)
{
	char *text = malloc(section->count + 1);
	json_object *object;

	if (!text)
		abort();
	for (size_t i = 0; i < section->count; i++) {
		char character = (char)section->data[i * section->entry_bytes];

		text[i] = character == '\n' || (character >= ' ' && character <= '~') ? character : '?';
	}
	object = json_object_new_string_len(text, (int)section->count);
	free(text);
	return object;
}

static json_object *report(const struct quire_dump_header *header)
{
	json_object *object = json_object_new_object();
	time_t seconds = (time_t)(header->realtime / 1000000000);
	char text[32];
	struct tm tm;

	put_text(object, "schema", "quire-dump/1");
	put_number(object, "version", header->version);
	put_number(object, "reason", header->reason);
	put_text(object, "reason_name", dump_reason_name(header->reason));
	if (gmtime_r(&seconds, &tm) && strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm))
		put_text(object, "time", text);
	put_number(object, "realtime_ns", header->realtime);
	put_number(object, "boottime_ns", header->boottime);
	return object;
}

/* A section that is missing in the dump is null. */
json_object *dump_json(const struct dump *dump)
{
	static const struct {
		uint32_t type;
		const char *key;
		json_object *(*one)(const struct dump_section *section);
		json_object *(*entry)(const struct dump_section *section, size_t i);
	} parts[] = {
		{ QUIRE_DUMP_CARD, "card", card, NULL },
		{ QUIRE_DUMP_CAUSE, "cause", cause, NULL },
		{ QUIRE_DUMP_WALK, "walk", NULL, step },
		{ QUIRE_DUMP_STREAM, "packets", NULL, NULL },
		{ QUIRE_DUMP_LOG, "log", log_text, NULL },
		{ QUIRE_DUMP_QUEUES, "queues", NULL, queue },
		{ QUIRE_DUMP_RING, "ring", NULL, ring_entry },
		{ QUIRE_DUMP_RECORDS, "records", NULL, record },
		{ QUIRE_DUMP_MAPPINGS, "mappings", NULL, mapping },
		{ QUIRE_DUMP_REGISTERS, "registers", NULL, one_register },
	};
	json_object *object = report(&dump->header);

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		const struct dump_section *section = &dump->sections[parts[i].type];
		json_object *value = NULL;

		if (section->data && parts[i].one)
			value = parts[i].one(section);
		else if (section->data && parts[i].entry)
			value = array(section, parts[i].entry);
		else if (section->data)
			value = packets(dump, section);
		json_object_object_add(object, parts[i].key, value);
	}
	put_number(object, "mappings_omitted", dump->sections[QUIRE_DUMP_MAPPINGS].omitted);
	put_number(object, "queues_omitted", dump->sections[QUIRE_DUMP_QUEUES].omitted);
	put_number(object, "unknown_sections", dump->unknown);
	return object;
}
