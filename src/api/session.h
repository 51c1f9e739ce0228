/* session.h: what a process has between init and finalize. */
#ifndef MRAY_API_SESSION_H
#define MRAY_API_SESSION_H

#include "agent.h"
#include "config.h"
#include "net.h"
#include "node.h"
#include "node_table.h"
#include "timeline.h"
#include "topo.h"
#include "zygote.h"

#include <mray/init.h>

typedef struct {
    config_t config;
    net_t *net;
    node_t *node;
    agent_t *agent;
    ep_t *main_ep;
    topo_t *topo;
    topo_share_t share;
    int n_cpus, n_own_cpus; /* that the ranks of this node, and that this rank may run on */
    seg_name_t name;
    bool threads;     /* worker mode */
    bool embedded;    /* the caller's communicator: every rank returns from init */
    int total_workers;
    timeline_t timeline;   /* on: MRAY_TRACE of rank 0 */
    uint32_t trace_slots;  /* events of each worker's ring, as rank 0 has it */
    node_hello_t has; /* what this rank has, for the node table */
} session_t;

/* NULL outside a session, and in worker processes. */
extern session_t *session_now;

/* For a thread that calls for the first time: makes its endpoint. NULL with the error set. what: the call. */
ep_t *session_new_endpoint(const char *what);

/* The calling thread's endpoint; NULL with the error set. */
static inline ep_t *session_endpoint(const char *what)
{
    ep_t *ep = ep_self;
    return ep != NULL ? ep : session_new_endpoint(what);
}

/* Steps of init (session_start.c). */
int session_make_segment(session_t *s, const mray_init_opts *opts, node_description_t *description);
int session_divide_cores(session_t *s, const mray_init_opts *opts);
int session_compare_programs(session_t *s);
/* Rank 0's settings count: all ranks keep a trace or none does. */
int session_open_timeline(session_t *s);
int session_agree_on_timeline(session_t *s);
/* From options and environment: before MPI starts, so that a mistake is said on every rank and costs nothing. */
int session_read_resources(session_t *s, const mray_init_opts *opts);
/* What else the rank has, once its cores are divided. */
int session_count_gpus(session_t *s);
void session_say_hello(session_t *s);
void session_await_hellos(session_t *s);
int session_start_workers(session_t *s, zygote_t *zygote, const node_description_t *description);

#endif
