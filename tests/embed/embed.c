/* embed.c: mray in a program that has started MPI with a thread level: embed funneled | serialized | multiple.
 *
 * MPI's entry points that the library uses are wrapped: each call sees whether the level allows it, and the program's own calls take
 * long enough for a thread that polls beside them to be caught. */
#include "check.h"

#include <mray/mpi.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int level_given;
static pthread_t main_thread;
static _Atomic int inside, n_overlaps, n_foreign, n_calls;

static void enter(void)
{
    atomic_fetch_add(&n_calls, 1);
    if (level_given < MPI_THREAD_MULTIPLE && atomic_fetch_add(&inside, 1) != 0) atomic_fetch_add(&n_overlaps, 1);
    if (level_given < MPI_THREAD_SERIALIZED && !pthread_equal(pthread_self(), main_thread)) atomic_fetch_add(&n_foreign, 1);
}

static int leave(int result)
{
    if (level_given < MPI_THREAD_MULTIPLE) atomic_fetch_sub(&inside, 1);
    return result;
}

#define GUARDED(call) (enter(), leave(call))

int MPI_Test(MPI_Request *request, int *flag, MPI_Status *status) { return GUARDED(PMPI_Test(request, flag, status)); }
int MPI_Testsome(int n, MPI_Request requests[], int *n_p, int indices[], MPI_Status statuses[])
{
    return GUARDED(PMPI_Testsome(n, requests, n_p, indices, statuses));
}
int MPI_Isend(const void *buf, int n, MPI_Datatype type, int dst, int tag, MPI_Comm comm, MPI_Request *request)
{
    return GUARDED(PMPI_Isend(buf, n, type, dst, tag, comm, request));
}
int MPI_Irecv(void *buf, int n, MPI_Datatype type, int src, int tag, MPI_Comm comm, MPI_Request *request)
{
    return GUARDED(PMPI_Irecv(buf, n, type, src, tag, comm, request));
}
int MPI_Rget(void *to, int n, MPI_Datatype type, int src, MPI_Aint off, int n_src, MPI_Datatype type_src, MPI_Win win, MPI_Request *request)
{
    return GUARDED(PMPI_Rget(to, n, type, src, off, n_src, type_src, win, request));
}

static void nap_ms(int ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000L}, NULL);
}

