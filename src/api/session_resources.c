/* session_resources.c: what a rank has beside cores, from the caller, the environment and the machine; and telling rank 0. */
#include "error.h"
#include "head.h"
#include "leases.h"
#include "session.h"
#include "shapes.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double MAX_AMOUNT = 100000;

static int add(node_hello_t *has, const char *what, const char *name, size_t name_bytes, double amount)
{
    if (name_bytes == 0 || name_bytes >= NODE_RESOURCE_NAME)
        return base_error(MRAY_ERR_INVALID_ARGUMENT, "%s: a resource is named '%.*s'; names have 1 to %d characters", what, (int)(name_bytes < 60 ? name_bytes : 60),
                          name, NODE_RESOURCE_NAME - 1);
    if (!(amount > 0 && amount <= MAX_AMOUNT) || amount * NODE_UNIT < 0.5)
        return base_error(MRAY_ERR_INVALID_ARGUMENT, "%s: resource '%.*s' has the amount %g; it must be above 0 and at most %g", what, (int)name_bytes, name,
                          amount, MAX_AMOUNT);
    node_resource_t row = {.total = (uint32_t)(amount * NODE_UNIT + 0.5)};
    memcpy(row.name, name, name_bytes);
    row.hash = node_resource_hash(row.name);
    for (int i = 0; i < has->n_resources; i++)
        if (has->resources[i].hash == row.hash) {
            has->resources[i] = row; /* named twice: the later one */
            return MRAY_OK;
        }
    if (has->n_resources == NODE_MAX_RESOURCES)
        return base_error(MRAY_ERR_INVALID_ARGUMENT, "%s: more than %d resources on one rank", what, NODE_MAX_RESOURCES);
    has->resources[has->n_resources++] = row;
    return MRAY_OK;
}

/* "name=amount,name=amount" */
static int add_list(node_hello_t *has, const char *text)
{
    int status = MRAY_OK;
    while (*text != 0 && status == MRAY_OK) {
        size_t n = strcspn(text, ",");
        const char *equals = memchr(text, '=', n);
        char *end = NULL;
        double amount = equals != NULL ? strtod(equals + 1, &end) : 0;
        if (equals == NULL || end != text + n || end == equals + 1)
            return base_error(MRAY_ERR_INVALID_ARGUMENT, "MRAY_RESOURCES: '%.*s' is not name=amount; several are separated by commas: lens=2,disk=0.5",
                              (int)(n < 60 ? n : 60), text);
        status = add(has, "MRAY_RESOURCES", text, (size_t)(equals - text), amount);
        text += n + (text[n] == ',');
    }
    return status;
}

int session_read_resources(session_t *s, const mray_init_opts *opts)
{
    node_hello_t *has = &s->has;
    int status = add_list(has, s->config.resources);
    for (int i = 0; status == MRAY_OK && opts != NULL && i < opts->n_resources; i++) {
        const mray_resource *r = &opts->resources[i];
        if (r->name == NULL) return base_error(MRAY_ERR_INVALID_ARGUMENT, "mray_init: resource %d has no name", i);
        status = add(has, "mray_init", r->name, strlen(r->name), r->amount);
    }
    return status;
}

int session_count_gpus(session_t *s)
{
    const net_info_t *info = net_info(s->net);
    s->has.rank = info->rank;
    s->has.node = info->node;
    s->has.n_workers = s->share.n_workers;
    return s->share.n_gpus > 0 ? add(&s->has, "GPUs", "GPU", 3, s->share.n_gpus) : MRAY_OK;
}

void session_say_hello(session_t *s)
{
    s->has.store_bytes = s->node->segs[s->node->node_rank].hdr->arena_bytes;
    pthread_mutex_lock(&s->agent->lock);
    leases_set_limit(s->agent->leases, s->config.unschedulable_ms * 1000000u);
    shapes_set_resources(s->agent->shapes, &s->has);
    agent_send(s->agent, 0, CONTROL_NODE_HELLO, &s->has, sizeof s->has);
    pthread_mutex_unlock(&s->agent->lock);
}

/* Rank 0 knows all ranks before the first task, so that what no rank has is known to be so. */
void session_await_hellos(session_t *s)
{
    if (s->node->rank != 0) return;
    for (bool all = false; !all;) {
        pthread_mutex_lock(&s->agent->lock);
        (void)agent_round(s->agent);
        all = node_table_known(head_nodes(s->agent->head)) == s->node->n_ranks;
        pthread_mutex_unlock(&s->agent->lock);
        if (!all) sched_yield();
    }
}
