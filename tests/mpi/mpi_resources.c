/* mpi_resources.c: tasks with resources: how many run side by side, whole and part CPUs, what no rank has, death of the worker. */
/* ranks: local 1 2 4 */
/* sanitize: local 2 */
/* timeout: 200 */
#include "check.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* What all processes of the machine see: how many tasks of a kind run at the moment, and the most there ever were. */
enum { KINDS = 8 };
typedef struct {
    _Atomic int now[KINDS], most[KINDS], cpus_now, cpus_most, overlaps;
} board_t;
typedef struct {
    char path[96];
} board_name;

static board_t *board_open(board_name name)
{
    int fd = open(name.path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, sizeof(board_t)) != 0) return NULL;
    board_t *b = mmap(NULL, sizeof *b, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return b == MAP_FAILED ? NULL : b;
}

static void raise_to(_Atomic int *most, int value)
{
    int old = *most;
    while (old < value && !__atomic_compare_exchange_n((int *)(void *)most, &old, value, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) continue;
}

static void rest_us(int us)
{
    nanosleep(&(struct timespec){.tv_nsec = us * 1000l}, NULL);
}

MRAY_TASK(int32_t, stay, board_name, name, int, kind, int, us)
{
    board_t *b = board_open(name);
    if (b == NULL) return -1;
    raise_to(&b->most[kind], __atomic_add_fetch((int *)(void *)&b->now[kind], 1, __ATOMIC_SEQ_CST));
    rest_us(us);
    __atomic_sub_fetch((int *)(void *)&b->now[kind], 1, __ATOMIC_SEQ_CST);
    munmap(b, sizeof *b);
    mray_task_info info;
    return mray_task_current(&info) == MRAY_OK ? info.rank : -2;
}

/* Adds up what the tasks of all sizes occupy on their rank, in tenths of a CPU; only one rank's are counted. */
MRAY_TASK(int32_t, occupy, board_name, name, int, tenths, int, us)
{
    board_t *b = board_open(name);
    if (b == NULL) return -1;
    raise_to(&b->cpus_most, __atomic_add_fetch((int *)(void *)&b->cpus_now, tenths, __ATOMIC_SEQ_CST));
    rest_us(us);
    __atomic_sub_fetch((int *)(void *)&b->cpus_now, tenths, __ATOMIC_SEQ_CST);
    munmap(b, sizeof *b);
    return 0;
}

MRAY_TASK(int32_t, die_twice, check_file, file)
{
    if (check_mark(file) <= 2) raise(SIGKILL);
    return 5;
}

MRAY_TASK(int32_t, die_always)
{
    raise(SIGKILL);
    return 0;
}

MRAY_TASK(int32_t, plain, int, x) { return x + 1; }

MRAY_TASK(int32_t, waits_for_plain, int, n)
{
    int32_t sum = 0;
    for (int i = 0; i < n; i++) {
        int32_t x = 0;
        mray_ref ref = mray_remote(plain, i);
        if (mray_get(ref, &x) != MRAY_OK) mray_fail("%s", mray_error_message());
        mray_release(ref);
        sum += x;
    }
    return sum;
}

MRAY_TASK(int32_t, waits_for_wide, int, n)
{
    int32_t x = 0;
    if (n == 0) return 0;
    mray_ref ref = mray_remote_with(((mray_task_opts){.num_cpus = 2}), waits_for_wide, n - 1);
    if (mray_get(ref, &x) != MRAY_OK) mray_fail("%s", mray_error_message());
    mray_release(ref);
    return x + 1;
}

MRAY_TASK(int64_t, stop_agent)
{
    char path[64], line[128];
    long pid = 0;
    snprintf(path, sizeof path, "/proc/%d/status", getppid()); /* the zygote's parent */
    FILE *file = fopen(path, "r");
    while (file != NULL && pid == 0 && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, "PPid:", 5) == 0) pid = strtol(line + 5, NULL, 10);
    if (file != NULL) (void)fclose(file);
    return pid > 1 && kill((pid_t)pid, SIGSTOP) == 0 ? pid : 0;
}

static board_name board;

/* n tasks of one kind with these options; the most that ran side by side. */
static int side_by_side(mray_task_opts opts, int kind, int n, int us)
{
    mray_ref *refs = calloc((size_t)n, sizeof *refs);
    for (int i = 0; i < n; i++) refs[i] = mray_remote_with(opts, stay, board, kind, us);
    for (int i = 0; i < n; i++) {
        int32_t rank = -9;
        CHECK_OK(mray_get(refs[i], &rank));
        CHECK(rank >= 0);
    }
    CHECK_OK(mray_release_many(refs, (size_t)n));
    free(refs);
    board_t *b = board_open(board);
    int most = b->most[kind];
    CHECK_EQUAL(b->now[kind], 0);
    munmap(b, sizeof *b);
    return most;
}

