// SPDX-License-Identifier: MIT
/*
 * Some processes work on two cards for minutes while the cards break in another way each second
 * and somebody takes their memory.  Each result is held against what the test itself computes:
 * a job may fail with a documented error, but nothing that looks like a result may be wrong,
 * nobody may hang, and nothing may be left in memory at the end.
 *
 * usage: soak [--seconds N] [--seed N]
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "card.h"
#include "fuzz_random.h"
#include "monitor.h"

#define CARDS 2
#define WORKERS 4
#define N 48u
#define MATRIX (N * N * 4)
#define BULK (1u << 20)
#define HANG_S 90

enum outcome { RIGHT, FAILED, LOST, WRONG, REFUSED, UNDOCUMENTED, OUTCOMES };

static const char *const outcome_names[OUTCOMES] = {
	"right", "failed as documented", "lost with the card's memory", "wrong", "refused", "undocumented",
};

struct fault {
	const char *name;	/* of the device's property; NULL: reset of the function */
	unsigned int value;
	unsigned int times;
};

static struct fault faults[] = {
	{ "engine-hang", 1, 0 },     { "engine-deaf", 0xffff, 0 },  { "mcu-halt", 1, 0 },
	{ "crash-firmware", 1, 0 },  { "drop-interrupts", 20, 0 },  { "dma-errors", 3, 0 },
	{ "corrupt-firmware", 1, 0 }, { NULL, 0, 0 },
};

#define FAULTS (sizeof(faults) / sizeof(faults[0]))

static struct shared {
	_Atomic int stop;
	_Atomic uint64_t outcome[OUTCOMES];
	_Atomic int64_t since[WORKERS + 1]; /* of the job in progress, seconds */
	_Atomic int undocumented;
	_Atomic uint64_t squeezed;
} *shared;

static int64_t now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

static struct drm_quire_device_info device_info(int fd)
{
	struct drm_quire_device_info info = { 0 };
	struct drm_quire_dev_query args = { .type = DRM_QUIRE_QUERY_DEVICE, .size = sizeof(info),
					    .pointer = (uintptr_t)&info };

	card_ioctl(fd, DRM_IOCTL_QUIRE_DEV_QUERY, &args);
	return info;
}

static uint64_t memory_used(unsigned int index)
{
	struct drm_quire_memory_info info = { 0 };
	struct drm_quire_dev_query args = { .type = DRM_QUIRE_QUERY_MEMORY, .size = sizeof(info),
					    .pointer = (uintptr_t)&info };
	int fd = card_open_node(index);

	card_ioctl(fd, DRM_IOCTL_QUIRE_DEV_QUERY, &args);
	close(fd);
	return info.card_used + info.system_used;
}

/* --- The workers --- */

struct work {
	struct card card;
	struct bo system; /* A, B, D, and what was filled, as the test sees them */
	struct bo memory; /* the same on the card */
	struct rng rng;
};

static int work_open(struct work *work, unsigned int index)
{
	int ret = card_setup_limit(&work->card, index, 2000);

	if (!ret)
		ret = card_buffer(&work->card, 3 * MATRIX + BULK, DRM_QUIRE_PLACEMENT_SYSTEM,
				  &work->system);
	if (!ret)
		ret = card_buffer(&work->card, 3 * MATRIX + BULK, DRM_QUIRE_PLACEMENT_CARD,
				  &work->memory);
	return ret;
}

static void work_close(struct work *work)
{
	if (work->system.map)
		munmap(work->system.map, work->system.size);
	if (work->memory.map)
		munmap(work->memory.map, work->memory.size);
	card_teardown(&work->card);
	memset(&work->system, 0, sizeof(work->system));
	memset(&work->memory, 0, sizeof(work->memory));
}

/* To the card, a product there, back, and a large piece filled and fetched. */
static int work_run(struct work *work, uint64_t pattern)
{
	struct {
		struct quire_packet_copy in;
		struct quire_packet_gemm product;
		struct quire_packet_fill fill;
		struct quire_packet_copy out;
	} stream;
	uint64_t from = work->system.va, to = work->memory.va;

	packet_copy(&stream.in, to, from, 2 * MATRIX);
	packet_gemm(&stream.product, QUIRE_FORMAT_FP32, N, N, N, to, to + MATRIX, to + 2 * MATRIX);
	packet_fill(&stream.fill, to + 3 * MATRIX, BULK, pattern);
	packet_copy(&stream.out, from + 2 * MATRIX, to + 2 * MATRIX, MATRIX + BULK);
	return card_run(&work->card, &stream, sizeof(stream));
}

/* Whole numbers, whose sums FP32 holds exactly in any order. */
static int is_right(const struct work *work, uint64_t pattern)
{
	const float *a = work->system.map, *b = a + N * N, *d = b + N * N;
	const uint64_t *bulk = (const uint64_t *)(const void *)(d + N * N);

	for (unsigned int row = 0; row < N; row++)
		for (unsigned int column = 0; column < N; column++) {
			float sum = 0;

			for (unsigned int k = 0; k < N; k++)
				sum += a[row * N + k] * b[k * N + column];
			if (d[row * N + column] != sum)
				return 0;
		}
	for (unsigned int i = 0; i < BULK / 8; i += 61)
		if (bulk[i] != pattern)
			return 0;
	return 1;
}

