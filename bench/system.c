/* system.c: what a job takes when it holds things, and when it does nothing. */
#include "cases.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static const bench_session_t all_ranks = {0}, process_workers = {.mode = MRAY_WORKERS_PROCESS};

MRAY_TASK(int64_t, bench_pid, int64_t, unused)
{
    (void)unused;
    bench_ran();
    return getpid();
}

static void wait_seconds(double seconds)
{
    struct timespec t = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    while (nanosleep(&t, &t) != 0) {}
}

/* ---- memory ---- */

/* Sum of a field, in bytes, over the lines of a file such as smaps. */
static uint64_t sum_field(const char *path, const char *field)
{
    char line[512];
    uint64_t sum = 0;
    size_t n = strlen(field);
    FILE *file = fopen(path, "re");
    if (file == NULL) bench_die("cannot read %s", path);
    while (fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, field, n) == 0 && line[n] == ':') sum += strtoull(line + n + 1, NULL, 10) * 1024;
    fclose(file);
    return sum;
}

/* Pages are pre-faulted and used again, so growth tells nothing: the kernel is asked which pages this process has referenced since. */
static void forget_references(void)
{
    int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "1", 1) != 1) bench_die("cannot write /proc/self/clear_refs");
    close(fd);
}

static uint64_t referenced_bytes(void)
{
    return sum_field("/proc/self/smaps", "Referenced");
}

/* Bytes referenced while n things are made, less what making none references. */
static double bytes_each(void (*make)(mray_ref *refs, int64_t n), mray_ref *refs, int64_t n)
{
    forget_references();
    uint64_t none = referenced_bytes();
    forget_references();
    make(refs, n);
    uint64_t some = referenced_bytes() - (uint64_t)n * sizeof *refs; /* the list of refs is the benchmark's */
    if (some <= none) bench_die("no page was referenced by %lld new things", (long long)n);
    return (double)(some - none) / (double)n;
}

static mray_ref gate;

static void make_tasks(mray_ref *refs, int64_t n)
{
    for (int64_t i = 0; i < n; i++) refs[i] = mray_remote(bench_pid, gate);
}

static void make_objects(mray_ref *refs, int64_t n)
{
    for (int64_t i = 0; i < n; i++) refs[i] = mray_put(i);
}