static void test_a_resource_limits_how_many_run(void)
{
    int most = side_by_side((mray_task_opts){.num_cpus = MRAY_NO_CPU, .resource = "lens", .resource_amount = 1}, 0, 30, 3000);
    CHECK_EQUAL(most, 3); /* three lenses on one rank */
    most = side_by_side((mray_task_opts){.num_cpus = MRAY_NO_CPU, .resource = "lens", .resource_amount = 2}, 1, 8, 3000);
    CHECK_EQUAL(most, 1);
    most = side_by_side((mray_task_opts){.num_cpus = MRAY_NO_CPU, .resource = "lens", .resource_amount = 0.75}, 2, 24, 3000);
    CHECK_EQUAL(most, 4);
}

/* While the agent is stopped a task ends, and its record is used for another that goes to the same rank: the first is over all the same. Were it not
 * counted, the fifth of its shape would find no room there. */
static void test_a_record_that_is_used_again_at_once(void)
{
    enum { ROUNDS = 6, MANY = 100, MORE = 100 }; /* more each time, so that no record that is free is left over; their room is for 1200 */
    mray_ref refs[MANY + ROUNDS * MORE];
    const char *mode = getenv("MRAY_WORKERS");
    if (check_num_ranks() < 2 || (mode != NULL && strcmp(mode, "thread") == 0)) return; /* there who stops the agent stops itself */
    for (int round = 0; round < ROUNDS; round++) {
        int64_t pid = 0;
        int n = MANY + round * MORE;
        mray_ref ref = mray_remote_with(((mray_task_opts){.num_cpus = MRAY_NO_CPU, .resource = "lens", .resource_amount = 3}), stop_agent);
        CHECK_OK(mray_get_timeout(ref, &pid, 10000000000));
        CHECK(pid > 1);
        if (pid <= 1) return;
        rest_us(20000); /* the worker falls asleep, and says before that which records are free */
        for (int i = 0; i < n; i++)
            refs[i] = mray_remote_with(((mray_task_opts){.num_cpus = MRAY_NO_CPU, .resource = "lens", .resource_amount = 0.01}), plain, i);
        rest_us(20000); /* all are sent */
        CHECK(kill((pid_t)pid, SIGCONT) == 0);
        for (int i = 0; i < n; i++) {
            int32_t x = 0;
            CHECK_OK(mray_get(refs[i], &x));
            CHECK_EQUAL(x, i + 1);
        }
        CHECK_OK(mray_release_many(refs, (size_t)n));
        CHECK_OK(mray_release(ref));
    }
}

static void test_whole_cpus(int n_ranks)
{
    int most = side_by_side((mray_task_opts){.num_cpus = 2}, 3, 20, 2000);
    CHECK(most >= 1 && most <= n_ranks);
}

static void test_halves_share_a_cpu(int n_ranks)
{
    int most = side_by_side((mray_task_opts){.num_cpus = 0.5}, 4, 60, 3000);
    CHECK(most <= 4 * n_ranks); /* two CPUs a rank */
    CHECK(most >= 3);
}

/* Tasks of all sizes on one rank never occupy more than its CPUs. */
static void test_cpus_of_a_rank_are_not_given_twice(void)
{
    enum { N = 60 };
    static const double cpus[] = {0.5, 2, 0.3, 1, 1.5};
    mray_ref refs[N];
    for (int i = 0; i < N; i++) {
        double c = cpus[i % 5];
        refs[i] = mray_remote_with(((mray_task_opts){.num_cpus = c, .resource = "lens", .resource_amount = 0.0001}), occupy, board, (int)(c * 10), 1500);
    }
    for (int i = 0; i < N; i++) CHECK_OK(check_done(refs[i]));
    CHECK_OK(mray_release_many(refs, N));
    board_t *b = board_open(board);
    CHECK_EQUAL(b->cpus_now, 0);
    CHECK(b->cpus_most <= 20 && b->cpus_most >= 10);
    munmap(b, sizeof *b);
}

