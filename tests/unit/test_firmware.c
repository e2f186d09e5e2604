// SPDX-License-Identifier: MIT
/* Boot, mailbox, queues, jobs and their records: the real firmware on a faked card. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "firmware_card.h"

static void boots_and_negotiates(void **state)
{
	struct card *card = boot(1u << 16 | 7);

	(void)state;
	assert_int_equal(QUIRE_BOOT_READY, card->boot_status);
	assert_int_equal(QUIRE_INTERFACE_VERSION_MAX, card->negotiated);
	assert_int_equal(VERSIONS, card->fw_versions);
	destroy(card);
}

static void refuses_a_driver_without_common_version(void **state)
{
	struct card *card = boot((QUIRE_INTERFACE_VERSION_MAX + 1) << 16 | 9);

	(void)state;
	assert_int_equal(QUIRE_BOOT_BAD_VERSION, card->boot_status);
	assert_int_equal(0, card->negotiated);
	destroy(card);
}

static void mailbox_checks_its_commands(void **state)
{
	struct card *card = boot(VERSIONS);

	(void)state;
	assert_int_equal(QUIRE_MAILBOX_OK, mailbox(card, QUIRE_MAILBOX_PING, 0));
	assert_int_equal(QUIRE_MAILBOX_BAD_COMMAND, mailbox(card, 99, 0));
	assert_int_equal(QUIRE_MAILBOX_BAD_QUEUE, mailbox(card, QUIRE_MAILBOX_QUEUE_START, 64));
	assert_int_equal(QUIRE_MAILBOX_BAD_QUEUE, mailbox(card, QUIRE_MAILBOX_QUEUE_STOP, 5));
	for (int wrong = 0; wrong < 7; wrong++) {
		static const uint32_t at[7] = { QUIRE_QUEUE_RING_LO, QUIRE_QUEUE_RECORD_LO,
						QUIRE_QUEUE_ENTRIES_LOG2, QUIRE_QUEUE_CONTEXT,
						QUIRE_QUEUE_PRIORITY, QUIRE_QUEUE_SAVE_LO,
						QUIRE_QUEUE_RESUME };
		static const uint32_t value[7] = { 0x10040, 0x12001, 13, 32, 4, 8, 2 };

		configure_queue(card, 5, 1);
		card->queue[5][at[wrong] / 4] = value[wrong];
		assert_int_equal(QUIRE_MAILBOX_BAD_CONFIG, mailbox(card, QUIRE_MAILBOX_QUEUE_START, 5));
	}
	start_queue(card, 5, 1);
	assert_int_equal(QUIRE_MAILBOX_BAD_QUEUE, mailbox(card, QUIRE_MAILBOX_QUEUE_START, 5));
	assert_int_equal(QUIRE_MAILBOX_OK, mailbox(card, QUIRE_MAILBOX_QUEUE_STOP, 5));
	assert_int_equal(QUIRE_QUEUE_OFF, card->queue[5][QUIRE_QUEUE_STATE / 4]);
	start_queue(card, 5, 1);
	destroy(card);
}

static void empty_jobs_get_records_in_order(void **state)
{
	struct card *card = boot(VERSIONS);
	uint64_t before, single, batch;

	(void)state;
	start_queue(card, 63, 1);
	for (int i = 0; i < 100; i++) {
		push(card, 63, 0, 0);
		ring(card, 63);
		run(card);
		assert_int_equal(i + 1, record(card, 63, (uint64_t)i + 1).sequence);
		assert_int_equal(QUIRE_STATUS_OK, record(card, 63, (uint64_t)i + 1).status);
		assert_int_equal(i + 1, card->vectors[64]);
		assert_int_equal(i + 1, card->queue[63][QUIRE_QUEUE_COMPLETED / 4]);
	}
	before = card->mcu.instructions;
	push(card, 63, 0, 0);
	ring(card, 63);
	run(card);
	single = card->mcu.instructions - before;
	for (int i = 0; i < 32; i++)
		push(card, 63, 0, 0);
	before = card->mcu.instructions;
	ring(card, 63);
	run(card);
	batch = (card->mcu.instructions - before) / 32;
	print_message("instructions for an empty job: %u, in a batch of 32: %u\n",
		      (unsigned int)single, (unsigned int)batch);
	assert_int_equal(133, card->jobs);
	assert_true(single < 480 && batch < 300);
	destroy(card);
}

static void late_interrupts_are_for_jobs_nobody_waits_for(void **state)
{
	static const struct { uint32_t serving, raised; } cases[] = {
		{ 5, 0 }, { 6, 1 }, { QUIRE_SERVING_NONE, 2 }, { 5, 2 },
	};
	struct card *card = boot(VERSIONS);

	(void)state;
	start_queue(card, 5, 1);
	card->ring_flags = QUIRE_RING_INTERRUPT | QUIRE_RING_LATE;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		card->serving = cases[i].serving;
		push(card, 5, 0, 0);
		ring(card, 5);
		run(card);
		assert_int_equal(QUIRE_STATUS_OK, record(card, 5, i + 1).status);
		assert_int_equal(cases[i].raised, card->vectors[6]);
	}
	/* a failure is never kept quiet, and LATE alone asks for nothing */
	push(card, 5, 4, 8);
	ring(card, 5);
	run(card);
	assert_int_equal(3, card->vectors[6]);
	start_queue(card, 7, 1);
	card->serving = QUIRE_SERVING_NONE;
	card->ring_flags = QUIRE_RING_LATE;
	push(card, 7, 0, 0);
	ring(card, 7);
	run(card);
	assert_int_equal(QUIRE_STATUS_OK, record(card, 7, 1).status);
	assert_int_equal(0, card->vectors[8]);
	destroy(card);
}

