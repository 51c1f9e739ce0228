/* Objects of another node, fetched by each of the ways there are: two agents, each in a thread of its own, on the fake network. */
#include "proxies.h"

#include "acquire.h"
#include "copies.h"
#include "error.h"
#include "net_fake.h"
#include "object.h"
#include "test_agents.h"
#include "test_child.h"
#include "tsan.h"
#include "wait.h"
#include "wire.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OWNER = 1, MAX_BYTES = WIRE_MAX_PUSHED + 100000 };

static struct {
    test_agents_t agents;
    ep_t *ep, *owner;
    bool one_sided;
} f;

static uint8_t expected[MAX_BYTES];

/* What every rank of a session tells every other. */
static void tell_offsets(void)
{
    for (int r = 0; r < TEST_AGENTS; r++) {
        node_t *node = f.agents.nodes[r].of[0];
        node->slots_off_of = calloc(TEST_AGENTS, sizeof(uint64_t));
        node->arena_off_of = calloc(TEST_AGENTS, sizeof(uint64_t));
        assert_non_null(node->slots_off_of);
        assert_non_null(node->arena_off_of);
        for (int k = 0; k < TEST_AGENTS; k++) {
            const segment_t *seg = &f.agents.nodes[k].of[0]->segs[0];
            node->slots_off_of[k] = seg->hdr->slots.items_off;
            node->arena_off_of[k] = seg->hdr->arena_off;
        }
    }
}

static int setup(net_bulk_t small, net_bulk_t large)
{
    f.one_sided = small == NET_BULK_RMA || large == NET_BULK_RMA;
    test_agents_make(&f.agents, 256);
    for (int r = 0; r < TEST_AGENTS; r++) {
        const segment_t *seg = &f.agents.nodes[r].of[0]->segs[0];
        assert_int_equal(net_attach_segment(f.agents.nets[r], seg->rw, seg->bytes), MRAY_OK);
        net_fake_set_bulk(f.agents.nets[r], small, large);
    }
    tell_offsets();
    f.ep = test_agents_open(&f.agents, 0);
    f.owner = test_agents_open(&f.agents, OWNER);
    test_agents_start(&f.agents);
    for (uint32_t i = 0; i < sizeof expected; i++) expected[i] = (uint8_t)(i * 7 + i / 251);
    return 0;
}

static int setup_pull(void **state)
{
    (void)state;
    return setup(NET_BULK_PULL, NET_BULK_PULL);
}

static int setup_rma(void **state)
{
    (void)state;
    return setup(NET_BULK_RMA, NET_BULK_RMA);
}

static int setup_mixed(void **state)
{
    (void)state;
    return setup(NET_BULK_PULL, NET_BULK_RMA);
}

static int teardown(void **state)
{
    (void)state;
    test_agents_stop(&f.agents);
    ep_close(f.ep);
    ep_close(f.owner);
    test_agents_free(&f.agents);
    return 0;
}

/* A read in which the owner takes no part has no order that TSan could see. */
static void skip_if_unseen(void)
{
    if (BASE_TSAN && f.one_sided) skip();
}

static void stage(sid_t sid, uint32_t bytes)
{
    object_value_t v = {.type = {.dtype = MRAY_UINT8, .is_array = 1, .size = 1}, .ndim = 1, .dims = {bytes}, .data = expected, .bytes = bytes};
    assert_int_equal(object_stage(f.owner, sid, &v), MRAY_OK);
    object_publish(f.owner, sid);
}

static sid_t proxy_of(mray_ref ref)
{
    sid_t proxy = 0;
    if (acquire_proxy(f.ep, ref, &proxy) != MRAY_OK) fail_msg("%s", mray_error_message());
    return proxy;
}

static void check_is(sid_t proxy, uint32_t bytes)
{
    mray_view view;
    assert_int_equal(wait_slots(f.ep, &proxy, 1, 1, BASE_FOREVER), 1);
    if (object_look(f.ep, slot_at(f.ep, proxy), &view) != MRAY_OK) fail_msg("%u bytes: %s", bytes, mray_error_message());
    assert_int_equal(view.size, bytes);
    assert_int_equal(view.ndim, 1);
    assert_int_equal(view.type.dtype, MRAY_UINT8);
    if (bytes > 0) assert_memory_equal(view.data, expected, bytes);
}

static const uint32_t sizes[] = {0, 8, 24, 25, 1000, WIRE_MAX_INLINE, WIRE_MAX_INLINE + 1, 2 * WIRE_PIECE_BYTES, 65536, WIRE_MAX_PUSHED - 1000, WIRE_MAX_PUSHED + 1, MAX_BYTES};
enum { N_SIZES = sizeof sizes / sizeof sizes[0] };

