/* proxies.h: local slots for objects of other nodes. The first agent of a node that needs a remote object makes the
 * node's proxy of it (store/copies.h), so that each is pulled once a node however many ask; the object's owner holds it for the proxy's sake.
 *
 * Where small reads are one-sided (RMA), nobody at the owner is needed:
 *   new -> HOLD; slot read (64 bytes; torn or stale: again) -> ready there: value, or payload read -> ready here
 *                                                          -> pending there: SUBSCRIBE ... READY -> payload read -> ready here
 * Where they are a question and an answer (pull), there is one question:
 *   new -> FETCH ... READY, with the value or a small payload -> ready here
 *                    READY, payload elsewhere or large        -> payload read -> ready here
 *
 * A ready proxy that nobody holds goes after PROXY_IDLE_NS, when a ref of the object is released here, or when there is no room; the owner is told.
 * Where somebody asked for it and may come back, it stays longer (patience.h), but not where nobody has the object any more. */
#ifndef MRAY_EXEC_PROXIES_H
#define MRAY_EXEC_PROXIES_H

#include "agent.h"
#include "slot.h"

typedef struct proxies proxies_t;

int proxies_create(agent_t *agent, proxies_t **proxies_p);
void proxies_destroy(proxies_t *proxies);
/* With the lock: the node's proxy of ref, made if there is none, and held for the caller; 0 when no slot is free. ref may also
 * be an object of this node of kind REMOTE. */
sid_t proxies_get(proxies_t *proxies, mray_ref ref);
/* A ref of the object was released on this rank: what nobody uses now need not stay. */
void proxies_released(proxies_t *proxies, mray_ref ref);
/* Another node's rank is given up: who waits for an object of it gets the error. */
void proxies_rank_lost(proxies_t *proxies, int rank);
/* With the lock: drops the proxies that nobody uses, whatever their age; how many. */
int proxies_make_room(proxies_t *proxies);
int proxies_round(proxies_t *proxies);

/* What a thread that makes the rounds while it waits for a large array copies out of it while the rest is on its way. */
typedef struct {
    sid_t sid;          /* the proxy, held by the taker */
    void *to;
    uint64_t max_bytes; /* an array that is larger, or of another type, is left to the taker to complain of */
    uint8_t dtype;      /* MRAY_BYTES: any */
    uint64_t taken;     /* so many bytes of data are in `to` */
} proxies_take_t;
enum { PROXIES_TAKE_MIN_BYTES = 512 << 10 };
/* Copy what has arrived since. */
void proxies_take(proxies_t *proxies, proxies_take_t *take);

#endif
