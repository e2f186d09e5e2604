/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/*
 * Commands an application sends to the card: the contract between userspace and
 * firmware.  The kernel passes them on unread; isolation is the MMU's job.
 *
 * A job is one command stream: packets back to back, executed in order, each a
 * multiple of 8 bytes and starting with a struct quire_packet_header.  Every
 * address is virtual, in the address space of the queue.  All fields are
 * little-endian; reserved fields must be zero and unknown flags must be clear,
 * otherwise the packet fails with QUIRE_STATUS_BAD_PACKET and names the byte
 * offset of the field.  The first packet that fails ends the job.
 */
#ifndef QUIRE_PACKET_H
#define QUIRE_PACKET_H

#include "tiled.h"

#define QUIRE_STREAM_ALIGN 8u		/* of stream address and length */
#define QUIRE_STREAM_MAX_BYTES 65536u
#define QUIRE_PACKET_MAX_BYTES 256u

enum quire_opcode {
	QUIRE_PACKET_NOP = 0,
	QUIRE_PACKET_GEMM = 1,
	QUIRE_PACKET_COPY = 2,
	QUIRE_PACKET_FILL = 3,
	QUIRE_PACKET_CONVERT = 4,
	QUIRE_PACKET_PACK = 5,
	QUIRE_PACKET_UNPACK = 6,
};

/* Outcome of a packet and of a job; 0 is success, values are never reused. */
enum quire_status {
	QUIRE_STATUS_OK = 0,
	QUIRE_STATUS_PENDING = 1,	/* written by nobody but an initialiser */
	QUIRE_STATUS_BAD_PACKET = 2,	/* a field is wrong; detail = its byte offset in the packet */
	QUIRE_STATUS_BAD_STREAM = 3,	/* stream address, length or packet size is wrong */
	QUIRE_STATUS_MMU_FAULT = 4,	/* fault_address and fault_info say where and why */
	QUIRE_STATUS_CANCELLED = 5,	/* stopped by the driver: time limit, reset, or queue destroyed */
	QUIRE_STATUS_ENGINE_ERROR = 6,	/* the engine gave up; detail = engine's own code */
	QUIRE_STATUS_LIMIT = 7,		/* over 2^31 - 1 products in one accumulator */
	QUIRE_STATUS_FIRMWARE = 8,	/* the firmware refused the ring entry, or crashed */
	/*
	 * A tiled image is wrong: fault_address = tile row << 32 | tile column, detail = byte
	 * offset of the field in struct quire_tile (the checksum also when padding is not
	 * zero); or fault_address = QUIRE_BAD_TILE_HEADER, detail = byte offset in struct
	 * quire_tiled_header.  fault_info = unit of the operand, as for an MMU fault.
	 */
	QUIRE_STATUS_BAD_TILE = 9,
};

#define QUIRE_BAD_TILE_HEADER 0xffffffffffffffffull

/*
 * struct quire_job_outcome - what became of one job, written at the address its SUBMIT names
 * when the card ends the job, well or with an error, before its fence signals.  A job that
 * the driver ended (time limit, reset, queue destroyed) leaves it untouched, so clear
 * @status to QUIRE_STATUS_PENDING before: its fence tells.
 * @number:        of the job in its queue, counted from 1
 * @status .. @fault_address: as in struct drm_quire_queue_query
 * @macs, @cycles, @modelled_pj: sums over the packets executed; the last two are modelled
 * @digest:        over the packets with a digest, in order:
 *                 digest = digest * QUIRE_DIGEST_SEQUENCE + packet digest
 * @started, @ended: nanoseconds of the card's clock
 * @busy_ns:       of that, the time in which the card worked on this job
 */
struct quire_job_outcome {
	uint64_t number;
	uint32_t status;
	uint32_t packet;
	uint32_t detail;
	uint32_t fault_info;
	uint64_t fault_address;
	uint64_t macs;
	uint64_t cycles;
	uint64_t modelled_pj;
	uint64_t digest;
	uint64_t started;
	uint64_t ended;
	uint64_t busy_ns;
	uint64_t reserved;
};

/*
 * struct quire_packet_header - start of every packet
 * @opcode: enum quire_opcode
 * @bytes:  size of the whole packet; must be the size of the opcode's struct
 * @flags:  must be 0
 * @result: where to write a struct quire_packet_result, 8-byte aligned, or 0
 */