static void test_objects_of_every_size_arrive(void **state)
{
    (void)state;
    skip_if_unseen();
    for (int i = 0; i < N_SIZES; i++) {
        sid_t sid = slot_alloc(f.owner, 1);
        stage(sid, sizes[i]);
        sid_t proxy = proxy_of(slot_ref(f.owner, sid));
        check_is(proxy, sizes[i]);
        slot_drop_own(f.ep, proxy);
        slot_change(f.owner, sid, RC_DROP_CREATOR);
    }
}

static void test_an_object_that_is_made_later_arrives(void **state)
{
    (void)state;
    skip_if_unseen();
    for (int i = 0; i < N_SIZES; i++) {
        sid_t sid = slot_alloc(f.owner, 1);
        sid_t proxy = proxy_of(slot_ref(f.owner, sid));
        assert_int_equal(wait_slots(f.ep, &proxy, 1, 1, base_clock_deadline(i < 3 ? 2000000 : 0)), 0);
        stage(sid, sizes[i]);
        check_is(proxy, sizes[i]);
        slot_drop_own(f.ep, proxy);
        slot_change(f.owner, sid, RC_DROP_CREATOR);
    }
}

static void test_an_error_arrives_as_itself(void **state)
{
    (void)state;
    skip_if_unseen();
    mray_view view;
    sid_t sid = slot_alloc(f.owner, 1);
    object_stage_error(f.owner, sid, MRAY_ERR_TASK, "it would not work");
    object_publish(f.owner, sid);
    sid_t proxy = proxy_of(slot_ref(f.owner, sid));
    assert_int_equal(wait_slots(f.ep, &proxy, 1, 1, BASE_FOREVER), 1);
    assert_int_equal(object_look(f.ep, slot_at(f.ep, proxy), &view), MRAY_ERR_TASK);
    assert_non_null(strstr(mray_error_message(), "it would not work"));
    slot_drop_own(f.ep, proxy);
    mray_ref gone = slot_ref(f.owner, sid);
    gone.gen += 2; /* of nobody */
    proxy = proxy_of(gone);
    assert_int_equal(wait_slots(f.ep, &proxy, 1, 1, BASE_FOREVER), 1);
    assert_int_not_equal(object_look(f.ep, slot_at(f.ep, proxy), &view), MRAY_OK);
    slot_drop_own(f.ep, proxy);
}

/* The store here has no room: the object is an error here, and pieces of it that still come are dropped; the next one arrives. */
static void test_without_room_it_is_an_error(void **state)
{
    (void)state;
    skip_if_unseen();
    mray_view view;
    arena_block_t all, one;
    arena_t *arena = payload_arena(f.ep, 0);
    assert_int_equal(arena_alloc(arena, f.ep->gid, (1 << 20) - 4096, &all), MRAY_OK);
    sid_t sid = slot_alloc(f.owner, 1);
    stage(sid, 65536);
    sid_t proxy = proxy_of(slot_ref(f.owner, sid));
    assert_int_equal(wait_slots(f.ep, &proxy, 1, 1, BASE_FOREVER), 1);
    assert_int_equal(object_look(f.ep, slot_at(f.ep, proxy), &view), MRAY_ERR_OBJECT_STORE_FULL);
    slot_drop_own(f.ep, proxy);
    assert_int_equal(arena_free(arena, f.ep->gid, all), MRAY_OK);
    assert_int_equal(arena_alloc(arena, f.ep->gid, 1, &one), MRAY_OK);
    assert_int_equal(arena_free(arena, f.ep->gid, one), MRAY_OK);
    sid_t next = slot_alloc(f.owner, 1);
    stage(next, 65536);
    proxy = proxy_of(slot_ref(f.owner, next));
    check_is(proxy, 65536);
    slot_drop_own(f.ep, proxy);
}

static void until_used(uint64_t bytes)
{
    uint64_t limit_ns = base_clock_deadline(UINT64_C(20000000000));
    while (test_store_used_bytes(f.ep, 0) > bytes)
        if (base_clock_ns() > limit_ns) fail_msg("%llu bytes stay in use", (unsigned long long)test_store_used_bytes(f.ep, 0));
}

