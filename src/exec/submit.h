/* submit.h: from a call's arguments to a record on its way. */
#ifndef MRAY_EXEC_SUBMIT_H
#define MRAY_EXEC_SUBMIT_H

#include "endpoint.h"

#include <mray/task.h>

/* What distinguishes a method call and an actor's making from a task. */
typedef struct {
    record_kind_t kind;
    uint32_t actor;  /* number on its rank */
    uint32_t actor_rank;
    uint16_t target; /* the actor's endpoint on this node, 0 = the agent finds it */
    uint32_t seq, caller;
    const char *what; /* for messages: "mray_remote(norm2)" */
} submit_kind_t;

/* As mray_submit(). ep is the calling endpoint. */
int submit_call(ep_t *ep, const submit_kind_t *kind, const mray_function *function, const mray_arg *args, int n_args,
                const mray_task_opts *opts, mray_ref *refs_p);

/* Nil refs that carry a status, and a number by which this thread finds the error sentence again. */
void submit_fail_refs(mray_ref *refs, int n, int status);
/* That sentence, or the status's text where another thread or many failures later asks. */
const char *submit_failure_text(mray_ref nil);

/* A slot or record that the pool has none of at the moment: wait for one, helping nobody. Returns false after the time limit. */
bool submit_wait_for_room(ep_t *ep, uint64_t *deadline_p);

/* Local slot for any ref: its own, or a proxy (held for the caller if *proxy_p: slot_drop_own() gives it back). Errors: INVALID_REF, LIMIT. */
int submit_resolve(ep_t *ep, mray_ref ref, uint32_t *sid_p, bool *proxy_p);

/* mray_retain() and mray_release() of a ref whose owner is on another node. */
int submit_retain_remote(ep_t *ep, mray_ref ref, bool own); /* own: the endpoint's, given back if it dies; else handed to others */
int submit_release_remote(ep_t *ep, mray_ref ref);

#endif
