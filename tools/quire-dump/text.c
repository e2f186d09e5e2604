// SPDX-License-Identifier: MIT
/* A dump for people. */
#include <inttypes.h>
#include <time.h>

#include "dump.h"

static const char *or_number(const char *name, uint32_t value, char text[16])
{
	if (name)
		return name;
	snprintf(text, 16, "%u", value);
	return text;
}

static void print_header(const struct dump *dump, FILE *to)
{
	time_t seconds = (time_t)(dump->header.realtime / 1000000000);
	char when[32] = "?", number[16];
	struct tm tm;

	if (gmtime_r(&seconds, &tm))
		strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	fprintf(to, "%s at %s, %" PRIu64 ".%03" PRIu64 " s after boot\n",
		or_number(dump_reason_name(dump->header.reason), dump->header.reason, number), when,
		dump->header.boottime / 1000000000, dump->header.boottime / 1000000 % 1000);
}

static void print_card(const struct dump_section *section, FILE *to)
{
	struct quire_dump_card card;
	char name[33], kernel[65], driver[33];

	dump_entry(section, 0, &card, sizeof(card));
	dump_text(card.name, sizeof(card.name), name);
	dump_text(card.kernel, sizeof(card.kernel), kernel);
	dump_text(card.driver, sizeof(card.driver), driver);
	fprintf(to, "card %s, serial %" PRIu64 ", hardware %u.%u, firmware %u.%u.%u, interface %u\n",
		name, card.serial, card.hw_version >> 16, card.hw_version & 0xffff,
		card.fw_release >> 16, card.fw_release >> 8 & 0xff, card.fw_release & 0xff,
		card.interface_version);
	fprintf(to, "%u engines, %u rings, %u contexts, %" PRIu64 " MiB, %u resets before\n",
		card.engines, card.queues, card.contexts, card.card_memory >> 20, card.resets);
	fprintf(to, "kernel %s%s%s\n", kernel, driver[0] ? ", driver " : "", driver);
}

static void print_fault(const struct quire_dump_cause *cause, FILE *to)
{
	char fault[16], unit[16];

	if (cause->status == QUIRE_STATUS_MMU_FAULT)
		fprintf(to, "  %s %#" PRIx64 ": %s, by %s\n",
			cause->fault_info & QUIRE_FAULT_WRITE ? "writing" : "reading",
			cause->fault_address,
			or_number(dump_fault_name(cause->fault_info),
				  cause->fault_info & QUIRE_FAULT_REASON, fault),
			or_number(dump_unit_name(cause->fault_info),
				  cause->fault_info >> QUIRE_FAULT_UNIT_SHIFT, unit));
	else if (cause->status == QUIRE_STATUS_BAD_TILE)
		fprintf(to, "  tile row %" PRIu64 ", column %" PRIu64 ", field at byte %u\n",
			cause->fault_address >> 32, cause->fault_address & 0xffffffff, cause->detail);
	else if (cause->detail)
		fprintf(to, "  detail %u\n", cause->detail);
}

static void print_cause(const struct dump_section *section, FILE *to)
{
	struct quire_dump_cause cause;
	char command[17], text[65], number[16];

	dump_entry(section, 0, &cause, sizeof(cause));
	dump_text(cause.command, sizeof(cause.command), command);
	dump_text(cause.text, sizeof(cause.text), text);
	fputs("\n== cause\n", to);
	if (text[0])
		fprintf(to, "%s\n", text);
	if (!cause.job)
		return;
	fprintf(to, "job %" PRIu64 " (sequence %" PRIu64 ") of %s[%u]: %s in the packet at byte %u\n",
		cause.job, cause.sequence, command, cause.pid,
		or_number(dump_status_name(cause.status), cause.status, number), cause.packet);
	print_fault(&cause, to);
	fprintf(to, "  stream of %u bytes at %#" PRIx64, cause.stream_bytes, cause.stream_address);
	if (cause.ring != QUIRE_DUMP_NONE)
		fprintf(to, ", ring %u, context %u", cause.ring, cause.context);
	putc('\n', to);
	if (cause.held)
		fprintf(to, "  the driver could not read the %s: a call of the process held them\n",
			cause.held & QUIRE_DUMP_HELD_MAPPINGS ? "mappings" : "stream's buffers");
}

