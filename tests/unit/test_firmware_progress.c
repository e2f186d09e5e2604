// SPDX-License-Identifier: MIT
/* What the firmware tells of a job: times, registers, its outcome, the log; and that it listens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "firmware_card.h"

#define MS 1000000ull
#define OUTCOME 0xf0000u

static uint32_t reg(struct card *card, unsigned int q, uint32_t offset)
{
	return card->queue[q][offset / 4];
}

/* Two queues with long bands each, in turn: each counts its own bands alone. */
static void only_work_on_the_job_counts(void **state)
{
	struct quire_packet_gemm p = gemm(64, 1024, 16, 1), q = p;
	struct card *card = boot(VERSIONS);
	uint64_t began = card->time;
	struct quire_fence_record r;

	(void)state;
	start_queue(card, 0, 1);
	start_queue(card, 1, 1);
	card->engines_inline = false;
	submit(card, 0, &p, sizeof(p));
	run(card);
	assert_int_equal(1, reg(card, 0, QUIRE_QUEUE_JOB_BANDS));
	/* the other engine has a band of the other queue, which ends much later */
	submit(card, 1, &q, sizeof(q));
	run(card);
	assert_int_equal(2, card->bands);
	assert_int_equal(1, reg(card, 0, QUIRE_QUEUE_JOB));
	assert_int_equal(1, reg(card, 1, QUIRE_QUEUE_JOB));
	assert_int_equal(1, reg(card, 1, QUIRE_QUEUE_JOB_BANDS));
	card->time += 7 * MS;
	alarm_goes_off(card);
	assert_in_range(reg(card, 0, QUIRE_QUEUE_JOB_US), 7000, 7100);
	assert_in_range(reg(card, 1, QUIRE_QUEUE_JOB_US), 7000, 7100);
	end_band(card, 0, QUIRE_STATUS_OK);
	run(card);
	r = record(card, 0, 1);
	assert_int_equal(1, r.sequence);
	assert_in_range(r.busy_ns, 7 * MS, 7 * MS + 100000);
	assert_true(r.started > began && r.ended > r.started + 7 * MS && r.ended <= card->time);
	assert_true(r.busy_ns <= r.ended - r.started);
	assert_int_equal(0, reg(card, 0, QUIRE_QUEUE_JOB));
	assert_int_equal(0, reg(card, 0, QUIRE_QUEUE_JOB_US));
	assert_int_equal(0, reg(card, 0, QUIRE_QUEUE_JOB_BANDS));
	destroy(card);
}

/* A job whose bands wait for engines that others hold is not worked on. */
static void waiting_for_an_engine_does_not_count(void **state)
{
	struct quire_packet_gemm small = gemm(8, 8, 8, 1), big = gemm(512, 512, 64, 1);
	struct quire_packet_gemm two[2] = { small, small };
	struct card *card = boot(VERSIONS);
	struct quire_fence_record r;

	(void)state;
	start_queue(card, 0, 0);
	start_queue(card, 1, 2);
	card->engines_inline = false;
	submit(card, 0, two, sizeof(two));
	run(card);
	submit(card, 1, &big, sizeof(big));
	run(card);
	/* the low queue's first band ends; the high one takes the engine and keeps both */
	end_band(card, 0, QUIRE_STATUS_OK);
	run(card);
	assert_int_equal(1, reg(card, 0, QUIRE_QUEUE_JOB));
	assert_int_equal(0, reg(card, 0, QUIRE_QUEUE_JOB_BANDS));
	card->time += 900 * MS;
	alarm_goes_off(card);
	assert_in_range(reg(card, 0, QUIRE_QUEUE_JOB_US), 0, 100);
	assert_in_range(reg(card, 1, QUIRE_QUEUE_JOB_US), 900000, 900100);
	while (!record(card, 0, 1).sequence) {
		for (unsigned int e = 0; e < ENGINES; e++)
			if (card->engine_band[e])
				end_band(card, e, QUIRE_STATUS_OK);
		run(card);
	}
	r = record(card, 0, 1);
	assert_true(r.busy_ns < MS && r.ended - r.started > 900 * MS);
	destroy(card);
}

