/* gpu.h: how many GPUs this process may use, as a resource to schedule by. */
#ifndef MRAY_TOPO_GPU_H
#define MRAY_TOPO_GPU_H

#include <stdint.h>

typedef struct {
    int n_gpus;
    uint64_t group; /* ranks of a host with equal groups see the same GPUs, and divide them */
} topo_gpus_t;

/* Looks at the environment and the PCI bus: MRAY_GPUS (a count for the host) decides alone; otherwise the GPUs and
 * accelerators hwloc finds, each PCI device once, limited by CUDA_VISIBLE_DEVICES. No GPU library is loaded or started, so it
 * is safe before a fork. */
void topo_gpus_read(topo_gpus_t *gpus_p);

/* How many of n_present devices the value of CUDA_VISIBLE_DEVICES leaves, by CUDA's rules: NULL all, "" none, and a list ends
 * before its first entry that names no device. */
int topo_gpus_visible(const char *visible, int n_present);

/* The devices hwloc finds on this host (or in HWLOC_XMLFILE), whatever the environment's limits. */
int topo_gpus_present(void);

#endif