static enum outcome work_once(struct work *work)
{
	uint64_t pattern = rng_next(&work->rng);
	uint32_t lost = device_info(work->card.fd).vram_lost;
	float *numbers = work->system.map;
	int ret;

	for (unsigned int i = 0; i < 2 * N * N; i++)
		numbers[i] = (float)((int)rng_below(&work->rng, 33) - 16);
	memset(numbers + 2 * N * N, 0xee, MATRIX + BULK);
	ret = work_run(work, pattern);
	if (!ret && is_right(work, pattern))
		return RIGHT;
	if (!ret)
		return device_info(work->card.fd).vram_lost != lost ? LOST : WRONG;
	if (ret == -EIO || ret == -ETIME || ret == -ECANCELED || ret == -EFAULT)
		return FAILED;
	if (ret == -ENOMEM)
		return REFUSED;
	shared->undocumented = ret;
	return UNDOCUMENTED;
}

static void worker(unsigned int index, uint64_t seed)
{
	struct work work = { .rng = { seed } };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (!shared->stop) {
		int ret = work_open(&work, index % CARDS);

		shared->since[index] = now_s();
		for (int i = 0; i < 200 && !ret && !shared->stop; i++) {
			enum outcome outcome = work_once(&work);

			shared->outcome[outcome]++;
			shared->since[index] = now_s();
			/* A queue that failed is banned: begin anew. */
			if (outcome != RIGHT)
				break;
		}
		work_close(&work);
		if (ret)
			usleep(50000); /* the card is on its way back */
	}
	shared->since[index] = 0;
	_exit(0);
}

/* Takes card memory and the machine's, gives it back, and takes it again. */
static void squeezer(void)
{
	enum { PIECES = 24 };
	const uint64_t piece = 16u << 20;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (unsigned int round = 0; !shared->stop; round++) {
		uint32_t handle[PIECES], count = 0;
		int fd = card_open_node(round % CARDS);

		shared->since[WORKERS] = now_s();
		while (count < PIECES && fd >= 0 &&
		       !card_bo_create(fd, piece, round % 3 ? DRM_QUIRE_PLACEMENT_CARD :
							      DRM_QUIRE_PLACEMENT_SYSTEM,
				       0, &handle[count]))
			count++;
		shared->squeezed += count;
		while (count)
			card_close_handle(fd, handle[--count]);
		close(fd);
		usleep(20000);
	}
	shared->since[WORKERS] = 0;
	_exit(0);
}

/* --- Who breaks the cards --- */

static void card_file(unsigned int card, const char *name, char *text, size_t room, const char *write_text)
{
	char path[128];
	ssize_t done;
	int fd;

	snprintf(path, sizeof(path), "/sys/class/accel/accel%u/device/%s", card, name);
	fd = open(path, write_text ? O_WRONLY : O_RDONLY);
	if (fd < 0)
		return;
	done = write_text ? write(fd, write_text, strlen(write_text)) : read(fd, text, room - 1);
	if (!write_text)
		text[done > 0 ? done : 0] = '\0';
	close(fd);
}

static int is_ready(unsigned int card)
{
	char state[32] = "";

	card_file(card, "quire/state", state, sizeof(state), NULL);
	return !strncmp(state, "ready", 5);
}

static void inject(unsigned int card, const char *name, unsigned int value)
{
	char json[256];

	snprintf(json, sizeof(json),
		 "{\"execute\":\"qom-set\",\"arguments\":{\"path\":\"/machine/peripheral/quire%u\","
		 "\"property\":\"inject-%s\",\"value\":%u}}", card, name, value);
	monitor_command(json);
}

static void break_something(struct rng *rng)
{
	unsigned int card = rng_below(rng, CARDS);
	struct fault *fault = &faults[rng_below(rng, FAULTS)];

	fault->times++;
	if (fault->name)
		inject(card, fault->name, fault->value);
	else
		card_file(card, "reset", NULL, 0, "1");
	usleep(600000);
	if (fault->name)
		inject(card, fault->name, 0);
	/* A card whose reset failed comes back with its function. */
	for (unsigned int i = 0; i < CARDS; i++)
		if (!is_ready(i))
			card_file(i, "reset", NULL, 0, "1");
	usleep(400000);
}

static int card_works(unsigned int index, uint64_t seed)
{
	struct work work = { .rng = { seed } };
	int ret = 0;

	for (int tries = 0; tries < 100; tries++) {
		ret = work_open(&work, index);
		if (!ret)
			ret = work_once(&work) == RIGHT ? 0 : -EILSEQ;
		work_close(&work);
		if (!ret)
			break;
		usleep(200000);
	}
	return !ret;
}

