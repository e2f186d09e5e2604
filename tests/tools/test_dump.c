// SPDX-License-Identifier: MIT
/* quire-dump on dumps that are made here, whole and broken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <quire/dump.h>

#include "run.h"

static struct run r;
static char path[] = "/tmp/quire-dump-test-XXXXXX";

/* struct maker - a dump being made */
struct maker {
	uint8_t bytes[16384];
	size_t size;
};

static void begin(struct maker *m, uint32_t reason)
{
	struct quire_dump_header header = {
		.magic = QUIRE_DUMP_MAGIC, .version = QUIRE_DUMP_VERSION,
		.header_bytes = sizeof(header), .reason = reason,
		.realtime = 1700000000000000000, .boottime = 12345678900,
	};

	memset(m, 0, sizeof(*m));
	memcpy(m->bytes, &header, sizeof(header));
	m->size = sizeof(header);
}

static struct quire_dump_header *header_of(struct maker *m)
{
	return (struct quire_dump_header *)m->bytes;
}

static struct quire_dump_section *add(struct maker *m, uint32_t type, const void *data,
				      uint32_t entry_bytes, size_t entries)
{
	struct quire_dump_section *section = (struct quire_dump_section *)(m->bytes + m->size);

	section->type = type;
	section->entry_bytes = entry_bytes;
	section->bytes = entry_bytes * entries;
	memcpy(section + 1, data, section->bytes);
	m->size += sizeof(*section) + ((section->bytes + 7) & ~7ull);
	header_of(m)->sections++;
	return section;
}

static void save(const struct maker *m, size_t size)
{
	FILE *file = fopen(path, "wb");

	assert_non_null(file);
	assert_int_equal(fwrite(m->bytes, 1, size, file), size);
	fclose(file);
}

static void end(struct maker *m)
{
	header_of(m)->bytes = m->size;
	save(m, m->size);
}

static const struct quire_dump_card card = {
	.name = "0000:01:00.0", .kernel = "6.12.0-test", .driver = "ABCDEF", .serial = 42,
	.card_memory = 256 << 20, .hw_version = 3 << 16, .fw_release = 1 << 16 | 2 << 8 | 3,
	.interface_version = 2, .engines = 2, .queues = 64, .contexts = 32, .resets = 5,
};

static const struct quire_dump_cause fault = {
	.job = 7, .sequence = 9, .stream_address = 0x100000000, .stream_bytes = 112, .ring = 3,
	.context = 4, .pid = 1234, .status = QUIRE_STATUS_MMU_FAULT, .packet = 48,
	.fault_info = QUIRE_FAULT_UNMAPPED | QUIRE_FAULT_UNIT_SOURCE << QUIRE_FAULT_UNIT_SHIFT,
	.fault_address = 0xdead000, .command = "gemm\033[1m", .text = "",
};

/* A FILL and a COPY, which failed. */
static void add_stream(struct maker *m)
{
	struct {
		struct quire_packet_fill fill;
		struct quire_packet_copy copy;
	} stream = {
		{ .header = { QUIRE_PACKET_FILL, sizeof(stream.fill), 0, 0 },
		  .destination = 0x200000000, .bytes = 4096, .pattern = 0x55 },
		{ .header = { QUIRE_PACKET_COPY, sizeof(stream.copy), 0, 0x300 },
		  .source = 0xdead000, .destination = 0x1000, .row_bytes = 64, .rows = 1 },
	};

	add(m, QUIRE_DUMP_STREAM, &stream, 1, sizeof(stream));
}

