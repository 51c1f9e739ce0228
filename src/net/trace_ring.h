/* trace_ring.h: what an endpoint ran and when, in its rank's segment: it outlives the process, and any process of the node can read it.
 *
 *   | state | events: the last tasks that ended, a ring, and behind them the one that runs | open: tasks stacked up in gets, the outermost first |
 *
 * Written by the endpoint alone: plain stores, no locked instruction, no system call, no memory to take. Each step ends with the one store of `state`, so
 * that a writer killed anywhere leaves it whole; what it was running, its agent ends (trace_abandon). A task alone is written in its place of the
 * ring. Once another runs inside its get it moves to `open`, and to the ring at its end, so that no number of inner tasks pushes it out before.
 * A full ring loses its oldest events, and their number is known. Readers come when the writer is gone.
 *
 * Time stamps are what a short task feels: on some processors a read of the counter waits for all loads before it, some 25 ns. So
 *   - a task that follows another at once begins when that one ended: one stamp a task;
 *   - of tasks back to back whose functions were under a microsecond the last eight times, every eighth is stamped; they share the time in between
 *     evenly. If that time turns out to be far longer than they should take, they are marked as approximate, and stamped from then on.
 *
 *   event                begin          end                     trace_read() makes of it
 *   after idleness       stamp          stamp                   as it is
 *   behind another       0, or its end  stamp                   begin: the end of the one before
 *   in a rapid run       0              0, the last one stamp   shares of the time since the run's begin */
#ifndef MRAY_NET_TRACE_RING_H
#define MRAY_NET_TRACE_RING_H

#include "record.h"
#include "segment.h"

#include <stdbool.h>

enum {
    TRACE_MAX_OPEN = 72,           /* more than tasks stack up (exec/wait.c); deeper ones are counted as lost */
    TRACE_RUN = 8,                 /* tasks that share two stamps */
    TRACE_FUNCTIONS = 64,          /* entries of the memory of short ones */
    TRACE_UNFINISHED = UINT16_MAX, /* status of what was running when the session ended */
};

typedef struct {
    uint64_t begin, end; /* base_ticks() */
    uint32_t fn;         /* index in the function table */
    uint8_t kind;        /* record_kind_t */
    uint8_t attempt;
    uint16_t status;     /* of the first result */
    uint32_t rank, slot, gen; /* first result, as in mray_ref */
    uint32_t actor;      /* METHOD, ACTOR: the actor's number on this rank */
} trace_event_t;
_Static_assert(sizeof(trace_event_t) == 40, "an event is what it takes in the ring");

/* state: events ever ended << 8 | TRACE_SPILLED | how many are open. Stored with release, behind what it tells of. */
#define TRACE_SPILLED UINT64_C(0x80) /* the outermost open one is in `open`, too */
#define TRACE_DEPTH UINT64_C(0x7f)

typedef struct {
    _Alignas(SEG_CACHE_LINE) _Atomic uint64_t state;
    uint64_t last;      /* stamp at the end of the event before, if nothing but the next one can have come since; else 0 */
    uint64_t run_begin; /* of the first of the events at the ring's end that have no stamp */
    uint32_t n_run;     /* how many those are */
    uint32_t mask;      /* of the ring's places */
    uint32_t short_ticks; /* about a microsecond */
    bool counter;       /* base_ticks() reads the counter */
    uint64_t n_deep;    /* not recorded, since too many were open */
    _Alignas(SEG_CACHE_LINE) uint8_t n_short[TRACE_FUNCTIONS]; /* by function: how often it was short, in a row */
    trace_event_t open[TRACE_MAX_OPEN];
    trace_event_t events[];
} trace_ring_t;

/* Places of a ring for so many events. */
uint32_t trace_slots(uint64_t n_events);
/* What a ring takes in a segment. */
uint64_t trace_ring_bytes(uint32_t n_slots);
/* The ring of an endpoint; NULL where the session keeps no trace. */
trace_ring_t *trace_ring_at(const segment_t *seg, unsigned index);
/* The same for who will write it. */
trace_ring_t *trace_ring_open(const segment_t *seg, unsigned index);

/* rec begins to run, and is over; they nest. */
void trace_begin(trace_ring_t *ring, const record_t *rec);
void trace_end(trace_ring_t *ring, int status);
/* Between tasks: the writer does something else, or nothing. */
void trace_rest(trace_ring_t *ring);
/* Its writer is gone: what it was running ended now, with this status. status 0: as the writer's death has it. ring may be NULL. */
void trace_abandon(trace_ring_t *ring, int status);

/* The writer is gone, and nothing is open. Events in the order in which they ended, with both times. */
typedef struct {
    const trace_ring_t *ring;
    uint64_t next, head;
    uint64_t run_at, n_run;    /* the run that is being shared out, and how far */
    uint64_t begin, share, end; /* its times; share: of all but the last */
    bool approximate;
    uint64_t lost;
} trace_reader_t;
void trace_read_start(trace_reader_t *reader, const trace_ring_t *ring);
/* False at the end; then reader->lost counts what is not there. */
bool trace_read(trace_reader_t *reader, trace_event_t *event_p, bool *approximate_p);

#endif
