/* mpi_crash.c: tasks that take their worker process with them: signals, abort(), exit(), _exit(), kill -9. The task is repeated as its options
 * say and ends as MRAY_ERR_WORKER_CRASHED, an actor as MRAY_ERR_ACTOR_DIED; everybody else goes on.
 *
 * How often a task ran is told by the size of a file that each run makes one byte longer. */
/* ranks: local 1 2 4 4x1 4x2 */
/* modes: process */
/* sanitize: none */
#include "check.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef enum { BY_SEGV = 1, BY_ABORT, BY_EXIT, BY_QUICK_EXIT, BY_KILL, BY_FPE, BY_TERM } way_t;

static void die(int way)
{
    volatile int zero = 0;
    switch (way) {
    case BY_SEGV: *(volatile int *)(uintptr_t)zero = 1; break;
    case BY_ABORT: abort();
    case BY_EXIT: exit(3);
    case BY_QUICK_EXIT: _exit(4);
    case BY_KILL: kill(getpid(), SIGKILL); break;
    case BY_FPE: raise(SIGFPE); break;
    default: raise(SIGTERM); break;
    }
}

MRAY_TASK(int64_t, dying, check_file, counter, int, way)
{
    check_mark(counter);
    die(way);
    return way;
}

MRAY_TASK(int64_t, dies_before, check_file, counter, int, way, int, n_deaths)
{
    long run = check_mark(counter);
    mray_task_info info;
    if (mray_task_current(&info) != MRAY_OK || info.attempt != run - 1) mray_fail("run %ld is attempt %d", run, info.attempt);
    if (run <= n_deaths) die(way);
    return run;
}

MRAY_TASK(int64_t, square, int64_t, x) { return x * x; }

static const struct {
    int way;
    const char *sign; /* in the sentence */
} ways[] = {{BY_SEGV, "SEGV"}, {BY_ABORT, "ABRT"}, {BY_EXIT, "exit code 3"}, {BY_QUICK_EXIT, "exit code 4"}, {BY_KILL, "KILL"}, {BY_FPE, "FPE"}, {BY_TERM, "TERM"}};
enum { N_WAYS = sizeof ways / sizeof ways[0] };

static void test_every_way_to_die_is_named(void)
{
    mray_ref refs[N_WAYS], others[200];
    check_file counters[N_WAYS];
    for (int i = 0; i < 100; i++) others[i] = mray_remote(square, i);
    for (int k = 0; k < N_WAYS; k++) {
        char name[24];
        snprintf(name, sizeof name, "way%d", k);
        counters[k] = check_file_of(name);
        refs[k] = mray_remote_with(mray_opts(.max_retries = MRAY_NO_RETRY), dying, counters[k], ways[k].way);
    }
    for (int i = 100; i < 200; i++) others[i] = mray_remote(square, i);
    int64_t x = 0;
    for (int k = 0; k < N_WAYS; k++) {
        CHECK_ERROR(mray_get(refs[k], &x), MRAY_ERR_WORKER_CRASHED, ways[k].sign);
        CHECK(check_sentence_has("dying"));
        CHECK_EQUAL(check_marks(counters[k]), 1);
        CHECK_OK(mray_release(refs[k]));
    }
    for (int i = 0; i < 200; i++) {
        CHECK_OK(mray_get(others[i], &x));
        CHECK_EQUAL(x, i * i);
        CHECK_OK(mray_release(others[i]));
    }
}

static void test_tasks_are_repeated_as_asked(void)
{
    check_file by_default = check_file_of("default"), once_more = check_file_of("once");
    mray_ref a = mray_remote(dying, by_default, BY_KILL);
    mray_ref b = mray_remote_with(mray_opts(.max_retries = 1), dying, once_more, BY_EXIT);
    int64_t x = 0;
    CHECK_STATUS(mray_get(a, &x), MRAY_ERR_WORKER_CRASHED);
    CHECK_EQUAL(check_marks(by_default), 4);
    CHECK_STATUS(mray_get(b, &x), MRAY_ERR_WORKER_CRASHED);
    CHECK_EQUAL(check_marks(once_more), 2);
    CHECK_OK(mray_release_many((mray_ref[]){a, b}, 2));
}

static void test_a_later_attempt_may_succeed(void)
{
    static const int deaths[] = {1, 3, 7};
    mray_ref refs[3];
    int64_t x = 0;
    for (int k = 0; k < 3; k++) {
        char name[24];
        snprintf(name, sizeof name, "later%d", k);
        refs[k] = mray_remote_with(mray_opts(.max_retries = k == 2 ? MRAY_RETRY_FOREVER : 0), dies_before, check_file_of(name), BY_SEGV, deaths[k]);
    }
    for (int k = 0; k < 3; k++) {
        CHECK_OK(mray_get(refs[k], &x));
        CHECK_EQUAL(x, deaths[k] + 1);
    }
    CHECK_OK(mray_release_many(refs, 3));
}

