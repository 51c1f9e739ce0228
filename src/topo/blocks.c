/* blocks.c: dynamic programming over blocks and slack.
 *
 *   best[i][k] = least cost of the blocks i..n-1 when block i starts at base[i] + k
 *
 * base[i] is the sum of the smallest sizes of the blocks before i. k counts what was spent before i: cores left as gaps (when
 * there is room), or the larger sizes given to elastic blocks (when the blocks fill everything). From (i, k) a gap step
 * goes to (i, k+1), and block i of size s to (i+1, k + s - smallest size). A block costs the edges inside it. Time and space
 * are n_blocks x slack; both are at most the cores of a node. */
#include "blocks.h"
#include "error.h"

#include <limits.h>
#include <stdlib.h>

typedef struct {
    const int *prefix; /* prefix[i] = edge_cost[0] + ... + edge_cost[i-1] */
    int *min_size, *base;
    int *best; /* (n_blocks + 1) x (slack + 1) */
    int n_cores, slack;
    bool gaps;
} plan_t;

static int block_cost(const plan_t *plan, int start, int size)
{
    return size < 2 ? 0 : plan->prefix[start + size - 1] - plan->prefix[start];
}

static int *best_at(const plan_t *plan, int block, int k)
{
    return &plan->best[(size_t)block * (size_t)(plan->slack + 1) + (size_t)k];
}

/* Cost from (i, k) if block i starts there with `extra` cores above its smallest size; INT_MAX if that leads nowhere. */
static int cost_with(const plan_t *plan, int i, int k, int extra)
{
    int start = plan->base[i] + k, size = plan->min_size[i] + extra;
    if (k + extra > plan->slack && !plan->gaps) return INT_MAX;
    if (start + size > plan->n_cores) return INT_MAX;
    int rest = *best_at(plan, i + 1, k + extra);
    return rest == INT_MAX ? INT_MAX : rest + block_cost(plan, start, size);
}

static void fill_best(plan_t *plan, const topo_block_t *blocks, int n_blocks)
{
    /* With gaps any rest is fine; without, every extra core must have been given away. */
    for (int k = 0; k <= plan->slack; k++) *best_at(plan, n_blocks, k) = plan->gaps || k == plan->slack ? 0 : INT_MAX;
    for (int i = n_blocks - 1; i >= 0; i--) {
        for (int k = plan->slack; k >= 0; k--) {
            int cost = cost_with(plan, i, k, 0);
            if (!plan->gaps && blocks[i].elastic) {
                int larger = cost_with(plan, i, k, 1);
                if (larger < cost) cost = larger;
            }
            if (plan->gaps && k < plan->slack && *best_at(plan, i, k + 1) < cost) cost = *best_at(plan, i, k + 1);
            *best_at(plan, i, k) = cost;
        }
    }
}

/* Walks the table from its start; among equal costs prefers the larger block, and no gap. */
static void follow_best(const plan_t *plan, topo_block_t *blocks, int n_blocks)
{
    int k = 0;
    for (int i = 0; i < n_blocks; i++) {
        int cost = *best_at(plan, i, k), extra = 0;
        if (plan->gaps) {
            while (cost_with(plan, i, k, 0) != cost) k++;
        } else if (blocks[i].elastic && cost_with(plan, i, k, 1) == cost) {
            extra = 1;
        }
        blocks[i].start = plan->base[i] + k;
        blocks[i].size = plan->min_size[i] + extra;
        k += extra;
    }
}

/* Smallest sizes and what is left over: gaps if the blocks leave room, else the extras of the elastic blocks. */
static void measure_blocks(plan_t *plan, const topo_block_t *blocks, int n_blocks)
{
    int total = 0, least = INT_MAX, extras = 0, at = 0;
    for (int i = 0; i < n_blocks; i++) {
        total += blocks[i].size;
        if (blocks[i].elastic && blocks[i].size < least) least = blocks[i].size;
    }
    plan->gaps = total < plan->n_cores;
    for (int i = 0; i < n_blocks; i++) {
        plan->min_size[i] = !plan->gaps && blocks[i].elastic ? least : blocks[i].size;
        plan->base[i] = at;
        extras += blocks[i].size - plan->min_size[i];
        at += plan->min_size[i];
    }
    plan->slack = plan->gaps ? plan->n_cores - total : extras;
}

int topo_blocks_place(const int *edge_cost, int n_cores, topo_block_t *blocks, int n_blocks)
{
    if (n_blocks == 0) return MRAY_OK;
    int *numbers = calloc((size_t)n_cores + 2 * (size_t)n_blocks + 1, sizeof *numbers);
    if (numbers == NULL) goto err_memory;
    plan_t plan = {.prefix = numbers, .min_size = numbers + n_cores + 1, .n_cores = n_cores};
    plan.base = plan.min_size + n_blocks;
    for (int i = 0; i + 1 < n_cores; i++) numbers[i + 1] = numbers[i] + edge_cost[i];
    measure_blocks(&plan, blocks, n_blocks);
    plan.best = calloc((size_t)(n_blocks + 1) * (size_t)(plan.slack + 1), sizeof *plan.best);
    if (plan.best == NULL) goto err_memory;
    fill_best(&plan, blocks, n_blocks);
    follow_best(&plan, blocks, n_blocks);
    free(plan.best);
    free(numbers);
    return MRAY_OK;

err_memory:
    free(numbers);
    return base_error(MRAY_ERR_OUT_OF_MEMORY, "no memory to divide %d cores among %d ranks", n_cores, n_blocks);
}
