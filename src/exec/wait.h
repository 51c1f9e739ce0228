/* wait.h: waiting for slots, by drivers and inside tasks. */
#ifndef MRAY_EXEC_WAIT_H
#define MRAY_EXEC_WAIT_H

#include "idle.h"
#include "slot.h"

/* Wait until `need` of n slots are ready, or deadline_ns (base_clock_ns) passes. Returns how many were seen ready. Inside a task: runs what it
 * waits for itself where that has not begun, else gives its CPU back. */
size_t wait_slots(ep_t *ep, const sid_t *sids, size_t n, size_t need, uint64_t deadline_ns);

/* Before wait_slots(): may the caller look again and again for a while instead? Not where it has tasks to help with or the network to drive. */
bool wait_may_spin(const ep_t *ep);

/* After wait_slots() has returned less than was needed: MRAY_ERR_WAIT_CYCLE if that was because the wait closed a circle (cycle.h). */
int wait_failure(const char *what);

/* Before a wait without end inside an actor: MRAY_ERR_WAIT_CYCLE if fewer than need of the n can become ready, because the others are made by
 * calls to the waiting actor itself. */
int wait_check_cycle(const ep_t *ep, const char *what, const sid_t *sids, size_t n, size_t need);

/* How an endpoint that may drive the network does so while it waits (drive.h). turn_fn returns true if the wait should look again at once, else it may set how
 * long to sleep at most; end_fn comes when the wait ends. NULL on one node. */
typedef struct {
    bool (*turn_fn)(ep_t *ep, idle_ladder_t *ladder, uint64_t *sleep_ns_p);
    void (*end_fn)(ep_t *ep);
} wait_progress_t;
void wait_set_progress(const wait_progress_t *progress);

#endif
