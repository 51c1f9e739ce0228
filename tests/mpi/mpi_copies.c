/* mpi_copies.c: an object of another node is pulled once a node, however many of its ranks use it, and can be pulled again when its copy has gone. */
/* ranks: 2 4x2 4x1 */
/* sanitize: 4x2 */
#include "check.h"

#include <string.h>
#include <time.h>

enum { LENGTH = 131072 };

MRAY_TASK(double, sum_of, mray_array(double), x)
{
    double s = 0;
    for (size_t i = 0; i < x.n; i++) s += x.data[i];
    return s;
}

typedef struct {
    int32_t first_rank;
    int32_t pulled; /* by all ranks of this node */
} node_report;

MRAY_TASK(node_report, report_node)
{
    char text[4096];
    node_report report = {.first_rank = -1};
    if (mray_status_report(text, sizeof text) >= sizeof text) return report;
    for (char *line = strstr(text, "\n  rank "); line != NULL; line = strstr(line + 1, "\n  rank ")) {
        int rank, pulled;
        const char *comma = strstr(line, " bytes, ");
        if (comma == NULL || sscanf(line, " rank %d", &rank) != 1 || sscanf(comma, " bytes, %d payloads", &pulled) != 1) return (node_report){-1, -1};
        if (report.first_rank < 0) report.first_rank = rank;
        report.pulled += pulled;
    }
    return report;
}

static node_report report_of(int rank)
{
    mray_task_opts opts = check_on_rank(rank);
    mray_ref ref = mray_remote_with(opts, report_node);
    node_report report = {0};
    CHECK_OK(mray_get(ref, &report));
    CHECK_OK(mray_release(ref));
    return report;
}

/* Several tasks on every rank with workers, all at once. */
static void use_everywhere(mray_ref x, double expected)
{
    enum { EACH = 3, MAX = 64 };
    mray_ref refs[MAX];
    int n = 0;
    for (int k = 0; k < check_num_ranks(); k++) {
        mray_task_opts opts = check_on_rank(check_worker_rank(k));
        for (int i = 0; i < EACH; i++) refs[n++] = mray_remote_with(opts, sum_of, x);
    }
    for (int i = 0; i < n; i++) {
        double s = 0;
        CHECK_OK(mray_get(refs[i], &s));
        CHECK(s == expected);
        CHECK_OK(mray_release(refs[i]));
    }
}

static void check_pulls(int each)
{
    for (int k = 0; k < check_num_ranks(); k++) {
        node_report report = report_of(check_worker_rank(k));
        CHECK_EQUAL(report.pulled, report.first_rank == 0 ? 0 : each);
    }
}

int main(int argc, char **argv)
{
    static double data[LENGTH];
    double expected = 0;
    check_init(&argc, &argv, NULL);
    size_t used = check_store_used();
    for (int round = 1; round <= 2; round++) {
        for (int i = 0; i < LENGTH; i++) data[i] = (double)(i % 1000 + round);
        expected = 0;
        for (int i = 0; i < LENGTH; i++) expected += data[i];
        mray_ref x = mray_put_array(data, LENGTH);
        use_everywhere(x, expected);
        check_pulls(round);
        CHECK_OK(mray_release(x));
        CHECK(check_store_settles(used)); /* the copies go, too */
    }
    return check_finish();
}
