/* mpi_wait.c: mray_wait(): as many as are wanted, from the front on; what is not looked at; time limits, sleeps, tasks that wait, other nodes. */
/* ranks: local 1 2 4x2 4x1 */
/* sanitize: 2 4x2 */
#include "check.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MILLISECOND = 1000000 };
static const mray_type INT64 = {.dtype = MRAY_INT64, .size = 8};

/* An object that is not there until it is opened. */
typedef struct {
    mray_ref ref;
    int64_t *value;
} gate_t;

static gate_t new_gate(void)
{
    gate_t gate = {0};
    void *data = NULL;
    CHECK_OK(mray_create(8, INT64, NULL, &data, &gate.ref));
    gate.value = data;
    return gate;
}

static void open_gate(gate_t gate)
{
    *gate.value = 1;
    CHECK_OK(mray_seal(gate.ref));
}

/* The flags as digits of a number: bit i for ref i. Checks that n_ready counts them. */
static int wait_status;
static unsigned wait_bits(const mray_ref *refs, size_t n, size_t need, int64_t timeout_ns)
{
    bool ready[32];
    size_t n_ready = 99, counted = 0;
    unsigned bits = 0;
    memset(ready, 1, sizeof ready);
    wait_status = mray_wait(refs, n, need, timeout_ns, ready, &n_ready);
    for (size_t i = 0; i < n; i++) {
        bits |= (unsigned)ready[i] << i;
        counted += ready[i];
    }
    CHECK_EQUAL(counted, n_ready);
    CHECK(counted <= need);
    return bits;
}
#define CHECK_WAIT(bits, refs, n, need, timeout_ns)           \
    do {                                                      \
        CHECK_EQUAL(wait_bits(refs, n, need, timeout_ns), bits); \
        CHECK_STATUS(wait_status, MRAY_OK);                   \
    } while (0)

static void test_as_many_as_wanted_from_the_front_on(void)
{
    enum { N = 6 };
    gate_t first = new_gate(), third = new_gate();
    mray_ref refs[N] = {first.ref, mray_put((int64_t)1), third.ref, mray_put((int64_t)3), mray_put((int64_t)4), mray_put((int64_t)5)};
    CHECK_WAIT(0x00u, refs, N, 0, MRAY_FOREVER);
    CHECK_WAIT(0x02u, refs, N, 1, MRAY_FOREVER);
    CHECK_WAIT(0x0au, refs, N, 2, 0);
    CHECK_WAIT(0x3au, refs, N, 4, 0);
    open_gate(third);
    CHECK_WAIT(0x0eu, refs, N, 3, MRAY_FOREVER);
    open_gate(first);
    CHECK_WAIT(0x01u, refs, N, 1, MRAY_FOREVER);
    CHECK_WAIT(0x3fu, refs, N, N, MRAY_FOREVER);
    CHECK_WAIT(0x00u, refs, 0, 0, MRAY_FOREVER);
    CHECK_OK(mray_release_many(refs, N));
}

static void test_time_limits(void)
{
    gate_t gate = new_gate();
    mray_ref refs[3] = {mray_put((int64_t)0), gate.ref, mray_put((int64_t)2)};
    CHECK_EQUAL(wait_bits(refs, 3, 3, 0), 5);
    CHECK_STATUS(wait_status, MRAY_ERR_TIMEOUT);
    double before = check_seconds();
    CHECK_EQUAL(wait_bits(refs, 3, 3, 20 * MILLISECOND), 5);
    CHECK_STATUS(wait_status, MRAY_ERR_TIMEOUT);
    CHECK(check_seconds() - before >= 0.019);
    CHECK_EQUAL(wait_bits(&gate.ref, 1, 1, 5 * MILLISECOND), 0);
    CHECK_STATUS(wait_status, MRAY_ERR_TIMEOUT);
    open_gate(gate);
    CHECK_OK(mray_release_many(refs, 3));
}

