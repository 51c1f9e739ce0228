/* mpi_bad_use.c: what a user can do wrong gets a status and a sentence that names the call or the argument; never a crash or a hang. */
/* ranks: local 1 2 4 */
#include "check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TYPE(dtype_, size_, is_array_) ((mray_type){.dtype = (dtype_), .size = (size_), .is_array = (is_array_)})
static const mray_type INT64 = {.dtype = MRAY_INT64, .size = 8};

MRAY_TASK(int64_t, same, int64_t, x) { return x; }
MRAY_TASK(int64_t, sum_of_array, mray_array(int64_t), v)
{
    int64_t sum = 0;
    for (size_t i = 0; i < v.n; i++) sum += v.data[i];
    return sum;
}

MRAY_TASK(mray_array(uint8_t), make_bytes, uint64_t, n)
{
    mray_array(uint8_t) v = mray_return_array(uint8_t, n);
    if (v.data == NULL) mray_fail("no room: %s", mray_error_message());
    return v;
}

typedef struct {
    int64_t n;
} cell;

MRAY_ACTOR(cell, int64_t, n)
{
    self->n = n;
}

MRAY_METHOD(int64_t, cell, read)
{
    return self->n;
}

typedef struct {
    char bytes[40];
} large_cell;
MRAY_TASK(large_cell, make_large_cell, int64_t, n)
{
    large_cell c = {{(char)n}};
    return c;
}
MRAY_TASK(int64_t, small_cell, cell, c) { return c.n; }
MRAY_TASK(void, nothing, int64_t, x) { (void)x; }
MRAY_TASK(int64_t, two_results, int64_t, x)
{
    mray_array(int64_t) v = mray_array_of(int64_t, &x, 1);
    CHECK_OK(mray_return(1, v));
    return x;
}

static void call_anything(void *const *args, void *ret)
{
    (void)args;
    *(int64_t *)ret = 0;
}
static mray_function unregistered = {.name = "unregistered", .call = call_anything, .ret = {.dtype = MRAY_INT64, .size = 8}};

/* Before init and after finalize. */
static void test_calls_without_a_session(void)
{
    enum { NOT = MRAY_ERR_NOT_INITIALIZED };
    int64_t x = 1;
    mray_ref ref = {.rank = 0, .slot = 1, .gen = 1, .epoch = 1};
    mray_actor actor = {.rank = 0, .id = 1, .epoch = 1};
    mray_view view;
    mray_info info;
    bool ready;
    void *data;
    char text[200];
    CHECK(!mray_is_initialized());
    CHECK_ERROR(mray_put_bytes(&x, 8, INT64, NULL, &ref), NOT, "mray_put");
    CHECK(mray_ref_is_nil(ref));
    CHECK_ERROR(mray_get(ref, &x), NOT, "mray_get");
    CHECK_ERROR(mray_get_view(ref, 0, &view), NOT, "mray_get_view");
    CHECK_ERROR(mray_create(8, INT64, NULL, &data, &ref), NOT, "mray_create");
    CHECK_ERROR(mray_seal(ref), NOT, "mray_seal");
    CHECK_ERROR(mray_wait(&ref, 1, 1, 0, &ready, NULL), NOT, "mray_wait");
    CHECK_ERROR(mray_retain(ref), NOT, "mray_retain");
    CHECK_ERROR(mray_release(ref), NOT, "mray_release");
    CHECK_ERROR(mray_get_info(&info), NOT, "mray_get_info");
    CHECK_NIL(mray_remote(same, 1), NOT, "mray_remote");
    CHECK_ERROR(mray_actor_create(&cell__mray_class, NULL, 0, NULL, &actor), NOT, "actor");
    CHECK(mray_actor_is_nil(actor));
    CHECK_ERROR(mray_actor_find("x", &actor), NOT, "mray_actor_find");
    CHECK_ERROR(mray_actor_kill(actor), NOT, "actor");
    CHECK_ERROR(mray_actor_stop(actor), NOT, "actor");
    CHECK_NIL(mray_call(actor, cell, read), NOT, "mray_call");
    CHECK_ERROR(mray_finalize(), NOT, "mray_finalize");
    CHECK(mray_status_report(text, sizeof text) > 0);
    view = (mray_view){0};
    mray_view_release(&view);
    mray_fail("nobody hears %s", "this");
    (void)mray_progress();
}

