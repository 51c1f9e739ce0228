/* Slots: holds and what the last one does, refs of all kinds, ledgers, waiters and watchers. */
#include "test_store.h"

#include <string.h>

enum { N_SLOTS = 64 * 3, FIRST_RANK = 1, ELSEWHERE = 3 }; /* ranks 1 and 2 are here, 0 and 3 are not */

typedef struct {
    test_node_t t;
    ep_t *ep;     /* immortal, rank 1 */
    ep_t *worker; /* mortal, rank 2 */
    ep_t *other;  /* a second immortal one, rank 1 */
} fixture_t;

static struct {
    rid_t ready[64];
    int n_ready;
    slot_where_t dropped;
    int n_dropped;
} seen;

static void on_ready(ep_t *ep, rid_t rid)
{
    record_t *rec = record_at(ep, rid);
    assert_int_equal(rec->pending, 0);
    assert_true(seen.n_ready < 64);
    seen.ready[seen.n_ready++] = rid;
}

static void on_drop_remote(ep_t *ep, const slot_where_t *where)
{
    (void)ep;
    seen.dropped = *where;
    seen.n_dropped++;
}

static int setup(void **state)
{
    static fixture_t f;
    static const store_upcalls_t upcalls = {.ready_fn = on_ready, .drop_remote_fn = on_drop_remote};
    test_store_make(&f.t, (test_node_config_t){.n = 2, .n_elsewhere = 2, .first_rank = FIRST_RANK,
                                               .segment = {.arena_bytes = 1 << 16, .n_slots = N_SLOTS, .n_records = 640}});
    f.ep = test_node_open(&f.t, 0, SEG_EP_MAIN, EP_KIND_USER, false);
    f.other = test_node_open(&f.t, 0, 0, EP_KIND_USER, false);
    f.worker = test_node_open(&f.t, 1, 7, EP_KIND_WORKER, true);
    store_set_upcalls(&upcalls);
    memset(&seen, 0, sizeof seen);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    fixture_t *f = *state;
    assert_int_equal(test_slots_used(f->ep), 0);
    assert_int_equal(test_slots_used(f->worker), 0);
    assert_int_equal(test_records_used(f->ep), 0);
    assert_int_equal(test_records_used(f->worker), 0);
    ep_close(f->ep);
    ep_close(f->other);
    ep_close(f->worker);
    test_node_free(&f->t);
    return 0;
}

static uint64_t holds(const ep_t *ep, sid_t sid)
{
    return atomic_load(&slot_at(ep, sid)->rc) & UINT32_MAX;
}

static bool is_free(const ep_t *ep, sid_t sid)
{
    return slot_rc_is_free(atomic_load(&slot_at(ep, sid)->rc));
}

static void drop_both(ep_t *ep, sid_t sid)
{
    slot_change(ep, sid, RC_DROP_PRODUCER);
    slot_change(ep, sid, RC_DROP_CREATOR);
}

/* ---- making and finding ---- */

static void test_alloc_gives_a_pending_slot_of_this_endpoint(void **state)
{
    fixture_t *f = *state;
    sid_t sid = slot_alloc(f->worker, 1);
    const slot_t *slot = slot_at(f->ep, sid);
    assert_int_equal(sid >> 24, 1);
    assert_int_equal(holds(f->ep, sid), SLOT_RC_USED | SLOT_RC_CREATOR | SLOT_RC_PRODUCER);
    assert_int_equal(slot->state, SLOT_PENDING);
    assert_int_equal(slot->waiters, 0);
    assert_int_equal(slot->kind, SLOT_KIND_NONE);
    assert_int_equal(slot->creator_index, 7);
    assert_false(slot_is_ready(slot));
    mray_ref ref = slot_ref(f->ep, sid);
    assert_int_equal(ref.rank, FIRST_RANK + 1);
    assert_int_equal(ref.slot, sid & 0xffffff);
    assert_int_equal(ref.epoch, TEST_NODE_EPOCH);
    sid_t found = 0;
    assert_int_equal(slot_find(f->ep, ref, &found), MRAY_OK);
    assert_int_equal(found, sid);
    drop_both(f->worker, sid);
}

