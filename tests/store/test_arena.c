/* The arena in one process: edges, fill, fragmentation, damage and rebuild, speed. test_arena_kill.c has the processes. */
#include "arena_layout.h"
#include "clock.h"
#include "rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ME = 1, MIB = 1 << 20 };

static uint64_t seed;

static arena_t *make_arena(uint64_t capacity, uint32_t max_blocks)
{
    size_t bytes = (arena_metadata_bytes(capacity, max_blocks) + 63) & ~(size_t)63;
    arena_t *arena = aligned_alloc(64, bytes);
    assert_non_null(arena);
    memset(arena, 0xa5, bytes); /* a fresh segment is zero; nothing may depend on it */
    assert_int_equal(arena_init(arena, capacity, max_blocks), MRAY_OK);
    return arena;
}

static void check(arena_t *arena)
{
    if (arena_selfcheck(arena, ME) != MRAY_OK) fail_msg("%s", mray_error_message());
}

static arena_block_t must_alloc(arena_t *arena, uint64_t bytes)
{
    arena_block_t block = {0};
    if (arena_alloc(arena, ME, bytes, &block) != MRAY_OK) fail_msg("%s", mray_error_message());
    assert_true(block.block != 0 && block.off % 64 == 0);
    return block;
}

static void must_free(arena_t *arena, arena_block_t block)
{
    if (arena_free(arena, ME, block) != MRAY_OK) fail_msg("%s", mray_error_message());
}

static arena_stats_t stats_of(arena_t *arena)
{
    arena_stats_t stats;
    arena_stats(arena, ME, &stats);
    return stats;
}

static void assert_one_free_block(arena_t *arena)
{
    arena_stats_t stats = stats_of(arena);
    check(arena);
    assert_int_equal(stats.n_blocks, 0);
    assert_true(stats.used_bytes == 0 && stats.largest_free_bytes == stats.capacity_bytes);
}

static void test_init_refuses_what_cannot_be(void **state)
{
    (void)state;
    arena_t *arena = make_arena(1000, 4);
    assert_int_equal(arena_init(arena, 63, 4), MRAY_ERR_INVALID_ARGUMENT);
    assert_int_equal(arena_init(arena, ARENA_CAPACITY_MAX + 1, 4), MRAY_ERR_INVALID_ARGUMENT);
    assert_int_equal(arena_init(arena, 1000, 0), MRAY_ERR_INVALID_ARGUMENT);
    assert_int_equal(arena_init(arena, 1000, ARENA_BLOCKS_MAX + 1), MRAY_ERR_INVALID_ARGUMENT);
    assert_true(stats_of(arena).capacity_bytes == 960);
    free(arena);
}

static void test_blocks_are_cut_to_size_and_merged_again(void **state)
{
    (void)state;
    arena_t *arena = make_arena(64 * 100, 100);
    arena_block_t a = must_alloc(arena, 0), b = must_alloc(arena, 65), c = must_alloc(arena, 64);
    assert_int_equal(a.off, 0);
    assert_int_equal(b.off, 64);
    assert_int_equal(c.off, 192);
    assert_int_equal(arena_used_bytes(arena), 256);
    must_free(arena, b);
    check(arena);
    must_free(arena, a);
    check(arena);
    must_free(arena, c);
    assert_one_free_block(arena);
    assert_int_equal(stats_of(arena).peak_bytes, 256);
    assert_int_equal(arena_holder(arena), 0);
    free(arena);
}

static void test_whole_capacity_can_be_one_block(void **state)
{
    (void)state;
    const uint64_t capacities[] = {64, 64 * 31, 64 * 33, 64 * 1000003, (UINT64_C(1) << 40) - 64, UINT64_C(1) << 40};
    for (size_t i = 0; i < sizeof capacities / sizeof capacities[0]; i++) {
        arena_t *arena = make_arena(capacities[i], 2);
        arena_block_t all = must_alloc(arena, capacities[i]), more = {77, 78};
        assert_int_equal(arena_alloc(arena, ME, 1, &more), MRAY_ERR_OBJECT_STORE_FULL);
        assert_true(more.off == 77 && more.block == 78);
        check(arena);
        must_free(arena, all);
        assert_one_free_block(arena);
        free(arena);
    }
}

