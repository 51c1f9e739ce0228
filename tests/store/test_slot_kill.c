/* Slots under kill -9: a mortal endpoint is killed after every few instructions of what it does with slots, and at random moments while
 * others change the same counts. Its agent follows the rules of slot.h, arena.h and pool.h; afterwards every hold is accounted for, every
 * waiter is told once, and no slot or byte is lost. */
#include "test_child.h"
#include "test_store.h"

#include "rng.h"

#include <stdlib.h>
#include <string.h>

enum { DEAD = 7, N_WAITERS = 3, N_WORKERS = 3, N_SHARED = 4, N_ROUNDS = 40, STEPS = 30000 };

typedef struct {
    test_node_t t;
    ep_t *ep;   /* the agent: immortal, and rank of the dead */
    ep_t *dead; /* what the child uses */
    sid_t sids[N_SHARED];
    rid_t rids[N_WAITERS];
    uint32_t used_before;
    uint64_t seed;
} fixture_t;

static void on_drop_remote(ep_t *ep, const slot_where_t *where)
{
    (void)ep, (void)where;
    abort();
}

/* As route.c does: whoever makes it QUEUED has handed it on. Counted in shared memory. */
static void on_ready(ep_t *ep, rid_t rid)
{
    record_t *rec = record_at(ep, rid);
    uint64_t word = atomic_load(&rec->word);
    if (record_word_state(word) != RECORD_WAITING || atomic_load(&rec->pending) != 0) return;
    atomic_compare_exchange_strong(&rec->word, &word, record_word(RECORD_QUEUED, 1, record_word_gen(word)));
}

static void make(fixture_t *f)
{
    static const store_upcalls_t upcalls = {.ready_fn = on_ready, .drop_remote_fn = on_drop_remote};
    memset(f, 0, sizeof *f);
    test_store_make(&f->t, (test_node_config_t){.n = 1, .segment = {.arena_bytes = 1 << 16, .n_slots = 256, .n_records = 256}});
    f->ep = test_node_open(&f->t, 0, SEG_EP_AGENT, EP_KIND_AGENT, false);
    store_set_upcalls(&upcalls);
}

static void unmake(fixture_t *f)
{
    assert_int_equal(test_slots_used(f->ep), 0);
    assert_int_equal(test_records_used(f->ep), 0);
    assert_int_equal(test_store_used_bytes(f->ep, 0), 0);
    ep_close(f->ep);
    test_node_free(&f->t);
}

/* ---- the agent's part ---- */

/* The change in flight took place if the word still carries it, or if somebody said so who overwrote it. */
static void finish_hold_change(ep_t *ep, ep_shared_t *sh, uint16_t gid)
{
    ep_journal_t *j = &sh->journal;
    sid_t sid = atomic_load(&j->rc_slot);
    if (sid == 0) return;
    uint64_t rc = atomic_load(&slot_at(ep, sid)->rc);
    uint32_t seq = atomic_load(&j->rc_seq), op = atomic_load(&j->rc_op), bit = atomic_load(&j->rc_bit);
    bool last_is_its = (uint16_t)(rc >> 32) == gid && (uint32_t)(rc >> 48) == seq;
    if (last_is_its || atomic_load(&j->rc_ack) == seq) {
        rid_t rid = atomic_load(&j->rc_rid);
        if (rid != 0)
            slot_note_held(record_at(ep, rid), bit, op == RC_HOLD);
        else if ((bit & EP_LEDGER) != 0)
            atomic_store(&sh->ledger[bit & ~EP_LEDGER], op == RC_HOLD ? sid : 0);
        if (last_is_its && (rc & SLOT_RC_DYING) != 0) slot_destroy(ep, sid);
    }
    /* Free by its word, and perhaps not yet hinted in a chunk that is another's. Said twice, it does no harm. */
    if (slot_rc_is_free(rc)) pool_free(&ep->slots, ep->seg, &ep->seg->hdr->slots, sid & 0xffffff);
    atomic_store(&j->rc_slot, 0);
}

