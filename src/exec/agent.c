/* agent.c: rounds, messages, backlog, balance. */
#include "agent.h"

#include "acquire.h"
#include "actors.h"
#include "balance.h"
#include "clock.h"
#include "crew.h"
#include "drive.h"
#include "error.h"
#include "head.h"
#include "heartbeat.h"
#include "kv_service.h"
#include "leases.h"
#include "log.h"
#include "lost.h"
#include "proxies.h"
#include "recover.h"
#include "remote.h"
#include "request.h"
#include "route.h"
#include "runq.h"
#include "shapes.h"
#include "slot.h"

#include <sched.h>
#include <stdlib.h>

enum { OUTBOX_NAP_NS = 50 * 1000 };

agent_t *agent_here;

static agent_handler_fn handlers[CONTROL_N];

void agent_register(agent_t *agent, control_type_t type, agent_handler_fn fn)
{
    (void)agent;
    handlers[type] = fn;
}

static void on_item(void *ctx, int src_rank, const net_item_t *item, const void *data)
{
    agent_t *agent = ctx;
    if (lost_is(agent, src_rank)) return;
    heartbeat_note(agent, src_rank);
    if (item->type < CONTROL_N && handlers[item->type] != NULL)
        handlers[item->type](agent, src_rank, data, item->bytes);
    else
        log_error("internal: rank %d sent a message of unknown type %u", src_rank, item->type);
}

/* False: it finds no room now. */
static bool send_now(void *ctx, int rank, uint16_t type, const void *body, uint32_t bytes)
{
    agent_t *agent = ctx;
    int place = agent->node->node_rank_of[rank], status;
    if (place >= 0)
        status = route_control(agent->ep, ep_gid(place, SEG_EP_AGENT), type, body, bytes);
    else
        status = net_send(agent->net, rank, type, 0, body, bytes);
    if (status == MRAY_ERR_LIMIT || status == MRAY_ERR_OUT_OF_MEMORY) return lost_is(agent, rank);
    return true; /* or the connection has failed, which net has said */
}

void agent_send(agent_t *agent, int rank, control_type_t type, const void *body, uint32_t bytes)
{
    if (rank == agent->node->rank)
        handlers[type](agent, rank, body, bytes);
    else if (!lost_is(agent, rank) || type == CONTROL_STOP_NODE)
        outbox_send(agent->outbox, rank, (uint16_t)type, body, bytes);
}

static void on_stop_node(agent_t *agent, int src_rank, const void *body, uint32_t bytes)
{
    (void)src_rank, (void)body, (void)bytes;
    atomic_store(&agent->stop, true);
}

static void on_leave(agent_t *agent, int src_rank, const void *body, uint32_t bytes)
{
    (void)src_rank, (void)body, (void)bytes;
    if (++agent->n_leaving + agent->n_lost < agent->node->n_ranks) return;
    for (int r = agent->node->n_ranks; r-- > 0;) agent_send(agent, r, CONTROL_STOP_NODE, NULL, 0);
}

void agent_leave(agent_t *agent)
{
    pthread_mutex_lock(&agent->lock);
    agent_send(agent, 0, CONTROL_LEAVE, NULL, 0);
    pthread_mutex_unlock(&agent->lock);
    ep_wake(agent->ep->sh);
    if (agent->has_helper) {
        pthread_join(agent->helper, NULL);
        agent->has_helper = false;
    } else {
        agent_serve(agent);
    }
}

