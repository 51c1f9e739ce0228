/* map.h: hash map from a 64- or 128-bit key to a 64-bit value, in this process's private memory.
 *
 * Open addressing with linear probing and no tombstones: removal shifts the following entries of the run back (Knuth, TAOCP 3,
 * 6.4, algorithm R), so that look-ups never slow down with age. One byte a place tells "empty" or seven bits of the hash; most
 * probes read only these bytes. Doubled above 3/4 full, so that expected probes are 2.5 for a hit and 8.5 for a miss at worst.
 *
 *    tags     [ 0 | 9c | b3 | b3 | 0 | ... ]      0: empty, else 0x80 | 7 bits of the hash
 *    entries  [   | k v| k v| k v|   | ... ]      24 bytes each
 *
 * Not for several threads at once: the owner locks. */
#ifndef MRAY_BASE_MAP_H
#define MRAY_BASE_MAP_H

#include <mray/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint64_t hi, lo;
} base_key_t;

typedef struct {
    base_key_t key;
    uint64_t value;
} base_map_entry_t;

typedef struct {
    uint8_t *tags;
    base_map_entry_t *entries;
    size_t n_places; /* a power of two; 0 before the first put */
    size_t n_entries;
} base_map_t;

static inline base_key_t base_key64(uint64_t key)
{
    return (base_key_t){0, key};
}

static inline base_key_t base_key128(uint64_t hi, uint64_t lo)
{
    return (base_key_t){hi, lo};
}

/* An empty map; {0} is one too. Every key is allowed, {0, 0} as well. */
void base_map_init(base_map_t *map);
void base_map_fini(base_map_t *map);

/* Room for n_entries without another allocation. MRAY_ERR_OUT_OF_MEMORY: the map is as it was. */
MRAY_CHECK_RESULT int base_map_reserve(base_map_t *map, size_t n_entries);

/* Insert, or replace the value. MRAY_ERR_OUT_OF_MEMORY: the map is as it was. */
MRAY_CHECK_RESULT int base_map_put(base_map_t *map, base_key_t key, uint64_t value);

/* False: not there, *value_p untouched. value_p may be NULL. */
bool base_map_get(const base_map_t *map, base_key_t key, uint64_t *value_p);
bool base_map_remove(base_map_t *map, base_key_t key, uint64_t *value_p);

/* Where the value of key lies, to change it in place; NULL if it is not there. Valid until the next put, remove or clear. */
uint64_t *base_map_find(base_map_t *map, base_key_t key);

void base_map_clear(base_map_t *map);

/* Walk all entries in no order: *cursor starts at 0; false at the end. The map must not change meanwhile. */
bool base_map_next(const base_map_t *map, size_t *cursor, base_map_entry_t *entry_p);

/* Check every invariant; MRAY_ERR_INTERNAL with a sentence for the first that is broken. O(n). */
MRAY_CHECK_RESULT int base_map_selfcheck(const base_map_t *map);

#endif
