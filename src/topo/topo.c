/* topo.c: the one file that keeps an hwloc topology.
 *
 * The whole node is loaded, with the PUs that a cgroup forbids (INCLUDE_DISALLOWED), and flattened into a topo_machine_t.
 * hwloc's own RESTRICT_TO_CPUBINDING would show each rank only its own piece, numbered from 0: then no rank could reason
 * about the cores of another. The restriction is the mask instead: allowed by the cgroup's cpuset, and in the thread's
 * affinity.
 *
 * IS_THISSYSTEM is not set: without HWLOC_SYNTHETIC and HWLOC_XMLFILE it holds anyway, and with them hwloc says false, and
 * nothing is bound, unless the user says HWLOC_THISSYSTEM=1. */
#include "topo.h"
#include "error.h"
#include "log.h"

#include <errno.h>
#include <hwloc.h>
#include <stdlib.h>
#include <string.h>

struct topo {
    hwloc_topology_t topology;
    hwloc_bitmap_t start_set; /* the calling thread's affinity at load; NULL for a machine that is not this one */
    bool real;
    topo_machine_t machine;
    topo_cpuset_t mask;
    uint64_t hash;
    topo_quota_t quota;
    topo_gpus_t gpus;
    int n_numa;
};

/* ---- loading ---- */

static int open_topology(const topo_opts_t *opts, topo_t *topo)
{
    if (hwloc_topology_init(&topo->topology) != 0) return base_error(MRAY_ERR_SYSTEM, "hwloc cannot start");
    if (opts->synthetic != NULL && hwloc_topology_set_synthetic(topo->topology, opts->synthetic) != 0) {
        hwloc_topology_destroy(topo->topology);
        return base_error(MRAY_ERR_INVALID_ARGUMENT, "\"%s\" is not a synthetic machine that hwloc understands", opts->synthetic);
    }
    hwloc_topology_set_flags(topo->topology, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED);
    if (hwloc_topology_load(topo->topology) != 0) {
        int status = base_error_errno(MRAY_ERR_SYSTEM, "hwloc cannot read this machine");
        hwloc_topology_destroy(topo->topology);
        return status;
    }
    topo->real = hwloc_topology_is_thissystem(topo->topology) != 0;
    return MRAY_OK;
}

static int16_t ancestor_index(hwloc_topology_t topology, hwloc_obj_type_t type, hwloc_obj_t obj)
{
    hwloc_obj_t found = hwloc_get_ancestor_obj_by_type(topology, type, obj);
    return found != NULL ? (int16_t)found->logical_index : -1;
}

/* Levels that the machine does not have are -1. */
static void fill_core(hwloc_topology_t topology, hwloc_obj_t pu, topo_core_t *core)
{
    core->cache = ancestor_index(topology, HWLOC_OBJ_L3CACHE, pu);
    if (core->cache < 0 && hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_L3CACHE) <= 0)
        core->cache = ancestor_index(topology, HWLOC_OBJ_L2CACHE, pu);
    core->package = ancestor_index(topology, HWLOC_OBJ_PACKAGE, pu);
    /* Of several local memories (DRAM and HBM) the first is the ordinary one. */
    core->numa = (int16_t)hwloc_bitmap_first(pu->nodeset);
}

/* Cores in the order of their PUs. Where hwloc shows no cores, each PU is one. */
static int flatten_machine(topo_t *topo)
{
    hwloc_obj_t pu = NULL, last_core = NULL;
    int n_pus = hwloc_get_nbobjs_by_type(topo->topology, HWLOC_OBJ_PU), n_skipped = 0;
    topo_machine_t *machine = &topo->machine;
    machine->cores = calloc((size_t)(n_pus > 0 ? n_pus : 1), sizeof *machine->cores);
    if (machine->cores == NULL) return base_error(MRAY_ERR_OUT_OF_MEMORY, "no memory for a machine of %d PUs", n_pus);
    while ((pu = hwloc_get_next_obj_by_type(topo->topology, HWLOC_OBJ_PU, pu)) != NULL) {
        hwloc_obj_t parent = hwloc_get_ancestor_obj_by_type(topo->topology, HWLOC_OBJ_CORE, pu);
        topo_core_t *core = machine->n_cores > 0 ? &machine->cores[machine->n_cores - 1] : NULL;
        if (pu->os_index >= TOPO_MAX_PUS) {
            n_skipped++;
            continue;
        }
        if (core == NULL || parent == NULL || parent != last_core || core->n_pus == TOPO_MAX_SMT) {
            core = &machine->cores[machine->n_cores++];
            fill_core(topo->topology, pu, core);
        }
        core->pus[core->n_pus++] = (int16_t)pu->os_index;
        last_core = parent;
    }
    if (n_skipped > 0) log_info("%d PUs with numbers above %d are left out", n_skipped, TOPO_MAX_PUS - 1);
    topo->n_numa = hwloc_get_nbobjs_by_type(topo->topology, HWLOC_OBJ_NUMANODE);
    topo->hash = topo_machine_hash(machine);
    return MRAY_OK;
}

