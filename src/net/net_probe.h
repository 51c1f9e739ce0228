/* net_probe.h: which bulk path is faster here, for small reads and for large ones. */
#ifndef MRAY_NET_NET_PROBE_H
#define MRAY_NET_NET_PROBE_H

#include "net_mpi.h"

typedef struct {
    net_bulk_t small, large;
} net_choice_t;

/* Collective: measure both paths of mpi with real reads between nodes and give every rank the same answer. */
int net_probe_choose(net_mpi_t *mpi, net_choice_t *choice_p);

#endif
