/* test_cpus.c: how many threads of some ranks can run at a time: masks shared, disjoint, overlapping, beyond the machine; quotas. */
#include "cpus.h"
#include "machines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static int count(const node_t *node)
{
    return topo_count_cpus(topo_machine(node->topo), node->descs, node->n_ranks);
}

static void test_shared_masks_count_once(void **state)
{
    (void)state;
    node_t *node = node_create(MACHINE_BIG, 4);
    assert_int_equal(count(node), 64);
    for (int r = 0; r < 4; r++) node_mask(node, r, "2-5");
    assert_int_equal(count(node), 4);
    node_destroy(node);
}

/* As launchers do: one core a rank. A single rank bound so has one CPU, however many the machine has. */
static void test_bound_ranks_have_what_they_are_bound_to(void **state)
{
    (void)state;
    node_t *node = node_create(MACHINE_8, 3);
    node_mask(node, 0, "0");
    node_mask(node, 1, "1");
    node_mask(node, 2, "1-3");
    assert_int_equal(count(node), 4);
    assert_int_equal(topo_count_cpus(topo_machine(node->topo), node->descs, 1), 1);
    assert_int_equal(topo_count_cpus(topo_machine(node->topo), &node->descs[2], 1), 3);
    node_destroy(node);
}

static void test_a_mask_outside_the_machine_counts_as_one(void **state)
{
    (void)state;
    node_t *node = node_create(MACHINE_2, 2);
    node_mask(node, 0, "100-200");
    assert_int_equal(topo_count_cpus(topo_machine(node->topo), node->descs, 1), 1);
    assert_int_equal(count(node), 2);
    node_destroy(node);
}

static void test_quotas_add_up_once_a_group(void **state)
{
    (void)state;
    node_t *node = node_create(MACHINE_BIG, 3);
    for (int r = 0; r < 3; r++) node->descs[r].quota_cores = 3, node->descs[r].quota_group = 7;
    assert_int_equal(count(node), 3);
    node->descs[2].quota_group = 8;
    node->descs[2].quota_cores = 2;
    assert_int_equal(count(node), 5);
    node->descs[1].quota_cores = 0; /* one without a quota may run anywhere */
    assert_int_equal(count(node), 64);
    node_destroy(node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shared_masks_count_once),
        cmocka_unit_test(test_bound_ranks_have_what_they_are_bound_to),
        cmocka_unit_test(test_a_mask_outside_the_machine_counts_as_one),
        cmocka_unit_test(test_quotas_add_up_once_a_group),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