static void test_a_run_has_one_generation(void **state)
{
    fixture_t *f = *state;
    sid_t first = slot_alloc(f->ep, 70);
    assert_int_not_equal(first, 0);
    for (sid_t s = first; s < first + 70; s++) {
        assert_int_equal(slot_ref(f->ep, s).gen, slot_ref(f->ep, first).gen);
        assert_int_equal(slot_ref(f->ep, s).slot, slot_ref(f->ep, first).slot + (s - first));
        assert_false(is_free(f->ep, s));
    }
    for (sid_t s = first; s < first + 70; s++) drop_both(f->ep, s);
}

static void test_full_table_gives_none_and_serves_again_after_a_release(void **state)
{
    fixture_t *f = *state;
    sid_t all[N_SLOTS], sid;
    int n = 0;
    while ((sid = slot_alloc(f->ep, 1)) != 0) all[n++] = sid;
    assert_int_equal(n, N_SLOTS - 1);
    assert_int_equal(slot_alloc(f->ep, 2), 0);
    assert_int_equal(slot_alloc(f->other, 1), 0);
    drop_both(f->worker, all[50]); /* by another rank: it comes back by a hint, */
    pool_say(&f->worker->slots);   /* when there are some, or it sleeps, */
    assert_int_equal(slot_alloc(f->ep, 1), all[50]);
    drop_both(f->worker, all[51]);
    assert_int_equal(slot_alloc(f->ep, 1), 0);
    ep_say_for_all(f->ep->node); /* or an agent makes room */
    assert_int_equal(slot_alloc(f->ep, 1), all[51]);
    assert_int_equal(slot_alloc(f->ep, 1), 0);
    for (int i = 0; i < n; i++) drop_both(f->ep, all[i]);
}

static void expect_invalid(fixture_t *f, mray_ref ref, const char *word)
{
    sid_t sid = 1234;
    assert_int_equal(slot_find(f->ep, ref, &sid), MRAY_ERR_INVALID_REF);
    if (strstr(mray_error_message(), word) == NULL) fail_msg("'%s' does not say '%s'", mray_error_message(), word);
    assert_int_equal(sid, 1234);
}

static void test_refs_that_name_nothing_are_told_apart(void **state)
{
    fixture_t *f = *state;
    sid_t sid = slot_alloc(f->ep, 1), found = 99;
    mray_ref ref = slot_ref(f->ep, sid), bad;
    expect_invalid(f, (mray_ref){0}, "nil");
    bad = ref, bad.epoch++;
    expect_invalid(f, bad, "another session");
    bad = ref, bad.rank = 4;
    expect_invalid(f, bad, "another session");
    bad = ref, bad.rank = UINT32_MAX;
    expect_invalid(f, bad, "another session");
    bad = ref, bad.slot = N_SLOTS;
    expect_invalid(f, bad, "does not exist");
    bad = ref, bad.slot = UINT32_MAX;
    expect_invalid(f, bad, "does not exist");
    bad = ref, bad.slot = N_SLOTS - 1;
    expect_invalid(f, bad, "released before");
    bad = ref, bad.gen++;
    expect_invalid(f, bad, "released before");
    bad = ref, bad.rank = ELSEWHERE; /* another node answers for it */
    assert_int_equal(slot_find(f->ep, bad, &found), MRAY_OK);
    assert_int_equal(found, 0);
    drop_both(f->ep, sid);
    expect_invalid(f, ref, "released before");
}

static void test_a_used_again_slot_refuses_the_old_ref(void **state)
{
    fixture_t *f = *state;
    mray_ref old[20];
    sid_t sid = 0;
    for (int i = 0; i < 20; i++) {
        sid_t s = slot_alloc(f->ep, 1);
        if (i > 0) assert_int_equal(s, sid);
        sid = s;
        old[i] = slot_ref(f->ep, sid);
        for (int k = 0; k < i; k++) expect_invalid(f, old[k], "released before");
        sid_t found;
        assert_int_equal(slot_find(f->worker, old[i], &found), MRAY_OK);
        drop_both(f->ep, sid);
    }
}

