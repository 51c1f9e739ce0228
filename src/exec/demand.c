/* demand.c: lanes, places, names. */
#include "demand.h"

#include "array.h"
#include "error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REUSE_FROM = 64 }; /* shapes, above which those that rest are reused */

demand_t *demand_find(const demand_list_t *list, const node_shape_t *shape)
{
    for (unsigned i = 0; i < list->n; i++)
        if (node_shape_same(&list->items[i]->shape, shape)) return list->items[i];
    return NULL;
}

static void free_places(demand_t *d)
{
    free(d->places);
    base_map_fini(&d->by_rank);
    base_order_fini(&d->by_load);
}

static bool rests(const demand_t *d)
{
    return !d->plain && d->n_queued == 0 && d->asked == 0 && d->n_places == 0;
}

demand_t *demand_of(demand_list_t *list, const node_shape_t *shape, bool plain, uint32_t ahead)
{
    demand_t *d = demand_find(list, shape);
    if (d != NULL) return d;
    for (unsigned i = 0; list->n >= REUSE_FROM && d == NULL && i < list->n; i++)
        if (rests(list->items[i])) d = list->items[i];
    if (d != NULL) {
        free_places(d);
    } else {
        demand_t **items = base_array_room(list->items, list->n, &list->cap, sizeof *items);
        if (items == NULL) return NULL;
        list->items = items;
        d = malloc(sizeof *d);
        if (d == NULL) return NULL;
        list->items[list->n++] = d;
    }
    *d = (demand_t){.shape = *shape, .plain = plain, .ahead = ahead};
    return d;
}

void demand_list_fini(demand_list_t *list)
{
    for (unsigned i = 0; i < list->n; i++) {
        free_places(list->items[i]);
        free(list->items[i]);
    }
    free(list->items);
    free(list->names);
    *list = (demand_list_t){0};
}

static unsigned lane_of(const record_t *rec)
{
    return (rec->creator + (rec->creator >> 8) * 5u) % DEMAND_LANES;
}

void demand_push(demand_t *d, ep_t *ep, rid_t rid, record_t *rec)
{
    unsigned lane = lane_of(rec);
    atomic_store_explicit(&rec->next, 0, memory_order_relaxed);
    if (d->head[lane] == 0)
        d->head[lane] = rid;
    else
        atomic_store_explicit(&record_at(ep, d->tail[lane])->next, rid, memory_order_relaxed);
    d->tail[lane] = rid;
    d->n_queued++;
}

rid_t demand_pop(demand_t *d, ep_t *ep)
{
    for (unsigned i = 0; d->n_queued > 0 && i < DEMAND_LANES; i++) {
        unsigned lane = d->next_lane++ % DEMAND_LANES;
        rid_t rid = d->head[lane];
        if (rid == 0) continue;
        d->head[lane] = atomic_load_explicit(&record_at(ep, rid)->next, memory_order_relaxed);
        d->n_queued--;
        return rid;
    }
    return 0;
}

void demand_unpop(demand_t *d, ep_t *ep, rid_t rid, record_t *rec)
{
    (void)ep;
    unsigned lane = lane_of(rec);
    atomic_store_explicit(&rec->next, d->head[lane], memory_order_relaxed);
    if (d->head[lane] == 0) d->tail[lane] = rid;
    d->head[lane] = rid;
    d->next_lane = lane;
    d->n_queued++;
}

/* ---- places ---- */

demand_place_t *demand_place(const demand_t *d, int rank)
{
    uint64_t i;
    return base_map_get(&d->by_rank, base_key64((uint32_t)rank), &i) ? &d->places[i] : NULL;
}

static uint64_t room_at(const demand_t *d, const demand_place_t *p)
{
    uint64_t most = (uint64_t)p->slots * d->ahead;
    return p->counted && most > p->outstanding ? most - p->outstanding : 0;
}

bool demand_has_room(const demand_t *d, const demand_place_t *place)
{
    return room_at(d, place) > 0;
}

demand_place_t *demand_best(const demand_t *d)
{
    return base_order_count(&d->by_load) > 0 ? &d->places[base_order_at(&d->by_load, 0)] : NULL;
}

/* Tasks a slot with 20 bits of fraction, then who had the last one longest ago. */
static void reorder(demand_t *d, const demand_place_t *p)
{
    uint32_t i = (uint32_t)(p - d->places);
    if (room_at(d, p) == 0) {
        base_order_remove(&d->by_load, i);
        return;
    }
    uint64_t load = ((uint64_t)p->outstanding << 20) / p->slots;
    base_order_set(&d->by_load, i, load << 32 | (d->shape.strategy == NODE_STRATEGY_SPREAD ? p->turn : 0));
}

