/* Sizes of what the hot paths touch, and where its parts lie in cache lines: a field added in passing shows up here. */
#include "endpoint.h"
#include "slot_layout.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_slot_is_one_line(void **state)
{
    (void)state;
    assert_int_equal(sizeof(slot_t), 64);
    assert_int_equal(offsetof(slot_t, rc), 0);
    assert_int_equal(offsetof(slot_t, waiters), 8);
    assert_int_equal(offsetof(slot_t, state), 16);
    assert_int_equal(offsetof(slot_t, gen), 20);
    assert_int_equal(offsetof(slot_t, kind), 24);
    assert_int_equal(offsetof(slot_t, bytes), 32);
    assert_int_equal(offsetof(slot_t, u), 40);
    assert_int_equal(sizeof(slot_where_t), SLOT_INLINE_BYTES);
}

static void test_slot_bits_do_not_overlap(void **state)
{
    (void)state;
    uint64_t bits[] = {SLOT_RC_COUNT, SLOT_RC_CREATOR, SLOT_RC_PRODUCER, SLOT_RC_DYING, SLOT_RC_USED}, all = 0;
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(all & bits[i], 0);
        all |= bits[i];
    }
    assert_int_equal(all, UINT32_MAX); /* the writer's mark lies above */
    assert_int_equal(SLOT_RC_HOLDS, SLOT_RC_COUNT | SLOT_RC_CREATOR | SLOT_RC_PRODUCER);
    assert_true(slot_rc_is_free(0));
    assert_false(slot_rc_is_free(SLOT_RC_USED));
}

static void test_record_is_two_lines(void **state)
{
    (void)state;
    assert_int_equal(sizeof(record_t), 128);
    assert_int_equal(sizeof(record_ext_t), 128);
    assert_int_equal(offsetof(record_t, word), offsetof(record_ext_t, word));
    assert_int_equal(offsetof(record_t, next), offsetof(record_ext_t, next));
    assert_true(offsetof(record_t, ret) + sizeof(mray_ref) <= 64); /* what a runner reads first lies in the first line */
    assert_int_equal(offsetof(record_t, body) + RECORD_BODY_BYTES, sizeof(record_t));
    assert_int_equal(offsetof(record_ext_t, body) + RECORD_EXT_BODY_BYTES, sizeof(record_ext_t));
    assert_int_equal(offsetof(record_t, body) % 8, 0);
    assert_int_equal(offsetof(record_ext_t, body) % 8, 0);
}

static void test_refs_fill_a_record_as_said(void **state)
{
    (void)state;
    assert_int_equal(sizeof(mray_ref), 16);
    assert_int_equal(sizeof(mray_actor), 16);
    assert_int_equal(sizeof(record_ref_t), 24);
    assert_int_equal(RECORD_MAIN_REFS, RECORD_BODY_BYTES / sizeof(record_ref_t));
    assert_int_equal(RECORD_EXT_REFS, RECORD_EXT_BODY_BYTES / sizeof(record_ref_t));
    record_t rec;
    assert_true(8 * sizeof rec.held >= RECORD_MAX_REFS);
    assert_true(8 * sizeof rec.by_value >= RECORD_MAX_REFS);
    assert_true(RECORD_MAX_REFS < 31); /* pending has the guard as well */
}

static void test_endpoint_words_have_lines_of_their_own(void **state)
{
    (void)state;
    assert_int_equal(sizeof(ep_journal_t), 64);
    assert_int_equal(offsetof(ep_shared_t, inbox) % 64, 0);
    assert_int_equal(offsetof(ep_shared_t, asleep) % 64, 0);
    assert_int_not_equal(offsetof(ep_shared_t, inbox) / 64, offsetof(ep_shared_t, asleep) / 64);
    assert_int_equal(offsetof(ep_shared_t, lock) % 64, 0);
    assert_int_equal(offsetof(ep_shared_t, batch) % 64, 0);
    assert_int_equal(offsetof(ep_shared_t, journal) % 64, 0);
    assert_int_equal(sizeof(ep_shared_t) % 64, 0);
    assert_int_equal(offsetof(seg_header_t, worker_mask) % 64, 0);
    assert_int_equal(offsetof(seg_header_t, idle_mask) % 64, 0);
    assert_int_equal(offsetof(seg_header_t, awake_mask) % 64, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slot_is_one_line),
        cmocka_unit_test(test_slot_bits_do_not_overlap),
        cmocka_unit_test(test_record_is_two_lines),
        cmocka_unit_test(test_refs_fill_a_record_as_said),
        cmocka_unit_test(test_endpoint_words_have_lines_of_their_own),
    };
    return cmocka_run_group_tests_name("net.sizes", tests, NULL, NULL);
}
