/* topo.h: the machine under this process: which cores it may use, how many they are worth, and holding threads and memory there.
 *
 * topo_load() reads the whole node by hwloc, and apart from it the mask that the launcher and the cgroup leave this process.
 * Ranks exchange what topo_describe() says and divide the cores by topo_divide() (divide.h).
 * docs/design/topo.md has the rules. */
#ifndef MRAY_TOPO_TOPO_H
#define MRAY_TOPO_TOPO_H

#include "cgroup.h"
#include "divide.h"
#include "gpu.h"
#include "machine.h"

#include <stdbool.h>
#include <stddef.h>

/* A loaded machine. Read-only after topo_load(): any thread, and forked children, may use it. */
typedef struct topo topo_t;

/* For tests; zero is the real machine. */
typedef struct {
    const char *synthetic; /* hwloc synthetic description; NULL: HWLOC_SYNTHETIC or HWLOC_XMLFILE if set, else this machine */
    const char *cpus;      /* restrict the mask to these PUs, "0-3,8"; NULL: no restriction */
    int quota_cores;       /* synthetic machines only: a CPU quota */
} topo_opts_t;

/* Load the machine and this process's mask (sched_getaffinity of the calling thread within the cgroup's cpuset), quota and GPUs.
 *  @param opts    NULL for the real machine
 *  @param topo_p  freed by topo_unload(); set only on success
 *  @return MRAY_OK, MRAY_ERR_INVALID_ARGUMENT (opts), MRAY_ERR_SYSTEM (hwloc cannot read it), MRAY_ERR_OUT_OF_MEMORY
 *  @cost   a few ms. Call it before binding anything: the mask is what the calling thread has now */
int topo_load(const topo_opts_t *opts, topo_t **topo_p) __attribute__((warn_unused_result));
void topo_unload(topo_t *topo); /* NULL is fine */

const topo_machine_t *topo_machine(const topo_t *topo);
/* False for a synthetic machine: then the bind functions succeed and do nothing. */
bool topo_is_real(const topo_t *topo);

/* What this rank tells the ranks of its node. n_workers: 0, TOPO_WORKERS_AUTO, or n. */
void topo_describe(const topo_t *topo, int rank, int n_workers, bool use_smt, topo_desc_t *desc_p);

/* Hold the calling thread (for a process of one thread: the process) where the share says: worker i at its place, -1 (the
 * driver, an agent, a helper) anywhere in the share. Does nothing for TOPO_BIND_NONE. Failure costs speed only: it is logged at
 * debug, and false is returned. */
bool topo_bind_self(const topo_t *topo, const topo_share_t *share, int worker);
/* Back to the mask found by topo_load(). */
bool topo_unbind_self(const topo_t *topo);

/* Ask for the pages of [addr, addr + bytes) on the NUMA nodes of the share's cores; pages go elsewhere only when those are
 * full. Before the first touch. Does nothing on one NUMA node, for TOPO_BIND_NONE, or for a share without cores. As
 * topo_bind_self() on failure. */
bool topo_bind_memory(const topo_t *topo, const topo_share_t *share, void *addr, size_t bytes);

#endif
