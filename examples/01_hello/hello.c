/* hello: one array, one task, one result. */
/* ranks: local 2 4 */
#include <math.h>
#include <mray/mray.h>
#include <stdio.h>

MRAY_TASK(double, norm2, mray_array(double), x)
{
    double s = 0;
    for (size_t i = 0; i < x.n; i++) s += x.data[i] * x.data[i];
    return sqrt(s);
}

int main(int argc, char **argv)
{
    if (mray_init(&argc, &argv, NULL) != MRAY_OK) return 1; /* node ranks serve inside until the driver finishes */

    double x[1000], s = 0;
    for (int i = 0; i < 1000; i++) x[i] = sin(i);

    mray_ref v = mray_put_array(x, 1000); /* one copy into the object store */
    mray_ref r = mray_remote(norm2, v);   /* runs on any rank; returns at once */
    int failed = mray_get(r, &s) != MRAY_OK;
    if (failed) fprintf(stderr, "hello: %s\n", mray_error_message());

    /* norm2 is an ordinary function, too: the serial answer. */
    double expected = norm2(mray_array_of(double, x, 1000));
    if (!failed && s != expected) {
        fprintf(stderr, "hello: the task says %.17g, the serial computation %.17g\n", s, expected);
        failed = 1;
    }
    if (!failed) printf("norm2 = %.6f\n", s);
    return mray_finalize() != MRAY_OK || failed;
}
