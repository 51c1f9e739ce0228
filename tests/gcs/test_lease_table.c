/* Shares of slots: growth, fairness, sharing, return, loss of a rank. The pick function takes the lowest rank that is free, the
 * holder's own first. */
#include "lease_table.h"

#include "rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <mray/status.h>

static const node_shape_t CPU = {.cpu = NODE_UNIT};

enum { N_RANKS = 8, N_SHAPES = 4 };

typedef struct {
    node_table_t *nodes;
    lease_table_t *leases;
    int n_told;
    uint32_t known[N_RANKS][N_SHAPES][N_RANKS]; /* holder, shape, rank: slots, from what was told */
} fixture_t;

/* Ranks with a free slot, or the least shared, have the least load. */
static int pick_lowest(void *ctx, const node_shape_t *shape, int holder, const base_order_t *ranks)
{
    (void)ctx, (void)shape;
    if (base_order_count(ranks) == 0) return -1;
    uint32_t first = base_order_at(ranks, 0);
    bool own = base_order_has(ranks, (uint32_t)holder) && base_order_key(ranks, (uint32_t)holder) == base_order_key(ranks, first);
    return own ? holder : (int)first;
}

static uint32_t no_preference(void *ctx, const node_row_t *row, const node_shape_t *shape)
{
    (void)ctx, (void)row, (void)shape;
    return 0;
}

static void note_told(void *ctx, const lease_row_t *row, const lease_t *changes, unsigned n, bool whole)
{
    fixture_t *f = ctx;
    uint32_t *slots = f->known[row->holder][row->shape.cpu % N_SHAPES];
    f->n_told++;
    if (whole) memset(slots, 0, sizeof f->known[0][0]);
    for (unsigned i = 0; i < n; i++) slots[changes[i].rank] = changes[i].slots;
}

/* Each holder knows exactly what it has. */
static void check_known(const fixture_t *f, int holder, const node_shape_t *shape)
{
    const lease_row_t *row = lease_table_find(f->leases, holder, shape);
    for (int r = 0; row != NULL && r < node_table_ranks(f->nodes); r++)
        assert_int_equal(f->known[holder][shape->cpu % N_SHAPES][r], lease_table_slots(f->leases, row, r));
}

static void make(fixture_t *f, int n_ranks, int n_workers)
{
    *f = (fixture_t){0};
    assert_int_equal(node_table_create(n_ranks, &f->nodes), MRAY_OK);
    for (int r = 0; r < n_ranks; r++) {
        node_hello_t hello = {.rank = r, .node = r, .n_workers = n_workers};
        assert_int_equal(node_table_set(f->nodes, &hello, 0), MRAY_OK);
    }
    assert_int_equal(lease_table_create(f->nodes, &(lease_policy_t){.key = no_preference, .pick = pick_lowest, .ctx = f}, &f->leases), MRAY_OK);
}

static void unmake(fixture_t *f)
{
    assert_int_equal(lease_table_selfcheck(f->leases), MRAY_OK);
    lease_table_destroy(f->leases);
    node_table_destroy(f->nodes);
}

static void settle(fixture_t *f)
{
    f->n_told = 0;
    assert_int_equal(lease_table_settle(f->leases, note_told, f), MRAY_OK);
    assert_int_equal(lease_table_selfcheck(f->leases), MRAY_OK);
}

static void ask(fixture_t *f, int holder, uint32_t wanted)
{
    assert_int_equal(lease_table_ask(f->leases, holder, &CPU, wanted, 1), MRAY_OK);
    settle(f);
}

static uint32_t granted(const fixture_t *f, int holder)
{
    const lease_row_t *row = lease_table_find(f->leases, holder, &CPU);
    return row != NULL ? row->granted : 0;
}

static uint32_t granted_on(const fixture_t *f, int holder, int rank)
{
    const lease_row_t *row = lease_table_find(f->leases, holder, &CPU);
    for (unsigned k = 0; row != NULL && k < row->n_leases; k++)
        if (row->leases[k].rank == rank) return row->leases[k].slots;
    return 0;
}

static void test_a_holder_gets_what_it_wants_and_no_more(void **state)
{
    (void)state;
    fixture_t f;
    make(&f, 3, 4);
    ask(&f, 0, 1);
    assert_int_equal(granted(&f, 0), 1);
    assert_int_equal(f.n_told, 1);
    ask(&f, 0, 6);
    assert_int_equal(granted(&f, 0), 6);
    assert_int_equal(granted_on(&f, 0, 0), 4);
    assert_int_equal(granted_on(&f, 0, 1), 2);
    ask(&f, 0, 100);
    assert_int_equal(granted(&f, 0), 12);
    assert_int_equal(lease_table_find(f.leases, 0, &CPU)->capacity, 12);
    ask(&f, 0, 2);
    assert_int_equal(granted(&f, 0), 2);
    assert_int_equal(granted_on(&f, 0, 0), 2); /* far ones go first */
    unmake(&f);
}

static void test_shares_are_even_and_what_one_leaves_the_others_get(void **state)
{
    (void)state;
    fixture_t f;
    make(&f, 4, 4);
    ask(&f, 0, 100);
    ask(&f, 1, 100);
    assert_int_equal(granted(&f, 0), 8);
    assert_int_equal(granted(&f, 1), 8);
    assert_int_equal(f.n_told, 2); /* the one that gives is told */
    ask(&f, 2, 2);
    assert_int_equal(granted(&f, 2), 2);
    assert_int_equal(granted(&f, 0), 7);
    assert_int_equal(granted(&f, 1), 7);
    lease_table_return(f.leases, 2, &CPU, 1);
    settle(&f);
    assert_int_equal(granted(&f, 0) + granted(&f, 1), 16);
    settle(&f);
    assert_int_equal(f.n_told, 0); /* nothing changed: nothing is said */
    unmake(&f);
}