int agent_create(node_t *node, net_t *net, agent_t **agent_p)
{
    agent_t *agent = calloc(1, sizeof *agent);
    if (agent == NULL) return base_error(MRAY_ERR_OUT_OF_MEMORY, "cannot allocate the agent");
    agent->node = node;
    agent->net = net;
    pthread_mutex_init(&agent->lock, NULL);
    idle_init(&agent->ladder, false);
    agent->ladder.looks = IDLE_LOOKS;
    int status = ep_open(node, SEG_EP_AGENT, EP_KIND_AGENT, false, &agent->ep);
    if (status == MRAY_OK) status = lost_create(agent);
    if (status == MRAY_OK) status = outbox_create(node->n_ranks, send_now, agent, &agent->outbox);
    if (status == MRAY_OK) status = crew_create(agent, &agent->crew);
    if (status == MRAY_OK) status = remote_create(agent, &agent->remote);
    if (status == MRAY_OK) status = proxies_create(agent, &agent->proxies);
    if (status == MRAY_OK) status = actors_create(agent, &agent->actors);
    if (status == MRAY_OK) status = balance_create(agent, &agent->balance);
    if (status == MRAY_OK) status = shapes_create(agent, &agent->shapes);
    if (status == MRAY_OK) status = leases_create(agent, &agent->leases);
    if (status == MRAY_OK) status = head_create(agent, &agent->head);
    if (status == MRAY_OK) status = kv_service_create(agent, &agent->kv);
    if (status != MRAY_OK) {
        agent_destroy(agent);
        return status;
    }
    agent_register(agent, CONTROL_STOP_NODE, on_stop_node);
    agent_register(agent, CONTROL_LEAVE, on_leave);
    request_register(agent);
    acquire_register(agent);
    for (uint16_t t = 1; t < CONTROL_N; t++) net_register_handler(net, t, on_item, agent);
    agent_here = agent;
    *agent_p = agent;
    return MRAY_OK;
}

void agent_destroy(agent_t *agent)
{
    if (agent == NULL) return;
    heartbeat_destroy(agent->heartbeat);
    kv_service_destroy(agent->kv);
    head_destroy(agent->head);
    leases_destroy(agent->leases);
    shapes_destroy(agent->shapes);
    balance_destroy(agent->balance);
    actors_destroy(agent->actors);
    proxies_destroy(agent->proxies);
    remote_destroy(agent->remote);
    crew_destroy(agent->crew);
    outbox_destroy(agent->outbox);
    lost_destroy(agent);
    ep_close(agent->ep);
    pthread_mutex_destroy(&agent->lock);
    free(agent);
    agent_here = NULL;
}

void agent_dispatch(agent_t *agent, rid_t rid)
{
    record_t *rec = record_at(agent->ep, rid);
    if (rec->kind == RECORD_METHOD || rec->kind == RECORD_ACTOR) {
        actors_on_record(agent->actors, rid, rec);
        return;
    }
    if (rec->actor != RECORD_HERE) {
        leases_on_task(agent->leases, rid, rec);
        return;
    }
    /* It came from another node to be run here. */
    if (remote_localise(agent->remote, rid, rec)) return;
    uint16_t worker = route_pick_own(agent->ep, 0), receiver = ep_gid((int)(rid >> 24), SEG_EP_AGENT);
    if (worker != 0 && route_push(agent->ep, rid, rec, worker)) return;
    if (receiver != agent->ep->gid) { /* taken out of a queue of the rank that received it; this one may have no workers at all */
        (void)route_push(agent->ep, rid, rec, receiver);
        return;
    }
    /* Nobody takes it now: keep it, and have a worker made if too few run. */
    atomic_store_explicit(&rec->next, 0, memory_order_relaxed);
    if (agent->backlog_head == 0)
        agent->backlog_head = rid;
    else
        atomic_store_explicit(&record_at(agent->ep, agent->backlog_tail)->next, rid, memory_order_relaxed);
    agent->backlog_tail = rid;
    atomic_store(&agent->ep->seg->hdr->backlog, 1);
    crew_want_worker(agent->crew);
}

static int retry_backlog(agent_t *agent)
{
    if (agent->backlog_head == 0) return 0;
    int n = 0;
    rid_t rid = agent->backlog_head;
    agent->backlog_head = agent->backlog_tail = 0;
    atomic_store(&agent->ep->seg->hdr->backlog, 0);
    while (rid != 0) {
        rid_t next = atomic_load_explicit(&record_at(agent->ep, rid)->next, memory_order_relaxed);
        agent_dispatch(agent, rid);
        n++;
        rid = next;
    }
    return agent->backlog_head == 0 ? n : 0; /* still waiting is no progress */
}

