/* kernels.c: see kernels.h. Nothing here knows of mray. */
#include "kernels.h"

#include <cblas.h>
#include <float.h>
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void kernel_one_thread(void)
{
#ifdef OPENBLAS_VERSION
    openblas_set_num_threads(1);
#endif
}

int kernel_potrf(int n, double *a)
{
    for (int column = 1; column < n; column++) memset(a + (size_t)column * (size_t)n, 0, (size_t)column * sizeof *a);
    return LAPACKE_dpotrf(LAPACK_COL_MAJOR, 'L', n, a, n);
}

void kernel_trsm(int n, const double *l, double *a)
{
    cblas_dtrsm(CblasColMajor, CblasRight, CblasLower, CblasTrans, CblasNonUnit, n, n, 1, l, n, a, n);
}

void kernel_syrk(int n, const double *x, double *a)
{
    cblas_dsyrk(CblasColMajor, CblasLower, CblasNoTrans, n, n, -1, x, n, 1, a, n);
}

void kernel_gemm(int n, const double *x, const double *y, double *a)
{
    cblas_dgemm(CblasColMajor, CblasNoTrans, CblasTrans, n, n, n, -1, x, n, y, n, 1, a, n);
}

void kernel_make_matrix(int n, double *a)
{
    for (int column = 0; column < n; column++)
        for (int row = 0; row < n; row++) a[column * n + row] = cos((double)row * column) + (row == column ? n : 0);
}

/* Frobenius norm of the lower triangle of a - b; of a where b is NULL. */
static double norm(int n, const double *a, const double *b)
{
    double sum = 0;
    for (int column = 0; column < n; column++)
        for (int row = column; row < n; row++) {
            double x = a[column * n + row] - (b != NULL ? b[column * n + row] : 0);
            sum += x * x;
        }
    return sqrt(sum);
}

double kernel_residual(int n, const double *a, const double *l)
{
    double *rest = malloc((size_t)n * (size_t)n * sizeof *rest);
    if (rest == NULL) return INFINITY;
    memcpy(rest, a, (size_t)n * (size_t)n * sizeof *rest);
    kernel_syrk(n, l, rest);
    double residual = norm(n, rest, NULL) / (n * norm(n, a, NULL) * DBL_EPSILON);
    free(rest);
    return residual;
}

double kernel_difference(int n, const double *a, const double *l)
{
    return norm(n, a, l) / (n * norm(n, l, NULL) * DBL_EPSILON);
}
