/* cpus.h: how many threads of a set of ranks can run at a time: what decides between spinning and sleeping. */
#ifndef MRAY_TOPO_CPUS_H
#define MRAY_TOPO_CPUS_H

#include "divide.h"

/* PUs of the machine that any of the ranks may run on, or fewer where a quota allows fewer; at least 1. */
int topo_count_cpus(const topo_machine_t *machine, const topo_desc_t *descs, int n_ranks);

#endif
