/* mpi_actor_place.c: where actors go: spread over the ranks that have workers, to what they keep, in turn where it is not enough for all. */
/* ranks: local 1 2 4 */
#include "check.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct {
    int64_t n;
} place;

MRAY_ACTOR(place)
{
    self->n = 0;
}

MRAY_METHOD(int, place, rank)
{
    mray_task_info info;
    self->n++;
    return mray_task_current(&info) == MRAY_OK ? info.rank : -1;
}

static int rank_of(mray_actor actor)
{
    mray_ref ref = mray_call(actor, place, rank);
    int rank = -1;
    CHECK_OK(mray_get(ref, &rank));
    CHECK_OK(mray_release(ref));
    return rank;
}

static void test_actors_are_spread_over_the_ranks_with_workers(void)
{
    enum { EACH = 3 };
    int n_ranks = check_num_ranks(), n_hosts = n_ranks == 1 ? 1 : n_ranks - 1, *counts = calloc((size_t)n_ranks, sizeof *counts);
    mray_actor *actors = calloc((size_t)(n_hosts * EACH), sizeof *actors);
    if (actors == NULL || counts == NULL) abort();
    for (int i = 0; i < n_hosts * EACH; i++) actors[i] = mray_actor_new(place);
    for (int i = 0; i < n_hosts * EACH; i++) {
        int rank = rank_of(actors[i]);
        CHECK(rank >= 0 && rank < n_ranks);
        if (rank >= 0 && rank < n_ranks) counts[rank]++;
    }
    for (int r = 0; r < n_ranks; r++) CHECK_EQUAL(counts[r], n_ranks > 1 && r == 0 ? 0 : EACH);
    for (int i = 0; i < n_hosts * EACH; i++) CHECK_OK(mray_actor_kill(actors[i]));
    free(actors);
    free(counts);
}

static void test_what_no_rank_has_is_an_error(void)
{
    mray_actor actor;
    CHECK_ERROR(mray_actor_create(&place__mray_class, NULL, 0, &(mray_actor_opts){.num_cpus = 50000}, &actor), MRAY_ERR_TASK_UNSCHEDULABLE, "50000");
    CHECK(mray_actor_is_nil(actor));
    CHECK_ERROR(mray_actor_create(&place__mray_class, NULL, 0, &(mray_actor_opts){.resource = "unobtainium"}, &actor), MRAY_ERR_TASK_UNSCHEDULABLE, "unobtainium");
    CHECK_ERROR(mray_actor_create(&place__mray_class, NULL, 0, &(mray_actor_opts){.num_cpus = -1}, &actor), MRAY_ERR_INVALID_ARGUMENT, "num_cpus");
    CHECK_ERROR(mray_actor_create(&place__mray_class, NULL, 0, &(mray_actor_opts){.name = ""}, &actor), MRAY_ERR_INVALID_ARGUMENT, "name");
}

static void *kill_soon(void *actor)
{
    usleep(50000);
    CHECK_OK(mray_actor_kill(*(mray_actor *)actor));
    return NULL;
}

/* A rank has 1000 of its resource (check.c): two actors of 600 do not fit at a time, one of 300 passes by. */
static void test_an_actor_waits_for_room(void)
{
    char name[32];
    int rank = check_worker_rank(0);
    snprintf(name, sizeof name, "rank%d", rank);
    mray_actor_opts opts = {.resource = name, .resource_amount = 600}, less = {.resource = name, .resource_amount = 300};
    mray_actor first = mray_actor_new_with(opts, place), small = mray_actor_new_with(less, place), second;
    CHECK_EQUAL(rank_of(first), rank);
    CHECK_EQUAL(rank_of(small), rank);
    pthread_t killer;
    double begin = check_seconds();
    if (pthread_create(&killer, NULL, kill_soon, &first) != 0) abort();
    CHECK_OK(mray_actor_create(&place__mray_class, NULL, 0, &opts, &second));
    CHECK(check_seconds() - begin > 0.04);
    pthread_join(killer, NULL);
    CHECK_EQUAL(rank_of(second), rank);
    CHECK_OK(mray_actor_kill(small));
    CHECK_OK(mray_actor_kill(second));
}

/* ---- bad use ---- */

typedef struct {
    int64_t n;
} other;

MRAY_ACTOR(other, int64_t, n)
{
    self->n = n;
}

MRAY_METHOD(int64_t, other, read)
{
    return self->n;
}

static void test_bad_use_gets_a_sentence(void)
{
    mray_actor nil = {0}, actor = mray_actor_new(place), foreign = actor, far = actor;
    foreign.epoch++;
    far.rank = 1000000;
    CHECK_NIL(mray_call(nil, place, rank), MRAY_ERR_INVALID_ARGUMENT, "nil");
    CHECK_NIL(mray_call(foreign, place, rank), MRAY_ERR_INVALID_ARGUMENT, "session");
    CHECK_NIL(mray_call(far, place, rank), MRAY_ERR_INVALID_ARGUMENT, "session");
    CHECK_ERROR(mray_actor_kill(nil), MRAY_ERR_INVALID_ARGUMENT, "mray_actor_kill");
    CHECK_ERROR(mray_actor_stop(foreign), MRAY_ERR_INVALID_ARGUMENT, "mray_actor_stop");
    CHECK_NIL(mray_call(actor, other, read), MRAY_ERR_TYPE, "'place'");
    mray_actor made;
    int64_t one = 1;
    mray_arg args[] = {{.type = MRAY_TYPE_OF(one), .data = &one, .n = 1}, {.type = MRAY_TYPE_OF(one), .data = &one, .n = 1}};
    CHECK_ERROR(mray_actor_create(&other__mray_class, args, 2, NULL, &made), MRAY_ERR_INVALID_ARGUMENT, "1 expected");
    CHECK(mray_actor_is_nil(made));
    static const mray_function stranger = {.name = "stranger"};
    mray_ref ref;
    CHECK_ERROR(mray_actor_submit(actor, &stranger, NULL, 0, NULL, &ref), MRAY_ERR_TASK_NOT_FOUND, "stranger");
    CHECK_ERROR(mray_actor_find(NULL, &made), MRAY_ERR_INVALID_ARGUMENT, "NULL");
    CHECK_EQUAL(rank_of(actor) >= 0, 1);
    CHECK_OK(mray_actor_kill(actor));
    CHECK_OK(mray_actor_kill(actor));
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv, NULL);
    size_t used = check_store_used();
    test_actors_are_spread_over_the_ranks_with_workers();
    test_what_no_rank_has_is_an_error();
    test_an_actor_waits_for_room();
    test_bad_use_gets_a_sentence();
    CHECK(check_store_settles(used));
    return check_finish();
}
