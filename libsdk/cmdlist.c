// SPDX-License-Identifier: MIT
/* Command lists: packets recorded once, run any number of times. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define DEFAULT_BYTES 4096u

int quire_cmdlist_create(quire_context *context, uint32_t bytes, quire_cmdlist **out)
{
	quire_cmdlist *list;
	uint32_t most;
	void *memory;
	int error;

	if (!context || !out)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL, "quire_cmdlist_create: %s is NULL",
			    context ? "list" : "context");
	if (bytes > QUIRE_STREAM_MAX_BYTES)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, "use several lists",
			    "quire_cmdlist_create: bytes is %u, at most %u fit into one", bytes,
			    QUIRE_STREAM_MAX_BYTES);
	list = calloc(1, sizeof(*list));
	if (!list)
		return fail(-ENOMEM, QUIRE_LAYER_LIBRARY, NULL, "no memory for a command list");
	list->context = context;
	list->capacity = ((bytes ? bytes : DEFAULT_BYTES) + 15) & ~15u;
	most = list->capacity / sizeof(struct quire_packet_header);
	list->offsets = calloc(most, sizeof(*list->offsets));
	error = list->offsets ? 0 :
		fail(-ENOMEM, QUIRE_LAYER_LIBRARY, NULL, "no memory for a command list");
	if (!error)
		error = quire_buffer_create(context,
					    list->capacity + (uint64_t)most * sizeof(*list->results) +
						    sizeof(*list->outcome),
					    QUIRE_PLACEMENT_SYSTEM, &list->memory);
	if (!error) {
		error = quire_buffer_map(list->memory, &memory);
		if (error)
			quire_buffer_free(list->memory);
	}
	if (error) {
		free(list->offsets);
		free(list);
		return error;
	}
	list->stream = memory;
	list->results = (struct quire_packet_result *)(list->stream + list->capacity);
	list->outcome = (struct quire_job_outcome *)(list->results + most);
	pthread_mutex_lock(&context->lock);
	list->next = context->lists;
	context->lists = list;
	pthread_mutex_unlock(&context->lock);
	*out = list;
	return 0;
}

uint64_t cmdlist_outcome_address(const quire_cmdlist *list)
{
	return quire_buffer_address(list->memory) +
	       (uint64_t)((const uint8_t *)list->outcome - list->stream);
}

void quire_cmdlist_reset(quire_cmdlist *list)
{
	if (!list)
		return;
	list->bytes = 0;
	list->commands = 0;
	list->last_queue = NULL;
	list_begins_anew(list);
}

void quire_cmdlist_free(quire_cmdlist *list)
{
	quire_cmdlist **link;

	if (!list)
		return;
	pthread_mutex_lock(&list->context->lock);
	for (link = &list->context->lists; *link != list; link = &(*link)->next)
		;
	*link = list->next;
	for (quire_queue *queue = list->context->queues; queue; queue = queue->next)
		queue_forget(queue, list);
	pthread_mutex_unlock(&list->context->lock);
	quire_buffer_free(list->memory);
	free(list->offsets);
	free(list);
}

/* Append a packet; its number, or -ENOSPC. */
static int append(quire_cmdlist *list, const void *packet, uint32_t bytes)
{
	struct quire_packet_header *header;
	uint32_t number = list->commands;

	if (bytes > list->capacity - list->bytes)
		return fail(-ENOSPC, QUIRE_LAYER_LIBRARY, "create the list with more bytes",
			    "the command list is full: %u of %u bytes used", list->bytes,
			    list->capacity);
	header = (struct quire_packet_header *)(list->stream + list->bytes);
	memcpy(header, packet, bytes);
	header->result = quire_buffer_address(list->memory) + list->capacity +
			 number * sizeof(*list->results);
	list->offsets[number] = list->bytes;
	list->bytes += bytes;
	list->commands++;
	return (int)number;
}

/* Append a packet the library made: what the card would refuse is refused now. */
static int append_checked(quire_cmdlist *list, const void *packet)
{
	const struct quire_packet_header *header = packet;
	uint32_t detail, status = packet_check(packet, header->bytes, &detail);
	const char *field;

	if (status == QUIRE_STATUS_OK)
		return append(list, packet, header->bytes);
	if (status == QUIRE_STATUS_LIMIT)
		return fail(-ERANGE, QUIRE_LAYER_LIBRARY,
			    "cut the sum and add the parts as quire images",
			    "more than 2^31 - 1 products in one sum");
	field = packet_field(header->opcode, detail);
	return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL, "%s: %s is wrong or overlaps another operand",
		    packet_name(header->opcode), field ? field : "a field");
}

