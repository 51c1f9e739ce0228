/* cgroup.h: what the control groups of this process leave it: a CPU quota and memory. Versions 1, 2 and the hybrid. */
#ifndef MRAY_TOPO_CGROUP_H
#define MRAY_TOPO_CGROUP_H

#include <stdint.h>

typedef struct {
    int quota_cores;      /* ceil(quota / period) of the tightest level; 0: no quota */
    uint64_t quota_group; /* names that level's group on this host: equal for processes that share the quota; 0: none */
} topo_quota_t;

/* The tightest CPU quota of this process's group and the groups above it, as far as they can be seen.
 * sysroot is "" outside of tests; there it is a folder that holds proc/ and the mount points. */
void topo_quota_read(const char *sysroot, topo_quota_t *quota_p);

/* Bytes this host can still give to this process: the least of MemAvailable and, for each memory cgroup above it, limit -
 * usage + inactive page cache (which the kernel drops first). UINT64_MAX if nothing can be read.
 * A segment in /dev/shm is charged here too, page by page as it is touched. */
uint64_t topo_memory_available(void);
uint64_t topo_memory_available_at(const char *sysroot);

#endif
