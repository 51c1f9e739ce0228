/* mpi_steal.c: tasks that stand behind a long one are run elsewhere, on the same node or on another: one task does not go on until all
 * others are over. Were one of them stuck behind it, it would wait in vain. */
/* ranks: 3 4 4x1 4x2 */
/* sanitize: 4x1 */
#include "check.h"

#include <time.h>
#include <unistd.h>

static const double PATIENCE_S = 60;

/* The sleeper, task 0, returns 1 if it saw the n - 1 others end; they return 0. */
MRAY_TASK(int, sleeper_or_not, check_file, begun, check_file, ended, int, i, int, n)
{
    check_mark(begun);
    if (i > 0) {
        struct timespec t = {.tv_nsec = 500000};
        nanosleep(&t, NULL);
        check_mark(ended);
        return 0;
    }
    for (double until = check_seconds() + PATIENCE_S; check_marks(ended) < n - 1;) {
        if (check_seconds() > until) return -1;
        struct timespec t = {.tv_nsec = 1000000};
        nanosleep(&t, NULL);
    }
    return 1;
}

/* The same with an argument that draws tasks to where it lies. */
MRAY_TASK(int, sleeper_with_data, check_file, begun, check_file, ended, int, i, int, n, mray_array(double), x)
{
    return x.n > 0 ? sleeper_or_not(begun, ended, i, n) : -2;
}

MRAY_TASK(mray_array(double), make_data, size_t, n)
{
    mray_array(double) x = mray_return_array(double, n);
    for (size_t i = 0; x.data != NULL && i < n; i++) x.data[i] = (double)i;
    return x;
}

static void run(const char *name, int n, bool with_data)
{
    enum { MAX = 200 };
    mray_ref refs[MAX], data = {0};
    char begun_name[64], ended_name[64];
    snprintf(begun_name, sizeof begun_name, "%s.begun", name);
    snprintf(ended_name, sizeof ended_name, "%s.ended", name);
    check_file begun = check_file_of(begun_name), ended = check_file_of(ended_name);
    if (with_data) data = mray_remote(make_data, (size_t)100000);
    for (int i = 0; i < n; i++) refs[i] = with_data ? mray_remote(sleeper_with_data, begun, ended, i, n, data) : mray_remote(sleeper_or_not, begun, ended, i, n);
    int n_sleepers = 0;
    for (int i = 0; i < n; i++) {
        int value = -9;
        CHECK_OK(mray_get(refs[i], &value));
        CHECK(value == 0 || value == 1);
        n_sleepers += value == 1;
        CHECK_OK(mray_release(refs[i]));
    }
    CHECK_EQUAL(n_sleepers, 1);
    CHECK_EQUAL(check_marks(begun), n); /* each was run once */
    if (with_data) CHECK_OK(mray_release(data));
}

int main(int argc, char **argv)
{
    mray_info info;
    check_init(&argc, &argv, &(mray_init_opts){.num_workers = 1}); /* so that nobody of its rank can help */
    CHECK_OK(mray_get_info(&info));
    CHECK(info.num_workers > 1);
    size_t used = check_store_used();
    run("few", 8, false);
    run("many", 200, false);
    run("data", 40, true);
    CHECK(check_store_settles(used));
    CHECK_EQUAL(check_tasks_left(), 0);
    return check_finish();
}
