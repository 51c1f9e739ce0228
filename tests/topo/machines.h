/* machines.h: synthetic machines and ranks on them, for the tests of topo/. */
#ifndef MRAY_TESTS_TOPO_MACHINES_H
#define MRAY_TESTS_TOPO_MACHINES_H

#include "topo.h"

/* 2 packages x 2 NUMA nodes x 8 cores x 2 PUs: 32 cores, 64 PUs; core c has PUs 2c and 2c+1; each NUMA node has one L3. */
#define MACHINE_BIG "pack:2 numa:2 l3:1 core:8 pu:2"
/* 1 package, 8 cores of 1 PU. */
#define MACHINE_8 "pack:1 core:8 pu:1"
#define MACHINE_2 "pack:1 core:2 pu:1"
#define MACHINE_1 "pack:1 core:1 pu:1"

enum { MAX_TEST_RANKS = 64 };

/* A node with its ranks, and the share of each after node_divide(). */
typedef struct {
    topo_t *topo;
    int n_ranks;
    topo_desc_t descs[MAX_TEST_RANKS];
    topo_share_t shares[MAX_TEST_RANKS];
} node_t;

/* n_ranks ranks that all may use every PU and want as many workers as there are cores. */
node_t *node_create(const char *machine, int n_ranks);
void node_destroy(node_t *node);
/* Gives rank r the PUs "0-3,8". */
void node_mask(node_t *node, int r, const char *cpus);
/* Divides for every rank; checks that every share is the same when computed again, and the rules that always hold. */
void node_divide(node_t *node, int driver);
/* Asserts the cores of rank r: "0-7". */
void node_expect_cores(const node_t *node, int r, const char *cores);
/* Asserts the PUs of rank r. */
void node_expect_pus(const node_t *node, int r, const char *pus);

#endif
