/* mpi_actor_kill.c: actors whose processes are killed at random moments while the driver and tasks call them. Every call ends: with its result
 * or, from the first lost one on, with MRAY_ERR_ACTOR_DIED; also calls whose arguments never come. Nothing is left in the stores. What a
 * dead worker had made dies with it, what is detached lives on. */
/* ranks: local 1 2 4 8 */
/* modes: process */
/* sanitize: local 2 */
#include "check.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define INT64 ((mray_type){.dtype = MRAY_INT64, .size = 8})

enum { N_ROUNDS = 100, N_TASKS = 3, N_CALLS = 300, N_DRIVER_CALLS = 200 };
static const int64_t CALL_LIMIT_NS = 20000000000; /* a call that takes longer hangs */

typedef struct {
    int64_t n;
} victim;

MRAY_ACTOR(victim)
{
    self->n = 0;
}

static void *die_later(void *arg)
{
    usleep((useconds_t)(uintptr_t)arg);
    kill(getpid(), SIGKILL);
    return NULL;
}

/* The process kills itself, at whatever it is then: that works on another host, too. */
MRAY_METHOD(int, victim, die_in, int, microseconds)
{
    pthread_t thread;
    self->n++;
    return pthread_create(&thread, NULL, die_later, (void *)(uintptr_t)microseconds);
}

MRAY_METHOD(int64_t, victim, add, int64_t, x)
{
    self->n++;
    return x;
}

MRAY_METHOD(mray_array(double), victim, large, int, n)
{
    mray_array(double) y = mray_return_array(double, (size_t)n);
    for (int i = 0; y.data != NULL && i < n; i++) y.data[i] = (double)(self->n + i);
    return y;
}

MRAY_TASK(int64_t, slow, int64_t, x)
{
    usleep(100);
    return x;
}

/* A call that itself submits a task and waits for it. */
MRAY_METHOD(int64_t, victim, nested, int64_t, x)
{
    mray_ref ref = mray_remote(slow, x);
    int64_t y = -1;
    if (mray_get(ref, &y) != MRAY_OK) mray_fail("slow: %s", mray_error_message());
    (void)mray_release(ref);
    self->n++;
    return y;
}

/* Calls until the actor is dead; returns how many had a result, or a negative number that says what went wrong. */
static int64_t call_until_dead(mray_actor actor, int n_calls, uint64_t random)
{
    mray_ref *refs = malloc((size_t)n_calls * sizeof *refs);
    if (refs == NULL) return -1;
    int64_t n_good = 0, wrong = 0;
    for (int i = 0; i < n_calls; i++) {
        if (check_random(&random) % 8 == 0) {
            mray_ref late = mray_remote(slow, i);
            refs[i] = mray_call(actor, victim, add, late);
            (void)mray_release(late);
        } else if (check_random(&random) % 16 == 0) {
            refs[i] = mray_call(actor, victim, nested, i);
        } else {
            refs[i] = mray_call(actor, victim, add, i);
        }
        if (mray_ref_is_nil(refs[i])) wrong = -2;
        if (check_random(&random) % 32 == 0) usleep(50);
    }
    for (int i = 0; i < n_calls; i++) {
        int64_t x = -1;
        int status = mray_get_timeout(refs[i], &x, CALL_LIMIT_NS);
        if (status == MRAY_OK && (x != i || n_good != i)) wrong = -3; /* of one caller, none comes behind a lost one */
        if (status == MRAY_OK) n_good++;
        if (status != MRAY_OK && status != MRAY_ERR_ACTOR_DIED) wrong = -1000 - status;
        if (mray_release(refs[i]) != MRAY_OK) wrong = -4;
    }
    free(refs);
    return wrong < 0 ? wrong : n_good;
}

MRAY_TASK(int64_t, caller, mray_actor, actor, int, n_calls, uint64_t, random)
{
    return call_until_dead(actor, n_calls, random);
}

static void one_round(uint64_t *random, int64_t *n_good)
{
    mray_actor actor = mray_actor_new(victim);
    CHECK(!mray_actor_is_nil(actor));
    mray_ref tasks[N_TASKS], gate, stuck[5], large[10];
    void *data;
    CHECK_OK(mray_create(8, INT64, NULL, &data, &gate));
    int microseconds = (int)(check_random(random) % 8000);
    bool by_call = check_random(random) % 4 == 0; /* mray_actor_kill() is the other way to die */
    for (int i = 0; i < N_TASKS; i++) tasks[i] = mray_remote_with(mray_opts(.max_retries = MRAY_NO_RETRY), caller, actor, N_CALLS, check_random(random));
    if (!by_call) CHECK_OK(mray_release(mray_call(actor, victim, die_in, microseconds)));
    for (int i = 0; i < 10; i++) large[i] = mray_call(actor, victim, large, 10000);
    if (by_call) {
        usleep((useconds_t)microseconds);
        CHECK_OK(mray_actor_kill(actor));
    }
    int64_t good = call_until_dead(actor, N_DRIVER_CALLS, check_random(random));
    CHECK(good >= 0);
    for (int i = 0; i < N_TASKS; i++) {
        int64_t x = -99;
        CHECK_OK(mray_get_timeout(tasks[i], &x, 3 * CALL_LIMIT_NS));
        CHECK(x >= 0);
        if (x < 0) fprintf(stderr, "a task's calls: %lld\n", (long long)x);
        *n_good += x;
        CHECK_OK(mray_release(tasks[i]));
    }
    for (int i = 0; i < 10; i++) {
        int status = check_done(large[i]);
        CHECK(status == MRAY_OK || status == MRAY_ERR_ACTOR_DIED);
        CHECK_OK(mray_release(large[i]));
    }
    *n_good += good;
    /* By now it may be dead or not: calls that wait for ever end when it is. */
    int64_t x;
    for (int i = 0; i < 5; i++) stuck[i] = mray_call(actor, victim, add, gate);
    for (int i = 0; i < 5; i++) {
        CHECK_STATUS(mray_get_timeout(stuck[i], &x, CALL_LIMIT_NS), MRAY_ERR_ACTOR_DIED);
        CHECK_OK(mray_release(stuck[i]));
    }
    *(int64_t *)data = 1;
    CHECK_OK(mray_seal(gate));
    CHECK_OK(mray_release(gate));
}