/* Wide tasks among many plain ones: both get on. */
static void test_wide_tasks_and_plain_ones_get_on_together(void)
{
    enum { N = 3000, WIDE = 10 };
    static mray_ref refs[N];
    mray_ref wide[WIDE];
    for (int i = 0; i < N; i++) {
        refs[i] = mray_remote(plain, i);
        if (i % (N / WIDE) == 0) wide[i / (N / WIDE)] = mray_remote_with(((mray_task_opts){.num_cpus = 2}), stay, board, 5, 500);
    }
    for (int i = 0; i < N; i++) {
        int32_t x = -1;
        CHECK_OK(mray_get(refs[i], &x));
        CHECK_EQUAL(x, i + 1);
    }
    for (int i = 0; i < WIDE; i++) CHECK_OK(check_done(wide[i]));
    CHECK_OK(mray_release_many(refs, N));
    CHECK_OK(mray_release_many(wide, WIDE));
}

/* A task that waits gives its CPUs back: else these would wait for ever. */
static void test_waiting_gives_cpus_back(void)
{
    int32_t x = -1;
    mray_ref ref = mray_remote_with(((mray_task_opts){.num_cpus = 2}), waits_for_plain, 10);
    CHECK_OK(mray_get(ref, &x));
    CHECK_EQUAL(x, 55);
    CHECK_OK(mray_release(ref));
    ref = mray_remote_with(((mray_task_opts){.num_cpus = 2}), waits_for_wide, 6);
    CHECK_OK(mray_get(ref, &x));
    CHECK_EQUAL(x, 6);
    CHECK_OK(mray_release(ref));
}

MRAY_TASK(int32_t, await_all, mray_ref, a, mray_ref, b, mray_ref, c)
{
    bool ready[3];
    size_t n = 0;
    return mray_wait((mray_ref[]){a, b, c}, 3, 3, MRAY_FOREVER, ready, &n) == MRAY_OK ? (int32_t)n : -1;
}

MRAY_TASK(int32_t, pass_on, int32_t, go, mray_ref, ref)
{
    int32_t x = 0;
    return mray_get(ref, &x) == MRAY_OK ? go + x : -1;
}

static mray_ref create_int(int32_t **data_p)
{
    mray_ref ref;
    CHECK_OK(mray_create(sizeof **data_p, (mray_type)MRAY_TYPE_OF(**data_p), NULL, (void **)data_p, &ref));
    **data_p = 1;
    return ref;
}

/* What a waiting task runs inside its wait may wait itself; afterwards the CPUs of the outer one are free as before. */
static void test_waiting_inside_a_wait_gives_cpus_back(int n_ranks)
{
    int32_t *data, x = 0;
    mray_ref wake = create_int(&data), go = create_int(&data), inner = create_int(&data), last = create_int(&data), busy[64];
    mray_task_opts wide = {.resource = "lens", .resource_amount = 0.1, .num_cpus = 1.5}; /* two of them do not fit */
    int n_busy = 2 * n_ranks < 64 ? 2 * n_ranks : 64;
    mray_ref helped = mray_remote(pass_on, go, inner), after = mray_remote_with(wide, plain, last);
    mray_ref outer = mray_remote_with(wide, await_all, wake, helped, after);
    rest_us(50000);
    for (int i = 0; i < n_busy; i++) busy[i] = mray_remote(stay, board, KINDS - 1, 200000); /* nobody else has time for what is helped with */
    rest_us(20000);
    CHECK_OK(mray_seal(go));
    rest_us(5000);
    CHECK_OK(mray_seal(wake)); /* the outer one wakes, and looks for something to run */
    rest_us(20000);
    CHECK_OK(mray_seal(inner));
    CHECK_OK(mray_get(helped, &x));
    CHECK(x == 2);
    for (int i = 0; i < n_busy; i++) CHECK_OK(mray_get(busy[i], &x));
    CHECK_OK(mray_seal(last));
    CHECK_OK(mray_get_timeout(after, &x, 10000000000));
    CHECK_OK(mray_get_timeout(outer, &x, 10000000000));
    CHECK(x == 3);
    CHECK_OK(mray_release_many(busy, (size_t)n_busy));
    CHECK_OK(mray_release_many((mray_ref[]){wake, go, inner, last, helped, after, outer}, 7));
}