/* What a call looks at has to be good; what it does not need it does not look at. */
static void test_bad_refs_are_found_where_they_are_looked_at(void)
{
    gate_t gate = new_gate();
    mray_ref good = mray_put((int64_t)1), dead = mray_put((int64_t)2), nil = {0};
    CHECK_OK(mray_release(dead));
    mray_ref behind[3] = {good, nil, dead}, before[3] = {gate.ref, dead, good};
    CHECK_WAIT(1u, behind, 3, 1, MRAY_FOREVER);
    bool ready[3] = {true, true, true};
    CHECK_ERROR(mray_wait(behind, 3, 2, MRAY_FOREVER, ready, NULL), MRAY_ERR_INVALID_REF, "nil");
    CHECK(!ready[0] && !ready[1] && !ready[2]);
    CHECK_ERROR(mray_wait(before, 3, 1, 0, ready, NULL), MRAY_ERR_INVALID_REF, "released");
    CHECK_ERROR(mray_wait(before, 3, 4, 0, ready, NULL), MRAY_ERR_INVALID_ARGUMENT, "num_ready");

    mray_ref twins[3] = {good, gate.ref, gate.ref};
    CHECK_WAIT(1u, twins, 3, 1, MRAY_FOREVER);
    CHECK_ERROR(mray_wait(twins, 3, 2, 0, ready, NULL), MRAY_ERR_INVALID_ARGUMENT, "twice");
    CHECK_ERROR(mray_wait(twins, 3, 2, MRAY_FOREVER, ready, NULL), MRAY_ERR_INVALID_ARGUMENT, "twice");
    CHECK(!ready[0] && !ready[1] && !ready[2]);
    open_gate(gate);
    CHECK_OK(mray_release(good));
    CHECK_OK(mray_release(gate.ref));
}

/* ---- waits that are waits ---- */

MRAY_TASK(int64_t, nap, int64_t, microseconds)
{
    usleep((useconds_t)microseconds);
    return microseconds;
}

static void test_the_last_of_many_wakes_the_sleeper(void)
{
    enum { N = 3000 };
    mray_ref *refs = malloc(N * sizeof *refs);
    bool *ready = malloc(N * sizeof *ready);
    size_t n_ready = 0;
    gate_t gate = new_gate();
    for (int i = 0; i < N - 1; i++) refs[i] = mray_remote(nap, gate.ref);
    refs[N - 1] = mray_remote(nap, 30000);
    CHECK_OK(mray_wait(refs, N, 1, MRAY_FOREVER, ready, &n_ready));
    CHECK(n_ready == 1 && ready[N - 1]);
    open_gate(gate);
    CHECK_OK(mray_wait(refs, N, N, MRAY_FOREVER, ready, &n_ready));
    CHECK_EQUAL(n_ready, N);
    CHECK_OK(mray_release_many(refs, N));
    CHECK_OK(mray_release(gate.ref));
    free(refs);
    free(ready);
}

/* As a program uses it: one of those that are left, until none is. Sum of the results. */
static int64_t take_one_by_one(mray_ref *left, size_t n)
{
    int64_t sum = 0;
    for (; n > 0; n--) {
        bool ready[64];
        size_t n_ready = 0, at = 0;
        int64_t x = 0;
        if (mray_wait(left, n, 1, MRAY_FOREVER, ready, &n_ready) != MRAY_OK || n_ready != 1) return -1;
        while (!ready[at]) at++;
        if (mray_get_timeout(left[at], &x, 0) != MRAY_OK || mray_release(left[at]) != MRAY_OK) return -1;
        sum += x;
        memmove(left + at, left + at + 1, (n - at - 1) * sizeof *left);
    }
    return sum;
}

MRAY_TASK(int64_t, wait_inside, int64_t, n)
{
    mray_ref refs[64];
    for (int64_t i = 0; i < n; i++) refs[i] = mray_remote(nap, i);
    return take_one_by_one(refs, (size_t)n);
}

static void test_one_by_one(void)
{
    mray_ref refs[64];
    for (int64_t i = 0; i < 64; i++) refs[i] = mray_remote(nap, i * 7 % 64);
    CHECK_EQUAL(take_one_by_one(refs, 64), 64 * 63 / 2);
    for (int64_t i = 0; i < 8; i++) refs[i] = mray_remote(wait_inside, 20);
    CHECK_EQUAL(take_one_by_one(refs, 8), 8 * 20 * 19 / 2);
}

/* ---- other nodes ---- */

enum { BIG = 200000 };

