/* test_divide.c: the division of a node's cores, on synthetic machines. */
#include "machines.h"

#include <mray/status.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_shared_mask_is_cut_at_numa_nodes(void **state)
{
    (void)state;
    node_t *node = node_create(MACHINE_BIG, 4);
    node_divide(node, -1);
    node_expect_cores(node, 0, "0-7");
    node_expect_cores(node, 1, "8-15");
    node_expect_cores(node, 2, "16-23");
    node_expect_cores(node, 3, "24-31");
    node_expect_pus(node, 1, "16,18,20,22,24,26,28,30");
    for (int r = 0; r < 4; r++) {
        assert_int_equal(node->shares[r].n_workers, 8);
        assert_int_equal(node->shares[r].bind, TOPO_BIND_PLACE);
        assert_false(node->shares[r].oversubscribed);
        assert_false(node->shares[r].repaired);
        assert_string_equal(node->shares[r].note, "");
    }
    node_destroy(node);
}

static void test_driver_takes_one_core_and_the_rest_stays_aligned(void **state)
{
    (void)state;
    node_t *node = node_create(MACHINE_BIG, 5);
    node_divide(node, 0);
    node_expect_cores(node, 0, "0");
    node_expect_cores(node, 1, "1-7");
    node_expect_cores(node, 2, "8-15");
    node_expect_cores(node, 3, "16-23");
    node_expect_cores(node, 4, "24-31");
    assert_int_equal(node->shares[0].role, TOPO_ROLE_DRIVER);
    assert_int_equal(node->shares[0].n_workers, 0);
    assert_int_equal(node->shares[1].n_workers, 7);
    node_destroy(node);
}

static void test_driver_at_the_end_keeps_its_place(void **state)
{
    (void)state;
    node_t *node = node_create(MACHINE_BIG, 3);
    node_divide(node, 2);
    node_expect_cores(node, 0, "0-15");
    node_expect_cores(node, 1, "16-30");
    node_expect_cores(node, 2, "31");
    node_destroy(node);
}

static void test_single_rank_has_all(void **state)
{
    (void)state;
    node_t *node = node_create(MACHINE_BIG, 1);
    node_divide(node, -1);
    node_expect_cores(node, 0, "0-31");
    assert_int_equal(node->shares[0].n_workers, 32);
    node_destroy(node);
}

static void test_smt_siblings_come_after_all_cores(void **state)
{
    (void)state;
    node_t *node = node_create(MACHINE_BIG, 4);
    for (int r = 0; r < 4; r++) node->descs[r].use_smt = 1;
    node->descs[3].n_workers = 10;
    node_divide(node, -1);
    assert_int_equal(node->shares[0].n_workers, 16);
    node_expect_pus(node, 0, "0-15");
    assert_int_equal(node->shares[0].places[0].pu, 0);
    assert_int_equal(node->shares[0].places[1].pu, 2);
    assert_int_equal(node->shares[0].places[8].pu, 1);
    assert_int_equal(node->shares[3].n_workers, 10);
    assert_false(node->shares[3].oversubscribed);
    node_destroy(node);
}

static void test_disjoint_masks_are_kept(void **state)
{
    (void)state;
    node_t *node = node_create(MACHINE_BIG, 3);
    node_mask(node, 0, "0-1");
    node_mask(node, 1, "10-13");
    node_mask(node, 2, "2-3");
    node_divide(node, 0);
    node_expect_cores(node, 0, "0");
    node_expect_pus(node, 1, "10,12");
    node_expect_pus(node, 2, "2");
    for (int r = 0; r < 3; r++) assert_int_equal(node->shares[r].bind, TOPO_BIND_PLACE);
    assert_string_equal(node->shares[1].note, "");
    node_destroy(node);
}

