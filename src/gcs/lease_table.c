/* lease_table.c: rows, shares, filling. */
#include "lease_table.h"

#include "error.h"

#include <stdlib.h>
#include <string.h>

struct lease_table {
    node_table_t *nodes;
    lease_row_t *rows;
    unsigned n_rows, cap_rows;
    uint32_t *used;  /* by rank: granted slots of the shape being settled */
    uint32_t *slots; /* by rank: how many it has */
    uint8_t *skip;
};

int lease_table_create(node_table_t *nodes, lease_table_t **table_p)
{
    lease_table_t *table = calloc(1, sizeof *table);
    size_t n = (size_t)node_table_ranks(nodes);
    if (table != NULL) {
        table->nodes = nodes;
        table->used = calloc(n, sizeof *table->used);
        table->slots = calloc(n, sizeof *table->slots);
        table->skip = calloc(n, sizeof *table->skip);
    }
    if (table == NULL || table->used == NULL || table->slots == NULL || table->skip == NULL) {
        lease_table_destroy(table);
        return base_error(MRAY_ERR_OUT_OF_MEMORY, "cannot allocate the lease table");
    }
    *table_p = table;
    return MRAY_OK;
}

void lease_table_destroy(lease_table_t *table)
{
    if (table == NULL) return;
    for (unsigned i = 0; i < table->n_rows; i++) free(table->rows[i].leases);
    free(table->rows);
    free(table->used);
    free(table->slots);
    free(table->skip);
    free(table);
}

static bool same_shape(const node_shape_t *a, const node_shape_t *b)
{
    return a->cpu == b->cpu && a->resource == b->resource && a->amount == b->amount;
}

static lease_row_t *find(const lease_table_t *table, int holder, const node_shape_t *shape)
{
    for (unsigned i = 0; i < table->n_rows; i++)
        if (table->rows[i].holder == holder && same_shape(&table->rows[i].shape, shape)) return &table->rows[i];
    return NULL;
}

const lease_row_t *lease_table_find(const lease_table_t *table, int holder, const node_shape_t *shape)
{
    return find(table, holder, shape);
}

unsigned lease_table_count(const lease_table_t *table)
{
    return table->n_rows;
}

int lease_table_ask(lease_table_t *table, int holder, const node_shape_t *shape, uint32_t wanted, uint32_t serial)
{
    lease_row_t *row = find(table, holder, shape);
    if (row == NULL) {
        if (table->n_rows == table->cap_rows) {
            unsigned cap = table->cap_rows > 0 ? table->cap_rows * 2 : 16;
            lease_row_t *rows = realloc(table->rows, cap * sizeof *rows);
            if (rows == NULL) return base_error(MRAY_ERR_OUT_OF_MEMORY, "no memory for a lease");
            table->rows = rows;
            table->cap_rows = cap;
        }
        row = &table->rows[table->n_rows++];
        *row = (lease_row_t){.holder = holder, .shape = *shape};
    }
    row->serial = serial;
    row->wanted = wanted > 0 ? wanted : 1;
    row->changed = true;
    return MRAY_OK;
}

/* Take n slots back from entry i. */
static void take_back(lease_table_t *table, lease_row_t *row, unsigned i, uint32_t n)
{
    node_table_give(table->nodes, row->leases[i].rank, &row->shape, n);
    row->leases[i].slots -= n;
    row->granted -= n;
    row->changed = true;
    if (row->leases[i].slots == 0) row->leases[i] = row->leases[--row->n_leases];
}

static void drop_row(lease_table_t *table, lease_row_t *row)
{
    while (row->n_leases > 0) take_back(table, row, 0, row->leases[0].slots);
    free(row->leases);
    *row = table->rows[--table->n_rows];
}

void lease_table_return(lease_table_t *table, int holder, const node_shape_t *shape, uint32_t serial)
{
    lease_row_t *row = find(table, holder, shape);
    if (row != NULL && row->serial == serial) drop_row(table, row);
}

void lease_table_drop_rank(lease_table_t *table, int rank)
{
    for (unsigned i = 0; i < table->n_rows;) {
        lease_row_t *row = &table->rows[i];
        if (row->holder == rank) {
            drop_row(table, row);
            continue;
        }
        for (unsigned k = 0; k < row->n_leases;)
            if (row->leases[k].rank == rank)
                take_back(table, row, k, row->leases[k].slots);
            else
                k++;
        i++;
    }
}

