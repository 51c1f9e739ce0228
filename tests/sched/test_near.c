/* Which idle worker a task goes to: an awake one before one that sleeps; among these one that shares a cache with who hands it on. */
#include "route.h"

#include "test_node.h"

enum { FIRST = 8, N_WORKERS = 6, N_GROUPS = 2 };

typedef struct {
    test_node_t t;
    ep_t *driver, *workers[N_WORKERS]; /* the first three in group 0, the others in group 1 */
    rid_t rid;
    record_t *rec;
} fixture_t;

static int setup(void **state)
{
    static fixture_t f;
    test_node_make(&f.t, &(test_node_config_t){.n = 1, .n_cpus = 64, .segment = {.arena_bytes = 4096, .n_slots = 64, .n_records = 64}});
    f.driver = test_node_open(&f.t, 0, SEG_EP_MAIN, EP_KIND_USER, false);
    seg_header_t *h = f.driver->seg->hdr;
    h->lease_mask[0] = 1;
    for (int i = 0; i < N_WORKERS; i++) {
        f.workers[i] = test_node_open(&f.t, 0, (unsigned)(FIRST + i), EP_KIND_WORKER, true);
        int group = i / (N_WORKERS / N_GROUPS);
        atomic_store(&f.workers[i]->sh->group, group);
        ep_mask_set(h->group_mask[group], f.workers[i]->gid);
        ep_mask_set(h->worker_mask, f.workers[i]->gid);
        ep_mask_set(h->idle_mask, f.workers[i]->gid);
    }
    f.rid = record_alloc(f.driver, 0, 0, &f.rec);
    assert_int_not_equal(f.rid, 0);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    fixture_t *f = *state;
    record_free(f->driver, f->rid, f->rec);
    for (int i = 0; i < N_WORKERS; i++) ep_close(f->workers[i]);
    ep_close(f->driver);
    test_node_free(&f->t);
    return 0;
}

static int pick(fixture_t *f, ep_t *by)
{
    return (route_pick_worker(by, f->rid, f->rec, 0) & 0xff) - FIRST;
}

static void fall_asleep(ep_t *ep)
{
    ep_mask_clear(ep->seg->hdr->awake_mask, ep->gid);
}

static void test_near_before_far(void **state)
{
    fixture_t *f = *state;
    ep_mask_clear(f->driver->seg->hdr->idle_mask, f->workers[4]->gid); /* who hands on is busy */
    int first = pick(f, f->workers[4]), second = pick(f, f->workers[4]), third = pick(f, f->workers[4]);
    assert_int_equal(first, 3);
    assert_int_equal(second, 5);
    assert_int_equal(third, 0); /* none near is idle */
}

static void test_awake_before_near(void **state)
{
    fixture_t *f = *state;
    ep_mask_clear(f->driver->seg->hdr->idle_mask, f->workers[0]->gid);
    fall_asleep(f->workers[1]);
    for (int i = 4; i < N_WORKERS; i++) fall_asleep(f->workers[i]);
    assert_int_equal(pick(f, f->workers[0]), 2);
    assert_int_equal(pick(f, f->workers[0]), 3);
    assert_int_equal(pick(f, f->workers[0]), 1); /* of those asleep the near one */
    assert_int_equal(pick(f, f->workers[0]), 4);
}

static void test_who_is_nowhere_takes_any(void **state)
{
    fixture_t *f = *state;
    fall_asleep(f->workers[0]);
    assert_int_equal(pick(f, f->driver), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_near_before_far, setup, teardown),
        cmocka_unit_test_setup_teardown(test_awake_before_near, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_is_nowhere_takes_any, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
