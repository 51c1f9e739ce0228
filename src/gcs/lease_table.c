/* lease_table.c: rows, shares, telling.
 *
 *   group   rows of the same amounts: their pool of slots, and the rows in order: first those that want more, the one that has least
 *           first, then those that have what they want, likewise. So the poorest is the first, the richest the last of either part
 *   row     found by holder, group and strategy */
#include "lease_table.h"

#include "array.h"
#include "error.h"
#include "lease_levels.h"
#include "map.h"

#include <stdlib.h>
#include <string.h>

enum { KEEP_GROUPS = 16 }; /* without rows, for the next time */

typedef struct lease_group {
    lease_pool_t *pool;
    uint32_t id, n_rows;
    lease_levels_t order; /* of row ids */
    lease_row_t **shared;      /* rows whose one slot was another's */
    unsigned n_shared, cap_shared;
    bool unsettled;
} group_t;

struct lease_table {
    node_table_t *nodes;
    lease_policy_t policy;
    group_t **groups;
    unsigned n_groups, cap_groups;
    uint32_t last_group;
    lease_row_t **rows; /* by id; NULL: free */
    uint32_t n_ids, cap_ids, n_rows;
    uint32_t *free_ids; /* n_ids - n_rows of them */
    lease_row_t **changed; /* to be told */
    unsigned n_changed, cap_changed;
    base_map_t by_holder; /* group << 8 | strategy, holder -> id */
    base_map_t by_rank;   /* id, rank -> entry of row->leases */
    lease_t *scratch;
    unsigned cap_scratch;
};

int lease_table_create(node_table_t *nodes, const lease_policy_t *policy, lease_table_t **table_p)
{
    lease_table_t *table = calloc(1, sizeof *table);
    if (table == NULL) return base_error(MRAY_ERR_OUT_OF_MEMORY, "cannot allocate the lease table");
    table->nodes = nodes;
    table->policy = *policy;
    *table_p = table;
    return MRAY_OK;
}

static void group_free(group_t *group)
{
    lease_pool_destroy(group->pool);
    lease_levels_fini(&group->order);
    free(group->shared);
    free(group);
}

void lease_table_destroy(lease_table_t *table)
{
    if (table == NULL) return;
    for (uint32_t i = 0; i < table->n_ids; i++) lease_row_free(table->rows[i]);
    for (unsigned i = 0; i < table->n_groups; i++) group_free(table->groups[i]);
    base_map_fini(&table->by_holder);
    base_map_fini(&table->by_rank);
    free(table->groups);
    free(table->rows);
    free(table->free_ids);
    free(table->changed);
    free(table->scratch);
    free(table);
}

static int no_memory(void)
{
    return base_error(MRAY_ERR_OUT_OF_MEMORY, "no memory for a lease");
}

/* ---- finding ---- */

static group_t *find_group(const lease_table_t *table, const node_shape_t *shape)
{
    for (unsigned i = 0; i < table->n_groups; i++)
        if (node_shape_same_amounts(&table->groups[i]->pool->shape, shape)) return table->groups[i];
    return NULL;
}

static base_key_t holder_key(const group_t *group, const node_shape_t *shape, int holder)
{
    return base_key128((uint64_t)group->id << 8 | (shape->strategy & 0xff), (uint32_t)holder);
}

static lease_row_t *find(const lease_table_t *table, int holder, const node_shape_t *shape)
{
    const group_t *group = find_group(table, shape);
    uint64_t id;
    return group != NULL && base_map_get(&table->by_holder, holder_key(group, shape, holder), &id) ? table->rows[id] : NULL;
}

const lease_row_t *lease_table_find(const lease_table_t *table, int holder, const node_shape_t *shape)
{
    return find(table, holder, shape);
}

uint32_t lease_table_slots(const lease_table_t *table, const lease_row_t *row, int rank)
{
    int entry = lease_row_entry(row, &table->by_rank, rank);
    return entry >= 0 ? row->leases[entry].slots : 0;
}

unsigned lease_table_count(const lease_table_t *table)
{
    return table->n_rows;
}

/* ---- what rows have ---- */

static const uint64_t SATISFIED = UINT64_C(1) << 32;

static uint64_t order_key(const lease_row_t *row)
{
    return (row->granted >= row->wanted ? SATISFIED : 0) | row->granted;
}

/* Room was reserved with its id. */
static void reorder(lease_row_t *row)
{
    lease_levels_set(&row->group->order, row->id, order_key(row));
}

