/* test_net_packet.c: what goes into a packet comes out; what is no packet is refused; the order of packets. */
#include "net_packet.h"
#include "rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static net_packet_t packet;

static void test_items_come_out_as_they_went_in(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {0, 1, 7, 8, 9, 64, 1000, NET_MAX_ITEM_BYTES};
    enum { N = sizeof sizes / sizeof sizes[0] };
    net_packet_init(&packet, 3);
    for (uint32_t i = 0; i < N; i++) {
        unsigned char *data = net_packet_append(&packet, (uint16_t)i, (uint16_t)(100 + i), sizes[i]);
        assert_non_null(data);
        assert_int_equal((uintptr_t)data % 8, 0);
        memset(data, (int)i + 1, sizes[i]);
    }
    net_packet_seal(&packet, 77);

    uint32_t seq = 0, pos = NET_PACKET_HEADER_BYTES;
    assert_true(net_packet_check(packet.bytes, packet.used, &seq));
    assert_int_equal(seq, 77);
    for (uint32_t i = 0; i < N; i++) {
        const void *data;
        const net_item_t *item = net_packet_next(packet.bytes, &pos, &data);
        assert_non_null(item);
        assert_int_equal(item->type, i);
        assert_int_equal(item->flags, 100 + i);
        assert_int_equal(item->bytes, sizes[i]);
        for (uint32_t k = 0; k < sizes[i]; k++) assert_int_equal(((const unsigned char *)data)[k], i + 1);
    }
    const void *data;
    assert_null(net_packet_next(packet.bytes, &pos, &data));
}

static void test_full_packet_takes_no_more_and_is_valid(void **state)
{
    (void)state;
    net_packet_init(&packet, 0);
    int n = 0;
    while (net_packet_append(&packet, 1, 0, 56)) n++;
    assert_int_equal(n, (NET_PACKET_BYTES - NET_PACKET_HEADER_BYTES) / 64);
    assert_true(packet.used <= NET_PACKET_BYTES);
    net_packet_seal(&packet, 0);
    uint32_t seq;
    assert_true(net_packet_check(packet.bytes, packet.used, &seq));
}

static void test_what_is_no_packet_is_refused(void **state)
{
    (void)state;
    uint32_t seq;
    net_packet_init(&packet, 0);
    net_packet_append(&packet, 1, 0, 100);
    net_packet_append(&packet, 2, 0, 20);
    net_packet_seal(&packet, 5);
    assert_true(net_packet_check(packet.bytes, packet.used, &seq));
    assert_false(net_packet_check(packet.bytes, packet.used - 8, &seq)); /* cut off */
    assert_false(net_packet_check(packet.bytes, 4, &seq));
    net_item_t *item = (net_item_t *)(void *)(packet.bytes + NET_PACKET_HEADER_BYTES);
    item->bytes = 120; /* the items no longer fill it exactly */
    assert_false(net_packet_check(packet.bytes, packet.used, &seq));
    item->bytes = UINT32_MAX; /* padding would wrap */
    assert_false(net_packet_check(packet.bytes, packet.used, &seq));
}

static void test_padding_is_zero(void **state)
{
    (void)state;
    memset(packet.bytes, 0xff, sizeof packet.bytes);
    net_packet_init(&packet, 0);
    unsigned char *data = net_packet_append(&packet, 1, 0, 3);
    memset(data, 1, 3);
    static const unsigned char expected[8] = {1, 1, 1};
    assert_memory_equal(data, expected, 8);
}

static void test_later_packet_waits_for_the_earlier_one(void **state)
{
    (void)state;
    net_order_t order;
    assert_int_equal(net_order_init(&order, 4, 3), 0);
    net_order_put(&order, 1, 2, 1); /* the second packet of rank 2 is there before its first */
    assert_int_equal(net_order_take(&order), -1);
    net_order_put(&order, 0, 3, 0); /* another source is not held up */
    assert_int_equal(net_order_take(&order), 0);
    assert_int_equal(net_order_take(&order), -1);
    net_order_put(&order, 2, 2, 0);
    assert_int_equal(net_order_take(&order), 2);
    assert_int_equal(net_order_take(&order), 1);
    assert_int_equal(net_order_take(&order), -1);
    net_order_fini(&order);
}

static void test_order_survives_the_wrap_of_the_counter(void **state)
{
    (void)state;
    net_order_t order;
    assert_int_equal(net_order_init(&order, 1, 2), 0);
    order.next_seq[0] = UINT32_MAX;
    net_order_put(&order, 0, 0, 0);
    net_order_put(&order, 1, 0, UINT32_MAX);
    assert_int_equal(net_order_take(&order), 1);
    assert_int_equal(net_order_take(&order), 0);
    net_order_fini(&order);
}

/* Messages of several sources match posted receives in order and complete in any order. */
static void test_random_completions_are_taken_in_order(void **state)
{
    (void)state;
    enum { N_SRC = 3, N_SLOTS = 8, N_PACKETS = 20000 };
    uint64_t seed = 20240607;
    print_message("seed %llu\n", (unsigned long long)seed);
    base_rng_t rng;
    base_rng_seed(&rng, seed);
    net_order_t order;
    assert_int_equal(net_order_init(&order, N_SRC, N_SLOTS), 0);
    uint32_t sent[N_SRC] = {0}, taken[N_SRC] = {0};
    struct {
        int state, src; /* 0 posted, 1 matched, 2 complete */
        uint32_t seq;
    } slots[N_SLOTS] = {0};
    int n_taken = 0;
    while (n_taken < N_PACKETS) {
        int i = (int)base_rng_below(&rng, N_SLOTS);
        if (slots[i].state == 0) {
            slots[i].state = 1;
            slots[i].src = (int)base_rng_below(&rng, N_SRC);
            slots[i].seq = sent[slots[i].src]++;
        } else if (slots[i].state == 1) {
            slots[i].state = 2;
            net_order_put(&order, i, slots[i].src, slots[i].seq);
        }
        for (int slot; (slot = net_order_take(&order)) >= 0; n_taken++) {
            assert_int_equal(slots[slot].state, 2);
            assert_int_equal(slots[slot].seq, taken[slots[slot].src]++);
            slots[slot].state = 0;
        }
    }
    net_order_fini(&order);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_items_come_out_as_they_went_in),
        cmocka_unit_test(test_full_packet_takes_no_more_and_is_valid),
        cmocka_unit_test(test_what_is_no_packet_is_refused),
        cmocka_unit_test(test_padding_is_zero),
        cmocka_unit_test(test_later_packet_waits_for_the_earlier_one),
        cmocka_unit_test(test_order_survives_the_wrap_of_the_counter),
        cmocka_unit_test(test_random_completions_are_taken_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
