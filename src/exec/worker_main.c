/* worker_main.c: from a fresh process or thread to worker_serve(). */
#include "worker_main.h"

#include "actor_worker.h"
#include "crash.h"
#include "error.h"
#include "log.h"
#include "object.h"
#include "upcalls.h"
#include "worker.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

typedef struct {
    node_t *node;
    unsigned index;
    ep_kind_t kind;
    int pu;
} start_t;

void worker_main_settings(uint64_t full_wait_ns)
{
    object_full_wait_ns = full_wait_ns;
    upcalls_install();
}

static void bind_to(int pu)
{
    if (pu < 0) return;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((unsigned)pu, &set);
    /* A refusal (a mask that was narrowed since) costs placement, not correctness. */
    if (sched_setaffinity(0, sizeof set, &set) != 0) log_debug("cannot bind a worker to PU %d", pu);
}

static void serve(const start_t *start, bool mortal)
{
    ep_t *ep;
    if (ep_open(start->node, start->index, start->kind, mortal, &ep) != MRAY_OK) {
        log_error("a worker cannot start: %s", mray_error_message());
        return;
    }
    ep_self = ep;
    atomic_store(&ep->sh->core, start->pu);
    if (start->kind == EP_KIND_ACTOR)
        actor_worker_serve(ep);
    else
        worker_serve(ep);
    ep_self = NULL;
    if (!mortal) ep_close(ep); /* a process leaves it to its agent, which sees it dead */
}

_Noreturn void worker_main_process(node_t *node, unsigned index, ep_kind_t kind, int pu)
{
    prctl(PR_SET_NAME, kind == EP_KIND_ACTOR ? "mray-actor" : "mray-worker");
    prctl(PR_SET_TIMERSLACK, 1);
    signal(SIGINT, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0); /* lines are not lost with a crash */
    bind_to(pu);
    crash_install();
    start_t start = {.node = node, .index = index, .kind = kind, .pu = pu};
    serve(&start, true);
    fflush(NULL);
    _exit(0); /* atexit handlers are the rank's */
}

static void *thread_main(void *arg)
{
    start_t start = *(start_t *)arg;
    free(arg);
    bind_to(start.pu);
    serve(&start, false);
    return NULL;
}

int worker_main_thread(node_t *node, unsigned index, ep_kind_t kind, int pu)
{
    start_t *start = malloc(sizeof *start);
    if (start == NULL) return base_error(MRAY_ERR_OUT_OF_MEMORY, "cannot allocate a worker's start");
    *start = (start_t){.node = node, .index = index, .kind = kind, .pu = pu};
    pthread_t thread;
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    int error = pthread_create(&thread, &attr, thread_main, start);
    pthread_attr_destroy(&attr);
    if (error != 0) {
        free(start);
        return base_error(MRAY_ERR_SYSTEM, "cannot start a worker thread (error %d)", error);
    }
    return MRAY_OK;
}
