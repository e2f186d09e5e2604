// SPDX-License-Identifier: MIT
/*
 * Fuzzer of the driver's calls that knows their structures.  Several processes with several
 * threads each make calls that are right, or right but for one field, on a few files they
 * share, of two cards where there are; memory is shared between these and with others, objects
 * are used while others close them, streams change while the card reads them, arguments come
 * late, and signals interrupt the calls.  It looks whether each call comes back, whether the
 * cards work afterwards, and whether memory is given back; the rest is the kernel's own checks.
 *
 * usage: fuzz_ioctl [--calls N] [--seconds N] [--seed N] [--processes N] [--threads N] [--trace]
 *        (--seconds: an end before all calls are done, for slow machines)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "card.h"
#include "fuzz_calls.h"

#define WORKERS_MAX 64
#define HANG_S 40

struct call {
	const char *name;
	uint32_t weight;
	int (*make)(struct file *file, struct rng *rng);
};

/* Shared by all processes. */
struct worker {
	_Atomic int64_t since; /* of the call in progress, milliseconds; 0: none */
	_Atomic int call;
};

static struct shared {
	_Atomic uint64_t calls;
	_Atomic int stop;
	struct worker worker[WORKERS_MAX];
	struct {
		_Atomic uint64_t right, wrong;
		_Atomic uint64_t slowest_us;
	} call[64];
} *shared;

struct file fuzz_files[FUZZ_FILES];
static uint8_t *guarded; /* a page, and one behind it that is not there */
static int trace;

static int query(struct file *file, struct rng *rng)
{
	struct drm_quire_dev_query args = { .type = rng_below(rng, 5), .size = rng_below(rng, 512) };

	/* Ends where nothing is mapped: a size that is wrong must not hit ourselves. */
	if (!rng_once_in(rng, 6))
		args.pointer = (uintptr_t)guarded + PAGE - rng_below(rng, PAGE);
	if (rng_once_in(rng, 7))
		rng_mutate(rng, &args, sizeof(args));
	args.pointer = fuzz_harmless(args.pointer, guarded, PAGE);
	return fuzz_send(file, rng, DRM_IOCTL_QUIRE_DEV_QUERY, &args, sizeof(args));
}

/* Any number, any size: also calls that do not exist. */
static int any_call(struct file *file, struct rng *rng)
{
	uint64_t args[32];

	for (unsigned int i = 0; i < 32; i++)
		args[i] = rng_once_in(rng, 2) ? 0 : rng_odd_value(rng);
	return fuzz_once(file, _IOC(rng_below(rng, 4), 'd', DRM_COMMAND_BASE + rng_below(rng, 20),
			       rng_below(rng, sizeof(args))), args);
}

