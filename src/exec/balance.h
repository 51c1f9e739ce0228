/* balance.h: unstarted tasks move between the workers of a node. Only agents take them from others' queues, so a worker that dies loses nothing.
 *
 *   a worker has nothing to do, and a CPU for it is free      --> its agent takes half of the longest queue, at once
 *   a thread falls asleep while the node is packed            --> the same
 *   the node is packed (route.h): tasks stand in queues, and workers sleep, since all CPUs are taken
 *       --> the agent of its first rank looks at all queues every millisecond. One that will not be empty a millisecond later, at the pace of the
 *           last one, gives half of it away: to one worker if it moves, to as many as there are if the task in front is a long one
 *
 * So many short tasks cost a look and a wake a millisecond, and a task behind a long one or behind one that sleeps waits for some milliseconds at most.
 *
 * `packed` is cleared before the look at the queues and set after a push (both seq_cst), so a queue is never left without somebody who looks. */
#ifndef MRAY_EXEC_BALANCE_H
#define MRAY_EXEC_BALANCE_H

#include "agent.h"

int balance_create(agent_t *agent, balance_t **balance_p);
void balance_destroy(balance_t *b);
/* Returns how many tasks it moved. */
int balance_round(balance_t *b);
bool balance_has_news(const balance_t *b);
/* How long the agent may sleep. */
uint64_t balance_nap_ns(const balance_t *b);
/* Have the agent of this rank take half of the longest queue of the node for idle workers. */
void balance_ask(const ep_t *ep);
/* A thread of the node is about to sleep: if tasks wait for a CPU, here it is. */
void balance_offer_cpu(const ep_t *ep);

#endif