/* ---- holds ---- */

static void test_slot_lives_until_the_last_hold_whatever_the_order(void **state)
{
    static const rc_op_t ops[3] = {RC_DROP_CREATOR, RC_DROP_PRODUCER, RC_DROP};
    static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    fixture_t *f = *state;
    for (int o = 0; o < 6; o++)
        for (int who = 0; who < 2; who++) {
            ep_t *ep = who == 0 ? f->ep : f->worker;
            sid_t sid = slot_alloc(f->ep, 1);
            mray_ref ref = slot_ref(f->ep, sid);
            slot_change(ep, sid, RC_HOLD);
            for (int i = 0; i < 3; i++) {
                assert_false(is_free(f->ep, sid));
                assert_int_equal(slot_ref(f->ep, sid).gen, ref.gen);
                slot_change(ep, sid, ops[orders[o][i]]);
            }
            assert_true(is_free(f->ep, sid));
            assert_int_equal(slot_at(f->ep, sid)->rc, 0);
            assert_int_equal(slot_at(f->ep, sid)->state, SLOT_EMPTY);
            assert_int_not_equal(slot_ref(f->ep, sid).gen, ref.gen);
        }
}

static void test_each_change_touches_its_own_hold(void **state)
{
    fixture_t *f = *state;
    sid_t sid = slot_alloc(f->ep, 1);
    const uint64_t used = SLOT_RC_USED;
    slot_change(f->ep, sid, RC_HOLD);
    slot_change(f->worker, sid, RC_HOLD);
    assert_int_equal(holds(f->ep, sid), used | SLOT_RC_CREATOR | SLOT_RC_PRODUCER | 2);
    slot_change(f->ep, sid, RC_DROP_PRODUCER);
    assert_int_equal(holds(f->ep, sid), used | SLOT_RC_CREATOR | 2);
    slot_change(f->worker, sid, RC_CREATOR_TO_HOLD);
    assert_int_equal(holds(f->ep, sid), used | 3);
    slot_change(f->ep, sid, RC_DROP);
    slot_change(f->ep, sid, RC_DROP);
    assert_int_equal(holds(f->ep, sid), used | 1);
    slot_change(f->worker, sid, RC_DROP);
    assert_true(is_free(f->ep, sid));
}

static void test_many_holds_are_counted(void **state)
{
    fixture_t *f = *state;
    enum { MANY = 100000 };
    sid_t sid = slot_alloc(f->ep, 1);
    for (int i = 0; i < MANY; i++) slot_change(i % 2 == 0 ? f->ep : f->worker, sid, RC_HOLD);
    assert_int_equal(holds(f->ep, sid) & SLOT_RC_COUNT, MANY);
    drop_both(f->ep, sid);
    for (int i = 0; i < MANY; i++) slot_change(i % 3 == 0 ? f->ep : f->worker, sid, RC_DROP);
    assert_true(is_free(f->ep, sid));
}

static void test_record_notes_what_it_holds(void **state)
{
    fixture_t *f = *state;
    record_t *rec;
    sid_t sid = slot_alloc(f->ep, 1);
    rid_t rid = record_alloc(f->worker, 6, 0, &rec);
    slot_hold_for(f->worker, sid, rid, 0);
    slot_hold_for(f->worker, sid, rid, 5);
    assert_int_equal(rec->held, 1 | 1 << 5);
    assert_int_equal(holds(f->ep, sid) & SLOT_RC_COUNT, 2);
    slot_drop_for(f->ep, sid, rid, 0);
    assert_int_equal(record_at(f->ep, rid)->held, 1 << 5);
    drop_both(f->ep, sid);
    assert_false(is_free(f->ep, sid));
    slot_drop_for(f->worker, sid, rid, 5);
    assert_int_equal(rec->held, 0);
    assert_true(is_free(f->ep, sid));
    record_free(f->worker, rid, rec);
}

