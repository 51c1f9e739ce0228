/* The pool: items are given out once, chunks have one owner, hints may be set twice, dead endpoints' chunks are found again. */
#include "pool_items.h"

#include <stdlib.h>

enum { A = 5, B = 6, C = 0x105 };

static void test_every_item_but_zero_is_given_out_once(void **state)
{
    (void)state;
    pool_items_t p;
    pool_items_make(&p, 64 * 70); /* more chunks than a summary word has bits */
    pool_cache_t a = item_cache(&p, A);
    uint32_t n = 0, index;
    while ((index = item_take(&p, &a)) != 0) {
        assert_true(index < 64 * 70);
        n++;
    }
    assert_int_equal(n, 64 * 70 - 1);
    assert_int_equal(pool_alloc(&a), 0);
    for (uint32_t i = 1; i <= n; i++) item_drop(&p, &a, i);
    for (uint32_t i = 0; i < n; i++) assert_int_not_equal(item_take(&p, &a), 0);
    assert_int_equal(pool_alloc(&a), 0);
    pool_cache_fini(&a);
    pool_items_free(&p);
}

static void test_last_freed_item_is_first_taken(void **state)
{
    (void)state;
    pool_items_t p;
    pool_items_make(&p, 128);
    pool_cache_t a = item_cache(&p, A);
    uint32_t x = item_take(&p, &a), y = item_take(&p, &a);
    assert_int_equal(x, 1); /* and the lowest before that: the pages in use stay few */
    assert_int_equal(y, 2);
    item_drop(&p, &a, x);
    assert_int_equal(item_take(&p, &a), x);
    pool_cache_fini(&a);
    pool_items_free(&p);
}

static void test_a_chunk_belongs_to_one_endpoint(void **state)
{
    (void)state;
    pool_items_t p;
    pool_items_make(&p, 64 * 6);
    pool_cache_t a = item_cache(&p, A), b = item_cache(&p, B);
    uint16_t owner[6] = {0};
    for (int i = 0; i < 150; i++) {
        pool_cache_t *cache = i % 3 == 0 ? &b : &a;
        uint32_t index = item_take(&p, cache);
        if (owner[index / 64] == 0) owner[index / 64] = cache->gid;
        assert_int_equal(owner[index / 64], cache->gid);
    }
    pool_cache_fini(&a);
    pool_cache_fini(&b);
    pool_items_free(&p);
}

static void test_what_another_frees_comes_back_to_the_owner(void **state)
{
    (void)state;
    pool_items_t p;
    pool_items_make(&p, 64 * 130);
    pool_cache_t a = item_cache(&p, A), b = item_cache(&p, B);
    uint32_t first = item_take(&p, &a);
    uint32_t chunk = first / 64, all[64], n = 0;
    all[n++] = first;
    for (uint32_t index; n < 63 && (index = item_take(&p, &a)) != 0;) all[n++] = index;
    for (uint32_t i = 0; i < n; i++) assert_int_equal(all[i] / 64, chunk);
    uint32_t of_b = item_take(&p, &b); /* so that b has a chunk */
    for (uint32_t i = 0; i < n; i++) item_drop(&p, &b, all[i]);
    for (uint32_t i = 0; i < 63; i++) assert_int_not_equal(item_take(&p, &b) / 64, chunk);
    for (uint32_t i = 0; i < n; i++) assert_int_equal(item_take(&p, &a) / 64, chunk); /* before any new chunk */
    assert_int_not_equal(item_take(&p, &a) / 64, chunk);
    item_drop(&p, &a, of_b);
    pool_cache_fini(&a);
    pool_cache_fini(&b);
    check_nothing_is_lost(&p);
    pool_items_free(&p);
}

static void test_hints_in_far_chunks_are_found(void **state)
{
    (void)state;
    pool_items_t p;
    pool_items_make(&p, 64 * 200);
    pool_cache_t a = item_cache(&p, A), b = item_cache(&p, B);
    while (item_take(&p, &a) != 0) continue;
    static const uint32_t some[] = {3, 64, 64 * 63 + 5, 64 * 64, 64 * 128 + 1, 64 * 199 + 63};
    for (int turn = 0; turn < 3; turn++) {
        bool seen[6] = {false};
        for (int i = 0; i < 6; i++) item_drop(&p, &b, some[i]);
        for (int i = 0; i < 6; i++) {
            uint32_t index = item_take(&p, &a);
            for (int k = 0; k < 6; k++) seen[k] = seen[k] || some[k] == index;
        }
        for (int k = 0; k < 6; k++) assert_true(seen[k]);
        assert_int_equal(pool_alloc(&a), 0);
    }
    pool_cache_fini(&a);
    pool_cache_fini(&b);
    pool_items_free(&p);
}

