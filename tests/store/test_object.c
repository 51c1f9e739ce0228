/* Objects: values that fit the slot and values that do not, dimensions, metadata, errors, and a store without room. */
#include "test_store.h"

#include "clock.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { ARENA = 1 << 18 };

typedef struct {
    test_node_t t;
    ep_t *ep, *worker;
} fixture_t;

static int setup(void **state)
{
    static fixture_t f;
    test_store_make(&f.t, (test_node_config_t){.n = 2, .segment = {.arena_bytes = ARENA, .n_slots = 640, .n_records = 64}});
    f.ep = test_node_open(&f.t, 0, SEG_EP_MAIN, EP_KIND_USER, false);
    f.worker = test_node_open(&f.t, 1, 7, EP_KIND_WORKER, true);
    object_full_wait_ns = 0;
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    fixture_t *f = *state;
    assert_int_equal(test_slots_used(f->ep), 0);
    assert_int_equal(test_store_used_bytes(f->ep, 0), 0);
    assert_int_equal(test_store_used_bytes(f->ep, 1), 0);
    ep_close(f->ep);
    ep_close(f->worker);
    test_node_free(&f->t);
    return 0;
}

static const mray_type BYTES_TYPE = {.dtype = MRAY_BYTES, .size = 1};
static const mray_type F64 = {.dtype = MRAY_FLOAT64, .size = 8};

static sid_t put(ep_t *ep, const object_value_t *v)
{
    sid_t sid = slot_alloc(ep, 1);
    assert_int_not_equal(sid, 0);
    assert_int_equal(object_stage(ep, sid, v), MRAY_OK);
    object_publish(ep, sid);
    return sid;
}

static mray_view look(const ep_t *ep, sid_t sid)
{
    mray_view view;
    assert_true(slot_is_ready(slot_at(ep, sid)));
    assert_int_equal(object_look(ep, slot_at(ep, sid), &view), MRAY_OK);
    return view;
}

static void release(ep_t *ep, sid_t sid)
{
    slot_change(ep, sid, RC_DROP_CREATOR);
    assert_true(slot_rc_is_free(atomic_load(&slot_at(ep, sid)->rc)));
}

/* Made ready at once: the same object as one that was staged and published, except that nobody held it meanwhile. */
static void test_ready_from_the_start(void **state)
{
    fixture_t *f = *state;
    double x[3] = {1.5, -2, 1e300};
    for (uint32_t n = 0; n <= 3; n++) {
        sid_t staged = put(f->ep, &(object_value_t){.type = F64, .ndim = 1, .dims = {n}, .data = x, .bytes = n * 8});
        sid_t ready = slot_alloc_ready(f->ep, MRAY_FLOAT64, 1, x, n * 8);
        mray_view a = look(f->ep, staged), b = look(f->ep, ready);
        assert_int_equal(b.size, a.size);
        assert_int_equal(b.ndim, a.ndim);
        assert_int_equal(b.dims[0], a.dims[0]);
        assert_int_equal(b.type.dtype, a.type.dtype);
        assert_memory_equal(b.data, x, n * 8);
        assert_false(slot_watch(f->worker, slot_at(f->ep, ready)));
        release(f->ep, staged);
        release(f->ep, ready);
    }
}

static void fill(uint8_t *data, size_t n)
{
    for (size_t i = 0; i < n; i++) data[i] = (uint8_t)(i * 31 + n);
}

