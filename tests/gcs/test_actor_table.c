/* The actor table: names, tickets, places, makers, removal in any order. */
#include "actor_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <mray/status.h>

static actor_row_t row_of(const char *name, uint32_t rank, uint32_t maker)
{
    actor_row_t row = {.rank = rank, .maker = {.rank = 1, .number = maker}};
    snprintf(row.name, sizeof row.name, "%s", name);
    return row;
}

static uint32_t add(actor_table_t *table, const char *name, uint32_t rank, uint32_t maker)
{
    actor_row_t row = row_of(name, rank, maker);
    uint32_t ticket = 0;
    assert_int_equal(actor_table_add(table, &row, &ticket), MRAY_OK);
    assert_int_not_equal(ticket, 0);
    return ticket;
}

static void test_an_actor_is_found_once_it_is_made(void **state)
{
    (void)state;
    actor_table_t *table;
    assert_int_equal(actor_table_create(4, &table), MRAY_OK);
    uint32_t t = add(table, "ledger", 2, 7);
    assert_int_equal(actor_table_find_name(table, "ledger"), 0);
    assert_int_equal(actor_table_count(table, 2), 1);
    assert_int_equal(actor_table_made(table, t, 0x103), MRAY_OK);
    assert_int_equal(actor_table_find_name(table, "ledger"), t);
    assert_int_equal(actor_table_find(table, 2, 0x103), t);
    assert_int_equal(actor_table_find(table, 3, 0x103), 0);
    assert_int_equal(actor_table_find_name(table, "ledge"), 0);
    assert_int_equal(actor_table_at(table, t)->rank, 2);
    assert_int_equal(actor_table_made(table, t, 0x104), MRAY_ERR_INTERNAL); /* twice */
    assert_int_equal(actor_table_made(table, t + 1, 0x104), MRAY_ERR_INTERNAL);
    actor_table_remove(table, t);
    actor_table_remove(table, t);
    assert_null(actor_table_at(table, t));
    assert_int_equal(actor_table_find(table, 2, 0x103), 0);
    assert_int_equal(actor_table_count(table, 2), 0);
    actor_table_destroy(table);
    actor_table_destroy(NULL);
}

static void test_a_name_is_taken_until_it_is_forgotten(void **state)
{
    (void)state;
    actor_table_t *table;
    assert_int_equal(actor_table_create(1, &table), MRAY_OK);
    uint32_t first = add(table, "a", 0, 1), other;
    actor_row_t again = row_of("a", 0, 1);
    assert_int_equal(actor_table_add(table, &again, &other), MRAY_ERR_ACTOR_NAME_TAKEN);
    assert_non_null(strstr(mray_error_message(), "'a'"));
    assert_int_equal(actor_table_count(table, 0), 1);
    (void)add(table, "", 0, 1);
    (void)add(table, "", 0, 1); /* no name is no name twice */
    actor_table_forget_name(table, first);
    assert_int_equal(actor_table_add(table, &again, &other), MRAY_OK);
    actor_table_remove(table, first); /* leaves the name to its new owner */
    assert_int_equal(actor_table_made(table, other, 5), MRAY_OK);
    assert_int_equal(actor_table_find_name(table, "a"), other);
    actor_table_forget_name(table, 12345);
    actor_table_destroy(table);
}

/* When a rank is lost: what was on it, and what was made there, wherever it is, unless it is detached. */
static void test_a_rank_finds_its_own_and_what_was_made_there(void **state)
{
    (void)state;
    enum { LOST = 1, OTHER = 0 };
    actor_table_t *table;
    uint32_t on_it, detached_on_it, made_there, detached_made_there, neither;
    assert_int_equal(actor_table_create(2, &table), MRAY_OK);
    actor_row_t row = row_of("", LOST, 7);
    row.maker.rank = OTHER;
    assert_int_equal(actor_table_add(table, &row, &on_it), MRAY_OK);
    row.detached = true;
    assert_int_equal(actor_table_add(table, &row, &detached_on_it), MRAY_OK);
    row = row_of("", OTHER, 7);
    row.maker.rank = LOST;
    assert_int_equal(actor_table_add(table, &row, &made_there), MRAY_OK);
    row.detached = true;
    assert_int_equal(actor_table_add(table, &row, &detached_made_there), MRAY_OK);
    row = row_of("", OTHER, 7);
    row.maker.rank = OTHER;
    assert_int_equal(actor_table_add(table, &row, &neither), MRAY_OK);
    uint32_t want[] = {on_it, detached_on_it, made_there, 0}, at = 0;
    for (int i = 0; i < 4; i++) assert_int_equal(at = actor_table_next_with(table, LOST, at), want[i]);
    actor_table_destroy(table);
}

