/* lease_pool.c: counting, and orders that follow the node table. */
#include "lease_pool.h"

#include "error.h"

#include <stdlib.h>

int lease_pool_create(node_table_t *nodes, const lease_policy_t *policy, const node_shape_t *shape, lease_pool_t **pool_p)
{
    size_t n = (size_t)node_table_ranks(nodes);
    lease_pool_t *pool = calloc(1, sizeof *pool);
    if (pool != NULL) {
        *pool = (lease_pool_t){.nodes = nodes, .policy = *policy, .shape = *shape, .slots = calloc(n, sizeof *pool->slots), .used = calloc(n, sizeof *pool->used)};
        pool->shape.strategy = NODE_STRATEGY_DEFAULT;
    }
    if (pool == NULL || pool->slots == NULL || pool->used == NULL) {
        lease_pool_destroy(pool);
        return base_error(MRAY_ERR_OUT_OF_MEMORY, "no memory for the leases of another shape");
    }
    *pool_p = pool;
    return MRAY_OK;
}

void lease_pool_destroy(lease_pool_t *pool)
{
    if (pool == NULL) return;
    for (int s = 0; s < NODE_STRATEGIES; s++)
        for (int full = 0; full < 2; full++) base_order_fini(&pool->orders[s][full]);
    free(pool->slots);
    free(pool->used);
    free(pool);
}

/* ---- counting ---- */

static uint64_t more(uint32_t a, uint32_t b)
{
    return a > b ? a - b : 0;
}

/* Change what a rank has or what is granted of it. */
static void set_counts(lease_pool_t *pool, int rank, uint32_t slots, uint32_t used)
{
    uint32_t *has = &pool->slots[rank], *granted = &pool->used[rank];
    pool->capacity += (uint64_t)slots - *has; /* modulo 2^64 */
    pool->n_free += more(slots, used) - more(*has, *granted);
    pool->n_over += more(used, slots) - more(*granted, *has);
    *has = slots;
    *granted = used;
}

void lease_pool_take(lease_pool_t *pool, int rank)
{
    set_counts(pool, rank, pool->slots[rank], pool->used[rank] + 1);
    node_table_take(pool->nodes, rank, &pool->shape, 1);
}

void lease_pool_give(lease_pool_t *pool, int rank)
{
    set_counts(pool, rank, pool->slots[rank], pool->used[rank] - 1);
    node_table_give(pool->nodes, rank, &pool->shape, 1);
}

/* ---- orders ---- */

/* Granted / slots with 12 bits of fraction; 0 while one is free. */
static uint64_t load_of(uint32_t used, uint32_t slots)
{
    return used < slots ? 0 : ((uint64_t)used << 12) / slots;
}

static bool is_full(const lease_pool_t *pool, int rank)
{
    return pool->used[rank] >= pool->slots[rank];
}

static void place(lease_pool_t *pool, int strategy, bool full, int rank)
{
    base_order_t *order = &pool->orders[strategy][full];
    if (pool->slots[rank] == 0 || is_full(pool, rank) != full) {
        base_order_remove(order, (uint32_t)rank);
        return;
    }
    node_shape_t shape = pool->shape;
    shape.strategy = (uint32_t)strategy;
    uint64_t load = load_of(pool->used[rank], pool->slots[rank]), key = pool->policy.key(pool->policy.ctx, node_table_row(pool->nodes, rank), &shape);
    base_order_set(order, (uint32_t)rank, (load < UINT32_MAX ? load : UINT32_MAX) << LEASE_LOAD_SHIFT | key);
}

static void look_at(lease_pool_t *pool, int rank)
{
    set_counts(pool, rank, node_row_slots(node_table_row(pool->nodes, rank), &pool->shape), pool->used[rank]);
    for (int s = 0; s < NODE_STRATEGIES; s++)
        for (int full = 0; full < 2; full++)
            if (pool->has_order[s][full]) place(pool, s, full, rank);
}

bool lease_pool_refresh(lease_pool_t *pool)
{
    uint64_t now = node_table_version(pool->nodes), capacity = pool->capacity;
    if (pool->seen + 1 < now && node_table_changed(pool->nodes, pool->seen + 1) < 0) { /* forgotten, or a new pool: all of them */
        for (int r = 0; r < node_table_ranks(pool->nodes); r++) look_at(pool, r);
        pool->seen = now - 1;
    }
    while (pool->seen + 1 < now) look_at(pool, node_table_changed(pool->nodes, ++pool->seen));
    return pool->capacity != capacity;
}

int lease_pool_pick(lease_pool_t *pool, const node_shape_t *shape, int holder)
{
    uint32_t s = shape->strategy < NODE_STRATEGIES ? shape->strategy : NODE_STRATEGY_DEFAULT;
    (void)lease_pool_refresh(pool);
    bool full = pool->n_free == 0;
    if (!pool->has_order[s][full]) {
        int n = node_table_ranks(pool->nodes), status = base_order_reserve(&pool->orders[s][full], (uint32_t)n);
        if (status != MRAY_OK) return -2;
        pool->has_order[s][full] = true;
        for (int r = 0; r < n; r++) place(pool, (int)s, full, r);
    }
    return pool->policy.pick(pool->policy.ctx, shape, holder, &pool->orders[s][full]);
}

static int check_order(const lease_pool_t *pool, int strategy, bool full)
{
    const base_order_t *order = &pool->orders[strategy][full];
    for (int r = 0; pool->has_order[strategy][full] && r < node_table_ranks(pool->nodes); r++)
        if (base_order_has(order, (uint32_t)r) != (pool->slots[r] > 0 && is_full(pool, r) == full))
            return base_error(MRAY_ERR_INTERNAL, "rank %d has %u slots, %u granted, and stands in the wrong order", r, pool->slots[r], pool->used[r]);
    return base_order_selfcheck(order);
}

int lease_pool_selfcheck(lease_pool_t *pool)
{
    uint64_t capacity = 0, n_free = 0, n_over = 0;
    int status = MRAY_OK;
    (void)lease_pool_refresh(pool);
    for (int r = 0; r < node_table_ranks(pool->nodes); r++) {
        capacity += pool->slots[r];
        n_free += more(pool->slots[r], pool->used[r]);
        n_over += more(pool->used[r], pool->slots[r]);
    }
    if (capacity != pool->capacity || n_free != pool->n_free || n_over != pool->n_over)
        return base_error(MRAY_ERR_INTERNAL, "%llu slots, %llu free, %llu too many; the sums say %llu, %llu, %llu", (unsigned long long)capacity,
                          (unsigned long long)n_free, (unsigned long long)n_over, (unsigned long long)pool->capacity, (unsigned long long)pool->n_free,
                          (unsigned long long)pool->n_over);
    for (int s = 0; s < NODE_STRATEGIES; s++)
        for (int full = 0; full < 2 && status == MRAY_OK; full++) status = check_order(pool, s, full);
    return status;
}

size_t lease_pool_bytes(const lease_pool_t *pool)
{
    size_t bytes = sizeof *pool + (size_t)node_table_ranks(pool->nodes) * (sizeof *pool->slots + sizeof *pool->used);
    for (int s = 0; s < NODE_STRATEGIES; s++)
        for (int full = 0; full < 2; full++) bytes += pool->orders[s][full].capacity * sizeof *pool->orders[s][full].items;
    return bytes;
}
