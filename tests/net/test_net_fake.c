/* test_net_fake.c: the in-process network keeps net.h's promises: order, limits, bulk reads, collectives; and its faults. */
#include "error.h"
#include "net_fake.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const int two_nodes[] = {0, 0, 1, 1};

typedef struct {
    int n, src[64];
    net_item_t items[64];
    uint64_t first_word[64];
} seen_t;

static void remember(void *ctx, int src, const net_item_t *item, const void *data)
{
    seen_t *seen = ctx;
    assert_true(seen->n < 64);
    assert_int_equal((uintptr_t)data % 8, 0);
    seen->src[seen->n] = src;
    seen->items[seen->n] = *item;
    if (item->bytes >= 8) memcpy(&seen->first_word[seen->n], data, 8);
    seen->n++;
}

static void open_four(net_t *nets[4])
{
    assert_int_equal(net_open_fake(4, two_nodes, nets), MRAY_OK);
}

static void close_all(net_t **nets, int n)
{
    for (int r = 0; r < n; r++) net_close(nets[r]);
}

static void test_info_tells_who_is_where(void **state)
{
    (void)state;
    static const int odd_names[] = {7, 3, 7, 9, 3}; /* any numbers name nodes */
    net_t *nets[5];
    assert_int_equal(net_open_fake(5, odd_names, nets), MRAY_OK);
    static const int nodes[] = {0, 1, 0, 2, 1};
    for (int r = 0; r < 5; r++) {
        const net_info_t *info = net_info(nets[r]);
        assert_int_equal(info->rank, r);
        assert_int_equal(info->node, nodes[r]);
        assert_int_equal(info->n_nodes, 3);
        assert_true(info->multi_node);
        assert_memory_equal(info->node_of_rank, nodes, sizeof nodes);
        assert_int_equal(info->node_ranks[info->node_rank], r);
    }
    assert_int_equal(net_info(nets[4])->n_node_ranks, 2);
    assert_int_equal(net_info(nets[4])->node_rank, 1);
    assert_int_equal(net_info(nets[4])->node_ranks[0], 1);
    close_all(nets, 5);
}

static void test_items_arrive_in_order_after_polls(void **state)
{
    (void)state;
    net_t *nets[4];
    open_four(nets);
    seen_t seen = {0};
    net_register_handler(nets[2], 5, remember, &seen);
    for (uint64_t i = 0; i < 10; i++) assert_int_equal(net_send(nets[0], 2, 5, (uint16_t)i, &i, sizeof i), MRAY_OK);
    uint64_t *reserved = net_send_reserve(nets[0], 2, 5, 10, 16);
    assert_non_null(reserved);
    assert_int_equal((uintptr_t)reserved % 8, 0);
    reserved[0] = 10;
    assert_true(net_busy(nets[0]));
    net_poll(nets[2]);
    assert_int_equal(seen.n, 0); /* the sender has not polled */
    net_poll(nets[0]);
    assert_false(net_busy(nets[0]));
    assert_int_equal(net_poll(nets[2]), 11);
    for (int i = 0; i < 11; i++) {
        assert_int_equal(seen.src[i], 0);
        assert_int_equal(seen.items[i].flags, i);
        assert_int_equal(seen.first_word[i], i);
    }
    assert_int_equal(seen.items[10].bytes, 16);
    close_all(nets, 4);
}

static void test_bad_sends_get_a_sentence(void **state)
{
    (void)state;
    net_t *nets[4];
    open_four(nets);
    char data[8] = {0};
    assert_int_equal(net_send(nets[0], 4, 1, 0, data, 8), MRAY_ERR_INVALID_ARGUMENT);
    assert_int_equal(net_send(nets[0], -1, 1, 0, data, 8), MRAY_ERR_INVALID_ARGUMENT);
    assert_int_equal(net_send(nets[0], 0, 1, 0, data, 8), MRAY_ERR_INVALID_ARGUMENT);
    assert_int_equal(net_send(nets[0], 1, NET_MAX_TYPES, 0, data, 8), MRAY_ERR_INVALID_ARGUMENT);
    assert_null(net_send_reserve(nets[0], 1, 1, 0, NET_MAX_ITEM_BYTES + 1));
    assert_true(strlen(mray_error_message()) > 0);
    close_all(nets, 4);

    net_t *pair[2];
    assert_int_equal(net_open_fake(2, NULL, pair), MRAY_OK);
    assert_int_equal(net_send(pair[0], 1, 1, 0, data, 8), MRAY_ERR_NOT_SUPPORTED);
    close_all(pair, 2);
}

static void count(void *ctx, int src, const net_item_t *item, const void *data)
{
    (void)src, (void)item, (void)data;
    ++*(int *)ctx;
}