static void test_values_of_every_size_come_back(void **state)
{
    fixture_t *f = *state;
    static uint8_t data[5000];
    static const size_t sizes[] = {0, 1, 7, 8, 15, 16, 23, 24, 25, 63, 64, 65, 127, 128, 129, 4095, 4096, 4097, 5000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        size_t n = sizes[i];
        fill(data, n);
        object_value_t v = {.type = BYTES_TYPE, .data = data, .bytes = n};
        sid_t sid = put(i % 2 == 0 ? f->ep : f->worker, &v);
        bool in_slot = n <= SLOT_INLINE_BYTES;
        assert_int_equal(slot_at(f->ep, sid)->kind, in_slot ? SLOT_KIND_INLINE : SLOT_KIND_PAYLOAD);
        assert_int_equal(test_store_used_bytes(f->ep, (int)(sid >> 24)), in_slot ? 0 : (payload_block_bytes(n, 0) + 63) / 64 * 64);
        for (int who = 0; who < 2; who++) { /* both ranks see it */
            mray_view view = look(who == 0 ? f->ep : f->worker, sid);
            assert_int_equal(view.size, n);
            assert_int_equal(view.ndim, 0);
            assert_int_equal(view.type.dtype, MRAY_BYTES);
            assert_int_equal(view.type.size, n); /* a struct's size is its type's */
            assert_null(view.metadata);
            assert_int_equal(view.metadata_size, 0);
            if (n > 0) assert_memory_equal(view.data, data, n);
            if (!in_slot) assert_int_equal((uintptr_t)view.data % 64, 0);
        }
        release(f->ep, sid);
    }
}

static void test_views_of_payloads_are_read_only_memory(void **state)
{
    fixture_t *f = *state;
    uint8_t data[100] = {0};
    sid_t sid = put(f->ep, &(object_value_t){.type = BYTES_TYPE, .data = data, .bytes = sizeof data});
    const char *at = look(f->worker, sid).data;
    const segment_t *seg = &f->worker->node->segs[0];
    assert_true(at >= seg->ro && at < seg->ro + seg->bytes);
    release(f->ep, sid);
}

static void test_types_and_dimensions_come_back(void **state)
{
    fixture_t *f = *state;
    static const uint8_t sizes[MRAY_N_DTYPES] = {[MRAY_INT8] = 1, [MRAY_INT16] = 2, [MRAY_INT32] = 4, [MRAY_INT64] = 8, [MRAY_UINT8] = 1, [MRAY_UINT16] = 2,
                                                 [MRAY_UINT32] = 4, [MRAY_UINT64] = 8, [MRAY_FLOAT32] = 4, [MRAY_FLOAT64] = 8, [MRAY_BOOL] = 1,
                                                 [MRAY_REF] = 16, [MRAY_ACTOR] = 16};
    uint8_t data[16 * 24] = {1, 2, 3};
    for (int dtype = MRAY_INT8; dtype < MRAY_N_DTYPES; dtype++)
        for (int ndim = 0; ndim <= MRAY_MAX_DIMS; ndim++) {
            object_value_t v = {.type = {.dtype = (uint8_t)dtype, .is_array = ndim > 0, .size = sizes[dtype]}, .ndim = ndim, .data = data};
            uint64_t n = 1;
            for (int d = 0; d < ndim; d++) n *= v.dims[d] = (uint64_t)d + 1;
            v.bytes = n * sizes[dtype];
            sid_t sid = put(f->ep, &v);
            if (ndim > 1) assert_int_equal(slot_at(f->ep, sid)->kind, SLOT_KIND_PAYLOAD); /* dims need a header */
            mray_view view = look(f->worker, sid);
            assert_int_equal(view.type.dtype, dtype);
            assert_int_equal(view.type.size, sizes[dtype]);
            assert_int_equal(view.type.is_array, ndim > 0);
            assert_int_equal(view.ndim, ndim);
            assert_int_equal(view.size, v.bytes);
            for (int d = 0; d < ndim; d++) assert_int_equal(view.dims[d], d + 1);
            release(f->ep, sid);
        }
}

static void test_small_arrays_know_their_length(void **state)
{
    fixture_t *f = *state;
    double x[4] = {1, 2, 3, 4};
    for (uint64_t n = 0; n <= 4; n++) {
        sid_t sid = put(f->ep, &(object_value_t){.type = {.dtype = MRAY_FLOAT64, .is_array = 1, .size = 8}, .ndim = 1, .dims = {n}, .data = x, .bytes = n * 8});
        assert_int_equal(slot_at(f->ep, sid)->kind, n <= 3 ? SLOT_KIND_INLINE : SLOT_KIND_PAYLOAD);
        mray_view view = look(f->ep, sid);
        assert_int_equal(view.ndim, 1);
        assert_int_equal(view.dims[0], n);
        assert_memory_equal(view.data, x, n * 8);
        release(f->ep, sid);
    }
}