/* The row that has least of those that want more; NULL: none wants more. */
static lease_row_t *poorest(const lease_table_t *table, const group_t *group)
{
    uint32_t id = lease_levels_least(&group->order, SATISFIED);
    return id != LEASE_NO_ROW ? table->rows[id] : NULL;
}

/* The row that has most; NULL: there is none. */
static lease_row_t *richest(const lease_table_t *table, const group_t *group)
{
    uint32_t id = lease_levels_greatest(&group->order, UINT64_MAX), hungry = lease_levels_greatest(&group->order, SATISFIED);
    if (id == LEASE_NO_ROW) return NULL;
    if (hungry == LEASE_NO_ROW) return table->rows[id];
    return table->rows[table->rows[hungry]->granted > table->rows[id]->granted ? hungry : id];
}

static void mark_changed(lease_table_t *table, lease_row_t *row)
{
    if (row->changed_at > 0) return;
    table->changed[table->n_changed++] = row; /* as many places as ids */
    row->changed_at = table->n_changed;
}

static void unmark_changed(lease_table_t *table, lease_row_t *row)
{
    if (row->changed_at == 0) return;
    lease_row_t *last = table->changed[--table->n_changed];
    table->changed[row->changed_at - 1] = last;
    last->changed_at = row->changed_at;
    row->changed_at = 0;
}

static void mark_dirty(lease_table_t *table, lease_row_t *row, int rank)
{
    mark_changed(table, row);
    lease_row_note_dirty(row, rank);
}

static int add(lease_table_t *table, lease_row_t *row, int rank)
{
    lease_t *lease = lease_row_on(row, &table->by_rank, rank);
    if (lease == NULL) return no_memory();
    lease->slots++;
    row->granted++;
    mark_dirty(table, row, rank);
    reorder(row);
    return MRAY_OK;
}

static void note_shared(lease_row_t *row)
{
    group_t *group = row->group;
    if (row->shared_at > 0) return;
    group->shared[group->n_shared++] = row; /* as many places as rows */
    row->shared_at = group->n_shared;
}

static void forget_shared(lease_row_t *row)
{
    group_t *group = row->group;
    if (row->shared_at == 0) return;
    lease_row_t *last = group->shared[--group->n_shared];
    group->shared[row->shared_at - 1] = last;
    last->shared_at = row->shared_at;
    row->shared_at = 0;
}

/* One slot of that entry; returns its rank. The row's place in the order is the caller's to mend. */
static int drop(lease_table_t *table, lease_row_t *row, unsigned entry)
{
    int rank = row->leases[entry].rank;
    if (--row->leases[entry].slots == 0) lease_row_drop_entry(row, &table->by_rank, entry);
    if (--row->granted == 0) forget_shared(row);
    mark_dirty(table, row, rank);
    return rank;
}

static void take_back(lease_table_t *table, lease_row_t *row, unsigned entry)
{
    lease_pool_give(row->group->pool, drop(table, row, entry));
    reorder(row);
}

static void give_back_to(lease_table_t *table, lease_row_t *row, uint32_t most)
{
    while (row->granted > most) lease_pool_give(row->group->pool, drop(table, row, lease_row_worst(row)));
}

/* ---- asking and returning ---- */

static group_t *group_of(lease_table_t *table, const node_shape_t *shape)
{
    group_t *group = find_group(table, shape);
    if (group != NULL) return group;
    for (unsigned i = 0; table->n_groups >= KEEP_GROUPS && i < table->n_groups; i++)
        if (table->groups[i]->n_rows == 0) {
            group_free(table->groups[i]);
            table->groups[i--] = table->groups[--table->n_groups];
        }
    group_t **groups = base_array_room(table->groups, table->n_groups, &table->cap_groups, sizeof *groups);
    if (groups == NULL) return NULL;
    table->groups = groups;
    group = calloc(1, sizeof *group);
    if (group == NULL) return NULL;
    if (lease_pool_create(table->nodes, &table->policy, shape, &group->pool) != MRAY_OK) {
        free(group);
        return NULL;
    }
    group->id = ++table->last_group;
    (void)lease_pool_refresh(group->pool);
    table->groups[table->n_groups++] = group;
    return group;
}

