/* objects.c: what objects cost: small ones, large ones, views, across hosts, to all. */
#include "cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { SMALL_N = 100000, COPY_BYTES = 64, COPIES = 10 };
static const uint64_t KIB = 1 << 10, MIB = 1 << 20, GIB = 1 << 30;
static const mray_type BYTE_ARRAY = {.dtype = MRAY_UINT8, .is_array = 1, .size = 1};

/* Bytes the machine can still give, from /proc/meminfo. */
static uint64_t memory_available(void)
{
    char line[256];
    unsigned long long kib = 0;
    FILE *file = fopen("/proc/meminfo", "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "MemAvailable: %llu", &kib) == 1) break;
    if (file != NULL) fclose(file);
    return kib * KIB;
}

static void *new_buffer(uint64_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) bench_die("no memory for %llu bytes", (unsigned long long)bytes);
    memset(p, 1, bytes);
    return p;
}

static uint8_t mark_of(uint64_t bytes, int64_t i)
{
    return (uint8_t)(bytes / 8 + (uint64_t)i * 37 + 1);
}

/* Is it the object number i of that size? Looked at where it begins and ends. */
static bool is_marked(const uint8_t *p, uint64_t bytes, int64_t i)
{
    return p[0] == mark_of(bytes, i) && p[bytes - 1] == mark_of(bytes, i);
}

static void size_name(char *buf, size_t n, const char *name, uint64_t bytes)
{
    static const char units[] = "BKMG";
    int u = 0;
    while (u < 3 && bytes >= 1024 && bytes % 1024 == 0) bytes /= 1024, u++;
    snprintf(buf, n, "%s.%llu%c", name, (unsigned long long)bytes, units[u]);
}

/* ---- small ones ---- */

static const bench_session_t all_ranks = {0};

static double put_small_us(bench_t *b, const void *arg)
{
    (void)arg;
    static mray_ref refs[SMALL_N];
    int64_t n = bench_count(b, SMALL_N), x = -1;
    (void)ranks_open(b, &all_ranks);
    double start = bench_seconds();
    for (int64_t i = 0; i < n; i++) refs[i] = mray_put(i);
    double us = (bench_seconds() - start) / (double)n * 1e6;
    BENCH_OK(mray_get(refs[n - 1], &x));
    BENCH_CHECK(x == n - 1);
    BENCH_OK(mray_release_many(refs, (size_t)n));
    return us;
}

static double get_small_us(bench_t *b, const void *arg)
{
    (void)arg;
    enum { OBJECTS = 1000 };
    static mray_ref refs[OBJECTS];
    int64_t n = bench_count(b, 10 * SMALL_N), sum = 0, expected = 0;
    (void)ranks_open(b, &all_ranks);
    for (int64_t i = 0; i < OBJECTS; i++) refs[i] = mray_put(i);
    double start = bench_seconds();
    for (int64_t i = 0; i < n; i++) {
        int64_t x = 0;
        BENCH_OK(mray_get(refs[i % OBJECTS], &x));
        sum += x;
    }
    double us = (bench_seconds() - start) / (double)n * 1e6;
    for (int64_t i = 0; i < n; i++) expected += i % OBJECTS;
    BENCH_CHECK(sum == expected);
    BENCH_OK(mray_release_many(refs, OBJECTS));
    return us;
}

static double copies_us(bench_t *b, const void *arg)
{
    (void)arg;
    static char from[COPY_BYTES], to[COPIES][COPY_BYTES];
    int64_t n = bench_count(b, 10 * SMALL_N);
    double start = bench_seconds();
    for (int64_t i = 0; i < n; i++)
        for (int k = 0; k < COPIES; k++) {
            memcpy(to[k], from, COPY_BYTES);
            __asm__ volatile("" : : "r"(to[k]), "r"(from) : "memory");
        }
    return (bench_seconds() - start) / (double)n * 1e6;
}