static void packets_of_a_job_run_in_order(void **state)
{
	struct quire_packet_gemm packets[12];
	struct card *card = boot(VERSIONS);

	(void)state;
	start_queue(card, 0, 1);
	for (uint32_t i = 0; i < 12; i++)
		packets[i] = gemm(i + 1, 2, 3, 1);
	submit(card, 0, packets, sizeof(packets));
	run(card);
	assert_int_equal(12, card->bands);
	for (uint32_t i = 0; i < 12; i++)
		assert_int_equal(i + 1, card->history[i].packet.m);
	assert_int_equal(QUIRE_STATUS_OK, record(card, 0, 1).status);
	assert_int_equal(120, record(card, 0, 1).cycles);
	assert_int_equal(12, card->packets);
	destroy(card);
}

static void a_doorbell_beyond_the_ring_faults_the_queue(void **state)
{
	struct card *card = boot(VERSIONS);

	(void)state;
	start_queue(card, 0, 1);
	card->sequence[0] = (1u << ENTRIES_LOG2) + 1;
	ring(card, 0);
	run(card);
	assert_int_equal(QUIRE_STATUS_FIRMWARE, record(card, 0, 1).status);
	assert_int_equal(QUIRE_QUEUE_FAULTED, card->queue[0][QUIRE_QUEUE_STATE / 4]);
	destroy(card);
}

static void an_engine_fault_ends_the_job_with_its_place(void **state)
{
	struct quire_packet_gemm packets[2] = { gemm(8, 8, 8, 1), gemm(512, 512, 64, 1) };
	struct card *card = boot(VERSIONS);
	struct quire_fence_record r;

	(void)state;
	start_queue(card, 0, 1);
	submit(card, 0, packets, sizeof(packets));
	card->engines_inline = false;
	run(card);
	end_band(card, 0, QUIRE_STATUS_OK);
	run(card);
	assert_int_equal(3, card->bands);	/* two bands of the second packet run */
	end_band(card, 0, QUIRE_STATUS_MMU_FAULT);
	run(card);
	/* The other band still uses the memory: cancelled, no record yet. */
	assert_int_equal(1u << 1, card->engine_cancelled);
	assert_int_equal(0, record(card, 0, 1).sequence);
	end_band(card, 1, QUIRE_STATUS_CANCELLED);
	run(card);
	r = record(card, 0, 1);
	assert_int_equal(1, r.sequence);
	assert_int_equal(QUIRE_STATUS_MMU_FAULT, r.status);
	assert_int_equal(sizeof(packets[0]), r.packet);
	assert_int_equal(0xabc000, r.fault_address);
	assert_int_equal(QUIRE_FAULT_UNIT_B, r.fault_info >> QUIRE_FAULT_UNIT_SHIFT);
	assert_true(card->events_posted & QUIRE_EVENT_QUEUE_FAULT);
	assert_int_equal(1, card->errors);
	destroy(card);
}

static void stopping_a_queue_in_mid_job_cancels_and_gives_no_record(void **state)
{
	struct quire_packet_gemm p = gemm(512, 512, 64, 1);
	struct card *card = boot(VERSIONS);

	(void)state;
	start_queue(card, 0, 1);
	start_queue(card, 1, 1);
	card->engines_inline = false;
	submit(card, 0, &p, sizeof(p));
	run(card);
	mailbox(card, QUIRE_MAILBOX_QUEUE_STOP, 0);
	assert_int_not_equal(card->mailbox_sequence, card->mailbox_done);
	assert_int_equal(3, card->engine_cancelled);
	end_band(card, 0, QUIRE_STATUS_CANCELLED);
	run(card);
	assert_int_not_equal(card->mailbox_sequence, card->mailbox_done);
	end_band(card, 1, QUIRE_STATUS_CANCELLED);
	run(card);
	assert_int_equal(card->mailbox_sequence, card->mailbox_done);
	assert_int_equal(QUIRE_MAILBOX_OK, card->mailbox_result);
	assert_int_equal(QUIRE_QUEUE_OFF, card->queue[0][QUIRE_QUEUE_STATE / 4]);
	assert_int_equal(0, record(card, 0, 1).sequence);
	/* the neighbour goes on */
	push(card, 1, 0, 0);
	ring(card, 1);
	run(card);
	assert_int_equal(1, record(card, 1, 1).sequence);
	destroy(card);
}

