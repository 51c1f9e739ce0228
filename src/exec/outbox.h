/* outbox.h: messages of an agent that found no room: the lane to another node is full, or the table of records of its own node is. They wait here, in order for each
 * rank, and go when there is room. So a handler never waits: two agents that are full of messages to each other, and each of which waited inside a handler,
 * would take nothing and wait for ever.
 *
 * What waits is bounded by what both nodes have in their tables, not here: a message is an answer to one of a peer, about a record of the own node, or a hold given
 * back. What was queued for a rank that is given up goes. */
#ifndef MRAY_EXEC_OUTBOX_H
#define MRAY_EXEC_OUTBOX_H

#include <stdbool.h>
#include <stdint.h>

typedef struct outbox outbox_t;
/* True: gone, or never to go. False: there is no room yet. */
typedef bool (*outbox_send_fn)(void *ctx, int rank, uint16_t type, const void *body, uint32_t bytes);

int outbox_create(int n_ranks, outbox_send_fn send_fn, void *ctx, outbox_t **outbox_p);
void outbox_destroy(outbox_t *outbox);
/* Send, or keep: it goes behind what waits for that rank. Ends the program where there is no memory to keep it. */
void outbox_send(outbox_t *outbox, int rank, uint16_t type, const void *body, uint32_t bytes);
/* Something waits for that rank: nobody sends past it. */
bool outbox_waits_for(const outbox_t *outbox, int rank);
bool outbox_is_empty(const outbox_t *outbox);
/* Send what there is room for; how many messages went. */
int outbox_round(outbox_t *outbox);

#endif
