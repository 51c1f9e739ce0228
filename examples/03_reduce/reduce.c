/* reduce: tasks that depend on tasks. Primes below LIMIT are counted in slices, and the counts added up in a tree of tasks. */
/* ranks: local 2 4 */
#include <mray/mray.h>
#include <stdio.h>
#include <stdlib.h>

enum { LIMIT = 2000000, N_SLICES = 64 };

MRAY_TASK(int64_t, count_primes, int64_t, first, int64_t, end)
{
    int64_t count = 0;
    for (int64_t n = first < 2 ? 2 : first; n < end; n++) {
        int64_t d = 2;
        while (d * d <= n && n % d != 0) d++;
        count += d * d > n;
    }
    return count;
}

MRAY_TASK(int64_t, add, int64_t, a, int64_t, b)
{
    return a + b;
}

/* The serial answer, by the sieve of Eratosthenes. */
static int64_t sieve(void)
{
    char *composite = calloc(LIMIT, 1);
    int64_t count = 0;
    if (composite == NULL) return -1;
    for (int64_t n = 2; n < LIMIT; n++) {
        if (composite[n]) continue;
        count++;
        for (int64_t m = n * n; m < LIMIT; m += n) composite[m] = 1;
    }
    free(composite);
    return count;
}

int main(int argc, char **argv)
{
    if (mray_init(&argc, &argv, NULL) != MRAY_OK) return 1;

    mray_ref tree[N_SLICES];
    for (int64_t i = 0; i < N_SLICES; i++)
        tree[i] = mray_remote(count_primes, LIMIT * i / N_SLICES, LIMIT * (i + 1) / N_SLICES);

    /* Level by level the refs of two results become the arguments of one task. Nothing is waited for here: the whole tree is
     * submitted at once, and each task starts when its arguments are there, wherever they are. */
    for (int n = N_SLICES; n > 1; n /= 2) {
        for (int i = 0; i < n / 2; i++) {
            mray_ref sum = mray_remote(add, tree[2 * i], tree[2 * i + 1]);
            mray_release(tree[2 * i]); /* the task holds its arguments until it is done */
            mray_release(tree[2 * i + 1]);
            tree[i] = sum;
        }
    }

    int64_t count = 0, expected = sieve();
    int failed = mray_get(tree[0], &count) != MRAY_OK;
    if (failed) fprintf(stderr, "reduce: %s\n", mray_error_message());
    mray_release(tree[0]);
    if (!failed && count != expected) {
        fprintf(stderr, "reduce: the tasks count %lld primes, the sieve %lld\n", (long long)count, (long long)expected);
        failed = 1;
    }
    if (!failed) printf("%lld primes below %d\n", (long long)count, LIMIT);
    return mray_finalize() != MRAY_OK || failed;
}
