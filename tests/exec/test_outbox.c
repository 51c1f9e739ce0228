/* Messages that find no room wait in the agent's outbox: no handler waits, and order is kept. */
#include "outbox.h"

#include "agent.h"
#include "error.h"
#include "test_agents.h"
#include "test_child.h"

#include <string.h>

enum { MESSAGES = 3000, BYTES = 32000 }; /* 92 MiB to each, of which 64 find room */

/* ---- alone: a network with room for so many more ---- */

typedef struct {
    int room[2];
    int n_sent[2];
    int sent[2][16];
} narrow_t;

static bool send_narrow(void *ctx, int rank, uint16_t type, const void *body, uint32_t bytes)
{
    narrow_t *net = ctx;
    assert_int_equal(bytes, sizeof(int));
    if (net->room[rank] == 0) return false;
    net->room[rank]--;
    memcpy(&net->sent[rank][net->n_sent[rank]++], body, sizeof(int));
    assert_int_equal(type, 7);
    return true;
}

static void test_order_is_kept_for_each_rank(void **state)
{
    (void)state;
    narrow_t net = {.room = {2, 100}};
    outbox_t *outbox;
    assert_int_equal(outbox_create(2, send_narrow, &net, &outbox), MRAY_OK);
    for (int i = 0; i < 5; i++) outbox_send(outbox, 0, 7, &i, sizeof i);
    for (int i = 0; i < 5; i++) outbox_send(outbox, 1, 7, &i, sizeof i);
    assert_int_equal(net.n_sent[0], 2);
    assert_int_equal(net.n_sent[1], 5);
    assert_true(outbox_waits_for(outbox, 0));
    assert_false(outbox_waits_for(outbox, 1));
    net.room[0] = 1;
    int next = 5;
    outbox_send(outbox, 0, 7, &next, sizeof next); /* there is room, but others come first */
    assert_int_equal(net.n_sent[0], 2);
    assert_int_equal(outbox_round(outbox), 1);
    net.room[0] = 100;
    assert_int_equal(outbox_round(outbox), 3);
    assert_true(outbox_is_empty(outbox));
    assert_int_equal(net.n_sent[0], 6);
    for (int i = 0; i < 6; i++) assert_int_equal(net.sent[0][i], i);
    outbox_destroy(outbox);
}

static void test_what_waits_is_freed(void **state)
{
    (void)state;
    narrow_t net = {0};
    outbox_t *outbox;
    assert_int_equal(outbox_create(2, send_narrow, &net, &outbox), MRAY_OK);
    for (int i = 0; i < 3; i++) outbox_send(outbox, i % 2, 7, &i, sizeof i);
    outbox_destroy(outbox);
    outbox_destroy(NULL);
}

/* ---- two agents, driven by this thread in turn, each of which sends more than there is room for inside one handler ---- */

typedef struct {
    uint32_t number; /* 0: send them all */
    uint8_t rest[BYTES - sizeof(uint32_t)];
} message_t;

static struct {
    test_agents_t agents;
    uint32_t n_got[TEST_AGENTS];
    int depth;
} f;

static void on_message(agent_t *agent, int src_rank, const void *body, uint32_t bytes)
{
    static message_t message;
    uint32_t number;
    assert_int_equal(f.depth++, 0); /* a handler inside a handler has its items out of order */
    assert_int_equal(bytes, sizeof message);
    memcpy(&number, body, sizeof number);
    if (number == 0) {
        for (message.number = 1; message.number <= MESSAGES; message.number++) agent_send(agent, src_rank, CONTROL_KV, &message, sizeof message);
        assert_false(outbox_is_empty(agent->outbox));
    } else {
        assert_int_equal(number, ++f.n_got[agent->node->rank]);
    }
    f.depth--;
}

static void test_two_full_agents_go_on(void **state)
{
    static const message_t all;
    (void)state;
    test_agents_make(&f.agents, 256);
    agent_register(f.agents.of[0], CONTROL_KV, on_message);
    for (int r = 0; r < TEST_AGENTS; r++) agent_send(f.agents.of[r], 1 - r, CONTROL_KV, &all, sizeof all);
    for (int turn = 0; turn < 100000 && (f.n_got[0] < MESSAGES || f.n_got[1] < MESSAGES); turn++) (void)agent_round(f.agents.of[turn % TEST_AGENTS]);
    for (int r = 0; r < TEST_AGENTS; r++) {
        assert_int_equal(f.n_got[r], MESSAGES);
        assert_true(outbox_is_empty(f.agents.of[r]->outbox));
    }
    test_agents_free(&f.agents);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_is_kept_for_each_rank),
        cmocka_unit_test(test_what_waits_is_freed),
        cmocka_unit_test(test_two_full_agents_go_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