static void test_release_gives_back_one_hold_a_call(void **state)
{
    fixture_t *f = *state;
    sid_t sid = slot_alloc(f->ep, 1);
    assert_true(slot_hold_own(f->ep, sid)); /* retained once */
    assert_int_equal(slot_release_ref(f->ep, sid), MRAY_OK);
    assert_int_equal(slot_release_ref(f->ep, sid), MRAY_OK);
    assert_int_equal(holds(f->ep, sid), SLOT_RC_USED | SLOT_RC_PRODUCER);
    assert_int_equal(slot_release_ref(f->worker, sid), MRAY_ERR_INVALID_REF); /* the producer's is not the user's */
    assert_non_null(strstr(mray_error_message(), "nothing of this ref is held"));
    assert_int_equal(holds(f->ep, sid), SLOT_RC_USED | SLOT_RC_PRODUCER);
    slot_change(f->ep, sid, RC_DROP_PRODUCER);
}

static void test_release_of_a_retained_ref_leaves_the_creators_hold(void **state)
{
    fixture_t *f = *state;
    sid_t sid = slot_alloc(f->ep, 1);
    assert_true(slot_hold_own(f->other, sid));
    assert_true(slot_hold_own(f->worker, sid));
    assert_int_equal(slot_release_ref(f->other, sid), MRAY_OK);
    assert_int_equal(holds(f->ep, sid), SLOT_RC_USED | SLOT_RC_CREATOR | SLOT_RC_PRODUCER | 1);
    assert_int_equal(slot_release_ref(f->worker, sid), MRAY_OK);
    assert_int_equal(holds(f->ep, sid), SLOT_RC_USED | SLOT_RC_CREATOR | SLOT_RC_PRODUCER);
    assert_false(slot_drop_own(f->worker, sid));
    drop_both(f->ep, sid);
}

static void test_ledger_of_a_mortal_endpoint_knows_its_holds(void **state)
{
    fixture_t *f = *state;
    sid_t a = slot_alloc(f->ep, 1), b = slot_alloc(f->worker, 1);
    assert_true(slot_hold_own(f->worker, a));
    assert_true(slot_hold_own(f->worker, b));
    assert_true(slot_hold_own(f->worker, a));
    int n_a = 0, n_b = 0;
    for (int e = 0; e < EP_LEDGER_ENTRIES; e++) {
        n_a += f->worker->sh->ledger[e] == a;
        n_b += f->worker->sh->ledger[e] == b;
    }
    assert_int_equal(n_a, 2);
    assert_int_equal(n_b, 1);
    assert_true(slot_drop_own(f->worker, a));
    assert_true(slot_drop_own(f->worker, b));
    assert_false(slot_drop_own(f->worker, b));
    assert_true(slot_drop_own(f->worker, a));
    for (int e = 0; e < EP_LEDGER_ENTRIES; e++) assert_int_equal(f->worker->sh->ledger[e], 0);
    drop_both(f->ep, a);
    drop_both(f->worker, b);
}

static void test_full_ledger_refuses_and_holds_nothing(void **state)
{
    fixture_t *f = *state;
    sid_t sid = slot_alloc(f->ep, 1), found;
    for (int i = 0; i < EP_LEDGER_ENTRIES; i++) assert_true(slot_hold_own(f->worker, sid));
    uint64_t before = holds(f->ep, sid);
    assert_false(slot_hold_own(f->worker, sid));
    assert_false(slot_try_hold_own(f->worker, slot_ref(f->ep, sid), &found));
    assert_int_equal(holds(f->ep, sid), before);
    assert_true(slot_drop_own(f->worker, sid));
    assert_true(slot_try_hold_own(f->worker, slot_ref(f->ep, sid), &found));
    for (int i = 0; i < EP_LEDGER_ENTRIES; i++) assert_true(slot_drop_own(f->worker, sid));
    drop_both(f->ep, sid);
}