void case_small_objects(bench_t *b)
{
    static const char reference[] = "memcpy of 64 B, ten times";
    measure_row(b, &(row_t){.name = "put_small", .unit = "us", .reference = reference, .must = 5, .aim = 2, .bytes = 8, .value = put_small_us,
                            .measure_reference = copies_us});
    measure_row(b, &(row_t){.name = "get_small", .unit = "us", .reference = reference, .must = 5, .aim = 2, .bytes = 8, .value = get_small_us,
                            .measure_reference = copies_us});
}

/* ---- bandwidth of put ---- */

typedef struct {
    uint64_t bytes;
    int n;
    bench_session_t session;
    uint8_t *source, *shared; /* shared: mapped as a segment is, pages present */
} put_t;

static double put_us(bench_t *b, const void *arg)
{
    const put_t *p = arg;
    double seconds = 0;
    int n_warm = ranks_open(b, &p->session) ? 2 : 0;
    for (int i = -n_warm; i < p->n; i++) {
        uint8_t last = 0;
        mray_ref ref;
        mray_view view;
        p->source[p->bytes - 1] = mark_of(p->bytes, i);
        double start = bench_seconds();
        BENCH_OK(mray_put_bytes(p->source, p->bytes, BYTE_ARRAY, NULL, &ref));
        if (i >= 0) seconds += bench_seconds() - start;
        BENCH_OK(mray_get_view(ref, MRAY_FOREVER, &view));
        last = ((const uint8_t *)view.data)[p->bytes - 1];
        BENCH_CHECK(view.size == p->bytes && last == mark_of(p->bytes, i));
        mray_view_release(&view);
        BENCH_OK(mray_release(ref));
    }
    return seconds / p->n * 1e6;
}

static double memcpy_us(bench_t *b, const void *arg)
{
    (void)b;
    const put_t *p = arg;
    double start = bench_seconds();
    for (int i = 0; i < p->n; i++) {
        memcpy(p->shared, p->source, p->bytes);
        __asm__ volatile("" : : "r"(p->shared) : "memory");
    }
    return (bench_seconds() - start) / p->n * 1e6;
}

static void put_bandwidth(bench_t *b, uint64_t bytes, int n)
{
    char name[64];
    size_name(name, sizeof name, "put_bw", bytes);
    /* Room for three: what is released may be taken again a moment later. */
    put_t p = {.bytes = bytes, .n = n, .session = {.n_ranks = b->n_ranks < 2 ? 1 : 2, .store_bytes = 3 * bytes + 64 * MIB}};
    if (memory_available() < 2 * p.session.store_bytes + 3 * bytes) {
        measure_skip(b, name, "needs %llu MiB of memory, %llu are available", (unsigned long long)((2 * p.session.store_bytes + 3 * bytes) / MIB),
                     (unsigned long long)(memory_available() / MIB));
        return;
    }
    p.source = new_buffer(bytes);
    p.shared = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p.shared == MAP_FAILED) bench_die("no memory for %llu bytes", (unsigned long long)bytes);
    memset(p.shared, 1, bytes);
    measure_row(b, &(row_t){.name = name, .unit = "us", .reference = "memcpy into mapped shared memory", .must = 1.15, .aim = 1.03, .bytes = bytes, .value = put_us,
                            .arg = &p, .measure_reference = memcpy_us, .reference_arg = &p});
    munmap(p.source, bytes);
    munmap(p.shared, bytes);
    ranks_close(b);
}

void case_put_bw(bench_t *b)
{
    put_bandwidth(b, MIB, b->quick ? 3 : 200);
    put_bandwidth(b, 64 * MIB, b->quick ? 1 : 5);
    if (!b->quick) put_bandwidth(b, GIB, 1);
}

/* ---- a view of another rank's object ---- */

MRAY_TASK(mray_array(uint8_t), bench_make, uint64_t, bytes, int64_t, i)
{
    mray_array(uint8_t) a = mray_return_array(uint8_t, bytes);
    bench_ran();
    if (a.data != NULL) a.data[0] = a.data[bytes - 1] = mark_of(bytes, i);
    return a;
}

typedef struct {
    uint64_t bytes;
    bench_session_t session;
} view_t;