static void test_hyperthreads_of_one_core_are_kept_apart(void **state)
{
    (void)state;
    node_t *node = node_create(MACHINE_BIG, 2);
    node_mask(node, 0, "4");
    node_mask(node, 1, "5");
    node_divide(node, -1);
    node_expect_pus(node, 0, "4");
    node_expect_pus(node, 1, "5");
    assert_false(node->shares[1].oversubscribed);
    node_destroy(node);
}

static void test_mask_with_holes(void **state)
{
    (void)state;
    node_t *node = node_create(MACHINE_BIG, 2);
    node_mask(node, 0, "1,3,9,11,33,35,41,43");
    node->descs[1].mask = node->descs[0].mask;
    node_divide(node, -1);
    node_expect_pus(node, 0, "1,3,9,11");
    node_expect_pus(node, 1, "33,35,41,43");
    node_destroy(node);
}

static void test_partial_overlap_is_repaired_and_said(void **state)
{
    (void)state;
    node_t *node = node_create(MACHINE_8, 2);
    node_mask(node, 0, "0-5");
    node_mask(node, 1, "4-7");
    node_divide(node, -1);
    node_expect_cores(node, 0, "0-3");
    node_expect_cores(node, 1, "4-7");
    assert_true(node->shares[0].repaired);
    assert_false(node->shares[0].oversubscribed);
    assert_non_null(strstr(node->shares[1].note, "ranks 0 and 1"));
    assert_non_null(strstr(node->shares[1].note, "0-5 and 4-7"));
    node_destroy(node);
}

static void test_nested_mask_gets_its_core_by_augmenting(void **state)
{
    (void)state;
    node_t *node = node_create(MACHINE_8, 3);
    node_mask(node, 0, "0-1");
    node_mask(node, 1, "1-2");
    node_mask(node, 2, "0");
    node_divide(node, -1);
    node_expect_cores(node, 0, "1");
    node_expect_cores(node, 1, "2");
    node_expect_cores(node, 2, "0");
    for (int r = 0; r < 3; r++) assert_false(node->shares[r].oversubscribed);
    node_destroy(node);
}

static void test_few_cores_give_each_rank_one_worker_unbound(void **state)
{
    (void)state;
    node_t *node = node_create(MACHINE_2, 8);
    node_divide(node, 0);
    for (int r = 0; r < 8; r++) {
        assert_int_equal(node->shares[r].n_workers, r == 0 ? 0 : 1);
        assert_int_equal(node->shares[r].n_places, 1);
        assert_true(node->shares[r].oversubscribed);
        assert_int_equal(node->shares[r].bind, TOPO_BIND_NONE);
        assert_string_equal(node->shares[r].note, "8 ranks of this host share 2 cores: workers are not bound and take turns; "
                                                  "start fewer ranks, or allow more cores (mpirun --bind-to none, a larger cpuset)");
    }
    node_destroy(node);
}

static void test_driver_gives_way_to_workers(void **state)
{
    (void)state;
    node_t *node = node_create(MACHINE_2, 2);
    node_divide(node, 0);
    node_expect_cores(node, 0, "0");
    node_expect_cores(node, 1, "1");
    assert_false(node->shares[0].oversubscribed);
    node_destroy(node);

    node = node_create(MACHINE_1, 2);
    node_divide(node, 0);
    assert_int_equal(node->shares[1].n_workers, 1);
    assert_true(node->shares[0].oversubscribed);
    assert_true(node->shares[1].oversubscribed);
    node_destroy(node);
}

static void test_one_pu_alone_is_not_oversubscribed(void **state)
{
    (void)state;
    node_t *node = node_create(MACHINE_1, 1);
    node_divide(node, -1);
    assert_int_equal(node->shares[0].n_workers, 1);
    assert_false(node->shares[0].oversubscribed);
    assert_int_equal(node->shares[0].bind, TOPO_BIND_PLACE);
    node_destroy(node);
}

