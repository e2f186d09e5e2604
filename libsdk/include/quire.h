/* SPDX-License-Identifier: MIT */
/*
 * libquire: matrix products on the Quire card, exact and rounded once.
 *
 * Objects and who owns them
 *
 *	quire_device	a card, or the CPU in its place; counted references
 *	quire_context	an address space on a device, and what a fault can harm
 *	quire_buffer	memory of a context that both sides can reach
 *	quire_queue	jobs of a queue run in order; queues run side by side
 *	quire_cmdlist	recorded commands, to be submitted any number of times
 *	quire_fence	"queue has come to this point", by value
 *	quire_matrix	a view of a buffer as a matrix, by value
 *	quire_pmap	which precision each tile of a matrix needs; counted references
 *
 * A context owns its buffers, queues and lists: the last quire_context_unref()
 * frees what has not been freed before.  A context holds its device.
 *
 * Backends.  The variable QUIRE_BACKEND chooses one for quire_open():
 *	auto	the card when there is one, else cpu (the default)
 *	card	the card, through /dev/accel; an error when there is none
 *	cpu	the same commands on the CPU: same checks, same bits, same digests
 *	null	commands are checked and do nothing; to measure overhead
 *
 * Errors.  Functions that can fail return 0 or a negative error number of
 * errno.h; quire_last_error() says in words what was wrong and what helps.
 * A pointer given as NULL where one is needed is -EINVAL.
 *
 * Threads.  Devices, contexts, buffers and queues may be used from any thread.
 * A command list belongs to one thread at a time.  Nothing may be freed while
 * another thread uses it.  The library starts no thread but the workers of the
 * cpu backend.  All waits go on after a signal (EINTR) and take absolute times
 * of CLOCK_MONOTONIC in nanoseconds.  After fork() the child may use no object
 * that its parent made.
 */
#ifndef QUIRE_H
#define QUIRE_H

#include <stddef.h>
#include <stdint.h>

#include <quire/format.h>
#include <quire/packet.h>

