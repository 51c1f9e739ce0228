/* progress.c: see progress.h. */
#include "progress.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BAR_LETTERS = 40, REDRAW_NS = 100000000 };

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

double align_progress_seconds(const struct align_progress *progress)
{
    return (double)(now_ns() - progress->start_ns) / 1e9;
}

double align_progress_gcups(const struct align_progress *progress)
{
    double seconds = align_progress_seconds(progress);
    return seconds > 0 ? (double)progress->cells_done / seconds / 1e9 : 0;
}

static double share_done(const struct align_progress *progress)
{
    return progress->cells_total ? (double)progress->cells_done / (double)progress->cells_total : 1;
}

/* Seconds still to go at the rate so far. */
static double seconds_left(const struct align_progress *progress)
{
    double share = share_done(progress);
    return share > 0 ? align_progress_seconds(progress) * (1 - share) / share : 0;
}

static void draw_bar(struct align_progress *progress)
{
    char bar[BAR_LETTERS + 1];
    int filled = (int)(share_done(progress) * BAR_LETTERS);
    for (int i = 0; i < BAR_LETTERS; i++) bar[i] = i < filled ? '#' : '.';
    bar[BAR_LETTERS] = 0;
    fprintf(progress->out, "\r[%s] %3d%%", bar, (int)(share_done(progress) * 100));
    if (filled > 0) fprintf(progress->out, "  %6.2f GCUPS  %4.0f s left ", align_progress_gcups(progress), seconds_left(progress));
    fflush(progress->out);
    progress->drawn_ns = now_ns();
}

static void say_line(struct align_progress *progress)
{
    fprintf(progress->out, "%3d%% done, %.1f s, %.2f GCUPS\n", (int)(share_done(progress) * 100), align_progress_seconds(progress),
            align_progress_gcups(progress));
    fflush(progress->out);
}

/* Open MPI gives a rank a pipe for stderr and copies what comes out of it to the stderr of mpirun, as it is. The rank's parent is mpirun,
 * if on the same host, else a daemon without a terminal. */
static bool is_terminal_of_mpirun(FILE *out)
{
    char path[64];
    if (!getenv("OMPI_COMM_WORLD_RANK") || fileno(out) != STDERR_FILENO) return false;
    snprintf(path, sizeof path, "/proc/%ld/fd/%d", (long)getppid(), STDERR_FILENO);
    int fd = open(path, O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    bool is_terminal = fd >= 0 && isatty(fd);
    if (fd >= 0) close(fd);
    return is_terminal;
}

void align_progress_start(struct align_progress *progress, FILE *out, uint64_t cells_total)
{
    const char *term = getenv("TERM");
    *progress = (struct align_progress){.out = out, .cells_total = cells_total, .start_ns = now_ns()};
    progress->is_terminal = (isatty(fileno(out)) || is_terminal_of_mpirun(out)) && !(term && strcmp(term, "dumb") == 0);
    if (progress->is_terminal) draw_bar(progress);
}

void align_progress_tick(struct align_progress *progress)
{
    if (progress->is_terminal && now_ns() - progress->drawn_ns >= REDRAW_NS) draw_bar(progress);
}

void align_progress_add(struct align_progress *progress, uint64_t cells)
{
    progress->cells_done += cells;
    align_progress_tick(progress);
    uint32_t tenths = (uint32_t)(share_done(progress) * 10);
    if (progress->is_terminal || tenths <= progress->tenths_said) return;
    progress->tenths_said = tenths;
    say_line(progress);
}

void align_progress_stop(struct align_progress *progress)
{
    if (!progress->is_terminal) return;
    draw_bar(progress);
    fputc('\n', progress->out);
    fflush(progress->out);
}
