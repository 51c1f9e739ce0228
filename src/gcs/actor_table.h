/* actor_table.h: rank 0's table of actors: where each lives, what it is called, who made it. Private memory of rank 0, under its
 * agent's lock.
 *
 *   add  ->  BEING MADE (id 0)  -- made -->  ALIVE  -- remove -->  gone
 *
 * A row has a ticket from the start, and the actor's number on its rank once that rank has made it. A name is taken from add on, until
 * forget_name or remove. */
#ifndef MRAY_GCS_ACTOR_TABLE_H
#define MRAY_GCS_ACTOR_TABLE_H

#include "node_table.h"

#include <mray/ref.h>
#include <mray/status.h>
#include <stdbool.h>
#include <stdint.h>

enum { ACTOR_NAME_BYTES = 64 }; /* with the NUL */

/* An endpoint that can make actors: number is unique on its rank, also over time. */
typedef struct {
    uint32_t rank, number;
} actor_maker_t;

typedef struct {
    char name[ACTOR_NAME_BYTES]; /* "" = none */
    uint32_t ticket;             /* the table's, never 0 */
    uint32_t rank;
    uint32_t id;                 /* 0: being made */
    uint32_t class_fn;           /* constructor's place in the function table */
    actor_maker_t maker;
    node_shape_t shape;          /* what it keeps while it lives */
    mray_ref reply;              /* who waits for it to be made */
    bool detached;               /* outlives its maker */
    bool doomed;                 /* its maker died while it was being made */
} actor_row_t;

typedef struct actor_table actor_table_t;

int actor_table_create(int n_ranks, actor_table_t **table_p);
void actor_table_destroy(actor_table_t *table);

/* Add a copy of row, ticket and id apart. Errors: ACTOR_NAME_TAKEN, OUT_OF_MEMORY. */
int actor_table_add(actor_table_t *table, const actor_row_t *row, uint32_t *ticket_p);
/* Row of a ticket; NULL: none. Rows stay where they are until the next add or remove. */
actor_row_t *actor_table_at(actor_table_t *table, uint32_t ticket);
/* The actor was made: its number. Errors: OUT_OF_MEMORY, INTERNAL (no such ticket). */
int actor_table_made(actor_table_t *table, uint32_t ticket, uint32_t id);
/* Ticket of an actor that is made, by name or by place; 0: none. */
uint32_t actor_table_find_name(const actor_table_t *table, const char *name);
uint32_t actor_table_find(const actor_table_t *table, uint32_t rank, uint32_t id);
/* The next one that is not detached and was made by maker, behind ticket after (0: the first); 0: no more. */
uint32_t actor_table_next_of(const actor_table_t *table, actor_maker_t maker, uint32_t after);
/* The next one that is on that rank, or was made by anybody there and is not detached; likewise. */
uint32_t actor_table_next_with(const actor_table_t *table, uint32_t rank, uint32_t after);
void actor_table_forget_name(actor_table_t *table, uint32_t ticket);
void actor_table_remove(actor_table_t *table, uint32_t ticket);
/* Actors on a rank, those being made included. */
uint32_t actor_table_count(const actor_table_t *table, uint32_t rank);
/* What the actors on a rank keep: CPUs, and of one resource. */
void actor_table_kept(const actor_table_t *table, uint32_t rank, uint32_t resource, uint64_t *cpu_p, uint64_t *amount_p);

#endif