static void test_metadata_lies_behind_the_data(void **state)
{
    fixture_t *f = *state;
    static const size_t data_sizes[] = {0, 1, 8, 24, 63, 64, 65, 1000};
    static uint8_t data[1000];
    static const char metadata[] = "columns: x, y, z; unit: m/s";
    for (size_t i = 0; i < sizeof data_sizes / sizeof data_sizes[0]; i++)
        for (size_t m = 1; m <= sizeof metadata; m += 9) {
            fill(data, data_sizes[i]);
            sid_t sid = put(f->ep, &(object_value_t){.type = BYTES_TYPE, .data = data, .bytes = data_sizes[i], .metadata = metadata, .metadata_bytes = m});
            assert_int_equal(slot_at(f->ep, sid)->kind, SLOT_KIND_PAYLOAD);
            mray_view view = look(f->worker, sid);
            assert_int_equal(view.size, data_sizes[i]);
            if (data_sizes[i] > 0) assert_memory_equal(view.data, data, data_sizes[i]);
            assert_int_equal(view.metadata_size, m);
            assert_memory_equal(view.metadata, metadata, m);
            release(f->ep, sid);
        }
}

static void test_reserved_room_is_filled_in_place(void **state)
{
    fixture_t *f = *state;
    for (uint64_t n = 2; n <= 20; n += 18) { /* in the slot, in the arena */
        sid_t sid = slot_alloc(f->ep, 1);
        object_value_t v = {.type = {.dtype = MRAY_FLOAT64, .is_array = 1, .size = 8}, .ndim = 1, .dims = {n}, .bytes = n * 8};
        void *room = NULL;
        assert_int_equal(object_reserve(f->ep, sid, &v, &room), MRAY_OK);
        assert_false(slot_is_ready(slot_at(f->ep, sid)));
        for (uint64_t i = 0; i < n; i++) ((double *)room)[i] = (double)i / 4;
        object_publish(f->ep, sid);
        mray_view view = look(f->worker, sid);
        assert_int_equal(view.dims[0], n);
        for (uint64_t i = 0; i < n; i++) assert_true(((const double *)view.data)[i] == (double)i / 4);
        release(f->ep, sid);
    }
}

static void test_unstaged_values_give_their_room_back(void **state)
{
    fixture_t *f = *state;
    static uint8_t data[1000];
    sid_t sid = slot_alloc(f->ep, 1);
    for (int turn = 0; turn < 3; turn++) {
        assert_int_equal(object_stage(f->ep, sid, &(object_value_t){.type = BYTES_TYPE, .data = data, .bytes = turn == 1 ? 8 : sizeof data}), MRAY_OK);
        object_unstage(f->ep, sid);
        object_unstage(f->ep, sid); /* repeatable */
        assert_int_equal(test_store_used_bytes(f->ep, 0), 0);
        assert_int_equal(slot_at(f->ep, sid)->kind, SLOT_KIND_NONE);
    }
    object_stage_error(f->ep, sid, MRAY_ERR_TASK, "text");
    object_unstage(f->ep, sid);
    assert_int_equal(test_store_used_bytes(f->ep, 0), 0);
    slot_change(f->ep, sid, RC_DROP_PRODUCER);
    release(f->ep, sid);
}

static void test_errors_are_objects_with_status_and_sentence(void **state)
{
    fixture_t *f = *state;
    static const int codes[] = {MRAY_ERR_TASK, MRAY_ERR_WORKER_CRASHED, MRAY_ERR_ACTOR_DIED, MRAY_ERR_INTERNAL, MRAY_ERR_INVALID_ARGUMENT};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        char text[100], longer[3000];
        mray_view view;
        snprintf(text, sizeof text, "task 'f' (rank 1, attempt 0) failed: cause %zu", i);
        sid_t sid = slot_alloc(f->ep, 1);
        assert_false(object_is_error(slot_at(f->ep, sid)));
        object_stage_error(f->ep, sid, codes[i], text);
        object_publish(f->ep, sid);
        assert_true(object_is_error(slot_at(f->worker, sid)));
        assert_int_equal(object_error_status(slot_at(f->worker, sid)), codes[i]);
        assert_int_equal(object_look(f->worker, slot_at(f->worker, sid), &view), codes[i]);
        assert_string_equal(mray_error_message(), text);
        release(f->ep, sid);
        sid = slot_alloc(f->ep, 1);
        memset(longer, 'x', sizeof longer - 1);
        longer[sizeof longer - 1] = 0;
        object_stage_error(f->ep, sid, codes[i], longer);
        object_publish(f->ep, sid);
        assert_int_equal(object_look(f->ep, slot_at(f->ep, sid), &view), codes[i]);
        assert_memory_equal(mray_error_message(), "xxxxxxxx", 8);
        release(f->ep, sid);
    }
}

