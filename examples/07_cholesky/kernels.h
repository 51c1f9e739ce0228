/* kernels.h: what the Cholesky example needs of BLAS and LAPACK. Matrices are n x n, column by column, lower triangles. */
#ifndef KERNELS_H
#define KERNELS_H

/* Keep BLAS from starting threads of its own, where it is OpenBLAS. */
void kernel_one_thread(void);

/* a = its Cholesky factor, zeroes above the diagonal. 0, or the number of the pivot that is not positive. */
int kernel_potrf(int n, double *a);
/* a = a l^-T */
void kernel_trsm(int n, const double *l, double *a);
/* a = a - x x^T, the lower triangle */
void kernel_syrk(int n, const double *x, double *a);
/* a = a - x y^T */
void kernel_gemm(int n, const double *x, const double *y, double *a);

/* A symmetric positive definite matrix. */
void kernel_make_matrix(int n, double *a);
/* |a - l l^T| / (n |a| eps) and |a - l| / (n |a| eps) in the Frobenius norm, of lower triangles. */
double kernel_residual(int n, const double *a, const double *l);
double kernel_difference(int n, const double *a, const double *l);

#endif
