/* The arena used by four processes at once, one of which is killed by SIGKILL at a random moment, again and again.
 *
 * Each process owns a row of slots in shared memory, the truth for a rebuild. It fills each block with the slot's own pattern and looks
 * whether it is still there before it frees the block: two blocks that overlap are seen. The parent plays the agent: it reaps the dead,
 * breaks its lock, rebuilds, compares the arena with the slots to the byte, adopts and frees the dead's blocks, and starts another. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "arena.h"
#include "clock.h"
#include "rng.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { N_PROCS = 4, N_SLOTS = 64, N_KILLS = 300, MAX_KILLS = 5000, MIN_REBUILDS = 3, AGENT = 1, CAPACITY = 1 << 20, MAX_BLOCKS = 1024 };

typedef struct {
    _Atomic uint32_t live; /* set last, cleared first; only the owner or, after its death, the parent writes a slot */
    uint32_t block;
    uint64_t off, bytes;
} slot_t;

typedef struct {
    slot_t slots[N_PROCS][N_SLOTS];
    _Atomic uint64_t n_pairs;
    _Atomic uint32_t stop;
} shared_t;

static shared_t *shared;
static arena_t *arena;
static unsigned char *payload;
static uint64_t seed;

static void *map_shared(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(p != MAP_FAILED);
    return p;
}

static unsigned char pattern(int proc, int i)
{
    return (unsigned char)(1 + proc * N_SLOTS + i); /* N_PROCS * N_SLOTS == 256: distinct */
}

static bool slot_alloc(int proc, int i, uint32_t holder, uint64_t bytes)
{
    slot_t *slot = &shared->slots[proc][i];
    arena_block_t block;
    arena_lock(arena, holder);
    int rc = arena_alloc_locked(arena, bytes, &block);
    if (rc == MRAY_OK) {
        slot->block = block.block;
        slot->off = block.off;
        slot->bytes = bytes;
        atomic_store_explicit(&slot->live, 1, memory_order_release);
    }
    arena_unlock(arena, holder);
    if (rc == MRAY_OK) memset(payload + block.off, pattern(proc, i), bytes);
    return rc == MRAY_OK || rc == MRAY_ERR_OBJECT_STORE_FULL;
}

static bool slot_free(int proc, int i, uint32_t holder)
{
    slot_t *slot = &shared->slots[proc][i];
    arena_lock(arena, holder);
    atomic_store_explicit(&slot->live, 0, memory_order_release);
    int rc = arena_free_locked(arena, (arena_block_t){slot->off, slot->block});
    arena_unlock(arena, holder);
    return rc == MRAY_OK;
}

static bool slot_intact(int proc, int i)
{
    const slot_t *slot = &shared->slots[proc][i];
    for (uint64_t k = 0; k < slot->bytes; k++)
        if (payload[slot->off + k] != pattern(proc, i)) return false;
    return true;
}

/* Exit codes of a child: what it found wrong. */
enum { CHILD_OK, CHILD_OVERLAP, CHILD_FREE, CHILD_ALLOC };

static int child_run(int proc, uint32_t holder)
{
    base_rng_t rng;
    base_rng_seed(&rng, seed + holder);
    while (!atomic_load_explicit(&shared->stop, memory_order_relaxed)) {
        int i = (int)base_rng_below(&rng, N_SLOTS);
        if (atomic_load_explicit(&shared->slots[proc][i].live, memory_order_relaxed)) {
            if (!slot_intact(proc, i)) return CHILD_OVERLAP;
            if (!slot_free(proc, i, holder)) return CHILD_FREE;
            atomic_fetch_add_explicit(&shared->n_pairs, 1, memory_order_relaxed);
        } else if (!slot_alloc(proc, i, holder, base_rng_range(&rng, 1, base_rng_below(&rng, 8) ? 500 : 8000))) {
            return CHILD_ALLOC;
        }
    }
    return CHILD_OK;
}

static pid_t start_child(int proc, uint32_t holder)
{
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed test leaves no children */
        _exit(child_run(proc, holder));
    }
    assert_true(pid > 0);
    return pid;
}

