/* mpi_trace.c: the timeline (MRAY_TRACE). Tasks measure themselves; each must stand in the file exactly once, on its rank and worker, around what it
 * measured. On one worker events are nested or apart, and all lie within the session. The first session has none, so that the others know rank 0. */
/* ranks: local 1 2 4x2 */
/* sanitize: local 2 */
#include "check.h"
#include "test_json.h"

#include <signal.h>
#include <unistd.h>

/* Long against what clocks of nodes are apart, so that a task is not taken for the next one. */
enum { N_WORK = 60, N_OUTER = 8, N_INNER = 12, N_CALLS = 25, TASK_US = 250, MAX_EVENTS = 20000 };

typedef struct {
    int32_t rank, worker;
    uint64_t begin_ns, end_ns;
} report_t;

static uint64_t now_ns(void)
{
    return (uint64_t)(check_seconds() * 1e9);
}

static report_t start_report(void)
{
    mray_task_info info = {0};
    if (mray_task_current(&info) != MRAY_OK) mray_fail("no task");
    return (report_t){.rank = info.rank, .worker = info.worker, .begin_ns = now_ns()};
}

static report_t spend(report_t report, int us)
{
    while (now_ns() < report.begin_ns + (uint64_t)us * 1000) {}
    report.end_ns = now_ns();
    return report;
}

MRAY_TASK(report_t, work, int, us) { return spend(start_report(), us); }
MRAY_TASK(report_t, inner, int, us) { return spend(start_report(), us); }
MRAY_TASK(int64_t, no_op, int64_t, x) { return x + 1; }

MRAY_TASK(report_t, outer, int, n)
{
    report_t own = start_report();
    mray_ref refs[N_INNER];
    for (int i = 0; i < n; i++) refs[i] = mray_remote(inner, 20);
    for (int i = 0; i < n; i++) {
        report_t report;
        if (mray_get(refs[i], &report) != MRAY_OK || report.end_ns < report.begin_ns) mray_fail("inner task %d", i);
    }
    if (mray_release_many(refs, (size_t)n) != MRAY_OK) mray_fail("release");
    return spend(own, TASK_US);
}

MRAY_TASK(report_t, fails, int, us)
{
    report_t report = spend(start_report(), us);
    mray_fail("as it should");
    return report;
}

MRAY_TASK(report_t, dies_once, check_file, counter)
{
    report_t report = spend(start_report(), TASK_US);
    if (check_mark(counter) == 1) kill(getpid(), SIGKILL);
    return report;
}

typedef struct {
    int n;
} traced_t;

MRAY_ACTOR(traced_t, int, n)
{
    self->n = n;
}

MRAY_METHOD(report_t, traced_t, add, int, us)
{
    self->n++;
    return spend(start_report(), us);
}

/* ---- the file ---- */

typedef struct {
    const char *line;
    int pid, tid;
    double begin_us, end_us;
    bool used;
} event_t;

typedef struct {
    char *text;
    event_t events[MAX_EVENTS];
    int n;
    double session_us, error_us, tasks, lost;
    uint64_t start_ns;
} timeline_t;

static timeline_t timeline;

static int by_place_and_begin(const void *a, const void *b)
{
    const event_t *x = a, *y = b;
    if (x->pid != y->pid) return x->pid - y->pid;
    if (x->tid != y->tid) return x->tid - y->tid;
    if (x->begin_us != y->begin_us) return x->begin_us < y->begin_us ? -1 : 1;
    return (x->end_us < y->end_us) - (x->end_us > y->end_us);
}

static void take_line(timeline_t *t, const char *line)
{
    if (json_member(line, "session_us") != NULL) {
        t->session_us = json_member_number(line, "session_us");
        t->error_us = json_member_number(line, "clock_error_us") + 2;
        t->tasks = json_member_number(line, "tasks");
        t->lost = json_member_number(line, "lost_events");
        t->start_ns = strtoull(json_member(line, "start_monotonic_ns"), NULL, 10);
    }
    if (!json_member_is(line, "ph", "X") || json_member_is(line, "cat", "session") || t->n == MAX_EVENTS) return;
    event_t *e = &t->events[t->n++];
    *e = (event_t){.line = line, .pid = (int)json_member_number(line, "pid"), .tid = (int)json_member_number(line, "tid")};
    e->begin_us = json_member_number(line, "ts");
    e->end_us = e->begin_us + json_member_number(line, "dur");
}

/* Read and check what holds for every timeline. False when there is none. */
static bool read_timeline(const char *path)
{
    timeline_t *t = &timeline;
    free(t->text);
    *t = (timeline_t){.text = json_read_file(path)};
    CHECK(t->text != NULL);
    if (t->text == NULL) return false;
    CHECK(json_is_whole(t->text));
    for (char *line = strtok(t->text, "\n"); line != NULL; line = strtok(NULL, "\n")) take_line(t, line);
    CHECK_EQUAL(t->n, t->tasks);
    CHECK(t->session_us > 0);
    qsort(t->events, (size_t)t->n, sizeof t->events[0], by_place_and_begin);
    for (int i = 0; i < t->n; i++) {
        const event_t *e = &t->events[i];
        CHECK(e->begin_us > 0 && e->begin_us <= e->end_us && e->end_us <= t->session_us + t->error_us);
        /* 2 ns: sums of decimals. */
        for (int k = i - 1; k >= 0 && e->pid == t->events[k].pid && e->tid == t->events[k].tid; k--)
            if (t->events[k].end_us > e->begin_us + 0.002 && t->events[k].end_us < e->end_us - 0.002)
                check_failed(__FILE__, __LINE__, "overlap: %s and %s", t->events[k].line, e->line);
    }
    return true;
}

