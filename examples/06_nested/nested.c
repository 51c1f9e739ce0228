/* nested: tasks that submit tasks and wait for them. The n-queens problem, counted by a recursion whose upper levels are tasks. */
/* ranks: local 2 4 */
#include <mray/mray.h>
#include <stdio.h>

enum { N = 10, TASK_ROWS = 3, ALL = (1 << N) - 1 };

/* Ways to place queens in the rows that are left; the masks say which columns, and which diagonals at this row, are taken. */
static int64_t count(uint32_t columns, uint32_t left, uint32_t right)
{
    if (columns == ALL) return 1;
    int64_t ways = 0;
    for (uint32_t free = ALL & ~(columns | left | right); free != 0; free &= free - 1) {
        uint32_t queen = free & -free;
        ways += count(columns | queen, (left | queen) << 1, (right | queen) >> 1);
    }
    return ways;
}

MRAY_TASK(int64_t, queens, int, row, uint32_t, columns, uint32_t, left, uint32_t, right)
{
    if (row == TASK_ROWS) return count(columns, left, right);

    mray_ref refs[N];
    int n = 0;
    for (uint32_t free = ALL & ~(columns | left | right); free != 0; free &= free - 1) {
        uint32_t queen = free & -free;
        refs[n++] = mray_remote(queens, row + 1, columns | queen, (left | queen) << 1, (right | queen) >> 1);
    }
    int64_t total = 0;
    for (int i = 0; i < n; i++) {
        int64_t ways = 0;
        if (mray_get(refs[i], &ways) != MRAY_OK) mray_fail("row %d: %s", row, mray_error_message());
        total += ways;
        mray_release(refs[i]);
    }
    return total;
}

int main(int argc, char **argv)
{
    if (mray_init(&argc, &argv, NULL) != MRAY_OK) return 1;

    mray_ref r = mray_remote(queens, 0, 0, 0, 0);
    int64_t ways = 0, expected = count(0, 0, 0);
    int failed = mray_get(r, &ways) != MRAY_OK;
    if (failed) fprintf(stderr, "nested: %s\n", mray_error_message());
    mray_release(r);
    if (!failed && ways != expected) {
        fprintf(stderr, "nested: the tasks count %lld ways, the serial recursion %lld\n", (long long)ways, (long long)expected);
        failed = 1;
    }
    if (!failed) printf("%lld ways to place %d queens\n", (long long)ways, N);
    return mray_finalize() != MRAY_OK || failed;
}
