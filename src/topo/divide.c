/* divide.c: a fair division of cores that keeps to the launcher's masks.
 *
 * Units. A core is cut into units: the PUs of it that the same ranks may use. Nearly always that is the whole core; under
 * --bind-to hwthread each hyperthread is a unit of another rank. Units that the same ranks may use form a class. One class is a
 * shared mask; n classes with one rank each are disjoint masks; anything else is partial overlap.
 *
 * Counts. flow[rank][class] units go to each rank, found by augmenting paths (bipartite matching, one unit at a time):
 *   1. every rank that hosts workers gets one unit, if that can be done at all;
 *   2. the driver gets one;
 *   3. ranks that want exactly n get up to n, the poorest first;
 *   4. ranks that want as many as there are get the rest, the poorest first.
 * A path never takes away from a rank's total, and a rank whose search failed once can never grow again (the sets of reachable
 * totals form a matroid), so the result is max-min fair within each phase. Cost O(units x ranks x classes).
 *
 * Places. Within a class the ranks take consecutive units in their order, laid so that few cross a NUMA node (blocks.c).
 *
 * Too few. A rank without a unit is oversubscribed, and so is whoever holds a unit that an oversubscribed rank may run on.
 * Those are not bound. Nor are ranks whose CPU quota is less than their cores: others on this host have the same quota and
 * would pile on the same first cores. */
#include "divide.h"
#include "blocks.h"
#include "error.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static_assert(sizeof(topo_desc_t) == 176 && sizeof(topo_desc_t) <= 1024, "topo_desc_t is sent as plain bytes");

enum { RANK_WORDS = TOPO_MAX_NODE_RANKS / 64, MAX_UNITS = TOPO_MAX_PUS };
enum { EDGE_CACHE = 1, EDGE_NUMA = 100, EDGE_PACKAGE = 10000 };

typedef struct {
    int core, class_id, owner; /* owner: rank index, -1 none */
    int n_pus;
    int16_t pus[TOPO_MAX_SMT];
} unit_t;

typedef struct {
    uint64_t ranks[RANK_WORDS];
    int n_units, n_free;
} class_t;

typedef struct {
    int demand, load;
    int quota;         /* index of the first rank of its quota group, -1 none */
    int quota_left;    /* at that first rank: units the group may still take */
    int n_eligible;    /* units in its mask */
    bool starving, oversubscribed, quota_binds;
} rank_t;

typedef struct {
    const topo_machine_t *machine;
    const topo_desc_t *descs;
    int n_ranks, driver, n_units, n_classes;
    unit_t *units;
    class_t *classes;
    rank_t *ranks;
    int *flow;  /* n_ranks x n_classes */
    int *queue; /* n_ranks: the search's ranks in order */
    int *via_rank, *via_class; /* n_ranks: who reached a rank through which class; via_rank -1: not reached */
    bool *seen_class;
} division_t;

static bool may_use(const division_t *d, int rank, int class_id)
{
    return d->classes[class_id].ranks[rank / 64] >> (rank % 64) & 1;
}

static int *flow_at(const division_t *d, int rank, int class_id)
{
    return &d->flow[(size_t)rank * (size_t)d->n_classes + (size_t)class_id];
}

/* ---- units and classes ---- */

static int class_find(division_t *d, const uint64_t *ranks)
{
    for (int k = d->n_classes - 1; k >= 0; k--)
        if (memcmp(d->classes[k].ranks, ranks, sizeof d->classes[k].ranks) == 0) return k;
    memcpy(d->classes[d->n_classes].ranks, ranks, sizeof d->classes[0].ranks);
    return d->n_classes++;
}