/* The driver counts what was spent on a job that never gets a record. */
static void a_job_that_is_stopped_or_parked_leaves_its_time(void **state)
{
	struct quire_packet_gemm p = gemm(512, 512, 64, 2);
	struct card *card = boot(VERSIONS);

	(void)state;
	for (uint32_t command = QUIRE_MAILBOX_QUEUE_STOP; command <= QUIRE_MAILBOX_QUEUE_PARK;
	     command++) {
		start_queue(card, 0, 1);
		card->engines_inline = false;
		submit(card, 0, &p, sizeof(p));
		run(card);
		send(card, command, 0);
		run(card);
		/* The alarm has not gone off since: the register is old. */
		card->time += 7 * MS;
		for (unsigned int e = 0; e < ENGINES; e++)
			end_band(card, e, QUIRE_STATUS_OK);
		run(card);
		assert_int_equal(0, record(card, 0, 1).sequence);
		assert_int_equal(0, reg(card, 0, QUIRE_QUEUE_JOB));
		assert_in_range(reg(card, 0, QUIRE_QUEUE_JOB_US), 7000, 7100);
		assert_int_equal(0, reg(card, 0, QUIRE_QUEUE_JOB_BANDS));
	}
	/* Who gets the ring next has nothing of it. */
	start_queue(card, 0, 1);
	assert_int_equal(0, reg(card, 0, QUIRE_QUEUE_JOB_US));
	assert_int_equal(QUIRE_MAILBOX_OK, mailbox(card, QUIRE_MAILBOX_QUEUE_STOP, 0));
	assert_int_equal(0, reg(card, 0, QUIRE_QUEUE_JOB_US));
	destroy(card);
}

static void an_empty_job_has_times_too(void **state)
{
	struct card *card = boot(VERSIONS);
	struct quire_fence_record r;

	(void)state;
	start_queue(card, 0, 1);
	card->time += 5 * MS;
	push(card, 0, 0, 0);
	ring(card, 0);
	run(card);
	r = record(card, 0, 1);
	assert_true(r.started >= 5 * MS && r.ended > r.started);
	assert_int_equal(r.ended - r.started, r.busy_ns);
	for (unsigned int i = 0; i < sizeof(r.reserved) / sizeof(r.reserved[0]); i++)
		assert_int_equal(0, r.reserved[i]);
	destroy(card);
}

/* Like submit(), with the fields of the entry that push() leaves 0. */
static void submit_with_outcome(struct card *card, const void *packets, uint32_t bytes,
				uint64_t outcome, uint64_t number)
{
	struct quire_ring_entry *entry;

	memcpy(card->bus + STREAM, packets, bytes);
	push(card, 0, STREAM, bytes);
	entry = (void *)(card->bus + RING(0) +
			 card->sequence[0] % (1u << ENTRIES_LOG2) * sizeof(*entry));
	entry->outcome = outcome;
	entry->number = number;
	ring(card, 0);
	run(card);
}

static void check_outcome(struct card *card, uint64_t number, const struct quire_fence_record *r)
{
	struct quire_job_outcome o;

	memcpy(&o, card->bus + OUTCOME, sizeof(o));
	assert_int_equal(number, o.number);
	assert_int_equal(r->status, o.status);
	assert_int_equal(r->packet, o.packet);
	assert_int_equal(r->detail, o.detail);
	assert_int_equal(r->fault_info, o.fault_info);
	assert_int_equal(r->fault_address, o.fault_address);
	assert_int_equal(r->macs, o.macs);
	assert_int_equal(r->cycles, o.cycles);
	assert_int_equal(r->modelled_pj, o.modelled_pj);
	assert_int_equal(r->digest, o.digest);
	assert_int_equal(r->started, o.started);
	assert_int_equal(r->ended, o.ended);
	assert_int_equal(r->busy_ns, o.busy_ns);
	assert_int_equal(0, o.reserved);
}

static uint32_t shown_at_first;

static void note_job(struct card *card)
{
	if (card->dma[0] != QUIRE_DMA_BUS && !shown_at_first)
		shown_at_first = reg(card, 0, QUIRE_QUEUE_JOB) + 1;
}