static void finish_firing(ep_t *ep, ep_shared_t *sh)
{
    if (atomic_load(&sh->journal.fire_slot) == 0) return;
    slot_fire_again(ep, &sh->journal);
    atomic_store(&sh->journal.fire_slot, 0);
}

/* Locks, then the change in flight, then the waiters. */
static void finish_steps(fixture_t *f, uint16_t gid)
{
    ep_shared_t *sh = ep_shared_at(f->ep->node, gid);
    payload_recover(f->ep, 0, gid);
    if (arena_selfcheck(payload_arena(f->ep, 0), f->ep->gid) != MRAY_OK) fail_msg("%s", mray_error_message());
    ep_say_for(f->ep->node, sh);
    finish_hold_change(f->ep, sh, gid);
    finish_firing(f->ep, sh);
}

/* What it held for itself, and its chunks. */
static void drop_own_holds(fixture_t *f, uint16_t gid)
{
    ep_shared_t *sh = ep_shared_at(f->ep->node, gid);
    for (unsigned e = 0; e < EP_LEDGER_ENTRIES; e++) {
        sid_t sid = atomic_exchange(&sh->ledger[e], 0);
        if (sid != 0) slot_change(f->ep, sid, RC_DROP);
    }
    for (sid_t s = 1; s < pool_high_water(&f->ep->seg->hdr->slots); s++) {
        slot_t *slot = slot_at(f->ep, s);
        uint64_t rc = atomic_load(&slot->rc);
        if (slot_rc_is_free(rc) || (rc & SLOT_RC_CREATOR) == 0 || slot->creator_index != gid) continue;
        if ((rc & SLOT_RC_PRODUCER) != 0) {
            if (!slot_is_ready(slot)) {
                object_unstage(f->ep, s);
                object_stage_error(f->ep, s, MRAY_ERR_OBJECT_LOST, "lost");
            }
            object_publish(f->ep, s);
        }
        slot_change(f->ep, s, RC_DROP_CREATOR);
    }
    pool_adopt(f->ep->seg, &f->ep->seg->hdr->slots, ep_slot_is_free_fn(), gid);
    pool_adopt(f->ep->seg, &f->ep->seg->hdr->records, ep_record_is_free_fn(), gid);
    ep_mask_clear(f->ep->seg->hdr->open_mask, gid);
    ep_mask_clear(f->ep->seg->hdr->awake_mask, gid);
    atomic_store(&sh->state, EP_UNUSED);
}

static unsigned in_ledger(const fixture_t *f, uint16_t gid, sid_t sid)
{
    unsigned n = 0;
    for (unsigned e = 0; e < EP_LEDGER_ENTRIES; e++) n += atomic_load(&ep_shared_at(f->ep->node, gid)->ledger[e]) == sid;
    return n;
}

static uint32_t count_of(const fixture_t *f, sid_t sid)
{
    return (uint32_t)(atomic_load(&slot_at(f->ep, sid)->rc) & SLOT_RC_COUNT);
}

/* A new endpoint can have every slot that is not in use. */
static void check_no_slot_is_lost(fixture_t *f)
{
    uint32_t used = test_slots_used(f->ep), n = 0;
    sid_t *all = calloc(256, sizeof *all);
    ep_t *fresh = test_node_open(&f->t, 0, 0, EP_KIND_USER, false);
    while ((all[n] = slot_alloc(fresh, 1)) != 0) n++;
    for (sid_t s; (s = slot_alloc(f->ep, 1)) != 0; n++) all[n] = s; /* the agent's own chunk */
    if (used + n != 255) fail_msg("%u slots are in use and %u can be had, of 255", used, n);
    for (uint32_t i = 0; i < n; i++) {
        slot_change(fresh, all[i], RC_DROP_PRODUCER);
        slot_change(fresh, all[i], RC_DROP_CREATOR);
    }
    ep_close(fresh);
    free(all);
}

static void open_dead(fixture_t *f)
{
    f->dead = test_node_open(&f->t, 0, DEAD, EP_KIND_WORKER, true);
}