static struct quire_operand operand_of(const struct quire_matrix *m, uint32_t batch)
{
	return (struct quire_operand){
		.address = matrix_address(m),
		.batch_stride = batch > 1 && m->batch > 1 ? m->batch_stride : 0,
		.format = m->format,
		.leading_dimension = m->leading_dimension,
	};
}

static int check_shape(const struct quire_matrix *m, const char *name, uint32_t rows,
		       uint32_t columns, uint32_t batch)
{
	if (m->rows != rows || m->columns != columns)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL, "%s is %u x %u, must be %u x %u",
			    name, m->rows, m->columns, rows, columns);
	if (m->batch != 1 && m->batch != batch)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL,
			    "%s.batch is %u, must be 1 or that of d, %u", name, m->batch, batch);
	return 0;
}

static uint32_t bits_of(float value)
{
	uint32_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

/* On bits: where the caller's arithmetic takes subnormals for 0, they still are factors. */
static bool is_zero(float value)
{
	return !(bits_of(value) << 1);
}

static int check_matrices(const struct quire_gemm_desc *g, const quire_context *context)
{
	const struct {
		const struct quire_matrix *matrix;
		const char *name;
		bool needed;
	} all[] = {
		{ g->a, "a", true }, { g->b, "b", true }, { g->d, "d", true },
		{ g->c, "c", !is_zero(g->beta) },
		{ g->bias, "bias", g->flags & (QUIRE_GEMM_BIAS_COLUMN | QUIRE_GEMM_BIAS_ROW) },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		int error;

		if (!all[i].matrix) {
			if (all[i].needed)
				return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL, "gemm: %s is NULL",
					    all[i].name);
			continue;
		}
		error = matrix_check(all[i].matrix, all[i].name);
		if (error)
			return error;
		if (all[i].matrix->buffer->context != context)
			return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL,
				    "gemm: %s belongs to another context", all[i].name);
	}
	return 0;
}

/* Fill the packet from the description; shapes are checked against each other here. */
static int describe(const struct quire_gemm_desc *g, struct quire_packet_gemm *p)
{
	bool at = g->flags & QUIRE_GEMM_TRANSPOSE_A, bt = g->flags & QUIRE_GEMM_TRANSPOSE_B;
	uint32_t m = g->d->rows, n = g->d->columns, batch = g->d->batch;
	uint32_t k = at ? g->a->rows : g->a->columns;
	int error;

	error = check_shape(g->a, "a", at ? k : m, at ? m : k, batch);
	if (!error)
		error = check_shape(g->b, "b", bt ? n : k, bt ? k : n, batch);
	if (!error && !is_zero(g->beta))
		error = check_shape(g->c, "c", m, n, batch);
	if (!error && g->flags & QUIRE_GEMM_BIAS_COLUMN)
		error = check_shape(g->bias, "bias", 1, n, 1);
	if (!error && g->flags & QUIRE_GEMM_BIAS_ROW)
		error = check_shape(g->bias, "bias", 1, m, 1);
	if (error)
		return error;
	*p = (struct quire_packet_gemm){
		.header = { QUIRE_PACKET_GEMM, sizeof(*p), 0, 0 },
		.m = m, .n = n, .k = k, .batch = batch,
		.mode = g->mode, .gemm_flags = g->flags,
		.alpha = bits_of(g->alpha), .beta = bits_of(g->beta),
		.a = operand_of(g->a, batch),
		.b = operand_of(g->b, batch),
		.d = operand_of(g->d, batch),
	};
	if (!is_zero(g->beta))
		p->c = operand_of(g->c, batch);
	if (g->flags & (QUIRE_GEMM_BIAS_COLUMN | QUIRE_GEMM_BIAS_ROW)) {
		p->bias_address = matrix_address(g->bias);
		p->bias_format = g->bias->format;
	}
	return 0;
}

static void note_gemm(quire_cmdlist *list, const struct quire_gemm_desc *g)
{
	list_reads_matrix(list, g->a);
	list_reads_matrix(list, g->b);
	if (!is_zero(g->beta))
		list_reads_matrix(list, g->c);
	if (g->flags & (QUIRE_GEMM_BIAS_COLUMN | QUIRE_GEMM_BIAS_ROW))
		list_reads_matrix(list, g->bias);
	list_writes_matrix(list, g->d);
}