MRAY_TASK(mray_array(uint8_t), big)
{
    mray_array(uint8_t) v = mray_return_array(uint8_t, BIG);
    if (v.data != NULL) memset(v.data, 7, BIG);
    return v;
}

MRAY_TASK(mray_ref, put_there, int64_t, x)
{
    return mray_put(x);
}

/* Payloads that the ranks of the driver's node have pulled from other nodes. */
static int n_pulled(void)
{
    char text[4096];
    int sum = 0;
    CHECK(mray_status_report(text, sizeof text) < sizeof text);
    for (char *comma = strstr(text, " bytes, "); comma != NULL; comma = strstr(comma + 1, " bytes, ")) sum += atoi(comma + strlen(" bytes, "));
    return sum;
}

/* Results that stayed where they were made are brought here, but no more of them than are wanted; what is flagged is here. */
static void test_results_that_lie_elsewhere(void)
{
    enum { N = 6 };
    mray_ref refs[N];
    int rank = check_worker_rank(check_num_ranks() - 2), before = n_pulled();
    for (int i = 0; i < N; i++) refs[i] = mray_remote_with(check_on_rank(rank), big);
    for (int i = 0; i < N; i++) CHECK_OK(mray_get(refs[i], NULL)); /* done, and not brought here */
    CHECK_EQUAL(n_pulled(), before);
    CHECK_WAIT(1u, refs, N, 1, MRAY_FOREVER);
    CHECK(n_pulled() - before <= 1);
    CHECK_WAIT(3u, refs, N, 2, MRAY_FOREVER);
    CHECK(n_pulled() - before <= 3); /* the first one twice, if it was dropped in between */
    gate_t gate = new_gate();
    mray_ref mixed[3] = {gate.ref, refs[4], refs[5]};
    unsigned bits = wait_bits(mixed, 3, 1, MRAY_FOREVER);
    CHECK(bits == 2 || bits == 4);
    CHECK_WAIT(6u, mixed, 3, 2, MRAY_FOREVER);
    for (int i = 4; i < N; i++) {
        mray_view view;
        CHECK_OK(mray_get_view(refs[i], 0, &view));
        CHECK(view.size == BIG && ((const uint8_t *)view.data)[BIG - 1] == 7);
        mray_view_release(&view);
    }
    open_gate(gate);
    CHECK_OK(mray_release(gate.ref));
    CHECK_OK(mray_release_many(refs, N));
}

/* Objects whose owner is another rank, of another node or of this one. */
static void test_objects_of_other_ranks(void)
{
    enum { N = 4 };
    int rank = check_worker_rank(check_num_ranks() - 2);
    mray_ref refs[N], outer[N];
    for (int i = 0; i < N; i++) {
        outer[i] = mray_remote_with(check_on_rank(rank), put_there, (int64_t)i);
        CHECK_OK(mray_get(outer[i], &refs[i]));
        CHECK_OK(mray_release(outer[i]));
    }
    gate_t gate = new_gate();
    mray_ref mixed[4] = {gate.ref, refs[0], refs[1], mray_put((int64_t)9)};
    unsigned bits = wait_bits(mixed, 4, 1, MRAY_FOREVER);
    CHECK(bits == 2 || bits == 4 || bits == 8); /* what is here first, and that is the last one at least */
    CHECK_WAIT(14u, mixed, 4, 3, MRAY_FOREVER);
    CHECK_EQUAL(wait_bits(mixed, 4, 4, 20 * MILLISECOND), 14);
    CHECK_STATUS(wait_status, MRAY_ERR_TIMEOUT);
    CHECK_EQUAL(take_one_by_one(refs, N), 6);
    open_gate(gate);
    CHECK_OK(mray_release(gate.ref));
    CHECK_OK(mray_release(mixed[3]));
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv, NULL);
    size_t used = check_store_used();
    test_as_many_as_wanted_from_the_front_on();
    test_time_limits();
    test_bad_refs_are_found_where_they_are_looked_at();
    test_the_last_of_many_wakes_the_sleeper();
    test_one_by_one();
    test_results_that_lie_elsewhere();
    test_objects_of_other_ranks();
    CHECK(check_store_settles(used));
    return check_finish();
}
