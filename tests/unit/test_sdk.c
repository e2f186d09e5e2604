// SPDX-License-Identifier: MIT
/*
 * quire.h as a program sees it, on the backend that QUIRE_BACKEND names: command lists,
 * queues, fences, errors and what is freed.  test_sdk_products.c judges numbers.
 */
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <quire/hw.h>

#include "sdk.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* ---- Lists, queues, fences ---- */

static void commands_of_a_list_run_in_order_and_again(void **state)
{
	struct quire_packet_result result;
	struct quire_fence fence;
	quire_cmdlist *list, *empty;
	quire_buffer *buffer;
	quire_queue *queue;
	uint64_t words[8];

	(void)state;
	assert_int_equal(quire_buffer_create(context, 4096, QUIRE_PLACEMENT_SYSTEM, &buffer), 0);
	assert_int_equal(quire_queue_create(context, QUIRE_PRIORITY_LOW, 0, &queue), 0);
	assert_int_equal(quire_cmdlist_create(context, 0, &list), 0);
	assert_int_equal(quire_cmdlist_create(context, 0, &empty), 0);
	assert_int_equal(quire_cmdlist_fill(list, buffer, 0, 32, 0x1111), 0);
	assert_int_equal(quire_cmdlist_copy(list, buffer, 32, buffer, 0, 32), 1);
	assert_int_equal(quire_cmdlist_fill(list, buffer, 0, 32, 0x2222), 2);
	assert_int_equal(quire_cmdlist_result(list, 0, &result), -ENODATA);
	for (int round = 0; round < 3; round++) {
		quire_cmdlist *lists[3] = { empty, list, empty };

		memset(words, 0, sizeof(words));
		assert_int_equal(quire_buffer_write(buffer, 0, words, sizeof(words)), 0);
		assert_int_equal(quire_queue_submit(queue, lists, 3, NULL, 0, &fence), 0);
		assert_int_equal(quire_fence_wait(fence, quire_deadline(20000000000)), 0);
		assert_int_equal(quire_fence_status(fence), 0);
		assert_int_equal(quire_buffer_read(buffer, 0, words, sizeof(words)), 0);
		if (sdk_computes) {
			for (int i = 0; i < 4; i++) {
				assert_int_equal(words[i], 0x2222);
				assert_int_equal(words[4 + i], 0x1111);
			}
			assert_int_equal(quire_cmdlist_result(list, 1, &result), 0);
			assert_int_equal(result.bytes_written, 32);
		}
	}
	assert_int_equal(quire_cmdlist_result(list, 3, &result), -EINVAL);
	assert_int_equal(quire_fence_status((struct quire_fence){ 0 }), 0);
	quire_queue_free(queue);
	quire_cmdlist_free(list);
	quire_cmdlist_free(empty);
	quire_buffer_free(buffer);
}

static void failed_job_says_why_and_stops_its_queue_only(void **state)
{
	struct quire_packet_fill bad = { .header = { QUIRE_PACKET_FILL, sizeof(bad), 0, 0 },
					 .destination = 0x600000000000, .bytes = 12 };
	quire_queue *queue, *other;
	struct quire_fence fence;
	struct quire_fault fault;
	quire_cmdlist *list, *good;

	(void)state;
	assert_int_equal(quire_queue_create(context, QUIRE_PRIORITY_NORMAL, 0, &queue), 0);
	assert_int_equal(quire_queue_create(context, QUIRE_PRIORITY_NORMAL, 0, &other), 0);
	assert_int_equal(quire_cmdlist_create(context, 0, &list), 0);
	assert_int_equal(quire_cmdlist_create(context, 0, &good), 0);
	assert_int_equal(quire_cmdlist_packet(list, &bad, sizeof(bad)), 0);
	assert_int_equal(quire_queue_submit(queue, &list, 1, NULL, 0, &fence), 0);
	assert_int_equal(quire_fence_wait(fence, QUIRE_FOREVER), -EFAULT);
	says("bytes");
	assert_int_equal(quire_queue_get_fault(queue, &fault), 0);
	assert_int_equal(fault.status, QUIRE_STATUS_BAD_PACKET);
	assert_int_equal(fault.detail, offsetof(struct quire_packet_fill, bytes));
	assert_int_equal(quire_queue_submit(queue, &good, 1, NULL, 0, NULL), -ECANCELED);
	says("make a new queue");
	assert_int_equal(quire_queue_submit(other, &good, 1, NULL, 0, &fence), 0);
	assert_int_equal(quire_fence_wait(fence, QUIRE_FOREVER), 0);
	if (sdk_computes) {
		bad.bytes = 16;	/* now only the address is wrong */
		quire_cmdlist_reset(list);
		assert_int_equal(quire_cmdlist_packet(list, &bad, sizeof(bad)), 0);
		assert_int_equal(quire_queue_submit(other, &list, 1, NULL, 0, &fence), 0);
		assert_int_equal(quire_fence_wait(fence, QUIRE_FOREVER), -EFAULT);
		says("0x600000000000");
		says("the destination");
	}
	quire_queue_free(queue);
	quire_queue_free(other);
	quire_cmdlist_free(list);
	quire_cmdlist_free(good);
}