/* The endpoint's private half died with the child; the copy in this process goes, too. */
static void forget_dead(fixture_t *f)
{
    free(f->dead->slots.stack);
    free(f->dead->slots.mine);
    free(f->dead->records.stack);
    free(f->dead->records.mine);
    free(f->dead);
    f->dead = NULL;
}

/* ---- holds ---- */

static void hold_and_drop(void *arg)
{
    fixture_t *f = arg;
    ep_t *ep = f->dead;
    if (!slot_hold_own(ep, f->sids[0]) || !slot_hold_own(ep, f->sids[1])) _exit(1);
    slot_hold_for(ep, f->sids[2], f->rids[0], 3);
    if (!slot_drop_own(ep, f->sids[0])) _exit(1);
    slot_drop_for(ep, f->sids[2], f->rids[0], 3);
    slot_hold_for(ep, f->sids[2], f->rids[0], 1);
    if (!slot_drop_own(ep, f->sids[1])) _exit(1); /* the last hold: the slot and its payload die */
    slot_drop_for(ep, f->sids[2], f->rids[0], 1);
}

static void reset_holds(void *arg)
{
    fixture_t *f = arg;
    static const uint8_t data[200];
    record_t *rec;
    open_dead(f);
    for (int i = 0; i < 3; i++) {
        f->sids[i] = slot_alloc(f->ep, 1);
        object_value_t v = {.type = {.dtype = MRAY_BYTES, .size = 1}, .data = data, .bytes = sizeof data};
        assert_int_equal(object_stage(f->ep, f->sids[i], &v), MRAY_OK);
        object_publish(f->ep, f->sids[i]);
    }
    f->rids[0] = record_alloc(f->ep, 4, 0, &rec);
    /* Slot 1 has no other hold than the one that the child takes and drops. */
    atomic_store(&slot_at(f->ep, f->sids[1])->rc, SLOT_RC_USED);
}

static void check_holds(void *arg)
{
    fixture_t *f = arg;
    record_t *rec = record_at(f->ep, f->rids[0]);
    forget_dead(f);
    finish_steps(f, DEAD);
    uint64_t rc1 = atomic_load(&slot_at(f->ep, f->sids[1])->rc);
    assert_int_equal(count_of(f, f->sids[0]), in_ledger(f, DEAD, f->sids[0]));
    assert_int_equal(count_of(f, f->sids[2]), __builtin_popcount(rec->held));
    assert_int_equal(rc1 & SLOT_RC_DYING, 0);
    if (!slot_rc_is_free(rc1)) assert_int_equal(rc1 & SLOT_RC_COUNT, in_ledger(f, DEAD, f->sids[1]));
    for (unsigned bit = 0; bit < 4; bit++)
        if ((rec->held >> bit & 1) != 0) slot_drop_for(f->ep, f->sids[2], f->rids[0], bit);
    drop_own_holds(f, DEAD);
    if (atomic_load(&slot_at(f->ep, f->sids[1])->rc) == SLOT_RC_USED) slot_destroy(f->ep, f->sids[1]); /* had not taken its hold */
    assert_int_equal(test_slots_used(f->ep), 2);
    assert_int_equal(test_store_used_bytes(f->ep, 0), 2 * ((payload_block_bytes(200, 0) + 63) / 64 * 64));
    check_no_slot_is_lost(f);
    slot_change(f->ep, f->sids[0], RC_DROP_CREATOR);
    slot_change(f->ep, f->sids[2], RC_DROP_CREATOR);
    record_free(f->ep, f->rids[0], rec);
}

static void test_holds_are_exact_after_death_at_any_instruction(void **state)
{
    (void)state;
    fixture_t f;
    make(&f);
    test_child_kill_everywhere(hold_and_drop, &f, reset_holds, check_holds, STEPS);
    unmake(&f);
}

/* ---- making objects ---- */

