/* cycle.h: tasks and actors of one node that wait for each other in a circle.
 *
 * Who waits for ever inside a task says in its endpoint which object it waits for, under a number that grows with every wait of the node
 * (wait_ticket, 0 = none). After 10 ms, and again after 100 ms, 1 s and 10 s, it follows the chain:
 *
 *   object -> record that makes it -> running: the endpoint that runs it        -> what that one waits for -> ...
 *                                  -> call in an actor's queue: the actor       -> what that one waits for -> ...
 *                                  -> waiting for arguments: each of them
 *
 * A chain that comes back to an endpoint that waits is a circle if every wait in it is still the same one at the end: each link held throughout its
 * wait, so all held together. The youngest wait of the circle, the one with the highest number, gets the error; the others go on by it.
 *
 * Not seen: waits for one of several objects, waits with a time limit (they end by themselves), chains through other nodes, a record's third and further
 * ref arguments. Nothing is done for it on the way to a wait that takes less than 10 ms, but two stores before a sleep. */
#ifndef MRAY_EXEC_CYCLE_H
#define MRAY_EXEC_CYCLE_H

#include "slot.h"

/* One wait. Zero at its beginning. */
typedef struct {
    sid_t sid;
    uint32_t ticket;
    uint64_t began_ns, next_ns; /* of the next look */
} cycle_wait_t;

/* About to sleep until slot sid is ready. True: this wait closes a circle. *max_sleep_ns_p is lowered to the next look. */
bool cycle_look(ep_t *ep, cycle_wait_t *wait, sid_t sid, uint64_t *max_sleep_ns_p);
/* The wait is over. */
void cycle_end(ep_t *ep, const cycle_wait_t *wait);

#endif
