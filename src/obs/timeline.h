/* timeline.h: the timeline of a session: every task that ran, where and when, in one file (MRAY_TRACE).
 *
 *   endpoints         write rings in the segment of their rank (trace_ring.h)
 *   first rank of     reads those of all ranks of its node at the session's end, when no worker is left
 *     each node       and turns ticks into nanoseconds of the host's clock
 *   rank 0            does that for its own node, gets the other nodes' by messages, moves their times to its own clock, and writes the file
 *
 * Clocks: the ranks of a host have one. Those of other hosts are compared with rank 0's at the session's start and at its end, by the fastest of
 * several round trips each, which bounds the error to half of it; in between a difference is taken to grow evenly.
 *
 * All of it is collective and in the thread that starts and ends the session, while no agent serves. */
#ifndef MRAY_OBS_TIMELINE_H
#define MRAY_OBS_TIMELINE_H

#include "agent.h"
#include "ticks.h"
#include "timeline_json.h"

/* How far another host's clock is ahead of rank 0's. */
typedef struct {
    int64_t ahead_ns, error_ns;
    uint64_t at_ns; /* by the other clock */
} timeline_offset_t;

typedef struct {
    bool on;
    agent_t *agent;
    base_ticks_mark_t start;     /* of this host */
    unsigned n_go, n_go_awaited; /* rank 0 is through with comparing clocks */
    /* rank 0 */
    int fd;
    char *setting, *path;
    uint64_t origin_ns, end_ns;
    timeline_offset_t *offsets[2]; /* by node: at the start, at the end */
    uint64_t pong_ns;
    int n_done; /* nodes whose events are all here, */
    unsigned n_ranks_told; /* how many ranks these have */
    uint64_t n_news; /* messages so far */
    uint64_t lost;
    timeline_json_t json;
} timeline_t;

/* Rank 0: make sure that the file can be written, long before it is. Errors: INVALID_ARGUMENT with a sentence, OUT_OF_MEMORY. */
int timeline_open(timeline_t *t, const char *setting, int n_nodes);
/* Every rank of a session that has a timeline, once there is an agent. */
void timeline_attach(timeline_t *t, agent_t *agent);
/* Compare clocks: the last step of the start. */
void timeline_start(timeline_t *t);
/* Gather and write. No worker of any rank is left; but where the session lost a rank (broken) there was no barrier, and rank 0 takes what comes. */
void timeline_finish(timeline_t *t, bool broken);
/* Whatever was done of the above. */
void timeline_close(timeline_t *t);

#endif
