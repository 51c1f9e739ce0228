/* mpi_basic.c: objects and their life: put, get, create and seal, views, batches, release, retain, sizes up to 64 MiB. */
/* ranks: local 1 2 4 */
#include "check.h"

#include <stdlib.h>
#include <string.h>

enum { MILLISECOND = 1000000 };
#define TYPE(dtype_, size_, is_array_) ((mray_type){.dtype = (dtype_), .size = (size_), .is_array = (is_array_)})
#define BYTES TYPE(MRAY_BYTES, 1, 0)
#define BYTE_ARRAY TYPE(MRAY_UINT8, 1, 1)

MRAY_TASK(int64_t, twice, int64_t, x) { return 2 * x; }
MRAY_TASK(int64_t, add, int64_t, x, int64_t, y) { return x + y; }

MRAY_TASK(int64_t, first_plus_last, mray_array(int64_t), v)
{
    return v.n == 0 ? -1 : v.data[0] + v.data[v.n - 1] + v.ndim;
}

static uint8_t pattern(size_t size, size_t i)
{
    return (uint8_t)(i * 31 + i / 4096 + size);
}

/* 1 if every byte is what pattern() says. */
MRAY_TASK(int32_t, has_pattern, mray_array(uint8_t), v, uint64_t, size)
{
    if (v.n != size) return 0;
    for (size_t i = 0; i < v.n; i++)
        if (v.data[i] != pattern(size, i)) return 0;
    return 1;
}

MRAY_TASK(mray_array(uint8_t), make_pattern, uint64_t, size)
{
    mray_array(uint8_t) v = mray_return_array(uint8_t, size);
    for (size_t i = 0; v.data != NULL && i < size; i++) v.data[i] = pattern(size, i);
    return v;
}

static void test_scalars_of_every_type_come_back(void)
{
#define ROUND_TRIP(T, value)                                                                                                  \
    do {                                                                                                                      \
        T in = (value), out = 0;                                                                                              \
        mray_ref ref = mray_put(in);                                                                                          \
        CHECK(!mray_ref_is_nil(ref));                                                                                         \
        CHECK_OK(mray_get(ref, &out));                                                                                        \
        CHECK(in == out);                                                                                                     \
        CHECK_OK(mray_release(ref));                                                                                          \
    } while (0)
    ROUND_TRIP(int8_t, -8);
    ROUND_TRIP(int16_t, -16000);
    ROUND_TRIP(int32_t, INT32_MIN);
    ROUND_TRIP(int64_t, INT64_MIN);
    ROUND_TRIP(uint8_t, 255);
    ROUND_TRIP(uint16_t, 65535);
    ROUND_TRIP(uint32_t, UINT32_MAX);
    ROUND_TRIP(uint64_t, UINT64_MAX);
    ROUND_TRIP(float, 0.25f);
    ROUND_TRIP(double, -1e300);
    ROUND_TRIP(bool, true);
    ROUND_TRIP(long, -7);
#undef ROUND_TRIP
}

static void test_structs_of_all_sizes_come_back(void)
{
    static const size_t sizes[] = {1, 8, 23, 24, 25, 64, 1000, 70000};
    char *in = malloc(70000), *out = malloc(70000);
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        size_t size = sizes[k], got = 0;
        for (size_t i = 0; i < size; i++) in[i] = (char)pattern(size, i);
        mray_ref ref;
        CHECK_OK(mray_put_bytes(in, size, TYPE(MRAY_BYTES, (uint32_t)size, 0), NULL, &ref));
        CHECK_OK(mray_get_bytes(ref, out, size, BYTES, MRAY_FOREVER, &got));
        CHECK_EQUAL(got, size);
        CHECK(memcmp(in, out, size) == 0);
        CHECK_OK(mray_release(ref));
    }
    free(in);
    free(out);
}

static void test_a_view_shows_dimensions_and_metadata(void)
{
    double m[3][4];
    for (int i = 0; i < 12; i++) m[i / 4][i % 4] = i * 0.5;
    mray_put_opts opts = {.ndim = 2, .dims = {3, 4}, .metadata = "unit=K", .metadata_size = 7};
    mray_ref ref;
    CHECK_OK(mray_put_bytes(m, sizeof m, TYPE(MRAY_FLOAT64, 8, 1), &opts, &ref));
    mray_view view;
    CHECK_OK(mray_get_view(ref, MRAY_FOREVER, &view));
    CHECK_EQUAL(view.size, sizeof m);
    CHECK_EQUAL((uintptr_t)view.data % 64, 0);
    CHECK_EQUAL(view.type.dtype, MRAY_FLOAT64);
    CHECK_EQUAL(view.ndim, 2);
    CHECK_EQUAL(view.dims[0], 3);
    CHECK_EQUAL(view.dims[1], 4);
    CHECK_EQUAL(view.metadata_size, 7);
    CHECK(view.metadata != NULL && memcmp(view.metadata, "unit=K", 7) == 0);
    CHECK(memcmp(view.data, m, sizeof m) == 0);
    /* The view holds the object when the ref is gone. */
    CHECK_OK(mray_release(ref));
    for (int i = 0; i < 100; i++) CHECK_OK(mray_release(mray_put_array(&m[0][0], 12)));
    CHECK(memcmp(view.data, m, sizeof m) == 0);
    mray_view_release(&view);
    CHECK(view.data == NULL);
    mray_view_release(&view);
    mray_view_release(NULL);
}