static int read_procfs(struct file *file, struct rng *rng)
{
	char path[64], text[4096];
	int fd, ret;

	(void)rng;
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", file->fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = read(fd, text, sizeof(text)) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

/* Something of each kind; a mapping of the stream stays, whatever becomes of the buffer. */
static void populate(struct file *file, struct rng *rng)
{
	for (int i = 0; i < 4; i++) {
		struct drm_quire_vm_create args = { 0 };

		if (!fuzz_once(file, DRM_IOCTL_QUIRE_VM_CREATE, &args))
			KEEP(rng, file->vm, args.vm_id);
		fuzz_bind_stream(file, rng);
	}
	for (int i = 0; i < SLOTS; i++) {
		fuzz_sync_create(file, rng);
		fuzz_bo_create(file, rng);
		fuzz_bind(file, rng);
		fuzz_queue_create(file, rng);
	}
}

/* Everything goes at once, under the threads that use it. */
static int reopen(struct file *file, struct rng *rng)
{
	int fd = fuzz_open((unsigned int)(file - fuzz_files)), old;

	if (fd < 0)
		return -errno;
	old = atomic_exchange(&file->fd, fd);
	close(old);
	for (int i = 0; i < SLOTS; i++) {
		file->bo[i] = file->syncobj[i] = 0;
		file->vm[i % COUNT(file->vm)] = file->queue[i % COUNT(file->queue)] = 0;
	}
	populate(file, rng);
	return 0;
}

static const struct call calls[] = {
	{ "dev_query", 3, query },
	{ "vm_create", 2, fuzz_vm_create },
	{ "vm_destroy", 1, fuzz_vm_destroy },
	{ "bo_create", 10, fuzz_bo_create },
	{ "bo_mmap_offset", 4, fuzz_mmap_offset },
	{ "bo_info", 3, fuzz_bo_info },
	{ "userptr", 5, fuzz_userptr },
	{ "vm_bind", 16, fuzz_bind },
	{ "vm_bind stream", 2, fuzz_bind_stream },
	{ "queue_create", 3, fuzz_queue_create },
	{ "queue_destroy", 1, fuzz_queue_destroy },
	{ "queue_query", 4, fuzz_queue_query },
	{ "submit", 24, fuzz_submit },
	{ "gem_close", 3, fuzz_gem_close },
	{ "prime export", 2, fuzz_prime_export },
	{ "prime import", 3, fuzz_prime_import },
	{ "syncobj create", 4, fuzz_sync_create },
	{ "syncobj destroy", 1, fuzz_sync_destroy },
	{ "syncobj wait", 4, fuzz_sync_wait },
	{ "syncobj change", 6, fuzz_sync_change },
	{ "syncobj share", 3, fuzz_sync_share },
	{ "mmap", 5, fuzz_map_and_touch },
	{ "mmap dma-buf", 1, fuzz_map_shared },
	{ "udmabuf create", 1, fuzz_udmabuf },
	{ "dma-buf call", 2, fuzz_shared_call },
	{ "display call", 1, fuzz_display },
	{ "user pages", 3, fuzz_user_pages },
	{ "any ioctl", 2, any_call },
	{ "fdinfo", 1, read_procfs },
};

#define CALLS (sizeof(calls) / sizeof(calls[0]))

static void on_interrupt(int signal)
{
	(void)signal;
}

static void note(unsigned int call, int ret, int64_t took)
{
	uint64_t slowest = shared->call[call].slowest_us;

	atomic_fetch_add(ret ? &shared->call[call].wrong : &shared->call[call].right, 1);
	while (slowest < (uint64_t)took &&
	       !atomic_compare_exchange_weak(&shared->call[call].slowest_us, &slowest, (uint64_t)took))
		;
}

static void work(unsigned int index, uint64_t seed, uint64_t most)
{
	struct rng rng = { seed };
	struct worker *worker = &shared->worker[index];
	uint32_t weights = 0;

	for (unsigned int i = 0; i < CALLS; i++)
		weights += calls[i].weight;
	while (!shared->stop && atomic_fetch_add(&shared->calls, 1) < most) {
		struct file *file = &fuzz_files[rng_below(&rng, FUZZ_FILES)];
		uint32_t choice = rng_below(&rng, weights), call = 0;
		int64_t start = fuzz_now_us();
		int ret;

		while (choice >= calls[call].weight)
			choice -= calls[call++].weight;
		worker->call = (int)call;
		worker->since = start / 1000;
		if (rng_once_in(&rng, 3000))
			ret = reopen(file, &rng);
		else
			ret = calls[call].make(file, &rng);
		worker->since = 0;
		note(call, ret, fuzz_now_us() - start);
		if (trace)
			fprintf(stderr, "%u %s %d\n", index, calls[call].name, ret);
	}
}

struct thread {
	unsigned int index;
	uint64_t seed;
	uint64_t most;
	pthread_t id;
};

static void *thread_main(void *argument)
{
	struct thread *thread = argument;

	work(thread->index, thread->seed, thread->most);
	return NULL;
}

static void process_main(unsigned int first, unsigned int threads, uint64_t seed, uint64_t most)
{
	struct sigaction fault = { .sa_handler = fuzz_on_fault, .sa_flags = SA_NODEFER };
	struct sigaction interrupt = { .sa_handler = on_interrupt,
				       .sa_flags = first % 2 ? SA_RESTART : 0 };
	struct thread thread[WORKERS_MAX];
	struct rng rng = { seed };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigaction(SIGSEGV, &fault, NULL);
	sigaction(SIGBUS, &fault, NULL);
	sigaction(SIGUSR1, &interrupt, NULL);
	if (fuzz_memory_init() || fuzz_shared_init())
		_exit(2);
	guarded = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mprotect(guarded + PAGE, PAGE, PROT_NONE);
	for (int i = 0; i < FUZZ_FILES; i++) {
		fuzz_files[i].fd = fuzz_open((unsigned int)i);
		if (fuzz_files[i].fd < 0)
			_exit(2);
		for (int j = 0; j < SLOTS; j++)
			fuzz_files[i].shared[j] = -1;
		while (!fuzz_files[i].stream)
			populate(&fuzz_files[i], &rng);
	}
	for (unsigned int i = 0; i < threads; i++) {
		thread[i] = (struct thread){ .index = first + i, .seed = seed + i * 7919,
					     .most = most };
		if (pthread_create(&thread[i].id, NULL, thread_main, &thread[i]))
			_exit(3);
	}
	/* Now and then a signal, until all threads have done their part. */
	for (unsigned int i = 0; i < threads;) {
		if (!pthread_tryjoin_np(thread[i].id, NULL)) {
			i++;
			continue;
		}
		usleep(2000 + rng_below(&rng, 20000));
		pthread_kill(thread[i + rng_below(&rng, threads - i)].id, SIGUSR1);
	}
	_exit(0);
}

static uint64_t memory_used(int fd)
{
	struct drm_quire_memory_info info = { 0 };
	struct drm_quire_dev_query args = { .type = DRM_QUIRE_QUERY_MEMORY, .size = sizeof(info),
					    .pointer = (uintptr_t)&info };

	return card_ioctl(fd, DRM_IOCTL_QUIRE_DEV_QUERY, &args) ? 0 : info.card_used + info.system_used;
}

static int card_works(unsigned int index)
{
	struct quire_packet_fill fill;
	struct card card;
	int ret = card_setup(&card, index);

	for (uint64_t i = 1; i <= 20 && !ret; i++) {
		packet_fill(&fill, card.stream.va + PAGE, 64, i);
		ret = card_run(&card, &fill, sizeof(fill));
		if (!ret && ((uint64_t *)card.stream.map)[PAGE / 8 + 7] != i)
			ret = -EILSEQ;
	}
	card_teardown(&card);
	return ret;
}

/* Waits for the processes; the call that does not come back, or NULL. */
static const char *supervise(pid_t *pid, unsigned int processes, unsigned int workers,
			     int64_t end, int *bad)
{
	unsigned int left = processes;

	while (left) {
		int64_t now = fuzz_now_us() / 1000;
		int status;

		if (now > end)
			shared->stop = 1;
		for (unsigned int i = 0; i < workers; i++) {
			int64_t since = shared->worker[i].since;

			if (since && now - since > HANG_S * 1000)
				return calls[shared->worker[i].call].name;
		}
		for (unsigned int i = 0; i < processes; i++) {
			if (!pid[i] || waitpid(pid[i], &status, WNOHANG) != pid[i])
				continue;
			if (status) {
				printf("# process %u ended with status %#x\n", i, status);
				*bad = 1;
			}
			pid[i] = 0;
			left--;
		}
		usleep(20000);
	}
	return NULL;
}

static unsigned int report(int ok, const char *what)
{
	static unsigned int number;

	printf("%s %u %s\n", ok ? "ok" : "not ok", ++number, what);
	return ok ? 0 : 1;
}

struct options {
	uint64_t calls, seconds, seed;
	unsigned int processes, threads;
};

/* 0, or what main returns. */
static int read_options(struct options *options, int count, char **argument)
{
	for (int i = 1; i < count; i++) {
		if (!strcmp(argument[i], "--trace"))
			trace = 1;
		else if (i + 1 < count && !strcmp(argument[i], "--calls"))
			options->calls = strtoull(argument[++i], NULL, 0);
		else if (i + 1 < count && !strcmp(argument[i], "--seconds"))
			options->seconds = strtoull(argument[++i], NULL, 0);
		else if (i + 1 < count && !strcmp(argument[i], "--seed"))
			options->seed = strtoull(argument[++i], NULL, 0);
		else if (i + 1 < count && !strcmp(argument[i], "--processes"))
			options->processes = (unsigned int)atoi(argument[++i]);
		else if (i + 1 < count && !strcmp(argument[i], "--threads"))
			options->threads = (unsigned int)atoi(argument[++i]);
		else
			return fprintf(stderr, "fuzz_ioctl: unknown option %s\n", argument[i]), 2;
	}
	if (!options->processes || !options->threads ||
	    options->processes * options->threads > WORKERS_MAX)
		return fprintf(stderr, "fuzz_ioctl: at most %u threads\n", WORKERS_MAX), 2;
	if (!options->seed && getrandom(&options->seed, 4, 0) != 4)
		return 2;
	return 0;
}

/* How often each kind of call was made; how many kinds have never been done. */
static unsigned int print_calls(const struct options *options, int64_t took_us)
{
	uint64_t done = shared->calls < options->calls ? (uint64_t)shared->calls : options->calls;
	unsigned int never = 0;

	printf("# %llu calls in %.1f s, %.0f calls/s\n", (unsigned long long)done,
	       (double)took_us / 1e6, (double)done * 1e6 / (double)took_us);
	for (unsigned int i = 0; i < CALLS; i++) {
		printf("# %-16s %8llu done %8llu refused, slowest %llu us\n", calls[i].name,
		       (unsigned long long)shared->call[i].right,
		       (unsigned long long)shared->call[i].wrong,
		       (unsigned long long)shared->call[i].slowest_us);
		never += !shared->call[i].right;
	}
	return never;
}

static unsigned int report_memory(int fd, uint64_t before)
{
	uint64_t after = memory_used(fd);

	for (int tries = 0; tries < 100 && after > before; tries++) {
		usleep(100000);
		after = memory_used(fd);
	}
	if (after != before)
		printf("# %llu bytes before, %llu after\n", (unsigned long long)before,
		       (unsigned long long)after);
	return report(after <= before, "all buffers are given back");
}

int main(int count, char **argument)
{
	struct options options = { .calls = 200000, .seconds = 1000000, .processes = 3, .threads = 3 };
	struct rlimit memory = { 1u << 30, 1u << 30 };
	int ret = read_options(&options, count, argument), bad = 0, fd[2];
	unsigned int failed = 0, never;
	pid_t pid[WORKERS_MAX];
	const char *stuck;
	uint64_t before[2];
	int64_t start;

	if (ret)
		return ret;
	setvbuf(stdout, NULL, _IOLBF, 0);
	setrlimit(RLIMIT_MEMLOCK, &memory);
	printf("1..6\n# seed %llu, %u processes of %u threads\n", (unsigned long long)options.seed,
	       options.processes, options.threads);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	for (unsigned int i = 0; i < 2; i++) {
		fd[i] = fuzz_open(i);
		before[i] = memory_used(fd[i]);
	}
	start = fuzz_now_us();
	for (unsigned int i = 0; i < options.processes; i++) {
		pid[i] = fork();
		if (!pid[i])
			process_main(i * options.threads, options.threads,
				     options.seed + i * 1000003, options.calls);
	}
	stuck = supervise(pid, options.processes, options.processes * options.threads,
			  start / 1000 + (int64_t)options.seconds * 1000, &bad);
	shared->stop = 1;
	never = print_calls(&options, fuzz_now_us() - start);
	if (stuck)
		printf("# no answer for %u s: %s\n", HANG_S, stuck);
	failed += report(!stuck, "every call comes back");
	failed += report(!bad, "no process of the fuzzer dies");
	failed += report(!never, "each kind of call was done at least once");
	if (stuck)
		_exit(1);
	failed += report(!card_works(0) && !card_works(fuzz_cards() - 1),
			 "the cards work afterwards");
	for (unsigned int i = 0; i < 2; i++)
		failed += report_memory(fd[i], before[i]);
	return failed ? 1 : 0;
}
