/* timeline_json.h: the text of a timeline, in the JSON object form of Chrome's Trace Event Format, as Perfetto and chrome://tracing read it:
 *
 *   {"displayTimeUnit": "ns", "traceEvents": [ M: names of processes and threads, X: one complete event a task ], "otherData": {..}}
 *
 * One event a line. pid is the rank, tid the worker's number; ts and dur are microseconds with three decimals, ts from the session's start. The events
 * of one tid are nested or apart, as the format wants it. */
#ifndef MRAY_OBS_TIMELINE_JSON_H
#define MRAY_OBS_TIMELINE_JSON_H

#include "trace_ring.h"

#include <stdio.h>

/* Beside the kind of an event: its times are a share of those of the events around it, among which one took unusually long. */
enum { TIMELINE_APPROXIMATE = 0x80 };

typedef struct {
    FILE *out;
    uint64_t origin_ns; /* ts 0 */
    uint64_t n_events;
    bool any;           /* an event stands there, so that the next needs a comma */
    int error;          /* errno of the first failure to write; what follows is dropped */
} timeline_json_t;

/* Closing facts. */
typedef struct {
    int n_ranks, n_hosts;
    uint64_t lost, end_ns, clock_error_ns;
    unsigned n_ranks_missing; /* whose events could not be had */
} timeline_facts_t;

void timeline_json_begin(timeline_json_t *json, FILE *out, uint64_t origin_ns);
void timeline_json_process(timeline_json_t *json, int rank, const char *host);
void timeline_json_thread(timeline_json_t *json, int rank, unsigned tid, const char *what);
/* The whole session, as an event of rank 0's program. */
void timeline_json_session(timeline_json_t *json, unsigned tid, uint64_t begin_ns, uint64_t end_ns);
/* begin and end in nanoseconds of rank 0's clock. */
void timeline_json_task(timeline_json_t *json, int rank, unsigned tid, const trace_event_t *event);
void timeline_json_end(timeline_json_t *json, const timeline_facts_t *facts);

/* text as the inside of a JSON string: quotes, backslashes and control characters escaped, bytes that are no UTF-8 replaced. Cut to what fits. */
void timeline_json_escape(const char *text, char *buf, size_t buf_bytes);

#endif