static void test_try_hold_refuses_what_is_gone(void **state)
{
    fixture_t *f = *state;
    sid_t sid = slot_alloc(f->ep, 1), found = 0;
    mray_ref ref = slot_ref(f->ep, sid);
    for (int who = 0; who < 2; who++) {
        ep_t *ep = who == 0 ? f->ep : f->worker;
        assert_true(slot_try_hold_own(ep, ref, &found));
        assert_int_equal(found, sid);
        assert_true(slot_drop_own(ep, sid));
    }
    drop_both(f->ep, sid);
    assert_false(slot_try_hold_own(f->ep, ref, &found));
    assert_int_equal(slot_alloc(f->ep, 1), sid); /* another object in the same slot */
    assert_false(slot_try_hold_own(f->ep, ref, &found));
    assert_false(slot_try_hold_own(f->worker, ref, &found));
    assert_int_equal(holds(f->ep, sid), SLOT_RC_USED | SLOT_RC_CREATOR | SLOT_RC_PRODUCER);
    ref = slot_ref(f->ep, sid), ref.rank = ELSEWHERE;
    assert_false(slot_try_hold_own(f->ep, ref, &found));
    drop_both(f->ep, sid);
}

static void test_death_of_a_remote_slot_is_told(void **state)
{
    fixture_t *f = *state;
    sid_t sid = slot_alloc(f->ep, 1);
    slot_t *slot = slot_at(f->ep, sid);
    slot->kind = SLOT_KIND_REMOTE;
    slot->u.where = (slot_where_t){.off = 4096, .rank = ELSEWHERE, .stash_rank = 3, .stash_slot = 17, .stash_gen = 5};
    slot_complete(f->ep, sid);
    slot_change(f->ep, sid, RC_DROP_PRODUCER);
    assert_int_equal(seen.n_dropped, 0);
    slot_change(f->ep, sid, RC_DROP_CREATOR);
    assert_int_equal(seen.n_dropped, 1);
    assert_int_equal(seen.dropped.rank, ELSEWHERE);
    assert_int_equal(seen.dropped.stash_slot, 17);
    assert_int_equal(seen.dropped.stash_gen, 5);
}

/* ---- completion ---- */

typedef struct {
    record_t *rec;
    rid_t rid;
} waiting_t;

/* A record of ep that waits for n slots; the guard is off. */
static waiting_t wait_for(ep_t *ep, const sid_t *sids, unsigned n)
{
    waiting_t w;
    w.rid = record_alloc(ep, n, 0, &w.rec);
    assert_int_not_equal(w.rid, 0);
    atomic_store(&w.rec->pending, (1u << n) - 1);
    for (unsigned i = 0; i < n; i++) {
        record_ref(ep, w.rec, i)->ref = slot_ref(ep, sids[i]);
        assert_true(slot_add_waiter(ep, sids[i], w.rid, i));
    }
    return w;
}

static void complete(ep_t *ep, sid_t sid)
{
    slot_at(ep, sid)->kind = SLOT_KIND_INLINE;
    slot_complete(ep, sid);
    slot_change(ep, sid, RC_DROP_PRODUCER);
}

static void test_waiter_is_fired_once_by_the_last_slot(void **state)
{
    static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    fixture_t *f = *state;
    for (int o = 0; o < 6; o++) {
        sid_t s[3] = {slot_alloc(f->ep, 1), slot_alloc(f->worker, 1), slot_alloc(f->ep, 1)};
        waiting_t w = wait_for(f->worker, s, 3);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(seen.n_ready, o);
            complete(i % 2 == 0 ? f->ep : f->worker, s[orders[o][i]]);
        }
        assert_int_equal(seen.n_ready, o + 1);
        assert_int_equal(seen.ready[o], w.rid);
        record_free(f->worker, w.rid, w.rec);
        for (int i = 0; i < 3; i++) slot_change(f->ep, s[i], RC_DROP_CREATOR);
    }
}

