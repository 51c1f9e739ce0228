/* The table of copies: one copy of an object a node whichever of its ranks ask, found until it is unused, against a model of random calls. */
#include "test_store.h"

#include "copies.h"
#include "rng.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { N_SLOTS = 640, N_ORIGINS = 64 };

typedef struct {
    test_node_t t;
    ep_t *ep[2]; /* the agents of two ranks */
} fixture_t;

static int setup(void **state)
{
    static fixture_t f;
    test_store_make(&f.t, (test_node_config_t){.n = 2, .segment = {.arena_bytes = 1 << 16, .n_slots = N_SLOTS, .n_records = 64}});
    for (int r = 0; r < 2; r++) f.ep[r] = test_node_open(&f.t, r, SEG_EP_AGENT, EP_KIND_USER, false);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    fixture_t *f = *state;
    assert_int_equal(test_slots_used(f->ep[0]), 0);
    for (int r = 0; r < 2; r++) {
        assert_int_equal(f->t.of[r]->segs[r].hdr->copies.n_used, 0);
        ep_close(f->ep[r]);
    }
    test_node_free(&f->t);
    return 0;
}

static mray_ref origin(uint32_t i)
{
    return (mray_ref){.rank = 7 + i % 3, .slot = 1 + i / 3, .gen = i, .epoch = 1};
}

static sid_t make_slot(ep_t *ep)
{
    sid_t sid = slot_alloc(ep, 1);
    assert_int_not_equal(sid, 0);
    slot_change(ep, sid, RC_DROP_PRODUCER);
    return sid;
}

static void drop(ep_t *ep, sid_t sid, rc_op_t op)
{
    slot_change(ep, sid, op);
}

static void test_one_a_node(void **state)
{
    fixture_t *f = *state;
    assert_int_equal(copies_find(f->ep[0], origin(1)), 0);
    sid_t first = make_slot(f->ep[0]), second = make_slot(f->ep[1]);
    assert_int_equal(copies_add(f->ep[0], origin(1), first), first);
    assert_int_equal(copies_add(f->ep[1], origin(1), second), first);
    assert_int_equal(copies_find(f->ep[1], origin(1)), first);
    mray_ref named = copies_origin(f->ep[1], first), wanted = origin(1), other = copies_origin(f->ep[1], second);
    assert_memory_equal(&named, &wanted, sizeof named);
    assert_int_equal(other.slot, 0);
    drop(f->ep[1], second, RC_DROP_CREATOR);
    for (int i = 0; i < 3; i++) {
        assert_false(copies_remove_unused(f->ep[0], origin(1), first, UINT64_MAX, true)); /* held */
        drop(f->ep[0], first, RC_DROP);
    }
    assert_false(copies_remove_unused(f->ep[0], origin(1), first, 1, true)); /* asked for since */
    assert_true(copies_remove_unused(f->ep[0], origin(1), first, UINT64_MAX, true));
    assert_int_equal(copies_find(f->ep[1], origin(1)), 0);
    drop(f->ep[0], first, RC_DROP_CREATOR);
}

/* Who goes without its value may come back: it stays until that endpoint has had it, or nobody wants it. */
static void test_one_that_somebody_comes_back_for_stays(void **state)
{
    fixture_t *f = *state;
    sid_t sid = make_slot(f->ep[0]);
    assert_int_equal(copies_add(f->ep[0], origin(1), sid), sid);
    assert_false(copies_is_asked(f->ep[0], sid));
    copies_note_asker(f->ep[1], sid);
    drop(f->ep[0], sid, RC_DROP);
    assert_true(copies_is_asked(f->ep[0], sid));
    assert_false(copies_remove_unused(f->ep[0], origin(1), sid, UINT64_MAX, false));
    copies_note_taker(f->ep[0], sid); /* another */
    assert_true(copies_is_asked(f->ep[0], sid));
    copies_note_taker(f->ep[1], sid);
    assert_false(copies_is_asked(f->ep[0], sid));
    copies_note_asker(f->ep[1], sid);
    copies_forget_asker(f->ep[0], sid);
    assert_false(copies_is_asked(f->ep[0], sid));
    copies_note_asker(f->ep[1], sid);
    assert_true(copies_remove_unused(f->ep[0], origin(1), sid, UINT64_MAX, true));
    assert_int_equal(copies_add(f->ep[0], origin(2), sid), sid); /* of another object */
    assert_false(copies_is_asked(f->ep[0], sid));
    drop(f->ep[0], sid, RC_DROP);
    assert_true(copies_remove_unused(f->ep[0], origin(2), sid, UINT64_MAX, false));
    drop(f->ep[0], sid, RC_DROP_CREATOR);
}

