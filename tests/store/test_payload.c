/* Payloads: an own arena first, then the neighbours'; freed once however often it is said; arenas rebuilt from the slots. */
#include "test_store.h"

#include <string.h>

enum { ARENA = 1 << 16, BLOCK = 1 << 12, PER_ARENA = ARENA / BLOCK };

typedef struct {
    test_node_t t;
    ep_t *eps[3];
} fixture_t;

static int setup(void **state)
{
    static fixture_t f;
    test_store_make(&f.t, (test_node_config_t){.n = 3, .first_rank = 4, .n_elsewhere = 4, .segment = {.arena_bytes = ARENA, .n_slots = 640, .n_records = 64}});
    for (int p = 0; p < 3; p++) f.eps[p] = test_node_open(&f.t, p, 3, EP_KIND_USER, false);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    fixture_t *f = *state;
    for (int p = 0; p < 3; p++) {
        assert_int_equal(test_slots_used(f->eps[p]), 0);
        assert_int_equal(test_store_used_bytes(f->eps[0], p), 0);
        assert_int_equal(arena_selfcheck(payload_arena(f->eps[0], p), 1), MRAY_OK);
    }
    for (int p = 0; p < 3; p++) ep_close(f->eps[p]);
    test_node_free(&f->t);
    return 0;
}

/* A slot of eps[p] with one block of a whole arena's fraction. */
static sid_t take_block(fixture_t *f, int p)
{
    sid_t sid = slot_alloc(f->eps[p], 1);
    int status = payload_alloc(f->eps[p], slot_at(f->eps[p], sid), BLOCK - sizeof(payload_header_t), 0, 0);
    if (status == MRAY_OK) return sid;
    assert_int_equal(status, MRAY_ERR_OBJECT_STORE_FULL);
    slot_change(f->eps[p], sid, RC_DROP_PRODUCER);
    slot_change(f->eps[p], sid, RC_DROP_CREATOR);
    return 0;
}

static void drop_block(fixture_t *f, sid_t sid)
{
    slot_change(f->eps[0], sid, RC_DROP_PRODUCER);
    slot_change(f->eps[0], sid, RC_DROP_CREATOR);
}

static void test_own_arena_first_then_the_neighbours_in_turn(void **state)
{
    fixture_t *f = *state;
    sid_t sids[3 * PER_ARENA];
    for (int i = 0; i < 3 * PER_ARENA; i++) {
        sids[i] = take_block(f, 1);
        assert_int_not_equal(sids[i], 0);
        int place = i < PER_ARENA ? 1 : i < 2 * PER_ARENA ? 2 : 0;
        const slot_where_t *where = &slot_at(f->eps[0], sids[i])->u.where;
        assert_int_equal(where->rank, 4 + place);
        /* One address for writing, another for reading, the same bytes; from every rank. */
        payload_header_t *header = payload_at(f->eps[1], where);
        assert_true((char *)header >= f->eps[1]->node->segs[place].rw);
        assert_true((char *)header + BLOCK <= f->eps[1]->node->segs[place].rw + f->eps[1]->node->segs[place].bytes);
        memset(header, i + 1, BLOCK);
        for (int p = 0; p < 3; p++) assert_memory_equal(payload_view(f->eps[p], where), header, BLOCK);
        assert_int_equal(payload_segment_off(&f->eps[1]->node->segs[place], where->off), (char *)header - f->eps[1]->node->segs[place].rw);
    }
    assert_int_equal(take_block(f, 1), 0);
    assert_int_equal(take_block(f, 2), 0);
    for (int i = 0; i < 3 * PER_ARENA; i++) { /* none overwrote another */
        const uint8_t *bytes = (const uint8_t *)payload_view(f->eps[2], &slot_at(f->eps[2], sids[i])->u.where);
        for (int k = 0; k < BLOCK; k++) assert_int_equal(bytes[k], i + 1);
    }
    drop_block(f, sids[2 * PER_ARENA]); /* room in the farthest one is found, too */
    sids[2 * PER_ARENA] = take_block(f, 1);
    assert_int_equal(slot_at(f->eps[0], sids[2 * PER_ARENA])->u.where.rank, 4);
    for (int i = 0; i < 3 * PER_ARENA; i++) drop_block(f, sids[i]);
}