static int add(lease_table_t *table, lease_row_t *row, int rank)
{
    unsigned i = 0;
    while (i < row->n_leases && row->leases[i].rank != rank) i++;
    if (i == row->cap_leases) {
        unsigned cap = row->cap_leases > 0 ? row->cap_leases * 2 : 4;
        lease_t *leases = realloc(row->leases, cap * sizeof *leases);
        if (leases == NULL) return base_error(MRAY_ERR_OUT_OF_MEMORY, "no memory for a lease");
        row->leases = leases;
        row->cap_leases = cap;
    }
    if (i == row->n_leases) row->leases[row->n_leases++] = (lease_t){.rank = rank};
    row->leases[i].slots++;
    row->granted++;
    row->changed = true;
    node_table_take(table->nodes, rank, &row->shape, 1);
    table->used[rank]++;
    return MRAY_OK;
}

/* Capacity, and what is granted of it. */
static uint32_t count_slots(lease_table_t *table, const node_shape_t *shape)
{
    uint64_t capacity = 0;
    int n = node_table_ranks(table->nodes);
    for (int r = 0; r < n; r++) {
        table->slots[r] = node_row_slots(node_table_row(table->nodes, r), shape);
        table->used[r] = 0;
        capacity += table->slots[r];
    }
    for (unsigned i = 0; i < table->n_rows; i++) {
        const lease_row_t *row = &table->rows[i];
        for (unsigned k = 0; same_shape(&row->shape, shape) && k < row->n_leases; k++) table->used[row->leases[k].rank] += row->leases[k].slots;
    }
    return capacity < UINT32_MAX ? (uint32_t)capacity : UINT32_MAX;
}

/* Max-min fair targets: each round divides what is left among those that still want more. */
static void set_targets(lease_table_t *table, const node_shape_t *shape, uint32_t capacity)
{
    uint32_t n_open = 0, left = capacity;
    for (unsigned i = 0; i < table->n_rows; i++) {
        lease_row_t *row = &table->rows[i];
        if (!same_shape(&row->shape, shape)) continue;
        row->target = 0;
        row->changed |= row->capacity != capacity;
        row->capacity = capacity;
        n_open++;
    }
    while (n_open > 0 && left > 0) {
        uint32_t each = left / n_open > 0 ? left / n_open : 1;
        n_open = 0;
        for (unsigned i = 0; i < table->n_rows; i++) {
            lease_row_t *row = &table->rows[i];
            if (!same_shape(&row->shape, shape) || row->target >= row->wanted || left == 0) continue;
            uint32_t more = row->wanted - row->target < each ? row->wanted - row->target : each;
            if (more > left) more = left;
            row->target += more;
            left -= more;
            n_open += row->target < row->wanted;
        }
    }
    for (unsigned i = 0; i < table->n_rows; i++) {
        lease_row_t *row = &table->rows[i];
        if (same_shape(&row->shape, shape) && row->target == 0 && capacity > 0) row->target = 1; /* shared */
    }
}

/* The rank whose slot a row gives back: one that is shared, else one that the holder has most of elsewhere. */
static unsigned worst_lease(const lease_table_t *table, const lease_row_t *row)
{
    unsigned worst = 0;
    for (unsigned k = 0; k < row->n_leases; k++) {
        int r = row->leases[k].rank, w = row->leases[worst].rank;
        if (table->used[r] > table->slots[r]) return k;
        if (w == row->holder || (r != row->holder && row->leases[k].slots > row->leases[worst].slots)) worst = k;
    }
    return worst;
}

static void shrink(lease_table_t *table, const node_shape_t *shape)
{
    for (unsigned i = 0; i < table->n_rows; i++) {
        lease_row_t *row = &table->rows[i];
        if (!same_shape(&row->shape, shape)) continue;
        while (row->granted > row->target) {
            unsigned k = worst_lease(table, row);
            table->used[row->leases[k].rank]--;
            take_back(table, row, k, 1);
        }
    }
}

