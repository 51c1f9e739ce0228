/* mpi_tasks.c: tasks: arguments and their conversion, structs, strings, several results, errors and their way through dependents,
 * refs as refs, nested tasks. */
/* ranks: local 1 2 4 4x2 */
/* sanitize: local 2 4x2 */
#include "check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TYPE(dtype_, size_, is_array_) ((mray_type){.dtype = (dtype_), .size = (size_), .is_array = (is_array_)})

typedef struct {
    double x, y;
    int32_t tag;
} point;
typedef struct {
    char bytes[200];
} block200;
typedef struct {
    char bytes[1000];
} block1000;

MRAY_TASK(double, half, double, x) { return x / 2; }
MRAY_TASK(int8_t, same8, int8_t, x) { return x; }
MRAY_TASK(uint32_t, same_u32, uint32_t, x) { return x; }
MRAY_TASK(float, same_float, float, x) { return x; }
MRAY_TASK(bool, negate, bool, x) { return !x; }
MRAY_TASK(int64_t, answer) { return 42; }
MRAY_TASK(void, nothing, int, x) { (void)x; }
MRAY_TASK(int64_t, add, int64_t, x, int64_t, y) { return x + y; }

MRAY_TASK(point, mirror, point, p)
{
    return (point){.x = p.y, .y = p.x, .tag = -p.tag};
}

MRAY_TASK(block1000, grow, block1000, b, int, by)
{
    for (size_t i = 0; i < sizeof b.bytes; i++) b.bytes[i] = (char)(b.bytes[i] + by);
    return b;
}

MRAY_TASK(uint64_t, count_letter, mray_array(char), text, char, letter)
{
    uint64_t n = 0;
    for (size_t i = 0; i < text.n; i++) n += text.data[i] == letter;
    return n;
}

MRAY_TASK(double, eight, int8_t, a, uint16_t, b, int, c, int64_t, d, float, e, double, f, mray_array(double), g, point, h)
{
    double sum = a + b + c + (double)d + e + f + h.x + h.y + h.tag;
    for (size_t i = 0; i < g.n; i++) sum += g.data[i];
    return sum;
}

MRAY_TASK(int64_t, blocks, block200, a, block200, b, block200, c, block200, d, block200, e, block200, f, block200, g, block200, h)
{
    const block200 *all[] = {&a, &b, &c, &d, &e, &f, &g, &h};
    int64_t sum = 0;
    for (int k = 0; k < 8; k++)
        for (int i = 0; i < 200; i++) sum += all[k]->bytes[i] * (k + 1);
    return sum;
}

static void test_numbers_are_converted_where_they_fit(void)
{
    double d = 0;
    int8_t i8 = 0;
    uint32_t u32 = 0;
    float f = 0;
    bool b = true;
#define CALL(task, argument, out)                                                                                             \
    do {                                                                                                                      \
        mray_ref ref = mray_remote(task, argument);                                                                           \
        CHECK_OK(mray_get(ref, out));                                                                                         \
        CHECK_OK(mray_release(ref));                                                                                          \
    } while (0)
    CALL(half, 3, &d);
    CHECK(d == 1.5);
    CALL(half, 0.5f, &d);
    CHECK(d == 0.25);
    CALL(same8, -128L, &i8);
    CHECK(i8 == -128);
    CALL(same8, 100.0, &i8);
    CHECK(i8 == 100);
    CALL(same_u32, 4000000000LL, &u32);
    CHECK(u32 == 4000000000u);
    CALL(same_float, 0.125, &f);
    CHECK(f == 0.125f);
    CALL(same_float, 7, &f);
    CHECK(f == 7);
    CALL(negate, true, &b);
    CHECK(!b);
    CALL(half, INFINITY, &d);
    CHECK(isinf(d));
#undef CALL
    CHECK_NIL(mray_remote(same8, 128), MRAY_ERR_TYPE, "same8");
    CHECK_NIL(mray_remote(same8, 0.5), MRAY_ERR_TYPE, "argument 1");
    CHECK_NIL(mray_remote(same_u32, -1), MRAY_ERR_TYPE, "same_u32");
    CHECK_NIL(mray_remote(same8, UINT64_MAX), MRAY_ERR_TYPE, "same8");
}