/* A call of the solver's that stays inside MPI for a while. */
static void compute_and_communicate(void)
{
    int one = 1, sum = 0, n_ranks;
    enter();
    PMPI_Comm_size(MPI_COMM_WORLD, &n_ranks);
    PMPI_Allreduce(&one, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    nap_ms(20);
    leave(0);
    CHECK_EQUAL(sum, n_ranks);
}

/* All ranks meet; each serves the others until they come. */
static void meet(void)
{
    MPI_Request request;
    int done = 0;
    PMPI_Ibarrier(MPI_COMM_WORLD, &request);
    for (; !done; nap_ms(1)) {
        (void)mray_progress();
        enter();
        leave(PMPI_Test(&request, &done, MPI_STATUS_IGNORE));
    }
}

MRAY_TASK(int64_t, square, int64_t, x) { return x * x; }
MRAY_TASK(int64_t, sum_of, mray_array(int64_t), v)
{
    int64_t sum = 0;
    for (size_t i = 0; i < v.n; i++) sum += v.data[i];
    return sum;
}
MRAY_TASK(int64_t, slowly, int64_t, x)
{
    nap_ms(100);
    return x + 1;
}

enum { LARGE = 100000, N_LATE = 4 };

static void exchange(mray_ref mine, mray_ref *all)
{
    enter();
    PMPI_Allgather(&mine, sizeof mine, MPI_BYTE, all, sizeof mine, MPI_BYTE, MPI_COMM_WORLD);
    leave(0);
}

static void test_objects_and_tasks_of_other_ranks(int rank, int n_ranks)
{
    int64_t *large = malloc(LARGE * sizeof *large), x = 0;
    mray_ref all[64], results[16];
    for (int i = 0; i < LARGE; i++) large[i] = rank + i;
    mray_ref mine = mray_put_array(large, LARGE);
    exchange(mine, all);
    for (int step = 0; step < 3; step++) compute_and_communicate();
    mray_ref sum = mray_remote(sum_of, all[(rank + 1) % n_ranks]);
    CHECK_OK(mray_get_array(all[(rank + n_ranks - 1) % n_ranks], large, LARGE));
    CHECK_EQUAL(large[7], (rank + n_ranks - 1) % n_ranks + 7);
    for (int i = 0; i < 16; i++) results[i] = mray_remote(square, i + rank);
    meet(); /* a rank that blocks in MPI serves nobody at the lower levels, and others may need it */
    compute_and_communicate();
    for (int i = 0; i < 16; i++) {
        CHECK_OK(mray_get(results[i], &x));
        CHECK_EQUAL(x, (int64_t)(i + rank) * (i + rank));
    }
    CHECK_OK(mray_get(sum, &x));
    CHECK_EQUAL(x, (int64_t)LARGE * ((rank + 1) % n_ranks) + (int64_t)LARGE * (LARGE - 1) / 2);
    CHECK_OK(mray_release_many(results, 16));
    CHECK_OK(mray_release(sum));
    meet();
    CHECK_OK(mray_release(mine));
    free(large);
}

static void *call_from_a_thread(void *arg)
{
    mray_ref *ref = arg;
    int64_t x = 0;
    CHECK_OK(mray_get(*ref, &x));
    return (void *)(intptr_t)x;
}

/* A second thread of the program waits for an object of another node: MPI is for the first one alone, so that one has to make progress. */
static void test_a_second_thread_waits(int rank, int n_ranks)
{
    mray_ref all[64], mine = mray_put((int64_t)(100 + rank));
    pthread_t thread;
    void *got = NULL;
    exchange(mine, all);
    pthread_create(&thread, NULL, call_from_a_thread, &all[(rank + 1) % n_ranks]);
    while (pthread_tryjoin_np(thread, &got) != 0) {
        /* Where two threads may be in MPI in turn only, mray's calls count, too. */
        if (level_given != MPI_THREAD_SERIALIZED) (void)mray_progress();
        nap_ms(1);
    }
    CHECK_EQUAL((intptr_t)got, 100 + (rank + 1) % n_ranks);
    meet();
    CHECK_OK(mray_release(mine));
}

/* A rank that has come to mray_finalize() goes on serving those that have not. */
static void finish_one_after_the_other(int rank, int n_ranks)
{
    mray_ref all[64], mine = mray_put((int64_t)(1000 + rank)), late[N_LATE];
    int64_t x = 0;
    exchange(mine, all);
    for (int i = 0; i < N_LATE; i++) late[i] = mray_remote(slowly, i);
    if (rank == n_ranks - 1) {
        nap_ms(50);
        for (int r = 0; r < n_ranks; r++) {
            CHECK_OK(mray_get(all[r], &x));
            CHECK_EQUAL(x, 1000 + r);
        }
        for (int i = 0; i < N_LATE; i++) {
            CHECK_OK(mray_get(late[i], &x));
            CHECK_EQUAL(x, i + 1);
        }
    }
    CHECK_OK(mray_finalize());
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "multiple";
    int rank, n_ranks, failed, level = strcmp(name, "funneled") == 0 ? MPI_THREAD_FUNNELED : strcmp(name, "serialized") == 0 ? MPI_THREAD_SERIALIZED : MPI_THREAD_MULTIPLE;
    level_given = MPI_THREAD_MULTIPLE; /* nothing is checked yet */
    main_thread = pthread_self();
    CHECK_OK(mray_prefork());
    int got;
    MPI_Init_thread(&argc, &argv, level, &got);
    level_given = got;
    CHECK(got >= level);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &n_ranks);
    for (int session = 0; session < 2; session++) {
        CHECK_OK(mray_init_comm(MPI_COMM_WORLD, &(mray_init_opts){.num_workers = 1, .store_bytes = 32 << 20}));
        test_objects_and_tasks_of_other_ranks(rank, n_ranks);
        test_a_second_thread_waits(rank, n_ranks);
        finish_one_after_the_other(rank, n_ranks);
    }
    CHECK(atomic_load(&n_calls) > 0);
    if (atomic_load(&n_overlaps) > 0) check_failed(__FILE__, __LINE__, "%d MPI calls were made beside others", atomic_load(&n_overlaps));
    if (atomic_load(&n_foreign) > 0) check_failed(__FILE__, __LINE__, "%d MPI calls were made by other threads", atomic_load(&n_foreign));
    failed = check_finish();
    MPI_Allreduce(MPI_IN_PLACE, &failed, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
    MPI_Finalize();
    return failed;
}