static int count(const char *name, const char *key, const char *value)
{
    int n = 0;
    for (int i = 0; i < timeline.n; i++)
        n += json_member_is(timeline.events[i].line, "name", name) && (key == NULL || json_member_is(timeline.events[i].line, key, value));
    return n;
}

/* The one event of that name, rank and worker around what the task measured. */
static event_t *find(const char *name, const report_t *report)
{
    event_t *found = NULL;
    double begin_us = (double)(int64_t)(report->begin_ns - timeline.start_ns) / 1e3, end_us = (double)(int64_t)(report->end_ns - timeline.start_ns) / 1e3;
    for (int i = 0; i < timeline.n; i++) {
        event_t *e = &timeline.events[i];
        if (e->pid != report->rank || e->tid != report->worker || !json_member_is(e->line, "name", name)) continue;
        if (e->begin_us > begin_us + timeline.error_us || e->end_us < end_us - timeline.error_us) continue;
        CHECK(found == NULL);
        found = e;
    }
    if (found == NULL) check_failed(__FILE__, __LINE__, "no event of '%s' on rank %d, worker %d", name, report->rank, report->worker);
    return found;
}

static void find_once(const char *name, const report_t *report)
{
    if (timeline.error_us > TASK_US / 3) return; /* a busy machine: clocks could not be compared well enough */
    event_t *e = find(name, report);
    if (e == NULL) return;
    CHECK(!e->used);
    e->used = true;
}

static bool has_name_of(const char *path, const char *what, int pid, int tid)
{
    char *text = json_read_file(path);
    bool found = false;
    for (char *line = text != NULL ? strtok(text, "\n") : NULL; line != NULL; line = strtok(NULL, "\n"))
        found = found || (json_member_is(line, "name", what) && json_member_number(line, "pid") == pid && (tid < 0 || json_member_number(line, "tid") == tid));
    free(text);
    return found;
}

/* ---- sessions ---- */

static check_file trace_to(const char *name)
{
    check_file file = check_file_of(name);
    CHECK(setenv("MRAY_TRACE", file.text, 1) == 0);
    return file;
}

static void get_reports(const mray_ref *refs, report_t *reports, int n)
{
    for (int i = 0; i < n; i++) CHECK_OK(mray_get(refs[i], &reports[i]));
    CHECK_OK(mray_release_many(refs, (size_t)n));
}

static bool workers_are_processes(void)
{
    const char *mode = getenv("MRAY_WORKERS");
    return mode == NULL || strcmp(mode, "process") == 0;
}

static void test_every_task_stands_there_once(int *argc, char ***argv)
{
    static report_t worked[N_WORK], outers[N_OUTER], called[N_CALLS], failed, died;
    mray_ref work_refs[N_WORK], outer_refs[N_OUTER], call_refs[N_CALLS];
    check_file file = trace_to("all.json"), counter = check_file_of("died");
    check_init(argc, argv, NULL);
    int n_ranks = check_num_ranks();
    mray_actor actor = mray_actor_new(traced_t, 0);
    for (int i = 0; i < N_WORK; i++) work_refs[i] = mray_remote_with(i % 2 == 0 ? (mray_task_opts){0} : check_on_rank(check_worker_rank(i)), work, TASK_US + i);
    for (int i = 0; i < N_OUTER; i++) outer_refs[i] = mray_remote(outer, N_INNER);
    for (int i = 0; i < N_CALLS; i++) call_refs[i] = mray_call(actor, traced_t, add, TASK_US);
    mray_ref fail_ref = mray_remote(fails, 25), die_ref = workers_are_processes() ? mray_remote(dies_once, counter) : (mray_ref){0};
    get_reports(work_refs, worked, N_WORK);
    get_reports(outer_refs, outers, N_OUTER);
    get_reports(call_refs, called, N_CALLS);
    CHECK_STATUS(mray_get(fail_ref, &failed), MRAY_ERR_TASK);
    CHECK_OK(mray_release(fail_ref));
    if (workers_are_processes()) get_reports(&die_ref, &died, 1);
    CHECK_OK(mray_actor_kill(actor));
    CHECK_OK(mray_finalize());

    if (!read_timeline(file.text)) return;
    CHECK_EQUAL(timeline.lost, 0);
    /* What runs in a worker that is killed may run again. */
    int n_crashed = 0;
    for (int i = 0; i < timeline.n; i++) n_crashed += json_member_is(timeline.events[i].line, "status", "ERR_WORKER_CRASHED");
    CHECK(n_crashed == 0 || workers_are_processes());
    for (int i = 0; i < N_WORK; i++) find_once("work", &worked[i]);
    for (int i = 0; i < N_OUTER; i++) find_once("outer", &outers[i]);
    for (int i = 0; i < N_CALLS; i++) find_once("traced_t.add", &called[i]);
    CHECK_EQUAL(count("work", NULL, NULL) - count("work", "status", "ERR_WORKER_CRASHED"), N_WORK);
    CHECK_EQUAL(count("outer", NULL, NULL) - count("outer", "status", "ERR_WORKER_CRASHED"), N_OUTER);
    CHECK_EQUAL(count("traced_t.add", "cat", "method"), N_CALLS);
    CHECK_EQUAL(count("traced_t", "cat", "constructor"), 1);
    CHECK_EQUAL(count("fails", "status", "ERR_TASK"), 1);
    if (count("outer", "status", "ERR_WORKER_CRASHED") == 0) CHECK_EQUAL(count("inner", NULL, NULL), N_OUTER * N_INNER);
    if (workers_are_processes()) {
        CHECK_EQUAL(count("dies_once", NULL, NULL), 2);
        CHECK_EQUAL(count("dies_once", "status", "ERR_WORKER_CRASHED"), 1);
        find_once("dies_once", &died);
        for (int i = 0; i < timeline.n; i++) {
            const char *line = timeline.events[i].line;
            if (!json_member_is(line, "name", "dies_once")) continue;
            CHECK_EQUAL(json_member_number(line, "attempt"), json_member(line, "status") != NULL ? 0 : 1);
        }
    }
    for (int r = 0; r < n_ranks; r++) CHECK(has_name_of(file.text, "process_name", r, -1));
    for (int i = 0; i < timeline.n; i += 40) CHECK(has_name_of(file.text, "thread_name", timeline.events[i].pid, timeline.events[i].tid));
    CHECK(has_name_of(file.text, "session", 0, 2));
}

