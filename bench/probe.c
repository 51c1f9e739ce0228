/* probe.c: see probe.h.
 *
 * startup_mray  mray_init, mray_finalize and what mray does at exit (MPI_Finalize), on every rank; prints rank 0's seconds
 * startup_mpi   MPI_Init and MPI_Finalize */
#include "probe.h"
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double started;

static void print_seconds(void)
{
    printf("seconds %.6f\n", bench_seconds() - started);
}

/* Handlers run in reverse order: this one, registered first, after mray's, which ends MPI. Ranks above 0 leave the process inside mray_init(). */
static int startup_mray(int *argc, char ***argv)
{
    const char *rank = getenv("OMPI_COMM_WORLD_RANK");
    started = bench_seconds();
    if ((rank == NULL || atoi(rank) == 0) && atexit(print_seconds) != 0) return 1;
    if (mray_init(argc, argv, NULL) != MRAY_OK) return 1;
    return mray_finalize();
}

static int startup_mpi(int *argc, char ***argv)
{
    int level, rank;
    started = bench_seconds();
    MPI_Init_thread(argc, argv, MPI_THREAD_SERIALIZED, &level); /* as mray_init() asks for */
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Finalize();
    if (rank == 0) print_seconds();
    return 0;
}

static const struct {
    const char *name;
    int (*fn)(int *argc, char ***argv);
} probes[] = {
    {"startup_mray", startup_mray},
    {"startup_mpi", startup_mpi},
};

int probe_run(const char *name, int *argc, char ***argv)
{
    for (size_t i = 0; i < sizeof probes / sizeof probes[0]; i++)
        if (strcmp(probes[i].name, name) == 0) return probes[i].fn(argc, argv);
    fprintf(stderr, "mray-bench: no probe %s\n", name);
    return 2;
}