static void test_structs_and_strings_travel(void)
{
    point p = {1, 2, 3};
    mray_ref ref = mray_remote(mirror, p);
    mray_ref again = mray_remote(mirror, ref);
    CHECK_OK(mray_get(ref, &p));
    CHECK(p.x == 2 && p.y == 1 && p.tag == -3);
    CHECK_OK(mray_get(again, &p));
    CHECK(p.x == 1 && p.y == 2 && p.tag == 3);
    CHECK_OK(mray_release_many((mray_ref[]){ref, again}, 2));

    block1000 block;
    memset(&block, 1, sizeof block);
    ref = mray_remote(grow, block, 2);
    again = mray_remote(grow, ref, 3);
    CHECK_OK(mray_get(again, &block));
    CHECK(block.bytes[0] == 6 && block.bytes[999] == 6);
    CHECK_OK(mray_release_many((mray_ref[]){ref, again}, 2));

    char text[] = "where the water was";
    uint64_t n = 0;
    ref = mray_remote(count_letter, mray_array_of(char, text, sizeof text - 1), 'w');
    CHECK_OK(mray_get(ref, &n));
    CHECK_EQUAL(n, 3);
    CHECK_OK(mray_release(ref));
}

static void test_none_and_eight_arguments(void)
{
    int64_t a = 0;
    mray_ref ref = mray_remote(answer);
    CHECK_OK(mray_get(ref, &a));
    CHECK_EQUAL(a, 42);
    CHECK_OK(mray_release(ref));

    ref = mray_remote(nothing, 1);
    CHECK_OK(check_done(ref));
    CHECK_OK(mray_release(ref));

    double g[3] = {100, 200, 300}, sum = 0;
    point h = {0.5, 0.25, 1000};
    mray_ref d = mray_put((int64_t)4), part = mray_remote(half, 12), where = mray_put(h);
    ref = mray_remote(eight, 1, 2, 3, d, 5.0f, part, mray_array_of(double, g, 3), where);
    CHECK_OK(mray_get(ref, &sum));
    CHECK(sum == 1 + 2 + 3 + 4 + 5 + 6 + 600 + 1000.75);
    CHECK_OK(mray_release_many((mray_ref[]){ref, d, part, where}, 4));

    block200 b;
    memset(&b, 1, sizeof b);
    ref = mray_remote(blocks, b, b, b, b, b, b, b, b);
    CHECK_OK(mray_get(ref, &a));
    CHECK_EQUAL(a, 200 * 36);
    CHECK_OK(mray_release(ref));
}

/* ---- several results ---- */

MRAY_TASK(int64_t, divide, int64_t, a, int64_t, b)
{
    double exact = (double)a / (double)b;
    int64_t both[2] = {a, b};
    if (mray_return(1, a % b) != MRAY_OK || mray_return(2, exact) != MRAY_OK) mray_fail("mray_return: %s", mray_error_message());
    if (mray_return(3, mray_array_of(int64_t, both, 2)) != MRAY_OK) mray_fail("mray_return: %s", mray_error_message());
    return a / b;
}

MRAY_TASK(int, forgets_one)
{
    (void)mray_return(1, 5);
    return 1;
}

MRAY_TASK(int, count_to, int, n)
{
    for (int i = 1; i < n; i++)
        if (mray_return(i, i) != MRAY_OK) mray_fail("result %d: %s", i, mray_error_message());
    return 0;
}

static void test_several_results(void)
{
    mray_ref r[4], sum;
    CHECK_OK(mray_remote_n(r, 4, divide, 17, 5));
    sum = mray_remote(add, r[0], r[1]);
    int64_t q = 0, m = 0, both[2] = {0}, s = 0;
    double exact = 0;
    CHECK_OK(mray_get(r[0], &q));
    CHECK_OK(mray_get(r[1], &m));
    CHECK_OK(mray_get(r[2], &exact));
    CHECK_OK(mray_get_array(r[3], both, 2));
    CHECK_OK(mray_get(sum, &s));
    CHECK(q == 3 && m == 2 && exact == 3.4 && both[0] == 17 && both[1] == 5 && s == 5);
    CHECK_OK(mray_release_many(r, 4));
    CHECK_OK(mray_release(sum));

    int x = 0;
    CHECK_OK(mray_remote_n(r, 3, forgets_one));
    CHECK_ERROR(mray_get(r[2], &x), MRAY_ERR_TASK, "result 2");
    CHECK_OK(mray_release_many(r, 3));
    /* The caller asked for fewer than the task sets. */
    CHECK_OK(mray_remote_n(r, 2, divide, 17, 5));
    CHECK_ERROR(mray_get(r[0], &q), MRAY_ERR_TASK, "asked for 2");
    CHECK_OK(mray_release_many(r, 2));

    enum { MANY = 300 };
    mray_ref many[MANY];
    CHECK_OK(mray_remote_n(many, MANY, count_to, MANY));
    for (int i = 0; i < MANY; i++) {
        CHECK_OK(mray_get(many[i], &x));
        CHECK_EQUAL(x, i);
        CHECK_OK(mray_release(many[i]));
    }
}

