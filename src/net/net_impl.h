/* net_impl.h: what the implementations of net.h share: the object, its table of functions, the queue of finished reads. */
#ifndef MRAY_NET_NET_IMPL_H
#define MRAY_NET_NET_IMPL_H

#include "net.h"

typedef struct {
    const char *name;
    void (*close)(net_t *net);
    void (*abort)(net_t *net, int code); /* does not return */
    int (*allgather)(net_t *net, const void *mine, size_t bytes, void *all);
    int (*barrier)(net_t *net);
    int (*attach_segment)(net_t *net, void *base, uint64_t bytes);
    /* dst and bytes are checked already. On success *data_p points to bytes bytes, 8-aligned. */
    int (*send_reserve)(net_t *net, int dst, uint16_t type, uint16_t flags, uint32_t bytes, void **data_p);
    uint64_t (*unsent_bytes)(const net_t *net, int dst);
    void (*get_start)(net_t *net, net_get_t *get);
    int (*poll)(net_t *net);
    bool (*busy)(const net_t *net);
} net_ops_t;

/* A queue of reads, linked through get->next: a read is in at most one. */
typedef struct {
    net_get_t *head, *tail;
} net_getq_t;

struct net {
    const net_ops_t *ops;
    net_info_t info;
    int *node_of_rank, *node_ranks; /* what info points to; NULL: another's */
    struct {
        net_handler_fn fn;
        void *ctx;
    } handlers[NET_MAX_TYPES];
    net_getq_t done; /* finished, done_fn not called yet */
    bool in_poll;
};

/* Fill in ops and info; node_keys[r] is the same for ranks of one node and for no others. Returns MRAY_OK or
 * MRAY_ERR_OUT_OF_MEMORY (then nothing is kept). */
int net_impl_init(net_t *net, const net_ops_t *ops, int rank, int n_ranks, const int *node_keys);
/* The same in two steps, for many ranks of one process that share the table of nodes, which the caller keeps: nodes numbered by their
 * lowest rank, then each rank. Errors: OUT_OF_MEMORY. */
int net_impl_number_nodes(int n_ranks, const int *node_keys, int *node_of_rank, int *n_nodes_p);
int net_impl_init_numbered(net_t *net, const net_ops_t *ops, int rank, int n_ranks, const int *node_of_rank, int n_nodes);
void net_impl_fini(net_t *net);

void net_impl_dispatch(net_t *net, int src_rank, const net_item_t *item, const void *data);

/* MRAY_OK if the read names a rank it can be made from; attached: this rank has attached its segment. Else the error of
 * that read. The second checks against the size of the owner's segment. */
int net_impl_get_check(const net_t *net, const net_get_t *get, bool attached);
int net_impl_get_check_range(const net_get_t *get, uint64_t segment_bytes);
/* The read ended: done_fn is called later, by net_impl_run_done(). */
void net_impl_get_done(net_t *net, net_get_t *get, int status);
/* Call the done_fn of all finished reads; returns how many. */
int net_impl_run_done(net_t *net);

void net_getq_push(net_getq_t *queue, net_get_t *get);
net_get_t *net_getq_pop(net_getq_t *queue);                  /* NULL if empty */
void net_getq_remove(net_getq_t *queue, const net_get_t *get); /* nothing if it is not there; O(n) */

#endif