static void print_walk(const struct dump_section *section, FILE *to)
{
	struct quire_dump_step step;
	char flags[48];

	fputs("\n== page tables on the way to the fault address\n", to);
	for (size_t i = 0; i < section->count; i++) {
		dump_entry(section, i, &step, sizeof(step));
		dump_entry_flags(&step, flags);
		fprintf(to, "level %u entry %3u: %016" PRIx64 "  %#" PRIx64 " %s\n", step.level,
			step.index, step.entry, (uint64_t)(step.entry & QUIRE_PTE_ADDRESS), flags);
	}
}

static void print_packet(const struct dump_packet *packet, const struct quire_dump_cause *cause,
			 FILE *to)
{
	bool failed = cause->status && packet->offset == cause->packet;
	char text[40], number[16];

	fprintf(to, "%s%5u: %s", failed ? ">" : " ", packet->offset,
		or_number(packet->name, packet->header.opcode, number));
	for (size_t i = 0; i < packet->fields_count; i++) {
		if (!dump_field_value(packet, &packet->fields[i]))
			continue;
		dump_field_text(packet, &packet->fields[i], text);
		fprintf(to, " %s=%s", packet->fields[i].name, text);
	}
	if (packet->header.flags)
		fprintf(to, " flags=%#x", packet->header.flags);
	if (packet->header.result)
		fprintf(to, " result=%#" PRIx64, packet->header.result);
	putc('\n', to);
	if (packet->wrong)
		fprintf(to, "        %s (%u)\n", packet->wrong, packet->header.bytes);
	if (failed && cause->status == QUIRE_STATUS_BAD_PACKET) {
		const char *field = dump_field_name(packet, cause->detail);

		fprintf(to, "        wrong: %s\n", field ? field : "?");
	}
}

static void print_stream(const struct dump *dump, FILE *to)
{
	const struct dump_section *section = &dump->sections[QUIRE_DUMP_STREAM];
	struct quire_dump_cause cause = { 0 };
	struct dump_packet packet;
	uint32_t offset = 0;

	if (dump->sections[QUIRE_DUMP_CAUSE].data)
		dump_entry(&dump->sections[QUIRE_DUMP_CAUSE], 0, &cause, sizeof(cause));
	fputs("\n== command stream (> failed; fields that are 0 are left out)\n", to);
	while (dump_packet_at(section->data, section->count, offset, &packet)) {
		print_packet(&packet, &cause, to);
		if (packet.wrong)
			return;
		offset += packet.header.bytes;
	}
	if (offset < cause.stream_bytes)
		fprintf(to, "        the rest of %u bytes could not be read\n", cause.stream_bytes);
}

static void print_log(const struct dump_section *section, FILE *to)
{
	fputs("\n== log of the firmware\n", to);
	for (size_t i = 0; i < section->count; i++) {
		int character = section->data[i * section->entry_bytes];

		putc(character == '\n' || (character >= ' ' && character <= '~') ? character : '?',
		     to);
	}
	if (section->data[(section->count - 1) * section->entry_bytes] != '\n')
		putc('\n', to);
}

static void print_queues(const struct dump_section *section, FILE *to)
{
	struct quire_dump_queue queue;
	char command[17], ring[12];

	fputs("\n== queues (> the cause's)\n"
	      "  client  queue     pid command          priority  ring state   submitted  completed on ring      busy_ns limit_ms\n", to);
	for (size_t i = 0; i < section->count; i++) {
		dump_entry(section, i, &queue, sizeof(queue));
		dump_text(queue.command, sizeof(queue.command), command);
		snprintf(ring, sizeof(ring), queue.ring == QUIRE_DUMP_NONE ? "-" : "%u", queue.ring);
		fprintf(to, "%c %6" PRIu64 " %6u %7u %-16s %8d %5s %-6s %10" PRIu64 " %10" PRIu64
			" %7u %12" PRIu64 " %8u\n",
			queue.flags & QUIRE_DUMP_QUEUE_CAUSE ? '>' : ' ', queue.client, queue.id,
			queue.pid, command, queue.priority, ring,
			queue.flags & QUIRE_DUMP_QUEUE_BANNED ? "banned" :
			queue.flags & QUIRE_DUMP_QUEUE_LIVE ? "live" : "idle", queue.submitted,
			queue.completed, queue.on_ring, queue.busy_ns, queue.limit_ms);
	}
	if (section->omitted)
		fprintf(to, "  and %" PRIu64 " more\n", section->omitted);
}

