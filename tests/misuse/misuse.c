/* misuse.c: a program that starts a session and runs one task. WITH_EXTRA registers one more function.
 *
 *   misuse world   mray starts MPI
 *   misuse taken   the program has started MPI itself, without a word to mray
 *   misuse comm    the program has started MPI and lends its communicator
 *   misuse single  the same with MPI_THREAD_SINGLE
 *   misuse null    the same, but the communicator is MPI_COMM_NULL
 *
 * Exit code 3 when init fails: the sentence is printed by mray. */
#include <mray/mpi.h>
#include <mray/mray.h>
#include <mpi.h>
#include <stdio.h>
#include <string.h>

MRAY_TASK(int64_t, square, int64_t, x) { return x * x; }

#ifdef WITH_EXTRA
MRAY_TASK(int64_t, extra_function, int64_t, x) { return x + 1; }
#endif

static int use(void)
{
    int64_t x = 0;
    mray_ref ref = mray_remote(square, 5);
    int status = mray_get(ref, &x);
    if (status == MRAY_OK) status = mray_release(ref);
    if (status != MRAY_OK || x != 25) {
        fprintf(stderr, "misuse: %s: %s\n", mray_status_name(status), mray_error_message());
        return 4;
    }
    puts("25 is the square of 5");
    return 0;
}

int main(int argc, char **argv)
{
    const char *how = argc > 1 ? argv[1] : "world";
    int rank = 0, level, code = 3;
    if (strcmp(how, "world") != 0) {
        MPI_Init_thread(&argc, &argv, strcmp(how, "single") == 0 ? MPI_THREAD_SINGLE : MPI_THREAD_SERIALIZED, &level);
        MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    }
    bool own = strcmp(how, "world") == 0 || strcmp(how, "taken") == 0;
    int status = own ? mray_init(&argc, &argv, NULL) : mray_init_comm(strcmp(how, "null") == 0 ? MPI_COMM_NULL : MPI_COMM_WORLD, NULL);
    if (status != MRAY_OK) fprintf(stderr, "misuse: rank %d: %s: %s\n", rank, mray_status_name(status), mray_error_message());
    if (status == MRAY_OK) {
        code = rank == 0 ? use() : 0;
        if (mray_finalize() != MRAY_OK) code = 5;
    }
    if (strcmp(how, "world") != 0) MPI_Finalize();
    return code;
}
