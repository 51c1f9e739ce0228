/* mpi_no_workers.c: an embedded session in which rank 0 has no workers (MRAY_NO_WORKERS): it submits, all tasks run on other ranks; and one in which
 * no rank has any is refused on every rank. */
/* ranks: 2 4 */
#include "check.h"

#include <mray/mpi.h>

MRAY_TASK(int, rank_of_task, int, unused)
{
    mray_task_info info;
    (void)unused;
    return mray_task_current(&info) == MRAY_OK ? info.rank : -1;
}

static void submit_some(int rank, int n_ranks)
{
    enum { N = 200 };
    mray_ref refs[N];
    for (int i = 0; i < N; i++) refs[i] = mray_remote(rank_of_task, i);
    for (int i = 0; i < N; i++) {
        int where = -1;
        CHECK_OK(mray_get(refs[i], &where));
        CHECK(where > 0 && where < n_ranks);
    }
    CHECK_OK(mray_release_many(refs, N));
    mray_info info;
    CHECK_OK(mray_get_info(&info));
    CHECK_EQUAL(info.num_workers, n_ranks - 1);
    CHECK_EQUAL(info.rank, rank);
}

int main(int argc, char **argv)
{
    int level, rank, n_ranks, failed;
    if (mray_prefork() != MRAY_OK) return 1;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_SERIALIZED, &level);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &n_ranks);

    mray_init_opts opts = {.num_workers = rank == 0 ? MRAY_NO_WORKERS : 1};
    CHECK_OK(mray_init_comm(MPI_COMM_WORLD, &opts));
    submit_some(rank, n_ranks);
    MPI_Barrier(MPI_COMM_WORLD);
    CHECK_OK(mray_finalize());

    opts.num_workers = MRAY_NO_WORKERS;
    CHECK_ERROR(mray_init_comm(MPI_COMM_WORLD, &opts), MRAY_ERR_INVALID_ARGUMENT, "workers");
    CHECK(!mray_is_initialized());
    opts.num_workers = -2;
    CHECK_ERROR(mray_init_comm(MPI_COMM_WORLD, &opts), MRAY_ERR_INVALID_ARGUMENT, "num_workers");

    int mine = check_finish();
    MPI_Allreduce(&mine, &failed, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
    MPI_Finalize();
    return failed;
}
