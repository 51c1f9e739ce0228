/* The node map: every rank's segment is mapped once, places and ranks point at each other, a name that is gone undoes it all. */
#include "node.h"

#include "test_node.h"

#include <string.h>

static const seg_config_t small = {.arena_bytes = 4096, .n_slots = 64, .n_records = 64};

static void test_places_and_ranks_point_at_each_other(void **state)
{
    (void)state;
    test_node_t t;
    test_node_make(&t, &(test_node_config_t){.n = 3, .n_elsewhere = 4, .first_rank = 2, .n_cpus = 5, .segment = small});
    for (int p = 0; p < 3; p++) {
        const node_t *node = t.of[p];
        assert_int_equal(node->epoch, TEST_NODE_EPOCH);
        assert_int_equal(node->rank, 2 + p);
        assert_int_equal(node->node_rank, p);
        assert_int_equal(node->n_ranks, 7);
        assert_int_equal(node->n_node_ranks, 3);
        assert_int_equal(node->n_cpus, 5);
        assert_int_equal(node->n_own_cpus, 5);
        assert_true(node->multi_node);
        for (int r = 0; r < 7; r++) assert_int_equal(node->node_rank_of[r], r >= 2 && r < 5 ? r - 2 : -1);
        for (int q = 0; q < 3; q++) {
            assert_int_equal(node->rank_of[q], 2 + q);
            assert_int_equal(node->segs[q].hdr->rank, 2 + q);
        }
    }
    test_node_free(&t);
}

static void test_every_rank_sees_every_segment(void **state)
{
    (void)state;
    test_node_t t;
    test_node_make(&t, &(test_node_config_t){.n = 3, .segment = small});
    assert_ptr_equal(t.of[1]->segs[1].rw, t.segs[1].rw); /* its own is not mapped a second time */
    assert_ptr_not_equal(t.of[0]->segs[1].rw, t.segs[1].rw);
    for (int q = 0; q < 3; q++) {
        char *mine = t.segs[q].rw + t.segs[q].hdr->arena_off;
        *mine = (char)('a' + q);
        for (int p = 0; p < 3; p++) {
            assert_int_equal(t.of[p]->segs[q].ro[t.of[p]->segs[q].hdr->arena_off], 'a' + q);
            assert_ptr_equal(ep_shared_at(t.of[p], ep_gid(q, 7)), t.of[p]->segs[q].rw + t.segs[q].hdr->eps_off + 7 * sizeof(ep_shared_t));
        }
    }
    test_node_free(&t);
}

static void test_a_name_that_is_gone_is_said_and_own_stays(void **state)
{
    (void)state;
    segment_t own;
    node_t *node = NULL;
    node_description_t d = {.n_ranks = 2, .n_node_ranks = 2, .node_rank = 1, .rank = 1, .ranks = {0, 1}};
    assert_int_equal(seg_create(&small, 1, 1, &own, &d.names[1]), MRAY_OK);
    d.names[0] = (seg_name_t){.pid = d.names[1].pid, .fd = 999, .bytes = 4096};
    assert_int_equal(node_create(&d, &own, &node), MRAY_ERR_SYSTEM);
    assert_null(node);
    assert_non_null(strstr(mray_error_message(), "/proc/"));
    own.rw[own.hdr->arena_off] = 1; /* still the caller's */
    seg_unmap(&own);
    seg_close_fd(&d.names[1]);
    node_destroy(NULL);
}

static void test_a_worker_without_a_segment_of_its_own_maps_all(void **state)
{
    (void)state;
    segment_t segs[2];
    node_t *node;
    node_description_t d = {.epoch = 3, .n_ranks = 2, .n_node_ranks = 2, .node_rank = 1, .rank = 1, .ranks = {0, 1}};
    for (int p = 0; p < 2; p++) assert_int_equal(seg_create(&small, 3, (uint32_t)p, &segs[p], &d.names[p]), MRAY_OK);
    assert_int_equal(node_create(&d, NULL, &node), MRAY_OK);
    for (int p = 0; p < 2; p++) {
        assert_ptr_not_equal(node->segs[p].rw, segs[p].rw);
        assert_int_equal(node->segs[p].hdr->rank, p);
    }
    node_destroy(node);
    for (int p = 0; p < 2; p++) {
        assert_int_equal(segs[p].hdr->rank, p);
        seg_unmap(&segs[p]);
        seg_close_fd(&d.names[p]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places_and_ranks_point_at_each_other),
        cmocka_unit_test(test_every_rank_sees_every_segment),
        cmocka_unit_test(test_a_name_that_is_gone_is_said_and_own_stays),
        cmocka_unit_test(test_a_worker_without_a_segment_of_its_own_maps_all),
    };
    return cmocka_run_group_tests_name("net.node", tests, NULL, NULL);
}
