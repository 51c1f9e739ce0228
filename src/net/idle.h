/* idle.h: the idle ladder of a thread that has to poll the network, because nothing there can wake it.
 *
 *   something happened -> [spin 20 us, only with a core to spare] -> [yield to 200 us] -> sleep, ever longer -> 1 ms -> 5 ms
 *
 * The ladder only says what to do. Who sleeps on a futex, so that work of its own node wakes it at once, does so with
 * sleep_ns as the time limit; who has nothing to wait on calls idle_pause(). Steps go by time, not by count, because a
 * round of polling costs between 0.3 and 100 us. Every sleep is at most 1/8 of the idle time before it, so that it delays an
 * answer by little against what the answer took anyway. */
#ifndef MRAY_NET_IDLE_H
#define MRAY_NET_IDLE_H

#include <stdbool.h>
#include <stdint.h>

/* Nanoseconds since something last happened; IDLE_LOOKS is a number. */
enum {
    IDLE_SPIN_END_NS = 20 * 1000,
    IDLE_YIELD_END_NS = 200 * 1000,
    IDLE_LINGER_END_NS = 1000 * 1000,         /* the same with a core to spare, if asked for */
    IDLE_DATA_YIELD_END_NS = 4 * 1000 * 1000, /* the same while data flow: pieces of a long message are no event, and wait for every poll */
    IDLE_LOOKS = 8, /* looks a yield of agents: a yield to another that polls takes 2 us and more, a look 1 */
    IDLE_LONG_NS = 1000 * 1000 * 1000,   /* from here on sleeps of IDLE_LONG_SLEEP_NS */
    IDLE_MIN_SLEEP_NS = 20 * 1000,       /* about 50 us as the kernel does it */
    IDLE_MAX_SLEEP_NS = 1000 * 1000,     /* before IDLE_LONG_NS, and always while something is due */
    IDLE_LONG_SLEEP_NS = 5 * 1000 * 1000,
};

typedef enum { IDLE_SPIN, IDLE_YIELD, IDLE_SLEEP } idle_kind_t;

typedef struct {
    idle_kind_t kind;
    uint32_t sleep_ns; /* for IDLE_SLEEP */
} idle_step_t;

/* What the network owes this thread: nothing that it knows of; an answer; data of which a part may be on its way (net_busy()). */
typedef enum { IDLE_DUE_NOTHING, IDLE_DUE_ANSWER, IDLE_DUE_DATA } idle_due_t;

typedef struct idle_ladder {
    uint64_t since_ns; /* when idleness began; 0: something happened since the last idle_next() */
    bool may_spin;
    uint8_t looks; /* that many looks a yield, not one, while no data flow; a power of two, or 0. The first yields: what was sent is on its way, and somebody may
                      wait for the core who is to answer */
    uint8_t n_looks;
    bool lingers; /* a core is to spare: whoever was served lately may come again soon, and would wait for the end of a sleep, 50 us and more on an idle core */
} idle_ladder_t;

/* may_spin: runnable threads <= cores; it may be changed in the struct at any time. A wrong true costs much more
 * (a spinner holds the core its answer needs: milliseconds) than a wrong false (one yield: half a microsecond). */
void idle_init(idle_ladder_t *ladder, bool may_spin);

/* Something happened. */
static inline void idle_reset(idle_ladder_t *ladder)
{
    ladder->since_ns = 0;
    ladder->n_looks = 0;
}

/* Nothing happened in a round of polling that ended at now_ns (base_clock_ns): what to do before the next. What is due keeps
 * sleeps short; that costs a waiter at most about 5% of a core once it sleeps, falling as the wait gets longer. */
idle_step_t idle_next(idle_ladder_t *ladder, uint64_t now_ns, idle_due_t due);
/* For a thread that sleeps by the ladder: the kernel may delay the end of a sleep by 1 us, not by 50. */
void idle_sleep_precisely(void);

/* Do the step, for a thread with nothing else to wait on. */
void idle_pause(idle_step_t step);

#endif
