/* Rows of the node table: states, slots, what is granted. */
#include "node_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <mray/status.h>

static node_hello_t hello_of(int rank, int n_workers, const char *resource, uint32_t amount)
{
    node_hello_t hello = {.rank = rank, .node = rank / 2, .n_workers = n_workers, .store_bytes = 1 << 20};
    if (resource != NULL) {
        hello.n_resources = 1;
        snprintf(hello.resources[0].name, sizeof hello.resources[0].name, "%s", resource);
        hello.resources[0].hash = node_resource_hash(resource);
        hello.resources[0].total = amount;
    }
    return hello;
}

static void test_a_row_is_unknown_then_alive_then_dead(void **state)
{
    (void)state;
    node_table_t *table;
    assert_int_equal(node_table_create(3, &table), MRAY_OK);
    assert_int_equal(node_table_row(table, 1)->state, NODE_UNKNOWN);
    node_hello_t hello = hello_of(1, 4, NULL, 0);
    assert_int_equal(node_table_set(table, &hello, 7), MRAY_OK);
    assert_int_equal(node_table_row(table, 1)->state, NODE_ALIVE);
    assert_int_equal(node_table_row(table, 1)->heard_ns, 7);
    assert_int_equal(node_table_known(table), 1);
    node_table_heard(table, 1, 9);
    assert_int_equal(node_table_row(table, 1)->heard_ns, 9);
    node_table_mark_dead(table, 1);
    node_table_mark_dead(table, 2);
    assert_int_equal(node_table_known(table), 2);
    assert_int_equal(node_row_slots(node_table_row(table, 1), &(node_shape_t){.cpu = NODE_UNIT}), 0);
    hello.rank = 3;
    assert_int_equal(node_table_set(table, &hello, 7), MRAY_ERR_INVALID_ARGUMENT);
    assert_null(node_table_row(table, 3));
    node_table_destroy(table);
    node_table_destroy(NULL);
}

static void test_slots_are_the_scarcest_resource(void **state)
{
    (void)state;
    node_table_t *table;
    assert_int_equal(node_table_create(2, &table), MRAY_OK);
    node_hello_t hello = hello_of(0, 4, "lens", 3 * NODE_UNIT), driver = hello_of(1, 0, "lens", NODE_UNIT);
    assert_int_equal(node_table_set(table, &hello, 0), MRAY_OK);
    assert_int_equal(node_table_set(table, &driver, 0), MRAY_OK);
    uint32_t lens = node_resource_hash("lens");
    const struct {
        node_shape_t shape;
        uint32_t slots;
    } cases[] = {
        {{.cpu = NODE_UNIT}, 4},
        {{.cpu = 2 * NODE_UNIT}, 2},
        {{.cpu = 3 * NODE_UNIT}, 1},
        {{.cpu = 5 * NODE_UNIT}, 0},
        {{.cpu = NODE_UNIT / 2}, 8},
        {{.cpu = NODE_UNIT, .resource = lens, .amount = NODE_UNIT}, 3},
        {{.resource = lens, .amount = NODE_UNIT / 2}, 6},
        {{.resource = lens, .amount = 4 * NODE_UNIT}, 0},
        {{.resource = node_resource_hash("hood"), .amount = 1}, 0},
        {{.cpu = 0}, NODE_FREE_SLOTS},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(node_row_slots(node_table_row(table, 0), &cases[i].shape), cases[i].slots);
        assert_int_equal(node_row_slots(node_table_row(table, 1), &cases[i].shape), 0); /* no workers */
    }
    node_table_destroy(table);
}

static void test_what_is_granted_is_not_available(void **state)
{
    (void)state;
    node_table_t *table;
    assert_int_equal(node_table_create(1, &table), MRAY_OK);
    node_hello_t hello = hello_of(0, 2, "lens", NODE_UNIT);
    assert_int_equal(node_table_set(table, &hello, 0), MRAY_OK);
    const node_row_t *row = node_table_row(table, 0);
    node_shape_t one = {.cpu = NODE_UNIT}, lens = {.resource = node_resource_hash("lens"), .amount = NODE_UNIT};
    assert_true(node_row_available(row, &one));
    node_table_take(table, 0, &one, 2);
    assert_false(node_row_available(row, &one));
    assert_true(node_row_utilisation(row) == 1);
    assert_true(node_row_available(row, &lens));
    node_table_take(table, 0, &lens, 1);
    assert_false(node_row_available(row, &lens));
    node_table_give(table, 0, &one, 1);
    node_table_give(table, 0, &lens, 1);
    assert_true(node_row_available(row, &one));
    assert_true(node_row_available(row, &lens));
    assert_true(node_row_utilisation(row) == 0.5);
    node_table_destroy(table);
}

static void test_the_best_is_found_among_the_living(void **state)
{
    (void)state;
    node_table_t *table;
    uint64_t cpu, amount;
    assert_int_equal(node_table_create(3, &table), MRAY_OK);
    node_hello_t a = hello_of(0, 2, "lens", 5), b = hello_of(1, 8, "lens", 9);
    assert_int_equal(node_table_set(table, &a, 0), MRAY_OK);
    assert_int_equal(node_table_set(table, &b, 0), MRAY_OK);
    node_table_best(table, node_resource_hash("lens"), &cpu, &amount);
    assert_int_equal(cpu, 8 * NODE_UNIT);
    assert_int_equal(amount, 9);
    node_table_mark_dead(table, 1);
    node_table_best(table, node_resource_hash("lens"), &cpu, &amount);
    assert_int_equal(cpu, 2 * NODE_UNIT);
    assert_int_equal(amount, 5);
    node_table_best(table, node_resource_hash("hood"), &cpu, &amount);
    assert_int_equal(amount, 0);
    node_table_destroy(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_row_is_unknown_then_alive_then_dead),
        cmocka_unit_test(test_slots_are_the_scarcest_resource),
        cmocka_unit_test(test_what_is_granted_is_not_available),
        cmocka_unit_test(test_the_best_is_found_among_the_living),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