static void test_one_object_given_twice_is_waited_for_twice(void **state)
{
    fixture_t *f = *state;
    sid_t s[2] = {slot_alloc(f->ep, 1)};
    s[1] = s[0];
    waiting_t w = wait_for(f->ep, s, 2);
    complete(f->ep, s[0]);
    assert_int_equal(seen.n_ready, 1);
    record_free(f->ep, w.rid, w.rec);
    slot_change(f->ep, s[0], RC_DROP_CREATOR);
}

static void test_every_waiter_of_a_slot_is_fired(void **state)
{
    fixture_t *f = *state;
    enum { N = 40 };
    sid_t sid = slot_alloc(f->ep, 1);
    waiting_t w[N];
    for (int i = 0; i < N; i++) w[i] = wait_for(i % 2 == 0 ? f->ep : f->worker, &sid, 1);
    complete(f->worker, sid);
    assert_int_equal(seen.n_ready, N);
    for (int i = 0; i < N; i++) {
        int n = 0;
        for (int k = 0; k < N; k++) n += seen.ready[k] == w[i].rid;
        assert_int_equal(n, 1);
        record_free(f->ep, w[i].rid, w[i].rec);
    }
    assert_int_equal(slot_at(f->ep, sid)->waiters, SLOT_WAITERS_DONE); /* no link to records that are used again */
    assert_int_equal(f->worker->sh->journal.fire_slot, 0);
    slot_change(f->ep, sid, RC_DROP_CREATOR);
}

static void test_guard_keeps_a_record_until_its_submitter_is_done(void **state)
{
    fixture_t *f = *state;
    sid_t sid = slot_alloc(f->ep, 1);
    waiting_t w = wait_for(f->ep, &sid, 1);
    atomic_fetch_or(&w.rec->pending, RECORD_GUARD);
    complete(f->ep, sid);
    assert_int_equal(seen.n_ready, 0);
    assert_int_equal(w.rec->pending, RECORD_GUARD);
    record_free(f->ep, w.rid, w.rec);
    slot_change(f->ep, sid, RC_DROP_CREATOR);
}

static void test_ready_slot_takes_no_waiter(void **state)
{
    fixture_t *f = *state;
    record_t *rec;
    sid_t sid = slot_alloc(f->ep, 1);
    rid_t rid = record_alloc(f->ep, 1, 0, &rec);
    complete(f->ep, sid);
    assert_true(slot_is_ready(slot_at(f->worker, sid)));
    assert_false(slot_add_waiter(f->ep, sid, rid, 0));
    assert_false(slot_watch(f->worker, slot_at(f->worker, sid)));
    assert_int_equal(seen.n_ready, 0);
    record_free(f->ep, rid, rec);
    slot_change(f->ep, sid, RC_DROP_CREATOR);
    sid_t again = slot_alloc(f->ep, 1); /* the next object in it starts anew */
    assert_int_equal(again, sid);
    assert_true(slot_watch(f->worker, slot_at(f->worker, sid)));
    complete(f->ep, sid);
    slot_change(f->ep, sid, RC_DROP_CREATOR);
}

static void test_watcher_is_woken_and_others_sleep_on(void **state)
{
    fixture_t *f = *state;
    sid_t sid = slot_alloc(f->ep, 1);
    assert_true(slot_watch(f->worker, slot_at(f->worker, sid)));
    assert_true(slot_watch(f->worker, slot_at(f->worker, sid))); /* asking twice changes nothing */
    assert_int_equal(slot_at(f->ep, sid)->state >> 8, f->worker->gid);
    ep_sleep_prepare(f->worker);
    ep_sleep_prepare(f->other);
    complete(f->ep, sid);
    assert_int_equal(f->worker->sh->asleep, 0);
    assert_int_equal(f->other->sh->asleep, 1);
    ep_sleep_cancel(f->worker);
    ep_sleep_cancel(f->other);
    slot_change(f->ep, sid, RC_DROP_CREATOR);
}

