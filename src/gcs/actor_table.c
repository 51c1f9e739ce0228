/* actor_table.c: rows in an array, three maps to find them. */
#include "actor_table.h"

#include "error.h"
#include "hash.h"
#include "map.h"

#include <stdlib.h>
#include <string.h>

struct actor_table {
    actor_row_t *rows; /* the first n_rows are used; removal moves the last one into the gap */
    size_t n_rows, capacity;
    uint32_t last_ticket;
    uint32_t *counts; /* by rank */
    base_map_t kept;  /* rank, resource (0: CPUs) -> how much of it actors keep */
    uint32_t n_ranks;
    base_map_t by_ticket, by_name, by_place; /* ticket -> row; hash of the name, place -> ticket */
};

static base_key_t name_key(const char *name)
{
    size_t n = strlen(name);
    return base_key128(base_hash64(name, n), base_hash64_seeded(name, n, 1));
}

static base_key_t place_key(uint32_t rank, uint32_t id)
{
    return base_key128(rank, id);
}

int actor_table_create(int n_ranks, actor_table_t **table_p)
{
    actor_table_t *table = calloc(1, sizeof *table);
    if (table != NULL) table->counts = calloc((size_t)n_ranks, sizeof *table->counts);
    if (table == NULL || table->counts == NULL) {
        free(table);
        return base_error(MRAY_ERR_OUT_OF_MEMORY, "cannot allocate the table of actors");
    }
    table->n_ranks = (uint32_t)n_ranks;
    *table_p = table;
    return MRAY_OK;
}

void actor_table_destroy(actor_table_t *table)
{
    if (table == NULL) return;
    base_map_fini(&table->by_ticket);
    base_map_fini(&table->by_name);
    base_map_fini(&table->by_place);
    base_map_fini(&table->kept);
    free(table->rows);
    free(table->counts);
    free(table);
}

actor_row_t *actor_table_at(actor_table_t *table, uint32_t ticket)
{
    uint64_t row;
    return base_map_get(&table->by_ticket, base_key64(ticket), &row) ? &table->rows[row] : NULL;
}

static int make_room(actor_table_t *table)
{
    if (table->n_rows < table->capacity) return MRAY_OK;
    size_t capacity = table->capacity > 0 ? table->capacity * 2 : 32;
    actor_row_t *rows = realloc(table->rows, capacity * sizeof *rows);
    if (rows == NULL) return base_error(MRAY_ERR_OUT_OF_MEMORY, "no memory for another actor: there are %zu", table->n_rows);
    table->rows = rows;
    table->capacity = capacity;
    return MRAY_OK;
}

static uint64_t *kept_of(actor_table_t *table, uint32_t rank, uint32_t resource)
{
    return base_map_find(&table->kept, base_key128(rank, resource));
}

/* Entries stay once they were made, so that only adding an actor can lack memory. */
static int make_kept(actor_table_t *table, uint32_t rank, uint32_t resource)
{
    return kept_of(table, rank, resource) != NULL ? MRAY_OK : base_map_put(&table->kept, base_key128(rank, resource), 0);
}

static void keep(actor_table_t *table, const actor_row_t *row, int sign)
{
    *kept_of(table, row->rank, 0) += (uint64_t)((int64_t)row->shape.cpu * sign);
    if (row->shape.resource != 0) *kept_of(table, row->rank, row->shape.resource) += (uint64_t)((int64_t)row->shape.amount * sign);
}

int actor_table_add(actor_table_t *table, const actor_row_t *row, uint32_t *ticket_p)
{
    if (row->name[0] != 0 && base_map_get(&table->by_name, name_key(row->name), NULL))
        return base_error(MRAY_ERR_ACTOR_NAME_TAKEN, "an actor named '%s' exists already; find it with mray_actor_find(), or end it first", row->name);
    int status = make_room(table);
    if (status == MRAY_OK) status = make_kept(table, row->rank, 0);
    if (status == MRAY_OK) status = make_kept(table, row->rank, row->shape.resource);
    if (status != MRAY_OK) return status;
    uint32_t ticket = table->last_ticket;
    do ticket++;
    while (ticket == 0 || base_map_get(&table->by_ticket, base_key64(ticket), NULL));
    status = base_map_put(&table->by_ticket, base_key64(ticket), table->n_rows);
    if (status == MRAY_OK && row->name[0] != 0) {
        status = base_map_put(&table->by_name, name_key(row->name), ticket);
        if (status != MRAY_OK) (void)base_map_remove(&table->by_ticket, base_key64(ticket), NULL);
    }
    if (status != MRAY_OK) return status;
    actor_row_t *added = &table->rows[table->n_rows++];
    *added = *row;
    added->ticket = table->last_ticket = ticket;
    added->id = 0;
    table->counts[row->rank]++;
    keep(table, row, 1);
    *ticket_p = ticket;
    return MRAY_OK;
}