static void test_full_says_what_there_is(void **state)
{
    (void)state;
    arena_t *arena = make_arena(1 * MIB, 3);
    arena_block_t block[3], none;
    assert_int_equal(arena_alloc(arena, ME, 1 * MIB + 1, &none), MRAY_ERR_OBJECT_STORE_FULL);
    assert_int_equal(arena_alloc(arena, ME, UINT64_MAX, &none), MRAY_ERR_OBJECT_STORE_FULL);
    for (int i = 0; i < 3; i++) block[i] = must_alloc(arena, 200000);
    assert_int_equal(arena_alloc(arena, ME, 64, &none), MRAY_ERR_OBJECT_STORE_FULL);
    assert_non_null(strstr(mray_error_message(), "all 3 blocks"));
    must_free(arena, block[1]);
    assert_int_equal(arena_alloc(arena, ME, 600000, &none), MRAY_ERR_OBJECT_STORE_FULL);
    assert_non_null(strstr(mray_error_message(), "600000 bytes asked, 648576 of 1048576 free, largest free block 448576"));
    check(arena);
    free(arena);
}

static void test_bad_frees_are_refused(void **state)
{
    (void)state;
    arena_t *arena = make_arena(1 * MIB, 100);
    arena_block_t a = must_alloc(arena, 1000), b = must_alloc(arena, 1000), c = must_alloc(arena, 1000);
    must_free(arena, a);
    assert_int_equal(arena_free(arena, ME, a), MRAY_ERR_INVALID_ARGUMENT);
    must_free(arena, b); /* merged into a's block: its descriptor is gone */
    assert_int_equal(arena_free(arena, ME, b), MRAY_ERR_INVALID_ARGUMENT);
    assert_int_equal(arena_free(arena, ME, (arena_block_t){c.off + 64, c.block}), MRAY_ERR_INVALID_ARGUMENT);
    assert_int_equal(arena_free(arena, ME, (arena_block_t){c.off, 0}), MRAY_ERR_INVALID_ARGUMENT);
    assert_int_equal(arena_free(arena, ME, (arena_block_t){c.off, UINT32_MAX}), MRAY_ERR_INVALID_ARGUMENT);
    assert_non_null(strstr(mray_error_message(), "not allocated"));
    check(arena);
    must_free(arena, c);
    assert_one_free_block(arena);
    free(arena);
}

static void test_what_was_freed_last_is_used_first(void **state)
{
    (void)state;
    arena_t *arena = make_arena(64 * MIB, 100);
    arena_block_t block[20];
    for (int i = 0; i < 20; i++) block[i] = must_alloc(arena, 100000);
    must_free(arena, block[4]);
    must_free(arena, block[16]);
    must_free(arena, block[10]);
    assert_true(must_alloc(arena, 100000).off == block[10].off);
    assert_true(must_alloc(arena, 100000).off == block[16].off);
    assert_true(must_alloc(arena, 100000).off == block[4].off);
    check(arena);
    free(arena);
}

static void test_a_block_behind_smaller_ones_of_its_bin_is_found(void **state)
{
    (void)state;
    arena_t *arena = make_arena(64 * (1050 + 1 + 1025 + 1), 10); /* 1024..1055 units share a bin */
    arena_block_t large = must_alloc(arena, 64 * 1050);
    must_alloc(arena, 64);
    arena_block_t small = must_alloc(arena, 64 * 1025), none;
    must_alloc(arena, 64);
    must_free(arena, large);
    must_free(arena, small);
    assert_int_equal(arena_alloc(arena, ME, 64 * 1051, &none), MRAY_ERR_OBJECT_STORE_FULL);
    assert_true(must_alloc(arena, 64 * 1040).off == large.off);
    check(arena);
    free(arena);
}

static void test_every_unit_can_be_filled(void **state)
{
    (void)state;
    enum { N = 4096 };
    arena_t *arena = make_arena(64 * N, N);
    static arena_block_t block[N];
    for (int i = 0; i < N; i++) block[i] = must_alloc(arena, 1 + i % 64);
    assert_true(arena_used_bytes(arena) == 64 * N);
    check(arena);
    for (int i = 0; i < N; i += 2) must_free(arena, block[i]); /* a comb: as many free blocks as can be */
    check(arena);
    assert_int_equal(stats_of(arena).largest_free_bytes, 64);
    for (int i = 1; i < N; i += 2) must_free(arena, block[i]);
    assert_one_free_block(arena);
    free(arena);
}

/* ---- random use ---- */

enum { MAX_LIVE = 4096 };