/* Adds pu of core to the unit of that core with the same ranks, or to a new one. */
static void unit_add(division_t *d, int core, int16_t pu)
{
    uint64_t ranks[RANK_WORDS] = {0};
    bool any = false;
    for (int r = 0; r < d->n_ranks; r++) {
        if (!topo_cpuset_has(&d->descs[r].mask, pu)) continue;
        ranks[r / 64] |= UINT64_C(1) << (r % 64);
        any = true;
    }
    if (!any) return;
    int class_id = class_find(d, ranks);
    for (int u = d->n_units - 1; u >= 0 && d->units[u].core == core; u--) {
        if (d->units[u].class_id != class_id) continue;
        d->units[u].pus[d->units[u].n_pus++] = pu;
        return;
    }
    d->units[d->n_units++] = (unit_t){.core = core, .class_id = class_id, .owner = -1, .n_pus = 1, .pus = {pu}};
    d->classes[class_id].n_units++;
    d->classes[class_id].n_free++;
}

static void build_units(division_t *d)
{
    for (int c = 0; c < d->machine->n_cores; c++)
        for (int i = 0; i < d->machine->cores[c].n_pus; i++) unit_add(d, c, d->machine->cores[c].pus[i]);
    for (int r = 0; r < d->n_ranks; r++)
        for (int k = 0; k < d->n_classes; k++)
            if (may_use(d, r, k)) d->ranks[r].n_eligible += d->classes[k].n_units;
}

/* ---- who wants what ---- */

/* Units that at least one rank of the quota group of `first` may use. */
static int quota_units(const division_t *d, int first)
{
    int n = 0;
    for (int k = 0; k < d->n_classes; k++) {
        bool any = false;
        for (int r = first; r < d->n_ranks && !any; r++) any = d->ranks[r].quota == first && may_use(d, r, k);
        if (any) n += d->classes[k].n_units;
    }
    return n;
}

static void build_ranks(division_t *d)
{
    for (int r = 0; r < d->n_ranks; r++) {
        const topo_desc_t *desc = &d->descs[r];
        rank_t *rank = &d->ranks[r];
        int wanted = desc->n_workers < 0 ? MAX_UNITS : desc->n_workers;
        rank->demand = r == d->driver ? 1 : wanted < MAX_UNITS ? wanted : MAX_UNITS;
        rank->quota = -1;
        if (desc->quota_cores <= 0) continue;
        int first = 0;
        while (first < r && (d->descs[first].quota_cores <= 0 || d->descs[first].quota_group != desc->quota_group)) first++;
        rank->quota = first;
        if (first == r || desc->quota_cores < d->ranks[first].quota_left) d->ranks[first].quota_left = desc->quota_cores;
    }
    for (int r = 0; r < d->n_ranks; r++) {
        int first = d->ranks[r].quota;
        if (first == r) d->ranks[r].quota_binds = d->ranks[r].quota_left < quota_units(d, r);
        if (first >= 0) d->ranks[r].quota_binds = d->ranks[first].quota_binds;
    }
}

/* ---- counts: augmenting paths ---- */

/* Moves one unit along the path that reached `rank`, which takes a free unit of class_id. */
static void apply_path(division_t *d, int start, int rank, int class_id)
{
    d->classes[class_id].n_free--;
    ++*flow_at(d, rank, class_id);
    while (rank != start) {
        int from = d->via_rank[rank], passed = d->via_class[rank];
        --*flow_at(d, rank, passed);
        ++*flow_at(d, from, passed);
        rank = from;
    }
}

/* One more unit for rank start, others changing theirs for another where needed. */
static bool augment(division_t *d, int start)
{
    int head = 0, tail = 0;
    for (int r = 0; r < d->n_ranks; r++) d->via_rank[r] = -1;
    memset(d->seen_class, 0, (size_t)d->n_classes * sizeof *d->seen_class);
    d->via_rank[start] = start;
    d->queue[tail++] = start;
    while (head < tail) {
        int rank = d->queue[head++];
        for (int k = 0; k < d->n_classes; k++) {
            if (d->seen_class[k] || !may_use(d, rank, k)) continue;
            d->seen_class[k] = true;
            if (d->classes[k].n_free > 0) {
                apply_path(d, start, rank, k);
                return true;
            }
            for (int r = 0; r < d->n_ranks; r++) {
                if (d->via_rank[r] >= 0 || *flow_at(d, r, k) == 0) continue;
                d->via_rank[r] = rank;
                d->via_class[r] = k;
                d->queue[tail++] = r;
            }
        }
    }
    return false;
}

