/* heartbeat.h: what ranks tell rank 0 of themselves, and what rank 0 makes of their silence (gcs/health.h).
 *
 *   a rank of rank 0's node   writes into its segment when its agent comes by anyway; rank 0 reads it. No message, no wake-up.
 *   a rank of another node    sends a message of 16 bytes in a round that it makes anyway, HEARTBEATS_A_LIMIT times before it would be suspect,
 *                             a second apart at most. Neither side's idle ladder takes these for work.
 *   any message               counts as a sign of life
 *
 * Ranks of other nodes may be declared dead (lost.h). Those of rank 0's own node cannot: their process shares its host, and if it ends the launcher
 * ends the job; silent, they stay suspect. Nor can the ranks of a session without a thread for progress, which are silent while they compute. */
#ifndef MRAY_EXEC_HEARTBEAT_H
#define MRAY_EXEC_HEARTBEAT_H

#include "agent.h"
#include "health.h"

enum { HEARTBEATS_A_LIMIT = 5 };

/* On every rank, before the first round; rank 0 makes the view. dead_ns 0: nobody is ever declared dead. Errors: OUT_OF_MEMORY. */
int heartbeat_create(agent_t *agent, uint64_t suspect_ns, uint64_t dead_ns, heartbeat_t **heartbeat_p);
void heartbeat_destroy(heartbeat_t *heartbeat);
/* In each round. */
void heartbeat_round(heartbeat_t *heartbeat);
/* A message came. Every message, so it is cheap. */
static inline void heartbeat_note(const agent_t *agent, int rank)
{
    if (agent->heard != NULL) agent->heard[rank] = 1;
}
/* How long an agent may sleep that nobody wakes. */
uint64_t heartbeat_nap_ns(const heartbeat_t *heartbeat);
/* Of n things that a round did: how many were work. */
int heartbeat_discount(heartbeat_t *heartbeat, int n);
/* Rank 0: the view; NULL elsewhere. With the agent's lock. */
const health_t *heartbeat_health(const heartbeat_t *heartbeat);

#endif
