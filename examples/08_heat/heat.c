/* heat: an MPI solver whose communicator lends its ranks to mray. While it goes on, tasks compute statistics of copies of its subdomains. */
#include <math.h>
#include <mpi.h>
#include <mray/mpi.h>
#include <mray/mray.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 240, COLUMNS = 256, STEPS = 400, EVERY = 20, N_SHOTS = STEPS / EVERY };

/* ---- the equation: explicit steps on rows of COLUMNS numbers, with a row of neighbours above and below ---- */

static void initialise(double *u, int first_row, int n_rows)
{
    for (int r = -1; r <= n_rows; r++)
        for (int c = 0; c < COLUMNS; c++) {
            double y = (first_row + r - ROWS / 3) / 20.0, x = (c - COLUMNS / 2) / 30.0;
            u[(r + 1) * COLUMNS + c] = first_row + r < 0 || first_row + r >= ROWS ? 0 : exp(-x * x - y * y);
        }
}

static void step(const double *u, double *next, int n_rows)
{
    for (int r = 1; r <= n_rows; r++)
        for (int c = 1; c < COLUMNS - 1; c++) {
            const double *p = u + r * COLUMNS + c;
            next[r * COLUMNS + c] = p[0] + 0.2 * (p[-1] + p[1] + p[-COLUMNS] + p[COLUMNS] - 4 * p[0]);
        }
}

/* ---- in situ ---- */

typedef struct {
    double min, max, sum;
} stats;

MRAY_TASK(stats, statistics, mray_array(double), u)
{
    stats s = {u.data[0], u.data[0], 0};
    for (size_t i = 0; i < u.n; i++) {
        s.min = fmin(s.min, u.data[i]);
        s.max = fmax(s.max, u.data[i]);
        s.sum += u.data[i];
    }
    return s;
}

/* ---- the solver ---- */

static int first_row(int rank, int n_ranks)
{
    return ROWS * rank / n_ranks;
}

static void exchange_halos(MPI_Comm comm, double *u, int n_rows)
{
    int up, down;
    MPI_Cart_shift(comm, 0, 1, &up, &down);
    MPI_Sendrecv(u + COLUMNS, COLUMNS, MPI_DOUBLE, up, 0, u + (n_rows + 1) * COLUMNS, COLUMNS, MPI_DOUBLE, down, 0, comm, MPI_STATUS_IGNORE);
    MPI_Sendrecv(u + n_rows * COLUMNS, COLUMNS, MPI_DOUBLE, down, 1, u, COLUMNS, MPI_DOUBLE, up, 1, comm, MPI_STATUS_IGNORE);
}

/* Solves this rank's rows; shots[k] becomes the ref of the statistics after step (k+1) EVERY. */
static void solve(MPI_Comm comm, double *u, double *next, int n_rows, mray_ref *shots)
{
    for (int s = 1; s <= STEPS; s++) {
        exchange_halos(comm, u, n_rows);
        step(u, next, n_rows);
        double *swap = u;
        u = next;
        next = swap;
        if (s % EVERY == 0) {
            mray_ref copy = mray_put_array(u + COLUMNS, (size_t)n_rows * COLUMNS);
            shots[s / EVERY - 1] = mray_remote(statistics, copy); /* any rank's worker; the solver does not wait */
            mray_release(copy);
        }
        mray_progress(); /* needed only where MPI gave a lower thread level than it was asked for */
    }
}

/* ---- the check, on rank 0: everything again, serially ---- */

static int close_to(double a, double b)
{
    return fabs(a - b) <= 1e-10 * (1 + fabs(b));
}

/* refs holds every rank's N_SHOTS refs: a ref is 16 bytes that MPI can send, and good on every rank. */
static int check(const mray_ref *refs, int n_ranks, double *u, double *next)
{
    initialise(u, 0, ROWS);
    memcpy(next, u, (ROWS + 2) * COLUMNS * sizeof *u);
    for (int k = 0; k < N_SHOTS; k++) {
        for (int s = 0; s < EVERY; s += 2) { /* EVERY is even: the result is in u */
            step(u, next, ROWS);
            step(next, u, ROWS);
        }
        for (int r = 0; r < n_ranks; r++) {
            int first = first_row(r, n_ranks), n_rows = first_row(r + 1, n_ranks) - first;
            stats s, e = statistics(mray_array_of(double, u + (first + 1) * COLUMNS, (size_t)n_rows * COLUMNS));
            if (mray_get(refs[r * N_SHOTS + k], &s) != MRAY_OK) {
                fprintf(stderr, "heat: rank %d, shot %d: %s\n", r, k, mray_error_message());
                return 1;
            }
            if (close_to(s.min, e.min) && close_to(s.max, e.max) && close_to(s.sum, e.sum)) continue;
            fprintf(stderr, "heat: rank %d, shot %d: min %.12g max %.12g sum %.12g; serially %.12g %.12g %.12g\n", r, k, s.min, s.max, s.sum, e.min, e.max,
                    e.sum);
            return 1;
        }
    }
    printf("%d statistics of %d ranks are as computed serially\n", N_SHOTS * n_ranks, n_ranks);
    return 0;
}

static int run(MPI_Comm comm, int rank, int n_ranks)
{
    int first = first_row(rank, n_ranks), n_rows = first_row(rank + 1, n_ranks) - first, failed = 0;
    size_t size = (ROWS + 2) * COLUMNS * sizeof(double); /* for the whole domain: rank 0 computes all of it again */
    double *u = malloc(size), *next = malloc(size);
    mray_ref shots[N_SHOTS], *all = malloc((size_t)n_ranks * sizeof shots);
    if (u == NULL || next == NULL || all == NULL) MPI_Abort(comm, 1);

    initialise(u, first, n_rows);
    memcpy(next, u, size);
    solve(comm, u, next, n_rows, shots);

    MPI_Gather(shots, sizeof shots, MPI_BYTE, all, sizeof shots, MPI_BYTE, 0, comm);
    if (rank == 0) failed = check(all, n_ranks, u, next);
    MPI_Bcast(&failed, 1, MPI_INT, 0, comm);
    mray_release_many(shots, N_SHOTS);
    free(u);
    free(next);
    free(all);
    return failed;
}

int main(int argc, char **argv)
{
    int level, rank, n_ranks, open = 0;
    MPI_Comm comm;
    if (mray_prefork() != MRAY_OK) return 1; /* before MPI_Init: workers shall be processes */
    MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level);
    MPI_Comm_size(MPI_COMM_WORLD, &n_ranks);
    MPI_Cart_create(MPI_COMM_WORLD, 1, &n_ranks, &open, 0, &comm);
    MPI_Comm_rank(comm, &rank);

    if (mray_init_comm(comm, NULL) != MRAY_OK) MPI_Abort(comm, 1); /* the solver's own communicator; returns on every rank */
    int failed = run(comm, rank, n_ranks);
    if (mray_finalize() != MRAY_OK) failed = 1; /* MPI goes on */

    MPI_Comm_free(&comm);
    MPI_Finalize();
    return failed;
}