/* Random adds, finds and removals of both ranks, compared with an array. */
static void test_model(void **state)
{
    fixture_t *f = *state;
    base_rng_t rng;
    base_rng_seed(&rng, 20);
    sid_t model[N_ORIGINS] = {0};
    for (int step = 0; step < 20000; step++) {
        uint32_t i = (uint32_t)base_rng_below(&rng, N_ORIGINS);
        ep_t *ep = f->ep[base_rng_below(&rng, 2)];
        sid_t sid = copies_find(ep, origin(i));
        assert_int_equal(sid, model[i]);
        if (sid != 0) {
            drop(ep, sid, RC_DROP);
            if (base_rng_below(&rng, 2) == 0) continue;
            assert_true(copies_remove_unused(f->ep[sid >> 24], origin(i), sid, UINT64_MAX, true));
            drop(f->ep[sid >> 24], sid, RC_DROP_CREATOR);
            model[i] = 0;
        } else {
            model[i] = make_slot(ep);
            assert_int_equal(copies_add(ep, origin(i), model[i]), model[i]);
            drop(ep, model[i], RC_DROP);
        }
    }
    for (uint32_t i = 0; i < N_ORIGINS; i++) {
        if (model[i] == 0) continue;
        assert_true(copies_remove_unused(f->ep[0], origin(i), model[i], UINT64_MAX, true));
        drop(f->ep[model[i] >> 24], model[i], RC_DROP_CREATOR);
    }
}

/* More copies than the table takes: refused, and those that are in it are found still. */
static void test_full(void **state)
{
    fixture_t *f = *state;
    sid_t sid = make_slot(f->ep[0]);
    uint32_t n = 0, n_entries = 2 * f->t.of[0]->segs[0].hdr->copies.n_entries;
    while (n < n_entries && copies_add(f->ep[0], origin(n), sid) != 0) n++;
    assert_true(n > n_entries / 2);
    assert_true(n < n_entries);
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(copies_find(f->ep[1], origin(i)), sid);
        drop(f->ep[1], sid, RC_DROP);
    }
    assert_int_equal(copies_find(f->ep[1], origin(n)), 0);
    for (uint32_t i = 0; i < n; i++) drop(f->ep[0], sid, RC_DROP);
    for (uint32_t i = 0; i < n; i++) assert_true(copies_remove_unused(f->ep[0], origin(i), sid, UINT64_MAX, true));
    drop(f->ep[0], sid, RC_DROP_CREATOR);
}

typedef struct {
    ep_t *ep;
    sid_t used[N_ORIGINS];
} racer_t;

static void *race(void *arg)
{
    racer_t *r = arg;
    for (uint32_t i = 0; i < N_ORIGINS; i++) {
        sid_t mine = make_slot(r->ep);
        r->used[i] = copies_add(r->ep, origin(i), mine);
        if (r->used[i] != mine) drop(r->ep, mine, RC_DROP_CREATOR);
    }
    return NULL;
}

static void test_two_agents_at_once(void **state)
{
    fixture_t *f = *state;
    for (int round = 0; round < 50; round++) {
        racer_t racers[2] = {{.ep = f->ep[0]}, {.ep = f->ep[1]}};
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, race, &racers[1]), 0);
        race(&racers[0]);
        pthread_join(thread, NULL);
        for (uint32_t i = 0; i < N_ORIGINS; i++) {
            sid_t sid = racers[0].used[i];
            assert_int_equal(racers[1].used[i], sid);
            for (int r = 0; r < 2; r++) drop(f->ep[r], sid, RC_DROP);
            assert_true(copies_remove_unused(f->ep[0], origin(i), sid, UINT64_MAX, true));
            drop(f->ep[sid >> 24], sid, RC_DROP_CREATOR);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_a_node, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_that_somebody_comes_back_for_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(test_model, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full, setup, teardown),
        cmocka_unit_test_setup_teardown(test_two_agents_at_once, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
