/* net.c: the functions of net.h that do not depend on the transport, and the dispatch to those that do. */
#include "net_impl.h"

#include "error.h"
#include "log.h"
#include "map.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int net_impl_number_nodes(int n_ranks, const int *node_keys, int *node_of_rank, int *n_nodes_p)
{
    base_map_t seen = {0};
    int n_nodes = 0, status = MRAY_OK;
    for (int r = 0; r < n_ranks && status == MRAY_OK; r++) {
        uint64_t node = (uint64_t)n_nodes;
        base_key_t key = base_key64((uint32_t)node_keys[r]);
        if (!base_map_get(&seen, key, &node)) {
            status = base_map_put(&seen, key, node);
            n_nodes++;
        }
        node_of_rank[r] = (int)node;
    }
    base_map_fini(&seen);
    *n_nodes_p = n_nodes;
    return status;
}

int net_impl_init_numbered(net_t *net, const net_ops_t *ops, int rank, int n_ranks, const int *node_of_rank, int n_nodes)
{
    net_info_t info = {.rank = rank, .n_ranks = n_ranks, .node = node_of_rank[rank], .n_nodes = n_nodes, .multi_node = n_nodes > 1, .node_of_rank = node_of_rank};
    for (int r = 0; r < n_ranks; r++) {
        if (r == rank) info.node_rank = info.n_node_ranks;
        info.n_node_ranks += node_of_rank[r] == info.node;
    }
    int *node_ranks = malloc((size_t)info.n_node_ranks * sizeof *node_ranks), n = 0;
    if (!node_ranks) return base_error(MRAY_ERR_OUT_OF_MEMORY, "no memory for the table of %d ranks", info.n_node_ranks);
    for (int r = 0; r < n_ranks; r++)
        if (node_of_rank[r] == info.node) node_ranks[n++] = r;
    info.node_ranks = net->node_ranks = node_ranks;
    net->info = info;
    net->ops = ops;
    return MRAY_OK;
}

int net_impl_init(net_t *net, const net_ops_t *ops, int rank, int n_ranks, const int *node_keys)
{
    int *node_of_rank = malloc((size_t)n_ranks * sizeof *node_of_rank), n_nodes;
    if (!node_of_rank) return base_error(MRAY_ERR_OUT_OF_MEMORY, "no memory for the table of %d ranks", n_ranks);
    int status = net_impl_number_nodes(n_ranks, node_keys, node_of_rank, &n_nodes);
    if (status == MRAY_OK) status = net_impl_init_numbered(net, ops, rank, n_ranks, node_of_rank, n_nodes);
    if (status == MRAY_OK) net->node_of_rank = node_of_rank;
    else free(node_of_rank);
    return status;
}

void net_impl_fini(net_t *net)
{
    free(net->node_of_rank);
    free(net->node_ranks);
    net->node_of_rank = net->node_ranks = NULL;
}

void net_impl_dispatch(net_t *net, int src_rank, const net_item_t *item, const void *data)
{
    if (item->type < NET_MAX_TYPES && net->handlers[item->type].fn)
        net->handlers[item->type].fn(net->handlers[item->type].ctx, src_rank, item, data);
    else
        log_error("net: item of type %u from rank %d has no handler, dropped", item->type, src_rank);
}

/* Queues of reads. */

void net_getq_push(net_getq_t *queue, net_get_t *get)
{
    get->next = NULL;
    if (queue->head) queue->tail->next = get;
    else queue->head = get;
    queue->tail = get;
}

net_get_t *net_getq_pop(net_getq_t *queue)
{
    net_get_t *get = queue->head;
    if (get) queue->head = get->next;
    return get;
}

void net_getq_remove(net_getq_t *queue, const net_get_t *get)
{
    net_getq_t rest = {0};
    for (net_get_t *g; (g = net_getq_pop(queue));)
        if (g != get) net_getq_push(&rest, g);
    *queue = rest;
}

int net_impl_get_check(const net_t *net, const net_get_t *get, bool attached)
{
    if (get->src_rank < 0 || get->src_rank >= net->info.n_ranks || get->src_rank == net->info.rank)
        return base_error(MRAY_ERR_INVALID_ARGUMENT, "bulk read from rank %d: not another rank of 0..%d", get->src_rank,
                          net->info.n_ranks - 1);
    if (!net->info.multi_node || !attached)
        return base_error(MRAY_ERR_NOT_SUPPORTED, "bulk read from rank %d: %s", get->src_rank,
                          net->info.multi_node ? "no segment is attached yet" : "all ranks share one node, read the mapped segment");
    return MRAY_OK;
}

