/* net_bulk.h: a way for bulk bytes to travel between nodes. Two of them, one file each: net_bulk_rma.c, net_bulk_pull.c. */
#ifndef MRAY_NET_NET_BULK_H
#define MRAY_NET_NET_BULK_H

#include "net_mpi.h"

typedef struct {
    net_bulk_t kind;
    void (*start)(net_bulk_path_t *path, net_get_t *get); /* checked, more than 0 bytes */
    int (*poll)(net_bulk_path_t *path);                   /* finished reads go to net_impl_get_done() */
    bool (*busy)(const net_bulk_path_t *path);            /* a read is open, or one is being served */
    void (*destroy)(net_bulk_path_t *path);               /* collective; not busy on any rank */
} net_bulk_ops_t;

struct net_bulk_path {
    const net_bulk_ops_t *ops;
    net_mpi_t *mpi;
};

const char *net_bulk_name(net_bulk_t kind);

/* The window over mpi's segment; collective. Where it is refused: MRAY_ERR_MPI, and *path_p may still be set by ranks that were
 * not refused; then net_bulk_rma_forget() it, since freeing a window takes all ranks. */
int net_bulk_rma_create(net_mpi_t *mpi, net_bulk_path_t **path_p);
void net_bulk_rma_forget(net_bulk_path_t *path);

/* Two-sided: the owner is asked and sends. Local. */
int net_bulk_pull_create(net_mpi_t *mpi, net_bulk_path_t **path_p);

#endif
