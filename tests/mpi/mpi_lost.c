/* mpi_lost.c: a rank of another node stops answering and is given up: what was expected of it ends as an error or runs elsewhere, the rest goes on, and
 * the job ends with its own exit code. */
/* ranks: 3x1 4x2 */
/* sanitize: none */
#include "check.h"
#include "test_json.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { N_WORK = 60, LARGE = 1 << 18 };

static void nap_ms(int ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}

MRAY_TASK(int64_t, pid_of_rank)
{
    char path[64], line[256];
    int parent = 0;
    const char *workers = getenv("MRAY_WORKERS");
    if (workers != NULL && strcmp(workers, "thread") == 0) return getpid();
    snprintf(path, sizeof path, "/proc/%d/status", getppid()); /* the zygote's parent */
    FILE *file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "PPid: %d", &parent) == 1) break;
    if (file != NULL) fclose(file);
    return parent;
}

MRAY_TASK(int64_t, slow_square, int64_t, x, int, ms)
{
    nap_ms(ms);
    return x * x;
}

MRAY_TASK(mray_array(int64_t), ramp, int64_t, n)
{
    mray_array(int64_t) v = mray_return_array(int64_t, (size_t)n);
    for (int64_t i = 0; v.data != NULL && i < n; i++) v.data[i] = i;
    return v;
}

MRAY_TASK(int64_t, last_of, mray_array(int64_t), v) { return v.data[v.n - 1]; }

typedef struct {
    int64_t n;
} tally;
MRAY_ACTOR(tally)
{
    self->n = 0;
}
MRAY_METHOD(int64_t, tally, add, int64_t, k) { return self->n += k; }

static bool is_dead(int rank)
{
    static char text[16384];
    char name[32];
    CHECK(mray_status_report(text, sizeof text) < sizeof text);
    snprintf(name, sizeof name, "\n  rank %d (", rank);
    const char *line = strstr(text, name), *word = line != NULL ? strstr(line, ": dead") : NULL;
    return word != NULL && word < line + 1 + strcspn(line + 1, "\n");
}

/* The timeline has what ran on nodes that still answer: all but the victim's where it is a node of its own. */
static void check_timeline(const char *path, int n_ranks)
{
    int n = 0;
    char *text = json_read_file(path);
    CHECK(text != NULL && json_is_whole(text));
    for (char *line = text != NULL ? strtok(text, "\n") : NULL; line != NULL; line = strtok(NULL, "\n")) {
        n += json_member_is(line, "name", "slow_square") && json_member_number(line, "pid") == 1;
        if (json_member(line, "ranks_missing") != NULL) CHECK_EQUAL(json_member_number(line, "ranks_missing"), n_ranks == 3 ? 1 : 0);
    }
    CHECK(n_ranks == 3 ? n >= N_WORK + N_WORK / 2 : n > 0);
    free(text);
}