static void on_control(agent_t *agent, rid_t rid, record_t *rec)
{
    uint8_t body[RECORD_MAX_BODY];
    uint32_t type = rec->fn, bytes = rec->body_bytes;
    int src = agent->node->rank_of[rid >> 24];
    record_read(agent->ep, rec, 0, body, bytes);
    record_free(agent->ep, rid, rec);
    handlers[type](agent, src, body, bytes);
}

static void on_ready_record(agent_t *agent, rid_t rid, record_t *rec)
{
    if (rec->kind == RECORD_METHOD || rec->kind == RECORD_ACTOR)
        actors_on_record(agent->actors, rid, rec);
    else if (rec->shape != 0)
        shapes_on_record(agent->shapes, rid, rec);
    else
        agent_dispatch(agent, rid);
}

static int read_inbox(agent_t *agent)
{
    int n = 0;
    rid_t rid = ep_inbox_drain(agent->node, agent->ep->sh);
    while (rid != 0) {
        record_t *rec = record_at(agent->ep, rid);
        rid_t next = atomic_load_explicit(&rec->next, memory_order_relaxed);
        if (rec->kind == RECORD_CONTROL)
            on_control(agent, rid, rec);
        else if (rec->kind == RECORD_NOTIFY)
            remote_on_notify(agent->remote, rid, rec);
        else if (runq_take_over(agent->ep, rid, agent->ep->gid)) /* else somebody runs it inside a get */
            on_ready_record(agent, rid, rec);
        n++;
        rid = next;
    }
    return n;
}

static int make_room(agent_t *agent)
{
    seg_header_t *own = agent->ep->seg->hdr;
    if (atomic_load_explicit(&own->crowded, memory_order_relaxed) == 0) return 0;
    atomic_store(&own->crowded, 0);
    ep_say_for_all(agent->node);
    return (int)runq_purge(agent->ep);
}

/* This thread is in a round and waits for a lock: its holder may be a dead worker that only this agent can bury. */
static void on_stuck(void)
{
    recover_release_locks(agent_here);
}

static uint64_t nap_ns(const agent_t *agent)
{
    uint64_t nap = shapes_nap_ns(agent->shapes), leases = leases_nap_ns(agent->leases), balance = balance_nap_ns(agent->balance);
    if (nap > leases) nap = leases;
    return nap < balance ? nap : balance;
}

/* What waits for a record of the own node to be free is told by nobody. */
static int flush_outbox(agent_t *agent)
{
    int n = outbox_round(agent->outbox);
    if (!outbox_is_empty(agent->outbox)) atomic_store_explicit(&agent->nap_ns, OUTBOX_NAP_NS, memory_order_relaxed);
    return n;
}

int agent_round(agent_t *agent)
{
    return agent_round_after(agent, NULL, NULL);
}

int agent_round_after(agent_t *agent, void (*first_fn)(agent_t *agent, void *arg), void *arg)
{
    void (*outer)(void) = holderlock_stuck_fn;
    holderlock_stuck_fn = on_stuck;
    if (first_fn != NULL) {
        first_fn(agent, arg);
        (void)net_poll(agent->net); /* what it asks is on its way while the rest of the round is made */
    }
    int n = read_inbox(agent);
    n += crew_round(agent->crew);
    n += retry_backlog(agent);
    n += balance_round(agent->balance);
    n += make_room(agent);
    n += shapes_round(agent->shapes);
    n += actors_round(agent->actors);
    n += leases_round(agent->leases);
    atomic_store_explicit(&agent->nap_ns, nap_ns(agent), memory_order_relaxed);
    n += proxies_round(agent->proxies);
    heartbeat_round(agent->heartbeat);
    if (agent->node->multi_node) n += net_poll(agent->net);
    if (!outbox_is_empty(agent->outbox)) n += flush_outbox(agent);
    n = heartbeat_discount(agent->heartbeat, n);
    holderlock_stuck_fn = outer;
    return n;
}