/* Fill both arenas to the last block. */
static int fill_store(fixture_t *f, sid_t *sids, size_t bytes)
{
    static uint8_t data[1 << 14];
    int n = 0;
    for (;;) {
        sid_t sid = slot_alloc(f->ep, 1);
        assert_int_not_equal(sid, 0);
        int status = object_stage(f->ep, sid, &(object_value_t){.type = BYTES_TYPE, .data = data, .bytes = bytes});
        if (status != MRAY_OK) {
            assert_int_equal(status, MRAY_ERR_OBJECT_STORE_FULL);
            assert_int_equal(slot_at(f->ep, sid)->kind, SLOT_KIND_NONE);
            slot_change(f->ep, sid, RC_DROP_PRODUCER);
            release(f->ep, sid);
            return n;
        }
        object_publish(f->ep, sid);
        sids[n++] = sid;
    }
}

static void test_full_store_says_so_and_serves_again(void **state)
{
    fixture_t *f = *state;
    static sid_t sids[640];
    int n = fill_store(f, sids, (1 << 14) - 64);
    assert_int_equal(n, 2 * ARENA / (1 << 14)); /* both ranks' arenas, to the last byte */
    assert_non_null(strstr(mray_error_message(), "store"));
    assert_int_equal(test_store_used_bytes(f->ep, 0), ARENA);
    assert_int_equal(test_store_used_bytes(f->ep, 1), ARENA);
    release(f->ep, sids[n - 1]);
    sid_t again[2];
    assert_int_equal(fill_store(f, again, (1 << 14) - 64), 1);
    release(f->ep, again[0]);
    for (int i = 0; i < n - 1; i++) release(f->ep, sids[i]);
}

static void test_small_values_and_errors_need_no_room(void **state)
{
    fixture_t *f = *state;
    static sid_t sids[640];
    double x = 2.5;
    mray_view view;
    int n = fill_store(f, sids, (1 << 14) - 64);
    sid_t small = put(f->ep, &(object_value_t){.type = F64, .data = &x, .bytes = 8});
    assert_true(*(const double *)look(f->worker, small).data == 2.5);
    sid_t error = slot_alloc(f->ep, 1);
    object_stage_error(f->ep, error, MRAY_ERR_TASK, "this text finds no room");
    object_publish(f->ep, error);
    assert_int_equal(object_look(f->ep, slot_at(f->ep, error), &view), MRAY_ERR_TASK);
    assert_string_equal(mray_error_message(), mray_status_text(MRAY_ERR_TASK));
    release(f->ep, small);
    release(f->ep, error);
    for (int i = 0; i < n; i++) release(f->ep, sids[i]);
}

static void test_full_store_is_waited_for_as_long_as_set(void **state)
{
    fixture_t *f = *state;
    static sid_t sids[640];
    static uint8_t data[1 << 14];
    int n = fill_store(f, sids, (1 << 14) - 64);
    object_value_t v = {.type = BYTES_TYPE, .data = data, .bytes = (1 << 14) - 64}, too_large = {.type = BYTES_TYPE, .data = NULL, .bytes = ARENA};
    sid_t sid = slot_alloc(f->ep, 1);
    void *room;
    object_full_wait_ns = 30000000;
    uint64_t before = base_clock_ns();
    assert_int_equal(object_stage(f->ep, sid, &v), MRAY_ERR_OBJECT_STORE_FULL);
    assert_true(base_clock_ns() - before >= 30000000);
    object_full_wait_ns = UINT64_C(60000000000);
    before = base_clock_ns();
    assert_int_equal(object_reserve(f->ep, sid, &too_large, &room), MRAY_ERR_OBJECT_STORE_FULL); /* no release would make room for it */
    assert_true(base_clock_ns() - before < UINT64_C(30000000000));
    object_full_wait_ns = 0;
    slot_change(f->ep, sid, RC_DROP_PRODUCER);
    release(f->ep, sid);
    for (int i = 0; i < n; i++) release(f->ep, sids[i]);
}

