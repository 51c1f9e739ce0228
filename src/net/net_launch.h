/* net_launch.h: the environment a process is started in, and what it must hold before MPI_Init. No MPI call in here. */
#ifndef MRAY_NET_NET_LAUNCH_H
#define MRAY_NET_NET_LAUNCH_H

#include "net.h"

#include <stdbool.h>

/* Set the OMPI_MCA_* variables that make a plain mpirun work well, each only where the user has not set it:
 *   osc = ^ucx                  Debian's own setting, ^ucx,pt2pt, leaves no one-sided component at all across TCP hosts
 *   mpi_yield_when_idle = 1     more ranks than cores: round trip 9 us instead of 13.8 ms
 *   btl_vader_single_copy_mechanism = none   only where processes may not read each other's memory (net_launch_can_read_peers)
 * Open MPI 5 ignores the names it does not know. */
void net_launch_set_env(void);

/* False where one process of this user may not read another's memory (process_vm_readv): forbidden by a container's
 * filter, by kernel.yama.ptrace_scope, or because this process is not dumpable. Open MPI's shared memory transport would
 * try, and fail at the first large message. */
bool net_launch_can_read_peers(void);

/* What net_configure() was given: MRAY_FAKE_NODE_RANKS, 0 for the nodes that there are; MRAY_BULK, NET_BULK_NONE for "let the probe decide". */
int net_launch_fake_node_ranks(void);
net_bulk_t net_launch_bulk(void);

#endif