static void test_init_with_bad_options(void)
{
    mray_resource nothing = {.name = "gold", .amount = 0}, unnamed = {.name = NULL, .amount = 1};
    mray_resource long_name = {.name = "a_name_that_is_longer_than_thirty_one_characters", .amount = 1};
    mray_init_opts bad[] = {{.num_workers = -1},        {.workers = 99},
                            {.log_level = "loud"},      {.num_workers = 1000000},
                            {.resources = &nothing, .n_resources = 1}, {.resources = &unnamed, .n_resources = 1},
                            {.resources = &long_name, .n_resources = 1}, {.n_resources = 1},
                            {.n_resources = -1}};
    static const char *const words[] = {"num_workers", "workers", "log_level", "num_workers", "gold", "resource", "resource", "resource", "resource"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_ERROR(mray_init(NULL, NULL, &bad[i]), MRAY_ERR_INVALID_ARGUMENT, words[i]);
        if (mray_is_initialized()) CHECK_OK(mray_finalize());
    }
    static const char *const settings[][2] = {{"MRAY_NUM_WORKERS", "many"}, {"MRAY_LOG", "loud"}, {"MRAY_STORE_BYTES", "12 apples"},
                                              {"MRAY_MAX_TASKS", "1"}, {"MRAY_BULK", "pigeon"}, {"MRAY_RESOURCES", "gold=much"}};
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        setenv(settings[i][0], settings[i][1], 1);
        CHECK_ERROR(mray_init(NULL, NULL, NULL), MRAY_ERR_INVALID_ARGUMENT, settings[i][0]);
        unsetenv(settings[i][0]);
        if (mray_is_initialized()) CHECK_OK(mray_finalize());
    }
    CHECK(!mray_is_initialized());
}

static void test_get_of_what_is_no_object(void)
{
    int64_t x = 0;
    mray_ref good = mray_put(x), bad[] = {{0}, good, good, good, good, {.rank = 0xdeadbeef, .slot = 0xdeadbeef, .gen = 7, .epoch = 3}};
    bad[1].rank = 999;
    bad[2].slot = 0x7fffff;
    bad[3].gen += 17;
    bad[4].epoch ^= 0x5555;
    mray_view view;
    bool ready;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_ERROR(mray_get(bad[i], &x), MRAY_ERR_INVALID_REF, "ref");
        CHECK_ERROR(mray_get_view(bad[i], 0, &view), MRAY_ERR_INVALID_REF, "ref");
        CHECK_ERROR(mray_release(bad[i]), MRAY_ERR_INVALID_REF, "ref");
        CHECK_ERROR(mray_retain(bad[i]), MRAY_ERR_INVALID_REF, "ref");
        CHECK_ERROR(mray_seal(bad[i]), MRAY_ERR_INVALID_REF, "ref");
        CHECK_ERROR(mray_wait(&bad[i], 1, 1, 0, &ready, NULL), MRAY_ERR_INVALID_REF, "ref");
        CHECK_NIL(mray_remote(same, bad[i]), MRAY_ERR_INVALID_REF, "same");
    }
    CHECK_OK(mray_get(good, &x));
    CHECK_OK(mray_release(good));
}