int quire_cmdlist_gemm(quire_cmdlist *list, const struct quire_gemm_desc *desc)
{
	struct quire_packet_gemm packet;
	int error, number;

	if (!list || !desc)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL, "quire_cmdlist_gemm: %s is NULL",
			    list ? "desc" : "list");
	if (desc->size != sizeof(*desc))
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, "start from QUIRE_GEMM_DESC_INIT",
			    "gemm: size is %u, must be %zu", desc->size, sizeof(*desc));
	if (desc->reserved)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, "start from QUIRE_GEMM_DESC_INIT",
			    "gemm: reserved is not 0");
	error = check_matrices(desc, list->context);
	if (!error)
		error = describe(desc, &packet);
	if (error)
		return error;
	number = append_checked(list, &packet);
	if (number >= 0)
		note_gemm(list, desc);
	return number;
}

static int check_part(const quire_cmdlist *list, const quire_buffer *buffer, uint64_t offset,
		      uint64_t bytes, const char *name)
{
	if (!buffer)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL, "%s is NULL", name);
	if (buffer->context != list->context)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL, "%s belongs to another context", name);
	if (offset > buffer->bytes || bytes > buffer->bytes - offset)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL,
			    "%s: offset %llu + bytes %llu lies outside its %llu bytes", name,
			    (unsigned long long)offset, (unsigned long long)bytes,
			    (unsigned long long)buffer->bytes);
	return 0;
}

int quire_cmdlist_copy(quire_cmdlist *list, quire_buffer *destination, uint64_t destination_offset,
		       quire_buffer *source, uint64_t source_offset, uint64_t bytes)
{
	struct quire_packet_copy packet = { .header = { QUIRE_PACKET_COPY, sizeof(packet), 0, 0 },
					    .row_bytes = bytes, .rows = 1 };
	int error;

	if (!list)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL, "quire_cmdlist_copy: list is NULL");
	error = check_part(list, destination, destination_offset, bytes, "copy: destination");
	if (!error)
		error = check_part(list, source, source_offset, bytes, "copy: source");
	if (error)
		return error;
	packet.source = source->address + source_offset;
	packet.destination = destination->address + destination_offset;
	error = append_checked(list, &packet);
	if (error < 0)
		return error;
	list_reads(list, (struct list_span){ packet.source, packet.source + bytes });
	list_writes(list, (struct list_span){ packet.destination, packet.destination + bytes },
		    true);
	return error;
}

int quire_cmdlist_fill(quire_cmdlist *list, quire_buffer *buffer, uint64_t offset, uint64_t bytes,
		       uint64_t pattern)
{
	struct quire_packet_fill packet = { .header = { QUIRE_PACKET_FILL, sizeof(packet), 0, 0 },
					    .bytes = bytes, .pattern = pattern };
	int error;

	if (!list)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL, "quire_cmdlist_fill: list is NULL");
	error = check_part(list, buffer, offset, bytes, "fill: buffer");
	if (error)
		return error;
	packet.destination = buffer->address + offset;
	error = append_checked(list, &packet);
	if (error >= 0)
		list_writes(list, (struct list_span){ packet.destination,
						      packet.destination + bytes }, true);
	return error;
}

/* Source and destination of one command: in the list's context, of one shape, batch 1. */
static int check_pair(const quire_cmdlist *list, const struct quire_matrix *destination,
		      const struct quire_matrix *source, const char *name)
{
	int error;

	if (!list || !destination || !source)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL, "quire_cmdlist_%s: %s is NULL", name,
			    !list ? "list" : !destination ? "destination" : "source");
	error = matrix_check(destination, "destination");
	if (!error)
		error = matrix_check(source, "source");
	if (!error && (destination->buffer->context != list->context ||
		       source->buffer->context != list->context))
		error = fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL,
			     "%s: a matrix belongs to another context", name);
	if (!error)
		error = check_shape(source, "source", destination->rows, destination->columns, 1);
	if (!error && destination->batch != 1)
		error = fail(-EINVAL, QUIRE_LAYER_LIBRARY, "take one matrix at a time",
			     "%s: destination.batch is %u, must be 1", name, destination->batch);
	return error;
}

/* A command that makes one matrix from another; its number or the error. */
static int append_pair(quire_cmdlist *list, const void *packet,
		       const struct quire_matrix *destination, const struct quire_matrix *source)
{
	int number = append_checked(list, packet);

	if (number >= 0) {
		list_reads_matrix(list, source);
		list_writes_matrix(list, destination);
	}
	return number;
}

