/* mpi_poll.c: a program that looks now and then, with a timeout of 0, sees the objects of other nodes that are there, though it lets go of them between
 * two looks; what mray_wait() has flagged is there for the get that follows later; what nobody comes back for goes with its ref. */
/* ranks: 4x1 4x2 */
/* sanitize: 4x2 */
#include "check.h"

#include <string.h>
#include <unistd.h>

enum { BIG = 300000, MAX_LOOKS = 5, BETWEEN_US = 700000, NAP_US = 1000000 };

MRAY_TASK(mray_array(uint8_t), big)
{
    mray_array(uint8_t) v = mray_return_array(uint8_t, BIG);
    if (v.data != NULL) memset(v.data, 7, BIG);
    return v;
}

MRAY_TASK(mray_ref, put_small)
{
    return mray_put((int64_t)7);
}

MRAY_TASK(mray_ref, put_big)
{
    static uint8_t data[BIG];
    memset(data, 7, sizeof data);
    return mray_put_array(data, BIG);
}

MRAY_TASK(int64_t, nap)
{
    usleep(NAP_US);
    return 7;
}

MRAY_TASK(mray_ref, start_nap)
{
    return mray_remote(nap);
}

/* Looks once; true if it was there, as it should be. */
static bool look_at(mray_ref ref)
{
    mray_view view;
    if (mray_get_view(ref, 0, &view) != MRAY_OK) return false;
    bool good = *(const uint8_t *)view.data == 7;
    mray_view_release(&view);
    return good;
}

/* The same by a worker: how often it looked until it had seen both; 0 if it never did. */
MRAY_TASK(int64_t, poll_two, mray_ref, a, mray_ref, b)
{
    bool saw_a = false, saw_b = false;
    for (int64_t look = 1; look <= MAX_LOOKS; look++) {
        if (look > 1) usleep(BETWEEN_US);
        if (!saw_a) saw_a = look_at(a);
        if (!saw_b) saw_b = look_at(b);
        if (saw_a && saw_b) return look;
    }
    return 0;
}

static mray_ref ref_of(mray_ref outer)
{
    mray_ref ref = {0};
    CHECK_OK(mray_get(outer, &ref));
    CHECK_OK(mray_release(outer));
    return ref;
}

enum { N = 4 };

static void make_elsewhere(mray_ref *refs)
{
    mray_task_opts there = check_on_rank(check_worker_rank(check_num_ranks() - 2));
    refs[0] = ref_of(mray_remote_with(there, put_small));
    refs[1] = ref_of(mray_remote_with(there, put_big));
    refs[2] = mray_remote_with(there, big); /* owned here; its bytes stay there */
    CHECK_OK(mray_get(refs[2], NULL));
    refs[3] = ref_of(mray_remote_with(there, start_nap)); /* to be made yet */
}

/* By mray_get_view() one by one, and others by mray_wait() all at once, with one that is here and one that never is. */
static void poll_all(const mray_ref *ones, const mray_ref *several, mray_ref never)
{
    mray_ref list[N + 2] = {mray_put((int64_t)7), several[0], several[1], several[2], several[3], never};
    bool saw[N] = {false}, ready[N + 2];
    size_t n_saw = 0, n_ready = 0;
    for (int look = 0; look < MAX_LOOKS && (n_saw < N || n_ready < N + 1); look++) {
        if (look > 0) usleep(BETWEEN_US);
        for (int i = 0; i < N; i++) {
            if (saw[i]) continue;
            saw[i] = look_at(ones[i]);
            n_saw += saw[i];
        }
        CHECK_STATUS(mray_wait(list, N + 2, N + 2, 0, ready, &n_ready), MRAY_ERR_TIMEOUT);
        CHECK(ready[0] && !ready[N + 1]);
    }
    for (int i = 0; i < N; i++) {
        if (!saw[i]) check_failed(__FILE__, __LINE__, "object %d is never seen by mray_get_view()", i);
        if (!ready[i + 1]) check_failed(__FILE__, __LINE__, "object %d is never seen by mray_wait()", i);
    }
    usleep(BETWEEN_US); /* what was flagged is there still */
    for (int i = 0; i < N; i++) CHECK(look_at(several[i]));
    CHECK_OK(mray_release(list[0]));
}

int main(int argc, char **argv)
{
    static uint8_t data[BIG];
    mray_ref ones[N], several[N], given_up[N], here[2], never;
    void *unmade;
    check_init(&argc, &argv, NULL);
    size_t used = check_store_used();
    memset(data, 7, sizeof data);
    here[0] = mray_put((int64_t)7);
    here[1] = mray_put_array(data, BIG);
    CHECK_OK(mray_create(8, (mray_type){.dtype = MRAY_INT64, .size = 8}, NULL, &unmade, &never));
    mray_ref n_looks = mray_remote_with(check_on_rank(check_worker_rank(check_num_ranks() - 3)), poll_two, here[0], here[1]);
    make_elsewhere(ones);
    make_elsewhere(several);
    make_elsewhere(given_up);
    for (int i = 0; i < N; i++) (void)look_at(given_up[i]);
    CHECK_OK(mray_release_many(given_up, N));
    poll_all(ones, several, never);
    int64_t looks = 0;
    CHECK_OK(mray_get(n_looks, &looks));
    CHECK(looks > 0);
    CHECK_OK(mray_release(n_looks));
    CHECK_OK(mray_release(never));
    CHECK_OK(mray_release_many(here, 2));
    CHECK_OK(mray_release_many(ones, N));
    CHECK_OK(mray_release_many(several, N));
    CHECK(check_store_settles(used));
    return check_finish();
}