static void test_limit_stops_the_sender_until_items_are_taken(void **state)
{
    (void)state;
    net_t *nets[4];
    open_four(nets);
    int n_seen = 0, n_sent = 0;
    net_register_handler(nets[3], 1, count, &n_seen);
    static char data[NET_MAX_ITEM_BYTES];
    int status;
    while ((status = net_send(nets[1], 3, 1, 0, data, sizeof data)) == MRAY_OK) {
        n_sent++;
        assert_true(n_sent <= (64 << 20) / NET_MAX_ITEM_BYTES);
    }
    assert_int_equal(status, MRAY_ERR_LIMIT);
    assert_true(n_sent > (63 << 20) / NET_MAX_ITEM_BYTES);
    assert_int_equal(net_send(nets[1], 2, 1, 0, data, 8), MRAY_OK); /* others are not concerned */
    net_poll(nets[1]);
    net_poll(nets[3]);
    assert_int_equal(n_seen, n_sent);
    assert_int_equal(net_send(nets[1], 3, 1, 0, data, sizeof data), MRAY_OK);
    close_all(nets, 4);
}

typedef struct {
    int n, status;
} ended_t;

static void ended(net_get_t *get, int status)
{
    ended_t *e = get->user;
    e->n++;
    e->status = status;
}

static void test_bulk_read_copies_from_the_segment(void **state)
{
    (void)state;
    net_t *nets[4];
    open_four(nets);
    unsigned char segment[1000], dst[1000] = {0};
    for (int i = 0; i < 1000; i++) segment[i] = (unsigned char)(i * 7);
    ended_t e = {0};
    net_get_t get = {.src_rank = 2, .src_off = 3, .dst = dst, .bytes = 997, .done_fn = ended, .user = &e};

    net_get_start(nets[0], &get);
    net_poll(nets[0]);
    assert_int_equal(e.status, MRAY_ERR_NOT_SUPPORTED); /* nothing attached yet */
    char mine[8];
    assert_int_equal(net_attach_segment(nets[0], mine, sizeof mine), MRAY_OK);
    net_get_start(nets[0], &get);
    net_poll(nets[0]);
    assert_int_equal(e.n, 1);
    assert_true(net_busy(nets[0])); /* waits for rank 2 to attach */
    assert_int_equal(net_attach_segment(nets[2], segment, sizeof segment), MRAY_OK);
    assert_int_equal(net_info(nets[2])->bulk, NET_BULK_RMA);
    net_poll(nets[0]);
    assert_int_equal(e.n, 2);
    assert_int_equal(e.status, MRAY_OK);
    assert_memory_equal(dst, segment + 3, 997);

    get.bytes = 998;
    net_get_start(nets[0], &get);
    net_poll(nets[0]);
    assert_int_equal(e.status, MRAY_ERR_INVALID_ARGUMENT);
    get.bytes = 0;
    net_get_start(nets[0], &get);
    net_poll(nets[0]);
    assert_int_equal(e.n, 4);
    assert_int_equal(e.status, MRAY_OK);
    get.src_rank = 0;
    net_get_start(nets[0], &get);
    net_poll(nets[0]);
    assert_int_equal(e.status, MRAY_ERR_INVALID_ARGUMENT);
    close_all(nets, 4);
}

static void test_chunked_read_can_be_torn(void **state)
{
    (void)state;
    net_t *nets[4];
    open_four(nets);
    uint64_t segment[4] = {1, 1, 1, 1}, dst[4];
    net_attach_segment(nets[0], segment, sizeof segment);
    net_attach_segment(nets[2], segment, sizeof segment);
    net_fake_set_get_chunk(nets[0], 16);
    ended_t e = {0};
    net_get_t get = {.src_rank = 2, .dst = dst, .bytes = sizeof dst, .done_fn = ended, .user = &e};
    net_get_start(nets[0], &get);
    net_poll(nets[0]);
    assert_int_equal(e.n, 0);
    for (int i = 0; i < 4; i++) segment[i] = 2;
    net_poll(nets[0]);
    assert_int_equal(e.n, 1);
    assert_int_equal(dst[1], 1);
    assert_int_equal(dst[2], 2);
    close_all(nets, 4);
}

static void test_delay_holds_items_and_keeps_order(void **state)
{
    (void)state;
    net_t *nets[4];
    open_four(nets);
    seen_t seen = {0};
    net_register_handler(nets[2], 1, remember, &seen);
    uint64_t word = 1;
    net_fake_set_delay(nets[0], 3);
    net_send(nets[0], 2, 1, 0, &word, 8);
    net_poll(nets[0]);
    net_fake_set_delay(nets[0], 0);
    word = 2;
    net_send(nets[0], 2, 1, 0, &word, 8);
    word = 3;
    net_send(nets[1], 2, 1, 0, &word, 8);
    net_poll(nets[0]);
    net_poll(nets[1]);
    net_poll(nets[2]);
    assert_int_equal(seen.n, 1); /* of rank 1; rank 0's second item waits behind its first */
    assert_int_equal(seen.first_word[0], 3);
    for (int i = 0; i < 3; i++) net_poll(nets[2]);
    assert_int_equal(seen.n, 3);
    assert_int_equal(seen.first_word[1], 1);
    assert_int_equal(seen.first_word[2], 2);
    close_all(nets, 4);
}