static int read_mask(const topo_opts_t *opts, topo_t *topo)
{
    topo_cpuset_t only;
    hwloc_const_cpuset_t allowed = hwloc_topology_get_allowed_cpuset(topo->topology);
    unsigned pu;
    hwloc_bitmap_foreach_begin(pu, allowed)
        topo_cpuset_add(&topo->mask, (int)pu);
    hwloc_bitmap_foreach_end();
    if (topo->real) {
        topo_cpuset_t affinity = {0};
        topo->start_set = hwloc_bitmap_alloc();
        if (topo->start_set == NULL) return base_error(MRAY_ERR_OUT_OF_MEMORY, "no memory for a CPU set");
        if (hwloc_get_cpubind(topo->topology, topo->start_set, HWLOC_CPUBIND_THREAD) == 0) {
            hwloc_bitmap_foreach_begin(pu, topo->start_set)
                topo_cpuset_add(&affinity, (int)pu);
            hwloc_bitmap_foreach_end();
            topo_cpuset_and(&topo->mask, &affinity);
        } else {
            hwloc_bitmap_copy(topo->start_set, allowed);
        }
    }
    if (opts->cpus == NULL) return MRAY_OK;
    if (!topo_cpuset_parse(opts->cpus, &only))
        return base_error(MRAY_ERR_INVALID_ARGUMENT, "\"%s\" is not a list of CPUs such as 0-3,8", opts->cpus);
    topo_cpuset_and(&topo->mask, &only);
    return MRAY_OK;
}

int topo_load(const topo_opts_t *opts, topo_t **topo_p)
{
    static const topo_opts_t defaults;
    if (opts == NULL) opts = &defaults;
    topo_t *topo = calloc(1, sizeof *topo);
    if (topo == NULL) return base_error(MRAY_ERR_OUT_OF_MEMORY, "no memory for the machine's topology");
    int status = open_topology(opts, topo);
    if (status != MRAY_OK) goto err_topo;
    status = flatten_machine(topo);
    if (status == MRAY_OK) status = read_mask(opts, topo);
    if (status != MRAY_OK) goto err_loaded;
    if (topo->real)
        topo_quota_read("", &topo->quota);
    else if (opts->quota_cores > 0)
        topo->quota = (topo_quota_t){.quota_cores = opts->quota_cores, .quota_group = 1};
    if (opts->synthetic == NULL) topo_gpus_read(&topo->gpus);
    *topo_p = topo;
    return MRAY_OK;

err_loaded:
    topo_unload(topo);
    return status;
err_topo:
    free(topo);
    return status;
}

void topo_unload(topo_t *topo)
{
    if (topo == NULL) return;
    free(topo->machine.cores);
    hwloc_bitmap_free(topo->start_set);
    hwloc_topology_destroy(topo->topology);
    free(topo);
}

/* ---- telling ---- */

const topo_machine_t *topo_machine(const topo_t *topo)
{
    return &topo->machine;
}

bool topo_is_real(const topo_t *topo)
{
    return topo->real;
}

void topo_describe(const topo_t *topo, int rank, int n_workers, bool use_smt, topo_desc_t *desc_p)
{
    memset(desc_p, 0, sizeof *desc_p);
    desc_p->mask = topo->mask;
    desc_p->machine_hash = topo->hash;
    desc_p->quota_group = topo->quota.quota_group;
    desc_p->quota_cores = topo->quota.quota_cores;
    desc_p->gpu_group = topo->gpus.group;
    desc_p->n_gpus = topo->gpus.n_gpus;
    desc_p->rank = rank;
    desc_p->n_workers = n_workers;
    desc_p->use_smt = use_smt;
}

/* ---- binding ---- */

static bool bind_thread(const topo_t *topo, hwloc_const_cpuset_t set)
{
    if (hwloc_set_cpubind(topo->topology, set, HWLOC_CPUBIND_THREAD) == 0) return true;
    log_debug("a thread could not be bound: %s", strerror(errno));
    return false;
}

bool topo_bind_self(const topo_t *topo, const topo_share_t *share, int worker)
{
    if (!topo->real || share->bind == TOPO_BIND_NONE || share->n_places == 0) return true;
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    if (set == NULL) return false;
    if (share->bind == TOPO_BIND_PLACE && worker >= 0)
        hwloc_bitmap_only(set, (unsigned)topo_share_place(share, worker)->pu);
    else
        for (int i = 0; i < share->n_places; i++) hwloc_bitmap_set(set, (unsigned)share->places[i].pu);
    bool bound = bind_thread(topo, set);
    hwloc_bitmap_free(set);
    return bound;
}

bool topo_unbind_self(const topo_t *topo)
{
    return !topo->real || bind_thread(topo, topo->start_set);
}

bool topo_bind_memory(const topo_t *topo, const topo_share_t *share, void *addr, size_t bytes)
{
    if (!topo->real || share->bind == TOPO_BIND_NONE || share->n_places == 0 || topo->n_numa < 2) return true;
    hwloc_bitmap_t nodes = hwloc_bitmap_alloc();
    if (nodes == NULL) return false;
    for (int i = 0; i < share->n_places; i++) {
        int numa = topo->machine.cores[share->places[i].core].numa;
        if (numa >= 0) hwloc_bitmap_set(nodes, (unsigned)numa);
    }
    /* Without STRICT the node is preferred, not forced: a segment larger than its node must not die. */
    bool bound = hwloc_set_area_membind(topo->topology, addr, bytes, nodes, HWLOC_MEMBIND_BIND, HWLOC_MEMBIND_BYNODESET) == 0;
    if (!bound) log_debug("%zu bytes could not be bound to their NUMA node: %s", bytes, strerror(errno));
    hwloc_bitmap_free(nodes);
    return bound;
}