static void test_a_small_value_keeps_its_metadata(void)
{
    int32_t x = 5;
    mray_put_opts opts = {.metadata = "small", .metadata_size = 5};
    mray_ref ref;
    CHECK_OK(mray_put_bytes(&x, sizeof x, TYPE(MRAY_INT32, 4, 0), &opts, &ref));
    mray_view view;
    CHECK_OK(mray_get_view(ref, MRAY_FOREVER, &view));
    CHECK_EQUAL(view.ndim, 0);
    CHECK_EQUAL(view.metadata_size, 5);
    CHECK(view.metadata != NULL && memcmp(view.metadata, "small", 5) == 0);
    CHECK(*(const int32_t *)view.data == 5);
    mray_view_release(&view);
    CHECK_OK(mray_release(ref));
}

/* Driver to store to task to store to driver. */
static void test_arrays_of_all_sizes_travel(void)
{
    static const size_t sizes[] = {0, 1, 8, 24, 25, 64, 4095, 4096, 4097, 256 << 10, 1 << 20, 64 << 20};
    uint8_t *buf = malloc(64 << 20);
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        size_t size = sizes[k];
        for (size_t i = 0; i < size; i++) buf[i] = pattern(size, i);
        mray_ref ref = mray_put_array(buf, size);
        int rank = check_worker_rank((int)k);
        mray_ref seen = mray_remote_with(check_on_rank(rank), has_pattern, ref, (uint64_t)size);
        mray_ref made = mray_remote_with(check_on_rank(rank), make_pattern, (uint64_t)size);
        int32_t ok = 0;
        CHECK_OK(mray_get(seen, &ok));
        CHECK(ok == 1);
        memset(buf, 0, size);
        CHECK_OK(mray_get_array(made, buf, size));
        CHECK(has_pattern(mray_array_of(uint8_t, buf, size), size));
        CHECK_OK(mray_release_many((mray_ref[]){ref, seen, made}, 3));
    }
    free(buf);
}

static void test_an_array_argument_is_copied(void)
{
    int64_t small[4] = {1, 2, 3, 4}, *large = malloc(100000 * sizeof *large);
    for (int i = 0; i < 100000; i++) large[i] = i;
    mray_ref a = mray_remote(first_plus_last, mray_array_of(int64_t, small, 4));
    mray_ref b = mray_remote(first_plus_last, mray_array_of(int64_t, large, 100000));
    mray_ref c = mray_remote(first_plus_last, mray_array_of(int64_t, NULL, 0));
    memset(small, 255, sizeof small);
    memset(large, 255, 100000 * sizeof *large);
    int64_t x = 0;
    CHECK_OK(mray_get(a, &x));
    CHECK_EQUAL(x, 6);
    CHECK_OK(mray_get(b, &x));
    CHECK_EQUAL(x, 100000);
    CHECK_OK(mray_get(c, &x));
    CHECK_EQUAL(x, -1);
    CHECK_OK(mray_release_many((mray_ref[]){a, b, c}, 3));
    free(large);
}

static void test_a_created_object_is_there_when_sealed(void)
{
    void *data = NULL;
    mray_ref ref, dependent;
    int64_t x = 0;
    CHECK_OK(mray_create(sizeof x, TYPE(MRAY_INT64, 8, 0), NULL, &data, &ref));
    dependent = mray_remote(add, ref, ref);
    CHECK_STATUS(mray_get_timeout(ref, &x, 0), MRAY_ERR_TIMEOUT);
    CHECK_STATUS(mray_get_timeout(dependent, &x, 2 * MILLISECOND), MRAY_ERR_TIMEOUT);
    *(int64_t *)data = 21;
    CHECK_OK(mray_seal(ref));
    CHECK_OK(mray_get_timeout(ref, &x, 0));
    CHECK_EQUAL(x, 21);
    CHECK_OK(mray_get(dependent, &x));
    CHECK_EQUAL(x, 42);
    CHECK_STATUS(mray_seal(ref), MRAY_ERR_INVALID_ARGUMENT);
    CHECK_STATUS(mray_seal(dependent), MRAY_ERR_INVALID_ARGUMENT);
    CHECK_OK(mray_release_many((mray_ref[]){ref, dependent}, 2));

    /* Given up before it is sealed. */
    CHECK_OK(mray_create(1 << 20, BYTE_ARRAY, NULL, &data, &ref));
    memset(data, 1, 1 << 20);
    CHECK_OK(mray_release(ref));
}