int net_impl_get_check_range(const net_get_t *get, uint64_t segment_bytes)
{
    if (get->bytes <= segment_bytes && get->src_off <= segment_bytes - get->bytes) return MRAY_OK;
    return base_error(MRAY_ERR_INVALID_ARGUMENT, "bulk read of %llu bytes at %llu passes the end of rank %d's segment (%llu bytes)",
                      (unsigned long long)get->bytes, (unsigned long long)get->src_off, get->src_rank, (unsigned long long)segment_bytes);
}

void net_impl_get_done(net_t *net, net_get_t *get, int status)
{
    get->status = status;
    net_getq_push(&net->done, get);
}

int net_impl_run_done(net_t *net)
{
    /* Only what is there now: a done_fn may start reads that end at once. */
    net_getq_t done = net->done;
    net->done.head = NULL;
    int n = 0;
    for (net_get_t *get; (get = net_getq_pop(&done)); n++) get->done_fn(get, get->status);
    return n;
}

/* net.h */

void net_close(net_t *net)
{
    if (!net) return;
    assert(!net->in_poll);
    net->ops->close(net);
}

void net_abort(net_t *net, int code)
{
    if (net) net->ops->abort(net, code);
    _exit(code);
}

const net_info_t *net_info(const net_t *net)
{
    return &net->info;
}

int net_allgather(net_t *net, const void *mine, size_t bytes, void *all)
{
    assert(!net->in_poll);
    return net->ops->allgather(net, mine, bytes, all);
}

int net_barrier(net_t *net)
{
    assert(!net->in_poll);
    return net->ops->barrier(net);
}

int net_attach_segment(net_t *net, void *base, uint64_t bytes)
{
    assert(!net->in_poll);
    return net->ops->attach_segment(net, base, bytes);
}

void net_register_handler(net_t *net, uint16_t type, net_handler_fn fn, void *ctx)
{
    assert(type < NET_MAX_TYPES);
    net->handlers[type].fn = fn;
    net->handlers[type].ctx = ctx;
}

static int send_reserve(net_t *net, int dst, uint16_t type, uint16_t flags, uint32_t bytes, void **data_p)
{
    if (dst < 0 || dst >= net->info.n_ranks || dst == net->info.rank)
        return base_error(MRAY_ERR_INVALID_ARGUMENT, "item for rank %d: not another rank of 0..%d", dst, net->info.n_ranks - 1);
    if (!net->info.multi_node)
        return base_error(MRAY_ERR_NOT_SUPPORTED, "item for rank %d: all ranks share one node, use shared memory", dst);
    if (bytes > NET_MAX_ITEM_BYTES || type >= NET_MAX_TYPES)
        return base_error(MRAY_ERR_INVALID_ARGUMENT, "item of type %u and %u bytes: types end at %d, sizes at %d", type, bytes,
                          NET_MAX_TYPES - 1, NET_MAX_ITEM_BYTES);
    return net->ops->send_reserve(net, dst, type, flags, bytes, data_p);
}

int net_send(net_t *net, int dst, uint16_t type, uint16_t flags, const void *data, uint32_t bytes)
{
    void *to;
    int status = send_reserve(net, dst, type, flags, bytes, &to);
    if (status == MRAY_OK && bytes > 0) memcpy(to, data, bytes);
    return status;
}

void *net_send_reserve(net_t *net, int dst, uint16_t type, uint16_t flags, uint32_t bytes)
{
    void *to;
    return send_reserve(net, dst, type, flags, bytes, &to) == MRAY_OK ? to : NULL;
}

uint64_t net_unsent_bytes(const net_t *net, int dst)
{
    return net->info.multi_node ? net->ops->unsent_bytes(net, dst) : 0;
}

void net_get_start(net_t *net, net_get_t *get)
{
    get->bytes_ready = get->bytes_done = get->bytes_started = 0;
    get->n_chunks_open = 0;
    get->status = MRAY_OK;
    net->ops->get_start(net, get);
}

int net_poll(net_t *net)
{
    assert(!net->in_poll);
    net->in_poll = true;
    int n = net->ops->poll(net);
    n += net_impl_run_done(net);
    net->in_poll = false;
    return n;
}

bool net_busy(const net_t *net)
{
    return net->done.head || net->ops->busy(net);
}
