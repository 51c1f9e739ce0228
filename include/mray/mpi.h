/* mray/mpi.h: mray inside a program that has MPI already: the ranks of one of its communicators become a session.
 *
 *     mray_prefork();                                      before MPI_Init: worker processes
 *     MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level);
 *     mray_init_comm(comm, NULL);                          every rank of comm; each may put, submit, get from here on
 *     ...
 *     mray_finalize();                                     every rank of comm
 *     MPI_Finalize();
 *
 * Only this header needs <mpi.h>; mray/mray.h does not include it. */
#ifndef MRAY_MPI_H
#define MRAY_MPI_H

#include <mpi.h>
#include <mray/init.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What mray_init_comm() calls: the communicator by pointer, so that the library's ABI does not depend on how an MPI writes its handles.
 *  @param mpi_comm_p  points to an MPI_Comm of the MPI that the library was built with
 *  @param opts        as mray_init_comm()
 *  @return as mray_init_comm()
 *  @context as mray_init_comm()
 *  @cost    as mray_init_comm() */
MRAY_API int mray_init_on(const void *mpi_comm_p, const mray_init_opts *opts);

/** Start a session on the ranks of a communicator. Collective. Unlike mray_init() it returns on every rank, and every rank is an endpoint that may
 *  submit, put, get, wait and create actors, while its workers run tasks of all ranks. Rank 0 of comm keeps the session's tables.
 *  The communicator is duplicated: the session's messages never meet the program's. MPI is not finalised by mray_finalize(), which is collective
 *  over comm, too, and must come before MPI_Finalize().
 *
 *  Thread level, in a session of several nodes (on one node nothing of the session calls MPI between init and finalize):
 *    MULTIPLE    a thread of the session makes progress; the program calls MPI as it likes.
 *    SERIALIZED  no thread of the session calls MPI. Progress is made inside mray calls and mray_progress(), which count as MPI calls: none may run
 *                while another thread is in MPI or in mray.
 *    FUNNELED    as SERIALIZED, and only the thread that called this makes progress. Other threads may call mray; what they wait for comes
 *                when that thread calls mray, too.
 *  Below MULTIPLE a rank that is inside MPI, or computes for long, serves nobody: call mray_progress() in between, and wait for other ranks
 *  by MPI_Test and mray_progress() in turn. mray_finalize() serves until every rank has called it.
 *  Workers are processes only if mray_prefork() ran before MPI_Init(), else threads.
 *  @param comm  an intracommunicator; MPI is initialised, not finalised, with MPI_THREAD_FUNNELED at least
 *  @param opts  NULL for the defaults; the same on every rank but for resources
 *  @return the same on every rank: MRAY_OK, MRAY_ERR_ALREADY_INITIALIZED, MRAY_ERR_INVALID_ARGUMENT (MPI_COMM_NULL, an intercommunicator, a
 *          thread level that is too low), MRAY_ERR_OUT_OF_MEMORY, MRAY_ERR_MPI, MRAY_ERR_SYSTEM, MRAY_ERR_FUNCTION_MISMATCH
 *  @context the thread that initialised MPI; once at a time
 *  @cost    a few collectives; milliseconds */
static inline int mray_init_comm(MPI_Comm comm, const mray_init_opts *opts)
{
    return mray_init_on(&comm, opts);
}

/** The same for a communicator of a Fortran program (comm%MPI_VAL with mpi_f08).
 *  @see mray_init_comm */
static inline int mray_init_comm_f(MPI_Fint comm, const mray_init_opts *opts)
{
    return mray_init_comm(MPI_Comm_f2c(comm), opts);
}

#ifdef __cplusplus
}
#endif
#endif
