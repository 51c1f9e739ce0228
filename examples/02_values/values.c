/* values: what can be passed and returned: numbers, structs, arrays, several results; views and objects made in place. */
/* ranks: local 2 4 */
#include <mray/mray.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    double x, y;
    int32_t id;
} particle;

/* A struct in, a struct out: it is copied as bytes, so it must not hold pointers. */
MRAY_TASK(particle, move, particle, p, double, dx, double, dy)
{
    return (particle){.x = p.x + dx, .y = p.y + dy, .id = p.id};
}

/* An array out: mray_return_array() is room in the object store itself, so returning it copies nothing. */
MRAY_TASK(mray_array(int64_t), squares, int64_t, first, int64_t, n)
{
    mray_array(int64_t) a = mray_return_array(int64_t, (size_t)n);
    for (int64_t i = 0; a.data != NULL && i < n; i++) a.data[i] = (first + i) * (first + i);
    return a;
}

/* Several results: the first by return, the others by mray_return(i, value). */
MRAY_TASK(int64_t, minimum_and_maximum, mray_array(int64_t), a)
{
    int64_t lo = a.data[0], hi = a.data[0];
    for (size_t i = 1; i < a.n; i++) {
        if (a.data[i] < lo) lo = a.data[i];
        if (a.data[i] > hi) hi = a.data[i];
    }
    mray_return(1, hi);
    return lo;
}

/* Two dimensions: dims[0] rows of dims[1] elements. */
MRAY_TASK(double, trace, mray_array(double), m)
{
    double sum = 0;
    for (uint64_t i = 0; m.ndim == 2 && i < m.dims[0]; i++) sum += m.data[i * m.dims[1] + i];
    return sum;
}

static bool failed;

static void check(bool ok, const char *what)
{
    if (ok) return;
    const char *why = mray_error_message(); /* "" if every call succeeded: then the value is wrong */
    fprintf(stderr, "values: %s: not what a serial computation gives%s%s\n", what, why[0] != '\0' ? "; " : "", why);
    failed = true;
}

static void structs(void)
{
    particle start = {.x = 1, .y = 2, .id = 7}, end = {0};
    mray_ref once = mray_remote(move, start, 0.5, 0.25); /* values ... */
    mray_ref twice = mray_remote(move, once, 1, 0);      /* ... and refs alike; numbers are converted */
    check(mray_get(twice, &end) == MRAY_OK && end.x == 2.5 && end.y == 2.25 && end.id == 7, "a struct");
    mray_release(once);
    mray_release(twice);
}

static void arrays(void)
{
    enum { N = 1000 };
    int64_t copy[N], lo = 0, hi = 0, expected = 0, sum = 0;
    mray_ref a = mray_remote(squares, -10, N), range[2];

    check(mray_get_array(a, copy, N) == MRAY_OK, "an array, copied");
    check(mray_remote_n(range, 2, minimum_and_maximum, a) == MRAY_OK, "a call with two results");
    check(mray_get(range[0], &lo) == MRAY_OK && mray_get(range[1], &hi) == MRAY_OK && lo == 0 && hi == 989 * 989, "two results");

    mray_view view = {0}; /* no copy: a look into the store, read-only */
    bool seen = mray_get_view(a, MRAY_FOREVER, &view) == MRAY_OK && view.ndim == 1 && view.dims[0] == N;
    for (int64_t i = 0; i < N; i++) expected += (i - 10) * (i - 10);
    for (int64_t i = 0; seen && i < N; i++) sum += ((const int64_t *)view.data)[i];
    check(seen && sum == expected && memcmp(copy, view.data, sizeof copy) == 0, "an array, looked at");
    mray_view_release(&view);
    mray_release_many((mray_ref[]){a, range[0], range[1]}, 3);
}

static void matrix_made_in_place(void)
{
    enum { N = 50 };
    const mray_put_opts shape = {.ndim = 2, .dims = {N, N}};
    const mray_type type = {.dtype = MRAY_FLOAT64, .is_array = 1, .size = sizeof(double)};
    void *data;
    mray_ref m;
    double sum = 0;
    if (mray_create(N * N * sizeof(double), type, &shape, &data, &m) != MRAY_OK) {
        check(false, "an object made in place");
        return;
    }
    for (int i = 0; i < N * N; i++) ((double *)data)[i] = i;
    mray_seal(m); /* from here on it is there for all, and nobody's to change */

    mray_ref t = mray_remote(trace, m);
    check(mray_get(t, &sum) == MRAY_OK && sum == (N + 1) * (N * (N - 1) / 2), "the trace of a matrix");
    mray_release(t);
    mray_release(m);
}

int main(int argc, char **argv)
{
    if (mray_init(&argc, &argv, NULL) != MRAY_OK) return 1;
    structs();
    arrays();
    matrix_made_in_place();
    if (!failed) printf("structs, arrays, two results and a matrix came back as they should\n");
    return mray_finalize() != MRAY_OK || failed;
}
