/* mpi_idle.c: a job with nothing to do takes less than 2% of a core in total: user and system time of all its processes, from /proc. */
/* ranks: local 1 2 4 */
/* sanitize: none */
#include "check.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

MRAY_TASK(int64_t, square, int64_t, x) { return x * x; }

/* Ticks used by the processes of the job whose program is this one: ranks, zygotes, workers. */
static unsigned long long job_ticks(const char *program, int *n_processes)
{
    unsigned long long sum = 0;
    DIR *proc = opendir("/proc");
    *n_processes = 0;
    for (struct dirent *entry; proc != NULL && (entry = readdir(proc)) != NULL;) {
        char path[64], exe[4096], stat[1024];
        unsigned long user = 0, system = 0;
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
        snprintf(path, sizeof path, "/proc/%.16s/exe", entry->d_name);
        ssize_t n = readlink(path, exe, sizeof exe - 1);
        if (n <= 0 || (exe[n] = 0, strcmp(exe, program) != 0) || !check_is_of_run(entry->d_name)) continue;
        check_read_proc(entry->d_name, "stat", stat, sizeof stat);
        const char *after_name = strrchr(stat, ')');
        if (after_name == NULL || sscanf(after_name + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2) continue;
        sum += user + system;
        ++*n_processes;
    }
    if (proc != NULL) closedir(proc);
    return sum;
}

int main(int argc, char **argv)
{
    char program[4096];
    if (getenv("MRAY_TEST_ID") == NULL) {
        fprintf(stderr, "mpi_idle: run it by tests/run_mpi.sh, which marks the processes of the job\n");
        return 2;
    }
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    program[length > 0 ? length : 0] = 0;
    check_init(&argc, &argv, NULL);
    /* Everybody has worked, and waits. */
    mray_ref refs[100];
    for (int i = 0; i < 100; i++) refs[i] = mray_remote(square, i);
    for (int i = 0; i < 100; i++) CHECK_OK(check_done(refs[i]));
    CHECK_OK(mray_release_many(refs, 100));
    nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);

    int n_before, n_after;
    double seconds = check_seconds();
    unsigned long long ticks = job_ticks(program, &n_before);
    void *data;
    mray_ref gate;
    CHECK_OK(mray_create(8, (mray_type){.dtype = MRAY_INT64, .size = 8}, NULL, &data, &gate));
    mray_ref waiting = mray_remote(square, gate);
    int64_t x = 0;
    CHECK_STATUS(mray_get_timeout(waiting, &x, 3000000000), MRAY_ERR_TIMEOUT); /* three idle seconds, with the driver in a get */
    unsigned long long used = job_ticks(program, &n_after) - ticks;
    seconds = check_seconds() - seconds;
    double percent = 100.0 * (double)used / (double)sysconf(_SC_CLK_TCK) / seconds;
    printf("%d processes, %.2f%% of a core\n", n_after, percent);
    CHECK(n_before >= check_num_ranks());
    CHECK(percent < 2.0);
    *(int64_t *)data = 6;
    CHECK_OK(mray_seal(gate));
    CHECK_OK(mray_get(waiting, &x));
    CHECK_EQUAL(x, 36);
    CHECK_OK(mray_release_many((mray_ref[]){gate, waiting}, 2));
    return check_finish();
}