/* Room for a row of that id in all that cannot fail later. */
static bool reserve_id(lease_table_t *table, group_t *group, uint32_t id)
{
    unsigned cap = table->cap_ids;
    lease_row_t **rows = base_array_room(table->rows, id, &table->cap_ids, sizeof *rows);
    if (rows == NULL) return false;
    table->rows = rows;
    if (table->cap_ids != cap) memset(rows + cap, 0, (table->cap_ids - cap) * sizeof *rows);
    if (table->cap_changed < table->cap_ids) {
        lease_row_t **changed = realloc(table->changed, table->cap_ids * sizeof *changed);
        if (changed != NULL) table->changed = changed;
        uint32_t *free_ids = realloc(table->free_ids, table->cap_ids * sizeof *free_ids);
        if (free_ids != NULL) table->free_ids = free_ids;
        if (changed == NULL || free_ids == NULL) return false;
        table->cap_changed = table->cap_ids;
    }
    lease_row_t **shared = base_array_room(group->shared, group->n_rows, &group->cap_shared, sizeof *shared);
    if (shared == NULL) return false;
    group->shared = shared;
    return lease_levels_reserve(&group->order, id + 1) == MRAY_OK;
}

static lease_row_t *new_row(lease_table_t *table, int holder, const node_shape_t *shape)
{
    group_t *group = group_of(table, shape);
    uint32_t n_free = table->n_ids - table->n_rows, id = n_free > 0 ? table->free_ids[n_free - 1] : table->n_ids;
    lease_row_t *row = group != NULL && reserve_id(table, group, id) ? calloc(1, sizeof *row) : NULL;
    if (row == NULL) return NULL;
    *row = (lease_row_t){.holder = holder, .shape = *shape, .id = id, .group = group};
    if (base_map_put(&table->by_holder, holder_key(group, shape, holder), id) != MRAY_OK) {
        free(row);
        return NULL;
    }
    table->rows[id] = row;
    if (id == table->n_ids) table->n_ids++;
    table->n_rows++;
    group->n_rows++;
    return row;
}

int lease_table_ask(lease_table_t *table, int holder, const node_shape_t *shape, uint32_t wanted, uint32_t serial)
{
    lease_row_t *row = find(table, holder, shape);
    if (row == NULL) row = new_row(table, holder, shape);
    if (row == NULL) return no_memory();
    row->whole |= row->serial != serial;
    row->serial = serial;
    row->wanted = wanted > 0 ? wanted : 1;
    row->group->unsettled = true;
    mark_changed(table, row);
    give_back_to(table, row, row->wanted);
    reorder(row);
    return MRAY_OK;
}

static void drop_row(lease_table_t *table, lease_row_t *row)
{
    group_t *group = row->group;
    row->whole = true; /* nothing is to be told */
    give_back_to(table, row, 0);
    unmark_changed(table, row);
    lease_levels_remove(&group->order, row->id);
    (void)base_map_remove(&table->by_holder, holder_key(group, &row->shape, row->holder), NULL);
    table->rows[row->id] = NULL;
    table->free_ids[table->n_ids - table->n_rows] = row->id;
    table->n_rows--;
    group->n_rows--;
    group->unsettled = true;
    lease_row_free(row);
}

void lease_table_return(lease_table_t *table, int holder, const node_shape_t *shape, uint32_t serial)
{
    lease_row_t *row = find(table, holder, shape);
    if (row != NULL && row->serial == serial) drop_row(table, row);
}

void lease_table_drop_rank(lease_table_t *table, int rank)
{
    for (uint32_t id = 0; id < table->n_ids; id++) {
        lease_row_t *row = table->rows[id];
        if (row == NULL) continue;
        if (row->holder == rank) {
            drop_row(table, row);
            continue;
        }
        for (int entry; (entry = lease_row_entry(row, &table->by_rank, rank)) >= 0;) take_back(table, row, (unsigned)entry);
        row->group->unsettled = true;
    }
}

/* ---- shares ---- */

/* The row that has most, if it has two more than that one; else NULL. */
static lease_row_t *richer_by_two(const lease_table_t *table, const lease_row_t *poor)
{
    lease_row_t *rich = richest(table, poor->group);
    return rich->granted > poor->granted + 1 ? rich : NULL;
}

/* A slot changes hands while none is free. Were it given back it would be the one free slot, which any policy picks: so nothing changes for its
 * rank. But one that was granted twice ends there. */
static int move_slot(lease_table_t *table, lease_row_t *rich, lease_row_t *poor)
{
    const lease_pool_t *pool = rich->group->pool;
    unsigned entry = lease_row_worst(rich);
    int rank = rich->leases[entry].rank;
    if (pool->used[rank] > pool->slots[rank]) {
        take_back(table, rich, entry);
        return MRAY_OK;
    }
    int status = add(table, poor, rank);
    if (status != MRAY_OK) return status;
    (void)drop(table, rich, entry);
    reorder(rich);
    return MRAY_OK;
}

