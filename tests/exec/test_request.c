/* Questions and answers between a thread and agents, of its own node and of another one, each agent in a thread of its own. */
#include "request.h"

#include "error.h"
#include "rng.h"
#include "test_agents.h"
#include "test_child.h"

#include <mray/kv.h>
#include <stdatomic.h>
#include <string.h>

/* What the test asks: who is to answer, and how. */
typedef struct {
    mray_ref reply;
    int32_t rank, status;
    uint32_t bytes, seed;
} question_t;

static struct {
    test_agents_t agents;
    ep_t *ep;
} f;

static void fill(uint8_t *data, uint32_t bytes, uint32_t seed)
{
    for (uint32_t i = 0; i < bytes; i++) data[i] = (uint8_t)(i * 13 + seed);
}

static void on_question(agent_t *agent, int src_rank, const void *body, uint32_t bytes)
{
    static _Thread_local uint8_t data[REQUEST_MAX_ANSWER];
    question_t q;
    (void)src_rank;
    memcpy(&q, body, sizeof q);
    if (q.rank != agent->node->rank) {
        agent_send(agent, q.rank, CONTROL_KV, body, bytes);
        return;
    }
    fill(data, q.bytes, q.seed);
    request_answer(agent, q.reply, q.status, q.status != MRAY_OK ? "the answer is no" : NULL, data, q.bytes);
}

static int setup(void **state)
{
    (void)state;
    test_agents_make(&f.agents, 128);
    agent_register(f.agents.of[0], CONTROL_KV, on_question);
    f.ep = test_agents_open(&f.agents, 0);
    test_agents_start(&f.agents);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    test_agents_stop(&f.agents);
    assert_int_equal(test_slots_used(f.ep), 0);
    assert_int_equal(test_records_used(f.ep), 0);
    assert_int_equal(test_store_used_bytes(f.ep, 0), 0);
    ep_close(f.ep);
    test_agents_free(&f.agents);
    return 0;
}

static int ask(int rank, int status, uint32_t bytes, uint32_t seed, void *answer, uint32_t answer_bytes, uint32_t *got_p)
{
    question_t q = {.rank = rank, .status = status, .bytes = bytes, .seed = seed};
    return request_call_sized(f.ep, CONTROL_KV, &q, sizeof q, answer, answer_bytes, got_p);
}

static void test_answers_of_every_size_come_back(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {0, 1, 24, 25, 64, 1000, REQUEST_MAX_ANSWER};
    static uint8_t answer[REQUEST_MAX_ANSWER], expected[REQUEST_MAX_ANSWER];
    for (int rank = 0; rank < TEST_AGENTS; rank++)
        for (uint32_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            uint32_t got = 99999;
            memset(answer, 0xee, sizeof answer);
            fill(expected, sizes[i], i);
            if (ask(rank, MRAY_OK, sizes[i], i, answer, sizeof answer, &got) != MRAY_OK) fail_msg("%s", mray_error_message());
            assert_int_equal(got, sizes[i]);
            if (got > 0) assert_memory_equal(answer, expected, got);
            if (got < sizeof answer) assert_int_equal(answer[got], 0xee);
        }
}

static void test_an_error_comes_back_with_its_sentence(void **state)
{
    (void)state;
    for (int rank = 0; rank < TEST_AGENTS; rank++) {
        uint32_t got = 5;
        base_error_set("another");
        assert_int_equal(ask(rank, MRAY_ERR_KEY_NOT_FOUND, 0, 0, NULL, 0, &got), MRAY_ERR_KEY_NOT_FOUND);
        assert_non_null(strstr(mray_error_message(), "the answer is no"));
        assert_int_equal(got, 5);
    }
}

static void test_an_answer_that_is_too_long_is_not_copied(void **state)
{
    (void)state;
    for (int rank = 0; rank < TEST_AGENTS; rank++) {
        uint8_t answer[10] = {7, 7, 7};
        uint32_t got;
        assert_int_equal(ask(rank, MRAY_OK, 11, 3, answer, sizeof answer, &got), MRAY_ERR_BUFFER_TOO_SMALL);
        assert_int_equal(answer[0], 7);
    }
}

/* Bytes that are no answer are dropped; the next question is answered as ever. */
static void test_what_is_no_answer_is_dropped(void **state)
{
    (void)state;
    base_rng_t rng;
    base_rng_seed(&rng, test_seed());
    for (int i = 0; i < 300; i++) {
        uint8_t bytes[64];
        uint32_t n = (uint32_t)base_rng_below(&rng, sizeof bytes);
        for (uint32_t k = 0; k < sizeof bytes; k++) bytes[k] = (uint8_t)base_rng_next(&rng);
        pthread_mutex_lock(&f.agents.of[1]->lock);
        agent_send(f.agents.of[1], 0, CONTROL_ANSWER, bytes, n);
        pthread_mutex_unlock(&f.agents.of[1]->lock);
    }
    uint8_t answer[8], expected[8];
    uint32_t got;
    fill(expected, 8, 4);
    assert_int_equal(ask(1, MRAY_OK, 8, 4, answer, sizeof answer, &got), MRAY_OK);
    assert_memory_equal(answer, expected, 8);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_answers_of_every_size_come_back),
        TEST(test_an_error_comes_back_with_its_sentence),
        TEST(test_an_answer_that_is_too_long_is_not_copied),
        TEST(test_what_is_no_answer_is_dropped),
    };
    return cmocka_run_group_tests_name("exec.request", tests, NULL, NULL);
}