/* ---- errors ---- */

MRAY_TASK(int64_t, refuse, int64_t, x)
{
    mray_fail("the number %lld is not wanted", (long long)x);
    return 1;
}

MRAY_TASK(mray_array(double), refuse_array, mray_array(double), v)
{
    mray_fail("%zu elements are too many", v.n);
    return v;
}

/* Looks at a result by itself, so that it may fail: its status. */
MRAY_TASK(int32_t, status_of, mray_ref, ref)
{
    int64_t x;
    int status = mray_get(ref, &x);
    return status == MRAY_ERR_TASK && strstr(mray_error_message(), "not wanted") == NULL ? -1 : status;
}

MRAY_TASK(int64_t, asks_refuse)
{
    mray_ref ref = mray_remote(refuse, 77);
    int64_t x = 0;
    if (mray_get(ref, &x) != MRAY_OK) mray_fail("inner: %s", mray_error_message());
    (void)mray_release(ref);
    return x;
}

static void test_an_error_names_task_rank_and_cause(void)
{
    int64_t x = 0;
    mray_ref ref = mray_remote(refuse, 13);
    for (int i = 0; i < 2; i++) {
        CHECK_ERROR(mray_get(ref, &x), MRAY_ERR_TASK, "the number 13 is not wanted");
        CHECK(check_sentence_has("refuse") && check_sentence_has("rank"));
    }
    mray_view view;
    CHECK_STATUS(mray_get_view(ref, MRAY_FOREVER, &view), MRAY_ERR_TASK);
    bool ready = false;
    CHECK_OK(mray_wait(&ref, 1, 1, 0, &ready, NULL));
    CHECK(ready);
    CHECK_OK(mray_release(ref));

    double v[10] = {0};
    ref = mray_remote(refuse_array, mray_array_of(double, v, 10));
    CHECK_ERROR(mray_get_array(ref, v, 10), MRAY_ERR_TASK, "10 elements are too many");
    CHECK_OK(mray_release(ref));
}

MRAY_TASK(void, refuse_and_return_nothing, int64_t, x)
{
    mray_fail("the number %lld is not wanted", (long long)x);
}

MRAY_TASK(mray_array(uint8_t), megabyte)
{
    mray_array(uint8_t) v = mray_return_array(uint8_t, 1 << 20);
    if (v.data == NULL) mray_fail("no room: %s", mray_error_message());
    return v;
}

/* mray_get(ref, NULL) says how a task ended, whatever it returns, and copies nothing. */
static void test_the_end_of_a_task_without_its_value(void)
{
    mray_ref good = mray_remote(nothing, 1), bad = mray_remote(refuse_and_return_nothing, 14), many = mray_remote(megabyte), nil = mray_remote(half, many);
    CHECK_OK(mray_get(good, NULL));
    CHECK_ERROR(mray_get(bad, NULL), MRAY_ERR_TASK, "the number 14 is not wanted");
    CHECK_OK(mray_get(many, NULL));
    CHECK_ERROR(mray_get(nil, NULL), MRAY_ERR_TYPE, "half");
    mray_ref all[] = {good, bad, many};
    CHECK_OK(mray_release_many(all, 3));
    /* Refused at submission, or by its run where `many` was just being claimed: then there is an object. */
    if (!mray_ref_is_nil(nil)) CHECK_OK(mray_release(nil));
}

/* The inner refs are nobody's to release. */
static void test_a_call_as_an_argument_of_a_call(void)
{
    int64_t x = 0;
    mray_ref ref = mray_remote(add, mray_remote(add, 1, mray_remote(answer)), mray_remote_with(mray_opts(.num_cpus = 0.5, .max_retries = 1), add, 3, 4));
    CHECK_OK(mray_get(ref, &x));
    CHECK_EQUAL(x, 1 + 42 + 3 + 4);
    CHECK_OK(mray_release(ref));
}