static void test_get_with_a_wrong_type_or_size(void)
{
    int64_t x = 5;
    double d[4] = {1, 2, 3, 4};
    float f = 0;
    struct {
        char bytes[16];
    } small;
    mray_ref value = mray_put(x), array = mray_put_array(d, 4), bytes;
    char large[24] = "";
    CHECK_OK(mray_put_bytes(large, 24, TYPE(MRAY_BYTES, 24, 0), NULL, &bytes));
    CHECK_OK(mray_get(value, NULL));
    CHECK_OK(mray_get(array, NULL));
    void *not_null = &x;
    CHECK_ERROR(mray_get(value, not_null), MRAY_ERR_TYPE, "int8");
    CHECK_ERROR(mray_get(value, (int64_t *)NULL), MRAY_ERR_INVALID_ARGUMENT, "NULL");
    CHECK_ERROR(mray_get(value, &f), MRAY_ERR_TYPE, "float32");
    CHECK_ERROR(mray_get(value, &d[0]), MRAY_ERR_TYPE, "float64");
    CHECK_ERROR(mray_get(array, &d[0]), MRAY_ERR_TYPE, "array");
    CHECK_ERROR(mray_get_array(value, &x, 1), MRAY_ERR_TYPE, "array");
    CHECK_ERROR(mray_get_array(array, &x, 4), MRAY_ERR_TYPE, "int64");
    CHECK_ERROR(mray_get_array(array, d, 3), MRAY_ERR_BUFFER_TOO_SMALL, "32 bytes");
    CHECK_ERROR(mray_get(bytes, &small), MRAY_ERR_BUFFER_TOO_SMALL, "24 bytes");
    CHECK_ERROR(mray_get_bytes(array, NULL, 32, TYPE(MRAY_FLOAT64, 8, 1), 0, NULL), MRAY_ERR_INVALID_ARGUMENT, "NULL");
    CHECK_ERROR(mray_get_timeout(value, &x, -1), MRAY_ERR_INVALID_ARGUMENT, "negative");
    CHECK_ERROR(mray_get_view(value, 0, NULL), MRAY_ERR_INVALID_ARGUMENT, "view_p");
    mray_view view;
    CHECK_ERROR(mray_get_view(value, INT64_MIN, &view), MRAY_ERR_INVALID_ARGUMENT, "negative");
    bool ready;
    CHECK_ERROR(mray_wait(&value, 1, 1, -5, &ready, NULL), MRAY_ERR_INVALID_ARGUMENT, "negative");
    CHECK_ERROR(mray_wait(NULL, 1, 1, 0, &ready, NULL), MRAY_ERR_INVALID_ARGUMENT, "refs");
    CHECK_ERROR(mray_wait(&value, 1, 1, 0, NULL, NULL), MRAY_ERR_INVALID_ARGUMENT, "ready");
    CHECK_ERROR(mray_get_many(NULL, 1, NULL, 8, INT64, 0, NULL), MRAY_ERR_INVALID_ARGUMENT, "mray_get_many");
    void *buf = &x;
    CHECK_ERROR(mray_get_many(&value, 1, &buf, 8, INT64, -1, NULL), MRAY_ERR_INVALID_ARGUMENT, "negative");
    CHECK_ERROR(mray_release_many(NULL, 3), MRAY_ERR_INVALID_ARGUMENT, "mray_release_many");
    CHECK_ERROR(mray_get_info(NULL), MRAY_ERR_INVALID_ARGUMENT, "mray_get_info");
    CHECK_OK(mray_release_many((mray_ref[]){value, array, bytes}, 3));
}

static void test_put_of_what_is_no_value(void)
{
    int64_t x[4] = {0};
    mray_ref ref;
    void *data;
    CHECK_ERROR(mray_put_bytes(NULL, 8, INT64, NULL, &ref), MRAY_ERR_INVALID_ARGUMENT, "data");
    CHECK(mray_ref_is_nil(ref));
    CHECK_STATUS(mray_get(ref, &x[0]), MRAY_ERR_INVALID_ARGUMENT);
    CHECK_ERROR(mray_put_bytes(x, 8, INT64, NULL, NULL), MRAY_ERR_INVALID_ARGUMENT, "ref_p");
    CHECK_ERROR(mray_put_bytes(x, 12, TYPE(MRAY_INT64, 8, 1), NULL, &ref), MRAY_ERR_INVALID_ARGUMENT, "12 bytes");
    CHECK_ERROR(mray_put_bytes(x, 8, TYPE(99, 8, 0), NULL, &ref), MRAY_ERR_INVALID_ARGUMENT, "99");
    CHECK_ERROR(mray_put_bytes(x, 8, TYPE(MRAY_INT64, 0, 0), NULL, &ref), MRAY_ERR_INVALID_ARGUMENT, "0 bytes");
    mray_put_opts five = {.ndim = 5}, negative = {.ndim = -1}, wrong = {.ndim = 2, .dims = {3, 3}}, huge = {.ndim = 2, .dims = {1ull << 40, 1ull << 40}};
    mray_put_opts no_metadata = {.metadata_size = 5};
    mray_type array = TYPE(MRAY_INT64, 8, 1);
    CHECK_ERROR(mray_put_bytes(x, 32, array, &five, &ref), MRAY_ERR_INVALID_ARGUMENT, "ndim");
    CHECK_ERROR(mray_put_bytes(x, 32, array, &negative, &ref), MRAY_ERR_INVALID_ARGUMENT, "ndim");
    CHECK_ERROR(mray_put_bytes(x, 32, array, &wrong, &ref), MRAY_ERR_INVALID_ARGUMENT, "dimensions");
    CHECK_ERROR(mray_put_bytes(x, 32, array, &huge, &ref), MRAY_ERR_INVALID_ARGUMENT, "dimensions");
    CHECK_ERROR(mray_put_bytes(x, 8, INT64, &no_metadata, &ref), MRAY_ERR_INVALID_ARGUMENT, "metadata");
    CHECK_ERROR(mray_create(8, INT64, NULL, NULL, &ref), MRAY_ERR_INVALID_ARGUMENT, "data_p");
    CHECK_ERROR(mray_create(8, INT64, NULL, &data, NULL), MRAY_ERR_INVALID_ARGUMENT, "ref_p");
    CHECK_NIL(mray_put_array((int64_t *)NULL, 4), MRAY_ERR_INVALID_ARGUMENT, "data");
}

