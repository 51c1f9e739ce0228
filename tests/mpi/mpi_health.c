/* mpi_health.c: rank 0's view of all ranks: heard of, busy, suspect when their agent stands still, and alive again when it goes on. */
/* ranks: 2 4 3x1 4x2 */
/* sanitize: none */
#include "check.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SUSPECT_MS = 400 };

static void nap_ms(int ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000L}, NULL);
}

static int parent_of(int pid)
{
    char path[64], line[256];
    int parent = 0;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "PPid: %d", &parent) == 1) break;
    if (file != NULL) fclose(file);
    return parent;
}

/* The process of the rank: of a worker process it is the zygote's parent. */
MRAY_TASK(int64_t, pid_of_rank)
{
    const char *workers = getenv("MRAY_WORKERS");
    return workers != NULL && strcmp(workers, "thread") == 0 ? getpid() : parent_of(getppid());
}

MRAY_TASK(int64_t, sleep_ms, int64_t, ms)
{
    nap_ms((int)ms);
    return ms;
}

/* The line of a rank in the view. */
static const char *line_of(int rank, char *line, size_t n)
{
    static char text[16384];
    char name[32];
    CHECK(mray_status_report(text, sizeof text) < sizeof text);
    snprintf(name, sizeof name, "\n  rank %d (", rank);
    const char *p = strstr(text, name);
    snprintf(line, n, "%.*s", p != NULL ? (int)strcspn(p + 1, "\n") : 0, p != NULL ? p + 1 : "");
    return line;
}

/* Wait up to ten seconds until the rank's line has the words; seconds it took. */
static double await(int rank, const char *words)
{
    char line[256];
    double start = check_seconds();
    while (strstr(line_of(rank, line, sizeof line), words) == NULL) {
        if (check_seconds() - start > 10) {
            check_failed(__FILE__, __LINE__, "rank %d is not '%s' but '%s'", rank, words, line);
            break;
        }
        nap_ms(5);
    }
    return check_seconds() - start;
}

static void test_all_are_heard(int n_ranks)
{
    for (int r = 0; r < n_ranks; r++) (void)await(r, ": alive, heard ");
    mray_task_opts there = check_on_rank(check_worker_rank(0));
    there.num_cpus = 1;
    int64_t x = 0;
    mray_ref ref = mray_remote_with(there, sleep_ms, 700);
    (void)await(check_worker_rank(0), "1 workers");
    CHECK_OK(mray_get(ref, &x));
    CHECK_OK(mray_release(ref));
}

static void test_a_silent_agent_is_suspect_until_it_speaks(int rank)
{
    int64_t pid = 0, x = 0;
    char line[256];
    mray_ref ref = mray_remote_with(check_on_rank(rank), pid_of_rank);
    CHECK_OK(mray_get(ref, &pid));
    CHECK_OK(mray_release(ref));
    CHECK(pid > 1);
    if (pid <= 1) return;
    (void)await(rank, ": alive");
    CHECK(kill((pid_t)pid, SIGSTOP) == 0);
    double seconds = await(rank, ": suspect");
    CHECK(seconds > SUSPECT_MS * 0.5e-3); /* it was heard a fifth of the limit before it stood still, at the earliest */
    nap_ms(SUSPECT_MS);
    CHECK(strstr(line_of(rank, line, sizeof line), ": suspect") != NULL); /* and it is not given up before its time */
    CHECK(kill((pid_t)pid, SIGCONT) == 0);
    (void)await(rank, ": alive");
    ref = mray_remote_with(check_on_rank(rank), sleep_ms, 1);
    CHECK_OK(mray_get(ref, &x));
    CHECK_OK(mray_release(ref));
}

int main(int argc, char **argv)
{
    char limit[32];
    snprintf(limit, sizeof limit, "%d", SUSPECT_MS);
    setenv("MRAY_NODE_SUSPECT_TIMEOUT", limit, 1);
    setenv("MRAY_NUM_WORKERS", "1", 1);
    setenv("MRAY_LOG", "error", 0);
    check_init(&argc, &argv, NULL);
    int n_ranks = check_num_ranks();
    test_all_are_heard(n_ranks);
    test_a_silent_agent_is_suspect_until_it_speaks(n_ranks - 1);
    return check_finish();
}