static void test_starving_ranks_do_not_drag_in_the_others(void **state)
{
    (void)state;
    node_t *node = node_create(MACHINE_8, 4);
    node_mask(node, 0, "0");
    node_mask(node, 1, "0");
    node_mask(node, 2, "1-4");
    node_mask(node, 3, "5-7");
    node_divide(node, -1);
    assert_true(node->shares[0].oversubscribed);
    assert_true(node->shares[1].oversubscribed);
    assert_false(node->shares[2].oversubscribed);
    assert_int_equal(node->shares[2].bind, TOPO_BIND_PLACE);
    assert_non_null(strstr(node->shares[0].note, "2 ranks of this host share 1 core:"));
    assert_string_equal(node->shares[3].note, "");
    node_destroy(node);
}

static void test_exact_counts_come_first(void **state)
{
    (void)state;
    node_t *node = node_create(MACHINE_8, 3);
    node->descs[0].n_workers = 5;
    node->descs[1].n_workers = TOPO_WORKERS_AUTO;
    node->descs[2].n_workers = 0;
    node_divide(node, -1);
    node_expect_cores(node, 0, "0-4");
    node_expect_cores(node, 1, "5-7");
    node_expect_cores(node, 2, "-");
    assert_int_equal(node->shares[2].bind, TOPO_BIND_NONE);
    assert_false(node->shares[2].oversubscribed);
    node_destroy(node);
}

static void test_exact_counts_leave_gaps_to_stay_in_a_numa_node(void **state)
{
    (void)state;
    node_t *node = node_create(MACHINE_BIG, 3);
    for (int r = 0; r < 3; r++) node->descs[r].n_workers = 5;
    node_divide(node, -1);
    node_expect_cores(node, 0, "0-4");
    node_expect_cores(node, 1, "8-12");
    node_expect_cores(node, 2, "16-20");
    node_destroy(node);
}

static void test_more_workers_than_cores_share_the_share(void **state)
{
    (void)state;
    node_t *node = node_create(MACHINE_8, 2);
    node->descs[0].n_workers = 20;
    node_divide(node, -1);
    assert_int_equal(node->shares[0].n_workers, 20);
    assert_int_equal(node->shares[0].n_places, 7);
    assert_int_equal(node->shares[0].bind, TOPO_BIND_SHARE);
    assert_true(node->shares[0].oversubscribed);
    assert_int_equal(node->shares[1].bind, TOPO_BIND_PLACE);
    assert_false(node->shares[1].oversubscribed);
    assert_ptr_equal(topo_share_place(&node->shares[0], 8), &node->shares[0].places[1]);
    assert_non_null(strstr(node->shares[0].note, "20 workers and has 7 cores"));
    node_destroy(node);
}

static void test_quota_caps_the_group_and_unbinds(void **state)
{
    (void)state;
    node_t *node = node_create(MACHINE_BIG, 3);
    for (int r = 0; r < 3; r++) {
        node->descs[r].quota_cores = 6;
        node->descs[r].quota_group = 42;
    }
    node_divide(node, 0);
    assert_int_equal(node->shares[1].n_workers + node->shares[2].n_workers, 5);
    for (int r = 0; r < 3; r++) {
        assert_int_equal(node->shares[r].bind, TOPO_BIND_NONE);
        assert_false(node->shares[r].oversubscribed);
    }
    for (int r = 0; r < 3; r++) node->descs[r].quota_cores = 2;
    node_divide(node, 0);
    assert_int_equal(node->shares[1].n_workers, 1);
    assert_int_equal(node->shares[2].n_workers, 1);
    for (int r = 0; r < 3; r++) assert_true(node->shares[r].oversubscribed);
    assert_non_null(strstr(node->shares[0].note, "3 ranks of this host share 2 cores (a CPU quota)"));
    node_destroy(node);
}

