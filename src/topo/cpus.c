/* cpus.c: the union of masks, and the sum of quotas. */
#include "cpus.h"

/* What the ranks' quotas are worth together; 0: one of them has none, so there is no bound. */
static int sum_of_quotas(const topo_desc_t *descs, int n_ranks)
{
    int sum = 0;
    for (int r = 0; r < n_ranks; r++) {
        if (descs[r].quota_cores <= 0) return 0;
        bool counted = false;
        for (int q = 0; q < r && !counted; q++) counted = descs[q].quota_group == descs[r].quota_group;
        if (!counted) sum += descs[r].quota_cores;
    }
    return sum;
}

int topo_count_cpus(const topo_machine_t *machine, const topo_desc_t *descs, int n_ranks)
{
    int n = 0, quota = sum_of_quotas(descs, n_ranks);
    for (int c = 0; c < machine->n_cores; c++)
        for (int i = 0; i < machine->cores[c].n_pus; i++) {
            bool usable = false;
            for (int r = 0; r < n_ranks && !usable; r++) usable = topo_cpuset_has(&descs[r].mask, machine->cores[c].pus[i]);
            n += usable;
        }
    if (quota > 0 && quota < n) n = quota;
    return n > 0 ? n : 1;
}
