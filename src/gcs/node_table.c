/* node_table.c: rows, and arithmetic on them. */
#include "node_table.h"

#include "error.h"
#include "hash.h"
#include "map.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    uint32_t resource;
    uint64_t cpu, amount;
} best_t;

struct node_table {
    int n_ranks, n_known;
    node_row_t *rows;
    int32_t *next_here; /* by rank: the next of its node, in a ring */
    base_map_t by_node; /* node -> a rank of it */
    int32_t *changes;   /* ring: of which rank */
    uint64_t version;
    uint32_t n_changes; /* a power of two */
    best_t *best;
    unsigned n_best;
};

static void note_change(node_table_t *table, int rank)
{
    table->changes[table->version++ & (table->n_changes - 1)] = rank;
}

int node_table_create(int n_ranks, node_table_t **table_p)
{
    node_table_t *table = calloc(1, sizeof *table);
    size_t n = (size_t)n_ranks;
    uint32_t n_changes = 64;
    while (n_changes < 2u * (uint32_t)n_ranks) n_changes *= 2;
    if (table != NULL) {
        *table = (node_table_t){.n_ranks = n_ranks, .version = 1, .n_changes = n_changes, .rows = calloc(n, sizeof *table->rows),
                                .next_here = malloc(n * sizeof *table->next_here), .changes = malloc(n_changes * sizeof *table->changes)};
    }
    if (table == NULL || table->rows == NULL || table->next_here == NULL || table->changes == NULL) {
        node_table_destroy(table);
        return base_error(MRAY_ERR_OUT_OF_MEMORY, "cannot allocate the node table of %d ranks", n_ranks);
    }
    for (int r = 0; r < n_ranks; r++) {
        table->rows[r].has.rank = r;
        table->next_here[r] = r;
    }
    *table_p = table;
    return MRAY_OK;
}

void node_table_destroy(node_table_t *table)
{
    if (table == NULL) return;
    base_map_fini(&table->by_node);
    free(table->rows);
    free(table->next_here);
    free(table->changes);
    free(table->best);
    free(table);
}

/* Out of the ring of its node, and into that of another. */
static int move_to_node(node_table_t *table, int rank, int node)
{
    node_row_t *row = &table->rows[rank];
    uint64_t first;
    if (row->state != NODE_UNKNOWN && row->has.node == node) return MRAY_OK;
    if (row->state != NODE_UNKNOWN && table->next_here[rank] != rank) {
        int before = rank;
        while (table->next_here[before] != rank) before = table->next_here[before];
        table->next_here[before] = table->next_here[rank];
        *base_map_find(&table->by_node, base_key64((uint32_t)row->has.node)) = (uint32_t)before;
        table->next_here[rank] = rank;
    } else if (row->state != NODE_UNKNOWN) {
        (void)base_map_remove(&table->by_node, base_key64((uint32_t)row->has.node), NULL);
    }
    if (!base_map_get(&table->by_node, base_key64((uint32_t)node), &first)) return base_map_put(&table->by_node, base_key64((uint32_t)node), (uint32_t)rank);
    table->next_here[rank] = table->next_here[first];
    table->next_here[first] = rank;
    return MRAY_OK;
}

int node_table_set(node_table_t *table, const node_hello_t *hello, uint64_t now_ns)
{
    if (hello->rank < 0 || hello->rank >= table->n_ranks || hello->n_workers < 0 || hello->n_resources < 0 || hello->n_resources > NODE_MAX_RESOURCES)
        return base_error(MRAY_ERR_INVALID_ARGUMENT, "rank %d introduced itself with %d workers and %d resources", hello->rank, hello->n_workers,
                          hello->n_resources);
    node_row_t *row = &table->rows[hello->rank];
    int status = move_to_node(table, hello->rank, hello->node);
    if (status != MRAY_OK) return status;
    if (row->state == NODE_UNKNOWN) table->n_known++;
    *row = (node_row_t){.has = *hello, .state = NODE_ALIVE, .heard_ns = now_ns, .cpu_total = (uint64_t)hello->n_workers * NODE_UNIT};
    table->n_best = 0;
    note_change(table, hello->rank);
    return MRAY_OK;
}

void node_table_heard(node_table_t *table, int rank, uint64_t now_ns)
{
    table->rows[rank].heard_ns = now_ns;
}

void node_table_mark_dead(node_table_t *table, int rank)
{
    if (table->rows[rank].state == NODE_UNKNOWN) {
        table->n_known++;
        table->rows[rank].has.node = -1 - rank; /* nobody's neighbour */
    }
    table->rows[rank].state = NODE_DEAD;
    table->n_best = 0;
    note_change(table, rank);
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
    note_change(table, rank);
}

void node_table_give(node_table_t *table, int rank, const node_shape_t *shape, uint32_t n)
{
    node_row_t *row = &table->rows[rank];
    int i = shape->resource != 0 ? index_of(row, shape->resource) : -1;
    uint64_t cpu = (uint64_t)shape->cpu * n, amount = (uint64_t)shape->amount * n;
    /* A rank that introduced itself again starts from nothing. */
    row->cpu_used -= cpu < row->cpu_used ? cpu : row->cpu_used;
    if (i >= 0) row->used[i] -= amount < row->used[i] ? amount : row->used[i];
    note_change(table, rank);
}

void node_table_best(node_table_t *table, uint32_t resource, uint64_t *cpu_p, uint64_t *amount_p)
{
    best_t found = {.resource = resource};
    unsigned i = 0;
    while (i < table->n_best && table->best[i].resource != resource) i++;
    if (i == table->n_best) {
        for (int r = 0; r < table->n_ranks; r++) {
            const node_row_t *row = &table->rows[r];
            if (row->state != NODE_ALIVE || row->has.n_workers == 0) continue;
            uint64_t amount = node_row_amount(row, resource);
            if (row->cpu_total > found.cpu) found.cpu = row->cpu_total;
            if (amount > found.amount) found.amount = amount;
        }
        best_t *best = realloc(table->best, (table->n_best + 1) * sizeof *best);
        if (best != NULL) { /* else it is looked for again next time */
            best[table->n_best++] = found;
            table->best = best;
        }
    } else {
        found = table->best[i];
    }
    *cpu_p = found.cpu;
    *amount_p = found.amount;
}

uint64_t node_table_version(const node_table_t *table)
{
    return table->version;
}

int node_table_changed(const node_table_t *table, uint64_t version)
{
    bool known = version > 0 && version < table->version && table->version - version <= table->n_changes;
    return known ? table->changes[version & (table->n_changes - 1)] : -1;
}

int node_table_neighbours(const node_table_t *table, int rank, int *ranks, int n)
{
    int n_here = 0, r = rank;
    do {
        if (n_here == n) break;
        int at = n_here++;
        for (; at > 0 && ranks[at - 1] > r; at--) ranks[at] = ranks[at - 1];
        ranks[at] = r;
        r = table->next_here[r];
    } while (r != rank);
    return n_here;
}

size_t node_table_bytes(const node_table_t *table)
{
    return sizeof *table + (size_t)table->n_ranks * (sizeof *table->rows + sizeof *table->next_here) + table->n_changes * sizeof *table->changes +
           table->by_node.n_places * (sizeof *table->by_node.entries + sizeof *table->by_node.tags);
}