static void test_dependents_fail_with_the_first_cause(void)
{
    enum { DEPTH = 20 };
    mray_ref chain[DEPTH], seen, many[3];
    chain[0] = mray_remote(refuse, 21);
    for (int i = 1; i < DEPTH; i++) chain[i] = mray_remote(add, chain[i - 1], 1);
    int64_t x = 0;
    CHECK_ERROR(mray_get(chain[DEPTH - 1], &x), MRAY_ERR_TASK, "the number 21 is not wanted");
    CHECK(check_sentence_has("refuse"));
    seen = mray_remote(status_of, chain[DEPTH - 1]);
    int32_t status = 0;
    CHECK_OK(mray_get(seen, &status));
    CHECK_EQUAL(status, MRAY_ERR_TASK);
    CHECK_OK(mray_remote_n(many, 3, divide, chain[3], 1));
    for (int i = 0; i < 3; i++) CHECK_ERROR(mray_get(many[i], &x), MRAY_ERR_TASK, "the number 21");
    CHECK_OK(mray_release_many(many, 3));
    CHECK_OK(mray_release_many(chain, DEPTH));
    CHECK_OK(mray_release(seen));

    mray_ref inner = mray_remote(asks_refuse);
    CHECK_ERROR(mray_get(inner, &x), MRAY_ERR_TASK, "the number 77 is not wanted");
    CHECK(check_sentence_has("asks_refuse"));
    CHECK_OK(mray_release(inner));
}

/* An object that is no argument of that kind is refused at submission if it is there, else found when the task is to run. */
static void test_an_object_of_a_wrong_type_fails_the_task(void)
{
    double v[4] = {0}, d;
    mray_ref array = mray_put_array(v, 4), ref = mray_remote(half, array);
    CHECK_ERROR(mray_get(ref, &d), MRAY_ERR_TYPE, "half");
    CHECK_OK(mray_release_many((mray_ref[]){array, ref}, 2));
}

/* ---- refs as refs ---- */

MRAY_TASK(int64_t, sum_of_refs, mray_ref, a, mray_ref, b)
{
    int64_t x = 0, y = 0;
    if (mray_get(a, &x) != MRAY_OK || mray_get(b, &y) != MRAY_OK) mray_fail("get: %s", mray_error_message());
    return x + y;
}

MRAY_TASK(mray_ref, put_for_caller, int64_t, x)
{
    return mray_put(x);
}

MRAY_TASK(mray_ref, pass_back, mray_ref, ref)
{
    return ref;
}

static void test_refs_are_passed_as_refs(void)
{
    mray_ref gate, late, sum;
    void *data;
    CHECK_OK(mray_create(8, TYPE(MRAY_INT64, 8, 0), NULL, &data, &gate));
    late = mray_remote(add, gate, 1);
    sum = mray_remote(sum_of_refs, late, gate);
    *(int64_t *)data = 10;
    CHECK_OK(mray_seal(gate));
    int64_t x = 0;
    CHECK_OK(mray_get(sum, &x));
    CHECK_EQUAL(x, 21);
    CHECK_OK(mray_release_many((mray_ref[]){gate, late, sum}, 3));
}

static void test_a_task_returns_a_ref_it_made(void)
{
    for (int rank = check_worker_rank(0); rank < check_num_ranks(); rank++) {
        mray_ref outer = mray_remote_with(check_on_rank(rank), put_for_caller, 1234), inner = {0};
        CHECK_OK(mray_get(outer, &inner));
        CHECK_OK(mray_release(outer));
        int64_t x = 0;
        CHECK_OK(mray_get(inner, &x));
        CHECK_EQUAL(x, 1234);
        CHECK_OK(mray_release(inner));
    }
    mray_ref mine = mray_put((int64_t)5), outer = mray_remote(pass_back, mine), inner = {0};
    CHECK_OK(mray_get(outer, &inner));
    CHECK_OK(mray_release(mine));
    int64_t x = 0;
    CHECK_OK(mray_get(inner, &x));
    CHECK_EQUAL(x, 5);
    CHECK_OK(mray_release_many((mray_ref[]){outer, inner}, 2));
}

/* ---- nested ---- */

MRAY_TASK(int64_t, tree, int, depth)
{
    if (depth == 0) return 1;
    mray_ref a = mray_remote(tree, depth - 1), b = mray_remote(tree, depth - 1);
    int64_t x = 0, y = 0;
    if (mray_get(a, &x) != MRAY_OK || mray_get(b, &y) != MRAY_OK) mray_fail("depth %d: %s", depth, mray_error_message());
    if (mray_release(a) != MRAY_OK || mray_release(b) != MRAY_OK) mray_fail("depth %d: %s", depth, mray_error_message());
    return x + y;
}

MRAY_TASK(int64_t, ladder, int, depth)
{
    if (depth == 0) return 0;
    mray_ref below = mray_remote(ladder, depth - 1);
    int64_t x = 0;
    if (mray_get(below, &x) != MRAY_OK) mray_fail("depth %d: %s", depth, mray_error_message());
    (void)mray_release(below);
    return x + 1;
}