static void test_dead_rank_is_silent(void **state)
{
    (void)state;
    net_t *nets[4];
    open_four(nets);
    seen_t seen = {0};
    uint64_t segment[4] = {0}, word = 1;
    net_register_handler(nets[0], 1, remember, &seen);
    net_attach_segment(nets[0], segment, sizeof segment);
    net_attach_segment(nets[2], segment, sizeof segment);
    net_send(nets[2], 0, 1, 0, &word, 8);
    net_fake_kill(nets[2]);
    net_poll(nets[2]);
    ended_t e = {0};
    net_get_t get = {.src_rank = 2, .dst = &word, .bytes = 8, .done_fn = ended, .user = &e};
    net_get_start(nets[0], &get);
    net_send(nets[0], 2, 1, 0, &word, 8);
    for (int i = 0; i < 10; i++) net_poll(nets[0]);
    assert_int_equal(seen.n, 0);
    assert_int_equal(e.n, 0);
    assert_true(net_busy(nets[0]));
    close_all(nets, 4);
    assert_int_equal(e.n, 1); /* closing ends what is open */
}

static void test_close_in_any_order_with_items_under_way(void **state)
{
    (void)state;
    net_t *nets[4];
    open_four(nets);
    uint64_t word = 0;
    for (int r = 0; r < 4; r++)
        for (int to = 0; to < 4; to++)
            if (to != r) assert_int_equal(net_send(nets[r], to, 1, 0, &word, 8), MRAY_OK);
    net_poll(nets[1]);
    static const int order[] = {2, 0, 3, 1};
    for (int i = 0; i < 4; i++) net_close(nets[order[i]]);
    net_close(NULL);
}

/* Each rank a thread: everybody sends numbered items to everybody while collectives go on. */
enum { THREAD_RANKS = 4, THREAD_ITEMS = 2000, THREAD_ROUNDS = 50 };

typedef struct {
    net_t *net;
    uint64_t next[THREAD_RANKS];
    int n_seen;
    bool ok;
} peer_t;

static void check_number(void *ctx, int src, const net_item_t *item, const void *data)
{
    peer_t *peer = ctx;
    uint64_t number;
    memcpy(&number, data, sizeof number);
    if (item->bytes != 8 || number != peer->next[src]++) peer->ok = false;
    peer->n_seen++;
}

static void *run_rank(void *arg)
{
    peer_t *peer = arg;
    int rank = net_info(peer->net)->rank;
    for (uint64_t i = 0; i < THREAD_ITEMS; i++) {
        for (int to = 0; to < THREAD_RANKS; to++)
            if (to != rank && net_send(peer->net, to, 1, 0, &i, 8) != MRAY_OK) peer->ok = false;
        net_poll(peer->net);
        if (i % (THREAD_ITEMS / THREAD_ROUNDS) == 0) {
            int mine = rank * 1000 + (int)i, all[THREAD_RANKS];
            if (net_allgather(peer->net, &mine, sizeof mine, all) != MRAY_OK) peer->ok = false;
            for (int r = 0; r < THREAD_RANKS; r++)
                if (all[r] != r * 1000 + (int)i) peer->ok = false;
            net_barrier(peer->net);
        }
    }
    while (peer->n_seen < THREAD_ITEMS * (THREAD_RANKS - 1)) {
        if (net_poll(peer->net) == 0) sched_yield();
    }
    net_barrier(peer->net);
    return NULL;
}

static void test_ranks_as_threads(void **state)
{
    (void)state;
    net_t *nets[THREAD_RANKS];
    open_four(nets);
    static peer_t peers[THREAD_RANKS];
    pthread_t threads[THREAD_RANKS];
    for (int r = 0; r < THREAD_RANKS; r++) {
        peers[r] = (peer_t){.net = nets[r], .ok = true};
        net_register_handler(nets[r], 1, check_number, &peers[r]);
    }
    for (int r = 0; r < THREAD_RANKS; r++) assert_int_equal(pthread_create(&threads[r], NULL, run_rank, &peers[r]), 0);
    for (int r = 0; r < THREAD_RANKS; r++) pthread_join(threads[r], NULL);
    for (int r = 0; r < THREAD_RANKS; r++) assert_true(peers[r].ok);
    close_all(nets, THREAD_RANKS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_info_tells_who_is_where),
        cmocka_unit_test(test_items_arrive_in_order_after_polls),
        cmocka_unit_test(test_bad_sends_get_a_sentence),
        cmocka_unit_test(test_limit_stops_the_sender_until_items_are_taken),
        cmocka_unit_test(test_bulk_read_copies_from_the_segment),
        cmocka_unit_test(test_chunked_read_can_be_torn),
        cmocka_unit_test(test_delay_holds_items_and_keeps_order),
        cmocka_unit_test(test_dead_rank_is_silent),
        cmocka_unit_test(test_close_in_any_order_with_items_under_way),
        cmocka_unit_test(test_ranks_as_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
