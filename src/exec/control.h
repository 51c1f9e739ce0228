/* control.h: messages to agents. On the node they travel as RECORD_CONTROL records, between nodes as items of net.h with the same
 * number and body; the handlers serve both. */
#ifndef MRAY_EXEC_CONTROL_H
#define MRAY_EXEC_CONTROL_H

typedef enum {
    CONTROL_SPAWN = 1, /* a worker blocks and no spare is there: no body */
    CONTROL_STOP_NODE, /* head to all: the session ends: no body */
    CONTROL_LEAVE,     /* to rank 0, in a session on the program's communicator: this rank is in mray_finalize(): no body */
    CONTROL_HEARTBEAT, /* to rank 0: a rank of another node lives, and what it is at */
    CONTROL_LOST,      /* from rank 0: a rank is given up */
    CONTROL_PROXY,     /* an endpoint of this rank wants a proxy */
    CONTROL_DROP,      /* wire_hold_t: a hold at another rank is given back */
    CONTROL_RETAIN,    /* an endpoint of this rank wants a hold at another */
    CONTROL_ANSWER,    /* request.c: the answer to a request of another node */
    /* remote.c */
    CONTROL_RECORD,    /* a task, method or constructor, packed */
    CONTROL_RESULT,    /* a result slot of a record that was sent away */
    CONTROL_SUBSCRIBE, /* a proxy wants to know when its object is ready */
    CONTROL_FETCH,     /* HOLD and SUBSCRIBE in one: where a read would be a question and an answer as well */
    CONTROL_READY,     /* it is */
    CONTROL_PIECE,     /* a part of its payload, which follows READY */
    CONTROL_HOLD,      /* mray_retain() of a remote ref */
    /* actors.c */
    CONTROL_ACTOR_PLACE,  /* to rank 0: find a rank for an actor, register its name */
    CONTROL_ACTOR_MAKE,   /* to that rank: reserve an endpoint, start a worker */
    CONTROL_ACTOR_MADE,   /* to rank 0: done; rank 0 answers who asked */
    CONTROL_ACTOR_FIND,   /* to rank 0: name -> handle */
    CONTROL_ACTOR_KILL,   /* to the actor's rank */
    CONTROL_ACTOR_FORGET, /* to rank 0: the name is free */
    CONTROL_ACTOR_ENDS,   /* an actor to its own agent: it ends by itself, and why */
    CONTROL_ACTOR_DEAD,   /* to rank 0: an actor died, or a worker, which may have made some */
    CONTROL_ACTOR_GONE,   /* to every node: calls to it that wait for arguments fail now */
    /* leases.c */
    CONTROL_LEASE_ASK,    /* to rank 0: slots for a shape */
    CONTROL_LEASE_GRANT,  /* from rank 0 */
    CONTROL_LEASE_RETURN, /* to rank 0 */
    CONTROL_NODE_HELLO,   /* to rank 0: what a rank has */
    CONTROL_RESOURCE_NAME, /* to the own agent: the name behind a hash */
    CONTROL_TASK_STATE,   /* to the agent that sent a task here: it is over, or it blocks or goes on */
    CONTROL_TASK_WAITS,   /* to the own agent: a plain task of another node blocks or goes on */
    /* recall.c */
    CONTROL_RECALL,       /* to a rank that was sent plain tasks: give unstarted ones back */
    CONTROL_RECALLED,     /* to the asker: those that could be are on their way */
    /* kv */
    CONTROL_KV,           /* to rank 0: put, get, remove */
    /* obs/timeline.c */
    CONTROL_TIMELINE,     /* between rank 0 and the first rank of another node, at a session's start and end: clocks, events */
    CONTROL_N,
} control_type_t;

#endif