struct quire_packet_header {
	uint16_t opcode;
	uint16_t bytes;
	uint32_t flags;
	uint64_t result;
};

/*
 * struct quire_packet_result - what a packet did; valid when its job's fence
 * has signalled.  Not written for a packet that failed or was not reached.
 * @digest:        digest of the output: as format.h defines it (GEMM, CONVERT, UNPACK), of
 *                 the image as tiled.h defines it for a .qtn file (PACK), else 0
 * @macs:          multiply-accumulates executed (m * n * k * batch; with tiled operands
 *                 those whose elements are in stored tiles only)
 * @cycles:        modelled engine cycles
 * @modelled_pj:   modelled energy in picojoule; a model, never a measurement
 * @bytes_read:    bytes read from memory
 * @bytes_written: bytes written to memory
 * @exceptional:   outputs that are NaR, NaN or infinite (PACK: tiles that hold a NaR)
 * @status:        QUIRE_STATUS_OK
 */
struct quire_packet_result {
	uint64_t digest;
	uint64_t macs;
	uint64_t cycles;
	uint64_t modelled_pj;
	uint64_t bytes_read;
	uint64_t bytes_written;
	uint64_t exceptional;
	uint32_t status;
	uint32_t reserved;
};

/*
 * struct quire_operand - a row-major matrix in memory
 * @address:           of element (0, 0), aligned to its element size
 *                     (a quire image to 8 bytes)
 * @batch_stride:      elements from one matrix of a batch to the next
 * @format:            QUIRE_FORMAT_*
 * @leading_dimension: elements from one row to the next, >= columns
 *
 * With QUIRE_FORMAT_MXFP8 (A and B of a product, both sides of a conversion): address of the
 * first scale, any byte; leading_dimension and batch_stride are multiples of 32.  A row is
 * ceil(columns / 32) blocks of 33 bytes (format.h), the last of which is written whole.
 *
 * With QUIRE_FORMAT_TILED (A and B of a product, one side of PACK and UNPACK): address of the
 * image (tiled.h), aligned to 64 bytes; its shape is that of the operand; leading_dimension
 * is 0; batch_stride counts bytes, a multiple of 64.  D must not overlap the images, whose
 * sizes are known once their headers are read: BAD_PACKET at d.address then too.
 */
struct quire_operand {
	uint64_t address;
	uint64_t batch_stride;
	uint32_t format;
	uint32_t leading_dimension;
};

enum quire_gemm_mode {
	QUIRE_GEMM_MODE_EXACT = 0,	/* exact accumulator, one rounding */
	QUIRE_GEMM_MODE_FP32 = 1,	/* BF16 inputs only: c = fma(a, b, c) in FP32, k increasing */
};

#define QUIRE_GEMM_TRANSPOSE_A 0x1u	/* A is stored k x m */
#define QUIRE_GEMM_TRANSPOSE_B 0x2u	/* B is stored n x k */
#define QUIRE_GEMM_BIAS_COLUMN 0x4u	/* bias has n elements, one per column of D */
#define QUIRE_GEMM_BIAS_ROW 0x8u	/* bias has m elements, one per row of D */
#define QUIRE_GEMM_RELU 0x10u		/* negative results become zero; NaR and NaN stay */
#define QUIRE_GEMM_FLAGS 0x1fu

#define QUIRE_GEMM_MAX_DIMENSION (1u << 24)	/* m, n, batch; k up to QUIRE_PRODUCT_LIMIT */

/*
 * struct quire_packet_gemm - D = act(round(alpha * op(A) op(B) + beta * C + bias))
 * @m, @n, @k: op(A) is m x k, op(B) is k x n, C and D are m x n; m and n >= 1,
 *             k >= 0
 * @batch:     number of independent products, >= 1
 * @mode:      enum quire_gemm_mode
 * @gemm_flags: QUIRE_GEMM_*
 * @alpha, @beta: bit patterns of FP32 factors, taken exactly and finite; A and B
 *             are not read when alpha is 0, C is not read when beta is 0.
 *             With D a quire image both must be -1, 0 or 1.
 * @a, @b, @c, @d: operands; c.format QUIRE_FORMAT_NONE with all of c zero when
 *             beta is 0; D may be exactly C (same address, format and strides)
 *             and must not overlap A, B or bias
 * @bias_address, @bias_format: vector added to every row or column; both 0
 *             without QUIRE_GEMM_BIAS_*; shared by the whole batch
 *
 * In exact mode each element of D is rounded once, from the exact value.
 */