static bool grow(division_t *d, int r)
{
    rank_t *rank = &d->ranks[r];
    int *quota_left = rank->quota >= 0 ? &d->ranks[rank->quota].quota_left : NULL;
    if (rank->load >= rank->demand || (quota_left != NULL && *quota_left == 0) || !augment(d, r)) return false;
    rank->load++;
    if (quota_left != NULL) --*quota_left;
    return true;
}

/* Grows the ranks that want exactly n (or those that want all), always the poorest that still can. */
static void grow_fair(division_t *d, bool automatic)
{
    for (;;) {
        int poorest = -1;
        for (int r = 0; r < d->n_ranks; r++) {
            const rank_t *rank = &d->ranks[r];
            bool candidate = r != d->driver && (d->descs[r].n_workers < 0) == automatic && rank->load < rank->demand;
            if (candidate && (poorest < 0 || rank->load < d->ranks[poorest].load)) poorest = r;
        }
        if (poorest < 0) return;
        /* Once refused, refused for ever: no more demand. */
        if (!grow(d, poorest)) d->ranks[poorest].demand = d->ranks[poorest].load;
    }
}

static void count_units(division_t *d)
{
    for (int r = 0; r < d->n_ranks; r++)
        if (r != d->driver) d->ranks[r].starving = d->ranks[r].demand > 0 && !grow(d, r);
    if (d->driver >= 0) d->ranks[d->driver].starving = !grow(d, d->driver);
    grow_fair(d, false);
    grow_fair(d, true);
}

/* ---- places: consecutive units ---- */

static int edge_cost(const topo_core_t *a, const topo_core_t *b)
{
    if (a->package != b->package) return EDGE_PACKAGE;
    if (a->numa != b->numa) return EDGE_NUMA;
    return a->cache != b->cache ? EDGE_CACHE : 0;
}

/* True if rank r takes all it gets from class k and may get one unit more or less. */
static bool is_elastic(const division_t *d, int r, int k)
{
    return r != d->driver && d->descs[r].n_workers < 0 && !d->ranks[r].quota_binds && *flow_at(d, r, k) == d->ranks[r].load;
}

/* Gives the units of class k (unit numbers in `members`) to ranks, block by block. */
static int place_class(division_t *d, int k, const int *members, int *edges, topo_block_t *blocks, int *block_rank)
{
    int n_blocks = 0, n_members = d->classes[k].n_units, least = MAX_UNITS, most = 0;
    for (int i = 0; i + 1 < n_members; i++)
        edges[i] = edge_cost(&d->machine->cores[d->units[members[i]].core], &d->machine->cores[d->units[members[i + 1]].core]);
    for (int r = 0; r < d->n_ranks; r++) {
        int size = *flow_at(d, r, k);
        if (size == 0) continue;
        block_rank[n_blocks] = r;
        blocks[n_blocks++] = (topo_block_t){.size = size, .elastic = is_elastic(d, r, k)};
        if (is_elastic(d, r, k) && size < least) least = size;
        if (is_elastic(d, r, k) && size > most) most = size;
    }
    assert(most <= least + 1); /* max-min fair, and they could exchange units of this class */
    (void)least, (void)most;
    int status = topo_blocks_place(edges, n_members, blocks, n_blocks);
    if (status != MRAY_OK) return status;
    for (int b = 0; b < n_blocks; b++)
        for (int i = 0; i < blocks[b].size; i++) d->units[members[blocks[b].start + i]].owner = block_rank[b];
    return MRAY_OK;
}

