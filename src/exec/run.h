/* run.h: run a claimed record: gather, call, stage, commit, publish, let go. */
#ifndef MRAY_EXEC_RUN_H
#define MRAY_EXEC_RUN_H

#include "args.h"
#include "endpoint.h"
#include "error.h"
#include "slot.h"

/* The task that a thread is running; tasks run inside a get stack up. */
typedef struct run_context {
    struct run_context *outer;
    ep_t *ep;
    rid_t rid;
    record_t *rec;
    const mray_function *function;
    void *self; /* an actor's state; NULL in a task */
    sid_t ret;
    bool failed;
    char message[BASE_ERROR_MAX];
    int status;
    unsigned n_copies; /* arguments fetched from other nodes for this call, held until it is over */
    sid_t copies[MRAY_MAX_ARGS];
    void *return_data; /* from mray_return_array_alloc() */
    uint64_t return_bytes;
} run_context_t;

extern _Thread_local run_context_t *run_current;

/* Run rec, RUNNING by ep. self is an actor's state for methods and constructors. Returns the status of the first result. */
int run_record(ep_t *ep, rid_t rid, record_t *rec, void *self);
/* Finish rec without running it: every result becomes this error. */
void run_fail(ep_t *ep, rid_t rid, record_t *rec, int status, const char *text);
/* Let go of what the record holds. again: for a dead endpoint, which may have let go of some of it. */
void run_drop_arguments(ep_t *ep, rid_t rid, record_t *rec, bool again);
/* The part behind the commit: publish results, drop arguments, free the record. Repeatable by a recovering agent, which says
 * again = true. */
void run_finish(ep_t *ep, rid_t rid, record_t *rec, bool again);
/* First result's slot; results lie on the node where their record is. */
sid_t run_return_slot(const ep_t *ep, const record_t *rec);

#endif
