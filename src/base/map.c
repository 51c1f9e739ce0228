/* map.c: see map.h for the layout.
 * Invariants: n_places is 0 or a power of two; at most 3/4 of the places are taken; between an entry's home place and its
 * own there is no empty one; no key twice. */
#include "map.h"

#include "error.h"

#include <stdlib.h>
#include <string.h>

enum { MIN_PLACES = 16, TAG_USED = 0x80 };

/* Far beyond any memory, and no product of it overflows. */
#define MAX_ENTRIES (SIZE_MAX >> 16)

static uint64_t key_hash(base_key_t key)
{
    /* Stafford's mixer 13, the one of splitmix64: each input bit reaches each output bit. */
    uint64_t h = key.hi * UINT64_C(0x9e3779b97f4a7c15) ^ key.lo;
    h = (h ^ (h >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    h = (h ^ (h >> 27)) * UINT64_C(0x94d049bb133111eb);
    return h ^ (h >> 31);
}

static uint8_t hash_tag(uint64_t hash)
{
    return (uint8_t)(TAG_USED | (hash >> 57));
}

static bool key_equal(base_key_t a, base_key_t b)
{
    return a.lo == b.lo && a.hi == b.hi;
}

void base_map_init(base_map_t *map)
{
    *map = (base_map_t){0};
}

void base_map_fini(base_map_t *map)
{
    if (!map) return;
    free(map->entries);
    free(map->tags);
    base_map_init(map);
}

/* The place of key, or the empty place where it would go. The map has an empty place. */
static size_t find_place(const base_map_t *map, base_key_t key)
{
    uint64_t hash = key_hash(key);
    uint8_t tag = hash_tag(hash);
    size_t mask = map->n_places - 1;
    size_t at = (size_t)hash & mask;
    while (map->tags[at] != 0 && !(map->tags[at] == tag && key_equal(map->entries[at].key, key))) at = (at + 1) & mask;
    return at;
}

static void place_entry(base_map_t *map, size_t at, base_map_entry_t entry)
{
    map->tags[at] = hash_tag(key_hash(entry.key));
    map->entries[at] = entry;
    map->n_entries++;
}

static int resize(base_map_t *map, size_t n_places)
{
    base_map_t bigger = {.tags = calloc(n_places, 1), .entries = calloc(n_places, sizeof(base_map_entry_t)), .n_places = n_places};
    if (!bigger.tags || !bigger.entries) {
        base_map_fini(&bigger);
        return base_error(MRAY_ERR_OUT_OF_MEMORY, "a hash map of %zu places does not fit into memory", n_places);
    }
    base_map_entry_t entry;
    for (size_t cursor = 0; base_map_next(map, &cursor, &entry);) place_entry(&bigger, find_place(&bigger, entry.key), entry);
    base_map_fini(map);
    *map = bigger;
    return MRAY_OK;
}

static bool has_room(const base_map_t *map, size_t n_entries)
{
    return n_entries <= map->n_places / 4 * 3;
}

int base_map_reserve(base_map_t *map, size_t n_entries)
{
    if (has_room(map, n_entries)) return MRAY_OK;
    if (n_entries > MAX_ENTRIES)
        return base_error(MRAY_ERR_OUT_OF_MEMORY, "a hash map of %zu entries does not fit into memory", n_entries);
    size_t n_places = map->n_places ? map->n_places : MIN_PLACES;
    while (n_entries > n_places / 4 * 3) n_places *= 2;
    return resize(map, n_places);
}

int base_map_put(base_map_t *map, base_key_t key, uint64_t value)
{
    uint64_t *there = base_map_find(map, key);
    if (there) {
        *there = value;
        return MRAY_OK;
    }
    int rc = base_map_reserve(map, map->n_entries + 1);
    if (rc != MRAY_OK) return rc;
    place_entry(map, find_place(map, key), (base_map_entry_t){key, value});
    return MRAY_OK;
}

uint64_t *base_map_find(base_map_t *map, base_key_t key)
{
    if (map->n_entries == 0) return NULL;
    size_t at = find_place(map, key);
    return map->tags[at] ? &map->entries[at].value : NULL;
}

bool base_map_get(const base_map_t *map, base_key_t key, uint64_t *value_p)
{
    if (map->n_entries == 0) return false;
    size_t at = find_place(map, key);
    if (!map->tags[at]) return false;
    if (value_p) *value_p = map->entries[at].value;
    return true;
}

/* Empty the place `hole` and close the gap: an entry further on in the run moves back if its home is not behind the hole. */
static void close_hole(base_map_t *map, size_t hole)
{
    size_t mask = map->n_places - 1;
    for (size_t at = (hole + 1) & mask; map->tags[at] != 0; at = (at + 1) & mask) {
        size_t home = (size_t)key_hash(map->entries[at].key) & mask;
        if (((at - home) & mask) < ((at - hole) & mask)) continue;
        map->tags[hole] = map->tags[at];
        map->entries[hole] = map->entries[at];
        hole = at;
    }
    map->tags[hole] = 0;
}

bool base_map_remove(base_map_t *map, base_key_t key, uint64_t *value_p)
{
    if (map->n_entries == 0) return false;
    size_t at = find_place(map, key);
    if (!map->tags[at]) return false;
    if (value_p) *value_p = map->entries[at].value;
    close_hole(map, at);
    map->n_entries--;
    return true;
}

void base_map_clear(base_map_t *map)
{
    if (map->n_places) memset(map->tags, 0, map->n_places);
    map->n_entries = 0;
}

bool base_map_next(const base_map_t *map, size_t *cursor, base_map_entry_t *entry_p)
{
    while (*cursor < map->n_places) {
        size_t at = (*cursor)++;
        if (!map->tags[at]) continue;
        *entry_p = map->entries[at];
        return true;
    }
    return false;
}

int base_map_selfcheck(const base_map_t *map)
{
    if (map->n_places & (map->n_places - 1))
        return base_error(MRAY_ERR_INTERNAL, "hash map: %zu places are no power of two", map->n_places);
    if (map->n_entries > map->n_places / 4 * 3)
        return base_error(MRAY_ERR_INTERNAL, "hash map: %zu entries in %zu places are too many", map->n_entries, map->n_places);
    size_t n = 0;
    for (size_t at = 0; at < map->n_places; at++) {
        if (!map->tags[at]) continue;
        n++;
        if (map->tags[at] != hash_tag(key_hash(map->entries[at].key)))
            return base_error(MRAY_ERR_INTERNAL, "hash map: place %zu has the tag of another key", at);
        /* Found where it lies: no empty place before it on its way, and no earlier copy of its key. */
        if (find_place(map, map->entries[at].key) != at)
            return base_error(MRAY_ERR_INTERNAL, "hash map: the key in place %zu is not found there", at);
    }
    if (n != map->n_entries)
        return base_error(MRAY_ERR_INTERNAL, "hash map: %zu entries counted, %zu found", map->n_entries, n);
    return MRAY_OK;
}