static void test_submit_with_bad_arguments(void)
{
    int64_t values[9] = {0};
    double d = 0.5;
    mray_arg args[9];
    mray_ref ref, refs[2];
    for (int i = 0; i < 9; i++) args[i] = (mray_arg){.type = INT64, .data = &values[i], .n = 1};
    CHECK_ERROR(mray_submit(&same__mray, args, 9, NULL, &ref), MRAY_ERR_TOO_MANY_ARGUMENTS, "9 arguments");
    CHECK(mray_ref_is_nil(ref));
    CHECK_ERROR(mray_submit(&same__mray, args, 2, NULL, &ref), MRAY_ERR_INVALID_ARGUMENT, "2 arguments");
    CHECK_ERROR(mray_submit(&same__mray, args, 0, NULL, &ref), MRAY_ERR_INVALID_ARGUMENT, "same");
    CHECK_ERROR(mray_submit(&same__mray, args, -1, NULL, &ref), MRAY_ERR_INVALID_ARGUMENT, "same");
    CHECK_ERROR(mray_submit(&same__mray, NULL, 1, NULL, &ref), MRAY_ERR_INVALID_ARGUMENT, "same");
    CHECK_ERROR(mray_submit(&same__mray, args, 1, NULL, NULL), MRAY_ERR_INVALID_ARGUMENT, "refs_p");
    CHECK_ERROR(mray_submit(NULL, args, 1, NULL, &ref), MRAY_ERR_INVALID_ARGUMENT, "function");
    CHECK_ERROR(mray_submit(&unregistered, NULL, 0, NULL, &ref), MRAY_ERR_TASK_NOT_FOUND, "unregistered");
    args[0].data = NULL;
    CHECK_ERROR(mray_submit(&same__mray, args, 1, NULL, &ref), MRAY_ERR_INVALID_ARGUMENT, "argument 1");
    args[0] = (mray_arg){.type = TYPE(MRAY_FLOAT64, 8, 0), .data = &d, .n = 1};
    CHECK_ERROR(mray_submit(&same__mray, args, 1, NULL, &ref), MRAY_ERR_TYPE, "argument 1");
    args[0] = (mray_arg){.type = TYPE(MRAY_INT64, 8, 1), .data = values, .n = 9};
    CHECK_ERROR(mray_submit(&same__mray, args, 1, NULL, &ref), MRAY_ERR_TYPE, "array");
    args[0] = (mray_arg){.type = TYPE(MRAY_FLOAT64, 8, 1), .data = values, .n = 9};
    CHECK_ERROR(mray_submit(&sum_of_array__mray, args, 1, NULL, &ref), MRAY_ERR_TYPE, "float64");
    args[0] = (mray_arg){.type = TYPE(MRAY_BYTES, 72, 0), .data = values, .n = 1};
    CHECK_ERROR(mray_submit(&same__mray, args, 1, NULL, &ref), MRAY_ERR_TYPE, "72 bytes");
    args[0] = (mray_arg){.type = TYPE(77, 8, 0), .data = values, .n = 1};
    CHECK_STATUS(mray_submit(&same__mray, args, 1, NULL, &ref), MRAY_ERR_TYPE);

    args[0] = (mray_arg){.type = INT64, .data = values, .n = 1};
    mray_task_opts bad[] = {{.num_returns = -1},          {.num_returns = MRAY_MAX_RETURNS + 1}, {.max_retries = -3}, {.num_cpus = NAN}, {.num_cpus = -5},
                            {.resource = "x", .resource_amount = -1}, {.resource = ""}};
    static const char *const words[] = {"num_returns", "num_returns", "max_retries", "num_cpus", "num_cpus", "resource", "resource"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        static mray_ref room[MRAY_MAX_RETURNS + 1];
        CHECK_ERROR(mray_submit(&same__mray, args, 1, &bad[i], room), MRAY_ERR_INVALID_ARGUMENT, words[i]);
    }
    CHECK_NIL(mray_remote_with(mray_opts(.num_returns = 2), same, 1), MRAY_ERR_INVALID_ARGUMENT, "mray_remote_n");
    CHECK(mray_function_find("no_such_function") == NULL && mray_function_find(NULL) == NULL);
    CHECK(mray_function_find("same") == &same__mray);
    /* Two results are asked of a task that gives one. */
    CHECK_OK(mray_remote_n(refs, 2, same, 1));
    CHECK_ERROR(mray_get(refs[1], &values[0]), MRAY_ERR_TASK, "same");
    CHECK_OK(mray_release_many(refs, 2));
}