/* Waits for all its children at once, in any order. */
MRAY_TASK(int64_t, fan, int, width, int, depth)
{
    mray_ref refs[16];
    bool ready[16], taken[16] = {false};
    if (depth == 0) return 1;
    for (int i = 0; i < width; i++) refs[i] = mray_remote(fan, width, depth - 1);
    int64_t sum = 0;
    for (int n = 1; n <= width; n++) {
        if (mray_wait(refs, (size_t)width, (size_t)n, MRAY_FOREVER, ready, NULL) != MRAY_OK) mray_fail("wait: %s", mray_error_message());
        for (int i = 0; i < width; i++) {
            int64_t x = 0;
            if (!ready[i] || taken[i]) continue;
            if (mray_get_timeout(refs[i], &x, 10000000000) != MRAY_OK) mray_fail("get: %s", mray_error_message());
            taken[i] = true;
            sum += x;
        }
    }
    (void)mray_release_many(refs, (size_t)width);
    return sum;
}

static void test_nested_tasks_end(void)
{
    int64_t x = 0;
    mray_ref refs[] = {mray_remote(tree, 9), mray_remote(ladder, 200), mray_remote(fan, 5, 3)};
    CHECK_OK(mray_get(refs[0], &x));
    CHECK_EQUAL(x, 512);
    CHECK_OK(mray_get(refs[1], &x));
    CHECK_EQUAL(x, 200);
    CHECK_OK(mray_get(refs[2], &x));
    CHECK_EQUAL(x, 125);
    CHECK_OK(mray_release_many(refs, 3));
}

/* More waiting tasks than workers: each waits for a gate that only a later task opens. */
MRAY_TASK(int64_t, wait_for, mray_ref, gate, int64_t, x)
{
    int64_t g = 0;
    if (mray_get(gate, &g) != MRAY_OK) mray_fail("gate: %s", mray_error_message());
    return g + x;
}

static void test_blocked_tasks_free_their_cpus(void)
{
    enum { N = 24 };
    mray_ref gate, refs[N + 1];
    void *data;
    CHECK_OK(mray_create(8, TYPE(MRAY_INT64, 8, 0), NULL, &data, &gate));
    for (int i = 0; i < N; i++) refs[i] = mray_remote(wait_for, gate, i);
    refs[N] = mray_remote(add, 1, 2);
    int64_t x = 0;
    CHECK_OK(mray_get(refs[N], &x));
    *(int64_t *)data = 100;
    CHECK_OK(mray_seal(gate));
    for (int i = 0; i < N; i++) {
        CHECK_OK(mray_get(refs[i], &x));
        CHECK_EQUAL(x, 100 + i);
    }
    CHECK_OK(mray_release(gate));
    CHECK_OK(mray_release_many(refs, N + 1));
}

/* ---- facts ---- */

MRAY_TASK(int32_t, where_am_i)
{
    mray_task_info info;
    if (mray_task_current(&info) != MRAY_OK) return -1;
    mray_info session;
    if (mray_get_info(&session) != MRAY_OK || !session.is_worker) return -2;
    if (strcmp(info.name, "where_am_i") != 0 || info.attempt != 0 || session.rank != info.rank) return -3;
    return info.rank;
}

static void test_a_resource_brings_a_task_to_its_rank(void)
{
    mray_info info;
    CHECK_OK(mray_get_info(&info));
    CHECK(!info.is_worker && info.rank == 0 && info.num_nodes >= 1 && info.num_workers >= info.num_ranks - check_worker_rank(0) && info.store_bytes > 0);
    for (int rank = check_worker_rank(0); rank < info.num_ranks; rank++) {
        int32_t got = -9;
        mray_ref ref = mray_remote_with(check_on_rank(rank), where_am_i);
        CHECK_OK(mray_get(ref, &got));
        CHECK_EQUAL(got, rank);
        CHECK_OK(mray_release(ref));
    }
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv, NULL);
    size_t used = check_store_used();
    test_numbers_are_converted_where_they_fit();
    test_structs_and_strings_travel();
    test_none_and_eight_arguments();
    test_several_results();
    test_an_error_names_task_rank_and_cause();
    test_dependents_fail_with_the_first_cause();
    test_the_end_of_a_task_without_its_value();
    test_a_call_as_an_argument_of_a_call();
    test_an_object_of_a_wrong_type_fails_the_task();
    test_refs_are_passed_as_refs();
    test_a_task_returns_a_ref_it_made();
    test_nested_tasks_end();
    test_blocked_tasks_free_their_cpus();
    test_a_resource_brings_a_task_to_its_rank();
    CHECK(check_store_settles(used));
    return check_finish();
}