int actor_table_made(actor_table_t *table, uint32_t ticket, uint32_t id)
{
    actor_row_t *row = actor_table_at(table, ticket);
    if (row == NULL || row->id != 0 || id == 0) return base_error(MRAY_ERR_INTERNAL, "actor %u was made for ticket %u, which is none", id, ticket);
    int status = base_map_put(&table->by_place, place_key(row->rank, id), ticket);
    if (status == MRAY_OK) row->id = id;
    return status;
}

uint32_t actor_table_find_name(const actor_table_t *table, const char *name)
{
    uint64_t ticket, row;
    if (!base_map_get(&table->by_name, name_key(name), &ticket)) return 0;
    if (!base_map_get(&table->by_ticket, base_key64(ticket), &row) || table->rows[row].id == 0) return 0;
    return (uint32_t)ticket;
}

uint32_t actor_table_find(const actor_table_t *table, uint32_t rank, uint32_t id)
{
    uint64_t ticket;
    return base_map_get(&table->by_place, place_key(rank, id), &ticket) ? (uint32_t)ticket : 0;
}

uint32_t actor_table_next_of(const actor_table_t *table, actor_maker_t maker, uint32_t after)
{
    uint32_t next = 0;
    for (size_t i = 0; i < table->n_rows; i++) {
        const actor_row_t *row = &table->rows[i];
        if (row->detached || row->maker.rank != maker.rank || row->maker.number != maker.number || row->ticket <= after) continue;
        if (next == 0 || row->ticket < next) next = row->ticket;
    }
    return next;
}

uint32_t actor_table_next_with(const actor_table_t *table, uint32_t rank, uint32_t after)
{
    uint32_t next = 0;
    for (size_t i = 0; i < table->n_rows; i++) {
        const actor_row_t *row = &table->rows[i];
        if ((row->rank != rank && (row->detached || row->maker.rank != rank)) || row->ticket <= after) continue;
        if (next == 0 || row->ticket < next) next = row->ticket;
    }
    return next;
}

void actor_table_forget_name(actor_table_t *table, uint32_t ticket)
{
    actor_row_t *row = actor_table_at(table, ticket);
    if (row == NULL || row->name[0] == 0) return;
    (void)base_map_remove(&table->by_name, name_key(row->name), NULL);
    row->name[0] = 0;
}

void actor_table_remove(actor_table_t *table, uint32_t ticket)
{
    actor_row_t *row = actor_table_at(table, ticket);
    if (row == NULL) return;
    actor_table_forget_name(table, ticket);
    if (row->id != 0) (void)base_map_remove(&table->by_place, place_key(row->rank, row->id), NULL);
    (void)base_map_remove(&table->by_ticket, base_key64(ticket), NULL);
    table->counts[row->rank]--;
    keep(table, row, -1);
    size_t last = --table->n_rows;
    if (row == &table->rows[last]) return;
    *row = table->rows[last];
    *base_map_find(&table->by_ticket, base_key64(row->ticket)) = (uint64_t)(row - table->rows);
}

uint32_t actor_table_count(const actor_table_t *table, uint32_t rank)
{
    return rank < table->n_ranks ? table->counts[rank] : 0;
}

void actor_table_kept(const actor_table_t *table, uint32_t rank, uint32_t resource, uint64_t *cpu_p, uint64_t *amount_p)
{
    *cpu_p = *amount_p = 0;
    (void)base_map_get(&table->kept, base_key128(rank, 0), cpu_p);
    if (resource != 0) (void)base_map_get(&table->kept, base_key128(rank, resource), amount_p);
}