/* Sharing ends where it need not be: slots granted twice are given back while others are free. */
static void unshare(lease_table_t *table, const node_shape_t *shape)
{
    uint64_t n_free = 0;
    int n = node_table_ranks(table->nodes);
    for (int r = 0; r < n; r++) n_free += table->slots[r] > table->used[r] ? table->slots[r] - table->used[r] : 0;
    for (unsigned i = 0; i < table->n_rows && n_free > 0; i++) {
        lease_row_t *row = &table->rows[i];
        if (!same_shape(&row->shape, shape)) continue;
        for (unsigned k = 0; k < row->n_leases && n_free > 0; k++) {
            int r = row->leases[k].rank;
            if (table->used[r] <= table->slots[r]) continue;
            table->used[r]--;
            n_free--;
            take_back(table, row, k, 1);
            break;
        }
    }
}

/* Ranks that have a free slot; where there is none, those whose slots the fewest share. */
static void set_skip(lease_table_t *table)
{
    int n = node_table_ranks(table->nodes);
    double least = -1;
    for (int r = 0; r < n; r++) {
        if (table->slots[r] == 0) continue;
        double load = table->used[r] < table->slots[r] ? 0 : (double)table->used[r] / table->slots[r];
        if (least < 0 || load < least) least = load;
    }
    for (int r = 0; r < n; r++) {
        double load = table->slots[r] > 0 && table->used[r] >= table->slots[r] ? (double)table->used[r] / table->slots[r] : 0;
        table->skip[r] = table->slots[r] == 0 || load > least;
    }
}

static int fill(lease_table_t *table, const node_shape_t *shape, lease_pick_fn pick, void *ctx)
{
    for (unsigned i = 0; i < table->n_rows; i++) {
        lease_row_t *row = &table->rows[i];
        if (!same_shape(&row->shape, shape)) continue;
        while (row->granted < row->target) {
            set_skip(table);
            int rank = pick(ctx, shape, row->holder, table->skip);
            if (rank < 0) break;
            int status = add(table, row, rank);
            if (status != MRAY_OK) return status;
        }
    }
    return MRAY_OK;
}

int lease_table_settle(lease_table_t *table, lease_pick_fn pick, void *pick_ctx, lease_tell_fn tell, void *tell_ctx)
{
    int status = MRAY_OK;
    for (unsigned i = 0; i < table->n_rows && status == MRAY_OK; i++) {
        const node_shape_t shape = table->rows[i].shape;
        bool seen = false;
        for (unsigned k = 0; k < i && !seen; k++) seen = same_shape(&table->rows[k].shape, &shape);
        if (seen) continue;
        set_targets(table, &shape, count_slots(table, &shape));
        shrink(table, &shape);
        unshare(table, &shape);
        status = fill(table, &shape, pick, pick_ctx);
    }
    for (unsigned i = 0; i < table->n_rows; i++) {
        if (!table->rows[i].changed) continue;
        table->rows[i].changed = false;
        tell(tell_ctx, &table->rows[i]);
    }
    return status;
}

int lease_table_selfcheck(const lease_table_t *table)
{
    int n = node_table_ranks(table->nodes);
    uint64_t *cpu = calloc((size_t)n, sizeof *cpu);
    if (cpu == NULL) return base_error(MRAY_ERR_OUT_OF_MEMORY, "no memory for the check of leases");
    int status = MRAY_OK;
    for (unsigned i = 0; i < table->n_rows; i++) {
        const lease_row_t *row = &table->rows[i];
        uint32_t sum = 0;
        for (unsigned k = 0; k < row->n_leases; k++) {
            sum += row->leases[k].slots;
            cpu[row->leases[k].rank] += (uint64_t)row->leases[k].slots * row->shape.cpu;
        }
        if (sum != row->granted) status = base_error(MRAY_ERR_INTERNAL, "rank %d holds %u slots, its row says %u", row->holder, sum, row->granted);
    }
    for (int r = 0; r < n && status == MRAY_OK; r++)
        if (cpu[r] != node_table_row(table->nodes, r)->cpu_used)
            status = base_error(MRAY_ERR_INTERNAL, "rank %d: %llu CPU units granted, its row says %llu", r, (unsigned long long)cpu[r],
                                (unsigned long long)node_table_row(table->nodes, r)->cpu_used);
    free(cpu);
    return status;
}