static void test_get_many_copies_the_others_after_an_error(void)
{
    enum { N = 50 };
    mray_ref refs[N];
    int64_t values[N];
    void *bufs[N];
    int statuses[N];
    for (int i = 0; i < N; i++) {
        refs[i] = mray_remote(twice, i);
        values[i] = -1;
        bufs[i] = &values[i];
    }
    mray_type type = TYPE(MRAY_INT64, 8, 0);
    CHECK_OK(mray_get_many(refs, N, bufs, 8, type, MRAY_FOREVER, statuses));
    for (int i = 0; i < N; i++) CHECK(values[i] == 2 * i && statuses[i] == MRAY_OK);
    CHECK_OK(mray_get_many(refs, N, bufs, 8, type, MRAY_FOREVER, NULL));
    CHECK_OK(mray_get_many(NULL, 0, NULL, 8, type, MRAY_FOREVER, NULL));

    void *data;
    CHECK_OK(mray_release(refs[7]));
    CHECK_OK(mray_create(8, type, NULL, &data, &refs[7]));
    memset(values, 255, sizeof values);
    CHECK_STATUS(mray_get_many(refs, N, bufs, 8, type, 5 * MILLISECOND, statuses), MRAY_ERR_TIMEOUT);
    for (int i = 0; i < N; i++) {
        CHECK_EQUAL(statuses[i], i == 7 ? MRAY_ERR_TIMEOUT : MRAY_OK);
        CHECK_EQUAL(values[i], i == 7 ? -1 : 2 * i);
    }
    mray_ref again[2] = {refs[7], {.gen = MRAY_OK}};
    CHECK_OK(mray_release_many(again, 2));
    refs[7] = (mray_ref){0};
    CHECK_OK(mray_release_many(refs, N));
}

static void test_a_released_ref_is_recognised(void)
{
    int64_t x = 0;
    mray_ref ref = mray_put((int64_t)9);
    CHECK_OK(mray_retain(ref));
    CHECK_OK(mray_release(ref));
    CHECK_OK(mray_get(ref, &x));
    CHECK_EQUAL(x, 9);
    CHECK_OK(mray_release(ref));
    for (int round = 0; round < 2; round++) {
        CHECK_ERROR(mray_get(ref, &x), MRAY_ERR_INVALID_REF, "released");
        CHECK_STATUS(mray_release(ref), MRAY_ERR_INVALID_REF);
        CHECK_STATUS(mray_retain(ref), MRAY_ERR_INVALID_REF);
        mray_view view;
        CHECK_STATUS(mray_get_view(ref, 0, &view), MRAY_ERR_INVALID_REF);
        bool ready;
        CHECK_STATUS(mray_wait(&ref, 1, 1, 0, &ready, NULL), MRAY_ERR_INVALID_REF);
        CHECK_NIL(mray_remote(twice, ref), MRAY_ERR_INVALID_REF, "released");
        /* The second time its slot has been used by others. */
        for (int i = 0; i < 1000; i++) CHECK_OK(mray_release(mray_put((int64_t)i)));
    }
}

/* Arguments keep their objects until the task is done. */
static void test_a_task_holds_what_it_was_given(void)
{
    mray_ref gate, array, result;
    void *data;
    CHECK_OK(mray_create(8, TYPE(MRAY_UINT64, 8, 0), NULL, &data, &gate));
    uint8_t *buf = malloc(5000);
    for (size_t i = 0; i < 5000; i++) buf[i] = pattern(5000, i);
    array = mray_put_array(buf, 5000);
    result = mray_remote(has_pattern, array, gate);
    CHECK_OK(mray_release(array));
    memset(buf, 0, 5000);
    for (int i = 0; i < 50; i++) CHECK_OK(mray_release(mray_put_array(buf, 5000)));
    *(uint64_t *)data = 5000;
    CHECK_OK(mray_seal(gate));
    int32_t ok = 0;
    CHECK_OK(mray_get(result, &ok));
    CHECK(ok == 1);
    CHECK_OK(mray_release_many((mray_ref[]){gate, result}, 2));
    free(buf);
}

/* Results nobody waits for are freed when the task is done. */
static void test_a_result_may_be_released_before_it_exists(void)
{
    mray_ref gate;
    void *data;
    CHECK_OK(mray_create(8, TYPE(MRAY_UINT64, 8, 0), NULL, &data, &gate));
    for (int i = 0; i < 100; i++) CHECK_OK(mray_release(mray_remote(make_pattern, gate)));
    *(uint64_t *)data = 10000;
    CHECK_OK(mray_seal(gate));
    CHECK_OK(mray_release(gate));
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv, NULL);
    size_t used = check_store_used();
    test_scalars_of_every_type_come_back();
    test_structs_of_all_sizes_come_back();
    test_a_view_shows_dimensions_and_metadata();
    test_a_small_value_keeps_its_metadata();
    test_an_array_argument_is_copied();
    test_a_created_object_is_there_when_sealed();
    test_get_many_copies_the_others_after_an_error();
    test_a_released_ref_is_recognised();
    test_a_task_holds_what_it_was_given();
    test_a_result_may_be_released_before_it_exists();
    test_arrays_of_all_sizes_travel();
    CHECK(check_store_settles(used));
    return check_finish();
}
