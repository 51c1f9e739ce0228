/* cholesky: A = L L^T, tile by tile. Every tile is an object, every kernel a task, and the order of tasks follows from the refs alone. */
/* ranks: local 2 4 */
#include "kernels.h"

#include <mray/mray.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { B = 96, T = 6, N = B * T }; /* T x T tiles of B x B numbers, each column by column */

/* Objects are immutable: a kernel works on a copy of its tile in the room of its result. */
static mray_array(double) copy_of(mray_array(double) tile)
{
    mray_array(double) out = mray_return_array(double, tile.n);
    if (out.data == NULL) mray_fail("no room for a tile");
    else memcpy(out.data, tile.data, tile.n * sizeof *tile.data);
    return out;
}

/* The diagonal tile: A = L L^T. */
MRAY_TASK(mray_array(double), potrf, mray_array(double), a)
{
    mray_array(double) l = copy_of(a);
    int info = l.data == NULL ? 0 : kernel_potrf(B, l.data);
    if (info != 0) mray_fail("the matrix is not positive definite: pivot %d of this tile", info);
    return l;
}

/* Below it: A = A L^-T. */
MRAY_TASK(mray_array(double), trsm, mray_array(double), l, mray_array(double), a)
{
    mray_array(double) x = copy_of(a);
    if (x.data != NULL) kernel_trsm(B, l.data, x.data);
    return x;
}

/* On later diagonals: A = A - X X^T. */
MRAY_TASK(mray_array(double), syrk, mray_array(double), x, mray_array(double), a)
{
    mray_array(double) c = copy_of(a);
    if (c.data != NULL) kernel_syrk(B, x.data, c.data);
    return c;
}

/* Everywhere else: A = A - X Y^T. */
MRAY_TASK(mray_array(double), gemm, mray_array(double), x, mray_array(double), y, mray_array(double), a)
{
    mray_array(double) c = copy_of(a);
    if (c.data != NULL) kernel_gemm(B, x.data, y.data, c.data);
    return c;
}

static mray_ref tile[T][T]; /* the lower triangle; each ref is replaced by the next state of its tile */

static void become(mray_ref *t, mray_ref next)
{
    mray_release(*t); /* tasks that still read the old state hold it themselves */
    *t = next;
}

/* The serial algorithm, with calls made remote. Nothing waits: all T (T+1) (T+2) / 6 tasks are submitted at once. */
static void factorise(void)
{
    for (int k = 0; k < T; k++) {
        become(&tile[k][k], mray_remote(potrf, tile[k][k]));
        for (int i = k + 1; i < T; i++) become(&tile[i][k], mray_remote(trsm, tile[k][k], tile[i][k]));
        for (int i = k + 1; i < T; i++) {
            become(&tile[i][i], mray_remote(syrk, tile[i][k], tile[i][i]));
            for (int j = k + 1; j < i; j++) become(&tile[i][j], mray_remote(gemm, tile[i][k], tile[j][k], tile[i][j]));
        }
    }
}

static double *at(double *m, int row, int column)
{
    return m + (size_t)column * N + row;
}

/* Tile i, j of a matrix to or from a buffer of its own. */
static void pack(double *m, int i, int j, double *buf)
{
    for (int c = 0; c < B; c++) memcpy(buf + c * B, at(m, i * B, j * B + c), B * sizeof *buf);
}

static void unpack(double *m, int i, int j, const double *buf)
{
    for (int c = 0; c < B; c++) memcpy(at(m, i * B, j * B + c), buf + c * B, B * sizeof *buf);
}

static int run(double *a, double *l, double *buf)
{
    kernel_make_matrix(N, a);
    for (int i = 0; i < T; i++)
        for (int j = 0; j <= i; j++) {
            pack(a, i, j, buf);
            tile[i][j] = mray_put_array(buf, B * B);
        }
    factorise();
    for (int i = 0; i < T; i++)
        for (int j = 0; j <= i; j++) {
            if (mray_get_array(tile[i][j], buf, B * B) != MRAY_OK) {
                fprintf(stderr, "cholesky: tile %d, %d: %s\n", i, j, mray_error_message());
                return 1;
            }
            unpack(l, i, j, buf);
            mray_release(tile[i][j]);
        }

    /* Both are in units of rounding errors: a few are right, a wrong factor has 10^10. */
    double residual = kernel_residual(N, a, l);
    if (kernel_potrf(N, a) != 0) return 1;
    double difference = kernel_difference(N, a, l);
    if (!(residual < 30) || !(difference < 30)) {
        fprintf(stderr, "cholesky: residual %g, difference from LAPACK's factor %g: too large\n", residual, difference);
        return 1;
    }
    printf("%d x %d in %d tasks: residual %.2g, difference from LAPACK's factor %.2g\n", N, N, T * (T + 1) * (T + 2) / 6, residual, difference);
    return 0;
}

int main(int argc, char **argv)
{
    kernel_one_thread(); /* workers are the parallelism */
    if (mray_init(&argc, &argv, NULL) != MRAY_OK) return 1;
    double *a = calloc(N * N, sizeof *a), *l = calloc(N * N, sizeof *l), *buf = calloc(B * B, sizeof *buf);
    int failed = a == NULL || l == NULL || buf == NULL || run(a, l, buf);
    free(a);
    free(l);
    free(buf);
    return mray_finalize() != MRAY_OK || failed;
}