static void set_place(demand_t *d, demand_place_t *p, uint32_t slots, uint32_t outstanding, bool counted)
{
    d->room -= room_at(d, p);
    d->granted += slots - p->slots; /* modulo 2^32 */
    d->outstanding += (uint64_t)outstanding - p->outstanding;
    p->slots = slots;
    p->outstanding = outstanding;
    p->counted = counted;
    d->room += room_at(d, p);
    reorder(d, p);
}

static demand_place_t *new_place(demand_t *d, int rank)
{
    demand_place_t *places = base_array_room(d->places, d->n_places, &d->cap_places, sizeof *places);
    if (places == NULL) return NULL;
    d->places = places;
    if (base_order_reserve(&d->by_load, d->n_places + 1) != MRAY_OK) return NULL;
    if (base_map_put(&d->by_rank, base_key64((uint32_t)rank), d->n_places) != MRAY_OK) return NULL;
    d->places[d->n_places] = (demand_place_t){.rank = rank};
    return &d->places[d->n_places++];
}

static void drop_if_empty(demand_t *d, demand_place_t *p)
{
    if (p->slots > 0 || p->outstanding > 0) return;
    demand_place_t *last = &d->places[--d->n_places];
    base_order_remove(&d->by_load, d->n_places);
    (void)base_map_remove(&d->by_rank, base_key64((uint32_t)p->rank), NULL);
    if (p == last) return;
    *p = *last;
    *base_map_find(&d->by_rank, base_key64((uint32_t)p->rank)) = (uint64_t)(p - d->places);
    reorder(d, p);
}

bool demand_set_slots(demand_t *d, int rank, uint32_t slots, bool counted)
{
    demand_place_t *p = demand_place(d, rank);
    if (p == NULL && slots == 0) return true;
    if (p == NULL) p = new_place(d, rank);
    if (p == NULL) return false;
    set_place(d, p, slots, p->outstanding, counted);
    drop_if_empty(d, p);
    return true;
}

void demand_count(demand_t *d, demand_place_t *place, int by)
{
    if (by > 0) place->turn = ++d->turn;
    set_place(d, place, place->slots, (uint32_t)((int64_t)place->outstanding + by), place->counted);
    drop_if_empty(d, place);
}

void demand_clear_slots(demand_t *d)
{
    for (unsigned i = d->n_places; i-- > 0;) {
        set_place(d, &d->places[i], 0, d->places[i].outstanding, d->places[i].counted);
        drop_if_empty(d, &d->places[i]);
    }
}

void demand_forget(demand_t *d)
{
    demand_clear_slots(d);
    d->asked = d->capacity = 0;
    d->asking = false;
}

int demand_selfcheck(const demand_t *d)
{
    uint64_t slots = 0, outstanding = 0, room = 0;
    for (unsigned i = 0; i < d->n_places; i++) {
        const demand_place_t *p = &d->places[i];
        slots += p->slots;
        outstanding += p->outstanding;
        room += room_at(d, p);
        if (demand_place(d, p->rank) != p) return base_error(MRAY_ERR_INTERNAL, "the place of rank %d is not found", p->rank);
        if (base_order_has(&d->by_load, i) != (room_at(d, p) > 0)) return base_error(MRAY_ERR_INTERNAL, "rank %d has room for %llu and is in the wrong order", p->rank,
                                                                                 (unsigned long long)room_at(d, p));
    }
    if (slots != d->granted || outstanding != d->outstanding || room != d->room)
        return base_error(MRAY_ERR_INTERNAL, "%llu slots, %llu tasks out, room for %llu; the sums are others", (unsigned long long)slots, (unsigned long long)outstanding,
                          (unsigned long long)room);
    return base_order_selfcheck(&d->by_load);
}

void demand_note_name(demand_list_t *list, uint32_t hash, const char *name)
{
    for (unsigned i = 0; i < list->n_names; i++)
        if (list->names[i].hash == hash) return;
    node_resource_t *names = base_array_room(list->names, list->n_names, &list->cap_names, sizeof *names);
    if (names == NULL) return; /* a message will lack the name */
    list->names = names;
    node_resource_t *row = &list->names[list->n_names++];
    row->hash = hash;
    snprintf(row->name, sizeof row->name, "%.*s", (int)sizeof row->name - 1, name);
}

const char *demand_name(const demand_list_t *list, uint32_t hash)
{
    for (unsigned i = 0; i < list->n_names; i++)
        if (list->names[i].hash == hash) return list->names[i].name;
    return "?";
}