static void make_objects(void *arg)
{
    fixture_t *f = arg;
    static const uint8_t data[300];
    object_value_t v = {.type = {.dtype = MRAY_BYTES, .size = 1}, .data = data, .bytes = sizeof data};
    sid_t a = slot_alloc(f->dead, 1), b = slot_alloc(f->dead, 1);
    if (object_stage(f->dead, a, &v) != MRAY_OK) _exit(1);
    object_publish(f->dead, a);
    if (object_stage(f->dead, b, &v) != MRAY_OK) _exit(1);
    object_unstage(f->dead, b);
    object_stage_error(f->dead, b, MRAY_ERR_TASK, "an error with a text");
    object_publish(f->dead, b);
    if (slot_release_ref(f->dead, a) != MRAY_OK) _exit(1);
}

static void reset_objects(void *arg)
{
    fixture_t *f = arg;
    open_dead(f);
}

static void check_objects(void *arg)
{
    fixture_t *f = arg;
    forget_dead(f);
    finish_steps(f, DEAD);
    drop_own_holds(f, DEAD);
    assert_int_equal(test_slots_used(f->ep), 0);
    assert_int_equal(test_store_used_bytes(f->ep, 0), 0);
    check_no_slot_is_lost(f);
}

static void test_no_slot_or_byte_is_lost_after_death_at_any_instruction(void **state)
{
    (void)state;
    fixture_t f;
    make(&f);
    test_child_kill_everywhere(make_objects, &f, reset_objects, check_objects, STEPS);
    unmake(&f);
}

/* ---- marks ---- */

/* As if the endpoint had died behind the last change of slot sid: its journal still has it. */
static ep_journal_t *die_behind(ep_t *ep, sid_t sid)
{
    ep_journal_t *j = &ep->sh->journal;
    atomic_store(&j->rc_slot, sid);
    return j;
}

static void test_a_mortal_writer_leaves_its_mark_and_is_acknowledged(void **state)
{
    (void)state;
    fixture_t f;
    make(&f);
    open_dead(&f);
    ep_t *second = test_node_open(&f.t, 0, DEAD + 1, EP_KIND_WORKER, true);
    sid_t sid = slot_alloc(f.ep, 1);
    slot_change(f.dead, sid, RC_HOLD);
    uint64_t rc = atomic_load(&slot_at(f.ep, sid)->rc);
    assert_int_equal((uint16_t)(rc >> 32), f.dead->gid);
    assert_int_equal(f.dead->sh->journal.rc_slot, 0); /* done with */
    ep_journal_t *j = die_behind(f.dead, sid);
    assert_int_equal(rc >> 48, j->rc_seq);
    slot_change(f.ep, sid, RC_HOLD);
    slot_change(f.ep, sid, RC_DROP);
    assert_int_equal(atomic_load(&slot_at(f.ep, sid)->rc), rc); /* an immortal one leaves it, */
    assert_int_not_equal(j->rc_ack, j->rc_seq);
    slot_change(second, sid, RC_HOLD); /* a mortal one puts its own there, and says that the other's took place */
    assert_int_equal((uint16_t)(atomic_load(&slot_at(f.ep, sid)->rc) >> 32), second->gid);
    assert_int_equal(j->rc_ack, j->rc_seq);
    atomic_store(&j->rc_ack, UINT32_MAX); /* as if it had died before the next change: nobody says so */
    atomic_store(&j->rc_seq, j->rc_seq + 1);
    slot_change(second, sid, RC_DROP);
    assert_int_equal(j->rc_ack, UINT32_MAX);
    atomic_store(&j->rc_slot, 0);
    slot_change(f.ep, sid, RC_DROP_PRODUCER);
    slot_change(f.ep, sid, RC_DROP_CREATOR);
    j = die_behind(second, sid);
    slot_change(f.ep, sid, RC_DROP); /* the last hold: whoever drops it takes the mark away */
    assert_int_equal(j->rc_ack, j->rc_seq);
    atomic_store(&j->rc_slot, 0);
    ep_close(second);
    ep_close(f.dead);
    unmake(&f);
}

/* ---- telling waiters ---- */

