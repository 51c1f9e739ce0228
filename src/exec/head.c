/* head.c: hellos, asks, returns. */
#include "head.h"

#include "clock.h"
#include "error.h"
#include "log.h"

#include <stdlib.h>
#include <string.h>

struct head {
    agent_t *agent;
    node_table_t *nodes;
    lease_table_t *leases;
    sched_state_t state;
    bool settling, again; /* telling this rank itself may bring its next ask while the table is being settled */
};

static uint32_t key(void *ctx, const node_row_t *row, const node_shape_t *shape)
{
    (void)ctx;
    return sched_policy_of(shape->strategy)->key(row, shape);
}

static int pick(void *ctx, const node_shape_t *shape, int holder, const base_order_t *ranks)
{
    head_t *head = ctx;
    int rank = sched_policy_of(shape->strategy)->pick(&head->state, head->nodes, ranks, holder);
    return rank >= 0 ? rank : SCHED_NONE;
}

/* Copied first, since this rank itself may ask for more while it is told. Nodes far away take larger messages than fit a record. */
static void tell(void *ctx, const lease_row_t *row, const lease_t *changes, unsigned n, bool whole)
{
    head_t *head = ctx;
    int holder = row->holder;
    lease_grant_t grant = {.shape = row->shape, .serial = row->serial, .capacity = row->capacity, .first = whole};
    unsigned most = head->agent->node->node_rank_of[holder] >= 0 ? LEASES_A_RECORD : LEASES_A_MESSAGE, at = 0;
    size_t bytes = sizeof grant + (n < most ? n : most) * sizeof *changes;
    uint8_t *message = malloc(bytes + n * sizeof *changes);
    if (message == NULL) {
        log_error("no memory to tell rank %d of its leases", holder);
        return;
    }
    if (n > 0) memcpy(message + bytes, changes, n * sizeof *changes);
    node_table_best(head->nodes, grant.shape.resource, &grant.best_cpu, &grant.best_amount);
    do {
        grant.n = (uint16_t)(n - at < most ? n - at : most);
        grant.last = at + grant.n == n;
        memcpy(message, &grant, sizeof grant);
        memcpy(message + sizeof grant, message + bytes + at * sizeof *changes, grant.n * sizeof *changes);
        agent_send(head->agent, holder, CONTROL_LEASE_GRANT, message, (uint32_t)(sizeof grant + grant.n * sizeof *changes));
        at += grant.n;
        grant.first = 0;
    } while (at < n);
    free(message);
}

static void settle(head_t *head)
{
    head->again = true;
    if (head->settling) return;
    head->settling = true;
    while (head->again) {
        head->again = false;
        if (lease_table_settle(head->leases, tell, head) != MRAY_OK) log_error("leases: %s", mray_error_message());
    }
    head->settling = false;
}

static void on_hello(agent_t *agent, int src_rank, const void *body, uint32_t bytes)
{
    node_hello_t hello;
    (void)src_rank, (void)bytes;
    memcpy(&hello, body, sizeof hello);
    if (node_table_set(agent->head->nodes, &hello, base_clock_ns()) != MRAY_OK) {
        log_error("%s", mray_error_message());
        return;
    }
    settle(agent->head);
}

static void on_ask(agent_t *agent, int src_rank, const void *body, uint32_t bytes)
{
    lease_ask_t ask;
    (void)bytes;
    memcpy(&ask, body, sizeof ask);
    node_table_heard(agent->head->nodes, src_rank, base_clock_ns());
    if (lease_table_ask(agent->head->leases, src_rank, &ask.shape, ask.wanted, ask.serial) != MRAY_OK)
        log_error("rank %d gets no lease: %s", src_rank, mray_error_message());
    settle(agent->head);
}

static void on_return(agent_t *agent, int src_rank, const void *body, uint32_t bytes)
{
    lease_return_t back;
    (void)bytes;
    memcpy(&back, body, sizeof back);
    node_table_heard(agent->head->nodes, src_rank, base_clock_ns());
    lease_table_return(agent->head->leases, src_rank, &back.shape, back.serial);
    settle(agent->head);
}

int head_create(agent_t *agent, head_t **head_p)
{
    if (agent->node->rank != 0) return MRAY_OK;
    head_t *head = calloc(1, sizeof *head);
    if (head == NULL) return base_error(MRAY_ERR_OUT_OF_MEMORY, "cannot allocate the head");
    head->agent = agent;
    base_rng_seed(&head->state.rng, base_clock_ns());
    int status = node_table_create(agent->node->n_ranks, &head->nodes);
    if (status == MRAY_OK) status = lease_table_create(head->nodes, &(lease_policy_t){.key = key, .pick = pick, .ctx = head}, &head->leases);
    if (status != MRAY_OK) {
        head_destroy(head);
        return status;
    }
    agent_register(agent, CONTROL_NODE_HELLO, on_hello);
    agent_register(agent, CONTROL_LEASE_ASK, on_ask);
    agent_register(agent, CONTROL_LEASE_RETURN, on_return);
    *head_p = head;
    return MRAY_OK;
}

void head_destroy(head_t *head)
{
    if (head == NULL) return;
    lease_table_destroy(head->leases);
    node_table_destroy(head->nodes);
    free(head);
}

node_table_t *head_nodes(const head_t *head)
{
    return head->nodes;
}

const lease_table_t *head_leases(const head_t *head)
{
    return head->leases;
}

void head_take(head_t *head, int rank, const node_shape_t *shape)
{
    node_table_take(head->nodes, rank, shape, 1);
}

void head_give(head_t *head, int rank, const node_shape_t *shape)
{
    node_table_give(head->nodes, rank, shape, 1);
}

void head_rank_died(head_t *head, int rank)
{
    node_table_mark_dead(head->nodes, rank);
    lease_table_drop_rank(head->leases, rank);
    settle(head);
}