static void print_ring(const struct dump_section *section, FILE *to)
{
	struct quire_ring_entry entry;

	fputs("\n== ring: slot, sequence, stream, flags\n", to);
	for (size_t i = 0; i < section->count; i++) {
		dump_entry(section, i, &entry, sizeof(entry));
		if (entry.sequence)
			fprintf(to, "%4zu %10" PRIu64 " %#14" PRIx64 "+%-5u %#x\n", i, entry.sequence,
				entry.stream_address, entry.stream_bytes, entry.flags);
	}
}

static void print_records(const struct dump_section *section, FILE *to)
{
	struct quire_fence_record record;
	char number[16];

	fputs("\n== records: slot, sequence, status, packet, detail, busy ns, MACs\n", to);
	for (size_t i = 0; i < section->count; i++) {
		dump_entry(section, i, &record, sizeof(record));
		if (record.sequence)
			fprintf(to, "%4zu %10" PRIu64 " %-12s %5u %5u %12" PRIu64 " %" PRIu64 "\n", i,
				record.sequence,
				or_number(dump_status_name(record.status), record.status, number),
				record.packet, record.detail, record.busy_ns, record.macs);
	}
}

static void print_mappings(const struct dump_section *section, FILE *to)
{
	struct quire_dump_mapping mapping;

	fputs("\n== mappings\n", to);
	for (size_t i = 0; i < section->count; i++) {
		dump_entry(section, i, &mapping, sizeof(mapping));
		fprintf(to, "%012" PRIx64 "-%012" PRIx64 " %s %-6s offset %#" PRIx64 " of %#" PRIx64 "%s%s%s\n",
			mapping.address, mapping.address + mapping.bytes - 1,
			mapping.flags & QUIRE_DUMP_MAPPING_READ_ONLY ? "r-" : "rw",
			mapping.flags & QUIRE_DUMP_MAPPING_ON_CARD ? "card" : "system",
			mapping.offset, mapping.buffer_bytes,
			(mapping.flags & QUIRE_DUMP_MAPPING_CARD) &&
			!(mapping.flags & QUIRE_DUMP_MAPPING_ON_CARD) ? ", evicted" : "",
			mapping.flags & QUIRE_DUMP_MAPPING_USERPTR ? ", userptr" : "",
			mapping.flags & QUIRE_DUMP_MAPPING_IMPORTED ? ", imported" : "");
	}
	if (section->omitted)
		fprintf(to, "and %" PRIu64 " more\n", section->omitted);
}

static void print_registers(const struct dump_section *section, FILE *to)
{
	struct quire_dump_register entry;
	char name[32];

	fputs("\n== registers\n", to);
	for (size_t i = 0; i < section->count; i++) {
		dump_entry(section, i, &entry, sizeof(entry));
		dump_register_name(entry.offset, name);
		fprintf(to, "%05x %-24s %08x\n", entry.offset, name, entry.value);
	}
}

void dump_print(const struct dump *dump, FILE *to)
{
	static const struct {
		uint32_t type;
		void (*print)(const struct dump_section *section, FILE *to);
	} parts[] = {
		{ QUIRE_DUMP_CARD, print_card },	{ QUIRE_DUMP_CAUSE, print_cause },
		{ QUIRE_DUMP_WALK, print_walk },	{ QUIRE_DUMP_STREAM, NULL },
		{ QUIRE_DUMP_LOG, print_log },		{ QUIRE_DUMP_QUEUES, print_queues },
		{ QUIRE_DUMP_RING, print_ring },	{ QUIRE_DUMP_RECORDS, print_records },
		{ QUIRE_DUMP_MAPPINGS, print_mappings }, { QUIRE_DUMP_REGISTERS, print_registers },
	};

	print_header(dump, to);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		const struct dump_section *section = &dump->sections[parts[i].type];

		if (section->data && parts[i].print)
			parts[i].print(section, to);
		else if (section->data)
			print_stream(dump, to);
	}
	if (dump->unknown)
		fprintf(to, "\n%u sections of types this program does not know\n", dump->unknown);
}
