/* agent.h: the engine of a rank: one endpoint (SEG_EP_AGENT) that whoever is free runs, under the agent's lock: the rank's main thread in a
 * node rank, a helper thread or the driver itself (while it waits) in a driver's rank.
 *
 * It does what must not be done by a process that may be killed, and what needs MPI: deaths of workers, spare workers, moving work
 * from busy to idle, proxies, tasks and results of other nodes, the conversation with rank 0. On one node it sleeps until
 * somebody wakes it; with several nodes it polls by the idle ladder. */
#ifndef MRAY_EXEC_AGENT_H
#define MRAY_EXEC_AGENT_H

#include "control.h"
#include "endpoint.h"
#include "idle.h"
#include "net.h"
#include "outbox.h"

#include <pthread.h>

typedef struct crew crew_t;
typedef struct remote remote_t;
typedef struct proxies proxies_t;
typedef struct actors actors_t;
typedef struct shapes shapes_t;
typedef struct balance balance_t;
typedef struct leases leases_t;
typedef struct head head_t;
typedef struct kv kv_t;
typedef struct heartbeat heartbeat_t;

typedef struct agent {
    ep_t *ep; /* used under the lock only */
    node_t *node;
    net_t *net;
    pthread_mutex_t lock;
    outbox_t *outbox; /* what found no room */
    crew_t *crew;     /* this rank's workers */
    remote_t *remote;   /* tasks and results of other nodes */
    proxies_t *proxies; /* objects of other nodes */
    actors_t *actors; /* this rank's actors */
    balance_t *balance; /* queues of this node's workers */
    shapes_t *shapes; /* tasks that want something else than one CPU */
    leases_t *leases; /* where tasks of this rank may run */
    kv_t *kv;         /* rank 0: the key-value store; else NULL */
    head_t *head;     /* rank 0: the cluster's tables; else NULL */
    heartbeat_t *heartbeat; /* NULL until the session has made it */
    uint8_t *heard;   /* rank 0: by rank, a message came */
    rid_t backlog_head, backlog_tail; /* ready tasks that found no worker */
    idle_ladder_t ladder;
    _Atomic uint32_t driver;  /* drive.h: the endpoint that makes rounds while it waits */
    _Atomic bool parked;      /* agent_serve() sleeps */
    _Atomic uint64_t nap_ns; /* how long it may sleep, as the last round found */
    _Atomic bool stop;   /* the session ends: agent_serve() returns */
    uint8_t *lost;       /* by rank: given up as dead (lost.h) */
    int n_lost;
    int n_leaving;       /* rank 0: CONTROL_LEAVE so far */
    pthread_t helper;
    bool has_helper;
} agent_t;

/* body is what the sender gave; src_rank is who sent it, this rank included. */
typedef void (*agent_handler_fn)(agent_t *agent, int src_rank, const void *body, uint32_t bytes);
/* For messages of that type from this node and from others. At start, before agent_serve(). */
void agent_register(agent_t *agent, control_type_t type, agent_handler_fn fn);
/* Send to the agent of any rank, in order for each. Never blocks: what finds a full table or buffer waits in the outbox. */
void agent_send(agent_t *agent, int rank, control_type_t type, const void *body, uint32_t bytes);

int agent_create(node_t *node, net_t *net, agent_t **agent_p);
void agent_destroy(agent_t *agent);
/* One round; returns how many things it did. With the lock. */
int agent_round(agent_t *agent);
/* The same, after first_fn(). */
int agent_round_after(agent_t *agent, void (*first_fn)(agent_t *agent, void *arg), void *arg);
/* Something waits for a round that nobody may have been woken for. */
bool agent_has_news(const agent_t *agent);
/* Rounds until agent->stop; sleeps in between. */
void agent_serve(agent_t *agent);
/* agent_serve() in a thread of its own. Errors: SYSTEM. */
int agent_start_helper(agent_t *agent);
void agent_stop_helper(agent_t *agent);
/* The end of a session that every rank ends: goes on serving until all have called this, since until then others may need something of this rank. */
void agent_leave(agent_t *agent);
/* Give ready records to workers, or keep them until there is one. With the lock. */
void agent_dispatch(agent_t *agent, rid_t rid);

/* The agent of this process; NULL in worker processes. */
extern agent_t *agent_here;

#endif