static void test_hints_are_set_a_few_at_a_time_and_never_lost(void **state)
{
    (void)state;
    pool_items_t p;
    pool_items_make(&p, 64 * 2);
    pool_cache_t a = item_cache(&p, A), b = item_cache(&p, B);
    pool_unsaid_t unsaid = {0};
    b.unsaid = &unsaid;
    while (item_take(&p, &a) != 0) continue;
    for (uint32_t i = 1; i < POOL_UNSAID_MAX; i++) {
        item_drop(&p, &b, i);
        assert_int_equal(pool_alloc(&a), 0);
    }
    item_drop(&p, &b, POOL_UNSAID_MAX);
    for (uint32_t i = 1; i <= POOL_UNSAID_MAX; i++) assert_in_range(item_take(&p, &a), 1, POOL_UNSAID_MAX);
    item_drop(&p, &b, 7);
    item_drop(&p, &b, 64 + 7); /* another chunk: the first one's are said */
    assert_int_equal(item_take(&p, &a), 7);
    assert_int_equal(pool_alloc(&a), 0);
    pool_say_for(&unsaid, &p.seg, p.pool); /* by an agent, */
    assert_int_equal(item_take(&p, &a), 64 + 7);
    pool_say_for(&unsaid, &p.seg, p.pool); /* which may repeat it */
    assert_int_equal(pool_alloc(&a), 0);
    item_drop(&p, &b, 9);
    pool_say(&b); /* it is about to sleep */
    assert_int_equal(item_take(&p, &a), 9);
    item_drop(&p, &b, 10);
    pool_cache_fini(&b);
    assert_int_equal(item_take(&p, &a), 10);
    pool_cache_fini(&a);
    pool_items_free(&p);
}

static void test_a_hint_set_twice_gives_one_item(void **state)
{
    (void)state;
    pool_items_t p;
    pool_items_make(&p, 64);
    pool_cache_t a = item_cache(&p, A), agent = item_cache(&p, B);
    while (item_take(&p, &a) != 0) continue;
    for (int turn = 0; turn < 100; turn++) {
        uint32_t i = 1 + (uint32_t)turn % 63;
        item_drop(&p, &agent, i);
        pool_free(&agent, &p.seg, p.pool, i); /* as an agent that repeats what a dead endpoint may have done */
        assert_int_equal(item_take(&p, &a), i);
        pool_free(&agent, &p.seg, p.pool, i); /* it is in use again */
        assert_int_equal(pool_alloc(&a), 0);
    }
    pool_cache_fini(&a);
    pool_cache_fini(&agent);
    pool_items_free(&p);
}

static void test_a_lost_summary_bit_is_made_good_by_the_next_free(void **state)
{
    (void)state;
    pool_items_t p;
    pool_items_make(&p, 64);
    pool_cache_t a = item_cache(&p, A), b = item_cache(&p, B);
    while (item_take(&p, &a) != 0) continue;
    item_drop(&p, &b, 9);
    *(uint64_t *)(void *)(p.seg.rw + p.pool->summary_off) = 0; /* its setter died between hint and summary */
    item_drop(&p, &b, 10);
    uint32_t x = item_take(&p, &a), y = item_take(&p, &a);
    assert_true((x == 9 && y == 10) || (x == 10 && y == 9));
    pool_cache_fini(&a);
    pool_cache_fini(&b);
    pool_items_free(&p);
}

static void test_closed_caches_give_their_items_to_others(void **state)
{
    (void)state;
    pool_items_t p;
    pool_items_make(&p, 64 * 3);
    for (uint16_t gid = 1; gid < 40; gid++) {
        pool_cache_t a = item_cache(&p, gid);
        uint32_t got[150];
        for (int i = 0; i < 150; i++) assert_int_not_equal(got[i] = item_take(&p, &a), 0);
        for (int i = 0; i < 150; i++) item_drop(&p, &a, got[i]);
        pool_cache_fini(&a);
        pool_cache_fini(&a); /* nothing left to do */
    }
    check_nothing_is_lost(&p);
    pool_items_free(&p);
}

/* A dies with items in use, on its stack and freed by others: the free ones of its chunks, and only those, can be had again. */
static void test_adoption_finds_all_free_items_and_no_used_one(void **state)
{
    (void)state;
    pool_items_t p;
    pool_items_make(&p, 64 * 4);
    pool_cache_t a = item_cache(&p, A), b = item_cache(&p, B), c = item_cache(&p, C);
    uint32_t of_a[100], kept_by_b = item_take(&p, &b);
    for (int i = 0; i < 100; i++) of_a[i] = item_take(&p, &a);
    for (int i = 0; i < 100; i += 3) item_drop(&p, &b, of_a[i]);
    for (int i = 1; i < 100; i += 3) item_drop(&p, &a, of_a[i]); /* on a's private stack, which is lost */
    pool_adopt(&p.seg, p.pool, item_is_free, A);
    pool_adopt(&p.seg, p.pool, item_is_free, A); /* repeatable */
    uint32_t used = items_used(&p), n = 0, index;
    assert_int_equal(used, 33 + 1);
    while ((index = item_take(&p, &c)) != 0) {
        assert_int_not_equal(index, kept_by_b);
        for (int i = 2; i < 100; i += 3) assert_int_not_equal(index, of_a[i]);
        n++;
    }
    assert_int_equal(n, 64 * 4 - 1 - used - 63 + (kept_by_b / 64 == 0)); /* b's chunk is b's */
    while (item_take(&p, &b) != 0) n++;
    assert_int_equal(used + n, 64 * 4 - 1);
    item_drop(&p, &c, of_a[2]); /* an item that was in use through the death is freed into the new owner's chunk */
    assert_int_equal(item_take(&p, &c), of_a[2]);
    free(a.stack);
    free(a.mine);
    pool_cache_fini(&b);
    pool_cache_fini(&c);
    pool_items_free(&p);
}

