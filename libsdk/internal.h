/* SPDX-License-Identifier: MIT */
/* What the files of libquire share: objects, backends, errors. */
#ifndef QUIRE_INTERNAL_H
#define QUIRE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quire.h>

struct quire_threads;
struct quire_tiled_shape;
struct quire_dense;

#define PAGE_BYTES 4096ull
#define LARGE_PAGE_BYTES (2ull << 20)

struct quire_device {
	atomic_uint references;
	const struct backend *backend;
	struct quire_device_info info;	/* what does not change */
	uint64_t va_start, va_end;
	int fd;				/* card */
	char node[40];			/* card, for messages */
	pthread_mutex_t lock;		/* counters, usage, threads */
	uint64_t counters[QUIRE_DEVICE_COUNTERS];	/* cpu, null */
	struct quire_usage usage;	/* cpu, null */
	struct quire_threads *threads;	/* cpu, made by the first product */
};

struct quire_context {
	atomic_uint references;
	quire_device *device;
	uint32_t vm_id;			/* card */
	pthread_mutex_t lock;		/* the three lists and the addresses */
	quire_buffer *buffers;		/* by rising address */
	quire_queue *queues;
	quire_cmdlist *lists;
	pthread_mutex_t sync_lock;	/* one context_run() at a time */
	quire_queue *sync_queue;
	quire_cmdlist *sync_list;
};

struct quire_buffer {
	quire_context *context;
	quire_buffer *next;
	uint64_t address;
	uint64_t bytes;
	enum quire_placement placement;
	uint32_t handle;		/* card */
	_Atomic(void *) pointer;	/* NULL until mapped */
};

#define SUBMISSIONS_KEPT 64

/* Where the outcome of a submission shows without asking the kernel. */
struct submission {
	uint64_t point;
	quire_cmdlist *list;
	uint64_t last_job;
	const volatile uint32_t *status;	/* of its last command, or NULL */
};

struct quire_queue {
	quire_context *context;
	quire_queue *next;
	pthread_mutex_t lock;		/* all below */
	uint32_t id, syncobj;		/* card */
	uint64_t point;			/* of the newest submission */
	uint64_t jobs;			/* accepted */
	struct submission submissions[SUBMISSIONS_KEPT];	/* card */
	struct quire_fault fault;	/* cpu, null: of the first failed job */
	int fault_code;
	uint64_t fault_job;		/* its number, from 1 */
	uint64_t fault_point;		/* 0: none failed */
	struct quire_queue_info info;	/* cpu, null */
};

/* Addresses from start to before end. */
struct list_span {
	uint64_t start, end;
};

#define LIST_SPANS 64

struct quire_cmdlist {
	quire_context *context;
	quire_cmdlist *next;
	quire_buffer *memory;		/* commands, one result for each, the outcome */
	uint8_t *stream;
	struct quire_packet_result *results;
	struct quire_job_outcome *outcome;
	uint32_t capacity, bytes;
	uint32_t commands;
	uint32_t *offsets;		/* of each command in the stream */
	quire_queue *last_queue;	/* where and as which job it ran last */
	uint64_t last_job;
	uint64_t last_point;		/* of that submission */
	/* again.c: not to be begun again; what it reads, and what it has written as a whole */
	bool once;
	uint32_t read_count, written_count;
	struct list_span read[LIST_SPANS], written[LIST_SPANS];
};

/*
 * What a backend does.  Arguments have been checked; -errno and the error text
 * are set on failure.
 */
struct backend {
	const char *name;
	int (*open)(quire_device *device, const char *name);
	void (*close)(quire_device *device);
	int (*info)(quire_device *device, struct quire_device_info *info);
	int (*counters)(quire_device *device, uint64_t *counters);
	int (*usage)(quire_device *device, struct quire_usage *usage);
	int (*context_create)(quire_context *context);
	void (*context_destroy)(quire_context *context);
	/* Memory at buffer->address, buffer->bytes long. */
	int (*buffer_create)(quire_buffer *buffer);
	void (*buffer_destroy)(quire_buffer *buffer);
	int (*buffer_map)(quire_buffer *buffer, void **pointer);
	int (*queue_create)(quire_queue *queue, enum quire_priority priority, uint32_t limit_ms);
	void (*queue_destroy)(quire_queue *queue);
	/* Called with the queue's lock; queue->point + 1 is the point to signal. */
	int (*submit)(quire_queue *queue, quire_cmdlist *const *lists, uint32_t count,
		      const struct quire_fence *waits, uint32_t wait_count);
	/* 0, -EBUSY (poll with deadline 0), -ETIME or what failed. */
	int (*wait)(quire_queue *queue, uint64_t point, int64_t deadline);
	int (*fault)(quire_queue *queue, struct quire_fault *fault);
	int (*queue_info)(quire_queue *queue, struct quire_queue_info *info);
	/* 0 when all jobs of a point have ended and what they wrote is there, or -EBUSY. */
	int (*settle)(quire_queue *queue, uint64_t point);
};

extern const struct backend quire_backend_card;
extern const struct backend quire_backend_cpu;
extern const struct backend quire_backend_null;

