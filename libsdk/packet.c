// SPDX-License-Identifier: MIT
/* Packets without a card: checked as the firmware does, executed by libquirenum. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <quire/model.h>
#include <quire/packet_check.h>
#include <quirenum/convert.h>

#include "packet_run.h"

uint32_t packet_check(const void *packet, uint32_t bytes_left, uint32_t *detail)
{
	const struct quire_packet_header *header = packet;
	uint32_t status, field;

	*detail = 0;
	if (bytes_left < sizeof(*header))
		return QUIRE_STATUS_BAD_STREAM;
	field = quire_packet_check_header(header);
	if (field != QUIRE_NO_FIELD) {
		*detail = field;
		return QUIRE_STATUS_BAD_PACKET;
	}
	if (header->bytes > bytes_left)
		return QUIRE_STATUS_BAD_STREAM;
	field = quire_packet_check(packet, &status);
	if (field == QUIRE_NO_FIELD)
		return QUIRE_STATUS_OK;
	*detail = field;
	return status;
}

struct field_name {
	uint32_t offset;
	const char *name;
};

#define NAME(type, field) { offsetof(struct quire_packet_##type, field), #field }
#define OPERAND_NAMES(type, operand)                                                               \
	NAME(type, operand.address), NAME(type, operand.batch_stride),                             \
		NAME(type, operand.format), NAME(type, operand.leading_dimension)

static const struct field_name header_fields[] = {
	NAME(header, opcode), NAME(header, bytes), NAME(header, flags), NAME(header, result),
	{ 0, NULL },
};

static const struct field_name gemm_fields[] = {
	NAME(gemm, m), NAME(gemm, n), NAME(gemm, k), NAME(gemm, batch), NAME(gemm, mode),
	NAME(gemm, gemm_flags), NAME(gemm, alpha), NAME(gemm, beta), OPERAND_NAMES(gemm, a),
	OPERAND_NAMES(gemm, b), OPERAND_NAMES(gemm, c), OPERAND_NAMES(gemm, d),
	NAME(gemm, bias_address), NAME(gemm, bias_format), NAME(gemm, reserved), { 0, NULL },
};

static const struct field_name copy_fields[] = {
	NAME(copy, source), NAME(copy, destination), NAME(copy, row_bytes),
	NAME(copy, source_stride), NAME(copy, destination_stride), NAME(copy, rows),
	NAME(copy, reserved), { 0, NULL },
};

static const struct field_name fill_fields[] = {
	NAME(fill, destination), NAME(fill, bytes), NAME(fill, pattern), NAME(fill, reserved),
	{ 0, NULL },
};

static const struct field_name convert_fields[] = {
	NAME(convert, rows), NAME(convert, columns), NAME(convert, reserved),
	OPERAND_NAMES(convert, source), OPERAND_NAMES(convert, destination), { 0, NULL },
};

static const struct field_name pack_fields[] = {
	NAME(pack, rows), NAME(pack, columns), NAME(pack, image_bytes), OPERAND_NAMES(pack, source),
	OPERAND_NAMES(pack, destination), { 0, NULL },
};

static const struct {
	const char *name;
	const struct field_name *fields;
} packets[] = {
	[QUIRE_PACKET_NOP] = { "nop", header_fields },
	[QUIRE_PACKET_GEMM] = { "gemm", gemm_fields },
	[QUIRE_PACKET_COPY] = { "copy", copy_fields },
	[QUIRE_PACKET_FILL] = { "fill", fill_fields },
	[QUIRE_PACKET_CONVERT] = { "convert", convert_fields },
	[QUIRE_PACKET_PACK] = { "pack", pack_fields },
	[QUIRE_PACKET_UNPACK] = { "unpack", pack_fields },
};

#define PACKETS (sizeof(packets) / sizeof(packets[0]))

static const char *find(const struct field_name *field, uint32_t offset)
{
	for (; field->name; field++)
		if (field->offset == offset)
			return field->name;
	return NULL;
}

const char *packet_field(uint16_t opcode, uint32_t offset)
{
	if (offset < sizeof(struct quire_packet_header))
		return find(header_fields, offset);
	return opcode < PACKETS ? find(packets[opcode].fields, offset) : NULL;
}

const char *packet_name(uint16_t opcode)
{
	return opcode < PACKETS ? packets[opcode].name : "unknown";
}

void *packet_memory(struct packet_run *run, uint64_t address, uint64_t span, uint64_t moved,
		    bool write, uint32_t unit)
{
	uint64_t where = address;
	bool system = false;
	void *at = context_translate(run->context, address, span, &where, &system);

	if (!at) {
		run->fault->address = where;
		run->fault->info = QUIRE_FAULT_UNMAPPED | (write ? QUIRE_FAULT_WRITE : 0) |
				   unit << QUIRE_FAULT_UNIT_SHIFT;
		return NULL;
	}
	if (system)
		run->system_bytes += moved;
	else
		run->card_bytes += moved;
	if (write)
		run->result->bytes_written += moved;
	else
		run->result->bytes_read += moved;
	return at;
}

void *packet_operand(struct packet_run *run, const struct quire_operand *o, uint64_t rows,
		     uint64_t columns, uint64_t batch, bool write, uint32_t unit)
{
	uint64_t span = (batch - 1) * o->batch_stride + (rows - 1) * o->leading_dimension + columns;

	return packet_memory(run, o->address, quire_check_bytes(o->format, span),
			     rows * batch * quire_check_bytes(o->format, columns), write, unit);
}

static float float_of(uint32_t bits)
{
	float value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

static bool get_operands(struct packet_run *run, const struct quire_packet_gemm *p, struct quire_gemm *g)
{
	bool at = p->gemm_flags & QUIRE_GEMM_TRANSPOSE_A;
	bool bt = p->gemm_flags & QUIRE_GEMM_TRANSPOSE_B;
	bool per_row = p->gemm_flags & QUIRE_GEMM_BIAS_ROW;

	if (p->gemm_flags & (QUIRE_GEMM_BIAS_ROW | QUIRE_GEMM_BIAS_COLUMN)) {
		uint64_t bytes = (uint64_t)(per_row ? p->m : p->n) *
				 quire_format_bytes(p->bias_format);

		g->bias = packet_memory(run, p->bias_address, bytes, bytes, false, QUIRE_FAULT_UNIT_BIAS);
		g->bias_format = p->bias_format;
		g->bias_kind = per_row ? QUIRE_GEMM_BIAS_PER_ROW : QUIRE_GEMM_BIAS_PER_COLUMN;
		if (!g->bias)
			return false;
	}
	if (!quire_check_is_zero(p->alpha) && p->k) {
		if (p->a.format == QUIRE_FORMAT_TILED) {
			if (!packet_open_tiled(run, p, 0, &g->a))
				return false;
		} else {
			g->a.data = packet_operand(run, &p->a, at ? p->k : p->m, at ? p->m : p->k,
					    p->batch, false, QUIRE_FAULT_UNIT_A);
		}
		if (!g->a.data)
			return false;
		if (p->b.format == QUIRE_FORMAT_TILED) {
			if (!packet_open_tiled(run, p, 1, &g->b))
				return false;
		} else {
			g->b.data = packet_operand(run, &p->b, bt ? p->n : p->k, bt ? p->k : p->n,
					    p->batch, false, QUIRE_FAULT_UNIT_B);
		}
		if (!g->b.data)
			return false;
	}
	g->d.data = packet_operand(run, &p->d, p->m, p->n, p->batch, true, QUIRE_FAULT_UNIT_D);
	if (!g->d.data)
		return false;
	if (!quire_check_is_zero(p->beta)) {
		g->c.data = packet_operand(run, &p->c, p->m, p->n, p->batch, false, QUIRE_FAULT_UNIT_C);
		if (!g->c.data)
			return false;
	}
	return true;
}

static void set_operand(struct quire_gemm_operand *to, const struct quire_operand *from,
			bool transpose)
{
	to->format = from->format;
	to->transpose = transpose;
	to->leading_dimension = from->leading_dimension;
	to->batch_stride = from->batch_stride;
}

static void drop_views(struct packet_run *run)
{
	free(run->views[0]);
	free(run->views[1]);
}

static void model_gemm(struct packet_run *run, const struct quire_packet_gemm *p)
{
	struct quire_model_macs cost = quire_model_gemm(p, run->macs);

	run->result->cycles = cost.cycles + (run->result->bytes_read + run->result->bytes_written) /
						    QUIRE_MODEL_BYTES_PER_CYCLE;
	run->result->modelled_pj = cost.picojoule + run->card_bytes * QUIRE_MODEL_CARD_PJ_PER_BYTE +
				   run->system_bytes * QUIRE_MODEL_BUS_PJ_PER_BYTE;
}

static uint32_t execute_gemm(struct packet_run *run, const struct quire_packet_gemm *p)
{
	struct quire_device *device = run->context->device;
	struct quire_gemm_result done;
	struct quire_gemm g = {
		.m = p->m, .n = p->n, .k = p->k, .batch = p->batch,
		.alpha = float_of(p->alpha), .beta = float_of(p->beta),
		.d = { .format = p->d.format, .leading_dimension = p->d.leading_dimension,
		       .batch_stride = p->d.batch_stride },
		.arithmetic = p->mode,
		.activation = p->gemm_flags & QUIRE_GEMM_RELU ? QUIRE_GEMM_ACTIVATION_RELU :
								QUIRE_GEMM_LINEAR,
		.threads = device->threads,
	};
	int error;

	set_operand(&g.a, &p->a, p->gemm_flags & QUIRE_GEMM_TRANSPOSE_A);
	set_operand(&g.b, &p->b, p->gemm_flags & QUIRE_GEMM_TRANSPOSE_B);
	set_operand(&g.c, &p->c, false);
	if (!get_operands(run, p, &g)) {
		drop_views(run);
		return run->status;
	}
	error = quire_gemm(&g, &done);
	drop_views(run);
	if (error) {
		run->fault->detail = (uint32_t)-error;
		return QUIRE_STATUS_ENGINE_ERROR;
	}
	run->result->digest = done.digest;
	run->result->macs = done.macs;
	run->result->exceptional = done.exceptional;
	if (quire_packet_is_tiled(p))
		memcpy(run->macs, done.tiled_macs, sizeof(run->macs));
	else
		run->macs[0] = done.macs;
	model_gemm(run, p);
	return QUIRE_STATUS_OK;
}

void packet_model_move(struct packet_run *run)
{
	uint64_t moved = run->card_bytes + run->system_bytes;

	run->result->cycles = (moved + QUIRE_MODEL_BYTES_PER_CYCLE - 1) / QUIRE_MODEL_BYTES_PER_CYCLE;
	run->result->modelled_pj = run->card_bytes * QUIRE_MODEL_CARD_PJ_PER_BYTE +
				   run->system_bytes * QUIRE_MODEL_BUS_PJ_PER_BYTE;
}

static uint32_t execute_convert(struct packet_run *run, const struct quire_packet_convert *p)
{
	struct quire_convert_result done;
	struct quire_convert c = {
		.rows = p->rows, .columns = p->columns,
		.source_format = p->source.format, .destination_format = p->destination.format,
		.source_leading_dimension = p->source.leading_dimension,
		.destination_leading_dimension = p->destination.leading_dimension,
		.factor = 1,
		.threads = run->context->device->threads,
	};
	int error;

	c.source = packet_operand(run, &p->source, p->rows, p->columns, 1, false, QUIRE_FAULT_UNIT_SOURCE);
	if (!c.source)
		return QUIRE_STATUS_MMU_FAULT;
	c.destination = packet_operand(run, &p->destination, p->rows, p->columns, 1, true,
				QUIRE_FAULT_UNIT_DESTINATION);
	if (!c.destination)
		return QUIRE_STATUS_MMU_FAULT;
	error = quire_convert(&c, &done);
	if (error) {
		run->fault->detail = (uint32_t)-error;
		return QUIRE_STATUS_ENGINE_ERROR;
	}
	run->result->digest = done.digest;
	run->result->exceptional = done.exceptional;
	packet_model_move(run);
	return QUIRE_STATUS_OK;
}

static uint32_t execute_copy(struct packet_run *run, const struct quire_packet_copy *p)
{
	for (uint64_t row = 0; row < p->rows; row++) {
		const void *from = packet_memory(run, p->source + row * p->source_stride, p->row_bytes,
					  p->row_bytes, false, QUIRE_FAULT_UNIT_SOURCE);
		void *to = from ? packet_memory(run, p->destination + row * p->destination_stride,
					 p->row_bytes, p->row_bytes, true,
					 QUIRE_FAULT_UNIT_DESTINATION) :
				  NULL;

		if (!to)
			return QUIRE_STATUS_MMU_FAULT;
		memcpy(to, from, p->row_bytes);
	}
	packet_model_move(run);
	return QUIRE_STATUS_OK;
}

static uint32_t execute_fill(struct packet_run *run, const struct quire_packet_fill *p)
{
	uint64_t *to = packet_memory(run, p->destination, p->bytes, p->bytes, true,
			      QUIRE_FAULT_UNIT_DESTINATION);

	if (!to)
		return QUIRE_STATUS_MMU_FAULT;
	for (uint64_t i = 0; i < p->bytes / sizeof(*to); i++)
		to[i] = p->pattern;
	packet_model_move(run);
	return QUIRE_STATUS_OK;
}

uint32_t packet_execute(quire_context *context, const void *packet,
			struct quire_packet_result *result, uint64_t macs[3],
			struct quire_fault *fault)
{
	struct packet_run run = { .context = context, .result = result, .fault = fault,
				  .status = QUIRE_STATUS_MMU_FAULT };
	uint32_t status;

	memset(result, 0, sizeof(*result));
	switch (((const struct quire_packet_header *)packet)->opcode) {
	case QUIRE_PACKET_GEMM:
		status = execute_gemm(&run, packet);
		memcpy(macs, run.macs, sizeof(run.macs));
		return status;
	case QUIRE_PACKET_CONVERT:
		return execute_convert(&run, packet);
	case QUIRE_PACKET_PACK:
	case QUIRE_PACKET_UNPACK:
		return packet_pack(&run, packet);
	case QUIRE_PACKET_COPY:
		return execute_copy(&run, packet);
	case QUIRE_PACKET_FILL:
		return execute_fill(&run, packet);
	}
	return QUIRE_STATUS_OK;
}
