/* policy.c: hybrid and spread. */
#include "policy.h"

#include <string.h>

static const double PACK_BELOW = 0.5;
enum {
    TOP_PART = 5,          /* random among one fifth of the ranks */
    SCORE_BITS = 15,       /* of the fraction; 13 above, since shared ranks are used more than once */
    MAX_NEIGHBOURS = 256,  /* ranks of one node */
};
enum { HYBRID_FITS = 0, HYBRID_HAS_GPU, HYBRID_BUSY };

int sched_distance(const node_row_t *rows, int a, int b)
{
    return a == b ? 0 : rows[a].has.node == rows[b].has.node ? 1 : 2;
}

static uint64_t class_of(uint64_t key)
{
    return key >> SCHED_CLASS_SHIFT;
}

/* ---- hybrid ---- */

static uint32_t hybrid_key(const node_row_t *row, const node_shape_t *shape)
{
    static uint32_t gpu;
    if (gpu == 0) gpu = node_resource_hash("GPU"); /* under rank 0's lock */
    uint32_t class = HYBRID_BUSY;
    if (node_row_available(row, shape)) class = shape->resource != gpu && node_row_amount(row, gpu) > 0 ? HYBRID_HAS_GPU : HYBRID_FITS;
    double used = node_row_utilisation(row), most = (double)((1u << SCHED_CLASS_SHIFT) - 1);
    double score = used < PACK_BELOW ? 0 : used * (1 << SCORE_BITS);
    return class << SCHED_CLASS_SHIFT | (uint32_t)(score < most ? score : most);
}

/* The ranks of preferred's node that stand in the order with that key: itself first, then by number. */
static int neighbours_with(const node_table_t *nodes, const base_order_t *ranks, int preferred, uint64_t key, int *found)
{
    int here[MAX_NEIGHBOURS], n_here = node_table_neighbours(nodes, preferred, here, MAX_NEIGHBOURS), n = 0;
    for (int own = 1; own >= 0; own--)
        for (int i = 0; i < n_here; i++)
            if ((here[i] == preferred) == (own != 0) && base_order_has(ranks, (uint32_t)here[i]) && base_order_key(ranks, (uint32_t)here[i]) == key)
                found[n++] = here[i];
    return n;
}

/* Of the ranks with that key, which begin at position `first`, number j when those of preferred's node come first. */
static int nearest(const node_table_t *nodes, const base_order_t *ranks, int preferred, uint64_t key, uint32_t first, uint32_t j)
{
    int near[MAX_NEIGHBOURS], n_near = neighbours_with(nodes, ranks, preferred, key, near);
    if (j < (uint32_t)n_near) return near[j];
    /* The rest in their order, without those: each that stands before the place moves it on by one. */
    uint32_t at = first + j - (uint32_t)n_near;
    for (int moved = 0; moved < n_near; moved++) {
        int lowest = -1;
        for (int i = 0; i < n_near; i++)
            if (near[i] >= 0 && (lowest < 0 || near[i] < near[lowest])) lowest = i;
        if (base_order_before(ranks, key, (uint32_t)near[lowest]) > at) break;
        at++;
        near[lowest] = -1;
    }
    return (int)base_order_at(ranks, at);
}

static int hybrid_pick(sched_state_t *state, const node_table_t *nodes, const base_order_t *ranks, int preferred)
{
    if (base_order_count(ranks) == 0) return SCHED_INFEASIBLE;
    uint64_t best = base_order_key(ranks, base_order_at(ranks, 0));
    int n_ranks = node_table_ranks(nodes);
    bool known = preferred >= 0 && preferred < n_ranks;
    if (known && base_order_has(ranks, (uint32_t)preferred) && base_order_key(ranks, (uint32_t)preferred) == best) return preferred;
    uint32_t n_class = base_order_before(ranks, (class_of(best) + 1) << SCHED_CLASS_SHIFT, 0);
    uint32_t n_best = n_ranks / TOP_PART > 1 ? (uint32_t)(n_ranks / TOP_PART) : 1;
    if (n_best > n_class) n_best = n_class;
    uint32_t i = (uint32_t)base_rng_below(&state->rng, n_best);
    /* Only the last key among the best may have ranks that are not: there it matters who is near. */
    uint64_t last = base_order_key(ranks, base_order_at(ranks, n_best - 1));
    uint32_t n_before = base_order_before(ranks, last, 0);
    if (!known || i < n_before) return (int)base_order_at(ranks, i);
    return nearest(nodes, ranks, preferred, last, n_before, i - n_before);
}

/* ---- spread ---- */

static uint32_t spread_key(const node_row_t *row, const node_shape_t *shape)
{
    return (node_row_available(row, shape) ? 0u : 1u) << SCHED_CLASS_SHIFT;
}

static int spread_pick(sched_state_t *state, const node_table_t *nodes, const base_order_t *ranks, int preferred)
{
    (void)nodes, (void)preferred;
    if (base_order_count(ranks) == 0) return SCHED_INFEASIBLE;
    uint64_t best = base_order_key(ranks, base_order_at(ranks, 0));
    uint32_t n_best = base_order_before(ranks, best + 1, 0), at = base_order_before(ranks, best, state->turn);
    uint32_t rank = base_order_at(ranks, at < n_best ? at : 0);
    state->turn = rank + 1;
    return (int)rank;
}

const sched_policy_ops_t sched_policy_hybrid = {.name = "hybrid", .key = hybrid_key, .pick = hybrid_pick};
const sched_policy_ops_t sched_policy_spread = {.name = "spread", .key = spread_key, .pick = spread_pick};

const sched_policy_ops_t *sched_policy_of(uint32_t strategy)
{
    return strategy == NODE_STRATEGY_SPREAD ? &sched_policy_spread : &sched_policy_hybrid;
}

const sched_policy_ops_t *sched_policy_find(const char *name)
{
    static const sched_policy_ops_t *const all[] = {&sched_policy_hybrid, &sched_policy_spread};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (strcmp(all[i]->name, name) == 0) return all[i];
    return NULL;
}
