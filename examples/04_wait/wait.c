/* wait: first results first. Tasks of very different length are taken in the order in which they finish. */
/* ranks: local 2 4 */
#include <mray/mray.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { N_TASKS = 24 };

/* The longest Collatz sequence that starts in slice i; slices grow, so the last ones take far longer than the first. */
typedef struct {
    int64_t start, length;
} chain;

MRAY_TASK(chain, longest_chain, int, slice)
{
    chain best = {0, 0};
    int64_t first = (int64_t)500 * slice * slice + 1, end = (int64_t)500 * (slice + 1) * (slice + 1) + 1;
    for (int64_t start = first; start < end; start++) {
        int64_t length = 1;
        for (int64_t n = start; n != 1; length++) n = n % 2 == 0 ? n / 2 : 3 * n + 1;
        if (length > best.length) best = (chain){start, length};
    }
    return best;
}

static chain better(chain a, chain b)
{
    return b.length > a.length || (b.length == a.length && b.start < a.start) ? b : a;
}

int main(int argc, char **argv)
{
    if (mray_init(&argc, &argv, NULL) != MRAY_OK) return 1;

    mray_ref refs[N_TASKS];
    for (int i = 0; i < N_TASKS; i++) refs[i] = mray_remote(longest_chain, N_TASKS - 1 - i); /* the long ones first */

    chain best = {0, 0};
    int n = N_TASKS, failed = 0;
    while (n > 0 && !failed) {
        bool ready[N_TASKS];
        chain c;
        int i = 0;
        if (mray_wait(refs, (size_t)n, 1, MRAY_FOREVER, ready, NULL) != MRAY_OK) { /* one of the n that are left */
            failed = 1;
            break;
        }
        while (!ready[i]) i++;
        if (mray_get(refs[i], &c) != MRAY_OK) failed = 1; /* what is ready may be an error */
        else best = better(best, c);
        mray_release(refs[i]);
        n--;
        memmove(&refs[i], &refs[i + 1], (size_t)(n - i) * sizeof refs[0]);
        printf("%2d of %d done\n", N_TASKS - n, N_TASKS);
    }
    if (failed) fprintf(stderr, "wait: %s\n", mray_error_message());

    chain expected = {0, 0};
    for (int i = 0; i < N_TASKS; i++) expected = better(expected, longest_chain(i));
    if (!failed && (best.start != expected.start || best.length != expected.length)) {
        fprintf(stderr, "wait: the tasks find %lld, the serial computation %lld\n", (long long)best.start, (long long)expected.start);
        failed = 1;
    }
    if (!failed) printf("the longest chain starts at %lld and has %lld numbers\n", (long long)best.start, (long long)best.length);
    return mray_finalize() != MRAY_OK || failed;
}
