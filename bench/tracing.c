/* tracing.c: what the timeline costs while tasks run. Both sides have a session of their own each time, made warm first, so that the ring of the
 * worker is full and goes round as in a long job; writing the file is part of the session's end, not of the figure. */
#include "cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static double fresh_async_us(bench_t *b, const void *session)
{
    ranks_close(b);
    double us = tasks_async_us(b, session);
    ranks_close(b);
    return us;
}

/* Every task that ran stands in the file or is counted as lost. */
static void check_timeline(const char *path, uint64_t n_runs)
{
    static char line[1 << 16];
    unsigned long long n_lines = 0, n_tasks = 0, n_lost = 0;
    FILE *file = fopen(path, "re");
    if (file == NULL) bench_die("no timeline in %s", path);
    while (fgets(line, sizeof line, file) != NULL) {
        n_lines += strstr(line, "\"name\": \"bench_nop\"") != NULL;
        const char *facts = strstr(line, "\"tasks\": ");
        if (facts != NULL && sscanf(facts, "\"tasks\": %llu, \"lost_events\": %llu", &n_tasks, &n_lost) != 2) bench_die("the timeline does not count its tasks");
    }
    fclose(file);
    if (n_lines == 0 || n_lines != n_tasks || n_tasks + n_lost != n_runs)
        bench_die("the timeline has %llu tasks, says %llu and %llu lost; %llu ran", n_lines, n_tasks, n_lost, (unsigned long long)n_runs);
}

static double traced_async_us(bench_t *b, const void *session)
{
    char path[] = "/tmp/mray-bench-XXXXXX";
    int fd = mkstemp(path);
    if (fd < 0) bench_die("no file for the timeline: %s", path);
    close(fd);
    uint64_t before = bench_runs(b);
    setenv("MRAY_TRACE", path, 1); /* rank 0's counts */
    double us = fresh_async_us(b, session);
    unsetenv("MRAY_TRACE");
    check_timeline(path, bench_runs(b) - before);
    unlink(path);
    return us;
}

void case_tracing(bench_t *b)
{
    measure_row(b, &(row_t){.name = "tracing", .unit = "us", .reference = "task_async without it", .must = 1.1, .aim = 1.03, .value = traced_async_us,
                            .measure_reference = fresh_async_us});
}