static void test_two_watchers_are_both_woken(void **state)
{
    fixture_t *f = *state;
    sid_t sid = slot_alloc(f->ep, 1);
    assert_true(slot_watch(f->worker, slot_at(f->worker, sid)));
    assert_true(slot_watch(f->other, slot_at(f->other, sid)));
    ep_sleep_prepare(f->worker);
    ep_sleep_prepare(f->other);
    complete(f->ep, sid);
    assert_int_equal(f->worker->sh->asleep, 0);
    assert_int_equal(f->other->sh->asleep, 0);
    ep_sleep_cancel(f->worker);
    ep_sleep_cancel(f->other);
    slot_change(f->ep, sid, RC_DROP_CREATOR);
}

static void test_checksum_covers_what_a_reader_believes(void **state)
{
    fixture_t *f = *state;
    sid_t sid = slot_alloc(f->ep, 1);
    slot_t *slot = slot_at(f->ep, sid), copy;
    slot->kind = SLOT_KIND_INLINE;
    slot->dtype = MRAY_FLOAT64;
    slot->bytes = 24;
    for (int i = 0; i < 24; i++) slot->u.value[i] = (uint8_t)i;
    slot_complete(f->ep, sid);
    uint32_t sum = slot_checksum(slot), stored;
    memcpy(&stored, (const char *)slot + 28, sizeof stored);
    assert_int_equal(stored, sum); /* several nodes: it is there */
    size_t covered[] = {offsetof(slot_t, gen), offsetof(slot_t, gen) + 3, offsetof(slot_t, kind), offsetof(slot_t, dtype), offsetof(slot_t, ndim),
                        offsetof(slot_t, bytes), offsetof(slot_t, bytes) + 7, offsetof(slot_t, u), offsetof(slot_t, u) + 23};
    for (size_t i = 0; i < sizeof covered / sizeof covered[0]; i++) {
        memcpy(&copy, slot, sizeof copy);
        ((uint8_t *)&copy)[covered[i]] ^= 0x10;
        if (slot_checksum(&copy) == sum) fail_msg("a change of byte %zu is not seen", covered[i]);
    }
    slot_change(f->ep, sid, RC_HOLD); /* holds and watchers come and go */
    atomic_store(&slot->state, SLOT_READY | 0x700);
    assert_int_equal(slot_checksum(slot), sum);
    slot_change(f->ep, sid, RC_DROP);
    drop_both(f->ep, sid);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_alloc_gives_a_pending_slot_of_this_endpoint),
        TEST(test_a_run_has_one_generation),
        TEST(test_full_table_gives_none_and_serves_again_after_a_release),
        TEST(test_refs_that_name_nothing_are_told_apart),
        TEST(test_a_used_again_slot_refuses_the_old_ref),
        TEST(test_slot_lives_until_the_last_hold_whatever_the_order),
        TEST(test_each_change_touches_its_own_hold),
        TEST(test_many_holds_are_counted),
        TEST(test_record_notes_what_it_holds),
        TEST(test_release_gives_back_one_hold_a_call),
        TEST(test_release_of_a_retained_ref_leaves_the_creators_hold),
        TEST(test_ledger_of_a_mortal_endpoint_knows_its_holds),
        TEST(test_full_ledger_refuses_and_holds_nothing),
        TEST(test_try_hold_refuses_what_is_gone),
        TEST(test_death_of_a_remote_slot_is_told),
        TEST(test_waiter_is_fired_once_by_the_last_slot),
        TEST(test_one_object_given_twice_is_waited_for_twice),
        TEST(test_every_waiter_of_a_slot_is_fired),
        TEST(test_guard_keeps_a_record_until_its_submitter_is_done),
        TEST(test_ready_slot_takes_no_waiter),
        TEST(test_watcher_is_woken_and_others_sleep_on),
        TEST(test_two_watchers_are_both_woken),
        TEST(test_checksum_covers_what_a_reader_believes),
    };
    return cmocka_run_group_tests_name("store.slot", tests, NULL, NULL);
}