/* What a pending task returns is known when its ref is passed on, before it runs: none of these does until the end. */
static void test_pending_refs_of_a_wrong_type(void)
{
    void *data;
    int64_t x = 0;
    mray_ref gate, two[2];
    CHECK_OK(mray_create(8, INT64, NULL, &data, &gate));
    mray_view view;
    CHECK_ERROR(mray_get(gate, &x), MRAY_ERR_NOT_SEALED, "mray_seal");
    CHECK_ERROR(mray_get_view(gate, MRAY_FOREVER, &view), MRAY_ERR_NOT_SEALED, "mray_get_view");
    mray_ref number = mray_remote(same, gate), again = mray_remote(same, number), array = mray_remote(make_bytes, gate), large = mray_remote(make_large_cell, gate);
    mray_ref none = mray_remote(nothing, gate);
    CHECK_NIL(mray_remote(sum_of_array, number), MRAY_ERR_TYPE, "'same' returns, int64");
    CHECK_NIL(mray_remote(sum_of_array, again), MRAY_ERR_TYPE, "argument 1");
    CHECK_NIL(mray_remote(sum_of_array, array), MRAY_ERR_TYPE, "array of uint8");
    CHECK_NIL(mray_remote(same, array), MRAY_ERR_TYPE, "make_bytes");
    CHECK_NIL(mray_remote(same, none), MRAY_ERR_TYPE, "void");
    CHECK_NIL(mray_remote(small_cell, large), MRAY_ERR_TYPE, "bytes of 40 bytes");
    /* Of a second result nobody knows the type yet: its task says it. */
    CHECK_OK(mray_remote_n(two, 2, two_results, gate));
    CHECK_NIL(mray_remote(sum_of_array, two[0]), MRAY_ERR_TYPE, "two_results");
    mray_ref sum = mray_remote(sum_of_array, two[1]), wrong = mray_remote(same, two[1]);
    *(int64_t *)data = 9;
    CHECK_OK(mray_seal(gate));
    CHECK_OK(mray_get(again, &x));
    CHECK_EQUAL(x, 9);
    CHECK_OK(mray_get(sum, &x));
    CHECK_EQUAL(x, 9);
    CHECK_STATUS(check_done(wrong), MRAY_ERR_TYPE);
    mray_ref all[] = {gate, number, again, array, large, none, two[0], two[1], sum, wrong};
    CHECK_OK(mray_release_many(all, sizeof all / sizeof all[0]));
}

static void test_calls_outside_a_task(void)
{
    int64_t x = 0;
    mray_task_info info;
    CHECK_ERROR(mray_return(1, x), MRAY_ERR_INVALID_ARGUMENT, "mray_return");
    CHECK(mray_return_array_alloc(INT64, 5) == NULL);
    CHECK_STATUS(mray_task_current(&info), MRAY_ERR_INVALID_ARGUMENT);
    mray_fail("this is heard by nobody");
    CHECK_ERROR(mray_init(NULL, NULL, NULL), MRAY_ERR_ALREADY_INITIALIZED, "mray_init");
}