static void test_quotas_of_two_groups_are_separate(void **state)
{
    (void)state;
    node_t *node = node_create(MACHINE_8, 2);
    node->descs[0].quota_cores = 2;
    node->descs[0].quota_group = 1;
    node->descs[1].quota_cores = 3;
    node->descs[1].quota_group = 2;
    node_divide(node, -1);
    assert_int_equal(node->shares[0].n_workers, 2);
    assert_int_equal(node->shares[1].n_workers, 3);
    node_destroy(node);
}

static void test_quota_is_kept_beside_ranks_without_one(void **state)
{
    (void)state;
    node_t *node = node_create(MACHINE_8, 3);
    node->descs[0].quota_cores = 2;
    node->descs[0].quota_group = 1;
    node_divide(node, -1);
    assert_int_equal(node->shares[0].n_workers, 2);
    assert_int_equal(node->shares[0].bind, TOPO_BIND_NONE);
    assert_int_equal(node->shares[1].n_workers, 3);
    assert_int_equal(node->shares[1].bind, TOPO_BIND_PLACE);
    node_destroy(node);
}

static void test_quota_starves_ranks_of_disjoint_masks_too(void **state)
{
    (void)state;
    node_t *node = node_create(MACHINE_8, 3);
    for (int r = 0; r < 3; r++) {
        node->descs[r].mask = (topo_cpuset_t){{UINT64_C(1) << r}};
        node->descs[r].quota_cores = r < 2 ? 1 : 0;
        node->descs[r].quota_group = r < 2;
    }
    node_divide(node, -1);
    assert_true(node->shares[0].oversubscribed);
    assert_true(node->shares[1].oversubscribed);
    assert_false(node->shares[2].oversubscribed);
    assert_non_null(strstr(node->shares[1].note, "2 ranks of this host share 1 core (a CPU quota)"));
    node_destroy(node);
}

static void test_core_cut_in_two_counts_once_for_its_rank(void **state)
{
    (void)state;
    node_t *node = node_create(MACHINE_BIG, 2);
    node_mask(node, 0, "0-3");
    node_mask(node, 1, "1");
    node->descs[1].n_workers = 0;
    node_divide(node, -1);
    node_expect_pus(node, 0, "0,2");
    assert_int_equal(node->shares[0].n_workers, 2);
    node_destroy(node);
}

static void test_large_quota_changes_nothing(void **state)
{
    (void)state;
    node_t *node = node_create(MACHINE_8, 1);
    node->descs[0].quota_cores = 8;
    node->descs[0].quota_group = 1;
    node_divide(node, -1);
    assert_int_equal(node->shares[0].n_workers, 8);
    assert_int_equal(node->shares[0].bind, TOPO_BIND_PLACE);
    node_destroy(node);
}

static void test_asymmetric_machine(void **state)
{
    (void)state;
    /* What a cpuset leaves: 8 cores of the first package, 2 of the second. */
    node_t *node = node_create(MACHINE_BIG, 2);
    node_mask(node, 0, "0-15,32-35");
    node->descs[1].mask = node->descs[0].mask;
    node_divide(node, -1);
    node_expect_cores(node, 0, "0-4");
    node_expect_cores(node, 1, "5-7,16-17");
    node_destroy(node);

    node = node_create(MACHINE_BIG, 2);
    node->descs[1].n_workers = 2;
    node_mask(node, 0, "0-15,32-35");
    node->descs[1].mask = node->descs[0].mask;
    node_divide(node, -1);
    node_expect_cores(node, 0, "0-7");
    node_expect_cores(node, 1, "16-17");
    node_destroy(node);
}

static void test_different_machines_are_not_divided(void **state)
{
    (void)state;
    node_t *node = node_create(MACHINE_8, 2);
    node->descs[1].machine_hash ^= 1;
    topo_share_t *share = &node->shares[0];
    assert_int_equal(topo_divide(topo_machine(node->topo), node->descs, 2, 1, 0, share), MRAY_OK);
    assert_int_equal(share->n_workers, 8);
    assert_int_equal(share->bind, TOPO_BIND_NONE);
    assert_non_null(strstr(share->note, "different machines"));
    assert_int_equal(topo_divide(topo_machine(node->topo), node->descs, 2, 0, 0, share), MRAY_OK);
    assert_int_equal(share->n_workers, 0);
    assert_int_equal(share->role, TOPO_ROLE_DRIVER);
    node_destroy(node);
}

