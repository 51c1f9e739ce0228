/* machine.h: a node as plain numbers: cores in hwloc's logical order, each with its PUs, cache group, NUMA node and package.
 *
 * Logical order keeps neighbours together: all cores of a cache group are consecutive, then of a NUMA node, then of a
 * package. So a run of consecutive cores is a compact piece of the machine, and core numbers mean the same on every rank
 * of the node (compared by topo_machine_hash()). */
#ifndef MRAY_TOPO_MACHINE_H
#define MRAY_TOPO_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TOPO_MAX_PUS = 1024, TOPO_MAX_SMT = 8, TOPO_CPUSET_WORDS = TOPO_MAX_PUS / 64 };

/* A set of small numbers: PUs by OS index, or NUMA nodes, packages, cache groups. */
typedef struct {
    uint64_t bits[TOPO_CPUSET_WORDS];
} topo_cpuset_t;

void topo_cpuset_add(topo_cpuset_t *set, int value); /* ignores values outside 0..1023 */
bool topo_cpuset_has(const topo_cpuset_t *set, int value);
int topo_cpuset_count(const topo_cpuset_t *set);
void topo_cpuset_and(topo_cpuset_t *set, const topo_cpuset_t *other);
bool topo_cpuset_equal(const topo_cpuset_t *a, const topo_cpuset_t *b);
/* "0-3,8"; a list too long for buf ends in "...". An empty set gives "-". */
void topo_cpuset_format(const topo_cpuset_t *set, char *buf, size_t buf_bytes);
/* Reads "0-3,8"; false (set undefined) for anything else. */
bool topo_cpuset_parse(const char *text, topo_cpuset_t *set);

/* One core. PUs are OS indices, ascending in hwloc's order; the others are numbers that are equal exactly for cores that
 * share the thing. -1: there is no such thing (a synthetic machine without caches). */
typedef struct {
    int16_t pus[TOPO_MAX_SMT];
    int16_t n_pus;
    int16_t cache;   /* L3, or L2 where there is no L3: logical index */
    int16_t numa;    /* OS index of the first local NUMA node */
    int16_t package; /* logical index */
} topo_core_t;

typedef struct {
    int n_cores;
    topo_core_t *cores;
} topo_machine_t;

/* How far apart two cores are; smaller is nearer. The first level that the two share decides. */
typedef enum {
    TOPO_DIST_CORE = 0,
    TOPO_DIST_CACHE = 1,   /* same L3, or L2 where there is no L3 */
    TOPO_DIST_NUMA = 2,
    TOPO_DIST_PACKAGE = 3,
    TOPO_DIST_NODE = 4,
    TOPO_DIST_REMOTE = 5   /* another node; TOPO_DIST_NODE is the largest inside one */
} topo_dist_t;

/* Distance of two cores of one node, by core number. A number that is no core counts as TOPO_DIST_NODE. */
int topo_distance(const topo_machine_t *machine, int core_a, int core_b);

/* Equal for two ranks exactly if they see the same cores under the same numbers. */
uint64_t topo_machine_hash(const topo_machine_t *machine);

#endif