static int place_units(division_t *d)
{
    size_t n = (size_t)d->n_units + 1, n_ranks = (size_t)d->n_ranks;
    int *members = calloc(2 * n + n_ranks, sizeof *members);
    topo_block_t *blocks = calloc(n_ranks, sizeof *blocks);
    int status = MRAY_OK;
    if (members == NULL || blocks == NULL)
        status = base_error(MRAY_ERR_OUT_OF_MEMORY, "no memory to divide %d cores", d->n_units);
    for (int k = 0; k < d->n_classes && status == MRAY_OK; k++) {
        int n_members = 0;
        for (int u = 0; u < d->n_units; u++)
            if (d->units[u].class_id == k) members[n_members++] = u;
        status = place_class(d, k, members, members + n, blocks, members + 2 * n);
    }
    free(blocks);
    free(members);
    return status;
}

/* True if a rank of r's quota group found nothing left of a quota that binds. */
static bool quota_starves(const division_t *d, int r)
{
    if (!d->ranks[r].quota_binds || d->ranks[r].demand == 0) return false;
    for (int other = 0; other < d->n_ranks; other++)
        if (d->ranks[other].starving && d->ranks[other].quota == d->ranks[r].quota) return true;
    return false;
}

/* Oversubscription spreads to whoever holds a unit that an oversubscribed rank may run on, until nothing changes. */
static void spread_oversubscription(division_t *d)
{
    bool changed = true;
    for (int r = 0; r < d->n_ranks; r++) d->ranks[r].oversubscribed = d->ranks[r].starving || quota_starves(d, r);
    while (changed) {
        changed = false;
        for (int u = 0; u < d->n_units; u++) {
            int owner = d->units[u].owner;
            if (owner < 0 || d->ranks[owner].oversubscribed) continue;
            for (int r = 0; r < d->n_ranks && !d->ranks[owner].oversubscribed; r++)
                if (d->ranks[r].oversubscribed && may_use(d, r, d->units[u].class_id))
                    changed = d->ranks[owner].oversubscribed = true;
        }
    }
}

/* ---- one rank's share ---- */

static bool has_core(const topo_share_t *share, int core)
{
    for (int i = share->n_places - 1; i >= 0; i--)
        if (share->places[i].core == core) return true;
    return false;
}

/* One PU of each core of the rank; with SMT then the second PUs, and so on. */
static void share_places(const division_t *d, int me, topo_share_t *share)
{
    bool smt = d->descs[me].use_smt != 0 && me != d->driver;
    for (int sibling = 0; sibling < (smt ? TOPO_MAX_SMT : 1); sibling++) {
        for (int u = 0; u < d->n_units; u++) {
            const unit_t *unit = &d->units[u];
            if (unit->owner != me || sibling >= unit->n_pus || (!smt && has_core(share, unit->core))) continue;
            share->places[share->n_places++] = (topo_place_t){(int16_t)unit->core, unit->pus[sibling]};
        }
    }
    if (share->n_places > 0 || !d->ranks[me].starving || d->ranks[me].n_eligible == 0) return;
    int skip = me % d->ranks[me].n_eligible;
    for (int u = 0; u < d->n_units; u++) {
        if (!may_use(d, me, d->units[u].class_id) || skip-- > 0) continue;
        share->places[share->n_places++] = (topo_place_t){(int16_t)d->units[u].core, d->units[u].pus[0]};
        return;
    }
}

/* The GPUs of ranks that see the same ones, split among those of them that host workers. */
static void share_gpus(const division_t *d, int me, topo_share_t *share)
{
    const topo_desc_t *mine = &d->descs[me];
    int n_sharers = 0, place = 0;
    for (int r = 0; r < d->n_ranks; r++) {
        const topo_desc_t *desc = &d->descs[r];
        if (r == d->driver || desc->n_workers == 0) continue;
        if (desc->gpu_group != mine->gpu_group || desc->n_gpus != mine->n_gpus) continue;
        if (r < me) place++;
        n_sharers++;
    }
    if (me == d->driver || mine->n_workers == 0) return;
    int each = mine->n_gpus / n_sharers, more = mine->n_gpus % n_sharers;
    share->gpu_first = place * each + (place < more ? place : more);
    share->n_gpus = each + (place < more ? 1 : 0);
}