static void test_actors_misused(void)
{
    char name[80];
    memset(name, 'n', sizeof name);
    name[79] = 0;
    mray_actor actor, garbage = {.rank = 12345, .id = 99, .maker = 7, .epoch = 3}, nil = {0};
    int64_t x = 1;
    mray_arg arg = {.type = INT64, .data = &x, .n = 1}, args[9] = {arg, arg, arg, arg, arg, arg, arg, arg, arg};
    const mray_actor_class *cls = &cell__mray_class;
    CHECK_ERROR(mray_actor_create(NULL, &arg, 1, NULL, &actor), MRAY_ERR_INVALID_ARGUMENT, "cls");
    CHECK_ERROR(mray_actor_create(cls, &arg, 1, NULL, NULL), MRAY_ERR_INVALID_ARGUMENT, "actor_p");
    CHECK_ERROR(mray_actor_create(cls, NULL, 0, NULL, &actor), MRAY_ERR_INVALID_ARGUMENT, "cell");
    CHECK(mray_actor_is_nil(actor));
    CHECK_ERROR(mray_actor_create(cls, args, 9, NULL, &actor), MRAY_ERR_TOO_MANY_ARGUMENTS, "cell");
    CHECK_ERROR(mray_actor_create(cls, &arg, 1, &(mray_actor_opts){.name = name}, &actor), MRAY_ERR_INVALID_ARGUMENT, "name");
    CHECK_ERROR(mray_actor_create(cls, &arg, 1, &(mray_actor_opts){.num_cpus = -2}, &actor), MRAY_ERR_INVALID_ARGUMENT, "num_cpus");
    CHECK_ERROR(mray_actor_find(NULL, &actor), MRAY_ERR_INVALID_ARGUMENT, "name");
    CHECK_ERROR(mray_actor_find("nobody", NULL), MRAY_ERR_INVALID_ARGUMENT, "mray_actor_find");
    CHECK_ERROR(mray_actor_find("nobody", &actor), MRAY_ERR_ACTOR_NOT_FOUND, "nobody");

    mray_actor bad[] = {nil, garbage};
    for (int i = 0; i < 2; i++) {
        CHECK_NIL(mray_call(bad[i], cell, read), MRAY_ERR_INVALID_ARGUMENT, "actor");
        CHECK_ERROR(mray_actor_kill(bad[i]), MRAY_ERR_INVALID_ARGUMENT, "actor");
        CHECK_ERROR(mray_actor_stop(bad[i]), MRAY_ERR_INVALID_ARGUMENT, "actor");
    }
    actor = mray_actor_new(cell, 1);
    mray_ref ref;
    CHECK_ERROR(mray_actor_submit(actor, NULL, NULL, 0, NULL, &ref), MRAY_ERR_INVALID_ARGUMENT, "method");
    CHECK_ERROR(mray_actor_submit(actor, &cell__read__mray, &arg, 1, NULL, &ref), MRAY_ERR_INVALID_ARGUMENT, "cell.read");
    CHECK_ERROR(mray_actor_submit(actor, &cell__read__mray, NULL, 0, NULL, NULL), MRAY_ERR_INVALID_ARGUMENT, "refs_p");
    CHECK_ERROR(mray_actor_submit(actor, &unregistered, NULL, 0, NULL, &ref), MRAY_ERR_TASK_NOT_FOUND, "unregistered");
    CHECK_OK(mray_actor_kill(actor));
    for (int i = 0; i < 2; i++) {
        ref = mray_call(actor, cell, read);
        CHECK_ERROR(mray_get(ref, &x), MRAY_ERR_ACTOR_DIED, "cell");
        if (!mray_ref_is_nil(ref)) CHECK_OK(mray_release(ref));
        CHECK_OK(mray_actor_kill(actor));
    }
}