#ifdef __cplusplus
extern "C" {
#endif

#define QUIRE_VERSION_MAJOR 0
#define QUIRE_VERSION_MINOR 1
#define QUIRE_VERSION_PATCH 0

#if defined(__GNUC__)
#define QUIRE_API __attribute__((visibility("default")))
#define QUIRE_MUST_CHECK __attribute__((warn_unused_result))
#else
#define QUIRE_API
#define QUIRE_MUST_CHECK
#endif

typedef struct quire_device quire_device;
typedef struct quire_context quire_context;
typedef struct quire_buffer quire_buffer;
typedef struct quire_queue quire_queue;
typedef struct quire_cmdlist quire_cmdlist;
typedef struct quire_pmap quire_pmap;

/* Version of the library that runs, "0.1.0". */
QUIRE_API const char *quire_version(void);

/* ---- Errors ------------------------------------------------------------- */

/* Who found the error. */
enum quire_layer {
	QUIRE_LAYER_NONE = 0,
	QUIRE_LAYER_LIBRARY = 1,	/* libquire, before anything was sent */
	QUIRE_LAYER_KERNEL = 2,		/* the driver, or the kernel on its behalf */
	QUIRE_LAYER_CARD = 3,		/* firmware or engine, while running a job */
};

/*
 * struct quire_error_info - the last error of the calling thread
 * @code:  as returned: a negative error number, 0 = no error yet
 * @layer: enum quire_layer
 * @text:  what was wrong, naming the field or the file
 * @hint:  what helps; empty when there is nothing to advise
 */
struct quire_error_info {
	int code;
	uint32_t layer;
	char text[256];
	char hint[256];
};

/*
 * The last error of the calling thread as one line, "layer: text (hint)".
 * Valid until the thread's next call of the library; never NULL.
 */
QUIRE_API const char *quire_last_error(void);
QUIRE_API void quire_last_error_info(struct quire_error_info *info);

/* ---- Formats ------------------------------------------------------------ */

/* "posit16", "bf16", "fp32", "mxfp8", "quire", ...; "unknown" for any other code. */
QUIRE_API const char *quire_format_name(uint32_t format);

/* The code of a name as quire_format_name() gives it; QUIRE_FORMAT_NONE if unknown. */
QUIRE_API uint32_t quire_format_parse(const char *name);

/*
 * Bytes one element takes in memory: 1, 2, 4, 8 or 80; 0 for an unknown format and for those
 * whose elements do not stand alone: mxfp8, 33 bytes for 32 elements of a row, and tiled.
 */
QUIRE_API size_t quire_format_bytes(uint32_t format);

/* ---- Devices ------------------------------------------------------------ */

/*
 * struct quire_card_name - a card that is plugged in
 * @index: N of /dev/accel/accelN
 * @bdf:   PCI address, "0000:01:00.0"
 * @node:  path of the device node
 */
struct quire_card_name {
	uint32_t index;
	char bdf[20];
	char node[40];
};

/*
 * List the cards whose driver is loaded, in order of their index.  At most
 * @count entries of @names are filled (NULL with 0 only counts).  Needs no
 * permission on the nodes.  Returns the number of cards, or a negative error.
 */
QUIRE_API int quire_enumerate(struct quire_card_name *names, uint32_t count);

/*
 * Open a device.  @name is NULL (the variable QUIRE_DEVICE, else the first), an
 * index ("0"), a PCI address ("0000:01:00.0") or "serial:NUMBER"; backends
 * without a card ignore it.
 *
 * -ENODEV: no such card; -EACCES: the node may not be opened; -EINVAL: unknown
 * name or QUIRE_BACKEND; -EPROTO: the driver's interface or the card's version is
 * not understood.
 */
QUIRE_API QUIRE_MUST_CHECK int quire_open(const char *name, quire_device **device);

/*
 * Use a node that is open already, as in a sandbox.  The library works on a
 * duplicate: @fd stays the caller's.  Errors as quire_open(); -EBADF, -EPROTO:
 * not a quire node.
 */
QUIRE_API QUIRE_MUST_CHECK int quire_open_fd(int fd, quire_device **device);

QUIRE_API quire_device *quire_device_ref(quire_device *device);
/* The last one closes the device.  NULL is fine. */
QUIRE_API void quire_device_unref(quire_device *device);

/*
 * struct quire_device_info - identity and state of a device
 * @size:      set by the caller to sizeof(struct quire_device_info); fields a
 *             smaller structure does not have are left out
 * @queues, @contexts, @engines: how many the device has
 * @serial:    of the card, 0 without one
 * @card_memory, @card_used: bytes of card memory, bytes in use by everyone
 * @system_used: bytes of system memory in buffers, by everyone
 * @hw_version: major << 16 | minor
 * @fw_release: major << 16 | minor << 8 | patch
 * @interface_version: agreed between driver and firmware
 * @resets:    card resets since the driver was loaded
 * @backend:   "card", "cpu" or "null"
 * @node:      path of the card's node; empty without one, and after quire_open_fd()
 * @vram_lost: times since then that buffers in card memory lost what they held
 */
struct quire_device_info {
	uint32_t size;
	uint32_t queues;
	uint32_t contexts;
	uint32_t engines;
	uint64_t serial;
	uint64_t card_memory;
	uint64_t card_used;
	uint64_t system_used;
	uint32_t hw_version;
	uint32_t fw_release;
	uint32_t interface_version;
	uint32_t resets;
	char backend[8];
	char node[40];
	uint32_t vram_lost;
	uint32_t reserved;
};

QUIRE_API QUIRE_MUST_CHECK int quire_device_get_info(quire_device *device,
						     struct quire_device_info *info);

/* Counters a device keeps, and their number; see quire_device_get_counters(). */
#define QUIRE_DEVICE_COUNTERS 16

/*
 * Counters since device reset, in the order of enum quire_counter of
 * quire/hw.h: cycles, jobs, packets, MACs by format, bytes moved, modelled
 * energy, faults, errors, temperature.  They tell what all users of a card do: -EACCES
 * without CAP_PERFMON; quire_device_get_usage() is for everybody.  Backends without a card
 * count cycles, jobs, packets, MACs and modelled energy of this device object.
 */
QUIRE_API QUIRE_MUST_CHECK int quire_device_get_counters(quire_device *device,
					uint64_t counters[QUIRE_DEVICE_COUNTERS]);

/*
 * struct quire_usage - what was done for this device object, in all its queues
 * @size:    set by the caller to sizeof(struct quire_usage), as with struct quire_device_info
 * @jobs:    that have ended
 * @busy_ns: time the device worked on them, which excludes waiting for others
 * @macs:    multiply-accumulates
 * @cycles, @modelled_pj: modelled, not measured
 */
struct quire_usage {
	uint32_t size;
	uint32_t reserved;
	uint64_t jobs;
	uint64_t busy_ns;
	uint64_t macs;
	uint64_t cycles;
	uint64_t modelled_pj;
};

QUIRE_API QUIRE_MUST_CHECK int quire_device_get_usage(quire_device *device,
						      struct quire_usage *usage);

/* ---- Contexts ----------------------------------------------------------- */

/*
 * An address space.  @flags is 0.  There may be more than the card has: those with work
 * take turns.  -EMFILE: the device object has 1024 of them.
 */
QUIRE_API QUIRE_MUST_CHECK int quire_context_create(quire_device *device, uint32_t flags,
						    quire_context **context);
QUIRE_API quire_context *quire_context_ref(quire_context *context);
/* The last one waits for the context's jobs and frees all it owns. NULL is fine. */
QUIRE_API void quire_context_unref(quire_context *context);

/* ---- Buffers ------------------------------------------------------------ */

enum quire_placement {
	QUIRE_PLACEMENT_CARD = 0,	/* card memory: fast for the card */
	QUIRE_PLACEMENT_SYSTEM = 1,	/* system memory: fast for the CPU */
};

/*
 * Memory of zeros, @bytes > 0 rounded up to 4 KiB, readable and writable by the
 * context's jobs.  -ENOSPC: more than the placement can hold; -ENOMEM.
 */
QUIRE_API QUIRE_MUST_CHECK int quire_buffer_create(quire_context *context, uint64_t bytes,
						   enum quire_placement placement,
						   quire_buffer **buffer);
/* Jobs that use the buffer must have finished. NULL is fine. */
QUIRE_API void quire_buffer_free(quire_buffer *buffer);

/* Address of the buffer as packets name it, and its size in bytes. */
QUIRE_API uint64_t quire_buffer_address(const quire_buffer *buffer);
QUIRE_API uint64_t quire_buffer_bytes(const quire_buffer *buffer);

/*
 * The buffer in the caller's memory, until it is freed.  Not ordered against
 * jobs: wait for their fence before reading what they write.
 */
QUIRE_API QUIRE_MUST_CHECK int quire_buffer_map(quire_buffer *buffer, void **pointer);

/* Copy @bytes at byte @offset out of or into the buffer. -EINVAL: outside of it. */
QUIRE_API QUIRE_MUST_CHECK int quire_buffer_read(quire_buffer *buffer, uint64_t offset,
						 void *data, uint64_t bytes);
QUIRE_API QUIRE_MUST_CHECK int quire_buffer_write(quire_buffer *buffer, uint64_t offset,
						  const void *data, uint64_t bytes);

/* ---- Matrices ----------------------------------------------------------- */

/*
 * struct quire_matrix - row-major matrices in a buffer
 * @buffer:  memory
 * @offset:  of element (0, 0) in bytes
 * @format:  QUIRE_FORMAT_*
 * @rows, @columns: shape as stored, each >= 1
 * @leading_dimension: elements from one row to the next, >= columns
 * @batch:   number of matrices
 * @batch_stride: elements from one to the next; 0 with batch 1
 *
 * The fields may be changed: a part of a matrix is a matrix.
 *
 * MXFP8 is a format of A and B of products and of conversions.  Its rows are blocks of 32
 * elements behind a shared scale (quire/format.h): leading_dimension and batch_stride are
 * multiples of 32, quire_matrix_alloc() rounds up to that, and a part starts at a block, column
 * 32 b at byte 33 b of its row.
 */
struct quire_matrix {
	quire_buffer *buffer;
	uint64_t offset;
	uint32_t format;
	uint32_t rows;
	uint32_t columns;
	uint32_t leading_dimension;
	uint32_t batch;
	uint32_t reserved;
	uint64_t batch_stride;
};

/*
 * A new buffer in card memory with one matrix of zeros.  -EINVAL: unknown format
 * or a size of 0; errors of quire_buffer_create().
 */
QUIRE_API QUIRE_MUST_CHECK int quire_matrix_alloc(quire_context *context, uint32_t format,
						  uint32_t rows, uint32_t columns,
						  struct quire_matrix *matrix);
/* The same with @batch matrices and a choice of placement. */
QUIRE_API QUIRE_MUST_CHECK int quire_matrix_alloc_batch(quire_context *context, uint32_t format,
							uint32_t rows, uint32_t columns,
							uint32_t batch,
							enum quire_placement placement,
							struct quire_matrix *matrix);
/* Free the matrix's buffer, and with it all views of it. */
QUIRE_API void quire_matrix_free(struct quire_matrix *matrix);

/*
 * Convert between the matrix and floats or doubles in the caller's memory, with one
 * rounding per element: to nearest, ties to even.  @x holds batch * rows rows, each
 * @leading_dimension numbers from the next (>= columns).  Posits round as
 * the Posit Standard says; NaN becomes NaR and back.  MXFP8 takes a scale for each block
 * from the numbers it gets (docs/numerics.md).  Not ordered against jobs.  Not for quire images.
 */
QUIRE_API QUIRE_MUST_CHECK int quire_matrix_put_f32(const struct quire_matrix *matrix,
						    const float *x, uint64_t leading_dimension);
QUIRE_API QUIRE_MUST_CHECK int quire_matrix_get_f32(const struct quire_matrix *matrix, float *x,
						    uint64_t leading_dimension);
QUIRE_API QUIRE_MUST_CHECK int quire_matrix_put_f64(const struct quire_matrix *matrix,
						    const double *x, uint64_t leading_dimension);
QUIRE_API QUIRE_MUST_CHECK int quire_matrix_get_f64(const struct quire_matrix *matrix, double *x,
						    uint64_t leading_dimension);

/* ---- Tiled matrices ----------------------------------------------------- */

/*
 * A matrix whose tiles are each stored as posit<n> times 2^s, with n and s of their own
 * (quire/tiled.h): an operand A or B of products, transposed or not, where it counts as
 * the numbers it decodes to, exactly.  Empty tiles take neither room nor time.  In
 * struct quire_matrix its format is QUIRE_FORMAT_TILED, offset and batch_stride are
 * bytes, multiples of 64, and leading_dimension is 0.
 */

/*
 * A new buffer in card memory with the tiled form of @x: rows x columns floats, each row
 * @leading_dimension floats (>= columns) from the next.  Tiles are 32 x 32, 16 x 16,
 * 64 x 64 or 1 x 256; @choices has n and s of each, row-major over the grid of tiles.
 * Every element is divided by 2^s and rounded to posit<n> once; infinities and NaN
 * become NaR.  -EINVAL: a shape or a choice is not allowed, and the text names it; errors
 * of quire_buffer_create().  quire_matrix_get_f32() reads it back.
 */
QUIRE_API QUIRE_MUST_CHECK int quire_matrix_pack_f32(quire_context *context, uint32_t rows,
						     uint32_t columns, uint32_t tile_rows,
						     uint32_t tile_columns,
						     const struct quire_tile_choice *choices,
						     const float *x, uint64_t leading_dimension,
						     struct quire_matrix *matrix);

/*
 * A new buffer in card memory with room for a tiled matrix of this plan (@choices as
 * above), for quire_matrix_pack().  Until then it is no operand: a job that reads it fails.
 * -EINVAL, -ENOSPC: a shape or a choice is not allowed; errors of quire_buffer_create().
 */
QUIRE_API QUIRE_MUST_CHECK int quire_matrix_alloc_tiled(quire_context *context, uint32_t rows,
							uint32_t columns, uint32_t tile_rows,
							uint32_t tile_columns,
							const struct quire_tile_choice *choices,
							struct quire_matrix *matrix);

/*
 * Pack dense @source into tiled @destination, and unpack tiled @source to dense
 * @destination, on the card; same shape, batch 1.  Dense matrices have any format but the
 * quire image.  Packing keeps n and s of the destination's tiles, from
 * quire_matrix_alloc_tiled() or whatever it held before; each number is divided by 2^s and
 * rounded once, infinities and NaN become NaR.  Unpacking checks every tile and rounds
 * once.  @result (may be NULL): digest (packing: that of the .qtn file; unpacking: of the
 * numbers), modelled cycles and energy, bytes moved.  Calls of one context take turns.
 *
 * -EINVAL: a field is wrong, and the text names it; -EFAULT: a tile or the header is
 * wrong, and the text says which.  A tiled matrix whose packing failed is no operand until it
 * is packed again.
 */
QUIRE_API QUIRE_MUST_CHECK int quire_matrix_pack(const struct quire_matrix *destination,
						 const struct quire_matrix *source,
						 struct quire_packet_result *result);
QUIRE_API QUIRE_MUST_CHECK int quire_matrix_unpack(const struct quire_matrix *destination,
						   const struct quire_matrix *source,
						   struct quire_packet_result *result);

/*
 * A new buffer in card memory with the matrix of a .qtn file, and a .qtn file of a
 * matrix (batch 1).  A file appears whole or not at all.  -EINVAL: not such a file, or
 * cut off; -EBADMSG: its data do not match their checksums, and the text names the tile;
 * errors of open() and write().
 */
QUIRE_API QUIRE_MUST_CHECK int quire_matrix_load_qtn(quire_context *context, const char *path,
						     struct quire_matrix *matrix);
QUIRE_API QUIRE_MUST_CHECK int quire_matrix_save_qtn(const struct quire_matrix *matrix,
						     const char *path);

/* ---- Precision maps ----------------------------------------------------- */

/* What is given to quire_advise(); the rest is made as good as it can be under it. */
enum quire_goal {
	QUIRE_GOAL_ERROR = 0,	/* tau; least bytes */
	QUIRE_GOAL_BYTES = 1,	/* image_bytes; least error */
	QUIRE_GOAL_ENERGY = 2,	/* modelled_pj; least error */
};

/*
 * struct quire_advise_desc - which matrix, and what it may cost
 * @size:   sizeof(struct quire_advise_desc)
 * @goal:   enum quire_goal
 * @x, @format, @rows, @columns, @leading_dimension: a matrix in the caller's memory:
 *          format QUIRE_FORMAT_FP32 or _FP64, each row @leading_dimension numbers
 *          (>= columns) from the next
 * @matrix: or a matrix of the SDK (batch 1, not of quire images), dense or tiled; then
 *          @x is NULL and the four beside it are 0.  Not ordered against jobs.
 * @tile_rows, @tile_columns: 32 x 32, 16 x 16, 64 x 64 or 1 x 256; 0 and 0: 32 x 32
 * @tau:    QUIRE_GOAL_ERROR: bound of the relative error in the Frobenius norm,
 *          ||W^(1/2) (A - A')|| <= tau ||W^(1/2) A||; 2^-90 .. 1
 * @image_bytes: QUIRE_GOAL_BYTES: of the tiled image, header and descriptors included
 * @modelled_pj: QUIRE_GOAL_ENERGY: picojoule of one use of the matrix, a product with
 *          @product_columns columns, by the model of quire/model.h, which is arithmetic
 *          and no measurement: multiply-accumulates at the widths of the tiles, and
 *          the bytes of the tiles once from card memory
 * @product_columns: 0 counts as 1, a product with a vector
 * @weights: columns finite numbers w >= 0, the mean square of the activation that meets
 *          each column, from a calibration batch; NULL: all 1
 * @widths: bit n set: n bits (0, 3 .. 32) may be used; 0: all of them
 * @progress: called now and then on the calling thread with @argument and the part done,
 *          0 .. 1; other than 0 gives up.  NULL: not called
 */
struct quire_advise_desc {
	uint32_t size;
	uint32_t goal;
	const void *x;
	uint64_t leading_dimension;
	uint32_t format;
	uint32_t rows;
	uint32_t columns;
	uint32_t product_columns;
	const struct quire_matrix *matrix;
	uint32_t tile_rows;
	uint32_t tile_columns;
	double tau;
	uint64_t image_bytes;
	uint64_t modelled_pj;
	const float *weights;
	uint64_t widths;
	int (*progress)(void *argument, double done);
	void *argument;
};

/*
 * Choose bits and scale of every tile by the errors they would make, measured for every
 * width, and certify the error of the choice with exact sums.  More budget never costs more
 * error.  @device lends its threads (cpu backend); NULL, or a card: the calling thread
 * alone.  The map is the same everywhere.  Takes about 300 bytes per tile.
 *
 * -EINVAL: a field is wrong, and the text names it; -EDOM: an element is infinite or
 * NaN, and the text says where; -ERANGE: the goal cannot be met; -ENOMEM; -ECANCELED:
 * @progress gave up; errors of quire_buffer_map().
 */
QUIRE_API QUIRE_MUST_CHECK int quire_advise(quire_device *device,
					    const struct quire_advise_desc *desc,
					    quire_pmap **pmap);

/* A map never changes: it may be used from any thread, with any context. */
QUIRE_API quire_pmap *quire_pmap_ref(quire_pmap *pmap);
/* The last one frees it. NULL is fine. */
QUIRE_API void quire_pmap_unref(quire_pmap *pmap);

/*
 * struct quire_pmap_info - a map as a whole
 * @size:      set by the caller to sizeof(struct quire_pmap_info), as with
 *             struct quire_device_info
 * @goal, @product_columns: as asked, product_columns at least 1
 * @rows, @columns, @tile_rows, @tile_columns: shape
 * @grid_rows, @grid_columns: tiles from top to bottom and from left to right
 * @error:     certified: the relative error of the packed matrix is at most this, and no
 *             more than 2^-40 of it less; weighted when weights were given
 * @norm:      Frobenius norm of the matrix, weighted likewise
 * @bits_per_element: of the tiles' data
 * @image_bytes, @data_bytes: of the tiled image; of the tiles' data alone
 * @modelled_pj: of one use, see struct quire_advise_desc
 * @tiles:     how many tiles have n bits, n = 0 .. 32
 *
 * A product of matrices with errors tA and tB is off by at most
 * (tA + tB + tA tB) ||A|| ||B|| and one rounding, whatever the length of its sums.
 */
struct quire_pmap_info {
	uint32_t size;
	uint32_t goal;
	uint32_t rows;
	uint32_t columns;
	uint32_t tile_rows;
	uint32_t tile_columns;
	uint32_t grid_rows;
	uint32_t grid_columns;
	uint32_t product_columns;
	uint32_t reserved;
	double error;
	double norm;
	double bits_per_element;
	uint64_t image_bytes;
	uint64_t data_bytes;
	uint64_t modelled_pj;
	uint64_t tiles[33];
};

QUIRE_API QUIRE_MUST_CHECK int quire_pmap_get_info(const quire_pmap *pmap,
						   struct quire_pmap_info *info);

/* Bits and scale of one tile of the grid. -EINVAL: there is no such tile. */
QUIRE_API QUIRE_MUST_CHECK int quire_pmap_get_tile(const quire_pmap *pmap, uint32_t tile_row,
						   uint32_t tile_column,
						   struct quire_tile_choice *choice);

/*
 * The map as JSON, schema quire-pmap/1: the figures of struct quire_pmap_info under their
 * names, and "bits" and "scale" as arrays of rows of the grid.  At most @bytes - 1
 * characters and a NUL are written to @text (NULL with 0: none).  Returns the length of
 * the whole text, 0 without a map.
 */
QUIRE_API size_t quire_pmap_json(const quire_pmap *pmap, char *text, size_t bytes);

/*
 * quire_matrix_pack_f32() with shape and tiles of a map.  Its error holds for the numbers
 * it was made from; others of the same shape, such as weights some steps of training
 * later, may be packed with it too.
 */
QUIRE_API QUIRE_MUST_CHECK int quire_matrix_pack_pmap_f32(quire_context *context,
							  const quire_pmap *pmap, const float *x,
							  uint64_t leading_dimension,
							  struct quire_matrix *matrix);
QUIRE_API QUIRE_MUST_CHECK int quire_matrix_pack_pmap_f64(quire_context *context,
							  const quire_pmap *pmap, const double *x,
							  uint64_t leading_dimension,
							  struct quire_matrix *matrix);

/* ---- Queues and fences -------------------------------------------------- */

enum quire_priority {
	QUIRE_PRIORITY_NORMAL = 0,
	QUIRE_PRIORITY_LOW = 1,
	QUIRE_PRIORITY_HIGH = 2,	/* needs CAP_SYS_NICE on the card */
};

/*
 * A queue.  @time_limit_ms: longest time the card may work on one job, 0 = the device's
 * default.  There may be more than the card has: those with work take turns.
 * -EMFILE: the device object has 1024 of them; -EACCES: priority not allowed.
 */
QUIRE_API QUIRE_MUST_CHECK int quire_queue_create(quire_context *context,
						  enum quire_priority priority,
						  uint32_t time_limit_ms, quire_queue **queue);
/* Jobs that have not run are cancelled. NULL is fine. */
QUIRE_API void quire_queue_free(quire_queue *queue);

/*
 * struct quire_fence - the moment a queue finishes a submission.  A fence of all
 * zeros has always passed.  Valid as long as its queue.
 */
struct quire_fence {
	quire_queue *queue;
	uint64_t point;
};

/*
 * Run @count lists (1 .. 256), one job each, in order, when all @wait_count
 * fences of @waits have passed.  @fence (may be NULL) passes when all are done.
 * A list may be submitted again at once; its results are those of the last run.
 * It must not be changed or freed before its fence has passed.
 *
 * -ECANCELED: an earlier job of the queue failed (quire_queue_get_fault());
 * make a new queue.
 */
QUIRE_API QUIRE_MUST_CHECK int quire_queue_submit(quire_queue *queue, quire_cmdlist *const *lists,
						  uint32_t count, const struct quire_fence *waits,
						  uint32_t wait_count, struct quire_fence *fence);

#define QUIRE_FOREVER INT64_MAX

/* CLOCK_MONOTONIC now plus @nanoseconds, for quire_fence_wait(). */
QUIRE_API int64_t quire_deadline(int64_t nanoseconds);

/*
 * Wait until the fence has passed or it is @deadline (CLOCK_MONOTONIC,
 * nanoseconds; QUIRE_FOREVER).  Returns as quire_fence_status(), -ETIME at
 * the deadline.
 */
QUIRE_API QUIRE_MUST_CHECK int quire_fence_wait(struct quire_fence fence, int64_t deadline);

/*
 * 0: passed, all its jobs succeeded.  -EBUSY: not yet.  Otherwise a job of the
 * queue failed: -EFAULT bad packet, stream, address or tile; -ETIMEDOUT over the time
 * limit; -ECANCELED queue or process ended; -ERANGE accumulator limit; -EIO
 * engine or card failure.  The text names packet and field.
 */
QUIRE_API QUIRE_MUST_CHECK int quire_fence_status(struct quire_fence fence);

/*
 * struct quire_fault - the first job of a queue that failed
 * @status:  enum quire_status of quire/packet.h; 0 = none failed
 * @packet:  byte offset of the packet in its list
 * @detail:  for a bad packet, byte offset of the field in the packet
 * @info:    for an address, QUIRE_FAULT_* of quire/hw.h
 * @address: for an address, the address
 *
 * For a tiled operand (QUIRE_STATUS_BAD_TILE) @address is tile row << 32 | tile column,
 * or all ones for its header, @detail the byte offset of the field in struct quire_tile
 * or quire_tiled_header, and @info names the operand.
 */
struct quire_fault {
	uint32_t status;
	uint32_t packet;
	uint32_t detail;
	uint32_t info;
	uint64_t address;
};

QUIRE_API QUIRE_MUST_CHECK int quire_queue_get_fault(quire_queue *queue, struct quire_fault *fault);

/* What resets of the card meant for a queue. */
enum quire_queue_reset {
	QUIRE_QUEUE_RESET_NONE = 0,	/* none came while its jobs were on the card */
	/*
	 * Its jobs on the card were run again; a list in progress that writes what it reads (D is C,
	 * say) or holds raw packets could not be, and ended with -EIO.
	 */
	QUIRE_QUEUE_RESET_INNOCENT = 1,
	QUIRE_QUEUE_RESET_GUILTY = 2,	/* a job of it was the reason: make a new queue */
};

/*
 * struct quire_queue_info - what a queue has done
 * @size:      set by the caller to sizeof(struct quire_queue_info), as with
 *             struct quire_device_info
 * @reset:     enum quire_queue_reset
 * @submitted, @completed: jobs accepted; jobs that have ended, with or without error
 * @busy_ns:   time the device worked on its jobs, which excludes waiting for others
 * @macs:      multiply-accumulates
 * @cycles, @modelled_pj: modelled, not measured
 * @rerun:     jobs that were run again after a reset
 */
struct quire_queue_info {
	uint32_t size;
	uint32_t reset;
	uint64_t submitted;
	uint64_t completed;
	uint64_t busy_ns;
	uint64_t macs;
	uint64_t cycles;
	uint64_t modelled_pj;
	uint32_t rerun;
	uint32_t reserved;
};

QUIRE_API QUIRE_MUST_CHECK int quire_queue_get_info(quire_queue *queue,
						    struct quire_queue_info *info);

/* ---- Products ----------------------------------------------------------- */

/*
 * struct quire_gemm_desc - D = act(round(alpha * op(A) op(B) + beta * C + bias))
 * @size:  sizeof(struct quire_gemm_desc)
 * @flags: QUIRE_GEMM_TRANSPOSE_A, _TRANSPOSE_B, _BIAS_COLUMN, _BIAS_ROW, _RELU
 *         of quire/packet.h
 * @mode:  QUIRE_GEMM_MODE_EXACT, or QUIRE_GEMM_MODE_FP32 for BF16 inputs
 * @alpha, @beta: finite, taken exactly
 * @a, @b: op(A) is m x k, op(B) is k x n; transposed ones are stored k x m, n x k
 * @c:     m x n, or NULL with beta 0
 * @d:     m x n, any format; may be C itself; may not overlap A, B or bias
 * @bias:  vector (1 x n for BIAS_COLUMN, 1 x m for BIAS_ROW) or NULL
 *
 * Formats may differ; A and B may be tiled.  D as QUIRE_FORMAT_QUIRE holds the exact sum, so that
 * parts of a long sum, made anywhere in any order, add up to the same bits.
 * With batches all of A, B, C, D have D's count or 1 (shared); the bias is shared.
 */
struct quire_gemm_desc {
	uint32_t size;
	uint32_t flags;
	uint32_t mode;
	float alpha;
	float beta;
	uint32_t reserved;
	const struct quire_matrix *a;
	const struct quire_matrix *b;
	const struct quire_matrix *c;
	const struct quire_matrix *d;
	const struct quire_matrix *bias;
};

/* D = A B, to be filled with operands and changed as needed. */
#define QUIRE_GEMM_DESC_INIT                                                                       \
	{ sizeof(struct quire_gemm_desc), 0, QUIRE_GEMM_MODE_EXACT, 1.0f, 0.0f, 0, NULL, NULL,     \
	  NULL, NULL, NULL }

/*
 * Compute one product and wait for it.  @result (may be NULL) gets digest,
 * MACs, modelled cycles and energy, and bytes moved.  Calls of one context take
 * turns.  -EINVAL: a field is wrong, and the text names it.
 */
QUIRE_API QUIRE_MUST_CHECK int quire_gemm_run(quire_context *context,
					      const struct quire_gemm_desc *desc,
					      struct quire_packet_result *result);

/* quire_gemm_run() of D = A B. */
QUIRE_API QUIRE_MUST_CHECK int quire_matmul(quire_context *context, const struct quire_matrix *a,
					    const struct quire_matrix *b,
					    const struct quire_matrix *d);

/* ---- Command lists ------------------------------------------------------ */

/*
 * An empty list with room for about @bytes of commands (160 for a product, 64
 * for a copy, 48 for a fill, 80 for a conversion, for packing and unpacking), at most 65536; 0 = 4096.
 * An empty list is a job that does nothing but signal its fence.
 */
QUIRE_API QUIRE_MUST_CHECK int quire_cmdlist_create(quire_context *context, uint32_t bytes,
						    quire_cmdlist **list);
/* Forget what was recorded. The list's jobs must have finished. */
QUIRE_API void quire_cmdlist_reset(quire_cmdlist *list);
QUIRE_API void quire_cmdlist_free(quire_cmdlist *list);

/*
 * Record one command behind those there are.  Operands are looked at now, their
 * contents when the job runs; each command sees what those before it wrote.
 * Return the number of the command, from 0, for quire_cmdlist_result(), or
 * -EINVAL (a field is wrong), -ENOSPC (the list is full).
 */
QUIRE_API QUIRE_MUST_CHECK int quire_cmdlist_gemm(quire_cmdlist *list,
						  const struct quire_gemm_desc *desc);
/* Copy @bytes; ranges must not overlap. Offsets are in bytes and need no alignment. */
QUIRE_API QUIRE_MUST_CHECK int quire_cmdlist_copy(quire_cmdlist *list, quire_buffer *destination,
						  uint64_t destination_offset, quire_buffer *source,
						  uint64_t source_offset, uint64_t bytes);
/* Fill @bytes at @offset, both multiples of 8, with a pattern of 64 bits. */
QUIRE_API QUIRE_MUST_CHECK int quire_cmdlist_fill(quire_cmdlist *list, quire_buffer *buffer,
						  uint64_t offset, uint64_t bytes,
						  uint64_t pattern);
/* Convert to @destination's format, same shape, batch 1, one rounding per element. */
QUIRE_API QUIRE_MUST_CHECK int quire_cmdlist_convert(quire_cmdlist *list,
						     const struct quire_matrix *destination,
						     const struct quire_matrix *source);
/* As quire_matrix_pack() and quire_matrix_unpack(). */
QUIRE_API QUIRE_MUST_CHECK int quire_cmdlist_pack(quire_cmdlist *list,
						  const struct quire_matrix *destination,
						  const struct quire_matrix *source);
QUIRE_API QUIRE_MUST_CHECK int quire_cmdlist_unpack(quire_cmdlist *list,
						    const struct quire_matrix *destination,
						    const struct quire_matrix *source);
/*
 * Record a packet as it is (quire/packet.h); the library sets only its result
 * address and the card does the checking.
 */
QUIRE_API QUIRE_MUST_CHECK int quire_cmdlist_packet(quire_cmdlist *list, const void *packet,
						    uint32_t bytes);

/*
 * What command @command did in the last run of the list; valid when the fence of
 * that run has passed with success.  -EINVAL: no such command; -ENODATA: it has
 * not run.
 */
QUIRE_API QUIRE_MUST_CHECK int quire_cmdlist_result(const quire_cmdlist *list, uint32_t command,
						    struct quire_packet_result *result);

/*
 * What became of the last run of the list as a whole: status, and of a job that failed
 * where; MACs, modelled cycles and energy, the digest over its commands; when it began and
 * ended, and how long the device worked on it.  Also after a failure.  -EBUSY: its fence has
 * not passed; -ENODATA: the list is empty or has not run, or was ended from outside (time
 * limit, reset, an earlier failure, the end of its queue), of which its fence tells.
 */
QUIRE_API QUIRE_MUST_CHECK int quire_cmdlist_outcome(const quire_cmdlist *list,
						     struct quire_job_outcome *outcome);

#ifdef __cplusplus
}
#endif

#endif /* QUIRE_H */