static void test_a_maker_finds_what_is_not_detached(void **state)
{
    (void)state;
    actor_table_t *table;
    assert_int_equal(actor_table_create(2, &table), MRAY_OK);
    uint32_t a = add(table, "", 0, 7), b = add(table, "", 1, 8), c = add(table, "", 1, 7), detached;
    actor_row_t row = row_of("", 1, 7);
    row.detached = true;
    assert_int_equal(actor_table_add(table, &row, &detached), MRAY_OK);
    actor_maker_t seven = {1, 7}, eight = {1, 8}, elsewhere = {0, 7};
    assert_int_equal(actor_table_next_of(table, seven, 0), a);
    assert_int_equal(actor_table_next_of(table, seven, a), c);
    assert_int_equal(actor_table_next_of(table, seven, c), 0);
    assert_int_equal(actor_table_next_of(table, eight, 0), b);
    assert_int_equal(actor_table_next_of(table, elsewhere, 0), 0);
    actor_table_remove(table, a); /* the last row moves into the gap */
    assert_int_equal(actor_table_next_of(table, seven, 0), c);
    assert_true(actor_table_at(table, detached)->detached);
    actor_table_destroy(table);
}

static void test_what_actors_keep_is_summed_by_rank(void **state)
{
    (void)state;
    actor_table_t *table;
    uint64_t cpu, amount;
    uint32_t first, ticket;
    assert_int_equal(actor_table_create(2, &table), MRAY_OK);
    actor_row_t row = row_of("", 1, 1);
    row.shape = (node_shape_t){.cpu = 5000, .resource = 77, .amount = 300};
    assert_int_equal(actor_table_add(table, &row, &first), MRAY_OK);
    assert_int_equal(actor_table_add(table, &row, &ticket), MRAY_OK);
    row.shape.resource = 78;
    assert_int_equal(actor_table_add(table, &row, &ticket), MRAY_OK);
    row.rank = 0;
    assert_int_equal(actor_table_add(table, &row, &ticket), MRAY_OK);
    actor_table_kept(table, 1, 77, &cpu, &amount);
    assert_int_equal(cpu, 15000);
    assert_int_equal(amount, 600);
    actor_table_kept(table, 1, 0, &cpu, &amount);
    assert_int_equal(amount, 0);
    actor_table_remove(table, first);
    actor_table_kept(table, 1, 77, &cpu, &amount);
    assert_int_equal(cpu, 10000);
    assert_int_equal(amount, 300);
    actor_table_destroy(table);
}

/* Against a plain list: what is there is found, what is gone is not. */
static void test_many_come_and_go(void **state)
{
    (void)state;
    enum { N = 3000, RANKS = 7 };
    static struct {
        uint32_t ticket, rank, id;
        char name[16];
    } live[N];
    size_t n = 0;
    uint32_t counts[RANKS] = {0}, next_id = 1;
    actor_table_t *table;
    srand(7);
    assert_int_equal(actor_table_create(RANKS, &table), MRAY_OK);
    for (int step = 0; step < 4 * N; step++) {
        if (n < N && (n == 0 || rand() % 5 < 3)) {
            uint32_t rank = (uint32_t)rand() % RANKS;
            snprintf(live[n].name, sizeof live[n].name, "n%d", step);
            live[n].rank = rank;
            live[n].id = next_id++;
            live[n].ticket = add(table, live[n].name, rank, 1);
            assert_int_equal(actor_table_made(table, live[n].ticket, live[n].id), MRAY_OK);
            counts[rank]++;
            n++;
        } else {
            size_t i = (size_t)rand() % n;
            actor_table_remove(table, live[i].ticket);
            assert_int_equal(actor_table_find_name(table, live[i].name), 0);
            assert_int_equal(actor_table_find(table, live[i].rank, live[i].id), 0);
            counts[live[i].rank]--;
            live[i] = live[--n];
        }
    }
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(actor_table_find_name(table, live[i].name), live[i].ticket);
        assert_int_equal(actor_table_find(table, live[i].rank, live[i].id), live[i].ticket);
        assert_string_equal(actor_table_at(table, live[i].ticket)->name, live[i].name);
    }
    for (uint32_t r = 0; r < RANKS; r++) assert_int_equal(actor_table_count(table, r), counts[r]);
    assert_int_equal(actor_table_count(table, RANKS), 0);
    actor_table_destroy(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_actor_is_found_once_it_is_made),
        cmocka_unit_test(test_a_name_is_taken_until_it_is_forgotten),
        cmocka_unit_test(test_a_rank_finds_its_own_and_what_was_made_there),
        cmocka_unit_test(test_a_maker_finds_what_is_not_detached),
        cmocka_unit_test(test_what_actors_keep_is_summed_by_rank),
        cmocka_unit_test(test_many_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