static unsigned int report(int ok, const char *what)
{
	static unsigned int number;

	printf("%s %u %s\n", ok ? "ok" : "not ok", ++number, what);
	return ok ? 0 : 1;
}

static int hangs(void)
{
	for (int i = 0; i <= WORKERS; i++)
		if (shared->since[i] && now_s() - shared->since[i] > HANG_S)
			return 1;
	return 0;
}

static void start_processes(pid_t *pid, uint64_t seed)
{
	for (unsigned int i = 0; i <= WORKERS; i++) {
		pid[i] = fork();
		if (!pid[i] && i < WORKERS)
			worker(i, seed + i);
		if (!pid[i])
			squeezer();
	}
}

/* All come to their end by themselves. */
static int join_processes(pid_t *pid)
{
	for (int tries = 0; tries < HANG_S * 10; tries++) {
		unsigned int left = 0;

		for (unsigned int i = 0; i <= WORKERS; i++) {
			if (pid[i] && waitpid(pid[i], NULL, WNOHANG) == pid[i])
				pid[i] = 0;
			left += !!pid[i];
		}
		if (!left)
			return 1;
		usleep(100000);
	}
	return 0;
}

/* What buffers still take that nobody has, some time after the last was closed. */
static uint64_t memory_leaked(unsigned int card, uint64_t before)
{
	uint64_t after = memory_used(card);

	for (int tries = 0; tries < 100 && after > before; tries++) {
		usleep(100000);
		after = memory_used(card);
	}
	return after > before ? after - before : 0;
}

static unsigned int times_reset(void)
{
	unsigned int resets = 0;

	for (unsigned int i = 0; i < CARDS; i++) {
		int fd = card_open_node(i);

		resets += device_info(fd).resets;
		close(fd);
	}
	return resets;
}

static void print_figures(uint64_t leaked, unsigned int hung)
{
	uint64_t jobs = 0;

	for (int i = 0; i < OUTCOMES; i++) {
		jobs += shared->outcome[i];
		printf("# %8llu %s\n", (unsigned long long)shared->outcome[i], outcome_names[i]);
	}
	for (unsigned int i = 0; i < FAULTS; i++)
		printf("# %8u times %s\n", faults[i].times,
		       faults[i].name ? faults[i].name : "reset of the function");
	printf("# %llu jobs, %u resets, %llu MiB squeezed, %llu wrong, %llu bytes leaked, %u hangs\n",
	       (unsigned long long)jobs, times_reset(), (unsigned long long)shared->squeezed * 16,
	       (unsigned long long)shared->outcome[WRONG], (unsigned long long)leaked, hung);
	if (shared->outcome[UNDOCUMENTED])
		printf("# last undocumented error %d\n", shared->undocumented);
}

/* 0, or what main returns. */
static int read_options(int count, char **argument, unsigned int *seconds, uint64_t *seed)
{
	for (int i = 1; i + 1 < count; i += 2) {
		if (!strcmp(argument[i], "--seconds"))
			*seconds = (unsigned int)atoi(argument[i + 1]);
		else if (!strcmp(argument[i], "--seed"))
			*seed = strtoull(argument[i + 1], NULL, 0);
		else
			return fprintf(stderr, "soak: unknown option %s\n", argument[i]), 2;
	}
	return 0;
}

int main(int count, char **argument)
{
	uint64_t seed = (uint64_t)time(NULL), before[CARDS], leaked = 0;
	unsigned int seconds = 600, failed = 0, hung = 0, works = 0;
	pid_t pid[WORKERS + 1];
	struct rng rng;
	int64_t end;

	if (read_options(count, argument, &seconds, &seed))
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (monitor_open() || access("/dev/accel/accel1", F_OK))
		return printf("1..0 # SKIP two cards and --guest-monitor are needed\n"), 4;
	printf("1..5\n# seed %llu, %u s, %d processes, %d cards\n", (unsigned long long)seed, seconds,
	       WORKERS, CARDS);
	rng.state = seed;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	for (unsigned int i = 0; i < CARDS; i++)
		before[i] = memory_used(i);
	end = now_s() + seconds;
	start_processes(pid, seed);
	while (now_s() < end && !hung) {
		break_something(&rng);
		hung = (unsigned int)hangs();
	}
	shared->stop = 1;
	if (!hung)
		hung = !join_processes(pid);
	for (unsigned int i = 0; i < CARDS && !hung; i++) {
		works += (unsigned int)card_works(i, seed);
		leaked += memory_leaked(i, before[i]);
	}
	print_figures(leaked, hung);
	failed += report(!hung, "nobody hangs");
	failed += report(!shared->outcome[WRONG], "no result is wrong");
	failed += report(!shared->outcome[UNDOCUMENTED], "all errors are documented");
	failed += report(works == CARDS && shared->outcome[RIGHT] > seconds,
			 "both cards work, and did most of the time");
	failed += report(!leaked, "nothing is left in memory");
	_exit(failed ? 1 : 0);
}
