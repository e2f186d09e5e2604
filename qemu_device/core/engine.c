// SPDX-License-Identifier: MIT
/*
 * Engines: take a band from the firmware, run it here when it is short and on the
 * engine's thread when it is not, and report in the band.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <quirenum/gemm.h>
#include <quirenum/threads.h>

#include "internal.h"

/*
 * Below about 20 us of the host: cheaper than waking a thread.  The guest's
 * processor waits meanwhile, so a row or a matrix of a batch, which cost time
 * however small they are, count as well.
 */
#define INLINE_MACS 65536u
#define INLINE_BYTES 131072u
#define ROW_BYTES 256u

/* Of the host's time, in instructions of the processor: a band handed over, one run here. */
#define START_COST 500
#define INLINE_COST 1500

bool engine_stopped(const struct engine *engine)
{
	return __atomic_load_n(&engine->cancel, __ATOMIC_RELAXED) ||
	       atomic_load(&engine->device->stopped) || quire_device_in_reset(engine->device);
}

void engine_fault(const struct band_job *job, const struct fault *fault, uint32_t unit)
{
	job->band->status = QUIRE_STATUS_MMU_FAULT;
	job->band->fault_info = fault->info | unit << QUIRE_FAULT_UNIT_SHIFT;
	job->band->fault_address = fault->address;
}

static bool injected(const struct engine *engine, enum quire_injection injection)
{
	return atomic_load(&engine->device->injected[injection]) >> engine->number & 1;
}

static bool hangs(const struct engine *engine)
{
	return injected(engine, QUIRE_INJECT_ENGINE_HANG) ||
	       injected(engine, QUIRE_INJECT_ENGINE_DEAF) ||
	       injected(engine, QUIRE_INJECT_ENGINE_STUCK) ||
	       injected(engine, QUIRE_INJECT_ENGINE_FROZEN);
}

/* What ends an injected hang, besides its own end. */
static bool obeys(const struct engine *engine)
{
	struct quire_device *device = engine->device;

	if (atomic_load(&device->quit))
		return true;
	if (injected(engine, QUIRE_INJECT_ENGINE_FROZEN))
		return false;
	if (quire_device_in_reset(device))
		return true;
	if (injected(engine, QUIRE_INJECT_ENGINE_STUCK))
		return false;
	return injected(engine, QUIRE_INJECT_ENGINE_DEAF) ? atomic_load(&device->stopped) :
							    engine_stopped(engine);
}

static void hang(struct engine *engine)
{
	const struct timespec pause = { 0, 1000000 };

	while (hangs(engine) && !obeys(engine))
		nanosleep(&pause, NULL);
}

/* An engine starts at a scale of each MXFP8 operand, and writes whole blocks of it. */
static bool keeps_blocks(const struct engine_work *work)
{
	const struct quire_band *band = &work->band;
	const struct quire_packet_convert *convert = &work->packet.convert;

	if (work->packet.header.opcode == QUIRE_PACKET_GEMM)
		return band->row % quire_check_row_unit(&work->packet.gemm) == 0 &&
		       band->column % quire_check_column_unit(&work->packet.gemm) == 0;
	if (work->packet.header.opcode != QUIRE_PACKET_CONVERT ||
	    (convert->source.format != QUIRE_FORMAT_MXFP8 &&
	     convert->destination.format != QUIRE_FORMAT_MXFP8))
		return true;
	return band->column % QUIRE_MX_ELEMENTS == 0 &&
	       (band->columns % QUIRE_MX_ELEMENTS == 0 ||
		band->columns == convert->columns - band->column);
}

static bool inside(uint32_t first, uint32_t count, uint64_t total)
{
	return count && (uint64_t)first + count <= total;
}

/*
 * The firmware has checked all this before.  But it is a program that the guest
 * loads, so nothing it may hand over must lead an engine out of its operands.
 */
static bool is_valid(const struct engine_work *work)
{
	const struct quire_band *band = &work->band;
	uint64_t rows, columns = 1, batches = 1;
	uint32_t status;

	if (band->context >= QUIRE_CONTEXTS ||
	    quire_packet_check_header(&work->packet.header) != QUIRE_NO_FIELD ||
	    quire_packet_check(&work->packet, &status) != QUIRE_NO_FIELD)
		return false;
	switch (work->packet.header.opcode) {
	case QUIRE_PACKET_GEMM:
		rows = work->packet.gemm.m;
		columns = work->packet.gemm.n;
		batches = work->packet.gemm.batch;
		break;
	case QUIRE_PACKET_CONVERT:
		rows = work->packet.convert.rows;
		columns = work->packet.convert.columns;
		break;
	case QUIRE_PACKET_PACK:
	case QUIRE_PACKET_UNPACK:
		rows = work->packet.pack.rows;
		columns = work->packet.pack.columns;
		break;
	case QUIRE_PACKET_COPY:
		rows = work->packet.copy.rows;
		columns = (work->packet.copy.row_bytes - 1) / QUIRE_BAND_PIECE_BYTES + 1;
		break;
	case QUIRE_PACKET_FILL:
		rows = (work->packet.fill.bytes - 1) / QUIRE_BAND_PIECE_BYTES + 1;
		break;
	default:
		return false;
	}
	return inside(band->row, band->rows, rows) && inside(band->column, band->columns, columns) &&
	       inside(band->batch, band->batches, batches) && keeps_blocks(work);
}