static void test_death_between_claim_and_count_stops_nobody(void **state)
{
    (void)state;
    pool_items_t p;
    pool_items_make(&p, 64 * 3);
    ((_Atomic uint16_t *)(void *)(p.seg.rw + p.pool->owner_off))[0] = A; /* claimed, and next_fresh is still 0 */
    pool_cache_t b = item_cache(&p, B);
    assert_int_equal(item_take(&p, &b) / 64, 1);
    assert_true(pool_high_water(p.pool) >= 128);
    pool_adopt(&p.seg, p.pool, item_is_free, A);
    pool_cache_fini(&b);
    check_nothing_is_lost(&p);
    pool_items_free(&p);
}

static void test_high_water_covers_every_used_item(void **state)
{
    (void)state;
    pool_items_t p;
    pool_items_make(&p, 64 * 5);
    pool_cache_t a = item_cache(&p, A);
    assert_true(pool_high_water(p.pool) <= 64);
    for (uint32_t index; (index = item_take(&p, &a)) != 0;) assert_true(index < pool_high_water(p.pool));
    assert_int_equal(pool_high_water(p.pool), 64 * 5);
    pool_cache_fini(&a);
    pool_items_free(&p);
}

/* ---- runs ---- */

static void take_run(pool_items_t *p, pool_cache_t *cache, uint32_t first, uint32_t n)
{
    for (uint32_t i = first; i < first + n; i++) {
        uint64_t nobody = 0;
        if (!atomic_compare_exchange_strong(item_word(p, i), &nobody, cache->gid)) fail_msg("item %u of run %u+%u was in use", i, first, n);
    }
}

static void test_runs_lie_in_a_row_and_waste_nothing(void **state)
{
    static const uint32_t lengths[] = {1, 2, 3, 63, 64, 65, 127, 128, 129, 200};
    (void)state;
    pool_items_t p;
    pool_items_make(&p, 64 * 40);
    pool_cache_t a = item_cache(&p, A), b = item_cache(&p, B);
    uint32_t n = 0, index;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        index = pool_alloc_run(&a, lengths[i]);
        assert_int_not_equal(index, 0);
        take_run(&p, &a, index, lengths[i]);
        n += lengths[i];
        if (i % 2 == 0 && item_take(&p, &b) != 0) n++; /* another endpoint claims chunks in between */
    }
    while ((index = item_take(&p, &a)) != 0) n++; /* what the runs left of their last chunks */
    while ((index = item_take(&p, &b)) != 0) n++;
    assert_int_equal(n, 64 * 40 - 1);
    pool_cache_fini(&a);
    pool_cache_fini(&b);
    pool_items_free(&p);
}

static void test_a_run_that_does_not_fit_loses_nothing(void **state)
{
    (void)state;
    pool_items_t p;
    pool_items_make(&p, 64 * 4);
    pool_cache_t a = item_cache(&p, A);
    assert_int_equal(pool_alloc_run(&a, 64 * 3 + 1), 0); /* chunk 0 has no item 0 */
    uint32_t n = 0;
    while (item_take(&p, &a) != 0) n++;
    assert_int_equal(n, 64 * 4 - 1);
    pool_cache_fini(&a);
    pool_items_free(&p);

    pool_items_make(&p, 64 * 4);
    a = item_cache(&p, A);
    uint32_t first = pool_alloc_run(&a, 64 * 3);
    assert_int_equal(first, 64);
    take_run(&p, &a, first, 64 * 3);
    pool_cache_fini(&a);
    check_nothing_is_lost(&p);
    pool_items_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_item_but_zero_is_given_out_once),
        cmocka_unit_test(test_last_freed_item_is_first_taken),
        cmocka_unit_test(test_a_chunk_belongs_to_one_endpoint),
        cmocka_unit_test(test_what_another_frees_comes_back_to_the_owner),
        cmocka_unit_test(test_hints_in_far_chunks_are_found),
        cmocka_unit_test(test_hints_are_set_a_few_at_a_time_and_never_lost),
        cmocka_unit_test(test_a_hint_set_twice_gives_one_item),
        cmocka_unit_test(test_a_lost_summary_bit_is_made_good_by_the_next_free),
        cmocka_unit_test(test_closed_caches_give_their_items_to_others),
        cmocka_unit_test(test_adoption_finds_all_free_items_and_no_used_one),
        cmocka_unit_test(test_death_between_claim_and_count_stops_nobody),
        cmocka_unit_test(test_high_water_covers_every_used_item),
        cmocka_unit_test(test_runs_lie_in_a_row_and_waste_nothing),
        cmocka_unit_test(test_a_run_that_does_not_fit_loses_nothing),
    };
    return cmocka_run_group_tests_name("net.pool", tests, NULL, NULL);
}
