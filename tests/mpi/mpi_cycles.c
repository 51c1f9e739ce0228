/* mpi_cycles.c: actors and tasks that wait for each other in a circle: the last one to wait gets an error and all end; chains without a circle,
 * random ones with a seed, get none. */
/* ranks: local 1 2 4 */
#include "check.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_STEPS = 8 };

typedef enum { BY_ACTOR, BY_TASK, BY_ARGUMENT, BY_WAIT } step_t;

/* A chain of waits: step i is a call to actors[i], made in a way; behind the last one stands a call to `end`. */
typedef struct {
    int n, at, nap_ms;
    uint8_t way[MAX_STEPS];
    mray_actor actors[MAX_STEPS], end;
} chain_t;

typedef struct {
    int calls;
} link_t;

static void nap(int ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000L}, NULL);
}

static mray_ref next(chain_t c);
static int64_t follow(chain_t c);

MRAY_ACTOR(link_t)
{
    self->calls = 0;
}
MRAY_METHOD(int64_t, link_t, ping)
{
    self->calls++;
    return 0;
}
MRAY_METHOD(int64_t, link_t, go_on, chain_t, c)
{
    self->calls++;
    return follow(c);
}
MRAY_TASK(int64_t, go_on_in_a_task, chain_t, c) { return follow(c); }
MRAY_TASK(int64_t, plus_nothing, int64_t, x) { return x; }

/* How many waits of the chain from here on were told of a circle. */
static int64_t follow(chain_t c)
{
    int64_t n = 0;
    uint8_t way = c.at < c.n ? c.way[c.at] : BY_ACTOR;
    if (c.nap_ms > 0) nap(c.nap_ms);
    mray_ref ref = next(c);
    bool ready = false;
    int status = way == BY_WAIT ? mray_wait(&ref, 1, 1, MRAY_FOREVER, &ready, NULL) : MRAY_OK;
    if (status == MRAY_OK) status = mray_get(ref, &n);
    if (status != MRAY_OK) n = status == MRAY_ERR_WAIT_CYCLE && strstr(mray_error_message(), "circle") != NULL ? 1 : 1000;
    (void)mray_release(ref);
    return n;
}

static mray_ref next(chain_t c)
{
    if (c.at == c.n) return mray_call(c.end, link_t, ping);
    uint8_t way = c.way[c.at];
    mray_actor actor = c.actors[c.at];
    if (way == BY_TASK) {
        c.way[c.at] = BY_ACTOR; /* a task that calls the actor */
        return mray_remote(go_on_in_a_task, c);
    }
    c.at++;
    if (way != BY_ARGUMENT) return mray_call(actor, link_t, go_on, c);
    mray_ref inner = mray_call(actor, link_t, go_on, c), outer = mray_remote(plus_nothing, inner);
    (void)mray_release(inner);
    return outer;
}

static mray_actor actors[MAX_STEPS];

static int64_t value_of(mray_ref ref)
{
    int64_t x = -1;
    CHECK_OK(mray_get_timeout(ref, &x, 60000000000));
    CHECK_OK(mray_release(ref));
    return x;
}

/* Actors of the chain: the first n; closed: the last one calls the first. */
static chain_t chain_of(int n, bool closed, step_t way)
{
    chain_t c = {.n = n, .end = closed ? actors[0] : actors[MAX_STEPS - 1]};
    for (int i = 0; i < n; i++) {
        c.actors[i] = actors[i];
        c.way[i] = (uint8_t)way;
    }
    return c;
}

static int64_t run(chain_t c)
{
    c.at = 1;
    return value_of(mray_call(c.actors[0], link_t, go_on, c));
}

static void test_each_kind_of_circle(void)
{
    for (step_t way = BY_ACTOR; way <= BY_WAIT; way++)
        for (int n = 2; n <= 4; n++) {
            CHECK_EQUAL(run(chain_of(n, true, way)), 1);
            CHECK_EQUAL(run(chain_of(n, false, way)), 0);
        }
}

/* The same waits, in two actors that begin at the same time: each calls the other. */
static void test_two_that_begin_at_once(void)
{
    for (int turn = 0; turn < 10; turn++) {
        chain_t a = chain_of(2, false, BY_ACTOR), b = a;
        a.end = actors[1];
        b.end = actors[0];
        a.n = b.n = a.at = b.at = 0; /* each calls ping of the other, after a moment */
        a.nap_ms = b.nap_ms = 20;
        mray_ref refs[] = {mray_call(actors[0], link_t, go_on, a), mray_call(actors[1], link_t, go_on, b)};
        CHECK_EQUAL(value_of(refs[0]) + value_of(refs[1]), 1);
    }
}

/* Many chains at a time over the same actors, each from lower to higher ones: waits long enough to be looked at, and no circle. */
static void test_no_circle_where_there_is_none(unsigned seed)
{
    enum { CHAINS = 12 };
    mray_ref refs[CHAINS];
    srand(seed);
    for (int k = 0; k < CHAINS; k++) {
        chain_t c = {.end = actors[MAX_STEPS - 1], .nap_ms = rand() % 3 * 12};
        for (int a = 0; a < MAX_STEPS - 1 && c.n < 4; a++) {
            if (rand() % 2 == 0) continue;
            c.way[c.n] = (uint8_t)(rand() % 4);
            c.actors[c.n++] = actors[a];
        }
        if (c.n == 0) c.actors[c.n++] = actors[0];
        c.at = 1;
        refs[k] = mray_call(c.actors[0], link_t, go_on, c);
    }
    for (int k = 0; k < CHAINS; k++) CHECK_EQUAL(value_of(refs[k]), 0);
}

/* Random ways round a circle of random actors. */
static void test_random_circles(unsigned seed)
{
    srand(seed);
    for (int k = 0; k < 8; k++) {
        chain_t c = chain_of(2 + rand() % 5, true, BY_ACTOR);
        for (int i = 0; i < c.n; i++) {
            int j = i + rand() % (MAX_STEPS - i);
            c.way[i] = (uint8_t)(rand() % 4);
            mray_actor swap = actors[i];
            actors[i] = actors[j];
            actors[j] = swap;
        }
        for (int i = 0; i < c.n; i++) c.actors[i] = actors[i];
        c.end = actors[rand() % (c.n - 1)]; /* any but the caller itself, which is refused at once */
        CHECK_EQUAL(run(c), 1);
    }
}

int main(int argc, char **argv)
{
    const char *text = getenv("MRAY_TEST_SEED");
    unsigned seed = text != NULL ? (unsigned)atoi(text) : (unsigned)time(NULL);
    check_init(&argc, &argv, NULL);
    printf("seed %u\n", seed);
    for (int i = 0; i < MAX_STEPS; i++) actors[i] = mray_actor_new(link_t);
    test_each_kind_of_circle();
    test_two_that_begin_at_once();
    for (unsigned k = 0; k < 4; k++) test_no_circle_where_there_is_none(seed + k);
    test_random_circles(seed);
    for (int i = 0; i < MAX_STEPS; i++) CHECK_OK(mray_actor_kill(actors[i]));
    return check_finish();
}