int quire_cmdlist_convert(quire_cmdlist *list, const struct quire_matrix *destination,
			  const struct quire_matrix *source)
{
	struct quire_packet_convert packet = {
		.header = { QUIRE_PACKET_CONVERT, sizeof(packet), 0, 0 },
	};
	int error = check_pair(list, destination, source, "convert");

	if (error)
		return error;
	packet.rows = destination->rows;
	packet.columns = destination->columns;
	packet.source = operand_of(source, 1);
	packet.destination = operand_of(destination, 1);
	return append_pair(list, &packet, destination, source);
}

/* Bytes of the image of a tiled matrix that has been checked. */
static int image_bytes(const struct quire_matrix *matrix, const char *name, uint64_t *bytes)
{
	struct quire_tiled_header header;
	int error;

	if (matrix->format != QUIRE_FORMAT_TILED)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, "use quire_cmdlist_convert()",
			    "%s is %s, must be tiled", name, quire_format_name(matrix->format));
	error = quire_buffer_read(matrix->buffer, matrix->offset, &header, sizeof(header));
	if (error)
		return error;
	*bytes = header.image_bytes;
	if (*bytes > matrix->buffer->bytes - matrix->offset)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, "make it with quire_matrix_alloc_tiled()",
			    "%s has a header that is wrong, or none", name);
	return 0;
}

static int append_pack(quire_cmdlist *list, uint16_t opcode, const struct quire_matrix *destination,
		       const struct quire_matrix *source)
{
	bool pack = opcode == QUIRE_PACKET_PACK;
	struct quire_packet_pack packet = { .header = { opcode, sizeof(packet), 0, 0 } };
	int error = check_pair(list, destination, source, pack ? "pack" : "unpack");

	if (!error)
		error = image_bytes(pack ? destination : source,
				    pack ? "pack: destination" : "unpack: source",
				    &packet.image_bytes);
	if (error)
		return error;
	packet.rows = destination->rows;
	packet.columns = destination->columns;
	packet.source = operand_of(source, 1);
	packet.destination = operand_of(destination, 1);
	return append_pair(list, &packet, destination, source);
}

int quire_cmdlist_pack(quire_cmdlist *list, const struct quire_matrix *destination,
		       const struct quire_matrix *source)
{
	return append_pack(list, QUIRE_PACKET_PACK, destination, source);
}

int quire_cmdlist_unpack(quire_cmdlist *list, const struct quire_matrix *destination,
			 const struct quire_matrix *source)
{
	return append_pack(list, QUIRE_PACKET_UNPACK, destination, source);
}

int quire_cmdlist_packet(quire_cmdlist *list, const void *packet, uint32_t bytes)
{
	if (!list || !packet)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL, "quire_cmdlist_packet: %s is NULL",
			    list ? "packet" : "list");
	if (bytes < sizeof(struct quire_packet_header) || bytes % QUIRE_STREAM_ALIGN)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL,
			    "quire_cmdlist_packet: bytes is %u, must be a multiple of 8 from %zu on",
			    bytes, sizeof(struct quire_packet_header));
	/* Nobody has looked at what it does. */
	list->once = true;
	return append(list, packet, bytes);
}

int quire_cmdlist_result(const quire_cmdlist *list, uint32_t command,
			 struct quire_packet_result *result)
{
	if (!list || !result)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL, "quire_cmdlist_result: %s is NULL",
			    list ? "result" : "list");
	if (command >= list->commands)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL,
			    "quire_cmdlist_result: command %u of %u", command, list->commands);
	if (!list->last_queue)
		return fail(-ENODATA, QUIRE_LAYER_LIBRARY, "submit it and wait for its fence",
			    "the list has not run");
	*result = list->results[command];
	return 0;
}

int quire_cmdlist_outcome(const quire_cmdlist *list, struct quire_job_outcome *outcome)
{
	quire_queue *queue;
	int error;

	if (!list || !outcome)
		return fail(-EINVAL, QUIRE_LAYER_LIBRARY, NULL, "quire_cmdlist_outcome: %s is NULL",
			    list ? "outcome" : "list");
	if (!list->commands)
		return fail(-ENODATA, QUIRE_LAYER_LIBRARY, NULL, "an empty list does nothing");
	queue = list->last_queue;
	if (!queue)
		return fail(-ENODATA, QUIRE_LAYER_LIBRARY, "submit it and wait for its fence",
			    "the list has not run");
	error = queue->context->device->backend->settle(queue, list->last_point);
	if (error)
		return error;
	if (list->outcome->status == QUIRE_STATUS_PENDING)
		return fail(-ENODATA, QUIRE_LAYER_CARD, "its fence tells why",
			    "the job did not end on the card");
	*outcome = *list->outcome;
	return 0;
}