static mray_ref *new_refs(int64_t n)
{
    mray_ref *refs = mmap(NULL, (size_t)n * sizeof *refs, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (refs == MAP_FAILED) bench_die("no memory for %lld refs", (long long)n);
    return refs;
}

static double task_bytes(bench_t *b, const void *arg)
{
    (void)arg;
    int64_t n = b->quick ? 50000 : 200000;
    void *data;
    mray_ref *refs = new_refs(n);
    (void)ranks_open(b, &all_ranks);
    BENCH_OK(mray_create(sizeof(int64_t), (mray_type){.dtype = MRAY_INT64, .size = 8}, NULL, &data, &gate));
    uint64_t before = bench_runs(b);
    double bytes = bytes_each(make_tasks, refs, n);
    *(int64_t *)data = 1;
    BENCH_OK(mray_seal(gate));
    for (int64_t i = 0; i < n; i++) {
        int64_t pid = 0;
        BENCH_OK(mray_get(refs[i], &pid));
        BENCH_CHECK(pid > 0);
    }
    bench_expect_runs(b, before, (uint64_t)n);
    BENCH_OK(mray_release_many(refs, (size_t)n));
    BENCH_OK(mray_release(gate));
    munmap(refs, (size_t)n * sizeof *refs);
    return bytes;
}

static double object_bytes(bench_t *b, const void *arg)
{
    (void)arg;
    int64_t n = b->quick ? 50000 : 200000, x = -1;
    mray_ref *refs = new_refs(n);
    (void)ranks_open(b, &all_ranks);
    double bytes = bytes_each(make_objects, refs, n);
    BENCH_OK(mray_get(refs[n - 1], &x));
    BENCH_CHECK(x == n - 1);
    BENCH_OK(mray_release_many(refs, (size_t)n));
    munmap(refs, (size_t)n * sizeof *refs);
    return bytes;
}

/* Memory of its own of a worker process that has run some tasks and waits: what ending it would give back. */
static double worker_bytes(bench_t *b, const void *arg)
{
    enum { SOME = 100 };
    (void)arg;
    char path[64];
    int64_t pid = 0;
    (void)ranks_open(b, &process_workers);
    uint64_t before = bench_runs(b);
    for (int i = 0; i < SOME; i++) {
        mray_ref ref = mray_remote(bench_pid, (int64_t)i);
        BENCH_OK(mray_get(ref, &pid));
        BENCH_OK(mray_release(ref));
    }
    bench_expect_runs(b, before, SOME);
    BENCH_CHECK(pid > 0 && pid != getpid());
    snprintf(path, sizeof path, "/proc/%lld/smaps_rollup", (long long)pid);
    return (double)(sum_field(path, "Private_Clean") + sum_field(path, "Private_Dirty"));
}

void case_memory(bench_t *b)
{
    if (access("/proc/self/clear_refs", W_OK) != 0) {
        measure_skip(b, "memory_task", "the kernel does not tell which pages are referenced (/proc/self/clear_refs)");
        measure_skip(b, "memory_object", "the kernel does not tell which pages are referenced (/proc/self/clear_refs)");
    } else {
        measure_row(b, &(row_t){.name = "memory_task", .unit = "B", .must = 256, .aim = 128, .value = task_bytes});
        measure_row(b, &(row_t){.name = "memory_object", .unit = "B", .must = 128, .aim = 64, .value = object_bytes});
    }
    if (b->n_hosts > 1) measure_skip(b, "memory_worker", "the workers are on other hosts; measured in a job of one");
    else measure_row(b, &(row_t){.name = "memory_worker", .unit = "B", .must = 4 << 20, .aim = 2 << 20, .value = worker_bytes});
}

/* ---- CPU time ---- */

typedef struct {
    int pid, parent;
} process_t;

static int list_processes(process_t *list, int most)
{
    int n = 0;
    DIR *proc = opendir("/proc");
    for (struct dirent *entry; proc != NULL && (entry = readdir(proc)) != NULL && n < most;) {
        char path[64], text[512];
        if (!isdigit((unsigned char)entry->d_name[0])) continue;
        snprintf(path, sizeof path, "/proc/%.16s/stat", entry->d_name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t got = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
        if (fd >= 0) close(fd);
        text[got > 0 ? got : 0] = 0;
        const char *after_name = strrchr(text, ')');
        if (after_name == NULL || sscanf(after_name + 1, " %*c %d", &list[n].parent) != 1) continue;
        list[n++].pid = atoi(entry->d_name);
    }
    if (proc != NULL) closedir(proc);
    return n;
}

/* Nanoseconds on a CPU of all threads of a process that live. */
static double process_ns(int pid)
{
    char path[300];
    double sum = 0;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *tasks = opendir(path);
    for (struct dirent *entry; tasks != NULL && (entry = readdir(tasks)) != NULL;) {
        double ns = 0;
        if (!isdigit((unsigned char)entry->d_name[0])) continue;
        snprintf(path, sizeof path, "/proc/%d/task/%.16s/schedstat", pid, entry->d_name);
        FILE *file = fopen(path, "re");
        if (file != NULL && fscanf(file, "%lf", &ns) == 1) sum += ns;
        if (file != NULL) fclose(file);
    }
    if (tasks != NULL) closedir(tasks);
    return sum;
}

/* This rank, its zygote, its workers: x[0] nanoseconds on a CPU, x[1] processes. */
void system_op_job(bench_t *b, const ranks_command_t *command, ranks_reply_t *reply)
{
    enum { MOST = 65536 };
    (void)b;
    (void)command;
    process_t *list = malloc(MOST * sizeof *list);
    int mine[512] = {getpid()}, n_mine = 1;
    if (list == NULL) bench_die("no memory for the list of processes");
    int n = list_processes(list, MOST);
    for (int k = 0; k < n_mine; k++) {
        reply->x[0] += process_ns(mine[k]);
        reply->x[1]++;
        for (int i = 0; i < n && n_mine < 512; i++)
            if (list[i].parent == mine[k]) mine[n_mine++] = list[i].pid;
    }
    free(list);
}

static double job_ns(bench_t *b, double *n_processes_p)
{
    static ranks_reply_t replies[RANKS_MAX];
    double ns = 0;
    *n_processes_p = 0;
    ranks_all(b, OP_JOB, NULL, 0, replies);
    for (int r = 0; r < b->n_ranks; r++) {
        ns += replies[r].x[0];
        *n_processes_p += replies[r].x[1];
    }
    return ns;
}

/* Percent of one core, from when everybody has worked and then waited a moment. Looking at /proc is part of it, once. */
static double idle_percent(bench_t *b, const void *arg)
{
    enum { SOME = 1000 };
    (void)arg;
    double seconds = b->quick ? 0.3 : 3, n_before, n_after;
    (void)ranks_open(b, &all_ranks);
    uint64_t before = bench_runs(b);
    for (int i = 0; i < SOME; i++) {
        int64_t pid;
        mray_ref ref = mray_remote(bench_pid, (int64_t)i);
        BENCH_OK(mray_get(ref, &pid));
        BENCH_OK(mray_release(ref));
    }
    bench_expect_runs(b, before, SOME);
    wait_seconds(b->quick ? 0.1 : 1.5); /* leases are given back after half a second */
    double start = bench_seconds(), ns = job_ns(b, &n_before);
    wait_seconds(seconds);
    ns = job_ns(b, &n_after) - ns;
    BENCH_CHECK(n_before >= b->n_ranks && n_after == n_before);
    return ns / 1e9 / (bench_seconds() - start) * 100;
}

void case_idle(bench_t *b)
{
    bool hosts = b->n_hosts > 1;
    measure_row(b, &(row_t){.name = hosts ? "idle_hosts" : "idle", .unit = "%", .must = hosts ? 5 : 2, .aim = hosts ? 2 : 0.2, .value = idle_percent});
}
