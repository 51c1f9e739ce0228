/* Objects in and out of messages: every kind and size comes back as it was; bytes that are no message are refused, or harm nobody. */
#include "wire.h"

#include "error.h"
#include "rng.h"
#include "test_child.h"
#include "test_store.h"

#include <string.h>

enum { MAX_MESSAGE = sizeof(wire_object_t) + WIRE_MAX_INLINE };

static struct {
    test_node_t t;
    ep_t *ep;
} f;

static int setup(void **state)
{
    (void)state;
    test_store_make(&f.t, (test_node_config_t){.n = 1, .n_elsewhere = 2, .segment = {.arena_bytes = 1 << 20, .n_slots = 256, .n_records = 128}});
    f.ep = test_node_open(&f.t, 0, SEG_EP_AGENT, EP_KIND_AGENT, false);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(test_slots_used(f.ep), 0);
    assert_int_equal(test_store_used_bytes(f.ep, 0), 0);
    ep_close(f.ep);
    test_node_free(&f.t);
    return 0;
}

static sid_t new_slot(void)
{
    sid_t sid = slot_alloc(f.ep, 1);
    assert_int_not_equal(sid, 0);
    return sid;
}

static void let_go(sid_t sid)
{
    if (!slot_is_ready(slot_at(f.ep, sid))) object_publish(f.ep, sid);
    assert_int_equal(slot_release_ref(f.ep, sid), MRAY_OK);
}

/* As wire_send_object() sends it. */
static uint32_t pack(sid_t sid, uint8_t *message)
{
    wire_object_t image = {.to = slot_ref(f.ep, sid)};
    const void *payload;
    wire_describe(f.ep, sid, &image, &payload);
    memcpy(message, &image, sizeof image);
    if (payload != NULL) memcpy(message + sizeof image, payload, image.n_more);
    return (uint32_t)sizeof image + image.n_more;
}

static bool is_sound(const uint8_t *message, uint32_t bytes)
{
    wire_object_t image = {0};
    memcpy(&image, message, bytes < sizeof image ? bytes : sizeof image);
    return wire_is_sound(&image, message + sizeof image, bytes);
}

static bool unpack(const uint8_t *message, sid_t sid)
{
    wire_object_t image;
    memcpy(&image, message, sizeof image);
    return wire_stage(f.ep, sid, &image, message + sizeof image);
}

static void test_values_of_every_size_come_back(void **state)
{
    (void)state;
    static uint8_t message[MAX_MESSAGE], data[WIRE_MAX_INLINE + 100];
    static const uint64_t sizes[] = {0, 1, 8, 23, 24, 25, 63, 64, 65, 1000, 8192, 16000, 16384, WIRE_MAX_INLINE + 100};
    for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)(i * 7 + 3);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        mray_view was, is;
        object_value_t v = {.type = {.dtype = MRAY_UINT8, .is_array = 1, .size = 1}, .ndim = 1, .dims = {sizes[i]}, .data = data, .bytes = sizes[i]};
        sid_t from = new_slot(), to = new_slot();
        assert_int_equal(object_stage(f.ep, from, &v), MRAY_OK);
        object_publish(f.ep, from);
        uint32_t bytes = pack(from, message);
        assert_true(is_sound(message, bytes));
        bool whole = unpack(message, to);
        assert_int_equal(whole, sizes[i] < 16200); /* with its header it is larger than what travels along: to be fetched */
        if (whole) {
            object_publish(f.ep, to);
            assert_int_equal(object_look(f.ep, slot_at(f.ep, from), &was), MRAY_OK);
            assert_int_equal(object_look(f.ep, slot_at(f.ep, to), &is), MRAY_OK);
            assert_int_equal(is.size, sizes[i]);
            assert_int_equal(is.type.dtype, MRAY_UINT8);
            assert_int_equal(is.ndim, was.ndim);
            if (is.size > 0) assert_memory_equal(is.data, data, sizes[i]);
        } else {
            object_stage_error(f.ep, to, MRAY_ERR_OBJECT_LOST, "not fetched");
        }
        let_go(from);
        let_go(to);
    }
}