static void make_fault(struct maker *m)
{
	static const struct quire_dump_register registers[] = {
		{ QUIRE_REG_ID, QUIRE_ID_VALUE },
		{ QUIRE_REG_QUEUE(3) + QUIRE_QUEUE_TAIL, 9 },
		{ QUIRE_REG_CONTEXT_ROOT_LO(4), 0x1009 },
		{ QUIRE_REG_DRAINED(31), 1 },
		{ 0x700, 2 },
	};
	static const struct quire_dump_queue queue = {
		.client = 5, .id = 1, .flags = QUIRE_DUMP_QUEUE_BANNED | QUIRE_DUMP_QUEUE_CAUSE,
		.priority = -1, .pid = 1234, .ring = QUIRE_DUMP_NONE, .command = "gemm",
		.submitted = 8, .completed = 8, .busy_ns = 99, .limit_ms = 10000,
	};
	static const struct quire_dump_mapping mapping = {
		.address = 0x100000000, .bytes = 4096, .buffer_bytes = 8192, .offset = 4096,
		.flags = QUIRE_DUMP_MAPPING_READ_ONLY | QUIRE_DUMP_MAPPING_CARD,
	};
	static const struct quire_dump_step steps[] = {
		{ 3, 0, 0x2000 | QUIRE_PTE_VALID | QUIRE_PTE_SYSTEM }, { 2, 0, 0 },
	};
	struct quire_ring_entry ring[16] = { [9] = { .sequence = 9, .stream_address = 0x100000000,
						     .stream_bytes = 112, .number = 7 } };
	struct quire_fence_record records[16] = { [9] = { .sequence = 9, .packet = 48,
							  .status = QUIRE_STATUS_MMU_FAULT } };
	static const char log[] = "boot\nready \001\n";

	begin(m, QUIRE_DUMP_JOB_FAILED);
	add(m, QUIRE_DUMP_CARD, &card, sizeof(card), 1);
	add(m, QUIRE_DUMP_CAUSE, &fault, sizeof(fault), 1);
	add(m, QUIRE_DUMP_REGISTERS, registers, sizeof(registers[0]), 5);
	add(m, QUIRE_DUMP_LOG, log, 1, sizeof(log) - 1);
	add(m, QUIRE_DUMP_QUEUES, &queue, sizeof(queue), 1);
	add(m, QUIRE_DUMP_RING, ring, sizeof(ring[0]), 16);
	add(m, QUIRE_DUMP_RECORDS, records, sizeof(records[0]), 16);
	add(m, QUIRE_DUMP_WALK, steps, sizeof(steps[0]), 2);
	add(m, QUIRE_DUMP_MAPPINGS, &mapping, sizeof(mapping), 1)->omitted = 3;
	add_stream(m);
	end(m);
}

static json_object *decode(void)
{
	char command[128];

	snprintf(command, sizeof(command), "$T/quire-dump --json %s", path);
	run(&r, command);
	if (r.status)
		fail_msg("exit status %d: %s", r.status, r.err);
	return run_json(&r);
}

static int64_t number(json_object *object, const char *key)
{
	return json_object_get_int64(at(object, key));
}

static void fault_is_decoded(void **state)
{
	struct maker m;
	json_object *o;

	(void)state;
	make_fault(&m);
	o = decode();
	assert_true(is_string(o, "schema", "quire-dump/1"));
	assert_true(is_string(o, "time", "2023-11-14T22:13:20Z"));
	assert_true(is_string(o, "reason_name", "job failed"));
	assert_true(is_string(o, "card.name", "0000:01:00.0"));
	assert_true(is_string(o, "card.fw_release", "1.2.3"));
	assert_true(is_string(o, "cause.status_name", "MMU_FAULT"));
	assert_true(is_string(o, "cause.fault_reason", "unmapped"));
	assert_true(is_string(o, "cause.fault_unit", "source"));
	assert_true(is_string(o, "cause.fault_address", "0xdead000"));
	assert_int_equal(number(o, "cause.pid"), 1234);
	assert_int_equal(number(o, "queues.0.priority"), -1);
	assert_true(is_null(o, "queues.0.ring"));
	assert_int_equal(json_object_array_length(at(o, "ring")), 1);
	assert_int_equal(number(o, "ring.0.slot"), 9);
	assert_true(is_string(o, "records.0.status_name", "MMU_FAULT"));
	assert_true(is_string(o, "walk.0.flags", "table in system memory"));
	assert_true(is_string(o, "walk.1.flags", "not valid"));
	assert_int_equal(number(o, "mappings_omitted"), 3);
	assert_true(json_object_get_boolean(at(o, "mappings.0.read_only")));
	json_object_put(o);
}

static void registers_have_names(void **state)
{
	struct maker m;
	json_object *o;

	(void)state;
	make_fault(&m);
	o = decode();
	assert_true(is_string(o, "registers.0.name", "ID"));
	assert_true(is_string(o, "registers.0.value", "0x52495551"));
	assert_true(is_string(o, "registers.1.name", "QUEUE[3].TAIL"));
	assert_true(is_string(o, "registers.2.name", "CONTEXT[4].ROOT_LO"));
	assert_true(is_string(o, "registers.3.name", "CONTEXT[31].DRAINED"));
	assert_true(is_string(o, "registers.4.name", "?"));
	json_object_put(o);
}