static void test_mask_without_a_known_core(void **state)
{
    (void)state;
    node_t *node = node_create(MACHINE_2, 2);
    node_mask(node, 1, "100");
    node_divide(node, -1);
    assert_int_equal(node->shares[1].n_places, 0);
    assert_int_equal(node->shares[1].n_workers, 1);
    assert_int_equal(node->shares[1].bind, TOPO_BIND_NONE);
    assert_null(topo_share_place(&node->shares[1], 0));
    assert_int_equal(node->shares[0].n_workers, 2);
    assert_false(node->shares[0].oversubscribed);
    node_destroy(node);
}

static void test_gpus_are_split_among_those_who_see_the_same(void **state)
{
    (void)state;
    node_t *node = node_create(MACHINE_8, 4);
    for (int r = 0; r < 3; r++) node->descs[r].n_gpus = 5;
    node->descs[3].n_gpus = 2;
    node->descs[3].gpu_group = 9;
    node_divide(node, 0);
    assert_int_equal(node->shares[0].n_gpus, 0);
    assert_int_equal(node->shares[1].n_gpus, 3);
    assert_int_equal(node->shares[1].gpu_first, 0);
    assert_int_equal(node->shares[2].n_gpus, 2);
    assert_int_equal(node->shares[2].gpu_first, 3);
    assert_int_equal(node->shares[3].n_gpus, 2);
    assert_int_equal(node->shares[3].gpu_first, 0);
    node_destroy(node);
}

static void test_bad_arguments_are_refused(void **state)
{
    (void)state;
    node_t *node = node_create(MACHINE_2, 1);
    const topo_machine_t *machine = topo_machine(node->topo);
    topo_share_t *share = &node->shares[0];
    assert_int_equal(topo_divide(machine, node->descs, 0, 0, -1, share), MRAY_ERR_INVALID_ARGUMENT);
    assert_int_equal(topo_divide(machine, node->descs, 1, 1, -1, share), MRAY_ERR_INVALID_ARGUMENT);
    assert_int_equal(topo_divide(machine, node->descs, 1, 0, 1, share), MRAY_ERR_INVALID_ARGUMENT);
    assert_int_equal(topo_divide(machine, node->descs, TOPO_MAX_NODE_RANKS + 1, 0, -1, share), MRAY_ERR_INVALID_ARGUMENT);
    node_destroy(node);
}

static void test_distance_matrix_of_workers(void **state)
{
    (void)state;
    node_t *node = node_create(MACHINE_BIG, 1);
    uint8_t matrix[9];
    node_mask(node, 0, "0,2,32");
    node_divide(node, -1);
    topo_share_distances(topo_machine(node->topo), &node->shares[0], matrix);
    const uint8_t wanted[9] = {0, 1, 4, 1, 0, 4, 4, 4, 0};
    assert_memory_equal(matrix, wanted, sizeof matrix);
    node_destroy(node);
}

/* ---- random masks ---- */

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Can every rank have a core of its own? By plain recursion (Kuhn), apart from the code under test. */
static bool match_rank(const node_t *node, int r, int *owner, bool *seen)
{
    for (int c = 0; c < 8; c++) {
        if (seen[c] || !topo_cpuset_has(&node->descs[r].mask, c)) continue;
        seen[c] = true;
        if (owner[c] < 0 || match_rank(node, owner[c], owner, seen)) {
            owner[c] = r;
            return true;
        }
    }
    return false;
}

