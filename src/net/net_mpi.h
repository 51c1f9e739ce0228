/* net_mpi.h: the MPI implementation of net.h; what its files share. */
#ifndef MRAY_NET_NET_MPI_H
#define MRAY_NET_NET_MPI_H

#include "net_channel.h"
#include "net_impl.h"

#include <mpi.h>

typedef struct net_bulk_path net_bulk_path_t;

/* Tags on the session's communicator. Streams of the pull path count up from NET_TAG_STREAM. */
enum { NET_TAG_ITEMS = 1, NET_TAG_CONTROL = 2, NET_TAG_STREAM = 16 };

typedef struct {
    net_t net; /* first: a net_t of this kind is a net_mpi_t */
    MPI_Comm comm;
    net_channel_t *items; /* NULL in a one-node job */
    void *segment;
    uint64_t *segment_bytes;    /* of every rank; NULL before net_attach_segment() */
    net_bulk_path_t *paths[3];  /* by net_bulk_t; NULL: not in use */
    bool probing;               /* waits do not sleep */
    bool bulk_waits;            /* the bulk paths were left out of the last poll */
    bool closing;               /* items are taken and dropped */
} net_mpi_t;

/* Everything but callbacks: sends, bulk reads, serving those of others. Returns the number of things that happened. */
int net_mpi_progress(net_mpi_t *mpi);

/* Wait with progress, on the idle ladder, until the request is complete or until done(arg). */
int net_mpi_wait(net_mpi_t *mpi, MPI_Request *request, const char *call);
void net_mpi_wait_until(net_mpi_t *mpi, bool (*done)(net_mpi_t *mpi, void *arg), void *arg);

int net_mpi_allgather(net_t *net, const void *mine, size_t bytes, void *all);
int net_mpi_barrier(net_t *net);

/* net_attach.c */
int net_mpi_attach_segment(net_t *net, void *base, uint64_t bytes);

#endif
