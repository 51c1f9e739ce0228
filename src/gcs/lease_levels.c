/* lease_levels.c: stacks in an order. */
#include "lease_levels.h"

#include "error.h"

#include <stdlib.h>
#include <string.h>

void lease_levels_fini(lease_levels_t *levels)
{
    base_order_fini(&levels->order);
    free(levels->places);
    free(levels->tops);
    *levels = (lease_levels_t){0};
}

int lease_levels_reserve(lease_levels_t *levels, uint32_t n)
{
    if (n <= levels->capacity) return MRAY_OK;
    uint32_t capacity = levels->capacity > n / 2 ? levels->capacity * 2 : n;
    int status = base_order_reserve(&levels->order, capacity);
    if (status != MRAY_OK) return status;
    lease_place_t *places = realloc(levels->places, capacity * sizeof *places);
    if (places != NULL) levels->places = places;
    uint32_t *tops = realloc(levels->tops, capacity * sizeof *tops);
    if (tops != NULL) levels->tops = tops;
    if (places == NULL || tops == NULL) return base_error(MRAY_ERR_OUT_OF_MEMORY, "no memory to order %u leases", n);
    memset(places + levels->capacity, 0, (capacity - levels->capacity) * sizeof *places);
    levels->capacity = capacity;
    return MRAY_OK;
}

/* The level of that key; n_levels: there is none. */
static uint32_t find_level(const lease_levels_t *levels, uint64_t key)
{
    uint32_t at = base_order_before(&levels->order, key, 0);
    if (at == base_order_count(&levels->order)) return levels->n_levels;
    uint32_t level = base_order_at(&levels->order, at);
    return base_order_key(&levels->order, level) == key ? level : levels->n_levels;
}

/* There is room, since each other level has a row. */
static uint32_t add_level(lease_levels_t *levels, uint64_t key)
{
    uint32_t level = levels->n_levels;
    if (levels->free_level == 0) {
        levels->n_levels++;
    } else {
        level = levels->free_level - 1;
        levels->free_level = levels->tops[level];
    }
    levels->tops[level] = 0;
    base_order_set(&levels->order, level, key);
    return level;
}

void lease_levels_remove(lease_levels_t *levels, uint32_t id)
{
    if (id >= levels->capacity || levels->places[id].level == 0) return;
    lease_place_t *place = &levels->places[id];
    uint32_t level = place->level - 1;
    if (place->below > 0) levels->places[place->below - 1].above = place->above;
    if (place->above > 0)
        levels->places[place->above - 1].below = place->below;
    else
        levels->tops[level] = place->below;
    *place = (lease_place_t){0};
    if (levels->tops[level] > 0) return;
    base_order_remove(&levels->order, level);
    levels->tops[level] = levels->free_level;
    levels->free_level = level + 1;
}

void lease_levels_set(lease_levels_t *levels, uint32_t id, uint64_t key)
{
    if (lease_levels_has(levels, id, key)) return;
    lease_place_t *place = &levels->places[id];
    bool is_alone = place->level > 0 && place->above == 0 && place->below == 0;
    uint32_t level = is_alone && base_order_count(&levels->order) == 1 ? levels->n_levels : find_level(levels, key);
    bool is_new = level == levels->n_levels;
    if (is_new && is_alone) { /* its level moves with it */
        base_order_set(&levels->order, place->level - 1, key);
        return;
    }
    lease_levels_remove(levels, id);
    if (is_new) level = add_level(levels, key);
    uint32_t below = levels->tops[level];
    *place = (lease_place_t){.level = level + 1, .below = below};
    if (below > 0) levels->places[below - 1].above = id + 1;
    levels->tops[level] = id + 1;
}

bool lease_levels_has(const lease_levels_t *levels, uint32_t id, uint64_t key)
{
    uint32_t level = id < levels->capacity ? levels->places[id].level : 0;
    return level > 0 && base_order_key(&levels->order, level - 1) == key;
}

static uint32_t top_at(const lease_levels_t *levels, uint32_t at)
{
    return levels->tops[base_order_at(&levels->order, at)] - 1;
}

uint32_t lease_levels_least(const lease_levels_t *levels, uint64_t below)
{
    bool any = base_order_count(&levels->order) > 0 && base_order_key(&levels->order, base_order_at(&levels->order, 0)) < below;
    return any ? top_at(levels, 0) : LEASE_NO_ROW;
}

uint32_t lease_levels_greatest(const lease_levels_t *levels, uint64_t below)
{
    uint32_t n = base_order_before(&levels->order, below, 0);
    return n > 0 ? top_at(levels, n - 1) : LEASE_NO_ROW;
}

int lease_levels_selfcheck(const lease_levels_t *levels)
{
    uint32_t n_in = 0, n_linked = 0;
    for (uint32_t id = 0; id < levels->capacity; id++) n_in += levels->places[id].level > 0;
    for (uint32_t k = 0; k < base_order_count(&levels->order); k++) {
        uint32_t level = base_order_at(&levels->order, k), above = 0;
        if (levels->tops[level] == 0) return base_error(MRAY_ERR_INTERNAL, "level %u has no rows", level);
        for (uint32_t row = levels->tops[level]; row > 0; above = row, row = levels->places[row - 1].below, n_linked++)
            if (levels->places[row - 1].level != level + 1 || levels->places[row - 1].above != above)
                return base_error(MRAY_ERR_INTERNAL, "row %u is linked into level %u and says otherwise", row - 1, level);
    }
    if (n_in != n_linked) return base_error(MRAY_ERR_INTERNAL, "%u rows are in levels, %u are linked", n_in, n_linked);
    return base_order_selfcheck(&levels->order);
}

size_t lease_levels_bytes(const lease_levels_t *levels)
{
    return levels->order.capacity * sizeof *levels->order.items + levels->capacity * (sizeof *levels->places + sizeof *levels->tops);
}