static void complete_slot(void *arg)
{
    fixture_t *f = arg;
    slot_complete(f->dead, f->sids[0]);
    slot_change(f->dead, f->sids[0], RC_DROP_PRODUCER);
}

/* Three records wait for slot 0; the middle one for slot 1 as well. */
static void reset_waiters(void *arg)
{
    fixture_t *f = arg;
    double x = 1;
    open_dead(f);
    for (int i = 0; i < 2; i++) f->sids[i] = slot_alloc(f->ep, 1);
    assert_int_equal(object_stage(f->ep, f->sids[0], &(object_value_t){.type = {.dtype = MRAY_FLOAT64, .size = 8}, .data = &x, .bytes = 8}), MRAY_OK);
    for (int i = 0; i < N_WAITERS; i++) {
        record_t *rec;
        f->rids[i] = record_alloc(f->ep, 2, 0, &rec);
        atomic_store(&rec->pending, i == 1 ? 3 : 1);
        atomic_store(&rec->word, record_word(RECORD_WAITING, f->ep->gid, record_word_gen(atomic_load(&rec->word))));
        for (unsigned k = 0; k < (i == 1 ? 2 : 1); k++) {
            record_ref(f->ep, rec, k)->ref = slot_ref(f->ep, f->sids[k]);
            assert_true(slot_add_waiter(f->ep, f->sids[k], f->rids[i], k));
        }
    }
}

/* Records that were told have run since, and wait for something else in another life: a link of the old list must not be followed
 * through them. */
static void use_told_records_again(fixture_t *f, bool *told)
{
    for (int i = 0; i < N_WAITERS; i++) {
        record_t *rec = record_at(f->ep, f->rids[i]);
        told[i] = record_word_state(atomic_load(&rec->word)) == RECORD_QUEUED;
        if (!told[i]) continue;
        record_free(f->ep, f->rids[i], rec);
        assert_int_equal(record_alloc(f->ep, 2, 0, &rec), f->rids[i]);
        atomic_store(&rec->pending, RECORD_GUARD | 3);
        record_ref(f->ep, rec, 0)->next_waiter = record_ref(f->ep, rec, 1)->next_waiter = 0;
    }
}

static void check_waiters(void *arg)
{
    fixture_t *f = arg;
    slot_t *slot = slot_at(f->ep, f->sids[0]);
    bool told[N_WAITERS];
    forget_dead(f);
    use_told_records_again(f, told);
    finish_steps(f, DEAD);
    /* The record it was running says COMMITTED: its results are published to the end (run.c). */
    if ((atomic_load(&slot->rc) & SLOT_RC_PRODUCER) != 0) {
        slot_complete_again(f->ep, f->sids[0]);
        slot_change(f->ep, f->sids[0], RC_DROP_PRODUCER);
    }
    assert_true(slot_is_ready(slot));
    for (int i = 0; i < N_WAITERS; i++) {
        record_t *rec = record_at(f->ep, f->rids[i]);
        assert_int_equal(rec->pending, told[i] ? RECORD_GUARD | 3 : i == 1 ? 2u : 0u);
        assert_int_equal(record_word_state(atomic_load(&rec->word)), told[i] ? RECORD_BUILDING : i == 1 ? RECORD_WAITING : RECORD_QUEUED);
    }
    slot_complete(f->ep, f->sids[1]);
    slot_change(f->ep, f->sids[1], RC_DROP_PRODUCER);
    assert_int_equal(record_word_state(atomic_load(&record_at(f->ep, f->rids[1])->word)), RECORD_QUEUED);
    drop_own_holds(f, DEAD);
    for (int i = 0; i < N_WAITERS; i++) record_free(f->ep, f->rids[i], record_at(f->ep, f->rids[i]));
    for (int i = 0; i < 2; i++) slot_change(f->ep, f->sids[i], RC_DROP_CREATOR);
    assert_int_equal(test_slots_used(f->ep), 0);
}