/* More of them than slots anywhere, so that nodes call them back from each other. */
static void test_attempts_are_counted_wherever_a_task_goes(void)
{
    enum { N = 24 };
    mray_ref refs[N];
    int64_t x = 0;
    for (int i = 0; i < N; i++) {
        char name[24];
        snprintf(name, sizeof name, "goes%d", i);
        refs[i] = mray_remote(dies_before, check_file_of(name), BY_KILL, 2);
    }
    for (int i = 0; i < N; i++) {
        CHECK_OK(mray_get(refs[i], &x));
        CHECK_EQUAL(x, 3);
    }
    CHECK_OK(mray_release_many(refs, N));
}

static void test_dependents_get_the_crash(void)
{
    mray_ref a = mray_remote_with(mray_opts(.max_retries = MRAY_NO_RETRY), dying, check_file_of("cause"), BY_ABORT);
    mray_ref b = mray_remote(square, a), c = mray_remote(square, b);
    int64_t x = 0;
    CHECK_ERROR(mray_get(c, &x), MRAY_ERR_WORKER_CRASHED, "dying");
    CHECK_OK(mray_release_many((mray_ref[]){a, b, c}, 3));
}

/* A caller outlives the crash of what it called, whoever ran that. */
MRAY_TASK(int64_t, calls_dying, check_file, counter, int, way)
{
    mray_ref ref = mray_remote_with(mray_opts(.max_retries = MRAY_NO_RETRY), dying, counter, way);
    int64_t x = 0;
    int status = mray_get(ref, &x);
    (void)mray_release(ref);
    return status;
}

static void test_a_task_sees_the_crash_of_its_child(void)
{
    check_file counter = check_file_of("child");
    mray_ref ref = mray_remote(calls_dying, counter, BY_SEGV);
    int64_t x = 0;
    CHECK_OK(mray_get(ref, &x));
    CHECK_EQUAL(x, MRAY_ERR_WORKER_CRASHED);
    CHECK_OK(mray_release(ref));
}

/* ---- what a dead worker held ---- */

MRAY_TASK(int64_t, dies_with_objects, check_file, counter, mray_ref, given)
{
    static double big[20000];
    mray_view view;
    void *data;
    mray_ref unsealed, pending;
    check_mark(counter);
    for (int i = 0; i < 10; i++)
        if (mray_ref_is_nil(mray_put_array(big, 20000))) _exit(90);
    if (mray_get_view(given, MRAY_FOREVER, &view) != MRAY_OK || mray_retain(given) != MRAY_OK) _exit(91);
    if (mray_create(100000, (mray_type){.dtype = MRAY_UINT8, .size = 1, .is_array = 1}, NULL, &data, &unsealed) != MRAY_OK) _exit(92);
    pending = mray_remote(square, 5);
    if (mray_ref_is_nil(pending)) _exit(93);
    die(BY_KILL);
    return 0;
}

MRAY_TASK(mray_array(double), dies_with_room, check_file, counter)
{
    mray_array(double) v = mray_return_array(double, 30000);
    if (check_mark(counter) < 3) die(BY_SEGV);
    for (size_t i = 0; i < v.n; i++) v.data[i] = (double)i;
    return v;
}

static void test_what_a_dead_worker_held_is_freed(void)
{
    static double v[30000];
    mray_ref given = mray_put_array(v, 10000);
    mray_ref refs[4];
    check_file counter = check_file_of("objects");
    for (int i = 0; i < 4; i++) refs[i] = mray_remote_with(mray_opts(.max_retries = 2), dies_with_objects, counter, given);
    int64_t x = 0;
    for (int i = 0; i < 4; i++) CHECK_ERROR(mray_get(refs[i], &x), MRAY_ERR_WORKER_CRASHED, "KILL");
    CHECK_EQUAL(check_marks(counter), 12);
    CHECK_OK(mray_release_many(refs, 4));
    CHECK_OK(mray_release(given));

    mray_ref ref = mray_remote(dies_with_room, check_file_of("room"));
    CHECK_OK(mray_get_array(ref, v, 30000));
    CHECK(v[29999] == 29999);
    CHECK_OK(mray_release(ref));
}

/* ---- actors ---- */

typedef struct {
    int64_t n;
} counter_t;

MRAY_ACTOR(counter_t, int64_t, start)
{
    self->n = start;
}

MRAY_METHOD(int64_t, counter_t, add, int64_t, k)
{
    return self->n += k;
}

MRAY_METHOD(int64_t, counter_t, crash, int, way)
{
    self->n = -1;
    die(way);
    return 0;
}