/* Parts of the cpu backend that null shares. */
int cpu_open(quire_device *device, const char *name);
void cpu_close(quire_device *device);
int cpu_info(quire_device *device, struct quire_device_info *info);
int cpu_counters(quire_device *device, uint64_t *counters);
int cpu_usage(quire_device *device, struct quire_usage *usage);
int cpu_context_create(quire_context *context);
void cpu_context_destroy(quire_context *context);
int cpu_buffer_create(quire_buffer *buffer);
void cpu_buffer_destroy(quire_buffer *buffer);
int cpu_buffer_map(quire_buffer *buffer, void **pointer);
int cpu_queue_create(quire_queue *queue, enum quire_priority priority, uint32_t limit_ms);
void cpu_queue_destroy(quire_queue *queue);
int cpu_wait(quire_queue *queue, uint64_t point, int64_t deadline);
int cpu_fault(quire_queue *queue, struct quire_fault *fault);
int cpu_queue_info(quire_queue *queue, struct quire_queue_info *info);
int cpu_settle(quire_queue *queue, uint64_t point);
/* Run the lists one after another; @execute is false for null. */
int cpu_run(quire_queue *queue, quire_cmdlist *const *lists, uint32_t count, bool execute);

/* Check a packet as the firmware does: 0 or the status, with the offset in @detail. */
uint32_t packet_check(const void *packet, uint32_t bytes_left, uint32_t *detail);
/* Name of the field at @offset of a packet, or NULL. */
const char *packet_field(uint16_t opcode, uint32_t offset);
const char *packet_name(uint16_t opcode);

/*
 * Execute a checked packet of @context. Returns enum quire_status and fills
 * @result and @macs (by width, as quire_model_gemm() takes them) or @fault.
 */
uint32_t packet_execute(quire_context *context, const void *packet,
			struct quire_packet_result *result, uint64_t macs[3],
			struct quire_fault *fault);

/*
 * The memory at [address, address + bytes) of a context, or NULL with the first
 * address that is not mapped in @fault.  @system is set when it is system memory.
 */
void *context_translate(quire_context *context, uint64_t address, uint64_t bytes,
			uint64_t *fault, bool *system);

/* Elements of a stored matrix by kind; n elements, no alignment beyond the element's. */
void format_from_f32(uint32_t format, void *out, const float *in, size_t n);
void format_to_f32(uint32_t format, float *out, const void *in, size_t n);

/*
 * Record one command, run it on the context's own queue and wait for it. @record returns
 * the command's number or an error. @result may be NULL.
 */
int context_run(quire_context *context, int (*record)(quire_cmdlist *list, const void *what),
		const void *what, struct quire_packet_result *result);

/* Whether @matrix lies in its buffer and is sound; sets the error naming @name. */
int matrix_check(const struct quire_matrix *matrix, const char *name);
uint64_t matrix_address(const struct quire_matrix *matrix);
/* From its first to its last element, all of a batch; 0: an image, which tells itself. */
uint64_t matrix_bytes(const struct quire_matrix *matrix);

/* again.c: what a command that was appended reads and writes, the reads first. */
void list_reads(quire_cmdlist *list, struct list_span span);
void list_reads_matrix(quire_cmdlist *list, const struct quire_matrix *matrix);
/* @whole: without gaps */
void list_writes(quire_cmdlist *list, struct list_span span, bool whole);
void list_writes_matrix(quire_cmdlist *list, const struct quire_matrix *matrix);
void list_begins_anew(quire_cmdlist *list);
/* Where in its context the outcome of a list's job lies. */
uint64_t cmdlist_outcome_address(const quire_cmdlist *list);
/* A new matrix with the tiled form of @dense; @function is for messages. */
int tiled_pack(quire_context *context, const struct quire_tiled_shape *shape,
	       const struct quire_dense *dense, const struct quire_tile_choice *choices,
	       const char *function, struct quire_matrix *matrix);
/* Decode a tiled matrix, which has been checked and lies at @at, to FP32 or FP64. */
int tiled_get(const struct quire_matrix *matrix, const void *at, void *x, uint32_t format,
	      uint64_t leading_dimension);

/* Forget @list in the queue's submissions: its memory goes away. */
void queue_forget(quire_queue *queue, const quire_cmdlist *list);
/* Set the error of job number @job of the queue, which failed, and return its code. */
int queue_job_error(quire_queue *queue, const struct quire_fault *fault, uint64_t job);
void queue_free_locked(quire_queue *queue);
void cmdlist_free_locked(quire_cmdlist *list);
void buffer_release(quire_buffer *buffer);

/*
 * Give the caller a structure that begins with its size, as far as the caller knows it.
 * 0, or -EINVAL when @size, which the caller has set, is none.
 */
int info_out(void *out, uint32_t size, void *in, uint32_t bytes, const char *function);

/* Set the thread's error and return code. hint may be NULL. */
__attribute__((format(printf, 4, 5)))
int fail(int code, enum quire_layer layer, const char *hint, const char *text, ...);

#endif /* QUIRE_INTERNAL_H */