bool agent_has_news(const agent_t *agent)
{
    return !ep_inbox_empty(agent->ep->sh) || balance_has_news(agent->balance) ||
           atomic_load(&agent->ep->seg->hdr->crowded) != 0 || crew_has_news(agent->crew) ||
           shapes_has_news(agent->shapes) || atomic_load(&agent->ep->seg->hdr->lease_listen) == 2 || atomic_load(&agent->stop);
}

/* The lock is free while this thread sleeps: the driver may run rounds itself meanwhile. */
static void sleep_until_woken(agent_t *agent, uint64_t limit_ns)
{
    uint64_t nap_ns = atomic_load_explicit(&agent->nap_ns, memory_order_relaxed);
    if (limit_ns > nap_ns) limit_ns = nap_ns;
    atomic_store(&agent->parked, true);
    ep_sleep_prepare(agent->ep);
    if (agent_has_news(agent))
        ep_sleep_cancel(agent->ep);
    else
        ep_sleep(agent->ep, limit_ns);
    atomic_store(&agent->parked, false);
}

/* A thread that waits makes the rounds. */
static void keep_out(agent_t *agent)
{
    atomic_store(&agent->parked, true); /* seq_cst: before the look at the driver, which sets that aside and then looks here */
    if (drive_is_at_it(agent) && !atomic_load(&agent->stop)) {
        ep_sleep_prepare(agent->ep);
        ep_sleep(agent->ep, DRIVE_HELPER_NAP_NS);
    }
    atomic_store(&agent->parked, false);
    idle_reset(&agent->ladder);
}

void agent_serve(agent_t *agent)
{
    /* Pages for the first tasks and objects, while nobody waits for them yet: a first touch costs a microsecond and more a page. */
    seg_prefault(agent->ep->seg, 2 << 20, 4 << 20, 4 << 20);
    if (agent->node->multi_node) idle_sleep_precisely();
    /* The last messages go out: rank 0 tells the others to stop before it stops itself. */
    while (!atomic_load_explicit(&agent->stop, memory_order_acquire) || !outbox_is_empty(agent->outbox)) {
        if (drive_is_at_it(agent)) {
            keep_out(agent);
            continue;
        }
        pthread_mutex_lock(&agent->lock);
        int n = agent_round(agent);
        bool busy = agent->node->multi_node && net_busy(agent->net);
        pthread_mutex_unlock(&agent->lock);
        if (n > 0) {
            idle_reset(&agent->ladder);
            continue;
        }
        if (!agent->node->multi_node) {
            sleep_until_woken(agent, heartbeat_nap_ns(agent->heartbeat)); /* nothing but a dead zygote and a sign of life needs a look */
            continue;
        }
        if (drive_has_driver(agent)) { /* asleep; it polls when it wakes */
            sleep_until_woken(agent, IDLE_MAX_SLEEP_NS);
            continue;
        }
        agent->ladder.lingers = ep_may_spin(agent->ep);
        idle_step_t step = idle_next(&agent->ladder, base_clock_ns(), busy ? IDLE_DUE_DATA : IDLE_DUE_NOTHING);
        if (step.kind == IDLE_SLEEP)
            sleep_until_woken(agent, step.sleep_ns);
        else
            idle_pause(step);
    }
}

static void *helper_main(void *arg)
{
    agent_serve(arg);
    return NULL;
}

int agent_start_helper(agent_t *agent)
{
    int error = pthread_create(&agent->helper, NULL, helper_main, agent);
    if (error != 0) return base_error(MRAY_ERR_SYSTEM, "cannot start the helper thread (error %d)", error);
    agent->has_helper = true;
    return MRAY_OK;
}

void agent_stop_helper(agent_t *agent)
{
    atomic_store(&agent->stop, true);
    ep_wake(agent->ep->sh);
    if (agent->has_helper) pthread_join(agent->helper, NULL);
    agent->has_helper = false;
}