typedef struct {
    arena_t *arena;
    base_rng_t rng;
    arena_live_t live[MAX_LIVE];
    size_t n_live;
    uint64_t live_bytes, n_asked, n_failed;
} load_t;

static uint64_t round64(uint64_t bytes)
{
    return (bytes + 63) & ~UINT64_C(63);
}

static void load_alloc(load_t *load, uint64_t bytes)
{
    arena_block_t block;
    load->n_asked++;
    if (arena_alloc(load->arena, ME, bytes, &block) != MRAY_OK) {
        load->n_failed++;
        return;
    }
    for (size_t i = 0; i < load->n_live; i++)
        if (block.off < load->live[i].off + load->live[i].bytes && load->live[i].off < block.off + bytes) fail_msg("blocks overlap");
    assert_true(load->n_live < MAX_LIVE);
    load->live[load->n_live++] = (arena_live_t){block.off, bytes, block.block};
    load->live_bytes += round64(bytes);
}

static void load_free(load_t *load)
{
    size_t i = base_rng_below(&load->rng, load->n_live);
    must_free(load->arena, (arena_block_t){load->live[i].off, load->live[i].block});
    load->live_bytes -= round64(load->live[i].bytes);
    load->live[i] = load->live[--load->n_live];
}

static void load_run(load_t *load, int n_steps, uint64_t limit, uint64_t min, uint64_t max)
{
    for (int step = 0; step < n_steps; step++) {
        uint64_t bytes = base_rng_range(&load->rng, min, max);
        while (load->live_bytes + bytes > limit) load_free(load);
        load_alloc(load, bytes);
        if (step % 1000 == 0) check(load->arena);
    }
    assert_true(arena_used_bytes(load->arena) == load->live_bytes);
}

static load_t *make_load(uint64_t capacity)
{
    load_t *load = calloc(1, sizeof *load);
    assert_non_null(load);
    load->arena = make_arena(capacity, MAX_LIVE);
    base_rng_seed(&load->rng, seed);
    return load;
}

static void drop_load(load_t *load)
{
    while (load->n_live) load_free(load);
    assert_one_free_block(load->arena);
    free(load->arena);
    free(load);
}

static void test_few_requests_fail_at_70_percent_live(void **state)
{
    (void)state;
    const uint64_t capacity = UINT64_C(8) << 30;
    load_t *load = make_load(capacity);
    load_run(load, 30000, capacity / 10 * 7, 1 * MIB, 64 * MIB);
    double failed = 100.0 * (double)load->n_failed / (double)load->n_asked;
    printf("arena: 8 GiB, objects of 1-64 MiB, 70%% live: %.2f%% of %llu requests failed\n", failed, (unsigned long long)load->n_asked);
    assert_true(failed < 2.0);
    drop_load(load);
}

static void test_random_sizes_fill_the_arena(void **state)
{
    (void)state;
    const uint64_t capacity = UINT64_C(4) << 30;
    load_t *load = make_load(capacity);
    while (load->n_failed < 200) load_alloc(load, base_rng_range(&load->rng, 1 * MIB, 64 * MIB));
    double fill = 100.0 * (double)load->live_bytes / (double)capacity;
    printf("arena: 4 GiB filled with objects of 1-64 MiB until 200 requests failed: %.2f%% in use\n", fill);
    assert_true(fill > 99.0);
    drop_load(load);
}

static void test_small_and_mixed_sizes_keep_the_invariants(void **state)
{
    (void)state;
    load_t *load = make_load(1 * MIB);
    load_run(load, 20000, 900000, 1, 3000);
    load_run(load, 20000, 900000, 1, 200);
    load_run(load, 2000, 1000000, 1, 100000);
    drop_load(load);
}

/* ---- damage and rebuild ---- */

static void damage(arena_t *arena, base_rng_t *rng)
{
    unsigned char *bytes = (unsigned char *)&arena->s;
    size_t n = sizeof arena->s + arena->s.n_fresh * sizeof(desc_t);
    for (uint64_t k = base_rng_range(rng, 1, 200); k > 0; k--) bytes[base_rng_below(rng, n)] = (unsigned char)base_rng_next(rng);
}

static void rebuild(arena_t *arena, const arena_live_t *live, size_t n_live)
{
    arena_lock(arena, ME);
    int rc = arena_rebuild(arena, live, n_live);
    arena_unlock(arena, ME);
    if (rc != MRAY_OK) fail_msg("%s", mray_error_message());
}

