/* demand.c: lanes, places, names. */
#include "demand.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REUSE_FROM = 64 }; /* shapes, above which those that rest are reused */

demand_t *demand_find(const demand_list_t *list, const node_shape_t *shape)
{
    for (unsigned i = 0; i < list->n; i++) {
        const node_shape_t *s = &list->items[i]->shape;
        if (s->cpu == shape->cpu && s->resource == shape->resource && s->amount == shape->amount) return list->items[i];
    }
    return NULL;
}

static bool rests(const demand_t *d)
{
    return !d->plain && d->n_queued == 0 && d->asked == 0 && d->n_places == 0;
}

demand_t *demand_of(demand_list_t *list, const node_shape_t *shape, bool plain)
{
    demand_t *d = demand_find(list, shape);
    if (d != NULL) return d;
    for (unsigned i = 0; list->n >= REUSE_FROM && d == NULL && i < list->n; i++)
        if (rests(list->items[i])) d = list->items[i];
    if (d != NULL) {
        free(d->places);
    } else {
        if (list->n == list->cap) {
            unsigned cap = list->cap > 0 ? list->cap * 2 : 8;
            demand_t **items = realloc(list->items, cap * sizeof *items);
            if (items == NULL) return NULL;
            list->items = items;
            list->cap = cap;
        }
        d = malloc(sizeof *d);
        if (d == NULL) return NULL;
        list->items[list->n++] = d;
    }
    *d = (demand_t){.shape = *shape, .plain = plain};
    return d;
}

void demand_list_fini(demand_list_t *list)
{
    for (unsigned i = 0; i < list->n; i++) {
        free(list->items[i]->places);
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

demand_place_t *demand_place(const demand_t *d, int rank)
{
    for (unsigned i = 0; i < d->n_places; i++)
        if (d->places[i].rank == rank) return &d->places[i];
    return NULL;
}

void demand_clear_slots(demand_t *d)
{
    for (unsigned i = 0; i < d->n_places; i++) d->places[i].slots = 0;
    d->granted = 0;
}

bool demand_set_slots(demand_t *d, int rank, uint32_t slots)
{
    demand_place_t *p = demand_place(d, rank);
    if (p == NULL) {
        if (d->n_places == d->cap_places) {
            unsigned cap = d->cap_places > 0 ? d->cap_places * 2 : 8;
            demand_place_t *places = realloc(d->places, cap * sizeof *places);
            if (places == NULL) return false;
            d->places = places;
            d->cap_places = cap;
        }
        p = &d->places[d->n_places++];
        *p = (demand_place_t){.rank = rank};
    }
    p->slots = slots;
    d->granted += slots;
    return true;
}

void demand_drop_place(demand_t *d, demand_place_t *place)
{
    *place = d->places[--d->n_places];
}

void demand_drop_empty(demand_t *d)
{
    for (unsigned i = 0; i < d->n_places;)
        if (d->places[i].slots == 0 && d->places[i].outstanding == 0)
            demand_drop_place(d, &d->places[i]);
        else
            i++;
}

void demand_forget(demand_t *d)
{
    demand_clear_slots(d);
    demand_drop_empty(d);
    d->asked = d->capacity = 0;
    d->asking = false;
}

uint32_t demand_outstanding(const demand_t *d)
{
    uint32_t sum = 0;
    for (unsigned i = 0; i < d->n_places; i++) sum += d->places[i].outstanding;
    return sum;
}

void demand_note_name(demand_list_t *list, uint32_t hash, const char *name)
{
    for (unsigned i = 0; i < list->n_names; i++)
        if (list->names[i].hash == hash) return;
    if (list->n_names == list->cap_names) {
        unsigned cap = list->cap_names > 0 ? list->cap_names * 2 : 8;
        node_resource_t *names = realloc(list->names, cap * sizeof *names);
        if (names == NULL) return; /* a message will lack the name */
        list->names = names;
        list->cap_names = cap;
    }
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