/* False when the band or the packet makes no sense; the status is then set. */
static bool fetch(struct engine *engine, uint32_t offset, struct engine_work *work)
{
	const uint8_t *sram = engine->device->mcu.sram;
	uint32_t packet;

	memcpy(&work->band, sram + offset, sizeof(work->band));
	memset(&work->band.status, 0, sizeof(work->band) - offsetof(struct quire_band, status));
	packet = work->band.packet - QUIRE_SRAM_BASE;
	if (packet <= QUIRE_SRAM_BYTES - sizeof(work->packet) && !(packet & 7)) {
		memcpy(&work->packet, sram + packet, sizeof(work->packet));
		if (is_valid(work))
			return true;
	}
	work->band.status = QUIRE_STATUS_ENGINE_ERROR;
	work->band.detail = EINVAL;
	return false;
}

static bool is_short(const struct engine_work *work)
{
	const struct quire_band *band = &work->band;

	switch (work->packet.header.opcode) {
	case QUIRE_PACKET_GEMM:
		return engine_gemm_work(&work->packet.gemm, band) <= INLINE_MACS;
	case QUIRE_PACKET_CONVERT:
		return engine_convert_work(&work->packet.convert, band) <= INLINE_MACS;
	case QUIRE_PACKET_PACK:
	case QUIRE_PACKET_UNPACK:
		return engine_pack_work(&work->packet.pack, band) <= INLINE_MACS;
	case QUIRE_PACKET_COPY:
		return work->packet.copy.row_bytes + ROW_BYTES <= INLINE_BYTES / band->rows;
	case QUIRE_PACKET_FILL:
		return work->packet.fill.bytes <= INLINE_BYTES;
	}
	return true;
}

static void account(struct quire_device *device, const struct engine_work *work,
		    const uint64_t macs_by_width[3])
{
	const struct quire_packet_gemm *gemm = &work->packet.gemm;
	const struct quire_band *band = &work->band;

	if (gemm->header.opcode == QUIRE_PACKET_GEMM && quire_packet_is_tiled(gemm))
		for (uint32_t width = 0; width < 3; width++)
			device_count(device, quire_model_tiled(gemm, width).counter,
				     macs_by_width[width]);
	else if (gemm->header.opcode == QUIRE_PACKET_GEMM)
		device_count(device,
			     quire_model_product(gemm->a.format, gemm->b.format, gemm->mode).counter,
			     band->macs);
	device_count(device, QUIRE_COUNTER_CYCLES, band->cycles);
	device_count(device, QUIRE_COUNTER_MODELLED_PJ, band->modelled_pj);
}

static void run(struct engine *engine, struct engine_work *work)
{
	uint64_t macs_by_width[3] = { 0 };
	struct band_job job = { engine, &work->band, &work->packet, macs_by_width };

	if (engine_stopped(engine)) {
		work->band.status = QUIRE_STATUS_CANCELLED;
		return;
	}
	switch (work->packet.header.opcode) {
	case QUIRE_PACKET_GEMM: engine_gemm(&job); break;
	case QUIRE_PACKET_CONVERT: engine_convert(&job); break;
	case QUIRE_PACKET_PACK: engine_pack(&job); break;
	case QUIRE_PACKET_UNPACK: engine_unpack(&job); break;
	case QUIRE_PACKET_COPY: engine_copy(&job); break;
	case QUIRE_PACKET_FILL: engine_fill(&job); break;
	default: work->band.status = QUIRE_STATUS_ENGINE_ERROR;
	}
	if (work->band.status == QUIRE_STATUS_OK)
		account(engine->device, work, macs_by_width);
}

static void finish(struct engine *engine, uint32_t offset, const struct engine_work *work)
{
	struct quire_device *device = engine->device;

	device_trace(device, QUIRE_TRACE_BAND, engine->number, work->band.macs, work->band.status);
	memcpy(device->mcu.sram + offset, &work->band, sizeof(work->band));
	/* Drained before anybody can be told that the band has ended. */
	drain_end(device, &engine->tlb);
	atomic_fetch_and(&device->engine_busy, ~(1u << engine->number));
	atomic_fetch_or(&device->engine_done, 1u << engine->number);
}

