/* mpi_spread.c: MRAY_SCHED_SPREAD: tasks and actors go round the ranks, one after the other, all at once, and wherever their arguments lie. */
/* ranks: local 2 4 4x1 4x2 */
/* sanitize: 4x1 */
#include "check.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_RANKS = 16, ROUNDS = 3 };

static int current_rank(void)
{
    mray_task_info info;
    return mray_task_current(&info) == MRAY_OK ? info.rank : -1;
}

MRAY_TASK(int, where, int, ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000l}, NULL);
    return current_rank();
}

MRAY_TASK(int, where_with, mray_array(double), x)
{
    return x.n > 0 ? current_rank() : -2;
}

typedef struct {
    int nothing;
} settler;

MRAY_ACTOR(settler)
{
    self->nothing = 0;
}

MRAY_METHOD(int, settler, rank)
{
    return current_rank();
}

static int take(mray_ref ref)
{
    int rank = -9;
    CHECK_OK(mray_get(ref, &rank));
    CHECK_OK(mray_release(ref));
    return rank;
}

/* With mpirun the driver's rank has no workers. */
static int n_places(void)
{
    return check_num_ranks() > 1 ? check_num_ranks() - 1 : 1;
}

/* Every place had between least and most. */
static bool are_even(const int *counts, int least, int most)
{
    bool even = true;
    for (int k = 0; k < n_places(); k++) even &= counts[check_worker_rank(k)] >= least && counts[check_worker_rank(k)] <= most;
    return even;
}

static void check_counts(const char *what, const int *counts, int least, int most)
{
    if (are_even(counts, least, most)) return;
    for (int k = 0; k < n_places(); k++)
        check_failed(__FILE__, __LINE__, "%s: rank %d had %d; all were to have %d to %d", what, check_worker_rank(k), counts[check_worker_rank(k)], least, most);
}

static void note(int *counts, int rank)
{
    CHECK(rank >= 0 && rank < MAX_RANKS);
    if (rank >= 0 && rank < MAX_RANKS) counts[rank]++;
}

/* Until it is known here that the last task of that rank is over: its one CPU is free only when its agent has said so. */
static void settle(int rank)
{
    mray_task_opts there = check_on_rank(rank);
    there.num_cpus = 1;
    CHECK_EQUAL(take(mray_remote_with(there, where, 0)), rank);
}

/* The longest time between two of its tasks, in seconds. settled: each task knows of the end of all before it. */
static double go_round(const mray_task_opts *opts, mray_ref data, bool settled, int *counts)
{
    double longest = 0;
    memset(counts, 0, MAX_RANKS * sizeof *counts);
    for (int k = 0; check_num_ranks() > 1 && k < n_places(); k++) settle(check_worker_rank(k));
    for (int i = 0; i < ROUNDS * n_places(); i++) {
        double start = check_seconds();
        int rank = take(mray_ref_is_nil(data) ? mray_remote_with(*opts, where, 0) : mray_remote_with(*opts, where_with, data));
        note(counts, rank);
        if (settled && rank > 0) settle(rank);
        if (check_seconds() - start > longest) longest = check_seconds() - start;
    }
    return longest;
}

/* A task goes to the rank that is least full as far as its submitter knows, so on a machine that lets an agent wait for a CPU the others have several in
 * the meantime: then once more. Who waits for the ends of tasks sees the ranks take turns strictly, but that a pause of half a second gives the leases
 * back, and the turns are forgotten. */
static void test_one_after_the_other(const mray_task_opts *opts, mray_ref data, const char *what)
{
    enum { ATTEMPTS = 20 };
    int counts[MAX_RANKS];
    for (int i = 0; i < ATTEMPTS && (go_round(opts, data, false, counts), !are_even(counts, ROUNDS - 1, ROUNDS + 1)); i++)
        ;
    check_counts(what, counts, ROUNDS - 1, ROUNDS + 1);
    for (int i = 0; i < ATTEMPTS && go_round(opts, data, true, counts) > 0.2; i++)
        ;
    check_counts(what, counts, ROUNDS, ROUNDS);
}