/* ---- makers ---- */

MRAY_TASK(mray_actor, make_victim, int, detached)
{
    return mray_actor_new_with(((mray_actor_opts){.detached = detached}), victim);
}

MRAY_TASK(int, worker_here)
{
    return (int)getpid();
}

/* Makes an actor, hands it out by name, and dies. */
MRAY_TASK(int, make_and_die, int, detached)
{
    mray_actor actor = mray_actor_new_with(((mray_actor_opts){.name = "orphan", .detached = detached}), victim);
    mray_ref ref = mray_call(actor, victim, add, 1);
    int64_t x = 0;
    if (mray_get(ref, &x) == MRAY_OK && x == 1) kill(getpid(), SIGKILL);
    return 0;
}

static void test_what_a_worker_made_dies_with_it(void)
{
    for (int detached = 0; detached < 2; detached++) {
        mray_ref ref = mray_remote_with(mray_opts(.max_retries = MRAY_NO_RETRY), make_and_die, detached);
        CHECK_STATUS(check_done(ref), MRAY_ERR_WORKER_CRASHED);
        CHECK_OK(mray_release(ref));
        mray_actor actor;
        int status = MRAY_OK;
        for (double end = check_seconds() + (detached ? 0.1 : 5); status == MRAY_OK && check_seconds() < end; usleep(1000)) status = mray_actor_find("orphan", &actor);
        CHECK_EQUAL(status, detached ? MRAY_OK : MRAY_ERR_ACTOR_NOT_FOUND);
        if (!detached) continue;
        ref = mray_call(actor, victim, add, 5);
        CHECK_OK(check_done(ref));
        CHECK_OK(mray_release(ref));
        CHECK_OK(mray_actor_kill(actor));
    }
}

static void test_what_a_worker_made_outlives_the_task(void)
{
    mray_ref ref = mray_remote(make_victim, 0);
    mray_actor actor = {0};
    CHECK_OK(mray_get(ref, &actor));
    CHECK_OK(mray_release(ref));
    for (int i = 0; i < 20; i++) {
        mray_ref other = mray_remote(worker_here);
        CHECK_OK(check_done(other));
        CHECK_OK(mray_release(other));
    }
    ref = mray_call(actor, victim, add, 5);
    CHECK_OK(check_done(ref));
    CHECK_OK(mray_release(ref));
    CHECK_OK(mray_actor_kill(actor));
}

/* Makes another actor; both die by the kill of the first. */
typedef struct {
    mray_actor child;
} parent;

MRAY_ACTOR(parent)
{
    self->child = mray_actor_new(victim);
}

MRAY_METHOD(mray_actor, parent, child)
{
    return self->child;
}

static void test_what_an_actor_made_dies_with_it(void)
{
    mray_actor top = mray_actor_new(parent), child = {0};
    mray_ref ref = mray_call(top, parent, child);
    CHECK_OK(mray_get(ref, &child));
    CHECK_OK(mray_release(ref));
    CHECK_OK(mray_actor_kill(top));
    int status = MRAY_OK;
    for (double end = check_seconds() + 5; status == MRAY_OK && check_seconds() < end; usleep(1000)) {
        ref = mray_call(child, victim, add, 5);
        status = check_done(ref);
        CHECK_OK(mray_release(ref));
    }
    CHECK_EQUAL(status, MRAY_ERR_ACTOR_DIED);
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv, NULL);
    uint64_t random = check_seed();
    int64_t n_good = 0;
    /* Pools and workers get their size. */
    one_round(&random, &n_good);
    size_t used = check_store_used();
    for (int round = 0; round < N_ROUNDS; round++) one_round(&random, &n_good);
    test_what_a_worker_made_outlives_the_task();
    test_what_a_worker_made_dies_with_it();
    test_what_an_actor_made_dies_with_it();
    /* Tasks whose results only dead actors wanted still run. */
    for (double end = check_seconds() + 60; check_tasks_left() > 0 && check_seconds() < end;) usleep(10000);
    CHECK(check_store_settles(used));
    printf("%lld calls had a result\n", (long long)n_good);
    return check_finish();
}
