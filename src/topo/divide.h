/* divide.h: which rank of a node puts its workers on which cores.
 *
 * Every rank of the node exchanges a topo_desc_t with the others and calls topo_divide() with the same array: a pure
 * function of the array and the machine, so all come to the same answer without another message. */
#ifndef MRAY_TOPO_DIVIDE_H
#define MRAY_TOPO_DIVIDE_H

#include "machine.h"

enum { TOPO_WORKERS_AUTO = -1, TOPO_MAX_NODE_RANKS = 1024, TOPO_MAX_PLACES = TOPO_MAX_PUS };

/* What one rank says about itself. Plain bytes without padding: sent as it is. Zero-initialise, see topo_describe(). */
typedef struct {
    topo_cpuset_t mask;    /* PUs this rank may run on */
    uint64_t machine_hash; /* topo_machine_hash() */
    uint64_t quota_group;  /* ranks with equal groups share one CPU quota; 0: no quota */
    uint64_t gpu_group;    /* ranks with equal groups see the same GPUs */
    int32_t quota_cores;   /* cores the quota is worth; 0: no quota */
    int32_t n_gpus;        /* GPUs of the host that this rank may use */
    int32_t rank;          /* for messages */
    int32_t n_workers;     /* wanted: 0 none, TOPO_WORKERS_AUTO as many as there are cores, n exactly n */
    int32_t use_smt;       /* 1: siblings of a core are places too */
    int32_t reserved;
} topo_desc_t;

/* How the workers of a rank are held. */
typedef enum {
    TOPO_BIND_NONE,  /* more runs than there are cores, or a quota: the kernel schedules */
    TOPO_BIND_SHARE, /* more workers than the share has cores: each anywhere in the share */
    TOPO_BIND_PLACE  /* each worker on its own place */
} topo_bind_t;

typedef enum { TOPO_ROLE_NODE, TOPO_ROLE_DRIVER } topo_role_t;

/* A core and the PU of it to run on. */
typedef struct {
    int16_t core;
    int16_t pu;
} topo_place_t;

/* What one rank gets. */
typedef struct {
    topo_role_t role;
    topo_bind_t bind;
    int n_places;  /* at least 1 for a rank that hosts workers, unless its mask has no core of the machine */
    int n_workers; /* worker i runs on places[i % n_places]; at least 1 unless none was wanted */
    bool oversubscribed; /* more threads want to run here than there are cores */
    bool repaired;       /* masks of co-located ranks overlapped in part, and were divided */
    int gpu_first, n_gpus; /* part of this rank: positions in its list of visible GPUs */
    char note[256];      /* one sentence about what a user should know; "" if all is well */
    topo_place_t places[TOPO_MAX_PLACES]; /* TOPO_BIND_NONE: where the kernel might run them, for tables only */
} topo_share_t;

/* Divide the cores of a node.
 *  @param machine       the node, as every one of its ranks sees it
 *  @param descs         one entry a co-located rank, in the same order on all of them
 *  @param n_ranks       1..TOPO_MAX_NODE_RANKS
 *  @param me            index of the rank whose share is asked for
 *  @param driver_index  index of the rank that drives and hosts no workers; -1 if none is here, or if it is the job's only rank
 *  @param share_p       the share; set only on success
 *  @return MRAY_OK, MRAY_ERR_INVALID_ARGUMENT, MRAY_ERR_OUT_OF_MEMORY */
int topo_divide(const topo_machine_t *machine, const topo_desc_t *descs, int n_ranks, int me, int driver_index,
                topo_share_t *share_p) __attribute__((warn_unused_result));

/* Place of worker i of the share; NULL if there is none. */
const topo_place_t *topo_share_place(const topo_share_t *share, int worker);

/* Distances between all pairs of the share's workers, row by row: n_workers * n_workers bytes of topo_dist_t. */
void topo_share_distances(const topo_machine_t *machine, const topo_share_t *share, uint8_t *matrix);

#endif