static void test_all_at_once(void)
{
    enum { EACH = 4 };
    int counts[MAX_RANKS] = {0}, n = EACH * n_places();
    mray_ref *refs = calloc((size_t)n, sizeof *refs);
    if (refs == NULL) abort();
    for (int i = 0; i < n; i++) refs[i] = mray_remote_with(mray_opts(.strategy = MRAY_SCHED_SPREAD), where, 5);
    for (int i = 0; i < n; i++) note(counts, take(refs[i]));
    check_counts("all at once", counts, EACH / 2, EACH * 2); /* a rank that is quick may get more */
    free(refs);
}

static void test_actors_take_ranks_in_turn(void)
{
    enum { CROWD = 3, EACH = 2 };
    int counts[MAX_RANKS] = {0}, n = EACH * n_places();
    char name[32];
    snprintf(name, sizeof name, "rank%d", check_worker_rank(0));
    mray_actor crowd[CROWD], *actors = calloc((size_t)n, sizeof *actors);
    if (actors == NULL) abort();
    for (int i = 0; i < CROWD; i++) crowd[i] = mray_actor_new_with(((mray_actor_opts){.resource = name}), settler);
    for (int i = 0; i < n; i++) actors[i] = mray_actor_new_with(((mray_actor_opts){.strategy = MRAY_SCHED_SPREAD}), settler);
    for (int i = 0; i < n; i++) note(counts, take(mray_call(actors[i], settler, rank)));
    check_counts("actors", counts, EACH, EACH); /* however many are there already */
    for (int i = 0; i < n; i++) CHECK_OK(mray_actor_kill(actors[i]));
    for (int i = 0; i < CROWD; i++) CHECK_OK(mray_actor_kill(crowd[i]));
    free(actors);
}

static void test_a_strategy_that_there_is_not(void)
{
    mray_actor actor;
    CHECK_NIL(mray_remote_with(mray_opts(.strategy = (mray_strategy)9), where, 0), MRAY_ERR_INVALID_ARGUMENT, "strategy");
    CHECK_ERROR(mray_actor_create(&settler__mray_class, NULL, 0, &(mray_actor_opts){.strategy = (mray_strategy)-1}, &actor), MRAY_ERR_INVALID_ARGUMENT, "strategy");
}

static void test_what_no_rank_has(void)
{
    int rank;
    mray_ref ref = mray_remote_with(mray_opts(.strategy = MRAY_SCHED_SPREAD, .num_cpus = 50000), where, 0);
    CHECK_ERROR(mray_get(ref, &rank), MRAY_ERR_TASK_UNSCHEDULABLE, "50000");
    CHECK_OK(mray_release(ref));
}

int main(int argc, char **argv)
{
    static double data[10000];
    setenv("MRAY_UNSCHEDULABLE_TIMEOUT", "300", 1);
    check_init(&argc, &argv, &(mray_init_opts){.num_workers = check_early_rank() > 0 ? 1 : 0}); /* see settle() */
    size_t used = check_store_used();
    test_one_after_the_other(&(mray_task_opts){.strategy = MRAY_SCHED_SPREAD}, (mray_ref){0}, "one after the other");
    test_one_after_the_other(&(mray_task_opts){.strategy = MRAY_SCHED_SPREAD, .num_cpus = 0.5}, (mray_ref){0}, "half a CPU");
    mray_ref ref = mray_put_array(data, 10000);
    test_one_after_the_other(&(mray_task_opts){.strategy = MRAY_SCHED_SPREAD}, ref, "with data");
    CHECK_OK(mray_release(ref));
    test_all_at_once();
    test_actors_take_ranks_in_turn();
    test_a_strategy_that_there_is_not();
    test_what_no_rank_has();
    CHECK(check_store_settles(used)); /* ends of actors travel */
    return check_finish();
}