uint32_t engine_start(struct engine *engine, uint32_t sram_address)
{
	uint32_t offset = sram_address - QUIRE_SRAM_BASE;
	struct engine_work work;

	if (offset > QUIRE_SRAM_BYTES - sizeof(work.band) || offset & 7)
		return 0;
	/* One band at a time: a second START while busy is the firmware's mistake. */
	if (atomic_fetch_or(&engine->device->engine_busy, 1u << engine->number) >> engine->number & 1)
		return 0;
	__atomic_store_n(&engine->cancel, 0, __ATOMIC_RELAXED);
	if (!fetch(engine, offset, &work)) {
		finish(engine, offset, &work);
		return START_COST;
	}
	drain_begin(engine->device, &engine->tlb, work.band.context);
	if (is_short(&work) && !hangs(engine)) {
		run(engine, &work);
		finish(engine, offset, &work);
		return INLINE_COST;
	}
	pthread_mutex_lock(&engine->lock);
	engine->band = offset;
	engine->work = work;
	engine->busy = true;
	pthread_cond_broadcast(&engine->wake);
	pthread_mutex_unlock(&engine->lock);
	return START_COST;
}

void engine_cancel(struct engine *engine)
{
	__atomic_store_n(&engine->cancel, 1, __ATOMIC_RELAXED);
}

void engine_wait_idle(struct engine *engine)
{
	pthread_mutex_lock(&engine->lock);
	while (engine->busy)
		pthread_cond_wait(&engine->wake, &engine->lock);
	pthread_mutex_unlock(&engine->lock);
}

bool engine_is_idle(struct engine *engine)
{
	bool idle;

	pthread_mutex_lock(&engine->lock);
	idle = !engine->busy;
	pthread_mutex_unlock(&engine->lock);
	return idle;
}

bool engine_rests(struct engine *engine)
{
	bool rests;

	pthread_mutex_lock(&engine->lock);
	rests = !engine->working;
	pthread_mutex_unlock(&engine->lock);
	return rests;
}

void engine_go_on(struct engine *engine)
{
	pthread_mutex_lock(&engine->lock);
	pthread_cond_broadcast(&engine->wake);
	pthread_mutex_unlock(&engine->lock);
}

/* The card is being reset, or comes to its end. */
static bool gives_up(const struct engine *engine)
{
	const struct quire_device *device = engine->device;

	return quire_device_in_reset(device) || atomic_load(&device->stopped) ||
	       atomic_load(&device->quit);
}

static void *engine_thread(void *opaque)
{
	struct engine *engine = opaque;

	pthread_mutex_lock(&engine->lock);
	for (;;) {
		while (!engine->busy && !engine->quit)
			pthread_cond_wait(&engine->wake, &engine->lock);
		if (engine->quit)
			break;
		if (hangs(engine)) {
			pthread_mutex_unlock(&engine->lock);
			hang(engine);
			pthread_mutex_lock(&engine->lock);
		}
		/* A machine that stands still does not see the end of what hung before. */
		while (atomic_load(&engine->device->paused) && !gives_up(engine))
			pthread_cond_wait(&engine->wake, &engine->lock);
		engine->working = true;
		pthread_mutex_unlock(&engine->lock);
		run(engine, &engine->work);
		pthread_mutex_lock(&engine->lock);
		finish(engine, engine->band, &engine->work);
		engine->working = false;
		engine->busy = false;
		pthread_cond_broadcast(&engine->wake);
		pthread_mutex_unlock(&engine->lock);
		processor_kick_inline(engine->device, QUIRE_SERVING_NONE);
		pthread_mutex_lock(&engine->lock);
	}
	pthread_mutex_unlock(&engine->lock);
	return NULL;
}

int engine_init(struct engine *engine, struct quire_device *device, unsigned int number)
{
	char name[16];

	engine->device = device;
	engine->number = number;
	engine->tlb.engine = engine;
	pthread_mutex_init(&engine->lock, NULL);
	pthread_cond_init(&engine->wake, NULL);
	engine->workspace = quire_gemm_workspace_create();
	if (!engine->workspace)
		goto fail;
	if (device->config.model_threads > 1) {
		engine->threads = quire_threads_create(device->config.model_threads);
		if (!engine->threads)
			goto fail;
	}
	snprintf(name, sizeof(name), "engine%u", number);
	engine->thread = device_thread_start(device, name, engine_thread, engine);
	if (engine->thread)
		return 0;
fail:
	quire_threads_destroy(engine->threads);
	quire_gemm_workspace_destroy(engine->workspace);
	pthread_cond_destroy(&engine->wake);
	pthread_mutex_destroy(&engine->lock);
	return -1;
}

void engine_destroy(struct engine *engine)
{
	pthread_mutex_lock(&engine->lock);
	engine->quit = true;
	engine_cancel(engine);
	pthread_cond_broadcast(&engine->wake);
	pthread_mutex_unlock(&engine->lock);
	device_thread_join(engine->device, engine->thread);
	quire_threads_destroy(engine->threads);
	quire_gemm_workspace_destroy(engine->workspace);
	for (int i = 0; i < 3; i++)
		free(engine->staging[i]);
	engine_tiled_forget(engine);
	pthread_cond_destroy(&engine->wake);
	pthread_mutex_destroy(&engine->lock);
}