/* Whoever finds a card that has crashed knows which jobs may have had an effect. */
static void a_job_is_named_before_its_first_effect(void **state)
{
	struct quire_packet_gemm p = gemm(8, 8, 8, 1);
	struct card *card = boot(VERSIONS);

	(void)state;
	start_queue(card, 0, 1);
	push(card, 0, 0, 0);
	ring(card, 0);
	run(card);
	card->on_dma = note_job;
	submit(card, 0, &p, sizeof(p));
	run(card);
	assert_int_equal(2 + 1, shown_at_first);
	assert_int_equal(0, reg(card, 0, QUIRE_QUEUE_JOB));
	destroy(card);
}

/* Looks at memory when the record is about to be written. */
static uint64_t outcome_number_before_record;

static void note_outcome(struct card *card)
{
	if (card->dma[0] == QUIRE_DMA_BUS && card->dma[4] == sizeof(struct quire_fence_record))
		memcpy(&outcome_number_before_record, card->bus + OUTCOME, 8);
}

static void the_outcome_is_there_before_the_record(void **state)
{
	struct quire_packet_gemm p[2] = { gemm(8, 8, 8, 2), gemm(8, 8, 8, 1) };
	struct card *card = boot(VERSIONS);
	struct quire_fence_record r;

	(void)state;
	start_queue(card, 0, 1);
	card->on_dma = note_outcome;
	submit_with_outcome(card, p, sizeof(p), OUTCOME, 0x123456789abcull);
	r = record(card, 0, 1);
	assert_int_equal(QUIRE_STATUS_OK, r.status);
	assert_int_equal(192, r.macs);
	assert_int_equal(0x123456789abcull, outcome_number_before_record);
	check_outcome(card, 0x123456789abcull, &r);
	/* a job that does nothing has one, too */
	submit_with_outcome(card, p, 0, OUTCOME, 2);
	r = record(card, 0, 2);
	check_outcome(card, 2, &r);
	/* and one that fails in its second packet */
	p[1].reserved = 1;
	submit_with_outcome(card, p, sizeof(p), OUTCOME, 3);
	r = record(card, 0, 3);
	assert_int_equal(QUIRE_STATUS_BAD_PACKET, r.status);
	assert_int_equal(sizeof(p[0]), r.packet);
	check_outcome(card, 3, &r);
	destroy(card);
}

static void an_outcome_that_cannot_be_written_fails_the_job(void **state)
{
	struct quire_packet_gemm p = gemm(8, 8, 8, 1);
	struct card *card = boot(VERSIONS);
	struct quire_fence_record r;

	(void)state;
	card->unmapped_from = OUTCOME + 64;
	start_queue(card, 0, 1);
	submit_with_outcome(card, &p, sizeof(p), OUTCOME, 1);
	r = record(card, 0, 1);
	assert_int_equal(QUIRE_STATUS_MMU_FAULT, r.status);
	assert_int_equal(sizeof(p), r.packet);
	assert_int_equal(OUTCOME + 64, r.fault_address);
	assert_int_equal(QUIRE_FAULT_UNIT_RESULT, r.fault_info >> QUIRE_FAULT_UNIT_SHIFT);
	assert_true(r.fault_info & QUIRE_FAULT_WRITE);
	assert_int_equal(64, r.macs);
	assert_int_equal(1, card->vectors[1]);
	assert_int_equal(QUIRE_QUEUE_FAULTED, reg(card, 0, QUIRE_QUEUE_STATE));
	/* what failed before keeps its own reason */
	assert_int_equal(QUIRE_MAILBOX_OK, mailbox(card, QUIRE_MAILBOX_QUEUE_STOP, 0));
	start_queue(card, 0, 1);
	p.m = 0;
	submit_with_outcome(card, &p, sizeof(p), OUTCOME, 1);
	assert_int_equal(QUIRE_STATUS_BAD_PACKET, record(card, 0, 1).status);
	/* a misaligned one is an entry that is refused */
	assert_int_equal(QUIRE_MAILBOX_OK, mailbox(card, QUIRE_MAILBOX_QUEUE_STOP, 0));
	start_queue(card, 0, 1);
	submit_with_outcome(card, &p, sizeof(p), OUTCOME + 4, 1);
	assert_int_equal(QUIRE_STATUS_FIRMWARE, record(card, 0, 1).status);
	destroy(card);
}