/* Reported after a short while, with what would be needed; the rest goes on. */
static void test_resources_that_no_node_has(void)
{
    int64_t x = 0;
    mray_ref refs[] = {mray_remote_with(mray_opts(.resource = "unobtainium"), same, 1), mray_remote_with(mray_opts(.num_cpus = 5000), same, 2),
                       mray_remote_with(mray_opts(.resource = "rank0", .resource_amount = 100000), same, 3), mray_remote(same, 4)};
    CHECK_OK(mray_get(refs[3], &x));
    CHECK_EQUAL(x, 4);
    CHECK_ERROR(mray_get(refs[0], &x), MRAY_ERR_TASK_UNSCHEDULABLE, "unobtainium");
    CHECK_ERROR(mray_get(refs[1], &x), MRAY_ERR_TASK_UNSCHEDULABLE, "5000");
    CHECK_ERROR(mray_get(refs[2], &x), MRAY_ERR_TASK_UNSCHEDULABLE, "rank0");
    CHECK_OK(mray_release_many(refs, 4));

    mray_actor actor;
    mray_actor_opts wants = {.resource = "unobtainium", .resource_amount = 1};
    int64_t one = 1;
    mray_arg arg = {INT64, &one, 1};
    CHECK_ERROR(mray_actor_create(&cell__mray_class, &arg, 1, &wants, &actor), MRAY_ERR_TASK_UNSCHEDULABLE, "unobtainium");
    CHECK(mray_actor_is_nil(actor));
}

static void test_a_full_store_says_so(void)
{
    mray_info info;
    CHECK_OK(mray_get_info(&info));
    size_t chunk = info.store_bytes / 8;
    uint8_t *data = calloc(2, info.store_bytes);
    enum { MOST = 8 * 16 };
    mray_ref refs[MOST], ref;
    int n = 0;
    mray_type bytes = TYPE(MRAY_UINT8, 1, 1);
    CHECK_ERROR(mray_put_bytes(data, 2 * info.store_bytes, bytes, NULL, &ref), MRAY_ERR_OBJECT_STORE_FULL, "store");
    CHECK(mray_ref_is_nil(ref));
    /* A full store puts what it is given into those of the other ranks of the node. */
    while (n < MOST && mray_put_bytes(data, chunk, bytes, NULL, &refs[n]) == MRAY_OK) n++;
    CHECK(n >= 6 && n <= 8 * info.num_ranks);
    check_forget_sentence();
    CHECK_ERROR(mray_put_bytes(data, chunk, bytes, NULL, &ref), MRAY_ERR_OBJECT_STORE_FULL, "store");
    /* Small values still fit; room comes back. */
    int64_t x = 0;
    ref = mray_put((int64_t)3);
    CHECK_OK(mray_get(ref, &x));
    CHECK_OK(mray_release(ref));
    CHECK_OK(mray_release_many(refs, (size_t)n));
    CHECK_OK(mray_put_bytes(data, chunk, bytes, NULL, &ref));
    CHECK_OK(mray_release(ref));

    ref = mray_remote(make_bytes, 4 * (uint64_t)info.store_bytes);
    CHECK_ERROR(mray_get_view(ref, MRAY_FOREVER, &(mray_view){0}), MRAY_ERR_TASK, "no room");
    CHECK_OK(mray_release(ref));
    free(data);
}

/* Not even a mistaken view release harms. */
static void test_views_given_back_twice(void)
{
    double d[100] = {0};
    mray_ref ref = mray_put_array(d, 100);
    mray_view view, copy;
    CHECK_OK(mray_get_view(ref, 0, &view));
    copy = view;
    mray_view_release(&view);
    CHECK_OK(mray_release(ref));
    mray_view_release(&copy);
    copy = (mray_view){.pinned = {.rank = 77, .slot = 12345678, .gen = 3, .epoch = 9}};
    mray_view_release(&copy);
}

int main(int argc, char **argv)
{
    setenv("MRAY_UNSCHEDULABLE_TIMEOUT", "200", 1);
    setenv("MRAY_STORE_FULL_TIMEOUT", "200", 1);
    test_calls_without_a_session();
    test_init_with_bad_options();
    check_init(&argc, &argv, &(mray_init_opts){.store_bytes = 16 << 20});
    size_t used = check_store_used();
    test_get_of_what_is_no_object();
    test_get_with_a_wrong_type_or_size();
    test_put_of_what_is_no_value();
    test_submit_with_bad_arguments();
    test_pending_refs_of_a_wrong_type();
    test_calls_outside_a_task();
    test_actors_misused();
    test_resources_that_no_node_has();
    test_a_full_store_says_so();
    test_views_given_back_twice();
    CHECK(check_store_settles(used));
    CHECK_OK(mray_finalize());
    test_calls_without_a_session();
    return check_finish();
}