static int grant(lease_table_t *table, lease_row_t *row)
{
    int rank = lease_pool_pick(row->group->pool, &row->shape, row->holder);
    if (rank == -2) return no_memory();
    if (rank < 0) return MRAY_OK;
    int status = add(table, row, rank);
    if (status == MRAY_OK) lease_pool_take(row->group->pool, rank);
    return status;
}

/* Sharing ends where it need not be: who got a slot of another's gets a free one. */
static int end_sharing(lease_table_t *table, group_t *group)
{
    lease_pool_t *pool = group->pool;
    int status = MRAY_OK;
    while (group->n_shared > 0 && pool->n_free > 0 && status == MRAY_OK) {
        lease_row_t *row = group->shared[group->n_shared - 1];
        int rank = row->leases[0].rank;
        forget_shared(row);
        if (row->granted > 1 || pool->used[rank] <= pool->slots[rank]) continue;
        take_back(table, row, 0);
        status = grant(table, row);
    }
    return status;
}

/* A rank has less than it had: of its slots as many go back as were granted twice by that. */
static void end_excess(lease_table_t *table, group_t *group)
{
    lease_pool_t *pool = group->pool;
    for (uint32_t id = 0; id < table->n_ids && pool->n_over > 0 && pool->n_free > 0; id++) {
        lease_row_t *row = table->rows[id];
        for (unsigned k = row != NULL && row->group == group ? row->n_leases : 0; k-- > 0;)
            for (int r = row->leases[k].rank; k < row->n_leases && row->leases[k].rank == r && pool->used[r] > pool->slots[r];) take_back(table, row, k);
    }
}

static int share(lease_table_t *table, group_t *group)
{
    lease_pool_t *pool = group->pool;
    int status = end_sharing(table, group);
    lease_row_t *row;
    while (status == MRAY_OK && (row = poorest(table, group)) != NULL) {
        uint32_t before = row->granted;
        lease_row_t *rich = pool->n_free == 0 ? richer_by_two(table, row) : NULL;
        if (rich != NULL) {
            status = move_slot(table, rich, row);
            continue;
        }
        if (pool->n_free == 0 && (before > 0 || pool->capacity == 0)) break;
        bool shares = pool->n_free == 0;
        status = grant(table, row);
        if (row->granted == before) break; /* the policy has none */
        if (shares) note_shared(row);
    }
    return status;
}

static uint32_t capacity_of(const group_t *group)
{
    return group->pool->capacity < UINT32_MAX ? (uint32_t)group->pool->capacity : UINT32_MAX;
}

/* What its holder does not know, in scratch; false without memory. */
static bool list_changes(lease_table_t *table, lease_row_t *row, unsigned *n_p)
{
    unsigned n = row->whole ? row->n_leases : row->n_dirty;
    if (n > table->cap_scratch) {
        lease_t *scratch = realloc(table->scratch, n * sizeof *scratch);
        if (scratch == NULL) return false;
        table->scratch = scratch;
        table->cap_scratch = n;
    }
    for (unsigned i = 0; i < n; i++)
        table->scratch[i] = row->whole ? row->leases[i] : (lease_t){.rank = row->dirty[i], .slots = lease_table_slots(table, row, row->dirty[i])};
    row->n_dirty = 0;
    row->whole = false;
    *n_p = n;
    return true;
}

static int tell_changed(lease_table_t *table, lease_tell_fn tell, void *ctx)
{
    while (table->n_changed > 0) {
        lease_row_t *row = table->changed[table->n_changed - 1];
        bool whole = row->whole;
        unsigned n;
        if (!list_changes(table, row, &n)) return no_memory(); /* told with the next change */
        unmark_changed(table, row);
        row->capacity = capacity_of(row->group);
        tell(ctx, row, table->scratch, n, whole);
    }
    return MRAY_OK;
}

int lease_table_settle(lease_table_t *table, lease_tell_fn tell, void *tell_ctx)
{
    int status = MRAY_OK;
    for (unsigned i = 0; i < table->n_groups; i++) {
        group_t *group = table->groups[i];
        if (group->n_rows == 0) continue;
        bool other_capacity = lease_pool_refresh(group->pool);
        for (uint32_t id = 0; other_capacity && id < table->n_ids; id++)
            if (table->rows[id] != NULL && table->rows[id]->group == group) mark_changed(table, table->rows[id]);
        if (!group->unsettled && !other_capacity) continue;
        group->unsettled = false;
        if (other_capacity) end_excess(table, group);
        int shared = share(table, group);
        if (shared != MRAY_OK) status = shared;
    }
    int told = tell_changed(table, tell, tell_ctx);
    return status != MRAY_OK ? status : told;
}