static void test_errors_come_back_with_their_sentence(void **state)
{
    (void)state;
    static uint8_t message[MAX_MESSAGE];
    mray_view view;
    sid_t from = new_slot(), to = new_slot();
    object_stage_error(f.ep, from, MRAY_ERR_TASK, "task 'f' failed on rank 7");
    object_publish(f.ep, from);
    assert_true(is_sound(message, pack(from, message)));
    assert_true(unpack(message, to));
    object_publish(f.ep, to);
    assert_int_equal(object_look(f.ep, slot_at(f.ep, to), &view), MRAY_ERR_TASK);
    assert_non_null(strstr(mray_error_message(), "rank 7"));
    let_go(from);
    let_go(to);
}

static void test_what_is_no_message_is_refused(void **state)
{
    (void)state;
    static uint8_t message[MAX_MESSAGE + 64];
    static const uint8_t data[500];
    object_value_t v = {.type = {.dtype = MRAY_UINT8, .is_array = 1, .size = 1}, .ndim = 1, .dims = {500}, .data = data, .bytes = 500};
    sid_t sid = new_slot();
    assert_int_equal(object_stage(f.ep, sid, &v), MRAY_OK);
    object_publish(f.ep, sid);
    uint32_t bytes = pack(sid, message);
    for (uint32_t n = 0; n < bytes + 64; n++) assert_int_equal(is_sound(message, n), n == bytes); /* cut off, or too long */
    wire_object_t image;
    memcpy(&image, message, sizeof image);
    image.bytes = 501 + 64; /* more than was sent */
    memcpy(message, &image, sizeof image);
    assert_false(is_sound(message, bytes));
    image = (wire_object_t){.kind = SLOT_KIND_INLINE, .bytes = 25};
    assert_false(wire_is_sound(&image, NULL, sizeof image));
    image = (wire_object_t){.kind = SLOT_KIND_NONE};
    assert_false(wire_is_sound(&image, NULL, sizeof image));
    image = (wire_object_t){.status = MRAY_ERR_TASK, .n_more = 4};
    assert_false(wire_is_sound(&image, "text", sizeof image + 4)); /* no end */
    assert_true(wire_is_sound(&image, "end", sizeof image + 4));
    assert_false(wire_is_record(f.ep, 0));
    assert_false(wire_is_record(f.ep, 1u << 24 | 5)); /* another rank of this node, which there is not */
    assert_false(wire_is_record(f.ep, 128));
    assert_true(wire_is_record(f.ep, 127));
    let_go(sid);
}

/* Whatever passes the check can be staged and looked at, and is given back whole. */
static void test_random_bytes_are_refused_or_harm_nobody(void **state)
{
    (void)state;
    static uint8_t good[MAX_MESSAGE], message[MAX_MESSAGE];
    static const uint8_t data[300] = {1};
    base_rng_t rng;
    unsigned n_sound = 0;
    base_rng_seed(&rng, test_seed());
    for (int i = 0; i < 20000; i++) {
        uint64_t size = base_rng_below(&rng, 300);
        object_value_t v = {.type = {.dtype = MRAY_UINT8, .is_array = 1, .size = 1}, .ndim = 1, .dims = {size}, .data = data, .bytes = size};
        sid_t from = new_slot(), to = new_slot();
        assert_int_equal(object_stage(f.ep, from, &v), MRAY_OK);
        object_publish(f.ep, from);
        uint32_t bytes = pack(from, good);
        memcpy(message, good, bytes);
        for (uint64_t n = base_rng_below(&rng, 6); n > 0; n--) /* mostly in the description */
            message[base_rng_below(&rng, base_rng_below(&rng, 4) > 0 ? sizeof(wire_object_t) : bytes)] = (uint8_t)base_rng_next(&rng);
        if (base_rng_below(&rng, 4) == 0) bytes = (uint32_t)base_rng_below(&rng, bytes + 1);
        if (is_sound(message, bytes) && unpack(message, to)) {
            mray_view view;
            n_sound++;
            object_publish(f.ep, to);
            (void)object_look(f.ep, slot_at(f.ep, to), &view);
        }
        let_go(from);
        let_go(to);
    }
    assert_true(n_sound > 2000); /* those that were not changed, or where it does not matter */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_values_of_every_size_come_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_errors_come_back_with_their_sentence, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_no_message_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random_bytes_are_refused_or_harm_nobody, setup, teardown),
    };
    return cmocka_run_group_tests_name("exec.wire", tests, NULL, NULL);
}