static size_t collect_live(arena_live_t *live, uint64_t *units_p)
{
    size_t n = 0;
    *units_p = 0;
    for (int p = 0; p < N_PROCS; p++)
        for (int i = 0; i < N_SLOTS; i++) {
            slot_t *slot = &shared->slots[p][i];
            if (!atomic_load_explicit(&slot->live, memory_order_acquire)) continue;
            live[n++] = (arena_live_t){slot->off, slot->bytes, slot->block};
            *units_p += (slot->bytes + 63) / 64;
        }
    return n;
}

/* With the lock held: the arena is sound and holds exactly the blocks of the slots, to the byte. */
static void compare_with_slots(void)
{
    static arena_live_t live[N_PROCS * N_SLOTS];
    uint64_t units;
    size_t n = collect_live(live, &units);
    if (arena_needs_rebuild(arena) && arena_rebuild(arena, live, n) != MRAY_OK) fail_msg("%s", mray_error_message());
    if (arena_selfcheck_locked(arena) != MRAY_OK) fail_msg("%s", mray_error_message());
    arena_stats_t stats;
    arena_stats_locked(arena, &stats);
    assert_true(stats.n_blocks == n && stats.used_bytes == units * 64);
}

static void free_row(int proc)
{
    for (int i = 0; i < N_SLOTS; i++)
        if (shared->slots[proc][i].live) assert_true(slot_free(proc, i, AGENT));
}

static void test_kill_at_any_instruction_leaves_a_sound_arena(void **state)
{
    (void)state;
    pid_t pid[N_PROCS];
    uint32_t holder[N_PROCS], next_holder = AGENT + 1;
    int n_kills = 0, n_held = 0, n_rebuilt = 0;
    base_rng_t rng;
    base_rng_seed(&rng, seed);
    for (int p = 0; p < N_PROCS; p++) pid[p] = start_child(p, holder[p] = next_holder++);

    /* Most kills hit outside of the lock: go on until some have hit inside. */
    for (; n_kills < N_KILLS || (n_rebuilt < MIN_REBUILDS && n_kills < MAX_KILLS); n_kills++) {
        usleep((useconds_t)base_rng_below(&rng, 3000));
        int p = (int)base_rng_below(&rng, N_PROCS), status = 0;
        kill(pid[p], SIGKILL);
        assert_int_equal(waitpid(pid[p], &status, 0), pid[p]);
        if (!WIFSIGNALED(status)) fail_msg("child %d ended by itself with code %d", p, WEXITSTATUS(status));
        if (arena_break(arena, holder[p], AGENT)) {
            n_held++;
            n_rebuilt += arena_needs_rebuild(arena);
        } else {
            arena_lock(arena, AGENT);
            assert_false(arena_needs_rebuild(arena));
        }
        compare_with_slots();
        arena_unlock(arena, AGENT);
        free_row(p);
        pid[p] = start_child(p, holder[p] = next_holder++);
    }

    atomic_store(&shared->stop, 1);
    for (int p = 0; p < N_PROCS; p++) {
        int status = 0;
        assert_int_equal(waitpid(pid[p], &status, 0), pid[p]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == CHILD_OK);
        for (int i = 0; i < N_SLOTS; i++)
            if (shared->slots[p][i].live) assert_true(slot_intact(p, i));
        free_row(p);
    }
    printf("arena: %d kills, %d of them while the lock was held, %d rebuilds, %llu pairs\n", n_kills, n_held, n_rebuilt,
           (unsigned long long)atomic_load(&shared->n_pairs));
    assert_true(n_rebuilt >= MIN_REBUILDS);
    arena_lock(arena, AGENT);
    compare_with_slots();
    arena_unlock(arena, AGENT);
    arena_stats_t stats;
    arena_stats(arena, AGENT, &stats);
    assert_true(stats.used_bytes == 0 && stats.largest_free_bytes == CAPACITY);
}

int main(void)
{
    const char *given = getenv("MRAY_TEST_SEED");
    seed = given ? strtoull(given, NULL, 0) : base_clock_ns();
    printf("seed %llu (MRAY_TEST_SEED repeats it)\n", (unsigned long long)seed);
    shared = map_shared(sizeof *shared);
    arena = map_shared(arena_metadata_bytes(CAPACITY, MAX_BLOCKS));
    payload = map_shared(CAPACITY);
    if (arena_init(arena, CAPACITY, MAX_BLOCKS) != MRAY_OK) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_kill_at_any_instruction_leaves_a_sound_arena)};
    return cmocka_run_group_tests_name("store.arena_kill", tests, NULL, NULL);
}