/* First pair of ranks whose masks overlap and differ; false if there is none. */
static bool find_overlap(const division_t *d, int *a_p, int *b_p)
{
    for (int a = 0; a < d->n_ranks; a++) {
        for (int b = a + 1; b < d->n_ranks; b++) {
            bool common = false, differ = false;
            for (int k = 0; k < d->n_classes; k++) {
                common |= may_use(d, a, k) && may_use(d, b, k);
                differ |= may_use(d, a, k) != may_use(d, b, k);
            }
            if (!common || !differ) continue;
            *a_p = a;
            *b_p = b;
            return true;
        }
    }
    return false;
}

/* "3 ranks have 2 cores": counts what an oversubscribed rank competes for. */
static void note_oversubscribed(const division_t *d, topo_share_t *share)
{
    int n_ranks = 0, n_cores = 0;
    bool quota = false;
    for (int r = 0; r < d->n_ranks; r++) {
        n_ranks += d->ranks[r].oversubscribed;
        quota |= d->ranks[r].oversubscribed && d->ranks[r].quota_binds;
    }
    for (int u = 0; u < d->n_units; u++) n_cores += d->units[u].owner >= 0 && d->ranks[d->units[u].owner].oversubscribed;
    snprintf(share->note, sizeof share->note,
             "%d ranks of this host share %d core%s%s: workers are not bound and take turns; start fewer ranks, or allow more "
             "cores%s",
             n_ranks, n_cores, n_cores == 1 ? "" : "s", quota ? " (a CPU quota)" : "",
             quota ? "" : " (mpirun --bind-to none, a larger cpuset)");
}

static void share_note(const division_t *d, int me, topo_share_t *share)
{
    int a, b;
    char a_text[48], b_text[48];
    share->repaired = find_overlap(d, &a, &b);
    if (share->n_places == 0 && share->n_workers > 0) {
        snprintf(share->note, sizeof share->note,
                 "rank %d may run on none of the CPUs that hwloc shows: its workers are not bound", (int)d->descs[me].rank);
    } else if (d->ranks[me].oversubscribed) {
        note_oversubscribed(d, share);
    } else if (share->n_workers > share->n_places) {
        snprintf(share->note, sizeof share->note,
                 "rank %d was asked for %d workers and has %d cores: its workers take turns on them",
                 (int)d->descs[me].rank, share->n_workers, share->n_places);
    } else if (share->repaired) {
        topo_cpuset_format(&d->descs[a].mask, a_text, sizeof a_text);
        topo_cpuset_format(&d->descs[b].mask, b_text, sizeof b_text);
        snprintf(share->note, sizeof share->note,
                 "ranks %d and %d of this host were started on sets of CPUs that overlap in part "
                 "(%s and %s); they were divided",
                 (int)d->descs[a].rank, (int)d->descs[b].rank, a_text, b_text);
    }
}

static void build_share(const division_t *d, int me, topo_share_t *share)
{
    const rank_t *rank = &d->ranks[me];
    memset(share, 0, sizeof *share);
    share->role = me == d->driver ? TOPO_ROLE_DRIVER : TOPO_ROLE_NODE;
    share_places(d, me, share);
    share_gpus(d, me, share);
    int wanted = d->descs[me].n_workers;
    if (me != d->driver) share->n_workers = wanted >= 0 ? wanted : share->n_places > 0 ? share->n_places : 1;
    share->oversubscribed = rank->oversubscribed || share->n_workers > share->n_places;
    if (rank->oversubscribed || rank->quota_binds || share->n_places == 0)
        share->bind = TOPO_BIND_NONE;
    else
        share->bind = share->n_workers > share->n_places ? TOPO_BIND_SHARE : TOPO_BIND_PLACE;
    share_note(d, me, share);
}