static void test_rebuild_from_nothing_equals_a_fresh_arena(void **state)
{
    (void)state;
    arena_t *fresh = make_arena(64 * MIB, MAX_LIVE);
    load_t *load = make_load(64 * MIB);
    for (int round = 0; round < 50; round++) {
        load_run(load, 200, 48 * MIB, 1, 1 * MIB);
        damage(load->arena, &load->rng);
        rebuild(load->arena, NULL, 0);
        load->n_live = 0;
        load->live_bytes = 0;
        check(load->arena);
        assert_memory_equal(&load->arena->s, &fresh->s, sizeof fresh->s);
        assert_memory_equal(&load->arena->descs[1], &fresh->descs[1], sizeof(desc_t));
    }
    free(fresh);
    drop_load(load);
}

static void test_rebuild_keeps_the_live_blocks(void **state)
{
    (void)state;
    load_t *load = make_load(64 * MIB);
    int n_seen = 0;
    for (int round = 0; round < 200; round++) {
        load_run(load, 100, 48 * MIB, 1, 1 * MIB);
        arena_stats_t before = stats_of(load->arena), after;
        damage(load->arena, &load->rng);
        n_seen += arena_selfcheck(load->arena, ME) != MRAY_OK;
        rebuild(load->arena, load->live, load->n_live);
        check(load->arena);
        after = stats_of(load->arena);
        assert_true(after.used_bytes == before.used_bytes && after.n_blocks == before.n_blocks);
        assert_true(after.largest_free_bytes == before.largest_free_bytes);
    }
    assert_true(n_seen > 100); /* the selfcheck is worth its name; bytes of dead descriptors do not count */
    drop_load(load);
}

static void refuse(arena_t *arena, const arena_live_t *live, size_t n_live)
{
    arena_lock(arena, ME);
    assert_int_equal(arena_rebuild(arena, live, n_live), MRAY_ERR_INTERNAL);
    assert_true(arena_needs_rebuild(arena));
    arena_unlock(arena, ME);
    arena_block_t block;
    assert_int_equal(arena_alloc(arena, ME, 64, &block), MRAY_ERR_INTERNAL);
    assert_int_equal(arena_free(arena, ME, (arena_block_t){0, 1}), MRAY_ERR_INTERNAL);
}

static void test_rebuild_refuses_impossible_blocks(void **state)
{
    (void)state;
    arena_t *arena = make_arena(64 * 100, 3);
    refuse(arena, (arena_live_t[]){{0, 65, 1}, {64, 64, 2}}, 2);           /* overlap */
    refuse(arena, (arena_live_t[]){{0, 64, 1}, {64, 64, 1}}, 2);           /* one number twice */
    refuse(arena, (arena_live_t[]){{0, 64, 0}}, 1);                        /* no number */
    refuse(arena, (arena_live_t[]){{0, 64, 8}}, 1);                        /* beyond the table */
    refuse(arena, (arena_live_t[]){{32, 64, 1}}, 1);                       /* off the grid */
    refuse(arena, (arena_live_t[]){{64 * 99, 65, 1}}, 1);                  /* over the end */
    refuse(arena, (arena_live_t[]){{0, UINT64_MAX, 1}}, 1);                /* no such size */
    refuse(arena, (arena_live_t[]){{0, 1, 1}, {64, 1, 2}, {128, 1, 3}, {192, 1, 4}}, 4); /* more than there can be */
    arena_live_t good[] = {{64 * 99, 64, 7}, {0, 64, 5}, {640, 100, 2}};
    rebuild(arena, good, 3);
    assert_false(arena_needs_rebuild(arena));
    check(arena);
    for (int i = 0; i < 3; i++) must_free(arena, (arena_block_t){good[i].off, good[i].block});
    assert_one_free_block(arena);
    free(arena);
}