static void test_waiters_are_told_once_after_death_at_any_instruction(void **state)
{
    (void)state;
    fixture_t f;
    make(&f);
    test_child_kill_everywhere(complete_slot, &f, reset_waiters, check_waiters, STEPS);
    unmake(&f);
}

/* ---- several at once, killed at random ---- */

typedef struct {
    fixture_t *f;
    ep_t *ep;
} worker_t;

static void hold_at_random(void *arg)
{
    worker_t *w = arg;
    base_rng_t rng;
    unsigned held[N_SHARED] = {0};
    base_rng_seed(&rng, w->f->seed + w->ep->gid);
    for (;;) {
        unsigned i = (unsigned)base_rng_below(&rng, N_SHARED);
        if (held[i] < 5 && (held[i] == 0 || base_rng_below(&rng, 2) == 0)) {
            if (!slot_hold_own(w->ep, w->f->sids[i])) _exit(1);
            held[i]++;
        } else {
            if (!slot_drop_own(w->ep, w->f->sids[i])) _exit(2);
            held[i]--;
        }
    }
}

static void test_counts_shared_by_the_killed_and_the_living_stay_exact(void **state)
{
    (void)state;
    fixture_t f;
    base_rng_t rng;
    make(&f);
    f.seed = test_seed();
    base_rng_seed(&rng, f.seed);
    for (int i = 0; i < N_SHARED; i++) f.sids[i] = slot_alloc(f.ep, 1);
    for (int round = 0; round < N_ROUNDS; round++) {
        worker_t w[N_WORKERS];
        pid_t pids[N_WORKERS];
        for (int i = 0; i < N_WORKERS; i++) {
            w[i] = (worker_t){.f = &f, .ep = test_node_open(&f.t, 0, DEAD + (unsigned)i, EP_KIND_WORKER, true)};
            w[i].ep->rc_seq = (uint32_t)round * 1600 & 0xffff; /* numbers go on: a new process does not repeat those of the last */
            pids[i] = test_child_start(hold_at_random, &w[i]);
        }
        for (int i = 0; i < N_WORKERS; i++) { /* the others go on while one is buried, and so does this one, which does not die */
            for (unsigned n = (unsigned)base_rng_below(&rng, 20000); n > 0; n--) {
                sid_t sid = f.sids[base_rng_below(&rng, N_SHARED)];
                slot_change(f.ep, sid, RC_HOLD);
                slot_change(f.ep, sid, RC_DROP);
            }
            test_child_kill(pids[i]);
            f.dead = w[i].ep;
            forget_dead(&f);
            finish_steps(&f, (uint16_t)(DEAD + i));
        }
        for (int s = 0; s < N_SHARED; s++) {
            uint32_t sum = 0;
            for (uint16_t i = 0; i < N_WORKERS; i++) sum += in_ledger(&f, (uint16_t)(DEAD + i), f.sids[s]);
            if (count_of(&f, f.sids[s]) != sum) fail_msg("round %d: slot %d counts %u holds, the ledgers %u", round, s, count_of(&f, f.sids[s]), sum);
        }
        for (uint16_t i = 0; i < N_WORKERS; i++) drop_own_holds(&f, (uint16_t)(DEAD + i));
        f.seed++;
    }
    for (int i = 0; i < N_SHARED; i++) {
        assert_int_equal(count_of(&f, f.sids[i]), 0);
        slot_change(f.ep, f.sids[i], RC_DROP_PRODUCER);
        slot_change(f.ep, f.sids[i], RC_DROP_CREATOR);
    }
    unmake(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_holds_are_exact_after_death_at_any_instruction),
        cmocka_unit_test(test_no_slot_or_byte_is_lost_after_death_at_any_instruction),
        cmocka_unit_test(test_a_mortal_writer_leaves_its_mark_and_is_acknowledged),
        cmocka_unit_test(test_waiters_are_told_once_after_death_at_any_instruction),
        cmocka_unit_test(test_counts_shared_by_the_killed_and_the_living_stay_exact),
    };
    return cmocka_run_group_tests_name("store.slot_kill", tests, NULL, NULL);
}
