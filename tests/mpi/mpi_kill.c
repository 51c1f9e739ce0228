/* mpi_kill.c: a random graph of 10,000 tasks while workers of the job are killed by SIGKILL at random moments. The results are those of a
 * serial evaluation, nothing is left in the stores, and as many workers as before serve.
 *
 * The killer is a thread of the driver. It finds the workers by their name and by the mark that tests/run_mpi.sh puts into
 * the environment of a run; without the mark it refuses to work, since it might hit another job. On several hosts it
 * sees those of its own host only. */
/* ranks: local 1 2 4 8 4x2 */
/* modes: process */
/* sanitize: local 2 4x2 */
#include "check.h"
#include "dag.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MAX_WORKERS = 1024, MAX_BEHIND = 8 };

static struct {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    int step; /* of the graph */
    bool over;
    int n_steps, n_kills;
    uint64_t random;
    int n_killed, n_done;
} killer = {.lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER};

static bool is_ours(const char *pid)
{
    char comm[32];
    check_read_proc(pid, "comm", comm, sizeof comm);
    return strcmp(comm, "mray-worker\n") == 0 && check_is_of_run(pid);
}

/* Living workers of this job. */
static int find_workers(pid_t *pids)
{
    int n = 0;
    DIR *proc = opendir("/proc");
    for (struct dirent *entry; proc != NULL && (entry = readdir(proc)) != NULL && n < MAX_WORKERS;)
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' && is_ours(entry->d_name)) pids[n++] = (pid_t)atoi(entry->d_name);
    if (proc != NULL) closedir(proc);
    return n;
}

static void kill_one(void)
{
    static pid_t pids[MAX_WORKERS];
    int n = find_workers(pids);
    if (n > 0 && kill(pids[check_random(&killer.random) % (uint64_t)n], SIGKILL) == 0) killer.n_killed++;
}

/* One kill for each n_steps / n_kills steps, a random while after the step. The steps wait where the kills fall behind. */
static void *killer_main(void *unused)
{
    for (int k = 0; k < killer.n_kills; k++) {
        pthread_mutex_lock(&killer.lock);
        while (!killer.over && killer.step < k * killer.n_steps / killer.n_kills) pthread_cond_wait(&killer.moved, &killer.lock);
        bool over = killer.over;
        pthread_mutex_unlock(&killer.lock);
        if (over) break;
        nanosleep(&(struct timespec){.tv_nsec = (long)(check_random(&killer.random) % 5000000)}, NULL);
        kill_one();
        pthread_mutex_lock(&killer.lock);
        killer.n_done = k + 1;
        pthread_cond_broadcast(&killer.moved);
        pthread_mutex_unlock(&killer.lock);
    }
    return unused;
}

static void tell(int step, bool over)
{
    pthread_mutex_lock(&killer.lock);
    killer.step = step;
    killer.over = over;
    pthread_cond_broadcast(&killer.moved);
    while (!over && killer.n_done + MAX_BEHIND < step * killer.n_kills / killer.n_steps) pthread_cond_wait(&killer.moved, &killer.lock);
    pthread_mutex_unlock(&killer.lock);
}

static void on_step(int step)
{
    if (step % 16 == 0) tell(step, false);
}

static int number(const char *name, int otherwise)
{
    return getenv(name) != NULL ? atoi(getenv(name)) : otherwise;
}

int main(int argc, char **argv)
{
    if (getenv("MRAY_TEST_ID") == NULL) {
        fprintf(stderr, "mpi_kill: run it by tests/run_mpi.sh, which marks the processes of the job\n");
        return 2;
    }
    check_init(&argc, &argv, NULL);
    killer.n_steps = number("MRAY_TEST_STEPS", 10000);
    killer.n_kills = number("MRAY_TEST_KILLS", 40);
    dag_config_t config = {.seed = check_seed(), .n_steps = killer.n_steps, .max_retries = MRAY_RETRY_FOREVER, .errors = true, .on_step = on_step};
    killer.random = config.seed ^ 0x6b696c6c;
    mray_info before, after;
    CHECK_OK(mray_get_info(&before));
    size_t used = check_store_used();

    pthread_t thread;
    CHECK_EQUAL(pthread_create(&thread, NULL, killer_main, NULL), 0);
    dag_run(&config);
    tell(killer.n_steps, true);
    pthread_join(thread, NULL);

    printf("%d workers killed\n", killer.n_killed);
    CHECK(killer.n_killed >= killer.n_kills / 2);
    CHECK(check_store_settles(used));
    CHECK_OK(mray_get_info(&after));
    CHECK_EQUAL(after.num_workers, before.num_workers);
    return check_finish();
}