static uint64_t done_after;	/* transfers */
static uint64_t answered_after;
static uint64_t transfers;

static void others_come_along(struct card *card)
{
	transfers++;
	if (transfers == 5) {
		push(card, 1, 0, 0);
		ring(card, 1);
		send(card, QUIRE_MAILBOX_PING, 0);
	}
	if (!done_after && card->queue[1][QUIRE_QUEUE_COMPLETED / 4])
		done_after = transfers;
	if (!answered_after && card->mailbox_done == card->mailbox_sequence)
		answered_after = transfers;
}

/* 64 KiB of packets that do nothing are 4096 of them, fetched 1 KiB at a time. */
static void a_long_stream_of_nothing_keeps_nobody_waiting(void **state)
{
	struct quire_packet_header *nop;
	struct card *card = boot(VERSIONS);

	(void)state;
	start_queue(card, 1, 1);
	start_queue(card, 0, 1);
	nop = (void *)(card->bus + STREAM);
	for (unsigned int i = 0; i < QUIRE_STREAM_MAX_BYTES / sizeof(*nop); i++)
		nop[i] = (struct quire_packet_header){ QUIRE_PACKET_NOP, sizeof(*nop), 0, 0 };
	push(card, 0, STREAM, QUIRE_STREAM_MAX_BYTES);
	ring(card, 0);
	transfers = 0;
	done_after = 0;
	answered_after = UINT64_MAX;
	card->on_dma = others_come_along;
	answered_after = 0;
	run(card);
	assert_int_equal(QUIRE_STATUS_OK, record(card, 0, 1).status);
	assert_int_equal(4096, card->packets);
	assert_true(transfers > 60);
	assert_in_range(done_after, 6, 10);
	destroy(card);
}

static void the_log_names_what_went_wrong(void **state)
{
	struct quire_packet_gemm p = gemm(8, 8, 8, 1);
	struct card *card = boot(VERSIONS);
	unsigned int lines = 0;

	(void)state;
	assert_non_null(strstr(card->log, "quire firmware 2.0.0 ready: interface 2 engines 2\n"));
	p.reserved = 7;
	for (unsigned int i = 0; i < 30; i++) {
		start_queue(card, 5, 1);
		submit(card, 5, &p, sizeof(p));
		run(card);
		mailbox(card, QUIRE_MAILBOX_QUEUE_STOP, 5);
	}
	assert_non_null(strstr(card->log, "queue 5: job 1 failed: status 2 packet 0 detail 156 "
					  "fault 0x0 at 0x0\n"));
	for (const char *at = card->log; (at = strstr(at, "queue 5: ")); at++)
		lines++;
	assert_in_range(lines, 5, 10);
	/* the next second has room again, and says what it missed */
	card->time += 1000 * MS;
	start_queue(card, 6, 1);
	submit(card, 6, &p, sizeof(p));
	run(card);
	assert_non_null(strstr(card->log, "lines left out: 22\nqueue 6: job 1 failed"));
	destroy(card);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_work_on_the_job_counts),
		cmocka_unit_test(waiting_for_an_engine_does_not_count),
		cmocka_unit_test(a_job_that_is_stopped_or_parked_leaves_its_time),
		cmocka_unit_test(an_empty_job_has_times_too),
		cmocka_unit_test(a_job_is_named_before_its_first_effect),
		cmocka_unit_test(the_outcome_is_there_before_the_record),
		cmocka_unit_test(an_outcome_that_cannot_be_written_fails_the_job),
		cmocka_unit_test(a_long_stream_of_nothing_keeps_nobody_waiting),
		cmocka_unit_test(the_log_names_what_went_wrong),
	};

	return cmocka_run_group_tests_name("firmware progress", tests, NULL, NULL);
}