/* ---- What jobs, queues and devices have done ---- */

static void a_job_tells_what_it_did(void **state)
{
	struct quire_gemm_desc desc = QUIRE_GEMM_DESC_INIT;
	struct quire_queue_info before = { .size = sizeof(before) }, after = before;
	struct quire_usage usage = { .size = sizeof(usage) }, more = usage;
	struct quire_packet_result first, second;
	struct quire_job_outcome outcome;
	struct quire_matrix a, b, d;
	struct quire_fence fence;
	quire_cmdlist *list, *empty;
	quire_queue *queue;

	(void)state;
	assert_int_equal(quire_matrix_alloc(context, QUIRE_FORMAT_POSIT16, 8, 8, &a), 0);
	assert_int_equal(quire_matrix_alloc(context, QUIRE_FORMAT_POSIT16, 8, 8, &b), 0);
	assert_int_equal(quire_matrix_alloc(context, QUIRE_FORMAT_POSIT16, 8, 8, &d), 0);
	desc.a = &a;
	desc.b = &b;
	desc.d = &d;
	assert_int_equal(quire_queue_create(context, QUIRE_PRIORITY_NORMAL, 0, &queue), 0);
	assert_int_equal(quire_cmdlist_create(context, 0, &list), 0);
	assert_int_equal(quire_cmdlist_create(context, 0, &empty), 0);
	assert_int_equal(quire_cmdlist_gemm(list, &desc), 0);
	assert_int_equal(quire_cmdlist_gemm(list, &desc), 1);
	assert_int_equal(quire_cmdlist_outcome(list, &outcome), -ENODATA);
	says("has not run");
	assert_int_equal(quire_queue_get_info(queue, &before), 0);
	assert_int_equal(before.size, sizeof(before));
	assert_int_equal(before.submitted, 0);
	assert_int_equal(quire_device_get_usage(device, &usage), 0);
	for (uint64_t run = 0; run < 3; run++) {
		quire_cmdlist *lists[2] = { empty, list };

		assert_int_equal(quire_queue_submit(queue, lists, 2, NULL, 0, &fence), 0);
		assert_int_equal(quire_fence_wait(fence, QUIRE_FOREVER), 0);
		assert_int_equal(quire_cmdlist_outcome(list, &outcome), 0);
		assert_int_equal(outcome.number, 2 * run + 2);
		assert_int_equal(outcome.status, QUIRE_STATUS_OK);
		assert_true(outcome.started && outcome.started < outcome.ended);
		assert_true(outcome.busy_ns && outcome.busy_ns <= outcome.ended - outcome.started);
		if (!sdk_computes)
			continue;
		assert_int_equal(quire_cmdlist_result(list, 0, &first), 0);
		assert_int_equal(quire_cmdlist_result(list, 1, &second), 0);
		assert_int_equal(outcome.macs, 2 * 512);
		assert_int_equal(outcome.cycles, first.cycles + second.cycles);
		assert_int_equal(outcome.modelled_pj, first.modelled_pj + second.modelled_pj);
		assert_int_equal(outcome.digest,
				 first.digest * QUIRE_DIGEST_SEQUENCE + second.digest);
	}
	assert_int_equal(quire_cmdlist_outcome(empty, &outcome), -ENODATA);
	says("empty");
	assert_int_equal(quire_queue_get_info(queue, &after), 0);
	assert_int_equal(after.submitted, 6);
	assert_int_equal(after.completed, 6);
	assert_int_equal(after.reset, QUIRE_QUEUE_RESET_NONE);
	assert_int_equal(after.rerun, 0);
	assert_true(after.busy_ns > 0);
	assert_int_equal(quire_device_get_usage(device, &more), 0);
	assert_int_equal(more.jobs, usage.jobs + 6);
	assert_int_equal(more.busy_ns, usage.busy_ns + after.busy_ns);
	assert_int_equal(more.macs, usage.macs + after.macs);
	if (sdk_computes)
		assert_int_equal(after.macs, 3 * 2 * 512);
	/* programs that know less of a structure get less */
	after.size = 24;
	after.busy_ns = 77;
	assert_int_equal(quire_queue_get_info(queue, &after), 0);
	assert_int_equal(after.size, 24);
	assert_int_equal(after.busy_ns, 77);
	quire_queue_free(queue);
	quire_cmdlist_free(list);
	quire_cmdlist_free(empty);
	quire_matrix_free(&a);
	quire_matrix_free(&b);
	quire_matrix_free(&d);
}