static double view_us(bench_t *b, const void *arg)
{
    const view_t *v = arg;
    int64_t n = bench_count(b, 100000);
    static mray_ref ref;
    if (ranks_open(b, &v->session)) ref = mray_remote(bench_make, v->bytes, (int64_t)0);
    BENCH_OK(mray_wait(&ref, 1, 1, MRAY_FOREVER, (bool[1]){false}, NULL));
    double start = bench_seconds();
    for (int64_t i = 0; i < n; i++) {
        mray_view view;
        BENCH_OK(mray_get_view(ref, MRAY_FOREVER, &view));
        BENCH_CHECK(view.size == v->bytes && is_marked(view.data, v->bytes, 0));
        mray_view_release(&view);
    }
    return (bench_seconds() - start) / (double)n * 1e6;
}

void case_get_view(bench_t *b)
{
    const uint64_t sizes[] = {64 * KIB, 64 * MIB, GIB};
    for (int k = 0; k < (b->quick ? 2 : 3); k++) {
        char name[64];
        size_name(name, sizeof name, "get_view", sizes[k]);
        view_t v = {.bytes = sizes[k], .session = {.n_ranks = 2, .store_bytes = sizes[k] + 64 * MIB}};
        if (memory_available() < 3 * v.session.store_bytes) {
            measure_skip(b, name, "needs %llu MiB of memory, %llu are available", (unsigned long long)(3 * v.session.store_bytes / MIB),
                         (unsigned long long)(memory_available() / MIB));
            continue;
        }
        measure_row(b, &(row_t){.name = name, .unit = "us", .must = 1.0, .aim = 0.2, .bytes = sizes[k], .value = view_us, .arg = &v});
        ranks_close(b);
    }
}

/* ---- reads from another host ---- */

/* The ref of an object that stays on the rank that made it. */
MRAY_TASK(mray_ref, bench_put_there, uint64_t, bytes, int64_t, i)
{
    mray_ref ref = {0};
    void *data;
    bench_ran();
    if (mray_create(bytes, (mray_type){.dtype = MRAY_UINT8, .is_array = 1, .size = 1}, NULL, &data, &ref) != MRAY_OK) {
        mray_fail("create: %s", mray_error_message());
        return ref;
    }
    memset(data, mark_of(bytes, i), bytes);
    if (mray_seal(ref) != MRAY_OK) mray_fail("seal: %s", mray_error_message());
    return ref;
}

typedef struct {
    uint64_t bytes;
    int n;
    bench_session_t session;
    uint8_t *buf;
} remote_t;

static double remote_round(const remote_t *r)
{
    double seconds = 0;
    for (int i = 0; i < r->n; i++) {
        mray_ref ref, outer = mray_remote(bench_put_there, r->bytes, (int64_t)i);
        BENCH_OK(mray_get(outer, &ref));
        r->buf[0] = r->buf[r->bytes - 1] = 0;
        double start = bench_seconds();
        BENCH_OK(mray_get_array(ref, r->buf, r->bytes));
        seconds += bench_seconds() - start;
        BENCH_CHECK(is_marked(r->buf, r->bytes, i));
        BENCH_OK(mray_release(outer));
        BENCH_OK(mray_release(ref));
    }
    return seconds / r->n * 1e6;
}

static double remote_us(bench_t *b, const void *arg)
{
    const remote_t *r = arg;
    if (ranks_open(b, &r->session)) (void)remote_round(r);
    return remote_round(r);
}

static double remote_reference_us(bench_t *b, const void *arg)
{
    const remote_t *r = arg;
    return refs_pull_us(b, r->bytes, r->n);
}