/* ---- entry ---- */

static void division_fini(division_t *d)
{
    free(d->units);
    free(d->classes);
    free(d->ranks);
    free(d->flow);
    free(d->queue);
    free(d->seen_class);
}

static int division_init(division_t *d)
{
    size_t n_ranks = (size_t)d->n_ranks;
    d->units = calloc(MAX_UNITS, sizeof *d->units);
    d->classes = calloc(MAX_UNITS, sizeof *d->classes);
    d->ranks = calloc(n_ranks, sizeof *d->ranks);
    d->queue = calloc(3 * n_ranks, sizeof *d->queue);
    if (d->units == NULL || d->classes == NULL || d->ranks == NULL || d->queue == NULL) goto err_memory;
    d->via_rank = d->queue + n_ranks;
    d->via_class = d->via_rank + n_ranks;
    build_units(d);
    build_ranks(d);
    d->flow = calloc(n_ranks * (size_t)d->n_classes + 1, sizeof *d->flow);
    d->seen_class = calloc((size_t)d->n_classes + 1, sizeof *d->seen_class);
    if (d->flow == NULL || d->seen_class == NULL) goto err_memory;
    return MRAY_OK;

err_memory:
    division_fini(d);
    return base_error(MRAY_ERR_OUT_OF_MEMORY, "no memory to divide the cores among %d ranks", d->n_ranks);
}

/* The ranks disagree about the machine: core numbers mean nothing to each other, so this one counts its own mask, unbound. */
static int divide_alone(const topo_machine_t *machine, const topo_desc_t *mine, bool driver, topo_share_t *share_p)
{
    int status = topo_divide(machine, mine, 1, 0, driver ? 0 : -1, share_p);
    if (status != MRAY_OK) return status;
    share_p->bind = TOPO_BIND_NONE;
    snprintf(share_p->note, sizeof share_p->note,
             "the ranks of this host see different machines (containers, or HWLOC_* variables that differ): "
             "cores are not divided, workers not bound");
    return MRAY_OK;
}

int topo_divide(const topo_machine_t *machine, const topo_desc_t *descs, int n_ranks, int me, int driver_index,
                topo_share_t *share_p)
{
    if (n_ranks < 1 || n_ranks > TOPO_MAX_NODE_RANKS || me < 0 || me >= n_ranks || driver_index >= n_ranks)
        return base_error(MRAY_ERR_INVALID_ARGUMENT, "topo_divide: rank %d of %d on this host (the limit is %d), driver %d", me,
                          n_ranks, TOPO_MAX_NODE_RANKS, driver_index);
    for (int r = 1; r < n_ranks; r++)
        if (descs[r].machine_hash != descs[0].machine_hash) return divide_alone(machine, &descs[me], me == driver_index, share_p);
    division_t d = {.machine = machine, .descs = descs, .n_ranks = n_ranks, .driver = driver_index < 0 ? -1 : driver_index};
    int status = division_init(&d);
    if (status != MRAY_OK) return status;
    count_units(&d);
    status = place_units(&d);
    if (status == MRAY_OK) {
        spread_oversubscription(&d);
        build_share(&d, me, share_p);
    }
    division_fini(&d);
    return status;
}

const topo_place_t *topo_share_place(const topo_share_t *share, int worker)
{
    return worker < 0 || share->n_places == 0 ? NULL : &share->places[worker % share->n_places];
}

void topo_share_distances(const topo_machine_t *machine, const topo_share_t *share, uint8_t *matrix)
{
    for (int a = 0; a < share->n_workers; a++) {
        for (int b = 0; b < share->n_workers; b++) {
            const topo_place_t *pa = topo_share_place(share, a), *pb = topo_share_place(share, b);
            int distance = pa == NULL || pb == NULL ? TOPO_DIST_CORE : topo_distance(machine, pa->core, pb->core);
            matrix[(size_t)a * (size_t)share->n_workers + (size_t)b] = (uint8_t)distance;
        }
    }
}
