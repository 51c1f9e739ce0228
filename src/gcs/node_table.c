/* node_table.c: rows, and arithmetic on them. */
#include "node_table.h"

#include "error.h"
#include "hash.h"

#include <stdlib.h>
#include <string.h>

struct node_table {
    int n_ranks, n_known;
    node_row_t *rows;
};

int node_table_create(int n_ranks, node_table_t **table_p)
{
    node_table_t *table = calloc(1, sizeof *table);
    node_row_t *rows = calloc((size_t)n_ranks, sizeof *rows);
    if (table == NULL || rows == NULL) {
        free(table);
        free(rows);
        return base_error(MRAY_ERR_OUT_OF_MEMORY, "cannot allocate the node table of %d ranks", n_ranks);
    }
    for (int r = 0; r < n_ranks; r++) rows[r].has.rank = r;
    *table = (node_table_t){.n_ranks = n_ranks, .rows = rows};
    *table_p = table;
    return MRAY_OK;
}

void node_table_destroy(node_table_t *table)
{
    if (table == NULL) return;
    free(table->rows);
    free(table);
}

int node_table_set(node_table_t *table, const node_hello_t *hello, uint64_t now_ns)
{
    if (hello->rank < 0 || hello->rank >= table->n_ranks || hello->n_workers < 0 || hello->n_resources < 0 || hello->n_resources > NODE_MAX_RESOURCES)
        return base_error(MRAY_ERR_INVALID_ARGUMENT, "rank %d introduced itself with %d workers and %d resources", hello->rank, hello->n_workers,
                          hello->n_resources);
    node_row_t *row = &table->rows[hello->rank];
    if (row->state == NODE_UNKNOWN) table->n_known++;
    *row = (node_row_t){.has = *hello, .state = NODE_ALIVE, .heard_ns = now_ns, .cpu_total = (uint64_t)hello->n_workers * NODE_UNIT};
    return MRAY_OK;
}

void node_table_heard(node_table_t *table, int rank, uint64_t now_ns)
{
    table->rows[rank].heard_ns = now_ns;
}

void node_table_mark_dead(node_table_t *table, int rank)
{
    if (table->rows[rank].state == NODE_UNKNOWN) table->n_known++;
    table->rows[rank].state = NODE_DEAD;
}

int node_table_ranks(const node_table_t *table)
{
    return table->n_ranks;
}

const node_row_t *node_table_rows(const node_table_t *table)
{
    return table->rows;
}

const node_row_t *node_table_row(const node_table_t *table, int rank)
{
    return rank >= 0 && rank < table->n_ranks ? &table->rows[rank] : NULL;
}

int node_table_known(const node_table_t *table)
{
    return table->n_known;
}

uint32_t node_resource_hash(const char *name)
{
    uint32_t hash = (uint32_t)base_hash_name(name);
    return hash != 0 ? hash : 1;
}

static int index_of(const node_row_t *row, uint32_t resource)
{
    for (int i = 0; i < row->has.n_resources; i++)
        if (row->has.resources[i].hash == resource) return i;
    return -1;
}

uint64_t node_row_amount(const node_row_t *row, uint32_t resource)
{
    int i = index_of(row, resource);
    return i >= 0 ? row->has.resources[i].total : 0;
}

uint32_t node_row_slots(const node_row_t *row, const node_shape_t *shape)
{
    if (row->state != NODE_ALIVE || row->has.n_workers == 0) return 0;
    uint64_t n = UINT32_MAX;
    if (shape->cpu > 0) n = row->cpu_total / shape->cpu;
    if (shape->resource != 0) {
        uint64_t have = node_row_amount(row, shape->resource);
        if (shape->amount == 0 && have == 0) return 0;
        if (shape->amount > 0 && have / shape->amount < n) n = have / shape->amount;
    }
    return n == UINT32_MAX ? NODE_FREE_SLOTS : (uint32_t)n;
}

bool node_row_available(const node_row_t *row, const node_shape_t *shape)
{
    if (node_row_slots(row, shape) == 0 || row->cpu_used + shape->cpu > row->cpu_total) return false;
    int i = shape->resource != 0 ? index_of(row, shape->resource) : -1;
    return i < 0 || row->used[i] + shape->amount <= row->has.resources[i].total;
}

double node_row_utilisation(const node_row_t *row)
{
    return row->cpu_total > 0 ? (double)row->cpu_used / (double)row->cpu_total : 0;
}

void node_table_take(node_table_t *table, int rank, const node_shape_t *shape, uint32_t n)
{
    node_row_t *row = &table->rows[rank];
    int i = shape->resource != 0 ? index_of(row, shape->resource) : -1;
    row->cpu_used += (uint64_t)shape->cpu * n;
    if (i >= 0) row->used[i] += (uint64_t)shape->amount * n;
}

void node_table_give(node_table_t *table, int rank, const node_shape_t *shape, uint32_t n)
{
    node_row_t *row = &table->rows[rank];
    int i = shape->resource != 0 ? index_of(row, shape->resource) : -1;
    uint64_t cpu = (uint64_t)shape->cpu * n, amount = (uint64_t)shape->amount * n;
    /* A rank that introduced itself again starts from nothing. */
    row->cpu_used -= cpu < row->cpu_used ? cpu : row->cpu_used;
    if (i >= 0) row->used[i] -= amount < row->used[i] ? amount : row->used[i];
}

void node_table_best(const node_table_t *table, uint32_t resource, uint64_t *cpu_p, uint64_t *amount_p)
{
    *cpu_p = *amount_p = 0;
    for (int r = 0; r < table->n_ranks; r++) {
        const node_row_t *row = &table->rows[r];
        if (row->state != NODE_ALIVE || row->has.n_workers == 0) continue;
        uint64_t amount = node_row_amount(row, resource);
        if (row->cpu_total > *cpu_p) *cpu_p = row->cpu_total;
        if (amount > *amount_p) *amount_p = amount;
    }
}
