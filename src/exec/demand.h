/* demand.h: what one rank wants of one shape: its queued tasks, and the leases it has for them. The data structure under leases.c.
 *
 * The queue is fair among submitters: a lane for each (by a hash of its endpoint), taken from in turn. Records stand in it by their `next`,
 * MOVING in the agent's hands.
 *
 * A place is a rank with slots, or with tasks that are not over. Those that have room stand in an order, the least full one first; of a
 * demand that is spread, among equals the one that had to wait longest. Each change is O(log places). */
#ifndef MRAY_EXEC_DEMAND_H
#define MRAY_EXEC_DEMAND_H

#include "endpoint.h"
#include "map.h"
#include "node_table.h"
#include "order.h"

enum { DEMAND_LANES = 16 };

typedef struct {
    int32_t rank;
    uint32_t slots, outstanding; /* granted; tasks sent there that are not over */
    uint32_t turn;               /* when the last one was sent there */
    bool counted; /* false: tasks get there without being counted, so it never has room for one that is sent */
    uint64_t heard_ns;           /* when a task was sent there or came back last */
    bool recalling;              /* asked for unstarted ones (recall.h) */
} demand_place_t;

typedef struct {
    node_shape_t shape;
    bool plain;  /* one CPU and nothing else */
    bool asking; /* rank 0 has not answered yet */
    bool warned;
    bool fresh;  /* something came: a task, a grant, room */
    uint32_t n_queued, next_lane;
    rid_t head[DEMAND_LANES], tail[DEMAND_LANES];
    uint32_t ahead; /* tasks a slot that may be on the way or wait at its rank */
    demand_place_t *places;
    unsigned n_places, cap_places;
    base_map_t by_rank;   /* -> index in places */
    base_order_t by_load; /* of indices: places with room */
    uint32_t turn;
    uint32_t serial, asked, granted, capacity; /* capacity: slots in the whole job, as rank 0 said last */
    uint64_t room, outstanding; /* sums over the places */
    uint64_t best_cpu, best_amount;
    uint64_t used_ns;    /* last seen in use; 0 = it is just now */
    uint64_t waiting_ns; /* since when tasks are queued; 0 = none */
} demand_t;

typedef struct {
    demand_t **items;
    unsigned n, cap;
    uint32_t serial; /* of asks */
    node_resource_t *names;
    unsigned n_names, cap_names;
} demand_list_t;

/* The demand of that shape, made if need be; NULL without memory. The first is never reused for another shape. */
demand_t *demand_of(demand_list_t *list, const node_shape_t *shape, bool plain, uint32_t ahead);
demand_t *demand_find(const demand_list_t *list, const node_shape_t *shape);
void demand_list_fini(demand_list_t *list);

void demand_push(demand_t *d, ep_t *ep, rid_t rid, record_t *rec);
/* Oldest of the next lane; 0 when empty. */
rid_t demand_pop(demand_t *d, ep_t *ep);
/* Back to the front: the next pop gives it again. */
void demand_unpop(demand_t *d, ep_t *ep, rid_t rid, record_t *rec);

demand_place_t *demand_place(const demand_t *d, int rank);
/* The least full place with room; NULL: none has. */
demand_place_t *demand_best(const demand_t *d);
bool demand_has_room(const demand_t *d, const demand_place_t *place);
/* So many slots there from now on; a place of none goes when no task is out there. False without memory. */
bool demand_set_slots(demand_t *d, int rank, uint32_t slots, bool counted);
/* by tasks more (or less) are out there. place may be gone afterwards. */
void demand_count(demand_t *d, demand_place_t *place, int by);
/* No slots anywhere; tasks that are out stay counted. */
void demand_clear_slots(demand_t *d);
/* All leases are given back. */
void demand_forget(demand_t *d);
/* Check sums and order. Errors: INTERNAL. */
int demand_selfcheck(const demand_t *d);

/* Names behind hashes, for messages. */
void demand_note_name(demand_list_t *list, uint32_t hash, const char *name);
const char *demand_name(const demand_list_t *list, uint32_t hash);

#endif