struct quire_packet_gemm {
	struct quire_packet_header header;
	uint32_t m, n, k, batch;
	uint32_t mode;
	uint32_t gemm_flags;
	uint32_t alpha;
	uint32_t beta;
	struct quire_operand a, b, c, d;
	uint64_t bias_address;
	uint32_t bias_format;
	uint32_t reserved;
};

/*
 * struct quire_packet_copy - copy @rows rows of @row_bytes bytes
 * The source is read and the destination written at any byte address; a source
 * and destination that overlap fail with BAD_PACKET.  rows >= 1, row_bytes >= 1,
 * strides (bytes) >= row_bytes unless rows is 1.
 */
struct quire_packet_copy {
	struct quire_packet_header header;
	uint64_t source;
	uint64_t destination;
	uint64_t row_bytes;
	uint64_t source_stride;
	uint64_t destination_stride;
	uint32_t rows;
	uint32_t reserved;
};

/* struct quire_packet_fill - fill @bytes (multiple of 8) at @destination (8-byte aligned) */
struct quire_packet_fill {
	struct quire_packet_header header;
	uint64_t destination;
	uint64_t bytes;
	uint64_t pattern;
	uint64_t reserved;
};

/*
 * struct quire_packet_convert - convert a rows x columns matrix to another
 * format with one rounding per element; batch strides must be 0.  Both may be FP64 or
 * MXFP8, neither a quire image.  Source and destination must not overlap.
 */
struct quire_packet_convert {
	struct quire_packet_header header;
	uint32_t rows;
	uint32_t columns;
	uint64_t reserved;
	struct quire_operand source;
	struct quire_operand destination;
};

/*
 * struct quire_packet_pack - PACK: dense numbers to a tiled image; UNPACK: back
 * @rows, @columns: of the matrix, 1 .. QUIRE_TILED_MAX_DIMENSION each
 * @image_bytes: of the image, as its header says
 * @source:      PACK: dense, any format of CONVERT but MXFP8; UNPACK: the image
 * @destination: PACK: the image; UNPACK: dense, any format of CONVERT but MXFP8
 *
 * The image's format is QUIRE_FORMAT_TILED.  Batch strides are 0.  Source and
 * destination must not overlap.
 *
 * UNPACK checks each tile as a product does and rounds its numbers to the destination's
 * format once.
 *
 * PACK finds the plan in the image: a header with either magic of tiled.h and all
 * descriptors with bits, scale and offset.  It must be one that quire/tiled.h allows in
 * all, also data without gap or overlap, @stored_tiles and @image_bytes: else
 * QUIRE_STATUS_BAD_TILE, and the image is as it was.  Then the card sets the magic to
 * QUIRE_TILED_PLAN; divides each number by 2^s and rounds it to posit<n> once, infinities
 * and NaN to NaR (docs/numerics.md, section 7); writes the data of the tiles, each
 * descriptor's largest and checksum, whose old values do not matter, and zeros between
 * descriptors and data; and last sets the magic to QUIRE_TILED_MAGIC.  So a PACK that
 * failed half-way leaves no image that anybody reads, and the same packet can be run again.
 */
struct quire_packet_pack {
	struct quire_packet_header header;
	uint32_t rows;
	uint32_t columns;
	uint64_t image_bytes;
	struct quire_operand source;
	struct quire_operand destination;
};

QUIRE_ASSERT_LAYOUT(sizeof(struct quire_packet_header) == 16, "header");
QUIRE_ASSERT_LAYOUT(sizeof(struct quire_packet_result) == 64, "result");
QUIRE_ASSERT_LAYOUT(sizeof(struct quire_job_outcome) == 96, "outcome");
QUIRE_ASSERT_LAYOUT(sizeof(struct quire_operand) == 24, "operand");
QUIRE_ASSERT_LAYOUT(sizeof(struct quire_packet_gemm) == 160, "gemm");
QUIRE_ASSERT_LAYOUT(sizeof(struct quire_packet_copy) == 64, "copy");
QUIRE_ASSERT_LAYOUT(sizeof(struct quire_packet_fill) == 48, "fill");
QUIRE_ASSERT_LAYOUT(sizeof(struct quire_packet_convert) == 80, "convert");
QUIRE_ASSERT_LAYOUT(sizeof(struct quire_packet_pack) == 80, "pack");

#endif /* QUIRE_PACKET_H */