static void test_more_holders_than_slots_share(void **state)
{
    (void)state;
    fixture_t f;
    make(&f, 3, 1);
    node_hello_t none = {.rank = 0, .n_workers = 0}, also_none = {.rank = 1, .n_workers = 0};
    assert_int_equal(node_table_set(f.nodes, &none, 0), MRAY_OK);
    assert_int_equal(node_table_set(f.nodes, &also_none, 0), MRAY_OK);
    for (int holder = 0; holder < 3; holder++) ask(&f, holder, 5);
    for (int holder = 0; holder < 3; holder++) {
        assert_int_equal(granted(&f, holder), 1);
        assert_int_equal(granted_on(&f, holder, 2), 1);
    }
    unmake(&f);
}

static void test_sharing_ends_when_there_is_room(void **state)
{
    (void)state;
    fixture_t f;
    make(&f, 2, 1);
    node_hello_t none = {.rank = 1, .n_workers = 0}, one = {.rank = 1, .node = 1, .n_workers = 1};
    assert_int_equal(node_table_set(f.nodes, &none, 0), MRAY_OK);
    ask(&f, 0, 1);
    ask(&f, 1, 1);
    assert_int_equal(granted_on(&f, 0, 0) + granted_on(&f, 1, 0), 2);
    assert_int_equal(node_table_set(f.nodes, &one, 0), MRAY_OK);
    settle(&f);
    assert_int_equal(granted(&f, 0), 1);
    assert_int_equal(granted(&f, 1), 1);
    assert_int_equal(granted_on(&f, 0, 0) + granted_on(&f, 1, 0), 1);
    unmake(&f);
}

static void test_a_return_of_another_serial_number_is_ignored(void **state)
{
    (void)state;
    fixture_t f;
    make(&f, 2, 2);
    ask(&f, 0, 3);
    lease_table_return(f.leases, 0, &CPU, 2);
    assert_int_equal(granted(&f, 0), 3);
    lease_table_return(f.leases, 0, &CPU, 1);
    assert_int_equal(lease_table_count(f.leases), 0);
    assert_int_equal(node_table_row(f.nodes, 0)->cpu_used, 0);
    unmake(&f);
}

static void test_a_lost_rank_takes_its_grants_along(void **state)
{
    (void)state;
    fixture_t f;
    make(&f, 3, 2);
    ask(&f, 0, 100);
    ask(&f, 1, 1);
    node_table_mark_dead(f.nodes, 1);
    lease_table_drop_rank(f.leases, 1);
    settle(&f);
    assert_int_equal(lease_table_count(f.leases), 1);
    assert_int_equal(granted(&f, 0), 4);
    assert_int_equal(granted_on(&f, 0, 1), 0);
    unmake(&f);
}

static void test_a_shape_that_no_rank_has_gets_nothing_and_says_so(void **state)
{
    (void)state;
    fixture_t f;
    make(&f, 2, 2);
    node_shape_t wide = {.cpu = 3 * NODE_UNIT};
    assert_int_equal(lease_table_ask(f.leases, 0, &wide, 1, 1), MRAY_OK);
    settle(&f);
    assert_int_equal(f.n_told, 1);
    const lease_row_t *row = lease_table_find(f.leases, 0, &wide);
    assert_int_equal(row->granted, 0);
    assert_int_equal(row->capacity, 0);
    unmake(&f);
}

static void test_random_asks_keep_the_books(void **state)
{
    (void)state;
    fixture_t f;
    base_rng_t rng;
    base_rng_seed(&rng, 20);
    make(&f, 8, 3);
    for (int i = 0; i < 3000; i++) {
        int holder = (int)base_rng_below(&rng, 8);
        node_shape_t shape = {.cpu = NODE_UNIT / 2 + (uint32_t)base_rng_below(&rng, N_SHAPES) * 2001};
        if (base_rng_below(&rng, 3) == 0)
            lease_table_return(f.leases, holder, &shape, 1);
        else
            assert_int_equal(lease_table_ask(f.leases, holder, &shape, (uint32_t)base_rng_below(&rng, 30), 1), MRAY_OK);
        settle(&f);
        for (int h = 0; h < 8; h++) {
            const lease_row_t *row = lease_table_find(f.leases, h, &shape);
            if (row == NULL) continue;
            assert_true(row->granted >= 1 && row->granted <= row->wanted);
            check_known(&f, h, &shape);
        }
    }
    unmake(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_holder_gets_what_it_wants_and_no_more),
        cmocka_unit_test(test_shares_are_even_and_what_one_leaves_the_others_get),
        cmocka_unit_test(test_more_holders_than_slots_share),
        cmocka_unit_test(test_sharing_ends_when_there_is_room),
        cmocka_unit_test(test_a_return_of_another_serial_number_is_ignored),
        cmocka_unit_test(test_a_lost_rank_takes_its_grants_along),
        cmocka_unit_test(test_a_shape_that_no_rank_has_gets_nothing_and_says_so),
        cmocka_unit_test(test_random_asks_keep_the_books),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