static void test_a_death_gives_resources_back_once(void)
{
    const char *mode = getenv("MRAY_WORKERS");
    if (mode != NULL && strcmp(mode, "thread") == 0) return;
    mray_task_opts lens = {.num_cpus = 2, .resource = "lens", .resource_amount = 3};
    for (int round = 0; round < 3; round++) {
        char name[16];
        int32_t x = 0;
        snprintf(name, sizeof name, "die%d", round);
        mray_ref ref = mray_remote_with(lens, die_twice, check_file_of(name));
        CHECK_OK(mray_get(ref, &x));
        CHECK_EQUAL(x, 5);
        CHECK_OK(mray_release(ref));
        mray_task_opts once = lens;
        once.max_retries = MRAY_NO_RETRY;
        ref = mray_remote_with(once, die_always);
        CHECK_ERROR(mray_get(ref, &x), MRAY_ERR_WORKER_CRASHED, "die_always");
        CHECK_OK(mray_release(ref));
    }
    board_t *b = board_open(board);
    b->most[6] = 0;
    munmap(b, sizeof *b);
    CHECK_EQUAL(side_by_side((mray_task_opts){.num_cpus = MRAY_NO_CPU, .resource = "lens"}, 6, 20, 3000), 3);
}

static void test_what_no_rank_has_is_an_error_that_says_so(void)
{
    int32_t x;
    double begin = check_seconds();
    mray_ref unknown = mray_remote_with(((mray_task_opts){.resource = "unobtainium", .resource_amount = 2.5}), plain, 1);
    mray_ref wide = mray_remote_with(((mray_task_opts){.num_cpus = 4096}), plain, 1);
    mray_ref much = mray_remote_with(((mray_task_opts){.resource = "lens", .resource_amount = 4}), plain, 1);
    mray_ref after = mray_remote(plain, unknown);
    CHECK_ERROR(mray_get(unknown, &x), MRAY_ERR_TASK_UNSCHEDULABLE, "2.5 of resource 'unobtainium'");
    CHECK_ERROR(mray_get(wide, &x), MRAY_ERR_TASK_UNSCHEDULABLE, "4096 CPUs");
    CHECK(check_sentence_has("the largest rank has 2 CPUs"));
    CHECK_ERROR(mray_get(much, &x), MRAY_ERR_TASK_UNSCHEDULABLE, "the most of 'lens' on one is 3");
    CHECK_ERROR(mray_get(after, &x), MRAY_ERR_TASK_UNSCHEDULABLE, "unobtainium");
    double took = check_seconds() - begin;
    CHECK(took > 1 && took < 4); /* MRAY_UNSCHEDULABLE_TIMEOUT is 1500 ms here */
    CHECK_OK(mray_release_many((mray_ref[]){unknown, wide, much, after}, 4));
    /* Others are not held up. */
    mray_ref again = mray_remote_with(((mray_task_opts){.resource = "unobtainium"}), plain, 1), fine = mray_remote(plain, 1);
    CHECK_OK(mray_get_timeout(fine, &x, 1000000000));
    CHECK_OK(mray_release_many((mray_ref[]){again, fine}, 2));
}

static void test_bad_options(void)
{
    int32_t x;
    mray_ref ref = mray_remote_with(((mray_task_opts){.resource = ""}), plain, 1);
    CHECK_STATUS(mray_get(ref, &x), MRAY_ERR_INVALID_ARGUMENT);
    ref = mray_remote_with(((mray_task_opts){.resource = "a name of more than thirty-one characters"}), plain, 1);
    CHECK_STATUS(mray_get(ref, &x), MRAY_ERR_INVALID_ARGUMENT);
}

int main(int argc, char **argv)
{
    const char *rank = getenv("OMPI_COMM_WORLD_RANK"), *size = getenv("OMPI_COMM_WORLD_SIZE");
    bool has_lens = size == NULL || atoi(size) == 1 || atoi(rank) == 1;
    setenv("MRAY_UNSCHEDULABLE_TIMEOUT", "1500", 1);
    setenv("MRAY_RESOURCES", has_lens ? "lens=1,lens=3,other=0.5" : "other=0.5", 1);
    check_init(&argc, &argv, &(mray_init_opts){.num_workers = 2});
    int n_ranks = check_num_ranks() > 1 ? check_num_ranks() - 1 : 1;
    snprintf(board.path, sizeof board.path, "%s", check_file_of("board").text);
    size_t used = check_store_used();
    test_a_resource_limits_how_many_run();
    test_a_record_that_is_used_again_at_once();
    test_whole_cpus(n_ranks);
    test_halves_share_a_cpu(n_ranks);
    test_cpus_of_a_rank_are_not_given_twice();
    test_wide_tasks_and_plain_ones_get_on_together();
    test_waiting_gives_cpus_back();
    test_waiting_inside_a_wait_gives_cpus_back(n_ranks);
    test_a_death_gives_resources_back_once();
    test_what_no_rank_has_is_an_error_that_says_so();
    test_bad_options();
    nanosleep(&(struct timespec){.tv_sec = 2}, NULL); /* the last unobtainable one ends */
    CHECK(check_store_settles(used));
    return check_finish();
}