static void packets_are_decoded_and_the_failed_one_is_marked(void **state)
{
	struct maker m;
	json_object *o;

	(void)state;
	make_fault(&m);
	o = decode();
	assert_int_equal(json_object_array_length(at(o, "packets")), 2);
	assert_true(is_string(o, "packets.0.name", "FILL"));
	assert_true(is_string(o, "packets.0.pattern", "0x55"));
	assert_false(json_object_get_boolean(at(o, "packets.0.failed")));
	assert_true(is_string(o, "packets.1.name", "COPY"));
	assert_true(is_string(o, "packets.1.source", "0xdead000"));
	assert_true(json_object_get_boolean(at(o, "packets.1.failed")));
	json_object_put(o);
}

/* A field of a product is wrong, and then a packet's own size. */
static void wrong_packets_are_explained(void **state)
{
	struct {
		struct quire_packet_gemm gemm;
		struct quire_packet_header header;
	} stream = {
		{ .header = { QUIRE_PACKET_GEMM, sizeof(stream.gemm), 0, 0 }, .m = 1,
		  .a.format = QUIRE_FORMAT_POSIT16, .b.format = 0x12345, .alpha = 0x3f000000 },
		{ QUIRE_PACKET_NOP, 20, 0, 0 },
	};
	struct quire_dump_cause bad = fault;
	struct maker m;
	json_object *o;

	(void)state;
	bad.status = QUIRE_STATUS_BAD_PACKET;
	bad.packet = 0;
	bad.detail = offsetof(struct quire_packet_gemm, b.format);
	bad.stream_bytes = sizeof(stream);
	begin(&m, QUIRE_DUMP_JOB_FAILED);
	add(&m, QUIRE_DUMP_CAUSE, &bad, sizeof(bad), 1);
	add(&m, QUIRE_DUMP_STREAM, &stream, 1, sizeof(stream));
	end(&m);
	o = decode();
	assert_true(is_string(o, "packets.0.wrong_field", "b.format"));
	/* Names with a dot in them are keys of their own. */
	assert_string_equal(json_object_get_string(json_object_object_get(at(o, "packets.0"),
									  "a.format")), "posit16");
	assert_string_equal(json_object_get_string(json_object_object_get(at(o, "packets.0"),
									  "b.format")), "0x12345");
	assert_true(is_string(o, "packets.0.alpha", "0.5"));
	assert_true(is_string(o, "packets.1.wrong", "its size is wrong"));
	assert_true(is_null(o, "registers"));
	json_object_put(o);
}

static void text_has_all_parts_and_nothing_unprintable(void **state)
{
	static const char *const wanted[] = {
		"job failed at 2023-11-14T22:13:20Z, 12.345 s after boot",
		"job 7 (sequence 9) of gemm?[1m[1234]: MMU_FAULT in the packet at byte 48",
		"reading 0xdead000: unmapped, by source",
		">   48: COPY source=0xdead000 destination=0x1000 row_bytes=64 rows=1 result=0x300",
		"boot\nready ?\n", "000100000000-000100000fff r- system offset 0x1000 of 0x2000, evicted",
		"and 3 more", "02",
	};
	char command[128];
	struct maker m;

	(void)state;
	make_fault(&m);
	snprintf(command, sizeof(command), "$T/quire-dump - <%s", path);
	run(&r, command);
	assert_int_equal(r.status, 0);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		if (!strstr(r.out, wanted[i]))
			fail_msg("\"%s\" is not in\n%s", wanted[i], r.out);
	assert_null(strchr(r.out, '\033'));
}

/* A later writer has longer entries and more sections. */
static void what_is_newer_is_passed_over(void **state)
{
	struct {
		struct quire_dump_card card;
		uint64_t more[3];
	} newer = { card, { 1, 2, 3 } };
	struct maker m;
	json_object *o;

	(void)state;
	begin(&m, QUIRE_DUMP_RESET);
	add(&m, 1000, "future", 1, 6);
	add(&m, QUIRE_DUMP_CARD, &newer, sizeof(newer), 1);
	end(&m);
	o = decode();
	assert_int_equal(number(o, "card.resets"), 5);
	assert_int_equal(number(o, "unknown_sections"), 1);
	json_object_put(o);
}