static int max_matching(const node_t *node)
{
    int owner[8], n = 0;
    for (int c = 0; c < 8; c++) owner[c] = -1;
    for (int r = 0; r < node->n_ranks; r++) {
        bool seen[8] = {false};
        n += match_rank(node, r, owner, seen);
    }
    return n;
}

static void test_random_masks_leave_nobody_without_need(void **state)
{
    (void)state;
    uint64_t seed = UINT64_C(0x5eed0001);
    print_message("seed 0x%llx\n", (unsigned long long)seed);
    for (int round = 0; round < 300; round++) {
        int n_ranks = 1 + (int)(next_random(&seed) % 10), n_bound = 0, n_cores = 0;
        node_t *node = node_create(MACHINE_8, n_ranks);
        topo_cpuset_t all = {0}, given = {0};
        for (int r = 0; r < n_ranks; r++) {
            node->descs[r].mask.bits[0] = next_random(&seed) & next_random(&seed) & 0xff;
            if (node->descs[r].mask.bits[0] == 0) node->descs[r].mask.bits[0] = 1;
            all.bits[0] |= node->descs[r].mask.bits[0];
        }
        node_divide(node, -1);
        for (int r = 0; r < n_ranks; r++) {
            if (!node->shares[r].oversubscribed) n_bound++;
            for (int i = 0; i < node->shares[r].n_places; i++) topo_cpuset_add(&given, node->shares[r].places[i].pu);
        }
        n_cores = topo_cpuset_count(&all);
        /* As many ranks have a core of their own as can, and no core that somebody may use lies idle. */
        assert_true((n_bound == n_ranks) == (max_matching(node) == n_ranks));
        assert_int_equal(topo_cpuset_count(&given), n_cores);
        node_destroy(node);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shared_mask_is_cut_at_numa_nodes),
        cmocka_unit_test(test_driver_takes_one_core_and_the_rest_stays_aligned),
        cmocka_unit_test(test_driver_at_the_end_keeps_its_place),
        cmocka_unit_test(test_single_rank_has_all),
        cmocka_unit_test(test_smt_siblings_come_after_all_cores),
        cmocka_unit_test(test_disjoint_masks_are_kept),
        cmocka_unit_test(test_hyperthreads_of_one_core_are_kept_apart),
        cmocka_unit_test(test_mask_with_holes),
        cmocka_unit_test(test_partial_overlap_is_repaired_and_said),
        cmocka_unit_test(test_nested_mask_gets_its_core_by_augmenting),
        cmocka_unit_test(test_few_cores_give_each_rank_one_worker_unbound),
        cmocka_unit_test(test_driver_gives_way_to_workers),
        cmocka_unit_test(test_one_pu_alone_is_not_oversubscribed),
        cmocka_unit_test(test_starving_ranks_do_not_drag_in_the_others),
        cmocka_unit_test(test_exact_counts_come_first),
        cmocka_unit_test(test_exact_counts_leave_gaps_to_stay_in_a_numa_node),
        cmocka_unit_test(test_more_workers_than_cores_share_the_share),
        cmocka_unit_test(test_quota_caps_the_group_and_unbinds),
        cmocka_unit_test(test_quotas_of_two_groups_are_separate),
        cmocka_unit_test(test_quota_is_kept_beside_ranks_without_one),
        cmocka_unit_test(test_quota_starves_ranks_of_disjoint_masks_too),
        cmocka_unit_test(test_core_cut_in_two_counts_once_for_its_rank),
        cmocka_unit_test(test_large_quota_changes_nothing),
        cmocka_unit_test(test_asymmetric_machine),
        cmocka_unit_test(test_different_machines_are_not_divided),
        cmocka_unit_test(test_mask_without_a_known_core),
        cmocka_unit_test(test_gpus_are_split_among_those_who_see_the_same),
        cmocka_unit_test(test_bad_arguments_are_refused),
        cmocka_unit_test(test_distance_matrix_of_workers),
        cmocka_unit_test(test_random_masks_leave_nobody_without_need),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