/* The copy goes with the ref, unless somebody uses it; the owner's hold goes as well, so that the object can. */
static void test_a_released_object_leaves_nothing(void **state)
{
    (void)state;
    skip_if_unseen();
    sid_t sid = slot_alloc(f.owner, 1);
    mray_ref ref = slot_ref(f.owner, sid);
    stage(sid, 65536);
    for (int i = 0; i < 3; i++) {
        sid_t proxy = proxy_of(ref);
        check_is(proxy, 65536);
        pthread_mutex_lock(&f.agents.of[0]->lock);
        proxies_released(f.agents.of[0]->proxies, ref); /* still used */
        pthread_mutex_unlock(&f.agents.of[0]->lock);
        check_is(proxy, 65536);
        slot_drop_own(f.ep, proxy);
        assert_true(test_store_used_bytes(f.ep, 0) >= 65536);
        pthread_mutex_lock(&f.agents.of[0]->lock);
        proxies_released(f.agents.of[0]->proxies, ref);
        pthread_mutex_unlock(&f.agents.of[0]->lock);
        assert_int_equal(test_store_used_bytes(f.ep, 0), 0);
    }
    slot_change(f.owner, sid, RC_DROP_CREATOR);
    uint64_t limit_ns = base_clock_deadline(UINT64_C(20000000000));
    while (test_store_used_bytes(f.owner, 0) > 0 && base_clock_ns() < limit_ns) sched_yield();
    assert_int_equal(test_store_used_bytes(f.owner, 0), 0);
    until_used(0);
}

static void release_all(const mray_ref *refs, int n)
{
    for (int i = 0; i < n; i++) {
        pthread_mutex_lock(&f.agents.of[0]->lock);
        proxies_released(f.agents.of[0]->proxies, refs[i]);
        pthread_mutex_unlock(&f.agents.of[0]->lock);
    }
}

/* The store here has room for one: each read has the one before it go, unless somebody uses that. */
static void read_one_after_the_other(uint32_t bytes)
{
    enum { N = 4 };
    mray_ref refs[N];
    mray_view view;
    arena_block_t others;
    arena_t *arena = payload_arena(f.ep, 0);
    assert_int_equal(arena_alloc(arena, f.ep->gid, (1 << 20) - bytes * 3 / 2, &others), MRAY_OK);
    sid_t sids[N], proxy = 0;
    for (int i = 0; i < N; i++) {
        sids[i] = slot_alloc(f.owner, 1);
        refs[i] = slot_ref(f.owner, sids[i]);
        stage(sids[i], bytes);
    }
    for (int i = 0; i < N - 1; i++) {
        if (i > 0) slot_drop_own(f.ep, proxy);
        proxy = proxy_of(refs[i]);
        check_is(proxy, bytes);
    }
    sid_t last = proxy_of(refs[N - 1]);
    assert_int_equal(wait_slots(f.ep, &last, 1, 1, BASE_FOREVER), 1);
    assert_int_equal(object_look(f.ep, slot_at(f.ep, last), &view), MRAY_ERR_OBJECT_STORE_FULL);
    slot_drop_own(f.ep, last);
    check_is(proxy, bytes);
    slot_drop_own(f.ep, proxy);
    assert_int_equal(arena_free(arena, f.ep->gid, others), MRAY_OK);
    release_all(refs, N);
    for (int i = 0; i < N; i++) slot_change(f.owner, sids[i], RC_DROP_CREATOR);
    uint64_t limit_ns = base_clock_deadline(UINT64_C(20000000000));
    while (test_store_used_bytes(f.owner, 0) > 0 && base_clock_ns() < limit_ns) sched_yield();
    assert_int_equal(test_store_used_bytes(f.owner, 0), 0);
}

static void test_unused_copies_make_room(void **state)
{
    (void)state;
    skip_if_unseen();
    read_one_after_the_other(16000);                /* in the answer */
    read_one_after_the_other(WIRE_MAX_PUSHED - 1000); /* in pieces */
    read_one_after_the_other(200000);
}

/* Who wants room for something of its own, and waits for it, gets it sooner than copies go by themselves. */
static void test_unused_copies_make_room_for_others(void **state)
{
    (void)state;
    skip_if_unseen();
    enum { BYTES = 200000 };
    sid_t sid = slot_alloc(f.owner, 1), own = slot_alloc(f.ep, 1);
    arena_block_t others;
    arena_t *arena = payload_arena(f.ep, 0);
    assert_int_equal(arena_alloc(arena, f.ep->gid, (1 << 20) - BYTES * 3 / 2, &others), MRAY_OK);
    stage(sid, BYTES);
    sid_t proxy = proxy_of(slot_ref(f.owner, sid));
    check_is(proxy, BYTES);
    slot_drop_own(f.ep, proxy);
    slot_t *slot = slot_to_write(f.ep, own);
    assert_int_equal(payload_alloc(f.ep, slot, BYTES, 0, 400000000), MRAY_OK);
    slot_give_back(f.ep, own);
    assert_int_equal(arena_free(arena, f.ep->gid, others), MRAY_OK);
}

static void with_lock(void (*fn)(proxies_t *))
{
    pthread_mutex_lock(&f.agents.of[0]->lock);
    fn(f.agents.of[0]->proxies);
    pthread_mutex_unlock(&f.agents.of[0]->lock);
}