/* The first drivers' causes end before what calls held; later ones say it. */
static void what_calls_held_is_told(void **state)
{
	struct quire_dump_cause held = fault;
	char command[128];
	struct maker m;
	json_object *o;

	(void)state;
	held.held = QUIRE_DUMP_HELD_MAPPINGS;
	begin(&m, QUIRE_DUMP_JOB_FAILED);
	add(&m, QUIRE_DUMP_CAUSE, &held, offsetof(struct quire_dump_cause, held), 1);
	end(&m);
	o = decode();
	assert_false(json_object_get_boolean(at(o, "cause.mappings_held")));
	json_object_put(o);

	begin(&m, QUIRE_DUMP_JOB_FAILED);
	add(&m, QUIRE_DUMP_CAUSE, &held, sizeof(held), 1);
	end(&m);
	o = decode();
	assert_true(json_object_get_boolean(at(o, "cause.mappings_held")));
	assert_false(json_object_get_boolean(at(o, "cause.stream_held")));
	json_object_put(o);
	snprintf(command, sizeof(command), "$T/quire-dump %s", path);
	run(&r, command);
	assert_non_null(strstr(r.out, "could not read the mappings: a call of the process held them"));
}

static void refused(const struct maker *m, size_t size, const char *words)
{
	char command[128];

	save(m, size);
	snprintf(command, sizeof(command), "$T/quire-dump %s", path);
	run(&r, command);
	assert_int_equal(r.status, 1);
	assert_string_equal(r.out, "");
	if (!strstr(r.err, words))
		fail_msg("\"%s\" is not in: %s", words, r.err);
}

static void broken_dumps_are_refused_with_a_reason(void **state)
{
	struct quire_dump_section *section;
	struct maker m;

	(void)state;
	make_fault(&m);
	refused(&m, 0, "0 bytes are no dump");
	refused(&m, m.size - 8, "truncated");
	refused(&m, m.size + 8, "too long");
	m.bytes[0]++;
	refused(&m, m.size, "not a dump of a Quire card");
	make_fault(&m);
	header_of(&m)->version = 9;
	refused(&m, m.size, "version 9; this program knows 1");
	make_fault(&m);
	header_of(&m)->header_bytes = 4;
	refused(&m, m.size, "header_bytes is 4");
	make_fault(&m);
	header_of(&m)->sections--;
	refused(&m, m.size, "behind the last section");
	make_fault(&m);
	header_of(&m)->sections = 2000000000;
	refused(&m, m.size, "section 11 of 2000000000 does not fit");
	make_fault(&m);
	section = (struct quire_dump_section *)(m.bytes + sizeof(struct quire_dump_header));
	section->bytes = ~7ull;
	refused(&m, m.size, "18446744073709551608 bytes");
	section->bytes = 8;
	section->entry_bytes = 0;
	refused(&m, m.size, "in entries of 0");
	section->entry_bytes = 8;
	refused(&m, m.size, "entries of 8 bytes, need 176");
	make_fault(&m);
	add(&m, QUIRE_DUMP_CARD, &card, sizeof(card), 1);
	header_of(&m)->bytes = m.size;
	refused(&m, m.size, "a second section of type 1");
}

static void usage_and_missing_files(void **state)
{
	(void)state;
	run(&r, "$T/quire-dump a b");
	assert_int_equal(r.status, 2);
	run(&r, "$T/quire-dump --release a");
	assert_int_equal(r.status, 2);
	run(&r, "$T/quire-dump /nonexistent");
	assert_int_equal(r.status, 1);
	assert_non_null(strstr(r.err, "/nonexistent: No such file"));
	run(&r, "$T/quire-dump");
	assert_int_equal(r.status, 3);
	assert_non_null(strstr(r.err, "keeps no dump"));
}

static void a_dump_is_saved_as_it_is(void **state)
{
	char command[256];
	struct maker m;

	(void)state;
	make_fault(&m);
	snprintf(command, sizeof(command), "$T/quire-dump -o %s.copy %s && cmp %s %s.copy; rm -f %s.copy",
		 path, path, path, path, path);
	run(&r, command);
	assert_int_equal(r.status, 0);
	assert_string_equal(r.out, "");
	assert_string_equal(r.err, "");
}

static int setup(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
	(void)state;
	return unlink(path);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(fault_is_decoded),
		cmocka_unit_test(registers_have_names),
		cmocka_unit_test(packets_are_decoded_and_the_failed_one_is_marked),
		cmocka_unit_test(wrong_packets_are_explained),
		cmocka_unit_test(text_has_all_parts_and_nothing_unprintable),
		cmocka_unit_test(what_is_newer_is_passed_over),
		cmocka_unit_test(what_calls_held_is_told),
		cmocka_unit_test(broken_dumps_are_refused_with_a_reason),
		cmocka_unit_test(usage_and_missing_files),
		cmocka_unit_test(a_dump_is_saved_as_it_is),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