int main(int argc, char **argv)
{
    check_file trace = {""};
    const char *own_rank = getenv("OMPI_COMM_WORLD_RANK");
    if (own_rank != NULL && atoi(own_rank) == 0) {
        trace = check_file_of("trace.json");
        setenv("MRAY_TRACE", trace.text, 1);
    }
    setenv("MRAY_NODE_SUSPECT_TIMEOUT", "300", 1);
    setenv("MRAY_NODE_DEAD_TIMEOUT", "1500", 1);
    setenv("MRAY_UNSCHEDULABLE_TIMEOUT", "500", 1);
    setenv("MRAY_NUM_WORKERS", "1", 1);
    setenv("MRAY_LOG", "error", 0);
    check_init(&argc, &argv, NULL);
    int victim = check_num_ranks() - 1;
    char resource[32];
    snprintf(resource, sizeof resource, "rank%d", victim);
    mray_task_opts there = check_on_rank(victim), once = there;
    once.max_retries = MRAY_NO_RETRY;
    int64_t pid = 0, x = 0;
    static int64_t large[LARGE];

    mray_ref ref = mray_remote_with(there, pid_of_rank);
    CHECK_OK(mray_get(ref, &pid));
    CHECK_OK(mray_release(ref));
    mray_ref far = mray_remote_with(there, ramp, (int64_t)LARGE); /* its bytes stay there */
    CHECK_OK(mray_get(far, NULL));
    mray_actor actor = mray_actor_new_with(((mray_actor_opts){.name = "tally", .resource = resource, .resource_amount = 1}), tally);
    ref = mray_call(actor, tally, add, 5);
    CHECK_OK(mray_get(ref, &x));
    CHECK_OK(mray_release(ref));

    mray_ref work[N_WORK], lost = mray_remote_with(once, slow_square, 7, 60000), needs = mray_remote(slow_square, lost, 0);
    for (int i = 0; i < N_WORK; i++) work[i] = mray_remote(slow_square, (int64_t)i, 20);
    nap_ms(100);
    CHECK(pid > 1 && kill((pid_t)pid, SIGSTOP) == 0);
    double stopped = check_seconds();
    mray_ref call = mray_call(actor, tally, add, 1);
    CHECK_ERROR(mray_get_timeout(lost, &x, 30000000000), MRAY_ERR_NODE_DIED, "lost");
    double seconds = check_seconds() - stopped;
    CHECK(seconds > 1.0 && seconds < 20);
    CHECK(is_dead(victim));
    CHECK_ERROR(mray_get_timeout(needs, &x, 10000000000), MRAY_ERR_NODE_DIED, "lost"); /* the cause travels on */
    for (int i = 0; i < N_WORK; i++) {
        CHECK_OK(mray_get_timeout(work[i], &x, 60000000000));
        CHECK_EQUAL(x, (int64_t)i * i);
    }
    CHECK_ERROR(mray_get_array(far, large, LARGE), MRAY_ERR_NODE_DIED, "lost");
    mray_ref sum = mray_remote(last_of, far);
    CHECK_STATUS(mray_get_timeout(sum, &x, 10000000000), MRAY_ERR_NODE_DIED);
    int status = mray_get_timeout(call, &x, 10000000000);
    CHECK(status == MRAY_ERR_NODE_DIED || status == MRAY_ERR_ACTOR_DIED);
    CHECK_STATUS(mray_actor_find("tally", &actor), MRAY_ERR_ACTOR_NOT_FOUND);
    mray_actor other = mray_actor_new_with(((mray_actor_opts){.name = "tally"}), tally); /* its name is free, and there is another place */
    ref = mray_call(other, tally, add, 3);
    CHECK_OK(mray_get_timeout(ref, &x, 10000000000));
    CHECK_EQUAL(x, 3);
    CHECK_OK(mray_release(ref));
    ref = mray_remote_with(once, slow_square, 7, 0);
    CHECK_STATUS(mray_get_timeout(ref, &x, 10000000000), MRAY_ERR_TASK_UNSCHEDULABLE); /* what only it had */
    /* It was not dead: nothing that it says now is taken. */
    CHECK(kill((pid_t)pid, SIGCONT) == 0);
    nap_ms(300);
    CHECK(is_dead(victim));
    for (int i = 0; i < N_WORK; i++) {
        CHECK_OK(mray_release(work[i]));
        work[i] = mray_remote(slow_square, (int64_t)i, 1);
    }
    for (int i = 0; i < N_WORK; i++) {
        CHECK_OK(mray_get_timeout(work[i], &x, 60000000000));
        CHECK_EQUAL(x, (int64_t)i * i);
    }
    if (check_num_ranks() == 3) CHECK(kill((pid_t)pid, SIGSTOP) == 0); /* once it is there at the end, once it is not */
    int n_ranks = check_num_ranks();
    CHECK_OK(mray_finalize());
    check_timeline(trace.text, n_ranks);
    CHECK_ERROR(mray_init(NULL, NULL, NULL), MRAY_ERR_NODE_DIED, "start the job again");
    return check_finish();
}
