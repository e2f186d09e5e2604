// SPDX-License-Identifier: MIT
/* One command at a time, on a queue the context keeps for it. */
#include <errno.h>

#include "internal.h"

/* The queue and the list of the calls here; made by the first one.  Under sync_lock. */
static int prepare(quire_context *context)
{
	int error = 0;

	if (!context->sync_list)
		error = quire_cmdlist_create(context, 0, &context->sync_list);
	if (!error && !context->sync_queue)
		error = quire_queue_create(context, QUIRE_PRIORITY_NORMAL, 0, &context->sync_queue);
	return error;
}

static int run(quire_context *context, int (*record)(quire_cmdlist *list, const void *what),
	       const void *what, struct quire_packet_result *result)
{
	struct quire_fence fence;
	int command, error = prepare(context);

	if (error)
		return error;
	quire_cmdlist_reset(context->sync_list);
	command = record(context->sync_list, what);
	if (command < 0)
		return command;
	error = quire_queue_submit(context->sync_queue, &context->sync_list, 1, NULL, 0, &fence);
	if (!error)
		error = quire_fence_wait(fence, QUIRE_FOREVER);
	if (!error && result)
		error = quire_cmdlist_result(context->sync_list, (uint32_t)command, result);
	if (error) {
		struct quire_error_info why;

		/* A queue that failed takes no more jobs: the next call gets a new one. */
		quire_last_error_info(&why);
		quire_queue_free(context->sync_queue);
		context->sync_queue = NULL;
		return fail(error, why.layer, why.hint, "%s", why.text);
	}
	return 0;
}

int context_run(quire_context *context, int (*record)(quire_cmdlist *list, const void *what),
		const void *what, struct quire_packet_result *result)
{
	int error;

	pthread_mutex_lock(&context->sync_lock);
	error = run(context, record, what, result);
	pthread_mutex_unlock(&context->sync_lock);
	return error;
}

static int record_gemm(quire_cmdlist *list, const void *desc)
{
	return quire_cmdlist_gemm(list, desc);
}

int quire_gemm_run(quire_context *context, const struct quire_gemm_desc *desc,
		   struct quire_packet_result *result)
{
	if (!context || !desc)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL, "quire_gemm_run: %s is NULL",
			    context ? "desc" : "context");
	return context_run(context, record_gemm, desc, result);
}

int quire_matmul(quire_context *context, const struct quire_matrix *a,
		 const struct quire_matrix *b, const struct quire_matrix *d)
{
	struct quire_gemm_desc desc = QUIRE_GEMM_DESC_INIT;

	desc.a = a;
	desc.b = b;
	desc.d = d;
	return quire_gemm_run(context, &desc, NULL);
}