static void test_freeing_again_does_nothing(void **state)
{
    fixture_t *f = *state;
    sid_t a = take_block(f, 0), b = take_block(f, 0);
    slot_t *slot = slot_at(f->eps[0], a);
    payload_free(f->eps[1], &slot_at(f->eps[1], a)->u.where); /* any rank may */
    assert_int_equal(slot->u.where.block, 0);
    payload_free(f->eps[0], &slot->u.where);
    payload_free(f->eps[2], &slot_at(f->eps[2], a)->u.where);
    assert_int_equal(test_store_used_bytes(f->eps[0], 0), BLOCK);
    slot_where_t elsewhere = {.rank = 3, .block = 5};
    payload_free(f->eps[0], &elsewhere); /* of another node: not here */
    assert_int_equal(test_store_used_bytes(f->eps[0], 0), BLOCK);
    drop_block(f, a); /* its slot may still die */
    assert_int_equal(test_store_used_bytes(f->eps[0], 0), BLOCK);
    drop_block(f, b);
}

static void test_block_sizes_hold_header_data_and_metadata(void **state)
{
    (void)state;
    assert_int_equal(payload_block_bytes(0, 0), 64);
    assert_int_equal(payload_block_bytes(1, 0), 128);
    assert_int_equal(payload_block_bytes(64, 0), 128);
    assert_int_equal(payload_block_bytes(65, 3), 64 + 128 + 3);
}

/* The dead endpoint held the lock, and what it was doing is undone: only what slots name is in use afterwards. */
static void test_recovery_rebuilds_an_arena_from_the_slots(void **state)
{
    fixture_t *f = *state;
    enum { DEAD_INDEX = 9 };
    ep_t *dead = test_node_open(&f->t, 1, DEAD_INDEX, EP_KIND_WORKER, true);
    sid_t kept[6];
    for (int i = 0; i < 6; i++) {
        kept[i] = take_block(f, i % 2); /* in arenas 0 and 1 */
        memset(payload_at(f->eps[0], &slot_at(f->eps[0], kept[i])->u.where), 'a' + i, BLOCK);
    }
    sid_t error = slot_alloc(f->eps[1], 1);
    object_stage_error(f->eps[1], error, MRAY_ERR_TASK, "its text is in arena 1");
    uint64_t used = test_store_used_bytes(f->eps[0], 1);
    arena_t *arena = payload_arena(dead, 1);
    arena_block_t lost;
    arena_lock(arena, dead->gid);
    assert_int_equal(arena_alloc_locked(arena, 3 * BLOCK, &lost), MRAY_OK); /* and it dies before its slot says so */
    payload_recover(f->eps[1], 0, dead->gid); /* it held no lock there */
    payload_recover(f->eps[1], 1, dead->gid);
    assert_int_equal(arena_holder(arena), 0);
    assert_int_equal(test_store_used_bytes(f->eps[0], 1), used);
    assert_int_equal(arena_selfcheck(arena, 1), MRAY_OK);
    payload_recover(f->eps[1], 1, dead->gid); /* repeatable */
    for (int i = 0; i < 6; i++) {
        const uint8_t *bytes = (const uint8_t *)payload_view(f->eps[2], &slot_at(f->eps[2], kept[i])->u.where);
        for (int k = 0; k < BLOCK; k++) assert_int_equal(bytes[k], 'a' + i);
        drop_block(f, kept[i]);
    }
    object_publish(f->eps[1], error);
    mray_view view;
    assert_int_equal(object_look(f->eps[0], slot_at(f->eps[0], error), &view), MRAY_ERR_TASK);
    assert_string_equal(mray_error_message(), "its text is in arena 1");
    slot_change(f->eps[1], error, RC_DROP_CREATOR);
    ep_close(dead);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_own_arena_first_then_the_neighbours_in_turn),
        TEST(test_freeing_again_does_nothing),
        cmocka_unit_test(test_block_sizes_hold_header_data_and_metadata),
        TEST(test_recovery_rebuilds_an_arena_from_the_slots),
    };
    return cmocka_run_group_tests_name("store.payload", tests, NULL, NULL);
}
