/* A demand: its queue is fair among submitters, and its places stand in order of how full they are, against a look at each of them. */
#include "demand.h"

#include "rng.h"
#include "test_child.h"
#include "test_node.h"

enum { AHEAD = 4, RANKS = 12 };
static const node_shape_t CPU = {.cpu = NODE_UNIT}, SPREAD = {.cpu = NODE_UNIT, .strategy = NODE_STRATEGY_SPREAD};

static rid_t task_of(ep_t *ep, uint16_t creator)
{
    record_t *rec;
    rid_t rid = record_alloc(ep, 0, 0, &rec);
    assert_int_not_equal(rid, 0);
    rec->creator = creator;
    return rid;
}

static void test_one_task_is_not_kept_waiting_by_many(void **state)
{
    (void)state;
    test_node_t t;
    demand_list_t list = {0};
    test_node_make(&t, &(test_node_config_t){.n = 1, .segment = {.arena_bytes = 1 << 16, .n_slots = 64, .n_records = 256}});
    ep_t *ep = test_node_open(&t, 0, SEG_EP_AGENT, EP_KIND_AGENT, false);
    demand_t *d = demand_of(&list, &CPU, true, AHEAD);
    rid_t many[100], last = 0;
    for (int i = 0; i < 100; i++) {
        many[i] = task_of(ep, 5);
        demand_push(d, ep, many[i], record_at(ep, many[i]));
    }
    rid_t one = task_of(ep, 6);
    demand_push(d, ep, one, record_at(ep, one));
    rid_t first = demand_pop(d, ep), second = demand_pop(d, ep);
    assert_true(first == one || second == one);
    demand_unpop(d, ep, second, record_at(ep, second));
    assert_int_equal(demand_pop(d, ep), second); /* what was put back comes next */
    for (int i = 1; i < 100; i++) { /* each submitter's in its order */
        rid_t rid = demand_pop(d, ep);
        assert_true(rid == many[i]);
        assert_true(rid != last);
        last = rid;
    }
    assert_int_equal(demand_pop(d, ep), 0);
    assert_int_equal(d->n_queued, 0);
    demand_list_fini(&list);
    ep_close(ep);
    test_node_free(&t);
}

/* The least full by a look at each. */
static double least_load(const demand_t *d)
{
    double least = -1;
    for (unsigned i = 0; i < d->n_places; i++) {
        const demand_place_t *p = &d->places[i];
        if (!p->counted || p->outstanding >= p->slots * AHEAD) continue;
        double load = (double)p->outstanding / p->slots;
        if (least < 0 || load < least) least = load;
    }
    return least;
}

static void test_the_best_place_is_the_least_full_after_any_change(void **state)
{
    (void)state;
    base_rng_t rng;
    demand_list_t list = {0};
    base_rng_seed(&rng, test_seed());
    demand_t *d = demand_of(&list, &CPU, false, AHEAD);
    for (int i = 0; i < 20000; i++) {
        int rank = (int)base_rng_below(&rng, RANKS);
        demand_place_t *p = demand_place(d, rank);
        switch (base_rng_below(&rng, 8)) {
        case 0: case 1: assert_true(demand_set_slots(d, rank, (uint32_t)base_rng_below(&rng, 4), rank > 1)); break;
        case 2: if (base_rng_below(&rng, 40) == 0) demand_forget(d); break;
        case 3: case 4: if (p != NULL && p->outstanding > 0) demand_count(d, p, -1); break;
        default: if ((p = demand_best(d)) != NULL) demand_count(d, p, 1);
        }
        if (demand_selfcheck(d) != MRAY_OK) fail_msg("%s", mray_error_message());
        demand_place_t *best = demand_best(d);
        double least = least_load(d);
        assert_int_equal(best != NULL, least >= 0);
        if (best == NULL) continue;
        assert_true(best->counted && best->outstanding < best->slots * AHEAD); /* never more ahead than allowed */
        assert_true((double)best->outstanding / best->slots <= least + 1e-6);
    }
    demand_list_fini(&list);
}

static void test_a_spread_demand_takes_places_in_turn(void **state)
{
    (void)state;
    demand_list_t list = {0};
    demand_t *d = demand_of(&list, &SPREAD, false, AHEAD), *other = demand_of(&list, &CPU, true, AHEAD);
    assert_ptr_not_equal(d, other); /* the same CPUs, another strategy */
    for (int r = 0; r < RANKS; r++) assert_true(demand_set_slots(d, r, 2, true));
    int seen[RANKS] = {0};
    for (int i = 0; i < 3 * RANKS; i++) { /* each is over before the next comes */
        demand_place_t *p = demand_best(d);
        seen[p->rank]++;
        demand_count(d, p, 1);
        demand_count(d, demand_place(d, p->rank), -1);
        for (int r = 0; r < RANKS; r++) assert_in_range(seen[r], i / RANKS, i / RANKS + 1);
    }
    demand_list_fini(&list);
}

static void test_tasks_out_keep_a_place_without_slots(void **state)
{
    (void)state;
    demand_list_t list = {0};
    demand_t *d = demand_of(&list, &CPU, false, AHEAD);
    assert_true(demand_set_slots(d, 3, 1, true));
    demand_count(d, demand_place(d, 3), 1);
    demand_forget(d);
    assert_non_null(demand_place(d, 3));
    assert_null(demand_best(d));
    assert_int_equal(d->outstanding, 1);
    demand_count(d, demand_place(d, 3), -1);
    assert_null(demand_place(d, 3));
    assert_int_equal(d->n_places, 0);
    demand_list_fini(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_task_is_not_kept_waiting_by_many),
        cmocka_unit_test(test_the_best_place_is_the_least_full_after_any_change),
        cmocka_unit_test(test_a_spread_demand_takes_places_in_turn),
        cmocka_unit_test(test_tasks_out_keep_a_place_without_slots),
    };
    return cmocka_run_group_tests_name("exec.demand", tests, NULL, NULL);
}