static void a_job_that_failed_tells_where(void **state)
{
	struct quire_packet_fill bad = { .header = { QUIRE_PACKET_FILL, sizeof(bad), 0, 0 },
					 .destination = 0x600000000000, .bytes = 12 };
	struct quire_job_outcome outcome;
	struct quire_fence fence;
	quire_cmdlist *lists[2];
	quire_queue *queue;

	(void)state;
	assert_int_equal(quire_queue_create(context, QUIRE_PRIORITY_NORMAL, 0, &queue), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(quire_cmdlist_create(context, 0, &lists[i]), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(quire_cmdlist_packet(lists[i], &bad, sizeof(bad)), 0);
	assert_int_equal(quire_queue_submit(queue, lists, 2, NULL, 0, &fence), 0);
	assert_int_not_equal(quire_fence_wait(fence, QUIRE_FOREVER), 0);
	assert_int_equal(quire_cmdlist_outcome(lists[0], &outcome), 0);
	assert_int_equal(outcome.number, 1);
	assert_int_equal(outcome.status, QUIRE_STATUS_BAD_PACKET);
	assert_int_equal(outcome.detail, offsetof(struct quire_packet_fill, bytes));
	/* the one behind it has not run */
	assert_int_equal(quire_cmdlist_outcome(lists[1], &outcome), -ENODATA);
	says("did not end on the card");
	quire_queue_free(queue);
	for (int i = 0; i < 2; i++)
		quire_cmdlist_free(lists[i]);
}

/* ---- Errors ---- */

static void wrong_fields_are_named(void **state)
{
	struct quire_gemm_desc good = QUIRE_GEMM_DESC_INIT, desc;
	struct quire_matrix a, b, d, wrong;
	quire_buffer *buffer;
	quire_cmdlist *list;
	quire_queue *queue;

	(void)state;
	assert_int_equal(quire_matrix_alloc(context, QUIRE_FORMAT_POSIT16, 8, 8, &a), 0);
	assert_int_equal(quire_matrix_alloc(context, QUIRE_FORMAT_POSIT16, 8, 8, &b), 0);
	assert_int_equal(quire_matrix_alloc(context, QUIRE_FORMAT_POSIT16, 8, 8, &d), 0);
	good.a = &a;
	good.b = &b;
	good.d = &d;
#define WRONG(words, ...)                                                                         \
	do {                                                                                      \
		desc = good;                                                                      \
		wrong = a;                                                                        \
		__VA_ARGS__;                                                                      \
		assert_int_equal(quire_gemm_run(context, &desc, NULL), -EINVAL);                  \
		says(words);                                                                      \
	} while (0)
	WRONG("size", desc.size = 8);
	WRONG("reserved", desc.reserved = 1);
	WRONG("a is NULL", desc.a = NULL);
	WRONG("d is NULL", desc.d = NULL);
	WRONG("c is NULL", desc.beta = 1);
	WRONG("bias is NULL", desc.flags = QUIRE_GEMM_BIAS_ROW);
	WRONG("mode", desc.mode = 9);
	WRONG("flags", desc.flags = 1u << 20);
	WRONG("alpha", desc.alpha = INFINITY);
	WRONG("beta", desc.beta = NAN; desc.c = &b);
	WRONG("a.format", desc.a = &wrong; wrong.format = 0x1234);
	WRONG("a.rows", desc.a = &wrong; wrong.rows = 0);
	WRONG("a.leading_dimension", desc.a = &wrong; wrong.leading_dimension = 7);
	WRONG("a.offset", desc.a = &wrong; wrong.offset = 1);
	WRONG("a lies outside", desc.a = &wrong; wrong.leading_dimension = 100000);
	WRONG("a lies outside", desc.a = &wrong; wrong.batch = 2; wrong.batch_stride = UINT64_MAX / 2);
	WRONG("must be 8 x 8", desc.b = &wrong; wrong.rows = 4);
	WRONG("overlaps", desc.d = &a);
#undef WRONG
	assert_int_equal(quire_matrix_alloc(context, 77, 8, 8, &wrong), -EINVAL);
	says("format");
	assert_int_equal(quire_matrix_alloc(context, QUIRE_FORMAT_FP32, 0, 8, &wrong), -EINVAL);
	says("rows");
	assert_int_equal(quire_matrix_alloc(context, QUIRE_FORMAT_QUIRE, UINT32_MAX, UINT32_MAX, &wrong),
			 -ENOSPC);
	assert_int_equal(quire_buffer_create(context, 0, QUIRE_PLACEMENT_CARD, &buffer), -EINVAL);
	says("bytes");
	assert_int_equal(quire_buffer_create(context, 4096, (enum quire_placement)7, &buffer), -EINVAL);
	says("placement");
	assert_int_equal(quire_queue_create(context, (enum quire_priority)9, 0, &queue), -EINVAL);
	says("priority");
	assert_int_equal(quire_cmdlist_create(context, 1u << 20, &list), -EINVAL);
	says("bytes");
	assert_int_equal(quire_buffer_create(context, 8192, QUIRE_PLACEMENT_SYSTEM, &buffer), 0);
	assert_int_equal(quire_cmdlist_create(context, 128, &list), 0);
	assert_int_equal(quire_cmdlist_fill(list, buffer, 4, 8, 0), -EINVAL);
	says("destination");
	assert_int_equal(quire_cmdlist_fill(list, buffer, 8192, 8, 0), -EINVAL);
	says("outside");
	assert_int_equal(quire_cmdlist_copy(list, buffer, 0, buffer, 8, 64), -EINVAL);
	says("overlaps");
	assert_int_equal(quire_cmdlist_gemm(list, &good) , -ENOSPC);
	says("full");
	assert_int_equal(quire_buffer_read(buffer, 8190, &desc, 8), -EINVAL);
	says("outside");
	quire_cmdlist_free(list);
	quire_buffer_free(buffer);
	assert_int_equal(quire_gemm_run(context, &good, NULL), 0);
	quire_matrix_free(&a);
	quire_matrix_free(&b);
	quire_matrix_free(&d);
}

static void *fails_elsewhere(void *out)
{
	struct quire_error_info *info = out;
	quire_buffer *buffer;

	quire_last_error_info(info);
	if (info->code)
		return NULL;
	if (quire_buffer_create(context, 0, QUIRE_PLACEMENT_CARD, &buffer) == -EINVAL)
		quire_last_error_info(info);
	return NULL;
}

static void errors_belong_to_their_thread(void **state)
{
	struct quire_error_info info, other;
	quire_context *none;
	pthread_t thread;

	(void)state;
	assert_int_equal(quire_context_create(device, 5, &none), -EINVAL);
	assert_int_equal(pthread_create(&thread, NULL, fails_elsewhere, &other), 0);
	pthread_join(thread, NULL);
	quire_last_error_info(&info);
	assert_int_equal(info.code, -EINVAL);
	assert_int_equal(info.layer, QUIRE_LAYER_LIBRARY);
	assert_non_null(strstr(info.text, "flags"));
	assert_non_null(strstr(other.text, "bytes"));
}

static void null_is_refused_where_needed_and_fine_to_free(void **state)
{
	struct quire_device_info info = { .size = 0 };
	struct quire_matrix matrix = { 0 };
	void *pointer;

	(void)state;
	assert_int_equal(quire_open(NULL, NULL), -EINVAL);
	assert_int_equal(quire_context_create(NULL, 0, NULL), -EINVAL);
	assert_int_equal(quire_buffer_map(NULL, &pointer), -EINVAL);
	assert_int_equal(quire_gemm_run(context, NULL, NULL), -EINVAL);
	assert_int_equal(quire_device_get_info(device, &info), -EINVAL);
	says("info.size");
	quire_device_unref(NULL);
	quire_context_unref(NULL);
	quire_buffer_free(NULL);
	quire_queue_free(NULL);
	quire_cmdlist_free(NULL);
	quire_matrix_free(NULL);
	/* Freeing clears the matrix: twice is fine. */
	assert_int_equal(quire_matrix_alloc(context, QUIRE_FORMAT_FP32, 2, 2, &matrix), 0);
	quire_matrix_free(&matrix);
	quire_matrix_free(&matrix);
}

static void unknown_backend_is_named(void **state)
{
	const char *backend = getenv("QUIRE_BACKEND");
	quire_device *none;
	char saved[16];

	(void)state;
	snprintf(saved, sizeof(saved), "%s", backend ? backend : "auto");
	setenv("QUIRE_BACKEND", "gpu", 1);
	assert_int_equal(quire_open(NULL, &none), -EINVAL);
	setenv("QUIRE_BACKEND", saved, 1);
	says("gpu");
	says("auto, card, cpu or null");
}

static void formats_have_names(void **state)
{
	static const uint32_t formats[] = { QUIRE_FORMAT_POSIT8, QUIRE_FORMAT_POSIT16,
					    QUIRE_FORMAT_POSIT32, QUIRE_FORMAT_FP16,
					    QUIRE_FORMAT_FP32, QUIRE_FORMAT_FP64, QUIRE_FORMAT_BF16,
					    QUIRE_FORMAT_E4M3, QUIRE_FORMAT_E5M2, QUIRE_FORMAT_QUIRE };
	static const size_t bytes[] = { 1, 2, 4, 2, 4, 8, 2, 1, 1, 80 };

	(void)state;
	for (size_t i = 0; i < LENGTH(formats); i++) {
		assert_int_equal(quire_format_parse(quire_format_name(formats[i])), formats[i]);
		assert_int_equal(quire_format_bytes(formats[i]), bytes[i]);
	}
	assert_string_equal(quire_format_name(0x777), "unknown");
	assert_int_equal(quire_format_parse("posit99"), QUIRE_FORMAT_NONE);
	assert_int_equal(quire_format_bytes(0x777), 0);
}

static void last_reference_frees_what_was_left(void **state)
{
	quire_context *other;
	quire_buffer *buffer;
	quire_cmdlist *list;
	quire_queue *queue;

	(void)state;
	/* ASan and the card's counters tell if something stays. */
	assert_int_equal(quire_context_create(device, 0, &other), 0);
	assert_int_equal(quire_buffer_create(other, 1 << 20, QUIRE_PLACEMENT_CARD, &buffer), 0);
	assert_int_equal(quire_queue_create(other, QUIRE_PRIORITY_NORMAL, 0, &queue), 0);
	assert_int_equal(quire_cmdlist_create(other, 0, &list), 0);
	assert_int_equal(quire_cmdlist_fill(list, buffer, 0, 4096, 1), 0);
	assert_int_equal(quire_queue_submit(queue, &list, 1, NULL, 0, NULL), 0);
	assert_ptr_equal(quire_context_ref(other), other);
	quire_context_unref(other);
	quire_context_unref(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands_of_a_list_run_in_order_and_again),
		cmocka_unit_test(failed_job_says_why_and_stops_its_queue_only),
		cmocka_unit_test(a_job_tells_what_it_did),
		cmocka_unit_test(a_job_that_failed_tells_where),
		cmocka_unit_test(wrong_fields_are_named),
		cmocka_unit_test(errors_belong_to_their_thread),
		cmocka_unit_test(null_is_refused_where_needed_and_fine_to_free),
		cmocka_unit_test(unknown_backend_is_named),
		cmocka_unit_test(formats_have_names),
		cmocka_unit_test(last_reference_frees_what_was_left),
	};

	return cmocka_run_group_tests_name("sdk", tests, sdk_open, sdk_close);
}