/* Short ones, more than a ring holds, and in the session before no fewer: what is lost is counted, and the older file is left alone. */
static void test_full_rings_lose_and_count(int *argc, char ***argv)
{
    enum { N = 6000 };
    static mray_ref refs[N];
    for (int session = 0; session < 2; session++) {
        check_file file = trace_to("many.json");
        CHECK(setenv("MRAY_TRACE_EVENTS", session == 0 ? "16384" : "1024", 1) == 0);
        check_init(argc, argv, &(mray_init_opts){.log_level = "error"});
        for (int64_t i = 0; i < N; i++) refs[i] = mray_remote(no_op, i);
        int64_t x = 0;
        for (int64_t i = 0; i < N; i++) {
            CHECK_OK(mray_get(refs[i], &x));
            CHECK_EQUAL(x, i + 1);
        }
        CHECK_OK(mray_release_many(refs, N));
        CHECK_OK(mray_finalize());
        char path[128];
        snprintf(path, sizeof path, "%s%s", file.text, session == 0 ? "" : ".2");
        if (!read_timeline(path)) continue;
        CHECK_EQUAL(timeline.n + timeline.lost, N);
        CHECK_EQUAL(count("no_op", "cat", "task"), timeline.n);
        if (session == 0) CHECK_EQUAL(timeline.lost, 0);
        if (session == 1) CHECK(timeline.n >= 1000);
    }
    CHECK(unsetenv("MRAY_TRACE_EVENTS") == 0);
    check_file first = check_file_of("many.json");
    CHECK(read_timeline(first.text) && timeline.n == N);
}

static void test_session_without_tasks(int *argc, char ***argv)
{
    check_file file = trace_to("none.json");
    check_init(argc, argv, NULL);
    CHECK_OK(mray_finalize());
    CHECK(read_timeline(file.text));
    CHECK_EQUAL(timeline.n, 0);
}

static void test_files_that_cannot_be_written(int *argc, char ***argv)
{
    check_file file = check_file_of("no/such/folder");
    CHECK(setenv("MRAY_TRACE", file.text, 1) == 0);
    CHECK_ERROR(mray_init(argc, argv, &(mray_init_opts){.log_level = "error"}), MRAY_ERR_INVALID_ARGUMENT, "MRAY_TRACE");
    CHECK(!mray_is_initialized());

    /* Full when it is written: the session's work is done, and counts. */
    CHECK(setenv("MRAY_TRACE", "/dev/full", 1) == 0);
    check_init(argc, argv, &(mray_init_opts){.log_level = "error"});
    int64_t x = 0;
    mray_ref ref = mray_remote(no_op, 1);
    CHECK_OK(mray_get(ref, &x));
    CHECK_OK(mray_release(ref));
    CHECK_OK(mray_finalize());
    CHECK(unsetenv("MRAY_TRACE") == 0);
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv, NULL);
    CHECK_OK(mray_finalize());
    test_every_task_stands_there_once(&argc, &argv);
    test_full_rings_lose_and_count(&argc, &argv);
    test_session_without_tasks(&argc, &argv);
    test_files_that_cannot_be_written(&argc, &argv);
    free(timeline.text);
    return check_finish();
}