/* A driver that does not wait for the answer gets both, and the firmware sleeps meanwhile. */
static void a_command_during_a_stop_is_answered_after_it(void **state)
{
	struct quire_packet_gemm p = gemm(512, 512, 64, 1);
	struct card *card = boot(VERSIONS);

	(void)state;
	start_queue(card, 0, 1);
	configure_queue(card, 1, 1);
	card->engines_inline = false;
	submit(card, 0, &p, sizeof(p));
	run(card);
	card->mailbox_command = QUIRE_MAILBOX_QUEUE_STOP;
	card->mailbox_argument = 0;
	card->mailbox_sequence++;
	assert_int_equal(MCU_STOP_SLEEP, run(card));
	card->mailbox_command = QUIRE_MAILBOX_QUEUE_START;
	card->mailbox_argument = 1;
	card->mailbox_sequence++;
	assert_int_equal(MCU_STOP_SLEEP, run(card));
	assert_int_equal(QUIRE_QUEUE_OFF, card->queue[1][QUIRE_QUEUE_STATE / 4]);
	end_band(card, 0, QUIRE_STATUS_CANCELLED);
	end_band(card, 1, QUIRE_STATUS_CANCELLED);
	assert_int_equal(MCU_STOP_SLEEP, run(card));
	assert_int_equal(QUIRE_QUEUE_OFF, card->queue[0][QUIRE_QUEUE_STATE / 4]);
	assert_int_equal(card->mailbox_sequence, card->mailbox_done);
	assert_int_equal(QUIRE_MAILBOX_OK, card->mailbox_result);
	assert_int_equal(QUIRE_QUEUE_ACTIVE, card->queue[1][QUIRE_QUEUE_STATE / 4]);
	destroy(card);
}

static void doorbells_of_queues_that_are_off_are_forgotten(void **state)
{
	struct card *card = boot(VERSIONS);

	(void)state;
	card->queue[9][QUIRE_QUEUE_TAIL / 4] = 5;
	card->doorbells = 1ull << 9 | 1ull << 63;
	assert_int_equal(MCU_STOP_SLEEP, run(card));
	assert_int_equal(0, card->doorbells);
	start_queue(card, 9, 1);
	assert_int_equal(MCU_STOP_SLEEP, run(card));
	assert_int_equal(0, record(card, 9, 1).sequence);
	assert_int_equal(QUIRE_QUEUE_ACTIVE, card->queue[9][QUIRE_QUEUE_STATE / 4]);
	destroy(card);
}

static void results_are_written_and_their_faults_reported(void **state)
{
	struct quire_packet_gemm p = gemm(8, 8, 8, 2);
	struct quire_packet_result result;
	struct card *card = boot(VERSIONS);

	(void)state;
	start_queue(card, 0, 1);
	p.header.result = 0xf0000;
	submit(card, 0, &p, sizeof(p));
	run(card);
	memcpy(&result, card->bus + 0xf0000, sizeof(result));
	assert_int_equal(128, result.macs);
	assert_int_equal(128, result.digest);
	assert_int_equal(100, result.modelled_pj);
	assert_int_equal(QUIRE_STATUS_OK, result.status);
	card->unmapped_from = 0xf0000;
	submit(card, 0, &p, sizeof(p));
	run(card);
	assert_int_equal(QUIRE_STATUS_MMU_FAULT, record(card, 0, 2).status);
	assert_int_equal(QUIRE_FAULT_UNIT_RESULT,
			 record(card, 0, 2).fault_info >> QUIRE_FAULT_UNIT_SHIFT);
	assert_int_equal(0xf0000, record(card, 0, 2).fault_address);
	destroy(card);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(boots_and_negotiates),
		cmocka_unit_test(refuses_a_driver_without_common_version),
		cmocka_unit_test(mailbox_checks_its_commands),
		cmocka_unit_test(empty_jobs_get_records_in_order),
		cmocka_unit_test(late_interrupts_are_for_jobs_nobody_waits_for),
		cmocka_unit_test(packets_of_a_job_run_in_order),
		cmocka_unit_test(a_doorbell_beyond_the_ring_faults_the_queue),
		cmocka_unit_test(an_engine_fault_ends_the_job_with_its_place),
		cmocka_unit_test(stopping_a_queue_in_mid_job_cancels_and_gives_no_record),
		cmocka_unit_test(a_command_during_a_stop_is_answered_after_it),
		cmocka_unit_test(doorbells_of_queues_that_are_off_are_forgotten),
		cmocka_unit_test(results_are_written_and_their_faults_reported),
	};

	return cmocka_run_group_tests_name("firmware", tests, NULL, NULL);
}