typedef struct {
    ep_t *ep;
    sid_t sid;
} later_t;

static void *release_later(void *arg)
{
    later_t *later = arg;
    usleep(20000);
    slot_change(later->ep, later->sid, RC_DROP_CREATOR);
    return NULL;
}

static void test_room_made_meanwhile_is_taken(void **state)
{
    fixture_t *f = *state;
    static sid_t sids[640];
    static uint8_t data[1 << 14];
    int n = fill_store(f, sids, (1 << 14) - 64);
    ep_t *other = test_node_open(&f->t, 0, 0, EP_KIND_USER, false);
    later_t later = {.ep = other, .sid = sids[0]};
    pthread_t thread;
    object_full_wait_ns = UINT64_C(30000000000);
    assert_int_equal(pthread_create(&thread, NULL, release_later, &later), 0);
    sid_t sid = put(f->ep, &(object_value_t){.type = BYTES_TYPE, .data = data, .bytes = (1 << 14) - 64});
    pthread_join(thread, NULL);
    release(f->ep, sid);
    for (int i = 1; i < n; i++) release(f->ep, sids[i]);
    ep_close(other);
}

static void test_sizes_beyond_any_store_are_refused(void **state)
{
    fixture_t *f = *state;
    void *room;
    sid_t sid = slot_alloc(f->ep, 1);
    object_value_t v = {.type = BYTES_TYPE, .bytes = ARENA_CAPACITY_MAX + 1};
    assert_int_equal(object_reserve(f->ep, sid, &v, &room), MRAY_ERR_INVALID_ARGUMENT);
    v = (object_value_t){.type = BYTES_TYPE, .bytes = UINT64_MAX};
    assert_int_equal(object_reserve(f->ep, sid, &v, &room), MRAY_ERR_INVALID_ARGUMENT);
    v = (object_value_t){.type = BYTES_TYPE, .bytes = 1, .metadata_bytes = (uint64_t)UINT32_MAX + 1};
    assert_int_equal(object_reserve(f->ep, sid, &v, &room), MRAY_ERR_INVALID_ARGUMENT);
    v = (object_value_t){.type = BYTES_TYPE, .bytes = ARENA_CAPACITY_MAX};
    assert_int_equal(object_reserve(f->ep, sid, &v, &room), MRAY_ERR_OBJECT_STORE_FULL);
    slot_change(f->ep, sid, RC_DROP_PRODUCER);
    release(f->ep, sid);
}

static void test_dtype_names(void **state)
{
    (void)state;
    assert_string_equal(mray_dtype_name(MRAY_FLOAT64), "float64");
    assert_string_equal(mray_dtype_name(MRAY_VOID), "void");
    assert_string_equal(mray_dtype_name(MRAY_ACTOR), "actor");
    assert_string_equal(mray_dtype_name(MRAY_N_DTYPES), "unknown");
    assert_string_equal(mray_dtype_name(-1), "unknown");
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_ready_from_the_start, setup, teardown),
        TEST(test_values_of_every_size_come_back),
        TEST(test_views_of_payloads_are_read_only_memory),
        TEST(test_types_and_dimensions_come_back),
        TEST(test_small_arrays_know_their_length),
        TEST(test_metadata_lies_behind_the_data),
        TEST(test_reserved_room_is_filled_in_place),
        TEST(test_unstaged_values_give_their_room_back),
        TEST(test_errors_are_objects_with_status_and_sentence),
        TEST(test_full_store_says_so_and_serves_again),
        TEST(test_small_values_and_errors_need_no_room),
        TEST(test_full_store_is_waited_for_as_long_as_set),
        TEST(test_room_made_meanwhile_is_taken),
        TEST(test_sizes_beyond_any_store_are_refused),
        cmocka_unit_test(test_dtype_names),
    };
    return cmocka_run_group_tests_name("store.object", tests, NULL, NULL);
}