static void make_room(proxies_t *all)
{
    (void)proxies_make_room(all);
}

static sid_t find(mray_ref ref)
{
    pthread_mutex_lock(&f.agents.of[0]->lock);
    sid_t sid = copies_find(f.agents.of[0]->ep, ref);
    pthread_mutex_unlock(&f.agents.of[0]->lock);
    return sid;
}

/* Asks, and goes without it. */
static void ask_in_vain(mray_ref ref)
{
    sid_t proxy = proxy_of(ref);
    copies_note_asker(f.ep, proxy);
    slot_drop_own(f.ep, proxy);
    while (!slot_is_ready(slot_at(f.ep, proxy))) sched_yield();
}

static void test_a_copy_waits_for_who_asked_in_vain(void **state)
{
    (void)state;
    sid_t sid = slot_alloc(f.owner, 1);
    mray_ref ref = slot_ref(f.owner, sid);
    stage(sid, 65536);
    ask_in_vain(ref);
    release_all(&ref, 1); /* nobody comes back */
    assert_int_equal(test_store_used_bytes(f.ep, 0), 0);
    ask_in_vain(ref);
    with_lock(make_room);
    assert_int_equal(test_store_used_bytes(f.ep, 0), 0);
    ask_in_vain(ref);
    usleep(800000); /* others would be gone */
    sid_t proxy = find(ref);
    assert_int_not_equal(proxy, 0);
    check_is(proxy, 65536);
    copies_note_taker(f.ep, proxy); /* it has come back */
    slot_drop_own(f.ep, proxy);
    uint64_t before_ns = base_clock_ns();
    until_used(0);
    assert_true(base_clock_ns() - before_ns < UINT64_C(4000000000));
    slot_change(f.owner, sid, RC_DROP_CREATOR);
}

/* Where the table of copies is full, those that nobody uses go. */
static void test_unused_copies_make_room_in_the_table(void **state)
{
    (void)state;
    enum { MAX = 4096 };
    ep_t *ep = f.agents.of[0]->ep;
    sid_t sids[2] = {slot_alloc(f.owner, 1), slot_alloc(f.owner, 1)}, other = slot_alloc(f.ep, 1);
    for (int i = 0; i < 2; i++) stage(sids[i], 8);
    pthread_mutex_lock(&f.agents.of[0]->lock); /* so that nothing goes by its age */
    sid_t proxy = proxies_get(f.agents.of[0]->proxies, slot_ref(f.owner, sids[0]));
    uint32_t n = 0;
    while (n < MAX && copies_add(ep, (mray_ref){.rank = OWNER, .slot = 1000 + n, .gen = 1, .epoch = 1}, other) != 0) n++;
    assert_true(n < MAX);
    assert_int_equal(proxies_get(f.agents.of[0]->proxies, slot_ref(f.owner, sids[1])), 0);
    pthread_mutex_unlock(&f.agents.of[0]->lock);
    check_is(proxy, 8);
    pthread_mutex_lock(&f.agents.of[0]->lock);
    slot_drop_own(f.ep, proxy);
    proxy = proxies_get(f.agents.of[0]->proxies, slot_ref(f.owner, sids[1]));
    pthread_mutex_unlock(&f.agents.of[0]->lock);
    assert_int_not_equal(proxy, 0);
    check_is(proxy, 8);
    slot_drop_own(f.ep, proxy);
    for (int i = 0; i < 2; i++) slot_change(f.owner, sids[i], RC_DROP_CREATOR);
}

#define PULL(name) cmocka_unit_test_setup_teardown(name, setup_pull, teardown)
#define RMA(name) {#name " by rma", name, setup_rma, teardown, NULL}
#define MIXED(name) {#name " by pull and rma", name, setup_mixed, teardown, NULL}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PULL(test_objects_of_every_size_arrive),         RMA(test_objects_of_every_size_arrive),         MIXED(test_objects_of_every_size_arrive),
        PULL(test_an_object_that_is_made_later_arrives), RMA(test_an_object_that_is_made_later_arrives), MIXED(test_an_object_that_is_made_later_arrives),
        PULL(test_an_error_arrives_as_itself),           RMA(test_an_error_arrives_as_itself),
        PULL(test_without_room_it_is_an_error),          RMA(test_without_room_it_is_an_error),
        PULL(test_a_released_object_leaves_nothing),     RMA(test_a_released_object_leaves_nothing),
        PULL(test_unused_copies_make_room),              RMA(test_unused_copies_make_room),
        PULL(test_unused_copies_make_room_for_others),   PULL(test_unused_copies_make_room_in_the_table),
        PULL(test_a_copy_waits_for_who_asked_in_vain),
    };
    return cmocka_run_group_tests_name("exec.proxies", tests, NULL, NULL);
}
