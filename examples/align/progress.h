/* progress.h: how far the job is and how fast. On a terminal a bar that is drawn over itself ten times a second, elsewhere a plain line
 * for every tenth of the work. The rate is GCUPS: 10^9 cells of the score matrices a second. */
#ifndef ALIGN_PROGRESS_H
#define ALIGN_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct align_progress {
    FILE *out;
    bool is_terminal;
    uint64_t cells_total, cells_done;
    int64_t start_ns, drawn_ns;
    uint32_t tenths_said;
};

/* out is a terminal or not; one whose mpirun has a terminal is, TERM=dumb counts as none. The clock starts. */
void align_progress_start(struct align_progress *progress, FILE *out, uint64_t cells_total);

/* So many more cells are done. */
void align_progress_add(struct align_progress *progress, uint64_t cells);

/* Redraw the bar if it is time, though nothing more is done. */
void align_progress_tick(struct align_progress *progress);

/* Leave the bar on a line of its own, so that something else can be printed. */
void align_progress_stop(struct align_progress *progress);

/* Seconds since the start, and the rate so far. */
double align_progress_seconds(const struct align_progress *progress);
double align_progress_gcups(const struct align_progress *progress);

#endif
