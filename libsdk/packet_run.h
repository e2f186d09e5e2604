/* SPDX-License-Identifier: MIT */
/* What the files that execute packets without a card share. */
#ifndef QUIRE_PACKET_RUN_H
#define QUIRE_PACKET_RUN_H

#include <quirenum/gemm.h>

#include "internal.h"

/* What the execution of one packet shares. */
struct packet_run {
	quire_context *context;
	struct quire_packet_result *result;
	struct quire_fault *fault;
	uint32_t status;	/* of the packet when it fails */
	uint64_t card_bytes, system_bytes;
	uint64_t macs[3];	/* by width as quire_model_gemm() takes them */
	struct quire_tiled *views[2];	/* of tiled operands, freed when it has ended */
};

/* A dense operand; NULL with the fault recorded. */
void *packet_operand(struct packet_run *run, const struct quire_operand *operand, uint64_t rows,
		     uint64_t columns, uint64_t batch, bool write, uint32_t unit);

/* Memory a packet reads or writes, or NULL with the fault recorded. */
void *packet_memory(struct packet_run *run, uint64_t address, uint64_t span, uint64_t moved,
		    bool write, uint32_t unit);

/*
 * Open A (@which 0) or B (1) of a product, which is tiled; false with status and fault
 * recorded.
 */
bool packet_open_tiled(struct packet_run *run, const struct quire_packet_gemm *packet,
		       unsigned int which, struct quire_gemm_operand *to);

/* Run PACK or UNPACK. Returns enum quire_status with result or fault filled. */
uint32_t packet_pack(struct packet_run *run, const struct quire_packet_pack *packet);

/* Cycles and energy of a packet that only moves bytes. */
void packet_model_move(struct packet_run *run);

#endif