/* ---- checks ---- */

static int check_row(const lease_table_t *table, const lease_row_t *row)
{
    uint32_t sum = 0;
    for (unsigned k = 0; k < row->n_leases; k++) {
        sum += row->leases[k].slots;
        if (lease_table_slots(table, row, row->leases[k].rank) != row->leases[k].slots)
            return base_error(MRAY_ERR_INTERNAL, "the lease of rank %d on %d is not found", row->holder, row->leases[k].rank);
    }
    if (sum != row->granted) return base_error(MRAY_ERR_INTERNAL, "rank %d holds %u slots, its row says %u", row->holder, sum, row->granted);
    if (row->granted > row->wanted) return base_error(MRAY_ERR_INTERNAL, "rank %d holds %u slots and wants %u", row->holder, row->granted, row->wanted);
    if (!lease_levels_has(&row->group->order, row->id, order_key(row)))
        return base_error(MRAY_ERR_INTERNAL, "rank %d holds %u of %u slots and stands elsewhere in the order", row->holder, row->granted, row->wanted);
    return MRAY_OK;
}

static int check_group(const lease_table_t *table, const group_t *group)
{
    int status = lease_pool_selfcheck(group->pool);
    if (status == MRAY_OK) status = lease_levels_selfcheck(&group->order);
    const lease_row_t *poor = poorest(table, group), *rich = richest(table, group);
    if (status != MRAY_OK || group->unsettled || poor == NULL) return status;
    if (rich->granted > poor->granted + 1) return base_error(MRAY_ERR_INTERNAL, "a row has %u slots while one that wants more has %u", rich->granted, poor->granted);
    if (group->pool->n_free > 0) return base_error(MRAY_ERR_INTERNAL, "%llu slots are free while a row wants more", (unsigned long long)group->pool->n_free);
    return MRAY_OK;
}

int lease_table_selfcheck(const lease_table_t *table)
{
    int n = node_table_ranks(table->nodes), status = MRAY_OK;
    uint64_t *cpu = calloc((size_t)n, sizeof *cpu);
    if (cpu == NULL) return base_error(MRAY_ERR_OUT_OF_MEMORY, "no memory for the check of leases");
    for (uint32_t i = 0; i < table->n_ids && status == MRAY_OK; i++) {
        const lease_row_t *row = table->rows[i];
        if (row == NULL) continue;
        status = check_row(table, row);
        for (unsigned k = 0; k < row->n_leases; k++) cpu[row->leases[k].rank] += (uint64_t)row->leases[k].slots * row->shape.cpu;
    }
    for (int r = 0; r < n && status == MRAY_OK; r++)
        if (cpu[r] != node_table_row(table->nodes, r)->cpu_used)
            status = base_error(MRAY_ERR_INTERNAL, "rank %d: %llu CPU units granted, its row says %llu", r, (unsigned long long)cpu[r],
                                (unsigned long long)node_table_row(table->nodes, r)->cpu_used);
    for (unsigned i = 0; i < table->n_groups && status == MRAY_OK; i++) status = check_group(table, table->groups[i]);
    free(cpu);
    return status;
}

size_t lease_table_bytes(const lease_table_t *table)
{
    size_t bytes = sizeof *table + table->cap_ids * sizeof *table->rows + table->cap_changed * sizeof *table->changed +
                   (table->by_holder.n_places + table->by_rank.n_places) * (sizeof(base_map_entry_t) + 1) + table->cap_scratch * sizeof *table->scratch;
    for (unsigned i = 0; i < table->n_groups; i++) {
        const group_t *g = table->groups[i];
        bytes += sizeof *g + lease_pool_bytes(g->pool) + lease_levels_bytes(&g->order) + g->cap_shared * sizeof *g->shared;
    }
    for (uint32_t i = 0; i < table->n_ids; i++)
        if (table->rows[i] != NULL)
            bytes += sizeof(lease_row_t) + table->rows[i]->cap_leases * sizeof(lease_t) + table->rows[i]->cap_dirty * sizeof(int32_t);
    return bytes;
}