void case_remote_get(bench_t *b)
{
    static const struct {
        uint64_t bytes;
        int n;
    } sizes[] = {{8, 500}, {64 << 10, 200}, {1 << 20, 50}, {64 << 20, 3}};
    for (int k = 0; k < (b->quick ? 3 : 4); k++) {
        char name[64];
        size_name(name, sizeof name, "remote_get", sizes[k].bytes);
        /* What a task has put is held for it until the session ends: two rounds of it. */
        int n = b->quick ? 5 : sizes[k].n;
        remote_t r = {.bytes = sizes[k].bytes, .n = n, .session = {.n_ranks = 2, .store_bytes = 3 * (uint64_t)n * sizes[k].bytes + 64 * MIB}};
        r.buf = new_buffer(r.bytes);
        const char *reference = refs_has_windows(b) ? "raw MPI, the better of Rget and a two-sided pull" : "raw MPI, a two-sided pull (no Rget over TCP here)";
        measure_row(b, &(row_t){.name = name, .unit = "us", .reference = reference, .must = 1.3, .aim = 1.05, .bytes = r.bytes,
                                .value = remote_us, .arg = &r, .measure_reference = remote_reference_us, .reference_arg = &r});
        munmap(r.buf, r.bytes);
        ranks_close(b);
    }
}

/* ---- to all ---- */

MRAY_TASK(int64_t, bench_look, mray_array(uint8_t), a, uint64_t, bytes)
{
    bench_ran();
    return a.n == bytes && is_marked(a.data, bytes, 1);
}

typedef struct {
    uint64_t bytes;
    bench_session_t session;
} broadcast_t;

static double broadcast_round(bench_t *b, const broadcast_t *c)
{
    static mray_ref refs[RANKS_MAX];
    mray_ref object;
    void *data;
    BENCH_OK(mray_create(c->bytes, BYTE_ARRAY, NULL, &data, &object));
    memset(data, mark_of(c->bytes, 1), c->bytes);
    BENCH_OK(mray_seal(object));
    uint64_t before = bench_runs(b);
    double start = bench_seconds();
    for (int rank = 1; rank < b->n_ranks; rank++) {
        char resource[32];
        snprintf(resource, sizeof resource, "rank%d", rank);
        refs[rank] = mray_remote_with(mray_opts(.num_cpus = MRAY_NO_CPU, .resource = resource), bench_look, object, c->bytes);
    }
    for (int rank = 1; rank < b->n_ranks; rank++) {
        int64_t right = 0;
        BENCH_OK(mray_get(refs[rank], &right));
        BENCH_CHECK(right == 1);
    }
    double us = (bench_seconds() - start) * 1e6;
    bench_expect_runs(b, before, (uint64_t)b->n_ranks - 1);
    BENCH_OK(mray_release_many(refs + 1, (size_t)b->n_ranks - 1));
    BENCH_OK(mray_release(object));
    return us;
}

static double broadcast_us(bench_t *b, const void *arg)
{
    const broadcast_t *c = arg;
    if (ranks_open(b, &c->session)) (void)broadcast_round(b, c);
    return broadcast_round(b, c);
}

static double bcast_us(bench_t *b, const void *arg)
{
    return refs_bcast_us(b, ((const broadcast_t *)arg)->bytes);
}

void case_broadcast(bench_t *b)
{
    bool hosts = b->n_hosts > 1;
    uint64_t bytes = (hosts ? 256 * MIB : GIB) / (b->quick ? 128 : 1);
    const char *name = hosts ? "broadcast_hosts" : "broadcast_ranks";
    /* The object, a copy on every other node, and what the next round takes before these are given back; a buffer a rank in MPI. */
    uint64_t store = (hosts ? 3 : 2) * bytes + 64 * MIB, needed = (hosts ? (uint64_t)b->n_ranks * 3 : 2) * bytes + (uint64_t)b->n_ranks * bytes;
    broadcast_t c = {.bytes = bytes, .session = {.ranks_by_name = 1, .store_bytes = store}};
    if (memory_available() < needed + GIB || memory_available() < store * (uint64_t)b->n_ranks) {
        measure_skip(b, name, "%llu MiB to %d ranks need more memory than the %llu MiB that are available", (unsigned long long)(bytes / MIB), b->n_ranks,
                     (unsigned long long)(memory_available() / MIB));
        return;
    }
    measure_row(b, &(row_t){.name = name, .unit = "us", .reference = "MPI_Bcast", .must = 1.5, .aim = 1.1, .bytes = bytes, .value = broadcast_us, .arg = &c,
                            .measure_reference = bcast_us, .reference_arg = &c});
}