static void test_selfcheck_sees_single_faults(void **state)
{
    (void)state;
    arena_t *arena = make_arena(1 * MIB, 100);
    arena_block_t a = must_alloc(arena, 1000), b = must_alloc(arena, 1000), c = must_alloc(arena, 1000);
    must_free(arena, b);
    check(arena);
    desc_t *descs = arena->descs;
    uint32_t tail = descs[c.block].next_phys;
#define SEES(change, undo)                                              \
    do {                                                                \
        change;                                                         \
        assert_int_equal(arena_selfcheck(arena, ME), MRAY_ERR_INTERNAL); \
        undo;                                                           \
        check(arena);                                                   \
    } while (0)
    SEES(descs[a.block].units++, descs[a.block].units--);
    SEES(descs[a.block].state = DESC_FREE, descs[a.block].state = DESC_USED);
    SEES(descs[b.block].state = DESC_USED, descs[b.block].state = DESC_FREE);
    SEES(descs[c.block].prev_phys = a.block, descs[c.block].prev_phys = b.block);
    SEES(descs[c.block].start++, descs[c.block].start--);
    SEES(descs[c.block].next_phys = 0x7fffffff, descs[c.block].next_phys = tail);
    SEES(arena->s.n_used++, arena->s.n_used--);
    SEES(arena->s.used_units++, arena->s.used_units--);
    SEES(arena->s.row_map ^= 2, arena->s.row_map ^= 2);
    SEES(arena->s.col_map[0] ^= 1u << 16, arena->s.col_map[0] ^= 1u << 16);
    SEES(arena->s.desc_free = a.block, arena->s.desc_free = 0);
    SEES(arena->s.peak_units = 1, arena->s.peak_units = 48);
#undef SEES
    free(arena);
}

/* The lines are there to be read; the bounds only catch a search that has gone linear. */
static void test_speed(void **state)
{
    (void)state;
    enum { N = 1000000, N_SET = 256 };
    load_t *load = make_load(UINT64_C(8) << 30);
    arena_block_t block = {0};
    must_free(load->arena, must_alloc(load->arena, 1 * MIB));
    uint64_t start = base_clock_ns();
    for (int i = 0; i < N; i++) {
        if (arena_alloc(load->arena, ME, 1 * MIB, &block) != MRAY_OK) fail();
        if (arena_free(load->arena, ME, block) != MRAY_OK) fail();
    }
    uint64_t warm = (base_clock_ns() - start) / N;

    arena_block_t set[N_SET];
    uint64_t sizes[1024];
    for (int i = 0; i < 1024; i++) sizes[i] = base_rng_range(&load->rng, 1 * MIB, 32 * MIB);
    for (int i = 0; i < N_SET; i++) set[i] = must_alloc(load->arena, sizes[i]);
    start = base_clock_ns();
    for (int i = 0; i < N; i++) {
        int k = (i * 37) % N_SET;
        if (arena_free(load->arena, ME, set[k]) != MRAY_OK) fail();
        if (arena_alloc(load->arena, ME, sizes[i % 1024], &set[k]) != MRAY_OK) set[k] = must_alloc(load->arena, 64);
    }
    uint64_t mixed = (base_clock_ns() - start) / N;
    printf("arena: %llu ns a warm pair, %llu ns a pair with 256 blocks of 1-32 MiB live\n", (unsigned long long)warm, (unsigned long long)mixed);
#ifndef MRAY_SANITIZED /* which makes it some fifty times slower, and a busy machine more */
    assert_true(warm < 5000 && mixed < 20000);
#endif
    check(load->arena);
    for (int i = 0; i < N_SET; i++) must_free(load->arena, set[i]);
    drop_load(load);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_init_refuses_what_cannot_be),
        cmocka_unit_test(test_blocks_are_cut_to_size_and_merged_again),
        cmocka_unit_test(test_whole_capacity_can_be_one_block),
        cmocka_unit_test(test_full_says_what_there_is),
        cmocka_unit_test(test_bad_frees_are_refused),
        cmocka_unit_test(test_what_was_freed_last_is_used_first),
        cmocka_unit_test(test_a_block_behind_smaller_ones_of_its_bin_is_found),
        cmocka_unit_test(test_every_unit_can_be_filled),
        cmocka_unit_test(test_few_requests_fail_at_70_percent_live),
        cmocka_unit_test(test_random_sizes_fill_the_arena),
        cmocka_unit_test(test_small_and_mixed_sizes_keep_the_invariants),
        cmocka_unit_test(test_rebuild_from_nothing_equals_a_fresh_arena),
        cmocka_unit_test(test_rebuild_keeps_the_live_blocks),
        cmocka_unit_test(test_rebuild_refuses_impossible_blocks),
        cmocka_unit_test(test_selfcheck_sees_single_faults),
        cmocka_unit_test(test_speed),
    };
    const char *given = getenv("MRAY_TEST_SEED");
    seed = given ? strtoull(given, NULL, 0) : base_clock_ns();
    printf("seed %llu (MRAY_TEST_SEED repeats it)\n", (unsigned long long)seed);
    return cmocka_run_group_tests_name("store.arena", tests, NULL, NULL);
}