static void test_a_crash_ends_the_actor_alone(void)
{
    mray_actor victim = mray_actor_new(counter_t, 10), other = mray_actor_new(counter_t, 20);
    mray_ref refs[] = {mray_call(victim, counter_t, add, 1), mray_call(victim, counter_t, crash, BY_SEGV), mray_call(victim, counter_t, add, 1),
                       mray_call(other, counter_t, add, 1)};
    int64_t x = 0;
    CHECK_OK(mray_get(refs[0], &x));
    CHECK_EQUAL(x, 11);
    CHECK_ERROR(mray_get(refs[1], &x), MRAY_ERR_ACTOR_DIED, "SEGV");
    CHECK(check_sentence_has("counter_t"));
    CHECK_STATUS(mray_get(refs[2], &x), MRAY_ERR_ACTOR_DIED);
    mray_ref late = mray_call(victim, counter_t, add, 1);
    CHECK_STATUS(mray_get(late, &x), MRAY_ERR_ACTOR_DIED);
    if (!mray_ref_is_nil(late)) CHECK_OK(mray_release(late));
    CHECK_OK(mray_get(refs[3], &x));
    CHECK_EQUAL(x, 21);
    CHECK_OK(mray_release_many(refs, 4));
    CHECK_OK(mray_actor_kill(victim));
    CHECK_OK(mray_actor_kill(other));
}

/* Makes an actor of that name and dies. */
MRAY_TASK(int64_t, makes_actor_and_dies, mray_array(char), name, bool, detached)
{
    char text[64] = "";
    memcpy(text, name.data, name.n);
    mray_actor actor = mray_actor_new_with(((mray_actor_opts){.name = text, .detached = detached}), counter_t, 5);
    mray_ref ref = mray_call(actor, counter_t, add, 1);
    int64_t x = 0;
    if (mray_get(ref, &x) != MRAY_OK || x != 6) _exit(95);
    die(BY_KILL);
    return 0;
}

static void test_an_actor_dies_with_its_creator_unless_detached(void)
{
    static char orphan[] = "orphan", survivor[] = "survivor";
    mray_ref refs[2];
    int64_t x = 0;
    mray_task_opts once = {.max_retries = MRAY_NO_RETRY};
    refs[0] = mray_remote_with(once, makes_actor_and_dies, mray_array_of(char, orphan, sizeof orphan), false);
    refs[1] = mray_remote_with(once, makes_actor_and_dies, mray_array_of(char, survivor, sizeof survivor), true);
    for (int i = 0; i < 2; i++) CHECK_ERROR(mray_get(refs[i], &x), MRAY_ERR_WORKER_CRASHED, "KILL");
    CHECK_OK(mray_release_many(refs, 2));

    mray_actor actor;
    int status = MRAY_OK;
    for (double end = check_seconds() + 3; status == MRAY_OK && check_seconds() < end; usleep(1000)) status = mray_actor_find(orphan, &actor);
    CHECK_EQUAL(status, MRAY_ERR_ACTOR_NOT_FOUND);
    CHECK_OK(mray_actor_find(survivor, &actor));
    mray_ref ref = mray_call(actor, counter_t, add, 10);
    CHECK_OK(mray_get(ref, &x));
    CHECK_EQUAL(x, 16);
    CHECK_OK(mray_release(ref));
    CHECK_OK(mray_actor_kill(actor));
}

/* Arguments are read-only: who writes to one dies, and the object stays as it is. */
MRAY_TASK(double, writes_to_argument, mray_array(double), v)
{
    v.data[0] = 99;
    return v.data[0];
}

static void test_writing_to_an_argument_ends_the_writer(void)
{
    static double v[5000] = {1.5};
    mray_ref array = mray_put_array(v, 5000), ref = mray_remote_with(mray_opts(.max_retries = MRAY_NO_RETRY), writes_to_argument, array);
    double x = 0;
    CHECK_ERROR(mray_get(ref, &x), MRAY_ERR_WORKER_CRASHED, "writes_to_argument");
    mray_view view;
    CHECK_OK(mray_get_view(array, MRAY_FOREVER, &view));
    CHECK(((const double *)view.data)[0] == 1.5);
    mray_view_release(&view);
    CHECK_OK(mray_release_many((mray_ref[]){array, ref}, 2));
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv, NULL);
    size_t used = check_store_used();
    test_every_way_to_die_is_named();
    test_tasks_are_repeated_as_asked();
    test_a_later_attempt_may_succeed();
    test_attempts_are_counted_wherever_a_task_goes();
    test_dependents_get_the_crash();
    test_a_task_sees_the_crash_of_its_child();
    test_what_a_dead_worker_held_is_freed();
    test_a_crash_ends_the_actor_alone();
    test_an_actor_dies_with_its_creator_unless_detached();
    test_writing_to_an_argument_ends_the_writer();
    CHECK(check_store_settles(used));
    return check_finish();
}
